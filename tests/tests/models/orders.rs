//! Every order of delivery: a set of commits handed to an observer in each possible order, one by one,
//! with what the observer then shows compared after every step.
//!
//! It does not: hand anything over twice or leave anything out for good.
//!
//! Invariants: nothing is merged: each order is taken to its end on disks of its own (but for sets of
//! more than [`WHOLE_MAX`] commits, where two orders of one set go on as one); what an observer shows
//! depends on nothing but the set that it took.

use crate::desk::{Desk, Engines, Parcel, Taken};
use crate::plain;
use sampan_core::charter::Charter;
use sampan_core::frontier::SpaceTips;
use sampan_core::id::{CommitId, DeviceId, Digest, Flow, RecordId, SpaceId};
use sampan_core::record::View;
use sampan_core::store::{RecordState, Status, Store as _};
use sampan_core::wire::frame::Tree;
use std::collections::{BTreeMap, BTreeSet};

/// Up to this many commits every order is walked alone: 3! = 6 orders of 15 deliveries.
pub const WHOLE_MAX: usize = 3;

/// One record as a desk shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct Card {
    /// What is known without opening it; without its position, which is the desk's own.
    pub state: RecordState,
    /// Its entries by hash and space: kind, author and status.
    pub entries: BTreeMap<([u8; 32], SpaceId, DeviceId), (String, Status)>,
    /// What it shows, if its creation is there.
    pub view: Option<View>,
}

/// All that two replicas with the same commits must agree on.
#[derive(Debug, Clone, PartialEq)]
pub struct Picture {
    /// The tips of every log.
    pub tips: BTreeMap<SpaceId, SpaceTips>,
    /// The digests of the organisation's charters and data.
    pub digests: (Digest, Digest),
    /// The fold.
    pub charter: Charter,
    /// The schema in force.
    pub schema: Option<(u32, usize)>,
    /// Commits set aside.
    pub aside: BTreeSet<CommitId>,
    /// The records.
    pub cards: BTreeMap<RecordId, Card>,
}

impl Picture {
    /// What a desk shows of these records.
    ///
    /// # Errors
    /// Where it differs from the plain model of what it holds.
    pub fn of(engines: &Engines, desk: &mut Desk, records: &BTreeSet<RecordId>) -> Result<Self, String> {
        let aside = desk.store.quarantine().unwrap().iter().map(|q| q.head.id()).collect();
        engines.at(desk, |engine, store, _| {
            let charter = engine.charter().clone();
            let root = charter.root().unwrap_or_default();
            let digest = |tree| engine.holdings().subtree_digest(&charter, &root, tree);
            let mut cards = BTreeMap::new();
            for id in records {
                let Some(mut state) = store.records(&[*id]).unwrap().remove(0) else { continue };
                let entries = store.entries(state.key.take().unwrap()).unwrap();
                // Of a record that lost all it had to a cut the place is left, and nothing else.
                if entries.is_empty() {
                    continue;
                }
                let view = engine.document(store, *id).ok().map(|(_, _, d)| d.view().map_err(|e| e.to_string()));
                let view = view.transpose()?;
                let plain = engines.plain(&entries);
                if let Some(e) = entries.iter().find(|e| plain.statuses.get(&e.hash.0) != Some(&e.status)) {
                    let should = plain.statuses.get(&e.hash.0);
                    return Err(format!("change {} is {:?}, the plain model says {should:?}", e.hash, e.status));
                }
                view.as_ref().map_or(Ok(()), |v| plain.same(v))?;
                let of = |e: &sampan_core::store::RecordEntry| {
                    ((e.hash.0, e.space, e.author), (format!("{:?} {}", e.kind, e.collection), e.status))
                };
                cards.insert(*id, Card { state, entries: entries.iter().map(of).collect(), view });
            }
            Ok(Self {
                tips: engine.holdings().spaces().map(|(s, t)| (*s, t.clone())).collect(),
                digests: (digest(Tree::Charter), digest(Tree::Up(0))),
                schema: engine.schema().map(|s| (s.version, s.source.len())),
                charter,
                aside,
                cards,
            })
        })
    }

    /// In what two pictures of one set differ.
    pub fn differs(&self, other: &Self) -> Option<String> {
        if self.aside != other.aside {
            return Some(format!("set aside: {:?} and {:?}", self.aside, other.aside));
        }
        if self.charter != other.charter {
            return Some(format!("charters:\n{:#?}\nand\n{:#?}", self.charter, other.charter));
        }
        if self.tips != other.tips || self.digests != other.digests {
            return Some(format!("frontiers:\n{:#?}\nand\n{:#?}", self.tips, other.tips));
        }
        for (id, card) in &self.cards {
            if other.cards.get(id) != Some(card) {
                return Some(format!("record {id}:\n{card:#?}\nand\n{:#?}", other.cards.get(id)));
            }
        }
        (self != other).then(|| format!("{self:#?}\nand\n{other:#?}"))
    }
}

