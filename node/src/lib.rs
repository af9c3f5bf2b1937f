//! A branch node: the program around the engine.
//!
//! It does not: decide what is true (`sampan_core` does) or serve children (`sampan_relay` does).
//!
//! Invariants: words for people come from [`i18n`]; exit codes and error codes from [`cli`]; nothing
//! outside [`dir`] and [`keys`] knows how DIR is laid out.

pub mod api;
pub mod backup;
pub mod bundle;
pub mod cli;
pub mod codec;
pub mod config;
pub mod control;
pub mod daemon;
pub mod desk;
pub mod dir;
pub mod entropy;
pub mod i18n;
pub mod keys;
pub mod link;
pub mod net;
pub mod observe;
pub mod recovery;
pub mod replica;
pub mod report;
pub mod stamp;
pub mod store;
