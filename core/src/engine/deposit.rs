//! What a device whose rights have ended may still hand in: what it wrote itself.
//!
//! It does not: decide what counts. What is handed in is judged like everything else: inside a cut it counts,
//! outside it lies in the quarantine, until somebody who may releases or rejects it.
//!
//! Invariants: a deposit is the device's own commits of records, in spaces that it was once given to write and
//! that the relay holds: no charter (a thief's word on who may do what is asked for by nobody), no other's work.
//! What the device is told in return is its own commits that are here, and the cut that ends its rights.

use super::{Engine, meta};
use crate::charter::{Op, Roles};
use crate::frontier::SpaceTips;
use crate::id::{CommitId, DeviceId, Flow, LogId, SpaceId};
use crate::limits;
use crate::log::{Commit, Payload, SignedHeader};
use crate::pack::{self, PackScope};
use crate::scope::{Shared, Side};
use crate::store::{CommitRow, Quarantined, Store, StoreError};
use crate::time::Millis;
use crate::wire;
use crate::wire::frame::{Group, SpaceFrontier};
use std::collections::{BTreeMap, BTreeSet};

/// What a device knows of the end of its rights; kept in its store.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct Ended {
    /// Why, in words for people.
    #[n(0)]
    pub reason: String,
    /// When it was first told, by its own clock.
    #[n(1)]
    pub at: Millis,
    /// The relay that told it.
    #[n(2)]
    pub relay: DeviceId,
    /// Whether the relay showed a cut, signed by one who may as far as this device knows, that is for good.
    #[n(3)]
    pub for_good: bool,
    /// Commits that relays took in deposit.
    #[n(4)]
    pub handed_in: u64,
    /// Commits of its own that the relay does not have.
    #[n(5)]
    pub left: u64,
}

/// What a relay lacks of the commits of this device.
#[derive(Debug, Default)]
pub(crate) struct ToDeposit {
    /// Those that count here.
    pub rows: Vec<(LogId, CommitRow)>,
    /// Those that a cut took out of what counts here, in the order of their log.
    pub aside: Vec<Quarantined>,
}

impl ToDeposit {
    pub(crate) fn len(&self) -> usize {
        self.rows.len() + self.aside.len()
    }
}

