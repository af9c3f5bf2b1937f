//! Reading and writing the smallest parts: bytes and LEB128 numbers.
//!
//! It does not: insist on the shortest form of a number (the canonical check of `read` does, by
//! comparing bytes).
//!
//! Invariants: a cursor never reads past its end and never panics.

use super::error::Malformed;

/// A place in a byte string.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(super) fn take(&mut self, len: u64) -> Result<&'a [u8], Malformed> {
        let len = usize::try_from(len).map_err(|_| Malformed::Truncated)?;
        let (head, tail) = self.rest.split_at_checked(len).ok_or(Malformed::Truncated)?;
        self.rest = tail;
        Ok(head)
    }

    pub(super) fn byte(&mut self) -> Result<u8, Malformed> {
        let (&b, tail) = self.rest.split_first().ok_or(Malformed::Truncated)?;
        self.rest = tail;
        Ok(b)
    }

    pub(super) fn unsigned(&mut self) -> Result<u64, Malformed> {
        let mut out = 0u64;
        for shift in (0..64).step_by(7) {
            let b = self.byte()?;
            if shift == 63 && b > 1 {
                return Err(Malformed::Number);
            }
            out |= u64::from(b & 0x7f) << shift;
            if b & 0x80 == 0 {
                return Ok(out);
            }
        }
        Err(Malformed::Number)
    }

    pub(super) fn signed(&mut self) -> Result<i64, Malformed> {
        let mut out = 0i64;
        for shift in (0..64).step_by(7) {
            let b = self.byte()?;
            if shift == 63 && b != 0 && b != 0x7f {
                return Err(Malformed::Number);
            }
            out |= i64::from(b & 0x7f) << shift;
            if b & 0x80 == 0 {
                if shift < 57 && b & 0x40 != 0 {
                    out |= -1 << (shift + 7);
                }
                return Ok(out);
            }
        }
        Err(Malformed::Number)
    }

    pub(super) fn text(&mut self) -> Result<&'a str, Malformed> {
        let len = self.unsigned()?;
        std::str::from_utf8(self.take(len)?).map_err(|_| Malformed::Utf8)
    }
}

pub(super) fn put_unsigned(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value as u8 & 0x7f) | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

pub(super) fn put_signed(out: &mut Vec<u8>, mut value: i64) {
    loop {
        let low = (value & 0x7f) as u8;
        value >>= 7;
        if (value == 0 && low & 0x40 == 0) || (value == -1 && low & 0x40 != 0) {
            out.push(low);
            return;
        }
        out.push(low | 0x80);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_round_trip(u in any::<u64>(), i in any::<i64>()) {
            let mut out = Vec::new();
            put_unsigned(&mut out, u);
            put_signed(&mut out, i);
            let mut c = Cursor::new(&out);
            prop_assert_eq!(c.unsigned(), Ok(u));
            prop_assert_eq!(c.signed(), Ok(i));
            prop_assert!(c.is_empty());
        }
    }

    #[test]
    fn extremes_round_trip_and_overlong_numbers_end() {
        for i in [i64::MIN, i64::MAX, -1, 0, 63, 64, -64, -65] {
            let mut out = Vec::new();
            put_signed(&mut out, i);
            assert_eq!(Cursor::new(&out).signed(), Ok(i));
        }
        assert_eq!(Cursor::new(&[0xff; 11]).unsigned(), Err(Malformed::Number));
        assert_eq!(Cursor::new(&[0xff; 11]).signed(), Err(Malformed::Number));
        assert_eq!(Cursor::new(&[0x80]).unsigned(), Err(Malformed::Truncated));
    }
}
