//! Which changes of a record stand: a pure function of the set of changes.
//!
//! It does not: apply them, or decide which commits count (`log`, `charter`).
//!
//! Invariants: the order of the input never matters; a change is malformed by its bytes and its
//! causal past alone, whatever else is in the set; what stands has only ancestors that stand.
//!
//! Two changes with one (actor, sequence): of those with unlost ancestors the lower hash stands, the
//! others and their descendants are blocked by it. Where several actors did this, the pairs are
//! settled one after the other, by their lowest first counter, then actor and sequence.

use super::admit::admit;
use super::error::{ChangeError, Malformed, NeedsNewer};
use super::read::Parsed;
use super::refs::{self, Index};
use crate::id::{ActorId, ChangeHash};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

/// One change offered for evaluation.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'c, 'a> {
    /// Its hash, as the commit names it.
    pub hash: ChangeHash,
    /// The change, or why its bytes are none.
    pub parsed: Result<&'c Parsed<'a>, ChangeError>,
    /// The actor that its commit stands for; `None` for births and identity changes.
    pub expected_actor: Option<ActorId>,
}

impl<'c, 'a> Candidate<'c, 'a> {
    /// A change that was read.
    #[must_use]
    pub fn of(parsed: &'c Parsed<'a>, expected_actor: Option<ActorId>) -> Self {
        Self { hash: parsed.hash(), parsed: Ok(parsed), expected_actor }
    }

    /// Bytes that were refused.
    #[must_use]
    pub fn refused(hash: ChangeHash, error: ChangeError) -> Self {
        Self { hash, parsed: Err(error), expected_actor: None }
    }
}

/// What became of one change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It is part of the document.
    Standing,
    /// An ancestor is absent, or itself waits for a newer Sampan.
    Pending {
        /// The lowest hash of those.
        missing: ChangeHash,
    },
    /// It waits for a newer Sampan.
    NeedsNewer(NeedsNewer),
    /// An ancestor does not stand, or another change took its place.
    Blocked {
        /// That ancestor or that other change.
        by: ChangeHash,
    },
    /// It will never be applied.
    Malformed(Malformed),
}

/// What a set of changes comes to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Evaluation {
    /// Every change's standing.
    pub standings: BTreeMap<ChangeHash, Standing>,
    /// The standing changes that no standing change depends on, ascending.
    pub heads: Vec<ChangeHash>,
    /// The greatest operation counter that stands; 0 if none.
    pub max_op: u64,
    /// Every actor's greatest sequence that stands.
    pub seqs: BTreeMap<ActorId, u64>,
    /// The standing changes, ancestors first; ties by first counter, then hash.
    pub order: Vec<ChangeHash>,
}

struct Node<'c, 'a> {
    hash: ChangeHash,
    parsed: Result<&'c Parsed<'a>, ChangeError>,
    right_actor: bool,
    /// Dependencies in the set, and the lowest one that is not.
    deps: Vec<usize>,
    missing: Option<ChangeHash>,
    children: Vec<usize>,
    /// Children that have not taken the clock yet.
    unmet: usize,
    standing: Option<Standing>,
    /// Greatest sequence of every actor up to and including this change, ascending by actor.
    clock: Vec<(ActorId, u64)>,
}

/// Evaluates a set of changes of one record.
#[must_use]
pub fn evaluate(changes: &[Candidate<'_, '_>]) -> Evaluation {
    let mut nodes = fold(changes);
    let order = topological(&mut nodes);
    judge(&mut nodes, &order);
    settle_doubles(&mut nodes, &order);
    conclude(&nodes, &order)
}

/// One node a hash, ascending: the read form wins over a refused one, and any right actor will do.
fn fold<'c, 'a>(changes: &[Candidate<'c, 'a>]) -> Vec<Node<'c, 'a>> {
    let mut by_hash: BTreeMap<ChangeHash, (Result<&'c Parsed<'a>, ChangeError>, bool)> = BTreeMap::new();
    for change in changes {
        let right = match change.parsed {
            Ok(parsed) => change.expected_actor.is_none_or(|actor| actor == parsed.actor()),
            Err(_) => true,
        };
        by_hash
            .entry(change.hash)
            .and_modify(|(parsed, seen)| match (&parsed, change.parsed) {
                (Ok(_), Ok(_)) => *seen |= right,
                (Err(_), Ok(read)) => (*parsed, *seen) = (Ok(read), right),
                (Err(a), Err(b)) => *parsed = Err((*a).min(b)),
                (Ok(_), Err(_)) => {}
            })
            .or_insert((change.parsed, right));
    }
    let place: BTreeMap<ChangeHash, usize> = by_hash.keys().copied().zip(0..).collect();
    let mut nodes: Vec<Node<'c, 'a>> = Vec::with_capacity(by_hash.len());
    for (hash, (parsed, right_actor)) in by_hash {
        let (mut deps, mut missing) = (Vec::new(), None);
        for dep in parsed.iter().flat_map(|p| &p.deps) {
            match place.get(dep) {
                Some(at) => deps.push(*at),
                None => missing = missing.or(Some(*dep)), // dependencies ascend
            }
        }
        let (children, clock) = (Vec::new(), Vec::new());
        nodes.push(Node { hash, parsed, right_actor, deps, missing, children, unmet: 0, standing: None, clock });
    }
    nodes
}

