//! Reading a csv file for `add --from`: row by row, and as often as it takes to check everything before anything is
//! imported.
//!
//! It does not: know the schema (the caller passes the columns and a closure that reads one cell),
//! match rows with records, or write.
//!
//! Invariants: memory is bounded by the rows that the caller keeps and one row of at most
//! [`CSV_ROW_BYTES_MAX`] bytes; every bad row is told with its line; an empty cell says nothing: it
//! neither sets nor clears.

use super::codes;
use super::convert::{IntoCli, did_you_mean, list_of};
use super::exit::CliError;
use crate::i18n::{Lang, t};
use sampan_core::fold::fold;
use sampan_core::hash::Tagged;
use sampan_core::limits::CSV_ROW_BYTES_MAX;
use sampan_core::suggest::nearest;
use sampan_core::value::Value;
use std::cell::Cell;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek as _};
use std::path::Path;
use std::rc::Rc;

/// The column that places a row in a unit.
pub const UNIT_COLUMN: &str = "_unit";
/// Bytes in which the separator is looked for.
const HEAD_BYTES: usize = 64 << 10;
/// Bytes that the readers may hold beyond the row being read.
const AHEAD_BYTES: usize = 64 << 10;

/// A column that a file may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// The field's id.
    pub id: String,
    /// Other headings for it, such as its labels; compared folded.
    pub labels: Vec<String>,
}

/// One good row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportRow {
    /// Its first line in the file, from 1.
    pub line: u64,
    /// The unit it names.
    pub unit: Option<String>,
    /// Field and text of every cell that is not empty, in the order of the columns.
    pub cells: Vec<(String, String)>,
}

/// One thing wrong with a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadCell {
    /// The line of its row, from 1.
    pub line: u64,
    /// The field, or `None` for the row as a whole.
    pub field: Option<String>,
    /// What is wrong, in the language of the run.
    pub reason: String,
}

/// What a file holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Import {
    /// The good rows in order.
    pub rows: Vec<ImportRow>,
    /// What is wrong with the others, by line.
    pub bad: Vec<BadCell>,
}

impl Import {
    /// How many rows are bad.
    #[must_use]
    pub fn bad_rows(&self) -> usize {
        self.bad.iter().map(|b| b.line).collect::<BTreeSet<_>>().len()
    }

    /// The good rows, if that is all there are or the bad ones may be skipped.
    ///
    /// # Errors
    /// `csv_bad_rows` with one line for each bad cell.
    pub fn accept(self, lang: Lang, file: &str, skip_bad: bool) -> Result<Vec<ImportRow>, CliError> {
        if self.bad.is_empty() || skip_bad {
            return Ok(self.rows);
        }
        let first = self.bad[0].line;
        let details = self.bad.iter().map(|b| b.words(lang)).collect();
        Err(refused(lang, file, self.bad_rows(), first).with_details(details))
    }
}

/// Rows were refused, the first of them on this line; nothing was imported.
#[must_use]
pub fn refused(lang: Lang, file: &str, rows: usize, first: u64) -> CliError {
    let count = rows.to_string();
    CliError::new(lang, &codes::CSV_BAD_ROWS, &[("file", file), ("count", &count)]).at(format!("{file}:{first}"))
}

/// One row that says something, as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Row {
    /// Every cell of it could be read.
    Good(ImportRow),
    /// What is wrong with it.
    Bad(Vec<BadCell>),
}

impl BadCell {
    /// The line that is shown.
    #[must_use]
    pub fn words(&self, lang: Lang) -> String {
        let line = self.line.to_string();
        match &self.field {
            Some(f) => t(lang, "csv.bad_cell", &[("line", &line), ("field", f), ("reason", &self.reason)]),
            None => t(lang, "csv.bad_row", &[("line", &line), ("reason", &self.reason)]),
        }
    }
}

