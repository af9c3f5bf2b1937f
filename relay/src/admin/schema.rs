//! The organisation's schema: looking at it, checking the next version, publishing it.
//!
//! It does not: migrate records; a schema only grows, and each replica follows the one that its charter shows.
//!
//! Invariants: what may not follow the present version is never published; whether it may is judged inside the
//! transaction that publishes.

use super::{Desk, Failure, decide, no_right};
use sampan_core::charter::{Op, Roles};
use sampan_core::schema::{self, News, Schema, evolve, news};
use sampan_core::store::StoreError;
use sampan_node::cli::{App, CliError, codes};
use sampan_node::replica::Replica;

/// What the folder knows of the schema.
#[derive(Debug, Clone)]
pub struct Present {
    /// The version that was published last, as far as it is known here.
    pub published: u32,
    /// It, where this program can read it.
    pub schema: Option<Schema>,
    /// The file that was published.
    pub text: String,
}

/// The schema of a folder's organisation; `None` while the charter has not come.
#[must_use]
pub fn present(replica: &Replica) -> Option<Present> {
    let published = replica.engine.charter().schema()?;
    Some(Present {
        published: published.version,
        schema: schema::parse(&published.text).ok(),
        text: published.text.to_string(),
    })
}

/// Why `new` may not follow the present version, a sentence each.
///
/// # Errors
/// `no_schema`, `schema_newer`, `schema_follow`.
pub fn may_follow(app: &App, present: Option<&Present>, new: &Schema, file: &str) -> Result<Vec<News>, CliError> {
    let present = present.ok_or_else(|| app.error(&codes::NO_SCHEMA, &[]))?;
    let old = present.schema.as_ref().ok_or_else(|| newer(app, present.published))?;
    match evolve(old, new) {
        Ok(()) => Ok(news(old, new)),
        Err(sentences) => {
            let count = sampan_node::i18n::format_count(app.lang, sentences.len() as u64);
            let version = old.version.to_string();
            let details = sentences.into_iter().map(|s| format!("{file}: {s}")).collect();
            let values = [("file", file), ("version", version.as_str()), ("count", count.as_str())];
            Err(app.error(&codes::SCHEMA_FOLLOW, &values).at(file).with_details(details))
        }
    }
}

/// A schema that only a newer program reads.
fn newer(app: &App, version: u32) -> CliError {
    app.error(&codes::SCHEMA_NEWER, &[("version", &version.to_string())])
}

/// Publishes a schema, if this device is an admin of the root unit and the schema may follow the present one.
///
/// # Errors
/// `no_right`, `no_schema`, `schema_newer`, `schema_follow`; nothing was written.
pub fn publish(app: &App, replica: &mut Replica, new: &Schema, file: &str) -> Result<Vec<News>, CliError> {
    decide(app, replica, |desk: &mut Desk| {
        let charter = desk.engine.charter();
        let root = charter.root().ok_or_else(|| app.error(&codes::NO_SCHEMA, &[]))?;
        if !charter.roles(&desk.engine.device(), &root).contains(Roles::ADMIN) {
            return Err(no_right(app.lang, "right.schema", &charter.path(&root)).into());
        }
        let present = charter.schema().map(|p| Present {
            published: p.version,
            schema: schema::parse(&p.text).ok(),
            text: p.text.to_string(),
        });
        let news = may_follow(app, present.as_ref(), new, file)?;
        let op = Op::Schema { version: new.version, text: new.source.clone() };
        desk.engine.write_charter(desk.store, desk.rng, root, &[op], desk.now)?;
        if desk.engine.charter().schema().is_none_or(|p| p.version != new.version || *p.text != *new.source) {
            return Err(Failure::Store(StoreError::Io(
                "the schema that was written is not the one that stands".to_owned(),
            )));
        }
        Ok::<_, Failure>(news)
    })
}
