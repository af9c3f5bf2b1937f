//! Files over several links: passed on by a relay as they come, brought by one link of two, and kept from whoever may
//! not read what names them.
//!
//! It does not: use a socket.

use super::files::scan;
use super::*;
use crate::desk::table::{Table, TableInput, TableOutput};
use crate::desk::{SessionEnd, SessionId, SessionState};
use sampan_core::file::{FileRef, chunks_of};
use sampan_core::limits::{FILE_CHUNK_BYTES, FILES_WANTED_MAX};
use sampan_core::shelf::{FileKey, FileRun, Shelf as _};
use sampan_core::sync::{Role, lane};
use sampan_core::wire::frame::{FileAsk, FileSaid, FileWord, Frame};
use std::collections::{BTreeMap, VecDeque};

const CITY: usize = 0;
const DISTRICT: usize = 1;
const A: usize = 2;
const B: usize = 3;

struct End {
    replica: Replica,
    table: Table,
    states: BTreeMap<SessionId, SessionState>,
}

/// A link: its lower and its upper end.
type Ends = [usize; 2];

/// A city, a district and two branches below it, and links between them that a test opens and cuts.
struct Net {
    ends: Vec<End>,
    links: BTreeMap<SessionId, Ends>,
    queue: VecDeque<(usize, TableInput)>,
    /// Frames about files: of which link, from which end.
    seen: Vec<(SessionId, usize, Frame)>,
    count: u64,
}

fn replica(path: &Path) -> Replica {
    Replica::open(path, &Settings::default()).unwrap()
}

fn end(path: &Path) -> End {
    let replica = replica(path);
    let table = Table::new(&replica);
    End { replica, table, states: BTreeMap::new() }
}

impl Net {
    fn new(dir: &Path) -> Self {
        let root = Secret::draw(&mut SystemEntropy);
        let schema = sampan_core::schema::builtin();
        let mut lines = Vec::new();
        Replica::create(&dir.join("city"), root.organisation(), Settings::default(), |store, engine, rng, _| {
            let now = system_clock()();
            let facts = (schema.version, schema.source.clone(), schema.levels.first().cloned());
            let city = engine.found(store, rng, &root.signing_key(), "Thành phố", facts, now)?;
            let places = [(7, city, "district"), (8, UnitId([7; 16]), "branch"), (9, UnitId([7; 16]), "branch")];
            for (n, parent, kind) in places {
                let (unit, name) = (UnitId([n; 16]), format!("Đơn vị {n}"));
                let op = Op::CreateUnit { unit, name, code: None, kind: Some(kind.into()), since: now };
                engine.write_charter(store, rng, parent, &[op], now)?;
            }
            for (n, roles, subtree) in [(7, Roles::ADMIN, true), (8, Roles::EDITOR, false), (9, Roles::EDITOR, false)] {
                let request = InviteRequest {
                    unit: UnitId([n; 16]),
                    roles,
                    subtree,
                    holder: "x".into(),
                    until: None,
                    use_by: None,
                    collections: None,
                    replaces: None,
                };
                lines.push(engine.invite(store, rng, &request, now)?.encode());
            }
            Ok::<_, ReplicaError>((vec![city], Vec::new()))
        })
        .unwrap();
        let mut ends = vec![end(&dir.join("city"))];
        for (line, name) in lines.into_iter().zip(["district", "a", "b"]) {
            let into = dir.join(name);
            let ticket = TicketArgs { ticket: Some(line), file: None };
            let args = JoinArgs { dir: into.clone(), ticket, timeout: 0 };
            let mut ask = |_: &mut Replica, _, _: &App| Ok(AfterJoin::Offline { why: String::new() });
            with_app(&["status", "x"], &mut |_, app| join_with(&args, Settings::default(), app, &mut ask)).unwrap();
            ends.push(end(&into));
        }
        let mut net = Self { ends, links: BTreeMap::new(), queue: VecDeque::new(), seen: Vec::new(), count: 0 };
        net.open(DISTRICT, CITY);
        net.run();
        for branch in [A, B] {
            net.open(branch, DISTRICT);
            net.run();
        }
        net.cut_all();
        net
    }

