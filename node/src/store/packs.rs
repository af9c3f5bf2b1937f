//! Packs: decoding them once, and handing them out.
//!
//! It does not: say what a pack looks like (`sampan_core::pack`).
//!
//! Invariants: decoded packs held at any time stay under a fixed number of bytes; a pack that was
//! stored travels as it was stored wherever it holds exactly what is asked for.

use super::SqliteStore;
use super::error::{Fault, damaged};
use super::rows;
use sampan_core::id::SpaceId;
use sampan_core::limits::{REPACK_BYTES_MAX, REPACK_ENTRIES_MAX};
use sampan_core::log::{Commit, EntryPayload, Payload, SignedHeader, VerifiedHeader};
use sampan_core::pack::{self, PackScope};
use sampan_core::store::CommitKey;
use sampan_core::time::Millis;
use sampan_core::wire::frame::Group;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Decoded packs, the least recently used leaving first.
pub(super) struct PackCache {
    bytes_max: usize,
    bytes: usize,
    clock: u64,
    packs: BTreeMap<i64, Held>,
    by_use: BTreeMap<u64, i64>,
}

struct Held {
    used: u64,
    bytes: usize,
    payloads: Arc<Vec<Payload>>,
}

impl PackCache {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, bytes: 0, clock: 0, packs: BTreeMap::new(), by_use: BTreeMap::new() }
    }

    pub(super) fn clear(&mut self) {
        *self = Self::new(self.bytes_max);
    }

    pub(super) fn find(&mut self, pack: i64) -> Option<Arc<Vec<Payload>>> {
        let held = self.packs.get_mut(&pack)?;
        self.clock += 1;
        self.by_use.remove(&held.used);
        held.used = self.clock;
        self.by_use.insert(held.used, pack);
        Some(Arc::clone(&held.payloads))
    }

    pub(super) fn keep(&mut self, pack: i64, payloads: &Arc<Vec<Payload>>) {
        let bytes = 256 + payloads.iter().map(in_memory).sum::<usize>();
        if bytes > self.bytes_max || self.packs.contains_key(&pack) {
            return;
        }
        while self.bytes + bytes > self.bytes_max {
            let Some((_, oldest)) = self.by_use.pop_first() else {
                break;
            };
            if let Some(gone) = self.packs.remove(&oldest) {
                self.bytes -= gone.bytes;
            }
        }
        self.clock += 1;
        self.bytes += bytes;
        self.by_use.insert(self.clock, pack);
        let held = Held { used: self.clock, bytes, payloads: Arc::clone(payloads) };
        self.packs.insert(pack, held);
    }
}

/// Bytes that a decoded payload takes in memory, about.
pub(super) fn in_memory(p: &Payload) -> usize {
    let entry = |e: &EntryPayload| e.payload.len() + e.entry.collection.len() + 192;
    p.entries.iter().map(entry).sum::<usize>() + 64
}

/// Bytes that a payload takes in a pack before compression, about.
fn inflated(p: &Payload) -> usize {
    p.entries.iter().map(|e| e.payload.len() + 32).sum()
}

/// A commit of the store with its pack decoded.
pub(super) struct Opened {
    pub head: VerifiedHeader,
    pub first_seen: Millis,
    payloads: Arc<Vec<Payload>>,
    place: usize,
}

impl Opened {
    fn payload(&self) -> Result<&Payload, Fault> {
        self.payloads.get(self.place).ok_or_else(|| damaged(format!("commit {} is not in its pack", self.head.id())))
    }

    pub(super) fn entry(&self, place: u32) -> Result<&EntryPayload, Fault> {
        self.payload()?
            .entries
            .get(place as usize)
            .ok_or_else(|| damaged(format!("commit {} has no entry {place}", self.head.id())))
    }

    pub(super) fn commit(self) -> Result<Commit, Fault> {
        let payload = self.payload()?.clone();
        Commit::join(self.head, payload).map_err(damaged)
    }
}

/// What sending a commit needs to know of it.
struct Wanted {
    pack: i64,
    place: usize,
    /// Number of commits in its pack.
    of: usize,
    signed: SignedHeader,
}

impl SqliteStore {
    /// The payloads of a pack, decoded now or lately.
    pub(super) fn payloads(&self, pack: i64) -> Result<Arc<Vec<Payload>>, Fault> {
        if let Some(payloads) = self.cache.borrow_mut().find(pack) {
            return Ok(payloads);
        }
        let sql = "SELECT s.key, p.bytes FROM packs p JOIN spaces s ON s.id = p.space
            WHERE p.id = ?1";
        let found = self.one(sql, [pack], |r| {
            let scope = PackScope { org: self.org, space: rows::space(r, 0)? };
            let bytes = r.get_ref(1)?.as_blob().map_err(damaged)?;
            pack::decode(&scope, bytes, self.codec.as_ref()).map_err(|e| damaged(format!("pack {pack}: {e}")))
        })?;
        let payloads = Arc::new(found.ok_or_else(|| damaged(format!("there is no pack {pack}")))?);
        self.cache.borrow_mut().keep(pack, &payloads);
        Ok(payloads)
    }

