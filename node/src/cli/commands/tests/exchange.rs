//! Files between two replicas on a link of this test: what is asked for and given, frame by frame, and what a bad
//! neighbour gets.
//!
//! It does not: use a socket.

use super::files::scan;
use super::*;
use crate::desk::table::{Table, TableInput, TableOutput};
use crate::desk::{SessionId, SessionState};
use sampan_core::file::{FileRef, Manifest};
use sampan_core::limits::FILE_CHUNK_BYTES;
use sampan_core::shelf::{FileKey, FileRun, Shelf as _};
use sampan_core::sync::{Role, lane};
use sampan_core::wire::frame::{FileAsk, FileSaid, FileWord, Frame};
use std::collections::VecDeque;

/// One end.
struct End {
    replica: Replica,
    table: Table,
    state: SessionState,
}

/// What the link saw of files: from the lower end or not, and the frame.
type Seen = Vec<(bool, Frame)>;

struct Link {
    lower: End,
    upper: End,
    seen: Seen,
    id: u64,
    /// Whether the lower end leaves once its state allows it.
    leave: bool,
}

impl Link {
    /// A city and a branch in one folder, in step.
    fn new(dir: &Path) -> Self {
        let (d, line) = city(dir);
        let into = dir.join("branch");
        let ticket = TicketArgs { ticket: Some(line), file: None };
        let args = JoinArgs { dir: into.clone(), ticket, timeout: 0 };
        let mut ask = |_: &mut Replica, _, _: &App| Ok(AfterJoin::Offline { why: String::new() });
        with_app(&["status", "x"], &mut |_, app| join_with(&args, Settings::default(), app, &mut ask)).unwrap();
        let end = |path: &Path| {
            let replica = Replica::open(path, &Settings::default()).unwrap();
            let table = Table::new(&replica);
            End { replica, table, state: SessionState::default() }
        };
        let mut link = Self { lower: end(&into), upper: end(Path::new(&d)), seen: Vec::new(), id: 0, leave: false };
        link.session(|_, _| true, |_| false);
        assert!(link.lower.state.verified_at.is_some(), "{:?}", link.lower.state);
        link
    }

    /// One session until nothing moves, or `cut` says so after a frame. `pass` may change a frame, or drop it.
    fn session(&mut self, mut pass: impl FnMut(bool, &mut Frame) -> bool, mut cut: impl FnMut(&Seen) -> bool) {
        self.id += 1;
        let id = SessionId(self.id);
        (self.lower.state, self.upper.state) = Default::default();
        let (lower, upper) = (self.lower.replica.device(), self.upper.replica.device());
        let mut queue: VecDeque<(bool, TableInput)> = VecDeque::new();
        queue.push_back((false, TableInput::Open { id, role: Role::Upper, peer: lower, fallback: false }));
        queue.push_back((true, TableInput::Open { id, role: Role::Lower, peer: upper, fallback: false }));
        'link: loop {
            let Some((at_lower, input)) = queue.pop_front() else {
                // In a quiet moment each end looks at what came, as a desk does.
                let mut more = false;
                for at_lower in [true, false] {
                    let end = if at_lower { &mut self.lower } else { &mut self.upper };
                    end.replica.project().unwrap();
                    let (out, _) = end.table.transact(&mut end.replica, Vec::new(), true);
                    more |= Self::deliver(&mut self.seen, end, at_lower, out, &mut queue, &mut pass);
                }
                if !more {
                    break;
                }
                continue;
            };
            let end = if at_lower { &mut self.lower } else { &mut self.upper };
            let (out, _) = end.table.transact(&mut end.replica, vec![input], false);
            Self::deliver(&mut self.seen, end, at_lower, out, &mut queue, &mut pass);
            let state = &self.lower.state;
            let done = state.verified_at.is_some() && state.settled && state.names_known && state.files.is_still();
            if cut(&self.seen) || (self.leave && done) {
                break 'link;
            }
        }
        for end in [&mut self.lower, &mut self.upper] {
            end.table.transact(&mut end.replica, vec![TableInput::Closed { id }], false);
        }
    }

    fn deliver(
        seen: &mut Seen,
        end: &mut End,
        from_lower: bool,
        out: Vec<TableOutput>,
        queue: &mut VecDeque<(bool, TableInput)>,
        pass: &mut impl FnMut(bool, &mut Frame) -> bool,
    ) -> bool {
        let mut any = false;
        for output in out {
            match output {
                TableOutput::Frame { id, lane, bytes } => {
                    any = true;
                    queue.push_back((from_lower, TableInput::Sent { id, lane }));
                    let mut frame = Frame::decode(&bytes).unwrap();
                    assert_eq!(frame.is_file(), lane == lane::FILES, "{}", frame.name());
                    if pass(from_lower, &mut frame) {
                        queue.push_back((
                            !from_lower,
                            TableInput::Frame { id, lane, bytes: frame.encode(), ahead: None },
                        ));
                    }
                    if frame.is_file() {
                        seen.push((from_lower, frame));
                    }
                }
                TableOutput::State { state, .. } => end.state = *state,
                TableOutput::Close { .. } => {}
            }
        }
        any
    }

    /// A session that the lower end leaves as a `sync` does.
    fn leaving(&mut self) {
        self.leave = true;
        self.in_step();
        self.leave = false;
    }

    fn in_step(&mut self) {
        self.session(|_, _| true, |_| false);
    }

    /// A directive of the city with a file, in step at both ends.
    fn directive(&mut self, bytes: &[u8]) -> (RecordId, FileKey) {
        let r = &mut self.upper.replica;
        let collection = r.schema().unwrap().collection("directives").unwrap().clone();
        let unit = r.units()[0];
        let title = sampan_core::value::Value::Str("Chỉ thị 05".into());
        let id = r.add(&collection, unit, [("title".to_owned(), title)].into()).unwrap();
        let file = r.attach(id, "scan", "a.pdf", bytes).unwrap();
        (id, FileKey { address: file.address, size: file.size })
    }

    fn chunks(&self, from_lower: bool) -> usize {
        self.seen.iter().filter(|(l, f)| *l == from_lower && matches!(f, Frame::FileChunk { .. })).count()
    }
}

