//! The store on SQLite: opening, transactions, checkpoints, and the face that the engine sees.
//!
//! It does not: verify signatures on the way in (`intake` did; [`SqliteStore::verify`] does it over
//! everything held), or read a clock. rusqlite and SQL are named only in this folder.
//!
//! Invariants: write-ahead log with `synchronous = FULL`: what a finished [`Store::write`] or
//! [`SqliteStore::group`] stored survives a power cut. No checkpoint runs inside an edit: the owner
//! calls [`SqliteStore::checkpoint`]. A file of a newer version, or not ours, is left untouched.

mod cipher;
mod copy;
mod encrypt;
mod erase;
mod error;
pub mod feed;
mod files;
mod handed;
mod lazy;
mod merge;
mod packs;
mod place;
pub mod projection;
mod read;
mod rows;
mod salvage;
mod schema;
mod shelf;
mod sums;
mod verify;
mod withdraw;
mod write;

#[cfg(all(test, feature = "encryption"))]
mod encrypted_tests;
#[cfg(test)]
mod merge_tests;
#[cfg(test)]
mod old_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) use projection::tests::as_version_3;
#[cfg(test)]
use tests::tables_for_tests;

pub(crate) use encrypt::wipe;
#[cfg(feature = "testing")]
pub use files::Files;
pub(crate) use handed::ToProject;
pub use merge::{MergeLimits, MergeStep};
pub use place::Place;
pub(crate) use projection::Created;
pub use projection::ProjectedRow;
pub use salvage::Piece;
pub use shelf::FilesWaiting;
pub use verify::{Damage, VerifyReport};

use crate::keys::Secret;
use error::{Fault, damaged};
#[cfg(not(feature = "testing"))]
use files::Files;
use files::SystemFiles;
use handed::Handed;
use packs::PackCache;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use sampan_core::frontier::{ShortId, SpaceTips};
use sampan_core::id::{CommitId, DeviceId, LogId, OrgId, RecordId, SpaceId, StoreEpoch, UnitId};
use sampan_core::log::{Commit, EntryPayload, VerifiedHeader};
use sampan_core::pack::Codec;
use sampan_core::register::SignedRegister;
use sampan_core::shelf::Shelf;
use sampan_core::store::{
    AckRow, Batch, CommitKey, CommitRow, Lineage, PendingEntry, PendingKey, PendingSum, Quarantined, RecordEntry,
    RecordKey, RecordState, Status, Store, StoreError,
};
use sampan_core::time::Millis;
use sampan_core::wire::frame::Group;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How long a writer waits for another process.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// The write-ahead log is cut back to this after a checkpoint, in bytes.
const WAL_BYTES_KEPT: u64 = 16 << 20;
/// Prepared statements kept: more than there are in this folder, projections included.
const STATEMENTS_KEPT: usize = 128;

/// The store on SQLite.
pub struct SqliteStore {
    conn: Connection,
    /// What the file is encrypted under, for its copies.
    key: Option<Secret>,
    codec: Arc<dyn Codec + Send + Sync>,
    own_device: DeviceId,
    org: OrgId,
    /// Transactions and savepoints open.
    depth: Cell<u32>,
    cache: RefCell<PackCache>,
    handed: RefCell<Handed>,
    data_version: Cell<Option<i64>>,
    /// What the figures of the rows are kept by.
    figures: projection::FigurePlan,
    /// What is remembered of files.
    shelves: shelf::Shelves,
}

impl std::fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqliteStore").field("path", &self.conn.path()).finish_non_exhaustive()
    }
}

