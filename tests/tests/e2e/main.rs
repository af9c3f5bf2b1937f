//! The real binaries end to end: processes, sockets, disks.
//!
//! They do not: use the libraries, but for generated data, the list of commands and plain SQL over a replica's database.

mod at_rest;
mod backup;
mod bad_input;
mod bad_links;
mod bundles;
mod cooperative;
mod copies;
mod crash;
mod cuts;
mod damage;
mod deposit;
mod due;
#[cfg(feature = "encryption")]
mod encryption;
mod enrol;
mod erase;
mod every_command;
mod evidence;
mod files;
mod kills;
mod large;
mod levels;
mod links;
mod one_pc;
mod quarter;
mod readme;
mod recovery;
mod report;
mod rollup;
mod schema;
mod seen;
mod silent;
mod small;
mod taken;
mod waiting;
mod ways;
mod words;
mod world;
