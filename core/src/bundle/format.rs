//! The file form of a bundle: a signed header, encrypted chunks, a hash and a signature.
//!
//! It does not: open files, say what goes into a bundle (`plan`) or take it in (`take`).
//!
//! Layout: magic (14 bytes), version (2), length of the whole file (8), length of the header (4), all numbers
//! little-endian; the header in CBOR; chunks; BLAKE3 of the chunks (32); the sender's signature (64) over
//! everything before the chunks and that hash. A chunk is 65,536 bytes of plaintext, the last one 1 to that
//! many, under XChaCha20-Poly1305 with a key of this bundle alone; the nonce is 19 zeros, the chunk's number (4)
//! and whether it is the last (1). The plaintext is frames, each after its length (4).
//!
//! Invariants: nothing of a chunk is handed out before its tag was checked; what was handed out counts only
//! once [`Reader::finish`] has said that the whole is signed; both ends hold one chunk and one frame at a time.

use super::keys::{self, BoxKey, BoxSecret, Slot, TAG_BYTES};
use crate::canary::{self, Canary};
use crate::entropy::{Entropy, random};
use crate::hash::tagged;
use crate::id::{DeviceId, OrgId, UnitId};
use crate::limits::{
    BUNDLE_BYTES_MAX, BUNDLE_CHUNK_BYTES, BUNDLE_HEADER_BYTES_MAX, BUNDLE_RECEIVERS_MAX, FRAME_BYTES_MAX,
};
use crate::log::{device_id, sign, signature_holds};
use crate::time::Millis;
use crate::wire;
use chacha20poly1305::aead::AeadInOut;
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use ed25519_dalek::SigningKey;
use zeroize::Zeroizing;

/// What every bundle begins with.
pub const MAGIC: &[u8; 14] = b"sampan-bundle\0";
/// The version of the file form that is written.
pub const VERSION: u16 = 1;
/// Where the length of the whole file stands: it is known last and written there then.
pub const LENGTH_AT: u64 = 16;
/// Bytes before the header.
const PREFIX: usize = 28;
/// Bytes behind the chunks.
const TRAILER: usize = 96;
/// Bytes of a whole chunk as it lies in the file.
const SEALED_CHUNK: usize = BUNDLE_CHUNK_BYTES + TAG_BYTES;

/// What stands openly in a bundle.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct Header {
    /// The organisation.
    #[n(0)]
    pub org: OrgId,
    /// The device that made and signed it.
    #[n(1)]
    pub sender: DeviceId,
    /// When, by the sender's clock.
    #[n(2)]
    pub created: Millis,
    /// Whether it goes down, from a relay to what lies below; else up.
    #[n(3)]
    pub down: bool,
    /// The unit it is for, where the sender knew it.
    #[n(4)]
    pub unit: Option<UnitId>,
    /// The X25519 key of this bundle alone.
    #[cbor(n(5), with = "minicbor::bytes")]
    pub ephemeral: [u8; 32],
    /// The content key, once for each receiver.
    #[n(6)]
    pub slots: Vec<Slot>,
}

/// Why a file is no bundle that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// It begins otherwise.
    #[error("this is no bundle")]
    NotABundle,
    /// A version that this program does not read.
    #[error("this bundle has form {0} and needs a newer Sampan")]
    Newer(u16),
    /// It ends before its end.
    #[error("this bundle is incomplete: {have} of {total} bytes are there")]
    Cut {
        /// Bytes there.
        have: u64,
        /// Bytes announced.
        total: u64,
    },
    /// A tag, the hash, the signature or a length does not fit.
    #[error("this bundle was altered: {0}")]
    Altered(&'static str),
    /// Another organisation's.
    #[error("this bundle belongs to another organisation")]
    OtherOrganisation,
    /// Over a limit, by its name.
    #[error("this bundle is over the limit {0}")]
    Limit(&'static str),
    /// Nobody to encrypt to, or a key that gives no secret.
    #[error("a receiver's key cannot be used")]
    Receiver,
}

/// What a new bundle's header is made of.
#[derive(Debug, Clone, Copy)]
pub struct Address<'a> {
    /// The organisation.
    pub org: OrgId,
    /// When.
    pub created: Millis,
    /// Whether it goes down.
    pub down: bool,
    /// The unit it is for.
    pub unit: Option<UnitId>,
    /// The keys that can open it.
    pub receivers: &'a [BoxKey],
}

/// The cipher of the chunks: its key is of this content key and this header alone.
fn cipher(content: &[u8; 32], header: &[u8]) -> XChaCha20Poly1305 {
    let key = Zeroizing::new(tagged("bundle-content", &[content, &tagged("bundle-header", &[header])]));
    XChaCha20Poly1305::new((&*key).into())
}

