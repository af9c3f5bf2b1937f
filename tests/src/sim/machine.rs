//! One machine of a world: its disk, its clock, what tells it from its copies, and the process that
//! runs on it, which is the real replica, desk table and link plan.
//!
//! It does not: decide when anything happens (`world` does) or look for broken promises (`ledger`).
//!
//! Invariants: a process that ended leaves nothing behind but its disk.

use crate::disk::Disk;
use ed25519_dalek::SigningKey;
use sampan_core::bundle::BoxSecret;
use sampan_core::charter::Ticket;
use sampan_core::engine::Engine;
use sampan_core::entropy::random;
use sampan_core::id::{DeviceId, OrgId, StoreEpoch, UnitId};
use sampan_core::log::device_id;
use sampan_core::store::StoreError;
use sampan_core::testing::SeededRng;
use sampan_core::time::{BUILD_FLOOR, MAX_MILLIS, Millis};
use sampan_node::codec::ZstdCodec;
use sampan_node::config::{Config, ConfigFile, RelayEntry, ReplicaTable, Settings};
use sampan_node::desk::{SessionId, SessionState, Table, TableInput};
use sampan_node::dir::{Dir, MachineFacts};
use sampan_node::link::Plan;
use sampan_node::replica::{Parts, Replica, ReplicaError};
use sampan_node::store::SqliteStore;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

/// The database on every simulated disk.
pub const STORE: &str = "store.db";
/// Megabytes of cache that a simulated replica gets.
const CACHE_MB: u32 = 4;
/// The world begins a year after the first version was built.
pub const EPOCH_MS: u64 = BUILD_FLOOR.0 + 365 * 86_400_000;

/// What a new replica begins with.
pub enum Birth<'a> {
    /// It founds the organisation.
    Found {
        /// The root key.
        root: &'a SigningKey,
        /// The key that may name another.
        succession: DeviceId,
        /// The text of the first schema.
        schema: &'a str,
    },
    /// It joins by a ticket.
    Join(&'a Ticket),
}

/// The clock of a machine: the world's, and how far this one is off.
#[derive(Debug, Clone)]
pub struct MachineClock {
    world: Arc<AtomicU64>,
    off_ms: Arc<AtomicI64>,
}

impl MachineClock {
    /// A clock that is right.
    #[must_use]
    pub fn new(world: Arc<AtomicU64>) -> Self {
        Self { world, off_ms: Arc::new(AtomicI64::new(0)) }
    }

    /// What it shows.
    #[must_use]
    pub fn now(&self) -> Millis {
        let world = (EPOCH_MS + self.world.load(Ordering::Relaxed)) as i64;
        let shown = world.saturating_add(self.off_ms.load(Ordering::Relaxed)).max(0);
        Millis((shown as u64).min(MAX_MILLIS))
    }

    /// Sets how far it is off, in milliseconds.
    pub fn set_off(&self, ms: i64) {
        self.off_ms.store(ms, Ordering::Relaxed);
    }

    /// How far it is off.
    #[must_use]
    pub fn off(&self) -> i64 {
        self.off_ms.load(Ordering::Relaxed)
    }
}

/// One way up.
pub struct Upward {
    /// The key of the relay that it dials first, once it is known.
    pub key: Option<DeviceId>,
    /// When and whom it dials.
    pub plan: Plan,
    /// When the next dialling is planned.
    pub dial_at: Option<u64>,
}

/// What runs on a machine.
pub struct Process {
    /// The replica.
    pub replica: Replica,
    /// Its sessions.
    pub table: Table,
    /// Its ways up, by a name that a way keeps while its nearest relay changes.
    pub upward: BTreeMap<u32, Upward>,
    /// The charter by which the ways were looked at last.
    pub routed_by: Option<usize>,
    /// The link of each session.
    pub links: BTreeMap<SessionId, usize>,
    /// How sessions stand.
    pub states: BTreeMap<SessionId, SessionState>,
    /// What waits for the next transaction.
    pub inbox: Vec<TableInput>,
    /// Whether the next transaction looks for edits of another process.
    pub look: bool,
    /// When the next transaction is planned.
    pub work_at: Option<u64>,
    /// A look for edits that wait to be sealed is planned.
    pub look_planned: bool,
    /// It sleeps until then.
    pub sleeps_until: u64,
    /// Names for sessions.
    next_session: u64,
}

impl Process {
    /// A name for a new session.
    pub fn session(&mut self) -> SessionId {
        self.next_session += 1;
        SessionId(self.next_session)
    }
}

/// One machine.
pub struct Machine {
    /// Its name in traces.
    pub name: String,
    /// The device's key.
    pub key: SigningKey,
    /// The device.
    pub device: DeviceId,
    /// Where it is reached if it is a relay.
    pub address: String,
    /// Its disk.
    pub disk: Disk,
    /// Its clock.
    pub clock: MachineClock,
    /// What tells it from its copies.
    pub facts: MachineFacts,
    /// What its configuration file says.
    pub file: ConfigFile,
    /// What runs, if anything does.
    pub process: Option<Process>,
    /// How often something started on it.
    pub starts: u64,
    /// The dice of its randomness, drawn on at every start.
    rng: SeededRng,
}

