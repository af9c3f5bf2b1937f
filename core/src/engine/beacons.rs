//! Beacons: each relay's signed word about its charter, made daily, and what a replica remembers of those
//! it has been shown.
//!
//! It does not: let anyone in or out: a beacon is news, and charter operations decide.
//!
//! Invariants: what is remembered never goes back; a charter only grows, so a statement with fewer
//! commits, or with as many and others, is one of a relay that was rolled back, or says what is not
//! so; the memory is bounded by the relays above this replica.

use super::{Engine, meta};
use crate::canary::{self, Canary};
use crate::charter::Roles;
use crate::hash::tagged;
use crate::id::{DeviceId, Digest, OrgId, SpaceId, UnitId};
use crate::limits::{BEACONS_KEPT_MAX, TREE_DEPTH_MAX};
use crate::register::{Beacon, Register, SignedRegister, names};
use crate::scope::Side;
use crate::store::{Batch, Store, StoreError};
use crate::time::Millis;
use crate::wire;

/// Milliseconds of a day.
const DAY_MS: u64 = 86_400_000;

/// The newest word of one relay above that this replica was shown.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct SeenBeacon {
    /// The relay's unit.
    #[n(0)]
    pub unit: UnitId,
    /// The relay.
    #[n(1)]
    pub device: DeviceId,
    /// Counter of the register.
    #[n(2)]
    pub counter: u64,
    /// The day that it speaks of, in days since 1970.
    #[n(3)]
    pub day: u32,
    /// Its number.
    #[n(4)]
    pub number: u64,
    /// Commits in the charters from its unit to the root.
    #[n(5)]
    pub commits: u64,
    /// Their digest.
    #[n(6)]
    pub charter: Digest,
    /// Whether the relay has since shown something older: a charter that lacks what it had.
    #[n(7)]
    pub rolled_back: bool,
}

/// What became of a beacon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BeaconTaken {
    /// It, or one inside it, is newer than what was known.
    News,
    /// Nothing new.
    Known,
    /// It goes back behind what this relay of this unit showed before.
    RolledBack(UnitId),
    /// It is not what a relay above this replica may say.
    Refused,
}

