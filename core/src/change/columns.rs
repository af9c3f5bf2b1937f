//! The column encodings: run lengths with nulls, deltas, and alternating booleans.
//!
//! It does not: know what a column means (see `read` and `write`).
//!
//! Invariants: readers are lazy, so a run of any length costs nothing until it is asked for; the
//! writers produce the one form that Automerge writes.

use super::bytes::{Cursor, put_signed, put_unsigned};
use super::error::Malformed;

/// A value that a run-length column can hold.
pub(super) trait Item<'a>: Copy + PartialEq {
    fn read(cursor: &mut Cursor<'a>) -> Result<Self, Malformed>;
    fn write(self, out: &mut Vec<u8>);
}

impl<'a> Item<'a> for u64 {
    fn read(cursor: &mut Cursor<'a>) -> Result<Self, Malformed> {
        cursor.unsigned()
    }
    fn write(self, out: &mut Vec<u8>) {
        put_unsigned(out, self);
    }
}

impl<'a> Item<'a> for i64 {
    fn read(cursor: &mut Cursor<'a>) -> Result<Self, Malformed> {
        cursor.signed()
    }
    fn write(self, out: &mut Vec<u8>) {
        put_signed(out, self);
    }
}

impl<'a> Item<'a> for &'a str {
    fn read(cursor: &mut Cursor<'a>) -> Result<Self, Malformed> {
        cursor.text()
    }
    fn write(self, out: &mut Vec<u8>) {
        put_unsigned(out, self.len() as u64);
        out.extend_from_slice(self.as_bytes());
    }
}

#[derive(Clone, Copy)]
enum Run<T> {
    Nulls,
    Same(T),
    Literal,
}

/// Reads a run-length column value by value; past its end every value is null.
pub(super) struct Rle<'a, T> {
    cursor: Cursor<'a>,
    left: u64,
    run: Run<T>,
}

impl<'a, T: Item<'a>> Rle<'a, T> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { cursor: Cursor::new(bytes), left: 0, run: Run::Nulls }
    }

    /// Starts the next run; false at the end.
    fn advance(&mut self) -> Result<bool, Malformed> {
        while self.left == 0 {
            if self.cursor.is_empty() {
                return Ok(false);
            }
            let len = self.cursor.signed()?;
            if len > 0 {
                self.left = len.unsigned_abs();
                self.run = Run::Same(T::read(&mut self.cursor)?);
            } else if len < 0 {
                self.left = len.unsigned_abs();
                self.run = Run::Literal;
            } else {
                self.left = self.cursor.unsigned()?;
                self.run = Run::Nulls;
            }
        }
        Ok(true)
    }

    #[inline]
    pub(super) fn next(&mut self) -> Result<Option<T>, Malformed> {
        if self.left == 0 && !self.advance()? {
            // One run of nulls without end: most columns of most changes are empty, and asked for every operation.
            (self.left, self.run) = (u64::MAX, Run::Nulls);
        }
        self.left -= 1;
        match self.run {
            Run::Nulls => Ok(None),
            Run::Same(value) => Ok(Some(value)),
            Run::Literal => T::read(&mut self.cursor).map(Some),
        }
    }

    /// Number of values, or `None` as soon as there are more than `max`; expands nothing.
    pub(super) fn count(mut self, max: u64) -> Result<Option<u64>, Malformed> {
        let mut total = 0u64;
        while self.advance()? {
            total = total.saturating_add(self.left);
            if total > max {
                return Ok(None);
            }
            if matches!(self.run, Run::Literal) {
                for _ in 0..self.left {
                    T::read(&mut self.cursor)?;
                }
            }
            self.left = 0;
        }
        Ok(Some(total))
    }
}

/// Reads a column of differences.
pub(super) struct Delta<'a> {
    rle: Rle<'a, i64>,
    last: i64,
}

impl<'a> Delta<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rle: Rle::new(bytes), last: 0 }
    }

    #[inline]
    pub(super) fn next(&mut self) -> Result<Option<i64>, Malformed> {
        let Some(step) = self.rle.next()? else {
            return Ok(None);
        };
        self.last = self.last.checked_add(step).ok_or(Malformed::Number)?;
        Ok(Some(self.last))
    }
}

/// Reads a column of booleans; past its end every value is false.
pub(super) struct Bools<'a> {
    cursor: Cursor<'a>,
    left: u64,
    value: bool,
}

impl<'a> Bools<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { cursor: Cursor::new(bytes), left: 0, value: true }
    }

    #[inline]
    pub(super) fn next(&mut self) -> Result<bool, Malformed> {
        while self.left == 0 {
            if self.cursor.is_empty() {
                (self.left, self.value) = (u64::MAX, false);
                break;
            }
            self.left = self.cursor.unsigned()?;
            self.value = !self.value;
        }
        self.left -= 1;
        Ok(self.value)
    }
}

/// Writes a run-length column; a column of nulls alone is left out.
pub(super) fn write_rle<'a, T: Item<'a>>(out: &mut Vec<u8>, values: &[Option<T>]) {
    if values.iter().all(Option::is_none) {
        return;
    }
    let mut i = 0;
    while i < values.len() {
        let same = values[i..].iter().take_while(|v| **v == values[i]).count();
        match values[i] {
            None => {
                put_signed(out, 0);
                put_unsigned(out, same as u64);
                i += same;
            }
            Some(value) if same > 1 => {
                put_signed(out, same as i64);
                value.write(out);
                i += same;
            }
            Some(_) => {
                // A literal ends before a null and before a value that begins a run of its own.
                let mut end = i + 1;
                while end < values.len() && values[end].is_some() && values.get(end + 1) != Some(&values[end]) {
                    end += 1;
                }
                put_signed(out, -((end - i) as i64));
                for value in values[i..end].iter().flatten() {
                    value.write(out);
                }
                i = end;
            }
        }
    }
}

/// Writes a column of differences.
pub(super) fn write_delta(out: &mut Vec<u8>, values: &mut [Option<i64>]) {
    let mut last = 0i64;
    for value in values.iter_mut().flatten() {
        let now = *value;
        *value = now.wrapping_sub(last);
        last = now;
    }
    write_rle(out, values);
}

/// Writes a column of booleans.
pub(super) fn write_bools(out: &mut Vec<u8>, values: impl Iterator<Item = bool>) {
    let (mut last, mut count) = (false, 0u64);
    for value in values {
        if value != last {
            put_unsigned(out, count);
            (last, count) = (value, 0);
        }
        count += 1;
    }
    if count > 0 {
        put_unsigned(out, count);
    }
}
