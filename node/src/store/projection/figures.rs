//! Figures kept in step with the rows: for every unit what its own records come to, and for every unit what they
//! and those of all units below come to.
//!
//! It does not: say what a row gives (`sampan_core::rollup` does), read registers, or know who may see a figure.
//!
//! Invariants: they change in the transaction that changes the row, by the difference between its old and its new
//! self: one update a level, whatever the number of records, and for many rows of one transaction one at its end; they stand under the mark of one schema, and a writer
//! that knows another leaves them to be made anew; a figure of no records has no row. Values of `min`, `max` and
//! `distinct` are kept with their numbers, so that taking one away is exact too.

use super::super::error::{Fault, damaged};
use super::super::rows::{self, int};
use super::super::{Damage, SqliteStore, VerifyReport};
use super::{ProjectedRow, from_column, is_number, projected, select, to_column};
use rusqlite::types::{ToSqlOutput, Value as Sql, ValueRef};
use sampan_core::hash::tagged16;
use sampan_core::id::{DeviceId, Flow, RecordId, SpaceId, UnitId};
use sampan_core::register::SignedRegister;
use sampan_core::rollup::{Cell, Corrected, Figure, Given, Key, Measure, OVER, Scalar, measures};
use sampan_core::schema::{Collection, Field, MetricOp, Schema};
use sampan_core::store::{RecordKey, StoreError};
use sampan_core::time::Millis;
use sampan_core::value::Value;
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
struct Touch {
    author: DeviceId,
    record: RecordId,
    unit: UnitId,
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

    /// Puts what changed between two rows of a record into the figures: in the transaction of the row.
    pub(super) fn count_row(
        &self,
        collection: &Collection,
        old: Option<&ProjectedRow>,
        new: Option<&ProjectedRow>,
    ) -> Result<(), Fault> {
        let Some(measures) = self.figures.by_collection.get(&collection.id) else { return Ok(()) };
        let mut changes = self.figures.changes.borrow_mut();
        if changes.periods.is_none() {
            changes.periods = Some(self.closed_periods()?);
        }
        let touch = new.or(old).map(|r| Touch { author: r.author, record: r.id, unit: r.unit });
        for m in measures {
            let (was, is) = (gives(m, old), gives(m, new));
            if was == is {
                continue;
            }
            let mut cells = Cells::new();
            for (given, sign) in [(was, -1_i8), (is, 1)] {
                let Some((unit, key, given)) = given else { continue };
                let mut put = |unit: UnitId, below: bool| {
                    let cell = cells.entry((unit, below, m.id.clone(), key.clone())).or_default();
                    if sign < 0 { cell.remove(&given) } else { cell.add(&given) }
                };
                put(unit, false);
                self.figures.chain(&unit).into_iter().for_each(|u| put(u, true));
            }
            for (place, cell) in cells.into_iter().filter(|(_, c)| !c.is_empty()) {
                let closed = changes.periods.as_ref().filter(|p| place.1 && !p.is_empty());
                let period = || (place.0, place.2.trim_end_matches(OVER).to_owned(), place.3.period.clone());
                match touch.filter(|_| closed.is_some_and(|p| p.contains(&period()))) {
                    Some(touch) => changes.closed.push((place, cell, touch)),
                    None => changes.open.entry(place).or_default().merge(&cell),
                }
            }
        }
        Ok(())
    }

    /// Writes what the rows of the transaction changed: before it is committed, or before figures are read in it.
    pub(in super::super) fn settle_figures(&self) -> Result<(), StoreError> {
        if self.figures.mark.is_empty() {
            return Ok(());
        }
        let Changes { open, closed, spoiled, .. } = self.figures.changes.take();
        if open.is_empty() && closed.is_empty() && !spoiled {
            return Ok(());
        }
        if spoiled || self.figures_mark()? != Some(self.figures.whole_mark()) {
            // Another process knows another schema or tree: whoever follows it makes the figures anew.
            return Ok(self.put_meta(META_MARK, None)?);
        }
        for (place, cell) in open.iter().filter(|(_, cell)| !cell.is_empty()) {
            self.change_figure(place, cell, None)?;
        }
        for (place, cell, touch) in &closed {
            self.change_figure(place, cell, Some(*touch))?;
        }
        Ok(())
    }

