//! Erasures in what is held: every entry of an erased record becomes a hole, and whatever comes later too.
//!
//! It does not: decide which erasures stand (the charter's fold does), clean the disk of what was there
//! (the owner of the store does, and then calls [`Engine::confirm_erased`]), or lose a byte of anything else.
//!
//! Invariants: no entry of an erased record is stored, shown or sent once the charter that erases it is held:
//! what was held is rewritten before the engine is handed out, what comes is rewritten before it is judged. A
//! hole is believed only while an erasure that stands names its record: else its commit counts as missing.

use super::{Engine, IntakeError, meta};
use crate::charter::{Charter, Erased, Erasure, Op, Roles};
use crate::entropy::Entropy;
use crate::id::{CommitId, DeviceId, Flow, RecordId, SpaceId, UnitId};
use crate::limits::ERASED_CONFIRMED_MAX;
use crate::log::{Commit, EntryKind};
use crate::pack::{self, PackScope};
use crate::register::{Confirmed, Register, SignedRegister, names};
use crate::scope::Side;
use crate::store::{Batch, EntryAt, Quarantined, RecordEntry, Store, StoreError};
use crate::time::Millis;
use crate::wire;
use std::collections::{BTreeMap, BTreeSet};

/// Records that one batch erases: each opens its packs.
const ERASED_A_BATCH: usize = 64;

/// Who has confirmed an erasure, and who has not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErasureRow {
    /// The erasure.
    pub erasure: Erasure,
    /// Devices that say that nothing of it is left on their disk, with the time of their word.
    pub confirmed: BTreeMap<DeviceId, Millis>,
    /// Devices that may hold it and have not said so.
    pub waiting: BTreeSet<DeviceId>,
}

impl Engine {
    /// Erases a record, or the name of a holder, for ever: writes the entry into the charter of the unit and
    /// makes holes of what is held here.
    ///
    /// # Errors
    /// [`StoreError`], also without the right to it.
    pub fn erase(
        &mut self,
        store: &mut dyn Store,
        rng: &mut dyn Entropy,
        unit: UnitId,
        (what, reason): (Erased, &str),
        now: Millis,
    ) -> Result<CommitId, StoreError> {
        let refused = |why: &str| StoreError::Io(format!("nothing was erased: {why}"));
        if !self.may_erase(&unit) {
            return Err(refused("this device is no admin of the unit"));
        }
        let op = Op::Erase { what, reason: reason.to_owned() };
        let by = self.write_charter(store, rng, unit, &[op], now)?;
        by.first().copied().ok_or_else(|| refused("the entry was not written"))
    }

    /// Whether this device may erase something of a unit.
    #[must_use]
    pub fn may_erase(&self, unit: &UnitId) -> bool {
        self.charter.roles(&self.device, unit).contains(Roles::ADMIN)
    }

    /// Makes holes of the entries of erased records in commits about to be stored; true if there were any.
    pub(super) fn punch(&self, commits: &mut [Commit]) -> bool {
        let mut any = false;
        for c in commits {
            let space = c.header().space;
            any |= space.flow != Flow::Charter && c.punch(|_, e| self.charter.is_erased(&space.unit, &e.record));
        }
        any
    }

    /// Whether every hole of a commit is one that an erasure left.
    pub(super) fn check_holes(&self, commit: &Commit) -> Result<(), IntakeError> {
        let unit = commit.header().space.unit;
        let mut holes = commit.payload().entries.iter().filter(|e| e.entry.kind == EntryKind::Hole);
        if holes.all(|e| self.charter.is_erased(&unit, &e.entry.record)) {
            Ok(())
        } else {
            Err(IntakeError::PeerHole(commit.id()))
        }
    }

