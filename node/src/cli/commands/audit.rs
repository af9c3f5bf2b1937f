//! `audit`: one file that shows who did what; and `verify --audit`: whether such a file holds.
//!
//! It does not: know the form of the file (`sampan_core::audit` does).
//!
//! Invariants: a file is checked as it is written, and one that would not hold is not left behind; what
//! is checked is read line by line, with a bound on each.

use super::common::{self, OrCli};
use crate::cli::args::{AuditArgs, VerifyArgs};
use crate::cli::exit::{CliError, ExitCode};
use crate::cli::{App, codes};
use crate::i18n::{Lang, format_int, t};
use crate::replica::{Replica, ReplicaError};
use sampan_core::audit::{AuditError, AuditWriter, Finding, Report, Selection, Verifier, utc};
use sampan_core::date::Date;
use sampan_core::id::{DeviceId, OrgId, RecordId, UnitId};
use sampan_core::limits::AUDIT_LINE_BYTES_MAX;
use sampan_core::store::{Store, StoreError};
use sampan_core::time::Millis;
use serde_json::json;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, BufWriter, Read as _, Write as _};
use std::path::{Path, PathBuf};

/// Digits of a device's id that people are shown.
const DEVICE_SHOWN: usize = 12;

/// Why a file could not be made.
enum Failed {
    Write(io::Error),
    Store(StoreError),
    False(AuditError),
}

impl From<io::Error> for Failed {
    fn from(e: io::Error) -> Self {
        Self::Write(e)
    }
}

impl From<StoreError> for Failed {
    fn from(e: StoreError) -> Self {
        Self::Store(e)
    }
}

/// Runs `audit`.
pub(super) fn audit(args: &AuditArgs, app: &mut App) -> Result<ExitCode, CliError> {
    let since = args.since.as_deref().map(|text| day(app, text)).transpose()?;
    let mut replica = common::open(app, &args.dir)?;
    if replica.engine.is_blank() {
        return Err(ReplicaError::NoSchema).or_cli(app);
    }
    let record = args.record.as_deref().map(|text| common::record(app, &mut replica, text)).transpose()?;
    let unit = app.unit.as_deref().map(|text| replica.find_unit(text).or_cli(app)).transpose()?;
    let of = Selection { record, unit, since };
    // What no commit holds yet has no signature that could be shown.
    replica.seal().or_cli(app)?;
    let chosen = chosen(&mut replica, of).or_cli(app)?;
    let name = args.file.display().to_string();
    let report = written(&args.file, |out| make(&replica, of, &chosen, out)).map_err(|e| match e {
        Failed::Write(e) => {
            let values = [("file", name.as_str()), ("reason", &e.to_string())];
            app.error(&codes::FILE_UNWRITABLE, &values).at(name.clone())
        }
        Failed::Store(e) => crate::cli::convert::IntoCli::into_cli(e, app.lang),
        Failed::False(e) => refused(app, &name, &e),
    })?;
    if app.json {
        app.out.json(&json!({ "file": name, "records": report.records, "entries": report.entries }))?;
    }
    let root = report.organisation.to_string();
    let values = [("records", number(app, report.records)), ("entries", number(app, report.entries))];
    let values = [("records", values[0].1.as_str()), ("entries", &values[1].1), ("file", &name), ("root", &root)];
    app.say("audit.done", &values);
    Ok(ExitCode::Done)
}

fn number(app: &App, n: u64) -> String {
    format_int(app.lang, i64::try_from(n).unwrap_or(i64::MAX))
}

/// The first millisecond of a day, month or year, UTC.
fn day(app: &App, text: &str) -> Result<Millis, CliError> {
    let bad = || app.error(&codes::BAD_DATE, &[("field", "--since"), ("given", text)]).at("--since");
    let date = Date::parse_typed(text).map_err(|_| bad())?;
    let small = |n: Option<u8>| i8::try_from(n.unwrap_or(1)).ok();
    let parts = (i16::try_from(date.year()).ok(), small(date.month()), small(date.day()));
    let (Some(year), Some(month), Some(day)) = parts else { return Err(bad()) };
    let zoned = jiff::civil::Date::new(year, month, day).and_then(|d| d.to_zoned(jiff::tz::TimeZone::UTC));
    // A day before 1970 is as good as the first: no label lies before it.
    Ok(Millis(zoned.map_err(|_| bad())?.timestamp().as_millisecond().max(0) as u64))
}