/// Reads one cell: field and text to a value, or a sentence why not.
pub type ParseCell<'a> = dyn FnMut(&str, &str) -> Result<Value, String> + 'a;

/// A csv file that can be read again, and then is the same or refused.
#[derive(Debug)]
pub struct CsvFile {
    name: String,
    held: Held,
    /// The hash of all that it said when it was read first.
    said: Option<[u8; 32]>,
}

#[derive(Debug)]
enum Held {
    File(File),
    /// What cannot be read twice, such as a pipe: all of it.
    Bytes(Vec<u8>),
}

impl CsvFile {
    /// Opens a file.
    ///
    /// # Errors
    /// `xlsx`; `file_unreadable`.
    pub fn open(lang: Lang, path: &Path) -> Result<Self, CliError> {
        let name = path.display().to_string();
        let extension = path.extension().map(|e| e.to_string_lossy().to_lowercase()).unwrap_or_default();
        if matches!(extension.as_str(), "xlsx" | "xls" | "xlsm" | "ods") {
            return Err(CliError::new(lang, &codes::XLSX, &[("file", &name)]).at(name));
        }
        let held = File::open(path).and_then(|mut file| {
            if file.metadata()?.is_file() {
                return Ok(Held::File(file));
            }
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            Ok(Held::Bytes(bytes))
        });
        match held {
            Ok(held) => Ok(Self { name, held, said: None }),
            Err(e) => Err(unreadable(lang, &name, &e.to_string())),
        }
    }

    /// Hands every row to `f`, from the first on, see [`each_row`].
    ///
    /// # Errors
    /// As [`each_row`]; `file_unreadable` where it says something else than the last time: after all rows, so whoever
    /// writes them keeps nothing before this returns.
    pub fn each_row<E: From<CliError>>(
        &mut self,
        lang: Lang,
        columns: &[Column],
        parse_cell: &mut ParseCell,
        f: &mut dyn FnMut(Row) -> Result<(), E>,
    ) -> Result<(), E> {
        let name = self.name.clone();
        let mut hash = Tagged::new("imported-file");
        match &mut self.held {
            Held::File(file) => {
                file.rewind().map_err(|e| unreadable(lang, &name, &e.to_string()))?;
                each_row(lang, &name, Hashed { inner: file, hash: &mut hash }, columns, parse_cell, f)?;
            }
            Held::Bytes(bytes) => {
                each_row(lang, &name, Hashed { inner: bytes.as_slice(), hash: &mut hash }, columns, parse_cell, f)?;
            }
        }
        if self.said.replace(hash.finish()).is_some_and(|before| before != hash.finish()) {
            return Err(self.changed(lang).into());
        }
        Ok(())
    }

    /// The file is not what it was when it was read first.
    #[must_use]
    pub fn changed(&self, lang: Lang) -> CliError {
        unreadable(lang, &self.name, &t(lang, "csv.changed", &[]))
    }
}

fn unreadable(lang: Lang, name: &str, reason: &str) -> CliError {
    CliError::new(lang, &codes::FILE_UNREADABLE, &[("file", name), ("reason", reason)]).at(name)
}

/// Hashes what is read through it.
struct Hashed<'h, R> {
    inner: R,
    hash: &'h mut Tagged,
}

impl<R: Read> Read for Hashed<'_, R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buf)?;
        self.hash.update(&buf[..n]);
        Ok(n)
    }
}

/// Reads csv text into memory, see [`each_row`].
///
/// # Errors
/// As [`each_row`]. Bad rows are no error here; see [`Import::accept`].
pub fn read_csv(
    lang: Lang,
    name: &str,
    source: impl Read,
    columns: &[Column],
    parse_cell: &mut ParseCell,
) -> Result<Import, CliError> {
    let mut import = Import::default();
    each_row(lang, name, source, columns, parse_cell, &mut |row| {
        match row {
            Row::Good(row) => import.rows.push(row),
            Row::Bad(mut cells) => import.bad.append(&mut cells),
        }
        Ok::<(), CliError>(())
    })?;
    Ok(import)
}

