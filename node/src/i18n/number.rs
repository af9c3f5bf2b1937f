//! Numbers, dates and times as people write them: 2.241 and 36,8 and 30/11/2025 in Vietnamese, 2,241 and 36.8 and
//! 2025-11-30 in English.
//!
//! It does not: touch what JSON and files carry, which stays plain; read what people type (`sampan_core::schema::number`).
//!
//! Invariants: what is no number, date or period comes out as it went in.

use super::Lang;
use sampan_core::date::Date;
use sampan_core::fold::fold;
use sampan_core::schema::{self, Writing, number::grouped};
use sampan_core::time::Millis;

/// The schema's word for a language.
#[must_use]
pub fn schema_lang(lang: Lang) -> schema::Lang {
    match lang {
        Lang::Vi => schema::Lang::Vi,
        Lang::En => schema::Lang::En,
    }
}

/// How somebody of a language writes numbers.
#[must_use]
pub fn writing(lang: Lang) -> Writing {
    Writing::Of(schema_lang(lang))
}

/// A whole number with its thousands grouped.
#[must_use]
pub fn format_int(lang: Lang, n: i64) -> String {
    grouped(n, 0, schema_lang(lang))
}

/// A count, beyond `i64` too.
#[must_use]
pub fn format_count(lang: Lang, n: u64) -> String {
    format_int(lang, i64::try_from(n).unwrap_or(i64::MAX))
}

/// A number of `scale` decimals kept as a whole number: 368 with scale 1 is 36,8.
#[must_use]
pub fn format_decimal(lang: Lang, scaled: i64, scale: u8) -> String {
    grouped(scaled, scale, schema_lang(lang))
}

/// A figure or a percentage as programs write it (`2241`, `-36.80`), or a date (`2025-11-30`), for a person; any other
/// text as it is.
#[must_use]
pub fn format_figure(lang: Lang, plain: &str) -> String {
    let (whole, fraction) = plain.split_once('.').unwrap_or((plain, ""));
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    let number = digits(whole.strip_prefix('-').unwrap_or(whole)) && digits(fraction);
    match format!("{whole}{fraction}").parse() {
        Ok(scaled) if number && fraction.len() <= 9 => format_decimal(lang, scaled, fraction.len() as u8), // at most 9
        Ok(_) | Err(_) => format_stored_date(lang, plain),
    }
}

/// A date as people of the language write it: `30/11/2025`, `11/2025` or `2025` in Vietnamese.
#[must_use]
pub fn format_date(lang: Lang, date: Date) -> String {
    match lang {
        Lang::Vi => date.day_first(),
        Lang::En => date.to_string(),
    }
}

/// A date as it is stored, for a person; any other text as it is.
#[must_use]
pub fn format_stored_date(lang: Lang, text: &str) -> String {
    // A year alone is the same in every language.
    Date::parse(text).map_or_else(|_| text.to_owned(), |date| format_date(lang, date))
}

/// A period (`2026-11`, `2026-Q3`) for a person: `11/2026`, `quý 3/2026` in Vietnamese.
#[must_use]
pub fn format_period(lang: Lang, period: &str) -> String {
    if let (Lang::Vi, Some((year, part))) = (lang, period.split_once('-')) {
        for (mark, words) in [("Q", "quý"), ("W", "tuần"), ("H", "nửa năm")] {
            if let Some(n) = part.strip_prefix(mark) {
                return format!("{words} {}/{year}", n.trim_start_matches('0'));
            }
        }
    }
    format_stored_date(lang, period)
}

/// The period that a person names, as it is stored: `11/2026`, `30/11/2026`, `quý 3/2026`, `Q3/2026`, or the stored form;
/// any other text as it is, for its error.
#[must_use]
pub fn parse_period(text: &str) -> String {
    let folded = fold(text);
    for (words, mark) in [("quy", "Q"), ("q", "Q"), ("tuan", "W"), ("w", "W"), ("nua nam", "H"), ("h", "H")] {
        let Some((n, year)) = folded.strip_prefix(words).and_then(|rest| rest.trim().split_once('/')) else { continue };
        if let (Ok(n), 4) = (n.parse::<u8>(), year.len()) {
            return if mark == "W" { format!("{year}-W{n:02}") } else { format!("{year}-{mark}{n}") };
        }
    }
    Date::parse_typed(text).map_or_else(|_| text.to_owned(), |date| date.to_string())
}

/// A time for a person, to the minute, by the clock on this machine's wall: `30/11/2025 08:13` in Vietnamese.
#[must_use]
pub fn format_time(lang: Lang, at: Millis) -> String {
    format_time_in(lang, at, jiff::tz::TimeZone::system())
}

