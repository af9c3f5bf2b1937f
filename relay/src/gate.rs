//! The gate: what strangers and single devices may cost a relay before and beside the door.
//!
//! It does not: know rights (it is told whether a key is known) or read a clock (times are arguments).
//!
//! Invariants: bounded by named limits whatever knocks; a device that the charter knows is never turned
//! away for what others at its address did: whole districts sit behind one address.

use sampan_core::id::DeviceId;
use sampan_core::limits::{
    ADDRESSES_KEPT_MAX, DEVICE_LINK_EVERY_MS, DEVICE_LINKS_BURST, LINKS_PER_DEVICE_MAX, QUOTA_DEVICES_MAX,
    REFUSAL_FORGIVEN_EVERY_MS, REFUSALS_PER_ADDRESS_MAX, SLOW_HANDSHAKE_EVERY_MS, SLOW_HANDSHAKES_MAX,
};
use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

/// Ends a link.
pub type Close = Box<dyn Fn() + Send>;

/// The links of one device, oldest first, each with its number.
type Links = VecDeque<(u64, Close)>;

/// Counts links and refusals; clones share it.
#[derive(Clone)]
pub struct Gate {
    state: Arc<Mutex<State>>,
    /// Handshakes that may wait for the slow way.
    slow: Arc<Semaphore>,
    /// The slow way: one at a time.
    one: Arc<tokio::sync::Mutex<()>>,
}

impl Default for Gate {
    fn default() -> Self {
        let slow = Arc::new(Semaphore::new(SLOW_HANDSHAKES_MAX));
        Self { state: Arc::default(), slow, one: Arc::default() }
    }
}

#[derive(Default)]
struct State {
    links: BTreeMap<DeviceId, Links>,
    next: u64,
    /// Refusals that are not forgiven yet, and when they were last counted.
    addresses: BTreeMap<IpAddr, (u32, Instant)>,
    /// Links that devices opened lately, and when that was last counted.
    opened: BTreeMap<DeviceId, (u32, Instant)>,
    /// Addresses at which a device dials too often, and since when it was last seen to.
    hasty: BTreeMap<IpAddr, Instant>,
}

/// One link's place; dropping it frees the place.
pub struct Pass {
    gate: Gate,
    device: DeviceId,
    number: u64,
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut state = self.gate.lock();
        if let Some(links) = state.links.get_mut(&self.device) {
            links.retain(|(number, _)| *number != self.number);
            if links.is_empty() {
                state.links.remove(&self.device);
            }
        }
    }
}

impl Gate {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for one more link of a device. Of too many the oldest is closed: on a link that is cut again
    /// and again that is one whose end has not been noticed yet.
    #[must_use]
    pub fn enter(&self, device: DeviceId, close: Close) -> Pass {
        let mut state = self.lock();
        let number = state.next;
        state.next += 1;
        let links = state.links.entry(device).or_default();
        if links.len() >= LINKS_PER_DEVICE_MAX
            && let Some((_, close)) = links.pop_front()
        {
            close();
        }
        links.push_back((number, close));
        Pass { gate: self.clone(), device, number }
    }

    /// Whether a device may open one more link, which is counted; else the seconds until it may. A device that
    /// dials again and again costs a session at the desk each time, and its neighbours wait for it.
    ///
    /// # Errors
    /// The seconds.
    pub fn may_open(&self, device: DeviceId, address: IpAddr, now: Instant) -> Result<(), u64> {
        let mut state = self.lock();
        if state.opened.len() >= QUOTA_DEVICES_MAX && !state.opened.contains_key(&device) {
            state.opened.retain(|_, (count, at)| left(*count, *at, now, DEVICE_LINK_EVERY_MS) > 0);
            if state.opened.len() >= QUOTA_DEVICES_MAX {
                let least = state.opened.iter().min_by_key(|(_, (count, at))| (*count, *at)).map(|(d, _)| *d);
                least.map(|d| state.opened.remove(&d));
            }
        }
        let entry = state.opened.entry(device).or_insert((0, now));
        let kept = left(entry.0, entry.1, now, DEVICE_LINK_EVERY_MS);
        if kept >= DEVICE_LINKS_BURST {
            let slow_for = every(1, DEVICE_LINK_EVERY_MS);
            if state.hasty.len() >= ADDRESSES_KEPT_MAX {
                state.hasty.retain(|_, at| now.saturating_duration_since(*at) < slow_for);
            }
            if state.hasty.len() < ADDRESSES_KEPT_MAX {
                state.hasty.insert(place(address), now);
            }
            // Dialling on in vain makes nobody wait longer: the count is as it was.
            return Err(u64::from(kept - DEVICE_LINKS_BURST + 1) * DEVICE_LINK_EVERY_MS.div_ceil(1_000));
        }
        // Time that was not counted as forgiven yet is not lost.
        let at = if kept == 0 { now } else { entry.1 + every(entry.0 - kept, DEVICE_LINK_EVERY_MS) };
        *entry = (kept + 1, at);
        Ok(())
    }

