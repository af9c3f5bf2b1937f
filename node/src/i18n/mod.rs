//! Words for people: Vietnamese and English from one catalogue.
//!
//! It does not: print, or choose between messages; callers name a message by its id.
//!
//! Invariants: every message has both languages with the same placeholders; an id is used in code
//! only if the catalogue has it (a test of each caller's table sees to that).

mod audit;
mod bundle;
mod catalogue;
mod erase;
mod errors;
mod figures;
mod files;
mod help;
mod number;
mod records;
mod relay;
mod report;
mod rest;
mod schema;
mod words;

pub use number::{
    format_bytes, format_count, format_date, format_decimal, format_figure, format_int, format_period, format_stamp,
    format_stored_date, format_time, parse_period, schema_lang, writing,
};

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::OnceLock;

/// One message in both languages; `{name}` stands for a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message {
    /// What code calls it.
    pub id: &'static str,
    /// Vietnamese.
    pub vi: &'static str,
    /// English.
    pub en: &'static str,
}

impl Message {
    /// Its words in a language, placeholders unfilled.
    #[must_use]
    pub fn text(&self, lang: Lang) -> &'static str {
        match lang {
            Lang::Vi => self.vi,
            Lang::En => self.en,
        }
    }
}

/// The languages of the screens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lang {
    /// Vietnamese.
    Vi,
    /// English.
    En,
}

/// A language that is neither `vi` nor `en`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a language of Sampan: vi or en")]
pub struct LangError(pub String);

impl Lang {
    /// Its code.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Vi => "vi",
            Self::En => "en",
        }
    }

    /// The language to use: the flag, `SAMPAN_LANG`, the config, then the system's (`LC_ALL`,
    /// `LC_MESSAGES`, `LANG`); English where the system says neither.
    ///
    /// A `SAMPAN_LANG` that is neither is passed over here; the config refuses it with a sentence.
    #[must_use]
    pub fn choose(flag: Option<Self>, config: Option<Self>, env: &dyn Fn(&str) -> Option<String>) -> Self {
        let from = |name: &str| env(name).filter(|t| !t.is_empty());
        flag.or_else(|| from("SAMPAN_LANG").and_then(|t| t.parse().ok()))
            .or(config)
            .or_else(|| {
                // The first of these that is set decides, as for every other program.
                let system = ["LC_ALL", "LC_MESSAGES", "LANG"].into_iter().find_map(from)?;
                system.to_ascii_lowercase().starts_with("vi").then_some(Self::Vi)
            })
            .unwrap_or(Self::En)
    }
}

impl fmt::Display for Lang {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl FromStr for Lang {
    type Err = LangError;
    fn from_str(text: &str) -> Result<Self, LangError> {
        match text.trim().to_ascii_lowercase().as_str() {
            "vi" => Ok(Self::Vi),
            "en" => Ok(Self::En),
            _ => Err(LangError(text.to_owned())),
        }
    }
}

fn catalogue() -> &'static BTreeMap<&'static str, Message> {
    static CATALOGUE: OnceLock<BTreeMap<&'static str, Message>> = OnceLock::new();
    CATALOGUE.get_or_init(|| catalogue::all().map(|m| (m.id, *m)).collect())
}

/// The message of this id, or `None`.
#[must_use]
pub fn find(id: &str) -> Option<Message> {
    catalogue().get(id).copied()
}

/// The message `id` in `lang` with its placeholders filled; values are put in as they are.
///
/// An id that the catalogue does not have comes back as itself: a missing word never hides a result.
#[must_use]
pub fn t(lang: Lang, id: &str, values: &[(&str, &str)]) -> String {
    match find(id) {
        None => {
            debug_assert!(false, "no message '{id}' in the catalogue");
            id.to_owned()
        }
        Some(m) => fill(m.text(lang), values),
    }
}

/// Fills `{name}`s from left to right, once: a value that looks like a placeholder stays as it is.
fn fill(template: &str, values: &[(&str, &str)]) -> String {
    let mut out = String::with_capacity(template.len());
    let mut rest = template;
    while let Some(open) = rest.find('{') {
        out.push_str(&rest[..open]);
        rest = &rest[open..];
        let Some(close) = rest.find('}') else { break };
        match values.iter().find(|(name, _)| *name == &rest[1..close]) {
            Some((_, value)) => out.push_str(value),
            None => out.push_str(&rest[..=close]),
        }
        rest = &rest[close + 1..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn placeholders(text: &str) -> BTreeSet<&str> {
        text.split('{').skip(1).filter_map(|p| p.split('}').next()).collect()
    }

    #[test]
    fn every_message_has_both_languages_with_the_same_placeholders() {
        for m in catalogue::all() {
            assert!(!m.vi.trim().is_empty() && !m.en.trim().is_empty(), "{}", m.id);
            assert_eq!(placeholders(m.vi), placeholders(m.en), "{}", m.id);
            assert_eq!(m.vi.matches('{').count(), m.vi.matches('}').count(), "{}", m.id);
        }
    }

    #[test]
    fn ids_are_unique_and_vietnamese_is_composed() {
        let ids: BTreeSet<_> = catalogue::all().map(|m| m.id).collect();
        assert_eq!(ids.len(), catalogue::all().count());
        for m in catalogue::all() {
            let marks = m.vi.chars().any(|c| ('\u{300}'..='\u{36f}').contains(&c));
            assert!(!marks, "{}: diacritics as separate marks", m.id);
        }
    }

    #[test]
    fn values_are_put_in_once() {
        assert_eq!(fill("{a} and {b}", &[("a", "{b}"), ("b", "x")]), "{b} and x");
        assert_eq!(fill("{c} {", &[("a", "1")]), "{c} {");
    }

    #[test]
    fn the_language_is_chosen_in_order() {
        let env = |pairs: &'static [(&'static str, &'static str)]| {
            move |n: &str| pairs.iter().find(|(k, _)| *k == n).map(|(_, v)| (*v).to_owned())
        };
        let (vi, en) = (Some(Lang::Vi), Some(Lang::En));
        assert_eq!(Lang::choose(en, vi, &env(&[("SAMPAN_LANG", "vi")])), Lang::En);
        assert_eq!(Lang::choose(None, en, &env(&[("SAMPAN_LANG", "vi")])), Lang::Vi);
        assert_eq!(Lang::choose(None, en, &env(&[("LANG", "vi_VN.UTF-8")])), Lang::En);
        assert_eq!(Lang::choose(None, None, &env(&[("LANG", "vi_VN.UTF-8")])), Lang::Vi);
        let both = env(&[("LC_ALL", "C"), ("LANG", "vi_VN.UTF-8")]);
        assert_eq!(Lang::choose(None, None, &both), Lang::En);
        assert_eq!(Lang::choose(None, None, &env(&[])), Lang::En);
    }
}
