//! What runs on the machines: starting, dying, the transactions of the desk table, projecting.
//!
//! It does not: choose when a machine dies (`chaos` does).
//!
//! Invariants: after every step of a machine the ledger looks at its store.

use super::*;
use crate::sim::ends::beacon_in;

impl World {
    pub(in crate::sim) fn spec(&self, machine: usize) -> &NodeSpec {
        &self.shape.nodes[self.spec_of[machine]]
    }

    /// Starts what is off.
    pub(in crate::sim) fn start(&mut self, n: usize) {
        if self.machines[n].runs() || !self.has_joined(n) {
            return;
        }
        let org = self.org;
        if self.machines[n].disk.is_off() {
            self.machines[n].disk.restart();
        }
        self.stats.starts += 1;
        match self.machines[n].start(org) {
            Ok(()) => {
                let name = self.machines[n].name.clone();
                self.say(&format!("{name} starts"));
                let m = &self.machines[n];
                let looked = match &m.process {
                    Some(p) => self.ledger.after_start(n, &m.name, &p.replica),
                    None => Ok(()),
                };
                // A rotten disk may open and then stumble.
                if let Err(e) = looked
                    && !self.exempt[n]
                {
                    self.ledger.accuse(format!("{name} cannot be read after a start: {e}"));
                }
                self.after_step(n);
                self.plan_dial(n, 1);
            }
            Err(e) => {
                let name = self.machines[n].name.clone();
                let off = self.machines[n].disk.is_off();
                self.say(&format!("{name} does not start (off: {off})"));
                // A start that failed for a reason of the disk is tried again; any other is a broken promise.
                let excused = off || !self.healed || self.exempt[n];
                if !excused {
                    self.ledger.accuse(format!("{name} does not start: {e}"));
                }
                if !self.exempt[n] || off {
                    let after = self.rng.between(1_000, 600_000);
                    self.at(after, Happening::Start(n));
                }
            }
        }
    }

    /// The process is gone: killed, or without power.
    pub(in crate::sim) fn died(&mut self, n: usize, down_ms: u64) {
        let Some(p) = self.machines[n].process.take() else { return };
        let links: Vec<usize> = p.links.values().copied().collect();
        // The disk goes first: a store that is closed in good order syncs what a dying one never would.
        if !self.machines[n].disk.is_off() {
            self.machines[n].disk.power_off();
        }
        drop(p);
        let name = self.machines[n].name.clone();
        self.say(&format!("{name} dies"));
        for link in links {
            let end = usize::from(self.links[link].nodes[0] != n);
            self.links[link].open[end] = false;
            // The other end hears nothing, and gives up in its own time.
            let after = self.rng.between(1, IDLE_MS);
            self.at(after, Happening::Lost { link, end: 1 - end });
        }
        self.at(down_ms, Happening::Start(n));
    }

    pub(in crate::sim) fn wake(&mut self, n: usize) {
        if let Some(p) = self.machines[n].process.as_mut() {
            p.look = true;
        }
        self.plan_work(n, 0);
    }

    pub(super) fn plan_work(&mut self, n: usize, after: u64) {
        let Some(p) = self.machines[n].process.as_mut() else { return };
        let at = self.now + after;
        if p.work_at.is_none_or(|planned| planned > at) {
            p.work_at = Some(at);
            self.at(after, Happening::Work(n));
        }
    }

    pub(super) fn hand_in(&mut self, n: usize, input: TableInput) {
        let Some(p) = self.machines[n].process.as_mut() else { return };
        p.inbox.push(input);
        let after = self.rng.between(0, 3);
        self.plan_work(n, after);
    }

    pub(super) fn work(&mut self, n: usize) {
        let slow = if self.faults.has(FaultKind::SlowDisk) && !self.healed && self.rng.chance(50) {
            self.faults.fired(FaultKind::SlowDisk);
            self.rng.between(100, 5_000)
        } else {
            0
        };
        let Some(p) = self.machines[n].process.as_mut() else { return };
        if p.work_at.is_none_or(|at| at > self.now) {
            return;
        }
        p.work_at = None;
        if p.sleeps_until > self.now {
            let after = p.sleeps_until - self.now;
            self.plan_work(n, after);
            return;
        }
        let inputs = std::mem::take(&mut p.inbox);
        let look = std::mem::take(&mut p.look);
        let closed: Vec<SessionId> =
            inputs.iter().filter_map(|i| if let TableInput::Closed { id } = i { Some(*id) } else { None }).collect();
        let count = inputs.len();
        let framed: Vec<(usize, Vec<u8>)> = inputs
            .iter()
            .filter_map(|i| {
                if let TableInput::Frame { id, bytes, .. } = i {
                    Some((*p.links.get(id)?, bytes.clone()))
                } else {
                    None
                }
            })
            .filter(|(_, bytes)| beacon_in(bytes).is_some())
            .collect();
        let older = self.older_beacons(n, framed.iter().map(|(link, bytes)| (*link, bytes.as_slice())));
        let Some(p) = self.machines[n].process.as_mut() else { return };
        let (outputs, stored) = p.table.transact(&mut p.replica, inputs, look);
        for id in closed {
            p.states.remove(&id);
        }
        let name = self.machines[n].name.clone();
        self.say(&format!("{name} works through {count}, stored {stored}, {} outputs", outputs.len()));
        self.outputs(n, outputs, slow);
        if self.machines[n].disk.is_off() {
            let down = self.rng.around(600_000);
            self.died(n, down);
            return;
        }
        self.after_step(n);
        self.look_at_ways(n);
        self.check_memory(n);
        if !self.exempt[n] {
            self.check_noticed(n, &older);
        }
        if stored {
            self.at(1, Happening::Project(n));
        }
        if self.spec(n).relay {
            self.publish(n);
            if self.faults.has(FaultKind::Ended) && !self.exempt[n] {
                self.close_what_is_due(n);
            }
        }
        self.seal_later(n);
    }

