//! Packs: the payloads of one or more commits, as they travel and as they lie on disk.
//!
//! It does not: carry headers or signatures (a [`crate::wire::frame::Group`] puts them beside the
//! pack), choose a compressor (the [`Codec`] is an argument), or check roots (`log::Commit::join`).
//!
//! Layout: one byte of form, the raw length as LEB128, the bytes. Forms: 0 verbatim, stored; 1
//! verbatim, compressed by the codec; 2 columnar; 3 and 4 as 0 and 1, with the holes that an
//! erasure left (which is how such commits always lie); 5 as 2, on top of earlier commits; 6 as 5, denser; 7 as 1, with a
//! dictionary that holds a shipped schema. The bodies are written in `verbatim` and `columnar`. Forms 5, 6 and 7 are for
//! frames alone: what lies on a disk or in a bundle is read without earlier commits and by older versions.
//!
//! Invariants: everything that the receiver computes is left out (payload hashes, record ids of
//! creations, magic and checksum of changes); decoding yields exactly the payloads encoded, or an
//! error; the inflated size is announced and bounded before anything is inflated.

mod columnar;
mod leb;
mod verbatim;

use crate::id::{ChangeHash, OrgId, RecordId, SpaceId};
use crate::limits::PACK_INFLATED_BYTES_MAX;
use crate::log::{EntryPayload, Payload, Rebuilt, Secret};

/// Compression, as an argument: core has none of its own.
pub trait Codec {
    /// Compresses; never fails.
    fn compress(&self, raw: &[u8]) -> Vec<u8>;
    /// Inflates to exactly `len` bytes; `None` when the bytes do not hold that.
    fn inflate(&self, packed: &[u8], len: usize) -> Option<Vec<u8>>;
    /// Compresses one of the many blocks of a columnar pack: without what would repeat from block to block.
    fn compress_block(&self, raw: &[u8]) -> Vec<u8> {
        self.compress(raw)
    }
    /// Inflates what [`Codec::compress_block`] made, to exactly `len` bytes.
    fn inflate_block(&self, packed: &[u8], len: usize) -> Option<Vec<u8>> {
        self.inflate(packed, len)
    }
    /// Compresses a block that often holds what the dictionary holds.
    fn compress_with(&self, raw: &[u8], _dictionary: &'static [u8]) -> Vec<u8> {
        self.compress_block(raw)
    }
    /// Inflates what [`Codec::compress_with`] made with the same dictionary, to exactly `len` bytes.
    fn inflate_with(&self, packed: &[u8], len: usize, _dictionary: &'static [u8]) -> Option<Vec<u8>> {
        self.inflate_block(packed, len)
    }
    /// Compresses a block of a dense pack, of at most [`BARE_BYTES_MAX`] bytes: without anything that its length says.
    fn compress_bare(&self, raw: &[u8], _dictionary: &'static [u8]) -> Vec<u8> {
        self.compress_block(raw)
    }
    /// Inflates what [`Codec::compress_bare`] made with the same dictionary, to exactly `len` bytes.
    fn inflate_bare(&self, packed: &[u8], len: usize, _dictionary: &'static [u8]) -> Option<Vec<u8>> {
        self.inflate_block(packed, len)
    }
    /// Whether packs made with this codec may be columnar; all forms are read with any.
    fn columnar(&self) -> bool {
        false
    }
}

/// Bytes of a block that is compressed without a frame of its own.
pub const BARE_BYTES_MAX: usize = 128 << 10;

/// A codec that stores, in columns: for tests of core, and where nothing can be compressed.
#[derive(Debug, Clone, Copy, Default)]
pub struct StoredColumns;

impl Codec for StoredColumns {
    fn compress(&self, raw: &[u8]) -> Vec<u8> {
        raw.to_vec()
    }
    fn inflate(&self, packed: &[u8], len: usize) -> Option<Vec<u8>> {
        (packed.len() == len).then(|| packed.to_vec())
    }
    fn columnar(&self) -> bool {
        true
    }
}

/// A codec whose packs are never columnar: for a peer that does not read that form.
pub struct Verbatim<'a>(pub &'a dyn Codec);

