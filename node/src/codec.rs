//! The codec of packs: zstd, level 3.
//!
//! It does not: decide what is compressed or how large it may become (`sampan_core::pack` does).
//!
//! Invariants: inflating never allocates more than the length asked for, which the pack's own limit
//! bounds, and yields exactly that length or nothing.

use sampan_core::limits::PACK_INFLATED_BYTES_MAX;
use sampan_core::pack::Codec;

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
        let mut context = zstd::zstd_safe::DCtx::try_create()?;
        let mut out: Vec<u8> = Vec::new();
        out.try_reserve_exact(len).ok()?;
        // Writing is bounded by the capacity: a frame that holds more fails.
        let found = context.decompress(&mut out, packed).ok()?;
        (found == len && out.len() == len).then_some(out)
    }
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
    fn a_bomb_costs_what_it_announces() {
        let bomb = ZstdCodec.compress(&vec![0; 8 << 20]);
        assert!(bomb.len() < 4_096);
        assert_eq!(ZstdCodec.inflate(&bomb, 1_024), None);
    }
}
