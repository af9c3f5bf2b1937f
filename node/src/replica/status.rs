//! How a replica stands: what is unsent, delivered where, verified when, and why not if not.
//!
//! It does not: ask anyone; it says what the store knows.
//!
//! Invariants: a tick is shown only where a signed statement covers all that is here now.

use super::Replica;
use sampan_core::engine::{Ended, Engine, Fate, Ways, meta};
use sampan_core::id::{DeviceId, Flow, SpaceId, UnitId};
use sampan_core::scope::{self, Side};
use sampan_core::store::{CommitKey, Status, Store, StoreError};
use sampan_core::time::Millis;
use std::collections::{BTreeMap, BTreeSet};

/// What an ancestor's relay holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveredRow {
    /// The ancestor's unit.
    pub unit: UnitId,
    /// Its name.
    pub name: String,
    /// Its level.
    pub level: u8,
    /// When it said so; `None` for never.
    pub at: Option<Millis>,
    /// Whether it is all that is here.
    pub complete: bool,
}

/// One way up: the relay nearest above some of this device's units.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WayRow {
    /// The relay's unit.
    pub unit: UnitId,
    /// Its name.
    pub name: String,
    /// The device's units whose way it is.
    pub units: Vec<UnitId>,
    /// When this replica last verified with a relay on it.
    pub verified_at: Option<Millis>,
}

/// The newest word from the top that was shown to this replica.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BeaconRow {
    /// The unit of the relay that said it: the root, or the highest that was heard of.
    pub unit: UnitId,
    /// Its number.
    pub number: u64,
    /// The day that it speaks of, by the relay's clock.
    pub at: Millis,
    /// Days since then, by the clock as it was put right.
    pub age_days: u64,
    /// Units of relays above that have shown something older than before.
    pub rolled_back: Vec<UnitId>,
}

/// The whole status.
#[derive(Debug, Clone)]
pub struct StatusReport {
    /// The organisation's name.
    pub organisation: String,
    /// Units of this device.
    pub units: Vec<UnitId>,
    /// The device.
    pub device: DeviceId,
    /// Records that are not removed.
    pub records: u64,
    /// Local changes that the nearest relay has not acknowledged.
    pub unsent_changes: u64,
    /// Entries that wait for something.
    pub pending: u64,
    /// Entries that do not stand.
    pub blocked: u64,
    /// Commits in quarantine.
    pub quarantined: u64,
    /// Bundles that wait in the folder for an earlier one.
    pub bundles_waiting: Vec<crate::bundle::Waiting>,
    /// Files that are to come.
    pub files_waiting: crate::store::FilesWaiting,
    /// Edits of this device that were made on what a cut took out, by what became of them.
    pub built_on_cut: BTreeMap<Fate, u64>,
    /// Ancestors with a relay, nearest first.
    pub delivered: Vec<DeliveredRow>,
    /// The ways up, the deepest relay first.
    pub ways: Vec<WayRow>,
    /// Whether nothing is above: a relay of the root that is to dial nobody.
    pub top: bool,
    /// When this replica last verified; of several ways the oldest, and none where one is missing.
    pub verified_at: Option<Millis>,
    /// When something last came from above.
    pub news_from_above_at: Option<Millis>,
    /// How old the news from the top is, by the relays' own signed words.
    pub beacon: Option<BeaconRow>,
    /// Units that this device had a right on, and has no more, while others still run: unit and reason.
    pub withdrawn: Vec<(UnitId, String)>,
    /// What is known here of the end of this device's rights.
    pub ended: Option<Ended>,
    /// The version of the published schema, where that is one that this program does not read; and the one it goes by.
    pub schema_newer: Option<(u32, Option<u32>)>,
    /// The last error of the link.
    pub last_error: Option<String>,
    /// The newest commit that lists show.
    pub projected_to: CommitKey,
    /// The newest commit stored.
    pub stored_to: CommitKey,
    /// How often a twin of this device was found.
    pub twins_found: u64,
}

/// Name of the last error of the link, in words.
pub const META_LAST_ERROR: &str = "last_error";