fn whole(end: &End, key: &FileKey) -> bool {
    end.replica.store.find(key).unwrap().is_some_and(|f| f.whole)
}

#[test]
fn a_session_says_nothing_of_files_where_there_are_none() {
    let dir = tempfile::tempdir().unwrap();
    let mut link = Link::new(dir.path());
    link.in_step();
    assert_eq!(link.seen, Vec::new());
}

#[test]
fn a_small_file_comes_down_once_and_nothing_more_is_said_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut link = Link::new(dir.path());
    let bytes = scan(5 * FILE_CHUNK_BYTES + 9);
    let (_, key) = link.directive(&bytes);
    link.in_step();
    assert!(whole(&link.lower, &key));
    assert_eq!(link.chunks(false), 6);
    let mut out = Vec::new();
    let file = FileRef { address: key.address, size: key.size, name: "a".into() };
    link.lower.replica.write_file(&file, &mut out).unwrap();
    assert_eq!(out, bytes);
    link.seen.clear();
    link.in_step();
    assert_eq!(link.seen, Vec::new());
}

#[test]
fn a_file_that_was_cut_off_goes_on_with_the_chunk_that_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    let mut link = Link::new(dir.path());
    let (_, key) = link.directive(&scan(40 * FILE_CHUNK_BYTES));
    let mut sessions = 0;
    while !whole(&link.lower, &key) {
        sessions += 1;
        let from = link.chunks(false);
        link.session(
            |_, _| true,
            |seen| seen.iter().filter(|(_, f)| matches!(f, Frame::FileChunk { .. })).count() >= from + 7,
        );
        assert!(sessions < 30);
    }
    assert!(sessions > 3, "{sessions}");
    // What was on its way at a cut comes again, and nothing else: two frames a lane.
    assert!(link.chunks(false) <= 40 + 3 * sessions, "{} chunks in {sessions} sessions", link.chunks(false));
    let lists = link.seen.iter().filter(|(_, f)| matches!(f, Frame::FileHashes { .. })).count();
    assert!(lists <= 2, "the list of chunks is kept: {lists}");
}

#[test]
fn a_large_file_comes_only_when_it_is_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let mut link = Link::new(dir.path());
    let (_, key) = link.directive(&scan(1_000_000));
    let (_, just) = link.directive(&scan(999_999));
    link.in_step();
    assert_eq!((whole(&link.lower, &key), whole(&link.lower, &just)), (false, true));
    assert!(link.lower.replica.store.want_file(&key).unwrap());
    link.in_step();
    assert!(whole(&link.lower, &key));
}