    /// A transaction, or an inner part of it, was undone.
    pub(in super::super) fn forget_figures(&self, whole: bool) {
        let mut changes = self.figures.changes.borrow_mut();
        let any = !changes.open.is_empty() || !changes.closed.is_empty();
        *changes = Changes { spoiled: !whole && (any || changes.spoiled), ..Changes::default() };
    }

    /// Whether rows of a collection count in any figure.
    pub(super) fn counts_rows_of(&self, collection: &str) -> bool {
        self.figures.by_collection.contains_key(collection)
    }

    /// What a row as it is about to be stored gives is what it will give when it is read back.
    ///
    /// # Errors
    /// [`StoreError`] where a value cannot be kept at all.
    pub fn as_stored(collection: &Collection, row: &ProjectedRow) -> Result<ProjectedRow, StoreError> {
        let mut out = ProjectedRow { values: BTreeMap::new(), ..row.clone() };
        for f in &collection.fields {
            if let Some(value) = row.values.get(&f.id)
                && let Some(stored) = stored(f, value)?
            {
                out.values.insert(f.id.clone(), stored);
            }
        }
        Ok(out)
    }

    fn change_figure(
        &self,
        (unit, below, metric, key): &(UnitId, bool, String, Key),
        change: &Cell,
        by: Option<Touch>,
    ) -> Result<(), Fault> {
        self.figures.updates.set(self.figures.updates.get() + 1);
        let dims = dims_text(&key.by);
        let before = if by.is_some() { Some(self.figure_text(unit, metric, key)?) } else { None };
        let place = (unit.0, below, metric, &key.period, &dims);
        let sql = "SELECT n, total FROM _figures
            WHERE unit = ?1 AND below = ?2 AND metric = ?3 AND period = ?4 AND dims = ?5";
        let held = self.one(sql, place, |r| Ok((r.get::<_, i64>(0)?, total(r.get_ref(1)?)?)))?;
        let (n, sum) = held.unwrap_or_default();
        let (n, sum) = (n.saturating_add(change.n), sum.saturating_add(change.total));
        if n == 0 && sum == 0 {
            let sql = "DELETE FROM _figures
                WHERE unit = ?1 AND below = ?2 AND metric = ?3 AND period = ?4 AND dims = ?5";
            self.conn.prepare_cached(sql)?.execute(place)?;
        } else {
            let sql = "INSERT OR REPLACE INTO _figures VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
            let row = (unit.0, below, metric, &key.period, &dims, n, sum.to_string());
            self.conn.prepare_cached(sql)?.execute(row)?;
        }
        for (value, n) in &change.values {
            let value = scalar_column(value);
            let sql = "INSERT INTO _figure_values VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
                ON CONFLICT DO UPDATE SET n = n + excluded.n";
            let row = (unit.0, below, metric, &key.period, &dims, &value, n);
            self.conn.prepare_cached(sql)?.execute(row)?;
            let sql = "DELETE FROM _figure_values WHERE unit = ?1 AND below = ?2 AND metric = ?3
                AND period = ?4 AND dims = ?5 AND value = ?6 AND n = 0";
            self.conn.prepare_cached(sql)?.execute((unit.0, below, metric, &key.period, &dims, &value))?;
        }
        if let (Some(old), Some(touch)) = (before, by) {
            let new = self.figure_text(unit, metric, key)?;
            if old != new {
                let sql = "INSERT INTO _corrected (unit, metric, period, dims, old, new, at, author, of, record, sum)
                    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10,
                        row_sum('_corrected', ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10))";
                self.conn.prepare_cached(sql)?.execute((
                    unit.0,
                    metric,
                    &key.period,
                    &dims,
                    old,
                    new,
                    int(self.figures.now.get().0),
                    touch.author.to_string(),
                    touch.unit.to_string(),
                    touch.record.to_string(),
                ))?;
            }
        }
        Ok(())
    }

    fn measure(&self, metric: &str) -> Option<(&Measure, &Collection)> {
        let m = self.figures.by_collection.values().flatten().find(|m| m.id == metric)?;
        Some((m, self.figures.collections.get(&m.of)?))
    }

    fn figure_text(&self, unit: &UnitId, metric: &str, key: &Key) -> Result<String, Fault> {
        let Some((m, c)) = self.measure(metric) else { return Ok(String::new()) };
        let held = self.read_figures(unit, true, metric, &m.op)?;
        let scale = m.op.field().and_then(|f| c.field(f)).map_or(0, |f| f.scale);
        Ok(held.get(key).map(|f| f.text(&m.op, scale)).unwrap_or_default())
    }

    fn closed_periods(&self) -> Result<BTreeSet<(UnitId, String, String)>, Fault> {
        let all = self.all("SELECT unit, metric, period FROM _closed", [], |r| {
            Ok((rows::id(r, 0, "a unit", UnitId::from_slice)?, r.get(1)?, r.get(2)?))
        })?;
        Ok(all.into_iter().collect())
    }

    /// From now on what changes in this period of a unit and all below leaves a line.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn watch_closed(&mut self, unit: &UnitId, metric: &str, period: &str) -> Result<(), StoreError> {
        self.group(|s| s.execute("INSERT OR IGNORE INTO _closed VALUES (?1, ?2, ?3)", (unit.0, metric, period)))
    }

    /// The time that lines of corrections are written under.
    pub fn set_figure_time(&self, now: Millis) {
        self.figures.now.set(now);
    }

    /// The lines of corrections of a metric at a unit, oldest first; of the metric itself, or of what it is divided by.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn corrections(&self, unit: &UnitId, metric: &str) -> Result<Vec<Corrected>, StoreError> {
        let sql = "SELECT period, dims, old, new, at, author, of, record FROM _corrected
            WHERE unit = ?1 AND metric = ?2 ORDER BY id";
        Ok(self.all(sql, (unit.0, metric), |r| {
            Ok(Corrected {
                period: r.get(0)?,
                by: dims_of(&r.get::<_, String>(1)?)?,
                old: r.get(2)?,
                new: r.get(3)?,
                at: Millis(rows::number(r, 4)?),
                author: super::hex(r, 5)?,
                unit: super::hex(r, 6)?,
                record: super::hex(r, 7)?,
            })
        })?)
    }

    /// The figures of a metric at a unit: of its own records, or `below` with those of all units below.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn figures(
        &self,
        unit: &UnitId,
        below: bool,
        metric: &str,
        op: &MetricOp,
    ) -> Result<BTreeMap<Key, Figure>, StoreError> {
        self.settle_figures()?;
        Ok(self.read_figures(unit, below, metric, op)?)
    }

    fn read_figures(
        &self,
        unit: &UnitId,
        below: bool,
        metric: &str,
        op: &MetricOp,
    ) -> Result<BTreeMap<Key, Figure>, Fault> {
        let sql = "SELECT period, dims, n, total FROM _figures WHERE unit = ?1 AND below = ?2 AND metric = ?3";
        let held = self.all(sql, (unit.0, below, metric), |r| {
            let dims: String = r.get(1)?;
            Ok((r.get::<_, String>(0)?, dims, rows::number(r, 2)?, total(r.get_ref(3)?)?))
        })?;
        let mut out = BTreeMap::new();
        for (period, dims, n, sum) in held {
            let mut figure = Figure { n, total: sum, best: None };
            let which = "WHERE unit = ?1 AND below = ?2 AND metric = ?3 AND period = ?4 AND dims = ?5";
            let place = (unit.0, below, metric, &period, &dims);
            match op {
                MetricOp::Count => figure.total = 0,
                MetricOp::Sum(_) => {}
                MetricOp::Distinct(_) => {
                    let sql = format!("SELECT count(*) FROM _figure_values {which}");
                    figure.total = self.one(&sql, place, |r| rows::number(r, 0))?.unwrap_or(0).into();
                }
                MetricOp::Min(_) | MetricOp::Max(_) => {
                    let order = if matches!(op, MetricOp::Min(_)) { "ASC" } else { "DESC" };
                    let sql = format!("SELECT value FROM _figure_values {which} ORDER BY value {order} LIMIT 1");
                    figure.best = self.one(&sql, place, |r| scalar_of(r.get_ref(0)?))?;
                }
            }
            out.insert(Key { period, by: dims_of(&dims)? }, figure);
        }
        Ok(out)
    }

    /// How many different values there are in each period, whatever the dimensions: they do not add up.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn distinct(&self, unit: &UnitId, below: bool, metric: &str) -> Result<BTreeMap<String, u64>, StoreError> {
        let sql = "SELECT period, count(DISTINCT value) FROM _figure_values
            WHERE unit = ?1 AND below = ?2 AND metric = ?3 GROUP BY period";
        let rows = self.all(sql, (unit.0, below, metric), |r| Ok((r.get::<_, String>(0)?, rows::number(r, 1)?)))?;
        Ok(rows.into_iter().collect())
    }

    /// Every figure that is kept: what a check compares.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn every_figure(&self, metric: &str, below: bool) -> Result<BTreeMap<(UnitId, Key), String>, StoreError> {
        let Some((m, c)) = self.measure(metric) else { return Ok(BTreeMap::new()) };
        let scale = m.op.field().and_then(|f| c.field(f)).map_or(0, |f| f.scale);
        self.settle_figures()?;
        let sql = "SELECT DISTINCT unit FROM _figures WHERE metric = ?1 AND below = ?2";
        let units = self.all(sql, (metric, below), |r| rows::id(r, 0, "a unit", UnitId::from_slice))?;
        let mut out = BTreeMap::new();
        for unit in units {
            for (key, figure) in self.read_figures(&unit, below, metric, &m.op)? {
                out.insert((unit, key), figure.text(&m.op, scale));
            }
        }
        Ok(out)
    }

    /// When each unit's space of this reach was last heard of: the newest commit's label there.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn heard(&self, reach: u8) -> Result<BTreeMap<UnitId, Millis>, StoreError> {
        let rows = self.all("SELECT unit, at FROM _heard WHERE reach = ?1", [reach], |r| {
            Ok((rows::id(r, 0, "a unit", UnitId::from_slice)?, Millis(rows::number(r, 1)?)))
        })?;
        Ok(rows.into_iter().collect())
    }

    /// Notes that a commit of this time lies in a space: in the transaction that projects it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn hear(&mut self, space: &SpaceId, at: Millis) -> Result<(), StoreError> {
        if space.flow != Flow::Up || self.figures.mark.is_empty() {
            return Ok(());
        }
        let sql = "INSERT INTO _heard VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET at = max(at, excluded.at)";
        self.execute(sql, (space.unit.0, space.reach, int(at.0)))
    }

    /// The registers whose names begin so, of all units and devices.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn registers_named(&self, prefix: &str) -> Result<Vec<SignedRegister>, StoreError> {
        let sql = "SELECT bytes, signature FROM registers WHERE substr(name, 1, length(?1)) = ?1 ORDER BY position";
        Ok(self.all(sql, [prefix], |r| Ok(SignedRegister { bytes: r.get(0)?, signature: r.get(1)? }))?)
    }

    /// The greatest position that a register ever had.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn registers_through(&self) -> Result<u64, StoreError> {
        Ok(self.last_register()?.cast_unsigned())
    }

    /// Commits held of a space.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn commits_in(&self, space: &SpaceId) -> Result<u64, StoreError> {
        let sql = "SELECT count(*) FROM commits c JOIN logs l ON l.id = c.log JOIN spaces s ON s.id = l.space
            WHERE s.key = ?1";
        Ok(self.one(sql, [space.key()], |r| rows::number(r, 0))?.unwrap_or(0))
    }

    /// Makes every figure anew from the rows.
    fn make_figures(&self) -> Result<(), Fault> {
        // The rows tell of what was not written yet, too.
        self.figures.changes.take();
        self.conn.execute_batch("DELETE FROM _figures; DELETE FROM _figure_values; DELETE FROM _heard;")?;
        self.put_cells(&self.cells_of()?)?;
        for ((unit, reach), at) in self.heard_in()? {
            let sql = "INSERT INTO _heard VALUES (?1, ?2, ?3)";
            self.conn.prepare_cached(sql)?.execute((unit.0, reach, int(at.0)))?;
        }
        self.write_mark()
    }

    /// What all rows come to.
    fn cells_of(&self) -> Result<Cells, Fault> {
        let mut cells = Cells::new();
        for (id, measures) in &self.figures.by_collection {
            let Some(collection) = self.figures.collections.get(id) else { continue };
            let sql = format!("{} WHERE _record > ?1 ORDER BY _record LIMIT {ROWS_A_STEP}", select(collection));
            let mut after = 0_i64;
            loop {
                let rows = self.all(&sql, [after], |r| Ok((r.get::<_, i64>(0)?, projected(collection, r)?)))?;
                let Some((last, _)) = rows.last() else { break };
                after = *last;
                for (_, row) in &rows {
                    for m in measures {
                        let Some((unit, key, given)) = gives(m, Some(row)) else { continue };
                        cells.entry((unit, false, m.id.clone(), key)).or_default().add(&given);
                    }
                }
            }
        }
        let own: Vec<_> = cells.iter().map(|(place, cell)| (place.clone(), cell.clone())).collect();
        for ((unit, _, metric, key), cell) in own {
            for above in self.figures.chain(&unit) {
                cells.entry((above, true, metric.clone(), key.clone())).or_default().merge(&cell);
            }
        }
        Ok(cells)
    }

    /// The newest commit of each space that travels up, of those that are projected.
    fn heard_in(&self) -> Result<BTreeMap<(UnitId, u8), Millis>, Fault> {
        let sql = "SELECT s.key, max(c.time) FROM commits c JOIN logs l ON l.id = c.log JOIN spaces s ON s.id = l.space
            WHERE c.key <= ?1 GROUP BY s.id";
        let through = int(self.projected_to().map_err(Fault)?.0);
        let all = self.all(sql, [through], |r| Ok((rows::space(r, 0)?, Millis(rows::number(r, 1)?))))?;
        let up = all.into_iter().filter(|(space, _)| space.flow == Flow::Up);
        Ok(up.map(|(space, at)| ((space.unit, space.reach), at)).collect())
    }

    /// Checks that what is kept is what the rows, the commits and the registers come to.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub fn check_kept_figures(&self, report: &mut VerifyReport) -> Result<(), StoreError> {
        if self.figures.by_collection.is_empty() {
            return Ok(());
        }
        let mut add = |table: &'static str, what: &str| {
            report.damaged.push(Damage { table, record: None, what: what.to_owned() });
        };
        let (mut figures, mut values) = (BTreeSet::new(), BTreeSet::new());
        for ((unit, below, metric, key), cell) in self.cells_of()?.iter().filter(|(_, c)| !c.is_empty()) {
            let place = format!("{unit} {} {metric} {} {}", u8::from(*below), key.period, dims_text(&key.by));
            figures.insert(format!("{place} {} {}", cell.n, cell.total));
            values.extend(cell.values.iter().map(|(v, n)| format!("{place} {v:?} {n}")));
        }
        let place = "lower(hex(unit)) || ' ' || below || ' ' || metric || ' ' || period || ' ' || dims";
        let sql = format!("SELECT {place} || ' ' || n || ' ' || total FROM _figures");
        let kept: Vec<String> = self.all(&sql, [], |r| Ok(r.get(0)?))?;
        if kept.into_iter().collect::<BTreeSet<_>>() != figures {
            add("_figures", "figures are not what the rows come to");
        }
        let sql = format!("SELECT {place}, value, n FROM _figure_values");
        let kept = self.all(&sql, [], |r| {
            let value = scalar_of(r.get_ref(1)?).map_or_else(|_| "?".to_owned(), |v| format!("{v:?}"));
            Ok(format!("{} {value} {}", r.get::<_, String>(0)?, r.get::<_, i64>(2)?))
        })?;
        if kept.into_iter().collect::<BTreeSet<_>>() != values {
            add("_figure_values", "values in figures are not those of the rows");
        }
        let sql = "SELECT lower(hex(unit)) || ' ' || reach || ' ' || at FROM _heard";
        let kept: Vec<String> = self.all(sql, [], |r| Ok(r.get(0)?))?;
        let heard = self.heard_in()?.into_iter().map(|((u, reach), at)| format!("{u} {reach} {}", at.0));
        if kept.into_iter().collect::<BTreeSet<_>>() != heard.collect() {
            add("_heard", "when units were last heard of is not what their commits say");
        }
        let sql = "SELECT count(*) FROM _closed c WHERE NOT EXISTS
            (SELECT 1 FROM registers r WHERE r.unit = c.unit AND r.name = 'closed/' || c.metric || '/' || c.period)";
        if self.one(sql, [], |r| rows::number(r, 0))? != Some(0) {
            add("_closed", "a period counts as closed that nobody closed");
        }
        let sql =
            "SELECT count(*) FROM _corrected WHERE sum IS NOT row_sum('_corrected', unit, metric, period, dims, old,
            new, at, author, of, record)";
        if self.one(sql, [], |r| rows::number(r, 0))? != Some(0) {
            add("_corrected", "a line of a correction changed by itself");
        }
        Ok(())
    }

    fn write_mark(&self) -> Result<(), Fault> {
        self.put_meta(META_MARK, Some(&self.figures.whole_mark()))
    }

    /// Makes the sums anew from the units' own figures.
    fn make_sums(&self) -> Result<(), Fault> {
        self.conn.execute_batch("DELETE FROM _figures WHERE below = 1; DELETE FROM _figure_values WHERE below = 1;")?;
        let mut cells = Cells::new();
        let sql = "SELECT unit, metric, period, dims, n, total FROM _figures WHERE below = 0";
        let own = self.all(sql, [], |r| {
            let key = Key { period: r.get(2)?, by: dims_of(&r.get::<_, String>(3)?)? };
            let cell = Cell { n: r.get(4)?, total: total(r.get_ref(5)?)?, values: BTreeMap::new() };
            Ok((rows::id(r, 0, "a unit", UnitId::from_slice)?, r.get::<_, String>(1)?, key, cell))
        })?;
        let sql = "SELECT unit, metric, period, dims, value, n FROM _figure_values WHERE below = 0";
        let values = self.all(sql, [], |r| {
            let key = Key { period: r.get(2)?, by: dims_of(&r.get::<_, String>(3)?)? };
            let cell = Cell { values: [(scalar_of(r.get_ref(4)?)?, r.get(5)?)].into(), ..Cell::default() };
            Ok((rows::id(r, 0, "a unit", UnitId::from_slice)?, r.get::<_, String>(1)?, key, cell))
        })?;
        for (unit, metric, key, cell) in own.into_iter().chain(values) {
            for above in self.figures.chain(&unit) {
                cells.entry((above, true, metric.clone(), key.clone())).or_default().merge(&cell);
            }
        }
        self.put_cells(&cells)
    }

    fn put_cells(&self, cells: &Cells) -> Result<(), Fault> {
        for ((unit, below, metric, key), cell) in cells.iter().filter(|(_, c)| !c.is_empty()) {
            let dims = dims_text(&key.by);
            let sql = "INSERT INTO _figures VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
            let row = (unit.0, below, metric, &key.period, &dims, cell.n, cell.total.to_string());
            self.conn.prepare_cached(sql)?.execute(row)?;
            for (value, n) in &cell.values {
                let sql = "INSERT INTO _figure_values VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
                let row = (unit.0, below, metric, &key.period, &dims, scalar_column(value), n);
                self.conn.prepare_cached(sql)?.execute(row)?;
            }
        }
        Ok(())
    }

    /// Takes a record that is erased out of the figures, and its name out of the lines of corrections.
    pub(super) fn uncount(&self, collection: &str, record: RecordKey) -> Result<(), Fault> {
        let Some(collection) = self.figures.collections.get(collection) else {
            if self.figures_mark()?.is_some() && self.figures.mark.is_empty() {
                // Nobody here knows the metrics: whoever does makes the figures anew.
                self.put_meta(META_MARK, None)?;
            }
            return Ok(());
        };
        let sql = format!("{} WHERE _record = ?1", select(collection));
        let Some(row) = self.one(&sql, [int(record.0)], |r| projected(collection, r))? else { return Ok(()) };
        self.count_row(collection, Some(&row), None)?;
        let mut changes = self.figures.changes.borrow_mut();
        for (_, _, touch) in changes.closed.iter_mut().filter(|(_, _, t)| t.record == row.id) {
            (touch.record, touch.author) = (RecordId::default(), DeviceId::default());
        }
        drop(changes);
        let sql = "UPDATE _corrected SET record = ?2, author = ?3, sum = row_sum('_corrected', unit, metric, period,
            dims, old, new, at, ?3, of, ?2) WHERE record = ?1";
        let nobody = (RecordId::default().to_string(), DeviceId::default().to_string());
        self.conn.prepare_cached(sql)?.execute((row.id.to_string(), nobody.0, nobody.1))?;
        Ok(())
    }
}

