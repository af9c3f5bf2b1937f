//! A sum beside what only this place knows, so that a bit that flips in it is found.
//!
//! It does not: protect against a person who can write the file: whoever can compute the sum can set it.
//!
//! Invariants: the sum of a row is written with the row, by the same statement, and computed again by `verify`;
//! both ask the one SQL function of this file, `row_sum(table, value, …)`.

use rusqlite::Connection;
use rusqlite::functions::FunctionFlags;
use rusqlite::types::ValueRef;
use sampan_core::hash::Tagged;

/// Each table with sums: what a sum covers, and what the row is called when it is wrong.
pub(super) const TABLES: [(&str, &str, &str); 5] = [
    ("commits", "id, first_seen", "lower(hex(id))"),
    ("pending", "record, hash, first_seen", "lower(hex(record))"),
    ("registers", "signature, position", "name"),
    ("acks", "leaf, relay_unit, through, complete", "lower(hex(leaf))"),
    ("quarantine", "id, peer, reason, at", "lower(hex(id))"),
];

/// Gives a connection the function.
pub(super) fn register(conn: &Connection) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    conn.create_scalar_function("row_sum", -1, flags, |ctx| {
        let mut hasher = Tagged::new("row");
        for i in 0..ctx.len() {
            let mut put = |kind: u8, bytes: &[u8]| {
                hasher.update(&[kind]);
                hasher.update(&(bytes.len() as u64).to_le_bytes());
                hasher.update(bytes);
            };
            match ctx.get_raw(i) {
                ValueRef::Null => put(0, &[]),
                ValueRef::Integer(n) => put(1, &n.to_le_bytes()),
                ValueRef::Real(x) => put(2, &x.to_bits().to_le_bytes()),
                ValueRef::Text(text) => put(3, text),
                ValueRef::Blob(bytes) => put(4, bytes),
            }
        }
        Ok(i64::from_le_bytes(first(&hasher.finish())))
    })
}

fn first(hash: &[u8; 32]) -> [u8; 8] {
    let mut out = [0; 8];
    out.copy_from_slice(&hash[..8]);
    out
}

/// A number with its sum, as `info` keeps it.
pub(super) fn with_sum(n: u64) -> [u8; 16] {
    let mut out = [0; 16];
    out[..8].copy_from_slice(&n.to_le_bytes());
    out[8..].copy_from_slice(&first(&sampan_core::hash::tagged("row", &[&n.to_le_bytes()])));
    out
}

/// The inverse of [`with_sum`], and what was kept before there were sums; `None` where the sum does not fit.
pub(super) fn number(bytes: &[u8]) -> Option<u64> {
    let n = u64::from_le_bytes(*bytes.first_chunk()?);
    (bytes.len() == 8 || bytes == with_sum(n)).then_some(n)
}

/// Sums for rows that were written before there were any.
pub(super) fn fill(conn: &Connection) -> rusqlite::Result<()> {
    for (table, covered, _) in TABLES {
        conn.execute(&format!("UPDATE {table} SET sum = row_sum('{table}', {covered})"), [])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_bit_of_a_value_changes_its_sum() {
        let conn = Connection::open_in_memory().unwrap();
        register(&conn).unwrap();
        let sum = |sql: &str| conn.query_row(&format!("SELECT row_sum({sql})"), [], |r| r.get::<_, i64>(0)).unwrap();
        let all = ["'t', 1", "'t', 2", "'t', '1'", "'t', x'31'", "'t', NULL", "'t', 1, 1", "'u', 1", "'t1', ''"];
        let sums: std::collections::BTreeSet<i64> = all.iter().map(|s| sum(s)).collect();
        assert_eq!(sums.len(), all.len());
        for bit in 0..128 {
            let mut bytes = with_sum(77);
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(number(&bytes), None, "bit {bit}");
        }
        assert_eq!((number(&with_sum(77)), number(&77_u64.to_le_bytes())), (Some(77), Some(77)));
    }
}
