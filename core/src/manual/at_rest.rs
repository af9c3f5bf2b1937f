//! At rest: what a thief of the PC, a failing disk and a copied folder come to.
//!
//! It does not: describe what goes over the wire (see [`sync`](super::sync)).
//!
//! Invariants: what is promised here has a test whose name stands beside it (`tests/tests/e2e`, or beside
//! the code in `node/src/keys`, `node/src/store`).
//!
//! # A passphrase for the keys
//!
//! `sampan passphrase DIR set` seals every secret key of a folder: the device's, the one for what is
//! encrypted to it, those that tickets brought, the database key where there is one, and on the first relay the root key. `join` and `init` do so from the first byte where
//! `--passphrase-file FILE` (or `SAMPAN_PASSPHRASE_FILE`) names one. From then on every command that opens
//! the folder needs it: from the file, from the variable, or typed at the terminal, where it is not shown.
//! A daemon is given it once; `sync` beside a running daemon asks the daemon and needs none. `backup` and
//! `restore` need none where the database is not encrypted.
//!
//! **A passphrase protects keys.** Records are protected by it only where the database is encrypted, see below;
//! `passphrase set` says which it is. Where it is not, who takes the disk away reads the records, but can neither
//! write in the device's name nor open what was encrypted to it. Revoke the device of a stolen PC in any case.
//!
//! How: one random key seals the key files, and is sealed itself in `keys/lock` under a key that Argon2id
//! makes of the passphrase. XChaCha20-Poly1305 does both; the kind of key is bound to it, so that one file
//! never passes for another. Memory and passes are measured where the passphrase is set, to take about half
//! a second ([`ARGON2_TARGET_MS`](crate::limits::ARGON2_TARGET_MS)), between 19 and 128 MiB, and are kept in
//! the file; a file that asks for more than
//! [`ARGON2_MEMORY_KIB_MAX`](crate::limits::ARGON2_MEMORY_KIB_MAX) is refused. `change` replaces that one
//! file; a power cut at any moment leaves a folder that one passphrase (or none) opens. The words are taken
//! in composed form (NFC), so that another keyboard gives the same.
//!
//! A wrong passphrase is exit 3 and changes nothing. After
//! [`PASSPHRASE_TRIES_FREE`](crate::limits::PASSPHRASE_TRIES_FREE) in a row each try waits, doubling up to a
//! minute; killing the program does not spare the wait. That slows whoever sits at the PC. Who copied the
//! disk is slowed by Argon2id alone, so the words must be good: four or five of them.
//!
//! What was plain on a disk before is overwritten when a passphrase is set; flash keeps what it likes. On a
//! new PC set the passphrase with `join`.
//!
//! # The database encrypted
//!
//! A program that was built with the feature `encryption` (packages are to be) makes every new `store.db` encrypted as a
//! whole: SQLCipher 4, AES-256 in CBC with an HMAC-SHA512 of every page, under a key of 32 random bytes that lies in
//! `keys/database.key` and is sealed, changed, backed up and recovered like the other keys. So the two go together:
//!
//! | build | passphrase | who takes the folder away |
//! | --- | --- | --- |
//! | with encryption | set | reads nothing: no byte of any file holds a name, free pages and journals included |
//! | with encryption | none | has the key beside the database (mode 0600), and reads everything; who has `store.db` alone reads nothing |
//! | without | set or not | reads the records |
//!
//! The nameless file that cleaning a large database after an erasure needs is encrypted as well; all other temporary data
//! stay in memory. What stays open: `sampan.toml` (ids, addresses, settings), the organisation's and the device's number, sizes and
//! times of files, and on a PC that runs the memory of the program and what the system swaps out. `logs/` and `run.json`
//! hold no records. Files that are exported lie where they were asked for, in clear.
//!
//! - A program without encryption that meets an encrypted database says so in one sentence (`database_encrypted`, exit 1)
//!   and leaves it alone.
//! - A program with encryption opens a plain database as it is; `doctor` notes it. `encrypt DIR` encrypts it: into a new
//!   file, which takes the place of the old one once it was checked; the store stays the same one, with its ticks. The
//!   old file is overwritten with zeros; flash may keep a copy, and so do older backups. No daemon may run meanwhile.
//!   A crash leaves the plain database; run it again. There is no way back but a new folder.
//! - `backup` writes the same encrypted pages and the key as it lies, so it and `restore` need the passphrase. Only
//!   programs with encryption restore it.
//! - A flipped bit makes a whole page of 4,096 bytes unreadable. `verify` names the tables, `verify --repair` makes the
//!   database anew of the other pages, encrypted under the same key, and the next sync brings the rest. Until then a
//!   command that needs that page is exit 5, and a daemon that met it serves nothing more before it is started again.
//!   The first page opens all others: when that one or `keys/database.key` is lost, restore a backup, or remove
//!   `store.db` and sync (what was never sent is lost).
//! - Any tool that speaks SQLCipher opens it: `PRAGMA key = "x'…'"` with the digits of an unsealed `keys/database.key`.
//!
//! The key is held in memory that is wiped, is in no error, log or debug text, and SQLCipher's own log is off. SQLCipher
//! wipes its copies of the key; the option that also wipes every buffer it gives back (`cipher_memory_security`) is off, as
//! it is by default there: it locks and wipes memory at every allocation, and a first load takes 2.5 times as long.
//!
//! How to build: `cargo build --release --features sampan-node/encryption,sampan-relay/encryption`; it links the system's
//! libcrypto (Debian: `apt-get install libssl-dev pkg-config`). What it costs: `tests/benches/README.md`.
//!
//! Tests, by `.ci/run encryption`: `encryption::no_byte_of_a_locked_folder_holds_a_name_of_a_member`,
//! `encryption::the_same_search_finds_the_names_in_a_plain_folder_until_it_is_encrypted`,
//! `encryption::a_bit_that_flips_in_an_encrypted_database_is_found_and_comes_back_from_above`,
//! `encryption::an_emptied_folder_is_refilled_encrypted_and_recovery_opens_the_database_too`,
//! `only_its_key_opens_it_and_nothing_is_changed_by_others`, and the power cuts of `tests/tests/storage` on encrypted
//! disks; in every run: `at_rest::a_program_without_encryption_leaves_an_encrypted_folder_alone`,
//! `a_program_without_encryption_says_so_and_changes_nothing`.
//!
//! # A passphrase that was forgotten
//!
//! When a passphrase is set, or a folder is made with one, the key of the folder is sealed to the relays of the
//! nearest level above and kept in `keys/recovery`; `recovery make` does so by hand, and each `sync` and start of
//! a daemon does so anew where the level above has changed. Then, should the words be forgotten:
//!
//! 1. The secretary: `sampan recovery ask DIR REQUEST`. It needs no passphrase, writes a file for the level
//!    above and prints a code of twelve characters. The file may go by any way; the code is read out by telephone.
//! 2. The operator of the relay above, who knows the voice: `sampan-relay recovery answer DIR REQUEST ANSWER
//!    --code CODE`. A file that was swapped on its way has another code. Refused: another organisation, a device
//!    whose right has ended or is not known, one that is not below this relay.
//! 3. The secretary: `sampan recovery finish DIR ANSWER`, which asks for a new passphrase. The old one holds no
//!    more. An answer fits the one request that it answers, in the folder that asked, once.
//!
//! No secret travels in clear: the folder's key lies in `keys/recovery` and in the request under the relay's
//! X25519 key, in the answer under a key made for this one time. So the level above, with the folder or a
//! request from it, can open the keys of a folder below; who does not want that removes `keys/recovery`. At the
//! root there is nobody above: its root key goes offline on paper, and its devices' words must not be
//! forgotten. Without an answer the records are at the level above all the same; join again with a new ticket.
//!
//! Tests: `recovery::the_district_opens_a_branch_whose_secretary_forgot`,
//! `recovery::foreign_and_ended_devices_are_not_answered`, `an_answer_sets_a_new_passphrase_once`,
//! `texts_of_version_1_open_for_ever`.
//!
//! Tests: `at_rest::a_passphrase_locks_the_keys_and_is_given_once_a_daemon`,
//! `at_rest::folders_made_with_a_passphrase_never_hold_a_plain_key`,
//! `at_rest::damaged_locks_are_told_and_left_alone`,
//! `a_power_cut_between_any_two_files_leaves_a_folder_that_opens_and_can_be_finished`,
//! `wrong_tries_are_counted_slowed_and_forgotten_when_the_right_words_come`.
//!
//! # Backups
//!
//! `sampan backup DIR FILE` writes one file, beside a running daemon if there is one: a consistent snapshot
//! of the database, encrypted where it is, `sampan.toml`, and the keys as they lie (sealed where there is a passphrase). Whoever
//! has an unsealed one can write in the device's name: keep it like a key. It is never written over.
//!
//! `sampan restore FILE NEWDIR` reads all of it and checks its hashes before it makes anything, and never
//! writes into a folder that holds something. What it makes is **another store**: it draws a new epoch and
//! writes under a new incarnation, so that going on from an old state forks nothing; what was sent after
//! the backup comes back with the first `sync`, and old ticks count only once confirmed anew. The old
//! folder may go on as well, and nothing is lost; still, use one of the two.
//!
//! The form is text lines and raw bytes: `sampan backup, version 1`, a line of JSON that lists the files
//! with length and BLAKE3 hash, the hash of that line, then the contents.
//!
//! Tests: `backup::a_restored_backup_takes_back_what_was_sent_and_forks_nothing`,
//! `backup::cut_altered_and_foreign_backups_make_no_folder`, `backup::neither_writes_over_anything`.
//!
//! # Damage
//!
//! `sampan verify DIR` checks every signature, root and pack, and computes anew all that follows from them:
//! tips, lists, counts, the state of every record, its row, what search finds it by; what only
//! this place knows and nothing repeats (small facts, when something was first seen here, the position of a
//! register, up to where a statement reaches, how far the lists have followed) has a sum beside it. Damage is exit
//! 5, with table and record.
//!
//! `verify DIR --repair` makes the database anew of what is whole: every commit with its signature and
//! payload is taken in again as if a neighbour had sent it, so that all that is derived is right again.
//! Commits that cannot be read are left out and so are held by nobody here: the next `sync` brings them
//! (exit 4 until then), and what builds on them waits, set aside, and joins them when they come. Edits that
//! were not sealed are sealed; one that cannot be read is named. The new database is another store, with a
//! new epoch and incarnation; the old one stays beside it as `store.db-damaged`, which `doctor` names, until a `verify`
//! after the next verified session finds nothing and removes it.
//! A commit of this device that was damaged before any level above had it is lost: nobody else holds it.
//!
//! Tests: `damage::one_bit_in_any_column_of_any_table_is_found_and_named`,
//! `damage::what_was_lost_comes_back_from_above_and_nothing_else_is_lost`,
//! `damage::what_follows_from_commits_is_made_anew_without_anyone`.
//!
//! # `doctor`
//!
//! Says in sentences for the telephone what is wrong and what to do: a folder that cannot be written, keys
//! that others can read or that are locked, a disk nearly full, a clock that is not set or far off, work
//! that waits for a week, a link that failed and why, news from above older than two weeks, commits set
//! aside, a copied or restored folder, damage. It changes nothing and calls nobody.
//!
//! # Erasure
//!
//! `erase DIR RECORD --reason TEXT` writes an entry into the charter of the record's unit, under an admin's
//! right; it stands for ever and goes wherever that charter goes. Each replica that takes it in makes *holes* of
//! every entry of the record (packs are rewritten, all else in them stays byte for byte, ids and signatures too),
//! removes edits that were not sent, rows and words of the search, and rewrites copies in the quarantine. When
//! nobody waits it cleans the disk: bundles that may hold it go from `outbox/` and from among those that wait (see
//! [`bundles`](super::bundles)), the search index is merged, the database written anew (`VACUUM`), the
//! write-ahead log emptied. That holds the writer's lock: under a second at 50,000 records, some ten at 200,000
//! (`tests/benches/README.md`); who wants to write meanwhile waits, or is told that the database is busy. Only then
//! it signs that nothing is left; `erase DIR --list` shows who has, and who
//! has not. What comes later, by a link, a bundle or a backup, becomes a hole before it is judged or shown. A
//! backup that is older than the erasure knows nothing of it until its first sync, which brings charters first.
//!
//! `--holder DEVICE` erases the name of a holder: the grant in the charter has only a salted hash of it.
//!
//! What it does not reach: files that were copied away (backups, bundles, exports), a `store.db-damaged` that a
//! repair left (it is named, and nothing is confirmed while it lies there), blocks that the file system gave
//! back, and a device that never syncs again: it stays in the list.
