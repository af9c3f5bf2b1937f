//! Ordered maps and sets that nearly always hold one entry or a few: of thousands of branches each has some.
//!
//! It does not: replace `BTreeMap` where many entries are the rule. That one's node has room for eleven entries from the
//! first on, which for one entry of a hundred bytes is a kilobyte of nothing.
//!
//! Invariants: what a map tells does not depend on how it holds its entries: in a sorted vector while they are few, in a
//! `BTreeMap` from then on until it is empty, so that looking up stays O(log n) and many that come one by one cost no
//! more than there. An empty one owns no memory.

use std::borrow::Borrow;
use std::collections::{BTreeMap, btree_map};
use std::slice;

/// Entries that are held in a vector: to move them up costs no more than to find a place in a node.
const FEW_MAX: usize = 8;

/// An ordered map for a few entries.
#[derive(Clone)]
pub struct SmallMap<K, V>(Held<K, V>);

#[derive(Clone)]
enum Held<K, V> {
    /// Sorted by key, at most [`FEW_MAX`].
    Few(Vec<(K, V)>),
    #[expect(clippy::box_collection, reason = "so that the map is as small as a vector")]
    Many(Box<BTreeMap<K, V>>),
}

impl<K, V> Default for SmallMap<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K, V> SmallMap<K, V> {
    /// An empty one.
    #[must_use]
    pub const fn new() -> Self {
        Self(Held::Few(Vec::new()))
    }

    /// Number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.0 {
            Held::Few(few) => few.len(),
            Held::Many(many) => many.len(),
        }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets all, and gives the memory back.
    pub fn clear(&mut self) {
        *self = Self::new();
    }

    /// The entries in order of keys.
    pub fn iter(&self) -> Iter<'_, K, V> {
        match &self.0 {
            Held::Few(few) => Iter(Walk::Few(few.iter())),
            Held::Many(many) => Iter(Walk::Many(many.iter())),
        }
    }

    /// The keys in order.
    pub fn keys(&self) -> impl Iterator<Item = &K> {
        self.iter().map(|(key, _)| key)
    }

    /// The values in order of keys.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.iter().map(|(_, value)| value)
    }

    /// Whether it owns no memory.
    #[must_use]
    pub fn owns_nothing(&self) -> bool {
        matches!(&self.0, Held::Few(few) if few.capacity() == 0)
    }
}

impl<K: Ord, V> SmallMap<K, V> {
    /// The value of a key.
    #[must_use]
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        match &self.0 {
            Held::Few(few) => place(few, key).ok().and_then(|at| few.get(at)).map(|(_, value)| value),
            Held::Many(many) => many.get(key),
        }
    }

    /// The value of a key, to be changed.
    pub fn get_mut<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        match &mut self.0 {
            Held::Few(few) => place(few, key).ok().and_then(|at| few.get_mut(at)).map(|(_, value)| value),
            Held::Many(many) => many.get_mut(key),
        }
    }

    /// Whether the key has a value.
    #[must_use]
    pub fn contains_key<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.get(key).is_some()
    }

    /// Sets the value of a key; the one before.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        if let Some(held) = self.get_mut(&key) {
            return Some(std::mem::replace(held, value));
        }
        self.get_or_insert_with(key, || value);
        None
    }

    /// The value of a key, made where there is none.
    pub fn get_or_insert_with(&mut self, key: K, make: impl FnOnce() -> V) -> &mut V {
        self.make_room(&key);
        match &mut self.0 {
            Held::Few(few) => {
                let at = match place(few, &key) {
                    Ok(at) => at,
                    Err(at) => {
                        few.insert(at, (key, make()));
                        at
                    }
                };
                &mut few[at].1
            }
            Held::Many(many) => many.entry(key).or_insert_with(make),
        }
    }

    /// Takes an entry out.
    pub fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let out = match &mut self.0 {
            Held::Few(few) => place(few, key).ok().map(|at| few.remove(at).1),
            Held::Many(many) => many.remove(key),
        };
        self.shrink();
        out
    }

    /// Takes the first entry out.
    pub fn pop_first(&mut self) -> Option<(K, V)> {
        let out = match &mut self.0 {
            Held::Few(few) if few.is_empty() => None,
            Held::Few(few) => Some(few.remove(0)),
            Held::Many(many) => many.pop_first(),
        };
        self.shrink();
        out
    }

    /// Makes room for one more entry, if the key has none.
    fn make_room(&mut self, key: &K) {
        let Held::Few(few) = &mut self.0 else { return };
        if few.len() < few.capacity() || place(few, key).is_ok() {
            return;
        }
        if few.len() < FEW_MAX {
            // One entry has room for one: a vector would begin with four.
            few.reserve_exact(few.len().max(1).min(FEW_MAX - few.len()));
        } else {
            self.0 = Held::Many(Box::new(std::mem::take(few).into_iter().collect()));
        }
    }

    fn shrink(&mut self) {
        if self.is_empty() && !self.owns_nothing() {
            self.clear();
        }
    }
}

