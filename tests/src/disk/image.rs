//! What lies on a made-up disk: files with a durable image, and what no sync has covered yet.
//!
//! It does not: know SQLite, locks, faults or time. It plays one operation after the other.
//!
//! Invariants: everything follows from the operations and the seed of a crash. What a sync covered
//! survives every crash; of what none covered, any part may. Names (creation, deletion, moving) become
//! durable in order, by a sync of the folder, as on every journalling file system.

use sampan_core::testing::SeededRng;
use std::collections::BTreeMap;

/// What a disk writes in one piece or not at all, in bytes.
pub const SECTOR: u64 = 512;

/// Whole files by name: a backup, a clone, what a crash left.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Image {
    /// The bytes of each file.
    pub files: BTreeMap<String, Vec<u8>>,
}

/// What a power cut leaves of what no sync has covered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Crash {
    /// Nothing.
    DropUnsynced,
    /// Any writes and none of the others, whatever their order was.
    RandomSubset(u64),
    /// All writes up to one, which is torn between sectors and within one, and none after it.
    TornSector(u64),
}

/// One operation on a disk. Files are named by a number that their creation gives, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// A name and an empty file.
    Create(String),
    /// Bytes at a place.
    Write(u64, u64, Vec<u8>),
    /// A new length.
    Cut(u64, u64),
    /// The file's content becomes durable, and with `true` the folder's names as well.
    Sync(u64, bool),
    /// A name goes.
    Delete(String),
    /// A file gets another name, whose file goes.
    Rename(String, String),
    /// The folder's names become durable.
    SyncFolder,
}

#[derive(Debug, Clone, Default)]
struct Content {
    durable: Vec<u8>,
    current: Vec<u8>,
    pending: Vec<Change>,
}

#[derive(Debug, Clone)]
enum Change {
    Write(u64, Vec<u8>),
    Cut(u64),
}

#[derive(Debug, Clone)]
enum Naming {
    Is(String, u64),
    Gone(String),
    Moved(String, String, u64),
}

/// The files of one disk.
#[derive(Debug, Clone, Default)]
pub struct Model {
    contents: BTreeMap<u64, Content>,
    names: BTreeMap<String, u64>,
    durable_names: BTreeMap<String, u64>,
    namings: Vec<Naming>,
    given: u64,
    steps: u64,
    /// A torn write may also spoil what lay beside it in its sector.
    pub rough: bool,
}

fn place(bytes: &mut Vec<u8>, at: u64, new: &[u8]) {
    let at = at as usize;
    if bytes.len() < at + new.len() {
        bytes.resize(at + new.len(), 0);
    }
    bytes[at..at + new.len()].copy_from_slice(new);
}

impl Change {
    fn play(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Write(at, new) => place(bytes, *at, new),
            Self::Cut(len) => bytes.resize(*len as usize, 0),
        }
    }
}

impl Naming {
    fn play(&self, names: &mut BTreeMap<String, u64>) {
        match self {
            Self::Is(name, file) => drop(names.insert(name.clone(), *file)),
            Self::Gone(name) => drop(names.remove(name)),
            Self::Moved(from, to, file) => {
                names.remove(from);
                names.insert(to.clone(), *file);
            }
        }
    }
}

impl Model {
    /// A disk that holds these files, durably.
    #[must_use]
    pub fn of(image: &Image) -> Self {
        let mut m = Self::default();
        for (name, bytes) in &image.files {
            m.given += 1;
            m.contents.insert(m.given, Content { durable: bytes.clone(), current: bytes.clone(), pending: Vec::new() });
            m.names.insert(name.clone(), m.given);
        }
        m.durable_names = m.names.clone();
        m
    }

    /// Operations played.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// An empty disk; a rough one promises nothing about what lies beside a torn write.
    #[must_use]
    pub fn empty(rough: bool) -> Self {
        Self { rough, ..Self::default() }
    }

