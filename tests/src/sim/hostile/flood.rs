//! A peer that sends far too much: commits of strangers, comparisons, registers, announcements, noise.
//!
//! It does not: send more than a world can carry; the limits themselves have tests of their own.
//!
//! Invariants: nothing of it counts, so nothing of it may ever be handed on.

use super::super::fault::FaultKind;
use super::super::world::World;
use sampan_core::entropy::{Entropy as _, random};
use sampan_core::frontier::ShortId;
use sampan_core::id::{CommitId, DeviceId, Digest, Flow, Incarnation, LogId, Nonce, SpaceId, UnitId};
use sampan_core::register::{Register, SignedRegister, names};
use sampan_core::sync::lane;
use sampan_core::testing::SeededRng;
use sampan_core::testing::hostile::{self, Place};
use sampan_core::wire::frame::{
    Announce, ChildDigest, Frame, LogFrontier, Mark, ScopeDigests, SpaceFrontier, Tree, TreeNode,
};

/// Commits of strangers in one flood; a third of what a peer may have set aside.
const COMMITS_MAX: u64 = 300;
/// Commits of strangers in one frame.
const FRAME_COMMITS: usize = 60;
/// Frames of one flood.
const FRAMES_MAX: u64 = 2_000;
/// Registers of one flood.
const REGISTERS_MAX: u64 = 300;
/// Bytes of one made-up frame: a slow path carries it before its link is given up.
const FRAME_BYTES_MAX: u64 = 60_000;

impl World {
    /// Far too much of one kind.
    pub(super) fn flood(&mut self, n: usize) {
        let Some(engine) = self.hostile_engine(n) else { return };
        let unit = self.unit_ids[self.spec(n).unit];
        let heads = engine.charter().heads(&unit);
        let (own, incarnation) = (engine.device(), engine.incarnation());
        let mut rng = SeededRng::new(self.hostile.dice.bits());
        let up = SpaceId { unit, flow: Flow::Up, reach: 0 };
        let log = LogId { space: up, device: own, incarnation };
        match self.hostile.dice.between(0, 8) {
            0 => self.flood_commits(n, up, heads, &mut rng),
            1 => self.flood_frontiers(n, up, &mut rng),
            2 => self.flood_registers(n, unit, &mut rng),
            3 => {
                // No frame at all, or one that is cut off.
                for _ in 0..self.hostile.dice.between(1, 20) {
                    let len = self.hostile.dice.between(0, FRAME_BYTES_MAX) as usize;
                    let mut noise = vec![0; len];
                    rng.fill(&mut noise);
                    let lane = self.hostile.dice.between(0, 9) as u8;
                    self.forge_bytes(n, FaultKind::HostileFlood, lane, noise);
                }
            }
            4 => {
                for _ in 0..self.hostile.dice.between(1, FRAMES_MAX) {
                    let many = Announce { commits: u64::MAX, entries: u64::MAX, bytes: u64::MAX };
                    self.forge(n, FaultKind::HostileFlood, lane::CHARTER, &Frame::Announce(many));
                }
            }
            5 => {
                // Marks that wait for frames which never come, and marks that ask and ask.
                for i in 0..self.hostile.dice.between(1, FRAMES_MAX / 4) {
                    let frames = if self.hostile.dice.chance(300) { u64::MAX } else { 0 };
                    let digests = ScopeDigests { charter: Digest(random(&mut rng)), data: Digest(random(&mut rng)) };
                    let clock = sampan_core::time::Millis(u64::MAX >> self.hostile.dice.between(0, 40));
                    let mark = Mark { number: i, frames, digests, answer: self.hostile.dice.chance(500), clock };
                    self.forge(n, FaultKind::HostileFlood, lane::CHARTER, &Frame::Mark(mark));
                }
            }
            6 => {
                for _ in 0..self.hostile.dice.between(1, 60) {
                    let nodes = (0..200).map(|_| self.made_up_node(&mut rng)).collect();
                    self.forge(n, FaultKind::HostileFlood, lane::CHARTER, &Frame::Nodes(nodes));
                }
            }
            7 => {
                for _ in 0..self.hostile.dice.between(1, 40) {
                    let commits = (0..1_000).map(|_| ShortId(random(&mut rng))).collect();
                    self.forge(n, FaultKind::HostileFlood, lane::CHARTER, &Frame::Inventory { log, commits });
                }
            }
            _ => {
                // Commits that wait for frames of another lane which never come.
                for _ in 0..self.hostile.dice.between(1, FRAMES_MAX) {
                    let frame = Frame::Commits { after: u64::MAX, groups: Vec::new() };
                    self.forge(n, FaultKind::HostileFlood, lane::BACKFILL, &frame);
                }
            }
        }
    }

