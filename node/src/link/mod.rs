//! The link upward: whom to dial, one session, and a link that is kept.
//!
//! It does not: know frames (`pump` only carries them) or hold the store (`desk` does).

pub mod keep;
pub mod once;
pub mod pace;
pub mod patience;
pub mod plan;
pub mod pump;
pub mod route;

pub use keep::{LinkState, keep};
pub use once::{SyncFailure, SyncReport, sync_once};
pub use patience::{ASK_AGAIN_AFTER, Patience};
pub use plan::Plan;
pub use pump::{PumpEnd, pump};
pub use route::{Hop, route};
