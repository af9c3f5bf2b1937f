//! What must hold after a crash: the promises, the plain store, the signatures, and the way on.
//!
//! It does not: decide where a crash happens.
//!
//! Invariants: everything confirmed before the crash is there; what was under way is there whole or not at
//! all; nothing else is there; and the replicas become equal again and say so.

use crate::stage::{Book, FILE, codec, open, place, talk};
use crate::watched::{Mark, told};
use sampan_core::engine::Engine;
use sampan_core::id::{Flow, OrgId, RecordId};
use sampan_core::log::brief::Brief;
use sampan_core::log::device_id;
use sampan_core::record::View;
use sampan_core::schema::Assignment;
use sampan_core::store::{CommitKey, RecordKey, Status, Store as _, StoreError};
use sampan_core::testing::SeededRng;
use sampan_core::testing::village::Replica;
use sampan_core::value::Value;
use sampan_node::store::SqliteStore;
use sampan_tests::disk::{Disk, Image};
use std::collections::BTreeMap;
use std::rc::Rc;

/// Sessions on every link after which all must be equal.
const ROUNDS_MAX: usize = 6;

/// A crash about to be looked at.
pub struct Point<'a> {
    pub book: &'a Book,
    pub org: OrgId,
    /// The seat whose power went, and the steps of all disks before that.
    pub subject: usize,
    pub step: usize,
    /// What every disk holds.
    pub images: BTreeMap<usize, Image>,
    pub seed: u64,
}

/// An edit after the crash.
struct Edited {
    record: RecordId,
    hash: [u8; 32],
}

fn err(e: impl std::fmt::Display) -> String {
    e.to_string()
}

