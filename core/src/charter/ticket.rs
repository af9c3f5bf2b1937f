//! Tickets: one line that lets one device join, made without the device and used without a link.
//!
//! It does not: judge its expiry (relays do) or keep a used ticket from being shown again (the fold
//! lets the first enrolment stand).
//!
//! Format: `sampan:` and base32 (RFC 4648, lowercase, no padding) of the CBOR body followed by the
//! first 4 bytes of its tagged BLAKE3 `ticket`.

use crate::hash::tagged;
use crate::id::{OrgId, UnitId};
use crate::limits::TICKET_CHARS_MAX;
use crate::time::Millis;
use crate::wire::{
    self,
    frame::{Group, RelayAddress},
};
use data_encoding::BASE32_NOPAD;

/// What opens every ticket.
pub const PREFIX: &str = "sampan:";
const CHECK: usize = 4;

/// A ticket.
#[derive(Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct Ticket {
    /// The organisation.
    #[n(0)]
    pub org: OrgId,
    /// The organisation's name, to be shown before anything was synced.
    #[n(1)]
    pub org_name: String,
    /// The unit.
    #[n(2)]
    pub unit: UnitId,
    /// The unit's name, likewise.
    #[n(3)]
    pub unit_name: String,
    /// Seed of the one-time key: who has the ticket has the right.
    #[cbor(n(4), with = "minicbor::bytes")]
    pub seed: [u8; 32],
    /// The commit that grants the one-time key its right.
    #[n(5)]
    pub grant: Group,
    /// Relays to dial, nearest first.
    #[n(6)]
    pub relays: Vec<RelayAddress>,
    /// Until when relays accept it, to be shown.
    #[n(7)]
    pub use_by: Option<Millis>,
    /// Depth of the unit, to compute its level before the charter has come.
    #[n(8)]
    pub depth: u8,
    /// Whether the right is a relay's.
    #[n(9)]
    pub relay: bool,
}

impl std::fmt::Debug for Ticket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The seed is a secret: it never reaches a log.
        f.debug_struct("Ticket").field("org", &self.org).field("unit", &self.unit).finish_non_exhaustive()
    }
}

/// Why a text is no ticket.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TicketError {
    /// Another kind of text.
    #[error("this is not a ticket: a ticket is one line that starts with '{PREFIX}'")]
    NotATicket,
    /// Longer than any ticket.
    #[error(
        "this ticket has {0} characters, more than TICKET_CHARS_MAX of {TICKET_CHARS_MAX}: copy the one line again"
    )]
    TooLong(usize),
    /// The end is missing.
    #[error("this ticket was cut or altered on the way (its check sum does not fit): copy the whole line again")]
    Damaged,
    /// A later form.
    #[error("this ticket is of a form that this version does not read ({0}): install the newer Sampan")]
    Newer(String),
}

impl Ticket {
    /// The line to print.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut body = wire::encode(self);
        let check = tagged("ticket", &[&body]);
        body.extend_from_slice(&check[..CHECK]);
        format!("{PREFIX}{}", BASE32_NOPAD.encode(&body).to_lowercase())
    }

    /// Reads a line; white space around and inside it (from a broken line) is ignored.
    ///
    /// # Errors
    /// [`TicketError`], saying whether the text is another thing, cut or altered.
    pub fn decode(text: &str) -> Result<Self, TicketError> {
        let line: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        if line.len() > TICKET_CHARS_MAX {
            return Err(TicketError::TooLong(line.len()));
        }
        let body = line.strip_prefix(PREFIX).ok_or(TicketError::NotATicket)?;
        let bytes = BASE32_NOPAD.decode(body.to_uppercase().as_bytes()).map_err(|_| TicketError::Damaged)?;
        let at = bytes.len().checked_sub(CHECK).ok_or(TicketError::Damaged)?;
        let (body, check) = bytes.split_at(at);
        if tagged("ticket", &[body])[..CHECK] != *check {
            return Err(TicketError::Damaged);
        }
        wire::decode("ticket", body).map_err(|e| TicketError::Newer(e.to_string()))
    }
}
