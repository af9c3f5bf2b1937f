//! Where a store's files lie: the system's folders, or a made-up disk of the tests.
//!
//! It does not: read or write what is in them; SQLite does, through the layer that [`Files::vfs`] names.
//!
//! Invariants: after `rename` and `sync_folder` the new name survives a power cut.

use std::io;
use std::path::Path;

/// The few things that making a store asks of the files beside SQLite.
pub trait Files {
    /// SQLite's layer, `None` for its own.
    fn vfs(&self) -> Option<&str>;

    /// Whether a file is there.
    ///
    /// # Errors
    /// When it is not, or nobody can tell.
    fn find(&self, path: &Path) -> io::Result<()>;

    /// The first bytes of a file, as many as fit; fewer where it ends before.
    ///
    /// # Errors
    /// When it is not there or cannot be read.
    fn head(&self, path: &Path, into: &mut [u8]) -> io::Result<usize> {
        use std::io::Read as _;
        let mut read = 0;
        let mut file = std::fs::File::open(path)?;
        while read < into.len() {
            match file.read(&mut into[read..])? {
                0 => break,
                n => read += n,
            }
        }
        Ok(read)
    }

    /// Removes a file.
    ///
    /// # Errors
    /// When it is not there or cannot be removed.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Gives a file another name, whose file goes.
    ///
    /// # Errors
    /// When it is not there or cannot be moved.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Makes the names in the folder of a file durable.
    ///
    /// # Errors
    /// When the disk does not say so.
    fn sync_folder(&self, path: &Path) -> io::Result<()>;
}

/// The system's files.
#[derive(Debug, Clone, Copy)]
pub(super) struct SystemFiles;

impl Files for SystemFiles {
    fn vfs(&self) -> Option<&str> {
        None
    }

    fn find(&self, path: &Path) -> io::Result<()> {
        std::fs::metadata(path).map(|_| ())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    /// Only Unix has, and needs, a way to ask for that.
    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        #[cfg(unix)]
        {
            let folder = match path.parent() {
                Some(p) if p.as_os_str().is_empty() => Path::new("."),
                Some(p) => p,
                None => Path::new("."),
            };
            let named = |e: io::Error| io::Error::new(e.kind(), format!("{}: {e}", folder.display()));
            std::fs::File::open(folder).and_then(|f| f.sync_all()).map_err(named)?;
        }
        #[cfg(not(unix))]
        let _ = path;
        Ok(())
    }
}
