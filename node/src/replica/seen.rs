//! Since when a record could have been seen at a unit below.
//!
//! It does not: know who looked. A record could be seen once a device of the unit held it.
//!
//! Invariants: what is told is never earlier than what was noted here: the meetings of this relay with the unit's own
//! devices; further down, the unit's own word of its last meeting with a relay that held the record before. Where neither
//! says it, it is *not known*.

use super::{Replica, ReplicaError};
use sampan_core::charter::Roles;
use sampan_core::id::{DeviceId, Flow, RecordId, UnitId};
use sampan_core::register::{Heartbeat, names};
use sampan_core::store::{CommitKey, EntryAt, Status};
use sampan_core::time::Millis;
use sampan_core::wire;
use std::collections::{BTreeMap, BTreeSet};

/// What is known of a unit and a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// A device of the unit held it from then on, by a meeting with this relay.
    Since(Millis),
    /// A device of the unit held it then at the latest, by its own word.
    By(Millis),
    /// No device of the unit held it when it was last met.
    NotYet,
    /// Nothing says it.
    Unknown,
}

impl Seen {
    /// The time, where there is one.
    #[must_use]
    pub fn at(self) -> Option<Millis> {
        match self {
            Self::Since(at) | Self::By(at) => Some(at),
            Self::NotYet | Self::Unknown => None,
        }
    }

    /// Its word in JSON.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Since(_) => "met",
            Self::By(_) => "said",
            Self::NotYet => "not_yet",
            Self::Unknown => "unknown",
        }
    }
}

impl Replica {
    /// Since when a record that goes down could have been seen at each of these units.
    ///
    /// # Errors
    /// [`ReplicaError`].
    pub fn seen_since(&self, id: RecordId, units: &[UnitId]) -> Result<BTreeMap<UnitId, Seen>, ReplicaError> {
        let (state, entries, _) = self.engine.document(&self.store, id)?;
        let all = |seen| Ok(units.iter().map(|u| (*u, seen)).collect());
        if state.space.flow != Flow::Down {
            return all(Seen::Unknown);
        }
        let stands = entries.iter().filter(|e| e.status == Status::Accepted);
        let first = stands.filter_map(|e| match e.at {
            EntryAt::Sealed(key, _) => Some((key, e.first_seen)),
            EntryAt::Pending(_) => None,
        });
        // Sealed when a link next comes up: nobody below can have it before.
        let Some((key, here)) = first.min() else { return all(Seen::NotYet) };
        let charter = self.engine.charter();
        let own: BTreeSet<UnitId> = self.units().into_iter().collect();
        let mut devices: BTreeMap<UnitId, BTreeSet<DeviceId>> = BTreeMap::new();
        let mut relays: BTreeMap<UnitId, BTreeSet<DeviceId>> = BTreeMap::new();
        for (device, right) in charter.all_rights().filter(|(d, _)| charter.revoked(d).is_none()) {
            devices.entry(right.unit).or_default().insert(*device);
            if right.roles.contains(Roles::RELAY) || right.roles.contains(Roles::ADMIN) {
                relays.entry(right.unit).or_default().insert(*device);
            }
        }
        let said = self.last_verified()?;
        let mut out = BTreeMap::new();
        for unit in units {
            if own.contains(unit) {
                out.insert(*unit, Seen::Since(here));
                continue;
            }
            let of_unit = devices.get(unit);
            let mut seen = self.met(of_unit, key)?;
            if seen == Seen::Unknown {
                // The nearest relay between, of those that this one meets, answers for what lies below it.
                for above in charter.chain(unit).skip(1).take_while(|u| !own.contains(&u.id)) {
                    seen = match self.met(relays.get(&above.id), key)? {
                        Seen::Since(at) => {
                            let later = of_unit.into_iter().flatten().filter_map(|d| said.get(d)).filter(|v| **v >= at);
                            later.min().map_or(Seen::Unknown, |v| Seen::By(*v))
                        }
                        Seen::NotYet => Seen::NotYet,
                        Seen::By(_) | Seen::Unknown => continue,
                    };
                    break;
                }
            }
            out.insert(*unit, seen);
        }
        Ok(out)
    }

    /// What the meetings of this relay with some devices say.
    fn met(&self, devices: Option<&BTreeSet<DeviceId>>, key: CommitKey) -> Result<Seen, ReplicaError> {
        let (mut since, mut known) = (None::<Millis>, false);
        for device in devices.into_iter().flatten() {
            if let Some(meetings) = self.engine.meetings(&self.store, device)? {
                known = true;
                since = [since, meetings.since(key)].into_iter().flatten().min();
            }
        }
        Ok(match since {
            Some(at) => Seen::Since(at),
            None if known => Seen::NotYet,
            None => Seen::Unknown,
        })
    }

    /// When each device last verified, by its own newest sign of life.
    fn last_verified(&self) -> Result<BTreeMap<DeviceId, Millis>, ReplicaError> {
        let mut newest: BTreeMap<DeviceId, (Millis, Millis)> = BTreeMap::new();
        for signed in self.store.registers_named(names::HEARTBEAT)? {
            // A register that this version cannot read says nothing to it.
            let Ok(register) = signed.trust() else { continue };
            let Ok(beat) = wire::decode::<Heartbeat>("heartbeat", &register.payload) else { continue };
            let told = (register.time, beat.verified_at);
            newest.entry(register.device).and_modify(|t| *t = told.max(*t)).or_insert(told);
        }
        Ok(newest.into_iter().map(|(device, (_, verified))| (device, verified)).filter(|(_, v)| v.0 > 0).collect())
    }
}
