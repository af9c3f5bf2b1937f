//! Reading what is kept: figures, corrections, when units were heard of, and registers by name.
//!
//! It does not: change a figure.
//!
//! Invariants: what a transaction has changed and not written yet is written before figures are read.

use super::columns::{dims_of, scalar_of, total};
use crate::store::error::{Fault, damaged};
use crate::store::rows::int;
use crate::store::{SqliteStore, rows};
use rusqlite::Row;
use sampan_core::id::{Flow, IdError, SpaceId, UnitId};
use sampan_core::register::SignedRegister;
use sampan_core::rollup::{Corrected, Figure, Key, Measure};
use sampan_core::schema::{Collection, MetricOp};
use sampan_core::store::StoreError;
use sampan_core::time::Millis;
use std::collections::BTreeMap;
use std::str::FromStr;

/// An id that a line of a correction keeps in hex.
fn hex<T: FromStr<Err = IdError>>(r: &Row<'_>, i: usize) -> Result<T, Fault> {
    r.get_ref(i)?.as_str().map_err(damaged)?.parse().map_err(damaged)
}

impl SqliteStore {
    fn measure(&self, metric: &str) -> Option<(&Measure, &Collection)> {
        let m = self.figures.by_collection.values().flatten().find(|m| m.id == metric)?;
        Some((m, self.figures.collections.get(&m.of)?))
    }

    pub(super) fn figure_text(&self, unit: &UnitId, metric: &str, key: &Key) -> Result<String, Fault> {
        let Some((m, c)) = self.measure(metric) else { return Ok(String::new()) };
        let held = self.read_figures(unit, true, metric, &m.op)?;
        let scale = m.op.field().and_then(|f| c.field(f)).map_or(0, |f| f.scale);
        // Where no record counts a count is 0, and so a line of correction says.
        Ok(held.get(key).cloned().unwrap_or_default().text(&m.op, scale))
    }

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
                author: hex(r, 5)?,
                unit: hex(r, 6)?,
                record: hex(r, 7)?,
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
}
