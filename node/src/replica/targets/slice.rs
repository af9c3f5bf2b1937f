//! The slice of a target: which part of a metric counts for it.
//!
//! It does not: look at figures.
//!
//! Invariants: what names no dimension of the metric, or could name two, is no slice; an empty one is the whole.

use sampan_core::fold::fold;
use sampan_core::schema::{Collection, Field, Metric};
use sampan_core::value::Kind;
use std::collections::BTreeMap;

/// `VALUE` or `FIELD=VALUE`, several joined by `;`: ids or labels, in any case, with or without diacritics.
pub(super) fn resolve(metric: &Metric, collection: &Collection, text: &str) -> Option<BTreeMap<String, String>> {
    let mut out = BTreeMap::new();
    let fields: Vec<&Field> = metric.by.iter().filter_map(|f| collection.field(f)).collect();
    for part in text.split(';').map(str::trim).filter(|p| !p.is_empty()) {
        let (field, value) = match part.split_once('=') {
            Some((name, value)) => {
                let name = fold(name);
                let named = |f: &&&Field| [&f.id, &f.label.vi, &f.label.en].iter().any(|w| fold(w) == name);
                let field = fields.iter().find(named)?;
                (*field, value_of(field, value.trim())?)
            }
            None => {
                let mut found =
                    fields.iter().filter(|f| f.kind == Kind::Choice).filter_map(|f| Some((*f, value_of(f, part)?)));
                let first = found.next();
                if found.next().is_some() {
                    return None;
                }
                match first {
                    Some(one) => one,
                    // Any word may be a value of a dimension without choices, where there is but one.
                    None => {
                        let mut free = fields.iter().filter(|f| matches!(f.kind, Kind::String | Kind::Int));
                        let one = free.next()?;
                        if free.next().is_some() {
                            return None;
                        }
                        (*one, part.to_owned())
                    }
                }
            }
        };
        if out.insert(field.id.clone(), value).is_some() {
            return None;
        }
    }
    Some(out)
}

/// A value as the metric keeps it.
fn value_of(field: &Field, text: &str) -> Option<String> {
    if field.kind != Kind::Choice {
        return Some(text.to_owned());
    }
    let folded = fold(text);
    let named =
        |c: &&sampan_core::schema::Choice| c.id == text || fold(&c.label.vi) == folded || fold(&c.label.en) == folded;
    field.choices.iter().find(named).map(|c| c.id.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slice_is_named_by_id_label_or_field() {
        let schema = sampan_core::schema::builtin();
        let (metric, events) = (&schema.metrics["admissions"], &schema.collections["events"]);
        let sector = |v: &str| Some(BTreeMap::from([("sector".to_owned(), v.to_owned())]));
        for text in ["non_state", "ngoai nha nuoc", "Ngoài nhà nước", "sector=non_state", "Khu vực = Non-state"]
        {
            assert_eq!(resolve(metric, events, text), sector("non_state"), "{text}");
        }
        assert_eq!(resolve(metric, events, ""), Some(BTreeMap::new()));
        for text in ["tư nhân", "gender=nam", "state; non_state", "sector=private"] {
            assert_eq!(resolve(metric, events, text), None, "{text}");
        }
        let (metric, members) = (&schema.metrics["members_official"], &schema.collections["members"]);
        let women = Some(BTreeMap::from([("gender".to_owned(), "Nữ".to_owned())]));
        assert_eq!(resolve(metric, members, "Nữ"), women);
    }
}
