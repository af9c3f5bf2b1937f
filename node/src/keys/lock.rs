//! The lock of a folder's keys: one random key that seals the key files, sealed itself under a passphrase.
//!
//! It does not: ask for the passphrase (`unlock` does) or know what the key files hold.
//!
//! Invariants: a passphrase is changed by replacing this one file, so that a crash leaves the old one or
//! the new; a try is counted before it is made and forgotten when it was right, so that killing the
//! program does not spare the pause; nothing is ever destroyed for a wrong try.

use super::passphrase::{Cost, Passphrase};
use super::{KeyError, Secret, io_error, open_private};
use crate::dir::write_atomic;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use data_encoding::HEXLOWER;
use sampan_core::entropy::{Entropy, random};
use sampan_core::limits::{PASSPHRASE_PAUSE_S_MAX, PASSPHRASE_TRIES_FREE};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use zeroize::Zeroizing;

const HEADER: &str = "sampan lock, version 1";
/// Bytes in the file: four lines of known width, with room.
const LOCK_BYTES_MAX: u64 = 512;
/// Bytes in front of what is sealed.
const NONCE_BYTES: usize = 24;
/// Bytes that sealing adds behind.
const TAG_BYTES: usize = 16;
/// Bytes of a sealed key.
pub(super) const SEALED_BYTES: usize = NONCE_BYTES + 32 + TAG_BYTES;

/// The name of the file under `keys/`.
pub const LOCK_NAME: &str = "lock";
/// The name of the file that counts wrong tries.
const TRIES_NAME: &str = "tries";

/// Whether the keys of a folder are under a passphrase.
#[must_use]
pub fn is_locked(keys: &Path) -> bool {
    keys.join(LOCK_NAME).exists()
}

/// Seals 32 bytes under a key; `about` is bound to them.
pub(crate) fn seal(key: &Secret, about: &str, secret: &Secret, rng: &mut dyn Entropy) -> Vec<u8> {
    let nonce = random::<NONCE_BYTES>(rng);
    let cipher = XChaCha20Poly1305::new(&(*key.bytes()).into());
    let sealed = cipher
        .encrypt(&XNonce::from(nonce), Payload { msg: secret.bytes(), aad: about.as_bytes() })
        // It refuses only messages of more than 256 GiB.
        .unwrap_or_default();
    [nonce.as_slice(), &sealed].concat()
}

/// The inverse of [`seal`]; `None` = another key, or altered bytes.
pub(crate) fn unseal(key: &Secret, about: &str, sealed: &[u8]) -> Option<Secret> {
    let (nonce, sealed) = sealed.split_at_checked(NONCE_BYTES)?;
    let nonce: [u8; NONCE_BYTES] = nonce.try_into().ok()?;
    let cipher = XChaCha20Poly1305::new(&(*key.bytes()).into());
    let opened = cipher.decrypt(&XNonce::from(nonce), Payload { msg: sealed, aad: about.as_bytes() }).ok()?;
    let opened = Zeroizing::new(opened);
    let bytes: &[u8; 32] = opened.as_slice().try_into().ok()?;
    Some(Secret::from_bytes(*bytes))
}

/// What the file says.
#[derive(Debug, Clone, PartialEq, Eq)]
struct LockFile {
    cost: Cost,
    salt: [u8; 16],
    sealed: Vec<u8>,
}

impl LockFile {
    /// All but the sealed line, which is bound to it.
    fn head(cost: Cost, salt: &[u8; 16]) -> String {
        let Cost { memory_kib, passes } = cost;
        format!("{HEADER}\nargon2id m={memory_kib} t={passes} p=1\nsalt={}\n", HEXLOWER.encode(salt))
    }

    fn text(&self) -> String {
        format!("{}sealed={}\n", Self::head(self.cost, &self.salt), HEXLOWER.encode(&self.sealed))
    }

