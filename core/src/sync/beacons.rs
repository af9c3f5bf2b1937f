//! Beacons on their way down: when the upper end shows its own, and how the lower end takes it.
//!
//! It does not: sign or judge them (`engine::beacons`).
//!
//! Invariants: a beacon goes out when both ends hold the same, so that the lower end can judge who
//! signed; each of them once a child.

use super::session::Session;
use super::terms::{Env, Event, Role, SessionError};
use crate::engine::{BeaconTaken, meta};
use crate::register::{SignedRegister, names};
use crate::store::Batch;
use crate::wire::frame::Frame;

impl Session {
    /// Shows the lower end, which holds the same, this relay's beacon, if it was not shown this one. `waits`: the lower
    /// end waits for an answer.
    pub(super) fn show_beacon(&mut self, env: &mut Env<'_>, waits: bool) -> Result<(), SessionError> {
        if self.role != Role::Upper || env.engine.is_blank() {
            return Ok(());
        }
        let Some(signed) = env.engine.beacon(env.store, env.now)? else { return Ok(()) };
        let name = meta::beacon_shown(&self.peer);
        let shown = signed.signature[..8].to_vec();
        if env.store.meta(&name)?.as_ref() == Some(&shown) {
            return Ok(());
        }
        // One that waits for our answer takes what goes before it; another may be gone, and sees it next time.
        if waits {
            let mut batch = Batch::at(env.now);
            batch.meta.insert(name, Some(shown));
            env.store.write(&batch)?;
        }
        self.out.registers(Frame::Registers(vec![signed]));
        Ok(())
    }

    /// Takes what may be a beacon; false if it is none, or not the upper end's to say.
    pub(super) fn take_beacon(
        &mut self,
        env: &mut Env<'_>,
        name: &str,
        signed: &SignedRegister,
    ) -> Result<bool, SessionError> {
        if name != names::BEACON || self.role != Role::Lower {
            return Ok(false);
        }
        Ok(match env.engine.take_beacon(env.store, &self.peer, signed, env.now)? {
            BeaconTaken::Refused => false,
            BeaconTaken::Known | BeaconTaken::News => true,
            BeaconTaken::RolledBack(unit) => {
                self.events.push_back(Event::RolledBack(unit));
                true
            }
        })
    }
}
