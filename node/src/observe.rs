//! Logs: JSON lines in `logs/`, bounded.
//!
//! It does not: write to stdout or stderr, log a key or a field's value (callers log ids and counts;
//! the types of [`crate::keys`] print no secret), or decide the level (the config does).
//!
//! Invariants: at most [`LOG_FILES_MAX`] files of about [`LOG_FILE_BYTES_MAX`] bytes exist; a disk
//! that is full never stops the program for the sake of a log line.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// Bytes in one log file before the next begins: what an editor on an old machine still opens.
pub const LOG_FILE_BYTES_MAX: u64 = 4 << 20;
/// Log files kept, the current one included.
pub const LOG_FILES_MAX: usize = 3;

/// A log file that begins anew when it is full: `NAME.log`, `NAME.1.log`, `NAME.2.log`.
#[derive(Debug)]
pub struct RotatingFile {
    folder: PathBuf,
    name: String,
    bytes_max: u64,
    file: File,
    bytes: u64,
}

impl RotatingFile {
    /// Opens `folder/name.log` for appending.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn open(folder: &Path, name: &str, bytes_max: u64) -> io::Result<Self> {
        let file = open_append(&folder.join(format!("{name}.log")))?;
        let bytes = file.metadata()?.len();
        Ok(Self { folder: folder.to_owned(), name: name.to_owned(), bytes_max, file, bytes })
    }

    fn path(&self, age: usize) -> PathBuf {
        match age {
            0 => self.folder.join(format!("{}.log", self.name)),
            n => self.folder.join(format!("{}.{n}.log", self.name)),
        }
    }

    fn rotate(&mut self) -> io::Result<()> {
        for age in (1..LOG_FILES_MAX).rev() {
            match fs::rename(self.path(age - 1), self.path(age)) {
                Ok(()) => {}
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => return Err(e),
            }
        }
        self.file = open_append(&self.path(0))?;
        self.bytes = 0;
        Ok(())
    }
}

impl Write for RotatingFile {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.bytes > 0 && self.bytes + line.len() as u64 > self.bytes_max {
            self.rotate()?;
        }
        let n = self.file.write(line)?;
        self.bytes += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn open_append(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}

/// Hands one shared [`RotatingFile`] to the subscriber.
#[derive(Debug, Clone)]
pub struct LogWriter(Arc<Mutex<RotatingFile>>);

impl Write for LogWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        // A panic while a line was written leaves at worst half a line.
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(line)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).flush()
    }
}

impl<'a> MakeWriter<'a> for LogWriter {
    type Writer = Self;
    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// The filter for a level of the config: our own modules at that level, others from `warn` on,
/// because what a dependency says at `debug` may hold anything.
#[must_use]
pub fn filter(level: &str) -> EnvFilter {
    let others = if matches!(level, "off" | "error") { level } else { "warn" };
    EnvFilter::new(format!("{others},sampan_core={level},sampan_node={level},sampan_relay={level}"))
}

/// A subscriber that writes JSON lines into `logs`.
///
/// # Errors
/// When the log file cannot be opened.
pub fn subscriber(logs: &Path, name: &str, level: &str) -> io::Result<impl tracing::Subscriber + Send + Sync + use<>> {
    let file = RotatingFile::open(logs, name, LOG_FILE_BYTES_MAX)?;
    Ok(tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_env_filter(filter(level))
        .with_writer(LogWriter(Arc::new(Mutex::new(file))))
        .finish())
}

/// Installs [`subscriber`] for the whole process; a second call changes nothing.
///
/// # Errors
/// When the log file cannot be opened.
pub fn install(logs: &Path, name: &str, level: &str) -> io::Result<()> {
    // An error only says that one is installed already, by a program that embeds us.
    let _ = tracing::subscriber::set_global_default(subscriber(logs, name, level)?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_json_and_levels_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let subscriber = subscriber(dir.path(), "sampan", "info").unwrap();
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(commits = 3, "sealed");
            tracing::debug!("not at this level");
            tracing::info!(target: "quinn", "not ours");
        });
        let text = fs::read_to_string(dir.path().join("sampan.log")).unwrap();
        let lines: Vec<serde_json::Value> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        assert_eq!(lines.len(), 1, "{text}");
        assert_eq!(lines[0]["message"], "sealed");
        assert_eq!(lines[0]["commits"], 3);
    }

    #[test]
    fn a_full_file_begins_anew_and_old_ones_go() {
        let dir = tempfile::tempdir().unwrap();
        let mut file = RotatingFile::open(dir.path(), "x", 10).unwrap();
        for line in ["one-one-\n", "two-two-\n", "three---\n", "four----\n"] {
            file.write_all(line.as_bytes()).unwrap();
        }
        let read = |n: &str| fs::read_to_string(dir.path().join(n)).unwrap();
        assert_eq!(read("x.log"), "four----\n");
        assert_eq!(read("x.1.log"), "three---\n");
        assert_eq!(read("x.2.log"), "two-two-\n");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), LOG_FILES_MAX);
    }

    #[test]
    fn a_reopened_file_remembers_its_size() {
        let dir = tempfile::tempdir().unwrap();
        RotatingFile::open(dir.path(), "x", 10).unwrap().write_all(b"12345678\n").unwrap();
        RotatingFile::open(dir.path(), "x", 10).unwrap().write_all(b"next\n").unwrap();
        assert_eq!(fs::read_to_string(dir.path().join("x.log")).unwrap(), "next\n");
    }
}
