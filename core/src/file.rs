//! Files that records carry: how one is named by its content, cut into chunks, and put together again.
//!
//! It does not: store, send or ask for chunks; open a file.
//!
//! Invariants: equal bytes have one address, whatever their name; a chunk is known right or wrong by itself, so that a
//! transfer goes on after any chunk; nothing is allocated from a size that a peer announced before it was checked.

use crate::hash::{Tagged, tagged};
use crate::id::Digest;
use crate::limits::{FILE_BYTES_MAX, FILE_CHUNK_BYTES, FILE_NAME_BYTES_MAX};
use std::fmt;
use std::str::FromStr;

/// The address of a file: BLAKE3 over its size and the hashes of its chunks, in order.
pub type FileAddress = Digest;

/// What a record's `file` field says: `b3:ADDRESS:SIZE:NAME`, the address in lower-case hex, the size in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileRef {
    /// The address.
    pub address: FileAddress,
    /// Bytes, at most [`FILE_BYTES_MAX`].
    pub size: u64,
    /// The name that the file had, without a folder.
    pub name: String,
}

/// Why something is no file of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// Another text than [`FileRef`]'s form.
    #[error("not a file's name and address; attach a file instead of typing one")]
    Form,
    /// Larger than the limit.
    #[error("the file has {0} bytes; at most {FILE_BYTES_MAX} are allowed (FILE_BYTES_MAX)")]
    TooLarge(u64),
    /// A name with a folder, of no characters, or too long.
    #[error("'{0}' cannot name a file: at most {FILE_NAME_BYTES_MAX} bytes, no slashes and no control characters")]
    Name(String),
    /// The list of chunks does not give the address.
    #[error("the list of chunks is not that of the file {0}")]
    Manifest(FileAddress),
    /// A chunk's bytes are not those of its hash.
    #[error("chunk {0} is damaged")]
    Chunk(u32),
}

impl FileRef {
    /// A reference, if the name and size may be.
    ///
    /// # Errors
    /// [`FileError::TooLarge`], [`FileError::Name`].
    pub fn new(address: FileAddress, size: u64, name: &str) -> Result<Self, FileError> {
        if size > FILE_BYTES_MAX {
            return Err(FileError::TooLarge(size));
        }
        let bad = |c: char| c.is_control() || matches!(c, '/' | '\\');
        if name.is_empty() || name.len() > FILE_NAME_BYTES_MAX || name.contains(bad) || matches!(name, "." | "..") {
            return Err(FileError::Name(name.chars().take(80).collect()));
        }
        Ok(Self { address, size, name: name.to_owned() })
    }
}

impl fmt::Display for FileRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b3:{}:{}:{}", self.address, self.size, self.name)
    }
}

impl FromStr for FileRef {
    type Err = FileError;

    fn from_str(text: &str) -> Result<Self, FileError> {
        let mut parts = text.splitn(4, ':');
        let (Some("b3"), Some(address), Some(size), Some(name)) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(FileError::Form);
        };
        let address: FileAddress = address.parse().map_err(|_| FileError::Form)?;
        // One text a reference: no signs, no leading zeros, no capital digits.
        let bytes: u64 = size.parse().map_err(|_| FileError::Form)?;
        let file = Self::new(address, bytes, name)?;
        if file.to_string() == text { Ok(file) } else { Err(FileError::Form) }
    }
}

/// Chunks of a file of this size; an empty file has none.
#[must_use]
pub fn chunks_of(size: u64) -> u32 {
    // At most FILE_BYTES_MAX / FILE_CHUNK_BYTES for every size that was checked.
    u32::try_from(size.div_ceil(FILE_CHUNK_BYTES as u64)).unwrap_or(u32::MAX)
}

/// The hash of one chunk: `H("chunk", bytes)`.
#[must_use]
pub fn chunk_hash(bytes: &[u8]) -> [u8; 32] {
    tagged("chunk", &[bytes])
}

/// The size of a file and the hashes of its chunks, in order: what tells a right chunk from a wrong one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    size: u64,
    hashes: Vec<[u8; 32]>,
}

impl Manifest {
    /// The manifest of these bytes.
    ///
    /// # Errors
    /// [`FileError::TooLarge`].
    pub fn of(bytes: &[u8]) -> Result<Self, FileError> {
        let size = bytes.len() as u64;
        if size > FILE_BYTES_MAX {
            return Err(FileError::TooLarge(size));
        }
        Ok(Self { size, hashes: bytes.chunks(FILE_CHUNK_BYTES).map(chunk_hash).collect() })
    }

    /// The manifest that a peer sent for a file: its hashes, one after the other.
    ///
    /// # Errors
    /// [`FileError::TooLarge`]; [`FileError::Manifest`] if they do not give the address.
    pub fn read(file: &FileRef, hashes: &[u8]) -> Result<Self, FileError> {
        if file.size > FILE_BYTES_MAX {
            return Err(FileError::TooLarge(file.size));
        }
        let wrong = || FileError::Manifest(file.address);
        let (parts, rest) = hashes.as_chunks::<32>();
        if !rest.is_empty() || parts.len() != chunks_of(file.size) as usize {
            return Err(wrong());
        }
        let manifest = Self { size: file.size, hashes: parts.to_vec() };
        if manifest.address() == file.address { Ok(manifest) } else { Err(wrong()) }
    }

