//! The secret keys of a replica: files under `keys/`, readable by their owner alone.
//!
//! It does not: sign (callers take the [`SigningKey`]) or seal the files under a passphrase (a later
//! version).
//!
//! Invariants: a key file is never overwritten; one that others could read is refused; no type here
//! prints a secret; secrets are wiped when dropped.

use ed25519_dalek::SigningKey;
use sampan_core::bundle::{BoxKey, BoxSecret};
use sampan_core::entropy::Entropy;
use sampan_core::id::{DeviceId, OrgId};
use std::fmt;
use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Bytes in a key file: a header line and 64 digits, with room for a stray line end.
const KEY_FILE_BYTES_MAX: u64 = 256;

/// Which key a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeyKind {
    /// The ed25519 key that signs for this device.
    Device,
    /// The ed25519 root key of the organisation.
    Root,
    /// The X25519 key for what is encrypted to this device: 32 random bytes.
    Box,
}

impl KeyKind {
    /// The name of its file under `keys/`.
    #[must_use]
    pub fn file_name(self) -> &'static str {
        match self {
            Self::Device => "device.key",
            Self::Root => "root.key",
            Self::Box => "box.key",
        }
    }

    /// The first line of its file.
    fn header(self) -> &'static str {
        match self {
            Self::Device => "sampan device key, ed25519 seed, version 1",
            Self::Root => "sampan root key, ed25519 seed, version 1",
            Self::Box => "sampan box key, x25519 secret, version 1",
        }
    }
}

/// Why a key could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Others than its owner can read it.
    #[error("{path} can be read by others (mode {mode:o}); run: chmod 600 '{path}'")]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It is not a key file of this kind.
    #[error("{path} is not a {kind} key file of this version; restore it from a backup")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What was expected: `device`, `root` or `box`.
        kind: &'static str,
    },
    /// A key is already there, and keys are never overwritten.
    #[error("{path} already exists; a key is never overwritten")]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// There is none.
    #[error("{path} is missing; restore it from a backup or join again with a new ticket")]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// Reading or writing failed.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

/// 32 secret bytes, wiped when dropped and never printed.
#[derive(Clone)]
pub struct Secret(Zeroizing<[u8; 32]>);

impl Secret {
    /// Draws a new one.
    #[must_use]
    pub fn draw(rng: &mut dyn Entropy) -> Self {
        let mut bytes = Zeroizing::new([0; 32]);
        rng.fill(bytes.as_mut());
        Self(bytes)
    }

    /// From bytes that the caller has.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The ed25519 key made from this seed.
    #[must_use]
    pub fn signing_key(&self) -> SigningKey {
        SigningKey::from_bytes(&self.0)
    }

    /// The X25519 key with this secret.
    #[must_use]
    pub fn box_secret(&self) -> BoxSecret {
        BoxSecret::from_bytes(*self.0)
    }

    /// The public half of [`Secret::box_secret`]: what an enrolment names.
    #[must_use]
    pub fn box_key(&self) -> BoxKey {
        self.box_secret().public()
    }

    /// The device that this seed's public key names.
    #[must_use]
    pub fn device(&self) -> DeviceId {
        DeviceId(self.signing_key().verifying_key().to_bytes())
    }

    /// The organisation that this seed's public key names.
    #[must_use]
    pub fn organisation(&self) -> OrgId {
        OrgId(self.signing_key().verifying_key().to_bytes())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Writes a key into the folder `keys`, durably, mode 0600.
///
/// # Errors
/// [`KeyError::Exists`] when there is one already; [`KeyError::Io`].
pub fn store(keys: &Path, kind: KeyKind, secret: &Secret) -> Result<(), KeyError> {
    let path = keys.join(kind.file_name());
    let mut digits = Zeroizing::new([0; 64]);
    data_encoding::HEXLOWER.encode_mut(secret.bytes(), digits.as_mut());
    let written = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).and_then(|mut file| {
        file.write_all(kind.header().as_bytes())?;
        file.write_all(b"\n")?;
        file.write_all(digits.as_ref())?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        fs::File::open(keys)?.sync_all()
    });
    written.map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => KeyError::Exists { path },
        _ => KeyError::Io { path, source },
    })
}

