//! Founding an organisation.
//!
//! It does not: dial anyone.
//!
//! Invariants: a folder becomes an organisation whole or not at all; every problem of a schema is
//! told before anything is written.

use super::in_words;
use crate::serve::advertised;
use sampan_core::id::{DeviceId, OrgId, UnitId};
use sampan_core::limits::{NAME_BYTES_MAX, SCHEMA_BYTES_MAX};
use sampan_core::schema::{self, Schema};
use sampan_node::cli::convert::IntoCli;
use sampan_node::cli::{App, CliError, codes};
use sampan_node::config::Settings;
use sampan_node::dir::{Dir, Found};
use sampan_node::entropy::SystemEntropy;
use sampan_node::keys::{self, KeyKind, Secret};
use sampan_node::replica::{Replica, system_clock};
use std::io::Read;
use std::path::Path;

/// What `init` tells.
#[derive(Debug, Clone)]
pub struct Founded {
    /// The organisation.
    pub organisation: OrgId,
    /// The unit.
    pub unit: UnitId,
    /// This device.
    pub device: DeviceId,
    /// What is published as its endpoint.
    pub addresses: Vec<String>,
    /// The key that may name a new root key: told once, kept nowhere.
    pub succession: Secret,
}

/// Makes a new organisation in an empty or missing folder.
///
/// # Errors
/// `dir_taken`, `dir_foreign`, `bad_schema`, `limit`, and what the disk says; nothing remains.
pub fn found(
    app: &App,
    dir: &Path,
    name: &str,
    schema: Option<&Path>,
    settings: Settings,
) -> Result<(Replica, Founded), CliError> {
    refuse_taken(app, dir)?;
    let name = checked_name(app, "--org", name)?;
    let schema = match schema {
        Some(path) => read_schema(app, path)?,
        None => schema::builtin(),
    };
    let now = system_clock()();
    let root = Secret::draw(&mut SystemEntropy);
    let succession = Secret::draw(&mut SystemEntropy);
    let listen = settings.listen.unwrap_or(sampan_node::config::Config::default().listen);
    let addresses = advertised(settings.advertise.as_deref().unwrap_or_default(), listen);
    let mut unit = UnitId::default();
    let replica = Replica::create(dir, root.organisation(), settings, |store, engine, rng, folder| {
        keys::store(&folder.keys(), KeyKind::Root, &root)?;
        let published = (schema.version, schema.source.clone(), schema.levels.first().cloned());
        let keys = (&root.signing_key(), Some(succession.device()));
        unit = engine.found_with(store, rng, keys, name, published, now)?;
        engine.publish_endpoint(store, rng, unit, &addresses, now)?;
        Ok((vec![unit], Vec::new()))
    })
    .map_err(|e| in_words(app, e))?;
    let founded = Founded { organisation: root.organisation(), unit, device: replica.device(), addresses, succession };
    Ok((replica, founded))
}

fn refuse_taken(app: &App, dir: &Path) -> Result<(), CliError> {
    match Dir::look(dir).map_err(|e| e.into_cli(app.lang))? {
        Found::Free => Ok(()),
        Found::Ours => {
            let shown = dir.display().to_string();
            Err(app.error(&codes::DIR_TAKEN, &[("dir", &shown)]).at(shown))
        }
        Found::Foreign => Err(sampan_node::dir::DirError::Foreign { path: dir.to_owned() }.into_cli(app.lang)),
    }
}

/// A name without the spaces around it, not empty and within its limit.
///
/// # Errors
/// `usage`, `limit`.
pub fn checked_name<'a>(app: &App, what: &str, name: &'a str) -> Result<&'a str, CliError> {
    let name = name.trim();
    if name.is_empty() {
        let missing = app.t("usage.missing", &[("what", what)]);
        return Err(app.error(&codes::USAGE, &[("what", &missing), ("help", &format!("{} --help", app.program))]));
    }
    if name.len() > NAME_BYTES_MAX {
        let limit = format!("NAME_BYTES_MAX = {NAME_BYTES_MAX}");
        return Err(app.error(&codes::LIMIT, &[("what", what), ("limit", &limit)]).at(what));
    }
    Ok(name)
}

/// Reads a schema file.
///
/// # Errors
/// `file_unreadable`; `bad_schema` with a line for each problem.
pub fn read_schema(app: &App, path: &Path) -> Result<Schema, CliError> {
    let file = path.display().to_string();
    let unreadable =
        |reason: &str| app.error(&codes::FILE_UNREADABLE, &[("file", &file), ("reason", reason)]).at(file.clone());
    let mut bytes = Vec::new();
    let source = std::fs::File::open(path).map_err(|e| unreadable(&e.to_string()))?;
    // One byte more than allowed, so that the reader of schemas can say that it is too long.
    source.take(SCHEMA_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).map_err(|e| unreadable(&e.to_string()))?;
    let text = String::from_utf8(bytes).map_err(|_| unreadable("UTF-8"))?;
    schema::parse(&text).map_err(|problems| {
        let first = problems.first().map_or(1, |p| p.line);
        let reason = problems.first().map(|p| p.what.clone()).unwrap_or_default();
        let reason = match problems.len() {
            0 | 1 => reason,
            n => format!("{reason} (+{})", n - 1),
        };
        let details = problems.iter().map(|p| format!("{file}: {p}")).collect();
        app.error(&codes::BAD_SCHEMA, &[("file", &file), ("reason", reason.trim_end_matches('.'))])
            .at(format!("{file}:{first}"))
            .with_details(details)
    })
}
