//! One function a command, and the one place that chooses it.
//!
//! It does not: parse arguments or print errors.

use super::args::{
    Command, InitArgs, InviteArgs, JoinArgs, LaterArgs, NarrowArgs, RevokeArgs, UnitAddArgs, UnitCommand, UnitListArgs,
};
use super::{link, status};
use crate::admin::found::Founded;
use crate::admin::handout::Handout;
use crate::admin::key_line::{self, LineKind};
use crate::admin::units::{Place, Plan, Planned, Wanted};
use crate::admin::{
    Desk, Failure, address, decide, devices, found, in_words, invite, narrow, open, resolve, unit_csv, units, when,
};
use sampan_core::charter::{Charter, CutKind, Roles};
use sampan_core::id::UnitId;
use sampan_node::cli::args::{DirArgs, RecordCommand, TicketArgs, UpkeepCommand};
use sampan_node::cli::commands::join::{after_join, join_with, read_ticket, ticket_line};
use sampan_node::cli::convert::{IntoCli, list_of};
use sampan_node::cli::{App, CliError, ExitCode, codes, commands as node};
use sampan_node::i18n::format_stamp;
use sampan_node::replica::Replica;
use serde_json::json;

/// Runs a command of `sampan-relay`.
///
/// # Errors
/// What the command refuses or fails at.
pub fn dispatch(command: &Command, app: &mut App) -> Result<ExitCode, CliError> {
    match command {
        Command::Init(a) => init(a, app),
        Command::Unit(a) => unit(a, app),
        Command::Root(command) => super::root::run(command, app),
        Command::Schema(command) => super::schema::run(command, app),
        Command::Invite(a) => invitation(a, app),
        Command::Join(a) => join(a, app),
        Command::Run(a) => link::run(a, app),
        Command::Sync(a) => node::link::sync(a, app),
        Command::Devices(a) => device_list(a, app),
        Command::Revoke(a) => revoke(a, app),
        Command::Narrow(a) => narrow_grant(a, app),
        Command::Quarantine(a) => super::quarantine::quarantine(a, app),
        Command::Silent(a) => super::silent::silent(a, app),
        Command::Record(RecordCommand::Report(a)) => super::report::report(a, app),
        Command::Record(command) => node::record(command, app),
        Command::Upkeep(UpkeepCommand::Status(a)) => status::status(a, app),
        Command::Upkeep(command) => node::upkeep(command, app),
    }
}

fn later(_: &LaterArgs, command: &str, app: &App) -> Result<ExitCode, CliError> {
    Err(app.error(&codes::LATER, &[("command", command), ("program", app.program)]))
}

fn init(args: &InitArgs, app: &mut App) -> Result<ExitCode, CliError> {
    let settings = address::settings(app, args.listen, &args.advertise)?;
    let (replica, founded) = found::found(app, &args.dir, &args.org, args.schema.as_deref(), settings)?;
    print_founded(app, &founded)?;
    let key = replica.dir().keys().join("root.key").display().to_string();
    app.say("init.done", &[("name", args.org.trim()), ("key", &key)]);
    app.say("init.succession", &[("line", &key_line::encode(LineKind::Succession, &founded.succession))]);
    let listen = replica.config().listen.to_string();
    app.say("init.listen", &[("listen", &listen), ("addresses", &founded.addresses.join(", "))]);
    Ok(ExitCode::Done)
}

fn print_founded(app: &mut App, founded: &Founded) -> Result<(), CliError> {
    let Founded { organisation, unit, device, .. } = founded;
    let (organisation, unit, device) = (organisation.to_string(), unit.to_string(), device.to_string());
    if app.json {
        let line = key_line::encode(LineKind::Succession, &founded.succession);
        app.out.json(&json!({
            "organisation": organisation, "unit": unit, "device": device, "succession_key": *line,
        }))?;
    } else {
        let rows = [("org.organisation", organisation), ("org.unit", unit), ("org.device", device)];
        let rows: Vec<Vec<String>> = rows.into_iter().map(|(id, value)| vec![app.t(id, &[]), value]).collect();
        app.out.table(&[], &rows)?;
    }
    Ok(())
}