    /// Waits before a handshake with an address at which a device dials too often: a handshake is most of what
    /// such a link costs. False when too many wait already. Others at that address wait a little too, and are served.
    pub async fn approach(&self, address: IpAddr, now: Instant) -> bool {
        let hasty = self.lock().hasty.get(&place(address)).copied();
        if hasty.is_none_or(|at| now.saturating_duration_since(at) >= every(1, DEVICE_LINK_EVERY_MS)) {
            return true;
        }
        let Ok(_waits) = self.slow.try_acquire() else { return false };
        let _one = self.one.lock().await;
        tokio::time::sleep(Duration::from_millis(SLOW_HANDSHAKE_EVERY_MS)).await;
        true
    }

    /// Somebody at this address was refused at the door, or failed its handshake.
    pub fn refused(&self, address: IpAddr, now: Instant) {
        let mut state = self.lock();
        let address = place(address);
        if state.addresses.len() >= ADDRESSES_KEPT_MAX && !state.addresses.contains_key(&address) {
            state.addresses.retain(|_, (count, at)| left(*count, *at, now, REFUSAL_FORGIVEN_EVERY_MS) > 0);
            // Still full: the one with the fewest makes room, which forgives it little.
            if state.addresses.len() >= ADDRESSES_KEPT_MAX {
                let least = state
                    .addresses
                    .iter()
                    .min_by_key(|(_, (count, at))| left(*count, *at, now, REFUSAL_FORGIVEN_EVERY_MS));
                if let Some(least) = least.map(|(a, _)| *a) {
                    state.addresses.remove(&least);
                }
            }
        }
        let entry = state.addresses.entry(address).or_insert((0, now));
        let kept = left(entry.0, entry.1, now, REFUSAL_FORGIVEN_EVERY_MS);
        // What is over the limit is not counted up: it is forgiven as soon as the knocking ends.
        *entry = ((kept + 1).min(REFUSALS_PER_ADDRESS_MAX + 1), now);
    }

    /// Whether so many were refused at this address lately that keys which nobody knows wait.
    #[must_use]
    pub fn is_suspect(&self, address: IpAddr, now: Instant) -> bool {
        let state = self.lock();
        state
            .addresses
            .get(&place(address))
            .is_some_and(|(count, at)| left(*count, *at, now, REFUSAL_FORGIVEN_EVERY_MS) > REFUSALS_PER_ADDRESS_MAX)
    }
}

/// What of a count is not forgiven yet, of which one is each so many milliseconds.
fn left(count: u32, at: Instant, now: Instant, every_ms: u64) -> u32 {
    let forgiven = now.saturating_duration_since(at).as_millis() / u128::from(every_ms);
    count.saturating_sub(u32::try_from(forgiven).unwrap_or(u32::MAX))
}

/// How long it takes to forgive so many.
fn every(count: u32, every_ms: u64) -> Duration {
    Duration::from_millis(u64::from(count) * every_ms)
}

