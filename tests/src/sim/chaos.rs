//! What breaks: one fault after the other, of the kinds that the seed has switched on.
//!
//! It does not: break a promise itself; where a fault takes whole disks, it tells the ledger what that
//! excuses, and nothing else is excused.
//!
//! Invariants: every fault is counted where it takes hold, not where it is planned.

use super::fault::FaultKind;
use super::machine::{Machine, STORE};
use super::world::{Happening, World};
use crate::disk::{Crash, Disk, Fault, Step};
use sampan_core::charter::Op;
use sampan_node::replica::Replica;

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
/// Copies of a disk that one world makes at most: each is a node more.
const CLONES_MAX: usize = 4;

impl World {
    /// Breaks something, and plans the next.
    pub(super) fn break_something(&mut self) {
        let most = self.options.breaks_max.unwrap_or(u64::MAX);
        if self.healed || self.breaks >= most {
            return;
        }
        self.breaks += 1;
        let after = self.chaos.around(self.shape.fault_every).max(1);
        self.at(after, Happening::Break);
        let kinds: Vec<FaultKind> = self.faults.kinds().collect();
        let Some(kind) = self.chaos.pick(&kinds).copied() else { return };
        let n = self.chaos.between(0, self.machines.len() as u64 - 1) as usize;
        self.inflict(kind, n);
    }

    fn inflict(&mut self, kind: FaultKind, n: usize) {
        let name = self.machines[n].name.clone();
        let fired = match kind {
            FaultKind::Loss
            | FaultKind::BurstLoss
            | FaultKind::Duplication
            | FaultKind::Reordering
            | FaultKind::Delay
            | FaultKind::SlowDisk => return,
            FaultKind::Flapping => {
                let for_ms = self.chaos.between(1_000, 12_000);
                self.cut(n, for_ms, true)
            }
            FaultKind::OneWay => {
                let for_ms = self.chaos.around(10 * MINUTE);
                self.cut(n, for_ms, false)
            }
            FaultKind::Outage => {
                let mean = if self.chaos.chance(200) { 30 * DAY } else { 5 * HOUR };
                let for_ms = self.chaos.around(mean).min(90 * DAY).min(self.shape.lasts / 2);
                self.cut(n, for_ms, true)
            }
            FaultKind::HalfOpen => self.half_open(n),
            FaultKind::Kill => self.stop(n, |d| d.restart()),
            FaultKind::PowerLoss => {
                let crash =
                    if self.chaos.chance(500) { Crash::DropUnsynced } else { Crash::RandomSubset(self.chaos.bits()) };
                self.stop(n, move |d| d.crash(crash))
            }
            FaultKind::TornWrite => {
                let seed = self.chaos.bits();
                self.stop(n, move |d| d.crash(Crash::TornSector(seed)))
            }
            FaultKind::CrashInTransaction => {
                let step = Step::Any(self.chaos.between(1, 60));
                let fault = if self.chaos.chance(700) { Fault::PowerOffBefore } else { Fault::PowerOffAfter };
                let m = &self.machines[n];
                if m.runs() {
                    m.disk.fail_at(step, fault);
                    self.wake(n);
                }
                self.machines[n].runs()
            }
            FaultKind::CrashAtStart => {
                let stopped = self.stop(n, |d| d.restart());
                let step = Step::Any(self.chaos.between(1, 12));
                self.machines[n].disk.fail_at(step, Fault::PowerOffBefore);
                stopped
            }
            FaultKind::Pause => {
                let until = self.now + self.chaos.around(10 * MINUTE);
                match self.machines[n].process.as_mut() {
                    Some(p) => {
                        p.sleeps_until = until;
                        true
                    }
                    None => false,
                }
            }
            FaultKind::BitRot => self.rot(n),
            FaultKind::DiskFull => {
                let room = self.machines[n].disk.bytes() + self.chaos.between(0, 30_000);
                self.machines[n].disk.set_capacity(Some(room));
                let for_ms = self.chaos.around(2 * HOUR);
                self.at(for_ms, Happening::DiskWell(n));
                true
            }
            FaultKind::IoError => {
                let step = Step::Any(self.chaos.between(1, 20));
                let good = self.chaos.chance(300);
                let fault = if good { Fault::IoErrorForGood } else { Fault::IoError };
                self.machines[n].disk.fail_at(step, fault);
                let for_ms = self.chaos.around(HOUR);
                self.at(for_ms, Happening::DiskWell(n));
                self.machines[n].runs()
            }
            FaultKind::ClockJump => {
                let far = self.chaos.between(1, 400 * DAY) as i64;
                let off = if self.chaos.chance(500) { far } else { -far };
                self.machines[n].clock.set_off(off);
                true
            }
            FaultKind::Clock1970 => {
                self.machines[n].clock.set_off(-(super::machine::EPOCH_MS as i64) - self.now as i64);
                true
            }
            FaultKind::Clock2099 => {
                self.machines[n].clock.set_off(73 * 365 * DAY as i64);
                true
            }
            FaultKind::ClockBack => {
                let back = self.chaos.between(HOUR, 30 * DAY) as i64;
                let off = self.machines[n].clock.off() - back;
                let stopped = self.stop(n, |d| d.restart());
                self.machines[n].clock.set_off(off);
                stopped
            }
            FaultKind::Clone => self.copy(n, false),
            FaultKind::CloneSameBoot => self.copy(n, true),
            FaultKind::RestoreBranch => !self.spec(n).relay && self.back_up(n),
            FaultKind::RestoreRelay => self.spec(n).relay && self.back_up(n),
            FaultKind::RelayLost => n != 0 && self.spec(n).relay && self.lose(n),
            FaultKind::NewSchema => self.new_schema(),
            FaultKind::Revoked => self.revoke(n),
            FaultKind::Lost => self.lose_device(n),
            FaultKind::Narrowed => self.narrow(n),
            FaultKind::Judged => self.judge_laid(n),
            FaultKind::Carried => self.carry_bundle(n),
            FaultKind::Succeeded => self.succeed(),
            FaultKind::Erased => self.erase(),
            FaultKind::Deposited | FaultKind::Ended => self.end_with_unsent(n, kind),
            FaultKind::HostileWithhold
            | FaultKind::HostileReplay
            | FaultKind::HostileReorder
            | FaultKind::HostileStale
            | FaultKind::HostileNoRight
            | FaultKind::HostileFork
            | FaultKind::HostileFlood
            | FaultKind::HostileChange
            | FaultKind::HostileBeacon
            | FaultKind::HostileFile => {
                self.turn_hostile(kind, n);
                return;
            }
        };
        if fired {
            self.faults.fired(kind);
            self.say(&format!("{} at {name}", kind.word()));
        }
    }

