//! What a schema says of whom to call about a unit.
//!
//! It does not: look for records or dial.
//!
//! Invariants: a rule that parsed names a collection and string fields that exist, and its filter parses.

use super::document::Section;
use super::parse::Reader;
use super::types::Collection;
use crate::value::Kind;
use std::collections::BTreeMap;

/// Where a unit's own records say who answers for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContactRule {
    /// The collection.
    pub of: String,
    /// Which of its records, in the words of `list --where`; empty = all.
    pub filter: String,
    /// The field with a person's name.
    pub name: String,
    /// The field with a telephone number, if there is one.
    pub phone: Option<String>,
}

impl Reader<'_> {
    /// `[contact]`: `of`, `where`, `name`, `phone`; `None` once a problem made it unusable.
    pub(super) fn contact(
        &mut self,
        mut s: Section<'_>,
        collections: &BTreeMap<String, Collection>,
    ) -> Option<ContactRule> {
        let of = self.needed(&mut s, "of");
        let filter = s.string("where", self.problems);
        let name = self.needed(&mut s, "name");
        let phone = s.string("phone", self.problems);
        let path = s.path.clone();
        s.close(self.problems);
        let collection = self.collection_named("of", &of?, &path, collections)?;
        Some(ContactRule {
            of: collection.id.clone(),
            filter: self.filter("where", filter, &path, collection),
            name: self.field_of("name", &name?, &path, collection, &[Kind::String])?,
            phone: phone.and_then(|at| self.field_of("phone", &at, &path, collection, &[Kind::String])),
        })
    }
}
