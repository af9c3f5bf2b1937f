//! Links: dialling by the real plan, sessions opening, frames on their way, ends that give up.
//!
//! It does not: know what a frame says.
//!
//! Invariants: a lane keeps its order, also behind a frame that never arrives; each end learns by itself
//! that a link is gone.

use super::*;
use crate::sim::machine::Upward;

impl World {
    pub(in crate::sim) fn path(&mut self, lower: usize, upper: usize) -> &mut Path {
        let calm = Faults::default();
        let faults = if self.healed { &calm } else { &self.faults };
        let seed = self.seed;
        self.paths.entry((lower, upper)).or_insert_with(|| {
            let mut p = Path::new(seed, lower, upper, faults);
            if self.healed {
                p.rate_kbit = 100_000;
            }
            p
        })
    }

    /// Plans the next dialling of every way of a machine.
    pub(in crate::sim) fn plan_dial(&mut self, n: usize, after: u64) {
        let ways: Vec<u32> = self.machines[n].process.iter().flat_map(|p| p.upward.keys().copied()).collect();
        ways.into_iter().for_each(|way| self.plan_dial_on(n, way, after));
    }

    fn plan_dial_on(&mut self, n: usize, way: u32, after: u64) {
        let at = self.now + after;
        let Some(up) = self.machines[n].process.as_mut().and_then(|p| p.upward.get_mut(&way)) else { return };
        if n != 0 && up.dial_at.is_none_or(|planned| planned > at) {
            up.dial_at = Some(at);
            self.at(after, Happening::Dial(n));
        }
    }

    /// Looks which ways the charter shows now, as the keepers of a node do: ways come and go with it.
    pub(super) fn look_at_ways(&mut self, n: usize) {
        let Some(p) = self.machines[n].process.as_mut() else { return };
        let version = p.replica.engine.charter_version();
        if n == 0 || p.routed_by == Some(version) {
            return;
        }
        p.routed_by = Some(version);
        let mut new = routes(&p.replica);
        new.retain(|r| !p.upward.values().any(|up| up.key == Some(r.key())));
        let known: Vec<_> = routes(&p.replica).iter().map(Route::key).collect();
        let (mut gone, only) = (Vec::new(), p.upward.len() == 1);
        for (way, up) in &mut p.upward {
            if up.key.is_some_and(|key| known.contains(&key)) {
                continue;
            }
            // A relay that is nearer than the one before, or the first that is heard of: the link stays.
            let follows = |r: &Route| up.key.is_none_or(|key| r.leads_over(&key)) || (only && known.len() == 1);
            match new.iter().position(follows) {
                Some(at) => up.key = Some(new.remove(at).key()),
                None if known.is_empty() => {}
                None => gone.push(*way),
            }
        }
        let backoff = p.replica.config().backoff_s;
        let next = p.upward.keys().max().map_or(0, |way| way + 1);
        let mut begun = Vec::new();
        for (way, route) in (next..).zip(new) {
            p.upward.insert(way, Upward { key: Some(route.key()), plan: Plan::new(backoff), dial_at: None });
            begun.push(way);
        }
        for way in gone {
            if let Some(p) = self.machines[n].process.as_mut() {
                p.upward.remove(&way);
            }
            if let Some(link) = self.link_on(n, way) {
                self.close(link, 0);
            }
        }
        begun.into_iter().for_each(|way| self.plan_dial_on(n, way, 1));
    }

    pub(super) fn dial(&mut self, n: usize) {
        self.look_at_ways(n);
        let now = self.now;
        let due = |(way, up): (&u32, &Upward)| up.dial_at.is_some_and(|at| at <= now).then_some(*way);
        let due: Vec<u32> = self.machines[n].process.iter().flat_map(|p| p.upward.iter().filter_map(due)).collect();
        due.into_iter().for_each(|way| self.dial_on(n, way));
    }

