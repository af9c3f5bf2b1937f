//! Decimals: integers with a fixed number of decimals, read from both ways of writing them.
//!
//! It does not: compute; round (a digit too many is an error).
//!
//! Invariants: [`parse_plain_decimal`] reads exactly what [`plain_decimal`] writes; [`parse_decimal`]
//! never picks one of two possible readings.

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

/// Reads a point and at most `scale` decimals; no grouping, no comma.
#[must_use]
pub fn parse_plain_decimal(text: &str, scale: u8) -> Option<i64> {
    let (negative, digits) = sign(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    scaled(negative, whole, fraction, scale).ok()
}

/// Reads what a person wrote: `36,8`, `36.8`, `1.234.567,5`, `1,234,567.5`.
///
/// # Errors
/// [`NumberError`]; `2.241` is ambiguous unless the scale is exactly 3, as then it is what we print.
pub fn parse_decimal(text: &str, scale: u8) -> Result<i64, NumberError> {
    let (negative, digits) = sign(text);
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
    let looks_grouped = group_mark.is_none()
        && decimal_mark.is_some()
        && fraction.len() == 3
        && (1..=3).contains(&whole.len())
        && !whole.starts_with('0')
        && result != Err(NumberError::Form);
    if looks_grouped && scale != 3 {
        let minus = if negative { "-" } else { "" };
        let zeros = fraction.trim_end_matches('0');
        let fraction = match (scale, zeros) {
            // A fourth decimal shows that the mark is no group's.
            (4.., _) => format!("{minus}{whole}.{fraction}0"),
            (_, "") => format!("{minus}{whole}"),
            (_, z) => format!("{minus}{whole}.{}", &z[..z.len().min(scale as usize).min(2)]),
        };
        let grouped = format!("{minus}{}{}", whole, &digits[digits.len() - 3..]);
        return Err(NumberError::Ambiguous { grouped, fraction: fraction.trim_end_matches('.').to_owned() });
    }
    result
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
    if (1..=3).contains(&first) && groups[1..].iter().all(|g| g.len() == 3) {
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
    }
}
