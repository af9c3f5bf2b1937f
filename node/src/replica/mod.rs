//! A replica: one folder with its store, its keys and its engine; opened, edited, asked.
//!
//! It does not: talk to a network (`link`), keep a thread (`desk`) or print (`cli`).
//!
//! Invariants: a folder is made whole or not at all; a replica that finds itself on another machine,
//! after another boot or in another file draws a new nonce before it writes anything.

mod answers;
mod due;
mod edit;
mod encrypt;
mod erase;
mod figures;
mod files;
mod project;
mod query;
mod repair;
mod room;
mod seen;
mod settled;
mod status;
pub mod targets;
mod verify;

pub use answers::Answers;
pub use due::{DueList, DueRow};
pub use edit::{ImportRecord, Importer};
pub use figures::{Difference, FigureQuery, FigureRow, MissingUnit, RollupError, Unknown};
pub use files::{AttachError, FileState};
pub use query::{ConflictRow, HistoryField, HistoryStep, RecordView, Shown};
pub use repair::Repaired;
pub use room::{DISK_FREE_BYTES_MIN, disk_free, room_is_low};
pub use seen::Seen;
pub(crate) use status::unsent;
pub use status::{BeaconRow, DeliveredRow, META_LAST_ERROR, StatusReport, WayRow};
pub use targets::{TargetOver, TargetProblem, TargetQuery, TargetRow};

use crate::codec::ZstdCodec;
use crate::config::{Config, ConfigError, ConfigFile, RelayEntry, ReplicaTable, Settings};
use crate::dir::{Dir, DirError, MachineFacts, machine_facts};
use crate::entropy::SystemEntropy;
use crate::keys::{self, KeyError, KeyKind, Secret, database};
use crate::store::SqliteStore;
use ed25519_dalek::SigningKey;
use sampan_core::canary::{self, Canary};
use sampan_core::charter::Ticket;
use sampan_core::engine::{EditFailure, Engine, TicketFate, meta};
use sampan_core::entropy::{Entropy, random};
use sampan_core::id::{DeviceId, OrgId, StoreEpoch, UnitId};
use sampan_core::schema::Schema;
use sampan_core::store::{Batch, Store, StoreError};
use sampan_core::time::{ClockOffset, Millis};
use std::path::Path;
use std::sync::Arc;

/// Names of facts about the machine, beside the store's other small facts.
const META_MACHINE: &str = "machine";
const META_BOOT: &str = "boot";
const META_FILE: &str = "file";
/// Stands in a store from its restoring until it is opened.
const META_RESTORED: &str = "restored";
/// When this store last found itself to be a copy: a clone's, or a backup's.
const META_COPY_AT: &str = "copy_noticed_at";

