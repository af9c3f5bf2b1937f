//! Places of earlier entries in the denser form: one number each, from the oldest commit that is named.
//!
//! It does not: look anything up.
//!
//! Layout: what every commit before is counted as, the steps to the oldest twice, plus one if the numbers are differences
//! from the one before, then the first number, in the head; then the column of the numbers.
//!
//! Invariants: a place has one number and a number one place.

use super::super::PackError;
use super::super::leb::put;
use super::blocks::{Blocks, Shelf};
use super::numbers::{NumberReader, Numbers};
use crate::limits::COMMIT_ENTRIES_MAX;

/// Steps and index of each place while a pack is made.
#[derive(Debug, Default)]
pub(super) struct Places(Vec<(u64, u32)>);

impl Places {
    pub(super) fn push(&mut self, steps: u64, index: u32) {
        self.0.push((steps, index));
    }

    pub(super) fn is_trivial(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn write(&self, out: &mut Shelf) {
        let each = 1 + self.0.iter().map(|(_, index)| u64::from(*index)).max().unwrap_or(0);
        let oldest = self.0.iter().map(|(steps, _)| *steps).max().unwrap_or(0);
        // What would not come back is found by the proof.
        let number = |(steps, index): &(u64, u32)| (oldest - steps).wrapping_mul(each).wrapping_add(u64::from(*index));
        let all: Vec<u64> = self.0.iter().map(number).collect();
        let (mut plain, mut steps) = (Numbers::default(), Numbers::default());
        for pair in all.windows(2) {
            plain.push(pair[1]);
            steps.push_signed(pair[1].wrapping_sub(pair[0]) as i64);
        }
        let by_steps = steps.bits() < plain.bits();
        put(&mut out.head, each);
        put(&mut out.head, oldest << 1 | u64::from(by_steps));
        put(&mut out.head, all.first().copied().unwrap_or(0));
        if by_steps { steps.write(out) } else { plain.write(out) }
    }
}

/// Reads them.
#[derive(Debug)]
pub(super) struct PlaceReader<'a> {
    each: u64,
    oldest: u64,
    by_steps: bool,
    first: Option<u64>,
    last: u64,
    numbers: NumberReader<'a>,
}

impl<'a> PlaceReader<'a> {
    pub(super) fn read(blocks: &mut Blocks<'a>) -> Result<Self, PackError> {
        let each = blocks.head.number()?;
        if each == 0 || each > COMMIT_ENTRIES_MAX as u64 {
            return Err(PackError::Malformed("a commit with none or too many entries"));
        }
        let n = blocks.head.number()?;
        let first = blocks.head.number()?;
        let numbers = NumberReader::read(blocks)?;
        Ok(Self { each, oldest: n >> 1, by_steps: n & 1 == 1, first: Some(first), last: first, numbers })
    }

    /// Steps and index of the next place.
    pub(super) fn next(&mut self) -> Result<(u64, u32), PackError> {
        let number = match self.first.take() {
            Some(first) => first,
            None if self.by_steps => self.last.wrapping_add(self.numbers.signed()? as u64),
            None => self.numbers.next()?,
        };
        self.last = number;
        let steps = self.oldest.checked_sub(number / self.each);
        // `each` bounds the index.
        Ok((steps.ok_or(PackError::Malformed("a place out of range"))?, (number % self.each) as u32))
    }

    pub(super) fn end(&self) -> Result<(), PackError> {
        if self.first.is_some() {
            return Err(PackError::Malformed("a place that nothing takes"));
        }
        self.numbers.end()
    }
}