impl Codec for Verbatim<'_> {
    fn compress(&self, raw: &[u8]) -> Vec<u8> {
        self.0.compress(raw)
    }
    fn inflate(&self, packed: &[u8], len: usize) -> Option<Vec<u8>> {
        self.0.inflate(packed, len)
    }
    fn compress_block(&self, raw: &[u8]) -> Vec<u8> {
        self.0.compress_block(raw)
    }
    fn inflate_block(&self, packed: &[u8], len: usize) -> Option<Vec<u8>> {
        self.0.inflate_block(packed, len)
    }
    fn compress_with(&self, raw: &[u8], dictionary: &'static [u8]) -> Vec<u8> {
        self.0.compress_with(raw, dictionary)
    }
    fn inflate_with(&self, packed: &[u8], len: usize, dictionary: &'static [u8]) -> Option<Vec<u8>> {
        self.0.inflate_with(packed, len, dictionary)
    }
    fn compress_bare(&self, raw: &[u8], dictionary: &'static [u8]) -> Vec<u8> {
        self.0.compress_bare(raw, dictionary)
    }
    fn inflate_bare(&self, packed: &[u8], len: usize, dictionary: &'static [u8]) -> Option<Vec<u8>> {
        self.0.inflate_bare(packed, len, dictionary)
    }
}

/// A codec that stores: for tests of core, and the floor of the figures.
#[derive(Debug, Clone, Copy, Default)]
pub struct Stored;

impl Codec for Stored {
    fn compress(&self, raw: &[u8]) -> Vec<u8> {
        raw.to_vec()
    }
    fn inflate(&self, packed: &[u8], len: usize) -> Option<Vec<u8>> {
        (packed.len() == len).then(|| packed.to_vec())
    }
}

const FORM_STORED: u8 = 0;
const FORM_COMPRESSED: u8 = 1;
const FORM_COLUMNAR: u8 = 2;
const FORM_COLUMNAR_AFTER: u8 = 5;
const FORM_DENSE_AFTER: u8 = 6;
const FORM_WORDED: u8 = 7;
const FORM_HOLED_STORED: u8 = 3;
const FORM_HOLED_COMPRESSED: u8 = 4;

/// The dictionary of form 7: the file of version 2 of the schema `membership`. Nearly every organisation publishes that, or
/// one that began as it. It is part of the form and never changes, whatever the schema becomes.
pub const WORDS: &[u8] = include_bytes!("words.toml");

/// Why a pack cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PackError {
    /// A form that this version does not read.
    #[error("a pack of form {0} needs a newer Sampan")]
    NewerForm(u8),
    /// Announces more than the limit.
    #[error("a pack that inflates to {0} bytes exceeds the limit PACK_INFLATED_BYTES_MAX of {PACK_INFLATED_BYTES_MAX}")]
    TooLarge(u64),
    /// Does not inflate to what it announces.
    #[error("a pack that does not inflate to the size it announces")]
    Inflate,
    /// Names entries of earlier commits that are not at hand.
    #[error("a pack that builds on commits which are not at hand")]
    Earlier,
    /// Ends early, goes on, or holds a number out of range.
    #[error("a malformed pack: {0}")]
    Malformed(&'static str),
}

/// The commits before the first of a pack: up its chain of parents, as far as each has exactly one. That is the same at
/// every holder, whatever else it holds.
pub trait Earlier {
    /// Where the change lies: how many steps up the chain (its first parent is 1), at which index, and the entry.
    fn place(&self, record: &RecordId, change: &ChangeHash) -> Option<(u64, u32, EntryPayload)>;
    /// The entry at a place.
    fn entry(&self, steps: u64, index: u32) -> Option<EntryPayload>;
}

/// What decoding needs to compute record ids and check positions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackScope {
    /// The organisation.
    pub org: OrgId,
    /// The space that every commit of the pack lies in.
    pub space: SpaceId,
}

/// Encodes payloads in the shortest form that the codec knows. Columns are used only where they were read
/// back as exactly these payloads.
#[must_use]
pub fn encode(scope: &PackScope, payloads: &[&Payload], codec: &dyn Codec) -> Vec<u8> {
    let whole = verbatim_form(scope, payloads, codec);
    if !codec.columnar() {
        return whole;
    }
    match columnar::encode(scope, payloads, codec, Past::OWN) {
        Some(columns) if columns.len() + 1 < whole.len() => {
            let mut out = Vec::with_capacity(columns.len() + 1);
            out.push(FORM_COLUMNAR);
            out.extend_from_slice(&columns);
            out
        }
        Some(_) | None => whole,
    }
}