    fn open(&mut self, lower: usize, upper: usize) -> SessionId {
        self.count += 1;
        let id = SessionId(self.count);
        let device = |n: usize| self.ends[n].replica.device();
        let (below, above) = (device(lower), device(upper));
        self.links.insert(id, [lower, upper]);
        self.queue.push_back((upper, TableInput::Open { id, role: Role::Upper, peer: below, fallback: false }));
        self.queue.push_back((lower, TableInput::Open { id, role: Role::Lower, peer: above, fallback: false }));
        id
    }

    /// A link is cut: what is on its way is lost.
    fn cut(&mut self, id: SessionId) {
        let Some(ends) = self.links.remove(&id) else { return };
        for n in ends {
            self.queue.push_back((n, TableInput::Closed { id }));
        }
    }

    fn cut_all(&mut self) {
        let all: Vec<SessionId> = self.links.keys().copied().collect();
        all.into_iter().for_each(|id| self.cut(id));
        self.run();
    }

    fn work(&mut self, n: usize, inputs: Vec<TableInput>, look: bool) -> bool {
        let end = &mut self.ends[n];
        let (out, _) = end.table.transact(&mut end.replica, inputs, look);
        let mut any = false;
        for output in out {
            match output {
                TableOutput::Frame { id, lane, bytes } => {
                    any = true;
                    let Some(ends) = self.links.get(&id).copied() else { continue };
                    let to = if ends[0] == n { ends[1] } else { ends[0] };
                    let frame = Frame::decode(&bytes).unwrap();
                    assert_eq!(frame.is_file(), lane == lane::FILES, "{}", frame.name());
                    if frame.is_file() {
                        self.seen.push((id, n, frame));
                    }
                    self.queue.push_back((n, TableInput::Sent { id, lane }));
                    self.queue.push_back((to, TableInput::Frame { id, lane, bytes, ahead: None }));
                }
                TableOutput::State { id, state } => {
                    end.states.insert(id, *state);
                }
                TableOutput::Close { .. } => {}
            }
        }
        any
    }

    /// One input, or a quiet moment in which each end looks at what came; false when nothing moves any more.
    fn step(&mut self) -> bool {
        let Some((n, input)) = self.queue.pop_front() else {
            let mut any = false;
            for n in 0..self.ends.len() {
                self.ends[n].replica.project().unwrap();
                any |= self.work(n, Vec::new(), true);
            }
            return any;
        };
        let of_a_link_that_is_gone = match &input {
            TableInput::Frame { id, .. } | TableInput::Sent { id, .. } => !self.links.contains_key(id),
            TableInput::Open { .. } | TableInput::Closed { .. } | TableInput::Verify { .. } => false,
        };
        if !of_a_link_that_is_gone {
            self.work(n, vec![input], false);
        }
        true
    }

    fn run(&mut self) {
        while self.step() {}
    }

    /// A frame of a peer that is not honest, from one end of a link to the other.
    fn forge(&mut self, id: SessionId, to: usize, frame: &Frame) {
        self.queue.push_back((to, TableInput::Frame { id, lane: lane::FILES, bytes: frame.encode(), ahead: None }));
    }

    /// A record with a file.
    fn attach(&mut self, n: usize, collection: &str, field: &str, bytes: &[u8]) -> (RecordId, FileKey) {
        let r = &mut self.ends[n].replica;
        let collection = r.schema().unwrap().collection(collection).unwrap().clone();
        let unit = r.units()[0];
        let title = sampan_core::value::Value::Str("Việc".into());
        let id = r.add(&collection, unit, [("title".to_owned(), title)].into()).unwrap();
        let file = r.attach(id, field, "a.pdf", bytes).unwrap();
        (id, FileKey { address: file.address, size: file.size })
    }

