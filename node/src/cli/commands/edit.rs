//! `set`, `remove`, `resolve`: edits of one record.
//!
//! It does not: parse values (the schema does) or merge (the engine does).
//!
//! Invariants: what is said to be saved is durable.

use super::common::{self, OrCli};
use super::unique::{Finder, uniques};
use crate::cli::args::{RecordArgs, ResolveArgs, SetArgs};
use crate::cli::exit::{CliError, ExitCode};
use crate::cli::{App, codes};
use crate::replica::Replica;
use sampan_core::id::RecordId;
use sampan_core::schema::Collection;
use sampan_core::value::{Edit, Value};
use serde_json::json;
use std::collections::BTreeMap;

/// Runs `set`.
pub(super) fn set(args: &SetArgs, app: &mut App) -> Result<ExitCode, CliError> {
    let mut replica = common::open(app, &args.dir)?;
    let id = common::record(app, &mut replica, &args.record)?;
    let collection = replica.collection_of(id).or_cli(app)?;
    let edits = common::edits(app, &collection, &args.assignments).map_err(|e| common::of_schema(app, &replica, e))?;
    let set_or_added = edits.iter().filter_map(|(field, edit)| match edit {
        Edit::Set(value) | Edit::Add(value) => Some((field, value)),
        Edit::Clear | Edit::Sub(_) => None,
    });
    common::address_is_known(app, &replica, &collection, set_or_added)?;
    let changes = replica.set(id, &edits).or_cli(app)?;
    done(app, &mut replica, &collection, id, &edits, changes)?;
    app.say(if changes == 0 { "record.unchanged" } else { "record.saved" }, &[]);
    Ok(ExitCode::Done)
}

/// Runs `remove`.
pub(super) fn remove(args: &RecordArgs, app: &mut App) -> Result<ExitCode, CliError> {
    let mut replica = common::open(app, &args.dir)?;
    let id = common::record(app, &mut replica, &args.record)?;
    let collection = replica.collection_of(id).or_cli(app)?;
    let changes = replica.remove(id).or_cli(app)?;
    done(app, &mut replica, &collection, id, &[], changes)?;
    app.say("record.removed_done", &[("program", app.program), ("record", &id.to_string())]);
    Ok(ExitCode::Done)
}

/// Runs `resolve`.
pub(super) fn resolve(args: &ResolveArgs, app: &mut App) -> Result<ExitCode, CliError> {
    let mut replica = common::open(app, &args.dir)?;
    let id = common::record(app, &mut replica, &args.record)?;
    let collection = replica.collection_of(id).or_cli(app)?;
    let edits = common::edits(app, &collection, std::slice::from_ref(&args.assignment))
        .map_err(|e| common::of_schema(app, &replica, e))?;
    let shown = replica.show(id, false).or_cli(app)?;
    for (field, _) in &edits {
        if !shown.record.view.conflicts.iter().any(|c| c.field == *field) {
            return Err(app.error(&codes::NOT_IN_CONFLICT, &[("field", field)]).at(field.clone()));
        }
    }
    let changes = replica.set(id, &edits).or_cli(app)?;
    done(app, &mut replica, &collection, id, &edits, changes)?;
    app.say("conflict.resolved", &[]);
    Ok(ExitCode::Done)
}

fn done(
    app: &mut App,
    replica: &mut Replica,
    collection: &Collection,
    id: RecordId,
    edits: &[(String, Edit)],
    changes: usize,
) -> Result<(), CliError> {
    if changes > 0 {
        common::written(replica);
        let set = edits.iter().filter_map(|(name, edit)| match edit {
            Edit::Set(value) => Some((name.clone(), value.clone())),
            Edit::Clear | Edit::Add(_) | Edit::Sub(_) => None,
        });
        let values: BTreeMap<String, Value> = set.collect();
        let finder = Finder::new(collection);
        finder.note_repeated(app, replica, collection, &[(id, uniques(collection, &values))])?;
    }
    if app.json {
        app.out.json(&json!({ "record": id.to_string(), "changes": changes }))?;
    }
    Ok(())
}
