//! `bundle create`, `bundle apply`, `bundle inspect` and `bundle waiting`.
//!
//! It does not: know the file (`crate::bundle`).
//!
//! Invariants: a file that is refused leaves everything as it was; stdout has the path of a file that was made,
//! and with `--json` one object.

use super::common;
use crate::bundle::{self, BundleError, Created, Waiting, erased::Gone, waiting};
use crate::cli::args::{BundleApplyArgs, BundleCommand, BundleCreateArgs, BundleFileArgs, BundleWaitingArgs};
use crate::cli::convert::IntoCli;
use crate::cli::exit::{CliError, ExitCode};
use crate::cli::progress::Progress;
use crate::cli::{App, codes};
use crate::i18n::{Lang, format_bytes, format_int, format_time, t};
use crate::replica::Replica;
use crate::stamp::rfc3339;
use sampan_core::bundle::{FormatError, PlanError, TakeError, Target, named_by_ticket};
use sampan_core::id::{DeviceId, UnitId};
use sampan_core::wire::frame::RefuseCode;
use serde_json::json;
use std::collections::BTreeSet;
use std::path::Path;

/// Digits of a device's id that are enough to look for it.
const DEVICE_DIGITS_MIN: usize = 4;
/// Digits of a device's id that people are shown.
const DEVICE_DIGITS_SHOWN: usize = 12;
/// Digits of a waiting bundle's name that people are shown.
const ID_DIGITS_SHOWN: usize = 16;

/// Runs one of the four.
pub(super) fn bundle(command: &BundleCommand, app: &mut App) -> Result<ExitCode, CliError> {
    match command {
        BundleCommand::Create(args) => create(args, app),
        BundleCommand::Apply(args) => apply(args, app),
        BundleCommand::Inspect(args) => inspect(args, app),
        BundleCommand::Waiting(args) => waiting(args, app),
    }
}

fn create(args: &BundleCreateArgs, app: &mut App) -> Result<ExitCode, CliError> {
    let mut replica = common::open(app, &args.dir)?;
    let target = match &args.recipient {
        None => Target::Above,
        Some(text) => target(app, &replica, text)?,
    };
    let bar = Progress::for_people(app.lang, "progress.bundle_create", app.json);
    let mut watch = |step: bundle::Step| bar.bytes(step.done, step.of);
    let made = bundle::create(&mut replica, target, &args.bundle, args.whole, false, &mut watch);
    drop(bar);
    let made = made.or_cli_at(app, &args.bundle)?;
    if app.json {
        app.out.json(&created_json(&made))?;
    } else {
        app.out.line(&made.file.display().to_string())?;
    }
    say_created(app, &replica, &made, "bundle.created");
    Ok(ExitCode::Done)
}

fn created_json(made: &Created) -> serde_json::Value {
    json!({
        "file": made.file.display().to_string(),
        "bytes": made.bytes,
        "direction": direction(made.down),
        "unit": made.unit.map(|u| u.to_string()),
        "devices": made.devices.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "tickets": made.tickets,
        "commits": made.totals.commits,
        "entries": made.totals.entries,
        "files": made.files,
    })
}

fn direction(down: bool) -> &'static str {
    if down { "down" } else { "up" }
}

fn say_created(app: &App, replica: &Replica, made: &Created, id: &str) {
    let unit = made.unit.map_or_else(|| app.t("bundle.relay_of_ticket", &[]), |u| common::unit_name(replica, &u));
    let int = |n: usize| format_int(app.lang, i64::try_from(n).unwrap_or(i64::MAX));
    let values = [
        ("file", made.file.display().to_string()),
        ("unit", unit),
        ("devices", int(made.devices.len())),
        ("tickets", int(made.tickets)),
        ("entries", int(usize::try_from(made.totals.entries).unwrap_or(usize::MAX))),
        ("size", format_bytes(app.lang, made.bytes)),
    ];
    let values: Vec<(&str, &str)> = values.iter().map(|(n, v)| (*n, v.as_str())).collect();
    app.say(id, &values);
}

