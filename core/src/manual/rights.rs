//! Who may do what: roles, grants, tickets, handing over a post, and the root key.
//!
//! It does not: give the bytes (see [`formats`](super::formats)) or say how a device is let in at the door
//! (see [`sync`](super::sync)).
//!
//! # Roles
//!
//! | role | reads | writes | holds |
//! | --- | --- | --- | --- |
//! | `reader` | the unit's spaces | nothing | for the unit, with `--subtree` below it too |
//! | `editor` | the same | its records | the same |
//! | `inspector` | the same | the collection `inspections`, and no other | the same |
//! | `relay` | the unit and all below | seals, acknowledges, carries; never edits | for the unit and all below |
//! | `admin` | the same | everything, and decides who may | for the unit and all below |
//!
//! A device may have several grants, of one unit or of many; its rights are their union. Two devices with
//! the same grant are deputies: neither leads, and what they write merges.
//!
//! # What a grant narrows, and where that is enforced
//!
//! A grant only narrows its issuer's. Each rule holds where it can be judged alike by everybody:
//!
//! | rule | at the keyboard | at every hop | at the relay's door |
//! | --- | --- | --- | --- |
//! | the unit, and `subtree` | refused | logs without right stay in quarantine | no grant, no session |
//! | `--collections A,B`, in a grant or narrowed later | refused, also before the charter has come (the ticket says it) | a commit with an entry of another collection, or of one that was taken before it, stays in quarantine, whole, with what follows it | – |
//! | `--until DATE` | refused after it, by the device's own clock | – (no clock decides about what was written) | refused after it, by the relay's clock |
//! | who may grant it | refused (exit 3), nothing written | void in the fold, listed, the same everywhere | – |
//!
//! Collections narrow *writing*. Reading is by space, and a space knows no collections: whoever may read a
//! unit's records reads all that travel the same way.
//!
//! Whether a commit may carry a collection is judged by every right that its device was *ever* given
//! ([`Charter::may_carry`](crate::charter::Charter::may_carry)), so that the answer never turns from yes to
//! no as more of the charter arrives, but for a cut (below); whether something may be written now by what stands
//! ([`Charter::may_write`](crate::charter::Charter::may_write)). A wider grant lets in what waited in the
//! quarantine, without its being sent again.
//!
//! When `--until` is over, what was written in time is pushed by a deposit (see [`sync`](super::sync)), and nothing
//! comes any more. What says itself that it was written later stays on the device; a new ticket used on the same folder
//! sends it. A device with other grants that still run keeps
//! the scope of the one that ended until that is cut: scope is a function of the charter and of no clock.
//!
//! # Narrowing a grant, and its end
//!
//! `narrow DIR DEVICE --unit UNIT [--role ROLE] [--collections A,B] [--until DATE] --reason TEXT` makes less of what a
//! device may on one unit; what is not less is refused (`not_narrower`). It is a cut of kind *narrow* that names the tips
//! held here. Where fewer roles end its writing, what it writes later lies aside; what it had not sent goes into its
//! relay's quarantine with its next links. Fewer collections or an earlier end are the cut and a grant of what is left,
//! in one commit: what is left goes on without a gap, seen by the device or not, and each collection that was taken ends
//! at the tips named. From then on, at every hop:
//!
//! - a commit past those tips that carries a collection which was taken lies in the quarantine, whole, whoever carries it
//!   (*it carries a collection that was taken from its device*), and so does what follows it in its log (*it continues a
//!   commit that was set aside*); `quarantine release` and `reject` are as for every cut. Only a replica that does not
//!   care, or had not heard of it, ever makes one: an honest one refuses the edit, leaves what is not sealed unsealed,
//!   and goes on beside what it had sealed;
//! - a commit past them with nothing but what is left counts;
//! - a log that whoever narrows does not hold (a level below keeps it) is not named: what was written in a taken
//!   collection there is outside from its beginning. `narrow` says which (`not_held`), as `revoke` does.
//!
//! A right is judged by itself ([`Charter::carried`](crate::charter::Charter::carried)): it lets a collection be written
//! up to what *every* narrowing of it names; a commit counts if, for each collection that it carries, some right does.
//! What a first narrowing left and a second took therefore counts up to the second. A right given *beside* a narrowing
//! (neither had seen the other) goes on: of two narrowings beside each other what either leaves is left. A right given
//! *after* a narrowing, by one who had seen it, holds for what its device wrote having seen that grant (its commits name
//! it, or what had seen it, among their charter heads): what lies between stays in the quarantine until it is released by
//! hand, so that a widening never lets in what somebody put aside or rejected. The same holds where whole roles were
//! taken and given again. A *closing* cut (below) is no distrust: a right given after it takes its logs up again.
//!
//! 30 days after `--until` the relay of the unit (or the nearest above it, where it has none) writes the *closing* cut by
//! itself, within the hour. Until then what was written in time may still arrive. A device with other grants that run
//! pushes what it has in ordinary sessions meanwhile; with the close its scope is withdrawn: nothing of the unit comes
//! any more but its charter, which says so (`status`: `withdrawn`), and what it holds stays with it.
//!
//! # Tickets
//!
//! A ticket is one line, made without the device and used without a link. Several may be used on one folder before any
//! link (`JOINED_UNHEARD_MAX` units, and as many on one unit): each is shown at the door until the charter shows it. A relay
//! that cannot place one yet takes the others, and tries that one again when its charter grows. One that another
//! device used first, or that is over, opens nothing and shuts out nobody who has another right; `join` and the next
//! `sync` say so (`ticket_used`, `ticket_expired`, exit 3), once. (Units may lie
//! below different relays: see "Ways up".) `invite` prints it, writes it to
//! a new file (`--ticket-file`), draws it as a QR picture (`--qr FILE.svg`), or shows that on the screen
//! (`--qr -`). The picture holds the very line. Its longest form, 2,048 characters, fits the largest QR code
//! with 15 % correction (2,331 bytes), so that there is no ticket without a picture; a long one is a dense
//! picture, and addresses make it long. `join DIR TICKET`, `join DIR @FILE` and `join DIR --ticket-file FILE`
//! are the same. Files are new, for their owner alone, and taken before anything is granted.
//!
//! # Ways up
//!
//! A device goes up to the relay that is nearest above each of its units: one *way* for each such relay, with the relays
//! above it to fall back on ([`scope::ways`](crate::scope::ways)). Units below one relay have one way. `sync` goes all
//! ways, one after the other, each in its share of the time; `run` keeps a link on each. "In sync" is said when every
//! way is: `sync --json` and `status --json` have a row for each (`ways`), and who is behind is named (exit 4). `verified_at` is
//! the oldest of them. `--relay ADDR` is for the first way, the one to the deepest relay, alone. A relay gets nothing of
//! a unit that is not below it: no record, no charter, no holder's name and no sign of life; what comes down from above
//! both is both's. It knows nothing of the other unit, and when the right on its own ends it says that "the rights of
//! this device have ended": the next relay on that way, which knows both, shows the charter that says which one.
//! `bundle create` without `--for` is for the deepest relay; the others are named with it.
//!
//! A relay goes up from the highest unit that it serves, whatever else it works for. Who has a relay's right (`admin`, `relay`) and
//! listens nowhere is a *deputy*: it dials the relay of its own unit first, also at the root, gets what that relay
//! gets, and what it writes (grants, cuts, what goes down to the levels below) takes effect from there. Where the unit has no
//! relay the one above serves it. Two relays of the root that both listen do not dial each other.
//! (`stories/ways`, `e2e/ways`.)
//!
//! # Handing over a post
//!
//! `invite --replaces DEVICE` invites a successor. It changes no right: the grant says whom it takes over
//! from, `devices` lists the old device as to be retired, and by whom it was replaced once that one has
//! joined. The old one may still hand in what it had not sent, until it is retired or revoked.
//!
//! # The root key
//!
//! The organisation's id *is* its first root key, and every chain of grants ends there. Daily work needs
//! only grants: `root export DIR FILE` takes the key offline (the file is durable and read back before the
//! folder gives the key up), `root import DIR FILE` brings it back, `root appoint` uses it to make this
//! device an admin of the root where no admin is left.
//!
//! `init` shows a *succession key* once and keeps it nowhere. It can do one thing: name a new root key
//! (`root succeed DIR --succession-key FILE`), once. That shows the next succession key, before anything is named: a
//! power cut between the two leaves a line that is worth nothing, never a key that nobody has. So the root key can be
//! replaced as often as need be, each time by the paper of the time before. From then on:
//!
//! - what a replaced root key signed stands in commits that the naming had seen, and nowhere else: nobody
//!   can say that it was earlier. In practice a root key signs the founding and what `appoint`
//!   writes, both in the root's charter;
//! - grants that stood, stand: nobody has to be invited again;
//! - of two namings by one key that had not seen each other the lower commit id stands, the other is void with what
//!   its key said, and with the namings that follow it alone; `root show` lists all. Whoever names again with a key
//!   after seeing what it named names nothing. A naming follows the one that names its key, and had seen it;
//! - whoever holds only the first root key follows the line of namings to the last: a replica, `verify --audit` and the
//!   verifier in Python alike.
//!
//! The founding itself has no earlier word to lean on: whoever steals the *first* root key can sign another
//! founding. A replica that holds the organisation's charter refuses neither by itself; that one is told
//! from the other by the commit that everything else builds on.
