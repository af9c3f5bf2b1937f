//! Registers between two ends: what of them the other end has not had, and what of the peer's is taken.
//!
//! It does not: compare them. Registers enter no digest; each end keeps, for each peer, how far that peer has
//! sent its own, and shows it in its next opening.
//!
//! Invariants: what the other end does not show to have is sent again, so that a link that ends on the way, a
//! backup that was restored or a relay that was replaced loses none; a place in the order of sending is kept
//! only once everything before it was taken, or was refused under a charter that both ends hold.

use super::session::Session;
use super::terms::{Env, Role, SessionError};
use crate::charter::{Charter, Roles};
use crate::engine::{CLOSED_COUNTER, Engine, meta};
use crate::hash::tagged16;
use crate::id::SpaceId;
use crate::limits::{EARLY_REGISTERS_MAX, REGISTERS_SCANNED_MAX, TURN_REGISTERS_MAX};
use crate::register::{Register, SignedRegister, names};
use crate::rollup::names as figures;
use crate::scope::Side;
use crate::store::{Batch, StoreError};
use crate::wire::frame::{Frame, PROTOCOL_CLOSINGS, PROTOCOL_GREETS, RegistersCursor};

/// What a session knows of registers.
#[derive(Debug, Default)]
pub(super) struct Registers {
    /// How far ours were sent in this session.
    sent: Option<RegistersCursor>,
    /// How far the peer has ours: by its own word, or (the lower end, before it was answered) as far as they were
    /// sent when the two were last equal.
    from: Option<RegistersCursor>,
    /// The peer's that the charter held here does not allow, or not yet.
    early: Vec<SignedRegister>,
    /// Whether more than that came.
    overflowed: bool,
    /// How far the peer has sent its own, once `early` is settled.
    pending: Option<RegistersCursor>,
}

impl Registers {
    /// Lets go of the room for what waits, when nothing does.
    pub(super) fn rest(&mut self) {
        if self.early.is_empty() {
            self.early = Vec::new();
        }
    }

    #[cfg(test)]
    pub(super) fn room(&self) -> usize {
        self.early.capacity()
    }

    /// The session begins anew.
    pub(super) fn begin_anew(&mut self) {
        self.sent = None;
    }
}

impl Session {
    /// The lower end, before it says anything: as far as its registers were sent when the two were last equal.
    pub(super) fn recall_registers(&mut self, env: &Env<'_>) -> Result<(), StoreError> {
        let bytes = env.store.meta(&meta::registers_sent(&self.peer))?;
        self.registers.from = bytes.and_then(|b| RegistersCursor::from_bytes(&b));
        Ok(())
    }

    /// How far the peer has sent its registers, to be shown to it.
    pub(super) fn registers_held(&self, env: &Env<'_>) -> Result<Option<RegistersCursor>, StoreError> {
        let bytes = env.store.meta(&meta::registers_from(&self.peer))?;
        Ok(bytes.and_then(|b| RegistersCursor::from_bytes(&b)))
    }

    /// What the peer's opening shows of ours. The lower end has sent some by then, and sends again what it only
    /// thought to have arrived.
    pub(super) fn registers_shown(
        &mut self,
        env: &mut Env<'_>,
        shown: Option<RegistersCursor>,
    ) -> Result<(), SessionError> {
        if self.protocol < PROTOCOL_GREETS && self.role == Role::Lower {
            // Such a peer shows nothing.
            return Ok(());
        }
        let after = |cursor: Option<RegistersCursor>| self.after(env.engine, cursor);
        let again = after(shown) < after(self.registers.from);
        self.registers.from = shown;
        if again && self.registers.sent.take().is_some() {
            self.queue_registers(env)?;
        }
        Ok(())
    }

    /// Passes on registers that were stored since, without waiting for a turn.
    ///
    /// # Errors
    /// [`SessionError::Local`].
    pub fn pass_registers(&mut self, env: &mut Env<'_>) -> Result<(), SessionError> {
        if self.role == Role::Lower && self.open && !self.is_closing() && self.deposit.is_none() {
            self.queue_registers(env)?;
        }
        Ok(())
    }

