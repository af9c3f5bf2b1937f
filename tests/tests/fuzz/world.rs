//! Real replicas with a history, made once and opened as often as needed; and a whole session between two.
//!
//! It does not: say anything untrue (`session` does).
//!
//! Invariants: everything follows from constants: what was recorded once fits every copy.

use sampan_core::charter::Roles;
use sampan_core::engine::{Engine, SealLimits, meta};
use sampan_core::id::{CommitId, DeviceId, OrgId, RecordId, UnitId};
use sampan_core::pack::Stored;
use sampan_core::store::{Batch, CommitKey, Store};
use sampan_core::sync::{Env, Event, Session, SessionError};
use sampan_core::testing::village::Village;
use sampan_core::testing::{MemStore, SeededRng, SharedStore};
use sampan_core::time::Millis;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, OnceLock};

/// A replica that runs.
pub struct Node {
    pub store: MemStore,
    pub engine: Engine,
    pub rng: SeededRng,
    pub now: Millis,
}

impl Node {
    pub fn env(&mut self) -> Env<'_> {
        Env { store: &mut self.store, engine: &mut self.engine, rng: &mut self.rng, now: self.now }
    }

    pub fn device(&self) -> DeviceId {
        self.engine.device()
    }

    /// Seals what is pending.
    pub fn seal(&mut self) {
        let now = self.now;
        self.engine.seal(&mut self.store, &mut self.rng, SealLimits::default(), now).unwrap();
    }

    /// The ids of all commits held.
    pub fn held(&self) -> BTreeSet<CommitId> {
        self.store.stored_after(CommitKey(0), usize::MAX).unwrap().into_iter().map(|(_, row)| row.id).collect()
    }
}

/// A replica at rest.
struct Disk {
    store: MemStore,
    org: OrgId,
    key: ed25519_dalek::SigningKey,
}

impl Disk {
    fn open(&self, now: Millis) -> Node {
        let mut store = self.store.clone();
        let mut rng = SeededRng::new(4_711);
        let engine = Engine::open(&mut store, self.org, self.key.clone(), Arc::new(Stored), &mut rng).unwrap();
        Node { store, engine, rng, now }
    }
}

/// A frame and its lane.
pub type Said = (u8, Vec<u8>);

/// Two replicas that are about to talk, and what they would say.
pub struct World {
    lower: Disk,
    upper: Disk,
    pub now: Millis,
    /// Frames of the honest session, upward and downward.
    pub up: Vec<Said>,
    pub down: Vec<Said>,
    /// Every commit that exists.
    pub known: BTreeSet<CommitId>,
    /// Units of which the lower end may hear.
    pub shared: BTreeSet<UnitId>,
    /// The unit of the lower end.
    pub unit: UnitId,
    pub records: Vec<RecordId>,
}

impl World {
    pub fn lower(&self) -> Node {
        self.lower.open(self.now)
    }

    pub fn upper(&self) -> Node {
        self.upper.open(self.now)
    }

    /// The key of the lower end: what it can sign if it turns hostile.
    pub fn lower_key(&self) -> &ed25519_dalek::SigningKey {
        &self.lower.key
    }
}

/// The worlds: with news on both sides, with a branch that has just joined, with a log that forked, and the first
/// again between ends that do not remember each other. So they open with a greeting, a hello, a greeting in vain,
/// and a hello.
pub fn worlds() -> &'static [World] {
    static MADE: OnceLock<Vec<World>> = OnceLock::new();
    MADE.get_or_init(|| (0..4).map(world).collect())
}

/// The relay of a city, for its charter.
pub fn city() -> Node {
    worlds()[0].upper()
}