    /// Only what [`LockFile::text`] writes is read.
    fn parse(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        let mut lines = text.lines();
        if lines.next()? != HEADER {
            return None;
        }
        let (memory, passes) = lines.next()?.strip_prefix("argon2id m=")?.strip_suffix(" p=1")?.split_once(" t=")?;
        let cost = Cost { memory_kib: memory.parse().ok()?, passes: passes.parse().ok()? };
        let salt = HEXLOWER.decode(lines.next()?.strip_prefix("salt=")?.as_bytes()).ok()?.try_into().ok()?;
        let sealed = HEXLOWER.decode(lines.next()?.strip_prefix("sealed=")?.as_bytes()).ok()?;
        let read = Self { cost, salt, sealed };
        // A file that asks for more than any of ours would is no file of ours: it could stop the machine.
        (read.text() == text && read.sealed.len() == SEALED_BYTES && cost.is_bearable()).then_some(read)
    }

    fn read(keys: &Path) -> Result<Self, KeyError> {
        let path = keys.join(LOCK_NAME);
        let file = open_private(&path)?;
        let mut text = Vec::new();
        file.take(LOCK_BYTES_MAX + 1).read_to_end(&mut text).map_err(|e| io_error(&path, e))?;
        Self::parse(&text).ok_or(KeyError::Malformed { path, kind: LOCK_NAME })
    }

    fn write(
        keys: &Path,
        folder_key: &Secret,
        new: &Passphrase,
        cost: Cost,
        rng: &mut dyn Entropy,
    ) -> Result<(), KeyError> {
        let salt = random(rng);
        let path = keys.join(LOCK_NAME);
        let key = cost.key(new, &salt).ok_or(KeyError::Memory { mib: cost.memory_kib >> 10 })?;
        let sealed = seal(&key, &Self::head(cost, &salt), folder_key, rng);
        let text = Self { cost, salt, sealed }.text();
        write_atomic(&path, text.as_bytes(), 0o600).map_err(KeyError::Dir)
    }
}

/// Puts a new folder under a passphrase: draws the key that will seal its key files.
///
/// # Errors
/// [`KeyError::Exists`] when it has one; [`KeyError`].
pub fn make(keys: &Path, new: &Passphrase, cost: Cost, rng: &mut dyn Entropy) -> Result<Secret, KeyError> {
    if is_locked(keys) {
        return Err(KeyError::Exists { path: keys.join(LOCK_NAME) });
    }
    let folder_key = Secret::draw(rng);
    LockFile::write(keys, &folder_key, new, cost, rng)?;
    Ok(folder_key)
}

/// Another passphrase for a folder that was opened with the old one.
///
/// # Errors
/// [`KeyError`]; the old one holds on.
pub fn change(
    keys: &Path,
    folder_key: &Secret,
    new: &Passphrase,
    cost: Cost,
    rng: &mut dyn Entropy,
) -> Result<(), KeyError> {
    LockFile::write(keys, folder_key, new, cost, rng)
}

/// Opens the lock; `pause` waits where wrong tries went before.
///
/// # Errors
/// [`KeyError::Wrong`]; [`KeyError`].
pub fn open(keys: &Path, passphrase: &Passphrase, pause: &mut dyn FnMut(Duration)) -> Result<Secret, KeyError> {
    let lock = LockFile::read(keys)?;
    let tries = Tries::begin(keys)?;
    if let Some(length) = pause_before(tries.wrong) {
        pause(length);
    }
    let key = lock.cost.key(passphrase, &lock.salt).ok_or(KeyError::Memory { mib: lock.cost.memory_kib >> 10 })?;
    let opened = unseal(&key, &LockFile::head(lock.cost, &lock.salt), &lock.sealed)
        .ok_or_else(|| KeyError::Wrong { path: keys.to_owned() })?;
    tries.forget()?;
    Ok(opened)
}

/// Takes the lock away; the key files must be plain by then.
///
/// # Errors
/// [`KeyError::Io`].
pub(super) fn discard(keys: &Path) -> Result<(), KeyError> {
    // What was left with the level above is of a key that seals nothing any more.
    for name in [super::recovery::ASKED_NAME, super::recovery::DEPOSIT_NAME, TRIES_NAME, LOCK_NAME] {
        let path = keys.join(name);
        match fs::remove_file(&path) {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(io_error(&path, e)),
        }
    }
    File::open(keys).and_then(|f| f.sync_all()).map_err(|e| io_error(keys, e))
}

/// Forgets the wrong tries: the folder was opened in another way than by its words.
///
/// # Errors
/// [`KeyError::Io`].
pub(super) fn forget_tries(keys: &Path) -> Result<(), KeyError> {
    Tries::begin(keys)?.forget()
}

