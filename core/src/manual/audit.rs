//! Audit files: evidence of who did what, for one who holds only the organisation's root key.
//!
//! It does not: repeat the forms of commits, groups and hashes ([`formats`](super::formats) has them).
//!
//! Invariants: this page and [`formats`](super::formats) are enough to check a file; `sampan_verify.py
//! --audit` beside the tests was written from them.
//!
//! `sampan audit DIR FILE [--record RECORD] [--unit UNIT] [--since DATE]` writes one,
//! `sampan verify --audit FILE [--root KEY]` checks it, without any folder (`sampan-relay` has both).
//! Without `--root` the key that the file names is taken, and printed to be compared with the one that
//! the reader was given: a file proves nothing to one who does not know the root key. `--unit` takes the
//! units below too; `--since` takes the records that something was done to since that day (UTC), by its
//! author's label or as first seen, and each record always comes with its whole history. What was edited
//! and not yet sealed is sealed first: nobody has signed it before.
//!
//! # What a file shows
//!
//! | it shows | on whose word |
//! | --- | --- |
//! | which device wrote each change of a record, and its bytes | the author's signature |
//! | what the change did to which field, and what it counts for | computed again from all the changes in the file |
//! | what lies outside a cut of its author's device, was released or was rejected | the charter: signed cuts that name commits, computed again |
//! | when, *claimed* (`at`) | the author's label of time, under its signature |
//! | that the author had the right | a chain of grants that begins at the root key |
//! | when *first seen* (`first_seen_at`), a change or a commit of the charter | the word of the device that made the file, under its signature |
//! | that the newest changes, whole records, or a late revocation were not left out | the same |
//!
//! Taking a change from the middle of a record's history shows, for what builds on it would not stand;
//! so does taking a part of the charter that anything in the file rests on. Leaving out what nothing in
//! the file names does not show: ask a second holder (the level above) for its file and compare.
//! `revoked` beside an author in the result says that the charter in the file revokes the key, `until` how long
//! its rights last. What the key wrote stays evidence of who wrote it.
//!
//! # Cuts
//!
//! What a cut leaves out, and the maker holds in its quarantine, is in the file as well, with the status
//! `outside` and no `fields`: it is signed by its author and counts nowhere. The result counts it apart, lists the
//! cuts (whom, why, by whom, when), the releases and rejections of commits in the file, and the root key that a
//! succession named. A file that shows such an entry as standing is false evidence (exit 5).
//!
//! Past a narrowing that left its author some collections a commit may stand or not, by what it carries, and its header
//! does not say what that is. Such a commit is `allowed` where its maker holds it as standing, and then no entry of a
//! taken collection may be shown in it as standing; else `outside` or `rejected`. (That another entry of the same commit,
//! or a commit before it, took it out is the maker's word: a file shows the entries that it is about.)
//!
//! A commit is inside a cut if the cut names it or a descendant of it is inside. For a device that is cut in a
//! space the file therefore has the `commit` lines of all that counts of it there, newest first, before the first
//! of its entries: reading downward, a reader knows at each line whether it was named or led to.
//!
//! # Exits
//!
//! 0 it holds · 2 no file of evidence, a newer form, a cut file, a line that cannot be read, a `--root`
//! that is no key · 5 evidence that does not hold: a signature, a proof, a missing charter commit, a column
//! that differs from the signed bytes, another organisation's root key, an entry in another place. The
//! first thing that is wrong is said in one sentence with its line.
//!
//! # The form
//!
//! UTF-8, a JSON object a line, each line ended by `0a`. Keys stand in the order below, without spaces;
//! texts escape only `"`, `\` and the control characters (`\b \f \n \r \t`, else `\u00xx` in lower case). A
//! reader writes each line again and refuses one that differs, so no byte is free. Ids are lower-case hex,
//! bytes base64 (RFC 4648, padded), times RFC 3339 in UTC with exactly three digits of a second.
//! In order: one `audit`, all `charter`, then `commit` and `entry` lines, one `end`. A commit stands before
//! its first entry; the entries of one record stand together, with only `commit` lines between them.
//!
//! - `audit`: `line form organisation name made_by made_at of`. `form` is 1. `of` is an object with those
//!   of `record`, `unit`, `since` that were asked for.
//! - `charter`: `line commit unit author at first_seen_at operations group cut`. `first_seen_at` may be left out
//!   (files before it was written have none). `cut` is left out, or `outside`: a final cut of its author leaves
//!   its operations without effect, but for those that narrow. `group` is a group of one commit with a pack
//!   of form 0 (formats, section 4). `operations` are the names of its operations: found, create unit,
//!   grant, enrol, endpoint, schema, revoke, cut, release, reject, succeed (number 16); `operation N` for others.
//! - `commit`: `line commit unit author at header signature cut`: the two parts of a signed header. `cut` is left
//!   out where no cut bears on the author in this space; else `inside`, `outside`, `released` (whatever else),
//!   `rejected` (outside, and rejected), or `allowed` (past a narrowing, with nothing in it that was taken).
//! - `entry`: `line commit index record collection kind author unit at first_seen_at status change fields
//!   birth salt proof payload`. `kind` is `change`, `identity` or `birth`; `author` is the commit's device,
//!   or null but for `change`, for every replica computes the others. `birth` (left out but for a birth) is
//!   `[field, number of its kind]`. `salt` is the entry's own, not the commit's secret: the other entries
//!   of the commit stay hidden. `proof` is the siblings one after the other. `payload` is the whole change.
//!   `change` is its hash. `status` is `outside` for all entries of a commit that is outside or rejected; else accepted,
//!   pending, blocked, malformed or needs_newer
//!   ([`statuses`](super::statuses)), of the record as it is in the file. `fields` is, for what is
//!   accepted, an object from field to `{"old":…,"new":…}` (sorted; values as `--json` shows them): what the
//!   author saw and what stood afterwards.
//! - `end`: `line lines digest signature`: the number of lines before it; with `D = H("audit", all lines
//!   before it, ends of line included)`, `D` in hex; the signature of kind `audit` by `made_by` over the 32
//!   bytes of `D`.
//!
//! # To check one
//!
//! 1. The organisation is the root key expected. Each `charter` line's group checks as in formats, section
//!    4; every parent and charter head is in the file, and sequences follow. The charters in a file are
//!    those of the units it is about and of the maker's, each up to the root, with all they rest on.
//! 2. Rights: the root key founds; what an admin of a unit creates and grants there stands, as does the
//!    enrolment by a ticket; a writer of records has *editor* on the unit, a writer of a charter *relay* or
//!    is its ticket. Whoever ever had the right by the charter in the file counts, revoked later or not. An entry that
//!    stands is of a collection that some right of its author lets that commit carry (formats, section 7).
//! 3. Each `commit`'s signature holds, its charter heads are in the file, its author had the right.
//! 4. Each `entry`'s leaf, with its proof, leads to the root in its commit's header; its payload hash is
//!    that of its payload.
//! 5. Columns equal what the signed bytes say. `status` and `fields` are computed from all the entries of
//!    the record together. (A checker without Automerge's format can still check that what is accepted is
//!    written under its author's actor and that its dependencies are accepted and in the file.)
//! 6. The `end` line fits, and its signer has a right in the charter.
