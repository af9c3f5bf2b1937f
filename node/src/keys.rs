//! The secret keys of a replica: files under `keys/`, readable by their owner alone.
//!
//! It does not: sign (callers take the [`SigningKey`]). How a folder is put under a passphrase lies in
//! [`lock`] and [`passphrase`], how a process comes by one in [`unlock`].
//!
//! Invariants: a key is never overwritten by another; one that others could read is refused; in a folder
//! with a [`lock`] new key files are sealed under its key; whatever step a crash cuts off, one passphrase
//! (or none) opens all files; no type here prints a secret; secrets are wiped when dropped.

pub mod database;
pub mod lock;
pub mod passphrase;
pub mod recovery;
pub mod tickets;
pub mod unlock;

pub use lock::is_locked;
pub use passphrase::{Cost, Passphrase};

use crate::dir::{DirError, write_atomic};
use crate::entropy::SystemEntropy;
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

/// Bytes in a key file: a header line and 64 or 144 digits, with room for a stray line end.
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
    /// What `store.db` is encrypted under: 32 random bytes. Only folders that a build with the feature
    /// `encryption` made have one.
    Database,
}

impl KeyKind {
    /// The name of its file under `keys/`.
    #[must_use]
    pub fn file_name(self) -> &'static str {
        match self {
            Self::Device => "device.key",
            Self::Root => "root.key",
            Self::Box => "box.key",
            Self::Database => "database.key",
        }
    }

    /// The first line of its file.
    fn header(self) -> &'static str {
        match self {
            Self::Device => "sampan device key, ed25519 seed, version 1",
            Self::Root => "sampan root key, ed25519 seed, version 1",
            Self::Box => "sampan box key, x25519 secret, version 1",
            Self::Database => "sampan database key, version 1",
        }
    }

    /// The first line of its file in a folder under a passphrase; sealed with the key, so that one file
    /// never passes for another.
    fn sealed_header(self) -> &'static str {
        match self {
            Self::Device => "sampan device key, sealed, version 1",
            Self::Root => "sampan root key, sealed, version 1",
            Self::Box => "sampan box key, sealed, version 1",
            Self::Database => "sampan database key, sealed, version 1",
        }
    }

    /// What it is called in errors.
    fn word(self) -> &'static str {
        match self {
            Self::Device => "device",
            Self::Root => "root",
            Self::Box => "box",
            Self::Database => "database",
        }
    }

    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Device, Self::Root, Self::Box, Self::Database];
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
        /// What was expected: `device`, `root`, `box` or `database`.
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
    /// The keys are under a passphrase, and none was given.
    #[error("the keys in {path} are under a passphrase; give it with --passphrase-file FILE")]
    Locked {
        /// The folder of the keys.
        path: PathBuf,
    },
    /// The passphrase given is not the one.
    #[error("this is not the passphrase of {path}; nothing was changed")]
    Wrong {
        /// The folder of the keys.
        path: PathBuf,
    },
    /// The passphrase cannot be read from where it is said to be.
    #[error("no passphrase can be read from {path}: {reason}")]
    Passphrase {
        /// The file or terminal.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A new passphrase is too short or too long.
    #[error("a passphrase has at least {} characters", sampan_core::limits::PASSPHRASE_CHARS_MIN)]
    Weak,
    /// The memory for turning a passphrase into a key is not to be had.
    #[error("{mib} MiB of memory are needed to open the keys and are not free; close other programs")]
    Memory {
        /// MiB needed.
        mib: u32,
    },
    /// Replacing a file failed.
    #[error(transparent)]
    Dir(DirError),
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

/// Writes a key into the folder `keys`, durably, mode 0600; sealed where the folder has a lock.
///
/// # Errors
/// [`KeyError::Exists`] when there is one already; [`KeyError::Locked`]; [`KeyError::Io`].
pub fn store(keys: &Path, kind: KeyKind, secret: &Secret) -> Result<(), KeyError> {
    let path = keys.join(kind.file_name());
    let text = if is_locked(keys) {
        sealed_text(kind, &unlock::folder_key(keys)?, secret, &mut SystemEntropy)
    } else {
        plain_text(kind, secret)
    };
    let written = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::File::open(keys)?.sync_all()
    });
    written.map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => KeyError::Exists { path },
        _ => KeyError::Io { path, source },
    })
}