fn mark(schema: &Schema) -> Vec<u8> {
    format!("{FORM}/{}/{}", schema.name, schema.version).into_bytes()
}

/// What a row gives to a metric, and at which unit.
fn gives(m: &Measure, row: Option<&ProjectedRow>) -> Option<(UnitId, Key, Given)> {
    let row = row.filter(|r| !r.removed)?;
    let (key, given) = m.of_row(&|name| super::query::value_of(row, name))?;
    Some((row.unit, key, given))
}

/// A value as it will be read back.
fn stored(field: &Field, value: &Value) -> Result<Option<Value>, Fault> {
    let column = to_column(field, value);
    let held = match &column {
        ToSqlOutput::Borrowed(v) => *v,
        ToSqlOutput::Owned(v) => ValueRef::from(v),
        _ => return Ok(None),
    };
    if is_number(field.kind)
        && let ValueRef::Text(text) = held
        && let Some(number) = number_of(text)
    {
        return from_column(field, ValueRef::from(&number));
    }
    from_column(field, held)
}

/// What SQLite makes of a text that it puts into a column of numbers: a number, where it is written like one.
fn number_of(text: &[u8]) -> Option<Sql> {
    let text = std::str::from_utf8(text).ok()?.trim_ascii();
    if !text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.' | b'e' | b'E')) {
        return None;
    }
    if let Ok(n) = text.parse::<i64>() {
        return Some(Sql::Integer(n));
    }
    let real = text.parse::<f64>().ok().filter(|x| x.is_finite())?;
    // Beyond 2^51 SQLite keeps a real, also where it is whole.
    let whole = real.fract() == 0.0 && real.abs() < 2_251_799_813_685_248.0;
    Some(if whole { Sql::Integer(real as i64) } else { Sql::Real(real) })
}

fn dims_text(by: &[String]) -> String {
    serde_json::Value::from(by.to_vec()).to_string()
}

fn dims_of(text: &str) -> Result<Vec<String>, Fault> {
    serde_json::from_str(text).map_err(damaged)
}

fn total(column: ValueRef<'_>) -> Result<i128, Fault> {
    column.as_str().map_err(damaged)?.parse().map_err(damaged)
}

fn scalar_column(value: &Scalar) -> Sql {
    match value {
        Scalar::Num(n) => Sql::Integer(*n),
        Scalar::Text(t) => Sql::Text(t.clone()),
    }
}

fn scalar_of(column: ValueRef<'_>) -> Result<Scalar, Fault> {
    match column {
        ValueRef::Integer(n) => Ok(Scalar::Num(n)),
        ValueRef::Text(_) => Ok(Scalar::Text(column.as_str().map_err(damaged)?.to_owned())),
        ValueRef::Null | ValueRef::Real(_) | ValueRef::Blob(_) => Err(damaged("a figure's value is no value")),
    }
}
