//! Random charters, rightful and hostile: the engine's fold beside the plain model's, and what counts
//! beside what counted before.
//!
//! It does not: open links or keep stores. Commits are made by hand and folded.
//!
//! Invariants: everything follows from the seed; a commit names only causes made before it, so every
//! prefix, and what any author had seen, is a charter of its own.

use ed25519_dalek::SigningKey;
use sampan_core::charter::{Carried, Carrier, Charter, Cut, CutKind, CutLog, Erased, Grant, Op, Roles, Succession};
use sampan_core::id::{CommitId, DeviceId, Flow, Incarnation, Nonce, OrgId, RecordId, SpaceId, UnitId};
use sampan_core::log::commit::FORMAT;
use sampan_core::log::{Commit, Entry, EntryKind, EntryPayload, Header, Payload, device_id};
use sampan_core::testing::{SeededRng, test_key, test_time};
use sampan_tests::model::{ModelCharter, When};
use std::collections::{BTreeMap, BTreeSet};

/// How many keys act: the first is the root key, the last three are tickets.
const KEYS: u64 = 9;
/// The succession key; the two behind it are what it may name.
const SUCCESSION: usize = KEYS as usize;
const UNITS: u8 = 5;
/// What rights are asked about; the last is what an inspector writes.
const COLLECTIONS: [&str; 3] = ["members", "meetings", "inspections"];

struct World {
    rng: SeededRng,
    keys: Vec<SigningKey>,
    made: Vec<Commit>,
    /// What each commit's author had seen, itself included.
    past: BTreeMap<CommitId, BTreeSet<usize>>,
    /// Whether every author names what gave it its rights, as every honest one does.
    honest: bool,
    /// Whether they cut each other too.
    cuts: bool,
    /// The commits that give a key something.
    gave: BTreeMap<DeviceId, BTreeSet<usize>>,
}

fn unit(n: u8) -> UnitId {
    UnitId([n; 16])
}

impl World {
    fn new(seed: u64, honest: bool) -> Self {
        let keys: Vec<SigningKey> = (0..KEYS + 3).map(|n| test_key(700_000 + n)).collect();
        let (rng, past, gave) = (SeededRng::new(seed), BTreeMap::new(), BTreeMap::new());
        let succession = Some(device_id(&keys[SUCCESSION]));
        let mut w = Self { rng, keys, made: Vec::new(), past, honest, cuts: false, gave };
        let found = Op::Found { name: "Sampan".into(), unit: unit(0), succession, kind: None };
        w.say(0, unit(0), &[found], &[]);
        for (by, to) in [(0, 1), (0, 2)] {
            w.say(by, unit(0), &[w.grant(to, Roles::ADMIN)], &[0]);
        }
        w
    }

    fn org(&self) -> OrgId {
        OrgId(device_id(&self.keys[0]).0)
    }

    /// A grant for good, of a ticket if the key is one.
    fn grant(&self, to: usize, roles: Roles) -> Op {
        let (key, ticket) = (device_id(&self.keys[to]), to as u64 >= KEYS - 3);
        let (from, holder) = (test_time(1), [0; 32]);
        Op::Grant(Grant {
            key,
            roles,
            subtree: false,
            from,
            until: None,
            ticket,
            use_by: None,
            holder,
            collections: None,
            replaces: None,
        })
    }

    fn any_grant(&mut self, to: usize, roles: Roles) -> Op {
        let mut op = self.grant(to, roles);
        if let Op::Grant(grant) = &mut op {
            grant.subtree = self.rng.one_in(3);
            grant.until = self.rng.one_in(5).then(|| test_time(100 + self.rng.below(3)));
            // Who may hand on what collections is not what is compared here.
            if !roles.contains(Roles::ADMIN) && self.rng.one_in(2) {
                grant.collections = Some([COLLECTIONS[self.rng.below(2) as usize].to_owned()].into());
            }
        }
        op
    }

    /// A cut of a key at some of what was made.
    fn cut(&mut self, whom: usize) -> Op {
        let key = device_id(&self.keys[whom]);
        let kinds = [CutKind::Revoke, CutKind::Lost, CutKind::Retire, CutKind::Narrow, CutKind::Narrow, CutKind::Close];
        let kind = kinds[self.rng.below(6) as usize];
        let remaining = [Roles::NONE, Roles::READER, Roles::RELAY][self.rng.below(3) as usize];
        let mut logs = Vec::new();
        for c in &self.made {
            if c.header().device == key && !self.rng.one_in(3) {
                let (space, incarnation) = (c.header().space, c.header().incarnation);
                logs.push(CutLog { space, incarnation, tips: vec![c.id()] });
            }
        }
        Op::Cut(Cut { key, kind, reason: "mất".into(), logs, remaining })
    }

    /// A release of something that was made.
    fn word(&mut self) -> Op {
        let at = self.rng.below(self.made.len() as u64) as usize;
        Op::Release { commits: vec![self.made[at].id()], reason: "đúng".into() }
    }

