//! The tables, as numbered migrations.
//!
//! It does not: hold the projections, which follow the organisation's schema (`projection`).
//!
//! Invariants: a migration that was ever released is never edited; numbers only grow. No row per
//! change and no index on a change's hash: `hist` leads from a record to (commit, place), and the
//! payload lies in the commit's pack. Large columns come last, so that reading the others skips them.

use super::sums;
use rusqlite::Transaction;
use rusqlite_migration::{M, Migrations};

/// Marks the file as ours: "SAMP".
pub(super) const APPLICATION_ID: i32 = 0x5341_4d50;

/// Newest version known.
pub(super) const VERSION: u32 = 4;

// What only this place knows has a sum beside it (`sums`).
const SUMS: &str = "
ALTER TABLE commits ADD COLUMN sum INTEGER NOT NULL DEFAULT 0;
ALTER TABLE pending ADD COLUMN sum INTEGER NOT NULL DEFAULT 0;
ALTER TABLE registers ADD COLUMN sum INTEGER NOT NULL DEFAULT 0;
ALTER TABLE acks ADD COLUMN sum INTEGER NOT NULL DEFAULT 0;
ALTER TABLE quarantine ADD COLUMN sum INTEGER NOT NULL DEFAULT 0;
";

pub(super) fn migrations() -> Migrations<'static> {
    Migrations::new(vec![
        M::up(LOG_AND_RECORDS),
        // In the same transaction: a power cut leaves the old version, never rows whose sums are not theirs.
        M::up_with_hook(SUMS, |tx: &Transaction<'_>| {
            sums::register(tx)?;
            Ok(sums::fill(tx)?)
        }),
        M::up(FILES),
        M::up_with_hook(AUTHORS, |tx: &Transaction<'_>| Ok(super::projection::from_hex(tx)?)),
    ])
}

// Who last edited a row of a projection: 32 bytes once, and not in every row.
const AUTHORS: &str = "CREATE TABLE _authors (key INTEGER PRIMARY KEY, device BLOB NOT NULL UNIQUE);";

// `files.unnamed` is NULL while a record's current value names the file, 0 until somebody with a clock has seen that
// none does, then that time. A chunk's id is the file's, times 2^32, and its index. `file_names` keeps what a record
// named before, so that an erasure reaches it. `wanted`: 1 by a person here, 2 by a neighbour.
const FILES: &str = "
CREATE TABLE files (
  id INTEGER PRIMARY KEY, address BLOB NOT NULL, size INTEGER NOT NULL, held INTEGER NOT NULL DEFAULT 0,
  whole INTEGER NOT NULL DEFAULT 0, wanted INTEGER NOT NULL DEFAULT 0, unnamed INTEGER, hashes BLOB,
  UNIQUE (address, size));
CREATE INDEX files_lacking ON files (size) WHERE whole = 0;
CREATE INDEX files_unnamed ON files (unnamed) WHERE unnamed IS NOT NULL;
CREATE TABLE file_chunks (id INTEGER PRIMARY KEY, bytes BLOB NOT NULL);
CREATE TABLE file_names (
  record INTEGER NOT NULL, file INTEGER NOT NULL, current INTEGER NOT NULL, PRIMARY KEY (record, file)) WITHOUT ROWID;
CREATE INDEX file_names_of_file ON file_names (file);
CREATE TABLE file_told (
  file INTEGER NOT NULL, peer BLOB NOT NULL, later INTEGER NOT NULL, PRIMARY KEY (file, peer)) WITHOUT ROWID;
CREATE INDEX file_told_later ON file_told (peer) WHERE later = 1;
";

