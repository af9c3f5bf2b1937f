//! Who a bundle is for, and what goes into it.
//!
//! It does not: encrypt or write (`format`), or decide what two ends share (`scope`).
//!
//! Invariants: a commit goes in only if every receiver shares its space with the sender; what is left out, each
//! receiver said itself that it holds: in its own last bundle, or in a signed acknowledgement. Causes come before
//! what builds on them, so that no part of one bundle waits for another part of it.

use super::keys::BoxKey;
use super::{Held, held_by};
use crate::charter::{Charter, Right, Roles};
use crate::engine::Engine;
use crate::file::chunks_of;
use crate::frontier::SpaceTips;
use crate::id::{DeviceId, Flow, LogId, SpaceId, UnitId};
use crate::limits::{
    ACK_LEAVES_MAX, BUNDLE_FILES_BYTES_MAX, BUNDLE_RECEIVERS_MAX, FILES_NAMED_MAX, FRAME_BYTES_MAX, FRAME_ENTRIES_MAX,
    FRAME_PAYLOAD_BYTES_MAX, FRAME_SPACES_MAX, TURN_REGISTERS_MAX,
};
use crate::scope::{Shared, Side};
use crate::shelf::{FileKey, Shelved};
use crate::store::{CommitKey, CommitRow, Store, StoreError};
use crate::sync::{Env, Role, door, registers};
use crate::time::Millis;
use crate::wire;
use crate::wire::frame::{
    Announce, FileSaid, FileWord, Frame, Hello, Mark, PROTOCOL, PROTOCOL_COLUMNS, PROTOCOL_FILES, ScopeDigests,
    SpaceFrontier,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Whom a person means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// The nearest relay above this device.
    Above,
    /// A unit.
    Unit(UnitId),
    /// One device.
    Device(DeviceId),
}

/// Why there is nobody to make a bundle for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// Nothing is above: this is the root's relay, or no relay is known.
    #[error("no relay above this device is known")]
    NothingAbove,
    /// The unit has neither a device nor an open ticket that this one may write to.
    #[error("nobody of unit {0} can receive a bundle from here")]
    NoReceiver(UnitId),
    /// A device that is neither above nor below this one, or whose rights have ended.
    #[error("device {0} shares nothing with this one")]
    NotRelated(DeviceId),
    /// More than fit.
    #[error("unit {0} has more than BUNDLE_RECEIVERS_MAX devices")]
    TooMany(UnitId),
}

/// One who can open the bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receiver {
    /// The device, or the key of a ticket that no device has used yet.
    pub key: DeviceId,
    /// Whether it is a ticket.
    pub ticket: bool,
    /// What the content key is wrapped for.
    pub box_key: BoxKey,
    side: Side,
}

/// Who a bundle is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Whether it goes down.
    pub down: bool,
    /// The unit that it is for, where it is known.
    pub unit: Option<UnitId>,
    /// Who can open it.
    pub receivers: Vec<Receiver>,
}

impl Plan {
    /// Who receives a bundle for a target. `named`: those that the ticket names, for a device that has no
    /// charter yet (see [`named_by_ticket`]).
    ///
    /// # Errors
    /// [`PlanError`].
    pub fn of(engine: &Engine, target: Target, named: &[DeviceId], now: Millis) -> Result<Self, PlanError> {
        let known = Known { charter: engine.charter(), levels: engine.levels(), me: engine.device(), now };
        if engine.is_blank() {
            let chosen = |device: &&DeviceId| match target {
                Target::Device(one) => one == **device,
                Target::Above | Target::Unit(_) => true,
            };
            let receivers = named.iter().filter(chosen).filter_map(|d| known.receiver(*d, Side::default()));
            let receivers: Vec<_> = receivers.take(BUNDLE_RECEIVERS_MAX).collect();
            if receivers.is_empty() {
                return Err(PlanError::NothingAbove);
            }
            return Ok(Self { down: false, unit: None, receivers });
        }
        match target {
            Target::Above => known.above(),
            Target::Unit(unit) => known.unit(unit),
            Target::Device(device) => known.device(device),
        }
    }