/// Why a replica cannot be made, opened or used.
#[derive(Debug, thiserror::Error)]
pub enum ReplicaError {
    /// The folder.
    #[error(transparent)]
    Dir(#[from] DirError),
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The keys.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An edit.
    #[error(transparent)]
    Edit(#[from] EditFailure),
    /// A folder whose configuration does not say what it is a replica of.
    #[error("'{0}' has no [replica] table: it was not finished; remove it and join again")]
    Unfinished(String),
    /// A ticket of another organisation than the folder's.
    #[error("this ticket is of another organisation than the one in this folder")]
    OtherOrganisation,
    /// Unsealed edits cannot be carried over before the charter is there.
    #[error("the database is damaged, and holds edits that cannot be sealed before a sync: sync, then repair")]
    RepairLater,
    /// No schema has come yet.
    #[error("the schema has not come yet: connect once with 'sync'")]
    NoSchema,
    /// No such collection.
    #[error("there is no collection '{0}'")]
    NoCollection(String),
    /// No such record.
    #[error("there is no record '{0}' here")]
    NoRecord(String),
    /// A unit must be named.
    #[error("this device has several units ({0}): say which with --unit")]
    WhichUnit(String),
    /// No such unit.
    #[error("there is no unit '{name}' here{}", sampan_core::suggest::did_you_mean(.nearest))]
    UnknownUnit {
        /// The name given.
        name: String,
        /// Names that look like it.
        nearest: Vec<String>,
    },
    /// Several units have this name.
    #[error("'{name}' names several units: {}; give the path", .paths.join(", "))]
    AmbiguousUnit {
        /// The name given.
        name: String,
        /// Their paths.
        paths: Vec<String>,
    },
}

impl From<keys::tickets::TicketKeyError> for ReplicaError {
    fn from(e: keys::tickets::TicketKeyError) -> Self {
        match e {
            keys::tickets::TicketKeyError::Key(e) => Self::Key(e),
            keys::tickets::TicketKeyError::Store(e) => Self::Store(e),
        }
    }
}

/// Where a replica reads the time.
pub type Clock = Arc<dyn Fn() -> Millis + Send + Sync>;

/// The system's clock; `SAMPAN_CLOCK_OFFSET_S` shifts it, for tests of wrong clocks.
#[must_use]
pub fn system_clock() -> Clock {
    let shift = std::env::var("SAMPAN_CLOCK_OFFSET_S").ok().and_then(|s| s.parse::<i64>().ok()).unwrap_or(0);
    Arc::new(move || {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let millis = (since.as_millis() as i64).saturating_add(shift.saturating_mul(1_000));
        Millis((millis.max(0) as u64).min(sampan_core::time::MAX_MILLIS))
    })
}

/// Where a replica draws randomness.
pub type Randomness = Box<dyn Entropy + Send>;

/// What a replica is made of, as arguments: the simulated world hands in its own disk, clock and
/// randomness and runs everything else as it is.
pub struct Parts {
    /// Its folder; only the configuration file is written through it.
    pub dir: Dir,
    /// What the configuration file says.
    pub file: ConfigFile,
    /// The configuration in force.
    pub config: Config,
    /// Its store, open.
    pub store: SqliteStore,
    /// The device's key.
    pub key: SigningKey,
    /// Randomness.
    pub rng: Randomness,
    /// The clock.
    pub clock: Clock,
    /// What tells this machine, boot and file from their copies.
    pub facts: MachineFacts,
}

/// One replica, open.
pub struct Replica {
    dir: Dir,
    file: ConfigFile,
    config: Config,
    /// The store.
    pub store: SqliteStore,
    /// The engine of that store.
    pub engine: Engine,
    /// Randomness.
    pub rng: Randomness,
    clock: Clock,
    builtin: Option<Schema>,
    figures: figures::Following,
}

impl Replica {
    /// Opens the replica in a folder.
    ///
    /// # Errors
    /// [`ReplicaError`], as a sentence; nothing was changed.
    pub fn open(path: &Path, flags: &Settings) -> Result<Self, ReplicaError> {
        Self::open_over(Config::default(), path, flags)
    }

    /// Opens the replica in a folder with these defaults where nothing is set.
    ///
    /// # Errors
    /// As [`Replica::open`].
    pub fn open_over(defaults: Config, path: &Path, flags: &Settings) -> Result<Self, ReplicaError> {
        let dir = Dir::open(path)?;
        let file = ConfigFile::read(&dir.config())?;
        let table = file.replica.clone().ok_or_else(|| ReplicaError::Unfinished(path.display().to_string()))?;
        let secret = keys::load(&dir.keys(), KeyKind::Device)?;
        let environment = Settings::from_env(&|name| std::env::var(name).ok())?;
        let config = defaults.overruled(flags, &environment, &file.settings);
        let mut rng = SystemEntropy;
        let store = if dir.store().exists() {
            SqliteStore::open(
                &database::place(&dir)?,
                Arc::new(ZstdCodec),
                secret.device(),
                table.org,
                config.cache_mb,
            )?
        } else {
            // An emptied relay or branch: its key and the organisation's are all that is needed to be refilled.
            let epoch = StoreEpoch(random(&mut rng));
            let place = database::new_place(&dir, &mut rng)?;
            SqliteStore::create(&place, Arc::new(ZstdCodec), secret.device(), table.org, epoch, config.cache_mb)?
        };
        Self::of_system(dir, file, config, store, &secret)
    }

    /// Puts a replica together from what this machine provides.
    fn of_system(
        dir: Dir,
        file: ConfigFile,
        config: Config,
        store: SqliteStore,
        secret: &Secret,
    ) -> Result<Self, ReplicaError> {
        let facts = machine_facts(&dir.store(), &|name| std::env::var(name).ok());
        let (key, rng, clock) = (secret.signing_key(), Box::new(SystemEntropy), system_clock());
        Self::assemble(Parts { dir, file, config, store, key, rng, clock, facts })
    }

    /// Puts a replica together from its parts.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read or written.
    pub fn assemble(parts: Parts) -> Result<Self, ReplicaError> {
        let Parts { dir, file, config, mut store, key, mut rng, clock, facts } = parts;
        let org = store.org();
        let engine = store.group(|s| Engine::open(s, org, key, Arc::new(ZstdCodec), &mut rng))?;
        let builtin = Some(sampan_core::schema::builtin());
        let figures = figures::Following::default();
        let mut replica = Self { dir, file, config, store, engine, rng, clock, builtin, figures };
        replica.notice_clone(facts)?;
        replica.follow_schema()?;
        Ok(replica)
    }

    /// Compares machine, boot and file with what stands beside the nonce; draws a new one if any
    /// differs. One that cannot be read counts as unchanged.
    fn notice_clone(&mut self, facts: MachineFacts) -> Result<(), ReplicaError> {
        let now = self.now();
        let Self { store, engine, rng, .. } = self;
        store.group(|s| {
            let mut batch = Batch::default();
            let restored = s.meta(META_RESTORED)?.is_some();
            let mut differs = |name: &str, now: Option<[u8; 16]>| -> Result<bool, StoreError> {
                let Some(now) = now else { return Ok(false) };
                let before = s.meta(name)?;
                if before.as_deref() != Some(now.as_slice()) {
                    batch.meta.insert(name.to_owned(), Some(now.to_vec()));
                }
                Ok(before.is_some_and(|b| b != now))
            };
            let machine = differs(META_MACHINE, facts.machine)?;
            let boot = differs(META_BOOT, facts.boot)?;
            let file = differs(META_FILE, facts.file)?;
            // A file system may give a restored file the number and the birth of the old one.
            let elsewhere = machine || file || restored;
            if restored {
                batch.meta.insert(META_RESTORED.to_owned(), None);
            }
            if elsewhere {
                batch.meta.insert(META_COPY_AT.to_owned(), Some(now.0.to_le_bytes().to_vec()));
            }
            if !batch.is_empty() {
                s.write(&batch)?;
            }
            let copied = elsewhere || boot;
            if copied && !canary::sings(Canary::ActorKeptAfterRestore) {
                engine.renew(s, rng, elsewhere)?;
                if elsewhere {
                    // What was acknowledged by the store that this is a copy of may not be here.
                    s.set_epoch(StoreEpoch(random(rng)))?;
                    engine.reload_epoch(s)?;
                }
            }
            Ok::<_, StoreError>(())
        })?;
        Ok(())
    }

    /// Marks a store that was just put back from a backup: whoever opens it first makes it another store.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn mark_restored(store: &mut SqliteStore) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        batch.meta.insert(META_RESTORED.to_owned(), Some(vec![1]));
        store.write(&batch)
    }

    /// When this store last found itself to be a copy: a clone's, or a backup's.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn copy_noticed_at(&self) -> Result<Option<Millis>, StoreError> {
        let at = self.store.meta(META_COPY_AT)?;
        Ok(at.and_then(|b| b.try_into().ok()).map(|b| Millis(u64::from_le_bytes(b))))
    }