/// A pack like this one that names what it can by its place in earlier commits, if it is shorter so. It is for a receiver
/// that holds those commits, and never for keeping: see [`needs_earlier`]. `dense`: the receiver reads form 6.
#[must_use]
pub fn encode_after(
    scope: &PackScope,
    payloads: &[&Payload],
    codec: &dyn Codec,
    pack: &[u8],
    earlier: &dyn Earlier,
    dense: bool,
) -> Option<Vec<u8>> {
    let columns = columnar::encode(scope, payloads, codec, Past { earlier: Some(earlier), dense })?;
    let mut out = Vec::with_capacity(columns.len() + 1);
    out.push(if dense { FORM_DENSE_AFTER } else { FORM_COLUMNAR_AFTER });
    out.extend_from_slice(&columns);
    (out.len() < pack.len()).then_some(out)
}

/// A pack like this one, which is of form 1, in form 7, if it is shorter so. It is for a receiver that reads that, and
/// never for keeping.
#[must_use]
pub fn encode_worded(pack: &[u8], codec: &dyn Codec) -> Option<Vec<u8>> {
    let (&FORM_COMPRESSED, rest) = pack.split_first()? else { return None };
    let mut r = leb::Reader::new(rest);
    let len = r.number().ok().and_then(|n| usize::try_from(n).ok()).filter(|n| *n <= PACK_INFLATED_BYTES_MAX)?;
    let raw = codec.inflate(r.rest(), len)?;
    let body = codec.compress_with(&raw, WORDS);
    let mut out = Vec::with_capacity(body.len() + 6);
    out.push(FORM_WORDED);
    leb::put(&mut out, len as u64);
    out.extend_from_slice(&body);
    // What does not come back is not sent: a codec that fails answers with what it was given.
    let back = out.len() < pack.len() && codec.inflate_with(&body, len, WORDS).is_some_and(|back| back == raw);
    back.then_some(out)
}

/// What a columnar body may build on, and how close its numbers lie.
#[derive(Clone, Copy)]
struct Past<'a> {
    earlier: Option<&'a dyn Earlier>,
    dense: bool,
}

impl Past<'_> {
    const OWN: Self = Self { earlier: None, dense: false };
}

/// Whether a pack may hold changes whose dependencies lie outside it and are named by hash.
#[must_use]
pub fn names_hashes(pack: &[u8]) -> bool {
    match pack.split_first() {
        Some((&FORM_COLUMNAR, rest)) => columnar::hashes(rest).is_some_and(|n| n > 0),
        // Where columns did not pay, the pack is small.
        Some((&(FORM_STORED | FORM_COMPRESSED), rest)) => rest.len() < SMALL_BYTES,
        Some(_) | None => false,
    }
}

/// A verbatim pack up to here is worth opening for the sake of what can be left out.
const SMALL_BYTES: usize = 16 << 10;

/// Whether a pack is columnar, which an older version does not read.
#[must_use]
pub fn is_columnar(pack: &[u8]) -> bool {
    matches!(pack.first(), Some(&(FORM_COLUMNAR | FORM_COLUMNAR_AFTER | FORM_DENSE_AFTER)))
}

/// Whether a pack is of the denser form, which is newer than columns.
#[must_use]
pub fn is_dense(pack: &[u8]) -> bool {
    pack.first() == Some(&FORM_DENSE_AFTER)
}

/// Whether a pack can be read only together with earlier commits: it must not be kept as it is.
#[must_use]
pub fn needs_earlier(pack: &[u8]) -> bool {
    matches!(pack.first(), Some(&(FORM_COLUMNAR_AFTER | FORM_DENSE_AFTER)))
}

/// Whether a pack is of a form for frames alone, which is never kept: such a one is encoded anew.
#[must_use]
pub fn is_for_frames(pack: &[u8]) -> bool {
    needs_earlier(pack) || is_worded(pack)
}

/// Whether a pack is compressed with the words of a shipped schema.
#[must_use]
pub fn is_worded(pack: &[u8]) -> bool {
    pack.first() == Some(&FORM_WORDED)
}

/// Decodes a pack of form 7.
///
/// # Errors
/// As [`decode`].
pub fn read_worded(scope: &PackScope, bytes: &[u8], codec: &dyn Codec) -> Result<Vec<(Payload, Rebuilt)>, PackError> {
    let Some((&FORM_WORDED, rest)) = bytes.split_first() else {
        return Err(PackError::Malformed("it has not the words of a schema"));
    };
    let mut r = leb::Reader::new(rest);
    let len = announced(&mut r)?;
    let raw = codec.inflate_with(r.rest(), len, WORDS).filter(|raw| raw.len() == len).ok_or(PackError::Inflate)?;
    let payloads = verbatim::read(scope, &raw, false)?;
    Ok(payloads.into_iter().map(|payload| (payload, Rebuilt::default())).collect())
}

