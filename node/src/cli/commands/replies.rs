//! `replies`: who has answered a record, and who has not, by name.
//!
//! It does not: decide what an answer says: a nil return is an answer like any other.
//!
//! Invariants: every unit that is asked stands in the list once; replies whose question has not arrived are shown too.

use super::common::{self, OrCli};
use crate::cli::args::RepliesArgs;
use crate::cli::exit::{CliError, ExitCode};
use crate::cli::{App, codes};
use crate::i18n::{format_int, format_time};
use crate::replica::{Replica, ReplicaError, Seen};
use crate::stamp::rfc3339;
use crate::store::ProjectedRow;
use sampan_core::id::{RecordId, UnitId};
use sampan_core::schema::{Collection, Expr, Op, Operand, Term, title_in};
use sampan_core::value::{Kind, Value};
use serde_json::json;
use std::collections::BTreeMap;

/// What one unit has answered.
struct Row {
    unit: UnitId,
    /// Whether the record asks this unit; others may answer all the same.
    asked: bool,
    /// Its replies, the newest last.
    replies: Vec<(String, ProjectedRow)>,
}

/// Runs `replies`.
pub(super) fn replies(args: &RepliesArgs, app: &mut App) -> Result<ExitCode, CliError> {
    let mut replica = common::open(app, &args.dir)?;
    let schema = replica.schema().ok_or(ReplicaError::NoSchema).or_cli(app)?.clone();
    // A reply may come before what it answers: then an id that is not here is still one that was answered.
    let (id, question) = match args.record.trim().parse::<RecordId>() {
        Ok(id) => (id, row_of(&mut replica, app, id)?),
        Err(_) => {
            let id = common::record(app, &mut replica, &args.record)?;
            (id, row_of(&mut replica, app, id)?)
        }
    };
    let question_of = question.as_ref().map(|(c, _)| c.id.clone());
    let repliers: Vec<Collection> = schema
        .collections
        .values()
        .filter(|c| c.reply_to.is_some() && (question_of.is_none() || c.reply_to == question_of))
        .cloned()
        .collect();
    let mut by_unit: BTreeMap<UnitId, Vec<(String, ProjectedRow)>> = BTreeMap::new();
    for reply in &repliers {
        let answers = replica.answers(reply, None).or_cli(app)?.remove(&id).unwrap_or_default();
        for (unit, rows) in answers {
            by_unit.entry(unit).or_default().extend(rows.into_iter().map(|r| (reply.id.clone(), r)));
        }
    }
    if question.is_none() && by_unit.is_empty() {
        common::record(app, &mut replica, &args.record)?; // says that there is no such record
    }
    if let Some((collection, _)) = question.as_ref().filter(|_| repliers.is_empty()) {
        let name = collection.label.text(common::schema_lang(app.lang)).to_owned();
        return Err(app.error(&codes::NOT_ANSWERED, &[("collection", &name)]).at(id.to_string()));
    }
    let among = replica.units_and_below();
    let asked = question.as_ref().map(|(c, row)| replica.units_asked(c, row, &among)).unwrap_or_default();
    let mut rows: Vec<Row> = asked
        .into_iter()
        .map(|unit| Row { unit, asked: true, replies: by_unit.remove(&unit).unwrap_or_default() })
        .collect();
    rows.extend(by_unit.into_iter().map(|(unit, replies)| Row { unit, asked: false, replies }));
    if let Some(unit) = app.unit.clone() {
        let unit = replica.find_unit(&unit).or_cli(app)?;
        rows.retain(|r| replica.engine.charter().chain(&r.unit).any(|above| above.id == unit));
    }
    let expected = rows.iter().filter(|r| r.asked).count();
    let answered = rows.iter().filter(|r| r.asked && !r.replies.is_empty()).count();
    if args.missing {
        rows.retain(|r| r.replies.is_empty());
    }
    let units: Vec<UnitId> = rows.iter().filter(|r| r.replies.is_empty()).map(|r| r.unit).collect();
    let seen = match &question {
        Some(_) => replica.seen_since(id, &units).or_cli(app)?,
        None => BTreeMap::new(),
    };
    if app.json {
        for row in &rows {
            if app.out.closed() {
                break;
            }
            let replies: Vec<String> = row.replies.iter().map(|(_, r)| r.id.to_string()).collect();
            app.out.json(&json!({
                "unit": row.unit.to_string(),
                "name": replica.engine.charter().path(&row.unit),
                "asked": row.asked,
                "answered": !row.replies.is_empty(),
                "replies": replies,
                "at": row.replies.last().map(|(_, r)| rfc3339(r.updated)),
                "seen_since": seen.get(&row.unit).and_then(|s| s.at()).map(rfc3339),
                "seen_by": seen.get(&row.unit).map(|s| s.word()),
            }))?;
        }
        return Ok(ExitCode::Done);
    }
    let (of, done) = (format_int(app.lang, expected as i64), format_int(app.lang, answered as i64));
    match &question {
        Some((c, row)) => {
            app.say(
                "replies.of",
                &[
                    ("title", &title_in(c, &row.values, common::schema_lang(app.lang))),
                    ("answered", &done),
                    ("asked", &of),
                ],
            );
        }
        None => app.say("replies.early", &[("record", &id.to_string())]),
    }
    if rows.is_empty() {
        return Ok(ExitCode::Done);
    }
    let mut words = vec!["record.unit", "replies.state", "record.updated", "record.title"];
    if !seen.is_empty() {
        words.push("replies.seen");
    }
    let words: Vec<String> = words.into_iter().map(|w| app.t(w, &[])).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let cells = rows.iter().map(|row| {
        let mut cells = line(app, &replica, row, &repliers);
        if !seen.is_empty() {
            cells.push(seen.get(&row.unit).map(|s| seen_words(app, *s)).unwrap_or_default());
        }
        cells
    });
    let cells: Vec<Vec<String>> = cells.collect();
    app.out.table(&words, &cells)?;
    Ok(ExitCode::Done)
}

