//! Every limit of the formats and of the engine, by name, with its unit and its reason.
//!
//! It does not: enforce anything; each limit is enforced where its thing is decoded or made, and
//! refused by this name.

/// Bytes in one frame: what one peer must buffer before it can judge.
pub const FRAME_BYTES_MAX: usize = 1 << 20;
/// Entries in one commit: the unit of progress of a link that is cut every ten seconds.
pub const COMMIT_ENTRIES_MAX: usize = 256;
/// Unsealed edits that sealing reads at a time, so that it takes as much memory after an import of a hundred thousand
/// rows as after one of a hundred; an edit has at most [`CHANGE_BYTES_MAX`], and all but a few have less than a kB.
pub const SEAL_PART_ENTRIES: usize = 64;
/// Rows of an import that are made and written at a time, inside its one transaction: what they take in memory is some
/// 6 kB each.
pub const IMPORT_PIECE_ROWS: usize = 256;
/// Bytes of the values of such rows from which on they are written, however few they are.
pub const IMPORT_PIECE_BYTES: usize = 256 << 10;
/// Bytes of words about bad cells of a csv file that are kept and shown; the rest are counted.
pub const BAD_CELLS_BYTES_MAX: usize = 4 << 20;
/// Rows of a list that are read at a time once their order is known.
pub const LIST_PART_ROWS: usize = 256;
/// Payload bytes in one commit, so that a commit always fits a frame.
pub const COMMIT_BYTES_MAX: usize = 1 << 20;
/// Bytes in one uncompressed Automerge change.
pub const CHANGE_BYTES_MAX: usize = 256 << 10;
/// Operations in one change, counted on run lengths before anything is expanded.
pub const CHANGE_OPS_MAX: u64 = 65_536;
/// Greatest start or step of a counter: a million of them (see [`RECORD_OPS_MAX`]) still fit 64 bits.
pub const COUNTER_STEP_MAX: u64 = 1 << 42;
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
/// Entries in one pack: what decoding it may allocate is bounded by this and not only by its bytes,
/// of which an entry needs five.
pub const PACK_ENTRIES_MAX: usize = 65_536;
/// Steps in all shapes of one columnar pack, and the texts in all its tables: each takes two bytes, or one, and many
/// times that in memory.
pub const PACK_STEPS_MAX: usize = 128 << 10;
/// Texts in all tables of one columnar pack (see [`PACK_STEPS_MAX`]).
pub const PACK_TABLE_TEXTS_MAX: usize = 512 << 10;
/// Earlier commits that one columnar pack names: each has to be looked up, and perhaps its pack opened.
pub const PACK_EARLIER_COMMITS_MAX: usize = 256;
/// Groups in one frame up to which what follows from earlier commits is left out: a day's work has few; in a backlog of
/// small commits looking for what they build on would cost more than it saves.
pub const GROUPS_AFTER_MAX: usize = 8;
/// Headers that are read above the tips that are held, in search of the parent that a brief header names: enough where
/// the last few commits come twice; beyond it they are asked for whole.
pub const BRIEF_STEPS_MAX: usize = 16;
/// Groups sent in brief that a session remembers the commits of, to send them whole if asked: far more than are under
/// way at a time.
pub const BRIEF_KEPT_MAX: usize = 4_096;
/// Keys, and columns of values, in one columnar pack: more than the collections of a schema have fields.
pub const PACK_COLUMNS_MAX: usize = 16 << 10;
/// Operations and named predecessors in all changes of one columnar pack: of 4,096 records with a page of notes each
/// there are half as many. A few bytes can name a long text again and again; this bounds the time that costs.
pub const PACK_OPS_MAX: usize = 2 << 20;
/// Tips that one log may have; the 17th is quarantined.
pub const LOG_TIPS_MAX: usize = 16;
/// Parents that one commit may name: the tips of the logs it continues.
pub const COMMIT_PARENTS_MAX: usize = 64;
/// Charter heads that one commit may name.
pub const CHARTER_HEADS_MAX: usize = 64;
/// Logs that one cut may name: every space that one device ever wrote in, several times over.
pub const CUT_LOGS_MAX: usize = 4_096;
/// Tips that one cut may name in all: 35 bytes each, so that the operation fits a commit several times over.
pub const CUT_TIPS_MAX: usize = 8_192;
/// Commits that one release or rejection may name.
pub const VERDICT_COMMITS_MAX: usize = 4_096;
/// How long after `until` a closing cut may be written, by its author's clock, in milliseconds: 30 days in
/// which what was written in time may still arrive.
pub const CLOSING_CUT_AFTER_MS: u64 = 30 * 86_400_000;
/// Bytes in the signed header of a commit.
pub const HEADER_BYTES_MAX: usize = 16 << 10;
/// Commits waiting for parents or for a charter, per peer.
pub const WAITING_COMMITS_MAX: usize = 10_000;
/// Bytes of commits waiting for parents or for a charter, per peer.
pub const WAITING_BYTES_MAX: usize = 64 << 20;
/// Commits that one session keeps until their parents come: more than [`PUSH_BYTES_MAX`] holds, which is what
/// a device sends unasked to a relay that may have lost what it had acknowledged.
pub const ORPHAN_COMMITS_MAX: usize = 1_024;
/// Commits kept in quarantine per neighbour: enough to judge again, too few to fill a disk.
pub const QUARANTINE_COMMITS_MAX: usize = 1_000;
/// Bytes kept in quarantine per neighbour.
pub const QUARANTINE_BYTES_MAX: usize = 16 << 20;
/// Units that one list of what waits in a quarantine names; the rest is a sum. 26 bytes each.
pub const WAITING_UNITS_MAX: usize = 1_024;
/// Commits that a device whose rights have ended may hand in during one session: what the quarantine has room for.
pub const DEPOSIT_COMMITS_MAX: usize = QUARANTINE_COMMITS_MAX;
/// Bytes of them.
pub const DEPOSIT_BYTES_MAX: usize = QUARANTINE_BYTES_MAX;
/// Tips of its own that such a device is told of at the most: they fit a frame beside the cut.
pub const DEPOSIT_TIPS_MAX: usize = 4_096;
/// Bytes of the cut that it is shown.
pub const DEPOSIT_CUT_BYTES_MAX: usize = 512 << 10;
/// Erasures that one confirmation names, the newest of them: eight bytes each, half of a register.
pub const ERASED_CONFIRMED_MAX: usize = 4_096;
/// Collections that one grant names: more than a schema has.
pub const GRANT_COLLECTIONS_MAX: usize = 256;
/// Operations in one record; beyond it a record is forwarded and not opened.
pub const RECORD_OPS_MAX: u64 = 1_000_000;
/// What a counter may reach to either side of 0: whole in JSON, and so far from the ends of 64 bits
/// that a thousand replicas that add beside each other do not overflow.
pub const COUNTER_ABS_MAX: u64 = 1 << 53;
/// Bytes in one file that a record carries: a scanned book.
pub const FILE_BYTES_MAX: u64 = 256 << 20;
/// Bytes in a chunk of a file: two seconds at 64 kbit/s, so that a link that is cut every ten seconds completes some.
pub const FILE_CHUNK_BYTES: usize = 16 << 10;
/// Bytes below which a file comes by itself, with the record that names it: a page or two, scanned; four minutes at
/// 32 kbit/s. The rest comes when somebody asks for it.
pub const FILE_ALONE_BYTES: u64 = 1_000_000;
/// Bytes of files in one store beyond which nothing comes by itself any more: of a small disk the files of a unit are
/// never the greater part.
pub const FILES_ALONE_BYTES_MAX: u64 = 16 << 30;
/// Files that a session asks its peer for at a time: their lists of chunks are held in memory, half a megabyte at most.
pub const FILES_ASKED_MAX: usize = 8;
/// Files that a session gives its peer at a time, and that one frame of a session can name.
pub const FILES_NAMED_MAX: usize = 64;
/// Runs of missing chunks that a file is asked for by at a time; a file that came in order has one.
pub const FILE_RUNS_MAX: usize = 64;
/// Files that are to come that a session looks at: those beyond wait until some of these have come.
pub const FILES_WANTED_MAX: usize = 4_096;
/// How long a link that was asked for a file and brings nothing of it keeps others from being asked, in milliseconds: a
/// chunk takes two seconds at 64 kbit/s, and records go first.
pub const FILE_STALLED_MS: u64 = 120_000;
/// Files that are not whole of which a store remembers what came last, in memory.
pub const FILE_ARRIVALS_MAX: usize = 4_096;
/// Frames of words about files that wait to be sent before more of what the peer says is looked at.
pub const FILE_WORDS_MAX: usize = 128;
/// How long a file is kept that no record names any more, in milliseconds: a week, in which an edit is taken back.
pub const FILE_UNNAMED_MS: u64 = 7 * 86_400_000;
/// Bytes of files in one bundle, the smallest first: with the records a quarter of what a stick can hold.
pub const BUNDLE_FILES_BYTES_MAX: u64 = 1 << 30;
/// Bytes in the name of a file, as file systems allow.
pub const FILE_NAME_BYTES_MAX: usize = 255;
/// Days, or working days, that a rule of what is due may add: some eleven years.
pub const DUE_SPAN_DAYS_MAX: u32 = 4_000;
/// Months that a rule of what is due may add: a hundred years.
pub const DUE_SPAN_MONTHS_MAX: u32 = 1_200;
/// Milestones in one rule of what is due.
pub const DUE_SPANS_MAX: usize = 64;
/// Days of one holiday record: what is longer is taken for a mistake in its last day and told.
pub const HOLIDAY_DAYS_MAX: i32 = 60;
/// Past periods for which a missing record is still asked for.
pub const DUE_PERIODS_BACK: u32 = 4;
/// How far a label of time may run ahead of the relay's clock, in milliseconds.
pub const LABEL_LEAD_MS_MAX: u64 = 3_600_000;
/// Characters in a schema file.
pub const SCHEMA_BYTES_MAX: usize = 512 << 10;
/// Published schemas kept beside each other: a program goes by the newest that it reads, and one that is older than so
/// many versions by none.
pub const SCHEMAS_KEPT_MAX: usize = 16;
/// Bytes in the name of a unit, a holder or an organisation.
pub const NAME_BYTES_MAX: usize = 512;
/// Addresses that one relay may publish.
pub const ENDPOINTS_MAX: usize = 8;
/// Commits that are looked through for what a peer lacks since two ends were last equal: some milliseconds of
/// reading; beyond it comparing digests is cheaper.
pub const GREETING_SCAN_COMMITS_MAX: usize = 16_384;
/// Logs whose frontier travels inside `Hello`; beyond it only digests do.
pub const HELLO_LOGS_MAX: usize = 64;
/// Bytes in a register's payload.
pub const REGISTER_BYTES_MAX: usize = 64 << 10;
/// Devices in one register `settled`: some 16 bytes each. More than a district has.
pub const SETTLED_DEVICES_MAX: usize = 2_048;
/// Bytes in the id of a collection, field, choice or metric: it becomes a column's name.
pub const SCHEMA_ID_BYTES_MAX: usize = 64;
/// Metrics in one schema: each costs an edit one update a level.
pub const METRICS_MAX: usize = 256;
/// Dimensions of one metric: a figure of five is a list of records, not a figure.
pub const METRIC_DIMENSIONS_MAX: usize = 4;
/// Figures (a period and its dimensions each) of one metric in one year that one register carries: about 24 bytes each,
/// beside the units that reported they fit [`REGISTER_BYTES_MAX`].
pub const FIGURES_SAID_MAX: usize = 1_024;
/// Units that one register of summed figures names as those that reported: 26 bytes each, beside [`FIGURES_SAID_MAX`]
/// figures. More than a district has; of those beyond it nobody claims that they reported.
pub const FIGURE_UNITS_MAX: usize = 1_400;
/// Characters of the reason that a correction of a closed period may have.
pub const CORRECTION_REASON_CHARS_MAX: usize = 500;
/// Strings in one list or set: what one change can still carry.
pub const LIST_ITEMS_MAX: usize = 4_096;
/// Bytes of all strings of one list or set together, so that one change can carry it.
pub const LIST_BYTES_MAX: usize = 128 << 10;
/// Comparisons in one filter expression.
pub const EXPR_TERMS_MAX: usize = 64;
/// Bytes in one filter expression.
pub const EXPR_BYTES_MAX: usize = 16 << 10;
/// Rounds of comparing everything anew, with no commit moving, that one session tries before it says
/// "not verified".
pub const REPAIR_ROUNDS_MAX: u32 = 8;
/// Entries that one frame of commits carries: one full commit, the unit of progress. A frame counts only
/// once it is whole; 256 records are about 40 kB with all around them, and a link of 64 kbit/s that is cut
/// every 10 s (80 kB) completes one each time. Of 1,024 it never completed any.
pub const FRAME_ENTRIES_MAX: u32 = 256;
/// Raw payload bytes that one frame of commits carries, unless one commit has more.
pub const FRAME_PAYLOAD_BYTES_MAX: u32 = 512 << 10;
/// Stored bytes of commits from which on they are announced before they are sent: less is there before a bar is drawn.
pub const ANNOUNCE_BYTES_MIN: u64 = 16 << 10;
/// Raw bytes of one device's commits in one space above which they wait behind recent news.
pub const BACKFILL_BYTES_MIN: u64 = 256 << 10;
/// Bytes of unacknowledged commits up to which a device sends them unasked, as they travel: well within a link's
/// first flight (40 datagrams), so that sending them twice costs less than asking.
pub const PUSH_BYTES_MAX: u64 = 16 << 10;
/// Stored bytes of them up to which they are made to see how much travels: some two thousand edits.
pub const PUSH_STORED_BYTES_MAX: u64 = 128 << 10;
/// Meetings with a device below that a relay keeps, each at which something new had come down: two quarters of a busy
/// city's directives, in 2 kB a device.
pub const MEETINGS_KEPT_MAX: usize = 128;
/// Marks whose digests an end remembers, so that the other may say of one of them that it holds the same: more than are
/// on the way at a time.
pub const MARKS_KEPT_MAX: usize = 64;
/// Milliseconds after which an upper end tells its clock again: one that runs a hundredth too fast is out by less than a
/// second then.
pub const CLOCK_TOLD_EVERY_MS: u64 = 60_000;
/// Spaces or tree nodes in one frame.
pub const FRAME_SPACES_MAX: usize = 256;
/// Registers sent in one turn.
pub const TURN_REGISTERS_MAX: usize = 1_000;
/// Registers that a session keeps until the charter shows the rights of their signers: one turn's.
pub const EARLY_REGISTERS_MAX: usize = TURN_REGISTERS_MAX;
/// Registers that do not concern a peer, after which it is told where to go on next time: looking through fewer
/// again costs less than the frame.
pub const REGISTERS_SCANNED_MAX: u64 = 256;
/// Entries in a pack made anew for sending, where the stored one does not fit what is asked for.
pub const REPACK_ENTRIES_MAX: usize = 256;
/// Bytes such a pack may inflate to, so that the group with its headers fits a frame.
pub const REPACK_BYTES_MAX: usize = 768 << 10;
/// Entries in one pack that small ones are merged into: what is sent of it is read from it, and packed anew. Larger ones
/// gain little more, and reading one of creations takes an old PC a tenth of a second.
pub const MERGED_ENTRIES_MAX: usize = 1_024;
/// Bytes of such a pack once it is read: a fourth of the least memory that a store keeps read packs in.
pub const MERGED_BYTES_MAX: usize = 1 << 20;
/// Fewer packs than these are not merged, and fewer new commits not looked at.
pub const MERGE_PACKS_MIN: usize = 16;
/// Commits that one step of merging looks at.
pub const MERGE_STEP_COMMITS: usize = 256;
/// Entries after which a step of merging packs no more: a few hundredths of a second of an old PC.
pub const MERGE_STEP_ENTRIES: usize = 2_048;
/// Bytes of decoded commits that a store keeps from taking them in until they are projected: ten thousand creations, the
/// first load of most branches; what has no room is read from the disk.
pub const HANDED_ON_BYTES_MAX: usize = 8 << 20;
/// Units in one acknowledgement: with their digests they fit a frame several times over.
pub const ACK_LEAVES_MAX: usize = 4_096;
/// Acknowledgements that a session keeps until the charter shows their signers: a statement of every level
/// for every unit that one frame speaks of.
pub const EARLY_ACKS_MAX: usize = TREE_DEPTH_MAX * FRAME_SPACES_MAX;
/// Relays above whose newest beacon a replica remembers: a few to a level of its line.
pub const BEACONS_KEPT_MAX: usize = 64;
/// Links that one device may have open at a relay: two copies of a disk, and a few whose end was not noticed
/// yet. Of more the oldest is closed.
pub const LINKS_PER_DEVICE_MAX: usize = 8;
/// Refusals and failed handshakes at one address (of IPv6: one network of 64 bits) beyond which keys that the
/// charter does not know wait: a training day with a room full of wrong tickets stays below.
pub const REFUSALS_PER_ADDRESS_MAX: u32 = 64;
/// One refusal of an address is forgiven each so many milliseconds.
pub const REFUSAL_FORGIVEN_EVERY_MS: u64 = 2_000;
/// Addresses whose refusals a relay counts.
pub const ADDRESSES_KEPT_MAX: usize = 4_096;
/// Bytes of frames that one device may bring a relay at once: the first load of a district with half a million
/// records. What is over it waits ([`DEVICE_BYTES_PER_S`]), and nothing that was taken is lost.
pub const DEVICE_BYTES_BURST: u64 = 256 << 20;
/// Bytes of frames that one device may bring in the long run, a second: four times what a fast field link carries.
pub const DEVICE_BYTES_PER_S: u64 = 512 << 10;
/// Commits, and frames of any kind, that one device may bring a relay at once: a branch's work of decades.
pub const DEVICE_COMMITS_BURST: u64 = 100_000;
/// The same in the long run, a second: twenty times what somebody who types makes, one tenth of a core.
pub const DEVICE_COMMITS_PER_S: u64 = 500;
/// Links that one device may open at a relay one after the other: hours of a link that is cut every minute.
pub const DEVICE_LINKS_BURST: u32 = 240;
/// One more link of a device is allowed each so many milliseconds.
pub const DEVICE_LINK_EVERY_MS: u64 = 2_000;
/// Milliseconds between two handshakes with addresses at which a device dials too often: of all of them together
/// so that they cost no more than a twentieth of a core.
pub const SLOW_HANDSHAKE_EVERY_MS: u64 = 50;
/// Handshakes that wait for that; more are refused, and try again.
pub const SLOW_HANDSHAKES_MAX: usize = 32;
/// Devices of which a relay counts what they bring: of more, those that brought least are forgotten.
pub const QUOTA_DEVICES_MAX: usize = 32_768;
/// Seconds that a device over its quota waits at the most, and that it waits at a relay's word: a relay's clock
/// or word that is wrong must keep nobody out for long.
pub const QUOTA_WAIT_S_MAX: u32 = 600;
/// Bytes of frames of one link that wait at the desk of a replica: one frame of the greatest size, or many.
pub const LINK_INPUT_BYTES_MAX: usize = 1 << 20;
/// Bytes from which on a frame is read ahead of its turn: less is read as fast as it is handed over.
pub const AHEAD_BYTES_MIN: usize = 1 << 10;
/// Bytes of frames that lie read ahead at the desk: read, they take up to ten times as much, and a branch's machine has
/// 64 MB for everything. It is some twenty full frames, and the desk works on one at a time.
pub const AHEAD_BYTES_MAX: usize = 512 << 10;
/// Bytes of frames of all links together that wait at the desk of a replica.
pub const DESK_INPUT_BYTES_MAX: usize = 64 << 20;
/// Bytes that a link may put into one group at the desk while others wait, unless its first frame has more.
pub const DESK_SLICE_BYTES: usize = 64 << 10;
/// Bytes of one group at the desk, one transaction: bounds how long others wait for its end.
pub const DESK_GROUP_BYTES: usize = 1 << 20;
/// Milliseconds of the desk's time that one device below may take at once before it gives way to others.
pub const DESK_BURST_MS: u64 = 500;
/// A device that took more rests this many times as long as its last turn took, while others work.
pub const DESK_REST_FACTOR: u32 = 19;
/// Units that a device has joined by tickets that no relay has seen yet, and such tickets on one unit: each hello
/// carries their chains, about 700 bytes each.
pub const JOINED_UNHEARD_MAX: usize = 16;
/// Commits in the chain that a device shows at the door: two for each of its tickets, of which one works for
/// many units. Each costs the relay a signature check before it knows who asks.
pub const CHAIN_COMMITS_MAX: usize = 256;
/// Bytes of one line of an audit file: a change of the greatest size in base64 with all around it, or the
/// group of one commit of a charter.
pub const AUDIT_LINE_BYTES_MAX: usize = 4 << 20;
/// Commits that the maker of an audit file keeps open: records written one after the other share them.
pub const AUDIT_COMMITS_KEPT: usize = 64;
/// Bytes of frames that a relay keeps from a device before its hello has come: anyone with a key may
/// get this far, and an honest device sends its hello first and little beside it.
pub const BEFORE_HELLO_BYTES_MAX: usize = 2 << 20;
/// Plaintext bytes in one chunk of a bundle: what a reader holds before it can tell that a byte was altered.
pub const BUNDLE_CHUNK_BYTES: usize = 64 << 10;
/// Bytes of a bundle file: the largest file that a stick formatted with FAT32 can hold.
pub const BUNDLE_BYTES_MAX: u64 = (4 << 30) - 1;
/// Keys that one bundle may be encrypted to: the devices and open tickets of one unit, many times over.
pub const BUNDLE_RECEIVERS_MAX: usize = 256;
/// Bytes in the header of a bundle: [`BUNDLE_RECEIVERS_MAX`] wrapped keys and room beside them.
pub const BUNDLE_HEADER_BYTES_MAX: usize = 32 << 10;
/// Logs of one neighbour whose tips are kept from its last bundle, so that the next one for it is short.
pub const BUNDLE_HELD_LOGS_MAX: usize = 100_000;

