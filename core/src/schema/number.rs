//! Numbers as people write them: whole ones with their thousands grouped, and decimals (integers with a fixed number of
//! decimals), read from both ways of writing them.
//!
//! It does not: compute; round (a digit too many is an error); know a field.
//!
//! The rule. A number whose form leaves one reading is taken in either language: `36,8` and `36.8`, `1.234.567,5` and
//! `1,234,567.5`, `1 234`. One mark before exactly three digits (`2.241`) leaves two: then the language of the person
//! decides, and only where the field leaves no doubt. Vietnamese groups with a point and English with a comma, so in an
//! `int` or `counter` `2.241` is 2241 in Vietnamese, `2,241` in English, and the other mark is asked back. In a `decimal`
//! such a number is taken only where its mark is the decimal mark of the language and the field has three decimals or
//! more; else both readings are shown and one is asked for. Programs and schema files have no language
//! ([`Writing::Plain`]): their whole numbers have no marks.
//!
//! Invariants: [`parse_plain_decimal`] reads exactly what [`plain_decimal`] writes, and [`parse_decimal_as`] in every
//! language what [`file_decimal`] writes; [`parse_decimal_as`] and [`parse_int`] never pick one of two possible readings.

use super::types::Lang;

/// Who wrote a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Writing {
    /// A program or a schema file.
    #[default]
    Plain,
    /// A person whose screens are in this language.
    Of(Lang),
}

impl Writing {
    /// The mark between thousands, for a person.
    fn group_mark(self) -> Option<char> {
        match self {
            Self::Plain => None,
            Self::Of(Lang::Vi) => Some('.'),
            Self::Of(Lang::En) => Some(','),
        }
    }

    /// The mark before the decimals.
    fn decimal_mark(self) -> char {
        match self {
            Self::Plain | Self::Of(Lang::En) => '.',
            Self::Of(Lang::Vi) => ',',
        }
    }
}

/// Why a text is no decimal of a given scale.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NumberError {
    /// Not a number.
    Form,
    /// More decimals than the scale has.
    TooFine,
    /// Beyond 64 bits.
    TooLarge,
    /// One separator before three digits: thousands or decimals.
    Ambiguous {
        /// The reading as a whole number.
        grouped: String,
        /// The reading as a fraction, written so that it is taken.
        fraction: String,
    },
}

/// The canonical text: a point, exactly `scale` decimals, no grouping.
#[must_use]
pub fn plain_decimal(scaled: i64, scale: u8) -> String {
    if scale == 0 {
        return scaled.to_string();
    }
    let digits = format!("{:0width$}", scaled.unsigned_abs(), width = scale as usize + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale as usize);
    let sign = if scaled < 0 { "-" } else { "" };
    format!("{sign}{whole}.{fraction}")
}

/// The number as people of a language write it, its thousands grouped: 368 with scale 1 is `36,8` in Vietnamese.
#[must_use]
pub fn grouped(scaled: i64, scale: u8, lang: Lang) -> String {
    let writing = Writing::Of(lang);
    let plain = plain_decimal(scaled, scale);
    let (negative, digits) = sign(&plain);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let mut out = String::from(if negative { "-" } else { "" });
    for (i, c) in whole.chars().enumerate() {
        if i > 0 && (whole.len() - i).is_multiple_of(3) {
            out.extend(writing.group_mark());
        }
        out.push(c);
    }
    if !fraction.is_empty() {
        out.push(writing.decimal_mark());
        out.push_str(fraction);
    }
    out
}