fn format_time_in(lang: Lang, at: Millis, zone: jiff::tz::TimeZone) -> String {
    let stamp = jiff::Timestamp::from_millisecond(i64::try_from(at.0).unwrap_or_default()).unwrap_or_default();
    let pattern = match lang {
        Lang::Vi => "%d/%m/%Y %H:%M",
        Lang::En => "%Y-%m-%d %H:%M",
    };
    stamp.to_zoned(zone).strftime(pattern).to_string()
}

/// A time as programs read it (RFC 3339), for a person; any other text as it is.
#[must_use]
pub fn format_stamp(lang: Lang, rfc3339: &str) -> String {
    match rfc3339.parse::<jiff::Timestamp>().ok().and_then(|t| u64::try_from(t.as_millisecond()).ok()) {
        Some(ms) => format_time(lang, Millis(ms)),
        None => rfc3339.to_owned(),
    }
}

/// A size: bytes below 1,000, then kB, MB and GB with one decimal.
#[must_use]
pub fn format_bytes(lang: Lang, bytes: u64) -> String {
    let (unit, size) = match bytes {
        0..1_000 => return format!("{bytes} B"),
        1_000..1_000_000 => ("kB", 1_000),
        1_000_000..1_000_000_000 => ("MB", 1_000_000),
        _ => ("GB", 1_000_000_000),
    };
    let tenths = i64::try_from(bytes / (size / 10)).unwrap_or(i64::MAX);
    format!("{} {unit}", format_decimal(lang, tenths, 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_in_the_country() {
        assert_eq!(format_int(Lang::Vi, 2_241), "2.241");
        assert_eq!(format_int(Lang::En, -472_869), "-472,869");
        assert_eq!(format_int(Lang::Vi, 999), "999");
        assert_eq!(format_int(Lang::Vi, i64::MIN), "-9.223.372.036.854.775.808");
        assert_eq!(format_decimal(Lang::Vi, 368, 1), "36,8");
        assert_eq!(format_decimal(Lang::En, -5, 2), "-0.05");
        assert_eq!(format_decimal(Lang::Vi, 1_234_567, 2), "12.345,67");
        assert_eq!(format_decimal(Lang::En, 7, 0), "7");
        assert_eq!(format_bytes(Lang::Vi, 999), "999 B");
        assert_eq!(format_bytes(Lang::Vi, 1_787), "1,7 kB");
        assert_eq!(format_bytes(Lang::En, 2_300_000), "2.3 MB");
    }

    #[test]
    fn figures_and_periods_come_as_programs_write_them() {
        for (plain, vi, en) in [
            ("2241", "2.241", "2,241"),
            ("36.8", "36,8", "36.8"),
            ("-1234567.50", "-1.234.567,50", "-1,234,567.50"),
            ("-0.05", "-0,05", "-0.05"),
            ("2025-11-30", "30/11/2025", "2025-11-30"),
            ("2025-11", "11/2025", "2025-11"),
            ("", "", ""),
            ("-", "-", "-"),
            ("1.2.3", "1.2.3", "1.2.3"),
            ("99999999999999999999", "99999999999999999999", "99999999999999999999"),
        ] {
            assert_eq!(
                (format_figure(Lang::Vi, plain), format_figure(Lang::En, plain)),
                (vi.into(), en.into()),
                "{plain}"
            );
        }
        for (period, vi) in [
            ("2026", "2026"),
            ("2026-11", "11/2026"),
            ("2026-Q3", "quý 3/2026"),
            ("2026-W07", "tuần 7/2026"),
            ("2026-H1", "nửa năm 1/2026"),
            ("2026-11-30", "30/11/2026"),
            ("undated", "undated"),
            ("", ""),
        ] {
            assert_eq!(format_period(Lang::Vi, period), vi);
            assert_eq!(format_period(Lang::En, period), period);
            assert_eq!(parse_period(vi), period, "what is shown can be typed");
            assert_eq!(parse_period(period), period);
        }
    }

    #[test]
    fn times_are_those_of_the_wall() {
        let zone = || jiff::tz::TimeZone::fixed(jiff::tz::offset(7));
        let at = Millis(1_767_225_600_999);
        assert_eq!(format_time_in(Lang::Vi, at, zone()), "01/01/2026 07:00");
        assert_eq!(format_time_in(Lang::En, at, zone()), "2026-01-01 07:00");
        assert_eq!(format_stamp(Lang::Vi, "x"), "x");
        assert_eq!(format_stamp(Lang::Vi, "2026-01-01T00:00:00Z"), format_time(Lang::Vi, at));
    }
}
