//! The codec of packs: zstd, level 3.
//!
//! It does not: decide what is compressed or how large it may become (`sampan_core::pack` does).
//!
//! Invariants: inflating never allocates more than the length asked for, which the pack's own limit
//! bounds, and yields exactly that length or nothing.

use sampan_core::limits::PACK_INFLATED_BYTES_MAX;
use sampan_core::pack::{BARE_BYTES_MAX, Codec};
use std::cell::RefCell;
use zstd::zstd_safe::{CCtx, CParameter, DCtx};

/// The level: 4 and above cost twice the time for 2 % of the bytes.
const LEVEL: i32 = 3;

/// zstd at level 3, without dictionary.
#[derive(Debug, Clone, Copy, Default)]
pub struct ZstdCodec;

impl Codec for ZstdCodec {
    fn compress(&self, raw: &[u8]) -> Vec<u8> {
        // An answer not shorter than the input makes the pack store the bytes as they are, which is
        // the right thing to do where zstd has no memory to work with.
        zstd::bulk::compress(raw, LEVEL).unwrap_or_else(|_| raw.to_vec())
    }

    fn inflate(&self, packed: &[u8], len: usize) -> Option<Vec<u8>> {
        if len > PACK_INFLATED_BYTES_MAX {
            return None;
        }
        let mut out: Vec<u8> = Vec::new();
        out.try_reserve_exact(len).ok()?;
        // Writing is bounded by the capacity: a frame that holds more fails.
        let found = with_inflater(|context| context.decompress(&mut out, packed).ok())?;
        (found == len && out.len() == len).then_some(out)
    }

    fn compress_block(&self, raw: &[u8]) -> Vec<u8> {
        block(raw, &[])
    }

    fn inflate_block(&self, packed: &[u8], len: usize) -> Option<Vec<u8>> {
        self.inflate_with(packed, len, &[])
    }

    fn compress_with(&self, raw: &[u8], dictionary: &'static [u8]) -> Vec<u8> {
        block(raw, dictionary)
    }

    fn inflate_with(&self, packed: &[u8], len: usize, dictionary: &'static [u8]) -> Option<Vec<u8>> {
        if len > PACK_INFLATED_BYTES_MAX {
            return None;
        }
        let mut out: Vec<u8> = Vec::new();
        out.try_reserve_exact(len).ok()?;
        let frame = [MAGIC.as_slice(), packed].concat();
        let found = with_inflater(|context| {
            if !dictionary.is_empty() {
                context.ref_prefix(dictionary).ok()?;
            }
            context.decompress(&mut out, &frame).ok()
        })?;
        (found == len && out.len() == len).then_some(out)
    }

    fn compress_bare(&self, raw: &[u8], dictionary: &'static [u8]) -> Vec<u8> {
        match bare(&block(raw, dictionary), raw.len()) {
            Some(packed) => packed,
            None => raw.to_vec(),
        }
    }

    fn inflate_bare(&self, packed: &[u8], len: usize, dictionary: &'static [u8]) -> Option<Vec<u8>> {
        // A block of one byte says what all of its bytes are.
        let (kind, size) = if packed.len() == 1 { (KIND_SAME, len) } else { (KIND_COMPRESSED, packed.len()) };
        let size = u32::try_from(size).ok().filter(|n| *n <= BARE_BYTES_MAX as u32)?;
        let head = (size << 3 | kind << 1 | 1).to_le_bytes();
        self.inflate_with(&[&[BARE_FRAME, BARE_WINDOW][..], &head[..3], packed].concat(), len, dictionary)
    }

    fn columnar(&self) -> bool {
        true
    }
}

/// What a frame says before its only block, where a bare block stands: nothing but a window of [`BARE_BYTES_MAX`].
const BARE_FRAME: u8 = 0;
const BARE_WINDOW: u8 = 7 << 3;
/// Kinds of blocks.
const KIND_SAME: u32 = 1;
const KIND_COMPRESSED: u32 = 2;

/// The content of the only block of a frame without its first four bytes; `None` where it is not like that.
fn bare(frame: &[u8], len: usize) -> Option<Vec<u8>> {
    let (&[BARE_FRAME, _], rest) = frame.split_first_chunk::<2>()? else { return None };
    let (head, content) = rest.split_first_chunk::<3>()?;
    let head = u32::from_le_bytes([head[0], head[1], head[2], 0]);
    let (kind, size) = (head >> 1 & 3, (head >> 3) as usize);
    let whole = match kind {
        KIND_SAME => content.len() == 1 && size == len,
        KIND_COMPRESSED => content.len() > 1 && content.len() == size,
        _ => false,
    };
    (head & 1 == 1 && whole && len <= BARE_BYTES_MAX).then(|| content.to_vec())
}

/// Up to so many bytes a block is small.
const SMALL_BLOCK: usize = 4 << 10;
/// The level of small blocks.
const SMALL_LEVEL: i32 = 15;