    /// Registers that the peer has not had, and that concern it.
    pub(super) fn queue_registers(&mut self, env: &mut Env<'_>) -> Result<(), SessionError> {
        let at = self.after(env.engine, self.registers.sent.or(self.registers.from));
        let mut out: Vec<SignedRegister> = Vec::new();
        let mut cursor = RegistersCursor { tag: self.registers_tag(env.engine), through: at };
        let lower = self.lower_side(env.engine);
        let mut upper: Option<Side> = None;
        for (position, signed) in env.store.registers(at)? {
            if out.len() >= TURN_REGISTERS_MAX {
                break;
            }
            cursor.through = position;
            let upper = upper.get_or_insert_with(|| Side::of(env.engine.charter(), &self.peer));
            let shown = self.shares(env.engine, &signed) && concerns(env.engine.charter(), self.role, &lower, &signed);
            let shown =
                shown && (self.role == Role::Lower || self.protocol >= PROTOCOL_CLOSINGS || !ends_a_period(&signed));
            if shown && (self.role == Role::Upper || env.engine.figure_reaches(upper, &signed)) {
                out.push(signed);
            }
        }
        self.registers.sent = Some(cursor);
        // Without any, looking through them again costs less than telling of it, up to a point.
        let far = cursor.through - at >= REGISTERS_SCANNED_MAX;
        if !out.is_empty() {
            self.out.registers(Frame::Registers(out));
        } else if !far {
            return Ok(());
        }
        if self.protocol >= PROTOCOL_GREETS {
            self.out.registers(Frame::RegistersCursor(cursor));
        }
        Ok(())
    }

    /// The position after which ours are to be sent, where this is how far they came.
    fn after(&self, engine: &Engine, cursor: Option<RegistersCursor>) -> u64 {
        let tag = self.registers_tag(engine);
        cursor.filter(|c| c.tag == tag).map_or(0, |c| c.through)
    }

    /// A device may have units below other relays too: what is said of those is none of this one's business.
    fn shares(&self, engine: &Engine, signed: &SignedRegister) -> bool {
        let of = |unit| self.shared.contains(engine.charter(), &SpaceId::charter(unit));
        self.role == Role::Upper || signed.trust().is_ok_and(|r| of(r.unit))
    }

    /// What a position among our registers rests on: another store counts otherwise, and of other units other
    /// registers go.
    fn registers_tag(&self, engine: &Engine) -> u32 {
        let units: Vec<u8> = self.shared.charter.iter().flat_map(|item| item.unit().0).collect();
        let [a, b, c, d, ..] = tagged16("registers-cursor", &[&engine.epoch().0, &units]);
        u32::from_le_bytes([a, b, c, d])
    }

    fn lower_side(&self, engine: &Engine) -> Side {
        let lower = match self.role {
            Role::Lower => engine.device(),
            Role::Upper => self.peer,
        };
        Side::of(engine.charter(), &lower)
    }

    pub(super) fn take_registers(
        &mut self,
        env: &mut Env<'_>,
        registers: Vec<SignedRegister>,
    ) -> Result<(), SessionError> {
        let mut batch = Batch::at(env.now);
        for signed in registers {
            let register = signed.verify(&env.engine.org())?;
            if self.take_beacon(env, &register.name, &signed)? {
                continue;
            }
            if admits(env.engine.charter(), self.role, &register) {
                batch.registers.push(signed);
            } else if self.registers.early.len() < EARLY_REGISTERS_MAX {
                // Their lane may be faster than the charter's.
                self.registers.early.push(signed);
            } else {
                self.registers.overflowed = true;
                self.stats.registers_refused += 1;
            }
        }
        if !batch.is_empty() {
            env.store.write(&batch)?;
        }
        Ok(())
    }

    /// How far the peer has sent its registers.
    pub(super) fn take_registers_cursor(
        &mut self,
        env: &mut Env<'_>,
        cursor: RegistersCursor,
    ) -> Result<(), SessionError> {
        self.registers.pending = Some(cursor);
        self.keep_registers_cursor(env)
    }

    /// The charter has grown: takes what it now allows.
    pub(super) fn take_early_registers(&mut self, env: &mut Env<'_>) -> Result<(), SessionError> {
        let early = std::mem::take(&mut self.registers.early);
        if early.is_empty() {
            return Ok(());
        }
        self.take_registers(env, early)?;
        self.keep_registers_cursor(env)
    }

    /// Both ends hold the same charter, and nothing that the peer sent since is here yet: what is still not allowed
    /// is refused.
    pub(super) fn settle_registers(&mut self, env: &mut Env<'_>) -> Result<(), SessionError> {
        self.stats.registers_refused += self.registers.early.len() as u64;
        self.registers.early.clear();
        self.keep_registers_cursor(env)
    }