    /// Makes a new folder around a new device key; `fill` writes the first facts into the store and
    /// names the units and relays. Nothing remains when it fails.
    ///
    /// # Errors
    /// [`ReplicaError`].
    pub fn create(
        path: &Path,
        org: OrgId,
        settings: Settings,
        fill: impl FnOnce(
            &mut SqliteStore,
            &mut Engine,
            &mut dyn Entropy,
            &Dir,
        ) -> Result<(Vec<UnitId>, Vec<RelayEntry>), ReplicaError>,
    ) -> Result<Self, ReplicaError> {
        let new = Dir::create(path)?;
        let mut rng = SystemEntropy;
        if let Some(words) = keys::unlock::file_given() {
            // Under the passphrase from the first byte: no key of this folder ever lies plain on the disk.
            let words = keys::unlock::read_file(&words)?;
            keys::set_passphrase(&new.dir().keys(), &words, keys::Cost::calibrated(), &mut rng)?;
        }
        let secret = keys::create(&new.dir().keys(), KeyKind::Device, &mut rng)?;
        keys::create(&new.dir().keys(), KeyKind::Box, &mut rng)?;
        let config = Config::resolve(&Settings::default(), &Settings::default(), &settings);
        let epoch = StoreEpoch(random(&mut rng));
        let place = database::new_place(new.dir(), &mut rng)?;
        let mut store = SqliteStore::create(&place, Arc::new(ZstdCodec), secret.device(), org, epoch, config.cache_mb)?;
        let key = secret.signing_key();
        let dir = new.dir().clone();
        let (engine, units, relays) = store.group(|s| {
            let mut engine = Engine::open(s, org, key, Arc::new(ZstdCodec), &mut rng)?;
            let (units, relays) = fill(s, &mut engine, &mut rng, &dir)?;
            Ok::<_, ReplicaError>((engine, units, relays))
        })?;
        drop(engine);
        let table = ReplicaTable { org, units, device: secret.device(), relays };
        let file = ConfigFile { settings, replica: Some(table) };
        // Last of all: a folder without it is not ours, and the next attempt starts anew.
        file.write(&new.dir().config())?;
        let dir = new.keep()?;
        Self::of_system(dir, file, config, store, &secret)
    }