fn nonce(chunk: u32, last: bool) -> XNonce {
    let mut out = [0; 24];
    out[19..23].copy_from_slice(&chunk.to_le_bytes());
    out[23] = u8::from(last);
    out.into()
}

/// Makes a bundle, piece by piece.
pub struct Sealer {
    start: Vec<u8>,
    cipher: XChaCha20Poly1305,
    plain: Zeroizing<Vec<u8>>,
    chunk: u32,
    hash: blake3::Hasher,
    written: u64,
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sealer({} bytes written)", self.written)
    }
}

impl Sealer {
    /// Begins a bundle; what comes before the chunks goes to `out`, with a length that is not known yet.
    ///
    /// # Errors
    /// [`FormatError::Receiver`], [`FormatError::Limit`].
    pub fn new(
        key: &SigningKey,
        address: &Address<'_>,
        rng: &mut dyn Entropy,
        out: &mut Vec<u8>,
    ) -> Result<Self, FormatError> {
        if address.receivers.is_empty() {
            return Err(FormatError::Receiver);
        }
        if address.receivers.len() > BUNDLE_RECEIVERS_MAX {
            return Err(FormatError::Limit("BUNDLE_RECEIVERS_MAX"));
        }
        let ephemeral = BoxSecret::from_bytes(random(rng));
        let content: Zeroizing<[u8; 32]> = Zeroizing::new(random(rng));
        let slots: Option<Vec<Slot>> = address.receivers.iter().map(|r| keys::wrap(&ephemeral, r, &content)).collect();
        let header = Header {
            org: address.org,
            sender: device_id(key),
            created: address.created,
            down: address.down,
            unit: address.unit,
            ephemeral: ephemeral.public().0,
            slots: slots.ok_or(FormatError::Receiver)?,
        };
        let header = wire::encode(&header);
        let mut start = Vec::with_capacity(PREFIX + header.len());
        start.extend_from_slice(MAGIC);
        start.extend_from_slice(&VERSION.to_le_bytes());
        start.extend_from_slice(&[0; 8]);
        start.extend_from_slice(&(header.len() as u32).to_le_bytes());
        start.extend_from_slice(&header);
        out.extend_from_slice(&start);
        let cipher = cipher(&content, &header);
        let written = start.len() as u64;
        let plain = Zeroizing::new(Vec::with_capacity(BUNDLE_CHUNK_BYTES));
        Ok(Self { start, cipher, plain, chunk: 0, hash: blake3::Hasher::new(), written })
    }

    /// Adds a frame; chunks that it completes go to `out`.
    ///
    /// # Errors
    /// [`FormatError::Limit`].
    pub fn push(&mut self, frame: &[u8], out: &mut Vec<u8>) -> Result<(), FormatError> {
        if frame.len() > FRAME_BYTES_MAX {
            return Err(FormatError::Limit("FRAME_BYTES_MAX"));
        }
        for mut part in [(frame.len() as u32).to_le_bytes().as_slice(), frame] {
            while !part.is_empty() {
                // Only when more follows: the last chunk is never empty.
                if self.plain.len() == BUNDLE_CHUNK_BYTES {
                    self.seal_chunk(false, out)?;
                }
                let (now, later) = part.split_at(part.len().min(BUNDLE_CHUNK_BYTES - self.plain.len()));
                self.plain.extend_from_slice(now);
                part = later;
            }
        }
        Ok(())
    }

    fn seal_chunk(&mut self, last: bool, out: &mut Vec<u8>) -> Result<(), FormatError> {
        self.written += (self.plain.len() + TAG_BYTES) as u64;
        if self.written + TRAILER as u64 > BUNDLE_BYTES_MAX {
            return Err(FormatError::Limit("BUNDLE_BYTES_MAX"));
        }
        let from = out.len();
        let body = self.plain.as_mut_slice();
        let tag = self.cipher.encrypt_inout_detached(&nonce(self.chunk, last), b"", body.into());
        // The cipher takes more than a chunk, and fewer chunks than its counter are within the limit.
        let tag = tag.map_err(|_| FormatError::Limit("BUNDLE_CHUNK_BYTES"))?;
        out.extend_from_slice(&self.plain);
        out.extend_from_slice(&tag);
        self.hash.update(&out[from..]);
        self.plain.clear();
        self.chunk += 1;
        Ok(())
    }