    /// The path of a machine's link is cut for a time, in both directions or in one.
    fn cut(&mut self, n: usize, for_ms: u64, both: bool) -> bool {
        let Some(link) = self.lower_link(n) else { return false };
        let upper = self.links[link].nodes[1];
        let now = self.now;
        let way = self.chaos.between(0, 1) as usize;
        let path = self.path(n, upper);
        path.dead_until[way] = path.dead_until[way].max(now + for_ms);
        if both {
            path.dead_until[1 - way] = path.dead_until[1 - way].max(now + for_ms);
        }
        if for_ms > super::net::IDLE_MS {
            let (a, b) = (self.chaos.between(0, 30_000), self.chaos.between(0, 30_000));
            self.at(a, Happening::Lost { link, end: 0 });
            self.at(b, Happening::Lost { link, end: 1 });
        }
        true
    }

    /// The road of a machine's link is closed for a time; whoever has none now meets others as it likes.
    pub(super) fn close_road(&mut self, n: usize, for_ms: u64) {
        self.cut(n, for_ms, true);
    }

    fn half_open(&mut self, n: usize) -> bool {
        let Some(link) = self.lower_link(n) else { return false };
        let end = self.chaos.between(0, 1) as usize;
        let later = self.chaos.between(1, super::net::IDLE_MS);
        self.at(later, Happening::Lost { link, end: 1 - end });
        self.lost(link, end);
        true
    }

    /// Stops a machine; `leave` says what its disk keeps.
    fn stop(&mut self, n: usize, leave: impl Fn(&Disk)) -> bool {
        if !self.machines[n].runs() {
            return false;
        }
        let down = self.chaos.around(20 * MINUTE);
        if self.chaos.chance(300) {
            self.machines[n].reboot();
        }
        self.died(n, down);
        leave(&self.machines[n].disk);
        true
    }

    /// A bit turns. The operator finds out when the machine is checked, and puts an empty disk in.
    fn rot(&mut self, n: usize) -> bool {
        // The city's own disk is the last to hold some of it; losing it is another story.
        if n == 0 || self.exempt[n] || !self.stop(n, |d| d.restart()) {
            return false;
        }
        let seed = self.chaos.bits();
        if self.machines[n].disk.flip_bit(STORE, seed).is_none() {
            return false;
        }
        // Whatever it says from now on promises nothing, and must not harm anybody else.
        self.exempt[n] = true;
        self.ledger.may_fork.insert(self.machines[n].device);
        self.ledger.forget(n);
        true
    }

