//! Carrying the edits of one change over to another version of its record.
//!
//! It does not: decide whether that should be done, or write the edits ([`Document::edit`] does).
//!
//! Invariants: only what the change itself did is carried, never what it stood on: a text or list gets the same
//! insertions at the same neighbours, a set the same elements, a counter the same sum, any other field its value.

use super::document::Document;
use super::engine::guarded;
use super::error::Damaged;
use super::read;
use crate::id::ChangeHash;
use crate::value::{Edit, Value};
use std::collections::BTreeSet;

/// Cells of the table that aligns what differs of two versions: 8 MB. Beyond it the differing middle is taken as
/// replaced as a whole.
const ALIGN_CELLS_MAX: usize = 2 * 1_024 * 1_024;

/// The edits of one change, in the words of another version of the record.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rebased {
    /// The edits.
    pub edits: Vec<(String, Edit)>,
    /// Whether they add to what is there (a counter, text, list elements), so that having them twice shows twice.
    pub adds: bool,
}

impl Document {
    /// What a change of this document did, as edits of `onto`; `None` where it wrote what no schema of ours writes.
    ///
    /// # Errors
    /// [`Damaged`], if Automerge cannot read its own document.
    pub fn rebase(&self, change: &ChangeHash, onto: &Self) -> Result<Option<Rebased>, Damaged> {
        guarded(|| self.rebase_inner(change, onto))
    }

    fn rebase_inner(&self, change: &ChangeHash, onto: &Self) -> Result<Option<Rebased>, Damaged> {
        let meta = self.metas.get(change).ok_or(Damaged::MissingAncestor { missing: *change })?;
        let (before, after) = (Self::point(&meta.deps), Self::point([change]));
        let touched = self.touched()?.remove(change).unwrap_or_default();
        let mut out = Rebased::default();
        for field in touched.into_iter().filter(|f| f != super::NONCE_KEY) {
            let old = read::winner(&self.doc, &field, Some(&before))?;
            let new = read::winner(&self.doc, &field, Some(&after))?;
            let base = read::winner(&onto.doc, &field, None)?;
            match (old, new) {
                (Some(Value::Other(_)), _) | (_, Some(Value::Other(_))) => return Ok(None),
                (Some(Value::Text(old)), new) => {
                    let new = if let Some(Value::Text(new)) = new { new } else { String::new() };
                    out.text(field, &old, &new, base);
                }
                (_, Some(Value::Text(new))) => out.text(field, "", &new, base),
                (Some(Value::List(old)), new) => {
                    let new = if let Some(Value::List(new)) = new { new } else { Vec::new() };
                    out.list(field, &old, &new, base);
                }
                (_, Some(Value::List(new))) => out.list(field, &[], &new, base),
                (Some(Value::Set(old)), new) => {
                    let new = if let Some(Value::Set(new)) = new { new } else { BTreeSet::new() };
                    out.set(field, &old, &new);
                }
                (_, Some(Value::Set(new))) => out.set(field, &BTreeSet::new(), &new),
                (Some(Value::Counter(old)), new) => {
                    let new = if let Some(Value::Counter(new)) = new { new } else { 0 };
                    out.count(field, old, new);
                }
                (_, Some(Value::Counter(new))) => out.count(field, 0, new),
                (_, Some(new @ (Value::Str(_) | Value::Int(_) | Value::Bool(_)))) => {
                    out.edits.push((field, Edit::Set(new)));
                }
                (Some(Value::Str(_) | Value::Int(_) | Value::Bool(_)) | None, None) => {
                    out.edits.push((field, Edit::Clear));
                }
            }
        }
        Ok(Some(out))
    }
}

impl Rebased {
    fn text(&mut self, field: String, old: &str, new: &str, base: Option<Value>) {
        let base = if let Some(Value::Text(base)) = base { base } else { String::new() };
        let of = |s: &str| s.chars().collect::<Vec<char>>();
        let (merged, adds) = carry(&of(old), &of(new), &of(&base));
        self.adds |= adds;
        self.edits.push((field, Edit::Set(Value::Text(merged.into_iter().collect()))));
    }

    fn list(&mut self, field: String, old: &[String], new: &[String], base: Option<Value>) {
        let base = if let Some(Value::List(base)) = base { base } else { Vec::new() };
        let (merged, adds) = carry(old, new, &base);
        self.adds |= adds;
        self.edits.push((field, Edit::Set(Value::List(merged))));
    }

    fn set(&mut self, field: String, old: &BTreeSet<String>, new: &BTreeSet<String>) {
        let less = |a: &BTreeSet<String>, b: &BTreeSet<String>| a.difference(b).cloned().collect::<BTreeSet<_>>();
        let (come, gone) = (less(new, old), less(old, new));
        if !come.is_empty() {
            self.edits.push((field.clone(), Edit::Add(Value::Set(come))));
        }
        if !gone.is_empty() {
            self.edits.push((field, Edit::Sub(Value::Set(gone))));
        }
    }

    fn count(&mut self, field: String, old: i64, new: i64) {
        let by = new.saturating_sub(old);
        if by != 0 {
            self.adds = true;
            self.edits.push((field, Edit::Add(Value::Counter(by))));
        }
    }
}

