//! A passphrase, and the key that Argon2id makes of it.
//!
//! It does not: read one from a file or a terminal (`unlock` does) or seal anything (`lock` does).
//!
//! Invariants: the same words are the same passphrase, however their accents were typed; what a key file
//! asks for stays within [`limits`]; nothing here prints a secret; secrets are wiped when dropped.

use super::Secret;
use argon2::{Algorithm, Argon2, Params, Version};
use sampan_core::limits::{self, ARGON2_MEMORY_KIB_MAX, ARGON2_MEMORY_KIB_MIN, ARGON2_PASSES_MAX, ARGON2_PASSES_MIN};
use std::fmt;
use std::time::Duration;
use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

/// KiB over which a machine is measured.
const MEASURED_KIB: u32 = 64 << 10;

/// Words that open a folder.
#[derive(Clone, PartialEq, Eq)]
pub struct Passphrase(Zeroizing<String>);

impl Passphrase {
    /// From what was typed or stood in a file: one line end at its end is not part of it, and accents are
    /// composed (NFC), so that another keyboard or system gives the same bytes.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let text = text.strip_suffix('\n').unwrap_or(text);
        let text = text.strip_suffix('\r').unwrap_or(text);
        // The whole capacity at once: a string that grew would leave an unwiped copy behind. Composing three
        // characters out of one byte's worth is not to be had; twice and some is ample.
        let mut composed = Zeroizing::new(String::with_capacity(text.len() * 3 + 16));
        composed.extend(text.nfc());
        Self(composed)
    }

    /// Whether it may be set: long enough to be worth guessing slowly, and not without end.
    #[must_use]
    pub fn is_fit(&self) -> bool {
        self.0.chars().count() >= limits::PASSPHRASE_CHARS_MIN && self.0.len() <= limits::PASSPHRASE_BYTES_MAX
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(…)")
    }
}

/// What one try of a passphrase costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// KiB of memory.
    pub memory_kib: u32,
    /// Passes over it.
    pub passes: u32,
}

impl Cost {
    /// The least that is ever used: what tests take, and a machine that is slow beyond measure.
    pub const LEAST: Self = Self { memory_kib: ARGON2_MEMORY_KIB_MIN, passes: ARGON2_PASSES_MIN };

    /// Measures this machine.
    #[must_use]
    pub fn calibrated() -> Self {
        let probe = Self { memory_kib: MEASURED_KIB, passes: 1 };
        let started = std::time::Instant::now();
        // A machine that has not got the memory for the probe takes the least.
        if probe.key(&Passphrase::new("measure"), &[0; 16]).is_none() {
            return Self::LEAST;
        }
        Self::of_measure(started.elapsed())
    }

    /// What to take where one pass over [`MEASURED_KIB`] took this long.
    #[must_use]
    fn of_measure(one_pass: Duration) -> Self {
        let per_kib_ns = (one_pass.as_nanos() as u64 / u64::from(MEASURED_KIB)).max(1);
        let budget_kib = limits::ARGON2_TARGET_MS * 1_000_000 / per_kib_ns;
        // As much memory as the passes leave room for: memory is what costs a guesser.
        let memory = (budget_kib / u64::from(ARGON2_PASSES_MIN + 1))
            .clamp(u64::from(ARGON2_MEMORY_KIB_MIN), u64::from(limits::ARGON2_MEMORY_KIB_CHOSEN_MAX));
        let passes = (budget_kib / memory).clamp(u64::from(ARGON2_PASSES_MIN), u64::from(ARGON2_PASSES_MAX));
        Self { memory_kib: memory as u32, passes: passes as u32 }
    }

    /// Whether a key file may ask for this.
    #[must_use]
    pub fn is_bearable(self) -> bool {
        (ARGON2_MEMORY_KIB_MIN..=ARGON2_MEMORY_KIB_MAX).contains(&self.memory_kib)
            && (ARGON2_PASSES_MIN..=ARGON2_PASSES_MAX).contains(&self.passes)
    }

    /// The key of a passphrase; `None` only where the memory cannot be had.
    pub(super) fn key(self, passphrase: &Passphrase, salt: &[u8; 16]) -> Option<Secret> {
        let params = Params::new(self.memory_kib, self.passes, 1, Some(32)).ok()?;
        let mut out = Zeroizing::new([0; 32]);
        let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        argon.hash_password_into(passphrase.0.as_bytes(), salt, out.as_mut()).ok()?;
        Some(Secret::from_bytes(*out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_words_are_the_same_passphrase_however_they_were_typed() {
        let composed = Passphrase::new("thuyền nan qua sông");
        let loose: String = "thuyền nan qua sông".nfd().collect();
        assert_ne!(loose, "thuyền nan qua sông");
        assert_eq!(Passphrase::new(&loose), composed);
        assert_eq!(Passphrase::new("thuyền nan qua sông\r\n"), composed);
        assert_ne!(Passphrase::new("thuyền nan qua sông "), composed, "a space is a character");
    }

    #[test]
    fn short_and_endless_ones_are_not_fit() {
        assert!(!Passphrase::new("bảy chữ").is_fit());
        assert!(Passphrase::new("tám chữ!").is_fit());
        assert!(!Passphrase::new(&"x".repeat(limits::PASSPHRASE_BYTES_MAX + 1)).is_fit());
    }

    #[test]
    fn it_does_not_print_itself() {
        assert_eq!(format!("{:?}", Passphrase::new("secret words")), "Passphrase(…)");
    }

    #[test]
    fn every_machine_gets_a_cost_that_another_bears() {
        for ms in [0, 1, 5, 20, 50, 100, 400, 1_000, 10_000, 600_000] {
            let cost = Cost::of_measure(Duration::from_millis(ms));
            assert!(cost.is_bearable(), "{ms} ms: {cost:?}");
            assert!(cost.memory_kib <= limits::ARGON2_MEMORY_KIB_CHOSEN_MAX);
        }
        // A common PC: 50 ms a pass over 64 MiB.
        let common = Cost::of_measure(Duration::from_millis(50));
        assert_eq!((common.memory_kib, common.passes), (128 << 10, 5));
        assert_eq!(Cost::of_measure(Duration::from_secs(10)), Cost::LEAST);
    }

    #[test]
    fn absurd_costs_are_not_bearable() {
        for (memory_kib, passes) in [(4 << 20, 2), (8, 2), (64 << 10, 1), (64 << 10, 1_000)] {
            assert!(!Cost { memory_kib, passes }.is_bearable());
        }
    }
}
