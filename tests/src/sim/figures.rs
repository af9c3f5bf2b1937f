//! Figures in worlds: machines say them as a running node does, and each is judged by a plain account of rows,
//! registers and what ever arrived.
//!
//! It does not: ask the tables of figures what is right, or wait for figures to be up to date.
//!
//! Invariants: a figure counts each record once, where it is held or as the one who speaks for its unit said it;
//! never more records than were ever made below the unit; a unit counts as heard of only by a commit of it that is
//! here, or by a report all of whose commits are here.

use super::world::{Happening, World};
use sampan_core::charter::{Charter, Roles};
use sampan_core::id::{CommitId, DeviceId, Flow, SpaceId, UnitId};
use sampan_core::register::Register;
use sampan_core::rollup::{Said, UnitAt, names, period};
use sampan_core::store::{Store, StoreError};
use sampan_core::time::Millis;
use sampan_core::value::Value;
use sampan_core::wire;
use sampan_node::replica::{FigureQuery, Replica, ReplicaError, RollupError};
use sampan_node::store::ProjectedRow;
use std::collections::{BTreeMap, BTreeSet};

/// A node looks for figures to say this long after it has projected, in milliseconds.
const SAY_AFTER_MS: u64 = 3_000;

/// The level of the units that are expected to report.
const BRANCH: u8 = 3;

/// Which rows count.
type Counts = fn(&ProjectedRow) -> bool;

/// The metrics of the worlds' schema: name, collection, its reach, which rows count.
const METRICS: [(&str, &str, u8, Counts); 3] = [
    ("cards_all", "cards", 0, |_| true),
    ("minutes_all", "minutes", 1, |_| true),
    ("receipts_read", "receipts", 0, |r| r.values.get("read") == Some(&Value::Bool(true))),
];

/// A report as its device made it: of a unit, at a time, and the commits of the unit that the device held.
type Reports = BTreeMap<(UnitId, DeviceId, Millis), Vec<BTreeSet<CommitId>>>;

/// What the verdicts about figures remember.
#[derive(Debug, Default)]
pub(super) struct Figures {
    reports: Reports,
    /// Of each machine the registers of its own that were looked at, by unit, name and time.
    seen: BTreeSet<(usize, UnitId, String, Millis)>,
    planned: BTreeSet<usize>,
}

impl World {
    /// A machine has projected what it holds: it will look for figures to say.
    pub(super) fn say_figures_later(&mut self, n: usize) {
        if self.figures.planned.insert(n) {
            self.at(SAY_AFTER_MS, Happening::Say(n));
        }
    }

    /// It says what has changed of its figures.
    pub(super) fn say_figures(&mut self, n: usize) {
        self.figures.planned.remove(&n);
        let asleep = self.process(n).is_none_or(|p| p.sleeps_until > self.now);
        if asleep {
            return;
        }
        let Some(p) = self.machines[n].process.as_mut() else { return };
        let said = p.replica.publish_figures(true);
        if self.machines[n].disk.is_off() {
            let down = self.chaos.around(600_000);
            self.died(n, down);
            return;
        }
        match said {
            Ok(true) => {
                let name = self.machines[n].name.clone();
                self.say(&format!("{name} says figures"));
                self.after_step(n);
                self.wake(n);
                self.check_said(n);
                self.check_figures(n, false);
            }
            // A relay that says nothing itself shows what others said; not every time, for worlds are long.
            Ok(false) if self.spec(n).relay && self.now.is_multiple_of(4) => self.check_figures(n, false),
            Ok(false) => {}
            Err(_) if !self.healed || self.exempt[n] => {}
            Err(e) => self.ledger.accuse(format!("{} cannot say its figures: {e}", self.machines[n].name)),
        }
    }

    /// What a machine has said of units: each must have arrived there.
    fn check_said(&mut self, n: usize) {
        if self.exempt[n] {
            return;
        }
        let Some(p) = &self.machines[n].process else { return };
        let me = p.replica.device();
        let Ok(all) = p.replica.store.registers(0) else { return };
        let own: Vec<Register> = all.iter().filter_map(|(_, s)| s.trust().ok()).filter(|r| r.device == me).collect();
        for register in own {
            if !self.figures.seen.insert((n, register.unit, register.name.clone(), register.time)) {
                continue;
            }
            if register.name == names::REPORT {
                let of = self.of_unit(n, &register.unit, None);
                let key = (register.unit, me, register.time);
                self.figures.reports.entry(key).or_default().push(of);
            } else if register.name.starts_with(names::SUM) {
                let Ok(said) = wire::decode::<Said>("figures", &register.payload) else { continue };
                let reach = names::metric(&register.name).and_then(|(m, _)| METRICS.iter().find(|x| x.0 == m));
                let Some((metric, _, reach, _)) = reach else { continue };
                self.check_claims(n, metric, *reach, &register, &said.units);
            }
        }
    }

    /// Whether a machine that promises nothing works for a unit: nobody knows what it held when it spoke.
    fn is_doubtful(&self, unit: &UnitId) -> bool {
        let of = |i: usize| [Some(self.spec(i).unit), self.spec(i).also];
        (0..self.machines.len())
            .filter(|i| self.exempt[*i])
            .any(|i| of(i).into_iter().flatten().any(|u| self.unit_ids.get(u) == Some(unit)))
    }