    fn keep_registers_cursor(&mut self, env: &mut Env<'_>) -> Result<(), SessionError> {
        // Of what found no room nobody knows whether it was allowed: the peer shall send it again.
        if self.registers.overflowed || !self.registers.early.is_empty() {
            return Ok(());
        }
        if let Some(cursor) = self.registers.pending.take() {
            let mut batch = Batch::at(env.now);
            batch.meta.insert(meta::registers_from(&self.peer), Some(cursor.to_bytes()));
            env.store.write(&batch)?;
        }
        Ok(())
    }

    /// The lower end writes down, in `batch`, how far its registers were sent.
    pub(super) fn note_registers_sent(&self, batch: &mut Batch) {
        if let (Role::Lower, Some(sent)) = (self.role, self.registers.sent) {
            batch.meta.insert(meta::registers_sent(&self.peer), Some(sent.to_bytes()));
        }
    }
}

/// Whether a register concerns the other end: signs of life go up, holders' names to their unit and the relays
/// above it. `role` is that of the one who sends.
pub(crate) fn concerns(charter: &Charter, role: Role, lower: &Side, signed: &SignedRegister) -> bool {
    let Ok(register) = signed.trust() else { return false };
    let in_lower = lower.covers(charter, &register.unit);
    if register.name == names::ERASED {
        // Who erased something learns who above it still has to: the relays of its own line say so.
        let above = || lower.all().iter().any(|u| charter.is_below(u, &register.unit));
        return in_lower || (role == Role::Upper && above());
    }
    if register.name.starts_with(figures::FIGURE) {
        // A relay between adds it to its own sum: further up it would count twice.
        let own = lower.units.contains(&register.unit) || lower.relay_units.contains(&register.unit);
        return role == Role::Lower && own;
    }
    if register.name.starts_with(figures::SUM) {
        return role == Role::Lower && lower.relay_units.contains(&register.unit);
    }
    let kind = match role {
        Role::Lower => {
            goes_up(&register.name)
                || register.name.starts_with(figures::CLOSED)
                || register.name.starts_with(names::HOLDER)
        }
        Role::Upper if register.name.starts_with(figures::CLOSED) => {
            // A relay that was restored or replaced, and a second one of the unit, learn what the period closed with,
            // and do not close it again.
            return lower.relay_units.contains(&register.unit);
        }
        Role::Upper => register.name.starts_with(names::HOLDER),
    };
    in_lower && kind
}

/// Whether it is what a period closed with: a lower end takes it since [`PROTOCOL_CLOSINGS`].
fn ends_a_period(signed: &SignedRegister) -> bool {
    signed.trust().is_ok_and(|r| r.name.starts_with(figures::CLOSED))
}

/// What devices say of themselves to the relays above them.
fn goes_up(name: &str) -> bool {
    let kinds = [names::HEARTBEAT, names::ROOM, names::SETTLED, names::QUARANTINE, figures::REPORT];
    kinds.contains(&name)
}

/// Whether the signer of a register may say it, and to the end that `role` names.
pub(crate) fn admits(charter: &Charter, role: Role, register: &Register) -> bool {
    let roles = charter.roles(&register.device, &register.unit);
    if register.name == names::SETTLED {
        // It speaks of other devices than its own.
        role == Role::Upper && roles.contains(Roles::RELAY)
    } else if goes_up(&register.name) {
        role == Role::Upper && !roles.is_none()
    } else if register.name == names::ERASED {
        !roles.is_none()
    } else if register.name.starts_with(figures::FIGURE) {
        role == Role::Upper && (roles.contains(Roles::EDITOR) || roles.contains(Roles::RELAY))
    } else if register.name.starts_with(figures::SUM) {
        role == Role::Upper && roles.contains(Roles::RELAY)
    } else if register.name.starts_with(figures::CLOSED) {
        // It stands for ever: none with a greater counter takes its place. It comes down too, to relays of its unit.
        roles.contains(Roles::RELAY) && register.counter == CLOSED_COUNTER
    } else {
        let key = register.name.strip_prefix(names::HOLDER);
        let key = key.filter(|_| roles.contains(Roles::ADMIN)).and_then(|k| k.parse().ok());
        // The name of a holder that was erased is never taken again.
        key.is_some_and(|key| !charter.is_holder_erased(&register.unit, &key))
    }
}