fn start_op(node: &Node<'_, '_>) -> u64 {
    node.parsed.map_or(0, |p| p.start_op)
}

/// Ancestors first; also fills in the children.
fn topological(nodes: &mut [Node<'_, '_>]) -> Vec<usize> {
    let mut waits: Vec<usize> = nodes.iter().map(|n| n.deps.len()).collect();
    for at in 0..nodes.len() {
        for dep in nodes[at].deps.clone() {
            nodes[dep].children.push(at);
        }
    }
    for node in nodes.iter_mut() {
        node.unmet = node.children.len();
    }
    // Positions ascend by hash, so they break ties as hashes would.
    let mut ready: BinaryHeap<Reverse<(u64, usize)>> =
        (0..nodes.len()).filter(|at| waits[*at] == 0).map(|at| Reverse((start_op(&nodes[at]), at))).collect();
    let mut order = Vec::with_capacity(nodes.len());
    while let Some(Reverse((_, at))) = ready.pop() {
        order.push(at);
        for &child in &nodes[at].children {
            waits[child] -= 1;
            if waits[child] == 0 {
                ready.push(Reverse((start_op(&nodes[child]), child)));
            }
        }
    }
    order
}

/// Gives every node its standing by bytes and causal past.
fn judge<'c, 'a: 'c>(nodes: &mut [Node<'c, 'a>], order: &[usize]) {
    let mut index: Index<'c, 'a> = Index::default();
    let mut seen: BTreeSet<(ActorId, u64)> = BTreeSet::new();
    let mut doubles: BTreeSet<ActorId> = BTreeSet::new();
    for &at in order {
        let clock = merge_clocks(nodes, at);
        let standing = judge_one(nodes, at, &clock, &index, &doubles);
        nodes[at].standing = Some(standing);
        if let (Standing::Standing, Ok(parsed)) = (standing, nodes[at].parsed) {
            let mut clock = clock;
            match clock.binary_search_by_key(&parsed.actor(), |(actor, _)| *actor) {
                Ok(i) => clock[i].1 = parsed.seq,
                Err(i) => clock.insert(i, (parsed.actor(), parsed.seq)),
            }
            if nodes[at].unmet > 0 {
                nodes[at].clock = clock;
            }
            if !seen.insert((parsed.actor(), parsed.seq)) {
                doubles.insert(parsed.actor());
            }
            index.add(at, parsed);
        }
    }
}

/// The clock of a change's past. The last child takes its parent's instead of copying it, so that
/// a linear history costs nothing.
fn merge_clocks(nodes: &mut [Node<'_, '_>], at: usize) -> Vec<(ActorId, u64)> {
    let mut merged: Vec<(ActorId, u64)> = Vec::new();
    for dep in nodes[at].deps.clone() {
        let parent = &mut nodes[dep];
        parent.unmet -= 1;
        let clock = if parent.unmet == 0 { std::mem::take(&mut parent.clock) } else { parent.clock.clone() };
        if merged.is_empty() {
            merged = clock;
            continue;
        }
        for (actor, seq) in clock {
            match merged.binary_search_by_key(&actor, |(a, _)| *a) {
                Ok(i) => merged[i].1 = merged[i].1.max(seq),
                Err(i) => merged.insert(i, (actor, seq)),
            }
        }
    }
    merged
}