    fn say(&mut self, by: usize, place: UnitId, ops: &[Op], heads: &[usize]) {
        let n = self.made.len();
        let own = self.gave.get(&device_id(&self.keys[by])).filter(|_| self.honest && !self.cuts).into_iter().flatten();
        let mut charter_heads: Vec<CommitId> = heads.iter().chain(own).map(|h| self.made[*h].id()).collect();
        charter_heads.sort_unstable();
        charter_heads.dedup();
        let mut past: BTreeSet<usize> = [n].into();
        charter_heads.iter().for_each(|h| past.extend(&self.past[h]));
        for op in ops {
            if let Op::Grant(Grant { key, .. }) | Op::Enrol { device: key, .. } | Op::Succeed { root: key, .. } = op {
                self.gave.entry(*key).or_default().insert(n);
            }
            if let Op::Succeed { succession: Some(key), .. } = op {
                self.gave.entry(*key).or_default().insert(n);
            }
        }
        let entries = ops.iter().map(|op| {
            let payload = op.encode();
            let payload_hash = Entry::hash_payload(EntryKind::Charter, &payload);
            let record = RecordId::from_slice(&payload_hash[..16]).unwrap();
            let (kind, collection, time) = (EntryKind::Charter, String::new(), test_time(5));
            EntryPayload { entry: Entry { kind, record, collection, payload_hash, time, birth: None }, payload }
        });
        let entries: Vec<EntryPayload> = entries.collect();
        let nonce = Nonce([n as u8 + 1; 16]);
        let header = Header {
            format: FORMAT,
            org: self.org(),
            space: SpaceId::charter(place),
            device: device_id(&self.keys[by]),
            incarnation: Incarnation(nonce.0),
            sequence: 1,
            parents: Vec::new(),
            nonce,
            charter_heads,
            time: test_time(5),
            entries: 0,
            root: [0; 32],
        };
        let commit = Commit::seal(&self.keys[by], header, Payload { secret: [n as u8; 16].into(), entries }).unwrap();
        self.past.insert(commit.id(), past);
        self.made.push(commit);
    }

    /// The place of one who may: most operations are said where the author thinks that it may.
    fn step(&mut self) {
        let n = self.made.len() as u64;
        let heads: Vec<usize> = (0..=self.rng.below(3)).map(|_| (n - 1 - self.rng.below(n.min(6))) as usize).collect();
        if self.rng.one_in(12) {
            let which = self.rng.below(2) as usize;
            let mut root = self.succeed(which);
            let next = self.rng.below(4) as usize;
            if let Op::Succeed { succession, .. } = &mut root {
                *succession = (next < 3).then(|| device_id(&self.keys[SUCCESSION + next]));
            }
            // A root key of one naming is the succession key of another: a line of them, and knots in it.
            let by = if self.rng.one_in(3) { SUCCESSION + 1 + self.rng.below(2) as usize } else { SUCCESSION };
            return self.say(by, unit(0), &[root], &heads);
        }
        let new_root = self.rng.one_in(8).then(|| SUCCESSION + 1 + self.rng.below(2) as usize);
        let by = new_root.unwrap_or(self.rng.below(KEYS) as usize);
        let place = unit(self.rng.below(u64::from(UNITS)) as u8);
        let mut ops: Vec<Op> = (0..=u64::from(self.rng.one_in(6))).map(|_| self.op(by)).collect();
        if self.cuts && self.rng.one_in(8) {
            // What a narrowing leaves is granted in its own commit.
            let whom = 1 + self.rng.below(5) as usize;
            ops = vec![self.cut(whom), self.any_grant(whom, Roles::EDITOR)];
        }
        self.say(by, place, &ops, &heads);
    }

    fn succeed(&self, which: usize) -> Op {
        Op::Succeed { root: device_id(&self.keys[SUCCESSION + 1 + which]), succession: None }
    }

    fn op(&mut self, by: usize) -> Op {
        if (KEYS - 3..KEYS).contains(&(by as u64)) {
            let device = 3 + self.rng.below(3) as usize;
            return Op::enrol(&self.keys[device], [1; 32], &device_id(&self.keys[by]));
        }
        let whom = 1 + self.rng.below(KEYS - 1) as usize;
        match self.rng.below(if self.cuts { 15 } else { 10 }) {
            10 | 11 => self.cut(whom),
            12 => self.word(),
            13 => Op::Reject { commits: Vec::new(), reason: "no".into() },
            14 => {
                let space = SpaceId { unit: unit(self.rng.below(u64::from(UNITS)) as u8), flow: Flow::Up, reach: 0 };
                let record = sampan_core::id::RecordId([self.rng.below(3) as u8; 16]);
                let holder = Erased::Holder { key: device_id(&self.keys[whom]) };
                let what = if self.rng.one_in(3) { holder } else { Erased::Record { space, record } };
                Op::Erase { what, reason: "theo yêu cầu".into() }
            }
            0 | 1 => create(1 + self.rng.below(u64::from(UNITS) - 1) as u8),
            2 | 3 => Op::Revoke { key: device_id(&self.keys[whom]), reason: "mất máy".into() },
            4..=6 => self.any_grant(whom, Roles::ADMIN),
            7 => self.any_grant(whom, Roles::RELAY),
            8 if self.rng.one_in(3) => self.any_grant(whom, Roles::INSPECTOR),
            _ => self.any_grant(whom, Roles::EDITOR),
        }
    }