    /// Erases what the charter says and the store still has. Cheap where nothing new is erased.
    pub(super) fn settle_erasures(&mut self, store: &mut dyn Store, now: Millis) -> Result<(), StoreError> {
        let Some(digest) = self.charter.erased_digest() else { return Ok(()) };
        if store.meta(meta::ERASED)?.as_deref() == Some(digest.as_slice()) {
            return Ok(());
        }
        let mut records: Vec<(UnitId, RecordId)> = Vec::new();
        let mut unsaid: Vec<(UnitId, String)> = Vec::new();
        for e in self.charter.erasures() {
            match e.what {
                Erased::Record { record, .. } => records.push((e.unit, record)),
                Erased::Holder { key } => unsaid.push((e.unit, format!("{}{key}", names::HOLDER))),
            }
        }
        // One record may be erased in several units; one batch names it once.
        let mut by_record: BTreeMap<RecordId, BTreeSet<UnitId>> = BTreeMap::new();
        for (unit, record) in records {
            by_record.entry(record).or_default().insert(unit);
        }
        let by_record: Vec<(RecordId, BTreeSet<UnitId>)> = by_record.into_iter().collect();
        for some in by_record.chunks(ERASED_A_BATCH) {
            let batch = self.erasing(store, some, now)?;
            if !batch.is_empty() {
                store.write(&batch)?;
            }
        }
        let mut batch = Batch::at(now);
        for held in store.quarantine()? {
            if let Some(anew) = self.punched_aside(&held)? {
                batch.released.push(held.head.id());
                batch.quarantine.push(anew);
            }
        }
        batch.unsaid = unsaid;
        batch.meta.insert(meta::ERASED.into(), Some(digest.to_vec()));
        batch.meta.insert(meta::ERASED_UNCLEAN.into(), Some(vec![1]));
        store.write(&batch)
    }

    fn erasing(
        &self,
        store: &dyn Store,
        some: &[(RecordId, BTreeSet<UnitId>)],
        now: Millis,
    ) -> Result<Batch, StoreError> {
        let mut batch = Batch::at(now);
        let ids: Vec<RecordId> = some.iter().map(|(record, _)| *record).collect();
        for ((record, units), state) in some.iter().zip(store.records(&ids)?) {
            let Some((state, key)) = state.and_then(|s| s.key.map(|key| (s, key))) else { continue };
            let (gone, rest): (Vec<RecordEntry>, Vec<RecordEntry>) =
                store.entries(key)?.into_iter().partition(|e| units.contains(&e.space.unit));
            if gone.is_empty() && !rest.is_empty() {
                continue;
            }
            for e in gone {
                match e.at {
                    EntryAt::Sealed(at, place) => batch.holes.push((*record, at, place)),
                    EntryAt::Pending(at) => batch.sealed.push(at),
                }
            }
            if rest.is_empty() {
                batch.forgotten.push(*record);
            } else {
                // What somebody wrote under its id where it has no place is judged as if it stood alone.
                let judged = super::judge(&self.org, *record, None, &rest, &[]);
                let after = crate::store::RecordState { key: state.key, damaged: state.damaged, ..judged.state };
                batch.records.push(after);
                batch.restatus.extend(judged.restatus);
            }
        }
        Ok(batch)
    }

    /// A commit of the quarantine with holes, where it has something that is erased.
    fn punched_aside(&self, held: &Quarantined) -> Result<Option<Quarantined>, StoreError> {
        let mut commit = [self.open_laid(held).map_err(|e| StoreError::Damaged(e.to_string()))?];
        if !self.punch(&mut commit) {
            return Ok(None);
        }
        let scope = PackScope { org: self.org, space: held.head.header().space };
        let pack = pack::encode(&scope, &[commit[0].payload()], &*self.codec);
        Ok(Some(Quarantined { pack, ..held.clone() }))
    }

