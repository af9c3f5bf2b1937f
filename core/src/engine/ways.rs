//! How each way up stands: with which relay this replica was last equal, and what it shows which relay.
//!
//! It does not: choose whom to dial (`scope::ways` does) or ask anyone.
//!
//! Invariants: a way counts as verified by what was found with a relay on it; of a device with several ways nothing is
//! called verified that is not so on each of them.

use super::{Engine, meta};
use crate::id::{DeviceId, UnitId};
use crate::scope::{self, Side, Way};
use crate::store::{CommitKey, Store, StoreError};
use crate::time::Millis;
use crate::wire::frame::Group;

/// How one way stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WayState {
    /// The way.
    pub way: Way,
    /// When this replica last verified with a relay on it.
    pub verified_at: Option<Millis>,
    /// The last commit that this replica held then: what both share of it is there.
    pub verified_through: CommitKey,
    /// When something last came from there.
    pub news_at: Option<Millis>,
}

/// How all ways stand.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ways {
    /// Each way, the deepest relay first.
    pub ways: Vec<WayState>,
    /// The oldest verification, `None` where one is missing.
    pub verified_at: Option<Millis>,
    /// The oldest news, `None` where nothing ever came on one of them.
    pub news_at: Option<Millis>,
    /// Of a replica that has no way: what it knew last.
    through: CommitKey,
}

impl Ways {
    /// The state of the way of a unit: the device's own, or one below it.
    #[must_use]
    pub fn of_unit(&self, engine: &Engine, unit: &UnitId) -> Option<&WayState> {
        let mut line = engine.charter().chain(unit);
        line.find_map(|u| self.ways.iter().find(|state| state.way.units.contains(&u.id)))
    }

    /// When the way of a unit last verified.
    #[must_use]
    pub fn verified(&self, engine: &Engine, unit: &UnitId) -> Option<Millis> {
        self.of_unit(engine, unit).map_or(self.verified_at, |state| state.verified_at)
    }

    /// The last commit held when the way of a unit last verified.
    #[must_use]
    pub fn through(&self, engine: &Engine, unit: &UnitId) -> CommitKey {
        self.of_unit(engine, unit).map_or(self.through, |state| state.verified_through)
    }
}

fn number(bytes: Option<Vec<u8>>) -> Option<u64> {
    bytes.and_then(|b| b.try_into().ok()).map(u64::from_le_bytes)
}

impl Engine {
    /// How the ways of this replica stand.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn ways(&self, store: &dyn Store) -> Result<Ways, StoreError> {
        let last = number(store.meta(meta::VERIFIED_AT)?).map(Millis);
        let through = CommitKey(number(store.meta(meta::VERIFIED_THROUGH)?).unwrap_or(0));
        let news = number(store.meta(meta::NEWS_FROM_ABOVE_AT)?).map(Millis);
        let ways = scope::ways(self.charter(), &self.device());
        let several = ways.len() > 1;
        let mut out = Ways { ways: Vec::new(), verified_at: last, news_at: news, through };
        for way in ways {
            // With one way there is one word for all, whichever relay gave it.
            let mut state = WayState { way, verified_at: last, verified_through: through, news_at: news };
            if several {
                (state.verified_at, state.verified_through, state.news_at) = (None, CommitKey(0), None);
                for rung in &state.way.rungs {
                    let noted = store.meta(&meta::verified_with(&rung.relay))?.unwrap_or_default();
                    let (at, through) = noted.split_at_checked(8).unwrap_or((&[], &[]));
                    let at = number(Some(at.to_vec())).map(Millis);
                    state.verified_at = state.verified_at.max(at);
                    let through = number(Some(through.to_vec())).unwrap_or(0);
                    state.verified_through = state.verified_through.max(CommitKey(through));
                    let told = number(store.meta(&meta::news_from(&rung.relay))?).map(Millis);
                    state.news_at = state.news_at.max(told).max(at);
                }
            }
            out.ways.push(state);
        }
        if several {
            // `None` is the least: one way that never verified speaks for all.
            out.verified_at = out.ways.iter().map(|w| w.verified_at).min().flatten();
            out.news_at = out.ways.iter().map(|w| w.news_at).min().flatten();
        }
        Ok(out)
    }

    /// The chains of [`Engine::chains`] that are a relay's business: of units at or below its own, and of those that
    /// nobody here has heard of yet.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn chains_for(&self, store: &dyn Store, relay: &DeviceId) -> Result<Vec<Group>, StoreError> {
        let relays = Side::of(self.charter(), relay).relay_units;
        let mut chains = self.chains(store)?;
        chains.retain(|group| {
            let head = group.headers.first().and_then(|h| h.trust().ok());
            let unit = head.map(|h| h.header().space.unit).filter(|unit| self.charter().unit(unit).is_some());
            // Of a relay that the charter does not show yet the ticket said that it is above.
            let above = |unit: UnitId| self.charter().chain(&unit).any(|u| relays.contains(&u.id));
            relays.is_empty() || unit.is_none_or(above)
        });
        Ok(chains)
    }
}
