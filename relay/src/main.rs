//! `sampan-relay`: the program of a level that has levels below it.
//!
//! It does not: anything but hand the process's arguments, environment and stdout to the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = std::env::args_os().collect();
    let env = |name: &str| std::env::var(name).ok();
    sampan_relay::cli::run(arguments, &env, &mut std::io::stdout()).into()
}
