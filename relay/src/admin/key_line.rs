//! A key as one line that a person keeps: the root key while it is offline, and the succession key.
//!
//! It does not: read or write files, or know what a key may do.
//!
//! Invariants: a line says which key it is and carries a check sum, so that a slip of the pen is told from
//! another key; nothing here prints a secret unasked.
//!
//! Format: `sampan-root:` or `sampan-succession:`, then base32 (RFC 4648, lower case, no padding) of the 32
//! bytes of the ed25519 seed and 4 of its tagged BLAKE3 `key-line`, in groups of four digits.

use data_encoding::BASE32_NOPAD;
use sampan_core::hash::tagged;
use sampan_node::keys::Secret;
use zeroize::Zeroizing;

const CHECK: usize = 4;
const GROUP: usize = 4;

/// Which key a line holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineKind {
    /// The root key.
    Root,
    /// The key that may name a new root key.
    Succession,
}

impl LineKind {
    /// What opens its line.
    #[must_use]
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Root => "sampan-root",
            Self::Succession => "sampan-succession",
        }
    }
}

/// Why a text is not the line of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// Another text, or another key's line.
    #[error("it does not start with '{0}:'")]
    Another(&'static str),
    /// A character is wrong or missing.
    #[error("a character is wrong or missing")]
    Damaged,
}

/// The line of a key.
#[must_use]
pub fn encode(kind: LineKind, key: &Secret) -> Zeroizing<String> {
    let mut bytes = Zeroizing::new([0; 32 + CHECK]);
    bytes[..32].copy_from_slice(key.bytes());
    bytes[32..].copy_from_slice(&tagged("key-line", &[kind.prefix().as_bytes(), key.bytes()])[..CHECK]);
    let digits = Zeroizing::new(BASE32_NOPAD.encode(bytes.as_ref()).to_lowercase());
    // The whole capacity at once: a string that grew would leave an unwiped copy behind.
    let mut out = Zeroizing::new(String::with_capacity(128));
    out.push_str(kind.prefix());
    for (at, digit) in digits.chars().enumerate() {
        if at % GROUP == 0 {
            out.push(if at == 0 { ':' } else { '-' });
        }
        out.push(digit);
    }
    out
}

/// Reads a line as a person typed it: in either case, with or without the groups, with 0, 1 and 8 for the
/// letters that look like them.
///
/// # Errors
/// [`LineError`].
pub fn decode(kind: LineKind, text: &str) -> Result<Secret, LineError> {
    let another = LineError::Another(kind.prefix());
    let (prefix, digits) = text.trim_start_matches('\u{feff}').trim().split_once(':').ok_or(another)?;
    if !prefix.trim().eq_ignore_ascii_case(kind.prefix()) {
        return Err(another);
    }
    let typed = digits.chars().filter(|c| !c.is_whitespace() && *c != '-').map(|c| match c {
        '0' => 'O',
        '1' => 'L',
        '8' => 'B',
        other => other.to_ascii_uppercase(),
    });
    let typed: Zeroizing<String> = Zeroizing::new(typed.collect());
    let bytes = BASE32_NOPAD.decode(typed.as_bytes()).map(Zeroizing::new).map_err(|_| LineError::Damaged)?;
    let (seed, check) = bytes.split_at_checked(32).ok_or(LineError::Damaged)?;
    if tagged("key-line", &[kind.prefix().as_bytes(), seed])[..CHECK] != *check {
        return Err(LineError::Damaged);
    }
    let seed: [u8; 32] = seed.try_into().map_err(|_| LineError::Damaged)?;
    Ok(Secret::from_bytes(seed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_as_it_is_typed_and_a_slip_is_told() {
        let key = Secret::from_bytes([0xa7; 32]);
        let line = encode(LineKind::Succession, &key);
        assert!(line.starts_with("sampan-succession:") && line.len() < 100, "{}", *line);
        let shouted = format!(" {}\r\n", line.to_uppercase().replace('-', " ").replace("SAMPAN ", "sampan-"));
        let (head, digits) = line.split_once(':').unwrap();
        let misread = format!("{head}:{}", digits.replace('o', "0").replace('l', "1").replace('b', "8"));
        for text in [line.as_str(), &shouted, &misread, &line.replace('-', "").replace("sampan", "sampan-")] {
            assert_eq!(decode(LineKind::Succession, text).unwrap().bytes(), key.bytes(), "{text}");
        }
        let another = |kind, text: &str| decode(kind, text).unwrap_err();
        assert_eq!(another(LineKind::Root, &line), LineError::Another("sampan-root"));
        assert_eq!(another(LineKind::Root, "dear"), LineError::Another("sampan-root"));
        assert_eq!(another(LineKind::Succession, &line[..line.len() - 1]), LineError::Damaged);
        for at in 18..line.len() {
            let was = &line[at..=at];
            if was != "-" {
                let slip = format!("{}{}{}", &line[..at], if was == "a" { "c" } else { "a" }, &line[at + 1..]);
                assert_eq!(another(LineKind::Succession, &slip), LineError::Damaged, "{slip}");
            }
        }
    }
}
