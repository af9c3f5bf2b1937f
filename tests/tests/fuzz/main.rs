//! Every decoder, and a live session, against bytes of chance.
//!
//! It does not: prove what a decoder means (`vectors` and the unit tests do).
//!
//! A target is a function from bytes to a verdict; what needs structure draws it from the bytes (`draw`),
//! so that one corpus serves every engine:
//! - in the ordinary tests (`engine`): the committed corpus in `corpus/TARGET/`, then a fixed number of
//!   seeded inputs made from it. `SAMPAN_FUZZ_TIMES=100` makes that a hundred times more,
//!   `SAMPAN_FUZZ_SEED=7` other inputs, `SAMPAN_FUZZ_INPUT=FILE` just this one;
//! - coverage guided, by command: `cargo install cargo-bolero`, a nightly toolchain and a C++ compiler, then
//!   `cargo bolero test -p sampan-tests TARGET --toolchain nightly --sanitizer NONE --corpus-dir /tmp/TARGET -T 10m`
//!   (with a folder that starts as a copy of the committed corpus: what it learns is large).
//!
//! Invariants: nothing here depends on elapsed time, an unordered map or the machine's randomness: the
//! same seed tries the same inputs. Every past crash stays in the corpus under a telling name.

mod bent;
mod bundles;
mod changes;
mod charter;
mod columns;
mod draw;
mod engine;
mod forged;
mod frames;
#[path = "../vectors/memory.rs"]
mod memory;
mod packs;
#[path = "../vectors/samples.rs"]
#[allow(dead_code)] // The vectors use all of it.
mod samples;
mod seeds;
mod session;
mod sets;
mod stored;
mod tables;
mod texts;
mod world;

/// Makes a test of each target, and the list of all.
macro_rules! targets {
    ($($(#[$doc:meta])* $name:ident = $check:path, $times:literal, $len:literal;)*) => {
        $($(#[$doc])* #[test]
        fn $name() {
            if engine::guided() {
                bolero::check!().for_each($check as fn(&[u8]));
            } else {
                engine::bounded(stringify!($name), $times, $len, $check);
            }
        })*

        /// The targets' names.
        pub const NAMES: &[&str] = &[$(stringify!($name)),*];
    };
}

// Name, check, inputs in an ordinary run (together a few seconds), greatest length.
targets! {
    /// Every frame of the wire.
    frames = frames::check, 1500, 4096;
    /// Everything that is stored or signed in a form of its own.
    stored = stored::check, 800, 4096;
    /// Packs from anywhere.
    packs = packs::read, 1500, 4096;
    /// Packs of generated payloads.
    packs_made = packs::made, 300, 2048;
    /// Columnar packs of what Automerge writes.
    packs_in_columns = columns::made, 120, 1024;
    /// Single changes, against Automerge.
    changes = changes::check, 600, 2048;
    /// The last change of a real history, bent.
    changes_bent = bent::check, 120, 256;
    /// Sets of changes in any order.
    change_sets = sets::check, 50, 256;
    /// Charters of hostile operations in any order.
    charter = charter::check, 60, 512;
    /// Tickets as text.
    ticket = texts::ticket, 500, 2048;
    /// Rows to import.
    csv = tables::csv, 400, 2048;
    /// Lists of units to import.
    unit_csv = tables::units, 200, 1024;
    /// Schema files.
    schema = texts::schema, 250, 4096;
    /// `where` expressions.
    filter = texts::filter, 800, 512;
    /// `field=value`.
    assignment = texts::assignment, 600, 512;
    /// `sampan.toml`.
    config = texts::config, 400, 1024;
    /// Dates, numbers, cells and JSON of every kind of field.
    values = texts::values, 400, 256;
    /// Bundle files, bent.
    bundle = bundles::bent, 300, 512;
    /// What a rightful neighbour may put into a bundle, at a folder that takes it in.
    bundle_taken = bundles::taken, 25, 512;
    /// A live relay that is told anything.
    session_upper = session::upper, 12, 512;
    /// A live branch that is told anything.
    session_lower = session::lower, 12, 512;
}
