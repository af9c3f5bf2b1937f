//! Columns of texts: one for all, a list of choices, words, dates, digits in a fixed place, UUIDs, or plain.
//!
//! It does not: know the schema: the form follows from the values, so that a date that is none
//! stays exact.
//!
//! Invariants: what is read is what was written, byte for byte; a list and its words are checked to be UTF-8
//! once; a reader allocates nothing but its tables, which are no longer than their bytes.

use super::super::PackError;
use super::super::leb::{Reader, put, put_bytes};
use super::blocks::{Blocks, Place, Shelf};
use super::numbers::{NumberReader, Numbers, squeezed};
use crate::limits::PACK_TABLE_TEXTS_MAX;
use std::borrow::Cow;
use std::collections::BTreeMap;

const CONST: u8 = 0;
const PLAIN: u8 = 1;
const MEASURED: u8 = 2;
const CHOICES: u8 = 3;
const PATTERN: u8 = 4;
const DATES: u8 = 5;
const UUIDS: u8 = 6;
const WORDS: u8 = 7;
const PHRASES: u8 = 8;

/// What stands between words, and between phrases.
const SEPARATORS: [(u8, &str); 2] = [(WORDS, " "), (PHRASES, ", ")];

/// Digits that a number of 64 bits certainly holds.
const DIGITS_MAX: usize = 18;
/// Fewer digits than these in a place of their own are not worth a pattern.
const DIGITS_MIN: usize = 4;
/// In a pattern: here stands a digit.
const DIGIT: u8 = 0;
/// Where the hyphens of a UUID stand.
const HYPHENS: [usize; 4] = [8, 13, 18, 23];

/// The texts of a column while a pack is made.
#[derive(Debug, Default)]
pub(super) struct Texts<'a>(Vec<Cow<'a, str>>);

impl<'a> Texts<'a> {
    pub(super) fn push(&mut self, text: impl Into<Cow<'a, str>>) {
        self.0.push(text.into());
    }

    /// Whether nothing is there but empty texts.
    pub(super) fn is_trivial(&self) -> bool {
        self.0.iter().all(|t| t.is_empty())
    }

    /// Writes the column in the form that fits its values.
    pub(super) fn write(&self, out: &mut Shelf) {
        let all = &self.0;
        let Some(first) = all.first() else {
            out.head.push(CONST);
            out.head.push(0);
            return;
        };
        if all.iter().all(|t| t == first) {
            out.head.push(CONST);
            put_bytes(&mut out.head, first.as_bytes());
            return;
        }
        if all.iter().any(|t| t.as_bytes().contains(&0)) {
            return self.measured(out);
        }
        if self.choices(out) || self.uuids(out) || self.dates(out) || self.pattern(out) || self.words(out) {
            return;
        }
        out.head.push(PLAIN);
        out.body(ended(all.iter().map(AsRef::as_ref)), Place::Squeezed);
    }

    fn measured(&self, out: &mut Shelf) {
        out.head.push(MEASURED);
        let (mut lens, mut body) = (Numbers::default(), Vec::new());
        for t in &self.0 {
            lens.push(t.len() as u64);
            body.extend_from_slice(t.as_bytes());
        }
        lens.write(out);
        out.body(body, Place::Squeezed);
    }

    /// Where values repeat: each once, then which of them.
    fn choices(&self, out: &mut Shelf) -> bool {
        let most = self.0.len() / 3;
        let (mut table, mut at) = (Vec::new(), BTreeMap::new());
        let mut which = Numbers::default();
        for t in &self.0 {
            let next = table.len() as u64;
            let i = *at.entry(t.as_ref()).or_insert_with(|| {
                table.push(t.as_ref());
                next
            });
            if table.len() > most {
                return false;
            }
            which.push(i);
        }
        out.head.push(CHOICES);
        out.body(ended(table.into_iter()), Place::Squeezed);
        which.write(out);
        true
    }

    fn uuids(&self, out: &mut Shelf) -> bool {
        let mut body = Vec::with_capacity(self.0.len() * 16);
        for t in &self.0 {
            let Some(uuid) = uuid_bytes(t.as_bytes()) else { return false };
            body.extend_from_slice(&uuid);
        }
        out.head.push(UUIDS);
        out.body(body, Place::Stored);
        true
    }