#[test]
fn a_file_goes_up_with_its_record_and_the_lower_end_knows_when_it_may_leave() {
    let dir = tempfile::tempdir().unwrap();
    let mut link = Link::new(dir.path());
    let r = &mut link.lower.replica;
    let collection = r.schema().unwrap().collection("programmes").unwrap().clone();
    let unit = r.units()[0];
    let title = sampan_core::value::Value::Str("Chương trình".into());
    let id = r.add(&collection, unit, [("title".to_owned(), title)].into()).unwrap();
    let file = r.attach(id, "file", "a.pdf", &scan(100_000)).unwrap();
    let key = FileKey { address: file.address, size: file.size };
    let mut early = false;
    link.session(
        |_, _| true,
        |seen| {
            early |= seen.iter().any(|(_, f)| matches!(f, Frame::FileOffer(_)));
            false
        },
    );
    assert!(early, "it was not offered");
    assert!(whole(&link.upper, &key));
    assert!(link.lower.state.files.is_still() && link.lower.state.names_known, "{:?}", link.lower.state);
    // A large one is offered, and the word is that it is not needed now.
    let large = link.lower.replica.attach(id, "file", "b.pdf", &scan(1_200_000)).unwrap();
    let large = FileKey { address: large.address, size: large.size };
    link.seen.clear();
    link.in_step();
    assert!(!whole(&link.upper, &large) && link.lower.state.files.is_still());
    let later = FileSaid { key: large, word: FileWord::Later };
    assert!(link.seen.iter().any(|(_, f)| matches!(f, Frame::FileAnswer(said) if said.contains(&later))));
    link.seen.clear();
    link.in_step();
    let asked_after = [(true, Frame::FileOffer(Vec::new())), (false, Frame::FileAnswer(Vec::new()))];
    assert_eq!(link.seen, asked_after, "nothing is offered twice");
    // Wanted above, it is asked for.
    assert!(link.upper.replica.store.want_file(&large).unwrap());
    // The lower end leaves as soon as it has nothing to wait for, and must have heard of it by then.
    link.leaving();
    assert!(whole(&link.upper, &large));
    link.seen.clear();
    link.in_step();
    assert_eq!(link.seen, Vec::new());
}

#[test]
fn a_chunk_that_was_changed_is_not_kept_and_the_records_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let mut link = Link::new(dir.path());
    let (_, key) = link.directive(&scan(5 * FILE_CHUNK_BYTES));
    let bend = |_: bool, frame: &mut Frame| {
        if let Frame::FileChunk { index: 3, bytes, .. } = frame {
            bytes[7] ^= 1;
        }
        true
    };
    link.session(bend, |_| false);
    assert!(!whole(&link.lower, &key) && link.lower.state.verified_at.is_some() && link.lower.state.end.is_none());
    assert_eq!(link.lower.replica.store.missing_chunks(&key, 9).unwrap(), vec![FileRun { first: 3, count: 2 }]);
    link.in_step();
    assert!(whole(&link.lower, &key), "an honest neighbour brings the rest");
}

#[test]
fn who_asks_for_what_no_shared_record_names_hears_that_it_is_unknown() {
    let dir = tempfile::tempdir().unwrap();
    let mut link = Link::new(dir.path());
    // A file of the city's own, that no branch sees: of a local record, and of none.
    let r = &mut link.upper.replica;
    let collection = r.schema().unwrap().collection("programmes").unwrap().clone();
    let title = sampan_core::value::Value::Str("Riêng".into());
    let unit = r.units()[0];
    let id = r.add(&collection, unit, [("title".to_owned(), title)].into()).unwrap();
    let own = r.attach(id, "file", "a.pdf", &scan(50_000)).unwrap();
    let own = FileKey { address: own.address, size: own.size };
    let bytes = scan(70_000);
    let unnamed = r.store.put_file(&Manifest::of(&bytes).unwrap(), &bytes).unwrap();
    let (_, shared) = link.directive(&scan(60_000));
    let made_up = FileKey { address: own.address, size: own.size + 1 };
    let everything = |key: &FileKey| FileRun { first: 0, count: sampan_core::file::chunks_of(key.size) };
    let asked = [own, unnamed, made_up];
    // The branch is changed on the way: it asks for three more.
    let greedy = |from_lower: bool, frame: &mut Frame| {
        if let Frame::FileWant(asks) = frame
            && from_lower
        {
            asks.extend(asked.map(|key| FileAsk { key, hashes: true, runs: vec![everything(&key)] }));
        }
        true
    };
    link.session(greedy, |_| false);
    assert!(whole(&link.lower, &shared));
    for (_, frame) in link.seen.iter().filter(|(from_lower, _)| !from_lower) {
        match frame {
            Frame::FileHashes { key, .. } | Frame::FileChunk { key, .. } => assert_eq!(*key, shared),
            Frame::FileAnswer(said) => {
                assert!(said.iter().all(|s| s.key == shared || s.word == FileWord::Unknown), "{said:?}");
            }
            other => assert!(!matches!(other, Frame::FileOffer(_)), "{other:?}"),
        }
    }
    let unknown = |key| {
        let said = FileSaid { key, word: FileWord::Unknown };
        link.seen.iter().any(|(_, f)| matches!(f, Frame::FileAnswer(all) if all.contains(&said)))
    };
    assert!(asked.into_iter().all(unknown), "each is answered alike");
    assert!(link.upper.state.end.is_none());
}
