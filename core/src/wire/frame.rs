//! The frames of a session: everything that one peer may say to another.
//!
//! It does not: say when each is sent (`sync`), nor how it is carried (node's transport; the frames
//! would be the same over TLS on TCP or in a file).
//!
//! Invariants: a frame is at most `FRAME_BYTES_MAX`; each has exactly one byte form.

use crate::frontier::{ShortDigest, SpaceTips};
use crate::id::{CommitId, DeviceId, Digest, Incarnation, LogId, OrgId, SpaceId, StoreEpoch, UnitId};
use crate::limits;
use crate::log::SignedHeader;
use crate::register::SignedRegister;
use crate::shelf::{FileKey, FileRun};
use crate::time::Millis;
pub use crate::wire::short::{NamedRelay, OtherRelay, SameMark, ShortAck, ShortNode, ShortWay, Welcome};

use crate::wire::{WireError, at_most};

/// The newest session protocol that this version speaks. 2 reads columnar packs and
/// [`Frame::Plain`], and may open with a [`Greeting`]. 3 reads dense packs, compares acknowledgements as it compares
/// spaces, and says both shorter. 4 reads names of charter heads and of relays. 5 reads packs of charters that are
/// compressed with the words of a shipped schema, and what a period closed with of a unit of its own from above.
pub const PROTOCOL: u16 = 5;
/// The oldest.
pub const PROTOCOL_MIN: u16 = 1;
/// The first whose packs are columnar.
pub const PROTOCOL_COLUMNS: u16 = 2;
/// The first whose packs may be dense.
pub const PROTOCOL_DENSE: u16 = 3;
/// The first in which a session may open with a [`Greeting`].
pub const PROTOCOL_GREETS: u16 = 2;
/// The first that compares acknowledgements by digests, and reads [`Frame::ShortNodes`] and [`Frame::ShortAcks`].
pub const PROTOCOL_SHORT: u16 = 3;

/// The first that reads charter heads of a brief header by their names, and in a [`ShortAck`] relays further up by their
/// place in the charter.
pub const PROTOCOL_NAMES: u16 = 4;

/// The first that reads packs of form 7.
pub const PROTOCOL_WORDS: u16 = 5;

/// The first whose lower end takes what a period closed with.
pub const PROTOCOL_CLOSINGS: u16 = 5;

/// The first in which files are asked for and given.
pub const PROTOCOL_FILES: u16 = 3;

/// The opening word of both sides.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct Hello {
    /// Oldest protocol spoken.
    #[n(0)]
    pub version_min: u16,
    /// Newest protocol spoken.
    #[n(1)]
    pub version_max: u16,
    /// The organisation.
    #[n(2)]
    pub org: OrgId,
    /// The speaker's device; must be the key of the transport.
    #[n(3)]
    pub device: DeviceId,
    /// The units it claims to speak for, sorted.
    #[n(4)]
    pub units: Vec<UnitId>,
    /// Last number of the tree log (reserved: 0).
    #[n(5)]
    pub tree_number: u64,
    /// Version of the schema held, 0 for none.
    #[n(6)]
    pub schema_version: u32,
    /// The speaker's clock.
    #[n(7)]
    pub clock: Millis,
    /// The speaker's store epoch.
    #[n(8)]
    pub epoch: StoreEpoch,
    /// Digests of what the speaker holds of the shared scope, as it sees that scope.
    #[n(9)]
    pub digests: ScopeDigests,
    /// The whole frontier of that scope, when it has at most `HELLO_LOGS_MAX` logs.
    #[n(10)]
    pub frontier: Option<Vec<SpaceFrontier>>,
    /// Commits of the charter that show the speaker's rights: for each ticket its grant and its enrolment, in two
    /// groups side by side. In an answer: enrolments by tickets that are used or over.
    #[n(11)]
    pub chain: Vec<Group>,
    /// The relay nearer to the speaker does not answer, so do not redirect.
    #[n(12)]
    pub fallback: bool,
    /// How far the other end has sent its registers to the speaker (since protocol 2).
    #[n(13)]
    pub registers: Option<RegistersCursor>,
    /// The lower end's acknowledgements from the other end and the relays above it, where the other end is known to
    /// speak protocol 3.
    #[n(14)]
    pub acks: Option<ShortDigest>,
}

