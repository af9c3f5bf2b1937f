//! The shape of a world: its units, who works where, how long it lasts, which faults it has. All of it
//! follows from the seed.
//!
//! It does not: run anything.
//!
//! Invariants: node 0 is the city's relay, and every node's unit is created by a relay above it; at
//! least a tenth of all seeds give 20 nodes or more.

use super::dice::Dice;
use super::fault::FaultKind;
use sampan_core::charter::Roles;
use std::collections::BTreeSet;

/// How a node meets its relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Habit {
    /// A daemon keeps the link.
    Daemon,
    /// A person says `sync` now and then: the mean time between, in milliseconds.
    Now(u64),
}

/// One unit.
#[derive(Debug, Clone)]
pub struct UnitSpec {
    /// Its name.
    pub name: String,
    /// Its level's name.
    pub kind: &'static str,
    /// Its parent among the units; `None` for the city.
    pub parent: Option<usize>,
    /// The node that is its relay, if it has one.
    pub relay: Option<usize>,
}

/// One node.
#[derive(Debug, Clone)]
pub struct NodeSpec {
    /// Its name in traces.
    pub name: String,
    /// Its unit among the units.
    pub unit: usize,
    /// A second unit that it also works for.
    pub also: Option<usize>,
    /// Its rights.
    pub roles: Roles,
    /// Whether they hold below the unit too.
    pub subtree: bool,
    /// Whether it is a relay.
    pub relay: bool,
    /// How it meets its relay.
    pub habit: Habit,
    /// When it joins, after the relays are there.
    pub joins_at: u64,
}

/// The whole shape.
#[derive(Debug, Clone)]
pub struct Shape {
    /// Units, parents first.
    pub units: Vec<UnitSpec>,
    /// Nodes, parents first.
    pub nodes: Vec<NodeSpec>,
    /// How long faults and work go on, in milliseconds of virtual time.
    pub lasts: u64,
    /// Mean time between two edits of one node.
    pub edit_every: u64,
    /// Edits in all.
    pub edits: u64,
    /// The faults.
    pub faults: BTreeSet<FaultKind>,
    /// Mean time between two faults.
    pub fault_every: u64,
}

const HOUR: u64 = 3_600_000;
const KINDS: [&str; 4] = ["city", "district", "grassroots", "branch"];

impl Shape {
    /// The shape of a seed, with at most `nodes_max` nodes.
    #[must_use]
    pub fn of(seed: u64, nodes_max: usize) -> Self {
        let mut dice = Dice::of(seed, "shape");
        let wanted = match dice.between(0, 99) {
            0..=49 => dice.between(3, 7),
            50..=84 => dice.between(8, 19),
            _ => dice.between(20, 40),
        } as usize;
        let wanted = wanted.min(nodes_max).max(3);
        let levels = if wanted < 5 { dice.between(2, 3) } else { dice.between(2, 4) } as usize;
        let lasts = match dice.between(0, 9) {
            0..=4 => dice.between(2, 24) * HOUR,
            5..=7 => dice.between(24, 24 * 14) * HOUR,
            _ => dice.between(24 * 14, 24 * 120) * HOUR,
        };
        let mut out = Self {
            units: vec![UnitSpec { name: "city".into(), kind: KINDS[0], parent: None, relay: Some(0) }],
            nodes: Vec::new(),
            lasts,
            edit_every: 0,
            edits: 0,
            faults: BTreeSet::new(),
            fault_every: 0,
        };
        out.node("city", 0, Roles::ADMIN, true, Habit::Daemon, 0);
        out.grow(&mut dice, wanted, levels);
        out.edits = dice.between(4, 10) * out.nodes.len() as u64;
        out.edit_every = lasts * out.nodes.len() as u64 / out.edits.max(1);
        out.fault_every = lasts / dice.between(3, 14 + out.nodes.len() as u64);
        // Some worlds are calm, most have a handful of kinds, some have all at once.
        let share = [0, 100, 200, 350, 1_000][dice.between(0, 4) as usize];
        out.faults = FaultKind::ALL.iter().copied().filter(|_| dice.chance(share)).collect();
        out
    }