impl Engine {
    /// What is known here of the end of this device's rights.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn ended(&self, store: &dyn Store) -> Result<Option<Ended>, StoreError> {
        let damaged = |e: wire::WireError| StoreError::Damaged(format!("'{}': {e}", meta::ENDED));
        store.meta(meta::ENDED)?.map(|b| wire::decode("end", &b).map_err(damaged)).transpose()
    }

    /// Why a device's rights ended, if they did: by what stands in the charter, not by any clock.
    #[must_use]
    pub fn end_of(&self, device: &DeviceId) -> Option<String> {
        if let Some(reason) = self.charter.revoked(device) {
            return Some(reason.to_owned());
        }
        let none = self.charter.rights(device).next().is_none();
        let cuts = self.charter.cuts().filter(|(key, _)| **key == *device);
        cuts.last().filter(|_| none).map(|(_, cut)| cut.reason.clone())
    }

    /// The commit of a charter that ended a device's rights, to show it: one that says nothing else.
    pub(crate) fn ending_cut(&self, device: &DeviceId) -> Option<Group> {
        let ends = |c: &&Commit| match c.payload().entries.as_slice() {
            [only] => match Op::decode(&only.payload) {
                Ok(Op::Revoke { key, .. }) => key == *device,
                Ok(Op::Cut(cut)) => cut.key == *device,
                Ok(_) | Err(_) => false,
            },
            _ => false,
        };
        let known = |c: &&Commit| {
            let id = c.id();
            !self.charter.void().iter().any(|v| v.commit == id)
        };
        // The last one that stands: earlier ones may have narrowed only.
        let commit = self.charter_log.iter().filter(ends).rfind(known)?;
        let scope = PackScope { org: self.org, space: commit.header().space };
        let pack = pack::encode(&scope, &[commit.payload()], &*self.codec);
        (pack.len() <= limits::DEPOSIT_CUT_BYTES_MAX)
            .then(|| Group { headers: vec![commit.head().signed().clone()], pack })
    }

    /// Whether a commit of a charter ends this device's rights for good, by the word of one who may, as far as
    /// this device has heard.
    pub(crate) fn ends_for_good(&self, group: &Group) -> bool {
        let Some(commit) = self.open_only(group) else { return false };
        let h = commit.header();
        let admin = self.charter.roles(&h.device, &h.space.unit).contains(Roles::ADMIN) || h.device.0 == self.org.0;
        let ends = |e: &crate::log::EntryPayload| match Op::decode(&e.payload) {
            Ok(Op::Revoke { key, .. }) => key == self.device,
            Ok(Op::Cut(cut)) => cut.key == self.device && cut.kind.is_final(),
            Ok(_) | Err(_) => false,
        };
        h.space.flow == Flow::Charter && admin && commit.payload().entries.iter().any(ends)
    }

    fn open_only(&self, group: &Group) -> Option<Commit> {
        let [head] = group.headers.as_slice() else { return None };
        let head = head.verify(&self.org).ok()?;
        let scope = PackScope { org: self.org, space: head.header().space };
        let payload = pack::decode(&scope, &group.pack, &*self.codec).ok()?.into_iter().next()?;
        Commit::join(head, payload).ok()
    }

    /// What a device that has lost its rights once shared with this relay.
    pub(crate) fn deposit_scope(&self, device: &DeviceId) -> Shared {
        let lower = Side::of_rights(self.charter.ever_given(device));
        let upper = Side::of(&self.charter, &self.device);
        Shared::of(&self.charter, self.levels(), &lower, &upper)
    }

    /// Of a group, the commits that its bearer may hand in: its own, of records, in its old scope. Bytes that are
    /// no commits are left out like those of others.
    pub(crate) fn deposit_part(&self, bearer: &DeviceId, shared: &Shared, group: &Group) -> Option<Group> {
        let heads: Vec<_> = group.headers.iter().map(|h| h.verify(&self.org)).collect::<Result<_, _>>().ok()?;
        let space = heads.first()?.header().space;
        let records = !matches!(space.flow, Flow::Charter | Flow::Local);
        if !records || !shared.contains(&self.charter, &space) || !self.charter.counts(bearer, &space) {
            return None;
        }
        // Where only a time has ended the right, what says itself that it was written later stays where it is:
        // nothing but a cut that comes in a month would tell it from what was written in time.
        let until = match self.end_of(bearer) {
            None => self.charter.rights(bearer).filter_map(|r| r.until).max(),
            Some(_) => None,
        };
        let own = |h: &crate::log::VerifiedHeader| h.header().device == *bearer && h.header().space == space;
        let in_time = |p: &Payload| until.is_none_or(|until| p.entries.iter().all(|e| e.entry.time <= until));
        if until.is_none() && heads.iter().all(own) {
            return Some(group.clone());
        }
        let scope = PackScope { org: self.org, space };
        let payloads = pack::decode(&scope, &group.pack, &*self.codec).ok()?;
        let kept: Vec<(SignedHeader, Payload)> = heads
            .iter()
            .zip(payloads)
            .filter(|(h, p)| own(h) && in_time(p))
            .map(|(h, p)| (h.signed().clone(), p))
            .collect();
        let (headers, payloads): (Vec<_>, Vec<_>) = kept.into_iter().unzip();
        let pack = pack::encode(&scope, &payloads.iter().collect::<Vec<_>>(), &*self.codec);
        (!headers.is_empty()).then_some(Group { headers, pack })
    }

    /// The tips of all that is here of a device's records, whether it counts or lies in the quarantine.
    pub(crate) fn deposited(&self, store: &dyn Store, device: &DeviceId) -> Result<Vec<SpaceFrontier>, StoreError> {
        let mut spaces: BTreeMap<SpaceId, SpaceTips> = BTreeMap::new();
        let held = self.holdings.spaces().filter(|(s, _)| !matches!(s.flow, Flow::Charter | Flow::Local));
        for (space, tips) in held {
            for ((_, incarnation), tips) in tips.logs().filter(|((d, _), _)| d == device) {
                spaces.entry(*space).or_default().replace(*device, *incarnation, tips.clone());
            }
        }
        let mut aside = store.quarantine()?;
        aside.retain(|q| q.head.header().device == *device && q.head.header().space.flow != Flow::Charter);
        aside.sort_by_key(|q| q.head.header().sequence);
        let mut here: BTreeSet<CommitId> = BTreeSet::new();
        for q in aside {
            let (id, h) = (q.head.id(), q.head.header());
            let held = store.known(&h.parents)?;
            // One whose parent found no room is no tip: all before a tip is here.
            if h.parents.iter().zip(held).all(|(p, held)| held.is_some() || here.contains(p)) {
                here.insert(id);
                spaces.entry(h.space).or_default().advance(h.device, h.incarnation, id, &h.parents);
            }
        }
        let mut told = 0;
        let fits = |s: &SpaceFrontier| {
            told += s.logs.iter().map(|l| l.tips.len()).sum::<usize>();
            told <= limits::DEPOSIT_TIPS_MAX
        };
        Ok(spaces.iter().map(|(space, tips)| SpaceFrontier::of(*space, tips)).take_while(fits).collect())
    }

    /// What a relay that holds this much of this device's records lacks of them.
    pub(crate) fn to_deposit(&self, store: &dyn Store, held: &[SpaceFrontier]) -> Result<ToDeposit, StoreError> {
        let own = self.device;
        let mut out = ToDeposit::default();
        let tips_of = |space: &SpaceId| held.iter().find(|s| s.space == *space).map(SpaceFrontier::tips);
        for (space, tips) in self.holdings.spaces() {
            if matches!(space.flow, Flow::Charter | Flow::Local) {
                continue;
            }
            let theirs = tips_of(space).unwrap_or_default();
            for ((device, incarnation), _) in tips.logs().filter(|((d, _), _)| *d == own) {
                let log = LogId { space: *space, device: *device, incarnation: *incarnation };
                let have: BTreeSet<CommitId> = theirs.of_device(own).into_iter().collect();
                out.rows.extend(store.missing(&log, &have)?.into_iter().map(|row| (log, row)));
            }
        }
        let mut aside = store.quarantine()?;
        aside.retain(|q| q.head.header().device == own && q.head.header().space.flow != Flow::Charter);
        aside.sort_by_key(|q| q.head.header().sequence);
        let mut theirs: BTreeSet<CommitId> = held.iter().flat_map(|s| &s.logs).flat_map(|l| &l.tips).copied().collect();
        for q in aside.iter().rev() {
            if theirs.contains(&q.head.id()) {
                theirs.extend(&q.head.header().parents);
            }
        }
        aside.retain(|q| !theirs.contains(&q.head.id()));
        out.aside = aside;
        Ok(out)
    }
}