/// The opening word of a lower end that ended its last session with this peer in sync: a fraction of a hello.
#[derive(Debug, Clone, Copy, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct Greeting {
    /// What both ends held when they were last found equal.
    #[n(0)]
    pub since: ShortDigest,
    /// Whether the speaker still holds exactly that, and no mark of its own follows.
    #[n(1)]
    pub same: bool,
    /// The acknowledgements that the speaker holds from the peer and the relays above it.
    #[n(2)]
    pub acks: ShortDigest,
    /// The relay nearer to the speaker does not answer, so do not redirect.
    #[n(3)]
    pub fallback: bool,
    /// How far the other end has sent its registers to the speaker.
    #[n(4)]
    pub registers: Option<RegistersCursor>,
    /// The newest protocol of the speaker, where the other end is known to speak 3. Then `acks` is a digest of digests,
    /// a subtree at a time.
    #[n(5)]
    pub version: Option<u16>,
    /// The speaker does not remember the last meeting: `since` is what it holds now, this of it the charters.
    #[n(6)]
    pub charter: Option<ShortDigest>,
}

/// The answer to a [`Greeting`] that the upper end remembers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct Greeted {
    /// The speaker's store epoch.
    #[n(0)]
    pub epoch: StoreEpoch,
    /// The speaker's clock.
    #[n(1)]
    pub clock: Millis,
    /// Whether it holds what the greeting names, and neither more nor less: nothing else has to be said.
    #[n(2)]
    pub same: bool,
    /// How far the other end has sent its registers to the speaker.
    #[n(3)]
    pub registers: Option<RegistersCursor>,
    /// The newest protocol of the speaker, where the greeting had one.
    #[n(4)]
    pub version: Option<u16>,
}

/// How far an end has sent its registers: its own words, that the other end keeps and shows in its next opening.
#[derive(Debug, Clone, Copy, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct RegistersCursor {
    /// What the position rests on; to everybody but the sender a number without meaning.
    #[n(0)]
    pub tag: u32,
    /// The position in the sender's store.
    #[n(1)]
    pub through: u64,
}

impl RegistersCursor {
    /// As it is stored: 4 bytes and 8, little-endian.
    #[must_use]
    pub fn to_bytes(self) -> Vec<u8> {
        [self.tag.to_le_bytes().as_slice(), &self.through.to_le_bytes()].concat()
    }

    /// Reads what [`RegistersCursor::to_bytes`] wrote; nothing else is one.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (tag, through) = bytes.split_at_checked(4)?;
        Some(Self {
            tag: u32::from_le_bytes(tag.try_into().ok()?),
            through: u64::from_le_bytes(through.try_into().ok()?),
        })
    }
}

/// A [`Mark`] between ends that both greet: with one short digest for all that both share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct ShortMark {
    /// 1, 2, 3 … for this side of this session.
    #[n(0)]
    pub number: u64,
    /// Frames sent before this one; the receiver waits for them all.
    #[n(1)]
    pub frames: u64,
    /// What the sender holds, in one read snapshot.
    #[n(2)]
    pub holds: ShortDigest,
    /// Whether the sender waits for a mark in return.
    #[n(3)]
    pub answer: bool,
    /// The upper end's clock, where it was not told a moment ago: the lower end sets its own by it.
    #[n(4)]
    pub clock: Option<Millis>,
}

