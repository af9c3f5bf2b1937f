//! The file form, alone: whatever is cut, bent, foreign or too large is refused, and nothing of it counts.

use super::*;
use crate::testing::{SeededRng, test_key, test_org};

fn secret(n: u8) -> BoxSecret {
    BoxSecret::from_bytes([n; 32])
}

fn sealed(frames: &[Vec<u8>], to: &[BoxKey]) -> Vec<u8> {
    let address = Address { org: test_org(), created: Millis(5), down: true, unit: None, receivers: to };
    let mut out = Vec::new();
    let mut sealer = Sealer::new(&test_key(1), &address, &mut SeededRng::new(3), &mut out).unwrap();
    frames.iter().for_each(|f| sealer.push(f, &mut out).unwrap());
    let total = sealer.finish(&test_key(1), &mut out).unwrap();
    out[LENGTH_AT as usize..][..8].copy_from_slice(&total);
    assert_eq!(u64::from_le_bytes(total), out.len() as u64);
    out
}

fn opened(bytes: &[u8], step: usize, secrets: &[BoxSecret]) -> Result<(Checked, Vec<Vec<u8>>), FormatError> {
    let mut reader = Reader::new(test_org(), secrets);
    let mut frames = Vec::new();
    for part in bytes.chunks(step) {
        reader.push(part, &mut frames)?;
    }
    Ok((reader.finish()?, frames))
}

#[test]
fn frames_of_any_size_come_back_in_whatever_pieces_the_file_is_read() {
    let sizes = [0, 1, BUNDLE_CHUNK_BYTES - 8, BUNDLE_CHUNK_BYTES - 4, 3 * BUNDLE_CHUNK_BYTES, FRAME_BYTES_MAX];
    for (i, size) in sizes.into_iter().enumerate() {
        let frames: Vec<Vec<u8>> = vec![vec![i as u8; size], vec![7; 5]];
        for some in [&frames[..1], &frames[..]] {
            let bytes = sealed(some, &[secret(2).public(), secret(3).public()]);
            for step in [97, 65_552, 1 << 22] {
                for n in [2, 3] {
                    let (checked, read) = opened(&bytes, step, &[secret(9), secret(n)]).unwrap();
                    assert!(checked.for_us && read == some, "{size} bytes, {step} at a time");
                    assert_eq!(checked.total, bytes.len() as u64);
                }
            }
        }
    }
}

#[test]
fn who_is_no_receiver_sees_that_it_is_whole_and_nothing_more() {
    let bytes = sealed(&[b"secret".to_vec()], &[secret(2).public()]);
    let (checked, frames) = opened(&bytes, 64, &[secret(4)]).unwrap();
    assert!(!checked.for_us && frames.is_empty());
    let mut bent = bytes.clone();
    let at = bytes.len() - TRAILER - 3;
    bent[at] ^= 1;
    assert!(matches!(opened(&bent, 64, &[]), Err(FormatError::Altered(_))));
    let stranger = Reader::new(OrgId([9; 32]), &[]).push(&bytes, &mut Vec::new());
    assert_eq!(stranger, Err(FormatError::OtherOrganisation));
}

#[test]
fn every_prefix_is_incomplete_and_every_flipped_bit_is_seen() {
    let bytes = sealed(&[b"a frame".to_vec(), b"another".to_vec()], &[secret(2).public()]);
    for len in 0..bytes.len() {
        let e = opened(&bytes[..len], 4_096, &[secret(2)]).unwrap_err();
        let expected =
            if len < MAGIC.len() { matches!(e, FormatError::NotABundle) } else { matches!(e, FormatError::Cut { .. }) };
        assert!(expected, "{len}: {e}");
    }
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut bent = bytes.clone();
            bent[at] ^= 1 << bit;
            for secrets in [&[secret(2)][..], &[]] {
                let read = opened(&bent, 4_096, secrets);
                assert!(read.is_err(), "bit {bit} of byte {at}");
            }
        }
    }
    let longer = [bytes.as_slice(), &[0]].concat();
    assert_eq!(opened(&longer, 4_096, &[secret(2)]).unwrap_err(), FormatError::Altered("it is longer than it says"));
}