    fn node(&mut self, name: &str, unit: usize, roles: Roles, relay: bool, habit: Habit, joins_at: u64) -> usize {
        let subtree = relay;
        self.nodes.push(NodeSpec { name: name.to_owned(), unit, also: None, roles, subtree, relay, habit, joins_at });
        self.nodes.len() - 1
    }

    fn unit(&mut self, name: String, kind: &'static str, parent: usize) -> usize {
        self.units.push(UnitSpec { name, kind, parent: Some(parent), relay: None });
        self.units.len() - 1
    }

    fn relay(&mut self, dice: &mut Dice, unit: usize) {
        let name = self.units[unit].name.clone();
        let roles = if dice.chance(500) { Roles::ADMIN } else { Roles::RELAY };
        let habit = self.habit(dice, 800);
        let node = self.node(&name, unit, roles, true, habit, 0);
        self.units[unit].relay = Some(node);
    }

    fn habit(&self, dice: &mut Dice, daemon_permille: u64) -> Habit {
        if dice.chance(daemon_permille) {
            Habit::Daemon
        } else {
            Habit::Now((self.lasts / dice.between(3, 12)).max(60_000))
        }
    }

    /// Districts first, then what lies below them, until there are as many nodes as wanted.
    fn grow(&mut self, dice: &mut Dice, wanted: usize, levels: usize) {
        let mut leaves: Vec<usize> = vec![0];
        for (level, kind) in KINDS.iter().copied().enumerate().take(levels.saturating_sub(1)).skip(1) {
            let count = dice.between(1, (wanted as u64 / 6).clamp(1, 4));
            let parents = std::mem::take(&mut leaves);
            for parent in parents {
                for n in 0..count {
                    let name = format!("{}{}{n}", &self.units[parent].name[..1], if level == 1 { "d" } else { "g" });
                    let name = format!("{name}-{}", self.units.len());
                    let unit = self.unit(name, kind, parent);
                    leaves.push(unit);
                    // A unit in the middle may have no relay: its branches then meet the one above.
                    if self.nodes.len() + 1 < wanted && dice.chance(750) {
                        self.relay(dice, unit);
                    }
                }
            }
        }
        let mut n = 0;
        while self.nodes.len() < wanted {
            let parent = dice.pick(&leaves).copied().unwrap_or(0);
            let unit = self.unit(format!("b{n}"), KINDS[3], parent);
            n += 1;
            let habit = self.habit(dice, 500);
            let joins_at = if dice.chance(700) { 0 } else { dice.between(0, self.lasts / 2) };
            let name = self.units[unit].name.clone();
            self.node(&name, unit, Roles::EDITOR, false, habit, joins_at);
            if self.nodes.len() < wanted && dice.chance(150) {
                let habit = self.habit(dice, 500);
                self.node(&format!("{name}-second"), unit, Roles::EDITOR, false, habit, joins_at);
            }
            if self.nodes.len() < wanted && dice.chance(80) {
                let habit = self.habit(dice, 500);
                self.node(&format!("{name}-reader"), unit, Roles::READER, false, habit, joins_at);
            }
            if self.nodes.len() < wanted && dice.chance(60) {
                let habit = self.habit(dice, 500);
                let at = self.node(&format!("{name}-inspector"), parent, Roles::INSPECTOR, false, habit, joins_at);
                self.nodes[at].subtree = dice.chance(500);
            }
            if dice.chance(60) && unit > 1 {
                let last = self.nodes.len() - 1;
                // Below the same relay or another: it has a way to each.
                let others = self.nodes[..last].iter().filter(|s| !s.relay && s.unit != unit);
                let other = others.map(|s| s.unit).next_back();
                self.nodes[last].also = other;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenth_of_the_worlds_is_large_and_every_unit_has_a_relay_above() {
        let shapes: Vec<Shape> = (0..400).map(|s| Shape::of(s, 40)).collect();
        let large = shapes.iter().filter(|s| s.nodes.len() >= 20).count();
        assert!(large >= 40, "{large} of 400");
        assert!(shapes.iter().any(|s| s.nodes.len() == 3));
        for s in &shapes {
            assert!(s.nodes.len() >= 3 && s.nodes.len() <= 40);
            assert!(s.nodes[0].relay && s.units.iter().skip(1).all(|u| u.parent.is_some()));
        }
    }
}
