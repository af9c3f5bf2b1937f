//! A model of sealing, acknowledgement, crash and restore, checked over its whole bounded state space.
//!
//! One device writes on a disk that may be lost back to what is durable, copied, or put back to an old
//! backup; a relay holds what it is sent on a disk of the same kind, and may itself be put back. Every
//! message may be late, lost or overtaken: what is under way is a set, and nothing obliges anyone to
//! take from it.
//!
//! It does not: run the engine. Each invariant names what in the code keeps it; a model in which that
//! is left out ([`Bug`]) must break it, which shows that the invariant and the model can fail.
//!
//! Invariants of the model itself: sets are bit masks; nothing is drawn twice (a commit sealed anew
//! after a crash is another commit, as its secret and time are).

use stateright::{Checker as _, HasDiscoveries, Model, Property};
use std::collections::BTreeSet;

/// A set of edits or commits by number.
type Set = u16;

/// What may be left out of the code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bug {
    /// Nothing.
    None,
    /// The relay acknowledges what it has taken and not yet synced.
    AckBeforeDurable,
    /// A sealed commit may be sent before the sealing is synced.
    SealNotDurable,
    /// A copy that was noticed at start-up goes on under its old name.
    ActorKeptAtOpen,
    /// A device that meets commits of its own that it had not made goes on under its old name.
    ActorKeptAtMeeting,
    /// Sealing commits the edits and takes them out of the pending ones in another transaction.
    SealInTwoSteps,
    /// A relay that was put back keeps its store's epoch.
    EpochKept,
}

/// What a device's disk holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
struct Image {
    pending: Set,
    log: Set,
    nonce: u8,
    incarnation: u8,
    /// The newest statement of the relay: its epoch and what it holds.
    tick: Option<(u8, Set)>,
}

/// A machine with a disk: what its process sees, and what a crash leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
struct Machine {
    seen: Image,
    durable: Image,
    /// A copy or an old backup that nobody noticed, and that has not met its twin.
    unaware: bool,
    /// The epoch that the relay named last.
    told: Option<u8>,
    /// Edits saved on this disk, as its history has it.
    saved: Set,
    /// How often the disk was replaced.
    generation: u8,
}

/// What the relay's disk holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
struct Held {
    commits: Set,
    epoch: u8,
}

/// An edit as it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Edit {
    nonce: u8,
    sequence: u8,
    by_unaware: bool,
}

/// A commit as it was sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Commit {
    incarnation: u8,
    parents: Set,
    edits: Set,
    sent: bool,
}

/// A message under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Message {
    /// A commit, to the relay.
    Commit(u8),
    /// "This is all that I hold", to the relay: machine, generation, commits.
    Mark(u8, u8, Set),
    /// A signed statement of what the relay holds, to every machine.
    Ack(u8, Set),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
struct State {
    machines: Vec<Machine>,
    backup: Option<Image>,
    relay: Held,
    relay_durable: Held,
    relay_backup: Option<Held>,
    edits: Vec<Edit>,
    commits: Vec<Commit>,
    under_way: BTreeSet<Message>,
    /// Statements made under the relay's present epoch.
    acknowledged: Set,
    /// Names drawn so far.
    names: u8,
    crashes: u8,
    copies: u8,
    false_verified: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Edit(u8),
    Seal(u8),
    /// The second half of a sealing in two steps.
    Tidy(u8),
    Send(u8, u8),
    Mark(u8),
    Deliver(Message),
    /// The relay signs what it holds.
    Acknowledge,
    /// A hello: the relay names its epoch and hands back what the machine lacks.
    Hello(u8),
    Sync(u8),
    SyncRelay,
    Crash(u8),
    CrashRelay,
    /// The first machine's disk is copied aside.
    Backup,
    /// The backup is put back on the first machine; whether its start-up notices.
    Restore(bool),
    /// The first machine's disk runs on a second machine as well; whether its start-up notices.
    Clone(bool),
    BackupRelay,
    RestoreRelay,
}

/// The bounds, and what is left out.
struct Sealing {
    bug: Bug,
    edits: usize,
    commits: usize,
    crashes: u8,
    copies: u8,
}

