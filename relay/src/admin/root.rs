//! The root key: taking it offline, bringing it back, naming a new one, and appointing by it.
//!
//! It does not: take part in daily work: inviting, adding units and syncing need this device's own right.
//!
//! Invariants: the root key is in the folder or in a durable file outside it, never in neither; its place
//! in the folder is given up only after the file was read back; a new root key is durable before it is
//! named, and takes its place only when the naming is.

use super::key_line::{self, LineKind};
use super::secret_file::{Reserved, sync_folder_of, unwritable};
use super::{Failure, decide, open};
use sampan_core::charter::Charter;
use sampan_core::engine::RootError;
use sampan_core::id::DeviceId;
use sampan_node::cli::convert::IntoCli;
use sampan_node::cli::{App, CliError, codes};
use sampan_node::entropy::SystemEntropy;
use sampan_node::keys::{self, KeyKind, Secret};
use sampan_node::replica::Replica;
use std::fs;
use std::io::Read;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Bytes of a file that is read for a key: one line, and what an editor may have put around it.
const KEY_LINE_BYTES_MAX: u64 = 4 << 10;

/// Takes the root key out of a folder into a new file.
///
/// # Errors
/// `root_absent`, `root_inside`, `file_exists`, `file_unwritable`; the key stays where it was.
pub fn export(app: &App, dir: &Path, file: &Path) -> Result<DeviceId, CliError> {
    let replica = open(app, dir)?;
    let keys = settled(app, &replica)?;
    let root = root_key(app, &keys)?;
    let parent = file.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let inside = match (parent.canonicalize(), dir.canonicalize()) {
        (Ok(parent), Ok(dir)) => parent.starts_with(dir),
        // What cannot be found cannot be written either, and is told below.
        (Err(_), _) | (_, Err(_)) => false,
    };
    if inside {
        let shown = file.display().to_string();
        return Err(app.error(&codes::ROOT_INSIDE, &[("file", &shown)]).at(shown));
    }
    let line = key_line::encode(LineKind::Root, &root);
    Reserved::take(app, file)?.fill(app, &Zeroizing::new(format!("{}\n", *line)))?;
    // A stick that lies about what it wrote is found out while the key is still here.
    if read_line(app, file, LineKind::Root)?.bytes() != root.bytes() {
        return Err(unwritable(app, file, &std::io::Error::other("read back differently")));
    }
    let place = keys.join(KeyKind::Root.file_name());
    let removed = fs::remove_file(&place).and_then(|()| sync_folder_of(&place));
    removed.map_err(|e| unwritable(app, &place, &e))?;
    Ok(root.device())
}

/// Brings the root key back into a folder of its organisation.
///
/// # Errors
/// `file_unreadable`, `key_line`, `root_other`, `key_exists`; nothing was written.
pub fn import(app: &App, dir: &Path, file: &Path) -> Result<DeviceId, CliError> {
    let replica = open(app, dir)?;
    let keys = settled(app, &replica)?;
    let root = read_line(app, file, LineKind::Root)?;
    if root.device() != replica.engine.charter().root_key() {
        return Err(app.error(&codes::ROOT_OTHER, &[]).at(file.display().to_string()));
    }
    keys::store(&keys, KeyKind::Root, &root).map_err(|e| e.into_cli(app.lang))?;
    Ok(root.device())
}

/// Names a new root key, which then lies in the folder in the old one's place, and the succession key that may name
/// the next one: `tell` shows that one's line to the person before anything is named, so that a power cut leaves a
/// line that is worth nothing and never a key that nobody has.
///
/// # Errors
/// `file_unreadable`, `key_line`, `root_other`, `no_succession`, `root_named`; nothing was written.
pub fn succeed(
    app: &mut App,
    dir: &Path,
    succession: &Path,
    tell: &mut dyn FnMut(&mut App, &DeviceId, &str) -> Result<(), CliError>,
) -> Result<DeviceId, CliError> {
    let key = read_line(app, succession, LineKind::Succession)?;
    let mut replica = open(app, dir)?;
    if let Err(e) = replica.engine.may_succeed(&key.device()) {
        return Err(match failure(app, e) {
            Failure::Store(e) => e.into_cli(app.lang),
            Failure::Refused(e) => *e,
        });
    }
    let keys = settled(app, &replica)?;
    let next = next_of(&keys);
    let failed = |e: std::io::Error| unwritable(app, &next, &e);
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&next).map_err(failed)?;
    let drawn = match keys::load(&next, KeyKind::Root) {
        // Drawn by a run that was cut before it named it.
        Ok(there) => Ok(there),
        Err(keys::KeyError::Missing { .. }) => keys::create(&next, KeyKind::Root, &mut SystemEntropy),
        Err(e) => Err(e),
    };
    let new = drawn.map_err(|e| e.into_cli(app.lang))?.device();
    sync_folder_of(&next).map_err(failed)?;
    let after = Secret::draw(&mut SystemEntropy);
    tell(app, &new, &key_line::encode(LineKind::Succession, &after))?;
    let named = decide(app, &mut replica, |desk| {
        let done = desk.engine.succeed(desk.store, desk.rng, &key.signing_key(), (new, Some(after.device())), desk.now);
        done.map_err(|e| failure(app, e))
    });
    if let Err(e) = named {
        // Nothing names it, so nothing is lost with it.
        let _ = fs::remove_file(next.join(KeyKind::Root.file_name())).and_then(|()| fs::remove_dir(&next));
        return Err(e);
    }
    settled(app, &replica)?;
    Ok(new)
}