    /// The file of a name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<u64> {
        self.names.get(name).copied()
    }

    /// The file that the next creation makes.
    #[must_use]
    pub fn next_file(&self) -> u64 {
        self.given + 1
    }

    /// The content of a file as programs see it; empty for one that is not there.
    #[must_use]
    pub fn content(&self, file: u64) -> &[u8] {
        self.contents.get(&file).map_or(&[], |c| &c.current)
    }

    /// Bytes of all files that have a name.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.names.values().map(|f| self.content(*f).len() as u64).sum()
    }

    /// Plays one operation. One that makes no sense (a file that is not there) does nothing.
    pub fn play(&mut self, op: &Op) {
        self.steps += 1;
        match op {
            Op::Create(name) => {
                self.given += 1;
                self.contents.insert(self.given, Content::default());
                self.name(Naming::Is(name.clone(), self.given));
            }
            Op::Write(file, at, bytes) => self.change(*file, Change::Write(*at, bytes.clone())),
            Op::Cut(file, len) => self.change(*file, Change::Cut(*len)),
            Op::Sync(file, folder) => {
                if let Some(c) = self.contents.get_mut(file) {
                    for change in std::mem::take(&mut c.pending) {
                        change.play(&mut c.durable);
                    }
                }
                if *folder {
                    self.settle_names();
                }
            }
            Op::Delete(name) => self.name(Naming::Gone(name.clone())),
            Op::Rename(from, to) => {
                if let Some(file) = self.find(from) {
                    self.name(Naming::Moved(from.clone(), to.clone(), file));
                }
            }
            Op::SyncFolder => self.settle_names(),
        }
    }

    fn change(&mut self, file: u64, change: Change) {
        if let Some(c) = self.contents.get_mut(&file) {
            change.play(&mut c.current);
            c.pending.push(change);
        }
    }

    fn name(&mut self, naming: Naming) {
        naming.play(&mut self.names);
        self.namings.push(naming);
    }

    fn settle_names(&mut self) {
        for naming in std::mem::take(&mut self.namings) {
            naming.play(&mut self.durable_names);
        }
    }

    /// Writes and cuts that no sync has covered, and names that would lose content in a crash.
    #[must_use]
    pub fn unsynced(&self) -> usize {
        let changes: usize = self.names.values().filter_map(|f| self.contents.get(f)).map(|c| c.pending.len()).sum();
        let loses = |n: &&Naming| match n {
            Naming::Is(_, file) | Naming::Moved(_, _, file) => !self.content(*file).is_empty(),
            Naming::Gone(_) => false,
        };
        changes + self.namings.iter().filter(loses).count()
    }

    /// As [`Model::unsynced`], of the file of this name alone and without names.
    #[must_use]
    pub fn unsynced_in(&self, name: &str) -> usize {
        self.find(name).and_then(|f| self.contents.get(&f)).map_or(0, |c| c.pending.len())
    }

    /// What programs see now.
    #[must_use]
    pub fn current(&self) -> Image {
        Image { files: self.names.iter().map(|(n, f)| (n.clone(), self.content(*f).to_vec())).collect() }
    }

    /// What a power cut now would leave.
    #[must_use]
    pub fn after(&self, crash: Crash) -> Image {
        let mut rng = match crash {
            Crash::DropUnsynced => SeededRng::new(0),
            Crash::RandomSubset(seed) | Crash::TornSector(seed) => SeededRng::new(seed),
        };
        let mut names = self.durable_names.clone();
        if crash != Crash::DropUnsynced {
            let kept = rng.below(self.namings.len() as u64 + 1) as usize;
            self.namings.iter().take(kept).for_each(|n| n.play(&mut names));
        }
        let mut files = BTreeMap::new();
        for (name, file) in names {
            let Some(c) = self.contents.get(&file) else { continue };
            let mut bytes = c.durable.clone();
            match crash {
                Crash::DropUnsynced => {}
                Crash::RandomSubset(_) => {
                    c.pending.iter().for_each(|p| {
                        if rng.one_in(2) {
                            p.play(&mut bytes);
                        }
                    });
                }
                Crash::TornSector(_) if c.pending.is_empty() => {}
                Crash::TornSector(_) => {
                    let at = rng.below(c.pending.len() as u64) as usize;
                    c.pending.iter().take(at).for_each(|p| p.play(&mut bytes));
                    match &c.pending[at] {
                        Change::Write(at, new) => tear(&mut bytes, *at, new, self.rough, &mut rng),
                        Change::Cut(len) => {
                            // Cut or extended by a part only.
                            let (a, b) = (bytes.len() as u64, *len);
                            let between = a.min(b) + rng.below(a.abs_diff(b) + 1);
                            bytes.resize(between as usize, 0);
                        }
                    }
                }
            }
            files.insert(name, bytes);
        }
        Image { files }
    }

    /// Flips one bit of a file that has a name, also of what is durable; where.
    pub fn flip_bit(&mut self, name: &str, seed: u64) -> Option<u64> {
        let file = self.find(name)?;
        let c = self.contents.get_mut(&file)?;
        let len = c.current.len().min(c.durable.len()) as u64;
        let mut rng = SeededRng::new(seed);
        let at = if len == 0 { return None } else { rng.below(len) };
        let bit = 1 << rng.below(8);
        c.current[at as usize] ^= bit;
        c.durable[at as usize] ^= bit;
        Some(at)
    }
}

