//! The charter: the authority log, its operations, its fold, and the tickets that lead into it.
//!
//! It does not: know records or clocks; the tree log (moves, merges, splits) is a later room.

pub mod cut;
pub mod erase;
pub mod fold;
pub mod op;
pub mod ticket;

pub use cut::{Cut, CutKind, CutLog};
pub use erase::{Erased, Erasure};
pub use fold::{
    Carried, Carrier, Charter, Published, Right, StandingCut, Succession, Ticket as TicketState, Unit, VoidOp, Word,
};
pub use op::{Grant, Holder, Op, Roles};
pub use ticket::{Ticket, TicketError};