fn place<K: Borrow<Q>, V, Q: Ord + ?Sized>(few: &[(K, V)], key: &Q) -> Result<usize, usize> {
    few.binary_search_by(|(held, _)| held.borrow().cmp(key))
}

/// The entries of a [`SmallMap`] in order of keys.
pub struct Iter<'a, K, V>(Walk<'a, K, V>);

enum Walk<'a, K, V> {
    Few(slice::Iter<'a, (K, V)>),
    Many(btree_map::Iter<'a, K, V>),
}

impl<'a, K, V> Iterator for Iter<'a, K, V> {
    type Item = (&'a K, &'a V);

    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.0 {
            Walk::Few(few) => few.next().map(|(key, value)| (key, value)),
            Walk::Many(many) => many.next(),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match &self.0 {
            Walk::Few(few) => few.size_hint(),
            Walk::Many(many) => many.size_hint(),
        }
    }
}

impl<'a, K, V> IntoIterator for &'a SmallMap<K, V> {
    type Item = (&'a K, &'a V);
    type IntoIter = Iter<'a, K, V>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<K, V> IntoIterator for SmallMap<K, V> {
    type Item = (K, V);
    type IntoIter = IntoIter<K, V>;

    fn into_iter(self) -> Self::IntoIter {
        match self.0 {
            Held::Few(few) => IntoIter(Rest::Few(few.into_iter())),
            Held::Many(many) => IntoIter(Rest::Many(many.into_iter())),
        }
    }
}

/// The entries of a [`SmallMap`] that is taken apart, in order of keys.
pub struct IntoIter<K, V>(Rest<K, V>);

enum Rest<K, V> {
    Few(std::vec::IntoIter<(K, V)>),
    Many(btree_map::IntoIter<K, V>),
}

impl<K, V> Iterator for IntoIter<K, V> {
    type Item = (K, V);

    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.0 {
            Rest::Few(few) => few.next(),
            Rest::Many(many) => many.next(),
        }
    }
}

impl<K: Ord, V> FromIterator<(K, V)> for SmallMap<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let mut out = Self::new();
        out.extend(entries);
        out
    }
}

impl<K: Ord, V> Extend<(K, V)> for SmallMap<K, V> {
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, entries: I) {
        entries.into_iter().for_each(|(key, value)| {
            self.insert(key, value);
        });
    }
}

impl<K: PartialEq, V: PartialEq> PartialEq for SmallMap<K, V> {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().eq(other.iter())
    }
}

impl<K: Eq, V: Eq> Eq for SmallMap<K, V> {}

impl<K: std::fmt::Debug, V: std::fmt::Debug> std::fmt::Debug for SmallMap<K, V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

/// An ordered set for a few entries.
#[derive(Clone, PartialEq, Eq)]
pub struct SmallSet<K>(SmallMap<K, ()>);

impl<K> Default for SmallSet<K> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K> SmallSet<K> {
    /// An empty one.
    #[must_use]
    pub const fn new() -> Self {
        Self(SmallMap::new())
    }

    /// Number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Forgets all, and gives the memory back.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// The entries in order.
    pub fn iter(&self) -> Keys<'_, K> {
        Keys(self.0.iter())
    }

    /// Whether it owns no memory.
    #[must_use]
    pub fn owns_nothing(&self) -> bool {
        self.0.owns_nothing()
    }
}

impl<K: Ord> SmallSet<K> {
    /// Whether it has this.
    #[must_use]
    pub fn contains(&self, key: &K) -> bool {
        self.0.contains_key(key)
    }

    /// Puts one in; whether it was not there.
    pub fn insert(&mut self, key: K) -> bool {
        self.0.insert(key, ()).is_none()
    }

    /// Takes one out; whether it was there.
    pub fn remove(&mut self, key: &K) -> bool {
        self.0.remove(key).is_some()
    }
}

/// The entries of a [`SmallSet`] in order.
pub struct Keys<'a, K>(Iter<'a, K, ()>);

impl<'a, K> Iterator for Keys<'a, K> {
    type Item = &'a K;

    fn next(&mut self) -> Option<&'a K> {
        self.0.next().map(|(key, ())| key)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl<'a, K> IntoIterator for &'a SmallSet<K> {
    type Item = &'a K;
    type IntoIter = Keys<'a, K>;

    fn into_iter(self) -> Keys<'a, K> {
        self.iter()
    }
}

impl<K> IntoIterator for SmallSet<K> {
    type Item = K;
    type IntoIter = std::iter::Map<IntoIter<K, ()>, fn((K, ())) -> K>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter().map(|(key, ())| key)
    }
}

