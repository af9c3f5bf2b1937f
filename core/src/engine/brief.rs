//! Brief headers of groups in frames: looks up what they follow, and makes them.
//!
//! It does not: know their form (`log::brief`), or ask for what could not be looked up (`sync`).
//!
//! Invariants: what is rebuilt goes through the same checks as a header that came whole; looking up reads no more than
//! `BRIEF_STEPS_MAX` headers beside the one that is found.

use super::Engine;
use super::intake::IntakeError;
use crate::id::{CommitId, Flow, HeadName};
use crate::limits::BRIEF_STEPS_MAX;
use crate::log::brief::{Brief, FindHead, Named};
use crate::log::{Payload, Rebuilt, SignedHeader, VerifiedHeader};
use crate::store::{Store, StoreError};
use std::collections::BTreeSet;

/// What a brief group is read with: a brief header for each commit, and what each names, if it names anything.
pub(super) struct Outline {
    briefs: Vec<(Brief, Option<VerifiedHeader>)>,
    signatures: Vec<[u8; 64]>,
    first: VerifiedHeader,
}

impl Outline {
    /// What the first commit follows.
    pub(super) fn first(&self) -> &VerifiedHeader {
        &self.first
    }

    /// The headers, whose signatures are still to be checked.
    pub(super) fn headers(self, payloads: &[(Payload, Rebuilt)], find: &FindHead<'_>) -> Option<Vec<SignedHeader>> {
        if payloads.len() != self.briefs.len() {
            return None;
        }
        let mut out: Vec<SignedHeader> = Vec::with_capacity(payloads.len());
        let mut before = self.first;
        for (((brief, named), (payload, _)), signature) in self.briefs.iter().zip(payloads).zip(self.signatures) {
            if let Some(named) = named {
                before = named.clone();
            }
            let head = SignedHeader { bytes: brief.lengthen(&before, Some(payload), find)?, signature };
            before = head.trust().ok()?;
            out.push(head);
        }
        Some(out)
    }
}

/// The number that the sender gave a group with brief headers; `None` for a whole one.
pub(super) fn number(headers: &[SignedHeader]) -> Result<Option<u64>, IntakeError> {
    let Some(first) = headers.first().filter(|first| Brief::is(first)) else { return Ok(None) };
    let brief = Brief::read(first).map_err(|_| IntakeError::PeerGroup)?;
    Ok(Some(brief.after.ok_or(IntakeError::PeerGroup)?.number))
}

impl Engine {
    /// Looks up what the brief headers of a group follow; `None` where something is not held here.
    pub(super) fn outline(&self, store: &dyn Store, headers: &[SignedHeader]) -> Result<Option<Outline>, StoreError> {
        let (mut briefs, mut first) = (Vec::with_capacity(headers.len()), None);
        for head in headers {
            let Ok(brief) = Brief::read(head) else { return Ok(None) };
            let mut named = None;
            if let Some(after) = &brief.after {
                named = self.named(store, &after.parent)?;
                if named.is_none() {
                    return Ok(None);
                }
            }
            if first.is_none() {
                first.clone_from(&named);
            }
            briefs.push((brief, named));
        }
        let signatures = headers.iter().map(|h| h.signature).collect();
        Ok(first.map(|first| Outline { briefs, signatures, first }))
    }

    /// The commit that is meant: a tip, or, where the last few commits come again, one a little below.
    fn named(&self, store: &dyn Store, named: &Named) -> Result<Option<VerifiedHeader>, StoreError> {
        let tips: BTreeSet<CommitId> =
            self.holdings.data_spaces_between(named.units()).flat_map(|(_, tips)| tips.all().copied()).collect();
        let mut meant = tips.iter().filter(|id| named.is(id));
        match (meant.next(), meant.next()) {
            (Some(id), None) => return store.head(id),
            (Some(_), Some(_)) => return Ok(None),
            (None, _) => {}
        }
        let mut todo: Vec<CommitId> = tips.into_iter().collect();
        for at in 0..BRIEF_STEPS_MAX {
            let Some(id) = todo.get(at) else { break };
            let Some(head) = store.head(id)? else { continue };
            for parent in &head.header().parents {
                if named.is(parent) {
                    return store.head(parent);
                }
                todo.push(*parent);
            }
        }
        Ok(None)
    }

    /// The headers of a group in brief, if each of them follows from a commit that is held here and comes back. With the
    /// payloads they are the shortest. `names`: the reader understands names of charter heads.
    pub(super) fn briefly(
        &self,
        store: &dyn Store,
        heads: &[VerifiedHeader],
        payloads: Option<&[Payload]>,
        number: u64,
        names: bool,
    ) -> Result<Option<Vec<SignedHeader>>, StoreError> {
        let find = |name: &HeadName| self.charter.named(name);
        let find = names.then_some(&find as &FindHead<'_>);
        let (mut out, mut last): (Vec<SignedHeader>, Option<&VerifiedHeader>) = (Vec::with_capacity(heads.len()), None);
        for (at, head) in heads.iter().enumerate() {
            let [parent] = head.header().parents.as_slice() else { return Ok(None) };
            if head.header().space.flow == Flow::Charter {
                return Ok(None);
            }
            let looked_up;
            let (before, number) = match last.filter(|last| last.id() == *parent) {
                Some(last) => (last, None),
                None => {
                    looked_up = store.head(parent)?;
                    let Some(found) = &looked_up else { return Ok(None) };
                    (found, Some(number))
                }
            };
            let payload = payloads.and_then(|p| p.get(at));
            let Some(short) = Brief::shorten(head, before, number, payload, find) else { return Ok(None) };
            out.push(short);
            last = Some(head);
        }
        Ok(Some(out))
    }
}