fn bit(n: u8) -> Set {
    1 << n
}

fn within(small: Set, large: Set) -> bool {
    small & !large == 0
}

fn members(set: Set) -> impl Iterator<Item = u8> {
    (0..Set::BITS as u8).filter(move |n| set & bit(*n) != 0)
}

impl State {
    fn edits_of(&self, commits: Set) -> Set {
        members(commits).fold(0, |all, c| all | self.commits[usize::from(c)].edits)
    }

    /// The parents of a machine's next commit: the tips of its incarnation, else all of its tips.
    fn parents(&self, image: &Image) -> Set {
        let tips = |of: Set| {
            let named = members(of).fold(0, |all, c| all | self.commits[usize::from(c)].parents);
            of & !named
        };
        let current = |c: &u8| self.commits[usize::from(*c)].incarnation == image.incarnation;
        let own = members(image.log).filter(current).fold(0, |all, c| all | bit(c));
        if own == 0 { tips(image.log) } else { tips(own) }
    }

    fn renew(&mut self, m: usize) {
        self.names += 1;
        let machine = &mut self.machines[m];
        (machine.seen.nonce, machine.seen.incarnation) = (self.names, self.names);
        machine.durable = machine.seen;
        machine.unaware = false;
    }

    /// A machine starts on this image.
    fn start(&mut self, image: Image, noticed: bool, bug: Bug, at: usize) {
        let generation = self.copies;
        let saved = image.pending | self.edits_of(image.log);
        let machine = Machine { seen: image, durable: image, unaware: !noticed, told: None, saved, generation };
        self.machines.truncate(at);
        self.machines.push(machine);
        if noticed && bug != Bug::ActorKeptAtOpen {
            self.renew(at);
        }
    }

    /// Puts a message under way in place of an older one of its kind, which is lost.
    fn replace(&mut self, message: Message, same: fn(&Message) -> bool) {
        self.under_way.retain(|m| !same(m));
        self.under_way.insert(message);
    }

    fn ticked(&self, m: &Machine) -> bool {
        let stands = m.seen.tick.is_some_and(|(epoch, held)| m.told == Some(epoch) && held == m.seen.log);
        stands && m.seen.pending == 0
    }
}