    /// Commits of a unit that go up, as far as they are here; of one reach, if it is said.
    fn of_unit(&self, n: usize, unit: &UnitId, reach: Option<u8>) -> BTreeSet<CommitId> {
        let held = self.ledger.held.get(n).map(|h| h.order.as_slice()).unwrap_or_default();
        let fits = |id: &&CommitId| {
            let space = self.ledger.commits.get(id).map(|c| c.header().space);
            space.is_some_and(|s| s.unit == *unit && s.flow == Flow::Up && reach.is_none_or(|r| r == s.reach))
        };
        held.iter().filter(fits).copied().collect()
    }

    fn check_claims(&mut self, n: usize, metric: &str, reach: u8, said: &Register, units: &[UnitAt]) {
        let Some(p) = &self.machines[n].process else { return };
        // Where the records do not come, others say who is in their figures.
        let held_here =
            usize::from(reach) <= usize::from(p.replica.engine.charter().level(&said.unit, p.replica.engine.levels()));
        if !held_here {
            return;
        }
        let name = self.machines[n].name.clone();
        let mut words = Vec::new();
        for claim in units {
            let evident = |at: Millis| at == claim.at;
            if claim.unit == said.unit || self.is_evident(n, reach, &claim.unit, &evident) {
                continue;
            }
            let which = self.unit_ids.iter().position(|u| *u == claim.unit).unwrap_or_default();
            words.push(format!("{name} says that {which} is in {metric}, and what that was heard by is not there"));
        }
        words.into_iter().for_each(|w| self.ledger.accuse(w));
    }

    /// Whether something by which a unit was heard of, at a time that will do, is here.
    fn is_evident(&self, n: usize, reach: u8, unit: &UnitId, at: &dyn Fn(Millis) -> bool) -> bool {
        if self.is_doubtful(unit) {
            return true;
        }
        let header = |id: &CommitId| self.ledger.commits.get(id).map(|c| c.header());
        let held = self.ledger.held.get(n).map(|h| h.order.as_slice()).unwrap_or_default();
        let fits = |s: &SpaceId| s.unit == *unit && s.flow == Flow::Up && s.reach == reach;
        // The newest first: it mostly is what is looked for.
        if held.iter().rev().any(|id| header(id).is_some_and(|h| at(h.time) && fits(&h.space))) {
            return true;
        }
        let here = self.of_unit(n, unit, Some(reach));
        let of_space = |id: &&CommitId| header(id).is_some_and(|h| h.space.reach == reach);
        let all_here = |set: &BTreeSet<CommitId>| set.iter().filter(of_space).all(|id| here.contains(id));
        let reports = &self.figures.reports;
        reports.iter().any(|((of, _, time), sets)| of == unit && at(*time) && sets.iter().any(all_here))
    }

    /// What a machine shows of its own unit and all below is what rows and registers say, counted plainly; in the
    /// end also what every document says.
    pub(super) fn check_figures(&mut self, n: usize, last: bool) {
        if self.exempt[n] || self.machines[n].disk.is_off() {
            return;
        }
        let (unit, relay) = (self.unit_ids[self.spec(n).unit], self.spec(n).relay);
        let plain = relay || (self.spec(n).roles == Roles::EDITOR && !self.spec(n).subtree);
        let doubtful = self.exempt.iter().any(|e| *e);
        let Some(p) = self.machines[n].process.as_mut() else { return };
        let alone = p.replica.units() == [unit];
        if !plain
            || (!relay && !alone)
            || p.replica.engine.charter().unit(&unit).is_none()
            || p.replica.schema().is_none()
        {
            return;
        }
        let found = account(&mut p.replica, unit, relay, last);
        if self.machines[n].disk.is_off() {
            let down = self.chaos.around(600_000);
            self.died(n, down);
            return;
        }
        let name = self.machines[n].name.clone();
        let found = match found {
            Ok(found) => found,
            Err(_) if !self.healed => return,
            Err(e) => return self.ledger.accuse(format!("{name} cannot show its figures: {e}")),
        };
        self.after_step(n);
        let unheard: Vec<(&str, UnitId)> = found
            .reported
            .iter()
            .filter(|(_, reach, from, u)| *u != unit && !self.is_evident(n, *reach, u, &|at| at >= *from))
            .map(|(metric, _, _, u)| (*metric, *u))
            .collect();
        let Some(p) = &self.machines[n].process else { return };
        let charter = p.replica.engine.charter();
        let mut words: Vec<String> =
            found.different.iter().map(|w| format!("{name} counts anew and finds {w}")).collect();
        for (metric, heard) in unheard {
            let which = self.unit_ids.iter().position(|u| *u == heard).unwrap_or_default();
            words.push(format!(
                "{name} shows that {which} has reported for {metric}, and nothing that says so is there"
            ));
        }
        for (metric, shown, plain) in found.figures {
            if shown != plain {
                words.push(format!("{name} shows {shown} for {metric}, and rows and registers come to {plain}"));
            }
            let of = METRICS.iter().find(|m| m.0 == metric).map_or("", |m| m.1);
            let below = |u: &UnitId| *u == unit || charter.is_below(u, &unit);
            let made = self.ledger.commits.values().filter(|c| below(&c.header().space.unit));
            let made: BTreeSet<_> = made
                .flat_map(|c| c.payload().entries.iter().filter(|e| e.entry.collection == of).map(|e| e.entry.record))
                .chain(self.ledger.held[n].unsealed.values().copied())
                .collect();
            if shown > made.len() as u64 && !doubtful {
                words.push(format!("{name} shows {shown} for {metric}, and {} were ever made below it", made.len()));
            }
        }
        words.into_iter().for_each(|w| self.ledger.accuse(w));
    }
}

