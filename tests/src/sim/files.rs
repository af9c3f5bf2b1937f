//! Files in worlds: people attach small ones to records, devices fetch them as they do in earnest, and each is judged
//! by the bytes that were attached.
//!
//! It does not: carry anything itself, or ask the store whether a file is right.
//!
//! Invariants: what a machine shows as whole is byte for byte what was attached; a file leaves a machine only toward one
//! that may read a record which names it; of a record that was erased no file is shown; in a healed world a small file
//! is wherever a record names it, if anybody reachable has it. All choices are of dice of their own: a world without
//! files is the world that its seed was before there were any.

use super::dice::Dice;
use super::fault::FaultKind;
use super::world::{Happening, Options, World};
use crate::model::When;
use sampan_core::entropy::{Entropy as _, random};
use sampan_core::file::chunks_of;
use sampan_core::id::{DeviceId, Digest, RecordId};
use sampan_core::limits::{FILE_ALONE_BYTES, FILE_CHUNK_BYTES, FILE_RUNS_MAX, FILES_NAMED_MAX};
use sampan_core::shelf::{FileKey, FileRun, Shelf as _};
use sampan_core::sync::lane;
use sampan_core::testing::SeededRng;
use sampan_core::wire::frame::{FileAsk, FileSaid, FileWord, Frame};
use std::collections::{BTreeMap, BTreeSet};

/// The field of cards, minutes and notices that holds a file, in worlds that have files.
const FIELD: &str = "scan";
const COLLECTIONS: [&str; 3] = ["cards", "minutes", "notices"];
/// Files that are attached in one world at most: each is a few commits and chunks more at every node that holds it.
const ATTACHED_MAX: u64 = 10;
/// Bytes of most files: a few chunks, which the slowest path of a world carries in time.
const BYTES_MAX: u64 = 60_000;
/// Made-up words and chunks of one go.
const FORGED_MAX: u64 = 40;

/// The files of a world.
#[derive(Debug)]
pub(super) struct Files {
    dice: Dice,
    /// Whether this world has any.
    pub(super) on: bool,
    left: u64,
    /// What was attached.
    bytes: BTreeMap<FileKey, Vec<u8>>,
    /// The records that ever named it.
    records: BTreeMap<FileKey, BTreeSet<RecordId>>,
}

/// Whether a world has files: only where that was chosen, so that every seed stays what it was.
pub(super) fn are_on(options: &Options) -> bool {
    options.files == Some(true)
}

/// The text of a schema with a field for files in each collection that may have them.
pub(super) fn schema(plain: &str) -> String {
    let fields = COLLECTIONS.map(|c| format!("\n[collection.{c}.field.{FIELD}]\nkind = \"file\"\n"));
    plain.to_owned() + &fields.concat()
}

impl Files {
    pub(super) fn new(seed: u64, options: &Options, edits: u64) -> Self {
        let mut dice = Dice::of(seed, "attached");
        let left = (1 + edits / 8).min(dice.between(2, ATTACHED_MAX));
        let on = are_on(options);
        Self { dice, on, left, bytes: BTreeMap::new(), records: BTreeMap::new() }
    }

    /// Bytes of all that was attached.
    pub(super) fn total(&self) -> u64 {
        self.bytes.keys().map(|k| k.size).sum()
    }
}

impl World {
    /// Somebody attaches a file, and the next one is planned.
    pub(super) fn attach(&mut self) {
        if self.files.left == 0 || self.healed {
            return;
        }
        self.files.left -= 1;
        let after = self.files.dice.around(self.shape.lasts / (self.files.left + 2)).max(1);
        self.at(after, Happening::Attach);
        let running: Vec<usize> = (0..self.machines.len())
            .filter(|n| self.process(*n).is_some_and(|p| p.sleeps_until <= self.now) && !self.exempt[*n])
            .collect();
        let Some(n) = self.files.dice.pick(&running).copied() else { return };
        let Some(p) = self.machines[n].process.as_mut() else { return };
        let held: Vec<RecordId> = self
            .people
            .records()
            .iter()
            .filter(|(c, id)| COLLECTIONS.contains(&c.as_str()) && p.replica.collection_of(*id).is_ok())
            .map(|(_, id)| *id)
            .collect();
        let Some(id) = self.files.dice.pick(&held).copied() else { return };
        let dice = &mut self.files.dice;
        let len = match dice.between(0, 99) {
            0..=4 => 0,
            5..=9 => FILE_CHUNK_BYTES as u64 * dice.between(1, 3),
            10..=12 => FILE_ALONE_BYTES,
            _ => dice.between(1, BYTES_MAX),
        };
        let mut bytes = vec![0; len as usize];
        SeededRng::new(dice.bits()).fill(&mut bytes);
        let done = p.replica.attach(id, FIELD, "a.pdf", &bytes);
        let name = self.machines[n].name.clone();
        if let Ok(manifest) = sampan_core::file::Manifest::of(&bytes) {
            // Though it failed it may have been kept.
            let key = FileKey { address: manifest.address(), size: len };
            self.files.bytes.insert(key, bytes);
            self.files.records.entry(key).or_default().insert(id);
        }
        match done {
            Ok(file) => {
                self.stats.edits += 1;
                self.say(&format!("{name} attaches {} of {len} bytes to {id}", file.address));
            }
            Err(_) => self.say(&format!("{name} may not attach to {id}")),
        }
        if self.machines[n].disk.is_off() {
            let down = self.files.dice.around(600_000);
            self.died(n, down);
            return;
        }
        self.after_step(n);
        self.wake(n);
        for m in 0..self.machines.len() {
            self.check_whole(m);
        }
    }

