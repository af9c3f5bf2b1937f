//! The story of a world: founding, work under faults, healing, and the verdict at its end.
//!
//! It does not: keep time or carry frames.
//!
//! Invariants: relays are there before their branches join; after healing nothing breaks any more.

use super::*;

impl World {
    /// Founds the organisation: units, relays top down, tickets for all others.
    pub(super) fn found(&mut self) {
        let root_key = test_key(self.seed.wrapping_mul(1_000));
        let (org, schema) = (self.org, self.schema());
        let succession = device_id(&self.succession_key());
        let made = self.machines[0].make(org, &Birth::Found { root: &root_key, succession, schema: &schema });
        let root = made.unwrap_or_else(|e| panic!("founding failed: {e}")).unwrap_or_default();
        self.unit_ids.push(root);
        self.after_step(0);
        self.publish(0);
        for u in 1..self.shape.units.len() {
            let spec = self.shape.units[u].clone();
            let parent = self.unit_ids[spec.parent.unwrap_or(0)];
            let unit = self.write_unit(parent, &spec.name, spec.kind);
            self.unit_ids.push(unit);
            if let Some(relay) = spec.relay {
                let ticket = self.invite(relay);
                self.enrol(relay, &[ticket]);
                // A relay is there when those above have heard where it listens.
                if !self.settle(HEALED_WITHIN_MS) {
                    let why = self.in_step().unwrap_or_default();
                    self.ledger.accuse(format!("the relay {} never came into step: {why}", spec.name));
                    return;
                }
            }
        }
        for n in 0..self.shape.nodes.len() {
            if !self.shape.nodes[n].relay {
                let mut tickets = vec![self.invite(n)];
                if let Some(also) = self.shape.nodes[n].also {
                    tickets.push(self.invite_to(n, also));
                }
                self.tickets.insert(n, tickets);
            }
        }
        self.settle(HEALED_WITHIN_MS);
        let began = self.now;
        self.say(&format!("founded: {} nodes", self.shape.nodes.len()));
        for n in 0..self.shape.nodes.len() {
            if !self.shape.nodes[n].relay {
                let joins_at = self.shape.nodes[n].joins_at;
                self.at(joins_at, Happening::Join(n));
            }
        }
        debug_assert!(self.now >= began);
    }

    /// Work under faults.
    pub(super) fn live(&mut self) {
        self.healed = false;
        let ends = self.now + self.shape.lasts;
        self.at(1, Happening::Edit);
        self.at(1, Happening::Break);
        if self.files.on {
            self.at(1, Happening::Attach);
        }
        self.until(ends);
    }

    /// The faults stop; everything must come into step, and everybody must say so.
    pub(super) fn heal(&mut self) {
        self.say("the faults stop");
        self.healed = true;
        self.healed_at = self.now;
        self.paths.clear();
        self.hostile.stop();
        // Links of before may be dead without knowing: the first act of a healed world is to end them.
        let before = self.links.len();
        for link in 0..before {
            self.lost(link, 0);
            self.lost(link, 1);
        }
        for n in 0..self.machines.len() {
            let m = &mut self.machines[n];
            m.disk.set_capacity(None);
            m.disk.heal();
            if let Some(p) = m.process.as_mut() {
                p.sleeps_until = 0;
                p.upward.values_mut().for_each(|way| way.plan = sampan_node::link::Plan::new((1, 300)));
            }
            if self.has_joined(n) {
                if !self.machines[n].runs() {
                    self.start(n);
                } else {
                    self.wake(n);
                    self.plan_dial(n, 1);
                }
            } else if !self.exempt[n] {
                self.join(n);
            }
        }
        if !self.settle(HEALED_WITHIN_MS) && self.ledger.broken.is_empty() {
            let why = self.in_step().unwrap_or_default();
            self.ledger.accuse(format!("not in step {HEALED_WITHIN_MS} ms after the faults stopped: {why}"));
        }
        self.let_them_return();
        self.let_files_come(HEALED_WITHIN_MS);
        self.stats.links_after = (self.links.len() - before) as u64;
        if self.ledger.broken.is_empty() {
            self.final_verdict();
        }
    }