    /// Whose logs count where: by the engine and by the model, which must agree in all else as well.
    fn counting(&self, set: &BTreeSet<usize>) -> Result<BTreeSet<(usize, SpaceId)>, String> {
        let commits: Vec<&Commit> = set.iter().map(|i| &self.made[*i]).collect();
        let engine = Charter::fold(self.org(), commits.iter().copied());
        if engine != Charter::fold(self.org(), commits.iter().rev().copied()) {
            return Err("the order of what is folded shows".into());
        }
        // Each of the last as the one that comes last of all.
        for last in commits.iter().rev().take(3) {
            let mut extended = Charter::fold(self.org(), commits.iter().copied().filter(|c| c.id() != last.id()));
            if extended.extend(last) && extended != engine {
                return Err(format!("{} added in place means something else", last.id()));
            }
        }
        let model = ModelCharter::fold(self.org(), &commits);
        let void: BTreeSet<(CommitId, usize)> = engine.void().iter().map(|v| (v.commit, v.index as usize)).collect();
        if void != model.void {
            return Err(format!("void: {void:?} and {:?}", model.void));
        }
        let erased: BTreeSet<_> = engine.erasures().map(|e| (e.unit, e.what.name())).collect();
        if erased != model.erased {
            return Err(format!("erased: {erased:?}, the model says {:?}", model.erased));
        }
        let mut out = BTreeSet::new();
        for (n, key) in self.keys.iter().enumerate() {
            let key = device_id(key);
            if engine.revoked(&key).is_some() != model.ended(&key) {
                return Err(format!("{n} is revoked by one of the two"));
            }
            for u in (0..UNITS).map(unit) {
                for role in [Roles::ADMIN, Roles::RELAY, Roles::EDITOR] {
                    let (one, two) = (engine.roles(&key, &u).contains(role), model.has(&key, &u, role, When::Now));
                    if one != two {
                        return Err(format!("{n} {role:?} on {u}: {one}, the model says {two}"));
                    }
                }
                for flow in [Flow::Charter, Flow::Up] {
                    let space = SpaceId { unit: u, flow, reach: 0 };
                    let (one, two) = (engine.cuts_of(&key, &space).next().is_some(), model.is_cut(&key, &space));
                    if one != two {
                        return Err(format!("{n} is cut in {flow:?} of {u}: {one}, the model says {two}"));
                    }
                    // Every author stands for a commit of records that names what was made last, or first.
                    let inside = |by: &CommitId| by.0[0].is_multiple_of(2);
                    let first = [commits.first(), commits.get(commits.len() / 2), commits.last()];
                    for head in first.into_iter().flatten().filter(|_| flow == Flow::Up) {
                        for name in COLLECTIONS {
                            let heads = [head.id()];
                            let of = Carrier { device: &key, space: &space, heads: &heads, inside: &|c| inside(&c.by) };
                            let one = engine.carried(&of, [name]) == Carried::Counts;
                            let two = model.lets_carry(&key, &space, &heads, name, &|c| inside(&c.by));
                            if one != two {
                                return Err(format!("{n} may carry {name} in {u}: {one}, the model says {two}"));
                            }
                        }
                    }
                    for c in &commits {
                        let (one, two) = (engine.released(&c.id(), &u), model.released(&c.id(), &u));
                        if one != two {
                            return Err(format!("{} is released in {u}: {one}, the model says {two}", c.id()));
                        }
                    }
                    let (one, two) = (engine.counts(&key, &space), model.counts(&key, &space));
                    if one != two {
                        return Err(format!("{n} counts in {flow:?} of {u}: {one}, the model says {two}"));
                    }
                    if one {
                        out.insert((n, space));
                    }
                }
            }
        }
        Ok(out)
    }

    /// Both folds say the same of every prefix and of what every author had seen; and if authors hide
    /// nothing, what once counted counts.
    fn check(&mut self) -> Result<(), String> {
        let mut before = BTreeSet::new();
        let all: BTreeSet<usize> = (0..self.made.len()).collect();
        let last = self.counting(&all)?;
        for n in 0..self.made.len() {
            let now = self.counting(&(0..=n).collect()).map_err(|e| format!("the first {n}: {e}"))?;
            if let Some(gone) = before.difference(&now).next().filter(|_| self.honest && !self.cuts) {
                return Err(format!("{gone:?} ceased to count with commit {n}"));
            }
            before = now;
            let seen = self.counting(&self.past[&self.made[n].id()])?;
            if let Some(gone) = seen.difference(&last).next().filter(|_| self.honest && !self.cuts) {
                return Err(format!("{gone:?} counted as far as the author of {n} had seen"));
            }
        }
        // Any set that is closed under causes.
        for _ in 0..4 {
            let mut some: BTreeSet<usize> = BTreeSet::new();
            for _ in 0..3 {
                let at = self.rng.below(self.made.len() as u64) as usize;
                some.extend(&self.past[&self.made[at].id()]);
            }
            let seen = self.counting(&some)?;
            if let Some(gone) = seen.difference(&last).next().filter(|_| self.honest && !self.cuts) {
                return Err(format!("{gone:?} counted for one who held {some:?}"));
            }
        }
        Ok(())
    }