    /// A commit with its pack decoded.
    pub(super) fn opened(&self, key: CommitKey) -> Result<Opened, Fault> {
        let sql = "SELECT pack, place, first_seen, header, signature FROM commits WHERE key = ?1";
        let found = self.one(sql, [rows::int(key.0)], |r| {
            Ok((r.get(0)?, rows::index(r, 1)?, Millis(rows::number(r, 2)?), rows::head(r, 3)?))
        })?;
        let (pack, place, first_seen, head) =
            found.ok_or_else(|| damaged(format!("there is no commit at position {}", key.0)))?;
        Ok(Opened { head, first_seen, payloads: self.payloads(pack)?, place })
    }

    pub(super) fn read_charter_commits(&self) -> Result<Vec<Commit>, Fault> {
        // The flow is the 17th byte of a space's key. CROSS JOIN and the plus keep SQLite from going
        // through all commits for the sake of their order.
        let sql = "SELECT c.key FROM spaces s CROSS JOIN logs l ON l.space = s.id
            CROSS JOIN commits c ON c.log = l.id WHERE substr(s.key, 17, 1) = x'00' ORDER BY +c.key";
        let keys = self.all(sql, [], |r| Ok(CommitKey(rows::number(r, 0)?)))?;
        keys.into_iter().map(|k| self.opened(k)?.commit()).collect()
    }

    fn wanted(&self, space: &SpaceId, key: CommitKey) -> Result<Wanted, Fault> {
        let sql = "SELECT c.pack, c.place, p.commits, s.key, c.header, c.signature
            FROM commits c JOIN packs p ON p.id = c.pack JOIN spaces s ON s.id = p.space
            WHERE c.key = ?1";
        let found = self.one(sql, [rows::int(key.0)], |r| {
            let wanted = Wanted {
                pack: r.get(0)?,
                place: rows::index(r, 1)?,
                of: rows::index(r, 2)?,
                signed: rows::signed_header(r, 4)?,
            };
            Ok((rows::space(r, 3)?, wanted))
        })?;
        match found {
            Some((s, wanted)) if s == *space => Ok(wanted),
            Some(_) => Err(damaged(format!("commit {} lies in another space", key.0))),
            None => Err(damaged(format!("there is no commit at position {}", key.0))),
        }
    }

    pub(super) fn read_groups(&self, space: &SpaceId, keys: &[CommitKey]) -> Result<Vec<Group>, Fault> {
        let wanted: Vec<Wanted> = keys.iter().map(|k| self.wanted(space, *k)).collect::<Result<_, _>>()?;
        let mut out = Vec::new();
        let mut anew = Repack::default();
        let mut at = 0;
        while let Some(first) = wanted.get(at) {
            let whole = wanted.get(at..at.saturating_add(first.of.max(1))).filter(|run| {
                let mut run = run.iter().enumerate();
                run.all(|(i, w)| w.pack == first.pack && w.place == i)
            });
            if let Some(run) = whole {
                out.extend(anew.take(self, space));
                out.push(Group {
                    headers: run.iter().map(|w| w.signed.clone()).collect(),
                    pack: self.pack_bytes(first.pack)?,
                });
                at += run.len();
            } else {
                let payloads = self.payloads(first.pack)?;
                let payload = payloads
                    .get(first.place)
                    .ok_or_else(|| damaged(format!("pack {} has no commit {}", first.pack, first.place)))?;
                if !anew.has_room_for(payload) {
                    out.extend(anew.take(self, space));
                }
                anew.push(first.signed.clone(), payload.clone());
                at += 1;
            }
        }
        out.extend(anew.take(self, space));
        Ok(out)
    }

    fn pack_bytes(&self, pack: i64) -> Result<Vec<u8>, Fault> {
        self.one("SELECT bytes FROM packs WHERE id = ?1", [pack], |r| Ok(r.get(0)?))?
            .ok_or_else(|| damaged(format!("there is no pack {pack}")))
    }
}

/// Commits that go into a pack made anew.
#[derive(Default)]
struct Repack {
    headers: Vec<SignedHeader>,
    payloads: Vec<Payload>,
    entries: usize,
    bytes: usize,
}

impl Repack {
    fn has_room_for(&self, p: &Payload) -> bool {
        self.entries + p.entries.len() <= REPACK_ENTRIES_MAX && self.bytes + inflated(p) <= REPACK_BYTES_MAX
    }

    fn push(&mut self, header: SignedHeader, payload: Payload) {
        self.entries += payload.entries.len();
        self.bytes += inflated(&payload);
        self.headers.push(header);
        self.payloads.push(payload);
    }

    fn take(&mut self, store: &SqliteStore, space: &SpaceId) -> Option<Group> {
        let taken = std::mem::take(self);
        if taken.headers.is_empty() {
            return None;
        }
        let scope = PackScope { org: store.org, space: *space };
        let payloads: Vec<&Payload> = taken.payloads.iter().collect();
        Some(Group { headers: taken.headers, pack: pack::encode(&scope, &payloads, store.codec.as_ref()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_keeps_what_was_used_last_and_stays_small() {
        let pack = || Arc::new(vec![Payload { secret: [0; 16].into(), entries: Vec::new() }]);
        let mut cache = PackCache::new(3 * 320);
        for n in 1..=3 {
            cache.keep(n, &pack());
        }
        assert!(cache.find(1).is_some());
        cache.keep(4, &pack());
        assert!(cache.find(2).is_none(), "the one not used for longest has left");
        assert!(cache.find(1).is_some() && cache.find(3).is_some() && cache.find(4).is_some());
        assert_eq!(cache.bytes, 3 * 320);
        cache.clear();
        assert!(cache.find(1).is_none());
    }
}