    fn dial_on(&mut self, n: usize, way: u32) {
        let Some(p) = self.machines[n].process.as_mut() else { return };
        let Some(up) = p.upward.get_mut(&way) else { return };
        up.dial_at = None;
        if p.sleeps_until > self.now {
            let after = p.sleeps_until - self.now;
            self.plan_dial_on(n, way, after);
            return;
        }
        if self.link_on(n, way).is_some() {
            return;
        }
        let Some(p) = self.machines[n].process.as_mut() else { return };
        let known = routes(&p.replica);
        let several = p.upward.len() > 1;
        let Some(up) = p.upward.get_mut(&way) else { return };
        up.plan.set_several(several);
        let route = known.into_iter().find(|r| Some(r.key()) == up.key);
        let hops = up.plan.hops(route.map(|r| r.hops).unwrap_or_default());
        let mut took = 0;
        let mut opens_at = u64::MAX;
        for hop in hops {
            for address in &hop.addresses {
                let there =
                    self.machines.iter().position(|m| m.address == *address && m.device == hop.device && m.runs());
                if let Some(upper) = there
                    && upper != n
                {
                    let now = self.now;
                    let path = self.path(n, upper);
                    if path.open(true, now) && path.open(false, now) {
                        let rtt = path.round_trip();
                        self.connect((n, way), upper, hop.clone(), took + rtt);
                        return;
                    }
                    opens_at = opens_at.min(path.dead_until[0].max(path.dead_until[1]));
                }
                took += DIAL_MS;
            }
        }
        let mut rng = SeededRng::new(self.rng.bits());
        let Some(up) = self.machines[n].process.as_mut().and_then(|p| p.upward.get_mut(&way)) else { return };
        let wait = up.plan.wait(&mut rng).as_millis() as u64;
        let mut after = took.min(DIAL_ALL_MS) + wait;
        // Months of vain tries are passed over: the tries go on when the path may be open again.
        if wait >= 100_000 && opens_at != u64::MAX && opens_at > self.now + after {
            after = opens_at - self.now + self.rng.between(0, 300_000);
        }
        self.plan_dial_on(n, way, after);
    }

    pub(super) fn connect(&mut self, (lower, way): (usize, u32), upper: usize, hop: Hop, after: u64) {
        let link = self.links.len();
        let mut sessions = [SessionId(0); 2];
        let mut starts = [0; 2];
        let mut marks = [0; 2];
        for (end, node) in [lower, upper].into_iter().enumerate() {
            let m = &mut self.machines[node];
            starts[end] = m.starts;
            let Some(p) = m.process.as_mut() else { return };
            sessions[end] = p.session();
            p.links.insert(sessions[end], link);
            marks[end] = self.ledger.held.get(node).map_or(0, |h| h.order.len());
        }
        let detour = hop.distance > 0;
        self.links.push(Link {
            nodes: [lower, upper],
            starts,
            sessions,
            way,
            hop,
            open: [true; 2],
            lanes: BTreeMap::new(),
            verified: false,
            patience: Patience::default(),
            bytes: [0; 2],
            stuck: [false; 2],
            marks,
        });
        self.stats.links += 1;
        let (a, b) = (self.machines[lower].name.clone(), self.machines[upper].name.clone());
        self.say(&format!("link {link}: {a} to {b}, detour {detour}"));
        let keys = [self.machines[upper].device, self.machines[lower].device];
        let roles = [Role::Lower, Role::Upper];
        for (end, node) in [lower, upper].into_iter().enumerate() {
            let input =
                TableInput::Open { id: sessions[end], role: roles[end], peer: keys[end], fallback: detour && end == 0 };
            let Some(p) = self.machines[node].process.as_mut() else { return };
            p.inbox.push(input);
            self.plan_work(node, after);
        }
        self.at(after + ASK_AGAIN_AFTER.as_millis() as u64, Happening::Ask { link });
        if detour {
            self.at(after + DETOUR_MS, Happening::DetourOver { link });
        }
    }

    pub(super) fn send(&mut self, n: usize, id: SessionId, lane: u8, bytes: Vec<u8>, slow: u64) {
        let Some(link) = self.machines[n].process.as_ref().and_then(|p| p.links.get(&id).copied()) else { return };
        let end = usize::from(self.links[link].nodes[0] != n);
        if !self.links[link].open[end] {
            return;
        }
        self.check_frame(link, end, &bytes);
        let before = self.stats.bytes;
        let frames = self.hostile.tamper(n, lane, bytes, &mut self.faults);
        for (lane, bytes) in frames {
            self.transmit(link, end, lane, bytes, slow);
        }
        let sent = self.stats.bytes - before;
        self.stats.bytes -= self.hostile.not_honest(self.links[link].nodes, sent);
        // What a tampering peer swallowed counts as taken.
        self.at(1, Happening::Taken { link, end, lane });
    }

