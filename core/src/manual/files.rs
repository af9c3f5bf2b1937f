//! Files of records: how one is named, kept, fetched, and gone.
//!
//! It does not: repeat a command's `--help`, or the frames ([`formats`](super::formats)).
//!
//! Invariants: a record's author signs the address, so whoever brings the bytes cannot change one; a session is verified
//! by its records alone, whatever becomes of their files.
//!
//! # Names
//!
//! A field of kind `file` holds `b3:ADDRESS:SIZE:NAME`. The address is BLAKE3 over the size and the hashes of the chunks
//! of [`FILE_CHUNK_BYTES`](crate::limits::FILE_CHUNK_BYTES) each ([`file`](crate::file)): equal bytes have one address, and a chunk is known
//! right or wrong by itself. `attach DIR RECORD FIELD FILE` keeps the bytes and sets the field in one transaction; a file has at
//! most [`FILE_BYTES_MAX`](crate::limits::FILE_BYTES_MAX). `fetch DIR RECORD FIELD FILE` writes it out, checked chunk by chunk, under a new
//! name; where it is not all here it is marked as wanted, and the exit is 4.
//!
//! Hashes and chunks lie in the database beside the records (tables `files`, `file_chunks`, `file_names`, `file_told`), so that
//! its encryption, `backup`, `verify` (each chunk against its hash) and `verify --repair` (what is whole is carried over, what is
//! not is fetched again) reach them.
//!
//! # Who fetches what
//!
//! A replica fetches what a current value of a record that it holds names: below
//! [`FILE_ALONE_BYTES`](crate::limits::FILE_ALONE_BYTES) by itself, as long as all its files together have less than
//! [`FILES_ALONE_BYTES_MAX`](crate::limits::FILES_ALONE_BYTES_MAX); anything else when a person asks (`fetch`) or a neighbour does. So a wish goes from relay to
//! relay, up or down, until it meets the file; each that it passed keeps a copy, and passes every chunk on as soon as it has come and was checked: a
//! file over three hops does not wait for each of them to have it all. `status` and `sync` say how many files are still to come, and how many bytes of them.
//!
//! # On a link
//!
//! Nothing is said of files before the two ends were found equal once, nor between ends that know of none, nor to a peer
//! older than protocol 3. Their frames have the last lane, and no mark counts them. Each end asks for what it lacks of what both
//! *share* ([`scope`](crate::scope)): the key, whether it needs the list of hashes, and the runs of chunks that are missing; so a link
//! that is cut costs the chunks on their way, and the next session goes on with the first that is missing. What came down is not sought
//! below, but by the root. A file is given only where a record in a shared space names it; any other key, known or not, is answered
//! *unknown*. A list or chunk that is not what the address says is not kept, the peer is not asked for that file again in this session, and
//! the records go on. A question for chunks that the file does not
//! have, or for one twice, ends the link.
//!
//! Who is asked for what it has not got all of gives what is there, goes on as more comes, and says *lacking* when it has no more and none
//! is coming just now. Of several links that could bring a file one is asked at a time; another is, when that one ends, says
//! *lacking* or *unknown*, gives what is not right, or brings nothing of it for
//! [`FILE_STALLED_MS`](crate::limits::FILE_STALLED_MS). Where two bring it after all, the later one is told to stop: that costs a few chunks, or a small
//! file twice where both neighbours were waiting for it.
//!
//! The lower end offers what it has and did not tell of yet; the upper end asks for it, or says that it has it, or that it is not needed
//! now; what was not needed then it asks after, with an offer of nothing, in each later session (a few bytes). That is how a `sync` knows when it may leave: it stays, after its records are verified, until what it offered is answered and
//! what was asked for is there, as long as something moves and its time is not over.
//!
//! # By stick
//!
//! A bundle carries the files that its records' spaces name and its receivers are not known to have, whatever their size, the smallest first, up to
//! [`BUNDLE_FILES_BYTES_MAX`](crate::limits::BUNDLE_FILES_BYTES_MAX), and word of those that its sender holds. A chunk that is not what its address says refuses the whole
//! bundle, as anything altered does.
//!
//! # The end of a file
//!
//! An erased record takes along every file that it ever named, unless another record's current value names it too; the disk is cleaned as after
//! any erasure. A file that no current value names any more (the field was cleared or holds another, the record's space is no longer held) stays
//! for [`FILE_UNNAMED_MS`](crate::limits::FILE_UNNAMED_MS), in which an edit is taken back; then a daemon, or the next `sync`, removes it. A record that was only
//! removed still names its files: it can come back.
//!
//! # What this does not hide
//!
//! Who knows the address of a file and may write a record that a relay holds can name the file there and have it: an address is as secret as
//! its content, and nobody finds one by guessing. Who guesses the *content* of a file can learn in this way that a relay holds it.
//! Whoever read the record once can have its file later, though it may not read the record any more, by the address that it kept.
//!
//! A relay cannot tell such a name from an honest one: that the same paper is attached in two places is everyday, and a chunk on the wire does
//! not say by which record it is given. To close it, each space that names a file would have to prove that somebody in it holds the bytes, and
//! each hop to keep for which space it got them.