    /// Ends the bundle; the rest goes to `out`. The eight bytes that come back belong at [`LENGTH_AT`].
    ///
    /// # Errors
    /// [`FormatError::Limit`]; an empty bundle is none.
    pub fn finish(mut self, key: &SigningKey, out: &mut Vec<u8>) -> Result<[u8; 8], FormatError> {
        if self.plain.is_empty() {
            return Err(FormatError::Altered("it holds nothing"));
        }
        self.seal_chunk(true, out)?;
        let total = (self.written + TRAILER as u64).to_le_bytes();
        self.start[LENGTH_AT as usize..][..8].copy_from_slice(&total);
        let hash = *self.hash.finalize().as_bytes();
        let signature = sign("bundle", key, &[self.start.as_slice(), &hash].concat());
        out.extend_from_slice(&hash);
        out.extend_from_slice(&signature);
        Ok(total)
    }
}

/// What a whole, signed bundle was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// Its header.
    pub header: Header,
    /// The hash of its chunks.
    pub hash: [u8; 32],
    /// Its length.
    pub total: u64,
    /// Whether one of the secrets opened it.
    pub for_us: bool,
}

/// Reads a bundle, piece by piece.
pub struct Reader<'k> {
    secrets: &'k [BoxSecret],
    org: OrgId,
    /// Bytes that are not worked through yet.
    raw: Vec<u8>,
    seen: u64,
    total: u64,
    start: Vec<u8>,
    header: Option<Header>,
    cipher: Option<XChaCha20Poly1305>,
    /// Bytes of chunks still to come.
    left: u64,
    chunk: u32,
    hash: blake3::Hasher,
    plain: Zeroizing<Vec<u8>>,
    checked: Option<[u8; 32]>,
}

impl std::fmt::Debug for Reader<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Reader({} of {} bytes)", self.seen, self.total)
    }
}

impl<'k> Reader<'k> {
    /// A reader for a device of an organisation with these secrets.
    #[must_use]
    pub fn new(org: OrgId, secrets: &'k [BoxSecret]) -> Self {
        Self {
            secrets,
            org,
            raw: Vec::new(),
            seen: 0,
            total: 0,
            start: Vec::new(),
            header: None,
            cipher: None,
            left: 0,
            chunk: 0,
            hash: blake3::Hasher::new(),
            plain: Zeroizing::new(Vec::new()),
            checked: None,
        }
    }

    /// The header, once it was read. Nothing vouches for it before [`Reader::finish`].
    #[must_use]
    pub fn header(&self) -> Option<&Header> {
        self.header.as_ref()
    }

    /// Whether one of the secrets opens it.
    #[must_use]
    pub fn for_us(&self) -> bool {
        self.cipher.is_some()
    }

    /// Takes the next bytes of the file; frames that they complete go to `frames`.
    ///
    /// # Errors
    /// [`FormatError`].
    pub fn push(&mut self, bytes: &[u8], frames: &mut Vec<Vec<u8>>) -> Result<(), FormatError> {
        self.seen += bytes.len() as u64;
        self.raw.extend_from_slice(bytes);
        let mut at = 0;
        loop {
            let raw = &self.raw[at..];
            let used = if self.header.is_none() {
                self.take_start(at)?
            } else if self.left > 0 {
                let size = (SEALED_CHUNK as u64).min(self.left) as usize;
                if raw.len() < size { 0 } else { self.take_chunk(at, size, frames)? }
            } else if self.checked.is_none() {
                if raw.len() < TRAILER { 0 } else { self.take_trailer(at)? }
            } else if raw.is_empty() {
                0
            } else {
                return Err(FormatError::Altered("it is longer than it says"));
            };
            if used == 0 {
                break;
            }
            at += used;
        }
        self.raw.drain(..at);
        Ok(())
    }