/// Reads csv text: UTF-8, comma, semicolon or tab, the header in the first line. Each row that is not empty is handed
/// to `f`, in order; what `f` refuses ends it.
///
/// # Errors
/// `csv_header`, `csv_column_twice`, `csv_empty`, `csv_encoding`, `csv_row_long`, `csv_broken`: the
/// file as a whole cannot be used, which may show only after rows of it were handed over. What `f` says.
pub fn each_row<E: From<CliError>>(
    lang: Lang,
    name: &str,
    mut source: impl Read,
    columns: &[Column],
    parse_cell: &mut ParseCell,
    f: &mut dyn FnMut(Row) -> Result<(), E>,
) -> Result<(), E> {
    let file = Source { lang, name };
    let (separator, head) = file.start(&mut source)?;
    let input = BufReader::new(head.chain(source));
    let budget = Rc::new(Cell::new(CSV_ROW_BYTES_MAX + AHEAD_BYTES));
    let open_quote = Rc::new(Cell::new(false));
    let quotes = Quotes { at: Place::Start, separator };
    let (left, open) = (Rc::clone(&budget), Rc::clone(&open_quote));
    let metered = Metered { inner: input, left, open, quotes, held: false, last: b'\n' };
    let mut reader =
        csv::ReaderBuilder::new().has_headers(false).flexible(true).delimiter(separator).from_reader(metered);
    let mut record = csv::ByteRecord::new();
    let mut header: Option<Vec<String>> = None;
    let mut last = 1;
    loop {
        budget.set(CSV_ROW_BYTES_MAX + AHEAD_BYTES);
        let before = reader.position().line();
        match reader.read_byte_record(&mut record) {
            Ok(false) => break,
            Ok(true) => {}
            Err(e) => return Err(file.broken(before, &e).into()),
        }
        // The reader counts empty lines before a row as its own: count back from its end.
        let inside = record.as_slice().iter().filter(|b| **b == b'\n').count() as u64;
        let line = reader.position().line().saturating_sub(1 + inside);
        last = line;
        if record.as_slice().len() > CSV_ROW_BYTES_MAX {
            return Err(file.row_long(line).into());
        }
        match &header {
            None => header = Some(file.header(&record, columns)?),
            Some(h) => {
                if let Some(row) = file.row(h, line, &record, parse_cell) {
                    f(row)?;
                }
            }
        }
    }
    // The reader would take the rest of the file for one cell and say nothing. That row had no line end of
    // its own to count back over.
    if open_quote.get() {
        let reason = t(lang, "csv.open_quote", &[]);
        return Err(file.error(&codes::CSV_BROKEN, last + 1, &[("reason", &reason)]).into());
    }
    match header {
        None => Err(file.error(&codes::CSV_EMPTY, 1, &[]).into()),
        Some(_) => Ok(()),
    }
}

struct Source<'a> {
    lang: Lang,
    name: &'a str,
}