/// Reads a point and at most `scale` decimals; no grouping, no comma.
#[must_use]
pub fn parse_plain_decimal(text: &str, scale: u8) -> Option<i64> {
    let (negative, digits) = sign(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    scaled(negative, whole, fraction, scale).ok()
}

/// The text of a decimal in a table file: as [`plain_decimal`], with one more zero where three decimals alone could be
/// taken for thousands, so that every language reads it back.
#[must_use]
pub fn file_decimal(scaled: i64, scale: u8) -> String {
    let plain = plain_decimal(scaled, scale);
    let whole = plain.trim_start_matches('-').split('.').next().unwrap_or_default();
    if scale == 3 && looks_grouped(whole, 3) { plain + "0" } else { plain }
}

/// Whether a mark between such a whole part and so many digits could group thousands.
fn looks_grouped(whole: &str, digits_after: usize) -> bool {
    digits_after == 3 && (1..=3).contains(&whole.len()) && !whole.starts_with('0')
}

/// [`parse_decimal_as`] a program or a schema file writes.
///
/// # Errors
/// As there.
pub fn parse_decimal(text: &str, scale: u8) -> Result<i64, NumberError> {
    parse_decimal_as(text, scale, Writing::Plain)
}

/// Reads a decimal: `36,8`, `36.8`, `1.234.567,5`, `1,234,567.5`, `1 234,5`.
///
/// # Errors
/// [`NumberError`]; of `2.241` the module's rule speaks. Without a language it is ambiguous unless the scale is exactly
/// 3, as then it is what we print.
pub fn parse_decimal_as(text: &str, scale: u8, writing: Writing) -> Result<i64, NumberError> {
    let (negative, digits) = sign(text);
    let closed = without_spaces(digits, writing)?;
    let digits = closed.as_str();
    let points = digits.matches('.').count();
    let commas = digits.matches(',').count();
    let (decimal_mark, group_mark) = match (points, commas) {
        (0, 0) => (None, None),
        (1, 0) => (Some('.'), None),
        (0, 1) => (Some(','), None),
        (_, 0) => (None, Some('.')),
        (0, _) => (None, Some(',')),
        (_, 1) if digits.rfind(',') > digits.rfind('.') => (Some(','), Some('.')),
        (1, _) => (Some('.'), Some(',')),
        _ => return Err(NumberError::Form),
    };
    let (whole, fraction) = match decimal_mark {
        Some(mark) => digits.split_once(mark).ok_or(NumberError::Form)?,
        None => (digits, "0"),
    };
    let whole = match group_mark {
        Some(mark) => ungroup(whole, mark)?,
        None => whole.to_owned(),
    };
    let result = scaled(negative, &whole, fraction, scale);
    let two_readings = group_mark.is_none()
        && decimal_mark.is_some()
        && looks_grouped(&whole, fraction.len())
        && result != Err(NumberError::Form);
    let settled = match writing {
        Writing::Plain => scale == 3,
        Writing::Of(_) => scale >= 3 && decimal_mark == Some(writing.decimal_mark()),
    };
    if two_readings && !settled {
        return Err(ambiguous(negative, &whole, fraction, scale, writing));
    }
    result
}

/// Reads a whole number: `2241`, and in the person's language `2.241` or `2,241`, `1 234 567`.
///
/// # Errors
/// [`NumberError`]; a single group behind the other language's mark is ambiguous.
pub fn parse_int(text: &str, writing: Writing) -> Result<i64, NumberError> {
    if let Ok(n) = text.parse() {
        return Ok(n);
    }
    let (negative, digits) = sign(text);
    let closed = without_spaces(digits, writing)?;
    let whole = match (writing.group_mark(), closed.matches('.').count(), closed.matches(',').count()) {
        (_, 0, 0) => closed,
        (Some(own), points, commas) if points == 0 || commas == 0 => {
            let mark = if points > 0 { '.' } else { ',' };
            let whole = ungroup(&closed, mark)?;
            if mark != own && points + commas == 1 {
                return Err(ambiguous(negative, &whole[..whole.len() - 3], &whole[whole.len() - 3..], 0, writing));
            }
            whole
        }
        _ => return Err(NumberError::Form),
    };
    scaled(negative, &whole, "0", 0)
}

/// The two readings of a number with one mark before three digits, each in a form that is taken.
fn ambiguous(negative: bool, whole: &str, fraction: &str, scale: u8, writing: Writing) -> NumberError {
    let (minus, mark) = (if negative { "-" } else { "" }, writing.decimal_mark());
    let zeros = fraction.trim_end_matches('0');
    let fraction_of = match (scale, zeros, writing) {
        // The decimal mark of the language says it.
        (3.., _, Writing::Of(_)) => format!("{minus}{whole}{mark}{fraction}"),
        // A fourth decimal shows that the mark is no group's.
        (4.., _, Writing::Plain) => format!("{minus}{whole}.{fraction}0"),
        (_, "", _) => format!("{minus}{whole}"),
        (_, z, _) => format!("{minus}{whole}{mark}{}", &z[..z.len().min(scale as usize).min(2)]),
    };
    let fraction_of = fraction_of.trim_end_matches(mark).to_owned();
    NumberError::Ambiguous { grouped: format!("{minus}{whole}{fraction}"), fraction: fraction_of }
}

/// The digits without the spaces that a person groups thousands with, also the unbreakable ones of other programs.
fn without_spaces(digits: &str, writing: Writing) -> Result<String, NumberError> {
    let spaced = digits.replace(['\u{a0}', '\u{202f}'], " ");
    if writing == Writing::Plain || !spaced.contains(' ') {
        return Ok(digits.to_owned());
    }
    let end = spaced.find(['.', ',']).unwrap_or(spaced.len());
    let (whole, rest) = spaced.split_at(end);
    // Behind grouped thousands one mark is the decimals'.
    if rest.matches(['.', ',']).count() > 1 {
        return Err(NumberError::Form);
    }
    Ok(ungroup(whole, ' ')? + rest)
}

fn sign(text: &str) -> (bool, &str) {
    match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    }
}