    /// Joins by a ticket: a new folder, or one more grant for the device of a folder of the same
    /// organisation.
    ///
    /// # Errors
    /// [`ReplicaError`]; a new folder does not remain, an old one is unchanged.
    pub fn join(path: &Path, ticket: &Ticket, settings: Settings) -> Result<Self, ReplicaError> {
        let now = system_clock()();
        let relays: Vec<RelayEntry> =
            ticket.relays.iter().map(|r| RelayEntry { device: r.device, addresses: r.addresses.clone() }).collect();
        if matches!(Dir::look(path)?, crate::dir::Found::Ours) {
            let mut replica = Self::open(path, &Settings::default())?;
            if replica.engine.org() != ticket.org {
                return Err(ReplicaError::OtherOrganisation);
            }
            let box_key = keys::load(&replica.dir.keys(), KeyKind::Box)?.box_key().0;
            let (keys, name) = (replica.dir.keys(), [meta::ticket_box(&ticket.unit)]);
            let Self { store, engine, rng, .. } = &mut replica;
            store.group(|s| {
                engine.join(s, rng, ticket, box_key, now)?;
                // In the same transaction: it never lies plain in a folder with a lock.
                Ok::<_, ReplicaError>(keys::tickets::seal(s, &keys, &name).map(|_| ())?)
            })?;
            if let Some(table) = &mut replica.file.replica {
                if !table.units.contains(&ticket.unit) {
                    table.units.push(ticket.unit);
                }
                for r in relays {
                    if !table.relays.iter().any(|known| known.device == r.device) {
                        table.relays.push(r);
                    }
                }
            }
            replica.file.write(&replica.dir.config())?;
            return Ok(replica);
        }
        Self::create(path, ticket.org, settings, |store, engine, rng, dir| {
            let box_key = keys::load(&dir.keys(), KeyKind::Box)?.box_key().0;
            engine.join(store, rng, ticket, box_key, now)?;
            keys::tickets::seal(store, &dir.keys(), &[meta::ticket_box(&ticket.unit)])?;
            Ok((vec![ticket.unit], relays))
        })
    }

    /// Forgets the tickets that this device used and that will never count, with the units that only they named;
    /// tells each once.
    ///
    /// # Errors
    /// [`ReplicaError`].
    pub fn forget_spent_tickets(&mut self) -> Result<Vec<(UnitId, TicketFate)>, ReplicaError> {
        let now = self.label()?;
        let Self { store, engine, .. } = self;
        let spent = store.group(|s| engine.forget_spent(s, now))?;
        if !spent.is_empty() {
            let held = self.engine.joined_units(&self.store)?;
            self.change_file(|f| {
                if let Some(table) = &mut f.replica {
                    table.units.retain(|u| held.contains(u) || !spent.iter().any(|(of, _)| of == u));
                }
            })?;
        }
        Ok(spent)
    }

