//! The recovery of a folder whose passphrase was forgotten: what lies in `keys/` for it.
//!
//! It does not: know who may open a deposit (`crate::recovery` asks the charter) or what the texts look like
//! (`sampan_core::bundle::recovery`).
//!
//! `keys/recovery` is the deposit, made while the folder was open; `keys/recovering` is there from the asking to
//! the answer: the secret of the one time on its first line, the request below.
//!
//! Invariants: nothing here ends before the key that an answer brings has opened every sealed key file; then the
//! lock is replaced as a whole, and only then the secret of the one time goes, so that an answer works once.

use super::lock::{self, is_locked};
use super::{
    Content, Cost, KeyError, KeyKind, Passphrase, Secret, io_error, open_private, present, read, replace, sealed_text,
    unlock,
};
use crate::dir::write_atomic;
use sampan_core::bundle::recovery::{Answer, Deposit, RecoveryError, Request};
use sampan_core::entropy::Entropy;
use sampan_core::limits::RECOVERY_BYTES_MAX;
use sampan_core::time::Millis;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// The name of the deposit under `keys/`.
pub const DEPOSIT_NAME: &str = "recovery";
/// The name of what waits for an answer.
pub(super) const ASKED_NAME: &str = "recovering";

/// Why a folder is not recovered.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    /// The folder has no passphrase, so there is nothing to recover.
    #[error("{0} has no passphrase")]
    NotLocked(PathBuf),
    /// No deposit was ever made here.
    #[error("{0} holds no recovery file")]
    NoDeposit(PathBuf),
    /// Nobody asked from this folder, or the answer was used.
    #[error("{0} waits for no answer")]
    NotAsked(PathBuf),
    /// The text.
    #[error(transparent)]
    Text(#[from] RecoveryError),
    /// The key that came does not open this folder.
    #[error("the key in this answer does not open {0}")]
    OtherFolder(PathBuf),
    /// A key file.
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// The deposit of a folder; `None` where there is none.
///
/// # Errors
/// [`RecoverError`] where it cannot be read.
pub fn deposit(keys: &Path) -> Result<Option<Deposit>, RecoverError> {
    match read_text(&keys.join(DEPOSIT_NAME)) {
        Ok(text) => Ok(Some(Deposit::read(&text)?)),
        Err(KeyError::Missing { .. }) => Ok(None),
        Err(e) => Err(e.into()),
    }
}

/// Keeps a deposit, in the place of an older one.
///
/// # Errors
/// [`KeyError`].
pub fn keep(keys: &Path, deposit: &Deposit) -> Result<(), KeyError> {
    write_atomic(&keys.join(DEPOSIT_NAME), deposit.text().as_bytes(), 0o600).map_err(KeyError::Dir)
}

/// What to ask the level above; the same again until it was answered.
///
/// # Errors
/// [`RecoverError`].
pub fn ask(keys: &Path, now: Millis, rng: &mut dyn Entropy) -> Result<Request, RecoverError> {
    if !is_locked(keys) {
        return Err(RecoverError::NotLocked(keys.to_owned()));
    }
    let deposit = deposit(keys)?.ok_or_else(|| RecoverError::NoDeposit(keys.to_owned()))?;
    if let Ok((_, request)) = asked(keys)
        && request.deposit == deposit
    {
        return Ok(request);
    }
    let once = Secret::draw(rng);
    let request = Request::new(deposit, &once.box_secret(), now);
    let mut digits = Zeroizing::new([0; 64]);
    data_encoding::HEXLOWER.encode_mut(once.bytes(), digits.as_mut());
    let mut text = Zeroizing::new(Vec::with_capacity(65 + RECOVERY_BYTES_MAX));
    text.extend_from_slice(digits.as_ref());
    text.push(b'\n');
    text.extend_from_slice(request.text().as_bytes());
    write_atomic(&keys.join(ASKED_NAME), &text, 0o600).map_err(KeyError::Dir)?;
    Ok(request)
}

/// Takes the answer and puts the folder under a new passphrase.
///
/// # Errors
/// [`RecoverError`]; the old passphrase holds on, and the answer can be tried again.
pub fn finish(
    keys: &Path,
    answer: &Answer,
    new: &Passphrase,
    cost: Cost,
    rng: &mut dyn Entropy,
) -> Result<(), RecoverError> {
    if !is_locked(keys) {
        return Err(RecoverError::NotLocked(keys.to_owned()));
    }
    let (once, request) = asked(keys)?;
    let folder_key = Secret::from_bytes(*answer.open(&request, &once.box_secret())?);
    if !new.is_fit() {
        return Err(KeyError::Weak.into());
    }
    let mut opened = 0;
    for kind in present(keys) {
        if let sealed @ Content::Sealed(_) = read(keys, kind)? {
            // The key was encrypted by someone who had it; that it is this folder's is seen only here.
            let other = |_| RecoverError::OtherFolder(keys.to_owned());
            sealed.open(keys, kind, &folder_key).map_err(other)?;
            opened += 1;
        }
    }
    if opened == 0 {
        return Err(KeyError::Malformed { path: keys.join(KeyKind::Device.file_name()), kind: "device" }.into());
    }
    lock::change(keys, &folder_key, new, cost, rng)?;
    lock::forget_tries(keys)?;
    unlock::remember(keys, &folder_key);
    for kind in present(keys) {
        if let Content::Plain(secret) = read(keys, kind)? {
            replace(keys, kind, &sealed_text(kind, &folder_key, &secret, rng))?;
        }
    }
    forget_asked(keys)?;
    Ok(())
}

/// Takes away what waits for an answer: it was answered, or the passphrase came back to mind.
///
/// # Errors
/// [`KeyError::Io`].
pub fn forget_asked(keys: &Path) -> Result<(), KeyError> {
    let path = keys.join(ASKED_NAME);
    match fs::remove_file(&path) {
        Ok(()) => fs::File::open(keys).and_then(|f| f.sync_all()).map_err(|e| io_error(keys, e)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(io_error(&path, e)),
    }
}

fn asked(keys: &Path) -> Result<(Secret, Request), RecoverError> {
    let path = keys.join(ASKED_NAME);
    let text = match read_text(&path) {
        Ok(text) => text,
        Err(KeyError::Missing { .. }) => return Err(RecoverError::NotAsked(keys.to_owned())),
        Err(e) => return Err(e.into()),
    };
    let malformed = || KeyError::Malformed { path: path.clone(), kind: ASKED_NAME };
    let (digits, request) = text.split_at_checked(65).ok_or_else(malformed)?;
    let mut bytes = Zeroizing::new([0; 32]);
    data_encoding::HEXLOWER.decode_mut(&digits[..64], bytes.as_mut()).map_err(|_| malformed())?;
    let request = Request::read(request).map_err(|_| malformed())?;
    Ok((Secret::from_bytes(*bytes), request))
}

fn read_text(path: &Path) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let file = open_private(path)?;
    // The whole capacity at once: what grew would leave an unwiped copy behind.
    let mut text = Zeroizing::new(Vec::with_capacity(RECOVERY_BYTES_MAX + 66));
    file.take(RECOVERY_BYTES_MAX as u64 + 65).read_to_end(&mut text).map_err(|e| io_error(path, e))?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::SystemEntropy;
    use sampan_core::bundle::{BoxKey, BoxSecret};
    use sampan_core::id::{DeviceId, OrgId};

    const OLD: &str = "câu đã quên mất";
    const NEW: &str = "câu mới nhớ lâu";

    fn upper() -> BoxSecret {
        BoxSecret::from_bytes([9; 32])
    }

    /// A folder under a passphrase, with a deposit.
    fn folder() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let keys = dir.path();
        for kind in KeyKind::ALL {
            super::super::create(keys, kind, &mut SystemEntropy).unwrap();
        }
        super::super::set_passphrase(keys, &Passphrase::new(OLD), Cost::LEAST, &mut SystemEntropy).unwrap();
        let key = lock::open(keys, &Passphrase::new(OLD), &mut |_| ()).unwrap();
        let device = super::super::load(keys, KeyKind::Device).unwrap().signing_key();
        let to: [(DeviceId, BoxKey); 1] = [(DeviceId([8; 32]), upper().public())];
        let made = Deposit::make(&device, OrgId([1; 32]), Millis(1), &to, key.bytes(), &mut SystemEntropy).unwrap();
        keep(keys, &made).unwrap();
        dir
    }

    fn answered(request: &Request) -> Answer {
        let key = request.deposit.open(&[upper()]).unwrap();
        request.answer(&key, &mut SystemEntropy).unwrap()
    }

    fn opens(keys: &Path, words: &str) -> bool {
        lock::open(keys, &Passphrase::new(words), &mut |_| ()).is_ok()
    }

    #[test]
    fn an_answer_sets_a_new_passphrase_once() {
        let dir = folder();
        let keys = dir.path();
        let request = ask(keys, Millis(5), &mut SystemEntropy).unwrap();
        assert_eq!(ask(keys, Millis(6), &mut SystemEntropy).unwrap(), request, "the same until it is answered");
        let answer = answered(&request);
        let weak = finish(keys, &answer, &Passphrase::new("short"), Cost::LEAST, &mut SystemEntropy);
        assert!(matches!(weak, Err(RecoverError::Key(KeyError::Weak))));
        assert!(opens(keys, OLD));
        finish(keys, &answer, &Passphrase::new(NEW), Cost::LEAST, &mut SystemEntropy).unwrap();
        assert!(opens(keys, NEW) && !opens(keys, OLD));
        let again = finish(keys, &answer, &Passphrase::new(OLD), Cost::LEAST, &mut SystemEntropy);
        assert!(matches!(again, Err(RecoverError::NotAsked(_))), "{again:?}");
        // Asked anew, the old answer answers nothing.
        ask(keys, Millis(7), &mut SystemEntropy).unwrap();
        let again = finish(keys, &answer, &Passphrase::new(OLD), Cost::LEAST, &mut SystemEntropy);
        assert!(matches!(again, Err(RecoverError::Text(RecoveryError::OtherRequest))), "{again:?}");
        assert!(opens(keys, NEW));
    }

    #[test]
    fn a_key_of_another_folder_changes_nothing() {
        let dir = folder();
        let keys = dir.path();
        let request = ask(keys, Millis(5), &mut SystemEntropy).unwrap();
        let before = fs::read(keys.join(lock::LOCK_NAME)).unwrap();
        let foreign = request.answer(&[7; 32], &mut SystemEntropy).unwrap();
        let refused = finish(keys, &foreign, &Passphrase::new(NEW), Cost::LEAST, &mut SystemEntropy);
        assert!(matches!(refused, Err(RecoverError::OtherFolder(_))), "{refused:?}");
        assert_eq!(fs::read(keys.join(lock::LOCK_NAME)).unwrap(), before);
        finish(keys, &answered(&request), &Passphrase::new(NEW), Cost::LEAST, &mut SystemEntropy).unwrap();
    }

    #[test]
    fn without_a_lock_or_a_deposit_nothing_is_asked() {
        let dir = folder();
        let keys = dir.path();
        fs::remove_file(keys.join(DEPOSIT_NAME)).unwrap();
        assert!(matches!(ask(keys, Millis(5), &mut SystemEntropy), Err(RecoverError::NoDeposit(_))));
        let dir = folder();
        ask(dir.path(), Millis(5), &mut SystemEntropy).unwrap();
        super::super::remove_passphrase(dir.path(), &Passphrase::new(OLD)).unwrap();
        assert!(matches!(ask(dir.path(), Millis(5), &mut SystemEntropy), Err(RecoverError::NotLocked(_))));
        for gone in [DEPOSIT_NAME, ASKED_NAME] {
            assert!(!dir.path().join(gone).exists(), "{gone} is of a key that seals nothing any more");
        }
    }
}
