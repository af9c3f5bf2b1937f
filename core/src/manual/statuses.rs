//! Statuses: what becomes of an entry that has arrived.
//!
//! It does not: say how statuses lie in a database, or who is told.
//!
//! Invariants: a status is never sent and is part of no digest. It is computed from the set of entries
//! held and the charter, never from the order in which they came, so that two replicas with the same
//! commits show the same.
//!
//! # Before an entry has a status: the commit
//!
//! A commit whose form, signature, parents, sequence or Merkle root is wrong is not stored at all, and the
//! session with the neighbour that sent it ends. A commit that is right but of a log that does not
//! *count* is set aside:
//!
//! **quarantined**: a whole commit, kept apart from everything, in no frontier, under a quota for each
//! neighbour (`QUARANTINE_COMMITS_MAX`, `QUARANTINE_BYTES_MAX`). Reasons: its device never had the right
//! to write in the space; the charter that would decide has not arrived; it continues a commit that is
//! itself set aside; its log has more tips than `LOG_TIPS_MAX`; it lies outside a cut of its device; it carries
//! a collection that its device was never given, or that was taken from it. When the charter grows, the quarantine is
//! judged again, and what counts now is stored as if it had just come. Nothing in it travels.
//!
//! A log counts in a data space if the charter *ever* gave its device the editor's right there; in a
//! charter space, if the device is the root key, a ticket of that unit, or ever had the relay's right
//! there. Once it counts it counts, as far as no *cut* says otherwise: of a device that was revoked without
//! one the commits still travel, for others have built on them; its rights end at the door.
//!
//! # Cuts
//!
//! A cut (kinds revoke, lost, retire, narrow, close) ends or narrows rights of a key and names, for each of its
//! logs, the tips up to which the old right holds. A commit that is neither named nor an ancestor of one that
//! is named is **outside**: it lies in the quarantine, whether it came before the cut or after it, and whoever
//! carried it. A log that the cut does not name is outside from its beginning. Of two final cuts of one log what both
//! name stands; a narrowing or a close ends rights, and what it leaves outside is what no other right lets its author
//! write, collection by collection ([`rights`](super::rights)). Nothing that was accepted is deleted: what a cut takes out of what counts is moved into the
//! quarantine, whatever its quota, and its records are judged anew.
//!
//! Revoke, lost and retire are final for the key, in all units below which their issuer was admin as far as it
//! had seen; narrow and close hold for the rights on one unit that they had seen. A right given beside them, in the
//! same commit, or after a close goes on; one given after a narrowing holds for what had seen it. A cut stands by what its author had seen, and by nothing else: two who
//! cut each other are both cut. A close stands 30 days after the right's own end, by its author's label.
//!
//! Commits of *charters* that lie outside a cut stay in the charter's frontier, because cuts in them stand all
//! the same and everybody must find them; their other operations are void and give nobody anything: a device
//! that was let in by one has logs that do not count. A commit whose named tip is not held here is outside until
//! that tip comes.
//!
//! What a cut device had not sent is not lost: if it ever comes back it hands it in ([`sync`](super::sync), the deposit
//! session).
//!
//! **Release** names commits by their ids and makes them count whatever was cut, if its author was admin of the
//! unit as far as it had seen and does not lie outside a cut itself; what builds on them (*pending* until then)
//! stands with them. A commit counts only with all that it continues. **Reject** says that someone looked and
//! left a commit where it is: it changes nothing that counts and can be taken back by a release.
//!
//! `sampan-relay quarantine DIR list --json` prints a row a commit: `commit`, `device`, `holder`, `unit`,
//! `sequence`, `entries`, `at` (by its author), `since` (here), `from` (who brought it), `reason`, `state`
//! (`waiting`, `rejected`), `needs` (commits before it that lie here too), `blocks` (`record`, `change`,
//! `author` of what waits for it, and `anew`, whether that author wrote it anew); `show` adds `changes` (`record`, `collection`, `change`, `at`, `fields` of a
//! creation); `release` and `reject` print `released` or `rejected`, a list of ids. `revoke --json` prints
//! `device`, `revoked` (whether it was done now), `kind`, `logs` (how many the cut names), `not_held` (collections that
//! this relay does not hold by design: all that the device wrote there is outside, and a person is warned).
//!
//! # Edits on top of what was cut
//!
//! An edit that was made on top of one that a cut takes out is rightful and yet cannot be shown: it would bring in
//! parts of what it stands on. Its author's replica, and no other, **writes it anew**: the same fields, with the
//! author's own time, on those of its ancestors that stand. What others wrote meanwhile is beside it, so that
//! different values are an ordinary conflict. It does so when the cut arrives, if its right still runs, and at once
//! for values that may be there twice without showing: plain fields, elements of a set, deletions. What would count
//! twice if the edit came to stand after all (text that was put in, elements of a list, a counter's sum) is written
//! anew only when all that it stands on was **rejected**; until then it waits, and so do later edits of that record by
//! the same device. (A rejection that is taken back by a release after that shows such an addition twice.) A release
//! makes the edit stand as it was made: beside what was written anew, and equal values are no conflict.
//!
//! What is written anew is computed: its actor comes from the edit's own (`BLAKE3("anew", actor)` as the nonce), so
//! that a copy of the disk or a restored backup writes the same bytes, which fold by hash; marks in the database keep
//! it from being written twice. A replica whose own change stops standing goes on under another nonce, because the
//! next edit of that record would have the sequence of one that may stand again. Onto a record whose *creation* was cut
//! nothing can be written: such edits are listed, and show if it is released. `status --json` counts a device's own
//! edits in `built_on_cut`: `anew`, `waits`, `no_record`.
//!
//! Nothing in a quarantine travels, but a list of it does: each device tells the relays above, in a signed register,
//! how many commits wait there, by unit, and since when. `quarantine DIR list --below` prints a row a unit and device:
//! `unit`, `commits`, `oldest_at`, `device`, `holder`, `said_at`; a relay's `status --json` has their sum as
//! `quarantined_below`. It is said anew when it changes, at once over a link that is up to the next relay, and one level
//! further with that relay's next exchange.
//!
//! # The statuses of an entry
//!
//! [`Status`](crate::store::Status) of each entry of a counting commit:
//!
//! - **accepted**: it stands, and is shown. For an ordinary change that means: the admission door let
//!   it pass, it was made under the actor that its commit's header names, everything that it depends on
//!   stands, and sequence, operation counters and references fit its causal past. A computed change
//!   (identity creation, birth) stands by its bytes: they must be exactly those that anyone computes
//!   for that record and field.
//! - **pending**: a change that it depends on, or the creation of its record, has not arrived. It is
//!   judged again when that comes.
//! - **needs newer**: it parses and lies outside format 1: a column, an operation, a type of value or a
//!   size that only a later version knows. It is kept and forwarded.
//! - **blocked**: it depends on a change that does not stand; or it lost to a twin with the same actor
//!   and sequence (the lower hash stands).
//! - **malformed**: it breaks the rules of admission, or stands in another space or collection than its
//!   record was born in, and will never stand. It is listed and forwarded, never applied: the verdict
//!   is a function of bytes and causal past alone, so it is the same everywhere.
//!
//! In a data space an entry of kind charter or erase is malformed, and so is every kind but charter in a
//! charter space. Charter operations are judged by the fold of [`charter`](crate::charter): one without
//! right is *void*, listed with its reason; one whose causes have not arrived waits.
//!
//! A record is opened from its accepted changes only. If Automerge panics on it all the same, it is
//! marked *damaged*, durably, before anyone opens it again.
