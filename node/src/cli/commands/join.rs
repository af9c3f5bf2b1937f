//! `join`: a ticket makes a replica of a folder, or one more grant of its device.
//!
//! It does not: judge the ticket's expiry or whether it was used (relays do).
//!
//! Invariants: a ticket that is refused, at the desk or by a relay, leaves nothing written.

use super::common::OrCli;
use super::link;
use crate::cli::args::{JoinArgs, TicketArgs};
use crate::cli::exit::{CliError, ExitCode};
use crate::cli::{App, codes};
use crate::config::{ConfigFile, Settings};
use crate::dir::{Dir, Found, Running};
use crate::keys::{self, KeyKind};
use crate::link::SyncFailure;
use crate::replica::{Replica, ReplicaError};
use data_encoding::BASE32_NOPAD;
use sampan_core::charter::Ticket;
use sampan_core::charter::ticket::{PREFIX, TicketError};
use sampan_core::engine::{TicketFate, meta};
use sampan_core::store::{Batch, Store};
use sampan_core::wire::WireError;
use serde_json::json;
use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

/// Bytes of the check sum behind a ticket's body.
const CHECK_BYTES: usize = 4;

/// Bytes of a file that is read for a ticket: the longest ticket, and the line ends of a broken one.
const TICKET_FILE_BYTES_MAX: u64 = 16 << 10;

/// What the ticket's relays said, if one could be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AfterJoin {
    /// A relay let the device in, and both ends hold the same.
    Verified,
    /// None answered; the first `sync` confirms.
    Offline {
        /// What was tried, in words.
        why: String,
    },
    /// A relay refused.
    Refused {
        /// Why, as a code.
        code: &'static codes::Code,
        /// The relay's sentence.
        text: String,
    },
}

/// Dials the relays of the ticket once, for up to `timeout`.
///
/// # Errors
/// When no socket or thread is to be had, or the folder is in use by a daemon.
pub fn after_join(replica: &mut Replica, timeout: Duration, app: &App) -> Result<AfterJoin, CliError> {
    if let Running::Daemon(_) = replica.dir().running().or_cli(app)? {
        // The daemon keeps the link; it will say the new grant with its next session.
        crate::control::nudge(replica.dir());
        return Ok(AfterJoin::Offline { why: app.t("sync.daemon", &[]) });
    }
    let lock = replica.dir().lock().or_cli(app)?;
    let second = Replica::open(replica.dir().root(), &Settings::default()).or_cli(app)?;
    let (_, (_, result)) = link::alone(second, lock, None, timeout, app.lang)?;
    replica.catch_up().or_cli(app)?;
    Ok(match result {
        Ok(()) => AfterJoin::Verified,
        Err(SyncFailure::Refused(word, text)) => AfterJoin::Refused { code: link::code_of(&word), text },
        Err(failure) => AfterJoin::Offline { why: failure.to_string() },
    })
}

/// Runs `join` and asks the relays with [`after_join`].
pub(super) fn join(args: &JoinArgs, app: &mut App) -> Result<ExitCode, CliError> {
    join_with(args, Settings::default(), app, &mut after_join)
}

/// Asks the relays after a join.
pub type Ask<'a> = dyn FnMut(&mut Replica, Duration, &App) -> Result<AfterJoin, CliError> + 'a;