impl SqliteStore {
    /// Creates a database for an organisation where there is none, and opens it. `epoch`: 16 random
    /// bytes.
    ///
    /// # Errors
    /// [`StoreError::Io`] when a file is there already or the folder cannot be written.
    pub fn create<'a>(
        at: impl Into<Place<'a>>,
        codec: Arc<dyn Codec + Send + Sync>,
        own_device: DeviceId,
        org: OrgId,
        epoch: StoreEpoch,
        cache_mb: u32,
    ) -> Result<Self, StoreError> {
        Self::create_in(&SystemFiles, &at.into(), codec, own_device, org, epoch, cache_mb)
    }

    /// As [`SqliteStore::create`], on files of the tests.
    ///
    /// # Errors
    /// As [`SqliteStore::create`].
    #[cfg(feature = "testing")]
    pub fn create_on<'a>(
        files: &dyn Files,
        at: impl Into<Place<'a>>,
        codec: Arc<dyn Codec + Send + Sync>,
        own_device: DeviceId,
        org: OrgId,
        epoch: StoreEpoch,
        cache_mb: u32,
    ) -> Result<Self, StoreError> {
        Self::create_in(files, &at.into(), codec, own_device, org, epoch, cache_mb)
    }

    /// As [`SqliteStore::open`], on files of the tests.
    ///
    /// # Errors
    /// As [`SqliteStore::open`].
    #[cfg(feature = "testing")]
    pub fn open_on<'a>(
        files: &dyn Files,
        at: impl Into<Place<'a>>,
        codec: Arc<dyn Codec + Send + Sync>,
        own_device: DeviceId,
        org: OrgId,
        cache_mb: u32,
    ) -> Result<Self, StoreError> {
        Ok(Self::open_inner(files, &at.into(), codec, own_device, org, cache_mb)?)
    }

    fn create_in(
        files: &dyn Files,
        at: &Place<'_>,
        codec: Arc<dyn Codec + Send + Sync>,
        own_device: DeviceId,
        org: OrgId,
        epoch: StoreEpoch,
        cache_mb: u32,
    ) -> Result<Self, StoreError> {
        let path = at.path();
        if files.find(path).is_ok() {
            return Err(StoreError::Io(format!(
                "{} is already there; open it or choose another folder",
                path.display()
            )));
        }
        // Made under another name and moved: a crash half-way leaves no half database to trip over.
        let half = half_made(path);
        // SQLite plays a log that lies beside a database into it, whosever it was: of a database that is
        // gone none may stay, and durably before the new one bears its name.
        for old in [path, &half] {
            for ending in ["-wal", "-shm", "-journal"] {
                remove_if_there(files, &beside(old, ending))?;
            }
        }
        remove_if_there(files, &half)?;
        files.sync_folder(path).map_err(|e| io(path, &e))?;
        make(files, &at.beside(&half), &org, &epoch)?;
        files.rename(&half, path).map_err(|e| io(path, &e))?;
        files.sync_folder(path).map_err(|e| io(path, &e))?;
        Ok(Self::open_inner(files, at, codec, own_device, org, cache_mb)?)
    }

    /// Opens the database of this organisation. `own_device` is the author of pending edits;
    /// `cache_mb` bounds SQLite's pages and decoded packs together, in MiB.
    ///
    /// # Errors
    /// [`StoreError::Newer`] for a file of a newer version, [`StoreError::Damaged`] for one that is
    /// no database of ours, [`StoreError::Io`] when it is absent, read-only or of another
    /// organisation; the file is untouched then.
    pub fn open<'a>(
        at: impl Into<Place<'a>>,
        codec: Arc<dyn Codec + Send + Sync>,
        own_device: DeviceId,
        org: OrgId,
        cache_mb: u32,
    ) -> Result<Self, StoreError> {
        Ok(Self::open_inner(&SystemFiles, &at.into(), codec, own_device, org, cache_mb)?)
    }

    fn open_inner(
        files: &dyn Files,
        at: &Place<'_>,
        codec: Arc<dyn Codec + Send + Sync>,
        own_device: DeviceId,
        org: OrgId,
        cache_mb: u32,
    ) -> Result<Self, Fault> {
        let path = at.path();
        if let Err(e) = files.find(path) {
            return Err(io(path, &e).into());
        }
        let at = at.as_it_lies(files)?;
        let mut conn = connect(files, &at, false)?;
        check_ours(&conn, path).map_err(|e| at.locked_out(e))?;
        if conn.is_readonly("main")? {
            let why = format!("{} is read-only; check who owns it", path.display());
            return Err(StoreError::Io(why).into());
        }
        settle(&conn)?;
        schema::migrations()
            .to_latest(&mut conn)
            .map_err(|e| damaged(format!("its tables cannot be brought up to date: {e}")))?;
        let cache_kib = u64::from(cache_mb.max(4)) * 1_024;
        conn.pragma_update(None, "cache_size", -((cache_kib * 3 / 4) as i64))?;
        let held: Vec<u8> = conn.query_row("SELECT value FROM info WHERE name = 'org'", [], |r| r.get(0))?;
        if held != org.0 {
            let why = format!("{} belongs to another organisation", path.display());
            return Err(StoreError::Io(why).into());
        }
        conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
        Ok(Self {
            conn,
            key: at.into_key(),
            codec,
            own_device,
            org,
            depth: Cell::new(0),
            handed: RefCell::default(),
            cache: RefCell::new(PackCache::new((cache_kib * 1_024 / 4) as usize)),
            data_version: Cell::new(None),
            figures: projection::FigurePlan::default(),
            shelves: shelf::Shelves::default(),
        })
    }

    /// Whether the file is encrypted.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.key.is_some()
    }

    /// The organisation.
    #[must_use]
    pub fn org(&self) -> OrgId {
        self.org
    }

    /// Runs `f` in one transaction that takes the writer's lock at once: what it writes lands whole
    /// or not at all, and what it reads is one snapshot. Inside another group it is a savepoint: its
    /// failure undoes only itself.
    ///
    /// # Errors
    /// What `f` says, or [`StoreError`] when the transaction cannot begin or commit.
    pub fn group<R, E: From<StoreError>>(&mut self, f: impl FnOnce(&mut Self) -> Result<R, E>) -> Result<R, E> {
        let outermost = self.depth.get() == 0;
        let lazy = outermost && lazy::begin(&self.conn).map_err(|e| StoreError::from(Fault::from(e)))?;
        if outermost {
            self.run("BEGIN IMMEDIATE")?;
        } else if self.conn.is_autocommit() {
            // SQLite undid the whole transaction on a failure inside it: nothing may follow.
            return Err(StoreError::Io("the transaction was undone after a failure".into()).into());
        } else {
            self.run("SAVEPOINT inner")?;
        }
        self.depth.set(self.depth.get() + 1);
        let result = catch_unwind(AssertUnwindSafe(|| f(self)));
        self.depth.set(self.depth.get() - 1);
        let (end, undo) =
            if outermost { ("COMMIT", "ROLLBACK") } else { ("RELEASE inner", "ROLLBACK TO inner; RELEASE inner") };
        let ended = match &result {
            Ok(Ok(_)) if outermost => self.settle_figures().and_then(|()| self.run(end)),
            Ok(Ok(_)) => self.run(end),
            Ok(Err(_)) | Err(_) => Ok(()),
        };
        if ended.is_err() || !matches!(result, Ok(Ok(_))) {
            self.forget_figures(outermost);
            // Positions of packs are given again after a rollback: what was decoded may be another.
            self.cache.borrow_mut().clear();
            self.handed.borrow_mut().clear();
            self.files_may_have_changed();
            // Fails only where SQLite has undone it already, which is what is wanted.
            let _ = self.conn.execute_batch(undo);
        }
        if lazy {
            lazy::end(&self.conn).map_err(|e| StoreError::from(Fault::from(e)))?;
        }
        match result {
            Ok(result) => ended.map_err(E::from).and(result),
            Err(panic) => resume_unwind(panic),
        }
    }

    /// Runs `f` so that all its reads see one snapshot.
    ///
    /// # Errors
    /// What `f` says, or [`StoreError`] when the snapshot cannot be taken.
    pub fn snapshot<R, E: From<StoreError>>(&self, f: impl FnOnce(&Self) -> Result<R, E>) -> Result<R, E> {
        if self.depth.get() > 0 {
            return f(self);
        }
        self.run("BEGIN DEFERRED")?;
        self.depth.set(1);
        let result = catch_unwind(AssertUnwindSafe(|| f(self)));
        self.depth.set(0);
        let ended = self.run("ROLLBACK");
        match result {
            Ok(result) => ended.map_err(E::from).and(result),
            Err(panic) => resume_unwind(panic),
        }
    }

    /// Moves what readers do not hold back from the write-ahead log into the database; never waits.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn checkpoint(&mut self) -> Result<(), StoreError> {
        self.run_row("PRAGMA wal_checkpoint(PASSIVE)")
    }

    /// Bytes of the write-ahead log on the disk; 0 where there is none.
    #[must_use]
    pub fn log_bytes(&self) -> u64 {
        let log = self.conn.path().map(|p| format!("{p}-wal"));
        log.and_then(|p| std::fs::metadata(p).ok()).map_or(0, |m| m.len())
    }

    /// Gives the store a new epoch: after a restore, so that old acknowledgements lapse.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn set_epoch(&mut self, epoch: StoreEpoch) -> Result<(), StoreError> {
        self.group(|s| {
            s.conn
                .execute("UPDATE info SET value = ?1 WHERE name = 'epoch'", [epoch.0])
                .map_err(|e| StoreError::from(Fault::from(e)))?;
            Ok(s.put_meta(write::META_EPOCH, Some(&write::epoch_hash(&epoch)))?)
        })
    }

    /// Whether another process may have written since the last call on this store; the first call says
    /// yes, because what was written between opening and it was seen by nobody.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn changed_elsewhere(&mut self) -> Result<bool, StoreError> {
        let version: i64 = self
            .conn
            .pragma_query_value(None, "data_version", |r| r.get(0))
            .map_err(|e| StoreError::from(Fault::from(e)))?;
        let changed = self.data_version.replace(Some(version)).is_none_or(|before| before != version);
        if changed {
            self.files_may_have_changed();
        }
        Ok(changed)
    }

    fn run(&self, sql: &str) -> Result<(), StoreError> {
        self.conn.execute_batch(sql).map_err(|e| Fault::from(e).into())
    }

    fn run_row(&self, sql: &str) -> Result<(), StoreError> {
        self.conn.query_row(sql, [], |_| Ok(())).map_err(|e| Fault::from(e).into())
    }

    /// Runs writes whose old values must not be left in the file: freed places are overwritten, and the
    /// write-ahead log is emptied.
    ///
    /// # Errors
    /// What the writes say; [`StoreError`].
    pub fn wiping<R, E: From<StoreError>>(&mut self, f: impl FnOnce(&mut Self) -> Result<R, E>) -> Result<R, E> {
        let set = |s: &Self, on: &str| s.run(&format!("PRAGMA secure_delete = {on}"));
        set(self, "ON")?;
        let done = self.group(f);
        set(self, "OFF")?;
        let done = done?;
        // Whoever reads at this moment keeps the log a little longer; the next checkpoint empties it.
        self.run("PRAGMA wal_checkpoint(TRUNCATE)")?;
        Ok(done)
    }
}