impl<K: Ord> FromIterator<K> for SmallSet<K> {
    fn from_iter<I: IntoIterator<Item = K>>(keys: I) -> Self {
        let mut out = Self::new();
        out.extend(keys);
        out
    }
}

impl<K: Ord> Extend<K> for SmallSet<K> {
    fn extend<I: IntoIterator<Item = K>>(&mut self, keys: I) {
        keys.into_iter().for_each(|key| {
            self.insert(key);
        });
    }
}

impl<K: std::fmt::Debug> std::fmt::Debug for SmallSet<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[derive(Debug, Clone)]
    enum Step {
        Insert(u8, u16),
        Make(u8, u16),
        Remove(u8),
        PopFirst,
        Clear,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            8 => (0..24_u8, any::<u16>()).prop_map(|(k, v)| Step::Insert(k, v)),
            3 => (0..24_u8, any::<u16>()).prop_map(|(k, v)| Step::Make(k, v)),
            5 => (0..24_u8).prop_map(Step::Remove),
            2 => Just(Step::PopFirst),
            1 => Just(Step::Clear),
        ];
        proptest::collection::vec(step, 0..120)
    }

    proptest! {
        #[test]
        fn it_tells_what_a_tree_would(steps in steps()) {
            let (mut small, mut tree) = (SmallMap::<u8, u16>::new(), BTreeMap::<u8, u16>::new());
            for step in steps {
                match step {
                    Step::Insert(k, v) => prop_assert_eq!(small.insert(k, v), tree.insert(k, v)),
                    Step::Make(k, v) => {
                        let (mine, theirs) = (small.get_or_insert_with(k, || v), tree.entry(k).or_insert(v));
                        prop_assert_eq!(&*mine, &*theirs);
                        *mine = mine.wrapping_add(1);
                        *theirs = theirs.wrapping_add(1);
                    }
                    Step::Remove(k) => prop_assert_eq!(small.remove(&k), tree.remove(&k)),
                    Step::PopFirst => prop_assert_eq!(small.pop_first(), tree.pop_first()),
                    Step::Clear => {
                        small.clear();
                        tree.clear();
                    }
                }
                prop_assert!(small.iter().eq(tree.iter()));
                prop_assert!(small.clone().into_iter().eq(tree.clone()));
                prop_assert_eq!((small.len(), small.is_empty()), (tree.len(), tree.is_empty()));
                prop_assert_eq!(small.owns_nothing(), tree.is_empty(), "an empty one owns no memory");
                for k in 0..24 {
                    prop_assert_eq!((small.get(&k), small.contains_key(&k)), (tree.get(&k), tree.contains_key(&k)));
                }
                prop_assert_eq!(format!("{small:?}"), format!("{tree:?}"));
                let anew: SmallMap<u8, u16> = tree.iter().rev().map(|(k, v)| (*k, *v)).collect();
                prop_assert_eq!(&anew, &small, "however it came to hold them");
            }
        }

        #[test]
        fn a_set_tells_what_a_tree_would(keys in proptest::collection::vec((0..20_u8, any::<bool>()), 0..60)) {
            let (mut small, mut tree) = (SmallSet::<u8>::new(), BTreeSet::<u8>::new());
            for (key, put) in keys {
                if put {
                    prop_assert_eq!(small.insert(key), tree.insert(key));
                } else {
                    prop_assert_eq!(small.remove(&key), tree.remove(&key));
                }
                prop_assert!(small.iter().eq(tree.iter()) && small.clone().into_iter().eq(tree.clone()));
                prop_assert_eq!((small.len(), small.contains(&key)), (tree.len(), tree.contains(&key)));
                prop_assert_eq!(format!("{small:?}"), format!("{tree:?}"));
            }
        }
    }

    #[test]
    fn one_entry_takes_the_room_of_one_and_many_are_a_tree() {
        assert_eq!(size_of::<SmallMap<[u8; 32], [u8; 96]>>(), size_of::<Vec<u8>>());
        let mut map = SmallMap::new();
        map.insert(7_u32, [0_u8; 100]);
        assert!(matches!(&map.0, Held::Few(few) if few.capacity() == 1));
        for key in 0..FEW_MAX as u32 {
            map.insert(key, [1; 100]);
            assert!(matches!(&map.0, Held::Few(few) if few.capacity() <= FEW_MAX), "{key}");
        }
        map.insert(100, [2; 100]);
        assert!(matches!(&map.0, Held::Many(_)));
        for key in 0..10_000 {
            map.insert(key, [3; 100]);
        }
        assert_eq!((map.len(), map.get(&9_999), map.get(&7)), (10_000, Some(&[3; 100]), Some(&[3; 100])));
        while map.pop_first().is_some() {}
        assert!(map.owns_nothing());
    }
}