/// The pause before a try, after so many wrong ones: doubling, and bounded.
fn pause_before(wrong: u32) -> Option<Duration> {
    let beyond = wrong.checked_sub(PASSPHRASE_TRIES_FREE)?;
    let seconds = 1_u64.checked_shl(beyond.min(32)).unwrap_or(u64::MAX).min(PASSPHRASE_PAUSE_S_MAX);
    Some(Duration::from_secs(seconds))
}

/// The count of wrong tries. It slows whoever sits at this machine; who took a copy of the disk away is
/// slowed by Argon2id alone.
struct Tries {
    path: PathBuf,
    file: File,
    /// Wrong ones before this.
    wrong: u32,
}

impl Tries {
    /// Counts one more. Only one try at a time is made on a folder: the file is locked meanwhile.
    fn begin(keys: &Path) -> Result<Self, KeyError> {
        let path = keys.join(TRIES_NAME);
        let failed = |e| io_error(&path, e);
        let mut options = OpenOptions::new();
        let file = options.create(true).truncate(false).read(true).write(true).mode(0o600).open(&path);
        let mut file = file.map_err(failed)?;
        file.lock().map_err(failed)?;
        let mut text = String::new();
        // What cannot be read counts as nothing: the count is no secret and no right.
        let _ = (&mut file).take(16).read_to_string(&mut text);
        let wrong = text.trim().parse().unwrap_or(0);
        let mut begun = Self { path, file, wrong };
        begun.put(wrong.saturating_add(1))?;
        Ok(begun)
    }

    fn forget(mut self) -> Result<(), KeyError> {
        self.put(0)
    }