/// Runs `join` for any program; `ask` dials. `settings` are those of a folder that is made.
///
/// # Errors
/// A ticket that is none, of another organisation, or refused; what the folder refuses.
pub fn join_with(args: &JoinArgs, settings: Settings, app: &mut App, ask: &mut Ask<'_>) -> Result<ExitCode, CliError> {
    let ticket = read_ticket(app, &ticket_line(app, &args.ticket)?)?;
    let before = Before::look(app, &args.dir, &ticket)?;
    let mut replica = Replica::join(&args.dir, &ticket, settings).map_err(|e| refusal(app, &args.dir, e))?;
    let said = ask(&mut replica, Duration::from_secs(args.timeout), app)?;
    if let AfterJoin::Refused { code, text } = &said {
        let error =
            app.error(code, &[("when", ""), ("what", text), ("reason", text)]).at(args.dir.display().to_string());
        before.restore(app, replica)?;
        return Err(error);
    }
    // A device with other rights is let in whatever became of this ticket: the charter tells.
    if said == AfterJoin::Verified
        && let Some(code) = spent(app, &replica, &ticket)?
    {
        let error = app.error(code, &[("when", ""), ("what", ""), ("reason", "")]);
        before.restore(app, replica)?;
        return Err(error.at(args.dir.display().to_string()));
    }
    super::common::written(&replica);
    crate::recovery::refreshed(&replica);
    if app.json {
        app.out.json(&json!({
            "organisation": ticket.org.to_string(),
            "unit": ticket.unit.to_string(),
            "device": replica.device().to_string(),
        }))?;
    }
    let added = matches!(before, Before::Ours { .. });
    app.say(if added { "join.added" } else { "join.done" }, &[("unit", &ticket.unit_name)]);
    if let AfterJoin::Offline { why } = &said {
        let addresses: Vec<&str> = ticket.relays.iter().flat_map(|r| &r.addresses).map(String::as_str).collect();
        let tried = if why.is_empty() { addresses.join(", ") } else { why.clone() };
        app.say("join.offline", &[("tried", &tried)]);
    }
    Ok(ExitCode::Done)
}

/// What is wrong with a ticket that a relay, which let this device in, has seen.
fn spent(app: &App, replica: &Replica, ticket: &Ticket) -> Result<Option<&'static codes::Code>, CliError> {
    let key = sampan_core::log::device_id(&ed25519_dalek::SigningKey::from_bytes(&ticket.seed));
    let now = replica.label().or_cli(app)?;
    Ok(match replica.engine.ticket_fate(&replica.store, &ticket.unit, &key, now).or_cli(app)? {
        TicketFate::Counts | TicketFate::Unheard => None,
        TicketFate::Used => Some(&codes::TICKET_USED),
        TicketFate::Expired => Some(&codes::TICKET_EXPIRED),
    })
}

/// The text of a ticket that was named: the argument itself, or what a file holds (`@FILE` or
/// `--ticket-file FILE`). A file may have been made by any editor: a mark of its encoding and line ends
/// around the line are left out.
///
/// # Errors
/// `file_unreadable`, `ticket_not` for a file that is no text or far too long for a ticket.
pub fn ticket_line(app: &App, args: &TicketArgs) -> Result<String, CliError> {
    let by_sign = args.ticket.as_deref().and_then(|t| t.strip_prefix('@')).map(Path::new);
    let Some(path) = args.file.as_deref().or(by_sign) else {
        return Ok(args.ticket.clone().unwrap_or_default());
    };
    let name = path.display().to_string();
    let mut bytes = Vec::new();
    let read = std::fs::File::open(path).and_then(|f| f.take(TICKET_FILE_BYTES_MAX + 1).read_to_end(&mut bytes));
    read.map_err(|e| {
        app.error(&codes::FILE_UNREADABLE, &[("file", &name), ("reason", &e.to_string())]).at(name.clone())
    })?;
    let no_ticket = || app.error(&codes::TICKET_NOT, &[("what", &name)]).at(name.clone());
    if bytes.len() as u64 > TICKET_FILE_BYTES_MAX {
        return Err(no_ticket());
    }
    let text = String::from_utf8(bytes).map_err(|_| no_ticket())?;
    Ok(text.trim_start_matches('\u{feff}').trim().to_owned())
}

/// Reads a ticket, and tells one that was cut from one that was altered.
///
/// # Errors
/// A text that is no ticket of this version.
pub fn read_ticket(app: &App, text: &str) -> Result<Ticket, CliError> {
    Ticket::decode(text).map_err(|e| match e {
        TicketError::NotATicket => {
            let shown: String = text.chars().take(24).collect();
            app.error(&codes::TICKET_NOT, &[("what", &shown)])
        }
        TicketError::Damaged if is_cut(text) => app.error(&codes::TICKET_CUT, &[]),
        TicketError::Damaged | TicketError::TooLong(_) => app.error(&codes::TICKET_ALTERED, &[]),
        TicketError::Newer(_) => app.error(&codes::TICKET_NEWER, &[]),
    })
}