/// The records of a selection, in the order of their first storage, with their units.
fn chosen(replica: &mut Replica, of: Selection) -> Result<Vec<(RecordId, UnitId)>, StoreError> {
    replica.project()?;
    let Some(schema) = replica.schema().cloned() else { return Ok(Vec::new()) };
    let mut ids: Vec<RecordId> = of.record.into_iter().collect();
    if of.record.is_none() {
        for collection in schema.collections.values() {
            ids.extend(replica.store.query(collection, None, None, true)?.into_iter().map(|row| row.id));
        }
    }
    let charter = replica.engine.charter();
    let inside = |unit: &UnitId| of.unit.is_none_or(|of| *unit == of || charter.is_below(unit, &of));
    let mut out = Vec::new();
    for some in ids.chunks(1_000) {
        let states = replica.store.records(some)?.into_iter().flatten();
        out.extend(states.filter(|s| inside(&s.space.unit)).map(|s| (s.key, s.id, s.space.unit)));
    }
    // Neighbours in the store lie in the same commits, which are then opened once.
    out.sort();
    Ok(out.into_iter().map(|(_, id, unit)| (id, unit)).collect())
}

fn make(
    replica: &Replica,
    of: Selection,
    chosen: &[(RecordId, UnitId)],
    out: &mut BufWriter<File>,
) -> Result<Report, Failed> {
    let units: BTreeSet<UnitId> = chosen.iter().map(|(_, unit)| *unit).chain(of.unit).collect();
    let mut verifier = Verifier::new(Some(replica.engine.org()));
    let mut put = |text: &str| -> Result<(), Failed> {
        for line in text.split_inclusive('\n') {
            verifier.line(line.as_bytes()).map_err(Failed::False)?;
        }
        Ok(out.write_all(text.as_bytes())?)
    };
    let (mut writer, head) = AuditWriter::begin(&replica.engine, &replica.store, of, &units, replica.now())?;
    put(&head)?;
    for (id, _) in chosen {
        put(&writer.record(&replica.store, *id)?)?;
    }
    // What was written and never counted, of records that nothing else is known of.
    let told: BTreeSet<RecordId> = chosen.iter().map(|(id, _)| *id).collect();
    for id in writer.set_aside().into_iter().filter(|id| !told.contains(id)) {
        put(&writer.record(&replica.store, id)?)?;
    }
    put(&writer.end())?;
    verifier.report().map_err(Failed::False)
}

/// Writes a file whole or not at all.
fn written<T>(file: &Path, fill: impl FnOnce(&mut BufWriter<File>) -> Result<T, Failed>) -> Result<T, Failed> {
    let mut draft = file.as_os_str().to_owned();
    draft.push(".new");
    let draft = PathBuf::from(draft);
    let attempt = || {
        let mut out = BufWriter::new(File::create(&draft)?);
        let done = fill(&mut out)?;
        out.flush()?;
        out.get_ref().sync_all()?;
        fs::rename(&draft, file)?;
        Ok(done)
    };
    let done = attempt();
    if done.is_err() {
        // What is left is ours alone, and the person is told that nothing was written.
        let _ = fs::remove_file(&draft);
    }
    done
}

/// Runs `verify --audit`.
pub(super) fn verify(file: &Path, args: &VerifyArgs, app: &mut App) -> Result<ExitCode, CliError> {
    let root = match args.root.as_deref().map(str::trim) {
        None => None,
        Some(text) => {
            Some(text.parse::<OrgId>().map_err(|_| app.error(&codes::BAD_ROOT_KEY, &[("given", text)]).at("--root"))?)
        }
    };
    let name = file.display().to_string();
    let unreadable = |e: io::Error| {
        app.error(&codes::FILE_UNREADABLE, &[("file", &name), ("reason", &e.to_string())]).at(name.clone())
    };
    let mut verifier = Verifier::new(root);
    let mut reader = BufReader::new(File::open(file).map_err(unreadable)?);
    let mut line = Vec::new();
    loop {
        line.clear();
        let bounded = (&mut reader).take(AUDIT_LINE_BYTES_MAX as u64 + 1).read_until(b'\n', &mut line);
        if bounded.map_err(unreadable)? == 0 {
            break;
        }
        verifier.line(&line).map_err(|e| refused(app, &name, &e))?;
    }
    let report = verifier.report().map_err(|e| refused(app, &name, &e))?;
    told(&report, root.is_some(), app)?;
    Ok(ExitCode::Done)
}