fn plain_text(kind: KeyKind, secret: &Secret) -> Zeroizing<String> {
    let mut digits = Zeroizing::new([0; 64]);
    data_encoding::HEXLOWER.encode_mut(secret.bytes(), digits.as_mut());
    let mut text = Zeroizing::new(String::with_capacity(KEY_FILE_BYTES_MAX as usize));
    text.push_str(kind.header());
    text.push('\n');
    // Hex digits are ASCII.
    text.push_str(std::str::from_utf8(digits.as_ref()).unwrap_or_default());
    text.push('\n');
    text
}

fn sealed_text(kind: KeyKind, folder_key: &Secret, secret: &Secret, rng: &mut dyn Entropy) -> Zeroizing<String> {
    let header = kind.sealed_header();
    let sealed = lock::seal(folder_key, header, secret, rng);
    Zeroizing::new(format!("{header}\n{}\n", data_encoding::HEXLOWER.encode(&sealed)))
}

/// Puts the keys of a folder under a passphrase, or finishes what was cut off half-way; the folder's key.
///
/// # Errors
/// [`KeyError::Weak`]; [`KeyError::Wrong`] when it has another passphrase; [`KeyError`].
pub fn set_passphrase(keys: &Path, new: &Passphrase, cost: Cost, rng: &mut dyn Entropy) -> Result<(), KeyError> {
    if !new.is_fit() {
        return Err(KeyError::Weak);
    }
    // All keys are read before the first is touched.
    for kind in present(keys) {
        read(keys, kind)?;
    }
    let folder_key = if is_locked(keys) {
        lock::open(keys, new, &mut std::thread::sleep)?
    } else {
        lock::make(keys, new, cost, rng)?
    };
    unlock::remember(keys, &folder_key);
    for kind in present(keys) {
        if let Content::Plain(secret) = read(keys, kind)? {
            replace(keys, kind, &sealed_text(kind, &folder_key, &secret, rng))?;
        }
    }
    Ok(())
}

/// Another passphrase for a folder that has one: its one lock file is replaced.
///
/// # Errors
/// [`KeyError::Weak`], [`KeyError::Wrong`]; the old one holds on.
pub fn change_passphrase(
    keys: &Path,
    old: &Passphrase,
    new: &Passphrase,
    cost: Cost,
    rng: &mut dyn Entropy,
) -> Result<(), KeyError> {
    if !new.is_fit() {
        return Err(KeyError::Weak);
    }
    let folder_key = lock::open(keys, old, &mut std::thread::sleep)?;
    lock::change(keys, &folder_key, new, cost, rng)?;
    unlock::remember(keys, &folder_key);
    Ok(())
}

/// Makes the key files plain again, and takes the lock away.
///
/// # Errors
/// [`KeyError::Wrong`], [`KeyError`]; what was cut off half-way opens as before and can be done again.
pub fn remove_passphrase(keys: &Path, old: &Passphrase) -> Result<(), KeyError> {
    let folder_key = lock::open(keys, old, &mut std::thread::sleep)?;
    let opened: Vec<_> = present(keys)
        .into_iter()
        .map(|kind| Ok((kind, read(keys, kind)?.open(keys, kind, &folder_key)?)))
        .collect::<Result<_, KeyError>>()?;
    for (kind, secret) in opened {
        replace(keys, kind, &plain_text(kind, &secret))?;
    }
    lock::discard(keys)
}

/// The kinds of key that a folder has.
fn present(keys: &Path) -> Vec<KeyKind> {
    KeyKind::ALL.into_iter().filter(|kind| exists(keys, *kind)).collect()
}

