//! Structure out of bytes: numbers, choices and strings drawn from the front of an input.
//!
//! It does not: fail; behind the end everything is 0, so that a shorter input is a simpler one.

use sampan_core::entropy::Entropy;

/// What is left of an input.
#[derive(Debug, Clone, Copy)]
pub struct Draw<'a> {
    rest: &'a [u8],
}

impl<'a> Draw<'a> {
    pub fn new(rest: &'a [u8]) -> Self {
        Self { rest }
    }

    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// All that is left.
    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    /// At most `n` bytes.
    pub fn take(&mut self, n: usize) -> &'a [u8] {
        let (front, rest) = self.rest.split_at(n.min(self.rest.len()));
        self.rest = rest;
        front
    }

    pub fn byte(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or(0)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        let n = if bound > 256 { self.u16() as usize } else { self.byte() as usize };
        n % bound.max(1)
    }

    pub fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.array())
    }

    pub fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.array())
    }

    /// Bytes, with 0 for what is not there.
    pub fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut out = [0; N];
        let front = self.take(N);
        out[..front.len()].copy_from_slice(front);
        out
    }

    /// A number that is often small and sometimes at an edge.
    pub fn number(&mut self) -> u64 {
        match self.byte() {
            n @ 0..=239 => u64::from(n % 24),
            240..=243 => u64::MAX - u64::from(self.byte() % 3),
            244..=247 => 1 << (self.byte() % 64),
            _ => self.u64(),
        }
    }

    /// Bytes behind a length.
    pub fn bytes(&mut self) -> &'a [u8] {
        let n = self.byte() as usize;
        self.take(n)
    }

    /// A text behind a length.
    pub fn text(&mut self) -> String {
        String::from_utf8_lossy(self.bytes()).into_owned()
    }
}

/// What is drawn for a secret or an id does not matter: it follows from a count.
#[derive(Debug, Clone, Default)]
pub struct Count(pub u64);

impl Entropy for Count {
    fn fill(&mut self, buf: &mut [u8]) {
        for chunk in buf.chunks_mut(8) {
            self.0 += 1;
            let word = self.0.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes();
            chunk.copy_from_slice(&word[..chunk.len()]);
        }
    }
}
