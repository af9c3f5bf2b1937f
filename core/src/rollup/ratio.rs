//! A ratio of two figures, in hundredths of a percent.
//!
//! It does not: cap, hide or round away what is above a hundred percent: it flags it.
//!
//! Invariants: exact whole-number arithmetic; rounded half away from zero to two decimals of a percent.

/// A ratio.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ratio {
    /// Percent with two decimals, as `22.84`.
    pub percent: String,
    /// Whether it is more than a hundred percent: something counts that the denominator does not.
    pub above: bool,
}

/// `value / over` where the two have these numbers of decimals; `None` where there is nothing to divide by.
#[must_use]
pub fn ratio(value: i128, scale: u8, over: i128, over_scale: u8) -> Option<Ratio> {
    let value = value.checked_mul(10_i128.pow(u32::from(over_scale)))?;
    let over = over.checked_mul(10_i128.pow(u32::from(scale)))?;
    if over == 0 {
        return None;
    }
    let doubled = value.checked_mul(20_000)?.checked_div(over)?;
    let hundredths = (doubled + doubled.signum()) / 2;
    let size = hundredths.unsigned_abs();
    let sign = if hundredths < 0 { "-" } else { "" };
    let above = if over > 0 { value > over } else { value < over };
    Some(Ratio { percent: format!("{sign}{}.{:02}", size / 100, size % 100), above })
}
