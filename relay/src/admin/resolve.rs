//! Finding what a person names: units by id, code, path or name; devices by the start of their id.
//!
//! It does not: guess: what fits several is refused with what would tell them apart.

use sampan_core::charter::{Charter, Roles, Unit};
use sampan_core::fold::fold;
use sampan_core::id::{DeviceId, UnitId};
use sampan_core::suggest::nearest;
use sampan_node::cli::convert::{did_you_mean, list_of, unknown_name};
use sampan_node::cli::{CliError, codes};
use sampan_node::i18n::Lang;
use std::collections::BTreeSet;

/// Digits of a device's id that are enough to look for it.
const DEVICE_DIGITS_MIN: usize = 4;

/// Units that a text may mean: by id, else by code, else by path, else by name.
#[must_use]
pub fn units_named(charter: &Charter, text: &str) -> Vec<UnitId> {
    let text = text.trim();
    if let Ok(id) = text.parse::<UnitId>() {
        return charter.unit(&id).map(|u| u.id).into_iter().collect();
    }
    let by = |test: &dyn Fn(&Unit) -> bool| charter.units().filter(|u| test(u)).map(|u| u.id).collect::<Vec<_>>();
    let found = by(&|u| u.code.as_deref() == Some(text));
    if !found.is_empty() {
        return found;
    }
    let folded = fold(text);
    if text.contains('/') {
        let found = by(&|u| fold(&charter.path(&u.id)) == folded);
        if !found.is_empty() {
            return found;
        }
        let end = format!("/{folded}");
        let found = by(&|u| fold(&charter.path(&u.id)).ends_with(&end));
        if !found.is_empty() {
            return found;
        }
    }
    by(&|u| fold(&u.name) == folded)
}

/// The one unit that a text names.
///
/// # Errors
/// `unknown_unit` with the nearest names, `ambiguous_unit` with the paths and codes.
pub fn unit(lang: Lang, charter: &Charter, text: &str) -> Result<UnitId, CliError> {
    match units_named(charter, text).as_slice() {
        [one] => Ok(*one),
        [] => Err(CliError::new(
            lang,
            &codes::UNKNOWN_UNIT,
            &[("name", text), ("nearest", &nearest_units(lang, charter, text))],
        )
        .at(text)),
        several => {
            let mut shown: Vec<String> = several.iter().map(|id| said(charter, id)).collect();
            shown.sort();
            let known: Vec<&str> = shown.iter().map(String::as_str).collect();
            let values = [("name", text), ("known", &list_of(lang, &known))];
            Err(CliError::new(lang, &codes::AMBIGUOUS_UNIT, &values).at(text))
        }
    }
}

/// `Did you mean 'Phường Trúc Bạch'? `, or nothing.
#[must_use]
pub fn nearest_units(lang: Lang, charter: &Charter, text: &str) -> String {
    // Of a path the last part is the unit's name.
    let last = text.rsplit('/').next().unwrap_or(text);
    let names: BTreeSet<&str> = charter.units().map(|u| u.name.as_str()).collect();
    let codes: BTreeSet<&str> = charter.units().filter_map(|u| u.code.as_deref()).collect();
    let looks_like_code = last.chars().all(|c| c.is_ascii_alphanumeric()) && last.chars().any(|c| c.is_ascii_digit());
    let mut near = nearest(last, names);
    if looks_like_code {
        near = nearest(last, codes).into_iter().chain(near).collect();
    }
    near.truncate(sampan_core::suggest::SUGGESTIONS_MAX);
    did_you_mean(lang, &near.into_iter().map(str::to_owned).collect::<Vec<_>>())
}

/// A unit as a person may name it: its path, with its code where it has one.
fn said(charter: &Charter, id: &UnitId) -> String {
    let code = charter.unit(id).and_then(|u| u.code.as_deref());
    match code {
        Some(code) => format!("{} ({code})", charter.path(id)),
        None => charter.path(id),
    }
}

/// Roles by their names.
///
/// # Errors
/// `unknown_role` with the nearest name.
pub fn roles(lang: Lang, names: &[String]) -> Result<Roles, CliError> {
    let known = Roles::NAMES.map(|(n, _)| n);
    let mut all = Roles::NONE;
    for name in names {
        let role = Roles::named(&name.trim().to_lowercase());
        all = all.union(role.ok_or_else(|| unknown_name(lang, &codes::UNKNOWN_ROLE, name, &known, &[]))?);
    }
    Ok(all)
}

/// The one device whose id starts with a text.
///
/// # Errors
/// `unknown_device`, also when several fit.
pub fn device(lang: Lang, known: &BTreeSet<DeviceId>, text: &str) -> Result<DeviceId, CliError> {
    let digits = text.trim().to_lowercase();
    let fits = |d: &&DeviceId| digits.len() >= DEVICE_DIGITS_MIN && d.to_string().starts_with(&digits);
    let found: Vec<&DeviceId> = known.iter().filter(fits).collect();
    match found.as_slice() {
        [one] => Ok(**one),
        several => {
            let shown: Vec<String> = several.iter().take(3).map(|d| d.to_string()).collect();
            let values = [("name", text), ("nearest", &did_you_mean(lang, &shown))];
            Err(CliError::new(lang, &codes::UNKNOWN_DEVICE, &values).at(text))
        }
    }
}
