//! `report` at a relay: the node's page, with the call list.
//!
//! It does not: lay out the page (the node does).
//!
//! Invariants: the list is that of `silent`, within the unit that the report is of.

use crate::admin::silent::{Contact, SilentRow, silence};
use sampan_node::cli::args::ReportArgs;
use sampan_node::cli::commands::report as node;
use sampan_node::cli::convert::IntoCli;
use sampan_node::cli::{App, CliError, ExitCode};
use sampan_node::report::model::{SilentLine, SilentPart};

/// Runs `report`.
pub(super) fn report(args: &ReportArgs, app: &mut App) -> Result<ExitCode, CliError> {
    node::report(args, app, &mut |replica, app, days, unit| {
        let found = silence(replica, u64::from(days), Some(unit)).map_err(|e| e.into_cli(app.lang))?;
        Ok(Some(SilentPart {
            days,
            with_device: found.with_device,
            without_device: found.without_device,
            lines: found.rows.iter().map(line).collect(),
        }))
    })
}

fn line(row: &SilentRow) -> SilentLine {
    let contact = |c: &Contact| match &c.phone {
        Some(phone) => format!("{}, {phone}", c.name),
        None => c.name.clone(),
    };
    SilentLine {
        unit: row.name.clone(),
        days: row.days,
        unsent: row.unsent_changes,
        call: row.contacts.iter().map(contact).collect::<Vec<_>>().join("; "),
    }
}
