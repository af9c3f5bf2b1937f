//! `erase`: a record, or the name of a holder, gone for ever; and who has confirmed that it is.
//!
//! It does not: ask twice: the reason that must be given is what stops a slip of the fingers.
//!
//! Invariants: nothing is written without the right, a reason and a thing to erase; what is printed of an
//! erasure never names what was erased but by its id.

use super::common::{self, OrCli};
use crate::cli::args::EraseArgs;
use crate::cli::exit::{CliError, ExitCode};
use crate::cli::{App, codes};
use crate::i18n::{format_time, t};
use crate::replica::Replica;
use crate::stamp::rfc3339;
use sampan_core::charter::Erased;
use sampan_core::engine::ErasureRow;
use sampan_core::id::{DeviceId, UnitId};
use sampan_core::limits::NAME_BYTES_MAX;
use serde_json::json;

/// Digits of a device's id that people are shown.
const DEVICE_SHOWN: usize = 12;

/// Runs `erase`.
pub(super) fn erase(args: &EraseArgs, app: &mut App) -> Result<ExitCode, CliError> {
    let mut replica = common::open(app, &args.dir)?;
    if args.list {
        replica.clean_erased().or_cli(app)?;
        return list(app, &replica);
    }
    let reason = args.reason.as_deref().unwrap_or_default().trim();
    if reason.is_empty() || reason.len() > NAME_BYTES_MAX {
        let why = format!("1-{NAME_BYTES_MAX}");
        let values = [("field", "--reason"), ("given", reason), ("reason", why.as_str())];
        return Err(app.error(&codes::BAD_VALUE, &values).at("--reason"));
    }
    let (unit, what) = match (&args.record, &args.holder) {
        (Some(record), _) => {
            if let Some(erased) = record.trim().parse().ok().and_then(|id| replica.engine.charter().erasure_of(&id)) {
                (erased.unit, erased.what)
            } else {
                let id = common::record(app, &mut replica, record)?;
                let found = replica.erasable(id).or_cli(app)?;
                found
                    .ok_or_else(|| app.error(&codes::UNKNOWN_RECORD, &[("name", record), ("nearest", "")]).at(record))?
            }
        }
        (None, Some(holder)) => holder_of(app, &replica, holder)?,
        (None, None) => return Err(app.error(&codes::UNKNOWN_RECORD, &[("name", ""), ("nearest", "")])),
    };
    let known = replica.engine.charter().erasures().any(|e| e.unit == unit && e.what.name() == what.name());
    if !known {
        if !replica.engine.may_erase(&unit) {
            let values = [("unit", common::unit_name(&replica, &unit))];
            let what = t(app.lang, "right.erase", &[("unit", values[0].1.as_str())]);
            return Err(app.error(&codes::NO_RIGHT, &[("what", &what)]).at(unit.to_string()));
        }
        replica.erase(unit, what, reason).or_cli(app)?;
        common::written(&replica);
    }
    let clean = replica.clean_erased().or_cli(app)?;
    let rows = replica.erasures().or_cli(app)?;
    let row = rows.iter().find(|r| r.erasure.unit == unit && r.erasure.what.name() == what.name());
    let waiting = row.map_or(0, |r| r.waiting.len()).to_string();
    if app.json
        && let Some(row) = row
    {
        app.out.json(&in_json(row))?;
    }
    app.say(
        if known { "erase.known" } else { "erase.done" },
        &[("name", &what.name()), ("waiting", &waiting), ("program", app.program)],
    );
    let gone = crate::bundle::erased::gone(&replica.store).or_cli(app)?;
    super::bundle::gone_words(app, &replica, &gone).iter().for_each(|line| crate::cli::output::to_stderr(line));
    if !clean {
        tell_unclean(app, &replica);
    }
    Ok(ExitCode::Done)
}

