//! Why a change is not admitted, in two families: malformed for ever, or beyond format 1.
//!
//! It does not: decide what follows (see `evaluate`); a reason is a word for people and tests.
//!
//! Invariants: the family is the same on every replica, because it depends on bytes and causal past
//! only.

/// A change that will never be applied, by anyone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Malformed {
    /// The bytes end inside something.
    #[error("the change is cut off: ask the sender for it again")]
    Truncated,
    /// Not an Automerge chunk.
    #[error("the bytes do not begin like an Automerge chunk")]
    Magic,
    /// Another kind of chunk (document, bundle or unknown).
    #[error("a chunk of type {0} stands where a change is needed")]
    ChunkType(u8),
    /// A compressed chunk or column: only the uncompressed form is stored and sent.
    #[error("the change is compressed: only its uncompressed form is exchanged")]
    Compressed,
    /// Bytes after the end of the chunk.
    #[error("there are bytes after the end of the change")]
    TrailingBytes,
    /// Bytes after the last column, such as an author footer.
    #[error("the change carries extra bytes after its operations")]
    ExtraBytes,
    /// The checksum is not that of the content.
    #[error("the checksum does not fit the content")]
    Checksum,
    /// A number of more than 64 bits.
    #[error("a number does not fit 64 bits")]
    Number,
    /// A string that is not UTF-8.
    #[error("a string is not UTF-8")]
    Utf8,
    /// Dependencies out of order or repeated.
    #[error("the dependencies are not in ascending order without repetition")]
    Dependencies,
    /// An actor whose id is not 16 bytes.
    #[error("an actor id is not 16 bytes wide")]
    ActorWidth,
    /// The table of actors is unsorted, repeats one, or names one that no operation uses.
    #[error("the table of actors is unsorted or names an actor twice or in vain")]
    ActorTable,
    /// An operation names an actor that the table does not have.
    #[error("an operation names an actor outside the table")]
    ActorIndex,
    /// Sequence zero.
    #[error("the sequence is zero")]
    SequenceZero,
    /// An operation counter is zero or above 32 bits.
    #[error("an operation counter is zero or above 32 bits")]
    Counter,
    /// A time before 1970 or after the year 9999.
    #[error("the time lies outside the years 1970 to 9999")]
    Time,
    /// Columns out of order or repeated.
    #[error("the columns are out of order or repeated")]
    Columns,
    /// A column has no value where one is needed, or an impossible one.
    #[error("column '{0}' does not fit the operations")]
    Column(&'static str),
    /// A scalar whose bytes do not fit its type.
    #[error("a value's bytes do not fit its type")]
    Value,
    /// An operation that contradicts itself.
    #[error("an operation contradicts itself: {0}")]
    Operation(&'static str),
    /// Decoding and encoding gives other bytes.
    #[error("the change is not in canonical form")]
    NotCanonical,
    /// The sequence is not the next one of its actor.
    #[error("the sequence is {found}, but {expected} comes next for this actor")]
    Sequence {
        /// What the causal past asks for.
        expected: u64,
        /// What the change says.
        found: u64,
    },
    /// The first operation counter is not the next one.
    #[error("the operations start at {found}, but {expected} comes next")]
    StartOp {
        /// What the causal past asks for.
        expected: u64,
        /// What the change says.
        found: u64,
    },
    /// An actor is named that the causal past does not know.
    #[error("an actor is named that no ancestor has")]
    UnknownActor,
    /// An operation refers to something that does not exist in the causal past, or of a wrong kind.
    #[error("an operation refers to what its past does not have: {0}")]
    Reference(&'static str),
    /// The commit's header stands for another actor.
    #[error("the change was made under another actor than its commit names")]
    WrongActor,
}

/// A change that a newer Sampan may be able to use: it waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum NeedsNewer {
    /// More bytes than [`crate::limits::CHANGE_BYTES_MAX`]; not parsed at all.
    #[error("the change has {0} bytes, more than format 1 allows")]
    Bytes(usize),
    /// More operations than [`crate::limits::CHANGE_OPS_MAX`].
    #[error("the change has more operations than format 1 allows")]
    Operations,
    /// More dependencies than [`crate::limits::CHANGE_DEPS_MAX`].
    #[error("the change has {0} dependencies, more than format 1 allows")]
    Dependencies(u64),
    /// More predecessors, together, than operations are allowed.
    #[error("the change names more predecessors than format 1 allows")]
    Predecessors,
    /// A column that format 1 does not have.
    #[error("the change has an unknown column {0}")]
    Column(u32),
    /// An action that format 1 does not have (marks and tables among them).
    #[error("the change has an operation of an unknown kind {0}")]
    Action(u64),
    /// A type of value that format 1 does not have.
    #[error("the change has a value of an unknown type {0}")]
    ValueType(u8),
    /// A counter's start or step beyond [`crate::limits::COUNTER_STEP_MAX`].
    #[error("a counter starts at or moves by more than format 1 allows")]
    CounterStep,
}

/// Why bytes were not accepted as a change of format 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum ChangeError {
    /// Never applied, by anyone.
    #[error("malformed change: {0}")]
    Malformed(#[from] Malformed),
    /// Pending until this replica is updated.
    #[error("needs a newer Sampan: {0}")]
    NeedsNewer(#[from] NeedsNewer),
}
