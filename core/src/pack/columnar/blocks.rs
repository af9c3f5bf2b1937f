//! Where the bytes of a columnar pack lie: its head, what compresses together, what compresses alone, and what
//! no compressor can shorten.
//!
//! It does not: know what a column holds.
//!
//! The first block is compressed with a dictionary, which has what the built-in schema names; a schema of one's own
//! gains less. It is part of the form and never changes.
//!
//! Layout, after the form, the raw length of all that follows (inflated) and the number of dependencies that are
//! named by their hash: the head and the small columns
//! together, then what is stored as it is, then each large column by itself. A block is its raw length, then
//! its packed length plus one, or 0 where it is stored, then the bytes. The head names for each
//! body its length and place, in the order in which they are asked for.
//!
//! Invariants: everything inflated was announced, and is at most `PACK_INFLATED_BYTES_MAX` in all.

use super::super::leb::{Reader, put};
use super::super::{BARE_BYTES_MAX, Codec, PackError};
use crate::limits::PACK_TABLE_TEXTS_MAX;

/// What the first block of a pack most often holds, its likeliest parts last.
pub(super) const DICTIONARY: &[u8] = include_bytes!("dictionary.bin");

/// From so many bytes on a column is compressed by itself: below that a block's own head costs more than
/// what it gains by not standing among strangers.
const ALONE_BYTES_MIN: usize = 600;

/// How a body is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Compressed, among others or alone.
    Squeezed,
    /// As it is: it is close to chance.
    Stored,
}

const WITH_OTHERS: u64 = 0;
const STORED: u64 = 1;
const ALONE: u64 = 2;

/// What a pack is written to.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    /// The description of everything.
    pub(super) head: Vec<u8>,
    /// Whether it is of the denser form.
    pub(super) dense: bool,
    small: Vec<u8>,
    stored: Vec<u8>,
    alone: Vec<Vec<u8>>,
}

impl Shelf {
    /// Puts the body of a column away, and its place into the head.
    pub(super) fn body(&mut self, body: Vec<u8>, place: Place) {
        let kept = match place {
            Place::Stored => STORED,
            Place::Squeezed if body.len() < ALONE_BYTES_MIN => WITH_OTHERS,
            Place::Squeezed => ALONE,
        };
        put(&mut self.head, (body.len() as u64) << 2 | kept);
        match kept {
            STORED => self.stored.extend_from_slice(&body),
            WITH_OTHERS => self.small.extend_from_slice(&body),
            _ => self.alone.push(body),
        }
    }

    /// The whole, behind its raw length.
    pub(super) fn finish(self, out: &mut Vec<u8>, hashes: u64, codec: &dyn Codec) {
        let mut first = Vec::with_capacity(self.head.len() + self.small.len() + 4);
        put(&mut first, self.head.len() as u64);
        first.extend_from_slice(&self.head);
        first.extend_from_slice(&self.small);
        let raw = first.len() + self.stored.len() + self.alone.iter().map(Vec::len).sum::<usize>();
        put(out, raw as u64);
        put(out, hashes);
        let squeeze = |raw: &[u8], dictionary: &'static [u8]| match dictionary {
            _ if self.dense && raw.len() <= BARE_BYTES_MAX => codec.compress_bare(raw, dictionary),
            [] => codec.compress_block(raw),
            dictionary => codec.compress_with(raw, dictionary),
        };
        block(out, &first, squeeze(&first, DICTIONARY));
        put(out, self.stored.len() as u64);
        out.extend_from_slice(&self.stored);
        for body in &self.alone {
            block(out, body, squeeze(body, &[]));
        }
    }
}

fn block(out: &mut Vec<u8>, raw: &[u8], packed: Vec<u8>) {
    put(out, raw.len() as u64);
    if packed.len() < raw.len() {
        put(out, packed.len() as u64 + 1);
        out.extend_from_slice(&packed);
    } else {
        put(out, 0);
        out.extend_from_slice(raw);
    }
}

/// The blocks of a pack, inflated.
pub(super) struct Inflated<'p> {
    first: Vec<u8>,
    stored: &'p [u8],
    alone: Vec<Vec<u8>>,
    dense: bool,
}

