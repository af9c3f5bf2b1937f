//! The database key of a folder: what `store.db` is encrypted under in a build with the feature `encryption`.
//!
//! It does not: encrypt anything (`store::cipher` does), or seal (it lies in `keys/` like every other key).
//!
//! Invariants: a key is durable before the first database is made under it; a build without the feature makes
//! none; a folder of an older build, which has none, stays as it is until `encrypt` is asked for.

use super::{KeyError, KeyKind, Secret, create, exists};
use crate::dir::Dir;
use crate::store::Place;
use sampan_core::entropy::Entropy;
use std::path::Path;

/// Whether this program can read and make encrypted databases.
pub const BUILT_IN: bool = cfg!(feature = "encryption");

/// The key of a folder; `None` where it has none.
///
/// # Errors
/// [`KeyError`]: it is under a passphrase, damaged, or others can read it.
pub fn load(keys: &Path) -> Result<Option<Secret>, KeyError> {
    if exists(keys, KeyKind::Database) { super::load(keys, KeyKind::Database).map(Some) } else { Ok(None) }
}

/// Where the database of a folder lies, with what opens it.
///
/// # Errors
/// As [`load`].
pub fn place(dir: &Dir) -> Result<Place<'static>, KeyError> {
    Ok(Place::keyed(dir.store(), load(&dir.keys())?))
}

/// The same for a folder whose database is about to be made: it gets a key, where this program encrypts.
///
/// # Errors
/// As [`load`] and [`create`].
pub fn new_place(dir: &Dir, rng: &mut dyn Entropy) -> Result<Place<'static>, KeyError> {
    if BUILT_IN {
        ensure(&dir.keys(), rng)?;
    }
    let key = load(&dir.keys())?;
    Ok(Place::keyed(dir.store(), key))
}

/// The key of a folder, drawn where it has none yet.
///
/// # Errors
/// As [`load`] and [`create`].
pub fn ensure(keys: &Path, rng: &mut dyn Entropy) -> Result<Secret, KeyError> {
    match load(keys)? {
        Some(key) => Ok(key),
        None => create(keys, KeyKind::Database, rng),
    }
}
