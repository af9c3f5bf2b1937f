//! Figures in people's words: labels of metrics and dimensions, numbers, percents, periods and moments.
//!
//! It does not: compute; what it is given it writes down.
//!
//! Invariants: exact: a number is never rounded here; what has no word is shown as it is kept.

use crate::i18n::{self, Lang, format_decimal};
use sampan_core::date::Date;
use sampan_core::rollup::{Figure, Scalar, UNDATED};
use sampan_core::schema::{self, Collection, Metric, Over, Schema};
use sampan_core::time::Millis;
use sampan_core::value::{Kind, Value};

/// The language of a schema's labels.
#[must_use]
pub fn schema_lang(lang: Lang) -> schema::Lang {
    match lang {
        Lang::Vi => schema::Lang::Vi,
        Lang::En => schema::Lang::En,
    }
}

/// What a metric is called.
#[must_use]
pub fn metric(schema: &Schema, id: &str, lang: Lang) -> String {
    schema.metrics.get(id).map_or_else(|| id.to_owned(), |m| m.label.text(schema_lang(lang)).to_owned())
}

/// What a ratio's denominator is called.
#[must_use]
pub fn over(schema: &Schema, of: &Metric, lang: Lang) -> Option<String> {
    Some(match of.over.as_ref()? {
        Over::Metric(id) => metric(schema, id, lang),
        Over::Field(id) => {
            let field = schema.collection(&of.of).and_then(|c| c.field(id));
            field.map_or_else(|| id.clone(), |f| f.label.text(schema_lang(lang)).to_owned())
        }
    })
}

/// A value of a dimension.
#[must_use]
pub fn dimension(collection: Option<&Collection>, field: &str, value: &str, lang: Lang) -> String {
    let Some(f) = collection.and_then(|c| c.field(field)) else { return value.to_owned() };
    if value.is_empty() {
        return i18n::t(lang, "report.blank", &[]);
    }
    match f.kind {
        Kind::Choice | Kind::Date => schema::display(f, &Value::Str(value.to_owned()), schema_lang(lang)),
        Kind::Bool => schema::display(f, &Value::Bool(value == "true"), schema_lang(lang)),
        _ => value.to_owned(),
    }
}

/// A scaled number as people write it.
#[must_use]
pub fn number(lang: Lang, n: i128, scale: u8) -> String {
    // Wider than 64 bits it is written plainly: nobody counts so far.
    i64::try_from(n).map_or_else(|_| n.to_string(), |n| format_decimal(lang, n, scale))
}

/// A count.
#[must_use]
pub fn count(lang: Lang, n: u64) -> String {
    number(lang, i128::from(n), 0)
}

/// The value of a figure as people write it; `None` for the smallest of nothing.
#[must_use]
pub fn figure(lang: Lang, of: &Metric, collection: Option<&Collection>, f: &Figure, scale: u8) -> Option<String> {
    match (f.number(&of.op), &f.best) {
        (Some(n), _) => Some(number(lang, n, scale)),
        (None, Some(Scalar::Num(n))) => Some(number(lang, i128::from(*n), scale)),
        (None, Some(Scalar::Text(t))) => {
            let field = of.op.field().and_then(|id| collection?.field(id));
            Some(
                field.map_or_else(
                    || t.clone(),
                    |field| schema::display(field, &Value::Str(t.clone()), schema_lang(lang)),
                ),
            )
        }
        (None, None) => None,
    }
}

/// Percent with its decimals: `22,84`.
#[must_use]
pub fn percent(lang: Lang, plain: &str) -> String {
    let digits: String = plain.chars().filter(|c| *c != '.').collect();
    digits.parse::<i64>().map_or_else(|_| plain.to_owned(), |n| format_decimal(lang, n, 2))
}

/// Years, months and days of a moment, with its hours and minutes.
fn parts(at: Millis) -> Option<(String, String, String, String)> {
    let text = crate::stamp::rfc3339(at);
    let (date, time) = text.split_once('T')?;
    let mut date = date.split('-');
    Some((date.next()?.to_owned(), date.next()?.to_owned(), date.next()?.to_owned(), time.get(..5)?.to_owned()))
}

