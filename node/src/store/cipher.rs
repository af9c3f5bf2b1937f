//! SQLCipher's words: how a connection is keyed, and how a damaged database is read page by page.
//!
//! It does not: do anything in a build without the feature `encryption` but say so.
//!
//! Invariants: a key is in no error and no log: what SQLCipher would write to stderr is turned off before the
//! first key; a text that holds a key is wiped; while unreadable pages are passed over nothing is written.

use super::SqliteStore;
use super::error::Fault;
use crate::keys::Secret;
use rusqlite::Connection;
use sampan_core::store::StoreError;
use std::path::Path;

/// Keys a new connection, before anything is read through it. Whether the key fits is seen at the first read.
#[cfg(feature = "encryption")]
pub(super) fn unlock(conn: &Connection, path: &Path, key: &Secret) -> Result<(), Fault> {
    use zeroize::Zeroizing;
    static SILENT: std::sync::Once = std::sync::Once::new();
    SILENT.call_once(|| {
        // It holds for the process; where it is not taken, words about pages go to stderr, and never a key.
        let _ = conn.query_row("PRAGMA cipher_log = off", [], |_| Ok(()));
    });
    let mut digits = Zeroizing::new([0; 64]);
    data_encoding::HEXLOWER.encode_mut(key.bytes(), digits.as_mut());
    // The whole capacity at once: a string that grew would leave an unwiped copy behind.
    let mut sql = Zeroizing::new(String::with_capacity(96));
    sql.push_str("PRAGMA key = \"x'");
    // Hex digits are ASCII.
    sql.push_str(std::str::from_utf8(digits.as_ref()).unwrap_or_default());
    sql.push_str("'\"");
    // What SQLite says of a statement can hold the statement.
    let keyed = conn.execute_batch(&sql);
    keyed.map_err(|_| Fault(StoreError::Io(format!("{} cannot be decrypted by this program", path.display()))))
}

/// This program has no cipher.
#[cfg(not(feature = "encryption"))]
pub(super) fn unlock(_conn: &Connection, path: &Path, _key: &Secret) -> Result<(), Fault> {
    Err(StoreError::Encrypted(path.display().to_string()).into())
}

/// The header size that means "go on after a page that cannot be decrypted": a page less what SQLCipher
/// reserves in it, for its pages of 4,096 bytes.
const PASS_OVER: u32 = 4_096 - 80;

/// Until it is dropped, pages that do not decrypt read as empty ones: SQLite then calls only what lies in them
/// malformed. SQLCipher gives up a whole connection otherwise, at the first such page.
pub(super) struct PassOver<'a>(Option<&'a Connection>);

impl Drop for PassOver<'_> {
    fn drop(&mut self) {
        if let Some(conn) = self.0 {
            pass_over(conn, 0);
        }
    }
}

fn pass_over(conn: &Connection, size: u32) {
    // A number of ours: nothing in it can be refused but by a build without a cipher, which never comes here.
    let _ = conn.execute_batch(&format!("PRAGMA cipher_plaintext_header_size = {size}; PRAGMA shrink_memory"));
}

impl SqliteStore {
    /// Passes over unreadable pages for as long as the guard lives; only inside a transaction that reads. The
    /// setting would apply to the first page, which a transaction keeps in memory from its first read on.
    pub(super) fn passing_over(&self) -> Result<PassOver<'_>, Fault> {
        if !self.is_encrypted() {
            return Ok(PassOver(None));
        }
        self.one("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
        pass_over(&self.conn, PASS_OVER);
        Ok(PassOver(Some(&self.conn)))
    }

    /// As [`SqliteStore::passing_over`] for a store that was seized: until [`SqliteStore::write_again`].
    pub(super) fn pass_over_until_written(&self) -> Result<(), Fault> {
        std::mem::forget(self.passing_over()?);
        Ok(())
    }

    /// Before anything is written to a seized store.
    pub(super) fn write_again(&self) {
        if self.is_encrypted() {
            pass_over(&self.conn, 0);
        }
    }
}