#[test]
fn chunks_cannot_change_places_or_be_left_out() {
    let bytes = sealed(&[vec![1; 3 * BUNDLE_CHUNK_BYTES]], &[secret(2).public()]);
    let from = bytes.len() - TRAILER - (3 * SEALED_CHUNK + 4 + TAG_BYTES);
    let mut swapped = bytes.clone();
    let (a, b) = swapped[from..].split_at_mut(SEALED_CHUNK);
    a.swap_with_slice(&mut b[..SEALED_CHUNK]);
    assert_eq!(opened(&swapped, 1 << 20, &[secret(2)]).unwrap_err(), FormatError::Altered("a chunk"));
    let mut short = bytes.clone();
    short.drain(from..from + SEALED_CHUNK);
    let total = (short.len() as u64).to_le_bytes();
    short[LENGTH_AT as usize..][..8].copy_from_slice(&total);
    assert_eq!(opened(&short, 1 << 20, &[secret(2)]).unwrap_err(), FormatError::Altered("a chunk"));
}

#[test]
fn another_signer_cannot_put_its_name_to_it() {
    let bytes = sealed(&[b"a frame".to_vec()], &[secret(2).public()]);
    let mut frames = Vec::new();
    let mut reader = Reader::new(test_org(), &[]);
    reader.push(&bytes, &mut frames).unwrap();
    let header = reader.header().unwrap().clone();
    let stolen = wire::encode(&Header { sender: device_id(&test_key(8)), ..header });
    let mut forged = bytes.clone();
    forged[PREFIX..PREFIX + stolen.len()].copy_from_slice(&stolen);
    let hash = forged.len() - TRAILER;
    let start = [&forged[..PREFIX + stolen.len()], &forged[hash..hash + 32]].concat();
    let signature = sign("bundle", &test_key(8), &start);
    forged[hash + 32..].copy_from_slice(&signature);
    // The signature holds now, and what it signs opens for nobody.
    assert!(opened(&forged, 4_096, &[]).is_ok());
    assert_eq!(opened(&forged, 4_096, &[secret(2)]).unwrap_err(), FormatError::Altered("a chunk"));
}

#[test]
fn what_is_announced_is_bounded_before_it_is_believed() {
    let bytes = sealed(&[b"a frame".to_vec()], &[secret(2).public()]);
    let with = |at: usize, value: &[u8]| {
        let mut bent = bytes.clone();
        bent[at..at + value.len()].copy_from_slice(value);
        opened(&bent, 4_096, &[]).unwrap_err()
    };
    assert_eq!(with(14, &2u16.to_le_bytes()), FormatError::Newer(2));
    assert_eq!(with(16, &u64::MAX.to_le_bytes()), FormatError::Limit("BUNDLE_BYTES_MAX"));
    assert_eq!(with(16, &100u64.to_le_bytes()), FormatError::Altered("its length is too small"));
    assert_eq!(with(24, &u32::MAX.to_le_bytes()), FormatError::Limit("BUNDLE_HEADER_BYTES_MAX"));
    assert!(matches!(with(16, &(BUNDLE_BYTES_MAX - 7).to_le_bytes()), FormatError::Cut { .. }));
    let many = vec![secret(2).public(); BUNDLE_RECEIVERS_MAX + 1];
    let address = Address { org: test_org(), created: Millis(5), down: true, unit: None, receivers: &many };
    let refused = Sealer::new(&test_key(1), &address, &mut SeededRng::new(3), &mut Vec::new());
    assert_eq!(refused.unwrap_err(), FormatError::Limit("BUNDLE_RECEIVERS_MAX"));
    let all = sealed(&[vec![1]], &many[1..]);
    assert!(opened(&all, 1 << 20, &[secret(2)]).is_ok());
}