/// The unit or the device that a person named.
fn target(app: &App, replica: &Replica, text: &str) -> Result<Target, CliError> {
    let charter = replica.engine.charter();
    let digits = text.trim().to_lowercase();
    let first = replica.file().replica.as_ref().and_then(|t| t.relays.first()).map(|r| r.device);
    let named = named_by_ticket(&replica.engine, &replica.store, first).map_err(|e| e.into_cli(app.lang))?;
    let known: BTreeSet<DeviceId> = charter.all_rights().map(|(d, _)| *d).chain(named).collect();
    let fits = |d: &&DeviceId| digits.len() >= DEVICE_DIGITS_MIN && d.to_string().starts_with(&digits);
    let found: Vec<&DeviceId> = known.iter().filter(fits).collect();
    if replica.engine.is_blank() {
        return match found.as_slice() {
            [one] => Ok(Target::Device(**one)),
            _ => Err(app.error(&codes::BUNDLE_BLANK, &[("name", text)]).at(text)),
        };
    }
    match (replica.find_unit(text), found.as_slice()) {
        (Ok(unit), _) => Ok(Target::Unit(unit)),
        (Err(_), [one]) => Ok(Target::Device(**one)),
        (Err(e), _) => Err(e.into_cli(app.lang)),
    }
}

fn apply(args: &BundleApplyArgs, app: &mut App) -> Result<ExitCode, CliError> {
    let mut replica = common::open(app, &args.dir)?;
    if let Some(receipt) = args.receipt.as_ref().filter(|p| p.exists()) {
        return Err(BundleError::Exists(receipt.clone())).or_cli_at(app, receipt);
    }
    let bar = Progress::for_people(app.lang, "progress.bundle_apply", app.json);
    let applied = bundle::apply(&mut replica, &args.bundle, &mut |step| bar.bytes(step.done, step.of));
    drop(bar);
    let applied = match applied {
        Err(BundleError::Waits(one)) => return Err(waits(app, &replica, &one, &args.bundle)),
        other => other.or_cli_at(app, &args.bundle)?,
    };
    // One that waited may go on from what has just come.
    let ready = waiting::take_ready(&mut replica, Some(applied.header.sender)).or_cli_at(app, &args.bundle)?;
    common::written(&replica);
    let (header, taken) = (&applied.header, &applied.taken);
    // What came from below is answered at once: the sender's ticks wait for it.
    let answer = match &args.receipt {
        // One whose rights have ended is told nothing.
        _ if taken.deposit.is_some() => None,
        Some(path) => Some((path.clone(), false)),
        None if !header.down => Some((bundle::answer_path(&replica, &header.sender), true)),
        None => None,
    };
    let answer = answer.map(|(path, replace)| {
        let made = bundle::create(&mut replica, Target::Device(header.sender), &path, false, replace, &mut |_| {});
        made.or_cli_at(app, &path)
    });
    let answer = answer.transpose()?;
    if app.json {
        app.out.json(&json!({
            "sender": header.sender.to_string(),
            "direction": direction(header.down),
            "created": rfc3339(header.created),
            "commits_received": taken.commits,
            "changes_received": taken.changes,
            "quarantined": taken.quarantined,
            "left_out": taken.left_out,
            "files_received": taken.files,
            "deposit": taken.deposit,
            "acknowledgements": taken.acks,
            "equal": taken.equal,
            "receipt": answer.as_ref().map(|a| a.file.display().to_string()),
            "had_waited": ready.applied.iter().map(|a| json!({
                "sender": a.header.sender.to_string(),
                "commits_received": a.taken.commits,
                "changes_received": a.taken.changes,
                "quarantined": a.taken.quarantined,
            })).collect::<Vec<_>>(),
        }))?;
    } else if let Some(answer) = &answer {
        app.out.line(&answer.file.display().to_string())?;
    }
    let int = |n: u64| format_int(app.lang, i64::try_from(n).unwrap_or(i64::MAX));
    let id = if taken.commits + taken.acks + taken.quarantined == 0 { "bundle.nothing_new" } else { "bundle.applied" };
    app.say(id, &[("changes", &int(taken.changes)), ("commits", &int(taken.commits)), ("acks", &int(taken.acks))]);
    if taken.quarantined > 0 {
        app.say("bundle.quarantined", &[("count", &int(taken.quarantined))]);
    }
    if let Some(reason) = &taken.deposit {
        app.say("bundle.deposit", &[("reason", reason)]);
    }
    if taken.files > 0 {
        app.say("bundle.files", &[("count", &int(taken.files))]);
    }
    if taken.left_out > 0 {
        app.say("bundle.left_out", &[("count", &int(taken.left_out))]);
    }
    say_ready(app, &replica, &ready);
    for answer in answer.iter().chain(&ready.answers) {
        say_created(app, &replica, answer, "bundle.answer");
    }
    Ok(ExitCode::Done)
}

