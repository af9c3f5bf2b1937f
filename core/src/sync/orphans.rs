//! Commits that came before what they build on: kept until that comes, or the session ends.
//!
//! It does not: store them (what they say of their parents, or their place in the tree, is not proved yet),
//! or ask for what they lack: comparing finds it missing.
//!
//! Invariants: at most `ORPHAN_COMMITS_MAX` commits wait, in at most `WAITING_BYTES_MAX` bytes; a group is
//! tried again only when one of the parents that it names was stored, or the charter grew.

use crate::id::{CommitId, SpaceId};
use crate::limits::{ORPHAN_COMMITS_MAX, WAITING_BYTES_MAX};
use crate::wire::frame::Group;

/// What a group waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lacks {
    /// One of the parents that it names.
    Parents,
    /// A charter that shows whether its space is shared.
    Charter,
}

/// Groups that wait.
#[derive(Debug, Default)]
pub(super) struct Orphans {
    waiting: Vec<(Lacks, Group)>,
    commits: usize,
    bytes: usize,
}

impl Orphans {
    /// Keeps a group; false when too much waits already.
    pub(super) fn keep(&mut self, lacks: Lacks, group: Group) -> bool {
        // The same again, as a link that repeats itself says it, takes no second place.
        if self.waiting.iter().any(|(_, held)| *held == group) {
            return true;
        }
        self.commits += group.headers.len();
        self.bytes += size(&group);
        self.waiting.push((lacks, group));
        self.commits <= ORPHAN_COMMITS_MAX && self.bytes <= WAITING_BYTES_MAX
    }

    /// Commits that wait, and their bytes.
    pub(super) fn size(&self) -> (usize, usize) {
        (self.commits, self.bytes)
    }

    #[cfg(test)]
    pub(super) fn room(&self) -> usize {
        self.waiting.capacity()
    }

    /// Takes out the groups that name one of these as a parent.
    pub(super) fn of(&mut self, stored: &[CommitId]) -> Vec<Group> {
        if stored.is_empty() {
            return Vec::new();
        }
        self.take(|lacks, group| {
            let mut heads = group.headers.iter().filter_map(|h| h.trust().ok());
            lacks == Lacks::Parents && heads.any(|h| h.header().parents.iter().any(|p| stored.contains(p)))
        })
    }

    /// Takes out everything: nobody knows any more what came since.
    pub(super) fn all(&mut self) -> Vec<Group> {
        self.take(|_, _| true)
    }

    /// Takes out the groups that waited for a charter, of spaces that are shared by now.
    pub(super) fn placed(&mut self, shared: impl Fn(&SpaceId) -> bool) -> Vec<Group> {
        self.take(|lacks, group| {
            let mut heads = group.headers.iter().filter_map(|h| h.trust().ok());
            lacks == Lacks::Charter && heads.any(|h| shared(&h.header().space))
        })
    }

    fn take(&mut self, ready: impl Fn(Lacks, &Group) -> bool) -> Vec<Group> {
        let (ready, waiting): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.waiting).into_iter().partition(|(lacks, group)| ready(*lacks, group));
        self.waiting = waiting;
        let ready: Vec<Group> = ready.into_iter().map(|(_, group)| group).collect();
        self.commits -= ready.iter().map(|g| g.headers.len()).sum::<usize>();
        self.bytes -= ready.iter().map(size).sum::<usize>();
        ready
    }
}

fn size(group: &Group) -> usize {
    group.pack.len() + group.headers.iter().map(|h| h.bytes.len()).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::Commit;
    use crate::testing::{Writer, up_space};

    fn group(c: &Commit) -> Group {
        Group { headers: vec![c.head().signed().clone()], pack: vec![0; 10] }
    }

    #[test]
    fn a_group_waits_for_one_of_its_parents_and_takes_one_place() {
        let (mut w, space) = (Writer::new(1), up_space(2));
        let first = w.one(space, &[], "a");
        let second = w.one(space, &[&first], "b");
        let mut orphans = Orphans::default();
        assert!(orphans.keep(Lacks::Parents, group(&second)) && orphans.keep(Lacks::Parents, group(&second)));
        assert!(orphans.of(&[second.id()]).is_empty());
        assert_eq!(orphans.of(&[first.id()]), vec![group(&second)]);
        assert!(orphans.of(&[first.id()]).is_empty());
        assert_eq!((orphans.commits, orphans.bytes), (0, 0));
    }

    #[test]
    fn a_group_that_nobody_could_place_waits_for_the_charter() {
        let (mut w, space) = (Writer::new(1), up_space(2));
        let first = w.one(space, &[], "a");
        let second = w.one(space, &[&first], "b");
        let mut orphans = Orphans::default();
        assert!(orphans.keep(Lacks::Charter, group(&second)));
        assert!(orphans.of(&[first.id()]).is_empty());
        assert!(orphans.placed(|_| false).is_empty());
        assert_eq!(orphans.placed(|s| *s == space), vec![group(&second)]);
        assert!(orphans.placed(|_| true).is_empty());
    }

    #[test]
    fn what_waits_is_bounded() {
        let first = Writer::new(1).one(up_space(2), &[], "a");
        let mut orphans = Orphans::default();
        let mut g = group(&first);
        g.headers = vec![g.headers[0].clone(); ORPHAN_COMMITS_MAX];
        assert!(orphans.keep(Lacks::Charter, g.clone()));
        g.pack.push(1);
        assert!(!orphans.keep(Lacks::Parents, g));
    }
}
