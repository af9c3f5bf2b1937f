//! Figures kept in step with the rows: for every unit what its own records come to, and for every unit what they
//! and those of all units below come to.
//!
//! It does not: say what a row gives (`sampan_core::rollup` does), read registers, or know who may see a figure.
//!
//! Invariants: they change in the transaction that changes the row, by the difference between its old and its new
//! self: one update a level, whatever the number of records, and for many rows of one transaction one at its end;
//! they stand under the mark of one schema, and a writer
//! that knows another leaves them to be made anew; a figure of no records has no row. Values of `min`, `max` and
//! `distinct` are kept with their numbers, so that taking one away is exact too.

mod columns;
mod count;
mod make;
mod read;
mod verify;

use crate::store::SqliteStore;
use crate::store::error::Fault;
use columns::mark;
pub(super) use columns::{Counted, stored};
use sampan_core::hash::tagged16;
use sampan_core::id::{DeviceId, RecordId, UnitId};
use sampan_core::rollup::{Cell, Key, Measure, measures};
use sampan_core::schema::{Collection, Schema};
use sampan_core::store::StoreError;
use sampan_core::time::Millis;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

/// The schema that the figures stand under; without it they are made anew.
const META_MARK: &str = "figures_of";
/// The form of these tables: another one makes them anew.
const FORM: u8 = 1;
/// Rows read at a time when figures are made anew.
const ROWS_A_STEP: i64 = 1_000;