/// What is handed over, and to whom.
pub struct Orders<'a> {
    /// The engines.
    pub engines: &'a Engines,
    /// Who hands over.
    pub from: DeviceId,
    /// The commits.
    pub parcels: &'a [Parcel],
    records: BTreeSet<RecordId>,
    pictures: BTreeMap<BTreeSet<CommitId>, Picture>,
    merged: BTreeSet<BTreeSet<CommitId>>,
    base: Vec<Parcel>,
    /// Deliveries made.
    pub deliveries: usize,
}

/// The records that commits speak of.
pub fn records(parcels: &[Parcel]) -> BTreeSet<RecordId> {
    let data = parcels.iter().filter(|p| p.commit().header().space.flow != Flow::Charter);
    data.flat_map(|p| p.commit().payload().entries.iter().map(|e| e.entry.record)).collect()
}

impl<'a> Orders<'a> {
    /// Hands `parcels` to `observer` in every order.
    ///
    /// # Errors
    /// The order and the difference.
    pub fn walk(
        engines: &'a Engines,
        observer: &Desk,
        from: DeviceId,
        parcels: &'a [Parcel],
    ) -> Result<(Picture, usize), String> {
        let base = observer.parcels(engines);
        let mut records = records(parcels);
        records.extend(self::records(&base));
        let (pictures, merged) = (BTreeMap::new(), BTreeSet::new());
        let mut walk = Self { engines, from, parcels, records, pictures, merged, base, deliveries: 0 };
        let start = Picture::of(engines, &mut observer.clone(), &walk.records)?;
        walk.pictures.insert(BTreeSet::new(), start);
        walk.go(observer, &BTreeSet::new(), &mut Vec::new())?;
        let all: BTreeSet<CommitId> = parcels.iter().map(|p| p.commit().id()).collect();
        let last = walk.pictures.remove(&all).ok_or("no order delivered everything")?;
        Ok((last, walk.deliveries))
    }

    fn go(&mut self, desk: &Desk, taken: &BTreeSet<CommitId>, order: &mut Vec<usize>) -> Result<(), String> {
        if self.parcels.len() > WHOLE_MAX && !self.merged.insert(taken.clone()) {
            return Ok(());
        }
        for (i, parcel) in self.parcels.iter().enumerate() {
            if taken.contains(&parcel.commit().id()) {
                continue;
            }
            order.push(i);
            let mut after = desk.clone();
            self.deliveries += 1;
            let outcome = after.take(self.engines, self.from, parcel).map_err(|e| self.story(order, &e))?;
            if outcome == Taken::Later {
                if after.digest() != desk.digest() {
                    return Err(self.story(order, "a commit refused for its parents left something behind"));
                }
                order.pop();
                continue;
            }
            let mut set = taken.clone();
            set.insert(parcel.commit().id());
            let picture = Picture::of(self.engines, &mut after, &self.records).map_err(|e| self.story(order, &e))?;
            self.check_tips(&picture, &set).map_err(|e| self.story(order, &e))?;
            let difference = self.pictures.entry(set.clone()).or_insert_with(|| picture.clone()).differs(&picture);
            if let Some(difference) = difference {
                return Err(self.story(order, &difference));
            }
            self.go(&after, &set, order)?;
            order.pop();
        }
        Ok(())
    }

    /// The frontier is the plain model's: every commit taken and not set aside, without the parents.
    fn check_tips(&self, picture: &Picture, taken: &BTreeSet<CommitId>) -> Result<(), String> {
        let new = self.parcels.iter().filter(|p| taken.contains(&p.commit().id()));
        let counting = |p: &&Parcel| !picture.aside.contains(&p.commit().id());
        let stored: Vec<&Parcel> = self.base.iter().chain(new).filter(counting).collect();
        let expected = plain::tips(stored.into_iter().map(|p| p.commit()));
        let shown: BTreeMap<_, _> = picture
            .tips
            .iter()
            .flat_map(|(space, t)| {
                t.logs().map(move |((d, i), tips)| ((*space, *d, *i), tips.iter().copied().collect()))
            })
            .collect();
        if shown == expected {
            Ok(())
        } else {
            Err(format!("the tips are\n{shown:#?}\nthe plain model says\n{expected:#?}"))
        }
    }

    fn story(&self, order: &[usize], broken: &str) -> String {
        let mut out = String::from("delivered in this order:\n");
        for i in order {
            let c = self.parcels[*i].commit();
            let h = c.header();
            let ops: Vec<String> = c.payload().entries.iter().map(|e| self::what(&e.payload, &e.entry)).collect();
            let (flow, device) = (h.space.flow, h.device);
            out += &format!("  {} by {device}, {flow:?} {}: {}\n", c.id(), h.sequence, ops.join("; "));
        }
        out + broken
    }
}

fn what(payload: &[u8], entry: &sampan_core::log::Entry) -> String {
    match sampan_core::charter::Op::decode(payload) {
        Ok(sampan_core::charter::Op::Schema { version, .. }) => format!("Schema {version}"),
        Ok(op) => format!("{op:?}"),
        Err(_) => format!("{:?} {} of {}", entry.kind, entry.change(), entry.record),
    }
}
