//! Columns of numbers: one value for all, LEB128, or as many bits each as their range needs, signed or not.
//!
//! It does not: know what a number means, or how many there are: the reader of a pack asks for each.
//!
//! Invariants: a reader never goes past its bytes; what was not asked for, or padding that is not
//! zero, is an error at the end.

use super::super::PackError;
use super::super::leb::{Reader, put};
use super::blocks::{Blocks, Place, Shelf};

const CONST: u8 = 0;
const LEB: u8 = 1;
const PACKED: u8 = 2;
const SPAN: u8 = 3;
/// As the two before, in the denser form: several together, in as many bits as all their values need.
const CLOSE: u8 = 4;
const CLOSE_SPAN: u8 = 5;

/// Up to so many values the shorter of both forms is taken, as no compressor has room to learn.
const FEW: usize = 64;
/// Wider values are packed: their bytes are close to chance, and a compressor takes a byte for each started.
const WIDE_BITS: u32 = 12;

/// The numbers of a column while a pack is made; signed ones as [`zigzag`] has them.
#[derive(Debug, Default)]
pub(super) struct Numbers(Vec<u64>);

/// What a compressor makes of these bytes where it finds nothing but that some are more frequent than others; and
/// its table of them.
pub(super) fn squeezed(bytes: &[u8]) -> usize {
    let mut counts = [0u32; 256];
    bytes.iter().for_each(|b| counts[usize::from(*b)] += 1);
    let all = bytes.len() as f64;
    let bits: f64 = counts.iter().filter(|n| **n > 0).map(|n| f64::from(*n) * (all / f64::from(*n)).log2()).sum();
    (bits / 7.6) as usize + 16
}

/// A signed number as an unsigned one, small where it is small.
pub(super) fn zigzag(n: i64) -> u64 {
    ((n << 1) ^ (n >> 63)) as u64
}

/// The number that [`zigzag`] made this of.
pub(super) fn unzigzag(n: u64) -> i64 {
    ((n >> 1) as i64) ^ -((n & 1) as i64)
}

/// How many numbers of up to `most` go together, and the bits that they need.
fn together(most: u64) -> (usize, u32) {
    let each = u128::from(most) + 1;
    let (mut n, mut all) = (1, each);
    while let Some(more) = all.checked_mul(each).filter(|more| *more <= 1 << 64) {
        all = more;
        n += 1;
    }
    (n, 128 - (all - 1).leading_zeros())
}

/// The bits of so many numbers of up to `most`.
fn bits_of(n: usize, most: u64) -> usize {
    let each = u128::from(most) + 1;
    let all = (0..n).fold(1u128, |all, _| all * each);
    (128 - (all - 1).leading_zeros()) as usize
}

fn close_len(n: usize, most: u64) -> usize {
    let (each, bits) = together(most);
    ((n / each) * bits as usize + bits_of(n % each, most)).div_ceil(8)
}

/// Numbers of up to `most`, those that go together as digits of one, the first the lowest.
fn close(numbers: impl Iterator<Item = u64>, most: u64) -> Vec<u8> {
    let (each, bits) = together(most);
    let numbers: Vec<u64> = numbers.collect();
    let (mut out, mut word, mut held) = (Vec::new(), 0u128, 0);
    for run in numbers.chunks(each) {
        let one = run.iter().rev().fold(0u128, |one, n| one * (u128::from(most) + 1) + u128::from(*n));
        word |= one << held;
        held += if run.len() == each { bits } else { bits_of(run.len(), most) as u32 };
        while held >= 8 {
            out.push(word as u8);
            word >>= 8;
            held -= 8;
        }
    }
    if held > 0 {
        out.push(word as u8);
    }
    out
}

impl Numbers {
    /// About what the column takes, in bits.
    pub(super) fn bits(&self) -> u64 {
        let (min, max) = self.0.iter().fold((u64::MAX, 0), |(lo, hi), n| (lo.min(*n), hi.max(*n)));
        let signed = || self.0.iter().map(|n| unzigzag(*n));
        let (low, high) = signed().fold((i64::MAX, i64::MIN), |(lo, hi), n| (lo.min(n), hi.max(n)));
        if min >= max {
            return 0;
        }
        let most = (max - min).min((high as u64).wrapping_sub(low as u64));
        close_len(self.0.len(), most) as u64 * 8
    }