fn join(args: &JoinArgs, app: &mut App) -> Result<ExitCode, CliError> {
    let line = ticket_line(app, &args.ticket)?;
    if !read_ticket(app, &line)?.relay {
        return Err(app.error(&codes::TICKET_NOT_RELAY, &[]));
    }
    let settings = address::settings(app, args.listen, &args.advertise)?;
    let (listen, advertise) = (args.listen.and(settings.listen), settings.advertise.clone());
    // The line that was read once: a file may be gone, or another, a moment later.
    let ticket = TicketArgs { ticket: Some(line), file: None };
    let of_node = sampan_node::cli::args::JoinArgs { dir: args.dir.clone(), ticket, timeout: args.timeout };
    let mut ask = |replica: &mut Replica, within: std::time::Duration, app: &App| {
        // On a folder that was joined before: what is asked for anew replaces what stood.
        let change = |file: &mut sampan_node::config::ConfigFile| {
            file.settings.listen = listen.or(file.settings.listen);
            if advertise.is_some() {
                file.settings.advertise.clone_from(&advertise);
            }
        };
        replica.change_file(change).map_err(|e| in_words(app, e))?;
        after_join(replica, within, app)
    };
    let exit = join_with(&of_node, settings, app, &mut ask)?;
    app.say("relay.joined", &[("program", app.program)]);
    Ok(exit)
}

fn unit(command: &UnitCommand, app: &mut App) -> Result<ExitCode, CliError> {
    match command {
        UnitCommand::Add(a) => unit_add(a, app),
        UnitCommand::List(a) => unit_list(a, app),
        UnitCommand::Rename(a) => later(a, "unit rename", app),
        UnitCommand::Move(a) => later(a, "unit move", app),
        UnitCommand::Merge(a) => later(a, "unit merge", app),
        UnitCommand::Split(a) => later(a, "unit split", app),
        UnitCommand::Dissolve(a) => later(a, "unit dissolve", app),
        UnitCommand::Reorganise(a) => later(a, "unit reorganise", app),
    }
}

/// The unit that new ones go below when nothing is said: the root for its admin, else this device's own.
fn base_unit(
    app: &App,
    charter: &Charter,
    own: &[UnitId],
    device: &sampan_core::id::DeviceId,
    parent: Option<&str>,
) -> Result<UnitId, CliError> {
    if let Some(text) = parent {
        return resolve::unit(app.lang, charter, text);
    }
    let admin_root = charter.root().filter(|r| charter.roles(device, r).contains(Roles::ADMIN));
    match (admin_root, own) {
        (Some(root), _) => Ok(root),
        (None, [one]) => Ok(*one),
        (None, several) => {
            let names: Vec<String> = several.iter().map(|u| charter.path(u)).collect();
            let known: Vec<&str> = names.iter().map(String::as_str).collect();
            Err(app.error(&codes::UNIT_NEEDED, &[("known", &list_of(app.lang, &known))]))
        }
    }
}

fn unit_add(args: &UnitAddArgs, app: &mut App) -> Result<ExitCode, CliError> {
    // The file first: what is wrong with it needs no lock.
    let file = args.from.as_ref().map(|path| unit_csv::read(app, path, &args.levels)).transpose()?;
    let mut replica = open(app, &args.dir)?;
    let own = replica.units();
    let (ids, there) = decide(app, &mut replica, |desk| {
        let levels = desk.engine.levels().to_vec();
        let charter = desk.engine.charter();
        let base = base_unit(app, charter, &own, &desk.engine.device(), args.parent.as_deref())?;
        let mut plan = Plan::new(charter, &levels);
        let existing = match &file {
            Some(file) => {
                let outcome = file.plan(app, &mut plan, charter, Place::Known(base), args.kind.as_deref());
                file.accept(app, outcome.bad, args.skip_bad)?;
                outcome.existing
            }
            None => {
                one_unit(app, &mut plan, base, args)?;
                0
            }
        };
        let planned = plan.into_planned();
        if desk.engine.charter().units().count() + planned.len() > sampan_core::limits::UNITS_MAX {
            let limit = format!("UNITS_MAX = {}", sampan_core::limits::UNITS_MAX);
            return Err(app.error(&codes::LIMIT, &[("what", "unit add"), ("limit", &limit)]).into());
        }
        require_admin_above(app, desk, &planned)?;
        Ok::<_, Failure>((units::write(desk, &planned)?, existing))
    })?;
    let charter = replica.engine.charter();
    for id in &ids {
        if app.json {
            if let Some(row) = units::row(charter, id) {
                app.out.json(&row)?;
            }
        } else {
            app.out.line(&id.to_string())?;
        }
    }
    app.say("units.added", &[("count", &ids.len().to_string()), ("there", &there.to_string())]);
    Ok(ExitCode::Done)
}

