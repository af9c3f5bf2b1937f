//! What the tests of records share: two or three desks that edit one record offline.
//!
//! It does not: hold tests; `stories` tells what people see, `births` what is computed, `order` that
//! the order of arrival never matters.
//!
//! Invariants: everything is fixed or drawn by proptest; no clock is read.

mod births;
mod order;
mod stories;

use super::*;
use crate::id::{ActorId, Flow, OrgId, RecordId, SpaceId, UnitId};
use crate::time::Millis;
use crate::value::{Edit, Kind, Value};
use std::collections::BTreeMap;

const ANH: ActorId = ActorId([0xA1; 16]);
const BINH: ActorId = ActorId([0xB2; 16]);
const CHI: ActorId = ActorId([0xC3; 16]);

fn kinds(field: &str) -> Option<Kind> {
    Some(match field {
        "name" | "directive" | "unit" => Kind::String,
        "age" => Kind::Int,
        "fee" => Kind::Decimal,
        "active" => Kind::Bool,
        "born" => Kind::Date,
        "notes" => Kind::Text,
        "steps" => Kind::List,
        "tags" => Kind::Set,
        "visits" => Kind::Counter,
        _ => return None,
    })
}

fn s(text: &str) -> Value {
    Value::Str(text.to_owned())
}
fn t(text: &str) -> Value {
    Value::Text(text.to_owned())
}
fn list(items: &[&str]) -> Value {
    Value::List(items.iter().map(|i| (*i).to_owned()).collect())
}
fn set(items: &[&str]) -> Value {
    Value::Set(items.iter().map(|i| (*i).to_owned()).collect())
}

fn fields(of: &[(&str, Value)]) -> BTreeMap<String, (Kind, Value)> {
    of.iter().map(|(f, v)| ((*f).to_owned(), (kinds(f).unwrap(), v.clone()))).collect()
}

fn space() -> SpaceId {
    SpaceId { unit: UnitId([7; 16]), flow: Flow::Up, reach: 0 }
}

/// One person's replica of one record.
#[derive(Clone)]
struct Desk {
    actor: ActorId,
    creation: ChangeHash,
    doc: Document,
    clock: u64,
}

impl Desk {
    fn open(actor: ActorId, record: RecordId, creation: &NewChange) -> Self {
        let doc = Document::load(record, [creation.bytes.as_slice()]).unwrap();
        Self { actor, creation: creation.hash, doc, clock: 1_767_225_600_000 }
    }

    fn two(initial: &[(&str, Value)]) -> (Self, Self) {
        let c = create(&ANH, Millis(1_767_225_600_000), [1; 6], &fields(initial)).unwrap();
        let record = ids::record_id(&space(), &c.hash);
        (Self::open(ANH, record, &c), Self::open(BINH, record, &c))
    }

    fn try_edit(&mut self, edits: &[(&str, Edit)]) -> Result<Vec<NewChange>, EditError> {
        self.clock += 1;
        let ctx = EditContext { creation: self.creation, actor: self.actor, time: Millis(self.clock) };
        let edits: Vec<(String, Edit)> = edits.iter().map(|(f, e)| ((*f).to_owned(), e.clone())).collect();
        self.doc.edit(&ctx, &kinds, &edits)
    }

    fn edit(&mut self, field: &str, edit: Edit) -> Vec<NewChange> {
        self.try_edit(&[(field, edit)]).unwrap()
    }

    fn set(&mut self, field: &str, value: Value) -> Vec<NewChange> {
        self.edit(field, Edit::Set(value))
    }

    fn pull(&mut self, other: &Desk) {
        let theirs = other.doc.changes();
        self.doc.apply(theirs.iter().map(|(_, b)| b.as_slice())).unwrap();
    }

    fn view(&self) -> View {
        self.doc.view().unwrap()
    }

    fn value(&self, field: &str) -> Option<Value> {
        self.view().fields.get(field).cloned()
    }
}

fn meet(a: &mut Desk, b: &mut Desk) {
    a.pull(b);
    b.pull(a);
    assert_eq!(a.view(), b.view());
    assert_eq!(a.doc.heads(), b.doc.heads());
}
