//! The second proof: plain SQL on the stores of every level, as any tool could do it, and comparing
//! what comes out.
//!
//! It does not: use anything of Sampan.

use anyhow::{Context as _, Result, bail};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};
use std::path::Path;

/// What one store holds of a collection: of one unit, or of all.
///
/// # Errors
/// When the store cannot be read.
pub fn export(folder: &Path, collection: &str, unit: Option<&str>) -> Result<Vec<String>> {
    let file = folder.join("store.db");
    let db = Connection::open_with_flags(&file, OpenFlags::SQLITE_OPEN_READ_ONLY)
        .with_context(|| format!("{} cannot be opened", file.display()))?;
    let mut columns = db.prepare("SELECT name FROM pragma_table_info(?1) WHERE name <> '_record' ORDER BY name")?;
    let names: Vec<String> = columns.query_map([collection], |r| r.get(0))?.collect::<Result<_, _>>()?;
    let list = names.iter().map(|n| format!("\"{n}\"")).collect::<Vec<_>>().join(", ");
    let sql = format!("SELECT {list} FROM \"{collection}\" WHERE ?1 IS NULL OR _unit = ?1 ORDER BY _id");
    let mut rows = db.prepare(&sql)?;
    let mut rows = rows.query([unit])?;
    let mut out = Vec::new();
    while let Some(row) = rows.next()? {
        let mut line = Vec::new();
        for (i, name) in names.iter().enumerate() {
            line.push(match row.get_ref(i)? {
                ValueRef::Null => continue,
                ValueRef::Integer(n) => format!("{name}={n}"),
                ValueRef::Real(x) => format!("{name}={x}"),
                ValueRef::Text(t) => format!("{name}={}", String::from_utf8_lossy(t)),
                ValueRef::Blob(b) => format!("{name}={b:?}"),
            });
        }
        out.push(line.join(" | "));
    }
    Ok(out)
}

/// Compares two exports; how many rows are the same.
///
/// # Errors
/// The first row that differs.
pub fn same(what: &str, left: (&Path, &[String]), right: (&Path, &[String])) -> Result<u64> {
    if let Some((l, r)) = left.1.iter().zip(right.1).find(|(l, r)| l != r) {
        bail!("{what} differ: {} has '{l}', {} has '{r}'", left.0.display(), right.0.display());
    }
    if left.1.len() != right.1.len() {
        let (l, r) = (left.1.len(), right.1.len());
        bail!("{what} differ: {} has {l} rows, {} has {r}", left.0.display(), right.0.display());
    }
    Ok(left.1.len() as u64)
}

/// Plants a wrong row, so that a test can see the proof fail.
///
/// # Errors
/// When the store cannot be written.
pub fn plant_wrong_row(folder: &Path, unit: &str) -> Result<()> {
    let db = Connection::open(folder.join("store.db"))?;
    db.busy_timeout(std::time::Duration::from_secs(30))?;
    let sql = "UPDATE _rows_members SET position = 'không đúng' WHERE _record =
               (SELECT min(_record) FROM members WHERE _unit = ?1)";
    anyhow::ensure!(db.execute(sql, [unit])? == 1, "no row was planted");
    Ok(())
}
