//! Where the commits of a file lie to the cuts that its charter shows.
//!
//! It does not: decide which cuts stand (the charter's fold does), or look at a store.
//!
//! Invariants: a pure function of the charter and of the commits in the file, in their order: what a cut names is
//! inside, and so is each parent of what is; a device's commits therefore stand newest first where a cut bears on
//! them, and what is not led to by any of them is outside.

use crate::charter::Charter;
use crate::id::{CommitId, DeviceId, SpaceId};
use crate::log::Header;
use std::collections::{BTreeMap, BTreeSet};

/// The status of an entry whose commit does not stand.
pub(super) const OUTSIDE: &str = "outside";

/// Where one commit lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// No cut bears on it.
    Uncut,
    /// A cut names it, or something that continues it.
    Inside,
    /// A cut leaves it out.
    Outside,
    /// Left out, and let in by its hash.
    Released,
    /// Left out, looked at, and left out for good.
    Rejected,
}

impl Place {
    /// Its word in a file.
    pub(super) fn word(self) -> Option<&'static str> {
        match self {
            Self::Uncut => None,
            Self::Inside => Some("inside"),
            Self::Outside => Some(OUTSIDE),
            Self::Released => Some("released"),
            Self::Rejected => Some("rejected"),
        }
    }

    /// Whether what it holds counts.
    pub(super) fn stands(self) -> bool {
        match self {
            Self::Uncut | Self::Inside | Self::Released => true,
            Self::Outside | Self::Rejected => false,
        }
    }
}

/// What the commits so far lead to, cut by cut.
#[derive(Debug, Default)]
pub(super) struct Cuts {
    reached: BTreeMap<(DeviceId, SpaceId), Vec<BTreeSet<CommitId>>>,
}

impl Cuts {
    fn of(&mut self, charter: &Charter, h: &Header) -> &mut Vec<BTreeSet<CommitId>> {
        let named = || charter.cuts_of(&h.device, &h.space).map(|c| c.tips.get(&h.space).cloned().unwrap_or_default());
        self.reached.entry((h.device, h.space)).or_insert_with(|| named().collect())
    }

    /// Where a commit lies, as far as those before it show.
    pub(super) fn look(&mut self, charter: &Charter, id: &CommitId, h: &Header) -> Place {
        let cuts = self.of(charter, h);
        let (cut, inside) = (!cuts.is_empty(), cuts.iter().all(|c| c.contains(id)));
        if charter.released(id, &h.space.unit) {
            Place::Released
        } else if inside {
            if cut { Place::Inside } else { Place::Uncut }
        } else if charter.rejected(id, &h.space.unit) {
            Place::Rejected
        } else {
            Place::Outside
        }
    }

    /// Where the next commit lies; its parents lie inside the cuts that it lies inside of.
    pub(super) fn place(&mut self, charter: &Charter, id: &CommitId, h: &Header) -> Place {
        let place = self.look(charter, id, h);
        for inside in self.of(charter, h).iter_mut().filter(|c| c.contains(id)) {
            inside.extend(&h.parents);
        }
        place
    }
}
