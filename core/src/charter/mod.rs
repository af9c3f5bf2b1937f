//! The charter: the authority log, its operations, its fold, and the tickets that lead into it.
//!
//! It does not: know records or clocks; the tree log (moves, merges, splits) is a later room.

pub mod fold;
pub mod op;
pub mod ticket;

pub use fold::{Charter, Published, Right, Succession, Ticket as TicketState, Unit, VoidOp};
pub use op::{Grant, Holder, Op, Roles};
pub use ticket::{Ticket, TicketError};
