//! Acknowledgements without what a lower end that holds the same can compute: of many units at once, and of relays
//! further up.
//!
//! It does not: make or judge acknowledgements (`engine::acks`); what is rebuilt here is checked there, signature and
//! all, like one that came whole.
//!
//! Invariants: sent only where the lower end's last word is that both hold the same. The lower may have gone on since: what
//! does not come out right is left out and counted, and asked for once more (`AcksLost`), whole this time.

use super::acks::all_units;
use super::session::Session;
use super::terms::{Env, Event, Role, SessionError};
use crate::charter::Charter;
use crate::engine::told_epoch;
use crate::id::{DeviceId, Digest, Flow, UnitId};
use crate::limits::{ACK_LEAVES_MAX, FRAME_SPACES_MAX};
use crate::log::merkle;
use crate::register::{Ack, Register, SignedRegister, ack_leaf, ack_root, names};
use crate::scope::Side;
use crate::time::Millis;
use crate::wire;
use crate::wire::frame::{
    AckLeaf, AckProof, AckSet, Frame, NamedRelay, OtherRelay, PROTOCOL_NAMES, PROTOCOL_SHORT, ShortAck, ShortWay,
};

impl Session {
    /// The short form of a statement, where it can be rebuilt there.
    pub(super) fn short_ack(&self, env: &Env<'_>, set: &AckSet) -> Option<ShortAck> {
        let (engine, charter) = (&env.engine, env.engine.charter());
        let alike = self.peer_held == Some(self.holds(engine)) || self.peer_data == Some(self.digests(engine).data);
        if self.protocol < PROTOCOL_SHORT || !alike {
            return None;
        }
        let register = set.register.trust().ok()?;
        let ack: Ack = wire::decode("acknowledgement", &register.payload).ok()?;
        let alike = |leaf: &AckLeaf| leaf.digest == engine.holdings().own_up_digest(&leaf.unit, ack.level);
        if ack.level != charter.level(&register.unit, engine.levels()) || !set.leaves.iter().all(alike) {
            return None;
        }
        let first = set.leaves.first()?;
        let above = charter.chain(&first.unit).position(|u| u.id == register.unit)?;
        let all = self.units_below(env);
        let own = register.device == engine.device() && ack.epoch == engine.epoch();
        let place = (self.protocol >= PROTOCOL_NAMES).then(|| relay_place(charter, &register.unit, &register.device));
        let named = place.flatten().filter(|_| !own).map(|place| NamedRelay { place, epoch: ack.epoch });
        let other = (!own && named.is_none()).then_some(OtherRelay { device: register.device, epoch: ack.epoch });
        let way = match &set.proof {
            Some(proof) if ack.count > 1 => Some(ShortWay {
                count: ack.count,
                index: proof.index,
                siblings: proof.siblings.iter().flat_map(|d| d.0).collect(),
            }),
            Some(_) | None => None,
        };
        Some(ShortAck {
            units: runs(&all, &set.leaves)?,
            above: above.try_into().ok()?,
            counter: register.counter,
            time: (register.time.0 as i64).wrapping_sub(register.counter as i64),
            pending: ack.pending,
            blocked: ack.blocked,
            quarantined: ack.quarantined,
            signature: set.register.signature,
            other,
            way,
            named,
        })
    }

    /// Takes short forms.
    pub(super) fn take_short_acks(&mut self, env: &mut Env<'_>, said: &[ShortAck]) -> Result<(), SessionError> {
        if self.role != Role::Lower {
            return Err(SessionError::PeerOrder("ShortAcks"));
        }
        let all = self.units_below(env);
        let (mut taken, mut lost) = (false, false);
        for short in said {
            let set = self.rebuilt_short(env, &all, short)?;
            let good = match set {
                Some(set) => env.engine.take_acks(env.store, &[set], env.now)?.is_ok(),
                None => false,
            };
            taken |= good;
            lost |= !good;
            self.stats.registers_refused += u64::from(!good);
        }
        if lost {
            self.out.control(Frame::AcksLost);
        }
        if taken {
            self.events.push_back(Event::Acknowledged);
        }
        Ok(())
    }

    /// The upper end: says all that this session said short once more, as a peer can read it that has gone on since.
    pub(super) fn say_acks_whole(&mut self, env: &mut Env<'_>) -> Result<(), SessionError> {
        if self.role != Role::Upper {
            return Err(SessionError::PeerOrder("AcksLost"));
        }
        let mut sets = Vec::new();
        for unit in std::mem::take(&mut self.acks_short) {
            sets.extend(env.engine.acks_for(env.store, &unit)?.into_iter().map(|(_, _, set)| set));
        }
        for chunk in sets.chunks(FRAME_SPACES_MAX) {
            self.out.registers(Frame::Acks(chunk.to_vec()));
        }
        Ok(())
    }

