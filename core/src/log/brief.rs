//! Brief headers: what a frame carries of a signed header to an end that holds the commit's only parent.
//!
//! It does not: look the parent up (`engine::brief`), or check anything: what is rebuilt is judged by the signature like
//! any header.
//!
//! Layout: CBOR, where the header would stand, with fewer fields than a header has. Left out is what follows from the
//! parent (organisation, space, device, incarnation, sequence, parents) and, where they are the same, its nonce and its
//! charter heads, which since protocol 4 are named by their first bytes; and what follows from the payload: number of entries, root, and the time but for its difference from
//! the last entry's. Where the payload is not at hand these three are given.
//!
//! Invariants: a brief header is used only where its writer rebuilt the signed bytes from it; it is for frames alone and
//! never lies in a store.

use super::commit::{FORMAT, Header, Payload, SignedHeader, VerifiedHeader};
pub use crate::id::Named;

use crate::id::{CommitId, HeadName, Nonce, UnitId};
use crate::time::Millis;
use crate::wire;

/// Bytes of a unit's id and of a commit's that name a commit among the tips that an end holds.
const UNIT_BYTES: usize = 2;
const COMMIT_BYTES: usize = Named::LEN - UNIT_BYTES;

impl Named {
    /// The name of a commit in a space of this unit.
    #[must_use]
    pub fn of(unit: &UnitId, commit: &CommitId) -> Self {
        let mut out = [0; Self::LEN];
        let (u, c) = out.split_at_mut(UNIT_BYTES);
        u.copy_from_slice(&unit.0[..UNIT_BYTES]);
        c.copy_from_slice(&commit.0[..COMMIT_BYTES]);
        Self(out)
    }

    /// The first and the last unit that it may mean.
    #[must_use]
    pub fn units(&self) -> (UnitId, UnitId) {
        let end = |fill: u8| {
            let mut id = [fill; 16];
            id[..UNIT_BYTES].copy_from_slice(&self.0[..UNIT_BYTES]);
            UnitId(id)
        };
        (end(0), end(u8::MAX))
    }

    /// Whether it may mean this commit, apart from its unit.
    #[must_use]
    pub fn is(&self, commit: &CommitId) -> bool {
        commit.0[..COMMIT_BYTES] == self.0[UNIT_BYTES..]
    }
}

/// Which commit the first brief header of a group follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct After {
    /// The sender's number of the group in this session: the receiver may ask for it whole by that.
    #[n(0)]
    pub number: u64,
    /// The only parent of its first commit.
    #[n(1)]
    pub parent: Named,
}

/// What follows from the payload, where that is not at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct Said {
    /// The header's.
    #[n(0)]
    pub time: Millis,
    /// The header's.
    #[n(1)]
    pub entries: u32,
    /// The header's.
    #[cbor(n(2), with = "minicbor::bytes")]
    pub root: [u8; 32],
}

/// A header without what the receiver computes.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct Brief {
    /// The time, as the difference from the last entry's; 0 where `said` has it.
    #[n(0)]
    time: i64,
    /// What the first of a group follows; every other follows the one before it.
    #[n(1)]
    pub after: Option<After>,
    /// The charter heads, where they are not the parent's.
    #[n(2)]
    heads: Option<Vec<CommitId>>,
    /// The nonce, where it is not the parent's.
    #[n(3)]
    nonce: Option<Nonce>,
    /// What follows from the payload.
    #[n(4)]
    said: Option<Said>,
    /// The charter heads, where they are not the parent's, by the beginnings of their ids (since protocol 4).
    #[n(5)]
    names: Option<Vec<HeadName>>,
}

/// The charter's commit that a name means; `None` where it is not one alone.
pub type FindHead<'a> = dyn Fn(&HeadName) -> Option<CommitId> + 'a;

/// The first byte of a header: CBOR for an array of twelve. A brief one has at most six.
const HEADER_FIRST: u8 = 0x8c;

