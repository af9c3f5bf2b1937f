//! Handing a ticket over without a link: as a file, as a picture in a file, as a picture on the screen.
//!
//! It does not: make the ticket, or print its line (stdout carries that, whatever else is asked for).
//!
//! Invariants: every file is taken before the ticket is granted and filled after, so that a full disk or
//! a wrong name grants nothing; a file holds a secret and is readable by its owner alone.

use super::picture::Picture;
use super::secret_file::Reserved;
use sampan_core::limits::TICKET_CHARS_MAX;
use sampan_node::cli::{App, CliError, codes, output};
use std::path::Path;

/// Where a ticket goes beside stdout.
#[derive(Debug, Default)]
pub struct Handout {
    line: Option<(String, Reserved)>,
    picture: Option<(String, Reserved)>,
    screen: bool,
}

impl Handout {
    /// Takes the files; `qr` is a name that ends in `.svg`, or `-` for the screen.
    ///
    /// # Errors
    /// `file_exists`, `file_unwritable`, `qr_kind`; nothing remains.
    pub fn prepare(app: &App, line: Option<&Path>, qr: Option<&Path>) -> Result<Self, CliError> {
        let mut out = Self::default();
        let named = |path: &Path| path.display().to_string();
        match qr {
            None => {}
            Some(path) if path == Path::new("-") => out.screen = true,
            Some(path) if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("svg")) => {
                out.picture = Some((named(path), Reserved::take(app, path)?));
            }
            Some(path) => return Err(app.error(&codes::QR_KIND, &[("file", &named(path))]).at(named(path))),
        }
        if let Some(path) = line {
            out.line = Some((named(path), Reserved::take(app, path)?));
        }
        Ok(out)
    }

    /// Fills the files and shows the picture.
    ///
    /// # Errors
    /// `file_unwritable`; the ticket itself stands and was printed.
    pub fn hand_over(self, app: &App, line: &str) -> Result<(), CliError> {
        if let Some((name, file)) = self.line {
            file.fill(app, &format!("{line}\n"))?;
            app.say("invite.file", &[("file", &name)]);
        }
        if self.picture.is_none() && !self.screen {
            return Ok(());
        }
        // No ticket is longer than TICKET_CHARS_MAX, and that fits the largest picture.
        let limit = format!("TICKET_CHARS_MAX = {TICKET_CHARS_MAX}");
        let picture =
            Picture::of(line).map_err(|_| app.error(&codes::LIMIT, &[("what", "--qr"), ("limit", &limit)]))?;
        if let Some((name, file)) = self.picture {
            file.fill(app, &picture.svg())?;
            app.say("invite.picture", &[("file", &name)]);
        }
        if self.screen {
            output::to_stderr(&picture.blocks());
            app.say("invite.wide", &[("width", &picture.width().to_string())]);
        }
        Ok(())
    }
}
