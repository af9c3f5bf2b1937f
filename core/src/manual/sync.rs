//! The session: how two replicas come to hold the same.
//!
//! It does not: say how frames are carried; [`formats`](super::formats) has their bytes.
//!
//! Invariants: a side speaks in turns that end with a mark; *verified* is said only when both ends hold
//! the same; no side keeps a queue for a peer that is not there; every repair is bounded.
//!
//! # Ends and lanes
//!
//! The *lower* end is the child: it dials. The *upper* end is a relay of a unit above it (or of its own
//! unit). Frames travel in six lanes, most urgent first; where the transport has streams, each lane is
//! one, so that urgent frames overtake:
//!
//! | lane | carries |
//! | --- | --- |
//! | 0 | control: every frame but commits, registers and acknowledgements; and commits of charters |
//! | 1 | commits of `down` spaces |
//! | 2 | registers, acknowledgements |
//! | 3 | recent commits of other spaces |
//! | 4 | backfill: where one device's missing commits of one space have `BACKFILL_BYTES_MIN` or more |
//! | 7 | files ([`files`](super::files)); no counter below counts them |
//!
//! Commits of one device in one space stay in one lane for the whole session and in the order of storage,
//! parents first. Lanes are not ordered among each other, so two counters put things right at the
//! receiver, neither of them counting marks: a `Commits` frame in another lane than 0 says how many
//! frames of lane 0 were sent before it, and is taken after that many; a `Mark` says how many frames of
//! all lanes were sent before it, and is taken after all of them, when nothing else waits. What waits is
//! bounded by `WAITING_COMMITS_MAX` frames and `WAITING_BYTES_MAX` bytes. Nothing is taken before the
//! hello or greeting, which opens the session on lane 0. Lanes 4 and 7 keep to `rate_kbit_max` outside the hours of `night`.
//!
//! # Opening
//!
//! The lower end sends `Hello` with the digests of the shared scope as it sees it, the whole frontier
//! of that scope if it has at most `HELLO_LOGS_MAX` logs, and, until a relay has let it in once (and again
//! after one said that it knows no grant, as a relay does that was restored from before), the *chain* that
//! shows its right: the ticket's grant and its enrolment, for each of its tickets; later only those that the charter
//! does not show yet. A device of one unit that is no
//! relay sends at once, unasked, the commits of its own that the peer's last acknowledgement does not
//! cover, if they are at most `PUSH_BYTES_MAX` as they travel (they are made, and their bytes counted): one round trip for a branch with news. A longer backlog is
//! compared first, so that a link cut again and again never starts it over. Where the relay has lost what
//! it had acknowledged, such commits wait there for their parents (at most `ORPHAN_COMMITS_MAX`), which
//! comparing brings in the same session. Its turn ends with a mark that asks for an answer.
//!
//! The upper end checks that `device` is the transport's key, organisation and version, takes in the
//! chain if it ends in a right, and judges at the door: revoked, no grant, ended, ticket used or
//! expired: `Refuse`, with a code and a sentence. A used or expired ticket refuses nobody who has another right: its
//! enrolment is handed back as the chain of the answer. What the charter cannot place yet is tried again as it grows. Where the charter that would decide
//! has not arrived at this relay, the code is `Busy`: the next relay above is tried at once, this one again
//! later, and the next hello shows the chain; so it is after "no grant", for a relay may have lost a part of its charter. If a nearer relay exists on the lower end's way, this one begins none
//! of its ways (a device has one for each relay that is nearest above a unit of its own), and it does not
//! say `fallback`, the answer is `Redirect`. Otherwise it answers with its own `Hello`, without a
//! frontier. An upper end that holds no charter at all (a relay that came back empty) takes charters
//! from below first, and judges when they show the peer's right.
//!
//! # Greetings
//!
//! Two ends that were found equal write down what they held (a digest of 16 bytes) and how far their stores went then.
//! If both speak protocol 2, the lower end opens their next session with a `Greeting` that names it, and sends with it
//! all that it stored since of what both share, and a mark; unless that is more than `PUSH_BYTES_MAX`: then it says
//! hello. If nothing came, it says so (*same*), and no mark follows. An upper end that remembers the same day, and
//! would open the door to a hello, answers `Greeted` and all that it stored since (at most `GREETING_SCAN_COMMITS_MAX`
//! commits are looked through). Where neither has anything new, that is all: the answer counts as the mark of both, and
//! the two ends are verified after one round trip and some 90 bytes. Acknowledgements are passed down only where the
//! greeting's digest of them differs.
//!
//! The digest of acknowledgements has two halves (protocol 3): of those of the relay itself, with the store that it says to have,
//! and of those from further up; so a branch is told of the half that differs. A lower end with units below it has one
//! digest over the tree of units: where it differs the upper end shows the top node (`ShortNodes`, without a tree), the lower its own where
//! they differ, and only the units at the end of that way are told of. Both keep these digests with each statement that
//! is stored; comparing reads none. Statements travel short (`ShortAcks`, `OwnAck`) where the lower end's last word is
//! that both hold the same data: it computes the digests, and with them the root that was signed.
//!
//! A lower end with units below it that remembers no meeting (or of which too much came since) and could not list its
//! tips in a hello greets too, with what it holds now: if the upper end holds the same that is all; if not, it answers and
//! goes down the digest trees at once.
//!
//! A field or frame that the other end does not know ends the session there, so protocol 3 is spoken only to an end that said in a hello or
//! greeting that it knows it. After an update of either end a hello says so once: the lower end remembers which version of its own the relay
//! has heard, the upper end asks for one (`SayHello`) where a greeting shows no version and this child has not heard its own.
//!
//! In every other case the upper end answers `SayHello`: the lower end begins anew with a hello on the same link, and
//! whatever came with the greeting is forgotten and comes again. So a greeting is only ever a shorter way to what marks
//! and digests decide: an end that remembers wrongly costs a round of comparing.
//!
//! # The deposit session
//!
//! A device whose rights have ended (revoked, lost, retired, narrowed to nothing, closed, or its `--until` over) is
//! refused, but may first hand in what it wrote. In place of a hello the relay sends `Deposit`: why, the commit of a
//! charter that ended the rights (where there is one that says nothing else), and the tips of the device's *own* logs
//! that are held or set aside here. The device drops what it was about to send, offers its own commits that are
//! missing, also those that its own cut took out of what counts there, and ends with a `Mark` that asks for no answer.
//! The relay answers with a last `Deposit`, which is the acknowledgement, and `Refuse` (code 2). Nothing else leaves
//! the relay.
//!
//! It takes the device's own commits of records in spaces that the device was once given to write and that it holds
//! itself: no charter, nobody else's work; at most `DEPOSIT_COMMITS_MAX` and `DEPOSIT_BYTES_MAX` a session (the rest
//! comes with the next one; twice as much ends the session), under the quarantine's own quota. They are judged as
//! ever: what lies inside a cut counts, what lies outside is set aside until it is released. Where only a time has
//! ended the right, commits that say themselves that they are later stay on the device.
//!
//! The device remembers what it was told (`status --json`: `ended` with `reason`, `at`, `for_good`, `handed_in`, `left`).
//! Where the commit that it was shown is a final cut by one who is admin as far as it knows, it edits no more. A relay
//! that lets it in again ends that. The door is judged at every hello, by the charter: a resumed connection is no way
//! round it. A bundle by such a device is taken the same way, and not answered.
//!
//! **Protocol 5** reads charters whose packs are of form 7 ([`formats`](super::formats)): compressed with the file of the shipped
//! schema as a dictionary. Nearly every organisation publishes that file, or one that began as it, and it was a quarter of
//! what a branch's first load took. The form is tried where a pack of a charter has 1 KiB and more, and used where it is shorter.
//!
//! **Protocol 4** reads two shorter forms: in a brief header the charter heads by the first four bytes of their ids, and in a
//! `ShortAcks` a relay further up by its place among the relays of its unit. Both follow from the charter that the two ends
//! share; where it is not the same after all, the signature does not come out, and the whole form is asked for (`Plain`,
//! `AcksLost`).
//!
//! **Protocol 2** reads columnar packs ([`columns`](super::columns)) and knows the frame `Plain`; protocol 1 does not.
//! Each end says in its hello what it speaks (1 to 2); to an end that speaks 1 every pack goes verbatim. What the lower
//! end sends unasked, before it has heard the upper one's hello, is as the last hello of that relay allows, and verbatim
//! where there was none. A pack of form 5 leaves out what follows from commits up the log that the receiver must hold to
//! take the commit at all. If it does not hold them as they were (its store is older than it said, or an
//! erasure took one of the changes), it answers `Plain` with the commits of the group, and they come again whole, once.
//! In the same way the **headers** leave out what follows from the commit's parent, and, of small groups, what follows from the payload
//! ([`formats`](super::formats), brief header): some 20 bytes and the signature instead of 300. The sender rebuilds each and compares;
//! the receiver rebuilds and checks the signature: it can take nothing but the bytes that were signed. What it cannot
//! rebuild, or what fails any check, it asks for by `Plain` with the number of the group, at most
//! [`WAITING_COMMITS_MAX`](crate::limits::WAITING_COMMITS_MAX) times a session. First commits of a log, charters, merges of a forked log, deposits
//! and bundles have whole headers.
//!
//! Any other frame before `Hello`, a second `Hello`, or acknowledgements from the lower end break the
//! protocol: the session ends with `Refuse`, code 7.
//!
//! # Turns and marks
//!
//! `Mark` ends a turn: its number, the frames sent so far, the digests of what the sender holds *now*,
//! whether it waits for a mark in return, its clock. A side that takes a mark first answers everything
//! that was said in the turn:
//!
//! - a **frontier**: in each log whose tips at the peer are all known here, the commits that the peer
//!   lacks are planned. Where it has tips unknown here, the own frontier of that space goes back, once;
//!   if the peer has seen that already, the log has forked, and the ids of all its commits go as an
//!   `Inventory` (16 bytes each); the other end sends what the inventory lacks, and its own.
//! - **nodes** of a digest tree: where the unit's own digest differs, the frontier of that space; where a
//!   child's differs (absent counts as zero), that child's node, or, where nothing lies below it, the frontier of its
//!   space at once. Equal subtrees cost nothing. From protocol 3 on nodes are short: 8 bytes of each digest,
//!   children without their names, no charters where they are equal. They only lead the way; where they led
//!   nowhere (two digests may begin alike), everything is compared anew with whole nodes.
//!
//! Planned commits are counted first (`Announce`) and then sent (`Commits`), each commit at most once a
//! session to one peer. The upper end also acknowledges what it now holds of the peer's units, and
//! passes down what relays further up have signed.
//!
//! Then the mark is judged. If this side still has commits or control frames to send, it sends them and
//! asks for another mark. If not, and the mark's digests equal its own, both charter and data: the link
//! is **verified**, as of this moment, and the peer is told so if what this side said last was something
//! else; nothing is ever verified that shares nothing. If they differ and the peer waits for an answer, it gets one. If
//! they differ and it does not wait, this side compares everything anew from the top and asks again, at
//! most `REPAIR_ROUNDS_MAX` times; after that it says *not verified*, never silence.
//!
//! Each round of comparing happens once between two verifications, so no two sides can ask each other for
//! ever. An end that leaves (`sync`) closes at once where a `SameMark` names its last mark, or *same* answers a greeting that
//! nothing followed, and it has said nothing since: a mark is taken only after all that left before it, so that the close, which
//! overtakes streams, can lose nothing. In every other case it waits until its streams are acknowledged.
//! A verified link stays: new commits are sent as they come, each burst a turn of its own.
//!
//! # What is shared
//!
//! [`scope::Shared`](crate::scope::Shared) is computed by both ends from their charters. For a unit of
//! which the lower end holds the unit's own spaces: the charters of the unit and of all units above it,
//! their `down` spaces, and its own `up` spaces whose reach includes the upper end's level. For a unit
//! of which the lower end is a relay: the same above it, and the digest trees of charters and of `up`
//! spaces of the unit and all below it; and so for a unit that it reads or edits with all below (a grant
//! with `subtree`), with the unit's own spaces as well. Where such a unit has no relay, or the upper end is it, the
//! lower end is a deputy: they share the unit's `down` space too, and those of the units below without a relay. Commits of a space that is not shared end the session. Data
//! digests are meaningful only under equal charter digests, which is why both are compared.
//!
//! # Acknowledgements and registers
//!
//! An acknowledgement is a signed register of the relay that holds the data durably: its store's epoch,
//! and a Merkle root over (unit, digest of the unit's own `up` spaces that reach its level). It is
//! passed down with all leaves, or with one leaf and its proof. A tick is shown only for a statement
//! whose signature, right and proof were checked, and only while its digest equals what is held.
//! Heartbeats, and the room on a device's disk where that is another than it said, go up, holders' names both ways
//! between a unit and the relays above it; what a period closed with goes up, and since protocol 5 down to the relays of
//! its unit. Registers are in no digest and ask for no answer. Behind them goes a *cursor*, how far the sender has sent
//! its own. The other end keeps it once it has taken everything before it, or both hold the same charter and that forbids
//! the rest, and shows it in its next opening: what it does not show to have is sent again, so that a link that ends on
//! the way, a registers' lane that is faster than the charter's or a store that was put back loses none. A peer of
//! protocol 1 shows no cursor: a relay tells it all of them in each session.
//!
//! # Beacons
//!
//! Each relay signs a beacon for its unit: on a new day, and when the charters from its unit to the root or
//! what it heard from above are others. Inside stands the newest that it has from above. It is shown to a
//! lower end once, when both ends' charter digests are equal, so that the lower end can judge who signed. The lower end
//! remembers the newest of each relay above, and never an older one: so it knows how old the news of the
//! root is though it speaks only to the next relay, and a relay in between can make it older, not younger.
//! A charter only grows: a relay that shows fewer commits than before, as many and others, or an older
//! beacon of its own was put back to an older store, or hides something. That is an event, and stands in
//! `status` until it shows again what it had. The device's own charter never goes back.
