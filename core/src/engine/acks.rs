//! Acknowledgements: signed statements of what a relay holds, made, taken, passed on.
//!
//! It does not: put anything into a frontier, or believe a relay about another relay's store.
//!
//! Invariants: a statement is about the signer's own durable store; a tick is shown only for a
//! statement whose signature, right and Merkle proof were checked; a new store epoch voids the ticks
//! of the old.

use super::{Engine, News, meta};
use crate::charter::Roles;
use crate::id::{Digest, Flow, StoreEpoch, UnitId};
use crate::log::merkle;
use crate::register::{
    Ack, Heartbeat, Register, RegisterError, Room, Settled, SignedRegister, ack_leaf, ack_root, names,
};
use crate::store::{AckRow, Batch, CommitKey, Status, Store, StoreError};
use crate::time::Millis;
use crate::wire;
use crate::wire::frame::{AckLeaf, AckProof, AckSet};
use std::collections::{BTreeMap, BTreeSet};

/// What one ancestor's relay holds of a unit, as this replica knows it now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivered {
    /// The relay's unit.
    pub unit: UnitId,
    /// Its level.
    pub level: u8,
    /// When it said so, by its clock.
    pub at: Millis,
    /// Whether that is all that this replica holds of the unit and that reaches the level.
    pub complete: bool,
    /// Commits up to here are covered.
    pub through: CommitKey,
}