    fn dates(&self, out: &mut Shelf) -> bool {
        let mut days = Numbers::default();
        for t in &self.0 {
            let Some(day) = day_of(t) else { return false };
            days.push(day);
        }
        out.head.push(DATES);
        days.write(out);
        true
    }

    /// The same letters in the same places, and digits in the others.
    fn pattern(&self, out: &mut Shelf) -> bool {
        let Some(first) = self.0.first() else { return false };
        let mut pattern: Vec<u8> = first.bytes().collect();
        let digit = |b: &u8| b.is_ascii_digit();
        pattern.iter_mut().filter(|b| digit(b)).for_each(|b| *b = DIGIT);
        let digits = pattern.iter().filter(|b| **b == DIGIT).count();
        if !(DIGITS_MIN..=DIGITS_MAX).contains(&digits) {
            return false;
        }
        let mut numbers = Numbers::default();
        for t in &self.0 {
            let mut n = 0u64;
            if t.len() != pattern.len() {
                return false;
            }
            for (b, p) in t.bytes().zip(&pattern) {
                match *p {
                    DIGIT if b.is_ascii_digit() => n = n * 10 + u64::from(b - b'0'),
                    p if p == b => {}
                    _ => return false,
                }
            }
            numbers.push(n);
        }
        out.head.push(PATTERN);
        put_bytes(&mut out.head, &pattern);
        numbers.write(out);
        true
    }

    /// Where words or phrases repeat: each once, then which of them, value by value.
    fn words(&self, out: &mut Shelf) -> bool {
        let taken = SEPARATORS.iter().filter_map(|(form, between)| {
            let (table, which) = self.split(between)?;
            let table = ended(table.into_iter());
            Some((squeezed(&table) + squeezed(&which), *form, table, which))
        });
        let Some((_, form, table, which)) = taken.min_by_key(|(size, ..)| *size) else { return false };
        out.head.push(form);
        out.body(table, Place::Squeezed);
        out.body(which, Place::Squeezed);
        true
    }

    /// The words between such separators, and which of them each text has, if they repeat.
    fn split(&self, between: &str) -> Option<(Vec<&str>, Vec<u8>)> {
        let (mut table, mut at) = (Vec::new(), BTreeMap::new());
        let (mut which, mut total) = (Vec::new(), 0);
        for t in &self.0 {
            // The empty text has no word; a separator alone has two empty ones.
            for word in t.split(between).filter(|_| !t.is_empty()) {
                let next = table.len() as u64 + 1;
                let i = *at.entry(word).or_insert_with(|| {
                    table.push(word);
                    next
                });
                put(&mut which, i);
                total += 1;
            }
            which.push(0);
        }
        (2 * total >= 3 * table.len()).then_some((table, which))
    }
}

/// Texts one after the other, each ended by a zero byte.
fn ended<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<u8> {
    let mut out = Vec::new();
    for t in texts {
        out.extend_from_slice(t.as_bytes());
        out.push(0);
    }
    out
}

fn uuid_bytes(text: &[u8]) -> Option<[u8; 16]> {
    let text: &[u8; 36] = text.try_into().ok()?;
    let mut out = [0u8; 16];
    let mut nibbles = 0;
    for (i, b) in text.iter().enumerate() {
        if HYPHENS.contains(&i) {
            if *b != b'-' {
                return None;
            }
            continue;
        }
        let n = match b {
            b'0'..=b'9' => b - b'0',
            b'a'..=b'f' => b - b'a' + 10,
            _ => return None,
        };
        out[nibbles / 2] |= if nibbles % 2 == 0 { n << 4 } else { n };
        nibbles += 1;
    }
    Some(out)
}

/// Days since 1 March of the year 0, of a whole date of the years 1 to 9999.
fn day_of(text: &str) -> Option<u64> {
    let b: &[u8; 10] = text.as_bytes().try_into().ok()?;
    if b[4] != b'-' || b[7] != b'-' {
        return None;
    }
    let number =
        |part: &[u8]| part.iter().try_fold(0u64, |n, b| b.is_ascii_digit().then(|| n * 10 + u64::from(b - b'0')));
    let (y, m, d) = (number(&b[..4])?, number(&b[5..7])?, number(&b[8..])?);
    if y == 0 || !(1..=12).contains(&m) || d == 0 {
        return None;
    }
    let day = days(y, m) + d - 1;
    // The thirty-first of a month that has none comes back as the first of the next.
    (date_of(day) == (y, m, d)).then_some(day)
}