/// Every connection to a database of ours is made here: what is encrypted is keyed before anything is read.
fn connect(files: &dyn Files, at: &Place<'_>, create: bool) -> Result<Connection, Fault> {
    let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    if create {
        flags |= OpenFlags::SQLITE_OPEN_CREATE;
    }
    let conn = match files.vfs() {
        None => Connection::open_with_flags(at.path(), flags)?,
        Some(vfs) => Connection::open_with_flags_and_vfs(at.path(), flags, vfs)?,
    };
    if let Some(key) = at.key() {
        cipher::unlock(&conn, at.path(), key)?;
    }
    // Until the file is known to be ours and not newer, closing it must not write into it.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, !create)?;
    conn.busy_timeout(BUSY_TIMEOUT)?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
    sums::register(&conn)?;
    Ok(conn)
}

fn check_ours(conn: &Connection, path: &Path) -> Result<(), Fault> {
    let pragma = |name| conn.pragma_query_value(None, name, |r| r.get::<_, i32>(0));
    if pragma("application_id")? != schema::APPLICATION_ID {
        return Err(damaged(format!("{} is no database of Sampan's", path.display())));
    }
    let found = pragma("user_version")? as u32;
    if found > schema::VERSION {
        let known = schema::VERSION;
        return Err(StoreError::Newer { found, known }.into());
    }
    Ok(())
}