impl Engine {
    /// A statement over these units, or those of them whose last statement no longer fits; `None`
    /// when there is nothing new to say.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn acknowledge(
        &mut self,
        store: &mut dyn Store,
        relay_unit: UnitId,
        units: &BTreeSet<UnitId>,
        now: Millis,
    ) -> Result<Option<AckSet>, StoreError> {
        let level = self.charter.level(&relay_unit, self.levels());
        let mut leaves = Vec::new();
        // One read for many units, one each for few.
        let all: Option<BTreeMap<UnitId, AckRow>> = if units.len() > 16 {
            let rows = store.acks(None)?.into_iter().filter(|a| a.relay_unit == relay_unit);
            Some(rows.map(|a| (a.leaf.unit, a)).collect())
        } else {
            None
        };
        for unit in units {
            let digest = self.holdings.own_up_digest(unit, level);
            let said = match &all {
                Some(all) => all.get(unit).cloned(),
                None => store.acks(Some(*unit))?.into_iter().find(|a| a.relay_unit == relay_unit),
            };
            let stands =
                said.is_some_and(|a| a.relay == self.device && a.epoch == self.epoch && a.leaf.digest == digest);
            if !stands {
                leaves.push(AckLeaf { unit: *unit, digest });
            }
        }
        if leaves.is_empty() {
            self.acks.settled(units);
            return Ok(None);
        }
        let counts = store.irregular(&leaves.iter().map(|l| l.unit).collect())?;
        let of = |s: Status| counts.get(&s).copied().unwrap_or(0);
        let ack = Ack {
            epoch: self.epoch,
            level,
            count: leaves.len() as u32,
            root: ack_root(&leaves),
            pending: of(Status::Pending) + of(Status::NeedsNewer),
            blocked: of(Status::Blocked) + of(Status::Malformed),
            quarantined: store.quarantine()?.len() as u64,
        };
        let mut batch = Batch::at(now);
        let counter = self.next_counter(store, &mut batch, now)?;
        let register = SignedRegister::seal(
            &self.key,
            &Register {
                org: self.org,
                unit: relay_unit,
                name: names::ACK.to_owned(),
                device: self.device,
                counter,
                time: now,
                payload: wire::encode(&ack),
            },
        );
        let set = AckSet { register, leaves, proof: None };
        let through = store.last_commit()?;
        batch.acks = rows(&set, &ack, self.device, relay_unit, counter, now, |_| (through, true));
        self.acks.note(store, &mut batch)?;
        store.write(&batch)?;
        self.acks.put(&self.charter, &batch.acks);
        self.acks.settled(units);
        for leaf in &set.leaves {
            self.tell(News::Acks(leaf.unit));
        }
        Ok(Some(set))
    }

    /// Writes this device's sign of life for a unit, for the relays above.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn heartbeat(
        &self,
        store: &mut dyn Store,
        unit: UnitId,
        beat: &Heartbeat,
        now: Millis,
    ) -> Result<(), StoreError> {
        self.tell_of_itself(store, unit, names::HEARTBEAT, wire::encode(beat), now)
    }

    fn tell_of_itself(
        &self,
        store: &mut dyn Store,
        unit: UnitId,
        name: &str,
        payload: Vec<u8>,
        now: Millis,
    ) -> Result<(), StoreError> {
        let mut batch = Batch::at(now);
        let counter = self.next_counter(store, &mut batch, now)?;
        let name = name.to_owned();
        let register = Register { org: self.org, unit, name, device: self.device, counter, time: now, payload };
        batch.registers.push(SignedRegister::seal(&self.key, &register));
        store.write(&batch)
    }

    /// Writes how much room this device's disk has, beside its sign of life.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn tell_room(&self, store: &mut dyn Store, unit: UnitId, room: &Room, now: Millis) -> Result<(), StoreError> {
        self.tell_of_itself(store, unit, names::ROOM, wire::encode(room), now)
    }

    /// Writes whose signs of life are outdone, as this relay knows it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn tell_settled(
        &self,
        store: &mut dyn Store,
        unit: UnitId,
        settled: &Settled,
        now: Millis,
    ) -> Result<(), StoreError> {
        self.tell_of_itself(store, unit, names::SETTLED, wire::encode(settled), now)
    }

    /// Takes statements from above. Only units of which this replica holds data are kept.
    ///
    /// # Errors
    /// [`RegisterError`] in the inner result when the peer's statement is false in form, signature,
    /// right or proof; [`StoreError`] when storing fails.
    pub fn take_acks(
        &mut self,
        store: &mut dyn Store,
        sets: &[AckSet],
        now: Millis,
    ) -> Result<Result<u64, RegisterError>, StoreError> {
        let mut batch = Batch::at(now);
        for set in sets {
            match self.check_ack(set) {
                Err(e) => return Ok(Err(e)),
                Ok((register, ack)) => {
                    // A statement of a level that our charter does not see as a relay's has no meaning here yet.
                    if !self.charter.roles(&register.device, &register.unit).contains(Roles::RELAY) {
                        continue;
                    }
                    let last = store.last_commit()?;
                    let told = told_epoch(store, &register.device)?;
                    let latest = now.0.saturating_add(crate::limits::LABEL_LEAD_MS_MAX);
                    // A relay that was last met with another store says now, signed and later than that, which
                    // one it is: what it said then of the older one has lapsed.
                    let newer_store = told.is_some_and(|(epoch, at)| {
                        epoch != ack.epoch && register.time > at && register.time.0 <= latest
                    });
                    if newer_store {
                        let value = [ack.epoch.0.as_slice(), &register.time.0.to_le_bytes()].concat();
                        batch.meta.insert(meta::peer_epoch(&register.device), Some(value));
                    }
                    let restored = newer_store || told.is_some_and(|(epoch, _)| epoch == ack.epoch);
                    let mut through = Vec::new();
                    for leaf in &set.leaves {
                        let before = store.acks(Some(leaf.unit))?.into_iter().find(|a| a.relay_unit == register.unit);
                        let complete = leaf.digest == self.holdings.own_up_digest(&leaf.unit, ack.level);
                        // An older statement never replaces a newer, unless the relay itself said that its
                        // store is another now: its counter may have gone back with it.
                        let older = before.as_ref().is_some_and(|b| {
                            b.counter > register.counter
                                && b.relay == register.device
                                && (b.epoch == ack.epoch || !restored)
                                // A clock of years ahead must not silence the relay for years.
                                && b.at.0 <= latest
                        });
                        let kept = before.filter(|b| b.epoch == ack.epoch);
                        if older {
                            through.push(None);
                        } else if complete {
                            through.push(Some((last, true)));
                        } else {
                            through.push(Some((kept.map(|b| b.through).unwrap_or_default(), false)));
                        }
                    }
                    let all = rows(set, &ack, register.device, register.unit, register.counter, register.time, |i| {
                        through.get(i).copied().flatten().unwrap_or_default()
                    });
                    let kept = all.into_iter().zip(&through).filter(|(_, t)| t.is_some()).map(|(row, _)| row);
                    batch.acks.extend(kept);
                }
            }
        }
        let taken = batch.acks.len() as u64;
        if taken > 0 {
            batch.meta.insert(meta::NEWS_FROM_ABOVE_AT.into(), Some(now.0.to_le_bytes().to_vec()));
            self.acks.note(store, &mut batch)?;
            store.write(&batch)?;
            self.acks.put(&self.charter, &batch.acks);
        }
        for row in &batch.acks {
            self.tell(News::Acks(row.leaf.unit));
        }
        Ok(Ok(taken))
    }

    /// Whether the charter held here shows the signer of a statement as a relay of the unit that it names:
    /// before it does, the statement has no meaning yet.
    #[must_use]
    pub fn knows_relay_of(&self, set: &AckSet) -> bool {
        let signer = set.register.trust();
        signer.is_ok_and(|r| self.charter.roles(&r.device, &r.unit).contains(Roles::RELAY))
    }

    fn check_ack(&self, set: &AckSet) -> Result<(Register, Ack), RegisterError> {
        let register = set.register.verify(&self.org)?;
        let ack: Ack = wire::decode("acknowledgement", &register.payload)?;
        let fits = register.name == names::ACK
            && set.leaves.len() <= crate::limits::ACK_LEAVES_MAX
            && match &set.proof {
                None => set.leaves.len() == ack.count as usize && ack_root(&set.leaves) == ack.root,
                Some(AckProof { index, siblings }) => {
                    let path: Vec<[u8; 32]> = siblings.iter().map(|d| d.0).collect();
                    matches!(set.leaves.as_slice(), [leaf] if
                        merkle::root_from_proof(ack.count as usize, *index as usize, ack_leaf(leaf), &path) == Some(ack.root.0))
                }
            };
        if fits { Ok((register, ack)) } else { Err(RegisterError::Leaves) }
    }

    /// The statements known of a unit, each cut down to the unit's own leaf, to be passed down.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn acks_for(&self, store: &dyn Store, unit: &UnitId) -> Result<Vec<(UnitId, u64, AckSet)>, StoreError> {
        let rows = store.acks(Some(*unit))?;
        let of = |row: AckRow| {
            let (index, siblings) = row.proof;
            let set =
                AckSet { register: row.register, leaves: vec![row.leaf], proof: Some(AckProof { index, siblings }) };
            (row.relay_unit, row.counter, set)
        };
        Ok(rows.into_iter().map(of).collect())
    }

    /// Which ancestors' relays hold what of a unit, nearest first: one row an ancestor with a relay.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn delivered(&self, store: &dyn Store, unit: &UnitId) -> Result<Vec<Delivered>, StoreError> {
        let rows = store.acks(Some(*unit))?;
        let mut out = Vec::new();
        for above in self.charter.chain(unit) {
            let relays = self.charter.endpoints(&above.id);
            // One that acknowledges is a relay, also where it listens nowhere: bundles reach it.
            let silent = relays.is_empty() && !rows.iter().any(|r| r.relay_unit == above.id);
            if silent || relays.iter().any(|(d, _)| *d == self.device) {
                continue;
            }
            let level = self.charter.level(&above.id, self.levels());
            let row = rows.iter().find(|r| r.relay_unit == above.id);
            let digest = self.holdings.own_up_digest(unit, level);
            // A tick lapses with the store it was about: a relay that said hello from another one, or
            // that is no relay any more, has to say it anew.
            let stands = match row {
                Some(r) => {
                    self.charter.roles(&r.relay, &above.id).contains(Roles::RELAY)
                        && told_epoch(store, &r.relay)?.is_none_or(|(e, _)| e == r.epoch)
                }
                None => false,
            };
            out.push(Delivered {
                unit: above.id,
                level,
                at: row.map(|r| r.at).unwrap_or_default(),
                complete: stands && row.is_some_and(|r| r.leaf.digest == digest) && !has_pending(store, unit, level)?,
                through: row.map(|r| r.through).unwrap_or_default(),
            });
        }
        Ok(out)
    }

    /// The epoch that a relay named last, if any.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn epoch_of(
        &self,
        store: &dyn Store,
        unit: &UnitId,
        relay: &crate::id::DeviceId,
    ) -> Result<Option<StoreEpoch>, StoreError> {
        Ok(store.acks(Some(*unit))?.into_iter().find(|a| a.relay == *relay).map(|a| a.epoch))
    }
}

