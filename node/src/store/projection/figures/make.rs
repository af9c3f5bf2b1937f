//! Making figures anew from the rows, and sums from the units' own figures.
//!
//! It does not: decide when.
//!
//! Invariants: what is made here is what the rows would have come to one by one.

use super::columns::{Counted, dims_of, dims_text, gives, scalar_column, scalar_of, total};
use super::{Cells, META_MARK, ROWS_A_STEP};
use crate::store::error::Fault;
use crate::store::projection::{projected, select};
use crate::store::rows::int;
use crate::store::{SqliteStore, rows};
use sampan_core::id::{Flow, UnitId};
use sampan_core::rollup::{Cell, Key};
use sampan_core::time::Millis;
use std::collections::BTreeMap;

impl SqliteStore {
    /// Makes every figure anew from the rows.
    pub(super) fn make_figures(&self) -> Result<(), Fault> {
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
    pub(super) fn cells_of(&self) -> Result<Cells, Fault> {
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
                        let Some((unit, key, given)) = gives(m, Some(row as &dyn Counted)) else { continue };
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
    pub(super) fn heard_in(&self) -> Result<BTreeMap<(UnitId, u8), Millis>, Fault> {
        let sql = "SELECT s.key, max(c.time) FROM commits c JOIN logs l ON l.id = c.log JOIN spaces s ON s.id = l.space
            WHERE c.key <= ?1 GROUP BY s.id";
        let through = int(self.projected_to().map_err(Fault)?.0);
        let all = self.all(sql, [through], |r| Ok((rows::space(r, 0)?, Millis(rows::number(r, 1)?))))?;
        let up = all.into_iter().filter(|(space, _)| space.flow == Flow::Up);
        Ok(up.map(|(space, at)| ((space.unit, space.reach), at)).collect())
    }

    pub(super) fn write_mark(&self) -> Result<(), Fault> {
        self.put_meta(META_MARK, Some(&self.figures.whole_mark()))
    }

    /// Makes the sums anew from the units' own figures.
    pub(super) fn make_sums(&self) -> Result<(), Fault> {
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
}
