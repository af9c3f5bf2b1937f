//! A change below the level of operations: its columns as bytes.
//!
//! It does not: read what is not canonical (it starts from honest changes).
//!
//! Invariants: taken apart and put together again, a change has the same bytes.

use super::{chunk, honest_change};
use crate::hash::CHUNK_PREFIX;

/// A change as columns of bytes, to be altered below the level of operations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Raw {
    /// Everything before the columns, dependencies first.
    pub head: Vec<u8>,
    /// The columns: their numbers and bytes.
    pub columns: Vec<(u64, Vec<u8>)>,
}

impl Raw {
    /// The columns of actions, of the lengths and types of values, of keys, and of numbers of
    /// predecessors.
    pub const ACTION: u64 = 0x42;
    /// See [`Raw::ACTION`].
    pub const VALUE_META: u64 = 0x56;
    /// See [`Raw::ACTION`].
    pub const KEY: u64 = 0x15;
    /// See [`Raw::ACTION`].
    pub const PREDECESSORS: u64 = 0x70;

    /// Takes an honest change apart.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    pub fn of(honest: &[u8]) -> Self {
        let actors = honest_change(honest).actors.len();
        let mut at = CHUNK_PREFIX + 1;
        get(honest, &mut at);
        let content = &honest[at..];
        let mut at = 0;
        let deps = get(content, &mut at);
        at += deps as usize * 32;
        // The author, then sequence, first counter and time, the message, and the other actors.
        let skip = |at: &mut usize| *at += get(content, at) as usize;
        skip(&mut at);
        for _ in 0..3 {
            get(content, &mut at);
        }
        skip(&mut at);
        get(content, &mut at);
        for _ in 1..actors {
            skip(&mut at);
        }
        let head = content[..at].to_vec();
        let count = get(content, &mut at);
        let specs: Vec<(u64, u64)> = (0..count).map(|_| (get(content, &mut at), get(content, &mut at))).collect();
        let mut columns = Vec::with_capacity(specs.len());
        for (spec, len) in specs {
            columns.push((spec, content[at..at + len as usize].to_vec()));
            at += len as usize;
        }
        Self { head, columns }
    }

    /// The bytes of a column.
    ///
    /// # Panics
    /// When the change does not have it.
    pub fn column(&mut self, spec: u64) -> &mut Vec<u8> {
        let found = self.columns.iter_mut().find(|(s, _)| *s == spec);
        &mut found.unwrap_or_else(|| panic!("the change has no column {spec:#x}")).1
    }

    /// The content of the chunk.
    #[must_use]
    pub fn content(&self) -> Vec<u8> {
        let mut out = self.head.clone();
        put(&mut out, self.columns.len() as u64);
        for (spec, data) in &self.columns {
            put(&mut out, *spec);
            put(&mut out, data.len() as u64);
        }
        self.columns.iter().for_each(|(_, data)| out.extend_from_slice(data));
        out
    }

    /// The whole chunk.
    #[must_use]
    pub fn chunk(&self) -> Vec<u8> {
        chunk(1, &self.content())
    }

    /// Where the sequence stands in the head, and how long it is there.
    pub(super) fn sequence(&self) -> (usize, usize) {
        let mut at = 0;
        let deps = get(&self.head, &mut at);
        let start = at + deps as usize * 32 + 17;
        let mut end = start;
        get(&self.head, &mut end);
        (start, end)
    }

    /// The sequence in one byte more than it needs.
    #[must_use]
    pub fn with_a_long_sequence(mut self) -> Self {
        let (_, end) = self.sequence();
        self.head[end - 1] |= 0x80;
        self.head.insert(end, 0);
        self
    }

    /// The column of actions, of `n` equal ones, as that many literals instead of one run.
    #[must_use]
    pub fn with_a_split_run(mut self, n: u8) -> Self {
        let column = self.column(Self::ACTION);
        assert_eq!(column.first(), Some(&n), "the change has one run of {n} actions");
        let action = column[1];
        *column = vec![0x80 - n];
        column.extend(std::iter::repeat_n(action, usize::from(n)));
        self
    }

    /// The column of actions as one run of this length.
    #[must_use]
    pub fn with_a_run_of(mut self, n: u64) -> Self {
        let mut column = Vec::new();
        put_positive(&mut column, n);
        column.push(1);
        *self.column(Self::ACTION) = column;
        self
    }
}

pub(super) fn put(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

/// A positive number in the signed form.
fn put_positive(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x40 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

fn get(bytes: &[u8], at: &mut usize) -> u64 {
    let (mut out, mut shift) = (0, 0);
    loop {
        let b = bytes[*at];
        *at += 1;
        out |= u64::from(b & 0x7f) << shift;
        shift += 7;
        if b & 0x80 == 0 {
            return out;
        }
    }
}
