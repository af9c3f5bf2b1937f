//! The city's floor: bare SQLite with the same rows in one table of columns, and the same folded search over it.
//!
//! It does not: keep history, signatures or conflicts, or know a schema.

use sampan_core::fold::fold;
use sampan_core::testing::members::members;
use std::path::Path;
use std::time::{Duration, Instant};

/// Rows of one transaction.
const ROWS: usize = 10_000;

/// Writes the members of so many branches, as `hub` makes them.
///
/// # Errors
/// SQLite's.
pub fn table(path: &Path, n: usize, branches: usize) -> rusqlite::Result<()> {
    let conn = rusqlite::Connection::open(path)?;
    conn.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    conn.pragma_update(None, "synchronous", "FULL")?;
    let names: Vec<String> = members(1, 1).into_iter().flatten().map(|(name, _)| name).collect();
    let columns = names.iter().map(|n| format!("\"{n}\"")).collect::<Vec<_>>().join(", ");
    conn.execute_batch(&format!(
        "CREATE TABLE members (key INTEGER PRIMARY KEY, {columns});
         CREATE VIRTUAL TABLE search USING fts5 (words, content='', columnsize=0, detail=none,
         tokenize='ascii')"
    ))?;
    let holes = vec!["?"; names.len()].join(", ");
    let insert = format!("INSERT INTO members ({columns}) VALUES ({holes})");
    let mut open = 0;
    conn.execute_batch("BEGIN IMMEDIATE")?;
    for at in 0..branches {
        let own = n / branches + usize::from(at < n % branches);
        for row in members(at as u64 * 1_000, own) {
            let values = row.values().map(|v| match sampan_core::schema::to_json(None, v) {
                serde_json::Value::String(s) => s,
                other => other.to_string(),
            });
            conn.prepare_cached(&insert)?.execute(rusqlite::params_from_iter(values))?;
            let text = |name: &str| row.get(name).map_or_else(String::new, text_of);
            conn.prepare_cached("INSERT INTO search (rowid, words) VALUES (last_insert_rowid(), ?)")?
                .execute([format!("{} {}", fold(&text("full_name")), text("card_number"))])?;
            open += 1;
        }
        if open >= ROWS {
            open = 0;
            conn.execute_batch("COMMIT; BEGIN IMMEDIATE")?;
        }
    }
    conn.execute_batch("COMMIT; PRAGMA wal_checkpoint(TRUNCATE)")
}

fn text_of(value: &sampan_core::value::Value) -> String {
    match sampan_core::schema::to_json(None, value) {
        serde_json::Value::String(s) => s,
        other => other.to_string(),
    }
}

/// Opening it, and the middle of some searches of a folded name and of a card.
///
/// # Errors
/// SQLite's.
pub fn search(path: &Path, name: &str, card: &str, times: usize) -> rusqlite::Result<[Duration; 3]> {
    let began = Instant::now();
    let conn = rusqlite::Connection::open(path)?;
    conn.query_row("SELECT key FROM members LIMIT 1", [], |r| r.get::<_, i64>(0))?;
    let open = began.elapsed();
    let mut out = [open, Duration::ZERO, Duration::ZERO];
    for (at, text) in [name, card].into_iter().enumerate() {
        let words: Vec<String> = text.split_whitespace().map(|w| format!("\"{w}\"*")).collect();
        let mut all = Vec::new();
        for _ in 0..times {
            let began = Instant::now();
            let mut find = conn.prepare_cached(
                "SELECT * FROM members WHERE key IN (SELECT rowid FROM search WHERE search MATCH ?) ORDER BY full_name",
            )?;
            let columns = find.column_count();
            let mut rows = find.query([words.join(" ")])?;
            while let Some(row) = rows.next()? {
                for column in 0..columns {
                    row.get::<_, rusqlite::types::Value>(column)?;
                }
            }
            all.push(began.elapsed());
        }
        out[at + 1] = crate::table::median(all);
    }
    Ok(out)
}