/// Whether a folder with a lock still has a key file that is not sealed: putting it under a passphrase was
/// cut off.
///
/// # Errors
/// [`KeyError`] of a file that cannot be read.
pub fn half_locked(keys: &Path) -> Result<bool, KeyError> {
    for kind in present(keys) {
        if is_locked(keys) && matches!(read(keys, kind)?, Content::Plain(_)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Replaces a key file by another form of the same key.
fn replace(keys: &Path, kind: KeyKind, text: &str) -> Result<(), KeyError> {
    let path = keys.join(kind.file_name());
    let old = fs::OpenOptions::new().write(true).open(&path).map_err(|e| io_error(&path, e))?;
    write_atomic(&path, text.as_bytes(), 0o600).map_err(KeyError::Dir)?;
    // The name leads to the new file by now. What the old one held is overwritten where it lies: on a plain
    // disk that is the end of it, on flash the controller may keep a copy, which the manual says.
    let len = old.metadata().map_or(0, |m| m.len().min(KEY_FILE_BYTES_MAX)) as usize;
    let wiped = (&old).write_all(&vec![0; len]).and_then(|()| old.sync_all());
    wiped.map_err(|e| io_error(&path, e))
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

/// Reads a key from the folder `keys`; a sealed one is opened with the passphrase of this process.
///
/// # Errors
/// [`KeyError`]; nothing is changed.
pub fn load(keys: &Path, kind: KeyKind) -> Result<Secret, KeyError> {
    match read(keys, kind)? {
        Content::Plain(secret) => Ok(secret),
        sealed @ Content::Sealed(_) => sealed.open(keys, kind, &unlock::folder_key(keys)?),
    }
}

/// What a key file holds.
enum Content {
    Plain(Secret),
    Sealed(Vec<u8>),
}

impl Content {
    fn open(self, keys: &Path, kind: KeyKind, folder_key: &Secret) -> Result<Secret, KeyError> {
        match self {
            Self::Plain(secret) => Ok(secret),
            Self::Sealed(sealed) => lock::unseal(folder_key, kind.sealed_header(), &sealed)
                .ok_or_else(|| KeyError::Malformed { path: keys.join(kind.file_name()), kind: kind.word() }),
        }
    }
}

fn read(keys: &Path, kind: KeyKind) -> Result<Content, KeyError> {
    let path = keys.join(kind.file_name());
    let file = open_private(&path)?;
    // The whole capacity at once: a string that grew would leave an unwiped copy behind.
    let mut text = Zeroizing::new(Vec::with_capacity(KEY_FILE_BYTES_MAX as usize + 1));
    file.take(KEY_FILE_BYTES_MAX).read_to_end(&mut text).map_err(|e| io_error(&path, e))?;
    let found = parse(kind, &text).map(Content::Plain).or_else(|| parse_sealed(kind, &text).map(Content::Sealed));
    found.ok_or(KeyError::Malformed { path, kind: kind.word() })
}

/// Opens a file that its owner alone may read.
fn open_private(path: &Path) -> Result<fs::File, KeyError> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => KeyError::Missing { path: path.to_owned() },
        _ => io_error(path, source),
    };
    // The permissions are those of the file that is read, not of a name that may change between.
    let file = fs::File::open(path).map_err(failed)?;
    let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(KeyError::Exposed { path: path.to_owned(), mode });
    }
    Ok(file)
}

fn io_error(path: &Path, source: io::Error) -> KeyError {
    KeyError::Io { path: path.to_owned(), source }
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

fn parse_sealed(kind: KeyKind, text: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(text).ok()?;
    let digits = text.strip_prefix(kind.sealed_header())?.trim();
    let sealed = data_encoding::HEXLOWER.decode(digits.as_bytes()).ok()?;
    (sealed.len() == lock::SEALED_BYTES).then_some(sealed)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The secrets of a folder, opened with a passphrase, or without one.
    fn opened(keys: &Path, words: Option<&str>) -> Result<Vec<[u8; 32]>, KeyError> {
        let folder_key = match words {
            Some(words) if is_locked(keys) => lock::open(keys, &Passphrase::new(words), &mut |_| ())?,
            _ => Secret::from_bytes([0; 32]),
        };
        present(keys).into_iter().map(|k| Ok(*read(keys, k)?.open(keys, k, &folder_key)?.bytes())).collect()
    }

    fn one_of_each() -> (tempfile::TempDir, Vec<[u8; 32]>) {
        let dir = tempfile::tempdir().unwrap();
        for kind in KeyKind::ALL {
            create(dir.path(), kind, &mut SystemEntropy).unwrap();
        }
        let made = opened(dir.path(), None).unwrap();
        (dir, made)
    }

    fn copy(from: &Path) -> tempfile::TempDir {
        let to = tempfile::tempdir().unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), to.path().join(entry.file_name())).unwrap();
        }
        to
    }

    const A: &str = "bến đò xưa";
    const B: &str = "bến đò mới";

    #[test]
    fn a_passphrase_is_set_changed_and_removed_and_the_keys_stay() {
        let (dir, made) = one_of_each();
        let keys = dir.path();
        let words = Passphrase::new;
        let weak = set_passphrase(keys, &words("short"), Cost::LEAST, &mut SystemEntropy);
        assert!(matches!(weak, Err(KeyError::Weak)));
        set_passphrase(keys, &words(A), Cost::LEAST, &mut SystemEntropy).unwrap();
        let digits: Vec<String> = made.iter().map(|k| data_encoding::HEXLOWER.encode(k)).collect();
        for entry in fs::read_dir(keys).unwrap() {
            let path = entry.unwrap().path();
            let text = fs::read_to_string(&path).unwrap();
            assert!(digits.iter().all(|d| !text.contains(d.as_str())), "{}", path.display());
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600, "{}", path.display());
        }
        assert_eq!(opened(keys, Some(A)).unwrap(), made);
        assert!(matches!(opened(keys, None), Err(KeyError::Malformed { .. })));
        let wrong = change_passphrase(keys, &words(B), &words("a third one"), Cost::LEAST, &mut SystemEntropy);
        assert!(matches!(wrong, Err(KeyError::Wrong { .. })));
        change_passphrase(keys, &words(A), &words(B), Cost::LEAST, &mut SystemEntropy).unwrap();
        assert!(matches!(opened(keys, Some(A)), Err(KeyError::Wrong { .. })));
        assert_eq!(opened(keys, Some(B)).unwrap(), made);
        assert!(matches!(remove_passphrase(keys, &words(A)), Err(KeyError::Wrong { .. })));
        assert_eq!(opened(keys, Some(B)).unwrap(), made, "a wrong one changes nothing");
        remove_passphrase(keys, &words(B)).unwrap();
        assert!(!is_locked(keys));
        assert_eq!(opened(keys, None).unwrap(), made);
    }

    #[test]
    fn a_power_cut_between_any_two_files_leaves_a_folder_that_opens_and_can_be_finished() {
        let (dir, made) = one_of_each();
        let locked = copy(dir.path());
        set_passphrase(locked.path(), &Passphrase::new(A), Cost::LEAST, &mut SystemEntropy).unwrap();
        // Every mixture of files that a cut of setting or removing can leave, and more.
        for mask in 0..1 << KeyKind::ALL.len() {
            let half = copy(locked.path());
            for (i, kind) in KeyKind::ALL.into_iter().enumerate() {
                if mask >> i & 1 == 1 {
                    fs::copy(dir.path().join(kind.file_name()), half.path().join(kind.file_name())).unwrap();
                }
            }
            assert_eq!(opened(half.path(), Some(A)).unwrap(), made, "{mask}");
            assert_eq!(half_locked(half.path()).unwrap(), mask != 0);
            let again = copy(half.path());
            set_passphrase(again.path(), &Passphrase::new(A), Cost::LEAST, &mut SystemEntropy).unwrap();
            assert!(!half_locked(again.path()).unwrap());
            assert_eq!(opened(again.path(), Some(A)).unwrap(), made);
            remove_passphrase(half.path(), &Passphrase::new(A)).unwrap();
            assert_eq!(opened(half.path(), None).unwrap(), made);
        }
    }

    #[test]
    fn sealed_files_do_not_pass_for_each_other_and_flipped_bits_are_refused() {
        let (dir, _) = one_of_each();
        let keys = dir.path();
        set_passphrase(keys, &Passphrase::new(A), Cost::LEAST, &mut SystemEntropy).unwrap();
        let device = fs::read_to_string(keys.join("device.key")).unwrap();
        let forged = device.replace(KeyKind::Device.sealed_header(), KeyKind::Box.sealed_header());
        fs::write(keys.join("box.key"), forged).unwrap();
        assert!(matches!(opened(keys, Some(A)), Err(KeyError::Malformed { .. })));
        for len in 0..device.len() - 1 {
            assert!(parse_sealed(KeyKind::Device, &device.as_bytes()[..len]).is_none(), "{len}");
        }
    }

    #[test]
    fn a_key_made_in_a_locked_folder_is_sealed_from_the_start() {
        let dir = tempfile::tempdir().unwrap();
        let folder_key = lock::make(dir.path(), &Passphrase::new(A), Cost::LEAST, &mut SystemEntropy).unwrap();
        unlock::remember(dir.path(), &folder_key);
        let made = create(dir.path(), KeyKind::Device, &mut SystemEntropy).unwrap();
        assert!(matches!(read(dir.path(), KeyKind::Device), Ok(Content::Sealed(_))));
        assert_eq!(load(dir.path(), KeyKind::Device).unwrap().bytes(), made.bytes());
    }

    #[test]
    fn keys_round_trip_in_files_that_only_the_owner_reads() {
        let dir = tempfile::tempdir().unwrap();
        for kind in KeyKind::ALL {
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
