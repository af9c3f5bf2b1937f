//! Results on stdout: lines, aligned tables, JSON lines.
//!
//! It does not: print words for the person (those go to stderr).
//!
//! Invariants: a reader that goes away (`sampan list … | head`) ends the writing in silence; what a
//! record holds cannot steer a terminal: control characters are shown as a mark.

use serde::Serialize;
use std::fmt;
use std::io::{self, BufWriter, Write};
use unicode_width::UnicodeWidthStr;

/// Spaces between two columns.
const GAP: usize = 2;

/// Writing to stdout failed for a reason other than a reader that left.
#[derive(Debug, thiserror::Error)]
#[error("stdout: {0}")]
pub struct OutputError(#[from] pub io::Error);

/// The way to stdout.
pub struct Output<'a> {
    inner: BufWriter<&'a mut dyn Write>,
    closed: bool,
}

impl fmt::Debug for Output<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Output(closed: {})", self.closed)
    }
}

impl<'a> Output<'a> {
    /// Over a writer, which is the process's stdout but for tests.
    pub fn new(inner: &'a mut dyn Write) -> Self {
        Self { inner: BufWriter::new(inner), closed: false }
    }

    /// Whether the reader is gone: long work may stop early.
    #[must_use]
    pub fn closed(&self) -> bool {
        self.closed
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), OutputError> {
        if self.closed {
            return Ok(());
        }
        let done = self.inner.write_all(bytes);
        self.settle(done)
    }

    fn settle(&mut self, done: io::Result<()>) -> Result<(), OutputError> {
        match done {
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => {
                self.closed = true;
                Ok(())
            }
            other => Ok(other?),
        }
    }

    /// One line as it is.
    ///
    /// # Errors
    /// [`OutputError`]; so for every method below.
    pub fn line(&mut self, text: &str) -> Result<(), OutputError> {
        self.put(text.as_bytes())?;
        self.put(b"\n")
    }

    /// One object on one line.
    ///
    /// # Errors
    /// As [`Output::line`].
    pub fn json(&mut self, value: &impl Serialize) -> Result<(), OutputError> {
        let text = serde_json::to_string(value).map_err(io::Error::from)?;
        self.line(&text)
    }

    /// A table with aligned columns; headings are left out when there are none.
    ///
    /// # Errors
    /// As [`Output::line`].
    pub fn table(&mut self, headings: &[&str], rows: &[Vec<String>]) -> Result<(), OutputError> {
        let headings: Vec<String> = headings.iter().map(|h| (*h).to_owned()).collect();
        let shown: Vec<Vec<String>> = (!headings.is_empty())
            .then_some(&headings)
            .into_iter()
            .chain(rows)
            .map(|row| row.iter().map(|c| printable(c)).collect())
            .collect();
        let columns = shown.iter().map(Vec::len).max().unwrap_or(0);
        let widths: Vec<usize> =
            (0..columns).map(|i| shown.iter().filter_map(|r| r.get(i)).map(|c| c.width()).max().unwrap_or(0)).collect();
        for row in &shown {
            let mut line = String::new();
            for (i, cell) in row.iter().enumerate() {
                line.push_str(cell);
                if i + 1 < row.len() {
                    line.extend(std::iter::repeat_n(' ', widths[i] - cell.width() + GAP));
                }
            }
            self.line(line.trim_end())?;
        }
        Ok(())
    }

    /// Hands everything to the reader.
    ///
    /// # Errors
    /// As [`Output::line`].
    pub fn flush(&mut self) -> Result<(), OutputError> {
        if self.closed {
            return Ok(());
        }
        let done = self.inner.flush();
        self.settle(done)
    }
}

/// A text on one line that cannot steer a terminal.
#[must_use]
pub fn printable(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\n' | '\r' | '\t' => ' ',
            // Marks of direction can make a text read as another one.
            c if c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') => '\u{fffd}',
            c => c,
        })
        .collect()
}

/// Words on stderr; a stderr that is gone is no reason to fail.
pub fn to_stderr(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Gone(io::ErrorKind);
    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn vietnamese_columns_line_up() {
        let mut bytes = Vec::new();
        let mut out = Output::new(&mut bytes);
        let row = |a: &str, b: &str| vec![a.to_owned(), b.to_owned()];
        // The second name is written with separate marks, which take no room.
        let rows = [row("Nguyễn Thị Hằng", "1"), row("Le\u{302} Va\u{306}n", "2")];
        out.table(&["Họ và tên", "Số"], &rows).unwrap();
        out.flush().unwrap();
        drop(out);
        let text = String::from_utf8(bytes).unwrap();
        let columns: Vec<usize> =
            text.lines().map(|l| l.rsplit_once("  ").map(|(a, _)| a.width() + 2).unwrap()).collect();
        assert_eq!(columns, [17, 17, 17], "{text}");
    }

    #[test]
    fn a_reader_that_leaves_is_no_error_and_a_full_disk_is() {
        let mut gone = Gone(io::ErrorKind::BrokenPipe);
        let mut out = Output::new(&mut gone);
        out.line(&"x".repeat(100_000)).unwrap();
        assert!(out.closed());
        out.json(&1).unwrap();
        out.flush().unwrap();
        let mut full = Gone(io::ErrorKind::StorageFull);
        let mut out = Output::new(&mut full);
        out.line("x").unwrap();
        assert!(out.flush().is_err());
    }

    #[test]
    fn a_record_cannot_steer_the_terminal() {
        assert_eq!(printable("a\u{1b}[2Jb\nc\u{202e}"), "a\u{fffd}[2Jb c\u{fffd}");
    }
}
