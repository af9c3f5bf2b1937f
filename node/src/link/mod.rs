//! The links upward, one for each way: whom to dial, one session, and links that are kept.
//!
//! It does not: know frames (`pump` only carries them) or hold the store (`desk` does).

pub mod keep;
pub mod once;
pub mod pace;
pub mod patience;
pub mod plan;
pub mod pump;
pub mod route;

pub use keep::{LinkState, WayLink, keep};
pub use once::{SyncFailure, SyncReport, WayReport, sync_once};
pub use patience::{ASK_AGAIN_AFTER, Patience};
pub use plan::Plan;
pub use pump::{PumpEnd, pump};
pub use route::{Hop, Route, is_top, routes};