impl Brief {
    /// Whether these are the bytes of a brief header rather than of a whole one.
    #[must_use]
    pub fn is(head: &SignedHeader) -> bool {
        head.bytes.first().is_some_and(|first| *first < HEADER_FIRST)
    }

    /// Reads a brief header.
    ///
    /// # Errors
    /// [`wire::WireError`].
    pub fn read(head: &SignedHeader) -> Result<Self, wire::WireError> {
        wire::at_most("brief header", "HEADER_BYTES_MAX", head.bytes.len(), crate::limits::HEADER_BYTES_MAX)?;
        wire::decode("brief header", &head.bytes)
    }

    /// Whether it names charter heads by their beginnings, which an end before protocol 4 does not read.
    #[must_use]
    pub fn names_heads(&self) -> bool {
        self.names.is_some()
    }

    /// The brief form of a header that follows `before` alone, if the signed bytes come back from it. With its payload
    /// the shortest. `find`: the reader understands names of charter heads, which mean this.
    #[must_use]
    pub fn shorten(
        head: &VerifiedHeader,
        before: &VerifiedHeader,
        number: Option<u64>,
        payload: Option<&Payload>,
        find: Option<&FindHead<'_>>,
    ) -> Option<SignedHeader> {
        let (h, b) = (head.header(), before.header());
        let other = h.charter_heads != b.charter_heads;
        let named = find.filter(|find| h.charter_heads.iter().all(|id| find(&HeadName::of(id)) == Some(*id)));
        let last = payload.and_then(|p| p.entries.last()).map(|e| e.entry.time);
        let brief = Self {
            time: last.map_or(0, |last| (h.time.0 as i64).wrapping_sub(last.0 as i64)),
            after: number.map(|number| After { number, parent: Named::of(&b.space.unit, &before.id()) }),
            heads: (other && named.is_none()).then(|| h.charter_heads.clone()),
            nonce: (h.nonce != b.nonce).then_some(h.nonce),
            said: last.is_none().then_some(Said { time: h.time, entries: h.entries, root: h.root }),
            names: (other && named.is_some()).then(|| h.charter_heads.iter().map(HeadName::of).collect()),
        };
        let signed = head.signed();
        let bytes = wire::encode(&brief);
        let short = SignedHeader { bytes, signature: signed.signature };
        let back = Self::read(&short).ok()?.lengthen(before, payload, find.unwrap_or(&|_| None))?;
        (back == signed.bytes && short.bytes.len() < signed.bytes.len()).then_some(short)
    }

    /// The bytes that were signed, if the sender was honest and `before`, and what `find` finds, is what it meant.
    #[must_use]
    pub fn lengthen(&self, before: &VerifiedHeader, payload: Option<&Payload>, find: &FindHead<'_>) -> Option<Vec<u8>> {
        let b = before.header();
        let charter_heads = match (&self.heads, &self.names) {
            (None, None) => b.charter_heads.clone(),
            (Some(heads), None) => heads.clone(),
            (None, Some(names)) => names.iter().map(find).collect::<Option<_>>()?,
            (Some(_), Some(_)) => return None,
        };
        let (time, entries, root) = match &self.said {
            Some(said) => (said.time, said.entries, said.root),
            None => {
                let payload = payload?;
                let last = payload.entries.last()?.entry.time;
                let time = Millis((last.0 as i64).wrapping_add(self.time) as u64);
                (time, u32::try_from(payload.entries.len()).ok()?, payload.root())
            }
        };
        Some(wire::encode(&Header {
            format: FORMAT,
            org: b.org,
            space: b.space,
            device: b.device,
            incarnation: b.incarnation,
            sequence: b.sequence.wrapping_add(1),
            parents: vec![before.id()],
            nonce: self.nonce.unwrap_or(b.nonce),
            charter_heads,
            time,
            entries,
            root,
        }))
    }
}