    /// Whether something was erased whose traces may still lie on the disk.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn is_unclean(&self, store: &dyn Store) -> Result<bool, StoreError> {
        Ok(store.meta(meta::ERASED_UNCLEAN)?.is_some())
    }

    /// Says, signed, that nothing of what is erased is left here: after the owner of the store cleaned the
    /// disk. The word is for the relays above, and for the devices below that they serve.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn confirm_erased(&self, store: &mut dyn Store, now: Millis) -> Result<(), StoreError> {
        let side = Side::of(&self.charter, &self.device);
        let mut mine: Vec<&Erasure> = self.charter.erasures().filter(|e| may_hold(&self.charter, &side, e)).collect();
        mine.sort_by_key(|e| std::cmp::Reverse((e.at, e.by)));
        mine.truncate(ERASED_CONFIRMED_MAX);
        let mut batch = Batch::at(now);
        batch.meta.insert(meta::ERASED_UNCLEAN.into(), None);
        if !mine.is_empty() {
            let word = Confirmed { epoch: self.epoch, entries: mine.iter().map(|e| tag(e)).collect() };
            for unit in side.all() {
                let counter = self.next_counter(store, &mut batch, now)?;
                let register = Register {
                    org: self.org,
                    unit,
                    name: names::ERASED.to_owned(),
                    device: self.device,
                    counter,
                    time: now,
                    payload: wire::encode(&word),
                };
                batch.registers.push(SignedRegister::seal(&self.key, &register));
            }
        }
        store.write(&batch)
    }

    /// Every erasure with those who have confirmed it and those who have not, the newest last.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn erasures(&self, store: &dyn Store) -> Result<Vec<ErasureRow>, StoreError> {
        let mut said: BTreeMap<DeviceId, (Millis, BTreeSet<[u8; 8]>)> = BTreeMap::new();
        let words = store.registers(0)?;
        for register in words.iter().filter_map(|(_, signed)| signed.trust().ok()).filter(|r| r.name == names::ERASED) {
            let Ok(word) = wire::decode::<Confirmed>("confirmation of erasures", &register.payload) else { continue };
            let held = said.entry(register.device).or_default();
            held.0 = held.0.max(register.time);
            held.1.extend(word.entries.iter().map(|t| t.0));
        }
        let devices: BTreeSet<DeviceId> = self.charter.all_rights().map(|(key, _)| *key).collect();
        let sides: Vec<(DeviceId, Side)> = devices
            .into_iter()
            .filter(|d| self.charter.revoked(d).is_none() && d.0 != self.org.0)
            .map(|d| (d, Side::of(&self.charter, &d)))
            .collect();
        let mut out = Vec::new();
        for erasure in self.charter.erasures() {
            let tag = tag(erasure).0;
            let mut row = ErasureRow { erasure: erasure.clone(), confirmed: BTreeMap::new(), waiting: BTreeSet::new() };
            for (device, _) in sides.iter().filter(|(_, side)| may_hold(&self.charter, side, erasure)) {
                match said.get(device).filter(|(_, tags)| tags.contains(&tag)) {
                    Some((at, _)) => {
                        row.confirmed.insert(*device, *at);
                    }
                    None => {
                        row.waiting.insert(*device);
                    }
                }
            }
            out.push(row);
        }
        out.sort_by_key(|r| (r.erasure.at, r.erasure.by));
        Ok(out)
    }
}

/// The short name of an erasure in a confirmation: it says nothing of the record.
fn tag(e: &Erasure) -> crate::register::ErasedTag {
    let whole = crate::hash::tagged16("erased-tag", &[&e.unit.0, e.what.name().as_bytes()]);
    let mut out = [0; 8];
    out.copy_from_slice(&whole[..8]);
    crate::register::ErasedTag(out)
}

/// Whether a device with this side may hold what an erasure names: by its space, without regard to levels
/// that do not reach so far, so that nobody who may have it is left out.
fn may_hold(charter: &Charter, side: &Side, e: &Erasure) -> bool {
    let down = |space: &SpaceId| {
        matches!(space.flow, Flow::Down | Flow::Group | Flow::Inbox)
            && side.all().iter().any(|u| charter.is_below(u, &space.unit))
    };
    side.covers(charter, &e.unit)
        || match &e.what {
            Erased::Record { space, .. } => down(space),
            Erased::Holder { .. } => false,
        }
}