    /// What a machine shows as whole is what was attached.
    pub(super) fn check_whole(&mut self, n: usize) {
        if self.exempt[n] {
            return;
        }
        let Some(p) = &self.machines[n].process else { return };
        let store = &p.replica.store;
        let mut wrong = Vec::new();
        for key in store.files().unwrap_or_default() {
            if !store.find(&key).is_ok_and(|f| f.is_some_and(|f| f.whole)) {
                continue;
            }
            let chunk = |i| store.chunk(&key, i).ok().flatten().unwrap_or_default();
            let here: Vec<u8> = (0..chunks_of(key.size)).flat_map(chunk).collect();
            if self.files.bytes.get(&key) != Some(&here) {
                wrong.push(format!("{} shows a file as whole that is not what was attached", self.machines[n].name));
            }
        }
        wrong.into_iter().for_each(|w| self.ledger.accuse(w));
    }

    /// A file leaves only toward one that may read a record which names it.
    pub(super) fn check_file_told(&mut self, by: usize, to: usize, frame: &Frame) {
        let key = match frame {
            Frame::FileHashes { key, .. } | Frame::FileChunk { key, .. } => *key,
            _ => return,
        };
        if self.exempt[by] {
            return;
        }
        let Some(p) = &self.machines[by].process else { return };
        let spaces = p.replica.store.file_spaces(&key).unwrap_or_default();
        let device = self.machines[to].device;
        let charter = self.whole_charter();
        if !spaces.iter().any(|s| charter.may_read(&device, s, When::Ever)) {
            self.after_step(by);
            let charter = self.whole_charter();
            if !spaces.iter().any(|s| charter.may_read(&device, s, When::Ever)) {
                let name = self.machines[to].name.clone();
                self.ledger.accuse(format!("{name} is given a file that no record names which it may read"));
            }
        }
    }

    /// Goes on until every file is where it belongs: nodes look around once a minute.
    pub(super) fn let_files_come(&mut self, within: u64) {
        if self.files.bytes.is_empty() {
            return;
        }
        let deadline = self.now + within;
        self.minutes = true;
        self.at(1, Happening::Minute);
        let mut n = 0_u64;
        while self.ledger.broken.is_empty() {
            n += 1;
            if n.is_multiple_of(64) && self.file_owed().is_none() && self.in_step().is_none() {
                break;
            }
            if self.now > deadline || !self.advance() {
                break;
            }
        }
        if self.ledger.broken.is_empty()
            && let Some(words) = self.file_owed()
        {
            self.ledger.accuse(words);
        }
        self.minutes = false;
    }

    /// The first small file that is not where a record names it, though somebody has it who can bring it.
    fn file_owed(&self) -> Option<String> {
        // A relay that promises nothing may stand between.
        if (0..self.machines.len()).any(|n| self.exempt[n] && self.spec(n).relay) {
            return None;
        }
        let poor: BTreeSet<DeviceId> = self.court.poor_devices(self);
        let fit = |n: &usize| !self.exempt[*n] && self.machines[*n].runs() && !poor.contains(&self.machines[*n].device);
        let fit: Vec<usize> = (0..self.machines.len()).filter(fit).collect();
        let mut whole: BTreeMap<FileKey, Vec<usize>> = BTreeMap::new();
        for n in &fit {
            let store = &self.process(*n)?.replica.store;
            for key in self.files.bytes.keys() {
                if store.find(key).is_ok_and(|f| f.is_some_and(|f| f.whole)) {
                    whole.entry(*key).or_default().push(*n);
                }
            }
        }
        for n in &fit {
            let Ok(wanted) = self.process(*n)?.replica.store.wanted() else { continue };
            for file in wanted.iter().filter(|f| f.key.size < FILE_ALONE_BYTES) {
                for m in whole.get(&file.key).into_iter().flatten() {
                    let there = self.process(*m)?.replica.store.file_spaces(&file.key).unwrap_or_default();
                    if there.iter().any(|s| file.spaces.contains(s)) {
                        let (name, other) = (&self.machines[*n].name, &self.machines[*m].name);
                        return Some(format!(
                            "{name} lacks the file {} that {other} has, after everything healed",
                            file.key.address
                        ));
                    }
                }
            }
        }
        None
    }