// `projections` names what each collection's index covers and counts its rows that are not removed.
// `hist.at` is the key of a commit, or minus the key of a pending edit. `counts` adds up `hist` by
// the space of the commit or edit. `statements` keeps a relay's signed word once for all the units
// that it acknowledges. `tips.sequence` tells whether a log is still straight without a look-up.
const LOG_AND_RECORDS: &str = "
CREATE TABLE info (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE spaces (id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE);
CREATE TABLE logs (
  id INTEGER PRIMARY KEY, space INTEGER NOT NULL, device BLOB NOT NULL,
  incarnation BLOB NOT NULL, forked INTEGER NOT NULL,
  UNIQUE (space, device, incarnation));
CREATE TABLE tips (
  log INTEGER NOT NULL, id BLOB NOT NULL, sequence INTEGER NOT NULL,
  PRIMARY KEY (log, id)) WITHOUT ROWID;
CREATE TABLE packs (
  id INTEGER PRIMARY KEY, space INTEGER NOT NULL, commits INTEGER NOT NULL,
  hash BLOB NOT NULL, bytes BLOB NOT NULL);
CREATE TABLE commits (
  key INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, log INTEGER NOT NULL,
  sequence INTEGER NOT NULL, pack INTEGER NOT NULL, place INTEGER NOT NULL,
  entries INTEGER NOT NULL, changes INTEGER NOT NULL, bytes INTEGER NOT NULL,
  first_seen INTEGER NOT NULL, time INTEGER NOT NULL, header BLOB NOT NULL, signature BLOB NOT NULL);
CREATE INDEX commits_of_log ON commits (log, sequence);
CREATE TABLE collections (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE records (
  key INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, collection INTEGER NOT NULL,
  space INTEGER NOT NULL, max_op INTEGER NOT NULL, entries INTEGER NOT NULL,
  irregular INTEGER NOT NULL, damaged INTEGER NOT NULL, heads BLOB NOT NULL,
  sequences BLOB NOT NULL);
CREATE TABLE hist (
  record INTEGER NOT NULL, at INTEGER NOT NULL, place INTEGER NOT NULL,
  kind INTEGER NOT NULL, status INTEGER NOT NULL,
  PRIMARY KEY (record, at, place)) WITHOUT ROWID;
CREATE TABLE counts (
  space INTEGER NOT NULL, status INTEGER NOT NULL, entries INTEGER NOT NULL,
  PRIMARY KEY (space, status)) WITHOUT ROWID;
CREATE TABLE pending (
  key INTEGER PRIMARY KEY AUTOINCREMENT, space INTEGER NOT NULL, nonce BLOB NOT NULL,
  kind INTEGER NOT NULL, record BLOB NOT NULL, collection TEXT NOT NULL, hash BLOB NOT NULL,
  time INTEGER NOT NULL, birth BLOB, first_seen INTEGER NOT NULL, payload BLOB NOT NULL);
CREATE TABLE quarantine (
  position INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, peer BLOB NOT NULL,
  reason TEXT NOT NULL, at INTEGER NOT NULL, header BLOB NOT NULL, signature BLOB NOT NULL,
  pack BLOB NOT NULL);
CREATE INDEX quarantine_of_peer ON quarantine (peer);
CREATE TABLE registers (
  position INTEGER PRIMARY KEY, unit BLOB NOT NULL, name TEXT NOT NULL, device BLOB NOT NULL,
  counter INTEGER NOT NULL, bytes BLOB NOT NULL, signature BLOB NOT NULL,
  UNIQUE (unit, name, device));
CREATE TABLE statements (
  id INTEGER PRIMARY KEY, signature BLOB NOT NULL, bytes BLOB NOT NULL);
CREATE INDEX statements_by_signature ON statements (signature);
CREATE TABLE acks (
  leaf BLOB NOT NULL, relay_unit BLOB NOT NULL, digest BLOB NOT NULL, relay BLOB NOT NULL,
  level INTEGER NOT NULL, epoch BLOB NOT NULL, counter INTEGER NOT NULL, at INTEGER NOT NULL,
  statement INTEGER NOT NULL, proof BLOB NOT NULL, through INTEGER NOT NULL, complete INTEGER NOT NULL,
  PRIMARY KEY (leaf, relay_unit)) WITHOUT ROWID;
CREATE INDEX acks_of_statement ON acks (statement);
CREATE TABLE dirty (record INTEGER PRIMARY KEY);
CREATE TABLE projections (
  collection TEXT PRIMARY KEY, shown INTEGER NOT NULL, search TEXT NOT NULL) WITHOUT ROWID;
";

#[cfg(test)]
mod tests {
    #[test]
    fn the_migrations_are_valid_sql() {
        assert_eq!(super::migrations().validate(), Ok(()));
        let mut conn = rusqlite::Connection::open_in_memory().unwrap();
        super::migrations().to_latest(&mut conn).unwrap();
        let version: u32 = conn.pragma_query_value(None, "user_version", |r| r.get(0)).unwrap();
        assert_eq!(version, super::VERSION);
    }
}