    fn put(&mut self, count: u32) -> Result<(), KeyError> {
        let Self { path, file, .. } = self;
        let written = file.rewind().and_then(|()| writeln!(file, "{count:010}")).and_then(|()| file.sync_data());
        written.map_err(|e| io_error(path, e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::SystemEntropy;

    fn words(text: &str) -> Passphrase {
        Passphrase::new(text)
    }

    fn never(_: Duration) {
        panic!("no pause is due");
    }

    #[test]
    fn only_the_right_words_open_it() {
        let t = tempfile::tempdir().unwrap();
        let key = make(t.path(), &words("đò ngang sang sông"), Cost::LEAST, &mut SystemEntropy).unwrap();
        assert_eq!(open(t.path(), &words("đò ngang sang sông"), &mut never).unwrap().bytes(), key.bytes());
        let wrong = open(t.path(), &words("đò dọc xuôi sông"), &mut never).unwrap_err();
        assert!(matches!(wrong, KeyError::Wrong { .. }), "{wrong}");
        assert!(matches!(
            make(t.path(), &words("another one"), Cost::LEAST, &mut SystemEntropy),
            Err(KeyError::Exists { .. })
        ));
        change(t.path(), &key, &words("another passphrase"), Cost::LEAST, &mut SystemEntropy).unwrap();
        assert!(open(t.path(), &words("đò ngang sang sông"), &mut never).is_err());
        assert_eq!(open(t.path(), &words("another passphrase"), &mut never).unwrap().bytes(), key.bytes());
    }

    #[test]
    fn wrong_tries_are_counted_slowed_and_forgotten_when_the_right_words_come() {
        let t = tempfile::tempdir().unwrap();
        make(t.path(), &words("right words"), Cost::LEAST, &mut SystemEntropy).unwrap();
        let mut pauses = Vec::new();
        for _ in 0..5 {
            assert!(open(t.path(), &words("wrong words"), &mut |p| pauses.push(p.as_secs())).is_err());
        }
        assert_eq!(pauses, [1, 2]);
        open(t.path(), &words("right words"), &mut |p| pauses.push(p.as_secs())).unwrap();
        assert_eq!(pauses, [1, 2, 4], "the right words wait as well, else a pause would tell them");
        open(t.path(), &words("right words"), &mut never).unwrap();
        fs::write(t.path().join(TRIES_NAME), "rubbish").unwrap();
        open(t.path(), &words("right words"), &mut never).unwrap();
    }

    #[test]
    fn a_try_counts_although_the_program_is_killed_in_it() {
        let t = tempfile::tempdir().unwrap();
        for n in 0..5 {
            let begun = Tries::begin(t.path()).unwrap();
            assert_eq!(begun.wrong, n);
        }
    }

    #[test]
    fn pauses_grow_and_are_bounded() {
        assert_eq!(pause_before(0), None);
        assert_eq!(pause_before(PASSPHRASE_TRIES_FREE - 1), None);
        let seconds: Vec<u64> = (3..12).map(|n| pause_before(n).unwrap().as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(pause_before(u32::MAX).unwrap().as_secs(), PASSPHRASE_PAUSE_S_MAX);
    }

    #[test]
    fn cut_altered_and_absurd_files_are_refused() {
        let t = tempfile::tempdir().unwrap();
        make(t.path(), &words("right words"), Cost::LEAST, &mut SystemEntropy).unwrap();
        let whole = fs::read(t.path().join(LOCK_NAME)).unwrap();
        assert!(LockFile::parse(&whole).is_some());
        for len in 0..whole.len() {
            assert!(LockFile::parse(&whole[..len]).is_none(), "{len}");
        }
        let text = String::from_utf8(whole.clone()).unwrap();
        assert!(LockFile::parse(format!("{text}\n").as_bytes()).is_none());
        let m = Cost::LEAST.memory_kib.to_string();
        for absurd in ["4194304", "8", "99999999999", "-1", "019456"] {
            assert!(LockFile::parse(text.replace(&m, absurd).as_bytes()).is_none(), "{absurd}");
        }
        // What parses in spite of a changed digit does not open.
        let other_salt = text.replace("salt=", "salt=0");
        assert!(LockFile::parse(other_salt.as_bytes()).is_none());
        let mut flipped = whole;
        let last = flipped.len() - 2;
        flipped[last] = if flipped[last] == b'0' { b'1' } else { b'0' };
        fs::write(t.path().join(LOCK_NAME), &flipped).unwrap();
        assert!(matches!(open(t.path(), &words("right words"), &mut never), Err(KeyError::Wrong { .. })));
    }

    #[test]
    fn what_is_sealed_opens_only_as_what_it_was_sealed_as() {
        let (key, secret) = (Secret::from_bytes([1; 32]), Secret::from_bytes([2; 32]));
        let sealed = seal(&key, "device", &secret, &mut SystemEntropy);
        assert_eq!(sealed.len(), SEALED_BYTES);
        assert_eq!(unseal(&key, "device", &sealed).unwrap().bytes(), secret.bytes());
        assert!(unseal(&key, "box", &sealed).is_none());
        assert!(unseal(&Secret::from_bytes([3; 32]), "device", &sealed).is_none());
        for bit in 0..sealed.len() * 8 {
            let mut bent = sealed.clone();
            bent[bit / 8] ^= 1 << (bit % 8);
            assert!(unseal(&key, "device", &bent).is_none(), "bit {bit}");
        }
    }

    /// Counts up: the same bytes every time.
    struct Counting(u8);

    impl Entropy for Counting {
        fn fill(&mut self, out: &mut [u8]) {
            for byte in out {
                self.0 = self.0.wrapping_add(1);
                *byte = self.0;
            }
        }
    }

    /// What version 1 wrote once, and must open for ever.
    const OF_VERSION_1: &str = "sampan lock, version 1
argon2id m=19456 t=2 p=1
salt=2122232425262728292a2b2c2d2e2f30
sealed=3132333435363738393a3b3c3d3e3f40414243444546474857d37501961918b472abd4b0699ddcedf4a902cded3d588fb3bcff452e9906fef8a4c81e05ff83cc7980f2eee65a28ae
";

    #[test]
    fn a_lock_of_version_1_opens_for_ever() {
        let t = tempfile::tempdir().unwrap();
        let key = make(t.path(), &words("thuyền về bến cũ"), Cost::LEAST, &mut Counting(0)).unwrap();
        assert_eq!(fs::read_to_string(t.path().join(LOCK_NAME)).unwrap(), OF_VERSION_1);
        assert_eq!(open(t.path(), &words("thuyền về bến cũ"), &mut never).unwrap().bytes(), key.bytes());
    }
}
