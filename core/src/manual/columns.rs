//! The columnar pack, forms 2, 5 and 6: what repeats from change to change once, and the values field by field.
//!
//! It does not: repeat the terms of [`formats`](super::formats) (LEB128, *signed*, *prefixed*, record reference).
//!
//! Invariants: what a reader rebuilds is judged by its hash, the Merkle root and the signature, as ever: a pack has more
//! than one right form, and a writer may find a shorter one. The files `pack_in_columns.hex`, `pack_after_others.hex` and
//! `pack_dense_after_others.hex` are examples that are read for ever.
//!
//! # Blocks
//!
//! ```text
//! u8 form          2, or 5 or 6 where entries of earlier commits are named
//! LEB128 length    of everything below once it is inflated (the bytes inside the blocks), at most 16777216
//! LEB128 hashes    how many dependencies are named by their hash
//! block            the first: LEB128 length of the head, the head, the small bodies end to end
//! prefixed         the stored bodies, end to end
//! block …          each large body, to the end of the pack
//! ```
//!
//! A **block**: LEB128 of its raw length (not 0), LEB128 of its packed length plus one, or 0 where it stands as it is,
//! the bytes. Packed: a zstd frame without its first four bytes (`28 b5 2f fd`), without content size and checksum. That
//! of the first block has the prefix `core/src/pack/columnar/dictionary.bin`, which is part of the form.
//!
//! A **body** is named in the head, in the order in which bodies are read: LEB128 of its length times four plus its
//! place: 0 next of the small ones, 1 next of the stored ones, 2 the next large block.
//!
//! # The head
//!
//! ```text
//! LEB128 number of commits
//! LEB128 number of names (collections), each prefixed
//! LEB128 number of keys, each prefixed
//! LEB128 number of shapes; each: LEB128 (dependencies * 2 + 1 if it has a message), LEB128 number of steps; each
//!   step: LEB128 key, u8 class + 16 * predecessors (0 none, 1 the known one, 2 one named, 3 so many: LEB128 follows)
//! LEB128 number of actors; a column of blobs, 16 bytes each
//! LEB128 of one bit for each column below, lowest first: 1 it follows, 0 it has nothing but zeros or empty texts
//! the columns that follow, then those of the values
//! ```
//!
//! Columns, in this order: secrets (blobs), entries of each commit, kinds, record references, explicit records (blobs),
//! names, times (signed, minus that of the entry before), fields of births (texts), kinds of those fields; shape plus
//! one, or 0 for a payload that stands whole; those payloads (blobs; changes without their first eight bytes);
//! dependencies, hashes (blobs), steps up the log, indexes there; authors, sequences (signed), first counters (signed),
//! times of changes (signed, minus the entry's), messages (texts); counters and actors of predecessors that are named.
//!
//! A **dependency**: 0 the last entry of the same record in this pack, 1 a hash, 2 (form 5) the entry `index` of the
//! commit so many `steps` up from the pack's first commit, going by the parent while there is exactly one (1 is its
//! parent), 3 + n the entry n before this one (n from 1). A dependency by place is *known*. **Author**: n + 1 the actor n;
//! 0 for kinds 1 and 2 the computed actor, for kind 0 the author of the first dependency. **Sequence**: minus (1 + the
//! greatest of the known dependencies of the same author). **First counter**: minus (1 + the greatest counter of the
//! known dependencies). **Record** with reference 0: that of the first dependency if it lies in an earlier commit,
//! else the computed one. **Predecessors**: counter, then 0 for the author or the actor plus one. The *known* one: the
//! last operation at this key in the only dependency, or, going by only dependencies inside the pack at most sixteen
//! steps, in the first that has the key and a shape.
//!
//! # Steps and values
//!
//! Each step is one operation at a key of the root. Class: 0 null, 1 bool, 2 uint, 3 int, 4 double, 5 string, 6 bytes, 7
//! counter, 8 timestamp (all of these set), 9 make a text, 10 a list, 11 a map, 12 delete, 13 increment. A text is
//! followed by an insertion for each Unicode scalar value from its beginning, a list by one for each item, a map by a
//! `true` at each key. The columns of values, one for each (key, class) in the order in which shapes first name them:
//! none for 0 and 12; numbers for 1, 2, 3, 7, 8 and 13 (signed but for 1 and 2); blobs for 4 (eight bytes, lowest first)
//! and 6; texts for 5 and 9; for 10 and 11 counts, then texts.
//!
//! # Forms of columns
//!
//! *Numbers*: u8 0, LEB128: this one always · 1, body: LEB128 each · 2, LEB128 least, u8 bits, body: each minus the least,
//! in so many bits, lowest first · 3: as 2, of signed numbers, the least signed.
//!
//! *Blobs*: numbers (their lengths), body.
//!
//! *Texts*: u8 0, prefixed: this one always · 1, body: each ended by a zero byte · 2, numbers (lengths), body · 3, body: a
//! table of texts, each ended by a zero byte, numbers: which · 4, prefixed pattern, numbers: the digits that stand for its
//! zero bytes, at most 18, as a decimal number · 5, numbers: days since 1 March of the year 0, for YYYY-MM-DD · 6, body: 16
//! bytes each, for UUIDs in lower case with hyphens · 7, body: a table of words, body: for each text LEB128 of word
//! plus one for each word between single spaces, then 0 · 8: as 7, between a comma with a space.
//!
//! # Form 6: dense
//!
//! As form 5, and on a link alone, to an end that speaks protocol 3. It differs in three things:
//!
//! - A block of at most 131072 raw bytes that is packed is the content of a zstd block alone: the frame's head (`00 38`: a
//!   window of 128 KiB) and the block's (one block, the last; compressed, or of one repeated byte where it is one byte
//!   long) follow from the lengths.
//! - In the place of the steps stands the column of *places*, and the indexes are not there: LEB128 `each` (1 to 256),
//!   LEB128 of the greatest number of steps times two, plus one if numbers are differences, LEB128 of the first number,
//!   numbers: the others (signed differences from the one before, or as they are). A number divided by `each` is how many
//!   steps fewer than the greatest, what remains is the index.
//! - *Numbers* may be: u8 4, LEB128 least, LEB128 `most`, body: each minus the least, as digits in base `most` + 1, the
//!   first the lowest, as many to a number as stay within 2 to the power of 64, each number in as many bits as the
//!   greatest such number needs, lowest first; the last number has the digits that are left · 5: as 4, of signed numbers.
//!   They take the place of 2 and 3.
//!
//! # Limits
//!
//! [`PACK_INFLATED_BYTES_MAX`](crate::limits::PACK_INFLATED_BYTES_MAX) once more for all that is rebuilt,
//! [`PACK_ENTRIES_MAX`](crate::limits::PACK_ENTRIES_MAX), [`PACK_OPS_MAX`](crate::limits::PACK_OPS_MAX),
//! [`PACK_STEPS_MAX`](crate::limits::PACK_STEPS_MAX), [`PACK_COLUMNS_MAX`](crate::limits::PACK_COLUMNS_MAX),
//! [`PACK_TABLE_TEXTS_MAX`](crate::limits::PACK_TABLE_TEXTS_MAX) and
//! [`PACK_EARLIER_COMMITS_MAX`](crate::limits::PACK_EARLIER_COMMITS_MAX).