    fn story(&self) -> String {
        let number: BTreeMap<CommitId, usize> = self.made.iter().enumerate().map(|(n, c)| (c.id(), n)).collect();
        let who = |d: &DeviceId| self.keys.iter().position(|k| device_id(k) == *d).unwrap_or(99);
        let mut out = String::new();
        for (n, c) in self.made.iter().enumerate() {
            let h = c.header();
            let saw: Vec<usize> = h.charter_heads.iter().map(|c| number[c]).collect();
            out += &format!("{n} {} by {} on {} after {saw:?}:", c.id(), who(&h.device), h.space.unit);
            for e in &c.payload().entries {
                out += &match Op::decode(&e.payload).unwrap() {
                    Op::Grant(g) => {
                        format!(" grant {} {:?} subtree {} until {:?}", who(&g.key), g.roles, g.subtree, g.until)
                    }
                    Op::Revoke { key, .. } => format!(" revoke {}", who(&key)),
                    Op::CreateUnit { unit, .. } => format!(" create {unit}"),
                    Op::Enrol { device, .. } => format!(" enrol {}", who(&device)),
                    Op::Succeed { root, .. } => format!(" succeed {}", who(&root)),
                    Op::Cut(cut) => {
                        let tips: Vec<_> = cut.logs.iter().flat_map(|l| &l.tips).map(|t| number[t]).collect();
                        format!(" cut {} {:?} at {tips:?}, {:?} remains", who(&cut.key), cut.kind, cut.remaining)
                    }
                    Op::Release { commits, .. } => {
                        format!(" release {:?}", commits.iter().map(|c| number[c]).collect::<Vec<_>>())
                    }
                    Op::Erase { what, .. } => format!(" erase {what:?}"),
                    Op::Found { .. } | Op::Endpoint { .. } | Op::Schema { .. } | Op::Reject { .. } => {
                        " other".to_owned()
                    }
                };
            }
            out.push('\n');
        }
        out
    }
}

/// The shortest history that fails, of as many as the environment says.
fn run(honest: bool, cuts: bool) {
    let asked = std::env::var("SAMPAN_CHARTER_SEEDS").ok().and_then(|s| s.parse().ok());
    let (mut failures, mut counted) = (Vec::new(), 0);
    for seed in 0..asked.unwrap_or(60) {
        let mut w = World::new(seed, honest);
        w.cuts = cuts;
        for _ in 0..8 + w.rng.below(24) {
            w.step();
        }
        match w.check() {
            Ok(()) => counted += w.counting(&(0..w.made.len()).collect()).unwrap().len(),
            Err(e) => failures.push((w.made.len(), seed, e, w.story())),
        }
    }
    failures.sort();
    let count = failures.len();
    assert!(count == 0, "{count} seeds fail; the shortest is {}: {}\n{}", failures[0].1, failures[0].2, failures[0].3);
    assert!(counted > 100, "the histories gave rights to hardly anyone: {counted}");
}

/// `SAMPAN_CHARTER_SEEDS=5000 cargo test --release -p sampan-tests --test stories charters` for more.
#[test]
fn random_charters_fold_as_the_model_says_and_what_counted_counts() {
    run(true, false);
}

/// Authors who leave out what gave them their rights: the folds agree.
#[test]
fn authors_who_hide_what_they_saw_fold_as_the_model_says() {
    run(false, false);
}

/// Cuts, releases and rejections beside everything else, by honest and hostile authors: the folds agree on
/// every prefix, on what every author had seen, and on other sets closed under causes; whatever the order
/// in which the commits are handed over.
#[test]
fn random_cuts_fold_as_the_model_says() {
    run(true, true);
    run(false, true);
}

#[test]
fn a_ticket_granted_twice_counts_by_either_grant() {
    let mut w = World::new(0, true);
    let ticket = KEYS as usize - 1;
    for (by, roles) in [(1, Roles::READER), (2, Roles::EDITOR)] {
        let grant = w.grant(ticket, roles);
        w.say(by, unit(0), &[grant], &[0]);
    }
    // The device was invited by the second admin and has not heard of the first.
    let enrol = Op::enrol(&w.keys[3].clone(), [1; 32], &device_id(&w.keys[ticket]));
    w.honest = false;
    w.say(ticket, unit(0), &[enrol], &[4]);
    w.honest = true;
    w.check().unwrap();
    assert!(w.counting(&(0..6).collect()).unwrap().contains(&(3, SpaceId { unit: unit(0), flow: Flow::Up, reach: 0 })));
}