    fn directive(&mut self, bytes: &[u8]) -> FileKey {
        self.attach(CITY, "directives", "scan", bytes).1
    }

    fn whole(&self, n: usize, key: &FileKey) -> bool {
        self.ends[n].replica.store.find(key).unwrap().is_some_and(|f| f.whole)
    }

    fn held(&self, n: usize, key: &FileKey) -> u32 {
        self.ends[n].replica.store.find(key).unwrap().map_or(0, |f| f.held)
    }

    /// Chunks that an end sent, over any link.
    fn chunks(&self, from: usize) -> usize {
        self.seen.iter().filter(|(_, n, f)| *n == from && matches!(f, Frame::FileChunk { .. })).count()
    }

    fn words(&self, id: SessionId, from: usize) -> Vec<FileSaid> {
        let said = self.seen.iter().filter(|(l, n, _)| *l == id && *n == from);
        said.filter_map(|(_, _, f)| if let Frame::FileAnswer(said) = f { Some(said.clone()) } else { None })
            .flatten()
            .collect()
    }

    fn read(&self, n: usize, key: &FileKey) -> Vec<u8> {
        let file = FileRef { address: key.address, size: key.size, name: "a".into() };
        let mut out = Vec::new();
        self.ends[n].replica.write_file(&file, &mut out).unwrap();
        out
    }

    fn state(&self, n: usize, id: SessionId) -> &SessionState {
        &self.ends[n].states[&id]
    }
}

#[test]
fn a_relay_passes_on_what_has_come_before_it_has_all() {
    let dir = tempfile::tempdir().unwrap();
    let mut net = Net::new(dir.path());
    let bytes = scan(80 * FILE_CHUNK_BYTES + 5);
    let key = net.directive(&bytes);
    net.open(DISTRICT, CITY);
    net.open(A, DISTRICT);
    net.run();
    assert_eq!(net.held(DISTRICT, &key), 0, "it is too large to come by itself");
    assert!(net.ends[A].replica.store.want_file(&key).unwrap());
    let mut behind = 0;
    while net.step() {
        if !net.whole(DISTRICT, &key) {
            behind = behind.max(net.held(A, &key));
        }
    }
    assert!(behind > 60, "{behind} of 81 chunks were here before the relay had all");
    assert_eq!((net.chunks(CITY), net.chunks(DISTRICT)), (81, 81));
    assert_eq!(net.read(A, &key), bytes);
    // Up as well: what a branch has and the city wants.
    net.cut_all();
    let bytes = scan(90 * FILE_CHUNK_BYTES);
    let (_, key) = net.attach(A, "programmes", "file", &bytes);
    net.open(DISTRICT, CITY);
    net.open(A, DISTRICT);
    net.run();
    assert!(net.ends[CITY].replica.store.want_file(&key).unwrap());
    let mut behind = 0;
    while net.step() {
        if !net.whole(DISTRICT, &key) {
            behind = behind.max(net.held(CITY, &key));
        }
    }
    assert!(behind > 60, "{behind} of 90");
    assert_eq!(net.read(CITY, &key), bytes);
}

#[test]
fn when_the_link_above_dies_what_has_come_is_kept_and_said_and_goes_on_later() {
    let dir = tempfile::tempdir().unwrap();
    let mut net = Net::new(dir.path());
    let bytes = scan(70 * FILE_CHUNK_BYTES);
    let key = net.directive(&bytes);
    let above = net.open(DISTRICT, CITY);
    let below = net.open(A, DISTRICT);
    net.run();
    assert!(net.ends[A].replica.store.want_file(&key).unwrap());
    while net.step() && net.held(DISTRICT, &key) < 30 {}
    assert!(net.state(A, below).files.lacking == 0 || net.held(A, &key) == 0, "it is coming");
    net.cut(above);
    net.run();
    let held = net.held(DISTRICT, &key);
    assert!(held >= 30 && net.held(A, &key) == held, "all that came was passed on");
    let files = net.state(A, below).files;
    assert!(files.is_still() && files.lacking == 1, "the branch knows that nothing more comes now: {files:?}");
    net.open(DISTRICT, CITY);
    net.run();
    assert_eq!(net.read(A, &key), bytes);
    assert!(net.chunks(DISTRICT) == 70 && net.chunks(CITY) <= 73, "{} {}", net.chunks(DISTRICT), net.chunks(CITY));
}

