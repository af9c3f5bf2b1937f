//! Making an encrypted database out of one that is not.
//!
//! It does not: put it in the place of the other (`replace_by` does), or decide on a key.
//!
//! Invariants: the plain database is only read; nothing that is made here lies plain anywhere.

use super::error::Fault;
use super::{SqliteStore, io, rows, schema};
use crate::keys::Secret;
use sampan_core::store::StoreError;
use std::fs::File;
use std::io::{Seek as _, Write as _};
use std::path::Path;

/// Bytes written at a time where a file is wiped.
const WIPED_A_STEP: usize = 1 << 20;

impl SqliteStore {
    /// Writes everything to a new file at `to`, encrypted under `key`, durably. From here on this store is seized.
    ///
    /// # Errors
    /// [`StoreError::Busy`] when another process has it open; [`StoreError`].
    pub fn encrypt_into(&mut self, to: &Path, key: &Secret) -> Result<(), StoreError> {
        self.seize()?;
        // The lock stays; only the transaction ends: no file can be attached to one and let go of in it.
        self.run("COMMIT")?;
        let made = self.export(to, key).map_err(StoreError::from);
        self.run("BEGIN EXCLUSIVE")?;
        made
    }

    fn export(&self, to: &Path, key: &Secret) -> Result<(), Fault> {
        let digits = zeroize::Zeroizing::new(format!("x'{}'", data_encoding::HEXLOWER.encode(key.bytes())));
        // This connection makes no files: an empty one is a database to it.
        File::options().write(true).create_new(true).open(to).map_err(|e| io(to, &e))?;
        // As values, not in the text: what is said of a statement that fails can hold its text.
        let to = to.to_str().ok_or_else(|| StoreError::Io(format!("{} is no text", to.display())))?;
        self.conn.execute("ATTACH DATABASE ?1 AS encrypted KEY ?2", (to, digits.as_str()))?;
        self.conn.execute_batch("PRAGMA encrypted.synchronous = FULL; BEGIN")?;
        let copied = (|| {
            self.conn.query_row("SELECT sqlcipher_export('encrypted')", [], |_| Ok(()))?;
            let (id, version) = (schema::APPLICATION_ID, schema::VERSION);
            let heads = format!("PRAGMA encrypted.application_id = {id}; PRAGMA encrypted.user_version = {version}");
            self.conn.execute_batch(&heads)?;
            self.conn.execute_batch("COMMIT")
        })();
        if copied.is_err() {
            // Fails only where SQLite has undone it already, which is what is wanted.
            let _ = self.conn.execute_batch("ROLLBACK");
        }
        self.conn.execute_batch("DETACH encrypted")?;
        Ok(copied?)
    }

    /// How many rows each table has, by name.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn sizes(&self) -> Result<Vec<(String, u64)>, StoreError> {
        let sql =
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY 1";
        let names: Vec<String> = self.all(sql, [], |r| Ok(r.get(0)?))?;
        let count = |name: String| -> Result<(String, u64), Fault> {
            let sql = format!("SELECT count(*) FROM \"{}\"", name.replace('"', "\"\""));
            let n = self.one(&sql, [], |r| rows::number(r, 0))?.unwrap_or(0);
            Ok((name, n))
        };
        Ok(names.into_iter().map(count).collect::<Result<_, _>>()?)
    }
}

/// Overwrites a file that no name leads to any more. On a plain disk that is the end of what it held; on flash
/// the controller may keep a copy.
pub(crate) fn wipe(mut file: File) -> std::io::Result<()> {
    let zeros = vec![0; WIPED_A_STEP];
    let mut left = file.metadata()?.len();
    file.rewind()?;
    while left > 0 {
        let step = left.min(WIPED_A_STEP as u64);
        file.write_all(&zeros[..step as usize])?;
        left -= step;
    }
    file.sync_all()
}
