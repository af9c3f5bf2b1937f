//! The verdict about edits that were made on top of what a cut took out: none is lost.
//!
//! It does not: ask when they were written anew, or judge an edit that waits for a word.
//!
//! Invariants: what was written anew stands, or is listed itself as made on top of what was cut later.

use super::world::World;
use sampan_core::engine::{Fate, meta};
use sampan_core::id::{ChangeHash, RecordId};
use sampan_core::store::{Status, Store, StoreError};
use sampan_node::replica::Replica;
use std::collections::BTreeSet;

impl World {
    pub(super) fn check_anew(&mut self, n: usize) {
        let Some(p) = &self.machines[n].process else { return };
        let name = self.machines[n].name.clone();
        match lost(&p.replica) {
            Ok((0, _)) => {}
            Ok((anew, lost)) => {
                self.say(&format!("{name} wrote {anew} edits anew"));
                for (record, change) in lost {
                    let words = format!("{name} wrote {change} of {record} anew, and it neither stands nor is listed");
                    self.ledger.accuse(words);
                }
            }
            Err(e) => self.ledger.accuse(format!("{name} cannot say what it wrote anew: {e}")),
        }
    }
}

/// How many edits were written anew, and those of them of which nothing is left.
fn lost(replica: &Replica) -> Result<(usize, Vec<(RecordId, ChangeHash)>), StoreError> {
    let all = replica.engine.own_blocked(&replica.store)?;
    let listed: BTreeSet<ChangeHash> = all.iter().map(|b| b.change).collect();
    let (mut anew, mut out) = (0, Vec::new());
    for b in all.iter().filter(|b| b.fate == Fate::Anew) {
        anew += 1;
        let mark = replica.store.meta(&meta::anew(&b.change))?.and_then(|m| m.try_into().ok());
        let written = ChangeHash(mark.unwrap_or_default());
        let state = replica.store.records(&[b.record])?.into_iter().next().flatten();
        let entries = state.and_then(|s| s.key).map(|key| replica.store.entries(key)).transpose()?.unwrap_or_default();
        let stands = entries.iter().any(|e| e.hash == written && e.status == Status::Accepted);
        // Where the edit changed nothing of what stands there was nothing to write.
        if !stands && !listed.contains(&written) && written != ChangeHash::default() {
            out.push((b.record, b.change));
        }
    }
    Ok((anew, out))
}