// `below`: 0 = of the unit's own records, 1 = with those of all units below. `dims`: a JSON list. `total`: as text,
// because it may be wider than SQLite's integers. `_heard`: the newest commit's time in a space that travels up.
const TABLES: &str = "
CREATE TABLE IF NOT EXISTS _figures (
  unit BLOB NOT NULL, below INTEGER NOT NULL, metric TEXT NOT NULL, period TEXT NOT NULL, dims TEXT NOT NULL,
  n INTEGER NOT NULL, total TEXT NOT NULL, PRIMARY KEY (unit, below, metric, period, dims)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS _figure_values (
  unit BLOB NOT NULL, below INTEGER NOT NULL, metric TEXT NOT NULL, period TEXT NOT NULL, dims TEXT NOT NULL,
  value NOT NULL, n INTEGER NOT NULL, PRIMARY KEY (unit, below, metric, period, dims, value)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS _heard (
  unit BLOB NOT NULL, reach INTEGER NOT NULL, at INTEGER NOT NULL, PRIMARY KEY (unit, reach)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS _closed (
  unit BLOB NOT NULL, metric TEXT NOT NULL, period TEXT NOT NULL, PRIMARY KEY (unit, metric, period)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS _corrected (
  id INTEGER PRIMARY KEY, unit BLOB NOT NULL, metric TEXT NOT NULL, period TEXT NOT NULL, dims TEXT NOT NULL,
  old TEXT NOT NULL, new TEXT NOT NULL, at INTEGER NOT NULL, author TEXT NOT NULL, of TEXT NOT NULL,
  record TEXT NOT NULL, sum INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS _corrected_of ON _corrected (unit, metric, period);
";

/// What a store knows to keep figures: the metrics, and the tree.
#[derive(Debug, Default)]
pub struct FigurePlan {
    mark: Vec<u8>,
    by_collection: BTreeMap<String, Vec<Measure>>,
    collections: BTreeMap<String, Collection>,
    parents: BTreeMap<UnitId, Option<UnitId>>,
    /// What tells that tree from another.
    tree: [u8; 16],
    /// Rows of figures written since the store was opened: what an edit costs.
    updates: std::cell::Cell<u64>,
    /// What the rows of the transaction under way changed so far.
    changes: RefCell<Changes>,
    /// The time that lines of corrections are written under.
    now: std::cell::Cell<Millis>,
}

impl FigurePlan {
    fn set_parents(&mut self, parents: BTreeMap<UnitId, Option<UnitId>>) {
        let mut tree = Vec::with_capacity(parents.len() * 32);
        for (unit, parent) in &parents {
            tree.extend_from_slice(&unit.0);
            tree.extend_from_slice(&parent.unwrap_or_default().0);
        }
        self.tree = tagged16("figure-tree", &[&tree]);
        self.parents = parents;
    }

    /// The mark of the schema and of the tree by which sums are made.
    fn whole_mark(&self) -> Vec<u8> {
        [self.mark.as_slice(), b"/", &self.tree].concat()
    }

    /// The unit and all above it, nearest first.
    fn chain(&self, unit: &UnitId) -> Vec<UnitId> {
        let mut out = vec![*unit];
        while let Some(Some(parent)) = out.last().and_then(|u| self.parents.get(u)) {
            if out.contains(parent) {
                break;
            }
            out.push(*parent);
        }
        out
    }
}

/// What a transaction has changed of figures, and not written yet.
#[derive(Debug, Default)]
struct Changes {
    /// Of the units' own records alone, while no period is closed: sums follow when they are written.
    own: Cells,
    open: Cells,
    /// Of closed periods one by one, in order: each leaves a line.
    closed: Vec<(Place, Cell, Touch)>,
    /// The periods that are closed, once they were asked for.
    periods: Option<BTreeSet<(UnitId, String, String)>>,
    /// A part of the transaction was undone: what is here may be too much.
    spoiled: bool,
}

/// Who changed a row, for the line that a closed period gets.
#[derive(Debug, Clone, Copy)]
pub(super) struct Touch {
    pub(super) author: DeviceId,
    pub(super) record: RecordId,
    pub(super) unit: UnitId,
}

/// A unit, whether with those below, a metric and a key.
type Place = (UnitId, bool, String, Key);

/// Figures by unit, whether with those below, metric and key.
type Cells = BTreeMap<Place, Cell>;

impl SqliteStore {
    /// Whether the figures are kept for this schema already, here and in the file.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn keeps_figures_of(&self, schema: &Schema) -> Result<bool, StoreError> {
        Ok(self.figures.mark == mark(schema) && self.figures_mark()? == Some(self.figures.whole_mark()))
    }

    /// Keeps figures for the metrics of this schema from now on, and makes them anew where they stand under
    /// another; true if it did.
    ///
    /// # Errors
    /// [`StoreError`]; so for every method below.
    pub fn keep_figures(&mut self, schema: &Schema) -> Result<bool, StoreError> {
        let mut by_collection: BTreeMap<String, Vec<Measure>> = BTreeMap::new();
        for m in measures(schema) {
            by_collection.entry(m.of.clone()).or_default().push(m);
        }
        let collections = by_collection.keys().filter_map(|id| Some((id.clone(), schema.collection(id)?.clone())));
        self.figures.collections = collections.collect();
        self.figures.by_collection = by_collection;
        self.figures.mark = mark(schema);
        Ok(self.group(|s| {
            s.conn.execute_batch(TABLES)?;
            let mark = [s.figures.mark.as_slice(), b"/"].concat();
            if s.figures_mark()?.is_some_and(|held| held.starts_with(&mark) && held.len() == mark.len() + 16) {
                return Ok::<_, Fault>(false);
            }
            s.make_figures()?;
            Ok(true)
        })?)
    }

    /// Follows the tree of units; true if sums were made anew.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn keep_figure_tree(&mut self, parents: BTreeMap<UnitId, Option<UnitId>>) -> Result<bool, StoreError> {
        Ok(self.group(|s| {
            let known = s.figures_mark()? == Some(s.figures.whole_mark());
            let before = std::mem::take(&mut s.figures.parents);
            s.figures.set_parents(parents);
            if s.figures_mark()?.is_none() || s.figures_mark()? == Some(s.figures.whole_mark()) {
                return Ok::<_, Fault>(false);
            }
            // Of a tree that only grew by units without figures every sum stands.
            let mut moved = !known || before.iter().any(|(u, p)| s.figures.parents.get(u) != Some(p));
            for unit in s.figures.parents.keys().filter(|u| !before.contains_key(u)) {
                let sql = "SELECT 1 FROM _figures WHERE unit = ?1 AND below = 0 LIMIT 1";
                moved |= s.one(sql, [unit.0], |_| Ok(()))?.is_some();
            }
            if moved {
                s.make_sums()?;
            }
            s.write_mark()?;
            Ok(moved)
        })?)
    }

    /// Rows of figures written since the store was opened.
    #[must_use]
    pub fn figure_updates(&self) -> u64 {
        self.figures.updates.get()
    }

    fn figures_mark(&self) -> Result<Option<Vec<u8>>, Fault> {
        self.read_meta(META_MARK)
    }
}