/// What led from `old` to `new`, done to `base`, and whether it put anything in: insertions go behind the element
/// that they stood behind, as far as it is still there, else behind the one before that.
fn carry<T: PartialEq + Clone>(old: &[T], new: &[T], base: &[T]) -> (Vec<T>, bool) {
    let (to_new, to_base) = (align(old, new), align(old, base));
    let mut kept: Vec<Option<usize>> = vec![None; new.len()];
    for (i, j) in to_new.iter().enumerate() {
        if let Some(j) = j {
            kept[*j] = Some(i);
        }
    }
    let mut gone = vec![false; base.len()];
    for (i, j) in to_base.iter().enumerate() {
        if let (Some(j), None) = (j, to_new[i]) {
            gone[*j] = true;
        }
    }
    let mut come: Vec<Vec<T>> = vec![Vec::new(); base.len() + 1];
    let (mut gap, mut adds) = (0, false);
    for (item, kept) in new.iter().zip(&kept) {
        match kept {
            Some(i) => gap = to_base[..=*i].iter().rev().find_map(|j| j.map(|j| j + 1)).unwrap_or(0),
            None => {
                adds = true;
                come[gap].push(item.clone());
            }
        }
    }
    let mut out = Vec::with_capacity(base.len() + new.len());
    for (j, run) in come.into_iter().enumerate() {
        out.extend(run);
        if let Some(item) = base.get(j).filter(|_| !gone[j]) {
            out.push(item.clone());
        }
    }
    (out, adds)
}

/// For each element of `a` its equal in `b`, both in order, as many as possible.
fn align<T: PartialEq>(a: &[T], b: &[T]) -> Vec<Option<usize>> {
    let most = a.len().min(b.len());
    let prefix = a.iter().zip(b).take_while(|(x, y)| x == y).count();
    let suffix = a.iter().rev().zip(b.iter().rev()).take(most - prefix).take_while(|(x, y)| x == y).count();
    let mut out: Vec<Option<usize>> = vec![None; a.len()];
    out[..prefix].iter_mut().enumerate().for_each(|(i, at)| *at = Some(i));
    for k in 1..=suffix {
        out[a.len() - k] = Some(b.len() - k);
    }
    let (x, y) = (&a[prefix..a.len() - suffix], &b[prefix..b.len() - suffix]);
    let width = y.len() + 1;
    if x.is_empty() || y.is_empty() || (x.len() + 1).saturating_mul(width) > ALIGN_CELLS_MAX {
        return out;
    }
    // longest[i * width + j]: the longest common run of x[i..] and y[j..].
    let mut longest = vec![0u32; (x.len() + 1) * width];
    for i in (0..x.len()).rev() {
        for j in (0..y.len()).rev() {
            longest[i * width + j] = if x[i] == y[j] {
                longest[(i + 1) * width + j + 1] + 1
            } else {
                longest[(i + 1) * width + j].max(longest[i * width + j + 1])
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    while i < x.len() && j < y.len() {
        if x[i] == y[j] {
            out[prefix + i] = Some(prefix + j);
            (i, j) = (i + 1, j + 1);
        } else if longest[(i + 1) * width + j] >= longest[i * width + j + 1] {
            i += 1;
        } else {
            j += 1;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(old: &str, new: &str, base: &str) -> (String, bool) {
        let of = |s: &str| s.chars().collect::<Vec<char>>();
        let (out, adds) = carry(&of(old), &of(new), &of(base));
        (out.into_iter().collect(), adds)
    }

    #[test]
    fn what_one_did_is_carried_and_what_it_stood_on_is_not() {
        // Base "Họp tối", a stranger wrote "Họp tối nay", the author added the place.
        assert_eq!(text("Họp tối nay", "Họp tối nay ở đình", "Họp tối"), ("Họp tối ở đình".into(), true));
        assert_eq!(text("abcXdef", "abcXdeYf", "abcdef"), ("abcdeYf".into(), true));
        assert_eq!(text("abcXdef", "abXdef", "abcdef"), ("abdef".into(), false), "a deletion alone adds nothing");
        assert_eq!(text("abcXdef", "abcdef", "abcdef"), ("abcdef".into(), false), "taking back what never was");
        assert_eq!(text("", "mới", "cũ "), ("mớicũ ".into(), true));
        assert_eq!(text("abc", "abc", "xyz"), ("xyz".into(), false));
        assert_eq!(text("X", "XY", ""), ("Y".into(), true));
        assert_eq!(text("abc", "", "abcd"), ("d".into(), false));
    }

    #[test]
    fn on_the_same_base_it_is_the_edit_itself() {
        for (old, new) in [("abc", "abXc"), ("", "a"), ("hello world", "held word"), ("aaaa", "aa"), ("ab", "ba")] {
            assert_eq!(text(old, new, old).0, new, "{old} → {new}");
        }
    }

    #[test]
    fn what_is_too_long_to_align_is_replaced_as_a_whole() {
        let old: Vec<u32> = (0..2_000).collect();
        let mut new: Vec<u32> = (10_000..12_000).collect();
        new.push(1_999);
        let (out, adds) = carry(&old, &new, &old);
        assert!(adds && out == new);
    }
}
