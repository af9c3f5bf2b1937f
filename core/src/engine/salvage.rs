//! Unsealed edits of a store that was rebuilt: they become commits of the new one.
//!
//! It does not: read the damaged store.
//!
//! Invariants: an edit keeps the nonce, and with it the actor, that it was made under.

use super::{Engine, IntakeError};
use crate::entropy::{Entropy, random};
use crate::id::{Nonce, SpaceId};
use crate::limits;
use crate::log::{Payload, Secret};
use crate::store::{Batch, PendingEntry, Store};
use crate::time::Millis;

impl Engine {
    /// Whether this device may seal all of these edits now, see [`Engine::adopt`].
    #[must_use]
    pub fn may_adopt(&self, edits: &[PendingEntry]) -> bool {
        edits.iter().all(|p| self.charter.counts(&self.device, &p.space))
    }

    /// Seals edits of this device that the store does not hold, in their order; the number of commits.
    ///
    /// # Errors
    /// [`IntakeError`] when the store fails, or an edit is of a kind that its space does not hold.
    pub fn adopt(
        &mut self,
        store: &mut dyn Store,
        rng: &mut dyn Entropy,
        mut edits: Vec<PendingEntry>,
        now: Millis,
    ) -> Result<u64, IntakeError> {
        edits.sort_by_key(|p| (p.space, p.key));
        let mut made = 0;
        let mut run: Vec<PendingEntry> = Vec::new();
        let mut bytes = 0;
        for p in edits {
            let size = p.entry.payload.len() + 64;
            let same = run.last().is_none_or(|l| l.space == p.space && l.nonce == p.nonce);
            let full = run.len() >= limits::COMMIT_ENTRIES_MAX || bytes + size > limits::COMMIT_BYTES_MAX * 3 / 4;
            if !same || full {
                made += self.adopt_run(store, rng, std::mem::take(&mut run), now)?;
                bytes = 0;
            }
            bytes += size;
            run.push(p);
        }
        Ok(made + self.adopt_run(store, rng, run, now)?)
    }

    fn adopt_run(
        &mut self,
        store: &mut dyn Store,
        rng: &mut dyn Entropy,
        run: Vec<PendingEntry>,
        now: Millis,
    ) -> Result<u64, IntakeError> {
        let Some((space, nonce)) = run.first().map(|p| -> (SpaceId, Nonce) { (p.space, p.nonce) }) else {
            return Ok(0);
        };
        let payload =
            Payload { secret: Secret::Whole(random(rng)), entries: run.into_iter().map(|p| p.entry).collect() };
        let commit = self.sign(store, space, nonce, payload, now)?;
        self.store_commits(store, None, space, vec![commit], None, Batch::at(now))?;
        Ok(1)
    }
}
