//! `list` and `export`: the rows of a collection, on the screen or in a file.
//!
//! It does not: open a document; rows are projected.
//!
//! Invariants: what is held of a long list is its order and what the table shows, never its rows; a file is written
//! whole beside its place and then moved there; what `export` writes, `add --from` reads.

use super::add::ID_COLUMN;
use super::common::{self, Facts, OrCli};
use crate::cli::args::{ExportArgs, ListArgs};
use crate::cli::exit::{CliError, ExitCode};
use crate::cli::import::UNIT_COLUMN;
use crate::cli::{App, codes, refuse};
use crate::i18n::{format_int, format_time, schema_lang, writing};
use crate::replica::Replica;
use crate::store::{ProjectedRow, SqliteStore};
use sampan_core::id::UnitId;
use sampan_core::limits::LIST_PART_ROWS;
use sampan_core::schema::expr::{Expr, Op, Operand, Term};
use sampan_core::schema::{Collection, person_key, title_in, to_file_cell};
use sampan_core::store::{RecordKey, StoreError};
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
    let search = args.search.as_deref();
    if app.json {
        // Programs get the contract's order, by title.
        let found = replica.in_order(&collection, Some(&filter), search, |_| ()).or_cli(app)?;
        for part in found.chunks(LIST_PART_ROWS) {
            for row in replica.store.rows_of(&collection, part).or_cli(app)? {
                if app.out.closed() {
                    return Ok(ExitCode::Done);
                }
                app.out.json(&Facts::of_row(&collection, &row).json())?;
            }
        }
        return Ok(ExitCode::Done);
    }
    let found = replica.in_order(&collection, Some(&filter), search, |row| for_people(&collection, row)).or_cli(app)?;
    if found.is_empty() {
        app.say("record.none", &[]);
    } else {
        table(app, &replica, &collection, &found)?;
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

/// The order in which people look for people: by the given name.
fn for_people(collection: &Collection, row: &ProjectedRow) -> Vec<u8> {
    person_key(collection, &row.values)
}

/// What the table shows of a row.
struct Line {
    id: String,
    title: String,
    unit: UnitId,
    updated: String,
    conflict: String,
}

fn table(app: &mut App, replica: &Replica, c: &Collection, found: &[RecordKey]) -> Result<(), CliError> {
    let mut lines: Vec<Line> = Vec::with_capacity(found.len());
    for part in found.chunks(LIST_PART_ROWS) {
        let rows = replica.store.rows_of(c, part).or_cli(app)?;
        lines.extend(rows.into_iter().map(|row| Line {
            id: row.id.to_string(),
            title: title_in(c, &row.values, schema_lang(app.lang)),
            unit: row.unit,
            updated: format_time(app.lang, row.updated),
            conflict: row.conflict.iter().map(|f| common::label(app, c, f)).collect::<Vec<_>>().join(", "),
        }));
    }
    // A column that says the same in every row tells nothing.
    let units = lines.iter().map(|l| l.unit).collect::<BTreeSet<_>>().len() > 1;
    let conflicts = lines.iter().any(|l| !l.conflict.is_empty());
    let word = |id: &str| app.t(id, &[]);
    let mut headings = vec![word("record.id"), word("record.title")];
    if units {
        headings.push(word("record.unit"));
    }
    headings.push(word("record.updated"));
    if conflicts {
        headings.push(word("record.conflict"));
    }
    let cells: Vec<Vec<String>> = lines
        .into_iter()
        .map(|l| {
            let mut line = vec![l.id, l.title];
            if units {
                line.push(common::unit_name(replica, &l.unit));
            }
            line.push(l.updated);
            if conflicts {
                line.push(l.conflict);
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
    let name = args.file.display().to_string();
    replica.project().or_cli(app)?;
    // One moment of the store, however long the file is.
    let written = replica.store.snapshot(|s| {
        let found = s.in_order(&collection, Some(&filter), None, |row| for_people(&collection, row))?;
        Ok::<_, StoreError>((found.len(), write_csv(&args.file, s, &collection, &found)?))
    });
    let (rows, written) = written.or_cli(app)?;
    written.map_err(|e| {
        let values = [("file", name.as_str()), ("reason", &e.to_string())];
        app.error(&codes::FILE_UNWRITABLE, &values).at(name.clone())
    })?;
    if app.json {
        app.out.json(&json!({ "records": rows, "file": name }))?;
    }
    let count = format_int(app.lang, rows as i64);
    app.say("export.done", &[("count", &count), ("file", &name)]);
    Ok(ExitCode::Done)
}

/// Whether the file could be written; the store's own trouble is another matter.
fn write_csv(
    file: &Path,
    store: &SqliteStore,
    c: &Collection,
    found: &[RecordKey],
) -> Result<std::io::Result<()>, StoreError> {
    let mut draft = file.as_os_str().to_owned();
    draft.push(".new");
    let draft = PathBuf::from(draft);
    let written = write_draft(&draft, store, c, found);
    let written = written.map(|w| w.and_then(|()| fs::rename(&draft, file)));
    if !matches!(written, Ok(Ok(()))) {
        // What is left is ours alone, and the person was told that nothing was written.
        let _ = fs::remove_file(&draft);
    }
    written
}

fn write_draft(
    draft: &Path,
    store: &SqliteStore,
    c: &Collection,
    found: &[RecordKey],
) -> Result<std::io::Result<()>, StoreError> {
    let begun = File::create(draft).and_then(|file| {
        let mut out = csv::Writer::from_writer(BufWriter::new(file));
        let fields = c.fields.iter().map(|f| f.id.as_str());
        out.write_record(fields.chain([ID_COLUMN, UNIT_COLUMN]))?;
        Ok(out)
    });
    let mut out = match begun {
        Ok(out) => out,
        Err(e) => return Ok(Err(e)),
    };
    for part in found.chunks(LIST_PART_ROWS) {
        let rows = store.rows_of(c, part)?;
        if let Err(e) = rows.iter().try_for_each(|row| write_row(&mut out, c, row)) {
            return Ok(Err(e));
        }
    }
    Ok(finish(out))
}

fn write_row(out: &mut csv::Writer<BufWriter<File>>, c: &Collection, row: &ProjectedRow) -> std::io::Result<()> {
    for f in &c.fields {
        out.write_field(row.values.get(&f.id).map(|v| to_file_cell(f, v)).unwrap_or_default())?;
    }
    out.write_field(row.id.to_string())?;
    out.write_field(row.unit.to_string())?;
    Ok(out.write_record(None::<&[u8]>)?)
}

fn finish(out: csv::Writer<BufWriter<File>>) -> std::io::Result<()> {
    let mut file = out.into_inner().map_err(|e| std::io::Error::other(e.to_string()))?;
    file.flush()?;
    file.get_ref().sync_all()
}
