//! The formats: every form that is signed, hashed, sent or stored, to the byte.
//!
//! It does not: describe Automerge's change format (its own documents do) beyond where a change begins
//! and how it is hashed, nor how a database lays things out.
//!
//! Invariants: a form has one version of its bytes for ever. `tests/vectors/*.hex` holds an example of
//! each, commented part by part, made from fixed keys; those files are never edited. A new version gets
//! new files.
//!
//! # 1. Conventions
//!
//! **Numbers in hashed strings** have a fixed width, little endian: `u8`, `u32le`. `|` joins bytes.
//!
//! **CBOR** is RFC 8949, of which only this is used: unsigned integers (major type 0), negative integers
//! (1, in one field), byte strings (2), text strings (3, UTF-8), arrays (4), `false`, `true` and `null`.
//! Always: the shortest head that holds the number, definite lengths, no tags, no floats, no maps.
//!
//! - A *record* is an array of its fields in the order of the tables below.
//! - An *optional* field that is absent is `null`; absent fields at the *end* of a record are left out,
//!   and the array is that much shorter.
//! - A *choice without fields* is an unsigned integer: its number.
//! - A *choice with fields* is an array of two: its number, and the array of its fields (to which the rule
//!   for absent fields applies as well). A choice whose only field is a record is `[n, [[…]]]`.
//! - A *list* is an array.
//! - An *id* is a byte string of its exact width. A time is an unsigned integer: milliseconds since
//!   1970-01-01T00:00:00Z, at most 253402300799999 in headers and registers and as the label of an entry.
//!
//! A reader decodes, encodes again, and refuses bytes that differ, so each value has one form: longer
//! integers, indefinite lengths, an unknown extra field, a written-out absent field at the end, and
//! bytes that follow are all refused.
//!
//! **Tagged hash**: `H(kind, x) = BLAKE3("sampan/" | kind | "/1" | 00 | x)`, 32 bytes; `H16` its first 16.
//!
//! **Signature**: ed25519 (RFC 8032, strict: canonical scalars, no keys or nonces of small order) over
//! `"sampan/" | kind | "/1" | 00 | bytes`, 64 bytes.
//!
//! **LEB128** (in packs only): seven bits a byte, lowest first, the high bit set on all but the last; at
//! most 64 bits; no longer than needed. *Signed*: zigzag, `(n << 1) ^ (n >> 63)`, then LEB128. *Prefixed*:
//! the length in bytes as LEB128, then the bytes.
//!
//! ```
//! use sampan_core::hash::tagged;
//! let by_hand = blake3::hash(b"sampan/leaf/1\0abc");
//! assert_eq!(tagged("leaf", &[b"ab", b"c"]), *by_hand.as_bytes());
//! ```
//!
//! # 2. Ids
//!
//! | id | bytes | what |
//! | --- | --- | --- |
//! | organisation | 32 | the ed25519 public key of its root |
//! | device, and every other key | 32 | its ed25519 public key |
//! | unit, nonce, incarnation, store epoch | 16 | random |
//! | commit | 32 | `H("commit-id", header bytes)` |
//! | short commit id | 16 | its first 16 bytes |
//! | actor | 16 | `H16("actor", device \| nonce)` |
//! | record | 16 | section 6 |
//!
//! A **space** is the record `[unit, flow, reach]`: flow 0 charter, 1 up, 2 down, 3 group (reserved),
//! 4 local, 5 inbox (reserved); reach an unsigned integer below 256, 0 for every flow but up. Its **key**
//! in hashes is 18 bytes: `unit | u8 flow | u8 reach`. A **log** is `[space, device, incarnation]`.
//!
//! # 3. Entries and the Merkle root
//!
//! An entry has a *kind* (0 change, 1 identity, 2 birth, 3 charter, 4 reserved, 5 hole), a *record* id, a
//! *collection* (text; empty for charter operations), a *payload hash*, a *time*, and for kind 2 a
//! *birth* `[field (text), kind of field]`.
//!
//! Kinds of field: 0 text, 1 string, 2 int, 3 decimal, 4 bool, 5 date, 6 choice, 7 list, 8 set,
//! 9 counter, 10 ref, 11 file.
//!
//! **Payload.** For kinds 0, 1 and 2 an Automerge change chunk, uncompressed: `85 6f 4a 83`, four bytes of
//! checksum, then type, length and body. Its payload hash is Automerge's change hash: SHA-256 of the
//! chunk *without its first eight bytes*; the checksum is the first four bytes of that hash. For other
//! kinds the payload hash is `H("payload", payload)`; of kind 3 the payload is a charter operation
//! (section 7), and the entry's record is the first 16 bytes of its payload hash.
//!
//! Each commit has a random 16-byte *secret*, which travels with its payloads and not in its header. With
//! `i` the entry's index in the commit, from 0:
//!
//! ```text
//! salt(i)   = H16("salt", secret | u32le i)
//! hidden    = CBOR [kind, collection, payload hash (byte string), time, birth (optional)]
//! inner(i)  = H("entry", salt(i) | hidden)
//! leaf(i)   = H("leaf", u32le i | record | inner(i))
//! ```
//!
//! A **hole** (kind 5) is what an erasure leaves of an entry: its record and its inner hash, which enters the
//! leaf as it stands; it has no payload, collection, time or salt. Root, header and signature of its commit are
//! unchanged. It is believed only while an erasure that stands (section 7, operation 10) names its record in
//! the charter of the space's unit: else its commit counts as missing.
//!
//! So `hidden` is an array of 5 for a birth and of 4 for every other kind. The **Merkle root** of `n`
//! leaves: level by level, `H("node", left | right)` for each pair from the left; an odd one at the end
//! goes up unchanged; until one is left, the top. Then
//!
//! ```text
//! root = H("root", u32le n | top)          for n >= 1
//! root = H("root", u32le 0)                for n = 0
//! ```
//!
//! A *proof* for leaf `i` is the list of siblings from the lowest level up, with none on a level where the
//! node is promoted.
//!
//! ```
//! use sampan_core::hash::tagged;
//! use sampan_core::log::merkle;
//! let [a, b, c] = [[0; 32], [1; 32], [2; 32]];
//! let top = tagged("node", &[&tagged("node", &[&a, &b]), &c]);
//! assert_eq!(merkle::root(&[a, b, c]), tagged("root", &[&3u32.to_le_bytes(), &top]));
//! ```
//!
//! # 4. Commits
//!
//! **Header**: a record of 12 fields, at most 16384 bytes.
//!
//! | # | field | CBOR | rule |
//! | --- | --- | --- | --- |
//! | 0 | format | uint | 1 |
//! | 1 | organisation | bytes 32 | |
//! | 2 | space | `[bytes 16, uint, uint]` | |
//! | 3 | device | bytes 32 | the author |
//! | 4 | incarnation | bytes 16 | of the log |
//! | 5 | sequence | uint | 1 + the greatest of its parents', 1 if it has none |
//! | 6 | parents | list of bytes 32 | ascending, distinct, at most 64; empty exactly if sequence is 1 |
//! | 7 | nonce | bytes 16 | names the actor of the ordinary changes inside |
//! | 8 | charter heads | list of bytes 32 | ascending, distinct, at most 64: commits of charters that the author had seen |
//! | 9 | time | uint | the author's label |
//! | 10 | entries | uint | 1 to 256 |
//! | 11 | root | bytes 32 | Merkle root of the entries |
//!
//! A writer names as parents the tips of its own logs in the same space, of whatever incarnation; whoever
//! takes a commit checks that the parents are held and that the sequence follows from them. Order of ids
//! is that of their bytes.
//!
//! **Signed header**: the record `[header as a byte string, signature as a byte string of 64]`. The
//! signature is by the device, of kind `commit`, over the header's bytes. The commit's id covers the
//! header and not the signature.
//!
//! To check a commit: decode the header, check its rules and the organisation, check the signature with
//! the device's key, check that the parents are known and the sequence follows from them, decode its
//! payload, count the entries, compute the root. Whether the author *may* write there is the charter's
//! question.
//!
//! **Brief header** (protocol 2): what a frame may carry in place of the header's byte string, to an end that holds the
//! commit's only parent. Its first byte is below `8c`, a header's. The writer uses it only where the signed bytes come back:
//!
//! | # | field | type | |
//! | --- | --- | --- | --- |
//! | 0 | time | int | header's time minus that of the last entry in the pack; 0 where *said* is there |
//! | 1 | after | `[number uint, bytes 6]` (optional) | number of the group among those that the sender sent in brief in this session, for the frame Plain; the parent: the first 2 bytes of its unit and the first 4 of its id. Absent: the parent is the commit before it in the group. The first of a group has it |
//! | 2 | charter heads | list of commit ids (optional) | absent: the parent's |
//! | 3 | nonce | bytes 16 (optional) | absent: the parent's |
//! | 4 | said | `[time, entries uint, root bytes 32]` (optional) | absent: they follow from the pack |
//! | 5 | names | list of bytes 4 (optional, protocol 4) | in place of *charter heads*: the beginnings of their ids, each of one alone among the charters' commits that count |
//!
//! The rest of the header is the parent's: organisation, space, device, incarnation; sequence is the parent's plus one,
//! parents the parent alone. The parent is looked for among the tips that the receiver holds outside of charters, and where none
//! fits among the parents of [`BRIEF_STEPS_MAX`](crate::limits::BRIEF_STEPS_MAX) of them. What comes out is checked as
//! a header that came whole; where it cannot be made, or any check fails, nothing of the group is taken and Plain asks for it.
//!
//! **Group**: whole commits of one space: the record `[list of signed headers (one or more), pack as a
//! byte string]`, with exactly one payload in the pack for each header, in the same order, parents
//! before children.
//!
//! # 5. Packs
//!
//! A pack holds the payloads of commits of one space; the space is not in it, the headers beside it say
//! it.
//!
//! ```text
//! u8 form        0 stored, 1 compressed (zstd), 2 columnar, 3 and 4: as 0 and 1, with holes, 5 columnar after
//!                earlier commits, 6 the same, dense, 7 with words; 8 and above: later versions
//! LEB128 length  of the body, at most 16777216
//! the body       as it is (form 0), or compressed (forms 1 and 7)
//! ```
//!
//! With form 0 exactly `length` bytes follow; with form 1 the rest inflates to exactly that. **With words** (form 7, protocol
//! 5) the rest is a zstd frame without its first four bytes (`28 b5 2f fd`), without content size and checksum, that has
//! `core/src/pack/words.toml` as its prefix: the file of version 2 of the schema `membership`, which is part of the form and
//! never changes (`pack_words.hex` is its hash). It is for packs of charters in frames alone: whoever takes one keeps it in
//! form 1, and one in a bundle, a ticket or a hello is refused. The form is
//! the sender's choice; nothing signed depends on it. Forms 2, 5 and 6 have a body of their own: see
//! [`columns`](super::columns). **The body** of the others:
//!
//! ```text
//! LEB128 number of commits
//! LEB128 number of names; each name prefixed, at most 64 bytes of UTF-8
//! for each commit:
//!   16 bytes  secret
//!   LEB128    number of entries, 1 to 256; of all commits together at most 65536
//!   for each entry:
//!     u8        kind
//!     LEB128    record reference
//!     16 bytes  record, only if the reference is 1
//!     LEB128    collection: position in the names
//!     signed    time, minus that of the entry before it in the pack (0 before the first)
//!     prefixed  field, only for kind 2
//!     u8        kind of field, only for kind 2
//!     prefixed  payload; for kinds 0, 1 and 2 without its first eight bytes
//! ```
//!
//! Names are distinct, each is used, and they stand in the order of their first use. The **record
//! reference**: every record is *mentioned* first in one entry, and the mentions are numbered from 0
//! through the whole pack, in order. `0`: the first mention of the record that this entry computes:
//! for kind 0 the id of a record born here by this change (section 6), for kind 3 the first 16 bytes of
//! the payload hash; no other kind computes one. `1`: the first mention of any other record, whose id
//! follows. `2 + p`: the record of mention `p`. Only the shortest that applies is valid: a record already
//! mentioned is always named by position, and one that is computed is never written out.
//!
//! **With holes** (forms 3 and 4) a byte stands before each secret: 0, the secret follows; 1, it is gone, nothing
//! follows, and the commit has at least one hole. In such a commit each entry but the holes has its salt (16
//! bytes) after the record reference and the record; a hole is its kind 5, a record reference (1 or more, and
//! the record with 1) and its inner hash (32 bytes), and names no collection. A commit with its secret has no
//! hole, and at least one commit of such a pack has one: else the form is 0 or 1.
//!
//! The eight bytes that are left out are computable: `85 6f 4a 83` and the first four bytes of the
//! payload hash.
//!
//! # 6. Ids of records, computed changes
//!
//! **Record id** of an ordinary record: `H16("record", space key | payload hash of its first change)`, the
//! space being that of the commit that carries it. **Of an identity record**:
//!
//! ```text
//! H16("identity", organisation | unit | p(collection) | p(name) | p(value) | p(name) | p(value) …)
//! ```
//!
//! with `p(text) = u32le length in bytes | text` and the key fields sorted by (name, value) in byte order.
//! The *identity creation* is the change by actor `H16("identity-actor", record)`, sequence 1, first
//! operation 1, time 0, no dependencies, no message, that sets the key fields at the root in byte order of
//! their names. In the log its values are strings.
//!
//! The *birth* of a text, list, set or counter that the creation did not make: the change by actor
//! `H16("birth", record | p(field) | u8 kind of field)`, sequence 1, dependency the creation, first
//! operation 1 + the last of the creation, time 0, no message, of one operation: make a text, a list, a
//! map, or put the counter 0, at the root key of the field, without predecessors. The files
//! `identity_creation.hex` and `birth_*.hex` fix both to the byte.
//!
//! # 7. Charter operations
//!
//! The payload of an entry of kind 3 in the charter space of the unit it is about: a choice with fields.
//! Names, codes, kinds, reasons and addresses have at most 512 bytes.
//!
//! | # | operation | fields |
//! | --- | --- | --- |
//! | 0 | found | name text, unit bytes 16, succession key bytes 32 (optional), kind text (optional) |
//! | 1 | create unit | unit bytes 16, name text, code text (optional), kind text (optional), since time |
//! | 2 | grant | one record, below |
//! | 3 | enrol | device bytes 32, X25519 key bytes 32, proof bytes 64 |
//! | 4 | endpoint | list of texts `host:port`, at most 8; empty: no more |
//! | 5 | schema | version uint (32 bits), TOML text of at most 524288 bytes |
//! | 6 | revoke | key bytes 32, reason text |
//! | 7 | cut | one record, below |
//! | 8 | release | list of at most 4096 commit ids, reason text |
//! | 9 | reject | list of at most 4096 commit ids, reason text |
//! | 10 | erase | what, reason text. *What* is a variant: 0 `[space, record]`, a record in the spaces of this unit; 1 `[key]`, the holder's name behind the grants to a key here |
//! | 16 | succeed | new root key bytes 32, next succession key bytes 32 (optional) |
//!
//! **Cut**: `[key bytes 32, kind uint, reason text, logs, remaining roles uint]`; kind 0 is revoke, 1 lost, 2
//! retire, 3 narrow, 4 close. `logs` is a list of at most 4096 records `[space, incarnation bytes 16, tips]`,
//! `tips` a list of commit ids, at most 8192 in all. What it means: [`statuses`](super::statuses).
//!
//! **Grant**: `[key bytes 32, roles uint, subtree bool, from time, until time (optional), ticket bool, use by
//! time (optional), holder bytes 32, collections list of texts (optional, in byte order, each once, at most
//! 256), replaces device bytes 32 (optional)]`. Roles are bits: reader 1, editor 2, relay 4, admin 8, inspector 16;
//! as they are written editor is 3, relay 5, admin 15, inspector 17. `holder` is
//! `H("holder", salt of 16 bytes | name)`. With `ticket` true the key may only enrol one device, which
//! then has the rights.
//!
//! **Enrol** stands in a commit signed by the ticket's key. Its proof is a signature by the *device*, of
//! kind `enrol`, over the 32 bytes of the ticket's key.
//!
//! **Succeed** stands in a commit in the root unit's charter, signed by the succession key that the founding names, and
//! that had seen the founding; or signed by the next succession key that another naming names, and that had seen that
//! one. A naming that had seen another which follows the same one (or the founding) by the same key is void; of several
//! beside each other the lowest commit id stands. What stands is the line from the founding: of what follows each the
//! lowest. A root key has its right in commits that had seen its naming (the first: in all) and that the next naming in
//! the line, if there is one, had seen.
//!
//! **Collections** of a grant narrow what `editor` (and `inspector`, who writes `inspections` alone) may
//! write. A commit with an entry of a collection that its device was never given, or that was taken from it before,
//! stays in the quarantine of whoever receives it, whole, and so does what follows it in its log. Reading is by space.
//!
//! What a **narrowing** (a cut of kind narrow) takes and what it leaves is judged right by right. A right of the key is
//! *taken* for a collection by a cut of kind narrow or close that had seen it, on the same unit, if it lets the
//! collection be written and what `remaining` leaves of its roles does not. It *comes after* a narrowing for a
//! collection if the commit that brought it had that narrowing among its causes, is another commit, and the narrowing
//! takes the collection from some right of the key while its own commit gives it none that lets it be written. A commit
//! of records counts only if each collection in it (holes say none; one with nothing but holes: any) has a right, ever
//! given, that lets it be written, with every cut that takes it leaving the commit inside (the tips named and their
//! ancestors), and, if it comes after a narrowing, with the commit that brought it among the commit's charter heads or
//! their causes, or as what a cut in its own commit took from a right that comes after none, where every cut that takes
//! that one leaves the commit inside or gives the collection itself.
//!
//! # 8. Tickets
//!
//! A line of at most 2048 characters: `sampan:`, then base32 (RFC 4648, lower case, no padding) of the
//! body followed by four bytes of check sum: the first four of `H("ticket", body)`. A reader drops white
//! space anywhere and takes upper case after the prefix. **The body**:
//!
//! | # | field | CBOR |
//! | --- | --- | --- |
//! | 0 | organisation | bytes 32 |
//! | 1 | its name | text |
//! | 2 | unit | bytes 16 |
//! | 3 | its name | text |
//! | 4 | seed | bytes 32: the ed25519 seed (RFC 8032 private key) of the ticket's key |
//! | 5 | grant | a group of one commit, in the charter space of the unit |
//! | 6 | relays | list of `[device bytes 32, list of texts host:port, at most 8]` |
//! | 7 | use by | time (optional; `null` when absent, for fields follow) |
//! | 8 | depth of the unit | uint |
//! | 9 | whether the right is a relay's | bool |
//!
//! A ticket is sound if its check sum fits, the grant's commit checks as in section 4, with the ticket's
//! organisation and the charter space of its unit, and an entry of that commit is a grant with `ticket`
//! true whose key is the public key of the seed. (Its parents are not in the ticket, and so not its
//! sequence either.) Whoever has the line has the right.
//!
//! # 9. Registers
//!
//! **Register**: `[organisation bytes 32, unit bytes 16, name text, device bytes 32, counter uint, time,
//! payload bytes]`, at most 65536 bytes. **Signed register**: `[register as a byte string, signature bytes
//! 64]`, signed by the device, of kind `register`. Of one (unit, name, device) the greatest counter
//! counts, with equal counters the greater signature. Names and payloads:
//!
//! - `ack`: `[store epoch bytes 16, level uint, number of leaves uint, root bytes 32, pending uint, blocked
//!   uint, quarantined uint]`. The root is the Merkle root (section 3) over the leaves
//!   `H("ack-leaf", unit | digest)`; the digest is the unit's own-up digest (section 10) at that level.
//! - `heartbeat`: `[version text, unsent changes uint, verified at time, last error text, clock offset
//!   int]`: the only field that may be negative.
//! - `room`: `[free uint, low bool]`: so many bytes are free at least on the device's disk, a power of two, and whether that
//!   is too little. It stands beside `heartbeat`, which older relays read to its last byte; they refuse this one in silence.
//! - `settled`, of a relay for its unit: `[list of [device bytes 8, time of its sign of life], sorted]`, at most
//!   `SETTLED_DEVICES_MAX`: these devices below it, named by the first bytes of their ids, said then that they had changes
//!   unsent, and have been found equal since. Older relays refuse it in silence.
//! - `beacon`, of a relay for its unit: `[number uint, day uint (since 1970-01-01), charter bytes 32, commits
//!   uint, above (optional): a signed register, the beacon that it has from above]`, at most 12 in one another. The
//!   charter's digest is `H("beacon", for each unit from the relay's to the root: unit | space digest of its charter)`
//!   (section 10); commits is how many these charters have.
//! - `quarantine`: `[list of at most 1024 [unit bytes 16, commits uint, oldest time], commits of other units uint]`:
//!   what waits in the quarantine of the device that signs, rejected commits left out.
//! - `report`, of a device for a unit of its own: `[list of [reach uint, digest bytes 8]]`: the unit's spaces that travel
//!   up and hold anything, each with the first bytes of its space digest (section 10).
//! - `figure/<metric>/<year>` and `sum/<metric>/<year>` (no year: as of now): `[list of figures, commits uint, list of
//!   [unit bytes 16, last heard of time], too large bool, list of lines]`; a figure is `[period text, list of dimension
//!   texts, records uint, upper 64 bits of the sum int, lower 64 bits uint, (optional) smallest or greatest: [0, [int]] or
//!   [1, [text]]]`; a line, of a correction, `[period text, list of dimension texts, old text, new text, seen time, author
//!   bytes 32, unit bytes 16, record bytes 16 or zeros]`. What a ratio divides by is a figure with one more dimension,
//!   `/over`.
//! - `closed/<metric>/<period>`: `[list of figures, reported uint, expected uint, oldest input time (optional)]`, under
//!   the counter 1.
//! - `holder/<grant key in lower-case hex>`: `[salt bytes 16, name text]`, which opens a grant's commitment.
//! - `erased`, of any device for a unit that it has a right on: `[epoch bytes 16, list of at most 4096 tags]`:
//!   what these erasures name is gone from its disk. A tag is the first 8 bytes of
//!   `H16("erased-tag", unit | name)`, `name` the record or key in lower-case hex.
//!
//! # 10. Digests
//!
//! What holds nothing has the *zero digest*, 32 zero bytes, and is left out of every other.
//!
//! ```text
//! space digest   = H("space", space key | for each log, by (device, incarnation):
//!                      device | incarnation | u32le number of tips | tips, ascending)
//! subtree digest = H("subtree", unit | own space digest | for each child by unit id, if not zero:
//!                      child | its subtree digest)
//!                  of one tree: charters, or up(reach); zero if own and all children are zero
//! own-up digest  = H("own-up", unit | for each up space of the unit with commits and
//!                      reach <= level, by reach: u8 reach | space digest)
//!                  (never zero, also without any space)
//! scope digest   = H("scope", for each shared item, single spaces by (unit, flow, reach) first, then
//!                      subtrees by (unit, charter before up, reach), if its digest is not zero:
//!                      space key | space digest           for a single space
//!                      space key | "+" | subtree digest   for a subtree: the key of its top unit's space)
//!                  one over the charter items, one over the data items; never zero
//! ```
//!
//! # 11. Frames
//!
//! Everything one end says to the other: a choice with fields, at most 1048576 bytes.
//!
//! | # | frame | fields |
//! | --- | --- | --- |
//! | 0 | Hello | one record, below |
//! | 1 | Refuse | code uint, text, seconds uint (optional, left out when absent) |
//! | 2 | Redirect | list of `[device bytes 32, list of texts]`, at most 8 addresses each |
//! | 3 | Frontier | list of *space frontiers* |
//! | 4 | Nodes | list of `[unit, tree, own digest bytes 32, list of [child unit, digest]]` |
//! | 5 | Announce | one record `[commits uint, entries uint, bytes uint]` |
//! | 6 | Commits | after uint, list of groups |
//! | 7 | Inventory | log, list of short commit ids |
//! | 8 | Registers | list of signed registers |
//! | 9 | Acks | list of *ack sets* |
//! | 10 | Mark | one record `[number uint, frames uint, digests, answer bool, clock time]` |
//! | 11 | Deposit | one record `[reason text, group (optional), list of space frontiers, taken uint, last bool]` |
//! | 12 | Plain | list of commit ids, list of uints (numbers of groups with brief headers): send these again, with whole headers and in a pack that is not of form 5 or 6 |
//! | 13 | Greeting | one record `[since bytes 16, same bool, acks bytes 16, fallback bool, cursor (optional), version uint (optional), charter bytes 16 (optional)]` |
//! | 14 | Greeted | one record `[store epoch, clock time, same bool, cursor (optional), version uint (optional)]` |
//! | 15 | SayHello | none |
//! | 16 | ShortMark | one record `[number uint, frames uint, holds bytes 16, answer bool, clock time (optional: the upper end's, where it was not told within a minute)]` |
//! | 17 | OwnAck | one record `[unit uint, above uint, counter uint, time int (minus the counter), pending uint, blocked uint, quarantined uint, signature bytes 64]` |
//! | 18 | RegistersCursor | one *cursor* |
//! | 19 | ShortNodes | list of `[unit, tree (or null: acknowledgements), own bytes 8, children bytes (8 for each child of the unit that the sender's charter has, by id)]` |
//! | 20 | ShortAcks | list of *short acknowledgements* |
//! | 21 | Welcome | one record `[clock time, same bool, cursor (optional)]` |
//! | 22 | SameMark | one record `[of uint, number uint, frames uint, answer bool, clock time (optional)]` |
//! | 23 | AcksLost | none |
//! | 24 | FileOffer | list of *file keys*; of none: is anything needed that was not when it was offered? |
//! | 25 | FileWant | list of `[file key, hashes bool, list of [first chunk uint, count uint]]` |
//! | 26 | FileHashes | file key, bytes (32 for each chunk) |
//! | 27 | FileChunk | file key, index uint, bytes |
//! | 28 | FileAnswer | list of `[file key, word uint]`: 0 held, 1 later, 2 lacking, 3 unknown; of none: the answer to an offer of none, behind what is asked for |
//!
//! *File key*: `[address bytes 32, size uint]`; address = H("file", u64 size | H("chunk", bytes) for each chunk of 16384 bytes, the last
//! shorter). Frames 24 to 28 belong to protocol 3, have lane 7, and are counted by no mark. Of them a bundle has 26 to 28.
//!
//! Frames 12 to 18 and the cursor of a Hello belong to protocol 2; to a peer whose newest version is 1 they are never sent. *since* and *holds*
//! are the first 16 bytes of H("met", organisation | lower device | upper device | charter digest | data digest) of when both ends
//! were last found equal, and of now; *acks* those of H("acks-held", for each acknowledgement of the lower end's units by a relay
//! at or above the upper end, by unit and relay's unit: unit | relay's unit | relay | store epoch | u64 counter).
//!
//! Frames 19 to 22, *version* and *charter* of a greeting, *version* of Greeted and *acks* of a Hello belong to protocol 3; they go
//! only to a peer that is known to speak it, for an older one takes a frame with a field that it does not know for none at all. Of
//! a greeting with *version* and of a Hello, *acks* are two halves of 8 bytes: the first of H("acks-own-half", store
//! epoch of the upper end as the lower knows it | for each single unit that the lower end has: unit | *own* of it by the relay of
//! the upper end's unit that is nearest above) and of H("acks-others-half", for each single unit, then each unit that it
//! has with all below: unit | *own* by relays further up, or *subtree* by all of them). *Own* is zero without
//! any, else H("acks-own", unit | for each, by relay's unit: relay's unit | relay | store epoch | u64 counter), *subtree* H("acks-subtree", unit |
//! own | for each child, by id, if not zero: child | its subtree), each 16 bytes, zero if all of it is. *Charter* is H("met-charter", charter digest):
//! the lower end remembers no meeting, and *since* is of now. In ShortNodes a digest is cut to its first 8 bytes, zero for what holds
//! nothing.
//!
//! *Short acknowledgement*: `[units list of uints, above uint, counter uint, time int (minus the counter), pending uint, blocked uint,
//! quarantined uint, signature bytes 64, [relay device, store epoch] (or null: the sender), [count uint, index uint, siblings bytes] (optional),
//! [place uint, store epoch] (optional, protocol 4: in place of the relay's device, which of the relays with an endpoint for the unit, by id)]`. *Units*
//! are runs over the lower end's units below the upper that hold something, by id: so many passed over, so many meant, by turns. Their digests,
//! the root (with the siblings, where it is one of many), level and register follow, and the signature is checked.
//!
//! **Hello**: `[oldest version uint, newest version uint, organisation, device, list of units, tree number
//! uint (0), schema version uint, clock time, store epoch, digests, list of space frontiers (optional),
//! list of groups, fallback bool, cursor (optional), acks bytes 16 (optional)]`. *Cursor*: `[tag uint, at most 32 bits, through uint]`, shown as the other
//! end sent it last. *Digests*: `[charter bytes 32, data bytes 32]`, two scope digests.
//! *Space frontier*: `[space, list of [device, incarnation, list of tips]]`. *Tree*: a choice with fields: 0
//! charter (none: `[0, []]`), 1 up (reach uint). *Ack set*: `[signed register, list of [unit, digest],
//! proof (optional)]`, the proof `[index uint, list of siblings bytes 32]`; without one all leaves are
//! there, in order, with one exactly the leaf that it proves.
//!
//! Codes of Refuse: 0 wrong organisation, 1 no grant, 2 grant ended, 3 ticket used, 4 ticket expired,
//! 5 version, 6 busy (with seconds: come back to this relay after them), 7 protocol. Writers sort spaces, logs, tips, units and children; readers do not
//! rely on it.
//!
//! ```
//! use sampan_core::wire::frame::{Announce, Frame};
//! let frame = Frame::Announce(Announce { commits: 1, entries: 2, bytes: 500 });
//! assert_eq!(frame.encode(), [0x82, 5, 0x81, 0x83, 1, 2, 0x19, 0x01, 0xf4]);
//! // The same with a longer integer is not a frame.
//! assert!(Frame::decode(&[0x82, 5, 0x81, 0x83, 1, 2, 0x1a, 0, 0, 0x01, 0xf4]).is_err());
//! ```
