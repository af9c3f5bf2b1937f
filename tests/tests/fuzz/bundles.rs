//! Bundles: files that are bent, and rightful senders that put anything into them.
//!
//! It does not: break keys or ciphers: a bent file is one that its sender did not sign.
//!
//! Invariants tried: no panic; a file that differs from what was signed in any byte is refused, and costs no more
//! than its bytes; of what a neighbour says in frames only commits that their authors made are ever held, none
//! is lost, and a branch hears of no unit outside its line.

use super::draw::{Count, Draw};
use super::memory::peak;
use super::samples;
use super::world::{World, worlds};
use sampan_core::bundle::{BoxSecret, Plan, Reader, Taking, Target};
use sampan_core::store::Store;
use sampan_core::testing::test_org;

/// What reading may hold for each byte of a file, and beside that.
const TIMES: usize = 16;
const CONSTANT: usize = 256 << 10;
/// Frames of one input.
const STEPS_MAX: usize = 200;

fn read(bytes: &[u8], step: usize) -> bool {
    let secrets = [BoxSecret::from_bytes([2; 32])];
    let mut reader = Reader::new(test_org(), &secrets);
    let mut frames = Vec::new();
    let pushed = bytes.chunks(step).try_for_each(|part| reader.push(part, &mut frames));
    pushed.is_ok() && reader.finish().is_ok()
}

/// A file of ours with edits of chance, and the bytes of chance alone.
pub fn bent(bytes: &[u8]) {
    let (whole, _) = samples::bundle();
    let mut d = Draw::new(bytes);
    let step = 1 + d.below(300);
    let mut file = whole.clone();
    for _ in 0..=d.below(4) {
        let at = d.below(file.len().max(1));
        match d.byte() % 6 {
            0 => file[at] ^= 1 << (d.byte() % 8),
            1 => file.truncate(at),
            2 => {
                let more = d.bytes().to_vec();
                file.splice(at..at, more);
            }
            3 => {
                let to = (at + d.below(64)).min(file.len());
                file.drain(at..to);
            }
            4 => {
                let n = d.below(200).min(file.len() - at);
                let piece = file[at..at + n].to_vec();
                let to = d.below(file.len());
                file.splice(to..to, piece);
            }
            _ => {
                let with = d.bytes();
                let n = with.len().min(file.len() - at);
                file[at..at + n].copy_from_slice(&with[..n]);
            }
        }
        if file.is_empty() {
            break;
        }
    }
    for (bytes, good) in [(file.as_slice(), file == whole), (bytes, bytes == whole.as_slice())] {
        let mut held = false;
        let cost = peak(|| held = read(bytes, step));
        assert!(cost <= TIMES * bytes.len() + CONSTANT, "{cost} bytes held for {}", bytes.len());
        assert_eq!(held, good, "a file that differs was read, or a good one was not");
    }
}

/// The frames of the honest bundle of a world, up or down.
fn honest(world: &World, down: bool) -> Vec<Vec<u8>> {
    let (mut from, to) = if down { (world.upper(), world.lower()) } else { (world.lower(), world.upper()) };
    let target = Target::Device(to.device());
    // A branch that has just joined: the relay does not know it yet, and the branch only its relay.
    let plan = Plan::of(&from.engine, target, &[to.device()], world.now);
    let Ok(plan) = plan else { return Vec::new() };
    let mut parcel = plan.parcel(&mut from.env(), true).unwrap();
    let mut out = Vec::new();
    while let Some(frame) = parcel.next(&from.store).unwrap() {
        out.push(frame.encode());
    }
    out
}

/// Frames of an honest bundle and of a session left out, repeated, swapped and altered, taken in by the other end.
pub fn taken(bytes: &[u8]) {
    let mut d = Draw::new(bytes);
    let world = &worlds()[d.below(worlds().len())];
    let down = d.byte() % 2 == 1;
    let right = honest(world, down);
    let (mut victim, peer) =
        if down { (world.lower(), world.upper().device()) } else { (world.upper(), world.lower().device()) };
    let said = if down { &world.down } else { &world.up };
    let held = victim.held();
    let (_, mut header) = samples::bundle();
    (header.sender, header.down, header.created) = (peer, down, world.now);
    let mut taking = Taking::new(&header);
    let (mut next, mut steps, mut refused, mut straight) = (0, 0, None, true);
    let empty = d.is_empty();
    while refused.is_none() && steps < STEPS_MAX && (next < right.len() || !d.is_empty()) {
        steps += 1;
        let choice = d.byte() % 16;
        straight &= choice < 11;
        let frame = match choice {
            0..=10 => right.get(next).cloned(),
            11 => right.get(d.below(right.len().max(1))).cloned(),
            12 => said.get(d.below(said.len().max(1))).map(|(_, bytes)| bytes.clone()),
            13 => right.get(next).cloned().map(|mut frame| {
                let at = d.below(frame.len());
                frame[at] ^= 1 << (d.byte() % 8);
                frame
            }),
            14 => Some(d.bytes().to_vec()),
            _ => None,
        };
        next += usize::from(choice < 11 || choice == 13 || choice == 15);
        if let Some(frame) = frame {
            refused = taking.take(&mut victim.env(), &frame).err();
        }
    }
    let ended = match refused {
        Some(e) => Err(e),
        None => taking.finish(&mut victim.env()),
    };
    if straight && !right.is_empty() {
        assert!(ended.is_ok(), "an honest bundle was refused: {ended:?} (empty input: {empty})");
    }
    let now = victim.held();
    assert!(now.is_superset(&held), "a commit is lost");
    assert!(now.is_subset(&world.known), "a commit is held that nobody made");
    if down {
        let spaces = victim.store.tips().unwrap();
        assert!(spaces.keys().all(|s| world.shared.contains(&s.unit)), "a branch holds a unit outside its line");
    }
    let mut rng = Count(9);
    let again = sampan_core::engine::Engine::open(
        &mut victim.store.clone(),
        victim.engine.org(),
        victim.engine.key().clone(),
        std::sync::Arc::new(sampan_core::pack::Stored),
        &mut rng,
    );
    assert_eq!(again.unwrap().charter(), victim.engine.charter(), "the engine is what its store says");
}