impl Source<'_> {
    fn error(&self, code: &'static codes::Code, line: u64, values: &[(&str, &str)]) -> CliError {
        let text = line.to_string();
        let mut all = vec![("file", self.name), ("line", text.as_str())];
        all.extend_from_slice(values);
        CliError::new(self.lang, code, &all).at(format!("{}:{line}", self.name))
    }

    fn encoding(&self, line: u64, found: &str) -> CliError {
        self.error(&codes::CSV_ENCODING, line, &[("found", found)])
    }

    fn row_long(&self, line: u64) -> CliError {
        self.error(&codes::CSV_ROW_LONG, line, &[("limit", &CSV_ROW_BYTES_MAX.to_string())])
    }

    fn broken(&self, line: u64, error: &csv::Error) -> CliError {
        match error.kind() {
            csv::ErrorKind::Io(e) if e.kind() == io::ErrorKind::FileTooLarge => self.row_long(line),
            _ => self.error(&codes::CSV_BROKEN, line, &[("reason", &error.to_string())]),
        }
    }

    /// Takes the byte order mark away and finds the separator by the first line; gives back what it read.
    fn start(&self, source: &mut impl Read) -> Result<(u8, io::Cursor<Vec<u8>>), CliError> {
        let head = first_line(source)
            .map_err(|e| crate::dir::DirError::from_io(Path::new(self.name), e).into_cli(self.lang))?;
        if head.starts_with(&[0xff, 0xfe]) || head.starts_with(&[0xfe, 0xff]) {
            return Err(self.encoding(1, "UTF-16"));
        }
        let mark = if head.starts_with(&[0xef, 0xbb, 0xbf]) { 3 } else { 0 };
        let first = head[mark..].split(|b| matches!(b, b'\n' | b'\r')).next().unwrap_or_default();
        let count = |c: u8| first.iter().filter(|b| **b == c).count();
        // The comma wins a tie; Excel writes semicolons where the comma is the decimal mark.
        let mut separator = b',';
        for other in [b';', b'\t'] {
            if count(other) > count(separator) {
                separator = other;
            }
        }
        let mut head = io::Cursor::new(head);
        head.set_position(mark as u64);
        Ok((separator, head))
    }

    /// The field of each column.
    fn header(&self, record: &csv::ByteRecord, columns: &[Column]) -> Result<Vec<String>, CliError> {
        let mut fields = Vec::with_capacity(record.len());
        let mut unknown: Vec<String> = Vec::new();
        for cell in record {
            let cell = std::str::from_utf8(cell).map_err(|_| self.encoding(1, "?"))?.trim();
            let known = columns.iter().find(|c| c.id == cell).or_else(|| {
                let folded = fold(cell);
                columns.iter().find(|c| fold(&c.id) == folded || c.labels.iter().any(|l| fold(l) == folded))
            });
            match known {
                Some(column) => fields.push(column.id.clone()),
                None if cell == UNIT_COLUMN => fields.push(cell.to_owned()),
                None => unknown.push(cell.to_owned()),
            }
        }
        if !unknown.is_empty() {
            let mut known: Vec<&str> = columns.iter().map(|c| c.id.as_str()).collect();
            known.push(UNIT_COLUMN);
            let mut near: Vec<String> = Vec::new();
            for name in &unknown {
                near.extend(nearest(name, known.iter().copied()).into_iter().take(1).map(str::to_owned));
            }
            let quoted: Vec<String> = unknown.iter().map(|u| format!("'{u}'")).collect();
            return Err(self.error(
                &codes::CSV_HEADER,
                1,
                &[
                    ("columns", &quoted.join(", ")),
                    ("nearest", &did_you_mean(self.lang, &near)),
                    ("known", &list_of(self.lang, &known)),
                ],
            ));
        }
        let mut seen = BTreeSet::new();
        match fields.iter().find(|f| !seen.insert(f.as_str())) {
            Some(twice) => Err(self.error(&codes::CSV_COLUMN_TWICE, 1, &[("column", twice)])),
            None => Ok(fields),
        }
    }

    /// A row, unless it is empty.
    fn row(&self, header: &[String], line: u64, record: &csv::ByteRecord, parse_cell: &mut ParseCell) -> Option<Row> {
        let mut row = ImportRow { line, unit: None, cells: Vec::new() };
        let mut bad = Vec::new();
        if record.iter().all(|c| c.trim_ascii().is_empty()) {
            return None;
        }
        // Spreadsheets end rows with empty cells that no heading stands above.
        if record.len() < header.len() || record.iter().skip(header.len()).any(|c| !c.is_empty()) {
            let (found, expected) = (record.len().to_string(), header.len().to_string());
            let values = [("found", found.as_str()), ("expected", expected.as_str())];
            bad.push(BadCell { line, field: None, reason: t(self.lang, "csv.width", &values) });
        } else {
            for (field, cell) in header.iter().zip(record) {
                let refuse = |reason| BadCell { line, field: Some(field.clone()), reason };
                let Ok(text) = std::str::from_utf8(cell) else {
                    bad.push(refuse(t(self.lang, "csv.cell_encoding", &[])));
                    continue;
                };
                let text = text.trim();
                if text.is_empty() {
                    continue;
                }
                if field == UNIT_COLUMN {
                    row.unit = Some(text.to_owned());
                    continue;
                }
                match parse_cell(field, text) {
                    Ok(_) => row.cells.push((field.clone(), text.to_owned())),
                    Err(reason) => bad.push(refuse(reason)),
                }
            }
        }
        Some(if bad.is_empty() { Row::Good(row) } else { Row::Bad(bad) })
    }
}

