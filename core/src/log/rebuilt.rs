//! Which changes of a commit our own writer made from the columns of a pack.
//!
//! It does not: hold the changes (`Payload`), or say that they keep any rule (admission does).
//!
//! Invariants: only the reader of packs marks an entry, and only where the bytes of its payload came out of
//! `change::encode_hashed` and its `payload_hash` with them: so neither is encoded or hashed a second time. What is
//! changed afterwards loses its marks.

/// The marks of one commit's entries.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rebuilt(Vec<bool>);

impl Rebuilt {
    /// Notes the next entry.
    pub(crate) fn push(&mut self, rebuilt: bool) {
        self.0.push(rebuilt);
    }

    /// Whether the entry at `index` was rebuilt from columns.
    #[must_use]
    pub fn at(&self, index: usize) -> bool {
        self.0.get(index).copied().unwrap_or(false)
    }
}