/// What became of bundles that had waited.
fn say_ready(app: &App, replica: &Replica, ready: &waiting::Ready) {
    let int = |n: u64| format_int(app.lang, i64::try_from(n).unwrap_or(i64::MAX));
    for one in &ready.applied {
        let sender = device_name(replica, &one.header.sender);
        let values = [("sender", sender), ("changes", int(one.taken.changes)), ("commits", int(one.taken.commits))];
        app.say("bundle.had_waited", &values.each_ref().map(|(name, value)| (*name, value.as_str())));
    }
    for (one, why) in &ready.refused {
        let (sender, what) = (device_name(replica, &one.sender), why.to_string());
        app.say("bundle.waited_refused", &[("sender", &sender), ("what", &what)]);
    }
}

/// The units of a device and the beginning of its id.
fn device_name(replica: &Replica, device: &DeviceId) -> String {
    let digits: String = device.to_string().chars().take(DEVICE_DIGITS_SHOWN).collect();
    let units = replica.engine.charter().units_of(device);
    let names: Vec<String> = units.iter().map(|u| common::unit_name(replica, u)).collect();
    if names.is_empty() { digits } else { format!("{} ({digits})", names.join(", ")) }
}

/// The senders of bundles that wait, each once.
pub(super) fn senders(replica: &Replica, waiting: &[Waiting]) -> String {
    let all: BTreeSet<DeviceId> = waiting.iter().map(|w| w.sender).collect();
    all.iter().map(|d| device_name(replica, d)).collect::<Vec<_>>().join("; ")
}

/// What is said of a bundle that waits now: done in part, and not in sync (exit 4).
fn waits(app: &App, replica: &Replica, one: &Waiting, file: &Path) -> CliError {
    common::written(replica);
    let (file, sender) = (file.display().to_string(), device_name(replica, &one.sender));
    let values = [("file", file.as_str()), ("sender", sender.as_str()), ("program", app.program)];
    CliError::new(app.lang, &codes::BUNDLE_WAITS, &values).at(file.clone())
}

/// What an erasure removed of bundles and is not made anew, in words.
pub(super) fn gone_words(app: &App, replica: &Replica, gone: &[Gone]) -> Vec<String> {
    let files: Vec<&str> = gone.iter().filter_map(|g| g.file.as_deref()).collect();
    let from: BTreeSet<&str> = gone.iter().filter_map(|g| g.sender.as_deref()).collect();
    let mut out = Vec::new();
    let int = |n: usize| format_int(app.lang, i64::try_from(n).unwrap_or(i64::MAX));
    if !files.is_empty() {
        let values = [("count", int(files.len())), ("files", files.join(", ")), ("program", app.program.to_owned())];
        out.push(app.t("bundle.gone_made", &values.each_ref().map(|(name, value)| (*name, value.as_str()))));
    }
    if !from.is_empty() {
        let count = int(gone.iter().filter(|g| g.sender.is_some()).count());
        let names = from.iter().map(|d| d.parse().map_or_else(|_| (*d).to_owned(), |d| device_name(replica, &d)));
        let senders = names.collect::<Vec<_>>().join("; ");
        out.push(app.t("bundle.gone_waited", &[("count", &count), ("senders", &senders)]));
    }
    out
}

