//! The columns of values: one for each key and class, in the order in which shapes first name them.
//!
//! It does not: say which values a change has (its shape does).
//!
//! Invariants: writer and reader find the same columns from the same shapes.

use super::super::PackError;
use super::super::leb::Reader;
use super::blocks::{Blocks, Place, Shelf};
use super::numbers::{NumberReader, Numbers};
use super::shape::{Class, Shape, Value};
use super::texts::{TextReader, Texts};
use crate::limits::PACK_COLUMNS_MAX;
use std::collections::BTreeMap;

/// Byte strings, end to end; their lengths, nearly always one, apart.
#[derive(Debug, Default)]
pub(super) struct Blobs {
    lens: Numbers,
    bytes: Vec<u8>,
}

impl Blobs {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.lens.push(bytes.len() as u64);
        self.bytes.extend_from_slice(bytes);
    }

    pub(super) fn is_trivial(&self) -> bool {
        self.lens.is_trivial()
    }

    pub(super) fn write(&self, out: &mut Shelf, place: Place) {
        self.lens.write(out);
        out.body(self.bytes.clone(), place);
    }
}

/// Reads such a column.
#[derive(Debug)]
pub(super) struct BlobReader<'a> {
    lens: NumberReader<'a>,
    bytes: Reader<'a>,
}

impl<'a> BlobReader<'a> {
    pub(super) fn read(blocks: &mut Blocks<'a>) -> Result<Self, PackError> {
        let lens = NumberReader::read(blocks)?;
        Ok(Self { lens, bytes: Reader::new(blocks.body()?) })
    }

    /// A column of nothing.
    pub(super) fn trivial() -> Self {
        Self { lens: NumberReader::Const(0), bytes: Reader::new(&[]) }
    }

    pub(super) fn next(&mut self) -> Result<&'a [u8], PackError> {
        let len = self.lens.index(u32::MAX as usize)?;
        self.bytes.take(len)
    }

    pub(super) fn end(&self) -> Result<(), PackError> {
        self.lens.end()?;
        if self.bytes.is_empty() { Ok(()) } else { Err(PackError::Malformed("bytes that nothing takes")) }
    }
}

/// How the values of a class lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Nothing,
    Numbers,
    Texts,
    Blobs,
    Lists,
}

fn kind(class: Class) -> Kind {
    match class {
        Class::Null | Class::Delete => Kind::Nothing,
        Class::Bool | Class::Uint | Class::Int | Class::Counter | Class::Timestamp | Class::Increment => Kind::Numbers,
        Class::Str | Class::Text => Kind::Texts,
        Class::F64 | Class::Bytes => Kind::Blobs,
        Class::List | Class::Set => Kind::Lists,
    }
}

#[derive(Debug)]
enum Column<'a> {
    Nothing,
    Numbers(Numbers),
    Texts(Texts<'a>),
    Blobs(Blobs),
    Lists(Numbers, Texts<'a>),
}

/// The values of a pack while it is made.
#[derive(Debug, Default)]
pub(super) struct Values<'a> {
    columns: Vec<Column<'a>>,
    at: BTreeMap<(u32, Class), usize>,
}

impl<'a> Values<'a> {
    pub(super) fn push(&mut self, key: u32, class: Class, value: Value<'a>) {
        let at = *self.at.entry((key, class)).or_insert_with(|| {
            self.columns.push(match kind(class) {
                Kind::Nothing => Column::Nothing,
                Kind::Numbers => Column::Numbers(Numbers::default()),
                Kind::Texts => Column::Texts(Texts::default()),
                Kind::Blobs => Column::Blobs(Blobs::default()),
                Kind::Lists => Column::Lists(Numbers::default(), Texts::default()),
            });
            self.columns.len() - 1
        });
        match (self.columns.get_mut(at), value) {
            (Some(Column::Numbers(c)), Value::Number(n)) => c.push(n),
            (Some(Column::Numbers(c)), Value::Signed(n)) => c.push_signed(n),
            (Some(Column::Texts(c)), Value::Text(t)) => c.push(t),
            (Some(Column::Blobs(c)), Value::Bytes(b)) => c.push(b),
            (Some(Column::Blobs(c)), Value::Bits(n)) => c.push(&n.to_le_bytes()),
            (Some(Column::Lists(counts, c)), Value::Texts(list)) => {
                counts.push(list.len() as u64);
                list.into_iter().for_each(|t| c.push(t));
            }
            // A value of another class than its step's cannot come about, and the proof would find it.
            (Some(_) | None, _) => {}
        }
    }

    pub(super) fn write(self, out: &mut Shelf) {
        for column in self.columns {
            match column {
                Column::Nothing => {}
                Column::Numbers(c) => c.write(out),
                Column::Texts(c) => c.write(out),
                Column::Blobs(c) => c.write(out, Place::Stored),
                Column::Lists(counts, c) => {
                    counts.write(out);
                    c.write(out);
                }
            }
        }
    }
}

/// One column that is read.
#[derive(Debug)]
pub(super) enum Source<'a> {
    Nothing,
    Numbers(NumberReader<'a>),
    Texts(TextReader<'a>),
    Blobs(BlobReader<'a>),
    Lists(NumberReader<'a>, TextReader<'a>),
}

/// The values of a pack that is read, and which of them each shape takes, step by step.
#[derive(Debug)]
pub(super) struct Sources<'a> {
    pub(super) columns: Vec<Source<'a>>,
    pub(super) of: Vec<Vec<u32>>,
}

impl<'a> Sources<'a> {
    pub(super) fn read(shapes: &[Shape], blocks: &mut Blocks<'a>) -> Result<Self, PackError> {
        let (mut columns, mut of) = (Vec::new(), Vec::new());
        let mut at: BTreeMap<(u32, Class), u32> = BTreeMap::new();
        for shape in shapes {
            let mut steps = Vec::with_capacity(shape.steps.len());
            for step in &shape.steps {
                let found = match at.get(&(step.key, step.class)) {
                    Some(found) => *found,
                    None => {
                        columns.push(match kind(step.class) {
                            Kind::Nothing => Source::Nothing,
                            Kind::Numbers => Source::Numbers(NumberReader::read(blocks)?),
                            Kind::Texts => Source::Texts(TextReader::read(blocks)?),
                            Kind::Blobs => Source::Blobs(BlobReader::read(blocks)?),
                            Kind::Lists => Source::Lists(NumberReader::read(blocks)?, TextReader::read(blocks)?),
                        });
                        if columns.len() > PACK_COLUMNS_MAX {
                            return Err(PackError::Malformed("more columns than PACK_COLUMNS_MAX"));
                        }
                        let next = columns.len() as u32 - 1;
                        at.insert((step.key, step.class), next);
                        next
                    }
                };
                steps.push(found);
            }
            of.push(steps);
        }
        Ok(Self { columns, of })
    }

    pub(super) fn end(&self) -> Result<(), PackError> {
        self.columns.iter().try_for_each(|c| match c {
            Source::Nothing => Ok(()),
            Source::Numbers(c) => c.end(),
            Source::Texts(c) => c.end(),
            Source::Blobs(c) => c.end(),
            Source::Lists(counts, c) => counts.end().and_then(|()| c.end()),
        })
    }
}
