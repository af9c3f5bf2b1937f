//! The manual: how Sampan is built, what its bytes mean, how two replicas talk.
//!
//! It does not: hold code. Its pages are compiled with their examples, so that they cannot drift
//! unnoticed; where a page and the code differ, the code is right and the page is a bug.
//!
//! Invariants: [`formats`] is enough to write a verifier in another language (`sampan_verify.py` beside
//! the tests is one, and is run by them).
//!
//! - [`formats`]: every form that is signed, hashed, sent or stored.
//! - [`columns`]: the columnar pack, byte by byte.
//! - [`at_rest`]: passphrases, backups, damage and what `doctor` says.
//! - [`sync`]: how a session between two replicas goes.
//! - [`files`]: files that records carry, beside a session and by bundle.
//! - [`bundles`]: the same by a file, where there is no link.
//! - [`rights`]: who may do what: roles, grants, tickets, handing over a post, the root key.
//! - [`statuses`]: what becomes of an entry, and why every replica agrees on it.
//! - [`figures`]: metrics, rollups, coverage, closed periods.
//! - [`growth`]: what a peer can make a replica keep, and where that ends.
//! - [`threats`]: what each party can and cannot do, with the test that shows it.
//! - [`work`]: questions and answers, what is due, whom to call: what a schema declares beyond fields.
//! - [`audit`]: evidence of who did what, for one who holds only the root key.
//!
//! # Architecture
//!
//! Dependencies run one way: `core ← node ← relay`. What is absent is as much part of the design as what
//! is there:
//!
//! - **core sees no world.** No clock, file, thread, socket, environment or randomness of its own: `now`,
//!   an [`Entropy`](crate::entropy::Entropy), a [`Store`](crate::store::Store) and a
//!   [`Codec`](crate::pack::Codec) come in as arguments. A test searches the sources for the names.
//! - **No unordered map** where order could reach an output: same input, same bytes.
//! - **Automerge is named only in [`record`](crate::record)** (and in the tests of
//!   [`change`](crate::change), as the other implementation). Foreign bytes reach it only after the
//!   admission door has read them.
//! - **No unchecked commit**: a [`Commit`](crate::log::Commit) exists only for a payload that has the
//!   signed Merkle root. A [`VerifiedHeader`](crate::log::VerifiedHeader) comes from
//!   [`verify`](crate::log::SignedHeader::verify), or from `trust`, which is for bytes that our own store
//!   checked before it wrote them.
//! - **Receiving and forwarding open no document.** Entries are judged from their bytes and their
//!   causal past.
//! - **The session knows no transport, no collection and no schema**, and keeps no queue for a peer
//!   that is not there.
//! - **No clock decides a right** over records: times are labels. Only a relay's door asks its clock,
//!   whether a grant or a ticket has ended.
//! - quinn is named only in `node/src/net` and in `relay`, SQL and rusqlite only in `node/src/store`.
//!
//! # The rooms of core
//!
//! [`id`](crate::id), [`hash`](crate::hash), [`value`](crate::value), [`time`](crate::time),
//! [`limits`](crate::limits): the words everything else is said in: fixed-width ids, tagged hashes,
//! kinds of field, bounded labels of time, and every limit by its name.
//!
//! [`wire`](crate::wire): strict CBOR. One byte form a message; what decodes encodes to the same bytes.
//! [`wire::frame`](crate::wire::frame) holds the frames of a session.
//!
//! [`log`](crate::log): entries, Merkle roots, commits and their signatures. It knows no rights.
//!
//! [`pack`](crate::pack): the payloads of commits, as they travel and as they lie on disk, without what
//! a reader can compute.
//!
//! [`change`](crate::change): our own bounded reader and writer of Automerge's change format, and the
//! admission door: whether a change fits its causal past.
//!
//! [`record`](crate::record): one Automerge document a record: typed edits, views, conflicts, history;
//! the computed changes that every replica makes to the same bytes.
//!
//! [`schema`](crate::schema), [`fold`](crate::fold), [`date`](crate::date),
//! [`suggest`](crate::suggest): collections and their fields, assignments as people type them,
//! filters, folding for search.
//!
//! [`charter`](crate::charter): the authority log: its operations, their fold into units, rights,
//! endpoints and schema, and the tickets that let a device in.
//!
//! [`frontier`](crate::frontier): the tips of every log; digests of spaces and of subtrees of units.
//!
//! [`scope`](crate::scope): who holds which space, and what two ends of a link share: one pure function
//! of the charter that both compute.
//!
//! [`register`](crate::register): signed values of which only the newest counts: acknowledgements, signs
//! of life, holders' names.
//!
//! [`rollup`](crate::rollup): figures: what a record gives, how figures add up, coverage, ratios, and the second
//! way that checks them.
//!
//! [`store`](crate::store): the vocabulary between engine and database: coarse reads, and one atomic
//! batch.
//!
//! [`engine`](crate::engine): one replica: edits, sealing, intake, judging, acknowledgements, invitations.
//!
//! [`audit`](mod@crate::audit): files of evidence, made and checked.
//!
//! [`sync`](mod@crate::sync): the session, a state machine between a lower and an upper end.
//!
//! [`bundle`](crate::bundle): the same frames in an encrypted, signed file.

pub mod at_rest;
pub mod audit;
pub mod bundles;
pub mod columns;
pub mod figures;
pub mod files;
pub mod formats;
pub mod growth;
pub mod rights;
pub mod statuses;
pub mod sync;
pub mod threats;
pub mod work;
