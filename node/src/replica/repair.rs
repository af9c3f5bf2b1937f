//! Repairing a replica: a new database made of every commit that is whole.
//!
//! It does not: fetch anything. What was lost here, and what builds on it, the next session brings again:
//! for the levels above and below this store is one that does not hold it.
//!
//! Invariants: signed commits and unsealed edits are the truth, all else is made of them anew; what builds
//! on something lost is set aside, not thrown away; the damaged database stands until the new one is whole,
//! and keeps its bytes beside it; the new one is another store, so no old tick stands for it.

use super::{META_COPY_AT, Replica, ReplicaError, system_clock};
use crate::codec::ZstdCodec;
use crate::config::ConfigFile;
use crate::dir::Dir;
use crate::entropy::SystemEntropy;
use crate::keys::{self, KeyKind, database};
use crate::store::{Piece, Place, SqliteStore};
use ed25519_dalek::SigningKey;
use sampan_core::engine::{Engine, IntakeError, meta};
use sampan_core::entropy::random;
use sampan_core::id::StoreEpoch;
use sampan_core::log::Commit;
use sampan_core::pack::{self, Codec, PackScope};
use sampan_core::store::{Batch, Quarantined, Store, StoreError};
use sampan_core::time::Millis;
use sampan_core::wire::frame::Group;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// MiB of cache for the two databases each.
const CACHE_MB: u32 = 64;
/// Commits taken in one transaction.
const COMMITS_A_STEP: i64 = 256;
/// What the counter of own registers is put forward by where the last one used may be wrong: more than a
/// device signs in its life, so that no relay takes the next for an old one.
const COUNTER_LEAP: u64 = 1 << 32;
/// Why commits are set aside.
const REASON: &str = "what it builds on was damaged here and is to be fetched again";
/// Small facts that hold for the new store as well: nothing that counts positions.
const FACTS: [&str; 11] = [
    meta::ADMITTED,
    meta::JOINED_UNIT,
    meta::CLOCK_OFFSET,
    meta::NEWS_FROM_ABOVE_AT,
    meta::TWINS_FOUND,
    meta::REGISTER_COUNTER,
    meta::BEACON,
    meta::BEACON_ABOVE,
    meta::BEACONS_SEEN,
    meta::ENDED,
    META_COPY_AT,
];
/// The same, by the beginning of the name.
const FACT_PREFIXES: [&str; 7] =
    ["anew/", "chain/", "ticket_box/", "peer_epoch/", meta::NEWS_FROM, meta::CHILD_SEEN_AT, meta::CHILD_VERIFIED_AT];

/// What a repair came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Repaired {
    /// Commits that could not be read: to be fetched again.
    pub lost_commits: u64,
    /// Commits that wait for those.
    pub waiting: u64,
    /// Unsealed edits that could not be read: made again by hand.
    pub lost_edits: u64,
}

/// A damaged replica as far as it is needed: its engine may not open any more.
struct Damaged {
    store: SqliteStore,
    key: SigningKey,
    now: Millis,
}

impl Replica {
    /// Rebuilds the database of the folder at `path`, of which the caller holds the lock.
    ///
    /// # Errors
    /// [`ReplicaError`]; the damaged database stands.
    pub fn repair(path: &Path) -> Result<Repaired, ReplicaError> {
        let dir = Dir::open(path)?;
        let file = ConfigFile::read(&dir.config())?;
        let table = file.replica.ok_or_else(|| ReplicaError::Unfinished(path.display().to_string()))?;
        let secret = keys::load(&dir.keys(), KeyKind::Device)?;
        let (codec, org, now) = (Arc::new(ZstdCodec), table.org, system_clock()());
        let path = dir.store();
        let beside = |ending: &str| -> PathBuf {
            let mut name = path.as_os_str().to_owned();
            name.push(ending);
            PathBuf::from(name)
        };
        let (rebuilt, keep) = (beside("-rebuilt"), beside("-damaged"));
        let key = database::load(&dir.keys())?;
        let place = Place::keyed(path.clone(), key.clone());
        let store = SqliteStore::open(&place, codec.clone(), secret.device(), org, CACHE_MB)?;
        // One that was not encrypted is not by a repair either: `encrypt` says when it is done.
        let key = key.filter(|_| store.is_encrypted());
        let mut old = Damaged { store, key: secret.signing_key(), now };
        old.store.seize()?;
        // What a repair that was cut off left.
        if rebuilt.exists() {
            std::fs::remove_file(&rebuilt).map_err(|e| crate::dir::DirError::from_io(&rebuilt, e))?;
        }
        let epoch = StoreEpoch(random(&mut SystemEntropy));
        let new =
            SqliteStore::create(Place::keyed(rebuilt.clone(), key), codec, secret.device(), org, epoch, CACHE_MB)?;
        let done = match old.rebuild(new) {
            Ok(done) => done,
            Err(e) => {
                let _ = std::fs::remove_file(&rebuilt);
                return Err(e);
            }
        };
        old.store.replace_by(&path, &rebuilt, Some(&keep))?;
        Ok(done)
    }
}

impl Damaged {
    fn rebuild(&self, mut new: SqliteStore) -> Result<Repaired, ReplicaError> {
        let (key, org) = (self.key.clone(), self.store.org());
        let mut engine = new.group(|s| Engine::open(s, org, key, Arc::new(ZstdCodec), &mut SystemEntropy))?;
        let done = self.refill(&mut new, &mut engine)?;
        new.close()?;
        Ok(done)
    }