impl Replica {
    /// The status now.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn status(&mut self) -> Result<StatusReport, StoreError> {
        self.project()?;
        let units = self.units();
        let when = |s: &Self, name: &str| -> Result<Option<Millis>, StoreError> {
            Ok(s.store.meta(name)?.and_then(|b| b.try_into().ok()).map(|b| Millis(u64::from_le_bytes(b))))
        };
        let all: BTreeSet<UnitId> = self.engine.charter().units().map(|u| u.id).chain(units.iter().copied()).collect();
        let counts = self.store.irregular(&all)?;
        let of = |s: Status| counts.get(&s).copied().unwrap_or(0);
        let ways = self.engine.ways(&self.store)?;
        let last_error = self.store.meta(META_LAST_ERROR)?.and_then(|b| String::from_utf8(b).ok());
        Ok(StatusReport {
            organisation: self.engine.charter().name().to_owned(),
            schema_newer: self.engine.schema_newer().map(|v| (v, self.engine.schema().map(|s| s.version))),
            device: self.device(),
            records: self.store.count_records()?,
            unsent_changes: unsent(&self.engine, &self.store, &units, &ways)?,
            pending: of(Status::Pending) + of(Status::NeedsNewer),
            blocked: of(Status::Blocked) + of(Status::Malformed),
            quarantined: self.store.quarantine()?.len() as u64,
            bundles_waiting: crate::bundle::waiting::list(self)?,
            files_waiting: self.store.files_waiting()?,
            built_on_cut: self.built_on_cut()?,
            delivered: self.delivered(&units, &ways)?,
            verified_at: ways.verified_at,
            news_from_above_at: ways.news_at,
            ways: self.way_rows(&ways),
            top: scope::is_top(self.engine.charter(), &self.device()),
            beacon: self.beacon()?,
            withdrawn: self.withdrawn(),
            ended: self.engine.ended(&self.store)?,
            last_error: last_error.filter(|e| !e.is_empty()),
            projected_to: self.store.projected_to()?,
            stored_to: self.store.last_commit()?,
            twins_found: when(self, meta::TWINS_FOUND)?.map_or(0, |n| n.0),
            units,
        })
    }

    fn way_rows(&self, ways: &Ways) -> Vec<WayRow> {
        let name = |unit: &UnitId| self.engine.charter().unit(unit).map(|u| u.name.clone()).unwrap_or_default();
        let row = |state: &sampan_core::engine::WayState| WayRow {
            unit: state.way.unit(),
            name: name(&state.way.unit()),
            units: state.way.units.iter().copied().collect(),
            verified_at: state.verified_at,
        };
        ways.ways.iter().map(row).collect()
    }

    fn built_on_cut(&self) -> Result<BTreeMap<Fate, u64>, StoreError> {
        let mut out = BTreeMap::new();
        for edit in self.engine.own_blocked(&self.store)? {
            *out.entry(edit.fate).or_default() += 1;
        }
        Ok(out)
    }

    fn withdrawn(&self) -> Vec<(UnitId, String)> {
        let (charter, own) = (self.engine.charter(), self.device());
        let cuts = charter.cuts().filter(|(key, cut)| **key == own && !cut.kind.is_final());
        let gone = cuts.filter(|(_, cut)| charter.roles(&own, &cut.unit).is_none());
        gone.map(|(_, cut)| (cut.unit, cut.reason.clone())).collect::<BTreeMap<_, _>>().into_iter().collect()
    }

    /// The devices below a relay that were over their quota, and when last.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn held_back(&self) -> Result<Vec<(DeviceId, Millis)>, StoreError> {
        let charter = self.engine.charter();
        if Side::of(charter, &self.device()).relay_units.is_empty() {
            return Ok(Vec::new());
        }
        let devices: BTreeSet<DeviceId> = charter.all_rights().map(|(d, _)| *d).collect();
        let mut out = Vec::new();
        for device in devices {
            let at = self.store.meta(&format!("{}{device}", meta::CHILD_HELD_BACK_AT))?;
            out.extend(at.and_then(|b| b.try_into().ok()).map(|b| (device, Millis(u64::from_le_bytes(b)))));
        }
        Ok(out)
    }

    /// The newest word of the highest relay above that was heard of.
    fn beacon(&self) -> Result<Option<BeaconRow>, StoreError> {
        const DAY_MS: u64 = 86_400_000;
        let seen = self.engine.beacons(&self.store)?;
        let depth = |unit: &UnitId| self.engine.charter().unit(unit).map_or(u8::MAX, |u| u.depth);
        let rolled_back = seen.iter().filter(|s| s.rolled_back).map(|s| s.unit).collect();
        let Some(top) = seen.iter().min_by_key(|s| (depth(&s.unit), std::cmp::Reverse(s.counter))) else {
            return Ok(None);
        };
        let today = self.label()?.0 / DAY_MS;
        Ok(Some(BeaconRow {
            unit: top.unit,
            number: top.number,
            at: Millis(u64::from(top.day) * DAY_MS),
            age_days: today.saturating_sub(u64::from(top.day)),
            rolled_back,
        }))
    }

    /// One row an ancestor with a relay: whether it holds everything of these units and, where this device
    /// holds what lies below, of those. A unit without records has nothing to wait for.
    fn delivered(&self, units: &[UnitId], ways: &Ways) -> Result<Vec<DeliveredRow>, StoreError> {
        let charter = self.engine.charter();
        let side = Side::of(charter, &self.device());
        let mut all: BTreeSet<UnitId> = units.iter().copied().collect();
        let held = self.engine.holdings().spaces().filter(|(s, _)| s.flow == Flow::Up).map(|(s, _)| s.unit);
        all.extend(held.filter(|u| side.covers(charter, u)));
        let pending: BTreeSet<SpaceId> = self.store.pending_sums()?.iter().map(|p| p.space).collect();
        let above: BTreeSet<UnitId> = units.iter().flat_map(|u| charter.chain(u)).map(|u| u.id).collect();
        let mut out: Vec<DeliveredRow> = Vec::new();
        for unit in &all {
            for d in self.engine.delivered(&self.store, unit)?.into_iter().filter(|d| above.contains(&d.unit)) {
                // A level that none of the unit's records reach has nothing to wait for either.
                let reaches = |s: &SpaceId| s.flow == Flow::Up && s.reach <= d.level;
                let empty = !pending.iter().any(|s| s.unit == *unit && reaches(s))
                    && !self.engine.holdings().spaces_of(unit).any(|(s, _)| reaches(s));
                let complete = d.complete || (empty && ways.verified(&self.engine, unit).is_some());
                let at = (d.at > Millis(0)).then_some(d.at);
                match out.iter_mut().find(|r| r.unit == d.unit) {
                    Some(row) => {
                        row.complete &= complete;
                        row.at = [row.at, at].into_iter().flatten().min();
                    }
                    None => {
                        let name = charter.unit(&d.unit).map(|u| u.name.clone()).unwrap_or_default();
                        out.push(DeliveredRow { unit: d.unit, name, level: d.level, at, complete });
                    }
                }
            }
        }
        out.sort_by_key(|r| std::cmp::Reverse(r.level));
        Ok(out)
    }

    /// Local changes, sealed or not, that the nearest relay has not acknowledged. 0 at the root. What
    /// never leaves this replica by design (`local`, the `down` below a relay of its own, a reach that no relay above
    /// shares) is not counted.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn unsent_changes(&self) -> Result<u64, StoreError> {
        unsent(&self.engine, &self.store, &self.units(), &self.engine.ways(&self.store)?)
    }
}

