//! Where a command's passphrase comes from: the flag, the environment, or the person at the terminal.
//!
//! It does not: read or try it; the keys do, when one of them is locked.
//!
//! Invariants: nothing is asked where nobody sits: without a terminal, or with `--json`.

use super::App;
use super::args::GlobalArgs;
use crate::keys::unlock::{self, Source};
use std::io::IsTerminal as _;
use std::path::PathBuf;

/// The variable that names a file, as `--passphrase-file` does.
pub const FILE_VARIABLE: &str = "SAMPAN_PASSPHRASE_FILE";

/// Tells the keys where the passphrase is to be had, should one of them ask.
pub fn offer(app: &App, global: &GlobalArgs) {
    let variable = || (app.env)(FILE_VARIABLE).filter(|t| !t.is_empty()).map(PathBuf::from);
    let file = global.passphrase_file.clone().or_else(variable);
    let prompt = (!app.json && at_terminal()).then(|| app.t("passphrase.prompt", &[]));
    unlock::offer(Source { file, prompt });
}

/// Whether somebody sits there.
#[must_use]
pub fn at_terminal() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}
