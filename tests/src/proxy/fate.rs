//! What is drawn for a packet: loss, bursts, jitter, doubling, order.
//!
//! It does not: read a clock or any randomness but the seed.
//!
//! Invariants: packet `n` of a direction has one fate under one seed, whatever was drawn elsewhere; a
//! burst follows from the fates before it in the same direction.

use super::profile::{Link, Way};
use std::time::Duration;

/// What becomes of one packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fate {
    /// It never arrives.
    pub lost: bool,
    /// It arrives twice.
    pub twice: bool,
    /// Later packets may arrive before it.
    pub overtaken: bool,
    /// Added to the link's delay.
    pub jitter: Duration,
}

/// The draws of one direction.
#[derive(Debug, Clone)]
pub struct Dice {
    seed: u64,
    next: u64,
    bad: bool,
}

/// What a number is drawn for: each question its own, so that one never moves another.
#[derive(Clone, Copy)]
enum Ask {
    Loss = 1,
    Burst,
    Twice,
    Order,
    Jitter,
}

impl Dice {
    /// The draws of a direction under a seed.
    #[must_use]
    pub fn new(seed: u64, way: Way) -> Self {
        let salt = match way {
            Way::Up => 0x7570,
            Way::Down => 0x646f_776e,
        };
        Self { seed: mix(seed ^ mix(salt)), next: 0, bad: false }
    }

    /// The fate of the next packet.
    pub fn draw(&mut self, link: &Link) -> Fate {
        let index = self.next;
        self.next += 1;
        if let Some(burst) = link.burst {
            let turn = if self.bad { burst.leave } else { burst.enter };
            self.bad ^= self.unit(index, Ask::Burst) < turn;
        }
        Fate {
            lost: self.bad || self.unit(index, Ask::Loss) < link.loss,
            twice: self.unit(index, Ask::Twice) < link.duplicate,
            overtaken: self.unit(index, Ask::Order) < link.reorder,
            jitter: link.jitter.mul_f64(self.unit(index, Ask::Jitter)),
        }
    }

    /// From 0 to below 1.
    fn unit(&self, index: u64, ask: Ask) -> f64 {
        let bits = mix(self.seed ^ mix(index.wrapping_mul(8) + ask as u64));
        (bits >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// SplitMix64: every bit of the answer hangs on every bit of the question.
#[must_use]
pub fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::super::profile::{Burst, Profile};
    use super::*;

    fn fates(seed: u64, way: Way, link: &Link, n: usize) -> Vec<Fate> {
        let mut dice = Dice::new(seed, way);
        (0..n).map(|_| dice.draw(link)).collect()
    }

    #[test]
    fn one_seed_is_one_link_and_another_is_another() {
        let link = Profile::named("2g").unwrap().up;
        assert_eq!(fates(7, Way::Up, &link, 500), fates(7, Way::Up, &link, 500));
        assert_ne!(fates(7, Way::Up, &link, 500), fates(8, Way::Up, &link, 500));
        assert_ne!(fates(7, Way::Up, &link, 500), fates(7, Way::Down, &link, 500));
    }

    #[test]
    fn shares_are_what_the_profile_says_and_bursts_come_in_runs() {
        const N: usize = 100_000;
        let share = |link: &Link| fates(1, Way::Up, link, N).iter().filter(|f| f.lost).count() as f64 / N as f64;
        let single = Link { loss: 0.05, ..Link::default() };
        assert!((share(&single) - 0.05).abs() < 0.005);
        let burst = Link { burst: Some(Burst::losing(0.25, 5.0)), ..Link::default() };
        assert!((share(&burst) - 0.25).abs() < 0.02);
        let lost: Vec<bool> = fates(1, Way::Up, &burst, N).iter().map(|f| f.lost).collect();
        let runs = lost.windows(2).filter(|w| !w[0] && w[1]).count();
        let mean = lost.iter().filter(|l| **l).count() as f64 / runs as f64;
        assert!((mean - 5.0).abs() < 0.5, "bursts of {mean} packets");
        let mixed = Profile::named("unordered").unwrap().up;
        let all = fates(1, Way::Up, &mixed, N);
        let count = |f: fn(&Fate) -> bool| all.iter().filter(|x| f(x)).count() as f64 / N as f64;
        assert!((count(|f| f.twice) - 0.1).abs() < 0.01 && (count(|f| f.overtaken) - 0.2).abs() < 0.01);
    }
}
