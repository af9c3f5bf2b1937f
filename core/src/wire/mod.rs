//! CBOR on the wire: strict decoding and canonical encoding of every message.
//!
//! It does not: define the frames of a session (see `frame`) or the signed things (`log`,
//! `charter`, `register`, `ticket`); those derive their codecs beside their types.
//!
//! Invariants: what decodes re-encodes to the same bytes, so each message has one byte form;
//! trailing bytes are refused; nothing is allocated by a length that the input only claims.

pub mod frame;
pub mod short;

/// Why bytes are not a message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// Not the CBOR of this message.
    #[error("not a {what}: {why}")]
    Malformed {
        /// The message expected.
        what: &'static str,
        /// What the decoder says.
        why: String,
    },
    /// More bytes follow the message.
    #[error("{extra} bytes follow a {what}")]
    Trailing {
        /// The message expected.
        what: &'static str,
        /// How many.
        extra: usize,
    },
    /// A second way to write the same message.
    #[error("a {what} is not in its canonical form")]
    NotCanonical {
        /// The message expected.
        what: &'static str,
    },
    /// Larger than a named limit.
    #[error("a {what} of {size} exceeds the limit {limit} of {max}")]
    Limit {
        /// The message expected.
        what: &'static str,
        /// The limit's name in `limits`.
        limit: &'static str,
        /// The size found.
        size: usize,
        /// The limit.
        max: usize,
    },
}

/// The canonical bytes of a message.
pub fn encode<T: minicbor::Encode<()>>(value: &T) -> Vec<u8> {
    let mut out = Vec::new();
    // Writing to a Vec cannot fail, and no message of ours has a fallible encoder.
    minicbor::encode(value, &mut out).unwrap_or_else(|e| unreachable!("encoding into memory failed: {e}"));
    out
}

/// Decodes exactly one message in its canonical form.
///
/// # Errors
/// [`WireError`] when the bytes are not that message, are followed by others, or are not canonical.
pub fn decode<'b, T>(what: &'static str, bytes: &'b [u8]) -> Result<T, WireError>
where
    T: minicbor::Decode<'b, ()> + minicbor::Encode<()>,
{
    let mut d = minicbor::Decoder::new(bytes);
    let value: T = d.decode().map_err(|e| WireError::Malformed { what, why: e.to_string() })?;
    if d.position() != bytes.len() {
        return Err(WireError::Trailing { what, extra: bytes.len() - d.position() });
    }
    if encode(&value) != bytes {
        return Err(WireError::NotCanonical { what });
    }
    Ok(value)
}

/// Reads at most `ENDPOINTS_MAX` addresses: an empty one takes a byte on the wire and 24 in memory,
/// so the limit is kept while reading.
pub(crate) fn addresses<C>(d: &mut minicbor::Decoder<'_>, _: &mut C) -> Result<Vec<String>, minicbor::decode::Error> {
    let mut out = Vec::new();
    for address in d.array_iter::<String>()? {
        if out.len() == crate::limits::ENDPOINTS_MAX {
            return Err(minicbor::decode::Error::message("more addresses than ENDPOINTS_MAX"));
        }
        out.push(address?);
    }
    Ok(out)
}

/// Reads one or more things: an empty group takes three bytes on the wire and 48 in memory.
pub(crate) fn not_empty<'b, C, T: minicbor::Decode<'b, C>>(
    d: &mut minicbor::Decoder<'b>,
    ctx: &mut C,
) -> Result<Vec<T>, minicbor::decode::Error> {
    let out: Vec<T> = d.decode_with(ctx)?;
    if out.is_empty() { Err(minicbor::decode::Error::message("an empty group")) } else { Ok(out) }
}

/// Refuses a size over a named limit.
///
/// # Errors
/// [`WireError::Limit`].
pub fn at_most(what: &'static str, limit: &'static str, size: usize, max: usize) -> Result<(), WireError> {
    if size > max { Err(WireError::Limit { what, limit, size, max }) } else { Ok(()) }
}
