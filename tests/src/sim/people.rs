//! What people do: they add, change and remove records, at every level, also while nothing works.
//!
//! It does not: know whether it succeeds; a full disk or a missing schema refuses some of it.
//!
//! Invariants: everything goes through the replica's own edit functions, as the command line does.

use super::dice::Dice;
use super::fault::FaultKind;
use super::world::{Happening, World};
use crate::disk::Crash;
use sampan_core::id::{Flow, RecordId};
use sampan_core::schema::{Assignment, Collection};
use sampan_core::value::{Edit, Value};
use sampan_node::replica::{Replica, ReplicaError};
use std::collections::BTreeMap;

/// Words for names and texts; generated, nobody's.
const WORDS: [&str; 12] = ["an", "bình", "chi", "dũng", "đào", "giang", "hà", "khánh", "lan", "minh", "ngọc", "phúc"];

/// The people of a world.
#[derive(Debug)]
pub struct People {
    pub(super) dice: Dice,
    left: u64,
    /// Records by the collection they are in, oldest first.
    records: Vec<(String, RecordId)>,
}

impl People {
    /// The people of a seed, who will make this many edits.
    #[must_use]
    pub fn new(seed: u64, edits: u64) -> Self {
        Self { dice: Dice::of(seed, "people"), left: edits, records: Vec::new() }
    }

    /// Records that somebody made.
    #[must_use]
    pub fn records(&self) -> &[(String, RecordId)] {
        &self.records
    }

    fn words(&mut self, most: u64) -> String {
        let n = self.dice.between(1, most);
        let words: Vec<&str> = (0..n).map(|_| WORDS[self.dice.between(0, 11) as usize]).collect();
        words.join(" ")
    }
}

impl World {
    /// One edit by somebody, and the next one planned.
    pub(super) fn edit(&mut self) {
        if self.people.left == 0 || self.healed {
            return;
        }
        self.people.left -= 1;
        let after = self.people.dice.around(self.shape.edit_every / self.shape.nodes.len().max(1) as u64).max(1);
        self.at(after, Happening::Edit);
        let running: Vec<usize> = (0..self.machines.len())
            .filter(|n| self.process(*n).is_some_and(|p| p.sleeps_until <= self.now) && !self.exempt[*n])
            .collect();
        let Some(n) = self.people.dice.pick(&running).copied() else { return };
        let what = self.people.dice.between(0, 99);
        let name = self.machines[n].name.clone();
        let done = match what {
            0..=39 => self.add(n),
            40..=89 => self.change(n),
            _ => self.remove_or_bring_back(n),
        };
        match done {
            Ok(words) => {
                self.stats.edits += 1;
                self.say(&format!("{name} {words}"));
            }
            Err(words) => self.say(&format!("{name} may not: {words}")),
        }
        if self.machines[n].disk.is_off() {
            let down = self.people.dice.around(600_000);
            self.died(n, down);
            return;
        }
        self.after_step(n);
        // The power that goes right after an edit finds what was only said to be saved.
        if self.faults.has(FaultKind::PowerLoss) && self.people.dice.chance(200) {
            self.faults.fired(FaultKind::PowerLoss);
            let down = self.people.dice.around(600_000);
            self.died(n, down);
            self.machines[n].disk.crash(Crash::DropUnsynced);
            return;
        }
        self.wake(n);
    }

    fn add(&mut self, n: usize) -> Result<String, String> {
        let dice = &mut self.people.dice;
        let which = match dice.between(0, 99) {
            0..=54 => "cards",
            55..=69 => "minutes",
            70..=84 => "notices",
            85..=94 => "receipts",
            _ => "private",
        };
        let count = match dice.between(0, 99) {
            0..=79 => 1,
            80..=97 => dice.between(2, 12),
            _ => dice.between(250, 300),
        };
        let notices: Vec<RecordId> =
            self.people.records.iter().filter(|(c, _)| c == "notices").map(|(_, id)| *id).collect();
        let mut rows = Vec::new();
        for _ in 0..if which == "cards" { count } else { 1 } {
            let people = &mut self.people;
            let text = |s: String| Value::Str(s);
            let mut fields: BTreeMap<String, Value> = BTreeMap::new();
            match which {
                "cards" => {
                    fields.insert("name".into(), text(people.words(4)));
                    if people.dice.chance(300) {
                        fields.insert("score".into(), Value::Int(people.dice.between(0, 1_000) as i64));
                    }
                    if people.dice.chance(200) {
                        fields.insert("born".into(), text("1975-09-02".into()));
                    }
                }
                "minutes" => {
                    fields.insert("topic".into(), text(people.words(6)));
                }
                "notices" => {
                    fields.insert("title".into(), text(people.words(6)));
                }
                "receipts" => {
                    let notice = people.dice.pick(&notices).copied().ok_or("there is no notice")?;
                    fields.insert("notice".into(), text(notice.to_string()));
                    fields.insert("read".into(), Value::Bool(true));
                }
                _ => {
                    fields.insert("word".into(), text(people.words(1)));
                }
            }
            rows.push(fields);
        }
        let n_rows = rows.len();
        let Some(p) = self.machines[n].process.as_mut() else { return Err("it does not run".into()) };
        let collection = collection(&p.replica, which)?;
        let unit = unit_for(&mut self.people.dice, &p.replica, &collection).ok_or("it has no unit")?;
        let rows =
            rows.into_iter().map(|fields| sampan_node::replica::ImportRecord { unit, fields, updates: None }).collect();
        let ids = p.replica.import(&collection, rows).map_err(|e| word(&e))?;
        if which != "private" {
            self.people.records.extend(ids.iter().take(8).map(|id| (which.to_owned(), *id)));
        }
        Ok(format!("adds {n_rows} {which}"))
    }