fn create(n: u8) -> Op {
    Op::CreateUnit { unit: unit(n), name: "Chi bộ".into(), code: None, kind: None, since: test_time(5) }
}

#[test]
fn a_unit_made_in_two_places_counts_below_both() {
    let mut w = World::new(0, true);
    for (n, by) in [(1, 1), (2, 2)] {
        let create =
            |n| Op::CreateUnit { unit: unit(n), name: "U".into(), code: None, kind: None, since: test_time(5) };
        let admin = w.grant(2 + by, Roles::ADMIN);
        w.say(by, unit(0), &[create(n)], &[0]);
        let made = w.made.len() - 1;
        w.say(by, unit(n), &[admin, create(3)], &[made]);
    }
    w.check().unwrap();
    let all = w.counting(&(0..w.made.len()).collect()).unwrap();
    for device in [3, 4] {
        assert!(all.contains(&(device, SpaceId::charter(unit(3)))), "{device}: {}", w.story());
    }
}

/// A revocation whose author names nothing that gave it its right is void for who sees it without that, and
/// stays void when it arrives.
#[test]
fn a_revocation_by_one_who_hides_its_right_leaves_what_counted() {
    // Which of the two grants is folded first is their ids' to say.
    for (by, whom) in [(1, 2), (2, 1)] {
        let mut w = World::new(0, false);
        let revoke = Op::Revoke { key: device_id(&w.keys[whom]), reason: "ẩn".into() };
        w.say(by, unit(0), &[revoke], &[whom]);
        w.say(whom, unit(0), &[create(2)], &[whom, 3]);
        let admin = w.grant(3, Roles::ADMIN);
        w.say(whom, unit(2), &[admin], &[4]);
        w.honest = true;
        w.check().unwrap();
    }
}

/// A history in which the succession key names new roots; `after` says what each naming had seen.
fn named(w: &mut World, which: usize, after: &[usize]) -> (usize, CommitId) {
    let op = w.succeed(which);
    w.say(SUCCESSION, unit(0), &[op], after);
    let n = w.made.len() - 1;
    (n, w.made[n].id())
}

fn fold(w: &World) -> Charter {
    Charter::fold(w.org(), &w.made)
}

#[test]
fn a_charter_that_grows_is_seldom_folded_again() {
    let (mut extended, mut folded) = (0, 0);
    for seed in 0..40 {
        let mut w = World::new(seed, true);
        let (mut keys, mut number) = (1_000, 1);
        // Units, devices and tickets that nobody has heard of, by two admins who have seen what the dice say.
        for n in 0..30 {
            let seen: Vec<usize> = (0..w.made.len()).filter(|i| *i < 3 || w.rng.one_in(6)).collect();
            let by = 1 + w.rng.below(2) as usize;
            let op = if n % 3 == 0 {
                number += 1;
                create(number)
            } else {
                keys += 1;
                let Op::Grant(grant) = w.grant(3, Roles::EDITOR) else { unreachable!() };
                Op::Grant(Grant { key: device_id(&test_key(keys)), ticket: n % 3 == 1, ..grant })
            };
            w.say(by, unit(0), &[op], &seen);
        }
        let mut charter = Charter::fold(w.org(), &w.made[..3]);
        for at in 3..w.made.len() {
            let all = Charter::fold(w.org(), &w.made[..=at]);
            if charter.extend(&w.made[at]) {
                extended += 1;
            } else {
                folded += 1;
                charter = all.clone();
            }
            assert_eq!(charter, all, "seed {seed}, commit {at}: {}", w.story());
        }
    }
    assert!(extended > 10 * folded, "{extended} added in place, {folded} folded");
}

#[test]
fn a_new_root_key_rules_and_the_old_one_can_do_nothing_new() {
    let mut w = World::new(0, false);
    w.say(0, unit(0), &[create(1)], &[0]);
    let (naming, id) = named(&mut w, 0, &[1, 2, 3]);
    // The first root key beside the naming, and after it; the new one, and the new one before it heard of it.
    w.say(0, unit(0), &[create(2)], &[3]);
    w.say(0, unit(0), &[w.grant(4, Roles::ADMIN)], &[naming]);
    let admin = w.grant(5, Roles::ADMIN);
    w.say(SUCCESSION + 1, unit(0), &[admin.clone(), create(3)], &[naming]);
    w.say(SUCCESSION + 1, unit(0), &[create(4)], &[3]);
    w.check().unwrap();
    let c = fold(&w);
    assert_eq!(c.root_key(), device_id(&w.keys[SUCCESSION + 1]));
    assert!(c.successions().eq([Succession { commit: id, root: c.root_key(), stands: true }]));
    let units: Vec<bool> = (1..5).map(|n| c.unit(&unit(n)).is_some()).collect();
    assert_eq!(units, [true, false, true, false], "{}", w.story());
    let admin = |n: usize| c.roles(&device_id(&w.keys[n]), &unit(0)).contains(Roles::ADMIN);
    assert_eq!([1, 2, 4, 5].map(admin), [true, true, false, true], "what stood, stands");
    assert_eq!(c.void().len(), 3);
}

