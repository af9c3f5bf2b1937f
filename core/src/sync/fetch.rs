//! Who fetches which file: of several links that could bring one, one is asked at a time.
//!
//! It does not: know what is missing of a file (`shelf`), or ask for it (`files`).
//!
//! Invariants: nothing here is needed for a file to come whole: what is lost or given up here costs a second transfer
//! at most; who brought nothing for a while, or is gone, holds nobody up.

use crate::limits::FILE_STALLED_MS;
use crate::shelf::FileKey;
use crate::time::Millis;
use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

/// One session as far as files are concerned. It is gone when the session is.
#[derive(Debug, Default)]
pub(super) struct Link(Arc<()>);

/// A file that a link is asked for.
#[derive(Debug)]
struct Fetch {
    by: Weak<()>,
    /// Something of it came.
    came: bool,
    /// When it was asked for, or something of it came last.
    since: Millis,
}

impl Fetch {
    fn is_of(&self, link: &Link) -> bool {
        self.by.as_ptr() == Arc::as_ptr(&link.0)
    }

    fn lives(&self) -> bool {
        self.by.strong_count() > 0
    }
}

/// The files that the sessions of one replica fetch.
#[derive(Debug, Default)]
pub(crate) struct Fetches {
    version: u64,
    of: BTreeMap<FileKey, Fetch>,
    /// When stalled ones were last looked for.
    swept: Millis,
}

impl Fetches {
    /// Grows when a file may be asked for again.
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    /// Whether another link is asked for the file.
    pub(super) fn is_others(&self, key: &FileKey, link: &Link) -> bool {
        self.of.get(key).is_some_and(|f| f.lives() && !f.is_of(link))
    }

    /// Whether another link brings the file just now.
    pub(super) fn comes(&self, key: &FileKey, link: &Link) -> bool {
        self.of.get(key).is_some_and(|f| f.came && f.lives() && !f.is_of(link))
    }

    /// This link is asked for the file.
    pub(super) fn ask(&mut self, key: FileKey, link: &Link, now: Millis) {
        self.of.insert(key, Fetch { by: Arc::downgrade(&link.0), came: false, since: now });
    }

    /// Something of the file came by this link. False: another brings it, and this one is to stop.
    pub(super) fn came(&mut self, key: FileKey, link: &Link, now: Millis) -> bool {
        if self.comes(&key, link) {
            return false;
        }
        self.of.insert(key, Fetch { by: Arc::downgrade(&link.0), came: true, since: now });
        true
    }

    /// The file is here, or nobody needs it any more.
    pub(super) fn done(&mut self, key: &FileKey) {
        self.of.remove(key);
    }

    /// This link cannot bring the file now.
    pub(super) fn leave(&mut self, key: &FileKey, link: &Link) {
        if self.of.get(key).is_some_and(|f| f.is_of(link)) {
            self.of.remove(key);
            self.version += 1;
        }
    }

    /// This link is gone.
    pub(super) fn leave_all(&mut self, link: &Link) {
        self.keep(|f| !f.is_of(link));
    }

    /// Lets go of what nobody brings: now and then, for there may be thousands of links.
    pub(crate) fn sweep(&mut self, now: Millis) {
        let apart = |a: Millis, b: Millis| a.0.abs_diff(b.0);
        if apart(now, self.swept) < FILE_STALLED_MS / 8 {
            return;
        }
        self.swept = now;
        self.keep(|f| f.lives() && apart(now, f.since) < FILE_STALLED_MS);
    }

    fn keep(&mut self, what: impl Fn(&Fetch) -> bool) {
        let before = self.of.len();
        self.of.retain(|_, f| what(f));
        if self.of.len() != before {
            self.version += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Digest;

    fn key(n: u8) -> FileKey {
        FileKey { address: Digest([n; 32]), size: 9 }
    }

    #[test]
    fn one_link_is_asked_and_another_when_it_is_gone_or_silent() {
        let (mut f, a, b) = (Fetches::default(), Link::default(), Link::default());
        let at = |s: u64| Millis(1_700_000_000_000 + s * 1_000);
        f.sweep(at(0));
        f.ask(key(1), &a, at(0));
        assert!(f.is_others(&key(1), &b) && !f.is_others(&key(1), &a) && !f.is_others(&key(2), &b));
        // Asked and not heard of: who really brings it takes over.
        assert!(!f.comes(&key(1), &b) && f.came(key(1), &b, at(1)));
        assert!(!f.came(key(1), &a, at(2)), "two bring it");
        let before = f.version();
        f.leave(&key(1), &a);
        assert_eq!(f.version(), before, "it was not its own");
        f.leave(&key(1), &b);
        assert!(f.version() > before && !f.is_others(&key(1), &a));
        f.ask(key(1), &b, at(3));
        drop(b);
        assert!(!f.is_others(&key(1), &a), "the link is gone");
        // Chunks that come keep it; silence does not.
        let c = Link::default();
        assert!(f.came(key(1), &a, at(4)) && f.came(key(1), &a, at(100)));
        f.sweep(at(130));
        assert!(f.comes(&key(1), &c));
        f.sweep(at(300));
        assert!(!f.is_others(&key(1), &c));
        f.ask(key(1), &a, at(301));
        f.ask(key(2), &c, at(301));
        f.leave_all(&a);
        assert!(!f.is_others(&key(1), &c) && f.is_others(&key(2), &a));
    }
}