    fn refill(&self, new: &mut SqliteStore, engine: &mut Engine) -> Result<Repaired, ReplicaError> {
        let now = self.now;
        let mut done = Repaired::default();
        self.copy_facts(new, engine)?;
        let mut waiting: Vec<Commit> = Vec::new();
        let last = match self.store.last_position() {
            Ok(last) => last,
            // Nobody can tell how many there were; all that the levels above hold comes back.
            Err(StoreError::Damaged(_)) => {
                done.lost_commits += 1;
                0
            }
            Err(e) => return Err(e.into()),
        };
        let mut from = 1;
        while from <= last {
            let to = from.saturating_add(COMMITS_A_STEP).min(last.saturating_add(1));
            new.group(|s| {
                for key in from..to {
                    match self.store.piece(&engine.org(), key) {
                        None => {}
                        Some(Piece::Lost) => done.lost_commits += 1,
                        Some(Piece::Whole(commit)) => waiting.extend(take(engine, s, *commit, now)?),
                    }
                }
                Ok::<_, StoreError>(())
            })?;
            new.checkpoint()?;
            from = to;
        }
        // A position that was damaged may have put a commit before its parents.
        loop {
            let before = waiting.len();
            waiting = new.group(|s| {
                let mut still = Vec::new();
                for commit in std::mem::take(&mut waiting) {
                    still.extend(take(engine, s, commit, now)?);
                }
                Ok::<_, StoreError>(still)
            })?;
            if waiting.len() == before {
                break;
            }
        }
        done.waiting = waiting.len() as u64;
        super::files::carry(&self.store, new)?;
        let mut batch = Batch::at(now);
        batch.quarantine = waiting.iter().map(|c| aside(engine, c, now)).collect();
        batch.quarantine.extend(self.store.whole_quarantine(&engine.org()));
        batch.registers = self.store.whole_registers(&engine.org());
        new.write(&batch)?;
        engine.reload(new)?;
        let (edits, lost) = self.store.whole_pending();
        done.lost_edits = lost;
        if !engine.may_adopt(&edits) {
            // Sealing needs the right that the charter gives: it lies among what was lost, or never came.
            return Err(ReplicaError::RepairLater);
        }
        new.group(|s| engine.adopt(s, &mut SystemEntropy, edits, now)).map_err(|e| match e {
            IntakeError::LocalStore(e) => ReplicaError::Store(e),
            other => ReplicaError::Store(StoreError::Damaged(other.to_string())),
        })?;
        Ok(done)
    }

    fn copy_facts(&self, new: &mut SqliteStore, engine: &Engine) -> Result<(), StoreError> {
        let (facts, sound) = self.store.facts();
        let mut batch = Batch::at(self.now);
        batch.meta = facts
            .into_iter()
            .filter(|(name, _)| FACTS.contains(&name.as_str()) || FACT_PREFIXES.iter().any(|p| name.starts_with(p)))
            .map(|(name, value)| (name, Some(value)))
            .collect::<BTreeMap<_, _>>();
        if !sound {
            let own = self.store.whole_registers(&engine.org()).into_iter().filter_map(|r| r.trust().ok());
            let greatest = own.filter(|r| r.device == engine.device()).map(|r| r.counter).max().unwrap_or(0);
            let counter = greatest.saturating_add(COUNTER_LEAP);
            batch.meta.insert(meta::REGISTER_COUNTER.to_owned(), Some(counter.to_le_bytes().to_vec()));
        }
        new.write(&batch)
    }
}

/// Takes one commit in, as if a neighbour had sent it; gives it back where its parents are not there yet.
fn take(
    engine: &mut Engine,
    store: &mut SqliteStore,
    commit: Commit,
    now: Millis,
) -> Result<Option<Commit>, StoreError> {
    let group = group_of(engine, &commit);
    let device = engine.device();
    match engine.intake(store, &mut SystemEntropy, device, &[group], &|_, _| true, now) {
        Ok(_) => Ok(None),
        Err(IntakeError::PeerOrder(_)) => Ok(Some(commit)),
        Err(IntakeError::LocalStore(e)) => Err(e),
        // Its signature and root hold, so it was taken in once: it can be again when its neighbours are.
        Err(
            IntakeError::PeerCommit(_)
            | IntakeError::PeerPack(_)
            | IntakeError::PeerScope(_)
            | IntakeError::PeerGroup
            | IntakeError::PeerEarlier(_)
            | IntakeError::PeerBrief(_)
            | IntakeError::PeerHole(_),
        ) => Ok(Some(commit)),
    }
}

fn group_of(engine: &Engine, commit: &Commit) -> Group {
    Group { headers: vec![commit.head().signed().clone()], pack: packed(engine, commit) }
}

fn packed(engine: &Engine, commit: &Commit) -> Vec<u8> {
    let scope = PackScope { org: engine.org(), space: commit.header().space };
    let codec: &dyn Codec = engine.codec();
    pack::encode(&scope, &[commit.payload()], codec)
}

fn aside(engine: &Engine, commit: &Commit, now: Millis) -> Quarantined {
    Quarantined {
        head: commit.head().clone(),
        pack: packed(engine, commit),
        peer: engine.device(),
        reason: REASON.to_owned(),
        at: now,
    }
}