    /// What goes in. `whole`: also what the receivers said that they hold.
    ///
    /// Makes the acknowledgements that are due, which is the one thing that it writes.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn parcel(&self, env: &mut Env<'_>, whole: bool) -> Result<Parcel, StoreError> {
        let me = Side::of(env.engine.charter(), &env.engine.device());
        let shared_with = |receiver: &Receiver| {
            let (lower, upper) = if self.down { (&receiver.side, &me) } else { (&me, &receiver.side) };
            Shared::of(env.engine.charter(), env.engine.levels(), lower, upper)
        };
        let shared: Vec<Shared> = self.receivers.iter().map(shared_with).collect();
        let spaces = common(env.engine, &shared);
        let same = shared.windows(2).all(|w| w[0] == w[1]);
        let digests = match shared.first() {
            Some(s) if same => s.digests(env.engine.charter(), env.engine.holdings()),
            Some(_) | None => ScopeDigests::default(),
        };
        let mut out = Parcel { pieces: VecDeque::new(), totals: Announce::default(), files: 0 };
        out.frame(Frame::Hello(Box::new(self.hello(env, digests)?)));
        let listed: Vec<SpaceFrontier> =
            spaces.iter().filter_map(|s| env.engine.holdings().tips(s).map(|t| SpaceFrontier::of(*s, t))).collect();
        let size = |s: &SpaceFrontier| 32 + s.logs.iter().map(|l| 56 + 34 * l.tips.len()).sum::<usize>();
        for some in in_parts(listed, FRAME_SPACES_MAX, size) {
            out.frame(Frame::Frontier(some));
        }
        let rows = self.missing(env, &spaces, whole)?;
        for (_, row) in &rows {
            out.totals.commits += 1;
            out.totals.entries += u64::from(row.entries);
            out.totals.bytes += u64::from(row.bytes);
        }
        out.frame(Frame::Announce(out.totals));
        out.commits(rows);
        for some in in_parts(self.registers(env, &me)?, TURN_REGISTERS_MAX, |r| r.bytes.len() + 72) {
            out.frame(Frame::Registers(some));
        }
        if self.down {
            self.acks(env, &me, &mut out)?;
        }
        self.files(env, &spaces, whole, &mut out)?;
        let frames = out.pieces.len() as u64;
        out.frame(Frame::Mark(Mark { number: 1, frames, digests, answer: false, clock: env.now }));
        Ok(out)
    }

    /// Files that records in these spaces name: those that a receiver was not known to have, the smallest first, and
    /// word of all that are here.
    fn files(
        &self,
        env: &Env<'_>,
        spaces: &BTreeSet<SpaceId>,
        whole: bool,
        out: &mut Parcel,
    ) -> Result<(), StoreError> {
        let Some(shelf) = env.store.shelf() else { return Ok(()) };
        let mut lacking: BTreeSet<(u64, FileKey)> = BTreeSet::new();
        let goes = |file: &Shelved| file.spaces.iter().any(|s| spaces.contains(s));
        for receiver in &self.receivers {
            let files = if whole { shelf.whole()? } else { shelf.untold(&receiver.key)? };
            lacking.extend(files.into_iter().filter(goes).map(|f| (f.key.size, f.key)));
        }
        let held: Vec<FileSaid> =
            shelf.whole()?.into_iter().filter(goes).map(|f| FileSaid { key: f.key, word: FileWord::Held }).collect();
        for some in held.chunks(FILES_NAMED_MAX) {
            out.frame(Frame::FileAnswer(some.to_vec()));
        }
        let mut bytes = 0_u64;
        for (size, key) in lacking {
            bytes = bytes.saturating_add(size);
            if bytes > BUNDLE_FILES_BYTES_MAX {
                break;
            }
            out.files += 1;
            out.pieces.push_back(Piece::Hashes(key));
            out.pieces.extend((0..chunks_of(size)).map(|index| Piece::Chunk(key, index)));
        }
        if out.files > 0
            && let Some(Piece::Frame(Frame::Hello(hello))) = out.pieces.front_mut()
        {
            // An older version is told that it needs a newer one, instead of finding frames that it cannot read.
            hello.version_min = PROTOCOL_FILES;
        }
        Ok(())
    }

    fn hello(&self, env: &mut Env<'_>, digests: ScopeDigests) -> Result<Hello, StoreError> {
        let engine = &env.engine;
        Ok(Hello {
            version_min: PROTOCOL_COLUMNS,
            version_max: PROTOCOL,
            org: engine.org(),
            device: engine.device(),
            units: engine.joined_units(env.store)?,
            tree_number: 0,
            schema_version: engine.schema().map_or(0, |s| s.version),
            clock: env.now,
            epoch: engine.epoch(),
            digests,
            frontier: None,
            chain: if self.down { Vec::new() } else { engine.chains(env.store)? },
            // Whoever carries a file has chosen whom to carry it to.
            fallback: true,
            acks: None,
            registers: None,
        })
    }

    /// The commits of these spaces that some receiver lacks: charters first, each in the order of storage.
    fn missing(
        &self,
        env: &mut Env<'_>,
        spaces: &BTreeSet<SpaceId>,
        whole: bool,
    ) -> Result<Vec<(SpaceId, CommitRow)>, StoreError> {
        let mut said = Vec::new();
        for receiver in &self.receivers {
            said.push(if whole { Said::default() } else { Said::read(env.store, receiver, self.down)? });
        }
        let mut rows: BTreeMap<(u8, CommitKey), (SpaceId, CommitRow)> = BTreeMap::new();
        for space in spaces {
            let Some(tips) = env.engine.holdings().tips(space) else { continue };
            for ((device, incarnation), _) in tips.logs() {
                let log = LogId { space: *space, device: *device, incarnation: *incarnation };
                for said in &said {
                    let have = said.held.get(space).map(|t| t.tips(*device, *incarnation)).unwrap_or_default();
                    let through = said.through(space);
                    for row in env.store.missing(&log, &have)?.into_iter().filter(|r| r.key > through) {
                        rows.insert((order(space.flow), row.key), (*space, row));
                    }
                }
            }
        }
        Ok(rows.into_values().collect())
    }

    fn registers(&self, env: &Env<'_>, me: &Side) -> Result<Vec<crate::register::SignedRegister>, StoreError> {
        let charter = env.engine.charter();
        let role = if self.down { Role::Upper } else { Role::Lower };
        let wanted = |signed: &crate::register::SignedRegister| {
            self.receivers.iter().all(|r| {
                let lower = if self.down { &r.side } else { me };
                registers::concerns(charter, role, lower, signed)
                    && (self.down || env.engine.figure_reaches(&r.side, signed))
            })
        };
        Ok(env.store.registers(0)?.into_iter().map(|(_, signed)| signed).filter(wanted).collect())
    }

    /// Statements of what is held of the receivers' units: this relay's, made now, and those from above.
    fn acks(&self, env: &mut Env<'_>, me: &Side, out: &mut Parcel) -> Result<(), StoreError> {
        let charter = env.engine.charter();
        let mut units = BTreeSet::new();
        for (space, _) in env.engine.holdings().spaces().filter(|(s, _)| s.flow == Flow::Up) {
            if self.receivers.iter().all(|r| r.side.covers(charter, &space.unit)) {
                units.insert(space.unit);
            }
        }
        let mut by_relay: BTreeMap<UnitId, Vec<UnitId>> = BTreeMap::new();
        for unit in &units {
            if let Some(relay) = charter.chain(unit).map(|u| u.id).find(|u| me.relay_units.contains(u)) {
                by_relay.entry(relay).or_default().push(*unit);
            }
        }
        for (relay, units) in &by_relay {
            for some in units.chunks(ACK_LEAVES_MAX) {
                env.engine.acknowledge(env.store, *relay, &some.iter().copied().collect(), env.now)?;
            }
        }
        let mut sets = Vec::new();
        for unit in &units {
            sets.extend(env.engine.acks_for(env.store, unit)?.into_iter().map(|(_, _, set)| set));
        }
        sets.chunks(FRAME_SPACES_MAX).for_each(|c| out.frame(Frame::Acks(c.to_vec())));
        Ok(())
    }
}

