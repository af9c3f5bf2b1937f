//! The secrets of tickets, kept in the store until nothing encrypted to them can come any more.
//!
//! It does not: make them (joining does).
//!
//! Invariants: in a folder with a lock they lie sealed under its key, each bound to its name, so that one never
//! passes for another; one that still lies plain (a folder whose sealing was cut off) is read all the same.

use super::{KeyError, Secret, is_locked, lock, unlock};
use crate::entropy::SystemEntropy;
use sampan_core::bundle::BoxSecret;
use sampan_core::store::{Batch, Store, StoreError};
use std::path::Path;

/// Bytes of one that is not sealed.
const PLAIN_BYTES: usize = 32;

/// Why a secret is not at hand.
#[derive(Debug, thiserror::Error)]
pub enum TicketKeyError {
    /// The keys.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The secret under this name; `None` where there is none.
///
/// # Errors
/// [`TicketKeyError`].
pub fn load(store: &dyn Store, keys: &Path, name: &str) -> Result<Option<BoxSecret>, TicketKeyError> {
    let Some(bytes) = store.meta(name)? else { return Ok(None) };
    if let Ok(plain) = <[u8; PLAIN_BYTES]>::try_from(bytes.as_slice()) {
        return Ok(Some(BoxSecret::from_bytes(plain)));
    }
    let key = unlock::folder_key(keys)?;
    Ok(lock::unseal(&key, name, &bytes).map(|s| s.box_secret()))
}

/// Seals those of these names that lie plain, where the folder has a lock; whether there were any.
///
/// # Errors
/// [`TicketKeyError`].
pub fn seal(store: &mut dyn Store, keys: &Path, names: &[String]) -> Result<bool, TicketKeyError> {
    if !is_locked(keys) {
        return Ok(false);
    }
    let mut batch = Batch::default();
    for name in names {
        let plain = store.meta(name)?.and_then(|b| <[u8; PLAIN_BYTES]>::try_from(b.as_slice()).ok());
        if let Some(plain) = plain {
            let key = unlock::folder_key(keys)?;
            let sealed = lock::seal(&key, name, &Secret::from_bytes(plain), &mut SystemEntropy);
            batch.meta.insert(name.clone(), Some(sealed));
        }
    }
    let any = !batch.meta.is_empty();
    if any {
        store.write(&batch)?;
    }
    Ok(any)
}

/// Makes them plain again: the lock is about to go.
///
/// # Errors
/// [`TicketKeyError`].
pub fn unseal(store: &mut dyn Store, keys: &Path, names: &[String]) -> Result<(), TicketKeyError> {
    let mut batch = Batch::default();
    for name in names {
        if let Some(secret) = load(store, keys, name)? {
            batch.meta.insert(name.clone(), Some(secret.to_bytes().to_vec()));
        }
    }
    store.write(&batch)?;
    Ok(())
}