    pub(super) fn push(&mut self, n: u64) {
        self.0.push(n);
    }

    pub(super) fn push_signed(&mut self, n: i64) {
        self.push(zigzag(n));
    }

    /// Whether nothing is there but zeros.
    pub(super) fn is_trivial(&self) -> bool {
        self.0.iter().all(|n| *n == 0)
    }

    /// Writes the column's head and its bytes.
    pub(super) fn write(&self, out: &mut Shelf) {
        let (min, max) = self.0.iter().fold((u64::MAX, 0), |(lo, hi), n| (lo.min(*n), hi.max(*n)));
        if min >= max {
            out.head.push(CONST);
            put(&mut out.head, max);
            return;
        }
        let signed = || self.0.iter().map(|n| unzigzag(*n));
        let (low, high) = signed().fold((i64::MAX, i64::MIN), |(lo, hi), n| (lo.min(n), hi.max(n)));
        let span = 64 - (high as u64).wrapping_sub(low as u64).leading_zeros();
        let plain = 64 - (max - min).leading_zeros();
        let bits = plain.min(span);
        let most = if span < plain { (high as u64).wrapping_sub(low as u64) } else { max - min };
        let packed = if out.dense { close_len(self.0.len(), most) } else { (self.0.len() * bits as usize).div_ceil(8) };
        let mut body = Vec::with_capacity(packed);
        if bits <= WIDE_BITS || self.0.len() <= FEW {
            self.0.iter().for_each(|n| put(&mut body, *n));
        }
        let few = self.0.len() <= FEW && packed + 9 > body.len();
        let narrow = self.0.len() > FEW && bits <= WIDE_BITS && packed > squeezed(&body);
        if few || narrow {
            out.head.push(LEB);
            out.body(body, Place::Squeezed);
        } else {
            if out.dense {
                let over = |n: u64| if span < plain { (unzigzag(n) as u64).wrapping_sub(low as u64) } else { n - min };
                out.head.push(if span < plain { CLOSE_SPAN } else { CLOSE });
                put(&mut out.head, if span < plain { zigzag(low) } else { min });
                put(&mut out.head, most);
                let body = close(self.0.iter().map(|n| over(*n)), most);
                out.body(body, Place::Stored);
                return;
            }
            out.head.push(if span < plain { SPAN } else { PACKED });
            put(&mut out.head, if span < plain { zigzag(low) } else { min });
            out.head.push(bits as u8);
            body.clear();
            let (mut word, mut held) = (0u128, 0);
            for n in &self.0 {
                let over = if span < plain { (unzigzag(*n) as u64).wrapping_sub(low as u64) } else { n - min };
                word |= u128::from(over) << held;
                held += bits;
                while held >= 8 {
                    body.push(word as u8);
                    word >>= 8;
                    held -= 8;
                }
            }
            if held > 0 {
                body.push(word as u8);
            }
            out.body(body, Place::Stored);
        }
    }
}

