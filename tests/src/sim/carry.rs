//! Bundles that are carried by hand: made at one machine, taken in at another, late, twice, or with a bit turned.
//!
//! It does not: write files (`e2e` does with real ones).
//!
//! Invariants: a bundle that was altered on its way changes nothing where it is taken in; what one tells its
//! receivers is judged as a frame of a link is.

use super::world::{Happening, World};
use sampan_core::bundle::format::LENGTH_AT;
use sampan_core::bundle::{Address, BoxKey, BoxSecret, Plan, Reader, Sealer, Taking, Target};
use sampan_core::id::DeviceId;
use sampan_core::store::StoreError;
use sampan_core::sync::Env;
use sampan_node::replica::Replica;
use std::rc::Rc;

/// Bytes of the hash and the signature that end a bundle.
const TRAILER: usize = 32 + 64;
const MINUTE: u64 = 60_000;
const DAY: u64 = 24 * 60 * MINUTE;

impl World {
    /// The box key with which a machine joins: that of its signing key.
    pub(super) fn box_key(&self, n: usize) -> BoxKey {
        BoxSecret::of_signer(&self.machines[n].key).public()
    }

    /// Makes a bundle at a machine: a branch for the relay above it, a relay for a device below it. Whoever carries
    /// it arrives later.
    pub(super) fn carry_bundle(&mut self, n: usize) -> bool {
        if self.exempt[n] || !self.machines[n].runs() {
            return false;
        }
        let other = self.chaos.between(0, self.machines.len() as u64 - 1) as usize;
        let whole = self.chaos.chance(200);
        let down = self.spec(n).relay && (n == 0 || self.chaos.chance(700));
        let target = if down { Target::Device(self.machines[other].device) } else { Target::Above };
        let Some((bytes, receivers)) = self.make_bundle(n, target, whole) else { return false };
        let takers = self.machines_of(&receivers);
        let bytes = Rc::new(bytes);
        for to in takers {
            for _ in 0..self.chaos.between(1, 2) {
                let mean = if self.chaos.chance(200) { 3 * DAY } else { 30 * MINUTE };
                let after = self.chaos.around(mean);
                let turned = self.chaos.chance(300).then(|| self.chaos.bits());
                self.at(after, Happening::Carried { to, bytes: bytes.clone(), turned });
            }
        }
        true
    }

    fn make_bundle(&mut self, n: usize, target: Target, whole: bool) -> Option<(Vec<u8>, Vec<DeviceId>)> {
        let now = self.machines[n].clock.now();
        let p = self.machines[n].process.as_mut()?;
        let sealed = p.replica.seal();
        let Replica { store, engine, rng, .. } = &mut p.replica;
        let made = sealed.ok().and_then(|_| {
            let plan = Plan::of(engine, target, &[], now).ok()?;
            let parcel = store.group(|s| plan.parcel(&mut Env { store: s, engine, rng: &mut **rng, now }, whole));
            Some((plan, parcel.ok()?))
        });
        let mut out = Vec::new();
        let mut told = Vec::new();
        let made = made.and_then(|(plan, mut parcel)| {
            let receivers: Vec<BoxKey> = plan.receivers.iter().map(|r| r.box_key).collect();
            let address =
                Address { org: engine.org(), created: now, down: plan.down, unit: plan.unit, receivers: &receivers };
            let key = engine.key().clone();
            let mut sealer = Sealer::new(&key, &address, &mut **rng, &mut out).ok()?;
            while let Some(frame) = parcel.next(store).ok()? {
                let bytes = frame.encode();
                sealer.push(&bytes, &mut out).ok()?;
                told.push(bytes);
            }
            let total = sealer.finish(&key, &mut out).ok()?;
            out.get_mut(LENGTH_AT as usize..)?.get_mut(..8)?.copy_from_slice(&total);
            Some(plan)
        });
        self.mend(n, made.is_some());
        let plan = made?;
        let receivers: Vec<DeviceId> = plan.receivers.iter().filter(|r| !r.ticket).map(|r| r.key).collect();
        if plan.down {
            let takers = self.machines_of(&receivers);
            for to in takers {
                told.iter().for_each(|bytes| self.check_told([to, n], bytes));
            }
        }
        Some((out, receivers))
    }

    fn machines_of(&self, devices: &[DeviceId]) -> Vec<usize> {
        (0..self.machines.len()).filter(|i| devices.contains(&self.machines[*i].device)).collect()
    }

    /// The bundle arrives.
    pub(super) fn carried(&mut self, to: usize, bytes: &[u8], turned: Option<u64>) {
        let name = self.machines[to].name.clone();
        let now = self.machines[to].clock.now();
        let secrets = [BoxSecret::of_signer(&self.machines[to].key)];
        let Some(p) = self.machines[to].process.as_mut() else { return };
        let mut bytes = bytes.to_vec();
        if let Some(seed) = turned {
            // Every second time in the hash and the signature at its end: the rest is ciphertext, which shows by itself.
            let within = if seed % 2 == 0 { TRAILER.min(bytes.len()) } else { bytes.len() };
            let at = bytes.len() - 1 - (seed / 16) as usize % within;
            bytes[at] ^= 1 << (seed / 2 % 8);
        }
        let Replica { store, engine, rng, .. } = &mut p.replica;
        let taken: Result<bool, StoreError> = store.group(|s| {
            engine.catch_up(s)?;
            let mut frames = Vec::new();
            let mut reader = Reader::new(engine.org(), &secrets);
            let checked = reader.push(&bytes, &mut frames).and_then(|()| reader.finish());
            let Ok(checked) = checked else { return Ok(false) };
            let mut taking = Taking::new(&checked.header);
            let refused = |e: &dyn std::fmt::Display| Err(StoreError::Io(e.to_string()));
            for frame in frames {
                let mut env = Env { store: &mut *s, engine: &mut *engine, rng: &mut **rng, now };
                if let Err(e) = taking.take(&mut env, &frame) {
                    return refused(&e);
                }
            }
            match taking.finish(&mut Env { store: s, engine: &mut *engine, rng: &mut **rng, now }) {
                Ok(_) => Ok(true),
                Err(e) => refused(&e),
            }
        });
        let words = match &taken {
            Ok(true) => "takes a bundle in",
            Ok(false) => "sees that a bundle was altered",
            Err(_) => "refuses a bundle",
        };
        self.say(&format!("{name} {words}"));
        if turned.is_some() && matches!(taken, Ok(true)) {
            self.ledger.accuse(format!("{name} took a bundle in of which a bit had turned"));
        }
        self.mend(to, taken.is_ok());
    }
}
