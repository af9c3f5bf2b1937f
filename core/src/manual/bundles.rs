//! Bundles: the frames of a session in a file, for where only a memory stick travels.
//!
//! It does not: repeat what [`formats`](super::formats) says of frames, or [`sync`](super::sync) of a session.
//!
//! Invariants: a bundle is read as a whole or not at all; it brings nothing that a session between the same two
//! ends would not bring; taken in twice, or in any order, it is harmless.
//!
//! # How it is used
//!
//! ```text
//! sampan-relay invite DIR --unit 001.1 --role editor --holder NAME     the ticket, and
//! sampan-relay bundle create DIR --for 001.1 load.bundle               the first load, on one stick
//!
//! sampan join branch TICKET                                            no link: "joined offline"
//! sampan bundle apply branch load.bundle                               the branch has its whole scope
//! sampan bundle create branch up.bundle                                its work, for the relay above
//!
//! sampan-relay bundle apply DIR up.bundle                              answered in DIR/outbox/
//! sampan bundle apply branch for-….bundle                              the ticks appear
//! ```
//!
//! The branch may also speak first: without a charter its first bundle goes to the device that issued the ticket
//! and the nearest relay that it names, and holds only the chain that shows its right; the answer is its first load. `--for` names a unit or a
//! device; without it a bundle is for the nearest relay above. `inspect` checks a file and says what it is, and
//! changes nothing.
//!
//! # Who can open it
//!
//! - **Down** (the sender is a relay of the unit or of one above it): the relays of the unit, where it has any;
//!   else every device with a right on exactly this unit, and every ticket for it that is neither used nor over:
//!   so ticket and first load travel together. What goes in is what *each* of them shares with the sender by
//!   [`Shared`](crate::scope::Shared); devices with more (a right on several units) get the rest by `--for DEVICE`.
//! - **Up**: the relays of the unit that is named, or of the nearest above it that has any.
//!
//! A device's key is the X25519 key of its enrolment. For one that has none there (the founder's device), whose
//! enrolment has not come yet (a relay, at a branch that has only a ticket), and for a ticket, it is the same
//! point as the ed25519 key on the Montgomery form of its curve; the secret is the scalar of the ed25519 seed.
//! Whoever holds a ticket that is still unused can open what was made for it: no more than the ticket gives
//! him anyway.
//!
//! # The file
//!
//! Numbers are little endian, as everywhere.
//!
//! | bytes | what |
//! | --- | --- |
//! | 14 | `sampan-bundle` and a zero byte |
//! | 2 | version: 1 |
//! | 8 | length of the whole file |
//! | 4 | length of the header, at most `BUNDLE_HEADER_BYTES_MAX` |
//! | … | the header |
//! | … | chunks |
//! | 32 | BLAKE3 of the chunks |
//! | 64 | signature of kind `bundle` by the sender, over everything before the chunks and that hash |
//!
//! **Header**: the record `[organisation, sender, created, down, unit or null, ephemeral key, slots]`: a boolean
//! says whether it goes down; a *slot* is `[hint (8 bytes), wrapped key (48 bytes)]`. The ephemeral X25519 key and
//! the content key (32 random bytes) are of this bundle alone. For each receiver with the public key `r`, and the
//! ephemeral key `e`, `s` being their X25519 secret (one that is all zero is refused):
//!
//! - hint: the first 8 bytes of `H("bundle-receiver", e | r)`, so that two bundles for one device do not look alike
//! - wrapping key: `H("bundle-wrap", e | r | s)`
//! - wrapped key: the content key under XChaCha20-Poly1305 with that key, a nonce of zeros and no other data
//!
//! **Chunks**: the key is `H("bundle-content", content key | H("bundle-header", header))`, so that a changed header,
//! sender included, opens nothing. Each chunk is 65,536 bytes of plaintext and a tag of 16, the last one 1 to
//! 65,536 and a tag. The nonce is 19 zero bytes, the number of the chunk from 0 as `u32le`, and 1 for the last chunk,
//! else 0 (the STREAM construction). The plaintext is frames, each after its length as `u32le`.
//!
//! A reader with none of the secrets still checks length, hash and signature.
//!
//! # The frames
//!
//! `Hello` (with the enrolment chain, while no relay has let the device in) · `Frontier`: all that the sender holds
//! of the shared spaces · `Announce` · `Commits`: charters, then `down` spaces, then the rest, each in the order of
//! storage, so that nothing in a bundle waits for another part of it · `Registers` · `Acks` (down only) · `Mark`,
//! which counts the frames before it and is the last.
//!
//! What the receiver said that it holds is left out: in the `Frontier` of its own newest bundle, or in an
//! acknowledgement. `--whole` sends it all the same.
//!
//! # Taking it in
//!
//! First the whole file is read: length, tags, hash, signature, the form of every frame. Then it is read again
//! and taken in in one transaction, which is undone when anything is refused or the file is not the one that was
//! checked.
//!
//! - From below: the sender passes the same door as a caller (ticket used or over: refused), and
//!   every commit must lie in what both share. Of one whose rights have ended only what it wrote itself is taken, as a
//!   deposit (see [`sync`](super::sync)); there is no answer.
//! - From above: charters are taken as in a session; then the sender must be a relay above this device by the charter
//!   that stands now. Commits outside this device's own scope (its rights may have shrunk since) are left out and
//!   counted.
//! - The author of every commit is judged by the same intake; what does not count is set aside.
//! - A commit whose parent is not here: nothing of the bundle is applied, and if its sender has shown a right to bring
//!   it, the whole file waits (below). The sender leaves out only what the receiver said that it held, so this is the
//!   case of a receiver that has lost something.
//! - The sender's clock and store epoch are not taken over, and nothing counts as *verified*: a file may be old.
//!   News from above is as old as the bundle.
//!
//! What a bundle from below brought is answered by one for its sender, in `outbox/` (a newer answer replaces the
//! older) or where `--receipt` says: acknowledgements, and what the sender's `Frontier` shows that it lacks.
//!
//! # Waiting
//!
//! A bundle that is whole, signed, for this device and from a sender that may bring it, and that builds on commits
//! which are not here, is copied as it came (encrypted) to `inbox/waiting/`, under the hash of its chunks; `apply` says
//! for whose earlier bundle it waits and exits 4, because nothing was applied. The same file twice is once. What lacks
//! its parents after its sender's rights have ended, or before anything is known here, is refused and does not wait.
//!
//! It is taken in by itself as soon as the parents are here, by whatever way: at the end of the next `apply`, in a
//! daemon after what a link brought, at the end of a `sync`; several follow one another in any order of arrival.
//! It is then read to its end and judged anew: of a sender that was revoked meanwhile only its own is taken, as a deposit, and
//! what is refused leaves the folder. A sender below is answered in `outbox/`.
//!
//! Bounds: `BUNDLES_WAITING_MAX` files and `BUNDLES_WAITING_BYTES_MAX` bytes in all, `BUNDLES_WAITING_PER_SENDER_MAX` and
//! `BUNDLES_WAITING_PER_SENDER_BYTES_MAX` of one sender; beyond them `apply` exits 1 and the file waits where it is.
//! `bundle waiting DIR` lists them, `--drop ID` gives one up; `status` (`bundles_waiting`) and `doctor` tell of them.
//! The file is on the disk before the store names it and goes after the store has what it holds, so that a power
//! cut loses and doubles nothing.
//!
//! # Erasure
//!
//! When a replica cleans its disk of what was erased, bundles in `outbox/` that it made itself go if they may hold
//! something of a unit of which anything was erased (they are encrypted to others, so it cannot look), and so does what waits with commits of
//! such a space. `erase` and `doctor` name them until new ones are made or have come. In a space of which something was
//! erased nothing waits any more: whether a file was made before or after, its bytes could not tell. Files elsewhere
//! (a stick) are out of reach; what they bring is erased as it comes.
//!
//! # What it does not hide
//!
//! The header stands openly: organisation, sender, time and unit by their random names, the number of receivers; and
//! the size. A stolen device key opens the bundles that were made for it, also older ones.