#[test]
fn of_two_links_one_brings_the_file_and_when_it_dies_the_other_does() {
    let dir = tempfile::tempdir().unwrap();
    let mut net = Net::new(dir.path());
    let bytes = scan(50 * FILE_CHUNK_BYTES);
    let key = net.directive(&bytes);
    net.open(DISTRICT, CITY);
    net.run();
    assert!(net.whole(DISTRICT, &key));
    let links = [net.open(A, DISTRICT), net.open(A, DISTRICT)];
    while net.step() && net.held(A, &key) < 20 {}
    let from = |net: &Net, id: SessionId| {
        net.seen.iter().filter(|(l, n, f)| *l == id && *n == DISTRICT && matches!(f, Frame::FileChunk { .. })).count()
    };
    let sent = links.map(|id| from(&net, id));
    assert!(sent.contains(&0), "both bring it: {sent:?}");
    let brings = links[usize::from(sent[0] == 0)];
    net.cut(brings);
    net.run();
    assert_eq!(net.read(A, &key), bytes);
    assert!(net.chunks(DISTRICT) <= 53, "{} chunks of 50", net.chunks(DISTRICT));
}

#[test]
fn a_device_that_may_not_read_the_record_does_not_get_its_file_by_the_address() {
    let dir = tempfile::tempdir().unwrap();
    let mut net = Net::new(dir.path());
    // One comes over a link, one by a bundle.
    let bytes = [scan(3 * FILE_CHUNK_BYTES), scan(4 * FILE_CHUNK_BYTES)];
    let (_, linked) = net.attach(A, "programmes", "file", &bytes[0]);
    net.open(A, DISTRICT);
    net.run();
    net.cut_all();
    let (_, carried) = net.attach(A, "programmes", "file", &bytes[1]);
    let stick = dir.path().join("up.bundle");
    let mut watch = |_: crate::bundle::Step| {};
    let target = sampan_core::bundle::Target::Above;
    crate::bundle::create(&mut net.ends[A].replica, target, &stick, false, false, &mut watch).unwrap();
    let (district, stick) = (dir.path().join("district").display().to_string(), stick.display().to_string());
    done(&["bundle", "apply", &district, &stick]);
    let id = net.open(B, DISTRICT);
    net.run();
    let keys = [linked, carried];
    assert!(keys.iter().all(|k| net.whole(DISTRICT, k)), "the relay has both");
    assert!(net.seen.iter().all(|(l, _, _)| *l != id), "nothing is said of them to the other branch");
    // The other branch asks for them by the address, offers them, and speaks of them.
    let all = |k: &FileKey| vec![FileRun { first: 0, count: chunks_of(k.size) }];
    let asks = keys.map(|key| FileAsk { key, hashes: true, runs: all(&key) }).to_vec();
    net.forge(id, DISTRICT, &Frame::FileWant(asks.clone()));
    net.run();
    net.forge(id, DISTRICT, &Frame::FileOffer(keys.to_vec()));
    net.forge(id, DISTRICT, &Frame::FileWant(asks));
    for key in keys {
        for word in [FileWord::Held, FileWord::Later, FileWord::Lacking, FileWord::Unknown] {
            net.forge(id, DISTRICT, &Frame::FileAnswer(vec![FileSaid { key, word }]));
        }
        net.forge(id, DISTRICT, &Frame::FileHashes { key, hashes: vec![0; 32 * chunks_of(key.size) as usize] });
        net.forge(id, DISTRICT, &Frame::FileChunk { key, index: 0, bytes: vec![0; FILE_CHUNK_BYTES] });
    }
    net.run();
    for (link, from, frame) in &net.seen {
        if *link == id && *from == DISTRICT {
            assert!(matches!(frame, Frame::FileAnswer(_)), "{frame:?}");
        }
    }
    let said = net.words(id, DISTRICT);
    let known = keys.map(|key| FileSaid { key, word: FileWord::Unknown });
    assert!(known.iter().all(|w| said.contains(w)) && said.iter().all(|w| known.contains(w)), "{said:?}");
    assert!(keys.iter().all(|k| net.ends[B].replica.store.find(k).unwrap().is_none()));
    for (key, bytes) in keys.iter().zip(&bytes) {
        assert_eq!(net.read(DISTRICT, key), *bytes, "what is here is what it was");
    }
    // Who may read them has them: the city, from the same relay.
    net.open(DISTRICT, CITY);
    net.run();
    assert!(keys.iter().all(|k| net.whole(CITY, k)));
}