/// The settings that every connection needs; none of them is kept in the file but the journal mode.
fn settle(conn: &Connection) -> Result<(), Fault> {
    conn.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    conn.pragma_update(None, "synchronous", "FULL")?;
    conn.pragma_update_and_check(None, "wal_autocheckpoint", 0, |_| Ok(()))?;
    conn.pragma_update_and_check(None, "journal_size_limit", WAL_BYTES_KEPT as i64, |_| Ok(()))?;
    conn.pragma_update(None, "foreign_keys", false)?;
    conn.pragma_update(None, "temp_store", "MEMORY")?;
    Ok(())
}

fn make(files: &dyn Files, at: &Place<'_>, org: &OrgId, epoch: &StoreEpoch) -> Result<(), Fault> {
    let mut conn = connect(files, at, true)?;
    settle(&conn)?;
    conn.pragma_update(None, "application_id", schema::APPLICATION_ID)?;
    schema::migrations().to_latest(&mut conn).map_err(|e| StoreError::Io(format!("the tables cannot be made: {e}")))?;
    let sql = "INSERT INTO info (name, value) VALUES ('org', ?1), ('epoch', ?2)";
    conn.execute(sql, (org.0, epoch.0))?;
    let hash = write::epoch_hash(epoch);
    let sum = write::meta_hash(write::META_EPOCH, &hash);
    let sql = "INSERT INTO meta (name, value) VALUES (?1, ?2), (?3, ?4)";
    conn.execute(sql, (write::META_EPOCH, hash, write::META_SUM, sum))?;
    // Closing would do this too, but says nothing when it cannot: the file would get its name without its log.
    let busy: i64 = conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |r| r.get(0))?;
    if busy != 0 {
        return Err(StoreError::Busy(format!("somebody reads {}", at.path().display())).into());
    }
    conn.close().map_err(|(_, e)| Fault::from(e))
}