    pub(super) fn transmit(&mut self, link: usize, end: usize, lane: u8, bytes: Vec<u8>, slow: u64) {
        let [lower, upper] = self.links[link].nodes;
        self.links[link].bytes[end] += bytes.len() as u64;
        self.stats.bytes += bytes.len() as u64;
        let now = self.now;
        let mut faults = std::mem::take(&mut self.faults);
        let path = self.path(lower, upper);
        let dead = path.dead_until[end].saturating_sub(now);
        let passage = if dead > 0 && dead < IDLE_MS {
            // A short silence is bridged by sending again.
            match path.send(bytes.len(), end == 0, now + dead, &mut faults) {
                Passage::After(ms) => Passage::After(ms + dead),
                Passage::Never => Passage::Never,
            }
        } else {
            path.send(bytes.len(), end == 0, now, &mut faults)
        };
        self.faults = faults;
        match passage {
            // A lane keeps its order: behind a frame that never comes through, nothing does.
            Passage::After(ms) if ms < IDLE_MS && !self.links[link].stuck[end] => {
                let ready = self.links[link].lanes.entry((end == 0, lane)).or_default();
                let at = (*ready).max(now + slow + ms);
                *ready = at;
                self.under_way += 1;
                self.trace.line(
                    now,
                    &format!(
                        "link {link}.{end} lane {lane} {} {}",
                        bytes.len(),
                        blake3::hash(&bytes).to_hex().split_at(8).0
                    ),
                );
                self.at(at - now, Happening::Deliver { link, end: 1 - end, lane, bytes });
            }
            Passage::After(_) | Passage::Never => {
                // Nothing comes through for too long: both ends give the link up, each in its own time.
                if std::mem::replace(&mut self.links[link].stuck[end], true) {
                    return;
                }
                let (a, b) = (self.rng.between(1, IDLE_MS), self.rng.between(1, IDLE_MS));
                self.at(IDLE_MS + a, Happening::Lost { link, end: 0 });
                self.at(IDLE_MS + b, Happening::Lost { link, end: 1 });
            }
        }
    }

    /// An end closes a link: what it said before still arrives.
    pub(in crate::sim) fn close(&mut self, link: usize, end: usize) {
        let last = self.links[link].lanes.iter().filter(|((d, _), _)| *d == (end == 0)).map(|(_, at)| *at).max();
        let after = last.unwrap_or(0).saturating_sub(self.now) + 1;
        self.at(after, Happening::Lost { link, end: 1 - end });
        self.lost(link, end);
    }

    /// An end gives a link up.
    pub(in crate::sim) fn lost(&mut self, link: usize, end: usize) {
        if !std::mem::take(&mut self.links[link].open[end]) {
            return;
        }
        let n = self.links[link].nodes[end];
        let id = self.links[link].sessions[end];
        self.say(&format!("link {link}.{end} ends"));
        let Some(p) = self.machines[n].process.as_mut() else { return };
        p.links.remove(&id);
        let state = p.states.get(&id).cloned().unwrap_or_default();
        p.inbox.push(TableInput::Closed { id });
        self.plan_work(n, 0);
        if end == 0 {
            self.lower_ended(n, link, &state);
        }
    }

    pub(super) fn lower_ended(&mut self, n: usize, link: usize, state: &SessionState) {
        let (way, hop, verified) = (self.links[link].way, self.links[link].hop.clone(), self.links[link].verified);
        let habit = self.spec(n).habit;
        let healed = self.healed;
        let mut rng = SeededRng::new(self.rng.bits());
        let Some(up) = self.machines[n].process.as_mut().and_then(|p| p.upward.get_mut(&way)) else { return };
        up.plan.ended(&hop, state.end.as_ref(), verified);
        let redirected = matches!(state.end, Some(SessionEnd::Redirect(_)));
        let wait = up.plan.wait(&mut rng).as_millis() as u64;
        let after = match habit {
            Habit::Daemon => wait,
            Habit::Now(_) if healed || redirected || !verified => wait,
            Habit::Now(mean) => self.rng.around(mean),
        };
        self.plan_dial_on(n, way, after.max(1));
    }

    pub(super) fn ask(&mut self, link: usize) {
        let n = self.links[link].nodes[0];
        let id = self.links[link].sessions[0];
        if !self.links[link].open[0] {
            return;
        }
        let state = self.process(n).and_then(|p| p.states.get(&id)).cloned().unwrap_or_default();
        if state.end.is_none() && state.verified_at.is_none() {
            if !self.links[link].patience.ask(&state) {
                self.close(link, 0);
                return;
            }
            self.hand_in(n, TableInput::Verify { id });
            let wait = self.links[link].patience.wait().as_millis() as u64;
            self.at(wait, Happening::Ask { link });
        }
    }

    /// The clock that all machines read.
    pub(in crate::sim) fn world_clock(&self) -> Arc<AtomicU64> {
        self.clock.clone()
    }

    /// A process that may be looked at.
    pub(in crate::sim) fn process(&self, n: usize) -> Option<&Process> {
        self.machines[n].process.as_ref()
    }

    /// The frame as read, if it is one.
    pub(in crate::sim) fn read(bytes: &[u8]) -> Option<Frame> {
        Frame::decode(bytes).ok()
    }
}
