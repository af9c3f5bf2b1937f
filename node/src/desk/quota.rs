//! What one device may bring to a relay: bytes and commits, each a bucket that drains with time.
//!
//! It does not: read a clock (times are arguments), know rights, or touch what was taken already: a device over
//! its quota is told when to come back, and what arrived is kept.
//!
//! Invariants: a device that waits as long as it was told is let in again; a clock that jumps makes nobody wait
//! longer than `QUOTA_WAIT_S_MAX`; at most `QUOTA_DEVICES_MAX` devices are remembered.

use sampan_core::id::DeviceId;
use sampan_core::limits::{
    DEVICE_BYTES_BURST, DEVICE_BYTES_PER_S, DEVICE_COMMITS_BURST, DEVICE_COMMITS_PER_S, QUOTA_DEVICES_MAX,
    QUOTA_WAIT_S_MAX,
};
use sampan_core::time::Millis;
use std::collections::BTreeMap;

/// One bucket: what it holds, and what drains from it in a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// What may come at once.
    pub burst: u64,
    /// What may come in the long run, a second; at least 1.
    pub per_s: u64,
}

/// The quotas of one device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuotaRates {
    /// Bytes of frames.
    pub bytes: Rate,
    /// Commits, and frames of any kind.
    pub commits: Rate,
}

impl Default for QuotaRates {
    fn default() -> Self {
        Self {
            bytes: Rate { burst: DEVICE_BYTES_BURST, per_s: DEVICE_BYTES_PER_S },
            commits: Rate { burst: DEVICE_COMMITS_BURST, per_s: DEVICE_COMMITS_PER_S },
        }
    }
}

/// Which quota is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// `DEVICE_BYTES_BURST`.
    Bytes,
    /// `DEVICE_COMMITS_BURST`.
    Commits,
}

/// A device is over a quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Over {
    /// Which.
    pub kind: Kind,
    /// In how many seconds it may come back; at least 1.
    pub retry_after: u32,
}

impl Over {
    /// The sentence that the device is told.
    #[must_use]
    pub fn words(&self) -> String {
        let what = match self.kind {
            Kind::Bytes => "bytes (DEVICE_BYTES_BURST)",
            Kind::Commits => "commits (DEVICE_COMMITS_BURST)",
        };
        format!(
            "this device brought more {what} than the relay takes from one device at once; what arrived is kept, \
             and the rest is taken when it comes back in {} s",
            self.retry_after
        )
    }
}

#[derive(Debug, Clone, Copy)]
struct Spent {
    bytes: u64,
    commits: u64,
    at: Millis,
    /// Over, until then.
    until: Option<(Kind, Millis)>,
}

/// Counts what devices bring.
#[derive(Debug, Default)]
pub struct Quotas {
    rates: QuotaRates,
    devices: BTreeMap<DeviceId, Spent>,
}

impl Quotas {
    /// Counts by these rates.
    #[must_use]
    pub fn new(rates: QuotaRates) -> Self {
        Self { rates, devices: BTreeMap::new() }
    }

    /// Whether a device must wait still.
    pub fn waits(&mut self, device: &DeviceId, now: Millis) -> Option<Over> {
        let spent = self.devices.get_mut(device)?;
        let (kind, until) = spent.until?;
        // A clock that went back must not keep anyone out.
        let left = until.0.saturating_sub(now.0).min(u64::from(QUOTA_WAIT_S_MAX) * 1_000);
        if left == 0 {
            spent.until = None;
            return None;
        }
        spent.until = Some((kind, Millis(now.0 + left)));
        Some(Over { kind, retry_after: u32::try_from(left.div_ceil(1_000)).unwrap_or(QUOTA_WAIT_S_MAX) })
    }

    /// Counts what a device brought; says when that was too much.
    pub fn spend(&mut self, device: DeviceId, bytes: u64, commits: u64, now: Millis) -> Option<Over> {
        let rates = self.rates;
        self.make_room(&device, now);
        let spent = self.devices.entry(device).or_insert(Spent { bytes: 0, commits: 0, at: now, until: None });
        drain(spent, rates, now);
        spent.bytes = spent.bytes.saturating_add(bytes);
        spent.commits = spent.commits.saturating_add(commits);
        let (kind, rate, level) = if spent.bytes > rates.bytes.burst {
            (Kind::Bytes, rates.bytes, spent.bytes)
        } else if spent.commits > rates.commits.burst {
            (Kind::Commits, rates.commits, spent.commits)
        } else {
            return None;
        };
        // Half of it free again: coming back for a single frame helps nobody.
        let seconds = (level - rate.burst / 2).div_ceil(rate.per_s.max(1)).clamp(1, u64::from(QUOTA_WAIT_S_MAX));
        spent.until = Some((kind, Millis(now.0 + seconds * 1_000)));
        Some(Over { kind, retry_after: u32::try_from(seconds).unwrap_or(QUOTA_WAIT_S_MAX) })
    }

