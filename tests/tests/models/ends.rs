//! Where replicas end: what they made is handed to an observer in every order and to each of them, and
//! all must show the same.
//!
//! It does not: choose what they make (the models do).
//!
//! Invariants: what was looked at once is not looked at again only where digests cover all that the
//! outcome depends on.

use crate::desk::{Desk, Engines, Parcel, Taken};
use crate::orders::{Orders, Picture, records};
use sampan_core::hash::tagged;
use sampan_core::id::{CommitId, DeviceId, SpaceId};
use sampan_core::pack::{self, PackScope, Stored};
use sampan_core::store::Store as _;
use sampan_core::wire::frame::Group;
use std::collections::{BTreeMap, BTreeSet};

/// Who hands over: some neighbour that has no right of its own.
pub const NEIGHBOUR: DeviceId = DeviceId([7; 32]);

/// What was looked at already, by digests of all that it depends on.
#[derive(Default)]
pub struct Ends {
    /// Sets of commits whose every order was walked, and what they come to.
    sets: BTreeMap<[u8; 32], Picture>,
    /// Desks with the set that they took at last.
    ends: BTreeSet<([u8; 32], [u8; 32])>,
    /// Desks as they were before sealing.
    desks: BTreeSet<[u8; 32]>,
    /// Deliveries made.
    deliveries: usize,
}

impl Ends {
    /// How much was looked at.
    pub fn told(&self) -> String {
        format!("{} sets of commits, {} deliveries", self.sets.len(), self.deliveries)
    }

    /// Seals at every desk, hands all that was made to the observer in every order, and to every desk.
    ///
    /// # Errors
    /// The order and what differs.
    pub fn check(&mut self, engines: &Engines, mut desks: Vec<Desk>, observer: &Desk) -> Result<(), String> {
        let base = records(&observer.parcels(engines));
        for desk in &mut desks {
            if self.desks.insert(desk.digest()) {
                // What is shown before sealing is the plain model's as well.
                Picture::of(engines, desk, &base)?;
            }
            desk.seal(engines);
            if !desk.store.pending().unwrap().is_empty() {
                return Err(format!("device {} could not seal", desk.device));
            }
        }
        let made = new_parcels(engines, &desks, observer);
        let key = tagged("set", &[format!("{:?}", made.keys()).as_bytes()]);
        let parcels: Vec<Parcel> = made.into_values().collect();
        if !self.sets.contains_key(&key) {
            let (picture, deliveries) = Orders::walk(engines, observer, NEIGHBOUR, &parcels)?;
            all_at_once(engines, observer, &parcels, &picture)?;
            self.deliveries += deliveries;
            self.sets.insert(key, picture);
        }
        // The authors end where the observer did.
        let mut ids = base;
        ids.extend(records(&parcels));
        for desk in &mut desks {
            if !self.ends.insert((desk.digest(), key)) {
                continue;
            }
            in_any_order(engines, desk, &parcels)?;
            let mut picture = Picture::of(engines, desk, &ids)?;
            // Commits of a desk's own are not set aside at the desk itself.
            picture.aside.clone_from(&self.sets[&key].aside);
            if let Some(difference) = self.sets[&key].differs(&picture) {
                return Err(format!("device {} holds the same commits as the observer: {difference}", desk.device));
            }
        }
        Ok(())
    }
}

/// What desks hold beyond a base, each commit once.
pub fn new_parcels(engines: &Engines, desks: &[Desk], base: &Desk) -> BTreeMap<CommitId, Parcel> {
    let held = base.held();
    let all = desks.iter().flat_map(|d| d.parcels(engines)).map(|p| (p.commit().id(), p));
    all.filter(|(id, _)| !held.contains(id)).collect()
}

/// Hands over what a desk lacks, again and again until nothing waits for parents any more.
fn in_any_order(engines: &Engines, desk: &mut Desk, parcels: &[Parcel]) -> Result<(), String> {
    let mut left: Vec<&Parcel> = parcels.iter().collect();
    while !left.is_empty() {
        let before = left.len();
        let mut later = Vec::new();
        for p in left {
            if desk.take(engines, NEIGHBOUR, p)? == Taken::Later {
                later.push(p);
            }
        }
        left = later;
        if left.len() == before {
            return Err("commits whose parents are not among those made".into());
        }
    }
    Ok(())
}

/// Everything in one intake, one group a space, charters first.
fn all_at_once(engines: &Engines, observer: &Desk, parcels: &[Parcel], expected: &Picture) -> Result<(), String> {
    let mut by_space: BTreeMap<(bool, SpaceId), Vec<&Parcel>> = BTreeMap::new();
    for p in parcels {
        let space = p.commit().header().space;
        by_space.entry((space.flow != sampan_core::id::Flow::Charter, space)).or_default().push(p);
    }
    let group = |((_, space), mut of): ((bool, SpaceId), Vec<&Parcel>)| {
        of.sort_by_key(|p| p.commit().header().sequence);
        let payloads: Vec<_> = of.iter().map(|p| p.commit().payload()).collect();
        let scope = PackScope { org: sampan_core::testing::test_org(), space };
        let pack = pack::encode(&scope, &payloads, &Stored);
        Group { headers: of.iter().map(|p| p.group().headers[0].clone()).collect(), pack }
    };
    let groups: Vec<Group> = by_space.into_iter().map(group).collect();
    let mut desk = observer.clone();
    desk.take_groups(engines, NEIGHBOUR, &groups)?;
    let mut ids = records(parcels);
    ids.extend(records(&observer.parcels(engines)));
    let picture = Picture::of(engines, &mut desk, &ids)?;
    expected.differs(&picture).map_or(Ok(()), |d| Err(format!("one by one and all at once differ in {d}")))
}