/// Whom a device that has only a ticket can write to: who issued the ticket, an admin of its unit or above, and
/// the nearest relay that it names.
///
/// # Errors
/// [`StoreError`].
pub fn named_by_ticket(
    engine: &Engine,
    store: &dyn Store,
    first_relay: Option<DeviceId>,
) -> Result<Vec<DeviceId>, StoreError> {
    // Joining writes the grant and then the enrolment, for each ticket.
    let grants = engine.chains(store)?.into_iter().step_by(2).flat_map(|g| g.headers);
    let issuers = grants.filter_map(|h| h.trust().ok()).map(|h| h.header().device);
    let mut out: Vec<DeviceId> = issuers.chain(first_relay).collect();
    out.sort_unstable();
    out.dedup();
    Ok(out)
}

/// Cuts a list into parts that fit a frame each: at most so many things, and half a frame by this size.
fn in_parts<T>(list: Vec<T>, most: usize, size: impl Fn(&T) -> usize) -> Vec<Vec<T>> {
    let mut out: Vec<Vec<T>> = Vec::new();
    let mut bytes = 0;
    for thing in list {
        bytes += size(&thing);
        match out.last_mut().filter(|part| part.len() < most && bytes <= FRAME_BYTES_MAX / 2) {
            Some(part) => part.push(thing),
            None => {
                bytes = size(&thing);
                out.push(vec![thing]);
            }
        }
    }
    out
}

