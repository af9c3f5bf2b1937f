//! Invitations: one ticket for one device.
//!
//! It does not: let anyone in (the door does, by the charter) or send the ticket.
//!
//! Invariants: a ticket that would not fit one message is never granted.

use super::{Failure, decide, found::checked_name, resolve, when};
use sampan_core::charter::Roles;
use sampan_core::date::Date;
use sampan_core::engine::InviteRequest;
use sampan_core::id::{DeviceId, UnitId};
use sampan_core::limits::TICKET_CHARS_MAX;
use sampan_core::time::Millis;
use sampan_node::cli::convert::unknown_name;
use sampan_node::cli::{App, CliError, codes};
use sampan_node::replica::Replica;
use std::collections::BTreeSet;

/// Milliseconds that a ticket may be used for when nothing is said: a month, as people answer letters.
pub const USE_BY_DEFAULT_MS: u64 = 30 * 24 * 3_600_000;

/// A ticket, made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invitation {
    /// The line.
    pub line: String,
    /// The unit's path.
    pub unit: String,
    /// The strongest names of its rights.
    pub roles: Vec<&'static str>,
    /// Until when it may be used.
    pub use_by: Millis,
    /// The device that is taken over from.
    pub replaces: Option<DeviceId>,
    /// Whether it names a relay to dial.
    pub has_relay: bool,
}

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// The unit.
    pub unit: UnitId,
    /// The rights.
    pub roles: Roles,
    /// Whether they hold below.
    pub subtree: bool,
    /// The holder.
    pub holder: &'a str,
    /// Last day of the rights.
    pub until: Option<&'a str>,
    /// Last day of the ticket.
    pub use_by: Option<&'a str>,
    /// The collections that may be written; empty = all.
    pub collections: &'a [String],
    /// The start of the id of the device that is taken over from.
    pub replaces: Option<&'a str>,
}

/// Grants a one-time key its right and gives its ticket.
///
/// # Errors
/// `no_right`, `bad_date`, `date_past`, `unknown_collection`, `unknown_device`, `usage`, `limit`; nothing was
/// written.
pub fn invite(app: &App, replica: &mut Replica, request: &Request) -> Result<Invitation, CliError> {
    let holder = checked_name(app, "--holder", request.holder)?.to_owned();
    let now = replica.label().map_err(|e| Failure::Store(e).into_cli(app.lang))?;
    let until = request.until.map(|text| day(app, "--until", text, now)).transpose()?;
    let use_by = match request.use_by {
        Some(text) => day(app, "--use-by", text, now)?,
        None => Millis(now.0 + USE_BY_DEFAULT_MS),
    };
    let collections = collections(app, replica, request)?;
    let wanted = InviteRequest {
        unit: request.unit,
        roles: request.roles,
        subtree: request.subtree,
        holder,
        until,
        use_by: Some(use_by),
        collections,
        replaces: None,
    };
    decide(app, replica, |desk| {
        desk.require_admin(app.lang, &wanted.unit, "right.invite")?;
        let charter = desk.engine.charter();
        let replaces = request.replaces.map(|named| {
            // Only a device of this very unit hands over its post.
            let here = charter.all_rights().filter(|(_, r)| r.unit == wanted.unit).map(|(d, _)| *d);
            resolve::device(app.lang, &here.collect(), named)
        });
        let wanted = InviteRequest { replaces: replaces.transpose()?, ..wanted };
        let ticket = desk.engine.invite(desk.store, desk.rng, &wanted, desk.now)?;
        let line = ticket.encode();
        if line.len() > TICKET_CHARS_MAX {
            let limit = format!("TICKET_CHARS_MAX = {TICKET_CHARS_MAX}");
            return Err(app.error(&codes::LIMIT, &[("what", "ticket"), ("limit", &limit)]).into());
        }
        Ok(Invitation {
            line,
            unit: desk.engine.charter().path(&wanted.unit),
            roles: wanted.roles.names(),
            use_by,
            replaces: wanted.replaces,
            has_relay: !ticket.relays.is_empty(),
        })
    })
}

/// The collections that a grant is narrowed to. An admin decides about the unit as a whole: narrowing what it
/// may write would keep nothing from it.
fn collections(app: &App, replica: &Replica, request: &Request) -> Result<Option<BTreeSet<String>>, CliError> {
    if request.collections.is_empty() {
        return Ok(None);
    }
    if request.roles.contains(Roles::ADMIN) || !request.roles.contains(Roles::EDITOR) {
        let what = app.t("usage.collections", &[]);
        return Err(app.error(&codes::USAGE, &[("what", &what), ("help", "sampan-relay invite --help")]));
    }
    known_collections(app, replica, request.collections)
}

/// Collections that a person named, if any; each must be in the schema.
pub(super) fn known_collections(
    app: &App,
    replica: &Replica,
    named: &[String],
) -> Result<Option<BTreeSet<String>>, CliError> {
    if named.is_empty() {
        return Ok(None);
    }
    let schema = replica.engine.schema().ok_or_else(|| app.error(&codes::NO_SCHEMA, &[]))?;
    let known: Vec<&str> = schema.collections.keys().map(String::as_str).collect();
    for name in named {
        if schema.collection(name).is_none() {
            return Err(unknown_name(app.lang, &codes::UNKNOWN_COLLECTION, name, &known, &[]));
        }
    }
    Ok(Some(named.iter().cloned().collect()))
}

/// The end of a day that must not be over.
pub(super) fn day(app: &App, field: &str, text: &str, now: Millis) -> Result<Millis, CliError> {
    let bad = || app.error(&codes::BAD_DATE, &[("field", field), ("given", text)]).at(field);
    let end = when::end_of(Date::parse_typed(text).map_err(|_| bad())?);
    match end {
        Some(end) if end > now => Ok(end),
        Some(_) | None => Err(app.error(&codes::DATE_PAST, &[("given", text)]).at(field)),
    }
}
