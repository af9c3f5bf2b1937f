//! The root key at work: what only it, or the succession key, may say.
//!
//! It does not: keep keys (callers pass them in and wipe them).
//!
//! Invariants: nothing is written under a key that the charter does not show as the one it must be.

use super::Engine;
use crate::charter::{Grant, Holder, Op, Roles};
use crate::entropy::{Entropy, random};
use crate::id::{CommitId, DeviceId, SpaceId, UnitId};
use crate::log::device_id;
use crate::store::{Store, StoreError};
use crate::time::Millis;
use ed25519_dalek::SigningKey;

/// Why the root key or the succession key was not used; nothing was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RootError {
    /// The organisation's charter is not here.
    #[error("the charter of the organisation has not come yet")]
    NoCharter,
    /// Founded, or its root key named, without a succession key.
    #[error("no key can name a new root key here: none was named when the last one was")]
    NoSuccession,
    /// Another key.
    #[error("this is not the key that the charter names")]
    OtherKey,
    /// It was used.
    #[error("this succession key has named a root key already")]
    Named,
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Engine {
    /// Names a new root key, signed by the succession key, and the key that may name the next one. From then on the
    /// chain of grants ends at the new one; what stood, stands.
    ///
    /// # Errors
    /// [`RootError`].
    pub fn succeed(
        &mut self,
        store: &mut dyn Store,
        rng: &mut dyn Entropy,
        succession: &SigningKey,
        (root, next): (DeviceId, Option<DeviceId>),
        now: Millis,
    ) -> Result<CommitId, RootError> {
        let unit = self.may_succeed(&device_id(succession))?;
        let op = Op::Succeed { root, succession: next };
        self.write_under(store, rng, succession, unit, op, now)
    }

    /// Whether a key may name a new root key now; the root unit.
    ///
    /// # Errors
    /// [`RootError`]: why not.
    pub fn may_succeed(&self, succession: &DeviceId) -> Result<UnitId, RootError> {
        let charter = self.charter();
        let unit = charter.root().ok_or(RootError::NoCharter)?;
        if charter.succession_used(succession) {
            return Err(RootError::Named);
        }
        let named = charter.succession_key().ok_or(RootError::NoSuccession)?;
        if named != *succession {
            return Err(RootError::OtherKey);
        }
        Ok(unit)
    }

    /// Makes this device an admin of the root unit, signed by the root key: for the day when no admin is
    /// left.
    ///
    /// # Errors
    /// [`RootError`].
    pub fn appoint(
        &mut self,
        store: &mut dyn Store,
        rng: &mut dyn Entropy,
        root: &SigningKey,
        holder: &str,
        now: Millis,
    ) -> Result<CommitId, RootError> {
        let unit = self.charter().root().ok_or(RootError::NoCharter)?;
        if self.charter().root_key() != device_id(root) {
            return Err(RootError::OtherKey);
        }
        let salt = random(rng);
        let op = Op::Grant(Grant {
            key: self.device,
            roles: Roles::ADMIN,
            subtree: true,
            from: now,
            until: None,
            ticket: false,
            use_by: None,
            holder: Grant::holder_hash(&salt, holder),
            collections: None,
            replaces: None,
        });
        let id = self.write_under(store, rng, root, unit, op, now)?;
        self.write_holder(store, unit, self.device, Holder { salt, name: holder.to_owned() }, now)?;
        Ok(id)
    }

    fn write_under(
        &mut self,
        store: &mut dyn Store,
        rng: &mut dyn Entropy,
        key: &SigningKey,
        unit: UnitId,
        op: Op,
        now: Millis,
    ) -> Result<CommitId, RootError> {
        let written = self.write_ops(store, rng, key, SpaceId::charter(unit), &[op], now)?;
        let first = written.first().copied();
        first.ok_or_else(|| StoreError::Damaged("the operation just written is not there".into()).into())
    }
}
