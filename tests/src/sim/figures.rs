//! Figures in worlds: machines say them as a running node does, and each is judged by a plain account of rows,
//! registers and what ever arrived.
//!
//! It does not: ask the tables of figures what is right, or wait for figures to be up to date.
//!
//! Invariants: a figure counts each record once, where it is held or as the one who speaks for its unit said it;
//! never more records than were ever made below the unit; a unit counts as heard of only by a commit of it that is
//! here, or by a report all of whose commits are here. What a period closed with is what its relay signed, wherever it is
//! seen; where it was closed every difference to what stands now has its lines; and no closing counts a unit or a record
//! twice.

use super::dice::Dice;
use super::fault::FaultKind;
use super::world::{Happening, World};
use sampan_core::charter::{Charter, Roles};
use sampan_core::id::{CommitId, DeviceId, Flow, SpaceId, UnitId};
use sampan_core::register::Register;
use sampan_core::rollup::{Closing, PeriodKind, Said, UnitAt, names, period};
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

/// The metric of worlds in which periods are closed, and a period that everybody's dates lie in.
const BORN: (&str, &str) = ("cards_born", "1975-09");

/// What closes a period: the unit, the register's name, and who signs.
type ClosingOf = (UnitId, String, DeviceId);

/// A relay that has just said figures closes a period so many times in a thousand.
const CLOSES_PERMILLE: u64 = 150;
/// Milliseconds of a day.
const DAY_MS: u64 = 86_400_000;

/// After these a device may close a period twice, not knowing that it did.
const FORGETS: [FaultKind; 7] = [
    FaultKind::Clone,
    FaultKind::CloneSameBoot,
    FaultKind::RestoreBranch,
    FaultKind::RestoreRelay,
    FaultKind::RelayLost,
    FaultKind::BitRot,
    FaultKind::TornWrite,
];

/// What the verdicts about figures remember.
#[derive(Debug, Default)]
pub(super) struct Figures {
    /// Where periods are closed: who closes when.
    dice: Option<Dice>,
    /// Every closing that was signed.
    closings: BTreeMap<ClosingOf, BTreeSet<Vec<u8>>>,
    /// What machines show of each in the end, and the first that was asked.
    in_the_end: BTreeMap<ClosingOf, (Vec<u8>, String)>,
    /// Devices of which nobody knows whether a closing of theirs reached the disk.
    unsure: BTreeSet<DeviceId>,
    reports: Reports,
    /// Of each machine the registers of its own that were looked at, by unit, name and time.
    seen: BTreeSet<(usize, UnitId, String, Millis)>,
    planned: BTreeSet<usize>,
}

impl Figures {
    /// Of a world in which periods are closed, or not.
    pub(super) fn new(seed: u64, closings: bool) -> Self {
        Self { dice: closings.then(|| Dice::of(seed, "closings")), ..Self::default() }
    }
}

impl World {
    /// A relay closes a period: a month that everybody's dates lie in, or yesterday of a state.
    fn close_something(&mut self, n: usize) {
        let (relay, now) = (self.spec(n).relay && !self.exempt[n], self.machines[n].clock.now());
        let unit = self.unit_ids[self.spec(n).unit];
        let Some(dice) = self.figures.dice.as_mut().filter(|_| relay) else { return };
        if !dice.chance(CLOSES_PERMILLE) {
            return;
        }
        let yesterday = PeriodKind::Day.of_time(Millis(now.0.saturating_sub(DAY_MS)));
        let (metric, label) = match dice.chance(700) {
            true => (BORN.0, BORN.1.to_owned()),
            false => ("minutes_all", yesterday),
        };
        let Some(p) = self.machines[n].process.as_mut() else { return };
        let me = p.replica.device();
        let closed = p.replica.close_period(unit, metric, &label);
        if self.machines[n].disk.is_off() {
            self.figures.unsure.insert(me);
            let down = self.chaos.around(600_000);
            self.died(n, down);
            return;
        }
        match closed {
            Ok(()) => {
                let name = self.machines[n].name.clone();
                self.say(&format!("{name} closes {label} of {metric}"));
                self.closed(n, unit, &format!("{}{metric}/{label}", names::CLOSED));
                self.after_step(n);
                self.wake(n);
            }
            Err(RollupError::Replica(_)) => drop(self.figures.unsure.insert(me)),
            // Not over, not known here, or closed before.
            Err(_) => {}
        }
    }

