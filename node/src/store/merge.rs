//! Merging in the background: small packs of one log become one, step by step.
//!
//! It does not: decide when there is time for it (the desk, and the end of a one-shot sync, do), touch signatures,
//! entries or what `hist` says, or merge what holds holes, what a fork left, charters (they are small, and read whole at every start), or what is
//! large already.
//!
//! What came is looked at once, in the order of storage, up to a mark that is kept. Of each log that has something there,
//! the small packs at its end are taken together: the newest first go into a pack of their own, which is merged with the
//! one before it when it has grown as large. So each change is packed anew a few times at most.
//!
//! Invariants: a step is one transaction, bounded by `MERGE_STEP_COMMITS` and `MERGE_STEP_ENTRIES`; it reads, packs and
//! proves before it takes the writer's lock, and writes only where everything still lies as it was read. A merged pack
//! holds exactly the payloads of its commits, each joined with its header once more; it names nothing outside itself.
//! Its commits are of one log with sequences that follow one another, so that they are found without an index.

use super::SqliteStore;
use super::error::{Fault, damaged};
use super::rows::{self, int};
use super::write::pack_hash;
use sampan_core::id::Flow;
use sampan_core::limits::{
    FRAME_ENTRIES_MAX, FRAME_PAYLOAD_BYTES_MAX, MERGE_PACKS_MIN, MERGE_STEP_COMMITS, MERGE_STEP_ENTRIES,
    MERGED_BYTES_MAX, MERGED_ENTRIES_MAX,
};
use sampan_core::log::{Commit, Payload, Secret};
use sampan_core::pack::{self, PackScope};
use sampan_core::store::StoreError;

/// Up to which commit everything was looked at.
const META_MERGED_TO: &str = "merged_to";

/// How large merged packs become; other values than the limits are for measuring.
#[derive(Debug, Clone, Copy)]
pub struct MergeLimits {
    /// Entries in one pack.
    pub entries: usize,
    /// Bytes of one pack once it is read.
    pub bytes: usize,
}

impl MergeLimits {
    /// Bytes of a merged pack as it lies, about: a change takes some twenty times as much once it is read.
    fn packed(self) -> usize {
        self.bytes / 16
    }
}

impl Default for MergeLimits {
    fn default() -> Self {
        Self { entries: MERGED_ENTRIES_MAX, bytes: MERGED_BYTES_MAX }
    }
}

/// Bytes of an entry as it lies, on the average of its pack, above which the pack stays as it is: of a merged pack each
/// entry counts for the same, and what a frame takes must fit it whichever they are.
const ENTRY_BYTES_MAX: usize = (FRAME_PAYLOAD_BYTES_MAX / FRAME_ENTRIES_MAX) as usize;

/// What one step did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MergeStep {
    /// Packs that are gone.
    pub merged: u64,
    /// Packs that hold the same now.
    pub made: u64,
    /// Whether another step would find something to look at.
    pub more: bool,
}

/// A stored pack whose commits are all of one log.
struct Small {
    id: i64,
    hash: Vec<u8>,
    entries: usize,
    /// Its size as it lies.
    packed: usize,
    /// Key and sequence of its commits, in their places.
    commits: Vec<(i64, i64)>,
}

/// Packs that become one.
pub(super) struct Merge {
    space: i64,
    from: Vec<Small>,
    bytes: Vec<u8>,
    /// Entries of each commit.
    entries: Vec<u64>,
}

/// What a step found.
pub(super) struct Plan {
    pub(super) merges: Vec<Merge>,
    /// Everything up to here was looked at.
    to: i64,
    more: bool,
}

impl SqliteStore {
    /// Merges some of what came since the last step; nothing where too little came.
    ///
    /// # Errors
    /// [`StoreError`]; nothing has changed then. A pack that cannot be read is none: it stays as it is, for
    /// [`SqliteStore::verify`] to tell.
    pub fn merge_step(&mut self) -> Result<MergeStep, StoreError> {
        self.merge_step_within(MergeLimits::default())
    }

    /// As [`SqliteStore::merge_step`], with other limits.
    ///
    /// # Errors
    /// As [`SqliteStore::merge_step`].
    pub fn merge_step_within(&mut self, limits: MergeLimits) -> Result<MergeStep, StoreError> {
        let Some(plan) = self.snapshot(|s| Ok::<_, StoreError>(s.merge_plan(limits)?))? else {
            return Ok(MergeStep::default());
        };
        self.group(|s| {
            let mut done = MergeStep { more: plan.more, ..MergeStep::default() };
            for merge in &plan.merges {
                if s.merge(merge)? {
                    done.merged += merge.from.len() as u64;
                    done.made += 1;
                }
            }
            s.put_meta(META_MERGED_TO, Some(&plan.to.to_le_bytes()))?;
            Ok(done)
        })
    }