    fn take_start(&mut self, at: usize) -> Result<usize, FormatError> {
        let raw = &self.raw[at..];
        let known = raw.len().min(MAGIC.len());
        if raw[..known] != MAGIC[..known] {
            return Err(FormatError::NotABundle);
        }
        let (Some(version), Some(total), Some(len)) = (array(raw, 14), array(raw, 16), array(raw, 24)) else {
            return Ok(0);
        };
        let version = u16::from_le_bytes(version);
        if version != VERSION {
            return Err(FormatError::Newer(version));
        }
        self.total = u64::from_le_bytes(total);
        let len = u32::from_le_bytes(len) as usize;
        if len > BUNDLE_HEADER_BYTES_MAX {
            return Err(FormatError::Limit("BUNDLE_HEADER_BYTES_MAX"));
        }
        if self.total > BUNDLE_BYTES_MAX {
            return Err(FormatError::Limit("BUNDLE_BYTES_MAX"));
        }
        let around = (PREFIX + len + TRAILER) as u64;
        let Some(left) = self.total.checked_sub(around).filter(|left| *left > TAG_BYTES as u64) else {
            return Err(FormatError::Altered("its length is too small"));
        };
        let over = left % SEALED_CHUNK as u64;
        if over != 0 && over <= TAG_BYTES as u64 {
            return Err(FormatError::Altered("its last chunk is empty"));
        }
        let Some(header_bytes) = raw.get(PREFIX..PREFIX + len) else { return Ok(0) };
        let header: Header =
            wire::decode("bundle header", header_bytes).map_err(|_| FormatError::Altered("its header"))?;
        if header.slots.len() > BUNDLE_RECEIVERS_MAX {
            return Err(FormatError::Limit("BUNDLE_RECEIVERS_MAX"));
        }
        if header.slots.is_empty() || !header.created.in_range() {
            return Err(FormatError::Altered("its header"));
        }
        if header.org != self.org {
            return Err(FormatError::OtherOrganisation);
        }
        let ephemeral = BoxKey(header.ephemeral);
        let mut slots = header.slots.iter().flat_map(|slot| self.secrets.iter().map(move |s| (s, slot)));
        let content = slots.find_map(|(secret, slot)| keys::unwrap(secret, &ephemeral, slot));
        self.cipher = content.map(|c| cipher(&c, header_bytes));
        self.start = raw[..PREFIX + len].to_vec();
        self.left = left;
        self.header = Some(header);
        Ok(PREFIX + len)
    }

    fn take_chunk(&mut self, at: usize, size: usize, frames: &mut Vec<Vec<u8>>) -> Result<usize, FormatError> {
        let chunk = &self.raw[at..at + size];
        self.hash.update(chunk);
        self.left -= size as u64;
        if let Some(cipher) = &self.cipher {
            let (body, tag) = chunk.split_at(size - TAG_BYTES);
            let from = self.plain.len();
            self.plain.extend_from_slice(body);
            let tag = tag.try_into().map_err(|_| FormatError::Altered("a chunk"))?;
            let nonce = nonce(self.chunk, self.left == 0);
            let opened = cipher.decrypt_inout_detached(&nonce, b"", (&mut self.plain[from..]).into(), tag);
            opened.map_err(|_| FormatError::Altered("a chunk"))?;
            self.take_frames(frames)?;
        }
        self.chunk += 1;
        Ok(size)
    }

    fn take_frames(&mut self, frames: &mut Vec<Vec<u8>>) -> Result<(), FormatError> {
        let mut at = 0;
        while let Some(len) = array(&self.plain, at) {
            let len = u32::from_le_bytes(len) as usize;
            if len > FRAME_BYTES_MAX {
                return Err(FormatError::Limit("FRAME_BYTES_MAX"));
            }
            let Some(frame) = self.plain.get(at + 4..at + 4 + len) else { break };
            frames.push(frame.to_vec());
            at += 4 + len;
        }
        self.plain.drain(..at);
        Ok(())
    }

    fn take_trailer(&mut self, at: usize) -> Result<usize, FormatError> {
        let trailer = &self.raw[at..at + TRAILER];
        let hash = *self.hash.finalize().as_bytes();
        let (said, signature) = trailer.split_at(32);
        let unchecked = canary::sings(Canary::BundleUnchecked);
        if said != hash && !unchecked {
            return Err(FormatError::Altered("its hash"));
        }
        let sender = self.header.as_ref().map(|h| h.sender).unwrap_or_default();
        let signed = [self.start.as_slice(), &hash].concat();
        let signature = signature.try_into().map_err(|_| FormatError::Altered("its signature"))?;
        if !signature_holds("bundle", &sender, &signed, &signature) && !unchecked {
            return Err(FormatError::Altered("its signature"));
        }
        self.checked = Some(hash);
        Ok(TRAILER)
    }

    /// Says that the file has ended.
    ///
    /// # Errors
    /// [`FormatError::Cut`] when more should have come; [`FormatError::NotABundle`] for a few bytes that could
    /// be anything.
    pub fn finish(self) -> Result<Checked, FormatError> {
        let Some(hash) = self.checked else {
            if self.seen < MAGIC.len() as u64 {
                return Err(FormatError::NotABundle);
            }
            return Err(FormatError::Cut { have: self.seen, total: self.total.max(self.seen + 1) });
        };
        if !self.plain.is_empty() {
            return Err(FormatError::Altered("its last frame is cut"));
        }
        let Some(header) = self.header else { return Err(FormatError::NotABundle) };
        Ok(Checked { header, hash, total: self.total, for_us: self.cipher.is_some() })
    }
}

/// `N` bytes at a place, if they are there.
fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}

#[cfg(test)]
#[path = "format_tests.rs"]
mod tests;