fn judge_one<'c, 'a: 'c>(
    nodes: &[Node<'c, 'a>],
    at: usize,
    clock: &[(ActorId, u64)],
    index: &Index<'c, 'a>,
    doubles: &BTreeSet<ActorId>,
) -> Standing {
    let node = &nodes[at];
    let parsed = match node.parsed {
        Ok(parsed) => parsed,
        Err(ChangeError::Malformed(reason)) => return Standing::Malformed(reason),
        Err(ChangeError::NeedsNewer(reason)) => return Standing::NeedsNewer(reason),
    };
    if !node.right_actor {
        return Standing::Malformed(Malformed::WrongActor);
    }
    let (mut missing, mut by, mut max_op) = (node.missing, None, 0);
    let lower = |old: Option<ChangeHash>, new: ChangeHash| Some(old.map_or(new, |o| o.min(new)));
    for &dep in &node.deps {
        let parent = &nodes[dep];
        match parent.standing {
            Some(Standing::Standing) => max_op = max_op.max(parent.parsed.map_or(0, |p| p.max_op())),
            Some(Standing::Pending { missing: hash }) => missing = lower(missing, hash),
            Some(Standing::NeedsNewer(_)) | None => missing = lower(missing, parent.hash),
            Some(Standing::Blocked { by: hash }) => by = lower(by, hash),
            Some(Standing::Malformed(_)) => by = lower(by, parent.hash),
        }
    }
    if let Some(missing) = missing {
        return Standing::Pending { missing };
    }
    if let Some(by) = by {
        return Standing::Blocked { by };
    }
    let seq_of = |actor: &ActorId| clock.binary_search_by_key(actor, |(a, _)| *a).ok().map(|i| clock[i].1);
    let fits = admit(parsed, max_op, seq_of).and_then(|()| {
        let mut past = None;
        refs::check(parsed.body(), |counter, actor| {
            index.find(counter, actor, |number, body| {
                // Without doubles an actor's changes form one chain, and its length says it all.
                if doubles.contains(&actor) {
                    past.get_or_insert_with(|| ancestors(nodes, at)).contains(&number)
                } else {
                    seq_of(&actor).is_some_and(|seq| body.seq <= seq)
                }
            })
        })
    });
    match fits {
        Ok(()) => Standing::Standing,
        Err(reason) => Standing::Malformed(reason),
    }
}

fn ancestors(nodes: &[Node<'_, '_>], at: usize) -> BTreeSet<usize> {
    let mut out = BTreeSet::new();
    let mut todo = nodes[at].deps.clone();
    while let Some(next) = todo.pop() {
        if out.insert(next) {
            todo.extend(&nodes[next].deps);
        }
    }
    out
}

/// Lets one of several changes with one (actor, sequence) stand.
fn settle_doubles(nodes: &mut [Node<'_, '_>], order: &[usize]) {
    let mut by_place: BTreeMap<(ActorId, u64), Vec<usize>> = BTreeMap::new();
    for &at in order {
        if let (Some(Standing::Standing), Ok(parsed)) = (nodes[at].standing, nodes[at].parsed) {
            by_place.entry((parsed.actor(), parsed.seq)).or_default().push(at);
        }
    }
    let mut groups: Vec<_> = by_place.into_iter().filter(|(_, group)| group.len() > 1).collect();
    groups.sort_by_key(|(place, group)| (group.iter().map(|at| start_op(&nodes[*at])).min(), *place));
    for (_, group) in groups {
        let standing = group.iter().filter(|at| nodes[**at].standing == Some(Standing::Standing));
        let Some(&winner) = standing.min() else {
            continue;
        };
        let by = nodes[winner].hash;
        for loser in group.into_iter().filter(|at| *at != winner) {
            block(nodes, loser, by);
        }
    }
}

/// Blocks a standing change and all that stands on it.
fn block(nodes: &mut [Node<'_, '_>], first: usize, by: ChangeHash) {
    let mut todo = vec![(first, by)];
    while let Some((at, by)) = todo.pop() {
        if nodes[at].standing == Some(Standing::Standing) {
            nodes[at].standing = Some(Standing::Blocked { by });
            todo.extend(nodes[at].children.iter().map(|child| (*child, by)));
        }
    }
}

fn conclude(nodes: &[Node<'_, '_>], order: &[usize]) -> Evaluation {
    let stands = |at: &usize| nodes[*at].standing == Some(Standing::Standing);
    let mut out = Evaluation::default();
    for node in nodes {
        let standing = node.standing.unwrap_or(Standing::Pending { missing: node.hash });
        out.standings.insert(node.hash, standing);
    }
    for &at in order.iter().filter(|at| stands(at)) {
        let node = &nodes[at];
        let Ok(parsed) = node.parsed else { continue };
        out.order.push(node.hash);
        out.max_op = out.max_op.max(parsed.max_op());
        let seq = out.seqs.entry(parsed.actor()).or_default();
        *seq = (*seq).max(parsed.seq);
        if !node.children.iter().any(stands) {
            out.heads.push(node.hash);
        }
    }
    out.heads.sort_unstable();
    out
}
