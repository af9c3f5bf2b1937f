//! The long opening: what each end says of itself in a hello, and how it is taken.
//!
//! It does not: judge at the door (`door`) or open between ends that met before (`greet`).
//!
//! Invariants: nothing of the peer's is taken before its hello, or greeting, was; what is shared is computed by both
//! ends from their charters, here again whenever that changed.

use super::about::Concern;
use super::acks::PeerAcks;
use super::door::{self, Door};
use super::session::Session;
use super::terms::{Env, Event, Role, SessionError};
use crate::canary::{self, Canary};
use crate::engine::Engine;
use crate::frontier::SpaceTips;
use crate::limits::HELLO_LOGS_MAX;
use crate::scope::{Shared, Side};
use crate::store::Batch;
use crate::wire::frame::{
    Frame, Hello, PROTOCOL, PROTOCOL_GREETS, PROTOCOL_MIN, PROTOCOL_SHORT, RefuseCode, ScopeDigests, SpaceFrontier,
};

impl Session {
    /// The lower end: a hello, and what the last acknowledgement says the peer lacks.
    pub(super) fn say_hello(&mut self, env: &mut Env<'_>) -> Result<(), SessionError> {
        let hello = self.hello(env)?;
        self.out.control(Frame::Hello(Box::new(hello)));
        self.push_unacknowledged(env)?;
        self.queue_registers(env)?;
        self.mark_due = Some(true);
        Ok(())
    }

    pub(super) fn hello(&mut self, env: &mut Env<'_>) -> Result<Hello, SessionError> {
        let engine = &env.engine;
        let mut frontier = None;
        if self.role == Role::Lower {
            let held = self.shared.spaces(engine.charter(), engine.holdings());
            let listed: Vec<SpaceFrontier> =
                held.iter().filter_map(|s| engine.holdings().tips(s).map(|t| SpaceFrontier::of(*s, t))).collect();
            if listed.iter().map(|s| s.logs.len()).sum::<usize>() <= HELLO_LOGS_MAX {
                self.frontier_sent.extend(held);
                frontier = Some(listed);
            }
        }
        let chain = match self.role {
            Role::Upper => std::mem::take(&mut self.shown.spent),
            Role::Lower => engine.chains_for(env.store, &self.peer)?,
        };
        let tells = self.role == Role::Lower && self.protocol >= PROTOCOL_SHORT;
        let acks = if tells { Some(self.acks_held(env, true)?) } else { None };
        Ok(Hello {
            version_min: PROTOCOL_MIN,
            version_max: PROTOCOL,
            org: engine.org(),
            device: engine.device(),
            units: engine.joined_units(env.store)?,
            tree_number: 0,
            schema_version: engine.schema().map_or(0, |s| s.version),
            clock: env.now,
            epoch: engine.epoch(),
            digests: self.shared.digests(engine.charter(), engine.holdings()),
            frontier,
            chain,
            fallback: self.fallback,
            registers: self.registers_held(env)?,
            acks,
        })
    }

    pub(super) fn take_hello(&mut self, env: &mut Env<'_>, hello: Hello) -> Result<(), SessionError> {
        if self.open {
            return Err(SessionError::PeerOrder("second Hello"));
        }
        if hello.device != self.peer {
            return Err(SessionError::PeerIdentity { claimed: hello.device, actual: self.peer });
        }
        if hello.org != env.engine.org() {
            self.refuse(RefuseCode::WrongOrganisation, "this relay belongs to another organisation".into());
            return Ok(());
        }
        if hello.version_min > PROTOCOL || hello.version_max < PROTOCOL_MIN {
            let text = format!(
                "this side speaks protocol {PROTOCOL_MIN} to {PROTOCOL}, the other {} to {}: install the same version of Sampan",
                hello.version_min, hello.version_max
            );
            self.refuse(RefuseCode::Version, text);
            return Ok(());
        }
        self.open = true;
        self.protocol = hello.version_max.min(PROTOCOL);
        self.built.clear();
        self.peer_greets = self.protocol >= PROTOCOL_GREETS;
        if self.role == Role::Lower {
            let mut batch = Batch::at(env.now);
            env.engine.note_spent(env.store, &hello.chain, &mut batch)?;
            self.let_in(env, batch, hello.epoch, hello.clock)?;
            self.note_clock(env, hello.clock)?;
            self.registers_shown(env, hello.registers)?;
            return self.hand_in_aside(env);
        }
        self.blank = env.engine.is_blank();
        if !self.blank {
            match door::judge(env, self.peer, &hello, &mut self.shown)? {
                Door::Open => {}
                Door::Refused(RefuseCode::GrantEnded, text) if self.open_deposit(env, &text)? => return Ok(()),
                Door::Refused(code, text) => {
                    self.refuse(code, text);
                    return Ok(());
                }
                Door::Redirect(relays) => {
                    self.closing = true;
                    self.out.control(Frame::Redirect(relays.clone()));
                    self.events.push_back(Event::Redirect(relays));
                    return Ok(());
                }
            }
        }
        self.refresh_shared(env.engine);
        self.registers_shown(env, hello.registers)?;
        self.news_at = env.engine.news_end();
        let answer = self.hello(env)?;
        let digests = answer.digests;
        self.charters_differ = digests.charter != hello.digests.charter;
        self.peer_held = Some(self.short(env.engine, &hello.digests));
        self.peer_data = Some(hello.digests.data);
        self.peer_acks = hello.acks.map(PeerAcks::Tree);
        self.clock_told = Some(env.now);
        self.out.control(Frame::Hello(Box::new(answer)));
        match hello.frontier {
            Some(listed) => {
                for space in self.shared.spaces(env.engine.charter(), env.engine.holdings()) {
                    self.peer_frontiers.insert(space, SpaceTips::default());
                }
                for s in listed {
                    self.note_frontier(env.engine, &s);
                }
            }
            None if equal(&digests, &hello.digests) => {}
            None => self.top_due = Some(self.top(!self.charters_differ)),
        }
        Ok(())
    }

    pub(super) fn refuse(&mut self, code: RefuseCode, text: String) {
        self.closing = true;
        self.out.control(Frame::Refuse(code, text.clone(), None));
        self.events.push_back(Event::Refused { code, text, by_peer: false, retry_after: None });
    }

    pub(super) fn refresh_shared(&mut self, engine: &Engine) {
        // A charter may erase what was made ready to be sent.
        self.built.clear();
        let charter = engine.charter();
        let (me, peer) = (Side::of(charter, &engine.device()), Side::of(charter, &self.peer));
        let (lower, upper) = match self.role {
            Role::Lower => (me, peer),
            Role::Upper => (peer, me),
        };
        self.shared = Shared::of(charter, engine.levels(), &lower, &upper);
        let peer = if self.role == Role::Lower { &upper } else { &lower };
        self.concern = Concern::of(&self.shared, peer);
        self.shared_version = engine.charter_version();
    }
}

/// Whether two ends hold the same: data digests say something only under equal charters.
fn equal(a: &ScopeDigests, b: &ScopeDigests) -> bool {
    a.data == b.data && (a.charter == b.charter || canary::sings(Canary::DigestsUnderUnequalCharters))
}