    /// Whether a step would find something to look at.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn merge_due(&self) -> Result<bool, StoreError> {
        Ok(self.merge_slice()?.len() >= MERGE_PACKS_MIN)
    }

    /// Key, log and sequence of the commits that come next.
    fn merge_slice(&self) -> Result<Vec<(i64, i64, i64)>, Fault> {
        let to = self.read_meta(META_MERGED_TO)?.and_then(|b| b.try_into().ok()).map_or(0, i64::from_le_bytes);
        let sql = "SELECT key, log, sequence FROM commits WHERE key > ?1 ORDER BY key LIMIT ?2";
        self.all(sql, (to, MERGE_STEP_COMMITS as i64), |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))
    }

    pub(super) fn merge_plan(&self, limits: MergeLimits) -> Result<Option<Plan>, Fault> {
        let slice = self.merge_slice()?;
        if slice.len() < MERGE_PACKS_MIN {
            return Ok(None);
        }
        // In the order in which each log is met last: what is left for another step is what comes after.
        let mut logs: Vec<(i64, i64, i64)> = Vec::new();
        for (key, log, sequence) in &slice {
            logs.retain(|(held, ..)| held != log);
            logs.push((*log, *key, *sequence));
        }
        let (mut merges, mut packed) = (Vec::new(), 0);
        for (log, key, sequence) in logs {
            while packed < MERGE_STEP_ENTRIES {
                let from = self.small_packs(log, (key, sequence), limits, &merges)?;
                let Some(merge) = self.merge_of(log, from, limits)? else { break };
                packed += merge.from.iter().map(|p| p.entries).sum::<usize>();
                merges.push(merge);
            }
        }
        let last = slice.last().map_or(0, |(key, ..)| *key);
        // Where the step was full, the same commits are looked at once more; what is merged is no longer small then.
        let full = packed >= MERGE_STEP_ENTRIES;
        let to = if full { slice.first().map_or(0, |(key, ..)| *key - 1) } else { last };
        let more = full || slice.len() == MERGE_STEP_COMMITS;
        Ok(Some(Plan { merges, to, more }))
    }

    /// The small packs at the end of a log as it was at a commit, oldest first, that are to become one; none if they are
    /// too few.
    fn small_packs(
        &self,
        log: i64,
        (key, sequence): (i64, i64),
        limits: MergeLimits,
        planned: &[Merge],
    ) -> Result<Vec<Small>, Fault> {
        let sql = "SELECT l.forked, s.key FROM logs l JOIN spaces s ON s.id = l.space WHERE l.id = ?1";
        let straight =
            self.one(sql, [log], |r| Ok(!r.get::<_, bool>(0)? && rows::space(r, 1)?.flow != Flow::Charter))?;
        if straight != Some(true) {
            return Ok(Vec::new());
        }
        let sql =
            "SELECT c.key, c.sequence, c.pack, c.place, c.entries, p.commits, p.hash, length(p.bytes) FROM commits c
            JOIN packs p ON p.id = c.pack WHERE c.log = ?1 AND c.sequence <= ?2 ORDER BY c.sequence DESC";
        let mut statement = self.conn.prepare_cached(sql)?;
        let mut found = statement.query((log, sequence))?;
        let mut packs: Vec<Small> = Vec::new();
        // What remains to be seen of the pack being looked at: its commits must all be here, one after the other.
        let (mut missing, mut next, mut total) = (0, sequence, 0usize);
        while let Some(r) = found.next()? {
            let (at, of, pack, place): (i64, i64, i64, i64) = (r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?);
            let (entries, commits): (i64, i64) = (r.get(4)?, r.get(5)?);
            if of != next || at > key || planned.iter().any(|m| m.from.iter().any(|p| p.id == pack)) {
                break;
            }
            next -= 1;
            if missing == 0 {
                missing = commits;
                packs.push(Small {
                    id: pack,
                    hash: r.get(6)?,
                    entries: 0,
                    packed: rows::index(r, 7)?,
                    commits: Vec::new(),
                });
            }
            let Some(last) = packs.last_mut().filter(|p| p.id == pack && place == missing - 1) else { break };
            missing -= 1;
            last.entries += entries as usize;
            last.commits.push((at, of));
            total += entries as usize;
            let heavy = last.packed > ENTRY_BYTES_MAX * last.entries;
            if last.entries > limits.entries / 2 || last.packed > limits.packed() / 2 || missing == 0 && heavy {
                // It is large enough, and what is older is so as well.
                missing = -1;
                break;
            }
            if missing == 0 && total > 2 * limits.entries {
                break;
            }
        }
        if missing != 0 {
            // The last was not seen whole, or is none to merge.
            packs.pop();
        }
        packs.iter_mut().for_each(|p| p.commits.reverse());
        // Newest first: one joins what is newer as soon as that is as large as itself.
        let (mut newer, mut taken) = (0, 0);
        for (n, p) in packs.iter().enumerate() {
            if p.entries <= newer || p.entries <= 1 {
                taken = n + 1;
            }
            newer += p.entries;
        }
        packs.truncate(taken);
        packs.reverse();
        let (mut held, mut packed) = (0, 0);
        packs.retain(|p| {
            held += p.entries;
            packed += p.packed;
            held <= limits.entries && packed <= 2 * limits.packed()
        });
        if packs.len() < MERGE_PACKS_MIN {
            packs.clear();
        }
        Ok(packs)
    }

    /// Their payloads as one pack, with the proof; none where one cannot be read, has holes, or nothing is won.
    fn merge_of(&self, log: i64, from: Vec<Small>, limits: MergeLimits) -> Result<Option<Merge>, Fault> {
        let sql = "SELECT s.id, s.key FROM logs l JOIN spaces s ON s.id = l.space WHERE l.id = ?1";
        let found = self.one(sql, [log], |r| Ok((r.get(0)?, rows::space(r, 1)?)))?;
        let Some((space, key)) = found else { return Ok(None) };
        let scope = PackScope { org: self.org, space: key };
        let (mut payloads, mut kept, mut memory, mut before) = (Vec::new(), Vec::new(), 0, 0);
        for small in from {
            let Some((bytes, read)) = self.readable(&scope, &small)? else { break };
            memory += read.iter().map(super::packs::in_memory).sum::<usize>();
            if memory > limits.bytes {
                break;
            }
            before += bytes;
            payloads.extend(read);
            kept.push(small);
        }
        if kept.len() < MERGE_PACKS_MIN {
            return Ok(None);
        }
        let bytes = pack::encode(&scope, &payloads.iter().collect::<Vec<_>>(), self.codec.as_ref());
        // What is written is what reads: whatever made it.
        let back = pack::decode(&scope, &bytes, self.codec.as_ref()).map_err(damaged)?;
        if back != payloads || bytes.len() >= before {
            return Ok(None);
        }
        let entries = payloads.iter().map(|p| p.entries.len() as u64).collect();
        Ok(Some(Merge { space, from: kept, bytes, entries }))
    }

    /// The size and the payloads of a pack, if it is whole, has no holes, and is what its commits' headers say.
    fn readable(&self, scope: &PackScope, small: &Small) -> Result<Option<(usize, Vec<Payload>)>, Fault> {
        let sql = "SELECT bytes FROM packs WHERE id = ?1";
        let Some(bytes): Option<Vec<u8>> = self.one(sql, [small.id], |r| Ok(r.get(0)?))? else { return Ok(None) };
        if pack_hash(&bytes)[..] != small.hash[..] {
            return Ok(None);
        }
        let Ok(payloads) = pack::decode(scope, &bytes, self.codec.as_ref()) else { return Ok(None) };
        let whole = payloads.iter().all(|p| matches!(p.secret, Secret::Whole(_)));
        if !whole || payloads.len() != small.commits.len() {
            return Ok(None);
        }
        let sql = "SELECT header, signature FROM commits WHERE key = ?1";
        for ((key, _), payload) in small.commits.iter().zip(&payloads) {
            let head = self.one(sql, [key], |r| rows::head(r, 0));
            let joined = head.ok().flatten().map(|head| Commit::join(head, payload.clone()).is_ok());
            if joined != Some(true) {
                return Ok(None);
            }
        }
        Ok(Some((bytes.len(), payloads)))
    }

    /// Puts a merged pack in the place of what it was made of; not if that has changed meanwhile.
    pub(super) fn merge(&self, merge: &Merge) -> Result<bool, Fault> {
        let lies = "SELECT p.hash = ?4 FROM commits c JOIN packs p ON p.id = c.pack
            WHERE c.key = ?1 AND c.pack = ?2 AND c.place = ?3";
        for small in &merge.from {
            for ((key, _), place) in small.commits.iter().zip(0i64..) {
                let same = self.one(lies, (key, small.id, place, &small.hash), |r| Ok(r.get::<_, bool>(0)?))?;
                if same != Some(true) {
                    return Ok(false);
                }
            }
        }
        let pack = self.insert_pack(merge.space, merge.entries.len() as i64, &merge.bytes)?;
        let total: u64 = merge.entries.iter().sum();
        let mut moved =
            self.conn.prepare_cached("UPDATE commits SET pack = ?2, place = ?3, bytes = ?4 WHERE key = ?1")?;
        let keys = merge.from.iter().flat_map(|p| &p.commits);
        for (((key, _), entries), place) in keys.zip(&merge.entries).zip(0i64..) {
            moved.execute((key, pack, place, int(share(merge.bytes.len(), *entries, total))))?;
        }
        let mut gone = self.conn.prepare_cached("DELETE FROM packs WHERE id = ?1")?;
        for small in &merge.from {
            gone.execute([small.id])?;
        }
        Ok(true)
    }

    /// Stores a pack under a position that none has had.
    pub(super) fn insert_pack(&self, space: i64, commits: i64, bytes: &[u8]) -> Result<i64, Fault> {
        // One that went while it was the last is remembered; else the last is still here.
        let before = self.read_meta(META_LAST_PACK)?.and_then(|b| b.try_into().ok()).map(i64::from_le_bytes);
        let next = match before {
            None => None,
            Some(before) => {
                let last = self.one("SELECT coalesce(max(id), 0) FROM packs", [], |r| Ok(r.get::<_, i64>(0)?))?;
                Some(last.unwrap_or(0).max(before) + 1)
            }
        };
        let sql = "INSERT INTO packs (id, space, commits, hash, bytes) VALUES (?1, ?2, ?3, ?4, ?5)";
        Ok(self.conn.prepare_cached(sql)?.insert((next, space, commits, pack_hash(bytes), bytes))?)
    }

    /// Key, place and entries of the commits that a pack still has, given one of them that was or is in it: they are
    /// neighbours in the order of storage, as they came, or in one log, as they were merged.
    pub(super) fn commits_of_pack(&self, pack: i64, near: &Near) -> Result<Vec<(i64, usize, u64)>, Fault> {
        let sql = "SELECT key, place, entries FROM commits WHERE key > ?2 - ?3 AND key < ?2 + ?3 AND pack = ?1
            UNION SELECT key, place, entries FROM commits
            WHERE log = ?4 AND sequence > ?5 - ?3 AND sequence < ?5 + ?3 AND pack = ?1 ORDER BY 2";
        let values = (pack, near.key, near.commits, near.log, near.sequence);
        self.all(sql, values, |r| Ok((r.get(0)?, rows::index(r, 1)?, rows::number(r, 2)?)))
    }

    /// Where a commit lies.
    pub(super) fn near(&self, key: i64) -> Result<Option<Near>, Fault> {
        let sql = "SELECT c.key, c.log, c.sequence, p.commits FROM commits c JOIN packs p ON p.id = c.pack
            WHERE c.key = ?1";
        self.one(sql, [key], |r| Ok(Near { key: r.get(0)?, log: r.get(1)?, sequence: r.get(2)?, commits: r.get(3)? }))
    }

    /// Removes a pack that has no commit left.
    pub(super) fn remove_pack(&self, pack: i64) -> Result<(), Fault> {
        let last = self.one("SELECT coalesce(max(id), 0) FROM packs", [], |r| Ok(r.get::<_, i64>(0)?))?;
        if last == Some(pack) {
            self.put_meta(META_LAST_PACK, Some(&pack.to_le_bytes()))?;
        }
        self.conn.prepare_cached("DELETE FROM packs WHERE id = ?1")?.execute([pack])?;
        Ok(())
    }
}

/// The greatest position of a pack before some were removed.
const META_LAST_PACK: &str = "last_pack";

/// What is known of a commit when others of its pack are looked for.
pub(super) struct Near {
    pub key: i64,
    pub log: i64,
    pub sequence: i64,
    /// Commits that its pack was made of.
    pub commits: i64,
}

/// The bytes of a pack that a commit with so many of its entries counts for.
pub(super) fn share(pack: usize, entries: u64, total: u64) -> u64 {
    (pack as u64 * entries).div_ceil(total.max(1))
}