/// Decodes a pack that may name entries of earlier commits.
///
/// # Errors
/// [`PackError::Earlier`] where one is not at hand; else as [`decode`].
pub fn decode_after(
    scope: &PackScope,
    bytes: &[u8],
    codec: &dyn Codec,
    earlier: &dyn Earlier,
) -> Result<Vec<Payload>, PackError> {
    Ok(read_after(scope, bytes, codec, earlier)?.into_iter().map(|(payload, _)| payload).collect())
}

/// As [`decode_after`], and which changes were rebuilt from columns.
///
/// # Errors
/// As [`decode_after`].
pub fn read_after(
    scope: &PackScope,
    bytes: &[u8],
    codec: &dyn Codec,
    earlier: &dyn Earlier,
) -> Result<Vec<(Payload, Rebuilt)>, PackError> {
    match bytes.split_first() {
        Some((&form @ (FORM_COLUMNAR_AFTER | FORM_DENSE_AFTER), rest)) => {
            columnar::decode(scope, rest, codec, Past { earlier: Some(earlier), dense: form == FORM_DENSE_AFTER })
        }
        Some(_) | None => read(scope, bytes, codec),
    }
}

fn verbatim_form(scope: &PackScope, payloads: &[&Payload], codec: &dyn Codec) -> Vec<u8> {
    let holed = payloads.iter().any(|p| matches!(p.secret, Secret::Salts(_)));
    let raw = verbatim::write(scope, payloads, holed);
    let packed = codec.compress(&raw);
    let (stored, compressed) =
        if holed { (FORM_HOLED_STORED, FORM_HOLED_COMPRESSED) } else { (FORM_STORED, FORM_COMPRESSED) };
    let (form, body) = if packed.len() < raw.len() { (compressed, &packed) } else { (stored, &raw) };
    let mut out = Vec::with_capacity(body.len() + 6);
    out.push(form);
    leb::put(&mut out, raw.len() as u64);
    out.extend_from_slice(body);
    out
}

/// Decodes the payloads of a pack.
///
/// # Errors
/// [`PackError`]; nothing larger than the announced size, itself bounded, is ever allocated.
pub fn decode(scope: &PackScope, bytes: &[u8], codec: &dyn Codec) -> Result<Vec<Payload>, PackError> {
    Ok(read(scope, bytes, codec)?.into_iter().map(|(payload, _)| payload).collect())
}

/// As [`decode`], and which changes were rebuilt from columns.
///
/// # Errors
/// As [`decode`].
pub fn read(scope: &PackScope, bytes: &[u8], codec: &dyn Codec) -> Result<Vec<(Payload, Rebuilt)>, PackError> {
    let (&form, rest) = bytes.split_first().ok_or(PackError::Malformed("it is empty"))?;
    if matches!(form, FORM_COLUMNAR | FORM_COLUMNAR_AFTER | FORM_DENSE_AFTER) {
        return columnar::decode(scope, rest, codec, Past { earlier: None, dense: form == FORM_DENSE_AFTER });
    }
    let payloads = read_verbatim(scope, form, rest, codec)?;
    Ok(payloads.into_iter().map(|payload| (payload, Rebuilt::default())).collect())
}

fn read_verbatim(scope: &PackScope, form: u8, rest: &[u8], codec: &dyn Codec) -> Result<Vec<Payload>, PackError> {
    if form == FORM_WORDED {
        return Err(PackError::Malformed("its form is for frames alone"));
    }
    let (holed, is_stored) = match form {
        FORM_STORED => (false, true),
        FORM_COMPRESSED => (false, false),
        FORM_HOLED_STORED => (true, true),
        FORM_HOLED_COMPRESSED => (true, false),
        newer => return Err(PackError::NewerForm(newer)),
    };
    let mut r = leb::Reader::new(rest);
    let len = announced(&mut r)?;
    let body = r.rest();
    if is_stored {
        if body.len() != len {
            return Err(PackError::Inflate);
        }
        return verbatim::read(scope, body, holed);
    }
    let raw = codec.inflate(body, len).filter(|raw| raw.len() == len).ok_or(PackError::Inflate)?;
    verbatim::read(scope, &raw, holed)
}

/// The length of the body that follows, within its limit.
fn announced(r: &mut leb::Reader<'_>) -> Result<usize, PackError> {
    let len = r.number()?;
    usize::try_from(len).ok().filter(|n| *n <= PACK_INFLATED_BYTES_MAX).ok_or(PackError::TooLarge(len))
}
