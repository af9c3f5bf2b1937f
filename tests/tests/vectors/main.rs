//! The formats, held fast: golden vectors, hostile bytes, a verifier in another language, and the purity
//! of core.
//!
//! It does not: test sessions (`stories`) or stores.
//!
//! Invariants: a file in `tests/vectors/` is never edited; see `hex` for how a new format version gets
//! its files.

mod alloc;
mod annotate;
mod golden;
mod hex;
mod hostile;
mod memory;
mod packs;
mod purity;
mod python;
mod samples;
mod threats;