    /// A copy of a disk begins to live beside it, with the same key.
    fn copy(&mut self, n: usize, same_boot: bool) -> bool {
        let clones = self.machines.len() - self.shape.nodes.len();
        if n == 0 || self.exempt[n] || clones >= CLONES_MAX || !self.machines[n].runs() || self.spec(n).relay {
            return false;
        }
        let image = self.machines[n].disk.snapshot();
        let index = self.machines.len();
        let name = format!("{}-copy{index}", self.machines[n].name);
        let key = self.machines[n].key.clone();
        let mut twin = Machine::new(self.seed, index, &name, key, self.world_clock());
        twin.disk = Disk::from_image(&name, &image);
        twin.file = self.machines[n].file.clone();
        twin.starts = 1;
        if same_boot {
            twin.facts = self.machines[n].facts;
        } else {
            twin.new_file();
        }
        self.ledger.may_fork.insert(twin.device);
        self.machines.push(twin);
        self.spec_of.push(self.spec_of[n]);
        self.exempt.push(false);
        let after = self.chaos.around(HOUR);
        self.at(after, Happening::Start(index));
        true
    }

    /// A copy is taken now and put back later.
    fn back_up(&mut self, n: usize) -> bool {
        if self.exempt[n] || !self.machines[n].runs() {
            return false;
        }
        let image = self.machines[n].disk.snapshot();
        let after = self.chaos.around(self.shape.lasts / 6);
        self.at(after, Happening::Restore(n, Box::new(image)));
        true
    }

    /// The copy of before is put in the place of everything.
    pub(super) fn restore(&mut self, n: usize, image: &crate::disk::Image) {
        if self.healed || self.exempt[n] {
            return;
        }
        let name = self.machines[n].name.clone();
        self.say(&format!("{name} gets its old backup back"));
        self.machines[n].disk.heal();
        let down = self.chaos.around(10 * MINUTE);
        if self.machines[n].runs() {
            self.died(n, down);
        }
        self.machines[n].disk.restore(image);
        self.machines[n].new_file();
        self.ledger.may_fork.insert(self.machines[n].device);
        self.ledger.restored(n);
    }

    /// A relay's disk is gone; it comes back empty.
    fn lose(&mut self, n: usize) -> bool {
        if self.exempt[n] || !self.machines[n].runs() {
            return false;
        }
        let down = self.chaos.around(2 * HOUR);
        self.died(n, down);
        self.machines[n].disk.lose();
        self.ledger.forget(n);
        true
    }

    /// The city publishes a newer schema.
    fn new_schema(&mut self) -> bool {
        let version = 2 + self.faults.counts().get(&FaultKind::NewSchema).copied().unwrap_or(0) as u32;
        let root = self.unit_ids.first().copied().unwrap_or_default();
        let text = self.schema().replace("version = 1", &format!("version = {version}"));
        let text = format!("{text}\n[collection.cards.field.extra{version}]\nkind = \"string\"\nmax = 50\n");
        let now = self.machines[0].clock.now();
        let Some(p) = self.machines[0].process.as_mut() else { return false };
        let Replica { store, engine, rng, .. } = &mut p.replica;
        let wrote = store.group(|s| engine.write_charter(s, rng, root, &[Op::Schema { version, text }], now));
        let wrote = wrote.is_ok();
        self.mend(0, wrote);
        wrote
    }

    /// A device loses its right; it may go on as it likes, and nobody takes it in.
    fn revoke(&mut self, n: usize) -> bool {
        if n == 0 || self.spec(n).relay || self.exempt[n] || self.chaos.chance(500) {
            return false;
        }
        let device = self.machines[n].device;
        let unit = self.unit_ids[self.spec(n).unit];
        let now = self.machines[0].clock.now();
        let Some(p) = self.machines[0].process.as_mut() else { return false };
        let Replica { store, engine, rng, .. } = &mut p.replica;
        let op = Op::Revoke { key: device, reason: "left".into() };
        let wrote = store.group(|s| engine.write_charter(s, rng, unit, &[op], now)).is_ok();
        self.mend(0, wrote);
        if wrote {
            for i in 0..self.machines.len() {
                if self.machines[i].device == device {
                    self.exempt[i] = true;
                }
            }
        }
        wrote
    }

    /// After a write of our own into a replica: what failed was rolled back, and the engine with it.
    pub(super) fn mend(&mut self, n: usize, wrote: bool) {
        if !wrote && let Some(p) = self.machines[n].process.as_mut() {
            let Replica { store, engine, .. } = &mut p.replica;
            // A disk that cannot be read either fails the next transaction, which says so.
            let _ = engine.reload(store);
        }
        if self.machines[n].disk.is_off() {
            let down = self.chaos.around(10 * MINUTE);
            self.died(n, down);
        } else {
            self.after_step(n);
            self.wake(n);
        }
    }
}
