//! The kinds of faults, and how often each fired.
//!
//! It does not: make them happen (`world` and its parts do).
//!
//! Invariants: a kind's number and name never change: shrunk runs and records name them.

use std::collections::BTreeSet;

macro_rules! faults {
    ($($(#[$doc:meta])* $name:ident = $word:literal,)*) => {
        /// One kind of fault.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum FaultKind { $($(#[$doc])* $name,)* }

        impl FaultKind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// Its name on the command line.
            #[must_use]
            pub fn word(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }
        }
    };
}

faults! {
    /// Packets are lost and sent again.
    Loss = "loss",
    /// Many packets in a row are lost.
    BurstLoss = "burst-loss",
    /// Packets arrive twice.
    Duplication = "duplication",
    /// Lanes overtake each other.
    Reordering = "reordering",
    /// Packets take seconds.
    Delay = "delay",
    /// One direction of a link is dead, and nobody is told.
    OneWay = "one-way",
    /// One end believes in a link that the other has given up.
    HalfOpen = "half-open",
    /// A link goes and comes every few seconds.
    Flapping = "flapping",
    /// No link for hours or months.
    Outage = "outage",
    /// A process is killed between two steps; what it wrote is there.
    Kill = "kill",
    /// A process dies in the middle of a transaction.
    CrashInTransaction = "crash-in-transaction",
    /// A process dies while it starts.
    CrashAtStart = "crash-at-start",
    /// The power goes: what was not synced is forgotten.
    PowerLoss = "power-loss",
    /// The power goes and the last write is torn.
    TornWrite = "torn-write",
    /// A machine sleeps and wakes.
    Pause = "pause",
    /// Bits of the disk turn.
    BitRot = "bit-rot",
    /// The disk is full for a while.
    DiskFull = "disk-full",
    /// Reads or writes of the disk fail now and then.
    IoError = "io-error",
    /// The disk takes seconds.
    SlowDisk = "slow-disk",
    /// A clock jumps by hours or days.
    ClockJump = "clock-jump",
    /// A clock shows 1970.
    Clock1970 = "clock-1970",
    /// A clock shows 2099.
    Clock2099 = "clock-2099",
    /// A clock goes back across a restart.
    ClockBack = "clock-back",
    /// Two replicas with one key.
    Clone = "clone",
    /// The same, also with one boot id and one machine id.
    CloneSameBoot = "clone-same-boot",
    /// A branch's old backup is restored.
    RestoreBranch = "restore-branch",
    /// A relay's old backup is restored.
    RestoreRelay = "restore-relay",
    /// A relay's disk is lost and refilled.
    RelayLost = "relay-lost",
    /// A newer schema is published and reaches some later than others.
    NewSchema = "new-schema",
    /// A device is revoked while it works.
    Revoked = "revoked",
    /// A relay keeps back what it should hand on.
    HostileWithhold = "hostile-withhold",
    /// A peer hands over again what it handed over before.
    HostileReplay = "hostile-replay",
    /// A peer hands frames over in another order.
    HostileReorder = "hostile-reorder",
    /// A relay serves a charter of before.
    HostileStale = "hostile-stale",
    /// A device writes where it may not.
    HostileNoRight = "hostile-no-right",
    /// A device forks its log on purpose.
    HostileFork = "hostile-fork",
    /// A peer sends far too much.
    HostileFlood = "hostile-flood",
    /// A rightful device sends every change that upsets Automerge.
    HostileChange = "hostile-change",
    /// A device is lost and cut off at what its relay or the city holds; whoever has it writes on.
    Lost = "lost",
    /// A device may only read from now on; what it had not sent lies outside.
    Narrowed = "narrowed",
    /// An operator releases or rejects what lies in the quarantine.
    Judged = "judged",
    /// A bundle is carried by hand, late, twice, or with a bit of it turned.
    Carried = "carried",
    /// The succession key names a new root key.
    Succeeded = "succeeded",
    /// A record is erased on request, while some edit it and others have not heard.
    Erased = "erased",
    /// A device is cut off with edits that it had not sent; it comes back later and hands them in.
    Deposited = "deposited",
    /// A device's right gets an end, which comes while clocks run; a month later its relay closes it.
    Ended = "ended",
    /// A relay shows beacons of before.
    HostileBeacon = "hostile-beacon",
    /// A peer alters what it gives of files, asks for files that are not its own, and speaks of such as nobody has.
    HostileFile = "hostile-file",
}

impl FaultKind {
    /// The kind of this name.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|k| k.word() == word)
    }
}

/// Which kinds a world has, and how often each fired.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Faults {
    on: BTreeSet<FaultKind>,
    fired: std::collections::BTreeMap<FaultKind, u64>,
}

impl Faults {
    /// These kinds.
    #[must_use]
    pub fn new(on: BTreeSet<FaultKind>) -> Self {
        Self { on, fired: std::collections::BTreeMap::new() }
    }
    /// Whether a kind is on.
    #[must_use]
    pub fn has(&self, kind: FaultKind) -> bool {
        self.on.contains(&kind)
    }
    /// The kinds that are on.
    pub fn kinds(&self) -> impl Iterator<Item = FaultKind> + '_ {
        self.on.iter().copied()
    }
    /// Notes that a kind fired.
    pub fn fired(&mut self, kind: FaultKind) {
        *self.fired.entry(kind).or_default() += 1;
    }
    /// How often each kind fired.
    #[must_use]
    pub fn counts(&self) -> &std::collections::BTreeMap<FaultKind, u64> {
        &self.fired
    }
}