/// A naming by any key that also says who may name the next.
fn named_by(w: &mut World, by: usize, (root, next): (usize, Option<usize>), after: &[usize]) -> (usize, CommitId) {
    let succession = next.map(|n| device_id(&w.keys[n]));
    let op = Op::Succeed { root: device_id(&w.keys[root]), succession };
    w.say(by, unit(0), &[op], after);
    let n = w.made.len() - 1;
    (n, w.made[n].id())
}

#[test]
fn the_next_succession_key_names_the_next_root_key() {
    let mut w = World::new(0, false);
    // The third key of the tickets plays the next succession key, and the fourth device the second new root key.
    let (next, second) = (KEYS as usize - 1, 5);
    let (first, id) = named_by(&mut w, SUCCESSION, (SUCCESSION + 1, Some(next)), &[1, 2]);
    w.say(SUCCESSION + 1, unit(0), &[create(1)], &[first]);
    let made = w.made.len() - 1;
    // The first succession key again, after it is done; the next one before it had heard that it is one.
    let (_, again) = named_by(&mut w, SUCCESSION, (4, None), &[first]);
    let (_, blind) = named_by(&mut w, next, (4, None), &[2]);
    let (then, id_then) = named_by(&mut w, next, (second, None), &[made]);
    // Beside the second naming, and after it.
    w.say(SUCCESSION + 1, unit(0), &[create(2)], &[made]);
    w.say(SUCCESSION + 1, unit(0), &[create(3)], &[then]);
    w.say(second, unit(0), &[create(4)], &[then]);
    w.say(0, unit(0), &[create(5)], &[then]);
    w.check().unwrap();
    let c = fold(&w);
    assert_eq!(c.root_key(), device_id(&w.keys[second]));
    assert_eq!(c.succession_key(), None, "no further one was named");
    let stands: BTreeSet<CommitId> = c.successions().filter(|s| s.stands).map(|s| s.commit).collect();
    assert_eq!(stands, [id, id_then].into());
    assert!([again, blind].iter().all(|by| c.void().iter().any(|v| v.commit == *by)));
    let units: Vec<bool> = (1..6).map(|n| c.unit(&unit(n)).is_some()).collect();
    assert_eq!(units, [true, false, false, true, false], "{}", w.story());
    assert!([SUCCESSION, next].iter().all(|k| c.succession_used(&device_id(&w.keys[*k]))));
    w.made.reverse();
    assert!(fold(&w) == c, "in whatever order they came");
}

#[test]
fn of_two_successors_the_lower_hash_stands_and_both_are_listed() {
    let mut w = World::new(0, false);
    let (_, one) = named(&mut w, 0, &[0]);
    let (second, two) = named(&mut w, 1, &[0]);
    // Each new root acts in good faith.
    w.say(SUCCESSION + 1, unit(0), &[create(1)], &[second - 1]);
    w.say(SUCCESSION + 2, unit(0), &[create(2)], &[second]);
    w.check().unwrap();
    let c = fold(&w);
    assert_eq!(c.successions().count(), 2);
    let stands: Vec<CommitId> = c.successions().filter(|s| s.stands).map(|s| s.commit).collect();
    assert_eq!(stands, [one.min(two)]);
    let (first, other) = (c.unit(&unit(1)).is_some(), c.unit(&unit(2)).is_some());
    assert_eq!((first, other), (one < two, two < one));
    assert!(c.void().iter().any(|v| v.commit == one.max(two)), "the other is listed, with why");
    w.made.reverse();
    assert!(fold(&w) == c, "in whatever order they came");
}

#[test]
fn a_second_naming_after_the_first_is_void_whatever_its_hash() {
    for seed in 0..4 {
        let mut w = World::new(seed, false);
        let (first, id) = named(&mut w, 0, &[0]);
        let (_, again) = named(&mut w, 1, &[first]);
        w.check().unwrap();
        let c = fold(&w);
        assert_eq!(c.root_key(), device_id(&w.keys[SUCCESSION + 1]));
        assert!(c.void().iter().any(|v| v.commit == again) && c.successions().all(|s| s.commit == id));
    }
}