/// Some sectors of a write get through, and one of them in part.
fn tear(bytes: &mut Vec<u8>, at: u64, new: &[u8], rough: bool, rng: &mut SeededRng) {
    let end = at + new.len() as u64;
    let mut pieces = Vec::new();
    let mut from = at;
    while from < end {
        let to = ((from / SECTOR + 1) * SECTOR).min(end);
        pieces.push((from, to));
        from = to;
    }
    if pieces.is_empty() {
        return;
    }
    let broken = rng.below(pieces.len() as u64) as usize;
    for (n, (from, to)) in pieces.iter().copied().enumerate() {
        let piece = &new[(from - at) as usize..(to - at) as usize];
        if n != broken {
            if rng.one_in(2) {
                place(bytes, from, piece);
            }
            continue;
        }
        // Within the broken sector: its beginning is new, then noise up to a point, then what was.
        let (a, b) = (rng.below(to - from + 1), rng.below(to - from + 1));
        let (fresh, noisy) = (a.min(b) as usize, a.max(b) as usize);
        place(bytes, from, &piece[..fresh]);
        let noise: Vec<u8> = (fresh..noisy).map(|_| rng.next_u64() as u8).collect();
        place(bytes, from + fresh as u64, &noise);
        if rough {
            let start = from / SECTOR * SECTOR;
            let stop = (start + SECTOR).min(bytes.len() as u64);
            for b in bytes.iter_mut().take(stop as usize).skip(start as usize) {
                if rng.one_in(8) {
                    *b = rng.next_u64() as u8;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled() -> Model {
        let mut m = Model::default();
        m.play(&Op::Create("a".into()));
        m.play(&Op::Write(1, 0, vec![1; 2_000]));
        m.play(&Op::Sync(1, true));
        m
    }

    #[test]
    fn what_was_synced_survives_and_what_was_not_may() {
        let mut m = filled();
        let before = m.current();
        assert_eq!(m.unsynced(), 0);
        m.play(&Op::Write(1, 500, vec![2; 1_100]));
        m.play(&Op::Write(1, 3_000, vec![3; 10]));
        m.play(&Op::Create("b".into()));
        m.play(&Op::Write(2, 0, vec![9]));
        assert_eq!(m.unsynced(), 4);
        assert_eq!(m.after(Crash::DropUnsynced), before);
        let all: std::collections::BTreeSet<_> =
            (0..64).map(|s| m.after(Crash::RandomSubset(s)).files.values().cloned().collect::<Vec<_>>()).collect();
        assert!(all.len() > 4, "many outcomes: {}", all.len());
        let torn = (0..64).map(|s| m.after(Crash::TornSector(s)));
        for image in torn {
            let a = &image.files["a"];
            assert!(a.len() >= 2_000);
            assert!(a[..500].iter().all(|b| *b == 1) && a[1_600..2_000].iter().all(|b| *b == 1));
        }
        m.play(&Op::Sync(1, false));
        assert_eq!(m.after(Crash::DropUnsynced).files["a"].len(), 3_010);
        assert_eq!(m.after(Crash::DropUnsynced).files.get("b"), None, "its name is not durable");
    }

    #[test]
    fn a_move_is_whole_or_not() {
        let mut m = filled();
        m.play(&Op::Rename("a".into(), "b".into()));
        for s in 0..16 {
            assert_eq!(m.after(Crash::RandomSubset(s)).files.len(), 1);
        }
        assert!(m.after(Crash::DropUnsynced).files.contains_key("a"));
        m.play(&Op::SyncFolder);
        assert!(m.after(Crash::DropUnsynced).files.contains_key("b"));
    }

    #[test]
    fn rot_reaches_what_is_durable() {
        let mut m = filled();
        let at = m.flip_bit("a", 5).unwrap();
        assert_ne!(m.after(Crash::DropUnsynced).files["a"][at as usize], 1);
        assert_eq!(m.flip_bit("b", 5), None);
    }
}