fn tell_unclean(app: &App, replica: &Replica) {
    let copies: Vec<String> = replica.old_copies().iter().map(|p| p.display().to_string()).collect();
    if copies.is_empty() {
        app.say("erase.busy", &[]);
    } else {
        app.say("erase.copies", &[("files", &copies.join(", ")), ("program", app.program)]);
    }
}

/// The grant behind a device's id, a key's, or a beginning of either.
fn holder_of(app: &App, replica: &Replica, text: &str) -> Result<(UnitId, Erased), CliError> {
    let digits = text.trim().to_lowercase();
    let fits = |key: &DeviceId| digits.len() >= DEVICE_SHOWN && key.to_string().starts_with(&digits);
    let charter = replica.engine.charter();
    let taken = charter.all_rights().filter(|(device, r)| fits(device) || fits(&r.key)).map(|(_, r)| (r.unit, r.key));
    let open = charter.tickets().filter(|(key, _)| fits(key)).map(|(key, t)| (t.right.unit, *key));
    let mut found: Vec<(UnitId, DeviceId)> = taken.chain(open).collect();
    found.sort_unstable();
    found.dedup();
    let wanted = app.unit.as_deref().map(|name| replica.find_unit(name).or_cli(app)).transpose()?;
    found.retain(|(unit, _)| wanted.is_none_or(|w| w == *unit));
    match found.as_slice() {
        [(unit, key)] => Ok((*unit, Erased::Holder { key: *key })),
        [] => Err(app.error(&codes::UNKNOWN_DEVICE, &[("name", text), ("nearest", "")]).at(text)),
        several => {
            let units: Vec<String> = several.iter().map(|(u, _)| common::unit_name(replica, u)).collect();
            Err(app.error(&codes::UNIT_NEEDED, &[("known", &units.join(", "))]).at(text))
        }
    }
}

fn in_json(row: &ErasureRow) -> serde_json::Value {
    let kind = match row.erasure.what {
        Erased::Record { .. } => "record",
        Erased::Holder { .. } => "holder",
    };
    let confirmed: Vec<_> =
        row.confirmed.iter().map(|(d, at)| json!({ "device": d.to_string(), "at": rfc3339(*at) })).collect();
    json!({
        "kind": kind,
        "erased": row.erasure.what.name(),
        "unit": row.erasure.unit.to_string(),
        "by": row.erasure.issuer.to_string(),
        "at": rfc3339(row.erasure.at),
        "reason": row.erasure.reason,
        "confirmed": confirmed,
        "waiting": row.waiting.iter().map(DeviceId::to_string).collect::<Vec<_>>(),
    })
}

fn list(app: &mut App, replica: &Replica) -> Result<ExitCode, CliError> {
    let rows = replica.erasures().or_cli(app)?;
    if rows.is_empty() && !app.json {
        app.out.line(&app.t("erase.none", &[]))?;
    }
    for row in &rows {
        if app.json {
            app.out.json(&in_json(row))?;
            continue;
        }
        let e = &row.erasure;
        let unit = common::unit_name(replica, &e.unit);
        app.out.line(&format!(
            "{}  {unit}  {}  {}",
            e.what.name(),
            format_time(app.lang, e.at),
            crate::cli::output::printable(&e.reason)
        ))?;
        let all = row.confirmed.keys().map(|d| (d, "erase.confirmed"));
        for (device, word) in all.chain(row.waiting.iter().map(|d| (d, "erase.waiting"))) {
            let name = device.to_string();
            let whose = replica.engine.charter().rights(device).next().map(|r| common::unit_name(replica, &r.unit));
            let line = app.t(word, &[]);
            app.out.line(&format!(
                "  {}  {}  {line}",
                &name[..DEVICE_SHOWN.min(name.len())],
                whose.unwrap_or_default()
            ))?;
        }
    }
    if replica.engine.is_unclean(&replica.store).or_cli(app)? {
        tell_unclean(app, replica);
    }
    Ok(ExitCode::Done)
}
