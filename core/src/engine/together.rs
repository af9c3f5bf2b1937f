//! Charters of many spaces taken in together: they are folded once, and stored as one batch.
//!
//! It does not: take anything that is not plainly in order. What is wrong, comes before its parents or would be set
//! aside is left to the intake of one group at a time, which says what is wrong with it.
//!
//! Invariants: all commits of a run count under the charter that has all of them, or nothing of the run is stored here.
//! Taken one at a time, those that count only by a later one would lie in the quarantine until that came: in the end
//! the same is held.

use super::intake::{Intake, IntakeError, check_kinds, joined};
use super::{Engine, brief};
use crate::charter::Charter;
use crate::entropy::Entropy;
use crate::id::{CommitId, DeviceId, Flow, SpaceId};
use crate::log::{Commit, Payload};
use crate::pack::{self, PackScope};
use crate::store::{Batch, Store};
use crate::time::Millis;
use crate::wire::frame::Group;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// Groups of charters that were looked at.
#[derive(Default)]
struct Run<'g> {
    ids: Vec<CommitId>,
    /// What is not held yet.
    fresh: Vec<Commit>,
    parts: Vec<Part<'g>>,
    groups: usize,
}

/// Commits of one group.
struct Part<'g> {
    space: SpaceId,
    /// Which of the fresh ones.
    fresh: Range<usize>,
    /// The group's pack, where that holds exactly them.
    pack: Option<&'g [u8]>,
}

impl Engine {
    /// Takes as many of these groups as are of charters and in order, from the first on; how many. `None`: fewer than
    /// two, or one of them is not as it should be: then nothing was stored, and each is to be taken by itself.
    ///
    /// # Errors
    /// [`IntakeError::LocalStore`] alone.
    pub(crate) fn intake_charters(
        &mut self,
        store: &mut dyn Store,
        rng: &mut dyn Entropy,
        from: DeviceId,
        groups: &[Group],
        shared: &dyn Fn(&Charter, &SpaceId) -> bool,
        now: Millis,
    ) -> Result<Option<(usize, Intake)>, IntakeError> {
        if groups.len() < 2 || !groups.iter().take(2).all(is_charters) {
            return Ok(None);
        }
        let mut run = Run::default();
        for group in groups {
            match self.add_to_run(store, &mut run, group, shared) {
                Ok(true) => {}
                Err(e @ IntakeError::LocalStore(_)) => return Err(e),
                Ok(false) | Err(_) => break,
            }
        }
        if run.groups < 2 {
            return Ok(None);
        }
        if run.fresh.is_empty() {
            return Ok(Some((run.groups, Intake { ids: run.ids, ..Intake::default() })));
        }
        match self.check_parents(store, &run.fresh) {
            Ok(aside) if aside.is_empty() => {}
            Err(e @ IntakeError::LocalStore(_)) => return Err(e),
            Ok(_) | Err(_) => return Ok(None),
        }
        let charter = (!self.all_count(&run.fresh)).then(|| self.charter_with(&run.fresh));
        let judge = charter.as_ref().unwrap_or(&self.charter);
        let mut by_space: BTreeMap<SpaceId, Vec<Commit>> = BTreeMap::new();
        for c in &run.fresh {
            by_space.entry(c.header().space).or_default().push(c.clone());
        }
        for (space, commits) in by_space {
            if !self.split_counting(store, space, commits, BTreeSet::new(), Some(judge))?.aside.is_empty() {
                return Ok(None);
            }
        }
        let mut batch = Batch::at(now);
        for Part { space, fresh, pack } in &run.parts {
            let commits = run.fresh.get(fresh.clone()).unwrap_or_default();
            let pack = pack.map(<[u8]>::to_vec).unwrap_or_else(|| {
                let payloads: Vec<&Payload> = commits.iter().map(Commit::payload).collect();
                pack::encode(&PackScope { org: self.org, space: *space }, &payloads, &*self.codec)
            });
            self.judge_commits(store, &mut batch, commits, pack)?;
        }
        let mut out = Intake { ids: run.ids, ..Intake::default() };
        self.count_stored(&mut out, &mut batch, &run.fresh, Some(from));
        if !batch.is_empty() {
            store.write(&batch)?;
        }
        self.note_stored(store, &run.fresh, charter)?;
        store.hand_on(run.fresh)?;
        self.after_intake(store, rng, &mut out, now)?;
        Ok(Some((run.groups, out)))
    }

    /// Adds a group to a run; false for one that has no place in it.
    fn add_to_run<'g>(
        &mut self,
        store: &dyn Store,
        run: &mut Run<'g>,
        group: &'g Group,
        shared: &dyn Fn(&Charter, &SpaceId) -> bool,
    ) -> Result<bool, IntakeError> {
        // Told before any signature is checked.
        if !is_charters(group) || brief::number(&group.headers)?.is_some() {
            return Ok(false);
        }
        let ready = self.take_ahead(&group.headers, &group.pack);
        let heads = match &ready {
            Some(commits) => commits.iter().map(|c| c.head().clone()).collect(),
            None => group.headers.iter().map(|h| h.verify(&self.org)).collect::<Result<Vec<_>, _>>()?,
        };
        let Some(first) = heads.first().map(|h| h.header()) else { return Ok(false) };
        let space = first.space;
        if heads.iter().any(|h| h.header().space != space) || !shared(&self.charter, &space) {
            return Ok(false);
        }
        let ids: Vec<CommitId> = heads.iter().map(|h| h.id()).collect();
        let known = store.known(&ids)?;
        let begin = run.fresh.len();
        let (mut fresh, mut may_keep) = (Vec::new(), true);
        if known.iter().any(Option::is_none) {
            let commits = match ready {
                Some(commits) => commits,
                None => {
                    let (payloads, kept) = self.unpack(store, (space, first.device), &first.parents, &group.pack)?;
                    may_keep = kept;
                    joined(heads, payloads)?
                }
            };
            let mut seen: BTreeSet<CommitId> = BTreeSet::new();
            for (commit, known) in commits.into_iter().zip(&known) {
                check_kinds(&commit)?;
                if known.is_none() && seen.insert(commit.id()) {
                    fresh.push(commit);
                }
            }
        }
        // The same commit in two groups is for the way of one group at a time.
        if fresh.iter().any(|c| run.ids.contains(&c.id())) {
            return Ok(false);
        }
        let pack = (may_keep && fresh.len() == ids.len()).then_some(group.pack.as_slice());
        if !fresh.is_empty() {
            run.parts.push(Part { space, fresh: begin..begin + fresh.len(), pack });
        }
        run.fresh.extend(fresh);
        run.ids.extend(ids);
        run.groups += 1;
        Ok(true)
    }
}

/// Whether a group says that it is of a charter.
fn is_charters(group: &Group) -> bool {
    let first = group.headers.first().and_then(|h| h.trust().ok());
    first.is_some_and(|h| h.header().space.flow == Flow::Charter)
}