#[test]
fn nobody_else_names_a_root_key() {
    let mut w = World::new(0, false);
    let op = w.succeed(0);
    // The root key, an admin, what would be named, and the succession key elsewhere or blind.
    for (by, place, seen) in [
        (0, 0, vec![0]),
        (1, 0, vec![0, 1]),
        (SUCCESSION + 1, 0, vec![0]),
        (SUCCESSION, 1, vec![0]),
        (SUCCESSION, 0, vec![]),
    ] {
        w.say(by, unit(place), std::slice::from_ref(&op), &seen);
    }
    // The key that founded is no successor of itself.
    let itself = Op::Succeed { root: device_id(&w.keys[0]), succession: None };
    w.say(SUCCESSION, unit(0), &[itself], &[0]);
    w.say(SUCCESSION + 1, unit(0), &[create(1)], &[3]);
    w.check().unwrap();
    let c = fold(&w);
    assert_eq!((c.root_key(), c.successions().count()), (device_id(&w.keys[0]), 0));
    assert_eq!(c.void().len(), 7, "{:?}", c.void());
    assert!(c.unit(&unit(1)).is_none());
}

/// The first admin cuts the second at its grant, and so does the second the first, neither knowing of it.
#[test]
fn two_admins_who_cut_each_other_are_both_cut() {
    let mut w = World::new(0, true);
    w.cuts = true;
    for (by, whom) in [(1, 2), (2, 1)] {
        let (key, logs) = (device_id(&w.keys[whom]), Vec::new());
        let cut = Cut { key, kind: CutKind::Revoke, reason: "nhầm".into(), logs, remaining: Roles::NONE };
        w.say(by, unit(0), &[Op::Cut(cut)], &[1, 2]);
    }
    w.check().unwrap();
    let charter = Charter::fold(w.org(), &w.made);
    for n in [1, 2] {
        let key = device_id(&w.keys[n]);
        assert!(charter.revoked(&key).is_some() && charter.roles(&key, &unit(0)).is_none(), "{}", w.story());
    }
}

/// What an admin gave before it was cut stands, wherever the cut was written; what it gives outside the cut
/// is void and makes no log of records count; a release makes it good.
#[test]
fn what_lies_inside_a_cut_stands_and_what_lies_outside_gives_nothing() {
    let mut w = World::new(0, true);
    w.cuts = true;
    let (before, after) = (w.grant(3, Roles::EDITOR), w.grant(4, Roles::EDITOR));
    w.say(1, unit(0), &[before], &[1]);
    let (key, tip) = (device_id(&w.keys[1]), &w.made[3]);
    let (space, incarnation) = (tip.header().space, tip.header().incarnation);
    let logs = vec![CutLog { space, incarnation, tips: vec![tip.id()] }];
    let cut = Cut { key, kind: CutKind::Lost, reason: "mất".into(), logs, remaining: Roles::NONE };
    // The author of the cut has not seen the grants; the thief has not seen the cut.
    w.say(2, unit(0), &[Op::Cut(cut)], &[2]);
    w.say(1, unit(0), &[after], &[3]);
    w.check().unwrap();
    let up = SpaceId { unit: unit(0), flow: Flow::Up, reach: 0 };
    let charter = Charter::fold(w.org(), &w.made);
    let role = |c: &Charter, n: usize| c.roles(&device_id(&w.keys[n]), &unit(0));
    assert_eq!(role(&charter, 3), Roles::EDITOR, "{}", w.story());
    assert!(role(&charter, 4).is_none() && !charter.counts(&device_id(&w.keys[4]), &up), "{}", w.story());
    assert_eq!(charter.outside().len(), 1);
    let word = Op::Release { commits: vec![w.made[5].id()], reason: "đúng là của anh ấy".into() };
    w.say(2, unit(0), &[word], &[4]);
    w.check().unwrap();
    let charter = Charter::fold(w.org(), &w.made);
    assert_eq!(charter.roles(&device_id(&w.keys[4]), &unit(0)), Roles::EDITOR, "{}", w.story());
}

/// Fewer roles on one unit: what was done with the old ones stands; a later grant holds for what its device wrote
/// having seen it, and for nothing between.
#[test]
fn roles_become_fewer_and_a_later_grant_leaves_out_what_lies_between() {
    let mut w = World::new(0, true);
    w.cuts = true;
    let editor = w.grant(3, Roles::EDITOR);
    w.say(1, unit(0), std::slice::from_ref(&editor), &[1]);
    let key = device_id(&w.keys[3]);
    let narrow =
        Cut { key, kind: CutKind::Narrow, reason: "đổi việc".into(), logs: Vec::new(), remaining: Roles::READER };
    w.say(2, unit(0), &[Op::Cut(narrow)], &[2, 3]);
    w.check().unwrap();
    let up = SpaceId { unit: unit(0), flow: Flow::Up, reach: 0 };
    let charter = Charter::fold(w.org(), &w.made);
    assert_eq!(charter.roles(&key, &unit(0)), Roles::READER);
    assert!(
        charter.counts(&key, &up) && charter.cuts_of(&key, &up).next().is_some() && charter.revoked(&key).is_none()
    );
    assert!(!charter.may_add(&key, &up, &[w.made[4].id()], "members"));
    w.say(1, unit(0), &[editor], &[1, 4]);
    w.check().unwrap();
    let charter = Charter::fold(w.org(), &w.made);
    assert_eq!(charter.roles(&key, &unit(0)), Roles::EDITOR);
    assert!(!charter.may_add(&key, &up, &[w.made[4].id()], "members"), "{}", w.story());
    assert!(charter.may_add(&key, &up, &[w.made[5].id()], "members"), "{}", w.story());
}

