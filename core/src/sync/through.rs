//! The upper end notes since when the lower one holds what came down.
//!
//! It does not: keep or read the list (`engine::through` does).
//!
//! Invariants: called only where both ends were just found equal, so that this store's last commit is also there as far
//! as it is shared.

use super::session::Session;
use super::terms::Env;
use crate::engine::meta;
use crate::hash::tagged16;
use crate::id::Flow;
use crate::scope::Item;
use crate::store::{Batch, StoreError};

impl Session {
    /// Adds this meeting to what is known of the peer, if something new came down since the last.
    pub(super) fn note_meeting(&self, env: &Env<'_>, batch: &mut Batch) -> Result<(), StoreError> {
        let holdings = env.engine.holdings();
        let mut bytes = Vec::new();
        for item in &self.shared.data {
            if let Item::Space(space) = item
                && space.flow == Flow::Down
            {
                bytes.extend_from_slice(&space.unit.0);
                bytes.extend_from_slice(&holdings.space_digest(space).0);
            }
        }
        let mut known = env.engine.meetings(env.store, &self.peer)?.unwrap_or_default();
        if known.note(tagged16("meeting", &[&bytes]), env.store.last_commit()?, env.now) {
            batch.meta.insert(meta::meetings(&self.peer), Some(known.to_bytes()));
        }
        Ok(())
    }
}