/// An acknowledgement of one unit by the upper end itself, without what the lower end can compute: it holds the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct OwnAck {
    /// Which of the lower end's own units, counted by id.
    #[n(0)]
    pub unit: u16,
    /// How many levels above it the acknowledging relay's unit lies.
    #[n(1)]
    pub above: u16,
    /// Of the register.
    #[n(2)]
    pub counter: u64,
    /// Of the register: its time minus the counter, which is mostly the same.
    #[n(3)]
    pub time: i64,
    /// Entries pending in the unit.
    #[n(4)]
    pub pending: u64,
    /// Entries blocked or malformed in the unit.
    #[n(5)]
    pub blocked: u64,
    /// Commits in quarantine.
    #[n(6)]
    pub quarantined: u64,
    /// Of the register.
    #[cbor(n(7), with = "minicbor::bytes")]
    pub signature: [u8; 64],
}

/// What a side holds of the shared scope, in two digests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, minicbor::Encode, minicbor::Decode)]
pub struct ScopeDigests {
    /// Of the charter spaces.
    #[n(0)]
    pub charter: Digest,
    /// Of the data spaces; compared only when the charters are equal.
    #[n(1)]
    pub data: Digest,
}

/// The tips of one space.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct SpaceFrontier {
    /// The space.
    #[n(0)]
    pub space: SpaceId,
    /// Its logs, sorted by device and incarnation.
    #[n(1)]
    pub logs: Vec<LogFrontier>,
}

/// The tips of one log. Everything below them is complete.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct LogFrontier {
    /// The device.
    #[n(0)]
    pub device: DeviceId,
    /// The incarnation.
    #[n(1)]
    pub incarnation: Incarnation,
    /// The tips, sorted.
    #[n(2)]
    pub tips: Vec<CommitId>,
}

impl SpaceFrontier {
    /// The wire form of a space's tips.
    #[must_use]
    pub fn of(space: SpaceId, tips: &SpaceTips) -> Self {
        let logs = tips.logs().map(|((device, incarnation), tips)| LogFrontier {
            device: *device,
            incarnation: *incarnation,
            tips: tips.iter().copied().collect(),
        });
        Self { space, logs: logs.collect() }
    }

    /// The tips, whatever their order on the wire.
    #[must_use]
    pub fn tips(&self) -> SpaceTips {
        let mut out = SpaceTips::default();
        for log in &self.logs {
            for tip in &log.tips {
                out.insert(log.device, log.incarnation, *tip);
            }
        }
        out
    }
}

/// Which digest tree a node belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, minicbor::Encode, minicbor::Decode)]
pub enum Tree {
    /// Charters of a unit and all below it.
    #[n(0)]
    Charter,
    /// `up` spaces of one reach of a unit and all below it.
    #[n(1)]
    Up(#[n(0)] u8),
}

/// One node of a digest tree, with its children.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct TreeNode {
    /// The unit.
    #[n(0)]
    pub unit: UnitId,
    /// The tree.
    #[n(1)]
    pub tree: Tree,
    /// Digest of the unit's own space.
    #[n(2)]
    pub own: Digest,
    /// Digests of the children, sorted by unit.
    #[n(3)]
    pub children: Vec<ChildDigest>,
}

/// A child's digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct ChildDigest {
    /// The child.
    #[n(0)]
    pub unit: UnitId,
    /// The digest of its subtree.
    #[n(1)]
    pub digest: Digest,
}

/// Whole commits of one space: headers beside the pack of their payloads.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct Group {
    /// Headers in the order of the pack, one or more.
    #[cbor(n(0), decode_with = "crate::wire::not_empty")]
    pub headers: Vec<SignedHeader>,
    /// The pack.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub pack: Vec<u8>,
}

/// How much is about to come in a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, minicbor::Encode, minicbor::Decode)]
pub struct Announce {
    /// Commits.
    #[n(0)]
    pub commits: u64,
    /// Entries in them.
    #[n(1)]
    pub entries: u64,
    /// Bytes of their packs, as stored.
    #[n(2)]
    pub bytes: u64,
}

/// The end of a side's turn: all it had to send is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct Mark {
    /// 1, 2, 3 … for this side of this session.
    #[n(0)]
    pub number: u64,
    /// Frames sent before this one; the receiver waits for them all.
    #[n(1)]
    pub frames: u64,
    /// What the sender holds, in one read snapshot.
    #[n(2)]
    pub digests: ScopeDigests,
    /// Whether the sender waits for a mark in return.
    #[n(3)]
    pub answer: bool,
    /// The sender's clock.
    #[n(4)]
    pub clock: Millis,
}