    /// A record that this replica holds, the last ones more often.
    fn some_record(&mut self, n: usize) -> Result<(String, RecordId), String> {
        let Some(p) = self.machines[n].process.as_ref() else { return Err("it does not run".into()) };
        let all = &self.people.records;
        for _ in 0..24 {
            let from = if self.people.dice.chance(600) { all.len().saturating_sub(12) } else { 0 };
            let Some((c, id)) = self.people.dice.pick(&all[from..]) else { break };
            if p.replica.collection_of(*id).is_ok() {
                return Ok((c.clone(), *id));
            }
        }
        Err("it holds no record".into())
    }

    fn change(&mut self, n: usize) -> Result<String, String> {
        let (which, id) = self.some_record(n)?;
        let people = &mut self.people;
        let number = people.dice.between(1, 99);
        let words = people.words(5);
        let one = words.split(' ').next().unwrap_or_default().to_owned();
        let choices: &[String] = &match which.as_str() {
            "cards" => vec![
                format!("name={words}"),
                format!("note={words} {number}"),
                format!("note={words}"),
                format!("visits+={number}"),
                format!("visits-={number}"),
                format!("tags+={one}"),
                format!("tags-={one}"),
                format!("score={number}"),
                "score=".to_owned(),
                "born=1980-01".to_owned(),
                "state=done".to_owned(),
                "state=new".to_owned(),
            ],
            "minutes" => vec![format!("topic={words}"), format!("items+={one}"), format!("items-={one}")],
            "notices" => vec![format!("title={words}")],
            "receipts" => vec![format!("contacts+={number}"), "read=false".to_owned(), "read=true".to_owned()],
            _ => vec![],
        };
        let mut wanted: Vec<String> = Vec::new();
        for _ in 0..people.dice.between(1, 3) {
            wanted.extend(people.dice.pick(choices).cloned());
        }
        let Some(p) = self.machines[n].process.as_mut() else { return Err("it does not run".into()) };
        let collection = collection(&p.replica, &which)?;
        let mut edits: Vec<(String, Edit)> = Vec::new();
        for w in &wanted {
            let (field, edit) = Assignment::parse(&collection, w).map_err(|e| e.to_string())?;
            if !edits.iter().any(|(f, _)| *f == field) {
                edits.push((field, edit));
            }
        }
        let changes = p.replica.set(id, &edits).map_err(|e| word(&e))?;
        Ok(format!("sets {} of {id}, {changes} changes", wanted.join(", ")))
    }

    fn remove_or_bring_back(&mut self, n: usize) -> Result<String, String> {
        let (_, id) = self.some_record(n)?;
        let back = self.people.dice.chance(500);
        let Some(p) = self.machines[n].process.as_mut() else { return Err("it does not run".into()) };
        let key = sampan_core::record::REMOVED_KEY.to_owned();
        let changes = p.replica.set(id, &[(key, Edit::Set(Value::Bool(!back)))]).map_err(|e| word(&e))?;
        Ok(format!("removes {id} ({back}), {changes} changes"))
    }
}

fn collection(replica: &Replica, name: &str) -> Result<Collection, String> {
    // Before the schema has come, the built-in one stands in, which has no such collection.
    let schema = replica.schema().ok_or("the schema has not come")?;
    schema.collection(name).cloned().ok_or_else(|| "the schema has not come".to_owned())
}

/// A unit that the replica may write for: its own, or one below it.
fn unit_for(dice: &mut Dice, replica: &Replica, collection: &Collection) -> Option<sampan_core::id::UnitId> {
    let own = replica.units();
    let unit = dice.pick(&own).copied()?;
    if collection.flow == Flow::Up && dice.chance(300) {
        let below: Vec<_> = replica
            .engine
            .charter()
            .units()
            .map(|u| u.id)
            .filter(|u| replica.engine.charter().is_below(u, &unit))
            .collect();
        return dice.pick(&below).copied().or(Some(unit));
    }
    Some(unit)
}

/// A refusal without what differs between two runs.
fn word(e: &ReplicaError) -> String {
    let text = format!("{e:?}");
    text.split(['(', '{', ' ']).next().unwrap_or_default().to_owned()
}