fn told(report: &Report, compared: bool, app: &mut App) -> Result<(), CliError> {
    if app.json {
        let authors = report.authors.iter().map(|(device, a)| {
            json!({
                "device": device.to_string(),
                "entries": a.entries,
                "outside": a.outside,
                "revoked": a.revoked,
                "until": a.until.map(utc),
            })
        });
        let cuts = report.cuts.iter().map(|c| {
            json!({
                "device": c.device.to_string(),
                "kind": c.kind,
                "unit": c.unit,
                "by": c.issuer.to_string(),
                "at": utc(c.at),
                "reason": c.reason,
            })
        });
        let words = report.words.iter().map(|w| {
            json!({
                "commit": w.commit.to_string(),
                "released": w.released,
                "by": w.issuer.to_string(),
                "at": utc(w.at),
                "reason": w.reason,
            })
        });
        app.out.json(&json!({
            "holds": true,
            "organisation": report.organisation.to_string(),
            "root_compared": compared,
            "name": report.name,
            "made_by": report.made_by.to_string(),
            "made_for": report.made_for,
            "made_at": report.made_at,
            "charter_commits": report.charter_commits,
            "commits": report.commits,
            "records": report.records,
            "entries": report.entries,
            "outside": report.outside,
            "authors": authors.collect::<Vec<_>>(),
            "cuts": cuts.collect::<Vec<_>>(),
            "verdicts": words.collect::<Vec<_>>(),
            "root_key": report.root_key.to_string(),
        }))?;
        return Ok(());
    }
    let (records, entries) = (number(app, report.records), number(app, report.entries));
    let maker = short(&report.made_by);
    let values = [
        ("records", records.as_str()),
        ("entries", &entries),
        ("name", &report.name),
        ("maker", &maker),
        ("unit", &report.made_for),
        ("at", &report.made_at),
    ];
    let mut lines = vec![app.t("audit.holds", &values)];
    for (device, author) in &report.authors {
        let (device, entries) = (device.to_string(), number(app, author.entries));
        let mut line = app.t("audit.author", &[("device", &device), ("entries", &entries)]);
        if let Some(reason) = &author.revoked {
            line = format!("{line} ({})", app.t("audit.revoked", &[("reason", reason)]));
        }
        if author.outside > 0 {
            let outside = number(app, author.outside);
            line = format!("{line} ({})", app.t("audit.outside", &[("count", &outside)]));
        }
        if let Some(until) = author.until {
            line = format!("{line} ({})", app.t("audit.until", &[("at", &utc(until))]));
        }
        lines.push(line);
    }
    for c in &report.cuts {
        let (device, by, at) = (short(&c.device), short(&c.issuer), utc(c.at));
        let values = [("device", device.as_str()), ("by", &by), ("at", &at), ("kind", c.kind), ("reason", &c.reason)];
        lines.push(app.t("audit.cut", &values));
    }
    for w in &report.words {
        let (commit, by, at) = (w.commit.to_string(), short(&w.issuer), utc(w.at));
        let values = [("commit", commit.as_str()), ("by", &by), ("at", &at), ("reason", &w.reason)];
        lines.push(app.t(if w.released { "audit.released" } else { "audit.rejected" }, &values));
    }
    if report.root_key.0 != report.organisation.0 {
        lines.push(app.t("audit.new_root", &[("root", &report.root_key.to_string())]));
    }
    let root = report.organisation.to_string();
    lines.push(app.t(if compared { "audit.root" } else { "audit.root_named" }, &[("root", &root)]));
    for line in lines {
        app.out.line(&crate::cli::output::printable(&line))?;
    }
    Ok(())
}

fn short(device: &DeviceId) -> String {
    device.to_string().chars().take(DEVICE_SHOWN).collect()
}

/// The error about a file that is no evidence, or whose evidence does not hold.
fn refused(app: &App, file: &str, error: &AuditError) -> CliError {
    let code = match &error.what {
        Finding::NotAudit => &codes::AUDIT_NOT,
        Finding::Newer(_) => &codes::AUDIT_NEWER,
        Finding::Cut => &codes::AUDIT_CUT,
        Finding::Unreadable(_) => &codes::AUDIT_UNREADABLE,
        what => {
            debug_assert!(!what.is_bad_input(), "every kind of bad input has a code of its own");
            &codes::AUDIT_FALSE
        }
    };
    let line = error.line.to_string();
    let values = [("file", file), ("line", line.as_str()), ("what", &sentence(app.lang, &error.what))];
    app.error(code, &values).at(format!("{file}:{line}"))
}

fn sentence(lang: Lang, what: &Finding) -> String {
    let say = |id: &str, values: &[(&str, &str)]| t(lang, id, values);
    match what {
        Finding::NotAudit | Finding::Cut | Finding::Newer(_) => String::new(),
        Finding::Unreadable(why) => (*why).to_owned(),
        Finding::OtherRoot(found) => say("audit.other_root", &[("found", &found.to_string())]),
        Finding::Commit(why) => say("audit.commit", &[("why", why)]),
        Finding::CharterMissing(id) => say("audit.charter_missing", &[("commit", &id.to_string())]),
        Finding::NoFounding => say("audit.no_founding", &[]),
        Finding::NoRight { device, unit } => {
            say("audit.no_right", &[("device", &device.to_string()), ("unit", &unit.to_string())])
        }
        Finding::CommitMissing(id) => say("audit.commit_missing", &[("commit", &id.to_string())]),
        Finding::NotSigned(record) => say("audit.not_signed", &[("record", &record.to_string())]),
        Finding::Column(name) => say("audit.column", &[("column", name)]),
        Finding::Twice(what) => say("audit.twice", &[("what", what)]),
        Finding::Maker(device) => say("audit.maker", &[("device", &short(device))]),
        Finding::MakerUnknown(device) => say("audit.maker_unknown", &[("device", &short(device))]),
    }
}
