//! What one does at a replica, asked for as JSON: the same for the relays in this process and the
//! branches in theirs.
//!
//! It does not: open or close links (`node` does).

use anyhow::{Context as _, Result, anyhow};
use sampan_core::id::{Flow, UnitId};
use sampan_core::schema::{Assignment, to_cell};
use sampan_core::testing::members::members;
use sampan_core::value::{Edit, Value as Field};
use sampan_node::replica::{ImportRecord, Replica};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Carries out one request.
///
/// # Errors
/// When the request is unknown or the replica refuses it.
pub fn perform(replica: &mut Replica, request: &Value) -> Result<Value> {
    let text = |name: &str| request[name].as_str().with_context(|| format!("the request lacks '{name}'"));
    let unit = || -> Result<UnitId> { text("unit")?.parse().map_err(|_| anyhow!("no unit id")) };
    match text("do")? {
        "members" => {
            let seed = request["seed"].as_u64().unwrap_or_default();
            let count = request["count"].as_u64().unwrap_or_default() as usize;
            import(replica, "members", unit()?, members(seed, count))
        }
        "meetings" => {
            let rows = (0..request["count"].as_u64().unwrap_or_default()).map(meeting).collect();
            import(replica, "meetings", unit()?, rows)
        }
        "add" => {
            let collection = replica.collection(text("collection")?)?;
            let mut fields = BTreeMap::new();
            for (name, edit) in edits(&collection, &request["fields"])? {
                if let Edit::Set(value) = edit {
                    fields.insert(name, value);
                }
            }
            Ok(json!(replica.add(&collection, unit()?, fields)?.to_string()))
        }
        "set" => {
            let id = text("id")?.parse().map_err(|_| anyhow!("no record id"))?;
            let edits = edits(&replica.collection_of(id)?, &request["fields"])?;
            Ok(json!(replica.set(id, &edits)?))
        }
        "status" => status(replica),
        "conflicts" => conflicts(replica),
        "count" => {
            let collection = replica.collection(text("collection")?)?;
            let rows = replica.list(&collection, None, None)?;
            let of = unit().ok();
            Ok(json!(rows.iter().filter(|r| of.is_none_or(|u| r.unit == u)).count()))
        }
        "documents" => documents(replica, unit()?),
        "verify" => {
            let report = replica.store.verify(&replica.engine.org())?;
            let damaged: Vec<&str> = report.damaged.iter().map(|d| d.what.as_str()).collect();
            Ok(json!({ "checked": report.checked, "damaged": damaged }))
        }
        other => Err(anyhow!("'{other}' is nothing that a replica does")),
    }
}

fn edits(collection: &sampan_core::schema::Collection, fields: &Value) -> Result<Vec<(String, Edit)>> {
    let given = fields.as_array().context("the request lacks 'fields'")?;
    given.iter().map(|f| Ok(Assignment::parse(collection, f.as_str().unwrap_or_default())?)).collect()
}

fn import(replica: &mut Replica, name: &str, unit: UnitId, rows: Vec<BTreeMap<String, Field>>) -> Result<Value> {
    let collection = replica.collection(name)?;
    let rows = rows.into_iter().map(|fields| ImportRecord { unit, fields, updates: None }).collect();
    let ids = replica.import(&collection, rows)?;
    Ok(json!(ids.iter().map(ToString::to_string).collect::<Vec<_>>()))
}

/// A line of an old attendance book.
fn meeting(n: u64) -> BTreeMap<String, Field> {
    let day = format!("{:04}-{:02}-{:02}", 1980 + n / 48, 1 + n / 4 % 12, 1 + 7 * (n % 4));
    BTreeMap::from([
        ("title".to_owned(), Field::Str(format!("Sổ họp cũ, dòng {}", n + 1))),
        ("held_on".to_owned(), Field::Str(day)),
        ("attended".to_owned(), Field::Int(20 + (n * 7 % 31) as i64)),
    ])
}

fn status(replica: &mut Replica) -> Result<Value> {
    let s = replica.status()?;
    let conflicts = replica.conflicts()?.len();
    let delivered: Vec<Value> = s.delivered.iter().map(|d| json!([d.level, d.complete])).collect();
    Ok(json!({
        "records": s.records,
        "unsent": s.unsent_changes,
        "pending": s.pending,
        "blocked": s.blocked,
        "quarantined": s.quarantined,
        "delivered": delivered,
        "conflicts": conflicts,
        "last_error": s.last_error,
    }))
}

fn conflicts(replica: &mut Replica) -> Result<Value> {
    let rows = replica.conflicts()?;
    let rows = rows.iter().map(|c| {
        let values: Vec<Value> =
            c.values.iter().map(|(v, device, _)| json!([to_cell(None, v), device.map(|d| d.to_string())])).collect();
        json!({ "id": c.record.to_string(), "field": c.field, "values": values, "winner": to_cell(None, &c.winner) })
    });
    Ok(rows.collect())
}

/// The changes of every record that a branch and its district both may hold: the branch's own, and
/// what comes down to it.
fn documents(replica: &mut Replica, unit: UnitId) -> Result<Value> {
    let names: Vec<String> = replica.schema().context("no schema yet")?.collections.keys().cloned().collect();
    let mut out = serde_json::Map::new();
    for name in names {
        let collection = replica.collection(&name)?;
        for row in replica.list(&collection, None, None)? {
            if row.unit == unit || collection.flow == Flow::Down {
                let (_, _, document) = replica.engine.document(&replica.store, row.id)?;
                let changes = document.changes().into_iter().map(|(_, bytes)| hex(&bytes)).collect::<Vec<_>>();
                out.insert(row.id.to_string(), json!(changes));
            }
        }
    }
    Ok(Value::Object(out))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// The inverse of how changes are written in an answer.
#[must_use]
pub fn unhex(text: &str) -> Vec<u8> {
    let digit = |c: u8| (c as char).to_digit(16).unwrap_or_default() as u8;
    text.as_bytes().chunks_exact(2).map(|p| digit(p[0]) << 4 | digit(p[1])).collect()
}
