//! LEB128 numbers and length-prefixed bytes, minimal form only.
//!
//! It does not: know what the numbers mean.

use super::PackError;

/// Appends an unsigned number.
pub fn put(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push((n as u8) | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

/// Appends a signed number, zigzag.
pub fn put_signed(out: &mut Vec<u8>, n: i64) {
    put(out, ((n << 1) ^ (n >> 63)) as u64);
}

/// Appends length and bytes.
pub fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Reads from a slice, never past its end.
#[derive(Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub fn rest(self) -> &'a [u8] {
        self.rest
    }

    pub fn byte(&mut self) -> Result<u8, PackError> {
        let (&b, rest) = self.rest.split_first().ok_or(PackError::Malformed("it ends early"))?;
        self.rest = rest;
        Ok(b)
    }

    pub fn number(&mut self) -> Result<u64, PackError> {
        let mut n = 0u64;
        for shift in (0..64).step_by(7) {
            let b = self.byte()?;
            if shift == 63 && b > 1 {
                return Err(PackError::Malformed("a number over 64 bits"));
            }
            n |= u64::from(b & 0x7f) << shift;
            if b & 0x80 == 0 {
                if b == 0 && shift > 0 {
                    return Err(PackError::Malformed("a number in a longer form than needed"));
                }
                return Ok(n);
            }
        }
        Err(PackError::Malformed("a number over 64 bits"))
    }

    pub fn signed(&mut self) -> Result<i64, PackError> {
        let n = self.number()?;
        Ok(((n >> 1) as i64) ^ -((n & 1) as i64))
    }

    pub fn take(&mut self, len: usize) -> Result<&'a [u8], PackError> {
        if len > self.rest.len() {
            return Err(PackError::Malformed("it ends early"));
        }
        let (head, rest) = self.rest.split_at(len);
        self.rest = rest;
        Ok(head)
    }

    pub fn bytes(&mut self) -> Result<&'a [u8], PackError> {
        let len = self.number()?;
        self.take(usize::try_from(len).map_err(|_| PackError::Malformed("a length over the machine's"))?)
    }

    pub fn text(&mut self) -> Result<&'a str, PackError> {
        std::str::from_utf8(self.bytes()?).map_err(|_| PackError::Malformed("a name that is not UTF-8"))
    }

    /// A count of things that take at least one byte each.
    pub fn count(&mut self) -> Result<usize, PackError> {
        let n = self.number()?;
        if n > self.rest.len() as u64 {
            return Err(PackError::Malformed("a count larger than what follows"));
        }
        Ok(n as usize)
    }
}
