//! Tagged BLAKE3: every hash of ours is over `sampan/<kind>/1`, a zero byte and the parts.
//!
//! It does not: hash Automerge changes (SHA-256, see [`change_hash`]'s note) or sign.
//!
//! Invariants: two kinds never hash the same bytes; parts are of fixed width or length-prefixed by
//! the caller, so that no two lists of parts give one string.

use crate::id::ChangeHash;
use sha2::Digest as _;

/// BLAKE3 of `sampan/<kind>/1\0` and the parts, one after the other.
#[must_use]
pub fn tagged(kind: &str, parts: &[&[u8]]) -> [u8; 32] {
    let mut h = blake3::Hasher::new();
    h.update(b"sampan/").update(kind.as_bytes()).update(b"/1\0");
    for p in parts {
        h.update(p);
    }
    *h.finalize().as_bytes()
}

/// [`tagged`], piece by piece.
#[derive(Debug, Clone)]
pub struct Tagged(blake3::Hasher);

impl Tagged {
    /// Begins with the kind.
    #[must_use]
    pub fn new(kind: &str) -> Self {
        let mut h = blake3::Hasher::new();
        h.update(b"sampan/").update(kind.as_bytes()).update(b"/1\0");
        Self(h)
    }
    /// Adds a piece.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }
    /// The hash of all pieces.
    #[must_use]
    pub fn finish(&self) -> [u8; 32] {
        *self.0.finalize().as_bytes()
    }
}

/// The first 16 bytes of [`tagged`].
#[must_use]
pub fn tagged16(kind: &str, parts: &[&[u8]]) -> [u8; 16] {
    let mut out = [0; 16];
    out.copy_from_slice(&tagged(kind, parts)[..16]);
    out
}

/// The string that a signature of this kind covers: `sampan/<kind>/1\0` and the bytes.
#[must_use]
pub fn signed_string(kind: &str, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(kind.len() + bytes.len() + 10);
    out.extend_from_slice(b"sampan/");
    out.extend_from_slice(kind.as_bytes());
    out.extend_from_slice(b"/1\0");
    out.extend_from_slice(bytes);
    out
}

/// Bytes of an Automerge chunk before its hashed part: 4 of magic, 4 of checksum.
pub const CHUNK_PREFIX: usize = 8;
/// The magic that opens an Automerge chunk.
pub const CHUNK_MAGIC: [u8; 4] = [0x85, 0x6f, 0x4a, 0x83];

/// Automerge's own change hash: SHA-256 over type, length and body, which is the chunk without its
/// first eight bytes.
#[must_use]
pub fn change_hash(chunk_after_prefix: &[u8]) -> ChangeHash {
    ChangeHash(sha2::Sha256::digest(chunk_after_prefix).into())
}

/// The whole chunk from its hashed part: the magic and the checksum are computable.
#[must_use]
pub fn whole_chunk(chunk_after_prefix: &[u8], hash: &ChangeHash) -> Vec<u8> {
    let mut out = Vec::with_capacity(CHUNK_PREFIX + chunk_after_prefix.len());
    out.extend_from_slice(&CHUNK_MAGIC);
    out.extend_from_slice(&hash.0[..4]);
    out.extend_from_slice(chunk_after_prefix);
    out
}
