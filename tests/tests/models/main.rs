//! Small models, exhaustively: every interleaving of a few operations, against the real engine where
//! the engine can be run, and in a model of disks and links where only crashes show what matters.
//!
//! They do not: draw anything at random, open a socket or a file, or know what the stories tell.
//!
//! Invariants: a run covers its whole bounded space or fails; a failure prints the shortest sequence
//! of steps that leads to it.

mod authority;
mod cuts;
mod desk;
mod ends;
mod explore;
mod forks;
mod merge;
mod orders;
mod plain;
mod sealing;