/// The first bytes of every zstd frame.
const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

thread_local! {
    /// A columnar pack has a block for each field; making a context for each costs more than using it.
    static BLOCKS: RefCell<Option<CCtx<'static>>> = const { RefCell::new(None) };
    static INFLATER: RefCell<Option<DCtx<'static>>> = const { RefCell::new(None) };
}

/// A frame without its first bytes, which are always the same; the bytes themselves where that fails.
fn block(raw: &[u8], dictionary: &'static [u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(zstd::zstd_safe::compress_bound(raw.len()));
    let done = BLOCKS.with_borrow_mut(|held| {
        if held.is_none() {
            *held = block_context();
        }
        let context = held.as_mut()?;
        context.set_parameter(CParameter::CompressionLevel(level_of(raw.len()))).ok()?;
        // A dictionary serves one frame and is then forgotten.
        if !dictionary.is_empty() {
            context.ref_prefix(dictionary).ok()?;
        }
        context.compress2(&mut out, raw).ok()
    });
    match (done, out.strip_prefix(MAGIC.as_slice())) {
        (Some(_), Some(rest)) => rest.to_vec(),
        (Some(_) | None, _) => raw.to_vec(),
    }
}

/// Small blocks are most of a thin link's day, and the last per cent of them costs little time.
fn level_of(len: usize) -> i32 {
    if len <= SMALL_BLOCK { SMALL_LEVEL } else { LEVEL }
}

/// A context that leaves out of a frame what a pack says itself.
fn block_context() -> Option<CCtx<'static>> {
    let mut context = CCtx::try_create()?;
    context.set_parameter(CParameter::ContentSizeFlag(false)).ok()?;
    context.set_parameter(CParameter::ChecksumFlag(false)).ok()?;
    Some(context)
}

fn with_inflater<T>(f: impl FnOnce(&mut DCtx<'static>) -> Option<T>) -> Option<T> {
    INFLATER.with_borrow_mut(|held| {
        if held.is_none() {
            *held = DCtx::try_create();
        }
        f(held.as_mut()?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inflates_to_the_length_announced_or_not_at_all() {
        let raw = b"minutes of the branch meeting ".repeat(40);
        let packed = ZstdCodec.compress(&raw);
        assert!(packed.len() < raw.len() / 4);
        assert_eq!(ZstdCodec.inflate(&packed, raw.len()), Some(raw.clone()));
        for wrong in [0, raw.len() - 1, raw.len() + 1, PACK_INFLATED_BYTES_MAX + 1] {
            assert_eq!(ZstdCodec.inflate(&packed, wrong), None, "{wrong}");
        }
        assert_eq!(ZstdCodec.inflate(&packed[..packed.len() - 1], raw.len()), None);
        assert_eq!(ZstdCodec.inflate(b"no frame", 8), None);
        assert_eq!(ZstdCodec.inflate(&ZstdCodec.compress(b""), 0), Some(Vec::new()));
    }

    #[test]
    fn a_bare_block_comes_back_or_not_at_all() {
        static WORDS: &[u8] = b"minutes of the branch meeting";
        let text = b"minutes of the branch meeting of spring ".repeat(9);
        let (same, chance) = (vec![7; 900], (0..=255).map(|n: u8| n.wrapping_mul(91) ^ 0x55).collect::<Vec<u8>>());
        let long: Vec<u8> = text.iter().copied().cycle().take(BARE_BYTES_MAX).collect();
        for raw in [text.clone(), same, long, b"abc".to_vec(), chance] {
            for dictionary in [&[], WORDS] {
                let packed = ZstdCodec.compress_bare(&raw, dictionary);
                assert!(packed.len() <= raw.len());
                if packed.len() < raw.len() {
                    assert_eq!(ZstdCodec.inflate_bare(&packed, raw.len(), dictionary), Some(raw.clone()));
                    let wrong = ZstdCodec.inflate_bare(&packed, raw.len() + 1, dictionary);
                    assert!(wrong.is_none() || packed.len() == 1, "{} bytes", raw.len());
                    assert_eq!(ZstdCodec.inflate_bare(&packed[..packed.len() - 1], raw.len(), dictionary), None);
                }
            }
        }
        let packed = ZstdCodec.compress_bare(&text, WORDS);
        assert!(packed.len() + 5 <= ZstdCodec.compress_with(&text, WORDS).len());
        assert_eq!(ZstdCodec.inflate_bare(&[], 5, &[]), None);
        assert_eq!(ZstdCodec.inflate_bare(&[1], BARE_BYTES_MAX + 1, &[]), None);
    }

    #[test]
    fn a_bomb_costs_what_it_announces() {
        let bomb = ZstdCodec.compress(&vec![0; 8 << 20]);
        assert!(bomb.len() < 4_096);
        assert_eq!(ZstdCodec.inflate(&bomb, 1_024), None);
    }
}