impl Point<'_> {
    /// The last confirmed mark, and the one under way.
    fn marks(&self) -> (Option<Rc<Mark>>, Option<Rc<Mark>>) {
        let seats = self.book.seats.borrow();
        let Some(held) = seats.get(self.subject) else { return (None, None) };
        let held = held.borrow();
        let done = held.marks.iter().rev().find(|m| m.ended <= self.step).cloned();
        let next = held.marks.iter().find(|m| m.begun <= self.step && m.ended > self.step).cloned();
        (done, next)
    }

    /// Whether everything holds, else the first thing that does not.
    pub fn check(&self) -> Result<(), String> {
        let mut replicas: BTreeMap<usize, Replica> = BTreeMap::new();
        let (done, next) = self.marks();
        for (seat, image) in &self.images {
            let disk = Disk::from_image("after", image);
            let key = self.book.key(*seat);
            let device = device_id(&key);
            let mut store = match open(&disk, device, self.org) {
                Ok(store) => store,
                Err(e) if *seat == self.subject && done.is_none() => self.create_again(&disk, device, &e)?,
                // Others whose making has not begun yet.
                Err(_) if *seat != self.subject && !image.files.contains_key(FILE) => continue,
                Err(e) => return Err(format!("seat {seat} does not open: {e}")),
            };
            if *seat == self.subject {
                self.check_store(&store, done.as_deref(), next.as_deref())?;
            }
            let mut rng = SeededRng::new(self.seed ^ 0x0c4a_54ed ^ (*seat as u64) << 40);
            let engine = Engine::open(&mut store, self.org, key, codec(), &mut rng).map_err(err)?;
            let replica = Replica { store: Box::new(store), engine, rng, name: format!("seat {seat}") };
            if *seat == self.subject {
                self.check_promises(&replica)?;
            }
            replicas.insert(*seat, replica);
        }
        let edit = replicas.get_mut(&self.subject).map(|r| self.edit(r)).transpose()?.flatten();
        self.go_on(replicas, edit)
    }

    /// The first thing after a crash may be an edit.
    fn edit(&self, r: &mut Replica) -> Result<Option<Edited>, String> {
        // A backup that does not know yet that it is one edits under names that the lost disk used too: one of
        // two such edits does not stand, by design. Once it knows, its edits do.
        if self.book.backup.get() == Some(r.engine.nonce()) {
            return Ok(None);
        }
        let all = self.book.promises.borrow();
        let Some(record) = all.iter().rev().find(|p| p.seat == self.subject && p.ended <= self.step).map(|p| p.record)
        else {
            return Ok(None);
        };
        let schema = r.engine.schema().cloned().ok_or("the schema is gone")?;
        let members = schema.collection("members").ok_or("no members")?;
        let edit = Assignment::parse(members, "mother_name=Sau").or_else(|_| Assignment::parse(members, "phone=7"));
        let now = *self.book.now.borrow();
        r.engine.edit(&mut *r.store, members, record, &[edit.map_err(err)?], now).map_err(err)?;
        let last = r.store.pending().map_err(err)?.pop().ok_or("the edit is not pending")?;
        Ok(Some(Edited { record, hash: last.entry.entry.payload_hash }))
    }

    /// The store that is still open after an error of its disk.
    pub fn check_open(&self, store: &SqliteStore) -> Result<(), String> {
        let (done, next) = self.marks();
        let checked = self.check_store(store, done.as_deref(), next.as_deref());
        checked.map_err(|e| format!("the store that is still open: {e}"))
    }

    /// A crash while a store is made leaves none, or a whole one, and never stands in the way.
    fn create_again(
        &self,
        disk: &Disk,
        device: sampan_core::id::DeviceId,
        e: &StoreError,
    ) -> Result<SqliteStore, String> {
        if !matches!(e, StoreError::Io(_)) {
            return Err(format!("a store that was never made says: {e}"));
        }
        let epoch = self.marks().1.map(|m| m.plain.epoch()).transpose().map_err(err)?.unwrap_or_default();
        SqliteStore::create_on(disk, place(disk), codec(), device, self.org, epoch, crate::stage::CACHE_MB)
            .map_err(|e| format!("a half-made store stands in the way: {e}"))
    }

    fn check_store(&self, store: &SqliteStore, done: Option<&Mark>, next: Option<&Mark>) -> Result<(), String> {
        let report = store.verify(&self.org).map_err(err)?;
        if let Some(d) = report.damaged.first() {
            return Err(format!("verify found {} damages, the first: {d:?}", report.damaged.len()));
        }
        let mut differs = String::new();
        for (what, mark) in [("confirmed", done), ("under way", next)] {
            let Some(mark) = mark else { continue };
            let (should, is) = (mark.told(), told(store, &mark.seen).map_err(err)?);
            let ids: Vec<RecordId> = mark.seen.records.iter().copied().collect();
            let records = mark.plain.records(&ids).map_err(err)?.into_iter().flatten().count() as u64;
            let beyond = store.record(RecordKey(records + 1)).map_err(err)?.is_some();
            if should == is && !beyond {
                return self.check_left(store);
            }
            let place = should.iter().zip(&is).position(|(a, b)| a != b).unwrap_or(should.len().min(is.len()));
            differs += &format!(
                "\n    not what was {what} ({records} records, more held: {beyond}), line {place}:\n      should be {:?}\n      is        {:?}",
                should.get(place),
                is.get(place)
            );
        }
        Err(differs)
    }

    /// Commits that left are there, byte for byte.
    fn check_left(&self, store: &SqliteStore) -> Result<(), String> {
        let left = self.book.left.borrow();
        let mine: Vec<_> = left.iter().filter(|l| l.seat == self.subject && l.at <= self.step).collect();
        if mine.is_empty() {
            return Ok(());
        }
        let mut held = BTreeMap::new();
        for (_, row) in store.stored_after(CommitKey(0), usize::MAX).map_err(err)? {
            let head = store.head(&row.id).map_err(err)?.ok_or("a commit without a header")?;
            held.insert(head.signed().signature, head.signed().bytes.clone());
        }
        for l in mine {
            match held.get(&l.head.signature) {
                None => return Err("a commit left and is lost".into()),
                Some(bytes) if !Brief::is(&l.head) && *bytes != l.head.bytes => {
                    return Err("a commit left with other bytes".into());
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    fn check_promises(&self, replica: &Replica) -> Result<(), String> {
        let all = self.book.promises.borrow();
        // What a field may be: the last confirmed value or a later one. Before the first it may be anything.
        let mut last: BTreeMap<(RecordId, &str), Vec<&str>> = BTreeMap::new();
        for p in all.iter().filter(|p| p.seat == self.subject && p.begun <= self.step) {
            let key = (p.record, p.field.as_str());
            if p.ended <= self.step {
                last.insert(key, vec![&p.value]);
            } else if let Some(allowed) = last.get_mut(&key) {
                allowed.push(&p.value);
            }
        }
        for ((record, field), allowed) in last {
            let view = view(replica, record);
            let value = view.as_ref().and_then(|v| match v.fields.get(field) {
                Some(Value::Str(text)) => Some(text.clone()),
                Some(other) => Some(format!("{other:?}")),
                None if field == "_removed" => Some(v.removed.to_string()),
                None => None,
            });
            if !value.as_deref().is_some_and(|v| allowed.contains(&v)) {
                return Err(format!("{field} of {record} is {value:?}, promised: {allowed:?}"));
            }
        }
        Ok(())
    }

    /// All links talk until nobody has anything to say.
    fn go_on(&self, mut replicas: BTreeMap<usize, Replica>, edit: Option<Edited>) -> Result<(), String> {
        let links = self.book.links.borrow().clone();
        // Who has neither a charter nor a ticket has nobody to talk to.
        let ready = |at: usize, lower: bool| {
            let Some(r) = replicas.get(&at) else { return false };
            let joined = r.engine.joined_units(&*r.store).is_ok_and(|u| !u.is_empty());
            r.engine.charter().root().is_some() || (lower && joined)
        };
        let links: Vec<_> = links.into_iter().filter(|(l, u)| ready(*l, true) && ready(*u, false)).collect();
        let mut places = BTreeMap::new();
        let mut row: Vec<Replica> = Vec::new();
        for (seat, r) in std::mem::take(&mut replicas) {
            places.insert(seat, row.len());
            row.push(r);
        }
        let now = *self.book.now.borrow();
        let mut last = String::new();
        for _ in 0..ROUNDS_MAX {
            let mut quiet = true;
            let before = row.iter().map(|r| r.store.last_commit()).collect::<Result<Vec<_>, _>>().map_err(err)?;
            for (lower, upper) in &links {
                let end = talk(&mut row, &[], self.book, places[lower], places[upper], now, false);
                if let Some(e) = &end.error {
                    return Err(format!("the session of {lower} with {upper} ended: {e}"));
                }
                quiet &= end.verified;
                if !end.verified {
                    last = format!("{lower} with {upper}: {end:?}");
                }
            }
            let after = row.iter().map(|r| r.store.last_commit()).collect::<Result<Vec<_>, _>>().map_err(err)?;
            if quiet && before == after {
                if let Some(edit) = &edit {
                    self.stands(edit, &row, &places, &links)?;
                }
                return self.equal(&row, &places, &links);
            }
        }
        Err(format!("not verified after {ROUNDS_MAX} rounds: {last}"))
    }

    /// The edit after the crash stands here and with the neighbour above.
    fn stands(
        &self,
        edit: &Edited,
        row: &[Replica],
        places: &BTreeMap<usize, usize>,
        links: &[(usize, usize)],
    ) -> Result<(), String> {
        let above = links.iter().filter(|(lower, _)| *lower == self.subject).map(|(_, upper)| *upper);
        for seat in above.chain([self.subject]) {
            let store = &row[places[&seat]].store;
            let state = store.records(&[edit.record]).map_err(err)?.pop().flatten();
            let key = state.and_then(|s| s.key).ok_or(format!("seat {seat} lacks the record of the edit"))?;
            let entries = store.entries(key).map_err(err)?;
            let status = entries.iter().find(|e| e.hash.0 == edit.hash).map(|e| e.status);
            if status != Some(Status::Accepted) {
                return Err(format!("the edit after the crash is {status:?} at seat {seat}"));
            }
        }
        Ok(())
    }

    fn equal(&self, row: &[Replica], places: &BTreeMap<usize, usize>, links: &[(usize, usize)]) -> Result<(), String> {
        for (lower, upper) in links {
            let (l, u) = (&row[places[lower]], &row[places[upper]]);
            let (below, above) = (l.store.tips().map_err(err)?, u.store.tips().map_err(err)?);
            for (space, tips) in below {
                match above.get(&space) {
                    Some(other) if *other == tips => {}
                    None if space.flow != Flow::Up => {}
                    other => return Err(format!("{lower} and {upper} differ in {space:?}: {tips:?}, {other:?}")),
                }
            }
        }
        let linked = |seat: usize| links.iter().any(|(l, u)| *l == seat || *u == seat);
        let records: std::collections::BTreeSet<_> = self.book.promises.borrow().iter().map(|p| p.record).collect();
        for record in records {
            let seats = places.iter().filter(|(seat, _)| linked(**seat));
            let mut views = seats.filter_map(|(_, at)| view(&row[*at], record));
            let first = views.next();
            if views.any(|v| Some(v) != first) {
                return Err(format!("{record} is shown differently"));
            }
        }
        Ok(())
    }
}

fn view(r: &Replica, id: RecordId) -> Option<View> {
    let (_, _, document) = r.engine.document(&*r.store, id).ok()?;
    document.view().ok()
}