/// What a replica shows of metrics, and what its rows and registers come to; where counting anew differs.
struct Account {
    figures: Vec<(&'static str, u64, u64)>,
    /// Metric, its reach, since when, and a unit that is shown to have reported since, where the records are held.
    reported: Vec<(&'static str, u8, Millis, UnitId)>,
    different: Vec<String>,
}

fn account(replica: &mut Replica, unit: UnitId, relay: bool, anew: bool) -> Result<Account, ReplicaError> {
    let mut out = Account { figures: Vec::new(), reported: Vec::new(), different: Vec::new() };
    for (metric, of, reach, counts) in METRICS {
        let collection = replica.collection(of)?;
        let query = FigureQuery { unit: Some(unit), metric: Some(metric.to_owned()), ..FigureQuery::default() };
        let Ok(rows) = replica.rollup(&query) else { continue };
        let Some(row) = rows.iter().find(|r| r.by.is_empty()) else { continue };
        let shown = row.figure.n;
        let held: Vec<ProjectedRow> = replica.list(&collection, None, None)?.into_iter().filter(counts).collect();
        let charter = replica.engine.charter();
        let level = charter.level(&unit, replica.engine.levels());
        let plain = if !relay || level >= reach {
            let below = |u: &UnitId| *u == unit || (relay && charter.is_below(u, &unit));
            // The metrics have no dates: what is as of now counts who was heard of in the period that runs.
            let from = period::read(&row.period).map_or(Millis(0), |s| s.from);
            let missing: BTreeSet<UnitId> = row.coverage.missing.iter().map(|(u, _)| *u).collect();
            let expected = charter.units().filter(|u| charter.level(&u.id, replica.engine.levels()) == BRANCH);
            let heard = expected.map(|u| u.id).filter(|u| relay && below(u) && !missing.contains(u));
            out.reported.extend(heard.map(|u| (metric, reach, from, u)));
            held.iter().filter(|r| below(&r.unit)).count() as u64
        } else {
            let own = held.iter().filter(|r| r.unit == unit).count() as u64;
            let said = registers(replica, charter, metric)?;
            own + children(charter, &unit).iter().map(|c| told(charter, &said, c)).sum::<u64>()
        };
        out.figures.push((metric, shown, plain));
    }
    if anew {
        let differences = match replica.check_figures(None) {
            Ok(all) => all,
            Err(RollupError::Replica(e)) => return Err(e),
            Err(other) => {
                out.different.push(other.to_string());
                Vec::new()
            }
        };
        out.different
            .extend(differences.iter().map(|d| format!("{} where {} is kept of {}", d.counted, d.kept, d.metric)));
    }
    Ok(out)
}

fn children(charter: &Charter, unit: &UnitId) -> Vec<UnitId> {
    charter.unit(unit).map(|u| u.children.iter().copied().collect()).unwrap_or_default()
}

/// What was said of a metric: sums and own figures by unit, each the word of the one that speaks.
type Told = BTreeMap<(UnitId, bool), (u64, Millis, DeviceId, u64)>;

fn registers(replica: &Replica, charter: &Charter, metric: &str) -> Result<Told, StoreError> {
    let mut out = Told::new();
    for register in replica.store.registers(0)?.iter().filter_map(|(_, s)| s.trust().ok()) {
        let sum = register.name == format!("{}{metric}/", names::SUM);
        if !sum && register.name != format!("{}{metric}/", names::FIGURE) {
            continue;
        }
        let needs = if sum { Roles::RELAY } else { Roles::READER };
        let Ok(said) = wire::decode::<Said>("figures", &register.payload) else { continue };
        if !charter.roles(&register.device, &register.unit).contains(needs) {
            continue;
        }
        let n = said.figures.iter().map(|f| f.n).sum();
        let rank = (said.commits, register.time, register.device, n);
        let speaks = out.entry((register.unit, sum)).or_insert(rank);
        *speaks = (*speaks).max(rank);
    }
    Ok(out)
}

/// A unit and all below it: the sum of its relay, else its own word and that of those below.
fn told(charter: &Charter, said: &Told, unit: &UnitId) -> u64 {
    if let Some((.., n)) = said.get(&(*unit, true)) {
        return *n;
    }
    let own = said.get(&(*unit, false)).map_or(0, |(.., n)| *n);
    own + children(charter, unit).iter().map(|c| told(charter, said, c)).sum::<u64>()
}