fn narrowing(w: &World, key: usize, left: &[&str]) -> [Op; 2] {
    let cut = Cut {
        key: device_id(&w.keys[key]),
        kind: CutKind::Narrow,
        reason: "đổi việc".into(),
        logs: Vec::new(),
        remaining: Roles::NONE,
    };
    let mut grant = w.grant(key, Roles::EDITOR);
    if let Op::Grant(g) = &mut grant {
        g.collections = Some(left.iter().map(|c| (*c).to_owned()).collect());
    }
    [Op::Cut(cut), grant]
}

/// Whether the device may add to its log, knowing these commits of charters, whatever cut it lies outside of.
fn adds(w: &World, key: usize, heads: &[usize]) -> Vec<&'static str> {
    let charter = fold(w);
    let up = SpaceId { unit: unit(0), flow: Flow::Up, reach: 0 };
    let heads: Vec<CommitId> = heads.iter().map(|n| w.made[*n].id()).collect();
    let may = |c: &&&str| charter.may_add(&device_id(&w.keys[key]), &up, &heads, c);
    COLLECTIONS.iter().filter(may).copied().collect()
}

/// What is taken ends at the tips named, what is left goes on without a gap, seen or not; each step further takes
/// what it takes and no more.
#[test]
fn collections_become_fewer_step_by_step_and_what_is_left_goes_on() {
    let mut w = World::new(0, true);
    w.cuts = true;
    let editor = w.grant(3, Roles::EDITOR);
    w.say(1, unit(0), &[editor], &[1]);
    assert_eq!(adds(&w, 3, &[3]), COLLECTIONS);
    let ops = narrowing(&w, 3, &["members", "meetings"]);
    w.say(2, unit(0), &ops, &[2, 3]);
    w.check().unwrap();
    for seen in [3, 4] {
        assert_eq!(adds(&w, 3, &[seen]), ["members", "meetings"], "{}", w.story());
    }
    let ops = narrowing(&w, 3, &["members"]);
    w.say(2, unit(0), &ops, &[4]);
    w.check().unwrap();
    for seen in [3, 4, 5] {
        assert_eq!(adds(&w, 3, &[seen]), ["members"], "{}", w.story());
    }
    // What the first left and the second took stands up to what the second names, whatever the first did.
    let charter = fold(&w);
    let (device, space) = (device_id(&w.keys[3]), SpaceId { unit: unit(0), flow: Flow::Up, reach: 0 });
    let of = Carrier { device: &device, space: &space, heads: &[], inside: &|c| c.by == w.made[5].id() };
    assert_eq!(charter.carried(&of, ["members", "meetings"]), Carried::Counts);
    assert_eq!(charter.carried(&of, ["inspections"]), Carried::Taken);
    assert_eq!(charter.carried(&of, ["members", "inspections"]), Carried::Taken, "as a whole");
}

/// Two narrowings that had not seen each other: what either leaves, alike in every order.
#[test]
fn narrowings_beside_each_other_fold_alike_and_a_widening_gives_back_from_where_it_was_seen() {
    let mut w = World::new(0, true);
    w.cuts = true;
    let editor = w.grant(3, Roles::EDITOR);
    w.say(1, unit(0), &[editor], &[1]);
    let (one, other) = (narrowing(&w, 3, &["members"]), narrowing(&w, 3, &["meetings"]));
    w.say(1, unit(0), &one, &[3]);
    w.say(2, unit(0), &other, &[2, 3]);
    w.check().unwrap();
    // Each was given beside the other: both go on, and what neither gives is taken.
    assert_eq!(adds(&w, 3, &[3]), ["members", "meetings"], "{}", w.story());
    let ops = narrowing(&w, 3, &["members"]);
    w.say(2, unit(0), &ops, &[4, 5]);
    let mut wide = w.grant(3, Roles::EDITOR);
    if let Op::Grant(g) = &mut wide {
        g.collections = Some(["inspections".to_owned()].into());
    }
    w.say(2, unit(0), &[wide], &[6]);
    w.check().unwrap();
    assert_eq!(adds(&w, 3, &[6]), ["members"], "{}", w.story());
    assert_eq!(adds(&w, 3, &[7]), ["members", "inspections"], "{}", w.story());
    // A widening that had not seen the narrowing lies beside it, and takes nothing out.
    let mut beside = w.grant(3, Roles::EDITOR);
    if let Op::Grant(g) = &mut beside {
        g.collections = Some(["meetings".to_owned()].into());
    }
    w.say(1, unit(0), &[beside], &[3, 4]);
    w.check().unwrap();
    assert_eq!(adds(&w, 3, &[4]), ["members"], "it had seen the first narrowing: {}", w.story());
}
