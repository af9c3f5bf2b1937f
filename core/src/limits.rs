//! Every limit of the formats and of the engine, by name, with its unit and its reason.
//!
//! It does not: enforce anything; each limit is enforced where its thing is decoded or made, and
//! refused by this name.

/// Bytes in one frame: what one peer must buffer before it can judge.
pub const FRAME_BYTES_MAX: usize = 1 << 20;
/// Entries in one commit: the unit of progress of a link that is cut every ten seconds.
pub const COMMIT_ENTRIES_MAX: usize = 256;
/// Payload bytes in one commit, so that a commit always fits a frame.
pub const COMMIT_BYTES_MAX: usize = 1 << 20;
/// Bytes in one uncompressed Automerge change.
pub const CHANGE_BYTES_MAX: usize = 256 << 10;
/// Operations in one change, counted on run lengths before anything is expanded.
pub const CHANGE_OPS_MAX: u64 = 65_536;
/// Dependencies in one change.
pub const CHANGE_DEPS_MAX: usize = 256;
/// Bytes in a `string` value.
pub const STRING_BYTES_MAX: usize = 64 << 10;
/// Bytes in a `text` value.
pub const TEXT_BYTES_MAX: usize = 1 << 20;
/// Fields in one collection.
pub const FIELDS_MAX: usize = 200;
/// Levels in the tree of units.
pub const TREE_DEPTH_MAX: usize = 12;
/// Units in one organisation.
pub const UNITS_MAX: usize = 1_000_000;
/// Characters in a ticket: what fits a printed QR code and one chat message.
pub const TICKET_CHARS_MAX: usize = 2_048;
/// Bytes in one csv row.
pub const CSV_ROW_BYTES_MAX: usize = 1 << 20;
/// Bytes that one pack may inflate to.
pub const PACK_INFLATED_BYTES_MAX: usize = 16 << 20;
/// Tips that one log may have; the 17th is quarantined.
pub const LOG_TIPS_MAX: usize = 16;
/// Parents that one commit may name: the tips of the logs it continues.
pub const COMMIT_PARENTS_MAX: usize = 64;
/// Charter heads that one commit may name.
pub const CHARTER_HEADS_MAX: usize = 64;
/// Bytes in the signed header of a commit.
pub const HEADER_BYTES_MAX: usize = 16 << 10;
/// Commits waiting for parents or for a charter, per peer.
pub const WAITING_COMMITS_MAX: usize = 10_000;
/// Bytes of commits waiting for parents or for a charter, per peer.
pub const WAITING_BYTES_MAX: usize = 64 << 20;
/// Commits kept in quarantine per neighbour: enough to judge again, too few to fill a disk.
pub const QUARANTINE_COMMITS_MAX: usize = 1_000;
/// Bytes kept in quarantine per neighbour.
pub const QUARANTINE_BYTES_MAX: usize = 16 << 20;
/// Operations in one record; beyond it a record is forwarded and not opened.
pub const RECORD_OPS_MAX: u64 = 1_000_000;
/// How far a label of time may run ahead of the relay's clock, in milliseconds.
pub const LABEL_LEAD_MS_MAX: u64 = 3_600_000;
/// Characters in a schema file.
pub const SCHEMA_BYTES_MAX: usize = 512 << 10;
/// Bytes in the name of a unit, a holder or an organisation.
pub const NAME_BYTES_MAX: usize = 512;
/// Addresses that one relay may publish.
pub const ENDPOINTS_MAX: usize = 8;
/// Logs whose frontier travels inside `Hello`; beyond it only digests do.
pub const HELLO_LOGS_MAX: usize = 64;
/// Bytes in a register's payload.
pub const REGISTER_BYTES_MAX: usize = 64 << 10;
/// Entries in a pack made anew for sending, where the stored one does not fit what is asked for.
pub const REPACK_ENTRIES_MAX: usize = 256;
/// Bytes such a pack may inflate to, so that the group with its headers fits a frame.
pub const REPACK_BYTES_MAX: usize = 768 << 10;
