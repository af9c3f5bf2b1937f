//! Progress of a session on stderr, where a person watches.
//!
//! It does not: guess: the totals are those that the peer announced.
//!
//! Invariants: nothing is drawn unless stderr is a terminal; totals never shrink below what is done.

use crate::i18n::{Lang, format_bytes, format_int, t};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;

/// Counts of one direction of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Commits.
    pub commits: u64,
    /// Entries in them.
    pub entries: u64,
    /// Bytes of them.
    pub bytes: u64,
}

/// The bar; it is gone when dropped.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    lang: Lang,
}

impl Progress {
    /// A bar if stderr is a terminal, else silence.
    #[must_use]
    pub fn stderr(lang: Lang, what: &'static str) -> Self {
        let target =
            if std::io::stderr().is_terminal() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        Self::on(lang, what, target)
    }

    /// The same, but silence also where a program reads what is printed.
    #[must_use]
    pub fn for_people(lang: Lang, what: &'static str, json: bool) -> Self {
        if json { Self::on(lang, what, ProgressDrawTarget::hidden()) } else { Self::stderr(lang, what) }
    }

    fn on(lang: Lang, what: &'static str, target: ProgressDrawTarget) -> Self {
        let bar = ProgressBar::with_draw_target(Some(0), target);
        if let Ok(style) = ProgressStyle::with_template("{prefix} {bar:24} {percent:>3}%  {msg}") {
            bar.set_style(style);
        }
        bar.set_prefix(t(lang, what, &[]));
        Self { bar, lang }
    }

    /// Shows what is announced and done so far. Entries move the bar: they are what a person typed.
    pub fn update(&self, announced: Counts, done: Counts) {
        self.bar.set_length(announced.entries.max(done.entries));
        self.bar.set_position(done.entries);
        self.bar.set_message(self.words(announced, done));
    }

    /// Shows how many bytes are done, and of how many.
    pub fn bytes(&self, done: u64, of: u64) {
        self.bar.set_length(of.max(done));
        self.bar.set_position(done);
        let words = format!("{}/{}", format_bytes(self.lang, done), format_bytes(self.lang, of.max(done)));
        self.bar.set_message(words);
    }

    fn words(&self, announced: Counts, done: Counts) -> String {
        let int = |n: u64| format_int(self.lang, i64::try_from(n).unwrap_or(i64::MAX));
        format!(
            "{}/{} ({}/{} {}, {})",
            int(done.entries),
            int(announced.entries.max(done.entries)),
            int(done.commits),
            int(announced.commits.max(done.commits)),
            t(self.lang, "progress.commits", &[]),
            format_bytes(self.lang, done.bytes),
        )
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_what_is_done_of_what_was_announced() {
        let p = Progress::on(Lang::Vi, "progress.syncing", ProgressDrawTarget::hidden());
        let announced = Counts { commits: 40, entries: 10_000, bytes: 850_000 };
        let done = Counts { commits: 10, entries: 2_560, bytes: 212_500 };
        p.update(announced, done);
        assert_eq!(p.bar.length(), Some(10_000));
        assert_eq!(p.bar.position(), 2_560);
        assert_eq!(p.bar.message(), "2.560/10.000 (10/40 gói, 212,5 kB)");
        p.update(Counts::default(), done);
        assert_eq!(p.bar.length(), Some(2_560));
    }

    #[test]
    fn of_a_file_it_says_the_bytes_and_programs_see_none_of_it() {
        let p = Progress::for_people(Lang::En, "progress.bundle_apply", true);
        assert!(p.bar.is_hidden());
        p.bytes(1_000_000, 4_000_000);
        assert_eq!((p.bar.position(), p.bar.length()), (1_000_000, Some(4_000_000)));
        assert_eq!(p.bar.message(), "1.0 MB/4.0 MB");
        p.bytes(5_000_000, 4_000_000);
        assert_eq!(p.bar.length(), Some(5_000_000), "the total never shrinks below what is done");
    }
}