/// Acknowledged units: the signed statement and the leaves it covers.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct AckSet {
    /// The statement, a register named `ack`.
    #[n(0)]
    pub register: SignedRegister,
    /// All leaves in order, or the one that `proof` leads to.
    #[n(1)]
    pub leaves: Vec<AckLeaf>,
    /// Absent when all leaves are here.
    #[n(2)]
    pub proof: Option<AckProof>,
}

/// One unit's data as the acknowledging relay holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, minicbor::Encode, minicbor::Decode)]
pub struct AckLeaf {
    /// The unit.
    #[n(0)]
    pub unit: UnitId,
    /// Digest of the unit's own `up` spaces that reach the relay's level.
    #[n(1)]
    pub digest: Digest,
}

/// The way from one leaf to the signed root.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct AckProof {
    /// Position of the leaf.
    #[n(0)]
    pub index: u32,
    /// Sibling hashes, lowest first.
    #[n(1)]
    pub siblings: Vec<Digest>,
}

/// Why a relay shows a device the door.
#[derive(Debug, Clone, Copy, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
#[cbor(index_only)]
pub enum RefuseCode {
    /// Another organisation.
    #[n(0)]
    WrongOrganisation,
    /// No grant for this device.
    #[n(1)]
    NoGrant,
    /// The grant was revoked or has ended.
    #[n(2)]
    GrantEnded,
    /// The ticket was used by another device.
    #[n(3)]
    TicketUsed,
    /// The ticket's time is over.
    #[n(4)]
    TicketExpired,
    /// No common protocol version.
    #[n(5)]
    Version,
    /// Not now. With seconds beside it: the device is over its quota, and is to come back after them. Without:
    /// the charter that would decide has not arrived here; try the next relay above, and this one again later.
    #[n(6)]
    Busy,
    /// The peer broke the protocol.
    #[n(7)]
    Protocol,
}