fn waiting(args: &BundleWaitingArgs, app: &mut App) -> Result<ExitCode, CliError> {
    let mut replica = common::open(app, &args.dir)?;
    let all = waiting::list(&replica).map_err(|e| e.into_cli(app.lang))?;
    if let Some(name) = &args.bundle_drop {
        let start = name.trim().to_lowercase();
        let found: Vec<&Waiting> =
            all.iter().filter(|w| start.len() >= DEVICE_DIGITS_MIN && w.id.starts_with(&start)).collect();
        let [one] = found.as_slice() else {
            return Err(app.error(&codes::BUNDLE_UNKNOWN, &[("name", name), ("program", app.program)]).at(name));
        };
        waiting::remove(&mut replica, &one.id).or_cli_at(app, &args.dir)?;
        common::written(&replica);
        let sender = device_name(&replica, &one.sender);
        app.say("bundle.dropped", &[("name", &one.id), ("sender", &sender)]);
        return Ok(ExitCode::Done);
    }
    if all.is_empty() && !app.json {
        app.out.line(&app.t("bundle.none_waits", &[]))?;
    }
    for one in &all {
        if app.json {
            app.out.json(&json!({
                "id": one.id,
                "sender": one.sender.to_string(),
                "direction": direction(one.down),
                "created": rfc3339(one.created),
                "since": rfc3339(one.since),
                "bytes": one.bytes,
            }))?;
            continue;
        }
        let since = app.t("bundle.waits_since", &[("at", &format_time(app.lang, one.since))]);
        let (sender, size) = (device_name(&replica, &one.sender), format_bytes(app.lang, one.bytes));
        app.out.line(&format!("{}  {sender}  {size}  {since}", &one.id[..ID_DIGITS_SHOWN.min(one.id.len())]))?;
    }
    Ok(ExitCode::Done)
}

fn inspect(args: &BundleFileArgs, app: &mut App) -> Result<ExitCode, CliError> {
    let replica = common::open(app, &args.dir)?;
    let found = bundle::inspect(&replica, &args.bundle).or_cli_at(app, &args.bundle)?;
    let header = &found.header;
    let charter = replica.engine.charter();
    let sender_units: Vec<UnitId> = charter.units_of(&header.sender).into_iter().collect();
    let totals = found.totals.unwrap_or_default();
    if app.json {
        app.out.json(&json!({
            "sender": header.sender.to_string(),
            "sender_units": sender_units.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "direction": direction(header.down),
            "created": rfc3339(header.created),
            "unit": header.unit.map(|u| u.to_string()),
            "receivers": header.slots.len(),
            "for_us": found.for_us,
            "bytes": found.bytes,
            "commits": found.totals.map(|t| t.commits),
            "entries": found.totals.map(|t| t.entries),
        }))?;
        return Ok(ExitCode::Done);
    }
    let names: Vec<String> = sender_units.iter().map(|u| charter.path(u)).collect();
    let sender = format!("{}  {}", header.sender, names.join(", "));
    let unit = header.unit.map(|u| charter.unit(&u).map_or_else(|| u.to_string(), |_| charter.path(&u)));
    let int = |n: u64| format_int(app.lang, i64::try_from(n).unwrap_or(i64::MAX));
    let yes = |b: bool| app.t(if b { "record.yes" } else { "record.no" }, &[]);
    let mut rows = vec![
        ("bundle.sender", sender),
        ("bundle.direction", app.t(if header.down { "bundle.down" } else { "bundle.up" }, &[])),
        ("bundle.made_at", format_time(app.lang, header.created)),
        ("bundle.unit", unit.unwrap_or_else(|| app.t("bundle.relay_of_ticket", &[]))),
        ("bundle.receivers", int(header.slots.len() as u64)),
        ("bundle.for_us", yes(found.for_us)),
        ("bundle.size", format_bytes(app.lang, found.bytes)),
    ];
    if found.totals.is_some() {
        rows.push(("bundle.commits", int(totals.commits)));
        rows.push(("bundle.entries", int(totals.entries)));
    }
    let rows: Vec<Vec<String>> = rows.into_iter().map(|(id, value)| vec![app.t(id, &[]), value]).collect();
    app.out.table(&[], &rows)?;
    Ok(ExitCode::Done)
}

