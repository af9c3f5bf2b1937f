//! Turning "it shall read so" into small edits of a text or a list.
//!
//! It does not: know fields or kinds beyond a name for its refusals.
//!
//! Invariants: what is common to both versions at their ends is not touched, so that concurrent
//! edits there merge; time and operations are bounded whatever the texts are.

use super::engine::refused;
use super::error::{EditError, within};
use crate::limits;
use automerge::ObjId;
use automerge::transaction::Transactable;

/// A text whose two versions differ by more insertions and deletions than this has its middle
/// replaced as a whole: the time of the finer diff grows with the length times the difference, and
/// a text that is a megabyte of something else would not come back.
const DIFF_STEPS_MAX: usize = 1_024;

/// Makes the text at `obj` read `new` instead of `old`.
pub(super) fn set_text<T: Transactable>(
    tx: &mut T,
    field: &str,
    obj: &ObjId,
    old: &str,
    new: &str,
) -> Result<(), EditError> {
    if old == new {
        return Ok(());
    }
    let (a, b): (Vec<char>, Vec<char>) = (old.chars().collect(), new.chars().collect());
    let (prefix, suffix) = common(&a, &b, |c| unicode_normalization::char::is_combining_mark(*c));
    let (gone, come) = (&a[prefix..a.len() - suffix], &b[prefix..b.len() - suffix]);
    if near(gone, come, DIFF_STEPS_MAX) {
        tx.update_text(obj, new).map_err(refused)?;
        return Ok(());
    }
    // One operation a character: refused before they are made, since they could be a million.
    within("CHANGE_OPS_MAX", limits::CHANGE_OPS_MAX, (gone.len() + come.len()) as u64, || {
        format!("the edit of '{field}' in characters")
    })?;
    let middle: String = come.iter().collect();
    tx.splice_text(obj, prefix, gone.len() as isize, &middle).map_err(refused)?;
    Ok(())
}

/// Whether at most `steps` single insertions and deletions lead from `a` to `b` (the forward half of
/// Myers' algorithm, given up at `steps`).
fn near(a: &[char], b: &[char], steps: usize) -> bool {
    if a.len() + b.len() <= steps {
        return true;
    }
    if a.len().abs_diff(b.len()) > steps {
        return false;
    }
    // furthest[k + steps + 1]: how far into `a` the best path on diagonal k has come.
    let mut furthest = vec![0usize; 2 * steps + 3];
    for d in 0..=steps as isize {
        for k in (-d..=d).step_by(2) {
            let i = (k + steps as isize + 1) as usize;
            let down = k == -d || (k != d && furthest[i - 1] < furthest[i + 1]);
            let mut x = if down { furthest[i + 1] } else { furthest[i - 1] + 1 };
            let Some(mut y) = x.checked_add_signed(-k) else {
                continue;
            };
            while x < a.len() && y < b.len() && a[x] == b[y] {
                (x, y) = (x + 1, y + 1);
            }
            furthest[i] = x;
            if x >= a.len() && y >= b.len() {
                return true;
            }
        }
    }
    false
}

/// Makes the list at `obj` hold `new` instead of `old`.
pub(super) fn set_list<T: Transactable>(
    tx: &mut T,
    obj: &ObjId,
    old: &[String],
    new: &[String],
) -> Result<(), EditError> {
    let (prefix, suffix) = common(old, new, |_| false);
    let (gone, come) = (old.len() - prefix - suffix, &new[prefix..new.len() - suffix]);
    if gone > 0 || !come.is_empty() {
        tx.splice(obj, prefix, gone as isize, come.iter().map(String::as_str)).map_err(refused)?;
    }
    Ok(())
}

/// Lengths of the common prefix and suffix; neither ends where `joined` binds the next element to
/// the one before (a combining mark belongs to its letter).
fn common<T: PartialEq>(a: &[T], b: &[T], joined: impl Fn(&T) -> bool) -> (usize, usize) {
    let most = a.len().min(b.len());
    let mut prefix = a.iter().zip(b).take_while(|(x, y)| x == y).count();
    while prefix > 0 && (a.get(prefix).is_some_and(&joined) || b.get(prefix).is_some_and(&joined)) {
        prefix -= 1;
    }
    let mut suffix = a.iter().rev().zip(b.iter().rev()).take(most - prefix).take_while(|(x, y)| x == y).count();
    while suffix > 0 && a.get(a.len() - suffix).is_some_and(&joined) {
        suffix -= 1;
    }
    (prefix, suffix)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearness_counts_insertions_and_deletions() {
        let of = |a: &str, b: &str, steps| near(&a.chars().collect::<Vec<_>>(), &b.chars().collect::<Vec<_>>(), steps);
        assert!(of("abcdef", "xabcdefy", 2));
        assert!(!of("abcdef", "xabcdefy", 1));
        assert!(of("abcdef", "abXdef", 2));
        assert!(!of("abcdef", "uvwxyz", 11));
        assert!(of("abcdef", "uvwxyz", 12));
        assert!(of("", "", 0));
        assert!(of("abc", "", 3));
        assert!(!of("abc", "", 2));
    }

    #[test]
    fn prefix_and_suffix_never_overlap_nor_tear_a_letter() {
        let of = |a: &str, b: &str| {
            let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
            common(&a, &b, |c| unicode_normalization::char::is_combining_mark(*c))
        };
        assert_eq!(of("aaa", "aa"), (2, 0));
        assert_eq!(of("abXcd", "abYcd"), (2, 2));
        // e + acute against e + grave: the e goes with its mark.
        assert_eq!(of("e\u{301}", "e\u{300}"), (0, 0));
        // The acute is common, its letter is not.
        assert_eq!(of("e\u{301}", "a\u{301}"), (0, 0));
    }
}