fn one_unit(app: &App, plan: &mut Plan, base: UnitId, args: &UnitAddArgs) -> Result<(), CliError> {
    let name = args.name.clone().unwrap_or_default();
    let wanted = Wanted { name: name.clone(), code: args.code.clone(), kind: args.kind.clone() };
    match plan.place(Place::Known(base), &wanted) {
        Ok((_, true)) => Ok(()),
        Ok((_, false)) => Err(app.error(&codes::UNIT_EXISTS, &[("name", &name)])),
        Err(refusal) => Err(app.error(&codes::BAD_UNIT, &[("name", &name), ("reason", &refusal.words(app.lang))])),
    }
}

/// Only the units that exist can be judged; what is planned lies below one of them.
fn require_admin_above(app: &App, desk: &Desk, planned: &[Planned]) -> Result<(), CliError> {
    let mut parents: Vec<UnitId> = Vec::new();
    for unit in planned {
        if let Place::Known(id) = unit.parent
            && !parents.contains(&id)
        {
            desk.require_admin(app.lang, &id, "right.units")?;
            parents.push(id);
        }
    }
    Ok(())
}

fn unit_list(args: &UnitListArgs, app: &mut App) -> Result<ExitCode, CliError> {
    let replica = open(app, &args.dir)?;
    let rows = units::rows(replica.engine.charter());
    if app.json {
        for row in &rows {
            app.out.json(row)?;
        }
        return Ok(ExitCode::Done);
    }
    let ids = ["unit", "code", "name", "kind", "parent", "since", "until", "status"];
    let headings = ids.map(|id| app.t(&format!("units.{id}"), &[]));
    let headings: Vec<&str> = headings.iter().map(String::as_str).collect();
    let cells: Vec<Vec<String>> = rows
        .into_iter()
        .map(|r| {
            let indent = if args.tree { "  ".repeat(usize::from(r.depth)) } else { String::new() };
            vec![
                r.unit,
                r.code.unwrap_or_default(),
                format!("{indent}{}", r.name),
                r.kind.unwrap_or_default(),
                r.parent.unwrap_or_default(),
                format_stamp(app.lang, &r.since),
                r.until.map(|at| format_stamp(app.lang, &at)).unwrap_or_default(),
                r.status.to_owned(),
            ]
        })
        .collect();
    app.out.table(&headings, &cells)?;
    Ok(ExitCode::Done)
}

fn invitation(args: &InviteArgs, app: &mut App) -> Result<ExitCode, CliError> {
    let roles = resolve::roles(app.lang, &args.role)?;
    let Some(named) = app.unit.clone() else {
        let what = app.t("usage.missing", &[("what", "--unit <UNIT>")]);
        return Err(app.error(&codes::USAGE, &[("what", &what), ("help", "sampan-relay invite --help")]));
    };
    // What cannot be written is found out before anything is granted.
    let handout = Handout::prepare(app, args.ticket_file.as_deref(), args.qr.as_deref())?;
    let mut replica = open(app, &args.dir)?;
    let unit = resolve::unit(app.lang, replica.engine.charter(), &named)?;
    let request = invite::Request {
        unit,
        roles,
        subtree: args.subtree,
        holder: &args.holder,
        until: args.until.as_deref(),
        use_by: args.use_by.as_deref(),
        collections: &args.collections,
        replaces: args.replaces.as_deref(),
    };
    let made = invite::invite(app, &mut replica, &request)?;
    let use_by = when::rfc3339(made.use_by);
    if app.json {
        let holder = args.holder.trim();
        app.out.json(&json!({
            "ticket": made.line, "unit": unit.to_string(), "roles": made.roles, "holder": holder, "use_by": use_by,
            "replaces": made.replaces.map(|d| d.to_string()),
        }))?;
    } else {
        app.out.line(&made.line)?;
    }
    let roles = made.roles.join(", ");
    let values = [
        ("holder", args.holder.trim()),
        ("unit", &made.unit),
        ("roles", &roles),
        ("use_by", &format_stamp(app.lang, &use_by)),
    ];
    handout.hand_over(app, &made.line)?;
    app.say("invite.done", &values);
    if let Some(old) = made.replaces {
        app.say("invite.replaces", &[("device", &old.to_string())]);
    }
    if !made.has_relay {
        app.say("invite.no_relay", &[]);
    }
    Ok(ExitCode::Done)
}