    /// What was signed just now: no unit and no record counts twice in it, and it is the only one of its signer.
    fn closed(&mut self, n: usize, unit: UnitId, closing: &str) {
        let name = self.machines[n].name.clone();
        let Some(p) = &self.machines[n].process else { return };
        let me = p.replica.device();
        let Ok(all) = p.replica.store.registers_named(names::CLOSED) else { return };
        let mut own = all.iter().filter_map(|s| s.trust().ok());
        let Some(own) = own.find(|r| r.unit == unit && r.device == me && r.name == closing) else {
            return self.ledger.accuse(format!("{name} signed {closing}, and it is not there"));
        };
        let (charter, levels) = (p.replica.engine.charter(), p.replica.engine.levels());
        let below = |u: &UnitId| *u == unit || charter.is_below(u, &unit);
        let units = charter.units().filter(|u| below(&u.id) && charter.level(&u.id, levels) == BRANCH).count() as u64;
        let made = self.ledger.commits.values().filter(|c| below(&c.header().space.unit));
        let made: BTreeSet<_> = made
            .flat_map(|c| c.payload().entries.iter().map(|e| e.entry.record))
            .chain(self.ledger.held[n].unsealed.values().copied())
            .collect();
        let doubtful = self.exempt.iter().any(|e| *e);
        let mut words = Vec::new();
        if let Ok(said) = wire::decode::<Closing>("closing", &own.payload) {
            let counted: u64 = said.figures.iter().map(|f| f.n).sum();
            if said.expected != units || said.reported > units {
                words
                    .push(format!("{} of {} have reported, and there are {units} units", said.reported, said.expected));
            }
            if counted > made.len() as u64 && !doubtful {
                words.push(format!("{counted} records are in it, and {} were ever made", made.len()));
            }
        }
        let forgets = self.faults.counts().keys().any(|k| FORGETS.contains(k));
        let of = self.figures.closings.entry((unit, own.name, me)).or_default();
        if of.insert(own.payload) && of.len() > 1 && !forgets {
            words.push("it is signed a second time".to_owned());
        }
        words.into_iter().for_each(|w| self.ledger.accuse(format!("{name} signs {closing}: {w}")));
    }

    /// What is closed is what was signed; where this machine closed it, lines lead from there to what stands now; and in
    /// the end it is the same wherever it is seen, however often a relay that forgot signed it.
    fn check_closings(&mut self, n: usize, last: bool) {
        if self.figures.dice.is_none() || self.exempt[n] {
            return;
        }
        let (name, unit) = (self.machines[n].name.clone(), self.unit_ids[self.spec(n).unit]);
        let Some(p) = self.machines[n].process.as_mut() else { return };
        let me = p.replica.device();
        let Ok(all) = p.replica.store.registers_named(names::CLOSED) else { return };
        let mut words = Vec::new();
        for register in all.iter().filter_map(|s| s.trust().ok()) {
            let of = self.figures.closings.entry((register.unit, register.name.clone(), register.device)).or_default();
            if register.device == me && of.is_empty() && self.figures.unsure.contains(&me) {
                of.insert(register.payload.clone());
            }
            if !of.contains(&register.payload) {
                words.push(format!("shows {} as nobody signed it", register.name));
            }
            if last {
                let key = (register.unit, register.name.clone(), register.device);
                let own = (register.payload, name.clone());
                let (said, by) = self.figures.in_the_end.entry(key).or_insert_with(|| own.clone());
                if *said != own.0 {
                    words.push(format!("shows {} otherwise than {by} does", register.name));
                }
            }
        }
        let query = FigureQuery { unit: Some(unit), metric: Some(BORN.0.to_owned()), ..FigureQuery::default() };
        let rows = p.replica.rollup(&query).unwrap_or_default();
        for row in rows.iter().filter(|r| r.by.is_empty()) {
            let Some(closed) = row.closed.as_ref().filter(|c| c.by == me) else { continue };
            let mut at = closed.value.clone().unwrap_or_default();
            for line in &row.corrected {
                if line.old != at {
                    words.push(format!("has a line from {} to {} after {at} of {}", line.old, line.new, row.period));
                }
                at.clone_from(&line.new);
            }
            if at != row.value {
                words.push(format!(
                    "shows {} for {}, which is closed, and its lines end at {at}",
                    row.value, row.period
                ));
            }
        }
        words.into_iter().for_each(|w| self.ledger.accuse(format!("{name} {w}")));
    }

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
                self.close_something(n);
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
        if relay {
            self.check_closings(n, last);
        }
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
        // As of now: what a period that is over closed with stands as it was signed.
        let kind = replica.schema().and_then(|s| PeriodKind::named(&s.metrics.get(metric)?.period));
        let now = replica.label()?;
        let query = FigureQuery {
            unit: Some(unit),
            metric: Some(metric.to_owned()),
            period: Some(kind.map(|k| k.of_time(now)).unwrap_or_default()),
            ..FigureQuery::default()
        };
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
