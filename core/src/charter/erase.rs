//! Erasures: what an erase entry names, and those that stand.
//!
//! It does not: erase anything (`engine` does, wherever a record is held or arrives).
//!
//! Invariants: an erasure stands by what its author had seen alone and for ever: no cut of its author and
//! nothing that runs beside it takes it back, because what it erased cannot come back either. It speaks for
//! the unit whose charter holds it and for no other. Numbers are for ever.

use super::fold::Charter;
use crate::hash::tagged16;
use crate::id::{CommitId, DeviceId, Flow, RecordId, SpaceId, UnitId};
use crate::time::Millis;
use std::collections::BTreeMap;

/// What is erased.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, minicbor::Encode, minicbor::Decode)]
pub enum Erased {
    /// A record, wherever it lies in a space of the unit.
    #[n(0)]
    Record {
        /// The space that it was born in: it tells who holds it.
        #[n(0)]
        space: SpaceId,
        /// The record.
        #[n(1)]
        record: RecordId,
    },
    /// The name behind the commitment of grants to a key.
    #[n(1)]
    Holder {
        /// The key of the grant: a device, or a ticket.
        #[n(0)]
        key: DeviceId,
    },
}

impl Erased {
    /// Whether it may stand in the charter of a unit.
    pub(super) fn belongs_to(&self, unit: &UnitId) -> bool {
        match self {
            Self::Record { space, .. } => space.unit == *unit && space.flow != Flow::Charter,
            Self::Holder { .. } => true,
        }
    }

    /// What tells it from every other erasure of the unit, in lower-case hex: the record, or the key.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Record { record, .. } => record.to_string(),
            Self::Holder { key } => key.to_string(),
        }
    }
}

/// An erasure that stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Erasure {
    /// The unit whose charter holds it.
    pub unit: UnitId,
    /// What is erased.
    pub what: Erased,
    /// The commit that says so.
    pub by: CommitId,
    /// Who says so.
    pub issuer: DeviceId,
    /// When, by the issuer's clock.
    pub at: Millis,
    /// Why, in words for people.
    pub reason: String,
}

/// The erasures of a charter, each once: of several of one thing the one of the lowest commit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Erasures {
    records: BTreeMap<(UnitId, RecordId), Erasure>,
    holders: BTreeMap<(UnitId, DeviceId), Erasure>,
}

impl Erasures {
    pub(super) fn add(&mut self, new: Erasure) {
        let lower = |old: &mut Erasure, new: Erasure| {
            if new.by < old.by {
                *old = new;
            }
        };
        match new.what {
            Erased::Record { record, .. } => {
                let place = self.records.entry((new.unit, record));
                place.and_modify(|old| lower(old, new.clone())).or_insert(new);
            }
            Erased::Holder { key } => {
                let place = self.holders.entry((new.unit, key));
                place.and_modify(|old| lower(old, new.clone())).or_insert(new);
            }
        }
    }
}

impl Charter {
    /// Every erasure that stands, records before holders, by unit.
    pub fn erasures(&self) -> impl Iterator<Item = &Erasure> {
        self.erasures.records.values().chain(self.erasures.holders.values())
    }

    /// The erasure of a record in the spaces of a unit.
    #[must_use]
    pub fn erasure(&self, unit: &UnitId, record: &RecordId) -> Option<&Erasure> {
        self.erasures.records.get(&(*unit, *record))
    }

    /// Whether a record is erased in the spaces of a unit.
    #[must_use]
    pub fn is_erased(&self, unit: &UnitId, record: &RecordId) -> bool {
        self.erasure(unit, record).is_some()
    }

    /// An erasure of a record, in whatever unit.
    #[must_use]
    pub fn erasure_of(&self, record: &RecordId) -> Option<&Erasure> {
        self.erasures.records.values().find(|e| matches!(&e.what, Erased::Record { record: r, .. } if r == record))
    }

    /// Whether the name of the holder of a grant in the charter of a unit is erased.
    #[must_use]
    pub fn is_holder_erased(&self, unit: &UnitId, key: &DeviceId) -> bool {
        self.erasures.holders.contains_key(&(*unit, *key))
    }

    /// A digest of all that is erased; `None` while nothing is.
    #[must_use]
    pub fn erased_digest(&self) -> Option<[u8; 16]> {
        let parts: Vec<Vec<u8>> =
            self.erasures().map(|e| [e.unit.0.as_slice(), e.what.name().as_bytes(), b";"].concat()).collect();
        let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        (!parts.is_empty()).then(|| tagged16("erased", &parts))
    }
}
