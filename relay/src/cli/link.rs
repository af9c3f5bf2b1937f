//! `run` and `sync` of a relay, and the first dialling of its `join`.
//!
//! It does not: serve (`crate::serve`) or know how a session works.
//!
//! Invariants: `ready ADDR` is printed when it accepts, and names the bound address.

use super::args::RunArgs;
use super::status::status_json;
use sampan_node::cli::commands::link::{failed, runtime};
use sampan_node::cli::convert::IntoCli as _;
use sampan_node::cli::{App, CliError, ExitCode, codes};
use sampan_node::config::{Config, RELAY_CACHE_MB, Settings};
use sampan_node::daemon::{StatusWriter, until_stopped};
use sampan_node::replica::Replica;
use std::sync::Arc;

/// Runs the relay until it is told to stop.
///
/// # Errors
/// When the folder is in use, or an address cannot be listened on.
pub fn run(args: &RunArgs, app: &mut App) -> Result<ExitCode, CliError> {
    let lang = app.lang;
    let flags = Settings { listen: args.listen, web: args.web, ..Settings::default() };
    let defaults = Config { cache_mb: RELAY_CACHE_MB, ..Config::default() };
    let replica = Replica::open_over(defaults, &args.dir, &flags).map_err(|e| e.into_cli(lang))?;
    let side = sampan_core::scope::Side::of(replica.engine.charter(), &replica.device());
    if !replica.engine.is_blank() && side.relay_units.is_empty() {
        let what = app.t("right.relay", &[]);
        return Err(app.error(&codes::NO_RIGHT, &[("what", &what)]).at(args.dir.display().to_string()));
    }
    sampan_node::recovery::refreshed(&replica);
    let lock = replica.dir().lock().map_err(|e| e.into_cli(lang))?;
    let level = replica.config().log.clone();
    sampan_node::observe::install(&replica.dir().logs(), "relay", &level).map_err(|e| failed(lang, &e.to_string()))?;
    let (listen, web) = (replica.config().listen, replica.config().web);
    let status: StatusWriter = Arc::new(status_json);
    runtime(lang)?.block_on(async {
        let relay = crate::serve::start(replica, lock, listen, web, status)
            .await
            .map_err(|e| failed(lang, &format!("{e:#}")))?;
        app.out.line(&format!("ready {}", relay.listen))?;
        app.out.flush()?;
        if let Some(web) = relay.daemon.web {
            app.say("relay.web", &[("address", &web.to_string())]);
        }
        until_stopped().await;
        relay.daemon.stop().await;
        Ok(ExitCode::Done)
    })
}
