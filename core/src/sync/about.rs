//! What a stretch of the engine's news is about, worked out once for all sessions: of 17,000 links at a relay, what
//! one branch brings concerns one or two.
//!
//! It does not: look into a commit, or decide what a session says of the news that concern it.
//!
//! Invariants: what is passed over would have changed nothing: whoever is not sure looks. A session that is behind,
//! keeps something that waits, has something to say, or has not seen the charter in force is never passed over.

use super::session::Session;
use super::terms::Role;
use crate::charter::Charter;
use crate::engine::{Engine, News};
use crate::id::{Flow, UnitId};
use crate::scope::{Item, Shared, Side};
use std::collections::BTreeSet;

/// The units that a stretch of news is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    from: u64,
    to: u64,
    charter_version: usize,
    /// Something is in it that travels down, or some of it is dropped already.
    all: bool,
    units: BTreeSet<UnitId>,
    /// They, and every unit above one of them.
    chains: BTreeSet<UnitId>,
}

impl About {
    /// What the engine told from a position on.
    #[must_use]
    pub fn since(engine: &Engine, from: u64) -> Self {
        let (to, charter_version) = (engine.news_end(), engine.charter_version());
        let mut out = Self { from, to, charter_version, all: false, units: BTreeSet::new(), chains: BTreeSet::new() };
        let Some(news) = engine.news_since(from) else {
            out.all = true;
            return out;
        };
        for n in news {
            match n {
                News::Commit { log, .. } if log.space.flow == Flow::Up => out.unit(engine.charter(), log.space.unit),
                News::Commit { .. } => out.all = true,
                News::Acks(unit) => out.unit(engine.charter(), *unit),
            }
        }
        out
    }

    /// Whether nothing was told.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.from == self.to
    }

    fn unit(&mut self, charter: &Charter, unit: UnitId) {
        if self.units.insert(unit) {
            // A unit that the charter does not show stands in no chain, and in no subtree either.
            self.chains.extend(charter.chain(&unit).map(|u| u.id));
        }
    }
}

/// The units whose news from below concern a session.
#[derive(Debug, Default)]
pub(super) struct Concern {
    units: Vec<UnitId>,
    below: Vec<UnitId>,
}

impl Concern {
    /// Of a session that shares this with a peer of this side.
    pub(super) fn of(shared: &Shared, peer: &Side) -> Self {
        let mut units: BTreeSet<UnitId> = peer.units.clone();
        let mut below: BTreeSet<UnitId> = peer.subtrees().copied().collect();
        for item in &shared.data {
            match item {
                Item::Space(space) if space.flow == Flow::Up => {
                    units.insert(space.unit);
                }
                Item::Space(_) => {}
                Item::Subtree(unit, _) => {
                    below.insert(*unit);
                }
            }
        }
        Self { units: units.into_iter().collect(), below: below.into_iter().collect() }
    }

    fn meets(&self, about: &About) -> bool {
        self.units.iter().any(|u| about.units.contains(u)) || self.below.iter().any(|u| about.chains.contains(u))
    }
}

impl Session {
    /// The position up to which this session has looked through the engine's news.
    #[must_use]
    pub fn looked_to(&self) -> u64 {
        self.news_at
    }

    /// Whether nothing waits here but what news would bring, under the charter of this version.
    fn is_up_to_date(&self, charter_version: usize) -> bool {
        self.open
            && !self.closing
            && self.deposit.is_none()
            && self.shared_version == charter_version
            && !self.acknowledge_due
            && self.orphans.size().0 == 0
    }

    /// Passes over news that do not concern this session, as if [`poke`](Session::poke) had looked through them;
    /// false when it has to look.
    pub fn pass_over(&mut self, about: &About) -> bool {
        let over = self.role() == Role::Upper
            && !about.all
            && self.news_at == about.from
            && self.is_up_to_date(about.charter_version)
            && !self.concern.meets(about);
        if over {
            self.news_at = about.to;
        }
        over
    }
}
