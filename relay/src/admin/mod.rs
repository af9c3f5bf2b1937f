//! What an admin decides: the organisation, its units, who may do what.
//!
//! It does not: parse command lines or print (see `cli`), or fold the charter (the core does).
//!
//! Invariants: every decision is checked and written inside one transaction that begins with what
//! other processes wrote, so that two admins at one folder never decide past each other; what is
//! refused leaves nothing behind.

pub mod address;
pub mod children;
pub mod devices;
pub mod found;
pub mod handout;
pub mod invite;
pub mod key_line;
pub mod narrow;
pub mod picture;
pub mod quarantine;
pub mod resolve;
pub mod root;
pub mod schema;
pub mod secret_file;
pub mod silent;
pub mod unheld;
pub mod unit_csv;
pub mod units;
pub mod waiting;
pub mod when;

use sampan_core::charter::Roles;
use sampan_core::engine::Engine;
use sampan_core::entropy::Entropy;
use sampan_core::id::UnitId;
use sampan_core::store::StoreError;
use sampan_core::time::Millis;
use sampan_node::cli::convert::IntoCli;
use sampan_node::cli::{App, CliError, codes};
use sampan_node::control::nudge;
use sampan_node::i18n::Lang;
use sampan_node::replica::{Replica, ReplicaError};
use sampan_node::store::SqliteStore;

/// Why a decision was not written: the store failed, or it is refused.
#[derive(Debug)]
pub enum Failure {
    /// The store.
    Store(StoreError),
    /// Refused, in words.
    Refused(Box<CliError>),
}

impl From<StoreError> for Failure {
    fn from(e: StoreError) -> Self {
        Self::Store(e)
    }
}

impl From<CliError> for Failure {
    fn from(e: CliError) -> Self {
        Self::Refused(Box::new(e))
    }
}

impl Failure {
    /// The error that is shown.
    #[must_use]
    pub fn into_cli(self, lang: Lang) -> CliError {
        match self {
            Self::Store(e) => e.into_cli(lang),
            Self::Refused(e) => *e,
        }
    }
}

/// What a decision works on, inside its transaction.
pub struct Desk<'a> {
    /// The store.
    pub store: &'a mut SqliteStore,
    /// The engine, caught up.
    pub engine: &'a mut Engine,
    /// Randomness.
    pub rng: &'a mut dyn Entropy,
    /// The label of the decision.
    pub now: Millis,
}

impl Desk<'_> {
    /// Refuses unless this device is admin of a unit; `what` names the right in the catalogue.
    ///
    /// # Errors
    /// `no_right`.
    pub fn require_admin(&self, lang: Lang, unit: &UnitId, what: &str) -> Result<(), CliError> {
        let charter = self.engine.charter();
        if charter.roles(&self.engine.device(), unit).contains(Roles::ADMIN) {
            return Ok(());
        }
        Err(no_right(lang, what, &charter.path(unit)))
    }
}

/// The refusal of someone without the right that the catalogue calls `what`.
#[must_use]
pub fn no_right(lang: Lang, what: &str, unit: &str) -> CliError {
    let what = sampan_node::i18n::t(lang, what, &[("unit", unit)]);
    CliError::new(lang, &codes::NO_RIGHT, &[("what", &what)])
}

/// Runs a decision in one transaction on the newest state of the folder, and knocks at its daemon.
///
/// # Errors
/// What the decision refuses; nothing was written.
pub fn decide<R>(
    app: &App,
    replica: &mut Replica,
    decision: impl FnOnce(&mut Desk) -> Result<R, Failure>,
) -> Result<R, CliError> {
    let now = replica.label().map_err(|e| e.into_cli(app.lang))?;
    let Replica { store, engine, rng, .. } = replica;
    let done: Result<R, Failure> = store.group(|store| {
        engine.catch_up(store)?;
        let void = engine.charter().void().len();
        let result = decision(&mut Desk { store, engine, rng, now })?;
        // Every decision was checked before; one that the fold still voids is the grant's own limit.
        if engine.charter().void().len() > void {
            return Err(no_right(app.lang, "right.outlast", "").into());
        }
        Ok(result)
    });
    match done {
        Ok(result) => {
            nudge(replica.dir());
            Ok(result)
        }
        Err(failure) => {
            // What the engine remembers of the undone transaction must go as well.
            let Replica { store, engine, .. } = replica;
            engine.reload(store).map_err(|e| e.into_cli(app.lang))?;
            Err(failure.into_cli(app.lang))
        }
    }
}

/// Opens the replica of a folder.
///
/// # Errors
/// In words.
pub fn open(app: &App, dir: &std::path::Path) -> Result<Replica, CliError> {
    sampan_node::cli::commands::common::database_is_there(app, dir)?;
    Replica::open(dir, &sampan_node::config::Settings::default()).map_err(|e| in_words(app, e))
}

/// A replica's error in words.
#[must_use]
pub fn in_words(app: &App, error: ReplicaError) -> CliError {
    error.into_cli(app.lang)
}