fn world(n: u64) -> World {
    let disks: Arc<Mutex<Vec<SharedStore>>> = Arc::default();
    let kept = disks.clone();
    let mut make = move |org, device, epoch| -> Box<dyn Store> {
        let handle = SharedStore::new(MemStore::new(org, device, epoch));
        kept.lock().unwrap().push(handle.clone());
        Box::new(handle)
    };
    let mut v = Village::found(300 + n, Arc::new(Stored), &mut make);
    let root = v.root();
    let district = v.unit(0, root, "Quận Ba Đình", "district");
    let branch = v.unit(0, district, "Chi bộ 1", "branch");
    let sibling = v.unit(0, district, "Chi bộ 2", "branch");
    let mut records = vec![v.create(0, root, "directives", &["title=Kế hoạch", "number=1"])];
    let t = v.invite(0, district, Roles::ADMIN);
    let d = v.join("district", &t, &mut make);
    assert!(v.sync(d, 0).verified());
    v.listen(d, district);
    let t = v.invite(d, sibling, Roles::EDITOR);
    let s = v.join("sibling", &t, &mut make);
    assert!(v.sync(s, d).verified());
    v.create(s, sibling, "members", &["full_name=Bí mật"]);
    assert!(v.sync(s, d).verified());
    assert!(v.sync(d, 0).verified());
    let t = v.invite(d, branch, Roles::EDITOR);
    let b = v.join("branch", &t, &mut make);
    if n != 1 {
        assert!(v.sync(b, d).verified());
        let id = v.create(b, branch, "members", &["full_name=An", "notes=một"]);
        records.push(id);
        assert!(v.sync(b, d).verified());
        if n == 2 {
            // A copy of the branch writes too, and syncs first.
            let copy = disks.lock().unwrap()[b].lock().clone();
            v.set(b, "members", id, &["phone=1"]);
            assert!(v.sync(b, d).verified());
            *disks.lock().unwrap()[b].lock() = copy;
            let r = &mut v.replicas[b];
            r.engine.reload(&*r.store).unwrap();
            for phone in 2..5 {
                v.set(b, "members", id, &[&format!("phone={phone}")]);
                v.seal(b);
            }
        }
        v.set(b, "members", id, &["notes=hai", "rewards+=x"]);
        records.push(v.create(b, branch, "meetings", &["title=Họp", "held_on=2026-01-02"]));
        v.seal(b);
    }
    records.push(v.create(d, district, "directives", &["title=Công văn", "number=2"]));
    v.unit(d, district, "Chi bộ 3", "branch");
    v.seal(d);
    if n == 3 {
        for (at, peer) in [(b, d), (d, b)] {
            let mut batch = Batch::at(v.now);
            batch.meta.insert(meta::met(&v.replicas[peer].engine.device()), None);
            v.replicas[at].store.write(&batch).unwrap();
        }
    }
    let known = all_commits(&disks);
    let disk = |at: usize| {
        let key = v.replicas[at].engine.key().clone();
        Disk { store: disks.lock().unwrap()[at].lock().clone(), org: v.org, key }
    };
    let mut out = World {
        lower: disk(b),
        upper: disk(d),
        now: v.now,
        up: Vec::new(),
        down: Vec::new(),
        known,
        shared: BTreeSet::from([root, district, branch]),
        unit: branch,
        records,
    };
    let (mut lower, mut upper) = (out.lower(), out.upper());
    let talk = converse(&mut lower, &mut upper);
    assert!(talk.verified(), "world {n}: {talk:?}");
    // An enrolment lies beside the commits until its relay has taken it.
    out.known.extend(lower.held().union(&upper.held()));
    (out.up, out.down) = (talk.up, talk.down);
    out
}

fn all_commits(disks: &Arc<Mutex<Vec<SharedStore>>>) -> BTreeSet<CommitId> {
    let disks = disks.lock().unwrap();
    let of = |h: &SharedStore| h.stored_after(CommitKey(0), usize::MAX).unwrap();
    disks.iter().flat_map(|h| of(h).into_iter().map(|(_, row)| row.id)).collect()
}

/// What a session came to.
#[derive(Debug, Default)]
pub struct Talk {
    pub up: Vec<Said>,
    pub down: Vec<Said>,
    pub events: (Vec<Event>, Vec<Event>),
    pub error: Option<SessionError>,
}

impl Talk {
    pub fn verified(&self) -> bool {
        let (lower, upper) = &self.events;
        self.error.is_none() && lower.contains(&Event::Verified) && upper.contains(&Event::Verified)
    }
}

/// A whole honest session, frame by frame, until it is quiet.
pub fn converse(lower: &mut Node, upper: &mut Node) -> Talk {
    let mut talk = Talk::default();
    let (above, below) = (upper.device(), lower.device());
    let mut low = Session::lower(&mut lower.env(), above, false).unwrap();
    let mut up = Session::upper(below);
    for _ in 0..10_000 {
        let rising = say(&mut low, lower);
        if let Some((lane, bytes)) = &rising {
            talk.up.push((*lane, bytes.clone()));
            if let Err(e) = up.receive(&mut upper.env(), *lane, bytes) {
                talk.error = Some(e);
                break;
            }
        }
        let falling = say(&mut up, upper);
        if let Some((lane, bytes)) = &falling {
            talk.down.push((*lane, bytes.clone()));
            if let Err(e) = low.receive(&mut lower.env(), *lane, bytes) {
                talk.error = Some(e);
                break;
            }
        }
        talk.events.0.extend(low.events());
        talk.events.1.extend(up.events());
        if rising.is_none() && falling.is_none() {
            return talk;
        }
    }
    assert!(talk.error.is_some(), "a session without end");
    talk
}

/// The next frame of one end.
pub fn say(session: &mut Session, node: &mut Node) -> Option<Said> {
    session.poke(&mut node.env()).unwrap();
    session.next_frame(&mut node.env(), &|_| true).unwrap()
}