fn io(path: &Path, e: &std::io::Error) -> StoreError {
    StoreError::Io(format!("{}: {e}", path.display()))
}

fn half_made(path: &Path) -> PathBuf {
    beside(path, ".new")
}

/// A file that SQLite keeps beside a database.
fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

fn remove_if_there(files: &dyn Files, path: &Path) -> Result<(), StoreError> {
    match files.remove(path) {
        Ok(()) => Ok(()),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(io(path, &e)),
    }
}

impl Store for SqliteStore {
    fn epoch(&self) -> Result<StoreEpoch, StoreError> {
        Ok(self.read_epoch()?)
    }

    fn tips(&self) -> Result<BTreeMap<SpaceId, SpaceTips>, StoreError> {
        Ok(self.read_tips()?)
    }

    fn known(&self, ids: &[CommitId]) -> Result<Vec<Option<(CommitKey, u64)>>, StoreError> {
        Ok(self.read_known(ids)?)
    }

    fn head(&self, id: &CommitId) -> Result<Option<VerifiedHeader>, StoreError> {
        Ok(self.read_head(id)?)
    }

    fn first_seen(&self, ids: &[CommitId]) -> Result<Vec<Option<Millis>>, StoreError> {
        Ok(self.read_first_seen(ids)?)
    }