/// A bundle's error in words, with its file.
trait OrCliAt<T> {
    fn or_cli_at(self, app: &App, file: &Path) -> Result<T, CliError>;
}

impl<T> OrCliAt<T> for Result<T, BundleError> {
    fn or_cli_at(self, app: &App, file: &Path) -> Result<T, CliError> {
        self.map_err(|e| in_words(e, app.lang, app.program, &file.display().to_string()))
    }
}

fn in_words(error: BundleError, lang: Lang, program: &str, file: &str) -> CliError {
    let what = error.to_string();
    let values = [("file", file), ("what", what.as_str()), ("program", program)];
    let new = |code| CliError::new(lang, code, &values).at(file);
    let limit = |limit: &str| CliError::new(lang, &codes::LIMIT, &[("what", file), ("limit", limit)]).at(file);
    match error {
        BundleError::Format(e) => match e {
            FormatError::NotABundle => new(&codes::BUNDLE_NOT),
            FormatError::Newer(_) => new(&codes::BUNDLE_NEWER),
            FormatError::Cut { have, total } => {
                let (have, total) = (format_bytes(lang, have), format_bytes(lang, total));
                let values = [("file", file), ("have", have.as_str()), ("total", total.as_str())];
                CliError::new(lang, &codes::BUNDLE_CUT, &values).at(file)
            }
            FormatError::Altered(_) => new(&codes::BUNDLE_ALTERED),
            FormatError::OtherOrganisation => new(&codes::BUNDLE_OTHER_ORG),
            FormatError::Limit(name) => limit(name),
            FormatError::Receiver => new(&codes::BUNDLE_NOBODY),
        },
        BundleError::Plan(e) => match e {
            PlanError::NothingAbove => new(&codes::BUNDLE_NOTHING_ABOVE),
            PlanError::NoReceiver(_) => new(&codes::BUNDLE_NOBODY),
            PlanError::NotRelated(_) => {
                let what = t(lang, "right.bundle", &[]);
                CliError::new(lang, &codes::NO_RIGHT, &[("what", &what)])
            }
            PlanError::TooMany(_) => limit("BUNDLE_RECEIVERS_MAX"),
        },
        BundleError::Take(e) => match e {
            TakeError::PeerWire(_)
            | TakeError::PeerOrder(_)
            | TakeError::PeerIdentity { .. }
            | TakeError::Peer(_)
            | TakeError::PeerFile(_)
            | TakeError::PeerRegister(_) => new(&codes::BUNDLE_BROKEN),
            TakeError::PeerVersion(..) => new(&codes::BUNDLE_NEWER),
            TakeError::Refused(RefuseCode::Busy, _) | TakeError::Blank => new(&codes::BUNDLE_EARLY),
            TakeError::Refused(..) | TakeError::NotAbove(_) | TakeError::PeerScope(_) => new(&codes::BUNDLE_SENDER),
            TakeError::Missing(_) => new(&codes::BUNDLE_MISSING),
            TakeError::Limit(name) => limit(name),
            TakeError::Local(e) => e.into_cli(lang),
        },
        BundleError::Waits(one) => {
            let sender = one.sender.to_string();
            let values = [("file", file), ("sender", sender.as_str()), ("program", program)];
            CliError::new(lang, &codes::BUNDLE_WAITS, &values).at(file)
        }
        BundleError::WaitingFull(name) => {
            let values = [("file", file), ("limit", name), ("program", program)];
            CliError::new(lang, &codes::BUNDLE_WAITING_FULL, &values).at(file)
        }
        BundleError::NotForUs { .. } => new(&codes::BUNDLE_NOT_FOR_US),
        BundleError::Changed(_) => new(&codes::BUNDLE_ALTERED),
        BundleError::Exists(_) => new(&codes::FILE_EXISTS),
        BundleError::Unreadable { source, .. } => {
            let reason = source.to_string();
            CliError::new(lang, &codes::FILE_UNREADABLE, &[("file", file), ("reason", &reason)]).at(file)
        }
        BundleError::Unwritable(e) => e.into_cli(lang),
        BundleError::Key(e) => e.into_cli(lang),
        BundleError::Store(e) => e.into_cli(lang),
    }
}
