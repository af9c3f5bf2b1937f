//! The dice of a world: everything that chance decides, from one seed.
//!
//! It does not: draw from the machine.
//!
//! Invariants: each part of a world has dice of its own, so that one part's throws never shift
//! another's.

use sampan_core::testing::SeededRng;

/// Dice.
#[derive(Debug, Clone)]
pub struct Dice(SeededRng);

impl Dice {
    /// The dice of a part of the world with this seed.
    #[must_use]
    pub fn of(seed: u64, part: &str) -> Self {
        let hash = blake3::hash(&[&seed.to_le_bytes()[..], part.as_bytes()].concat());
        let mut eight = [0; 8];
        eight.copy_from_slice(&hash.as_bytes()[..8]);
        Self(SeededRng::new(u64::from_le_bytes(eight)))
    }

    /// 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number from `from` to `to`, both included.
    pub fn between(&mut self, from: u64, to: u64) -> u64 {
        if to <= from { from } else { from + self.0.below(to - from + 1) }
    }

    /// True `permille` times in a thousand.
    pub fn chance(&mut self, permille: u64) -> bool {
        self.0.below(1_000) < permille
    }

    /// One of several; `None` of none.
    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        if of.is_empty() { None } else { of.get(self.0.below(of.len() as u64) as usize) }
    }

    /// A time around `mean`: mostly shorter, sometimes much longer.
    pub fn around(&mut self, mean: u64) -> u64 {
        let u = (self.0.below(1_000_000) + 1) as f64 / 1_000_001.0;
        (-(u.ln()) * mean as f64) as u64
    }
}