    fn flood_commits(&mut self, n: usize, space: SpaceId, heads: Vec<CommitId>, rng: &mut SeededRng) {
        let now = self.machines[n].clock.now();
        let place = Place::first(self.org, space, Nonce(random(rng)), heads, now);
        let count = self.hostile.dice.between(20, COMMITS_MAX) as usize;
        let bytes = if self.hostile.dice.chance(200) { 20_000 } else { 40 };
        let count = if bytes > 1_000 { count.min(30) } else { count };
        let commits = hostile::flood(&place, count, bytes, rng);
        for chunk in commits.chunks(if bytes > 1_000 { 2 } else { FRAME_COMMITS }) {
            self.forge_commits(n, FaultKind::HostileFlood, chunk);
        }
    }

    fn flood_frontiers(&mut self, n: usize, up: SpaceId, rng: &mut SeededRng) {
        for _ in 0..self.hostile.dice.between(100, FRAMES_MAX) {
            let space = if self.hostile.dice.chance(500) {
                up
            } else {
                SpaceId { unit: UnitId(random(rng)), flow: Flow::Up, reach: self.hostile.dice.between(0, 255) as u8 }
            };
            let logs = (0..self.hostile.dice.between(0, 3))
                .map(|_| LogFrontier {
                    device: DeviceId(random(rng)),
                    incarnation: Incarnation(random(rng)),
                    tips: vec![CommitId(random(rng))],
                })
                .collect();
            let frame = Frame::Frontier(vec![SpaceFrontier { space, logs }]);
            self.forge(n, FaultKind::HostileFlood, lane::CHARTER, &frame);
        }
    }

    fn flood_registers(&mut self, n: usize, unit: UnitId, rng: &mut SeededRng) {
        let (now, key) = (self.machines[n].clock.now(), self.machines[n].key.clone());
        let mut all = Vec::new();
        for i in 0..self.hostile.dice.between(1, REGISTERS_MAX) {
            let name = match self.hostile.dice.between(0, 2) {
                0 => format!("{}{i}", names::HOLDER),
                1 => format!("nothing/{i}"),
                _ => names::HEARTBEAT.to_owned(),
            };
            let unit = if self.hostile.dice.chance(300) { UnitId(random(rng)) } else { unit };
            let payload = vec![7; self.hostile.dice.between(0, 200) as usize];
            // The counter of a sign of life only grows: one from far ahead would silence the honest program.
            let (org, device) = (self.org, self.machines[n].device);
            let register = Register { org, unit, name, device, counter: i, time: now, payload };
            all.push(SignedRegister::seal(&key, &register));
        }
        for chunk in all.chunks(50) {
            self.forge(n, FaultKind::HostileFlood, lane::REGISTERS, &Frame::Registers(chunk.to_vec()));
        }
    }

    fn made_up_node(&mut self, rng: &mut SeededRng) -> TreeNode {
        let dice = &mut self.hostile.dice;
        let known = dice.pick(&self.unit_ids).copied().unwrap_or_default();
        let unit = if dice.chance(500) { known } else { UnitId(random(rng)) };
        let tree = if dice.chance(500) { Tree::Charter } else { Tree::Up(dice.between(0, 255) as u8) };
        let child = |rng: &mut SeededRng| ChildDigest { unit: UnitId(random(rng)), digest: Digest(random(rng)) };
        TreeNode { unit, tree, own: Digest(random(rng)), children: (0..2).map(|_| child(rng)).collect() }
    }
}