/// Draws a new key and writes it, see [`store`].
///
/// # Errors
/// As [`store`].
pub fn create(keys: &Path, kind: KeyKind, rng: &mut dyn Entropy) -> Result<Secret, KeyError> {
    let secret = Secret::draw(rng);
    store(keys, kind, &secret)?;
    Ok(secret)
}

/// Reads a key from the folder `keys`.
///
/// # Errors
/// [`KeyError`]; nothing is changed.
pub fn load(keys: &Path, kind: KeyKind) -> Result<Secret, KeyError> {
    let path = keys.join(kind.file_name());
    let io_error = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => KeyError::Missing { path: path.clone() },
        _ => KeyError::Io { path: path.clone(), source },
    };
    // The permissions are those of the file that is read, not of a name that may change between.
    let file = fs::File::open(&path).map_err(io_error)?;
    let mode = file.metadata().map_err(io_error)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(KeyError::Exposed { path, mode });
    }
    // The whole capacity at once: a string that grew would leave an unwiped copy behind.
    let mut text = Zeroizing::new(Vec::with_capacity(KEY_FILE_BYTES_MAX as usize + 1));
    file.take(KEY_FILE_BYTES_MAX).read_to_end(&mut text).map_err(io_error)?;
    parse(kind, &text).ok_or(KeyError::Malformed {
        path,
        kind: match kind {
            KeyKind::Device => "device",
            KeyKind::Root => "root",
            KeyKind::Box => "box",
        },
    })
}

/// Whether the folder `keys` has a key of this kind.
#[must_use]
pub fn exists(keys: &Path, kind: KeyKind) -> bool {
    keys.join(kind.file_name()).exists()
}

fn parse(kind: KeyKind, text: &[u8]) -> Option<Secret> {
    let text = std::str::from_utf8(text).ok()?;
    let digits = text.strip_prefix(kind.header())?.trim();
    if digits.len() != 64 {
        return None;
    }
    let mut bytes = Zeroizing::new([0; 32]);
    data_encoding::HEXLOWER.decode_mut(digits.as_bytes(), bytes.as_mut()).ok()?;
    Some(Secret(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::SystemEntropy;

    #[test]
    fn keys_round_trip_in_files_that_only_the_owner_reads() {
        let dir = tempfile::tempdir().unwrap();
        for kind in [KeyKind::Device, KeyKind::Root, KeyKind::Box] {
            assert!(matches!(load(dir.path(), kind), Err(KeyError::Missing { .. })));
            let made = create(dir.path(), kind, &mut SystemEntropy).unwrap();
            assert_eq!(load(dir.path(), kind).unwrap().bytes(), made.bytes());
            let mode = fs::metadata(dir.path().join(kind.file_name())).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[test]
    fn a_key_is_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let first = create(dir.path(), KeyKind::Device, &mut SystemEntropy).unwrap();
        let err = create(dir.path(), KeyKind::Device, &mut SystemEntropy).unwrap_err();
        assert!(matches!(err, KeyError::Exists { .. }), "{err}");
        assert_eq!(load(dir.path(), KeyKind::Device).unwrap().device(), first.device());
    }

    #[test]
    fn a_key_that_others_can_read_is_refused_with_the_cure() {
        let dir = tempfile::tempdir().unwrap();
        create(dir.path(), KeyKind::Device, &mut SystemEntropy).unwrap();
        let path = dir.path().join("device.key");
        for mode in [0o640, 0o604, 0o660] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let err = load(dir.path(), KeyKind::Device).unwrap_err();
            assert!(err.to_string().contains("chmod 600"), "{err}");
        }
    }

    #[test]
    fn cut_and_swapped_files_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        create(dir.path(), KeyKind::Device, &mut SystemEntropy).unwrap();
        fs::rename(dir.path().join("device.key"), dir.path().join("root.key")).unwrap();
        assert!(matches!(load(dir.path(), KeyKind::Root), Err(KeyError::Malformed { .. })));
        let whole = fs::read(dir.path().join("root.key")).unwrap();
        for len in 0..whole.len() - 1 {
            assert!(parse(KeyKind::Device, &whole[..len]).is_none(), "{len}");
        }
        assert!(parse(KeyKind::Device, &whole).is_some());
    }

    #[test]
    fn a_secret_does_not_print_itself() {
        let s = Secret::from_bytes([0xab; 32]);
        assert_eq!(format!("{s:?}"), "Secret(…)");
    }
}