/// Reads until the first line is whole, at most [`HEAD_BYTES`]: a pipe hands out a few bytes at a time, and
/// what is found in them must not depend on how many.
fn first_line(source: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut head = vec![0; HEAD_BYTES];
    let mut len = 0;
    while len < HEAD_BYTES && !head[..len].contains(&b'\n') {
        match source.read(&mut head[len..]) {
            Ok(0) => break,
            Ok(n) => len += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    head.truncate(len);
    Ok(head)
}

/// Where in a row a byte stands, by the rules of the reader behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Start,
    Plain,
    Quoted,
    /// Behind a quote inside quotes: the end of them, or the first half of a quote that is meant.
    Behind,
}

/// Follows quotes, to know of one that never ends.
struct Quotes {
    at: Place,
    separator: u8,
}

impl Quotes {
    fn see(&mut self, byte: u8) {
        let ends = byte == self.separator || byte == b'\n';
        self.at = match (self.at, byte) {
            (Place::Start | Place::Behind, b'"') => Place::Quoted,
            (Place::Quoted, b'"') => Place::Behind,
            (Place::Quoted, _) => Place::Quoted,
            (Place::Start | Place::Plain | Place::Behind, _) if ends => Place::Start,
            (Place::Start | Place::Plain | Place::Behind, _) => Place::Plain,
        };
    }
}

/// Stops a reader that would gather a row without end, such as behind an open quote, and gives it
/// one kind of line end, a last one included: only then can lines be counted from rows.
struct Metered<R> {
    inner: R,
    left: Rc<Cell<usize>>,
    /// Whether the input ended inside quotes.
    open: Rc<Cell<bool>>,
    quotes: Quotes,
    /// A carriage return that waits for the byte after it.
    held: bool,
    last: u8,
}

impl<R: BufRead> Read for Metered<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        debug_assert!(buf.len() >= 2);
        loop {
            let chunk = self.inner.fill_buf()?;
            let ended = chunk.is_empty();
            // A byte that was held comes in addition: each byte taken needs the room of two.
            let taken = chunk.len().min(buf.len() / 2);
            let mut n = 0;
            let mut put = |byte: u8| {
                buf[n] = byte;
                n += 1;
                self.last = byte;
                self.quotes.see(byte);
            };
            for &byte in &chunk[..taken] {
                if self.held && byte != b'\n' {
                    put(b'\n');
                }
                self.held = byte == b'\r';
                if !self.held {
                    put(byte);
                }
            }
            if ended && std::mem::take(&mut self.held) {
                put(b'\n');
            }
            if ended {
                self.open.set(self.quotes.at == Place::Quoted);
            }
            if ended && self.last != b'\n' {
                buf[n] = b'\n';
                n += 1;
                self.last = b'\n';
            }
            self.inner.consume(taken);
            let left = self.left.get().checked_sub(taken);
            self.left.set(left.ok_or(io::ErrorKind::FileTooLarge)?);
            // Nothing to give means the end, and a held byte alone is not the end.
            if n > 0 || ended {
                return Ok(n);
            }
        }
    }
}

#[cfg(test)]
mod tests;