fn device_list(args: &DirArgs, app: &mut App) -> Result<ExitCode, CliError> {
    let replica = open(app, &args.dir)?;
    let rows = devices::rows(replica.engine.charter(), &replica.store).map_err(|e| e.into_cli(app.lang))?;
    if app.json {
        for row in &rows {
            app.out.json(row)?;
        }
        return Ok(ExitCode::Done);
    }
    let ids = [
        "devices.device",
        "devices.holder",
        "org.unit",
        "devices.role",
        "devices.collections",
        "devices.from",
        "devices.until",
        "devices.revoked",
        "devices.last_seen",
        "devices.note",
    ];
    let headings = ids.map(|id| app.t(id, &[]));
    let headings: Vec<&str> = headings.iter().map(String::as_str).collect();
    let cells: Vec<Vec<String>> = rows
        .into_iter()
        .map(|r| {
            let or_empty = Option::unwrap_or_default;
            let at = |stamp: Option<String>| stamp.map(|at| format_stamp(app.lang, &at)).unwrap_or_default();
            let note = match (&r.replaced_by, r.to_retire) {
                (Some(by), _) => app.t("devices.replaced", &[("by", &by[..12])]),
                (None, true) => app.t("devices.replacement_invited", &[]),
                (None, false) => String::new(),
            };
            vec![
                r.device,
                or_empty(r.holder),
                r.path,
                r.role,
                r.collections.unwrap_or_default().join(","),
                format_stamp(app.lang, &r.from),
                at(r.until),
                at(r.revoked_at),
                at(r.last_seen),
                note,
            ]
        })
        .collect();
    app.out.table(&headings, &cells)?;
    Ok(ExitCode::Done)
}

fn revoke(args: &RevokeArgs, app: &mut App) -> Result<ExitCode, CliError> {
    let mut replica = open(app, &args.dir)?;
    let kind = match (args.lost, args.retire) {
        (true, _) => CutKind::Lost,
        (_, true) => CutKind::Retire,
        (false, false) => CutKind::Revoke,
    };
    let done = devices::revoke(app, &mut replica, &args.device, kind, &args.reason)?;
    let (device, logs) = (done.device.to_string(), done.logs.to_string());
    if app.json {
        let unheld: Vec<&String> = done.unheld.keys().collect();
        app.out.json(&json!({
            "device": device, "revoked": done.new, "kind": kind.name(), "logs": done.logs, "not_held": unheld,
        }))?;
    }
    let said = if done.new { "revoke.done" } else { "revoke.already" };
    app.say(said, &[("device", &device), ("logs", &logs)]);
    if !done.unheld.is_empty() {
        let names: Vec<&str> = done.unheld.keys().map(String::as_str).collect();
        app.say("revoke.not_held", &[("names", &names.join(", "))]);
    }
    Ok(ExitCode::Done)
}

fn narrow_grant(args: &NarrowArgs, app: &mut App) -> Result<ExitCode, CliError> {
    let mut replica = open(app, &args.dir)?;
    let unit = resolve::unit(app.lang, replica.engine.charter(), &args.unit)?;
    let roles = (!args.role.is_empty()).then(|| resolve::roles(app.lang, &args.role)).transpose()?;
    let request = narrow::Request {
        device: &args.device,
        unit,
        roles,
        collections: &args.collections,
        until: args.until.as_deref(),
        reason: &args.reason,
    };
    let left = narrow::narrow(app, &mut replica, &request)?;
    let (device, role) = (left.device.to_string(), left.roles.names().join(","));
    if app.json {
        app.out.json(&json!({
            "device": device,
            "unit": unit.to_string(),
            "role": role,
            "collections": left.collections,
            "until": left.until.map(when::rfc3339),
            "logs": left.logs,
            "not_held": left.unheld,
        }))?;
    }
    app.say("narrow.done", &[("device", &device), ("role", &role), ("logs", &left.logs.to_string())]);
    if !left.unheld.is_empty() {
        app.say("revoke.not_held", &[("names", &left.unheld.join(", "))]);
    }
    Ok(ExitCode::Done)
}