/// Removes grouping marks that stand before each three digits.
fn ungroup(whole: &str, mark: char) -> Result<String, NumberError> {
    let groups: Vec<&str> = whole.split(mark).collect();
    let first = groups.first().map_or(0, |g| g.len());
    let digits = groups.iter().all(|g| g.bytes().all(|b| b.is_ascii_digit()));
    if digits && (1..=3).contains(&first) && !whole.starts_with('0') && groups[1..].iter().all(|g| g.len() == 3) {
        Ok(groups.concat())
    } else {
        Err(NumberError::Form)
    }
}

fn scaled(negative: bool, whole: &str, fraction: &str, scale: u8) -> Result<i64, NumberError> {
    let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(fraction) {
        return Err(NumberError::Form);
    }
    let fraction = fraction.trim_end_matches('0');
    if fraction.len() > scale as usize {
        return Err(NumberError::TooFine);
    }
    let minus = if negative { "-" } else { "" };
    format!("{minus}{whole}{fraction:0<width$}", width = scale as usize).parse().map_err(|_| NumberError::TooLarge)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn both_marks_are_taken_when_only_one_reading_is_left() {
        for (text, scale, value) in [
            ("36,8", 1, 368),
            ("36.8", 1, 368),
            ("36.8", 2, 3680),
            ("-0,5", 1, -5),
            ("+7", 2, 700),
            ("0.125", 3, 125),
            ("2.241", 3, 2241),
            ("0,125", 4, 1250),
            ("1.234.567,5", 1, 12_345_675),
            ("1,234,567.5", 1, 12_345_675),
            ("1.234.567", 0, 1_234_567),
            ("2241", 0, 2241),
            ("2.2410", 4, 22410),
            ("36.80", 1, 368),
        ] {
            assert_eq!(parse_decimal(text, scale), Ok(value), "{text} at {scale}");
        }
    }

    #[test]
    fn thousands_or_decimals_is_asked_back() {
        for (text, scale, grouped, fraction) in [
            ("2.241", 1, "2241", "2.2"),
            ("2.241", 0, "2241", "2"),
            ("-2,241", 4, "-2241", "-2.2410"),
            ("2.000", 2, "2000", "2"),
        ] {
            let ambiguous = NumberError::Ambiguous { grouped: grouped.into(), fraction: fraction.into() };
            assert_eq!(parse_decimal(text, scale), Err(ambiguous), "{text} at {scale}");
            assert!(parse_decimal(grouped, scale).is_ok() && parse_decimal(fraction, scale).is_ok());
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for text in ["", "-", ".", ",5", "5,", "1.23.4,5", "1,2,3.4.5", "12 5", "1e5", "١", "--1", "1.2345.678"] {
            assert_eq!(parse_decimal(text, 2), Err(NumberError::Form), "{text}");
        }
        assert_eq!(parse_decimal("36.85", 1), Err(NumberError::TooFine));
        assert_eq!(parse_decimal("99999999999999999999", 1), Err(NumberError::TooLarge));
        assert_eq!(parse_plain_decimal("36,8", 1), None);
    }

    const VI: Writing = Writing::Of(Lang::Vi);
    const EN: Writing = Writing::Of(Lang::En);

    #[test]
    fn whole_numbers_are_grouped_as_in_the_language() {
        for (text, vi, en) in [
            ("2241", Some(2241), Some(2241)),
            ("2.241", Some(2241), None),
            ("2,241", None, Some(2241)),
            ("-472.869", Some(-472_869), None),
            ("1.234.567", Some(1_234_567), Some(1_234_567)),
            ("1,234,567", Some(1_234_567), Some(1_234_567)),
            ("2 241", Some(2241), Some(2241)),
            ("2\u{a0}241\u{202f}000", Some(2_241_000), Some(2_241_000)),
        ] {
            assert_eq!((parse_int(text, VI).ok(), parse_int(text, EN).ok()), (vi, en), "{text}");
        }
        let asked = NumberError::Ambiguous { grouped: "2241".into(), fraction: "2".into() };
        assert_eq!(parse_int("2,241", VI), Err(asked.clone()));
        assert_eq!(parse_int("2.241", EN), Err(asked));
        for text in
            ["36,8", "2.24", "22.41", "2.2411", "0.125", "1.234,5", "1.234,567", "2241.000", "2 24", "2 241,5", "."]
        {
            assert_eq!(parse_int(text, VI), Err(NumberError::Form), "{text}");
            assert!(parse_int(text, Writing::Plain).is_err(), "{text}");
        }
        assert_eq!(parse_int("99.999.999.999.999.999.999", VI), Err(NumberError::TooLarge));
        assert_eq!(parse_int("2.241", Writing::Plain), Err(NumberError::Form));
    }

    #[test]
    fn a_decimal_is_never_a_thousandfold_of_what_was_meant() {
        for (text, scale, vi, en) in [
            ("36,8", 1, Some(368), Some(368)),
            ("36.8", 1, Some(368), Some(368)),
            ("1.234,5", 1, Some(12_345), Some(12_345)),
            ("1 234,5", 1, Some(12_345), Some(12_345)),
            ("2.241", 1, None, None),
            ("2,241", 1, None, None),
            ("2.241", 3, None, Some(2241)),
            ("2,241", 3, Some(2241), None),
            ("2,241", 4, Some(22_410), None),
            ("2.2410", 3, Some(2241), Some(2241)),
            ("0,125", 3, Some(125), Some(125)),
            ("0.125", 3, Some(125), Some(125)),
            ("2241", 1, Some(22_410), Some(22_410)),
        ] {
            let read = |w| parse_decimal_as(text, scale, w).ok();
            assert_eq!((read(VI), read(EN)), (vi, en), "{text} at {scale}");
        }
        let asked = NumberError::Ambiguous { grouped: "2241".into(), fraction: "2,2".into() };
        assert_eq!(parse_decimal_as("2.241", 1, VI), Err(asked));
    }

    proptest! {
        #[test]
        fn printing_and_reading_agree(scaled in any::<i64>(), scale in 0u8..=9) {
            let text = plain_decimal(scaled, scale);
            prop_assert_eq!(parse_plain_decimal(&text, scale), Some(scaled));
            match parse_decimal(&text, scale) {
                Ok(read) => prop_assert_eq!(read, scaled),
                Err(e) => prop_assert!(matches!(e, NumberError::Ambiguous { .. }), "{}", text),
            }
        }

        #[test]
        fn a_file_is_read_back_in_every_language(scaled in prop_oneof![any::<i64>(), -2_000_000..2_000_000i64], scale in 0u8..=9) {
            for writing in [Writing::Plain, VI, EN] {
                prop_assert_eq!(parse_decimal_as(&file_decimal(scaled, scale), scale, writing), Ok(scaled));
                prop_assert_eq!(parse_int(&scaled.to_string(), writing), Ok(scaled));
            }
        }

        #[test]
        fn whole_numbers_are_read_as_they_are_shown(n in any::<i64>()) {
            for lang in [Lang::Vi, Lang::En] {
                prop_assert_eq!(parse_int(&grouped(n, 0, lang), Writing::Of(lang)), Ok(n));
            }
        }

        #[test]
        fn both_readings_offered_are_taken(whole in 1i64..999, part in 0u16..1000, scale in 0u8..=9) {
            for (writing, mark) in [(Writing::Plain, '.'), (VI, '.'), (VI, ','), (EN, '.'), (EN, ',')] {
                let text = format!("{whole}{mark}{part:03}");
                if let Err(NumberError::Ambiguous { grouped, fraction }) = parse_decimal_as(&text, scale, writing) {
                    prop_assert!(parse_decimal_as(&grouped, scale, writing).is_ok(), "{}", grouped);
                    prop_assert!(parse_decimal_as(&fraction, scale, writing).is_ok(), "{}", fraction);
                }
            }
        }
    }
}