#[test]
fn questions_that_cannot_be_end_the_link_and_floods_are_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let mut net = Net::new(dir.path());
    let key = net.directive(&scan(3 * FILE_CHUNK_BYTES));
    net.open(DISTRICT, CITY);
    net.run();
    let run = |first, count| FileRun { first, count };
    let odd = [
        vec![run(0, u32::MAX)],
        vec![run(0, 4)],
        vec![run(3, 1)],
        vec![run(u32::MAX, 1)],
        vec![run(0, 0)],
        vec![run(1, 1), run(0, 1)],
        vec![run(0, 2), run(1, 1)],
    ];
    for runs in odd {
        let id = net.open(A, DISTRICT);
        net.run();
        assert!(net.state(DISTRICT, id).end.is_none());
        let before = net.seen.len();
        net.forge(id, DISTRICT, &Frame::FileWant(vec![FileAsk { key, hashes: false, runs: runs.clone() }]));
        net.run();
        assert!(net.state(DISTRICT, id).end.is_some(), "{runs:?}");
        assert_eq!(net.seen.len(), before, "{runs:?}");
        net.cut_all();
        net.open(DISTRICT, CITY);
    }
    let made_up = |n: u64| FileKey { address: sampan_core::id::Digest([(n % 251) as u8; 32]), size: n };
    let bounded = |net: &Net| {
        let all: Vec<_> = net.ends[DISTRICT].table.waiting().collect();
        assert!(all.iter().all(|(_, w)| w.is_bounded() && w.files <= FILES_WANTED_MAX), "{all:?}");
    };
    let id = net.open(A, DISTRICT);
    net.run();
    // Words about nothing cost nothing.
    for n in 0..200_u64 {
        let said = |word| (0..60).map(|i| FileSaid { key: made_up(n * 60 + i), word }).collect::<Vec<_>>();
        net.forge(id, DISTRICT, &Frame::FileAnswer(said(FileWord::Unknown)));
        net.forge(id, DISTRICT, &Frame::FileAnswer(said(FileWord::Later)));
    }
    net.run();
    assert_eq!(net.ends[DISTRICT].table.waiting().map(|(_, w)| w.files).max(), Some(0));
    assert!(net.state(DISTRICT, id).end.is_none());
    // Questions about nothing, to which nobody waits for an answer.
    for n in 0..2_000_u64 {
        let ask = |i: u64| FileAsk { key: made_up(n * 60 + i), hashes: true, runs: Vec::new() };
        let frame = Frame::FileWant((0..60).map(ask).collect());
        let bytes = frame.encode();
        net.work(DISTRICT, vec![TableInput::Frame { id, lane: lane::FILES, bytes, ahead: None }], false);
        bounded(&net);
    }
    let end = &net.state(DISTRICT, id).end;
    let flood = |words: &str| words.contains("FILES_WANTED_MAX");
    assert!(matches!(end, Some(SessionEnd::Failed(words)) if flood(words)), "who does not listen is let go: {end:?}");
    net.cut_all();
    net.open(A, DISTRICT);
    net.run();
    assert!(net.whole(A, &key));
}
