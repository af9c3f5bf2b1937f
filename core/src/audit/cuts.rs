//! Where the commits of a file lie to the cuts that its charter shows.
//!
//! It does not: decide which cuts stand (the charter's fold does), or look at a store.
//!
//! Invariants: a pure function of the charter and of the commits in the file, in their order: what a cut names is
//! inside, and so is each parent of what is; a device's commits therefore stand newest first where a cut bears on
//! them, and what is not led to by any of them is outside. Past a cut that left some collections a commit may stand
//! or not, by what it carries: of that a file shows the entries that it is about.

use crate::charter::{Carried, Carrier, Charter};
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
    /// It lies past a cut that left its device something to write.
    Allowed,
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
            Self::Allowed => Some("allowed"),
            Self::Outside => Some(OUTSIDE),
            Self::Released => Some("released"),
            Self::Rejected => Some("rejected"),
        }
    }

    /// Whether what it holds counts.
    pub(super) fn stands(self) -> bool {
        match self {
            Self::Uncut | Self::Inside | Self::Allowed | Self::Released => true,
            Self::Outside | Self::Rejected => false,
        }
    }
}

/// A cut, by its commit and its place there.
pub(super) type CutId = (CommitId, u32);

/// What the commits so far lead to, cut by cut.
#[derive(Debug, Default)]
pub(super) struct Cuts {
    reached: BTreeMap<(DeviceId, SpaceId), BTreeMap<CutId, BTreeSet<CommitId>>>,
}

impl Cuts {
    fn of(&mut self, charter: &Charter, h: &Header) -> &mut BTreeMap<CutId, BTreeSet<CommitId>> {
        let named = || {
            let cuts = charter.cuts_of(&h.device, &h.space);
            cuts.map(|c| ((c.by, c.index), c.tips.get(&h.space).cloned().unwrap_or_default())).collect()
        };
        self.reached.entry((h.device, h.space)).or_insert_with(named)
    }

    /// Where a commit lies, as far as those before it show, and the cuts that it lies outside of. Of one past a cut
    /// that left something the header does not say whether it stands: it is [`Place::Allowed`] here.
    pub(super) fn look(&mut self, charter: &Charter, id: &CommitId, h: &Header) -> (Place, BTreeSet<CutId>) {
        let cuts = self.of(charter, h);
        let cut = !cuts.is_empty();
        let out_of: BTreeSet<CutId> = cuts.iter().filter(|(_, c)| !c.contains(id)).map(|(c, _)| *c).collect();
        let last =
            || charter.cuts_of(&h.device, &h.space).any(|c| c.kind.is_final() && out_of.contains(&(c.by, c.index)));
        let place = if charter.released(id, &h.space.unit) {
            Place::Released
        } else if out_of.is_empty() {
            if cut { Place::Inside } else { Place::Uncut }
        } else if last() || carried(charter, h, &out_of, None) == Carried::Nothing {
            left_out(charter, id, h)
        } else {
            Place::Allowed
        };
        (place, out_of)
    }

    /// Where the next commit lies; its parents lie inside the cuts that it lies inside of.
    pub(super) fn place(&mut self, charter: &Charter, id: &CommitId, h: &Header) -> (Place, BTreeSet<CutId>) {
        let place = self.look(charter, id, h);
        for inside in self.of(charter, h).values_mut().filter(|c| c.contains(id)) {
            inside.extend(&h.parents);
        }
        place
    }
}

/// Where a commit lies that does not stand.
pub(super) fn left_out(charter: &Charter, id: &CommitId, h: &Header) -> Place {
    if charter.rejected(id, &h.space.unit) { Place::Rejected } else { Place::Outside }
}

/// What its device's rights say of a commit outside these cuts that carries something.
pub(super) fn carried<'c>(
    charter: &Charter,
    h: &Header,
    out_of: &BTreeSet<CutId>,
    collections: impl IntoIterator<Item = &'c str>,
) -> Carried {
    let inside = |c: &crate::charter::StandingCut| !out_of.contains(&(c.by, c.index));
    let of = Carrier { device: &h.device, space: &h.space, heads: &h.charter_heads, inside: &inside };
    charter.carried(&of, collections)
}