impl<'p> Inflated<'p> {
    /// Reads what follows the raw length `raw`, which was bounded.
    pub(super) fn read(rest: &'p [u8], raw: u64, codec: &dyn Codec, dense: bool) -> Result<Self, PackError> {
        let (mut r, mut left) = (Reader::new(rest), raw);
        let by = |bytes: &[u8], len: usize, dictionary: &'static [u8]| match dictionary {
            _ if dense && len <= BARE_BYTES_MAX => codec.inflate_bare(bytes, len, dictionary),
            [] => codec.inflate_block(bytes, len),
            dictionary => codec.inflate_with(bytes, len, dictionary),
        };
        let first = inflate(&mut r, &mut left, |bytes, len| by(bytes, len, DICTIONARY))?;
        let stored = r.bytes()?;
        left = left.checked_sub(stored.len() as u64).ok_or(PackError::Inflate)?;
        let mut alone = Vec::new();
        while !r.is_empty() {
            alone.push(inflate(&mut r, &mut left, |bytes, len| by(bytes, len, &[]))?);
        }
        if left != 0 {
            return Err(PackError::Inflate);
        }
        Ok(Self { first, stored, alone, dense })
    }

    /// What reads from them.
    pub(super) fn blocks(&self) -> Result<Blocks<'_>, PackError> {
        let mut r = Reader::new(&self.first);
        let head = Reader::new(r.bytes()?);
        Ok(Blocks {
            head,
            dense: self.dense,
            small: r,
            stored: Reader::new(self.stored),
            alone: self.alone.iter(),
            table_texts: PACK_TABLE_TEXTS_MAX,
        })
    }
}

fn inflate(
    r: &mut Reader<'_>,
    left: &mut u64,
    by: impl FnOnce(&[u8], usize) -> Option<Vec<u8>>,
) -> Result<Vec<u8>, PackError> {
    let raw = r.number()?;
    // One of no bytes would be free to name for ever.
    if raw == 0 {
        return Err(PackError::Malformed("an empty block"));
    }
    *left = left.checked_sub(raw).ok_or(PackError::Inflate)?;
    let packed = r.number()?;
    // `raw` is at most what was announced, which is far below the machine's words.
    let Some(packed) = packed.checked_sub(1) else {
        return Ok(r.take(raw as usize)?.to_vec());
    };
    let packed = usize::try_from(packed).map_err(|_| PackError::Malformed("a length over the machine's"))?;
    let bytes = r.take(packed)?;
    by(bytes, raw as usize).filter(|b| b.len() as u64 == raw).ok_or(PackError::Inflate)
}

/// Hands out the bodies in the order in which the head names them.
pub(super) struct Blocks<'a> {
    /// The description of everything.
    pub(super) head: Reader<'a>,
    /// Whether it is of the denser form.
    pub(super) dense: bool,
    small: Reader<'a>,
    stored: Reader<'a>,
    alone: std::slice::Iter<'a, Vec<u8>>,
    /// Texts that tables may still hold.
    pub(super) table_texts: usize,
}

impl<'a> Blocks<'a> {
    /// The next body.
    pub(super) fn body(&mut self) -> Result<&'a [u8], PackError> {
        let n = self.head.number()?;
        let len = usize::try_from(n >> 2).map_err(|_| PackError::Malformed("a length over the machine's"))?;
        match n & 3 {
            WITH_OTHERS => self.small.take(len),
            STORED => self.stored.take(len),
            ALONE => {
                let body = self.alone.next().ok_or(PackError::Malformed("a block that is not there"))?;
                if body.len() == len { Ok(body) } else { Err(PackError::Malformed("a block of another length")) }
            }
            _ => Err(PackError::Malformed("a body in an unknown place")),
        }
    }

    /// Nothing may be left.
    pub(super) fn end(&self) -> Result<(), PackError> {
        let rest = self.alone.as_slice().is_empty();
        if rest && self.head.is_empty() && self.small.is_empty() && self.stored.is_empty() {
            Ok(())
        } else {
            Err(PackError::Malformed("bytes follow its last column"))
        }
    }
}