/// Since when a unit could have seen it.
fn seen_words(app: &App, seen: Seen) -> String {
    let (id, at) = match seen {
        Seen::Since(at) => ("replies.seen_since", Some(at)),
        Seen::By(at) => ("replies.seen_by", Some(at)),
        Seen::NotYet => ("replies.seen_not_yet", None),
        Seen::Unknown => ("replies.seen_unknown", None),
    };
    app.t(id, &[("at", &at.map(|at| format_time(app.lang, at)).unwrap_or_default())])
}

fn line(app: &App, replica: &Replica, row: &Row, repliers: &[Collection]) -> Vec<String> {
    let state = match (row.replies.len(), row.asked) {
        (0, _) => app.t("replies.missing", &[]),
        (_, true) => app.t("replies.answered", &[]),
        (_, false) => app.t("replies.unasked", &[]),
    };
    let newest = row.replies.last();
    let said = newest.and_then(|(id, r)| {
        Some(title_in(repliers.iter().find(|c| c.id == *id)?, &r.values, common::schema_lang(app.lang)))
    });
    let at = newest.map(|(_, r)| format_time(app.lang, r.updated)).unwrap_or_default();
    vec![replica.engine.charter().path(&row.unit), state, at, said.unwrap_or_default()]
}

/// The row of a record in whichever collection; `None` if it is not here.
fn row_of(replica: &mut Replica, app: &App, id: RecordId) -> Result<Option<(Collection, ProjectedRow)>, CliError> {
    let schema = replica.schema().ok_or(ReplicaError::NoSchema).or_cli(app)?.clone();
    let operand = Operand::Value(Value::Str(id.to_string()));
    let filter = Expr { terms: vec![Term { field: "_id".to_owned(), kind: Kind::String, op: Op::Eq, operand }] };
    for collection in schema.collections.values() {
        if let Some(row) = replica.list(collection, Some(&filter), None).or_cli(app)?.into_iter().next() {
            return Ok(Some((collection.clone(), row)));
        }
    }
    Ok(None)
}