/// The day on which a month begins; years begin in March, so that the odd day comes last.
fn days(y: u64, m: u64) -> u64 {
    let (y, m) = if m > 2 { (y, m - 3) } else { (y - 1, m + 9) };
    y * 365 + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5
}

/// Year, month and day of the month.
fn date_of(day: u64) -> (u64, u64, u64) {
    let era = day / 146_097;
    let in_era = day % 146_097;
    let year = (in_era - in_era / 1_460 + in_era / 36_524 - in_era / 146_096) / 365;
    let in_year = in_era - (365 * year + year / 4 - year / 100);
    let m = (5 * in_year + 2) / 153;
    let d = in_year - (153 * m + 2) / 5 + 1;
    let (m, next) = if m < 10 { (m + 3, 0) } else { (m - 9, 1) };
    (year + era * 400 + next, m, d)
}

/// Reads such a column.
#[derive(Debug)]
pub(super) enum TextReader<'a> {
    Const(&'a str),
    Plain(Ended<'a>),
    Measured { lens: NumberReader<'a>, bytes: Reader<'a> },
    Choices { table: Vec<&'a str>, which: NumberReader<'a> },
    Pattern { pattern: &'a [u8], numbers: NumberReader<'a> },
    Dates(NumberReader<'a>),
    Uuids(Reader<'a>),
    Words { between: &'static str, table: Vec<&'a str>, which: Reader<'a> },
}

/// Texts that are each ended by a zero byte, checked to be UTF-8 as a whole.
#[derive(Debug)]
pub(super) struct Ended<'a>(&'a str);

impl<'a> Ended<'a> {
    fn new(bytes: &'a [u8]) -> Result<Self, PackError> {
        std::str::from_utf8(bytes).map(Self).map_err(|_| PackError::Malformed("a text that is not UTF-8"))
    }

    fn next(&mut self) -> Result<&'a str, PackError> {
        let (head, rest) = self.0.split_once('\0').ok_or(PackError::Malformed("it ends early"))?;
        self.0 = rest;
        Ok(head)
    }

    fn table(blocks: &mut Blocks<'a>) -> Result<Vec<&'a str>, PackError> {
        let mut texts = Self::new(blocks.body()?)?;
        let mut out = Vec::new();
        while !texts.0.is_empty() {
            out.push(texts.next()?);
            let left = blocks.table_texts.checked_sub(1);
            blocks.table_texts = left.ok_or(PackError::Malformed("more texts in tables than PACK_TABLE_TEXTS_MAX"))?;
        }
        Ok(out)
    }
}

impl<'a> TextReader<'a> {
    pub(super) fn read(blocks: &mut Blocks<'a>) -> Result<Self, PackError> {
        Ok(match blocks.head.byte()? {
            CONST => Self::Const(blocks.head.text()?),
            PLAIN => Self::Plain(Ended::new(blocks.body()?)?),
            MEASURED => {
                let lens = NumberReader::read(blocks)?;
                Self::Measured { lens, bytes: Reader::new(blocks.body()?) }
            }
            CHOICES => {
                let table = Ended::table(blocks)?;
                Self::Choices { table, which: NumberReader::read(blocks)? }
            }
            PATTERN => {
                let pattern = blocks.head.text()?.as_bytes();
                let digits = pattern.iter().filter(|b| **b == DIGIT).count();
                if digits > DIGITS_MAX {
                    return Err(PackError::Malformed("a pattern with too many digits"));
                }
                Self::Pattern { pattern, numbers: NumberReader::read(blocks)? }
            }
            DATES => Self::Dates(NumberReader::read(blocks)?),
            UUIDS => Self::Uuids(Reader::new(blocks.body()?)),
            form => {
                let found = SEPARATORS.iter().find(|(f, _)| *f == form);
                let (_, between) = found.ok_or(PackError::Malformed("texts in an unknown form"))?;
                let table = Ended::table(blocks)?;
                Self::Words { between, table, which: Reader::new(blocks.body()?) }
            }
        })
    }

    /// Appends the next text to `out`, of which at most `room` bytes are left.
    pub(super) fn next(&mut self, out: &mut String, room: usize) -> Result<(), PackError> {
        let missing = PackError::Malformed("a text that is not in its table");
        let (before, mut later) = (out.len(), false);
        match self {
            Self::Const(t) => fit(out, t, room)?,
            Self::Plain(texts) => fit(out, texts.next()?, room)?,
            Self::Measured { lens, bytes } => {
                let len = lens.index(room)?;
                let text = std::str::from_utf8(bytes.take(len)?);
                out.push_str(text.map_err(|_| PackError::Malformed("a text that is not UTF-8"))?);
            }
            Self::Choices { table, which } => {
                fit(out, table.get(which.index(PACK_TABLE_TEXTS_MAX)?).ok_or(missing)?, room)?;
            }
            Self::Pattern { pattern, numbers } => pattern_text(out, pattern, numbers.next()?)?,
            Self::Dates(days) => {
                let (y, m, d) = date_of(days.index(4_000_000)? as u64);
                digits(out, y, 4);
                out.push('-');
                digits(out, m, 2);
                out.push('-');
                digits(out, d, 2);
            }
            Self::Uuids(bytes) => {
                for (i, b) in bytes.take(16)?.iter().enumerate() {
                    if matches!(i, 4 | 6 | 8 | 10) {
                        out.push('-');
                    }
                    out.push(hex(b >> 4));
                    out.push(hex(b & 15));
                }
            }
            Self::Words { between, table, which } => {
                while let Some(at) = which.number()?.checked_sub(1) {
                    if std::mem::replace(&mut later, true) {
                        out.push_str(between);
                    }
                    let word = usize::try_from(at).ok().and_then(|at| table.get(at)).ok_or(missing.clone())?;
                    fit(out, word, room)?;
                    if out.len() - before > room {
                        return Err(PackError::Malformed("a text that is too long"));
                    }
                }
            }
        }
        if out.len() - before > room { Err(PackError::Malformed("a text that is too long")) } else { Ok(()) }
    }

    /// Nothing may be left.
    pub(super) fn end(&self) -> Result<(), PackError> {
        let done = match self {
            Self::Const(_) => true,
            Self::Plain(texts) => texts.0.is_empty(),
            Self::Measured { lens, bytes } => {
                lens.end()?;
                bytes.is_empty()
            }
            Self::Choices { which: n, .. } | Self::Pattern { numbers: n, .. } | Self::Dates(n) => {
                n.end()?;
                true
            }
            Self::Uuids(bytes) | Self::Words { which: bytes, .. } => bytes.is_empty(),
        };
        if done { Ok(()) } else { Err(PackError::Malformed("a column holds more than its pack names")) }
    }
}

fn fit(out: &mut String, text: &str, room: usize) -> Result<(), PackError> {
    if text.len() > room {
        return Err(PackError::Malformed("a text that is too long"));
    }
    out.push_str(text);
    Ok(())
}

fn hex(n: u8) -> char {
    char::from(if n < 10 { b'0' + n } else { b'a' + n - 10 })
}

fn digits(out: &mut String, n: u64, width: usize) {
    let mut buffer = [b'0'; DIGITS_MAX];
    let mut n = n;
    for b in buffer.iter_mut().take(width).rev() {
        *b = b'0' + (n % 10) as u8;
        n /= 10;
    }
    buffer.iter().take(width).for_each(|b| out.push(char::from(*b)));
}

fn pattern_text(out: &mut String, pattern: &[u8], n: u64) -> Result<(), PackError> {
    let width = pattern.iter().filter(|b| **b == DIGIT).count();
    let mut number = String::with_capacity(DIGITS_MAX);
    digits(&mut number, n, width);
    let mut next = number.bytes();
    let text = pattern.iter().map(|b| if *b == DIGIT { next.next().unwrap_or(b'0') } else { *b });
    let text: Vec<u8> = text.collect();
    out.push_str(std::str::from_utf8(&text).map_err(|_| PackError::Malformed("a text that is not UTF-8"))?);
    Ok(())
}
