//! `attach` and `fetch`: files of records, from the disk and to it.
//!
//! It does not: carry a file between replicas (a session or a bundle does).
//!
//! Invariants: what is attached is durable when this returns; a file that is there is never written over, and one that
//! is fetched appears under its name only when it is whole.

use super::common;
use crate::cli::args::{AttachArgs, FetchArgs};
use crate::cli::convert::{IntoCli, unknown_name};
use crate::cli::exit::{CliError, ExitCode};
use crate::cli::{App, codes};
use crate::dir::DirError;
use crate::i18n::format_bytes;
use crate::replica::{AttachError, Replica};
use sampan_core::file::{FileError, FileRef};
use sampan_core::id::RecordId;
use sampan_core::limits::FILE_BYTES_MAX;
use sampan_core::value::Kind;
use serde_json::json;
use std::fs::{self, File};
use std::io::{self, BufWriter, Read as _, Write as _};
use std::path::{Path, PathBuf};

/// Runs `attach`.
pub(super) fn attach(args: &AttachArgs, app: &mut App) -> Result<ExitCode, CliError> {
    let mut replica = common::open(app, &args.dir)?;
    let id = common::record(app, &mut replica, &args.record)?;
    let place = args.attached.display().to_string();
    let bytes = read(&args.attached).map_err(|e| unreadable(app, &place, &e))?;
    let Some(bytes) = bytes else { return Err(too_large(app, &place)) };
    let name = args.attached.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let file = replica.attach(id, &args.field, &name, &bytes);
    let file = file.map_err(|e| in_words(app, &replica, id, &place, e))?;
    common::written(&replica);
    if app.json {
        app.out.json(&json!({
            "record": id.to_string(),
            "field": args.field,
            "file": file.to_string(),
            "name": file.name,
            "bytes": file.size,
        }))?;
    }
    let size = format_bytes(app.lang, file.size);
    app.say("file.attached", &[("name", &file.name), ("size", &size)]);
    Ok(ExitCode::Done)
}

/// Runs `fetch`.
pub(super) fn fetch(args: &FetchArgs, app: &mut App) -> Result<ExitCode, CliError> {
    let mut replica = common::open(app, &args.dir)?;
    let id = common::record(app, &mut replica, &args.record)?;
    let place = args.file.display().to_string();
    let state = replica.file_state(id, &args.field);
    let state = state.map_err(|e| in_words(app, &replica, id, &place, e))?;
    if args.file.exists() {
        return Err(app.error(&codes::FILE_EXISTS, &[("file", &place)]).at(place));
    }
    if !state.whole {
        replica.want_file(&state.file).map_err(|e| in_words(app, &replica, id, &place, e))?;
        common::written(&replica);
        let (here, size) = (format_bytes(app.lang, state.here), format_bytes(app.lang, state.file.size));
        let values = [("name", state.file.name.as_str()), ("here", &here), ("size", &size), ("program", app.program)];
        if app.json {
            app.out.json(&report(&state.file, id, &args.field, state.here, false))?;
        }
        return Err(app.error(&codes::FILE_NOT_HERE, &values).at(state.file.to_string()));
    }
    write(&replica, &state.file, &args.file).map_err(|e| in_words(app, &replica, id, &place, e))?;
    if app.json {
        app.out.json(&report(&state.file, id, &args.field, state.file.size, true))?;
    }
    let size = format_bytes(app.lang, state.file.size);
    app.say("file.fetched", &[("name", &state.file.name), ("size", &size), ("file", &place)]);
    Ok(ExitCode::Done)
}

fn report(file: &FileRef, id: RecordId, field: &str, here: u64, whole: bool) -> serde_json::Value {
    json!({
        "record": id.to_string(),
        "field": field,
        "name": file.name,
        "bytes": file.size,
        "bytes_here": here,
        "whole": whole,
    })
}

/// The bytes of a file; `None` when they are more than may be.
fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let file = File::open(path)?;
    if file.metadata()?.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= FILE_BYTES_MAX).then_some(bytes))
}

/// Writes it beside its name and moves it there once it is whole and on the disk.
fn write(replica: &Replica, file: &FileRef, to: &Path) -> Result<(), AttachError> {
    let mut draft = to.as_os_str().to_owned();
    draft.push(".part");
    let draft = PathBuf::from(draft);
    let written = (|| {
        let out = File::create(&draft).map_err(AttachError::Write)?;
        let mut out = BufWriter::new(out);
        replica.write_file(file, &mut out)?;
        out.flush().and_then(|()| out.get_ref().sync_all()).map_err(AttachError::Write)?;
        fs::rename(&draft, to).map_err(AttachError::Write)
    })();
    if written.is_err() {
        // What is left is ours alone, and the person is told that nothing was written.
        let _ = fs::remove_file(&draft);
    }
    written
}

fn unreadable(app: &App, place: &str, e: &io::Error) -> CliError {
    app.error(&codes::FILE_UNREADABLE, &[("file", place), ("reason", &e.to_string())]).at(place)
}

fn too_large(app: &App, place: &str) -> CliError {
    let limit = format!("FILE_BYTES_MAX = {}", format_bytes(app.lang, FILE_BYTES_MAX));
    app.error(&codes::LIMIT, &[("what", place), ("limit", &limit)]).at(place)
}

/// What a person reads of it.
fn in_words(app: &App, replica: &Replica, id: RecordId, place: &str, error: AttachError) -> CliError {
    let what = error.to_string();
    let fields: Vec<String> = replica
        .collection_of(id)
        .ok()
        .map_or_else(Vec::new, |c| c.fields.iter().filter(|f| f.kind == Kind::File).map(|f| f.id.clone()).collect());
    let known: Vec<&str> = fields.iter().map(String::as_str).collect();
    match error {
        AttachError::Replica(e) => e.into_cli(app.lang),
        AttachError::File(FileError::TooLarge(_)) => too_large(app, place),
        AttachError::File(FileError::Name(name)) => app.error(&codes::FILE_NAME, &[("name", &name)]).at(place),
        AttachError::File(e @ (FileError::Form | FileError::Manifest(_) | FileError::Chunk(_))) => {
            app.error(&codes::FILE_FORM, &[("what", &e.to_string())]).at(place)
        }
        AttachError::NoField(name) => {
            let collection = replica.collection_of(id).map(|c| c.id).unwrap_or_default();
            unknown_name(app.lang, &codes::UNKNOWN_FIELD, &name, &known, &[("collection", &collection)])
        }
        AttachError::NotForFiles(field) => {
            let known = crate::cli::convert::list_of(app.lang, &known);
            app.error(&codes::FIELD_NOT_FILE, &[("field", &field), ("known", &known)]).at(field)
        }
        AttachError::Empty(field) => {
            app.error(&codes::FILE_NONE, &[("field", &field), ("program", app.program)]).at(field)
        }
        AttachError::Damaged(_) => {
            app.error(&codes::FILE_DAMAGED, &[("what", &what), ("program", app.program)]).at(place)
        }
        AttachError::Write(e) => DirError::from_io(Path::new(place), e).into_cli(app.lang),
    }
}