    /// Seals what secrets of tickets lie plain in a folder with a lock, and wipes where they lay.
    ///
    /// # Errors
    /// [`ReplicaError`].
    pub fn seal_tickets(&mut self) -> Result<(), ReplicaError> {
        let names: Vec<String> = self.units().iter().map(meta::ticket_box).collect();
        let keys = self.dir.keys();
        self.store.wiping(|s| keys::tickets::seal(s, &keys, &names).map(|_| ()).map_err(ReplicaError::from))
    }

    /// The inverse of [`Replica::seal_tickets`]: before the lock goes.
    ///
    /// # Errors
    /// [`ReplicaError`].
    pub fn unseal_tickets(&mut self) -> Result<(), ReplicaError> {
        let names: Vec<String> = self.units().iter().map(meta::ticket_box).collect();
        let keys = self.dir.keys();
        self.store.group(|s| keys::tickets::unseal(s, &keys, &names).map_err(ReplicaError::from))
    }

    /// The folder.
    #[must_use]
    pub fn dir(&self) -> &Dir {
        &self.dir
    }
    /// The configuration in force.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }
    /// The configuration file.
    #[must_use]
    pub fn file(&self) -> &ConfigFile {
        &self.file
    }
    /// Changes the configuration file, on disk as well.
    ///
    /// # Errors
    /// [`ReplicaError::Config`].
    pub fn change_file(&mut self, change: impl FnOnce(&mut ConfigFile)) -> Result<(), ReplicaError> {
        change(&mut self.file);
        Ok(self.file.write(&self.dir.config())?)
    }
    /// Remembers, until the folder is opened anew, a relay that a ticket named.
    pub fn remember_relay(&mut self, relay: &sampan_core::wire::frame::RelayAddress) {
        if let Some(table) = &mut self.file.replica
            && !table.relays.iter().any(|known| known.device == relay.device)
        {
            table.relays.push(RelayEntry { device: relay.device, addresses: relay.addresses.clone() });
        }
    }
    /// This device.
    #[must_use]
    pub fn device(&self) -> DeviceId {
        self.engine.device()
    }
    /// Replaces the clock.
    pub fn set_clock(&mut self, clock: Clock) {
        self.clock = clock;
    }
    /// The local clock.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.clock.clone()
    }
    /// The local clock's reading.
    #[must_use]
    pub fn now(&self) -> Millis {
        (self.clock)()
    }
    /// The label for an edit made now: the local clock, put right by what a relay last showed.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn label(&self) -> Result<Millis, StoreError> {
        let offset = self.store.meta(meta::CLOCK_OFFSET)?.and_then(|b| b.try_into().ok()).map_or(0, i64::from_le_bytes);
        Ok(ClockOffset { millis: offset }.label(self.now()))
    }

    /// The schema in force: the published one, or before any link the built-in one.
    #[must_use]
    pub fn schema(&self) -> Option<&Schema> {
        self.engine.schema().or(self.builtin.as_ref().filter(|_| self.engine.is_blank()))
    }

    /// The units that this replica works for, in the order of joining.
    #[must_use]
    pub fn units(&self) -> Vec<UnitId> {
        let mut units = self.file.replica.as_ref().map(|t| t.units.clone()).unwrap_or_default();
        for unit in self.engine.charter().units_of(&self.device()) {
            if !units.contains(&unit) {
                units.push(unit);
            }
        }
        units
    }

    /// Draws `N` random bytes.
    pub fn random<const N: usize>(&mut self) -> [u8; N] {
        let mut out = [0; N];
        self.rng.fill(&mut out);
        out
    }

    /// Reads the engine's view anew where another process wrote commits into the store.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn catch_up(&mut self) -> Result<bool, StoreError> {
        let changed = self.engine.catch_up(&self.store)?;
        if changed {
            self.follow_schema()?;
        }
        Ok(changed)
    }
}