    /// Devices whose right ended have nobody's tick to wait for; what they had sealed is handed in all the same.
    fn let_them_return(&mut self) {
        let deadline = self.now + HEALED_WITHIN_MS;
        let mut n = 0_u64;
        while self.ledger.broken.is_empty() && self.queue.first_key_value().is_some_and(|((t, _), _)| *t <= deadline) {
            if n.is_multiple_of(16) && self.court.returns.iter().all(|m| self.unreturned(*m).is_none()) {
                return;
            }
            n += 1;
            if !self.step() {
                return;
            }
        }
    }

    pub(super) fn write_unit(&mut self, parent: UnitId, name: &str, kind: &str) -> UnitId {
        let m = &mut self.machines[0];
        let now = m.clock.now();
        let p = m.process.as_mut().unwrap_or_else(|| panic!("the city does not run"));
        let Replica { store, engine, rng, .. } = &mut p.replica;
        let unit = UnitId(random(rng));
        let op = Op::CreateUnit { unit, name: name.to_owned(), code: None, kind: Some(kind.to_owned()), since: now };
        store
            .group(|s| engine.write_charter(s, rng, parent, &[op], now))
            .unwrap_or_else(|e| panic!("creating a unit failed: {e}"));
        self.after_step(0);
        self.wake(0);
        unit
    }

    pub(super) fn invite(&mut self, node: usize) -> Ticket {
        let unit = self.shape.nodes[node].unit;
        self.invite_to(node, unit)
    }

    pub(super) fn invite_to(&mut self, node: usize, unit: usize) -> Ticket {
        let spec = self.shape.nodes[node].clone();
        let request = InviteRequest {
            unit: self.unit_ids[unit],
            roles: spec.roles,
            subtree: spec.subtree,
            holder: format!("holder of {}", spec.name),
            until: None,
            use_by: None,
            collections: None,
            replaces: None,
        };
        let m = &mut self.machines[0];
        let now = m.clock.now();
        let p = m.process.as_mut().unwrap_or_else(|| panic!("the city does not run"));
        let Replica { store, engine, rng, .. } = &mut p.replica;
        let ticket =
            store.group(|s| engine.invite(s, rng, &request, now)).unwrap_or_else(|e| panic!("inviting failed: {e}"));
        self.after_step(0);
        self.wake(0);
        ticket
    }

    pub(super) fn join(&mut self, node: usize) {
        if let Some(tickets) = self.tickets.remove(&node) {
            self.enrol(node, &tickets);
        }
    }

    pub(super) fn enrol(&mut self, node: usize, tickets: &[Ticket]) {
        let Some((first, more)) = tickets.split_first() else { return };
        let org = self.org;
        self.say(&format!("{} joins", self.machines[node].name));
        if let Err(e) = self.machines[node].make(org, &Birth::Join(first)) {
            assert!(!self.healed, "joining failed: {e}");
            self.join_later(node, tickets);
            return;
        }
        let now = self.machines[node].clock.now();
        let box_key = self.box_key(node).0;
        for ticket in more {
            let Some(p) = self.machines[node].process.as_mut() else { return };
            for relay in &ticket.relays {
                p.replica.remember_relay(relay);
            }
            self.machines[node].file = p.replica.file().clone();
            let Some(p) = self.machines[node].process.as_mut() else { return };
            let Replica { store, engine, rng, .. } = &mut p.replica;
            if let Err(e) = store.group(|s| engine.join(s, rng, ticket, box_key, now).map(|_| ())) {
                assert!(!self.healed, "joining failed: {e}");
                self.machines[node].disk.power_off();
                self.machines[node].process = None;
                self.join_later(node, tickets);
                return;
            }
        }
        self.after_step(node);
        self.stats.starts += 1;
        self.plan_dial(node, 1);
    }

    /// The disk failed a join: nothing of it remains, and the person tries again.
    pub(super) fn join_later(&mut self, node: usize, tickets: &[Ticket]) {
        self.machines[node].disk.lose();
        self.machines[node].starts = 0;
        self.tickets.insert(node, tickets.to_vec());
        self.at(600_000, Happening::Join(node));
    }
}