impl Engine {
    /// This device's beacon for the unit that it is the relay of: signed anew when the day, its charter
    /// or what it heard from above is another. `None` where it has nothing to say: no relay's right, no
    /// charter yet, or a clock that was never set.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn beacon(&mut self, store: &mut dyn Store, now: Millis) -> Result<Option<SignedRegister>, StoreError> {
        let side = Side::of(&self.charter, &self.device);
        let unit = side.relay_units.iter().copied().min_by_key(|u| self.charter.unit(u).map_or(u8::MAX, |u| u.depth));
        let Some(unit) = unit.filter(|u| self.charter.unit(u).is_some() && !now.is_unset()) else { return Ok(None) };
        let above = self.shown_above(store)?;
        let (charter, day) = (self.beacon_digest(&unit), (now.0 / DAY_MS) as u32);
        let before = store.meta(meta::BEACON)?.and_then(|b| wire::decode::<SignedRegister>("beacon", &b).ok());
        let last = before.as_ref().and_then(|s| {
            let register = s.trust().ok()?;
            wire::decode::<Beacon>("beacon", &register.payload).ok().filter(|_| register.unit == unit)
        });
        if let Some(b) = &last
            && (b.day, b.charter, b.above.as_ref()) == (day, charter, above.as_ref())
        {
            return Ok(before);
        }
        let chain: Vec<UnitId> = self.charter.chain(&unit).map(|u| u.id).collect();
        let commits = self.charter_log.iter().filter(|c| chain.contains(&c.header().space.unit)).count() as u64;
        let number = last.map_or(0, |b| b.number).saturating_add(1);
        let payload = wire::encode(&Beacon { number, day, charter, commits, above });
        let mut batch = Batch::at(now);
        let counter = self.next_counter(store, &mut batch, now)?;
        let name = names::BEACON.to_owned();
        let register = Register { org: self.org, unit, name, device: self.device, counter, time: now, payload };
        let signed = SignedRegister::seal(&self.key, &register);
        batch.meta.insert(meta::BEACON.into(), Some(wire::encode(&signed)));
        store.write(&batch)?;
        Ok(Some(signed))
    }

    /// Takes a beacon that the relay `from` handed down.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn take_beacon(
        &self,
        store: &mut dyn Store,
        from: &DeviceId,
        signed: &SignedRegister,
        now: Millis,
    ) -> Result<BeaconTaken, StoreError> {
        let Some(said) = unwrapped(&self.org, signed) else { return Ok(BeaconTaken::Refused) };
        let own = Side::of(&self.charter, &self.device);
        let mut below: Option<UnitId> = None;
        for (register, _) in &said {
            let relay = self.charter.roles(&register.device, &register.unit).contains(Roles::RELAY);
            let place = match &below {
                None => {
                    register.device == *from
                        && own.all().iter().any(|u| self.charter.chain(u).any(|c| c.id == register.unit))
                }
                Some(below) => self.charter.is_below(below, &register.unit),
            };
            if !relay || !place {
                return Ok(BeaconTaken::Refused);
            }
            below = Some(register.unit);
        }
        let mut seen = self.beacons(store)?;
        let before = seen.clone();
        let mut verdict = BeaconTaken::Known;
        for (i, (register, beacon)) in said.iter().enumerate() {
            let new = SeenBeacon {
                unit: register.unit,
                device: register.device,
                counter: register.counter,
                day: beacon.day,
                number: beacon.number,
                commits: beacon.commits,
                charter: beacon.charter,
                rolled_back: false,
            };
            match seen.iter_mut().find(|s| (s.unit, s.device) == (new.unit, new.device)) {
                None => seen.push(new),
                Some(known) => {
                    // What was copied from further above may be late; what a relay says of itself may not.
                    let older = new.counter < known.counter;
                    let fewer =
                        new.commits < known.commits || (new.commits == known.commits && new.charter != known.charter);
                    if canary::sings(Canary::BeaconGoesBack) {
                        *known = new;
                    } else if (older && i == 0) || (!older && fewer) {
                        known.rolled_back = true;
                        verdict = BeaconTaken::RolledBack(new.unit);
                    } else if !older {
                        *known = new;
                    }
                }
            }
        }
        if seen == before {
            return Ok(verdict);
        }
        if verdict == BeaconTaken::Known {
            verdict = BeaconTaken::News;
        }
        // Relays of long ago go first: those with a right stay, which are few.
        seen.sort_by_key(|s| std::cmp::Reverse(s.counter));
        seen.truncate(BEACONS_KEPT_MAX);
        seen.sort_by_key(|s| (s.unit, s.device));
        let mut batch = Batch::at(now);
        batch.meta.insert(meta::BEACONS_SEEN.into(), Some(wire::encode(&seen)));
        if !matches!(verdict, BeaconTaken::RolledBack(_)) {
            batch.meta.insert(meta::BEACON_ABOVE.into(), Some(wire::encode(signed)));
        }
        store.write(&batch)?;
        Ok(verdict)
    }

    /// The newest word of every relay above this replica, as far as the charter still shows it as one.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn beacons(&self, store: &dyn Store) -> Result<Vec<SeenBeacon>, StoreError> {
        let Some(bytes) = store.meta(meta::BEACONS_SEEN)? else { return Ok(Vec::new()) };
        let damaged = |e: wire::WireError| StoreError::Damaged(e.to_string());
        let mut seen: Vec<SeenBeacon> = wire::decode("memory of beacons", &bytes).map_err(damaged)?;
        seen.retain(|s| self.charter.roles(&s.device, &s.unit).contains(Roles::RELAY));
        Ok(seen)
    }

    /// The newest beacon that came from above, to be shown inside our own.
    fn shown_above(&self, store: &dyn Store) -> Result<Option<SignedRegister>, StoreError> {
        let Some(bytes) = store.meta(meta::BEACON_ABOVE)? else { return Ok(None) };
        let signed: Option<SignedRegister> = wire::decode("beacon", &bytes).ok();
        // With the greatest depth inside, ours would be one too deep for a reader.
        Ok(signed.filter(|s| depth(s) < TREE_DEPTH_MAX))
    }

    /// The digest of the charters from a unit to the root: what everyone below holds as well.
    fn beacon_digest(&self, unit: &UnitId) -> Digest {
        let mut bytes = Vec::new();
        for u in self.charter.chain(unit) {
            bytes.extend_from_slice(&u.id.0);
            bytes.extend_from_slice(&self.holdings.space_digest(&SpaceId::charter(u.id)).0);
        }
        Digest(tagged("beacon", &[&bytes]))
    }
}

/// A beacon and those inside it, each with a signature that holds; `None` if one does not, or is no beacon.
fn unwrapped(org: &OrgId, signed: &SignedRegister) -> Option<Vec<(Register, Beacon)>> {
    let mut out = Vec::new();
    let mut next = Some(signed.clone());
    while let Some(signed) = next {
        let register = signed.verify(org).ok().filter(|r| r.name == names::BEACON && out.len() < TREE_DEPTH_MAX)?;
        let beacon: Beacon = wire::decode("beacon", &register.payload).ok()?;
        next = beacon.above.clone();
        out.push((register, beacon));
    }
    Some(out)
}

/// How many beacons stand in one another; its signatures were checked when it was taken.
fn depth(signed: &SignedRegister) -> usize {
    let inner = |s: &SignedRegister| {
        let register = s.trust().ok()?;
        wire::decode::<Beacon>("beacon", &register.payload).ok()?.above
    };
    std::iter::successors(Some(signed.clone()), inner).take(TREE_DEPTH_MAX + 1).count()
}
