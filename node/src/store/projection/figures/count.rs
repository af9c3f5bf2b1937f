//! What a row changes of the figures, in the transaction of the row.
//!
//! It does not: read figures.
//!
//! Invariants: what is written is the difference between the old row and the new one, once a transaction; a change
//! in a closed period leaves a line.

use super::columns::{Counted, dims_text, gives, scalar_column, total};
use super::{Cells, Changes, META_MARK, Touch};
use crate::store::error::Fault;
use crate::store::projection::{projected, select};
use crate::store::rows::int;
use crate::store::{SqliteStore, rows};
use sampan_core::id::{DeviceId, RecordId, UnitId};
use sampan_core::rollup::{Cell, Key, OVER};
use sampan_core::schema::Collection;
use sampan_core::store::{RecordKey, StoreError};
use std::collections::BTreeSet;

impl SqliteStore {
    /// Puts what changed between two rows of a record into the figures: in the transaction of the row.
    pub(in crate::store::projection) fn count_row(
        &self,
        collection: &Collection,
        old: Option<&dyn Counted>,
        new: Option<&dyn Counted>,
    ) -> Result<(), Fault> {
        let Some(measures) = self.figures.by_collection.get(&collection.id) else { return Ok(()) };
        let mut changes = self.figures.changes.borrow_mut();
        if changes.periods.is_none() {
            changes.periods = Some(self.closed_periods()?);
        }
        let touch = new.or(old).map(|r| r.touch());
        let simple = changes.periods.as_ref().is_some_and(BTreeSet::is_empty);
        for m in measures {
            let (was, is) = (gives(m, old), gives(m, new));
            if was == is {
                continue;
            }
            if simple {
                for (given, sign) in [(was, -1_i8), (is, 1)] {
                    let Some((unit, key, given)) = given else { continue };
                    let cell = changes.own.entry((unit, false, m.id.clone(), key)).or_default();
                    if sign < 0 { cell.remove(&given) } else { cell.add(&given) }
                }
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
    pub(in crate::store) fn settle_figures(&self) -> Result<(), StoreError> {
        if self.figures.mark.is_empty() {
            return Ok(());
        }
        let Changes { own, mut open, closed, spoiled, .. } = self.figures.changes.take();
        if own.is_empty() && open.is_empty() && closed.is_empty() && !spoiled {
            return Ok(());
        }
        if spoiled || self.figures_mark()? != Some(self.figures.whole_mark()) {
            // Another process knows another schema or tree: whoever follows it makes the figures anew.
            return Ok(self.put_meta(META_MARK, None)?);
        }
        for (place, cell) in own {
            for unit in self.figures.chain(&place.0) {
                open.entry((unit, true, place.2.clone(), place.3.clone())).or_default().merge(&cell);
            }
            open.entry(place).or_default().merge(&cell);
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
    pub(in crate::store) fn forget_figures(&self, whole: bool) {
        let mut changes = self.figures.changes.borrow_mut();
        let any = !changes.own.is_empty() || !changes.open.is_empty() || !changes.closed.is_empty();
        *changes = Changes { spoiled: !whole && (any || changes.spoiled), ..Changes::default() };
    }

    /// Whether rows of a collection count in any figure.
    pub(in crate::store::projection) fn counts_rows_of(&self, collection: &str) -> bool {
        self.figures.by_collection.contains_key(collection)
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

    fn closed_periods(&self) -> Result<BTreeSet<(UnitId, String, String)>, Fault> {
        let all = self.all("SELECT unit, metric, period FROM _closed", [], |r| {
            Ok((rows::id(r, 0, "a unit", UnitId::from_slice)?, r.get(1)?, r.get(2)?))
        })?;
        Ok(all.into_iter().collect())
    }

    /// Takes a record that is erased out of the figures, and its name out of the lines of corrections.
    pub(in crate::store::projection) fn uncount(&self, collection: &str, record: RecordKey) -> Result<(), Fault> {
        let Some(collection) = self.figures.collections.get(collection) else {
            if self.figures_mark()?.is_some() && self.figures.mark.is_empty() {
                // Nobody here knows the metrics: whoever does makes the figures anew.
                self.put_meta(META_MARK, None)?;
            }
            return Ok(());
        };
        let sql = format!("{} WHERE _record = ?1", select(collection));
        let Some(row) = self.one(&sql, [int(record.0)], |r| projected(collection, r))? else { return Ok(()) };
        self.count_row(collection, Some(&row as &dyn Counted), None)?;
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