/// Makes this device an admin of the root unit, by the root key in its folder.
///
/// # Errors
/// `root_absent`, `root_other`; nothing was written.
pub fn appoint(app: &App, dir: &Path, holder: &str) -> Result<DeviceId, CliError> {
    let holder = super::found::checked_name(app, "--holder", holder)?.to_owned();
    let mut replica = open(app, dir)?;
    let root = root_key(app, &settled(app, &replica)?)?;
    let device = replica.device();
    decide(app, &mut replica, |desk| {
        let done = desk.engine.appoint(desk.store, desk.rng, &root.signing_key(), &holder, desk.now);
        done.map_err(|e| failure(app, e))
    })?;
    Ok(device)
}

/// What is known of the root key.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct RootRow {
    /// The root key that the chain of grants ends at.
    pub root_key: String,
    /// Whether its secret half lies in this folder.
    pub here: bool,
    /// The key that may name the next one.
    pub succession_key: Option<String>,
    /// The new root keys that were named.
    pub named: Vec<NamedRow>,
}

/// One new root key that was named.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct NamedRow {
    /// The key.
    pub root_key: String,
    /// The commit.
    pub commit: String,
    /// Whether it stands.
    pub stands: bool,
}

/// Tells what is known of the root key.
///
/// # Errors
/// When the folder cannot be read.
pub fn show(app: &App, dir: &Path) -> Result<RootRow, CliError> {
    let replica = open(app, dir)?;
    let keys = settled(app, &replica)?;
    let charter: &Charter = replica.engine.charter();
    let root_key = charter.root_key();
    let here = keys::exists(&keys, KeyKind::Root)
        && keys::load(&keys, KeyKind::Root).map_err(|e| e.into_cli(app.lang))?.device() == root_key;
    let named = charter.successions().map(|s| NamedRow {
        root_key: s.root.to_string(),
        commit: s.commit.to_string(),
        stands: s.stands,
    });
    Ok(RootRow {
        root_key: root_key.to_string(),
        here,
        succession_key: charter.succession_key().map(|k| k.to_string()),
        named: named.collect(),
    })
}

fn next_of(keys: &Path) -> PathBuf {
    keys.join("next")
}

/// The folder of the keys, after what a cut run left was finished: a new root key that the charter names
/// takes its place.
fn settled(app: &App, replica: &Replica) -> Result<PathBuf, CliError> {
    let keys = replica.dir().keys();
    let next = next_of(&keys);
    if keys::exists(&next, KeyKind::Root) {
        let new = keys::load(&next, KeyKind::Root).map_err(|e| e.into_cli(app.lang))?;
        if new.device() == replica.engine.charter().root_key() {
            let place = keys.join(KeyKind::Root.file_name());
            let moved = fs::rename(next.join(KeyKind::Root.file_name()), &place);
            let moved = moved.and_then(|()| fs::remove_dir(&next)).and_then(|()| sync_folder_of(&place));
            moved.map_err(|e| unwritable(app, &place, &e))?;
        }
    }
    Ok(keys)
}

fn root_key(app: &App, keys: &Path) -> Result<Secret, CliError> {
    if !keys::exists(keys, KeyKind::Root) {
        return Err(app.error(&codes::ROOT_ABSENT, &[]));
    }
    keys::load(keys, KeyKind::Root).map_err(|e| e.into_cli(app.lang))
}

/// Reads the line of a key from a file, or from the standard input for `-`.
fn read_line(app: &App, path: &Path, kind: LineKind) -> Result<Secret, CliError> {
    let name = path.display().to_string();
    let mut bytes = Zeroizing::new(Vec::with_capacity(KEY_LINE_BYTES_MAX as usize + 1));
    let source: std::io::Result<Box<dyn Read>> = if path == Path::new("-") {
        Ok(Box::new(std::io::stdin()))
    } else {
        fs::File::open(path).map(|f| Box::new(f) as Box<dyn Read>)
    };
    let read = source.and_then(|s| s.take(KEY_LINE_BYTES_MAX + 1).read_to_end(&mut bytes));
    read.map_err(|e| {
        app.error(&codes::FILE_UNREADABLE, &[("file", &name), ("reason", &e.to_string())]).at(name.clone())
    })?;
    let text = std::str::from_utf8(&bytes).map_err(|_| key_line::LineError::Another(kind.prefix()));
    text.and_then(|text| key_line::decode(kind, text)).map_err(|e| {
        let why = match e {
            key_line::LineError::Another(_) => "key_line.another",
            key_line::LineError::Damaged => "key_line.damaged",
        };
        let reason = app.t(why, &[("prefix", kind.prefix())]);
        app.error(&codes::KEY_LINE, &[("file", &name), ("reason", &reason)]).at(name.clone())
    })
}

fn failure(app: &App, error: RootError) -> Failure {
    match error {
        RootError::Store(e) => Failure::Store(e),
        RootError::NoCharter => app.error(&codes::NO_SCHEMA, &[]).into(),
        RootError::NoSuccession => app.error(&codes::NO_SUCCESSION, &[]).into(),
        RootError::OtherKey => app.error(&codes::ROOT_OTHER, &[]).into(),
        RootError::Named => app.error(&codes::ROOT_NAMED, &[]).into(),
    }
}
