//! `list` and `export`: the rows of a collection, on the screen or in a file.
//!
//! It does not: open a document; rows are projected.
//!
//! Invariants: a file is written whole beside its place and then moved there; what `export` writes,
//! `add --from` reads.

use super::add::ID_COLUMN;
use super::common::{self, Facts, OrCli};
use crate::cli::args::{ExportArgs, ListArgs};
use crate::cli::exit::{CliError, ExitCode};
use crate::cli::import::UNIT_COLUMN;
use crate::cli::{App, codes, refuse};
use crate::i18n::{format_int, format_time, schema_lang, writing};
use crate::replica::Replica;
use crate::store::ProjectedRow;
use sampan_core::schema::expr::{Expr, Op, Operand, Term};
use sampan_core::schema::{Collection, person_key, title_in, to_file_cell};
use sampan_core::value::{Kind, Value};
use serde_json::json;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

/// Runs `list`.
pub(super) fn list(args: &ListArgs, app: &mut App) -> Result<ExitCode, CliError> {
    let mut replica = common::open(app, &args.dir)?;
    let collection = common::collection(app, &replica, &args.collection)?;
    let filter = filter(app, &replica, &collection, args.filter.as_deref().unwrap_or_default())?;
    let rows = replica.list(&collection, Some(&filter), args.search.as_deref()).or_cli(app)?;
    if app.json {
        for row in &rows {
            if app.out.closed() {
                break;
            }
            app.out.json(&Facts::of_row(&collection, row).json())?;
        }
    } else if rows.is_empty() {
        app.say("record.none", &[]);
    } else {
        table(app, &replica, &collection, &for_people(&collection, rows))?;
    }
    Ok(ExitCode::Done)
}

/// The filter as typed; units may be named as everywhere, and `--unit` narrows.
fn filter(app: &App, replica: &Replica, collection: &Collection, text: &str) -> Result<Expr, CliError> {
    let mut expr = Expr::parse_as(collection, text, writing(app.lang))
        .map_err(|e| common::of_schema(app, replica, refuse::bad_expr(app.lang, collection, text, &e)))?;
    for term in expr.terms.iter_mut().filter(|t| t.field == UNIT_COLUMN && matches!(t.op, Op::Eq | Op::Ne)) {
        if let Operand::Value(Value::Str(name)) = &mut term.operand {
            *name = replica.find_unit(name).or_cli(app)?.to_string();
        }
    }
    if let Some(unit) = &app.unit {
        let unit = replica.find_unit(unit).or_cli(app)?.to_string();
        let operand = Operand::Value(Value::Str(unit));
        expr.terms.push(Term { field: UNIT_COLUMN.to_owned(), kind: Kind::String, op: Op::Eq, operand });
    }
    Ok(expr)
}

/// The order in which people look for people: by the given name. Programs get the contract's, by title.
fn for_people(collection: &Collection, mut rows: Vec<ProjectedRow>) -> Vec<ProjectedRow> {
    rows.sort_by_cached_key(|row| person_key(collection, &row.values));
    rows
}

fn table(app: &mut App, replica: &Replica, c: &Collection, rows: &[ProjectedRow]) -> Result<(), CliError> {
    // A column that says the same in every row tells nothing.
    let units = rows.iter().map(|r| r.unit).collect::<BTreeSet<_>>().len() > 1;
    let conflicts = rows.iter().any(|r| !r.conflict.is_empty());
    let word = |id: &str| app.t(id, &[]);
    let mut headings = vec![word("record.id"), word("record.title")];
    if units {
        headings.push(word("record.unit"));
    }
    headings.push(word("record.updated"));
    if conflicts {
        headings.push(word("record.conflict"));
    }
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            let mut line = vec![row.id.to_string(), title_in(c, &row.values, schema_lang(app.lang))];
            if units {
                line.push(common::unit_name(replica, &row.unit));
            }
            line.push(format_time(app.lang, row.updated));
            if conflicts {
                line.push(row.conflict.iter().map(|f| common::label(app, c, f)).collect::<Vec<_>>().join(", "));
            }
            line
        })
        .collect();
    let headings: Vec<&str> = headings.iter().map(String::as_str).collect();
    Ok(app.out.table(&headings, &cells)?)
}

/// Runs `export`.
pub(super) fn export(args: &ExportArgs, app: &mut App) -> Result<ExitCode, CliError> {
    let ending = args.file.extension().map(|e| e.to_string_lossy().to_lowercase()).unwrap_or_default();
    if ending != "csv" {
        let file = args.file.display().to_string();
        return Err(app.error(&codes::EXPORT_KIND, &[("kind", &format!(".{ending}"))]).at(file));
    }
    let mut replica = common::open(app, &args.dir)?;
    let collection = common::collection(app, &replica, &args.collection)?;
    let filter = filter(app, &replica, &collection, "")?;
    let rows = replica.list(&collection, Some(&filter), None).or_cli(app)?;
    let name = args.file.display().to_string();
    let rows = for_people(&collection, rows);
    write_csv(&args.file, &collection, &rows).map_err(|e| {
        let values = [("file", name.as_str()), ("reason", &e.to_string())];
        app.error(&codes::FILE_UNWRITABLE, &values).at(name.clone())
    })?;
    if app.json {
        app.out.json(&json!({ "records": rows.len(), "file": name }))?;
    }
    let count = format_int(app.lang, rows.len() as i64);
    app.say("export.done", &[("count", &count), ("file", &name)]);
    Ok(ExitCode::Done)
}

fn write_csv(file: &Path, c: &Collection, rows: &[ProjectedRow]) -> std::io::Result<()> {
    let mut draft = file.as_os_str().to_owned();
    draft.push(".new");
    let draft = PathBuf::from(draft);
    let written = write_draft(&draft, c, rows).and_then(|()| fs::rename(&draft, file));
    if written.is_err() {
        // What is left is ours alone, and the person was told that nothing was written.
        let _ = fs::remove_file(&draft);
    }
    written
}

fn write_draft(draft: &Path, c: &Collection, rows: &[ProjectedRow]) -> std::io::Result<()> {
    let mut out = csv::Writer::from_writer(BufWriter::new(File::create(draft)?));
    let fields = c.fields.iter().map(|f| f.id.as_str());
    out.write_record(fields.chain([ID_COLUMN, UNIT_COLUMN]))?;
    for row in rows {
        for f in &c.fields {
            out.write_field(row.values.get(&f.id).map(|v| to_file_cell(f, v)).unwrap_or_default())?;
        }
        out.write_field(row.id.to_string())?;
        out.write_field(row.unit.to_string())?;
        out.write_record(None::<&[u8]>)?;
    }
    let mut file = out.into_inner().map_err(|e| std::io::Error::other(e.to_string()))?;
    file.flush()?;
    file.get_ref().sync_all()
}