/// Everything one peer may say to another.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub enum Frame {
    /// Opens a session.
    #[n(0)]
    Hello(#[n(0)] Box<Hello>),
    /// Ends it, mostly at the door; with `Busy` perhaps the seconds after which to come back to this very relay.
    #[n(1)]
    Refuse(#[n(0)] RefuseCode, #[n(1)] String, #[n(2)] Option<u32>),
    /// Another relay is right: its device and addresses.
    #[n(2)]
    Redirect(#[n(0)] Vec<RelayAddress>),
    /// All that the sender holds in these spaces.
    #[n(3)]
    Frontier(#[n(0)] Vec<SpaceFrontier>),
    /// Nodes of digest trees.
    #[n(4)]
    Nodes(#[n(0)] Vec<TreeNode>),
    /// What is about to come.
    #[n(5)]
    Announce(#[n(0)] Announce),
    /// Whole commits. `after`: frames on the most urgent stream that must be taken first.
    #[n(6)]
    Commits {
        /// Frames of priority 0 sent before this one.
        #[n(0)]
        after: u64,
        /// The groups.
        #[n(1)]
        groups: Vec<Group>,
    },
    /// Every commit of a forked log that the sender holds, the first 16 bytes of each id.
    #[n(7)]
    Inventory {
        /// The log.
        #[n(0)]
        log: LogId,
        /// Truncated ids.
        #[n(1)]
        commits: Vec<crate::frontier::ShortId>,
    },
    /// Registers.
    #[n(8)]
    Registers(#[n(0)] Vec<SignedRegister>),
    /// Acknowledgements.
    #[n(9)]
    Acks(#[n(0)] Vec<AckSet>),
    /// End of a turn.
    #[n(10)]
    Mark(#[n(0)] Mark),
    /// To a device whose rights have ended, instead of a hello: it may hand in what it wrote, and nothing else
    /// is said to it.
    #[n(11)]
    Deposit(#[n(0)] Box<Deposit>),
    /// Commits that came without what follows from earlier ones, which are not held here, or are erased: to be sent
    /// again, whole.
    #[n(12)]
    Plain {
        /// The commits.
        #[n(0)]
        commits: Vec<CommitId>,
        /// The groups with brief headers, by the number that the sender gave them.
        #[n(1)]
        groups: Vec<u64>,
    },
    /// Opens a session between ends that were equal when they last met.
    #[n(13)]
    Greeting(#[n(0)] Greeting),
    /// Answers a greeting.
    #[n(14)]
    Greeted(#[n(0)] Greeted),
    /// Answers a greeting that the upper end can make nothing of: a hello is needed, on the same link.
    #[n(15)]
    SayHello,
    /// End of a turn.
    #[n(16)]
    ShortMark(#[n(0)] ShortMark),
    /// An acknowledgement by the sender itself.
    #[n(17)]
    OwnAck(#[n(0)] OwnAck),
    /// How far the sender has sent its registers.
    #[n(18)]
    RegistersCursor(#[n(0)] RegistersCursor),
    /// Nodes of digest trees, by the beginnings of their digests.
    #[n(19)]
    ShortNodes(#[n(0)] Vec<ShortNode>),
    /// Acknowledgements of what both ends hold alike.
    #[n(20)]
    ShortAcks(#[n(0)] Vec<ShortAck>),
    /// Answers a greeting.
    #[n(21)]
    Welcome(#[n(0)] Welcome),
    /// End of a turn.
    #[n(22)]
    SameMark(#[n(0)] SameMark),
    /// Short acknowledgements could not be read: say those of this session whole.
    #[n(23)]
    AcksLost,
    /// Files that the lower end has, of records that both share, and that the upper end was not told of.
    #[n(24)]
    FileOffer(#[n(0)] Vec<FileKey>),
    /// Files that are asked for.
    #[n(25)]
    FileWant(#[n(0)] Vec<FileAsk>),
    /// The hashes of a file's chunks, 32 bytes each.
    #[n(26)]
    FileHashes {
        /// The file.
        #[n(0)]
        key: FileKey,
        /// Its hashes, one after the other.
        #[cbor(n(1), with = "minicbor::bytes")]
        hashes: Vec<u8>,
    },
    /// One chunk of a file.
    #[n(27)]
    FileChunk {
        /// The file.
        #[n(0)]
        key: FileKey,
        /// Which, from 0.
        #[n(1)]
        index: u32,
        /// Its bytes.
        #[cbor(n(2), with = "minicbor::bytes")]
        bytes: Vec<u8>,
    },
    /// Words about files that were offered, asked for or given.
    #[n(28)]
    FileAnswer(#[n(0)] Vec<FileSaid>),
}

/// What is asked for of one file.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct FileAsk {
    /// The file.
    #[n(0)]
    pub key: FileKey,
    /// Whether the hashes of its chunks are needed.
    #[n(1)]
    pub hashes: bool,
    /// The chunks that are missing.
    #[n(2)]
    pub runs: Vec<FileRun>,
}

/// A word about one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct FileSaid {
    /// The file.
    #[n(0)]
    pub key: FileKey,
    /// The word.
    #[n(1)]
    pub word: FileWord,
}

/// What is said about a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
#[cbor(index_only)]
pub enum FileWord {
    /// It is whole here.
    #[n(0)]
    Held,
    /// It is not needed now; should it be, it is asked for.
    #[n(1)]
    Later,
    /// No more of it is here now, and none is coming; what comes later is passed on.
    #[n(2)]
    Lacking,
    /// No record that both share names it.
    #[n(3)]
    Unknown,
}

/// What a device whose rights have ended is told.
#[derive(Debug, Clone, PartialEq, Eq, Default, minicbor::Encode, minicbor::Decode)]
pub struct Deposit {
    /// Why they ended, in words for people.
    #[n(0)]
    pub reason: String,
    /// The commit of a charter that says so; none where an end that the grant named has come.
    #[n(1)]
    pub cut: Option<Group>,
    /// What is held of the device's own records, counting or not.
    #[n(2)]
    pub held: Vec<SpaceFrontier>,
    /// Commits taken in this session, counting or not.
    #[n(3)]
    pub taken: u64,
    /// Whether this is the answer to what was handed in: the session is over.
    #[n(4)]
    pub last: bool,
}

/// Where a relay listens.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct RelayAddress {
    /// Its key.
    #[n(0)]
    pub device: DeviceId,
    /// `host:port`, most preferred first.
    #[cbor(n(1), decode_with = "crate::wire::addresses")]
    pub addresses: Vec<String>,
}

impl Frame {
    /// The frame's bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        super::encode(self)
    }

    /// Reads a frame.
    ///
    /// # Errors
    /// [`WireError`] for anything that is not exactly one canonical frame within the limits.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        at_most("frame", "FRAME_BYTES_MAX", bytes.len(), limits::FRAME_BYTES_MAX)?;
        super::decode("frame", bytes)
    }

    /// Whether it may come before a session is open.
    #[must_use]
    pub fn opens(&self) -> bool {
        match self {
            Frame::Hello(_)
            | Frame::Refuse(..)
            | Frame::Redirect(_)
            | Frame::Deposit(_)
            | Frame::Greeting(_)
            | Frame::Greeted(_)
            | Frame::Welcome(_)
            | Frame::SayHello => true,
            Frame::Frontier(_)
            | Frame::Nodes(_)
            | Frame::Announce(_)
            | Frame::Commits { .. }
            | Frame::Inventory { .. }
            | Frame::Registers(_)
            | Frame::Acks(_)
            | Frame::OwnAck(_)
            | Frame::RegistersCursor(_)
            | Frame::ShortNodes(_)
            | Frame::ShortAcks(_)
            | Frame::SameMark(_)
            | Frame::AcksLost
            | Frame::FileOffer(_)
            | Frame::FileWant(_)
            | Frame::FileHashes { .. }
            | Frame::FileChunk { .. }
            | Frame::FileAnswer(_)
            | Frame::Mark(_)
            | Frame::ShortMark(_)
            | Frame::Plain { .. } => false,
        }
    }

    /// Whether it is about files: no mark counts it.
    #[must_use]
    pub fn is_file(&self) -> bool {
        matches!(
            self,
            Frame::FileOffer(_)
                | Frame::FileWant(_)
                | Frame::FileHashes { .. }
                | Frame::FileChunk { .. }
                | Frame::FileAnswer(_)
        )
    }

    /// What logs and errors call it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Frame::Hello(_) => "Hello",
            Frame::Refuse(..) => "Refuse",
            Frame::Redirect(_) => "Redirect",
            Frame::Frontier(_) => "Frontier",
            Frame::Nodes(_) => "Nodes",
            Frame::Announce(_) => "Announce",
            Frame::Commits { .. } => "Commits",
            Frame::Inventory { .. } => "Inventory",
            Frame::Registers(_) => "Registers",
            Frame::Acks(_) => "Acks",
            Frame::Mark(_) => "Mark",
            Frame::Deposit(_) => "Deposit",
            Frame::Plain { .. } => "Plain",
            Frame::Greeting(_) => "Greeting",
            Frame::Greeted(_) => "Greeted",
            Frame::SayHello => "SayHello",
            Frame::ShortMark(_) => "ShortMark",
            Frame::OwnAck(_) => "OwnAck",
            Frame::RegistersCursor(_) => "RegistersCursor",
            Frame::ShortNodes(_) => "ShortNodes",
            Frame::ShortAcks(_) => "ShortAcks",
            Frame::Welcome(_) => "Welcome",
            Frame::SameMark(_) => "SameMark",
            Frame::AcksLost => "AcksLost",
            Frame::FileOffer(_) => "FileOffer",
            Frame::FileWant(_) => "FileWant",
            Frame::FileHashes { .. } => "FileHashes",
            Frame::FileChunk { .. } => "FileChunk",
            Frame::FileAnswer(_) => "FileAnswer",
        }
    }
}