impl Model for Sealing {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State { machines: vec![Machine::default()], ..State::default() }]
    }

    fn actions(&self, s: &State, out: &mut Vec<Action>) {
        for (m, machine) in (0u8..).zip(&s.machines) {
            if s.edits.len() < self.edits {
                out.push(Action::Edit(m));
            }
            if machine.seen.pending != 0 && s.commits.len() < self.commits {
                out.push(Action::Seal(m));
            }
            if self.bug == Bug::SealInTwoSteps {
                out.push(Action::Tidy(m));
            }
            let new = machine.seen.log & !s.relay.commits;
            out.extend(
                members(new).filter(|c| !s.under_way.contains(&Message::Commit(*c))).map(|c| Action::Send(m, c)),
            );
            if machine.seen.pending == 0 && machine.seen.log != 0 && machine.seen.log == s.relay.commits {
                // Of others the relay says that they differ, which changes nothing.
                out.push(Action::Mark(m));
            }
            if machine.told != Some(s.relay.epoch) || !within(s.relay.commits, machine.seen.log) {
                out.push(Action::Hello(m));
            }
            if machine.seen != machine.durable {
                out.push(Action::Sync(m));
            }
            if s.crashes < self.crashes && machine.seen != machine.durable {
                out.push(Action::Crash(m));
            }
        }
        out.extend(s.under_way.iter().map(|m| Action::Deliver(*m)));
        if s.relay.commits != 0 && s.machines.iter().any(|m| m.seen.tick != Some((s.relay.epoch, s.relay.commits))) {
            out.push(Action::Acknowledge);
        }
        if s.relay != s.relay_durable {
            out.push(Action::SyncRelay);
            if s.crashes < self.crashes {
                out.push(Action::CrashRelay);
            }
        }
        if s.copies < self.copies {
            if s.machines.len() == 1 {
                out.extend([Action::Clone(true), Action::Clone(false)]);
            }
            match s.backup {
                None => out.push(Action::Backup),
                Some(_) => out.extend([Action::Restore(true), Action::Restore(false)]),
            }
            match s.relay_backup {
                None => out.push(Action::BackupRelay),
                Some(_) => out.push(Action::RestoreRelay),
            }
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut s = last.clone();
        match action {
            Action::Edit(m) => {
                let machine = &s.machines[usize::from(m)];
                let (image, by_unaware) = (machine.seen, machine.unaware);
                let own = members(image.pending | s.edits_of(image.log));
                let sequence = 1 + own.filter(|e| s.edits[usize::from(*e)].nonce == image.nonce).count() as u8;
                let edit = bit(s.edits.len() as u8);
                s.edits.push(Edit { nonce: image.nonce, sequence, by_unaware });
                let machine = &mut s.machines[usize::from(m)];
                // An edit is durable at once.
                machine.seen.pending |= edit;
                machine.durable.pending |= edit;
                machine.saved |= edit;
            }
            Action::Seal(m) => {
                let image = s.machines[usize::from(m)].seen;
                // One nonce a commit, in order of editing.
                let nonce = members(image.pending).map(|e| s.edits[usize::from(e)].nonce).next()?;
                let same = members(image.pending).filter(|e| s.edits[usize::from(*e)].nonce == nonce);
                let edits = same.fold(0, |all, e| all | bit(e));
                let number = s.commits.len() as u8;
                let parents = s.parents(&image);
                s.commits.push(Commit { incarnation: image.incarnation, parents, edits, sent: false });
                let machine = &mut s.machines[usize::from(m)];
                machine.seen.log |= bit(number);
                if self.bug == Bug::SealInTwoSteps {
                    machine.durable.log |= bit(number);
                } else {
                    machine.seen.pending &= !edits;
                }
                if !matches!(self.bug, Bug::SealNotDurable | Bug::SealInTwoSteps) {
                    machine.durable = machine.seen;
                }
            }
            Action::Tidy(m) => {
                let sealed = s.edits_of(s.machines[usize::from(m)].seen.log);
                let machine = &mut s.machines[usize::from(m)];
                machine.seen.pending &= !sealed;
                machine.durable.pending &= !sealed;
            }
            Action::Send(_, c) => {
                s.under_way.insert(Message::Commit(c));
                s.commits[usize::from(c)].sent = true;
            }
            Action::Mark(m) => {
                let machine = &s.machines[usize::from(m)];
                let mark = Message::Mark(m, machine.generation, machine.seen.log);
                s.replace(mark, |m| matches!(m, Message::Mark(..)));
            }
            Action::Deliver(message) => {
                s.under_way.remove(&message);
                match message {
                    Message::Commit(c) => {
                        if !within(s.commits[usize::from(c)].parents, s.relay.commits) {
                            return None;
                        }
                        s.relay.commits |= bit(c);
                        if self.bug != Bug::AckBeforeDurable {
                            s.relay_durable = s.relay;
                        }
                    }
                    Message::Mark(m, generation, said) => {
                        let machine = s.machines.get(usize::from(m)).filter(|m| m.generation == generation);
                        if said == s.relay.commits {
                            let here = within(said, s.relay_durable.commits);
                            let there = machine.is_none_or(|m| within(said, m.durable.log));
                            s.false_verified |= !here || !there;
                        }
                    }
                    Message::Ack(epoch, held) => {
                        // A statement reaches the machines that are there; each takes it as its tick.
                        for machine in &mut s.machines {
                            machine.seen.tick = Some((epoch, held));
                            machine.durable.tick = machine.seen.tick;
                        }
                    }
                }
            }
            Action::Acknowledge => {
                let ack = Message::Ack(s.relay.epoch, s.relay.commits);
                s.replace(ack, |m| matches!(m, Message::Ack(..)));
                s.acknowledged |= s.relay.commits;
            }
            Action::Hello(m) => {
                let back = s.relay.commits & !s.machines[usize::from(m)].seen.log;
                let (epoch, edits) = (s.relay.epoch, s.edits_of(back));
                let machine = &mut s.machines[usize::from(m)];
                let own = machine.seen.incarnation;
                machine.told = Some(epoch);
                machine.seen.log |= back;
                machine.saved |= edits;
                machine.durable = machine.seen;
                let met = members(back).any(|c| s.commits[usize::from(c)].incarnation == own);
                if met && self.bug != Bug::ActorKeptAtMeeting {
                    s.renew(usize::from(m));
                } else if met {
                    s.machines[usize::from(m)].unaware = false;
                }
            }
            Action::Sync(m) => {
                let machine = &mut s.machines[usize::from(m)];
                machine.durable = machine.seen;
            }
            Action::SyncRelay => s.relay_durable = s.relay,
            Action::Crash(m) => {
                s.crashes += 1;
                let machine = &mut s.machines[usize::from(m)];
                machine.seen = machine.durable;
                machine.told = None;
            }
            Action::CrashRelay => {
                s.crashes += 1;
                s.relay = s.relay_durable;
            }
            Action::Backup => s.backup = Some(s.machines[0].durable),
            Action::Restore(noticed) => {
                s.copies += 1;
                s.start(s.backup?, noticed, self.bug, 0);
            }
            Action::Clone(noticed) => {
                s.copies += 1;
                s.start(s.machines[0].durable, noticed, self.bug, 1);
            }
            Action::BackupRelay => s.relay_backup = Some(s.relay_durable),
            Action::RestoreRelay => {
                s.copies += 1;
                s.relay = s.relay_backup?;
                if self.bug != Bug::EpochKept {
                    s.relay.epoch += 1;
                    // Statements of the old store speak of that one, and lapse at the next hello.
                    s.acknowledged = 0;
                }
                s.relay_durable = s.relay;
            }
        }
        (s != *last).then_some(s)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(ACKNOWLEDGED, |_, s: &State| within(s.acknowledged, s.relay_durable.commits)),
            Property::always(NO_FORK, |_, s: &State| s.copies > 0 || no_fork(s)),
            Property::always(TICK, |_, s: &State| !s.false_verified && ticks_are_true(s)),
            Property::always(ONE_PLACE, |_, s: &State| s.machines.iter().all(|m| one_place(s, m))),
            Property::always(OWN_NAME, |_, s: &State| own_names(s)),
            Property::sometimes(GOES_ON, |_, s: &State| {
                s.copies > 0 && s.machines.iter().any(|m| s.ticked(m) && m.seen.log != 0 && m.seen.nonce > 0)
            }),
        ]
    }
}