/// Spaces that every receiver shares with this device and that hold something.
fn common(engine: &Engine, shared: &[Shared]) -> BTreeSet<SpaceId> {
    let charter = engine.charter();
    let Some((first, others)) = shared.split_first() else { return BTreeSet::new() };
    let all = first.spaces(charter, engine.holdings()).into_iter();
    all.filter(|space| others.iter().all(|s| s.contains(charter, space))).collect()
}

/// What a receiver said that it holds.
#[derive(Debug, Default)]
struct Said {
    held: BTreeMap<SpaceId, SpaceTips>,
    acked: BTreeMap<UnitId, (u8, CommitKey)>,
}

impl Said {
    fn read(store: &dyn Store, receiver: &Receiver, down: bool) -> Result<Self, StoreError> {
        let mut out = Self::default();
        if let Some(bytes) = store.meta(&held_by(&receiver.key))? {
            let held: Held =
                wire::decode("what a neighbour holds", &bytes).map_err(|e| StoreError::Damaged(e.to_string()))?;
            out.held = held.spaces.iter().map(|s| (s.space, s.tips())).collect();
        }
        if !down {
            let rows = store.acks(None)?.into_iter().filter(|a| a.relay == receiver.key);
            out.acked = rows.map(|a| (a.leaf.unit, (a.level, a.through))).collect();
        }
        Ok(out)
    }

    /// Up to where an acknowledgement covers a space.
    fn through(&self, space: &SpaceId) -> CommitKey {
        let acked = self.acked.get(&space.unit).filter(|(level, _)| space.flow == Flow::Up && space.reach <= *level);
        acked.map(|(_, through)| *through).unwrap_or_default()
    }
}

/// Charters before what they judge; directives before the backlog.
fn order(flow: Flow) -> u8 {
    match flow {
        Flow::Charter => 0,
        Flow::Down => 1,
        Flow::Up | Flow::Group | Flow::Local | Flow::Inbox => 2,
    }
}

/// What a plan looks at.
struct Known<'a> {
    charter: &'a Charter,
    levels: &'a [String],
    me: DeviceId,
    now: Millis,
}

