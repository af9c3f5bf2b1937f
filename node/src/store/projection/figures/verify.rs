//! Whether what is kept is what rows, commits and registers come to.
//!
//! It does not: mend it.
//!
//! Invariants: nothing is changed.

use super::columns::{dims_text, scalar_of};
use crate::store::{Damage, SqliteStore, VerifyReport, rows};
use sampan_core::store::StoreError;
use std::collections::BTreeSet;

impl SqliteStore {
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
}
