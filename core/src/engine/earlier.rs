//! What packs on the wire leave out because both ends hold it: the commits up a log from the first of a group.
//!
//! It does not: know how a pack names them (`pack`), or decide who is sent what (`sync`).
//!
//! Invariants: only the chain of sole parents is named, which is the same wherever that first commit can be stored at all;
//! a fork ends it. Nothing that lies in the store is in this form.

use super::Engine;
use super::intake::IntakeError;
use crate::id::{ChangeHash, CommitId, Flow, RecordId};
use crate::log::{EntryPayload, Header, Payload, VerifiedHeader};
use crate::pack::{self, Earlier, PackError, PackScope, Verbatim};
use crate::store::{CommitKey, EntryAt, Store, StoreError};
use crate::wire::frame::Group;
use std::cell::RefCell;
use std::collections::BTreeMap;

/// The chain above one commit, in a store.
struct Chain<'s> {
    store: &'s dyn Store,
    /// One step up is the first.
    keys: Vec<CommitKey>,
    steps: BTreeMap<CommitKey, u64>,
    failed: RefCell<Option<StoreError>>,
}

impl<'s> Chain<'s> {
    fn above(store: &'s dyn Store, first: &Header) -> Result<Self, StoreError> {
        let held = store.lineage(&first.space, &first.device)?;
        let held: BTreeMap<CommitId, _> = held.into_iter().map(|l| (l.id, (l.key, l.parents))).collect();
        let (mut keys, mut parents) = (Vec::new(), first.parents.as_slice());
        while let [only] = parents {
            // No chain is longer than what is held, and ids make no circle.
            let Some((key, next)) = held.get(only) else { break };
            keys.push(*key);
            parents = next;
        }
        let steps = keys.iter().copied().zip(1..).collect();
        Ok(Self { store, keys, steps, failed: RefCell::new(None) })
    }

    fn kept<T>(&self, found: Result<Option<T>, StoreError>) -> Option<T> {
        found.unwrap_or_else(|e| {
            self.failed.borrow_mut().get_or_insert(e);
            None
        })
    }

    fn find(&self, record: &RecordId, change: &ChangeHash) -> Result<Option<(u64, u32, EntryPayload)>, StoreError> {
        let state = self.store.records(std::slice::from_ref(record))?.into_iter().next().flatten();
        let Some(key) = state.and_then(|s| s.key) else { return Ok(None) };
        for e in self.store.entries(key)?.iter().filter(|e| e.hash == *change) {
            let EntryAt::Sealed(commit, index) = e.at else { continue };
            let Some(steps) = self.steps.get(&commit) else { continue };
            return Ok(self.store.entry_at(commit, index)?.map(|entry| (*steps, index, entry)));
        }
        Ok(None)
    }
}

impl Earlier for Chain<'_> {
    fn place(&self, record: &RecordId, change: &ChangeHash) -> Option<(u64, u32, EntryPayload)> {
        self.kept(self.find(record, change))
    }

    fn entry(&self, steps: u64, index: u32) -> Option<EntryPayload> {
        let at = usize::try_from(steps.checked_sub(1)?).ok()?;
        self.kept(self.store.entry_at(*self.keys.get(at)?, index))
    }
}

impl Engine {
    /// The payloads of a group whose headers were verified, and whether its pack may be kept as it is.
    pub(super) fn unpack(
        &self,
        store: &dyn Store,
        heads: &[VerifiedHeader],
        pack: &[u8],
    ) -> Result<(Vec<Payload>, bool), IntakeError> {
        let first = heads.first().ok_or(IntakeError::PeerGroup)?;
        let scope = PackScope { org: self.org, space: first.header().space };
        if !pack::needs_earlier(pack) {
            return Ok((pack::decode(&scope, pack, &*self.codec)?, true));
        }
        let chain = Chain::above(store, first.header())?;
        let read = pack::decode_after(&scope, pack, &*self.codec, &chain);
        if let Some(e) = chain.failed.take() {
            return Err(e.into());
        }
        match read {
            Ok(payloads) => Ok((payloads, false)),
            Err(PackError::Earlier) => Err(IntakeError::PeerEarlier(first.id())),
            Err(e) => Err(e.into()),
        }
    }

    /// A group as a peer of this protocol reads it: without columns for an older one; for one that holds what its first
    /// commit builds on (`after`), without what follows from that.
    pub(crate) fn for_peer(
        &self,
        store: &dyn Store,
        group: Group,
        columns: bool,
        after: bool,
    ) -> Result<Group, StoreError> {
        let plain = !columns && pack::is_columnar(&group.pack);
        let after = columns && after && self.codec.columnar() && pack::names_hashes(&group.pack);
        let Some(first) = group.headers.first().filter(|_| plain || after) else { return Ok(group) };
        let damaged = |e: String| StoreError::Damaged(e);
        let first = first.trust().map_err(|e| damaged(e.to_string()))?;
        if first.header().space.flow == Flow::Charter || first.header().parents.len() != 1 && !plain {
            return Ok(group);
        }
        if after && store.known(&[first.id()])?.iter().all(Option::is_none) {
            return Ok(group);
        }
        let scope = PackScope { org: self.org, space: first.header().space };
        let payloads = pack::decode(&scope, &group.pack, &*self.codec).map_err(|e| damaged(e.to_string()))?;
        let payloads: Vec<&Payload> = payloads.iter().collect();
        if plain {
            let pack = pack::encode(&scope, &payloads, &Verbatim(&*self.codec));
            return Ok(Group { pack, ..group });
        }
        let chain = Chain::above(store, first.header())?;
        let pack = pack::encode_after(&scope, &payloads, &*self.codec, &group.pack, &chain);
        if let Some(e) = chain.failed.take() {
            return Err(e);
        }
        Ok(Group { pack: pack.unwrap_or(group.pack), ..group })
    }
}