    /// Forgets whoever has nothing to wait for, then whoever brought least.
    fn make_room(&mut self, device: &DeviceId, now: Millis) {
        if self.devices.len() < QUOTA_DEVICES_MAX || self.devices.contains_key(device) {
            return;
        }
        let rates = self.rates;
        self.devices.retain(|_, spent| {
            drain(spent, rates, now);
            spent.bytes > 0 || spent.commits > 0
        });
        if self.devices.len() >= QUOTA_DEVICES_MAX {
            let least = self.devices.iter().min_by_key(|(_, s)| (s.until, s.bytes)).map(|(d, _)| *d);
            least.map(|d| self.devices.remove(&d));
        }
    }
}

fn drain(spent: &mut Spent, rates: QuotaRates, now: Millis) {
    let ms = now.0.saturating_sub(spent.at.0);
    let drained = |level: u64, rate: Rate| {
        let out = u128::from(ms) * u128::from(rate.per_s) / 1_000;
        level.saturating_sub(u64::try_from(out).unwrap_or(u64::MAX))
    };
    // What is less than one drains later: the moment moves only when something did, or nothing is left.
    let (bytes, commits) = (drained(spent.bytes, rates.bytes), drained(spent.commits, rates.commits));
    if (bytes, commits) != (spent.bytes, spent.commits) || now < spent.at || (bytes, commits) == (0, 0) {
        *spent = Spent { bytes, commits, at: now, until: spent.until };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small() -> Quotas {
        let rate = |burst, per_s| Rate { burst, per_s };
        Quotas::new(QuotaRates { bytes: rate(1_000, 10), commits: rate(100, 5) })
    }

    const A: DeviceId = DeviceId([1; 32]);
    const B: DeviceId = DeviceId([2; 32]);

    #[test]
    fn a_device_over_its_quota_waits_and_is_let_in_again_and_others_do_not_wait() {
        let mut q = small();
        let start = Millis(1_000_000);
        assert_eq!(q.spend(A, 1_000, 100, start), None);
        let over = q.spend(A, 1, 0, start);
        assert_eq!(over, Some(Over { kind: Kind::Bytes, retry_after: 51 }));
        assert_eq!(q.waits(&A, Millis(start.0 + 1_500)), Some(Over { kind: Kind::Bytes, retry_after: 50 }));
        assert_eq!(q.spend(B, 900, 90, start), None);
        assert_eq!(q.waits(&B, start), None);
        let back = Millis(start.0 + 51_000);
        assert_eq!(q.waits(&A, back), None);
        assert_eq!(q.spend(A, 400, 1, back), None, "half of it is free again");
        assert_eq!(q.spend(B, 0, 200, start).map(|o| o.kind), Some(Kind::Commits));
    }

    #[test]
    fn a_clock_that_jumps_keeps_nobody_out_for_long() {
        let mut q = small();
        let far = Millis(10_000_000_000);
        assert!(q.spend(A, 5_000_000, 0, far).is_some_and(|o| o.retry_after == QUOTA_WAIT_S_MAX));
        let back = Millis(1_000_000);
        assert!(q.waits(&A, back).is_some_and(|o| o.retry_after <= QUOTA_WAIT_S_MAX));
        let later = Millis(back.0 + u64::from(QUOTA_WAIT_S_MAX) * 1_000);
        assert_eq!(q.waits(&A, later), None);
        q.spend(A, 0, 0, back);
        assert!(q.devices[&A].at == back, "it drains from the new time on");
    }

    #[test]
    fn the_devices_that_are_counted_have_a_bound_and_the_worst_are_kept() {
        let mut q = small();
        let now = Millis(1_000_000);
        assert!(q.spend(A, 2_000, 0, now).is_some());
        for n in 0..QUOTA_DEVICES_MAX as u32 + 10 {
            let mut id = [9; 32];
            id[..4].copy_from_slice(&n.to_le_bytes());
            q.spend(DeviceId(id), 1, 1, now);
        }
        assert!(q.devices.len() <= QUOTA_DEVICES_MAX);
        assert!(q.waits(&A, now).is_some());
    }
}