/// The day of a moment: `22/11/2026`, or `22 Nov 2026`.
#[must_use]
pub fn day(lang: Lang, at: Millis) -> String {
    let Some((year, month, day, _)) = parts(at) else { return String::new() };
    match lang {
        Lang::Vi => format!("{day}/{month}/{year}"),
        Lang::En => format!("{} {} {year}", day.trim_start_matches('0'), &month_name(&month)[..3]),
    }
}

/// A moment to the minute.
#[must_use]
pub fn moment(lang: Lang, at: Millis) -> String {
    let Some((.., time)) = parts(at) else { return String::new() };
    format!("{}, {time}", day(lang, at))
}

/// English months.
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

fn month_name(number: &str) -> &'static str {
    let at = number.parse::<usize>().unwrap_or(1).clamp(1, MONTHS.len());
    MONTHS[at - 1]
}

/// A period as people call it: `quý 3/2026`, `Q3 2026`; another word as it is.
#[must_use]
pub fn period(lang: Lang, label: &str) -> String {
    if label == UNDATED {
        return i18n::t(lang, "report.undated", &[]);
    }
    let Some((year, rest)) = label.split_once('-') else {
        return match (lang, label.is_empty()) {
            (_, true) => i18n::t(lang, "report.as_of_now", &[]),
            (Lang::Vi, false) => format!("năm {label}"),
            (Lang::En, false) => label.to_owned(),
        };
    };
    match (lang, rest.as_bytes()) {
        (Lang::Vi, [b'Q', q]) => format!("quý {}/{year}", char::from(*q)),
        (Lang::En, [b'Q', q]) => format!("Q{} {year}", char::from(*q)),
        (Lang::Vi, [b'H', b'1']) => format!("6 tháng đầu năm {year}"),
        (Lang::Vi, [b'H', _]) => format!("6 tháng cuối năm {year}"),
        (Lang::En, [b'H', b'1']) => format!("first half of {year}"),
        (Lang::En, [b'H', _]) => format!("second half of {year}"),
        (Lang::Vi, [b'W', ..]) => format!("tuần {}/{year}", &rest[1..]),
        (Lang::En, [b'W', ..]) => format!("week {} of {year}", &rest[1..]),
        (Lang::Vi, [_, _]) => format!("tháng {rest}/{year}"),
        (Lang::En, [_, _]) => format!("{} {year}", month_name(rest)),
        (Lang::Vi, _) => Date::parse(label).map_or_else(|_| label.to_owned(), |d| d.day_first()),
        (Lang::En, _) => label.to_owned(),
    }
}

/// A period in few letters, for an axis.
#[must_use]
pub fn short_period(lang: Lang, label: &str) -> String {
    let Some((year, rest)) = label.split_once('-') else { return label.to_owned() };
    match (lang, rest.as_bytes()) {
        (_, [b'Q' | b'H' | b'W', ..] | [_, _]) => format!("{rest}/{}", year.get(2..).unwrap_or(year)),
        _ => rest.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_percents_and_periods_are_written_as_in_the_country() {
        assert_eq!(number(Lang::Vi, 2_241, 0), "2.241");
        assert_eq!(number(Lang::En, 2_241, 0), "2,241");
        assert_eq!(number(Lang::Vi, 368, 1), "36,8");
        assert_eq!(percent(Lang::Vi, "22.84"), "22,84");
        assert_eq!(percent(Lang::En, "102.26"), "102.26");
        assert_eq!(percent(Lang::Vi, "-0.05"), "-0,05");
        for (label, vi, en) in [
            ("2026", "năm 2026", "2026"),
            ("2026-Q3", "quý 3/2026", "Q3 2026"),
            ("2026-H2", "6 tháng cuối năm 2026", "second half of 2026"),
            ("2026-11", "tháng 11/2026", "November 2026"),
            ("2026-W47", "tuần 47/2026", "week 47 of 2026"),
            ("2026-11-05", "05/11/2026", "2026-11-05"),
            ("undated", "không rõ ngày", "undated"),
            ("", "hiện nay", "as of now"),
        ] {
            assert_eq!((period(Lang::Vi, label).as_str(), period(Lang::En, label).as_str()), (vi, en));
        }
        let at = Millis(1_767_225_600_999);
        assert_eq!((day(Lang::Vi, at).as_str(), day(Lang::En, at).as_str()), ("01/01/2026", "1 Jan 2026"));
        assert_eq!(moment(Lang::Vi, at), "01/01/2026, 00:00");
    }
}