/// Whether what is there ends inside the ticket's body.
fn is_cut(text: &str) -> bool {
    let line: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    let digits = line.strip_prefix(PREFIX).unwrap_or_default().to_uppercase();
    // Whole groups of eight digits alone: a cut, or a slip in the last digit, spoils only the group it
    // is in, and what is left out is never more than the check sum.
    let whole = digits.get(..digits.len() / 8 * 8).unwrap_or_default();
    let Ok(bytes) = BASE32_NOPAD.decode(whole.as_bytes()) else { return false };
    let body = match sampan_core::wire::decode::<Ticket>("ticket", &bytes) {
        Ok(_) => bytes.len(),
        Err(WireError::Trailing { extra, .. }) => bytes.len() - extra,
        Err(WireError::Malformed { why, .. }) => return why.contains("end of input"),
        Err(WireError::NotCanonical { .. } | WireError::Limit { .. }) => return false,
    };
    digits.len() < BASE32_NOPAD.encode_len(body + CHECK_BYTES)
}

fn refusal(app: &App, dir: &Path, error: ReplicaError) -> CliError {
    let place = dir.display().to_string();
    match error {
        ReplicaError::OtherOrganisation => app.error(&codes::TICKET_OTHER_ORG, &[("dir", &place)]).at(place),
        other => {
            Err::<(), _>(other).or_cli(app).err().unwrap_or_else(|| app.error(&codes::INTERNAL, &[("what", "join")]))
        }
    }
}

/// What stood in the folder before, to be put back.
enum Before {
    /// Nothing: what a join made goes again. Whether the folder itself was there.
    Free { folder: bool },
    /// A replica: its file, and its facts that a join writes.
    Ours { file: Box<ConfigFile>, facts: BTreeMap<String, Option<Vec<u8>>> },
}

impl Before {
    fn look(app: &App, path: &Path, ticket: &Ticket) -> Result<Self, CliError> {
        match Dir::look(path).or_cli(app)? {
            // Something else is refused by `Replica::join`, which writes nothing.
            Found::Free | Found::Foreign => Ok(Self::Free { folder: path.exists() }),
            Found::Ours => {
                let replica = Replica::open(path, &Settings::default()).or_cli(app)?;
                if replica.engine.org() != ticket.org {
                    return Err(refusal(app, path, ReplicaError::OtherOrganisation));
                }
                let key = sampan_core::log::device_id(&ed25519_dalek::SigningKey::from_bytes(&ticket.seed));
                let used = replica.engine.charter().ticket(&key).and_then(|t| t.used_by);
                if used.is_some_and(|by| by != replica.device()) {
                    return Err(app.error(&codes::TICKET_USED, &[]));
                }
                let mut facts = BTreeMap::new();
                for name in [
                    meta::JOINED_UNIT.to_owned(),
                    meta::ADMITTED.to_owned(),
                    meta::chain(&ticket.unit),
                    meta::ticket_box(&ticket.unit),
                    meta::spent(&key),
                ] {
                    let fact = replica.store.meta(&name).or_cli(app)?;
                    facts.insert(name, fact);
                }
                Ok(Self::Ours { file: Box::new(replica.file().clone()), facts })
            }
        }
    }

    fn restore(self, app: &App, mut replica: Replica) -> Result<(), CliError> {
        match self {
            Self::Free { folder } => {
                let dir = replica.dir().clone();
                // The database is closed before its file goes.
                drop(replica);
                debug_assert!(keys::exists(&dir.keys(), KeyKind::Device));
                dir.discard(!folder).or_cli(app)
            }
            Self::Ours { file, facts } => {
                replica.store.write(&Batch { meta: facts, ..Batch::default() }).or_cli(app)?;
                replica.change_file(|f| *f = *file).or_cli(app)
            }
        }
    }
}