/// Kept by `Session::receive` (intake before `Engine::acknowledge`, whose statement is over what
/// `Store::write` made durable) and by the node's group of batches, of which no output leaves before
/// its end; by `StoreEpoch` after a restore.
const ACKNOWLEDGED: &str = "no acknowledged change is ever missing where its acknowledgement said it was";

/// Kept by `Engine::seal` (one batch, durable before it returns); stories `forks`, and the end-to-end
/// test `crash`, look at the real thing.
const NO_FORK: &str = "no honest device forks itself on a crash";

/// Kept by `Engine::delivered` (digest, epoch and nothing pending), `Session::take_mark` and
/// `Session::note_verified`.
const TICK: &str = "a tick and a verified are never false";

/// Kept by `Batch::sealed`, written in the batch of the commit that takes the edits
/// (`Engine::seal_run`); the suite that every store passes looks at the real thing.
const ONE_PLACE: &str = "an edit is pending or in exactly one commit";

/// Kept by the node's comparison of machine facts at open, by `Engine::renew`, and by
/// `Intake::twin_found`; model `forks` looks at the real thing.
const OWN_NAME: &str = "after a restore the twin writes under another name";

/// Not an invariant: that the model reaches the end of the story at all.
const GOES_ON: &str = "a restored device goes on and is ticked";

