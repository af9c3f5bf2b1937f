//! What packs on the wire leave out because both ends hold it: the commits up a log from the first of a group.
//!
//! It does not: know how a pack names them (`pack`), or decide who is sent what (`sync`).
//!
//! Invariants: only the chain of sole parents is named, which is the same wherever that first commit can be stored at all;
//! a fork ends it. Nothing that lies in the store is in this form.

use super::Engine;
use super::intake::IntakeError;
use crate::id::{ChangeHash, CommitId, DeviceId, Flow, RecordId, SpaceId};
use crate::log::{EntryPayload, Payload, Rebuilt, SignedHeader};
use crate::pack::{self, Earlier, PackScope, Verbatim};
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
    /// Above a commit of this space and device that has these parents.
    fn above(
        store: &'s dyn Store,
        (space, device): (SpaceId, DeviceId),
        parents: &[CommitId],
    ) -> Result<Self, StoreError> {
        let held = store.lineage(&space, &device)?;
        let held: BTreeMap<CommitId, _> = held.into_iter().map(|l| (l.id, (l.key, l.parents))).collect();
        let (mut keys, mut parents) = (Vec::new(), parents);
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
    /// The payloads of a group whose first commit is of this space and device and has these parents, with which of their
    /// changes were rebuilt, and whether its pack may be kept as it is.
    pub(super) fn unpack(
        &self,
        store: &dyn Store,
        (space, device): (SpaceId, DeviceId),
        parents: &[CommitId],
        pack: &[u8],
    ) -> Result<(Vec<(Payload, Rebuilt)>, bool), IntakeError> {
        let scope = PackScope { org: self.org, space };
        if pack::is_worded(pack) {
            return Ok((pack::read_worded(&scope, pack, &*self.codec)?, false));
        }
        if !pack::needs_earlier(pack) {
            return Ok((pack::read(&scope, pack, &*self.codec)?, true));
        }
        let chain = Chain::above(store, (space, device), parents)?;
        let read = pack::read_after(&scope, pack, &*self.codec, &chain);
        if let Some(e) = chain.failed.take() {
            return Err(e.into());
        }
        Ok((read?, false))
    }

    /// A group as a peer reads it: without what follows from what it holds.
    pub(crate) fn for_peer(&self, store: &dyn Store, group: Group, peer: &Reader) -> Result<Group, StoreError> {
        if !peer.columns {
            return self.without_columns(group);
        }
        if !peer.after && peer.number.is_none() && !peer.words {
            return Ok(group);
        }
        let heads = group.headers.iter().map(SignedHeader::trust).collect::<Result<Vec<_>, _>>().map_err(damaged)?;
        let Some(first) = heads.first() else { return Ok(group) };
        if first.header().space.flow == Flow::Charter {
            let worded = peer.words && group.pack.len() >= WORDED_BYTES_MIN;
            let pack = if worded { pack::encode_worded(&group.pack, &*self.codec) } else { None };
            return Ok(Group { pack: pack.unwrap_or(group.pack), ..group });
        }
        let (space, device) = (first.header().space, first.header().device);
        // What is offered from aside, and what a cut took out of what counts meanwhile, has no place in the log.
        if first.header().parents.len() != 1 || store.known(&[first.id()])?.iter().all(Option::is_none) {
            return Ok(group);
        }
        let after = peer.after && self.codec.columnar() && pack::names_hashes(&group.pack);
        // To open a great pack costs more than the forty bytes that its header then saves.
        let payloads = if after || peer.number.is_some() && group.pack.len() <= OPENED_BYTES_MAX {
            let scope = PackScope { org: self.org, space };
            Some(pack::decode(&scope, &group.pack, &*self.codec).map_err(damaged)?)
        } else {
            None
        };
        let mut out = group;
        if let (true, Some(payloads)) = (after, &payloads) {
            let payloads: Vec<&Payload> = payloads.iter().collect();
            let chain = Chain::above(store, (space, device), &first.header().parents)?;
            let scope = PackScope { org: self.org, space };
            let pack = pack::encode_after(&scope, &payloads, &*self.codec, &out.pack, &chain, peer.dense);
            if let Some(e) = chain.failed.take() {
                return Err(e);
            }
            out.pack = pack.unwrap_or(out.pack);
        }
        if let Some(number) = peer.number
            && let Some(headers) = self.briefly(store, &heads, payloads.as_deref(), number, peer.names)?
        {
            out.headers = headers;
        }
        Ok(out)
    }

    fn without_columns(&self, group: Group) -> Result<Group, StoreError> {
        let Some(first) = group.headers.first().filter(|_| pack::is_columnar(&group.pack)) else { return Ok(group) };
        let first = first.trust().map_err(damaged)?;
        if first.header().space.flow == Flow::Charter {
            return Ok(group);
        }
        let scope = PackScope { org: self.org, space: first.header().space };
        let payloads = pack::decode(&scope, &group.pack, &*self.codec).map_err(damaged)?;
        let payloads: Vec<&Payload> = payloads.iter().collect();
        let pack = pack::encode(&scope, &payloads, &Verbatim(&*self.codec));
        Ok(Group { pack, ..group })
    }
}

/// Packs of charters from here on are tried with the words of a shipped schema: none that is shorter publishes more than
/// a trifle of one, and the trial costs reading and compressing it.
const WORDED_BYTES_MIN: usize = 1 << 10;

/// Packs up to here are opened for the sake of a shorter header.
const OPENED_BYTES_MAX: usize = 4 << 10;

/// What the reader of a group understands, and may be thought to hold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader {
    /// Columnar packs.
    pub(crate) columns: bool,
    /// Dense packs.
    pub(crate) dense: bool,
    /// What the first commit builds on: what follows from that may be left out of the pack.
    pub(crate) after: bool,
    /// Its parent: what follows from that may be left out of the headers, under this number.
    pub(crate) number: Option<u64>,
    /// Names of charter heads.
    pub(crate) names: bool,
    /// Packs of charters that are compressed with the words of a shipped schema.
    pub(crate) words: bool,
}

fn damaged(e: impl std::fmt::Display) -> StoreError {
    StoreError::Damaged(e.to_string())
}