/// Reads such a column.
#[derive(Debug)]
pub(super) enum NumberReader<'a> {
    Const(u64),
    Leb(Reader<'a>),
    Packed { min: u64, span: bool, bits: u32, bytes: &'a [u8], word: u128, held: u32 },
    Close(CloseReader<'a>),
}

/// Numbers that lie together.
#[derive(Debug)]
pub(super) struct CloseReader<'a> {
    min: u64,
    span: bool,
    most: u64,
    /// How many go together, and their bits.
    each: usize,
    bits: u32,
    bytes: &'a [u8],
    word: u128,
    held: u32,
    /// Those that are being handed out, and how many.
    one: u128,
    left: usize,
}

impl CloseReader<'_> {
    fn next(&mut self) -> Result<u64, PackError> {
        if self.left == 0 {
            if self.one != 0 {
                return Err(PackError::Malformed("a number out of range"));
            }
            if self.bytes.is_empty() && self.held == 0 {
                return Err(PackError::Malformed("it ends early"));
            }
            while self.held < self.bits {
                let Some((&b, rest)) = self.bytes.split_first() else { break };
                self.bytes = rest;
                self.word |= u128::from(b) << self.held;
                self.held += 8;
            }
            // The last are fewer than go together: whatever is left.
            let taken = self.held.min(self.bits);
            self.one = self.word & (u128::MAX >> (128 - taken));
            self.word >>= taken;
            self.held -= taken;
            self.left = self.each;
        }
        self.left -= 1;
        let each = u128::from(self.most) + 1;
        let n = (self.one % each) as u64;
        self.one /= each;
        if self.span {
            return Ok(zigzag(unzigzag(self.min).wrapping_add(n as i64)));
        }
        self.min.checked_add(n).ok_or(PackError::Malformed("a number over 64 bits"))
    }
}

impl<'a> NumberReader<'a> {
    pub(super) fn read(blocks: &mut Blocks<'a>) -> Result<Self, PackError> {
        Ok(match blocks.head.byte()? {
            CONST => Self::Const(blocks.head.number()?),
            LEB => Self::Leb(Reader::new(blocks.body()?)),
            form @ (PACKED | SPAN) => {
                let min = blocks.head.number()?;
                let bits = u32::from(blocks.head.byte()?);
                if bits == 0 || bits > 64 {
                    return Err(PackError::Malformed("numbers of no or too many bits"));
                }
                Self::Packed { min, span: form == SPAN, bits, bytes: blocks.body()?, word: 0, held: 0 }
            }
            form @ (CLOSE | CLOSE_SPAN) if blocks.dense => {
                let min = blocks.head.number()?;
                let most = blocks.head.number()?;
                if most == 0 {
                    return Err(PackError::Malformed("numbers of no or too many bits"));
                }
                let ((each, bits), bytes) = (together(most), blocks.body()?);
                let span = form == CLOSE_SPAN;
                Self::Close(CloseReader { min, span, most, each, bits, bytes, word: 0, held: 0, one: 0, left: 0 })
            }
            _ => return Err(PackError::Malformed("numbers in an unknown form")),
        })
    }

    #[inline]
    pub(super) fn next(&mut self) -> Result<u64, PackError> {
        match self {
            Self::Const(n) => Ok(*n),
            Self::Leb(r) => r.number(),
            Self::Close(r) => r.next(),
            Self::Packed { min, span, bits, bytes, word, held } => {
                while *held < *bits {
                    let (&b, rest) = bytes.split_first().ok_or(PackError::Malformed("it ends early"))?;
                    *bytes = rest;
                    *word |= u128::from(b) << *held;
                    *held += 8;
                }
                let n = (*word as u64) & (u64::MAX >> (64 - *bits));
                *word >>= *bits;
                *held -= *bits;
                if *span {
                    return Ok(zigzag(unzigzag(*min).wrapping_add(n as i64)));
                }
                min.checked_add(n).ok_or(PackError::Malformed("a number over 64 bits"))
            }
        }
    }

    pub(super) fn signed(&mut self) -> Result<i64, PackError> {
        Ok(unzigzag(self.next()?))
    }

    /// A number that counts or names things of which there are at most `max`.
    pub(super) fn index(&mut self, max: usize) -> Result<usize, PackError> {
        let n = self.next()?;
        if n > max as u64 {
            return Err(PackError::Malformed("a number out of range"));
        }
        Ok(n as usize)
    }

    /// Nothing may be left.
    pub(super) fn end(&self) -> Result<(), PackError> {
        let done = match self {
            Self::Const(_) => true,
            Self::Leb(r) => r.is_empty(),
            Self::Packed { bytes, word, .. } => bytes.is_empty() && *word == 0,
            Self::Close(r) => r.bytes.is_empty() && r.word == 0 && r.one == 0 && r.held < 8,
        };
        if done { Ok(()) } else { Err(PackError::Malformed("a column holds more than its pack names")) }
    }
}