impl Known<'_> {
    fn mine(&self) -> Side {
        Side::of(self.charter, &self.me)
    }

    fn receiver(&self, key: DeviceId, side: Side) -> Option<Receiver> {
        let named = self.charter.box_key(&key).map(BoxKey);
        Some(Receiver { key, ticket: false, box_key: named.or_else(|| BoxKey::of_signer(&key))?, side })
    }

    /// A device that a relay would let in.
    fn welcome(&self, device: &DeviceId) -> bool {
        *device != self.me && door::judge_rights(self.charter, *device, self.now).is_none()
    }

    /// Devices with a right on exactly this unit, that has these roles.
    fn devices(&self, unit: &UnitId, roles: Roles) -> BTreeSet<DeviceId> {
        let here = |r: &Right| r.unit == *unit && r.roles.contains(roles);
        let all = self.charter.all_rights().filter(|(d, r)| here(r) && self.welcome(d)).map(|(d, _)| *d);
        all.filter(|d| self.charter.rights(d).any(here)).collect()
    }

    fn ended(&self, until: Option<Millis>) -> bool {
        until.is_some_and(|u| u < self.now) && !self.now.is_unset()
    }

    /// Tickets for exactly this unit that a device may still use.
    fn tickets(&self, unit: &UnitId, roles: Roles) -> Vec<Receiver> {
        let open = self.charter.tickets().filter(|(key, t)| {
            let r = &t.right;
            let over = self.ended(t.use_by) || self.ended(r.until) || self.charter.revoked(key).is_some();
            r.unit == *unit && r.roles.contains(roles) && t.used_by.is_none() && !over
        });
        open.filter_map(|(key, t)| {
            let box_key = BoxKey::of_signer(key)?;
            Some(Receiver { key: *key, ticket: true, box_key, side: Side::of_rights([&t.right]) })
        })
        .collect()
    }

    /// The nearest unit, from one upward, that has a relay other than this device; `own` is passed over.
    fn nearest_relay(&self, unit: &UnitId, own: &BTreeSet<UnitId>) -> Option<(UnitId, BTreeSet<DeviceId>)> {
        let units = self.charter.chain(unit).map(|u| u.id).filter(|u| !own.contains(u));
        units.map(|u| (u, self.devices(&u, Roles::RELAY))).find(|(_, relays)| !relays.is_empty())
    }

    fn above(&self) -> Result<Plan, PlanError> {
        let mine = self.mine();
        let mut found: Vec<_> = mine.all().iter().filter_map(|u| self.nearest_relay(u, &mine.relay_units)).collect();
        // With several units the nearest of all: the deepest.
        found.sort_by_key(|(u, _)| std::cmp::Reverse(self.charter.unit(u).map_or(0, |u| u.depth)));
        let (unit, relays) = found.into_iter().next().ok_or(PlanError::NothingAbove)?;
        self.up(unit, &relays)
    }

    fn up(&self, unit: UnitId, relays: &BTreeSet<DeviceId>) -> Result<Plan, PlanError> {
        let mine = self.mine();
        let receivers = relays.iter().filter_map(|d| self.receiver(*d, Side::of(self.charter, d)));
        let receivers: Vec<_> =
            receivers.filter(|r| !Shared::of(self.charter, self.levels, &mine, &r.side).data.is_empty()).collect();
        self.plan(false, unit, receivers)
    }

    fn plan(&self, down: bool, unit: UnitId, receivers: Vec<Receiver>) -> Result<Plan, PlanError> {
        match receivers.len() {
            0 => Err(PlanError::NoReceiver(unit)),
            n if n > BUNDLE_RECEIVERS_MAX => Err(PlanError::TooMany(unit)),
            _ => Ok(Plan { down, unit: Some(unit), receivers }),
        }
    }

    fn unit(&self, unit: UnitId) -> Result<Plan, PlanError> {
        let mine = self.mine();
        let serves = self.charter.chain(&unit).any(|u| mine.relay_units.contains(&u.id));
        if !serves {
            // One above us: its relays, or those of the nearest above it.
            let (unit, relays) = self.nearest_relay(&unit, &mine.relay_units).ok_or(PlanError::NoReceiver(unit))?;
            return self.up(unit, &relays);
        }
        // A unit with a relay is served by it; one without, or our own, device by device.
        let relays = self.devices(&unit, Roles::RELAY);
        let own = mine.relay_units.contains(&unit);
        let roles = if relays.is_empty() || own { Roles::NONE } else { Roles::RELAY };
        let devices = self.devices(&unit, roles).into_iter();
        let mut receivers: Vec<_> = devices.filter_map(|d| self.receiver(d, Side::of(self.charter, &d))).collect();
        receivers.extend(self.tickets(&unit, roles));
        self.plan(true, unit, receivers)
    }

    fn device(&self, device: DeviceId) -> Result<Plan, PlanError> {
        if !self.welcome(&device) {
            return Err(PlanError::NotRelated(device));
        }
        let (mine, side) = (self.mine(), Side::of(self.charter, &device));
        let receiver = self.receiver(device, side.clone()).ok_or(PlanError::NotRelated(device))?;
        let shares = |lower, upper| !Shared::of(self.charter, self.levels, lower, upper).data.is_empty();
        let unit = side.all().into_iter().next();
        if shares(&side, &mine) {
            Ok(Plan { down: true, unit, receivers: vec![receiver] })
        } else if shares(&mine, &side) {
            Ok(Plan { down: false, unit, receivers: vec![receiver] })
        } else {
            Err(PlanError::NotRelated(device))
        }
    }
}

