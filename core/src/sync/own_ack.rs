//! A relay's acknowledgement of what it has just taken, without what the other end can compute.
//!
//! It does not: make or judge acknowledgements (`engine::acks`); what is rebuilt here is checked there, signature and
//! all, like one that came whole.
//!
//! Invariants: sent only where the lower end's last mark says that both hold the same, so that it can compute the
//! digest that was signed; one that does not come out right is left out and counted, for a lower end that has gone
//! on since cannot rebuild it, and is acknowledged anew for what it wrote.

use super::session::Session;
use super::terms::{Env, Role, SessionError};
use crate::charter::Charter;
use crate::engine::told_epoch;
use crate::id::{DeviceId, UnitId};
use crate::register::{Ack, Register, SignedRegister, ack_root, names};
use crate::scope::Side;
use crate::time::Millis;
use crate::wire;
use crate::wire::frame::{AckLeaf, AckProof, AckSet, OwnAck};

impl Session {
    /// The short form of a statement about a unit of the peer's, where it can be rebuilt there.
    pub(super) fn own_ack(&self, env: &Env<'_>, unit: &UnitId, set: &AckSet) -> Option<OwnAck> {
        let (engine, charter) = (&env.engine, env.engine.charter());
        if !self.peer_greets || self.peer_held != Some(self.holds(engine)) {
            return None;
        }
        let register = set.register.trust().ok()?;
        let ack: Ack = wire::decode("acknowledgement", &register.payload).ok()?;
        let [leaf] = set.leaves.as_slice() else { return None };
        let fits = register.device == engine.device()
            && ack.epoch == engine.epoch()
            && ack.count == 1
            && ack.level == charter.level(&register.unit, engine.levels())
            && leaf.digest == engine.holdings().own_up_digest(unit, ack.level);
        if !fits {
            return None;
        }
        let index = units_below(charter, &self.peer, &engine.device()).position(|u| u == *unit)?;
        let above = charter.chain(unit).position(|u| u.id == register.unit)?;
        Some(OwnAck {
            unit: index.try_into().ok()?,
            above: above.try_into().ok()?,
            counter: register.counter,
            time: (register.time.0 as i64).wrapping_sub(register.counter as i64),
            pending: ack.pending,
            blocked: ack.blocked,
            quarantined: ack.quarantined,
            signature: set.register.signature,
        })
    }

    /// Takes the short form of a statement by the upper end.
    pub(super) fn take_own_ack(&mut self, env: &mut Env<'_>, own: &OwnAck) -> Result<(), SessionError> {
        if self.role != Role::Lower {
            return Err(SessionError::PeerOrder("OwnAck"));
        }
        let set = self.rebuilt(env, own)?;
        let taken = match set {
            Some(set) => env.engine.take_acks(env.store, &[set], env.now)?.is_ok(),
            None => false,
        };
        if taken {
            self.events.push_back(super::Event::Acknowledged);
        } else {
            self.stats.registers_refused += 1;
        }
        Ok(())
    }

    fn rebuilt(&self, env: &Env<'_>, own: &OwnAck) -> Result<Option<AckSet>, SessionError> {
        let (engine, charter) = (&env.engine, env.engine.charter());
        let Some((epoch, _)) = told_epoch(env.store, &self.peer)? else { return Ok(None) };
        let mut units = units_below(charter, &engine.device(), &self.peer);
        let Some(unit) = units.nth(usize::from(own.unit)) else { return Ok(None) };
        let Some(relay_unit) = charter.chain(&unit).map(|u| u.id).nth(usize::from(own.above)) else { return Ok(None) };
        let level = charter.level(&relay_unit, engine.levels());
        let leaf = AckLeaf { unit, digest: engine.holdings().own_up_digest(&unit, level) };
        let ack = Ack {
            epoch,
            level,
            count: 1,
            root: ack_root(&[leaf]),
            pending: own.pending,
            blocked: own.blocked,
            quarantined: own.quarantined,
        };
        let register = Register {
            org: engine.org(),
            unit: relay_unit,
            name: names::ACK.to_owned(),
            device: self.peer,
            counter: own.counter,
            time: Millis((own.counter as i64).wrapping_add(own.time) as u64),
            payload: wire::encode(&ack),
        };
        let register = SignedRegister { bytes: wire::encode(&register), signature: own.signature };
        let proof = Some(AckProof { index: 0, siblings: Vec::new() });
        Ok(Some(AckSet { register, leaves: vec![leaf], proof }))
    }
}

/// The units of a lower end that lie below the upper: those that both know of, in one order. The lower may have others
/// below other relays.
fn units_below<'a>(charter: &'a Charter, lower: &DeviceId, upper: &DeviceId) -> impl Iterator<Item = UnitId> + use<'a> {
    let (lower, upper) = (Side::of(charter, lower), Side::of(charter, upper));
    let below = move |unit: &UnitId| charter.chain(unit).any(|u| upper.relay_units.contains(&u.id));
    lower.units.into_iter().filter(below)
}