impl Machine {
    /// A machine that holds nothing yet.
    #[must_use]
    pub fn new(seed: u64, index: usize, name: &str, key: SigningKey, world: Arc<AtomicU64>) -> Self {
        let mut rng = SeededRng::new(seed ^ (index as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let facts = MachineFacts { machine: Some(random(&mut rng)), boot: Some(random(&mut rng)), file: None };
        Self {
            name: name.to_owned(),
            device: device_id(&key),
            key,
            address: format!("{name}:7447"),
            disk: Disk::new(name),
            clock: MachineClock::new(world),
            facts,
            file: ConfigFile::default(),
            process: None,
            starts: 0,
            rng,
        }
    }

    /// Whether something runs.
    #[must_use]
    pub fn runs(&self) -> bool {
        self.process.is_some()
    }

    /// A new boot id: the machine was started anew.
    pub fn reboot(&mut self) {
        self.facts.boot = Some(random(&mut self.rng));
    }

    /// A new identity of the database file: it is a copy.
    pub fn new_file(&mut self) {
        self.facts.file = Some(random(&mut self.rng));
    }

    /// Makes the replica and starts it.
    ///
    /// # Errors
    /// [`ReplicaError`].
    pub fn make(&mut self, org: OrgId, birth: &Birth<'_>) -> Result<Option<UnitId>, ReplicaError> {
        self.new_file();
        let epoch = StoreEpoch(random(&mut self.rng));
        let path = self.disk.path(STORE);
        let codec = Arc::new(ZstdCodec);
        let mut store = SqliteStore::create_on(&self.disk, &path, codec.clone(), self.device, org, epoch, CACHE_MB)?;
        let now = self.clock.now();
        let box_key = BoxSecret::of_signer(&self.key).public().0;
        let (key, rng) = (self.key.clone(), &mut self.rng);
        let root = store.group(|s| {
            let mut engine = Engine::open(s, org, key, codec, rng)?;
            Ok::<_, StoreError>(match birth {
                Birth::Found { root, succession, schema } => {
                    let facts = (1, (*schema).to_owned(), Some("city".to_owned()));
                    let keys = (*root, Some(*succession));
                    Some(engine.found_with(s, rng, keys, "City", facts, now)?)
                }
                Birth::Join(ticket) => {
                    engine.join(s, rng, ticket, box_key, now)?;
                    None
                }
            })
        })?;
        let (units, relays) = match birth {
            Birth::Found { .. } => (root.into_iter().collect(), Vec::new()),
            Birth::Join(ticket) => {
                let relays = ticket.relays.iter();
                let entry = |r: &sampan_core::wire::frame::RelayAddress| RelayEntry {
                    device: r.device,
                    addresses: r.addresses.clone(),
                };
                (vec![ticket.unit], relays.map(entry).collect())
            }
        };
        let table = ReplicaTable { org, units, device: self.device, relays };
        self.file = ConfigFile { settings: Settings::default(), replica: Some(table) };
        self.run(store)?;
        Ok(root)
    }

    /// Starts what lies on the disk; where nothing lies, an empty store, to be refilled.
    ///
    /// # Errors
    /// [`ReplicaError`]; nothing runs then.
    pub fn start(&mut self, org: OrgId) -> Result<(), ReplicaError> {
        let path = self.disk.path(STORE);
        let there = self.disk.snapshot().files.contains_key(STORE);
        let codec = Arc::new(ZstdCodec);
        let store = if there {
            SqliteStore::open_on(&self.disk, &path, codec, self.device, org, CACHE_MB)?
        } else {
            self.new_file();
            let epoch = StoreEpoch(random(&mut self.rng));
            SqliteStore::create_on(&self.disk, &path, codec, self.device, org, epoch, CACHE_MB)?
        };
        self.run(store)
    }

    fn run(&mut self, store: SqliteStore) -> Result<(), ReplicaError> {
        self.starts += 1;
        let clock = self.clock.clone();
        let config = Config { cache_mb: CACHE_MB, ..Config::default() };
        let backoff = config.backoff_s;
        let replica = Replica::assemble(Parts {
            dir: Dir::named(PathBuf::from("/simulated").join(&self.name)),
            file: self.file.clone(),
            config,
            store,
            key: self.key.clone(),
            rng: Box::new(SeededRng::new(self.rng.next_u64())),
            clock: Arc::new(move || clock.now()),
            facts: self.facts,
        })?;
        let table = Table::new(&replica);
        self.process = Some(Process {
            replica,
            table,
            upward: BTreeMap::from([(0, Upward { key: None, plan: Plan::new(backoff), dial_at: None })]),
            routed_by: None,
            links: BTreeMap::new(),
            states: BTreeMap::new(),
            inbox: Vec::new(),
            look: true,
            work_at: None,
            look_planned: false,
            sleeps_until: 0,
            next_session: 0,
        });
        Ok(())
    }
}