/// Whoever has one address of IPv6 has 2^64 of them.
fn place(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => IpAddr::V6((u128::from(v6) >> 64 << 64).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, Ipv6Addr};
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn v4(n: u32) -> IpAddr {
        IpAddr::V4(Ipv4Addr::from(n))
    }

    #[test]
    fn a_device_has_so_many_links_and_the_oldest_goes_first() {
        let gate = Gate::default();
        let closed = Arc::new(Mutex::new(Vec::new()));
        let enter = |device: u8, name: usize| {
            let closed = closed.clone();
            gate.enter(DeviceId([device; 32]), Box::new(move || closed.lock().unwrap().push(name)))
        };
        let mut passes: VecDeque<Pass> = (0..LINKS_PER_DEVICE_MAX).map(|n| enter(1, n)).collect();
        let _other = enter(2, 99);
        assert!(closed.lock().unwrap().is_empty());
        passes.push_back(enter(1, 100));
        assert_eq!(*closed.lock().unwrap(), [0], "the oldest of this device");
        // One that ended by itself leaves its place.
        drop(passes.remove(3));
        passes.push_back(enter(1, 101));
        assert_eq!(*closed.lock().unwrap(), [0]);
        passes.push_back(enter(1, 102));
        assert_eq!(*closed.lock().unwrap(), [0, 1]);
        drop(passes);
        drop(_other);
        assert!(gate.lock().links.is_empty());
    }

    #[test]
    fn refusals_of_an_address_are_counted_and_forgiven() {
        let gate = Gate::default();
        let start = Instant::now();
        let (bad, good) = (v4(1), v4(2));
        for _ in 0..REFUSALS_PER_ADDRESS_MAX {
            gate.refused(bad, start);
            assert!(!gate.is_suspect(bad, start));
        }
        for _ in 0..1_000 {
            gate.refused(bad, start);
        }
        assert!(gate.is_suspect(bad, start) && !gate.is_suspect(good, start));
        let later = start + Duration::from_millis(2 * REFUSAL_FORGIVEN_EVERY_MS);
        assert!(!gate.is_suspect(bad, later), "however long it knocked");
    }

    #[test]
    fn a_network_of_ipv6_is_one_address_and_all_of_them_have_a_bound() {
        let gate = Gate::default();
        let now = Instant::now();
        let v6 = |n: u128| IpAddr::V6(Ipv6Addr::from((0x2001_0db8_u128 << 96) + n));
        for n in 0..=u128::from(REFUSALS_PER_ADDRESS_MAX) {
            gate.refused(v6(n), now);
        }
        assert!(gate.is_suspect(v6(1 << 60), now) && !gate.is_suspect(v6(1 << 64), now));
        let many = AtomicUsize::new(0);
        for n in 0..2 * ADDRESSES_KEPT_MAX as u32 {
            gate.refused(v4(n), now);
            many.fetch_max(gate.lock().addresses.len(), Ordering::Relaxed);
        }
        assert!(many.load(Ordering::Relaxed) <= ADDRESSES_KEPT_MAX);
        assert!(gate.is_suspect(v6(0), now), "those who were refused most are kept");
    }

    #[test]
    fn a_device_that_dials_again_and_again_waits_and_its_neighbours_do_not() {
        let gate = Gate::default();
        let start = Instant::now();
        let (bad, good) = (DeviceId([1; 32]), DeviceId([2; 32]));
        for _ in 0..DEVICE_LINKS_BURST {
            assert_eq!(gate.may_open(bad, v4(1), start), Ok(()));
        }
        for _ in 0..1_000 {
            assert_eq!(gate.may_open(bad, v4(1), start), Err(2));
        }
        assert_eq!(gate.may_open(good, v4(1), start), Ok(()));
        let later = start + every(1, DEVICE_LINK_EVERY_MS);
        assert_eq!(gate.may_open(bad, v4(1), later), Ok(()));
        assert!(gate.may_open(bad, v4(1), later).is_err(), "one at a time");
        let rested = later + every(DEVICE_LINKS_BURST, DEVICE_LINK_EVERY_MS);
        assert!((0..DEVICE_LINKS_BURST).all(|_| gate.may_open(bad, v4(1), rested).is_ok()));
        for n in 0..QUOTA_DEVICES_MAX as u32 + 10 {
            let mut id = [9; 32];
            id[..4].copy_from_slice(&n.to_le_bytes());
            assert!(gate.may_open(DeviceId(id), v4(2), rested).is_ok());
        }
        assert!(gate.lock().opened.len() <= QUOTA_DEVICES_MAX);
        assert!(gate.may_open(bad, v4(1), rested).is_err(), "those that dialled most are kept");
    }

    #[tokio::test]
    async fn where_a_device_dials_too_often_handshakes_wait_and_only_there() {
        let gate = Gate::default();
        let (start, bad, here, there) = (Instant::now(), DeviceId([1; 32]), v4(1), v4(2));
        assert!(gate.approach(here, start).await);
        while gate.may_open(bad, here, start).is_ok() {}
        let mut waiting: Vec<_> = (0..SLOW_HANDSHAKES_MAX).map(|_| Box::pin(gate.approach(here, start))).collect();
        let none = std::future::poll_fn(|cx| {
            std::task::Poll::Ready(waiting.iter_mut().all(|one| one.as_mut().poll(cx).is_pending()))
        });
        assert!(none.await, "all of them wait");
        assert!(!gate.approach(here, start).await, "one too many");
        assert!(gate.approach(there, start).await);
        for one in waiting {
            assert!(one.await, "each is let in");
        }
        assert!(gate.approach(here, start + every(1, DEVICE_LINK_EVERY_MS)).await);
    }
}
