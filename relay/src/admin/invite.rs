//! Invitations: one ticket for one device.
//!
//! It does not: let anyone in (the door does, by the charter) or send the ticket.
//!
//! Invariants: a ticket that would not fit one message is never granted.

use super::{Failure, decide, found::checked_name, when};
use sampan_core::charter::Roles;
use sampan_core::date::Date;
use sampan_core::engine::InviteRequest;
use sampan_core::id::UnitId;
use sampan_core::limits::TICKET_CHARS_MAX;
use sampan_core::time::Millis;
use sampan_node::cli::{App, CliError, codes};
use sampan_node::replica::Replica;

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
}

/// Grants a one-time key its right and gives its ticket.
///
/// # Errors
/// `no_right`, `bad_date`, `date_past`, `limit`; nothing was written.
pub fn invite(app: &App, replica: &mut Replica, request: &Request) -> Result<Invitation, CliError> {
    let holder = checked_name(app, "--holder", request.holder)?.to_owned();
    let now = replica.label().map_err(|e| Failure::Store(e).into_cli(app.lang))?;
    let until = request.until.map(|text| day(app, "--until", text, now)).transpose()?;
    let use_by = match request.use_by {
        Some(text) => day(app, "--use-by", text, now)?,
        None => Millis(now.0 + USE_BY_DEFAULT_MS),
    };
    let wanted = InviteRequest {
        unit: request.unit,
        roles: request.roles,
        subtree: request.subtree,
        holder,
        until,
        use_by: Some(use_by),
        collections: None,
        replaces: None,
    };
    decide(app, replica, |desk| {
        desk.require_admin(app.lang, &wanted.unit, "right.invite")?;
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
            has_relay: !ticket.relays.is_empty(),
        })
    })
}

/// The end of a day that must not be over.
fn day(app: &App, field: &str, text: &str, now: Millis) -> Result<Millis, CliError> {
    let bad = || app.error(&codes::BAD_DATE, &[("field", field), ("given", text)]).at(field);
    let end = when::end_of(Date::parse_typed(text).map_err(|_| bad())?);
    match end {
        Some(end) if end > now => Ok(end),
        Some(_) | None => Err(app.error(&codes::DATE_PAST, &[("given", text)]).at(field)),
    }
}