    /// The address of the file.
    #[must_use]
    pub fn address(&self) -> FileAddress {
        let mut h = Tagged::new("file");
        h.update(&self.size.to_le_bytes());
        for hash in &self.hashes {
            h.update(hash);
        }
        Digest(h.finish())
    }

    /// The size of the file in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// How many chunks it has.
    #[must_use]
    pub fn chunks(&self) -> u32 {
        chunks_of(self.size)
    }

    /// The hashes, one after the other: what [`Manifest::read`] reads.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.hashes.concat()
    }

    /// Whether these bytes are the chunk of this index.
    ///
    /// # Errors
    /// [`FileError::Chunk`].
    pub fn check(&self, index: u32, bytes: &[u8]) -> Result<(), FileError> {
        match self.hashes.get(index as usize) {
            Some(hash) if *hash == chunk_hash(bytes) => Ok(()),
            _ => Err(FileError::Chunk(index)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(len: usize) -> Vec<u8> {
        (0..len).map(|i| (i / FILE_CHUNK_BYTES * 7 + i) as u8).collect()
    }

    #[test]
    fn a_file_is_known_by_its_content_alone() {
        for len in [0, 1, FILE_CHUNK_BYTES - 1, FILE_CHUNK_BYTES, FILE_CHUNK_BYTES + 1, 5 * FILE_CHUNK_BYTES] {
            let bytes = bytes(len);
            let manifest = Manifest::of(&bytes).unwrap();
            let file = FileRef::new(manifest.address(), manifest.size(), "Chỉ thị 05.pdf").unwrap();
            assert_eq!(manifest.chunks() as usize, len.div_ceil(FILE_CHUNK_BYTES));
            assert_eq!(Manifest::read(&file, &manifest.to_bytes()), Ok(manifest.clone()));
            for (i, chunk) in bytes.chunks(FILE_CHUNK_BYTES).enumerate() {
                assert_eq!(manifest.check(i as u32, chunk), Ok(()));
            }
            assert_eq!(file.to_string().parse(), Ok(file));
        }
        // Two files of zeros that differ in their length alone.
        assert_ne!(Manifest::of(&[0; 10]).unwrap().address(), Manifest::of(&[0; 11]).unwrap().address());
    }

    #[test]
    fn wrong_chunks_and_lists_are_found() {
        let bytes = bytes(3 * FILE_CHUNK_BYTES);
        let manifest = Manifest::of(&bytes).unwrap();
        let file = FileRef::new(manifest.address(), manifest.size(), "a.pdf").unwrap();
        let mut bent = bytes[..FILE_CHUNK_BYTES].to_vec();
        bent[7] ^= 1;
        assert_eq!(manifest.check(0, &bent), Err(FileError::Chunk(0)));
        assert_eq!(manifest.check(1, &bytes[..FILE_CHUNK_BYTES]), Err(FileError::Chunk(1)));
        assert_eq!(manifest.check(3, &[]), Err(FileError::Chunk(3)));
        let list = manifest.to_bytes();
        let wrong = Err(FileError::Manifest(file.address));
        for list in [&list[..64], &list[..65], &[list.clone(), vec![0; 32]].concat()[..], &[0; 96]] {
            assert_eq!(Manifest::read(&file, list), wrong);
        }
        let other_size = FileRef { size: file.size - 1, ..file.clone() };
        assert_eq!(Manifest::read(&other_size, &list), wrong, "the size is part of the address");
        let huge = FileRef { size: u64::MAX, ..file };
        assert_eq!(Manifest::read(&huge, &list), Err(FileError::TooLarge(u64::MAX)));
    }

    #[test]
    fn only_one_text_names_a_file() {
        let good = FileRef::new(Digest([0xab; 32]), 12, "a:b.pdf").unwrap().to_string();
        assert!(good.parse::<FileRef>().is_ok());
        for text in [
            "",
            "a.pdf",
            &good.replace("b3:", "b4:"),
            &good.replace(":12:", ":+12:"),
            &good.replace(":12:", ":012:"),
            &good.replace("abab", "ABAB"),
            &good[..40],
        ] {
            assert_eq!(text.parse::<FileRef>(), Err(FileError::Form), "{text}");
        }
        for name in ["", ".", "..", "a/b", "a\\b", "a\nb", &"x".repeat(FILE_NAME_BYTES_MAX + 1)] {
            assert!(matches!(FileRef::new(Digest([1; 32]), 1, name), Err(FileError::Name(_))), "{name}");
        }
        let large = FILE_BYTES_MAX + 1;
        assert_eq!(FileRef::new(Digest([1; 32]), large, "a"), Err(FileError::TooLarge(large)));
    }
}