    /// Edits that no link takes are sealed when their time has come.
    pub(super) fn seal_later(&mut self, n: usize) {
        let Some(p) = self.machines[n].process.as_ref() else { return };
        let waits = self.ledger.held.get(n).is_some_and(|h| !h.unsealed.is_empty());
        if waits && p.links.is_empty() && !p.look_planned {
            let after = p.replica.config().seal_after_s * 1_000 + 1;
            if let Some(p) = self.machines[n].process.as_mut() {
                p.look_planned = true;
            }
            self.at(after, Happening::Look(n));
        }
    }

    pub(super) fn publish(&mut self, n: usize) {
        let address = self.machines[n].address.clone();
        let Some(p) = self.machines[n].process.as_mut() else { return };
        // A failure of the disk is met again by the next transaction.
        if let Ok(true) = sampan_relay::serve::publish(&mut p.replica, &[address]) {
            self.after_step(n);
            self.wake(n);
        }
        if self.machines[n].disk.is_off() {
            let down = self.rng.around(600_000);
            self.died(n, down);
        }
    }

    pub(super) fn project(&mut self, n: usize) {
        let Some(p) = self.machines[n].process.as_mut() else { return };
        if p.sleeps_until > self.now {
            return;
        }
        match p.replica.project_step() {
            Ok(true) => self.at(1, Happening::Project(n)),
            Ok(false) => {
                // As the desk does at the end of a stretch of work.
                let _ = p.replica.store.checkpoint();
                // What is named now may have to be asked for.
                let due = self.files.on && p.table.files_due(&p.replica);
                if due {
                    self.wake(n);
                }
                self.say_figures_later(n);
            }
            Err(_) if !self.healed => {}
            Err(e) => self.ledger.accuse(format!("{} cannot project: {e}", self.machines[n].name)),
        }
        if self.machines[n].disk.is_off() {
            let down = self.rng.around(600_000);
            self.died(n, down);
        }
    }

    /// What the ledger sees after a step of a machine.
    pub(in crate::sim) fn after_step(&mut self, n: usize) {
        if self.exempt[n] {
            return;
        }
        let m = &self.machines[n];
        let Some(p) = &m.process else { return };
        if let Err(e) = self.ledger.look(n, &m.name, &p.replica)
            && !m.disk.is_off()
            && self.healed
        {
            let name = m.name.clone();
            self.ledger.accuse(format!("{name} cannot be read: {e}"));
        }
        self.check_ticks(n);
        self.check_beacons(n);
    }

    /// Carries what a table said.
    pub(super) fn outputs(&mut self, n: usize, outputs: Vec<TableOutput>, slow: u64) {
        for output in outputs {
            match output {
                TableOutput::Frame { id, lane, bytes } => self.send(n, id, lane, bytes, slow),
                TableOutput::State { id, state } => self.state(n, id, *state),
                TableOutput::Close { id, .. } => {
                    let link = self.machines[n].process.as_ref().and_then(|p| p.links.get(&id).copied());
                    if let Some(link) = link {
                        let end = usize::from(self.links[link].nodes[0] != n);
                        self.close(link, end);
                    }
                }
            }
        }
    }

    pub(super) fn state(&mut self, n: usize, id: SessionId, state: SessionState) {
        let Some(p) = self.machines[n].process.as_mut() else { return };
        let Some(link) = p.links.get(&id).copied() else { return };
        let before = p.states.insert(id, state.clone());
        let end = usize::from(self.links[link].nodes[0] != n);
        let was = before.and_then(|s| s.verified_at);
        if state.verified_at.is_some() && was != state.verified_at {
            self.links[link].verified = true;
            self.check_verified(link, end);
        }
        if state.verified_at.is_none() && was.is_some() && end == 0 {
            let after = ASK_AGAIN_AFTER.as_millis() as u64;
            self.at(after, Happening::Ask { link });
        }
        if let Some(end) = &state.end {
            self.note_refusal(link, end);
        }
        let once = matches!(self.spec(n).habit, Habit::Now(_)) && !self.healed && !self.spec(n).relay;
        if end == 0 && once && is_done(&state) {
            self.close(link, 0);
        }
    }

    /// A device that was refused for want of a right, while nobody took it, was wronged.
    pub(super) fn note_refusal(&mut self, link: usize, end: &SessionEnd) {
        let lower = self.links[link].nodes[0];
        let SessionEnd::Refused(Event::Refused { code, text, .. }) = end else { return };
        // A hostile relay may say what it likes, and what it said to another.
        let honest = !self.links[link].nodes.iter().any(|n| self.hostile.is(*n));
        let of_right = match code {
            RefuseCode::NoGrant
            | RefuseCode::GrantEnded
            | RefuseCode::TicketUsed
            | RefuseCode::TicketExpired
            | RefuseCode::WrongOrganisation
            | RefuseCode::Version
            | RefuseCode::Protocol => honest,
            RefuseCode::Busy => false,
        };
        if of_right && !self.exempt[lower] && !self.exempt[self.links[link].nodes[1]] {
            let name = self.machines[lower].name.clone();
            self.ledger.accuse(format!("{name} has a right and was refused: {text}"));
        }
    }
}