    fn rebuilt_short(&self, env: &Env<'_>, all: &[UnitId], short: &ShortAck) -> Result<Option<AckSet>, SessionError> {
        let (engine, charter) = (&env.engine, env.engine.charter());
        let Some(units) = meant(all, &short.units) else { return Ok(None) };
        let Some(first) = units.first() else { return Ok(None) };
        let Some(unit) = charter.chain(first).map(|u| u.id).nth(usize::from(short.above)) else { return Ok(None) };
        let (device, epoch) = match (short.other, short.named) {
            (Some(OtherRelay { device, epoch }), None) => (device, epoch),
            (None, Some(NamedRelay { place, epoch })) => match charter.endpoints(&unit).get(usize::from(place)) {
                Some((device, _)) => (*device, epoch),
                None => return Ok(None),
            },
            (None, None) => match told_epoch(env.store, &self.peer)? {
                Some((epoch, _)) => (self.peer, epoch),
                None => return Ok(None),
            },
            (Some(_), Some(_)) => return Ok(None),
        };
        let level = charter.level(&unit, engine.levels());
        let leaf = |unit: &UnitId| AckLeaf { unit: *unit, digest: engine.holdings().own_up_digest(unit, level) };
        let leaves: Vec<AckLeaf> = units.iter().map(leaf).collect();
        let (count, root, proof) = match (&short.way, leaves.as_slice()) {
            (Some(way), [leaf]) => {
                let siblings: Vec<[u8; 32]> = way.siblings.as_chunks().0.to_vec();
                let path = merkle::root_from_proof(way.count as usize, way.index as usize, ack_leaf(leaf), &siblings);
                let Some(root) = path else { return Ok(None) };
                let siblings = siblings.into_iter().map(Digest).collect();
                (way.count, Digest(root), Some(AckProof { index: way.index, siblings }))
            }
            (Some(_), _) => return Ok(None),
            (None, _) => (leaves.len() as u32, ack_root(&leaves), None),
        };
        let ack = Ack {
            epoch,
            level,
            count,
            root,
            pending: short.pending,
            blocked: short.blocked,
            quarantined: short.quarantined,
        };
        let register = Register {
            org: engine.org(),
            unit,
            name: names::ACK.to_owned(),
            device,
            counter: short.counter,
            time: Millis((short.counter as i64).wrapping_add(short.time) as u64),
            payload: wire::encode(&ack),
        };
        let register = SignedRegister { bytes: wire::encode(&register), signature: short.signature };
        Ok(Some(AckSet { register, leaves, proof }))
    }

    /// The lower end's units below the upper that hold something, by id.
    fn units_below(&self, env: &Env<'_>) -> Vec<UnitId> {
        let charter = env.engine.charter();
        let (me, peer) = (Side::of(charter, &env.engine.device()), Side::of(charter, &self.peer));
        let (lower, upper) = if self.role == Role::Lower { (me, peer) } else { (peer, me) };
        let below = |unit: &UnitId| charter.chain(unit).any(|u| upper.relay_units.contains(&u.id));
        // Of units that hold nothing one end may not have heard.
        let holds = |unit: &UnitId| env.engine.holdings().spaces_of(unit).any(|(s, _)| s.flow == Flow::Up);
        all_units(env, &lower).into_iter().filter(|unit| below(unit) && holds(unit)).collect()
    }
}

/// Which of the devices with an endpoint for this unit, counted by id, a relay is.
fn relay_place(charter: &Charter, unit: &UnitId, relay: &DeviceId) -> Option<u16> {
    let place = charter.endpoints(unit).iter().position(|(device, _)| device == relay)?;
    u16::try_from(place).ok()
}

/// Which of `all` these are, passed over and meant by turns; `None` where one is not among them or out of order.
fn runs(all: &[UnitId], leaves: &[AckLeaf]) -> Option<Vec<u32>> {
    let (mut out, mut at): (Vec<u32>, usize) = (Vec::new(), 0);
    for leaf in leaves {
        let index = all.binary_search(&leaf.unit).ok()?;
        let skip = u32::try_from(index.checked_sub(at)?).ok()?;
        match out.last_mut() {
            Some(taken) if skip == 0 => *taken += 1,
            Some(_) | None => out.extend([skip, 1]),
        }
        at = index + 1;
    }
    Some(out)
}

/// The units that are meant; `None` for more than there are, or than one statement has.
fn meant(all: &[UnitId], runs: &[u32]) -> Option<Vec<UnitId>> {
    let (mut out, mut rest) = (Vec::new(), all);
    for run in runs.chunks(2) {
        let [skip, take] = run else { return None };
        let (_, from) = rest.split_at_checked(*skip as usize)?;
        let (some, left) = from.split_at_checked(*take as usize)?;
        out.extend_from_slice(some);
        rest = left;
        if some.is_empty() || out.len() > ACK_LEAVES_MAX {
            return None;
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::test_unit;

    #[test]
    fn units_are_named_by_runs_and_nothing_beyond_the_list_is() {
        let all: Vec<UnitId> = (1..=9).map(test_unit).collect();
        let leaf = |n: usize| AckLeaf { unit: all[n], digest: Digest::default() };
        for (picked, said) in [
            (vec![0, 1, 2, 3, 4, 5, 6, 7, 8], vec![0, 9]),
            (vec![0], vec![0, 1]),
            (vec![8], vec![8, 1]),
            (vec![1, 2, 5], vec![1, 2, 2, 1]),
        ] {
            let leaves: Vec<AckLeaf> = picked.iter().map(|n| leaf(*n)).collect();
            assert_eq!(runs(&all, &leaves), Some(said.clone()));
            assert_eq!(meant(&all, &said), Some(picked.iter().map(|n| all[*n]).collect()));
        }
        assert_eq!(runs(&all, &[leaf(3), leaf(2)]), None, "out of order");
        for beyond in [&[0, 10][..], &[9, 1], &[u32::MAX, u32::MAX], &[3], &[0, 0]] {
            assert_eq!(meant(&all, beyond), None, "{beyond:?}");
        }
    }
}
