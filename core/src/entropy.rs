//! Randomness as an argument: core never asks the system for any.
//!
//! It does not: generate randomness; node passes the system's, tests a seeded generator.

/// A source of random bytes.
pub trait Entropy {
    /// Fills `buf` with random bytes.
    fn fill(&mut self, buf: &mut [u8]);
}

impl<E: Entropy + ?Sized> Entropy for Box<E> {
    fn fill(&mut self, buf: &mut [u8]) {
        (**self).fill(buf);
    }
}

/// `N` random bytes.
pub fn random<const N: usize>(rng: &mut dyn Entropy) -> [u8; N] {
    let mut out = [0; N];
    rng.fill(&mut out);
    out
}