/// What goes into a bundle, frame by frame.
#[derive(Debug)]
pub struct Parcel {
    pieces: VecDeque<Piece>,
    /// Commits, entries and bytes of packs in it.
    pub totals: Announce,
    /// Files in it.
    pub files: u64,
}

/// What one frame is made of, when it is asked for.
#[derive(Debug)]
enum Piece {
    Frame(Frame),
    Commits(Vec<(SpaceId, Vec<CommitKey>)>),
    Hashes(FileKey),
    Chunk(FileKey, u32),
}

/// A file went while the bundle was written.
fn gone(key: &FileKey) -> StoreError {
    StoreError::Io(format!("the file {} went while the bundle was made; make it again", key.address))
}

impl Parcel {
    fn frame(&mut self, frame: Frame) {
        self.pieces.push_back(Piece::Frame(frame));
    }

    /// Commits in this order, as many a frame as a session would send.
    fn commits(&mut self, rows: Vec<(SpaceId, CommitRow)>) {
        let mut runs: Vec<(SpaceId, Vec<CommitKey>)> = Vec::new();
        let (mut entries, mut bytes, mut charter) = (0u32, 0u32, true);
        for (space, row) in rows {
            let fits = entries + row.entries <= FRAME_ENTRIES_MAX && bytes + row.bytes <= FRAME_PAYLOAD_BYTES_MAX;
            // Charters in frames of their own: what they judge comes after.
            let same = charter == (space.flow == Flow::Charter);
            let full = !(fits && same);
            if full && !runs.is_empty() {
                self.pieces.push_back(Piece::Commits(std::mem::take(&mut runs)));
                (entries, bytes) = (0, 0);
            }
            charter = space.flow == Flow::Charter;
            match runs.last_mut() {
                Some((s, keys)) if *s == space => keys.push(row.key),
                Some(_) | None => runs.push((space, vec![row.key])),
            }
            entries += row.entries;
            bytes += row.bytes;
        }
        if !runs.is_empty() {
            self.pieces.push_back(Piece::Commits(runs));
        }
    }

    /// The next frame; `None` at the end.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn next(&mut self, store: &dyn Store) -> Result<Option<Frame>, StoreError> {
        match self.pieces.pop_front() {
            None => Ok(None),
            Some(Piece::Frame(frame)) => Ok(Some(frame)),
            Some(Piece::Hashes(key)) => {
                let hashes = store.shelf().map(|s| s.hashes(&key)).transpose()?.flatten();
                Ok(Some(Frame::FileHashes { key, hashes: hashes.ok_or_else(|| gone(&key))? }))
            }
            Some(Piece::Chunk(key, index)) => {
                let bytes = store.shelf().map(|s| s.chunk(&key, index)).transpose()?.flatten();
                Ok(Some(Frame::FileChunk { key, index, bytes: bytes.ok_or_else(|| gone(&key))? }))
            }
            Some(Piece::Commits(runs)) => {
                let mut groups = Vec::new();
                for (space, keys) in runs {
                    groups.extend(store.groups(&space, &keys)?);
                }
                Ok(Some(Frame::Commits { after: 0, groups }))
            }
        }
    }
}