/// Bundles that wait in a folder for what they build on: a month of daily ones of every one of eight branches.
pub const BUNDLES_WAITING_MAX: usize = 256;
/// Bytes of them: less than one stick carries, and bearable on the disk of an old PC.
pub const BUNDLES_WAITING_BYTES_MAX: u64 = 512 << 20;
/// Bundles of one sender that wait: a fortnight of daily ones, so that no sender takes the room of all.
pub const BUNDLES_WAITING_PER_SENDER_MAX: usize = 16;
/// Bytes of them, as of whatever else waits for one peer's earlier work.
pub const BUNDLES_WAITING_PER_SENDER_BYTES_MAX: u64 = 64 << 20;

/// Characters of a recovery file: [`BUNDLE_RECEIVERS_MAX`] wrapped keys in base64, and room beside them.
pub const RECOVERY_BYTES_MAX: usize = 64 << 10;
/// Characters of a new passphrase at the least: below this no cost of guessing helps.
pub const PASSPHRASE_CHARS_MIN: usize = 8;
/// Bytes of a passphrase, or of the file that holds one.
pub const PASSPHRASE_BYTES_MAX: usize = 4 << 10;
/// KiB of memory that turning a passphrase into a key takes at the least: what OWASP names for Argon2id.
pub const ARGON2_MEMORY_KIB_MIN: u32 = 19 << 10;
/// KiB that it takes at the most when a passphrase is set: an old PC with 2 GiB must still do its work.
pub const ARGON2_MEMORY_KIB_CHOSEN_MAX: u32 = 128 << 10;
/// KiB that a key file may ask for at the most, whoever wrote it.
pub const ARGON2_MEMORY_KIB_MAX: u32 = 512 << 10;
/// Passes over that memory at the least: what OWASP names beside the least memory.
pub const ARGON2_PASSES_MIN: u32 = 2;
/// Passes that a key file may ask for at the most.
pub const ARGON2_PASSES_MAX: u32 = 64;
/// Milliseconds that one try of a passphrase should take on the machine where it is set.
pub const ARGON2_TARGET_MS: u64 = 500;
/// Wrong passphrases in a row that are answered without a pause: fingers slip.
pub const PASSPHRASE_TRIES_FREE: u32 = 3;
/// Seconds of pause before a try at the most: a slip of the fingers must never lock the owner out.
pub const PASSPHRASE_PAUSE_S_MAX: u64 = 60;
