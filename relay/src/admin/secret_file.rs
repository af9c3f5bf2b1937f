//! Files that hold a secret and are handed to a person: tickets, their pictures, keys that go offline.
//!
//! It does not: know what the secret is.
//!
//! Invariants: a file is made anew, mode 0600, and never overwritten; it is durable before anyone is told
//! of it; what was not finished is removed.

use sampan_node::cli::{App, CliError, codes};
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// A name taken for a secret that does not exist yet: removed again unless it is filled.
#[derive(Debug)]
pub struct Reserved {
    path: PathBuf,
    file: Option<File>,
}

impl Reserved {
    /// Takes a name.
    ///
    /// # Errors
    /// `file_exists`, `file_unwritable`.
    pub fn take(app: &App, path: &Path) -> Result<Self, CliError> {
        match fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
            Ok(file) => Ok(Self { path: path.to_owned(), file: Some(file) }),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                let file = path.display().to_string();
                Err(app.error(&codes::FILE_EXISTS, &[("file", &file)]).at(file))
            }
            Err(e) => Err(unwritable(app, path, &e)),
        }
    }

    /// Fills it, durably; only then may anyone rely on it.
    ///
    /// # Errors
    /// `file_unwritable`; the file is gone again.
    pub fn fill(mut self, app: &App, text: &str) -> Result<(), CliError> {
        let Some(mut file) = self.file.take() else { return Ok(()) };
        let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
        if let Err(e) = written.and_then(|()| sync_folder_of(&self.path)) {
            // Dropping removes what still has its file.
            self.file = Some(file);
            return Err(unwritable(app, &self.path, &e));
        }
        Ok(())
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        if self.file.is_some() {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Makes the names in a file's folder durable.
///
/// # Errors
/// What the system says.
pub fn sync_folder_of(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(parent)?.sync_all()
}

/// The error of a file that cannot be written.
#[must_use]
pub fn unwritable(app: &App, path: &Path, error: &io::Error) -> CliError {
    let file = path.display().to_string();
    app.error(&codes::FILE_UNWRITABLE, &[("file", &file), ("reason", &error.to_string())]).at(file)
}