    fn stored_after(&self, after: CommitKey, limit: usize) -> Result<Vec<(LogId, CommitRow)>, StoreError> {
        Ok(self.read_stored_after(after, limit)?)
    }

    fn missing(&self, log: &LogId, have: &BTreeSet<CommitId>) -> Result<Vec<CommitRow>, StoreError> {
        Ok(self.read_missing(log, have)?)
    }

    fn lineage(&self, space: &SpaceId, device: &DeviceId) -> Result<Vec<Lineage>, StoreError> {
        Ok(self.read_lineage(space, device)?)
    }

    fn inventory(&self, log: &LogId) -> Result<Vec<ShortId>, StoreError> {
        Ok(self.read_inventory(log)?)
    }

    fn missing_from(&self, log: &LogId, inventory: &BTreeSet<ShortId>) -> Result<Vec<CommitRow>, StoreError> {
        Ok(self.read_missing_from(log, inventory)?)
    }

    fn groups(&self, space: &SpaceId, keys: &[CommitKey]) -> Result<Vec<Group>, StoreError> {
        Ok(self.read_groups(space, keys)?)
    }

    fn entry_at(&self, commit: CommitKey, index: u32) -> Result<Option<EntryPayload>, StoreError> {
        Ok(self.opened(commit)?.entry(index).ok().cloned())
    }

    fn charter_commits(&self) -> Result<Vec<Commit>, StoreError> {
        Ok(self.read_charter_commits()?)
    }

    fn records(&self, ids: &[RecordId]) -> Result<Vec<Option<RecordState>>, StoreError> {
        Ok(self.read_records(ids)?)
    }

    fn entries(&self, record: RecordKey) -> Result<Vec<RecordEntry>, StoreError> {
        self.snapshot(|s| Ok(s.read_entries(record)?))
    }

    fn pending(&self) -> Result<Vec<PendingEntry>, StoreError> {
        Ok(self.read_pending()?)
    }

    fn pending_of(&self, space: &SpaceId, after: PendingKey, limit: usize) -> Result<Vec<PendingEntry>, StoreError> {
        Ok(self.read_pending_of(space, after, limit)?)
    }

    fn pending_sums(&self) -> Result<Vec<PendingSum>, StoreError> {
        Ok(self.read_pending_sums()?)
    }

    fn quarantine(&self) -> Result<Vec<Quarantined>, StoreError> {
        Ok(self.read_quarantine()?)
    }

    fn registers(&self, after: u64) -> Result<Vec<(u64, SignedRegister)>, StoreError> {
        Ok(self.read_registers(after)?)
    }

    fn acks(&self, leaf: Option<UnitId>) -> Result<Vec<AckRow>, StoreError> {
        Ok(self.read_acks(leaf)?)
    }

    fn last_commit(&self) -> Result<CommitKey, StoreError> {
        Ok(self.read_last_commit()?)
    }

    fn irregular(&self, units: &BTreeSet<UnitId>) -> Result<BTreeMap<Status, u64>, StoreError> {
        Ok(self.read_irregular(units)?)
    }

    fn meta(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.read_meta(name)?)
    }

    fn write(&mut self, batch: &Batch) -> Result<(), StoreError> {
        if batch.is_empty() {
            return Ok(());
        }
        self.group(|s| Ok(s.write_batch(batch)?))
    }

    fn hand_on(&mut self, commits: Vec<Commit>) -> Result<(), StoreError> {
        Ok(self.take_decoded(commits)?)
    }

    fn shelf(&self) -> Option<&dyn Shelf> {
        Some(self)
    }

    fn shelf_mut(&mut self) -> Option<&mut dyn Shelf> {
        Some(self)
    }
}
