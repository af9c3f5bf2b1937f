//! What a peer can make a replica keep: each thing that can grow, its limit, and what happens beyond it.
//!
//! It does not: give reasons for the numbers (each stands beside its constant in [`limits`](crate::limits)), or list
//! the sizes of single things (a frame, a change, a name), which are checked where they are read.
//!
//! Invariants: nothing that was accepted is dropped to keep a limit; what is refused for one is told to the peer or
//! waits where it is, so that it can come again.
//!
//! # In memory, while a link is open
//!
//! | what grows | limit | beyond it |
//! | --- | --- | --- |
//! | links of one device | [`LINKS_PER_DEVICE_MAX`](crate::limits::LINKS_PER_DEVICE_MAX) | the oldest is closed |
//! | links that it opens one after the other | [`DEVICE_LINKS_BURST`](crate::limits::DEVICE_LINKS_BURST) | it is told how long to wait, and handshakes at its address go the slow way ([`SLOW_HANDSHAKES_MAX`](crate::limits::SLOW_HANDSHAKES_MAX)) |
//! | refusals at one address | [`REFUSALS_PER_ADDRESS_MAX`](crate::limits::REFUSALS_PER_ADDRESS_MAX) | keys that the charter does not know wait |
//! | addresses and devices that are counted | [`ADDRESSES_KEPT_MAX`](crate::limits::ADDRESSES_KEPT_MAX), [`QUOTA_DEVICES_MAX`](crate::limits::QUOTA_DEVICES_MAX) | those with the least to their account are forgotten |
//! | bytes before a hello | [`BEFORE_HELLO_BYTES_MAX`](crate::limits::BEFORE_HELLO_BYTES_MAX) | the link ends |
//! | commits of the chain shown at the door | [`CHAIN_COMMITS_MAX`](crate::limits::CHAIN_COMMITS_MAX) | refused |
//! | frames that wait at the desk, of a link and of all | [`LINK_INPUT_BYTES_MAX`](crate::limits::LINK_INPUT_BYTES_MAX), [`DESK_INPUT_BYTES_MAX`](crate::limits::DESK_INPUT_BYTES_MAX) | the link is not read: QUIC holds its sender back |
//! | bytes and commits that a device brings | [`DEVICE_BYTES_BURST`](crate::limits::DEVICE_BYTES_BURST), [`DEVICE_COMMITS_BURST`](crate::limits::DEVICE_COMMITS_BURST) | what arrived is kept, and it is told when to come back |
//! | frames that overtook what they follow, and commits that wait for parents | [`WAITING_COMMITS_MAX`](crate::limits::WAITING_COMMITS_MAX), [`WAITING_BYTES_MAX`](crate::limits::WAITING_BYTES_MAX), [`ORPHAN_COMMITS_MAX`](crate::limits::ORPHAN_COMMITS_MAX) | the link ends; the peer has them still |
//! | groups asked for whole, and headers read to place a brief one | [`WAITING_COMMITS_MAX`](crate::limits::WAITING_COMMITS_MAX), [`BRIEF_STEPS_MAX`](crate::limits::BRIEF_STEPS_MAX) | the link ends; it is asked for whole |
//! | files that a peer offers or asks for, and what is asked of it | [`FILES_WANTED_MAX`](crate::limits::FILES_WANTED_MAX), [`FILES_NAMED_MAX`](crate::limits::FILES_NAMED_MAX) a frame, [`FILE_RUNS_MAX`](crate::limits::FILE_RUNS_MAX) a file, [`FILES_ASKED_MAX`](crate::limits::FILES_ASKED_MAX) lists of chunks | the link ends |
//! | groups sent in brief that a session remembers | [`BRIEF_KEPT_MAX`](crate::limits::BRIEF_KEPT_MAX) | the oldest goes: comparing brings it in the next session |
//! | acknowledgements before their charter | [`EARLY_ACKS_MAX`](crate::limits::EARLY_ACKS_MAX) | left out, told again in the next session |
//! | registers before their charter | [`EARLY_REGISTERS_MAX`](crate::limits::EARLY_REGISTERS_MAX) | refused, sent again in the next session |
//! | what a pack inflates to | [`PACK_INFLATED_BYTES_MAX`](crate::limits::PACK_INFLATED_BYTES_MAX) | refused before memory is taken |
//! | what a columnar pack makes: changes together, operations, steps of shapes, texts of tables, columns, earlier commits | [`PACK_INFLATED_BYTES_MAX`](crate::limits::PACK_INFLATED_BYTES_MAX), [`PACK_OPS_MAX`](crate::limits::PACK_OPS_MAX), [`PACK_STEPS_MAX`](crate::limits::PACK_STEPS_MAX), [`PACK_TABLE_TEXTS_MAX`](crate::limits::PACK_TABLE_TEXTS_MAX), [`PACK_COLUMNS_MAX`](crate::limits::PACK_COLUMNS_MAX), [`PACK_EARLIER_COMMITS_MAX`](crate::limits::PACK_EARLIER_COMMITS_MAX) | refused as soon as it is reached |
//!
//! # On the disk
//!
//! | what grows | limit | beyond it |
//! | --- | --- | --- |
//! | the quarantine, for each neighbour that brings something | [`QUARANTINE_COMMITS_MAX`](crate::limits::QUARANTINE_COMMITS_MAX), [`QUARANTINE_BYTES_MAX`](crate::limits::QUARANTINE_BYTES_MAX) | what has no room is refused; what a cut took out of what counted has room always |
//! | files that come by themselves | [`FILES_ALONE_BYTES_MAX`](crate::limits::FILES_ALONE_BYTES_MAX) | only those that somebody asks for come |
//! | files that no record names | [`FILE_UNNAMED_MS`](crate::limits::FILE_UNNAMED_MS) | removed |
//! | a deposit | [`DEPOSIT_COMMITS_MAX`](crate::limits::DEPOSIT_COMMITS_MAX), [`DEPOSIT_BYTES_MAX`](crate::limits::DEPOSIT_BYTES_MAX) | it stays on the device, for the next session |
//! | tips of one log | [`LOG_TIPS_MAX`](crate::limits::LOG_TIPS_MAX) | further ones are set aside |
//! | operations of one record | [`RECORD_OPS_MAX`](crate::limits::RECORD_OPS_MAX) | it is forwarded, and opened no more |
//! | beacons of relays above | [`BEACONS_KEPT_MAX`](crate::limits::BEACONS_KEPT_MAX) | the oldest goes |
//! | registers | one for each device, unit and name, of [`REGISTER_BYTES_MAX`](crate::limits::REGISTER_BYTES_MAX) | the newer takes the place of the older |
//! | acknowledgements | one for each unit and relay above it | the same |
//! | times and stores last told, for each device | one of each, for devices of the charter | the same |
//! | units | [`UNITS_MAX`](crate::limits::UNITS_MAX), [`TREE_DEPTH_MAX`](crate::limits::TREE_DEPTH_MAX) deep | the operation is void |
//! | packs of small commits | merged in the background to [`MERGED_ENTRIES_MAX`](crate::limits::MERGED_ENTRIES_MAX) entries or [`MERGED_BYTES_MAX`](crate::limits::MERGED_BYTES_MAX) | the commits stay as they are |
//! | log files | three files of a fixed size | the oldest goes |
//! | bundles that wait for an earlier one | [`BUNDLES_WAITING_MAX`](crate::limits::BUNDLES_WAITING_MAX), [`BUNDLES_WAITING_BYTES_MAX`](crate::limits::BUNDLES_WAITING_BYTES_MAX); of one sender [`BUNDLES_WAITING_PER_SENDER_MAX`](crate::limits::BUNDLES_WAITING_PER_SENDER_MAX), [`BUNDLES_WAITING_PER_SENDER_BYTES_MAX`](crate::limits::BUNDLES_WAITING_PER_SENDER_BYTES_MAX) | refused (exit 1); the file waits where it is |
//! | answers to bundles in `outbox/` | one for each sender | the newer takes the place of the older |
//!
//! # Not bounded
//!
//! - The records of a unit: who has the right to write there may write as much as its quota lets through. The grant is
//!   the limit, and a cut is the remedy.
//! - The charter: an admin may write operations without end, each of which is kept for ever.
//! - Logs of one device: each restart from an old copy begins an incarnation, and all are kept; a
//!   frontier of more than [`HELLO_LOGS_MAX`](crate::limits::HELLO_LOGS_MAX) logs is compared in parts instead of listed.
