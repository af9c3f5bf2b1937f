//! Numbers as people write them: 2.241 and 36,8 in Vietnamese, 2,241 and 36.8 in English.
//!
//! It does not: touch numbers in JSON, which stay plain.

use super::Lang;

fn marks(lang: Lang) -> (char, char) {
    match lang {
        Lang::Vi => ('.', ','),
        Lang::En => (',', '.'),
    }
}

/// A whole number with its thousands grouped.
#[must_use]
pub fn format_int(lang: Lang, n: i64) -> String {
    let mut out = String::new();
    if n < 0 {
        out.push('-');
    }
    group(&mut out, &n.unsigned_abs().to_string(), marks(lang).0);
    out
}

/// A number of `scale` decimals kept as a whole number: 368 with scale 1 is 36,8.
#[must_use]
pub fn format_decimal(lang: Lang, scaled: i64, scale: u8) -> String {
    let (thousand, comma) = marks(lang);
    let width = usize::from(scale) + 1;
    let digits = format!("{:0>width$}", scaled.unsigned_abs());
    let (whole, part) = digits.split_at(digits.len() - usize::from(scale));
    let mut out = String::new();
    if scaled < 0 {
        out.push('-');
    }
    group(&mut out, whole, thousand);
    if scale > 0 {
        out.push(comma);
        out.push_str(part);
    }
    out
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

fn group(out: &mut String, digits: &str, mark: char) {
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(mark);
        }
        out.push(c);
    }
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
}
