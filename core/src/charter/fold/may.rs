//! Who may write which collection, and what a grant may hand on of it.
//!
//! It does not: narrow reading: what is replicated is a space, and a space knows no collections.
//!
//! Invariants: what a log may carry at all never shrinks when more of the charter arrives (it is judged by every
//! right that was ever given; up to where each holds `taken` says); only whether something may be written now is
//! judged by what stands.

use super::{Charter, Right};
use crate::charter::op::{Grant, INSPECTIONS, Roles};
use crate::id::{DeviceId, UnitId};
use crate::time::Millis;

impl Right {
    /// Whether this right, which gives `roles` on a unit, lets its holder write a collection there.
    pub(super) fn writes(&self, roles: Roles, collection: &str) -> bool {
        let role = roles.contains(Roles::EDITOR) || (roles.contains(Roles::INSPECTOR) && collection == INSPECTIONS);
        role && self.collections.as_ref().is_none_or(|named| named.contains(collection))
    }
}

impl Charter {
    /// Whether a key may write a collection of a unit now.
    #[must_use]
    pub fn may_write(&self, key: &DeviceId, unit: &UnitId, collection: &str) -> bool {
        self.standing(key).any(|r| r.writes(self.covers(r, unit), collection))
    }

    /// Until when a key may write a collection of a unit, by whichever right lasts longest: `Some(None)` =
    /// without end, `None` = it may not.
    #[must_use]
    pub fn may_write_until(&self, key: &DeviceId, unit: &UnitId, collection: &str) -> Option<Option<Millis>> {
        let rights = self.standing(key).filter(|r| r.writes(self.covers(r, unit), collection));
        // Without end is more than any end.
        rights.map(|r| r.until).max_by_key(|until| until.map_or(u64::MAX, |m| m.0))
    }

    /// Whether a key was ever given the right to write a collection of a unit: what its commits may carry, as far
    /// as no cut took it ([`Charter::carried`]).
    #[must_use]
    pub fn may_carry(&self, key: &DeviceId, unit: &UnitId, collection: &str) -> bool {
        self.ever(key).any(|r| r.writes(self.covered(r, unit), collection))
    }

    /// Which device was invited to take over from this one, and whether it has joined: `None` if nobody.
    #[must_use]
    pub fn replaced_by(&self, device: &DeviceId) -> Option<Option<DeviceId>> {
        let joined = self.all_rights().find(|(new, r)| r.replaces == Some(*device) && *new != device);
        if let Some((new, _)) = joined {
            return Some(Some(*new));
        }
        let invited = self.tickets().any(|(_, t)| t.used_by.is_none() && t.right.replaces == Some(*device));
        invited.then_some(None)
    }
}

/// Whether a grant would last longer than a right of its author.
pub(super) fn outlasts(author: &Right, grant: &Grant) -> bool {
    author.until.is_some_and(|limit| grant.until.is_none_or(|u| u > limit))
}

/// Whether a grant lets write only what a right of its author does.
pub(super) fn within(author: &Right, grant: &Grant) -> bool {
    let Some(own) = &author.collections else { return true };
    let writes = grant.roles.contains(Roles::EDITOR);
    let named = || grant.collections.as_ref().is_some_and(|c| c.is_subset(own));
    let inspects = grant.roles.contains(Roles::INSPECTOR);
    (!writes || named()) && (!inspects || own.contains(INSPECTIONS) || named())
}
