//! The system's randomness, as core wants it.
//!
//! It does not: generate any itself or keep any.

use sampan_core::entropy::Entropy;

/// Random bytes from the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    /// # Panics
    /// When the system has no randomness to give: no key, nonce or salt made after that would be
    /// safe, so nothing may go on.
    fn fill(&mut self, buf: &mut [u8]) {
        getrandom::fill(buf).expect("the operating system gives no randomness; nothing can go on safely");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sampan_core::entropy::random;

    #[test]
    fn two_draws_differ() {
        let (a, b): ([u8; 16], [u8; 16]) = (random(&mut SystemEntropy), random(&mut SystemEntropy));
        assert_ne!(a, b);
        assert_ne!(a, [0; 16]);
    }
}