/// The store that a relay itself last named, in its hello or a later statement, and when by its clock. What it says
/// of another store at an earlier time by its clock shows no tick: nothing tells it from what it said long ago.
///
/// # Errors
/// [`StoreError`].
pub fn told_epoch(store: &dyn Store, relay: &crate::id::DeviceId) -> Result<Option<(StoreEpoch, Millis)>, StoreError> {
    let Some(bytes) = store.meta(&meta::peer_epoch(relay))? else { return Ok(None) };
    let (epoch, at) = bytes.split_at_checked(16).unwrap_or((&[], &[]));
    let at = at.try_into().map_or(0, u64::from_le_bytes);
    Ok(epoch.try_into().ok().map(|e| (StoreEpoch(e), Millis(at))))
}

fn has_pending(store: &dyn Store, unit: &UnitId, level: u8) -> Result<bool, StoreError> {
    let pending = store.pending_sums()?;
    Ok(pending.iter().any(|p| p.space.unit == *unit && p.space.flow == Flow::Up && p.space.reach <= level))
}

/// One row a leaf, with its proof.
fn rows(
    set: &AckSet,
    ack: &Ack,
    relay: crate::id::DeviceId,
    relay_unit: UnitId,
    counter: u64,
    at: Millis,
    through: impl Fn(usize) -> (CommitKey, bool),
) -> Vec<AckRow> {
    let tree = merkle::Tree::new(set.leaves.iter().map(ack_leaf).collect());
    let row = |(i, leaf): (usize, &AckLeaf)| {
        let proof = match &set.proof {
            Some(p) => (p.index, p.siblings.clone()),
            None => {
                let path = tree.proof(i).unwrap_or_default();
                (i as u32, path.into_iter().map(Digest).collect())
            }
        };
        let (through, complete) = through(i);
        AckRow {
            leaf: *leaf,
            relay_unit,
            relay,
            level: ack.level,
            epoch: ack.epoch,
            counter,
            at,
            register: set.register.clone(),
            proof,
            through,
            complete,
        }
    };
    set.leaves.iter().enumerate().map(row).collect()
}