/// What of a space the nearest relay is known to hold.
enum Covered {
    /// All, or it is none of its business.
    All,
    /// Commits up to this one.
    Through(CommitKey),
}

/// What [`Replica::unsent_changes`] says, of a replica whose engine and store stand apart.
///
/// # Errors
/// [`StoreError`].
pub(crate) fn unsent(engine: &Engine, store: &dyn Store, units: &[UnitId], ways: &Ways) -> Result<u64, StoreError> {
    let charter = engine.charter();
    let own = engine.device();
    if scope::is_top(charter, &own) {
        return Ok(0);
    }
    let side = Side::of(charter, &own);
    let above: BTreeSet<UnitId> = units.iter().flat_map(|u| charter.chain(u)).map(|u| u.id).collect();
    // Per space that this device wrote in: what its nearest relay covers.
    let mut covered: BTreeMap<SpaceId, Covered> = BTreeMap::new();
    let pending = store.pending_sums()?;
    let written = engine.holdings().spaces().filter(|(_, tips)| !tips.of_device(own).is_empty());
    for space in written.map(|(s, _)| *s).chain(pending.iter().map(|p| p.space)) {
        if covered.contains_key(&space) {
            continue;
        }
        // A relay below this device says nothing to it; the nearest above does.
        let nearest = engine.delivered(store, &space.unit)?.into_iter().find(|d| above.contains(&d.unit));
        let relays_it = charter.chain(&space.unit).any(|u| scope::serves(charter, &side, &own, &u.id));
        let how = match (space.flow, nearest) {
            // The unit's own relay holds what reaches only levels below it; no statement counts that.
            (Flow::Up, Some(d)) if d.level < space.reach && d.unit == space.unit => {
                Covered::Through(ways.through(engine, &space.unit))
            }
            (Flow::Up, Some(d)) if d.level < space.reach => Covered::All,
            (Flow::Up, Some(d)) if d.complete => Covered::All,
            (Flow::Up, Some(d)) => Covered::Through(d.through),
            (Flow::Up, None) => Covered::Through(CommitKey(0)),
            // Statements count what goes up; of what goes down only the last comparison tells.
            (Flow::Down, _) if relays_it => Covered::All,
            (Flow::Down, _) => Covered::Through(ways.through(engine, &space.unit)),
            (Flow::Charter | Flow::Local | Flow::Group | Flow::Inbox, _) => Covered::All,
        };
        covered.insert(space, how);
    }
    let leaves = |space: &SpaceId| match space.flow {
        Flow::Up | Flow::Down => true,
        Flow::Charter | Flow::Local | Flow::Group | Flow::Inbox => false,
    };
    let mut unsent: u64 = pending.iter().filter(|p| leaves(&p.space)).map(|p| p.changes).sum();
    let through = covered.values().filter_map(|c| if let Covered::Through(t) = c { Some(*t) } else { None });
    let Some(mut at) = through.min() else { return Ok(unsent) };
    loop {
        let rows = store.stored_after(at, 4_096)?;
        let Some((_, last)) = rows.last() else { return Ok(unsent) };
        at = last.key;
        for (log, row) in rows.iter().filter(|(log, _)| log.device == own) {
            let missing = match covered.get(&log.space) {
                Some(Covered::Through(t)) => row.key > *t,
                Some(Covered::All) | None => false,
            };
            unsent += if missing { u64::from(row.changes) } else { 0 };
        }
    }
}
