//! The catalogue: every message, gathered from one table a topic.
//!
//! It does not: hold words itself.

use super::{Message, audit, bundle, erase, errors, figures, files, help, records, relay, report, rest, schema, words};

/// One entry of a table.
pub(super) const fn m(id: &'static str, vi: &'static str, en: &'static str) -> Message {
    Message { id, vi, en }
}

/// Every message.
pub(super) fn all() -> impl Iterator<Item = &'static Message> {
    errors::ERRORS
        .iter()
        .chain(help::HELP)
        .chain(words::WORDS)
        .chain(records::RECORDS)
        .chain(relay::RELAY)
        .chain(bundle::BUNDLE)
        .chain(audit::AUDIT)
        .chain(erase::ERASE)
        .chain(figures::FIGURES)
        .chain(report::REPORT)
        .chain(files::FILES)
        .chain(schema::SCHEMA)
        .chain(rest::REST)
}
