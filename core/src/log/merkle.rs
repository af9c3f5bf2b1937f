//! Merkle trees over 32-byte leaves: roots, proofs and their check.
//!
//! It does not: say what a leaf is (entries in `log::entry`, acknowledged units in `register`).
//!
//! Invariants: leaf, node and root have distinct contexts; the number of leaves is bound into the
//! root; an odd node is promoted unchanged, so no two lists of leaves share a root.

use crate::hash::tagged;

/// The root of these leaves; the count is part of it, and an empty list has a root of its own.
#[must_use]
pub fn root(leaves: &[[u8; 32]]) -> [u8; 32] {
    let mut level = leaves.to_vec();
    while level.len() > 1 {
        level = next_level(&level);
    }
    finish(leaves.len(), level.first())
}

fn finish(count: usize, top: Option<&[u8; 32]>) -> [u8; 32] {
    let count = (count as u32).to_le_bytes();
    match top {
        Some(top) => tagged("root", &[&count, top]),
        None => tagged("root", &[&count]),
    }
}

fn next_level(level: &[[u8; 32]]) -> Vec<[u8; 32]> {
    level
        .chunks(2)
        .map(|pair| match pair {
            [left, right] => tagged("node", &[left, right]),
            _ => pair[0],
        })
        .collect()
}

/// A tree kept whole, for many proofs: each costs a walk, and the tree is hashed once.
#[derive(Debug, Clone)]
pub struct Tree {
    levels: Vec<Vec<[u8; 32]>>,
}

impl Tree {
    /// The tree over these leaves.
    #[must_use]
    pub fn new(leaves: Vec<[u8; 32]>) -> Self {
        let mut levels = vec![leaves];
        while let Some(level) = levels.last().filter(|l| l.len() > 1) {
            levels.push(next_level(level));
        }
        Self { levels }
    }

    /// The sibling hashes that lead from leaf `index` to the root, lowest first; `None` out of range.
    #[must_use]
    pub fn proof(&self, index: usize) -> Option<Vec<[u8; 32]>> {
        if index >= self.levels.first()?.len() {
            return None;
        }
        // At height h the leaf's branch stands at index / 2^h; an odd last one has no sibling.
        let below_the_top = self.levels.len() - 1;
        let siblings = (0..below_the_top).filter_map(|h| self.levels[h].get((index >> h) ^ 1).copied());
        Some(siblings.collect())
    }
}

/// The sibling hashes that lead from leaf `index` to the root, lowest first; `None` out of range.
#[must_use]
pub fn proof(leaves: &[[u8; 32]], index: usize) -> Option<Vec<[u8; 32]>> {
    Tree::new(leaves.to_vec()).proof(index)
}

/// The root that a leaf with its proof leads to; `None` when the proof has a wrong length.
#[must_use]
pub fn root_from_proof(count: usize, index: usize, leaf: [u8; 32], proof: &[[u8; 32]]) -> Option<[u8; 32]> {
    if index >= count {
        return None;
    }
    let (mut width, mut at, mut hash, mut rest) = (count, index, leaf, proof.iter());
    while width > 1 {
        if at ^ 1 < width {
            let sibling = rest.next()?;
            hash = if at % 2 == 0 { tagged("node", &[&hash, sibling]) } else { tagged("node", &[sibling, &hash]) };
        }
        width = width.div_ceil(2);
        at /= 2;
    }
    rest.next().is_none().then(|| finish(count, Some(&hash)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaves(n: u8) -> Vec<[u8; 32]> {
        (0..n).map(|i| [i; 32]).collect()
    }

    #[test]
    fn every_leaf_of_every_size_proves_and_no_other_does() {
        for n in 1..=17 {
            let l = leaves(n);
            let r = root(&l);
            for i in 0..l.len() {
                let p = proof(&l, i).unwrap();
                assert_eq!(root_from_proof(l.len(), i, l[i], &p), Some(r));
                assert_ne!(root_from_proof(l.len(), i, [99; 32], &p), Some(r));
                let mut long = p.clone();
                long.push([0; 32]);
                assert_eq!(root_from_proof(l.len(), i, l[i], &long), None);
            }
        }
    }

    #[test]
    fn the_count_is_bound() {
        assert_ne!(root(&leaves(3)), root(&[leaves(3), vec![leaves(3)[2]]].concat()));
        assert_ne!(root(&[]), root(&leaves(1)));
    }
}