    /// The last look at a machine's files.
    pub(super) fn check_files(&mut self, n: usize) {
        if !self.files.on {
            return;
        }
        self.check_whole(n);
        let Some(p) = &self.machines[n].process else { return };
        let (store, charter) = (&p.replica.store, p.replica.engine.charter());
        // A bundle of before may bring what nothing names; it goes when its time is over.
        let carried = self.faults.counts().contains_key(&FaultKind::Carried);
        let mut words = Vec::new();
        for (key, records) in &self.files.records {
            if !records.iter().all(|r| charter.erasure_of(r).is_some()) {
                continue;
            }
            let named = store.find(key).is_ok_and(|f| f.is_some());
            let kept = !carried && store.files().is_ok_and(|all| all.contains(key));
            if named || kept {
                words.push(format!("{} has a file of a record that is erased", self.machines[n].name));
            }
        }
        words.into_iter().for_each(|w| self.ledger.accuse(w));
    }

    /// A hostile peer asks for what is not its own, offers what nobody has, and hands over what nobody asked for.
    pub(super) fn forge_about_files(&mut self, n: usize) {
        let kind = FaultKind::HostileFile;
        let known: Vec<FileKey> = self.files.bytes.keys().copied().collect();
        let mut dice = self.files.dice.clone();
        // The next go is another.
        self.files.dice.bits();
        for _ in 0..dice.between(1, FORGED_MAX) {
            let made_up =
                FileKey { address: Digest(random(&mut SeededRng::new(dice.bits()))), size: dice.between(0, 300_000) };
            let key = match dice.pick(&known) {
                Some(key) if dice.chance(700) => *key,
                Some(_) | None => made_up,
            };
            let all = FileRun { first: 0, count: chunks_of(key.size) };
            let runs = match dice.between(0, 9) {
                0 => vec![FileRun { first: 0, count: u32::MAX }],
                1 => vec![all; FILE_RUNS_MAX],
                _ if all.count == 0 => Vec::new(),
                _ => vec![all],
            };
            let said = |word| Frame::FileAnswer(vec![FileSaid { key, word }; FILES_NAMED_MAX]);
            let frame = match dice.between(0, 9) {
                0..=4 => Frame::FileWant(vec![FileAsk { key, hashes: true, runs }]),
                5 => Frame::FileOffer(vec![key, made_up]),
                6 => Frame::FileHashes { key, hashes: vec![7; 32 * chunks_of(key.size) as usize] },
                7 => Frame::FileChunk { key, index: dice.between(0, 4) as u32, bytes: vec![7; FILE_CHUNK_BYTES] },
                8 => said(FileWord::Held),
                _ => said(FileWord::Unknown),
            };
            self.forge(n, kind, lane::FILES, &frame);
        }
    }
}

/// Alters a frame about files; whether it did.
pub(super) fn bend(dice: &mut Dice, bytes: &mut Vec<u8>) -> bool {
    let Ok(mut frame) = Frame::decode(bytes) else { return false };
    match &mut frame {
        Frame::FileChunk { index, bytes, key } if dice.chance(400) => match dice.between(0, 5) {
            0 => *index = index.wrapping_add(1),
            1 => bytes.truncate(bytes.len() / 2),
            2 => key.size += 1,
            3 => bytes.push(0),
            _ => {
                let at = dice.between(0, bytes.len().saturating_sub(1) as u64) as usize;
                bytes.get_mut(at).into_iter().for_each(|b| *b ^= 1);
            }
        },
        Frame::FileHashes { hashes, .. } if dice.chance(200) => match dice.between(0, 1) {
            0 => hashes.truncate(hashes.len() / 2),
            _ => hashes.first_mut().into_iter().for_each(|b| *b ^= 1),
        },
        _ => return false,
    }
    *bytes = frame.encode();
    true
}