fn no_fork(s: &State) -> bool {
    let sent: Vec<&Commit> = s.commits.iter().filter(|c| c.sent).collect();
    let clash = |a: &Commit, b: &Commit| {
        a.incarnation == b.incarnation && (a.parents & b.parents != 0 || (a.parents == 0 && b.parents == 0))
    };
    sent.iter().enumerate().all(|(i, a)| sent[..i].iter().all(|b| !clash(a, b)))
}

fn ticks_are_true(s: &State) -> bool {
    let fresh = s.machines.iter().filter(|m| m.told == Some(s.relay.epoch) && s.ticked(m));
    fresh.into_iter().all(|m| within(m.seen.log, s.relay_durable.commits))
}

fn one_place(s: &State, m: &Machine) -> bool {
    let image = &m.durable;
    let all = image.pending | s.edits_of(image.log);
    let places = |e: u8| {
        let commits = members(image.log).filter(|c| s.commits[usize::from(*c)].edits & bit(e) != 0).count();
        commits + usize::from(image.pending & bit(e) != 0)
    };
    // A copy made while an edit was pending may seal it beside its twin: the same change under one hash,
    // which counts once. Without copies nothing is in two places; with them, nothing in none.
    within(m.saved, all) && (s.copies > 0 || members(all).all(|e| places(e) == 1))
}

fn own_names(s: &State) -> bool {
    let same = |a: &Edit, b: &Edit| (a.nonce, a.sequence) == (b.nonce, b.sequence);
    let doubled = |a: &Edit, b: &Edit| same(a, b) && !a.by_unaware && !b.by_unaware;
    s.edits.iter().enumerate().all(|(i, a)| s.edits[..i].iter().all(|b| !doubled(a, b)))
}

fn model(bug: Bug) -> Sealing {
    Sealing { bug, edits: 2, commits: 3, crashes: 1, copies: 1 }
}

/// The same with one commit less: a tenth of the states.
fn small() -> Sealing {
    Sealing { commits: 2, ..model(Bug::None) }
}

fn keeps_every_invariant(model: Sealing) {
    let checker = model.checker().threads(2).spawn_bfs().join();
    println!("sealing: {} states, depth {}", checker.unique_state_count(), checker.max_depth());
    assert!(checker.unique_state_count() > 1_000);
    checker.assert_properties();
}

#[test]
fn the_whole_state_space_keeps_every_invariant() {
    keeps_every_invariant(small());
}

#[test]
#[ignore = "minutes: with a third commit"]
fn the_whole_state_space_of_three_commits_keeps_every_invariant() {
    keeps_every_invariant(model(Bug::None));
}

/// The shortest way to break this invariant with this bug; it must exist.
fn broken_by(bug: Bug, invariant: &'static str) {
    broken(model(bug), invariant);
}

fn broken(model: Sealing, invariant: &'static str) {
    let bug = model.bug;
    let only = HasDiscoveries::AllOf(BTreeSet::from([invariant]));
    let checker = model.checker().finish_when(only).spawn_bfs().join();
    let path = checker.discovery(invariant);
    let path = path.unwrap_or_else(|| panic!("{bug:?} was not found by '{invariant}'")).into_actions();
    println!("{bug:?} after {} steps of {} states: {path:?}", path.len(), checker.unique_state_count());
}

#[test]
fn an_acknowledgement_before_the_sync_is_found() {
    broken_by(Bug::AckBeforeDurable, ACKNOWLEDGED);
    broken_by(Bug::AckBeforeDurable, TICK);
}

#[test]
fn a_seal_that_is_not_durable_before_sending_is_found() {
    broken_by(Bug::SealNotDurable, NO_FORK);
}

#[test]
fn a_seal_in_two_transactions_is_found() {
    broken_by(Bug::SealInTwoSteps, ONE_PLACE);
}

#[test]
fn an_actor_kept_after_a_restore_is_found() {
    broken_by(Bug::ActorKeptAtOpen, OWN_NAME);
    // One edit to be met, and one each afterwards.
    broken(Sealing { edits: 3, crashes: 0, ..model(Bug::ActorKeptAtMeeting) }, OWN_NAME);
}

#[test]
fn an_epoch_kept_after_a_restore_is_found() {
    broken_by(Bug::EpochKept, ACKNOWLEDGED);
}
