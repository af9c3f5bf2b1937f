//! Frames: whatever is taken is canonical, and what a refusal costs is bounded by the bytes.
//!
//! It does not: feed them to a session (`session`).

use super::memory::peak;
use sampan_core::wire::frame::Frame;

/// What decoding may hold: see `vectors::alloc`, where the factor is explained.
pub const TIMES: usize = 16;
pub const CONSTANT: usize = 64 << 10;

/// Bytes of an error's words: a log line each, whatever the peer sent.
const WORDS_MAX: usize = 1 << 10;

pub fn check(bytes: &[u8]) {
    let mut read = None;
    let cost = peak(|| read = Some(Frame::decode(bytes)));
    assert!(cost <= TIMES * bytes.len() + CONSTANT, "{cost} bytes held for {}", bytes.len());
    match read.expect("it was called") {
        Ok(frame) => {
            assert_eq!(frame.encode(), bytes, "{}", frame.name());
            assert_eq!(Frame::decode(&frame.encode()), Ok(frame));
        }
        Err(e) => assert!(e.to_string().len() < WORDS_MAX, "{e}"),
    }
}
