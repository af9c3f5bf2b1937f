//! What Automerge's own sync needs for the same records, document by document, counted in the same run.
//!
//! It does not: count a transport: the bytes are those of its messages alone, without UDP or TLS, and
//! all documents are taken to talk at the same time, so that its round trips are those of the slowest.

use super::ops::unhex;
use anyhow::{Context as _, Result};
use automerge::sync::{Message, State, SyncDoc as _};
use automerge::{ActorId, Automerge, Change};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// What travelled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Bytes, both ways.
    pub bytes: u64,
    /// Round trips of the slowest.
    pub round_trips: u64,
    /// Messages, both ways.
    pub messages: u64,
}

impl Tally {
    /// Sessions beside each other: bytes add up, the slowest counts.
    pub fn add(&mut self, other: Self) {
        self.bytes += other.bytes;
        self.messages += other.messages;
        self.round_trips = self.round_trips.max(other.round_trips);
    }
}

/// Pairs of Automerge peers that remember what they shared, as its sync states can.
#[derive(Default)]
pub struct Peers {
    shared: BTreeMap<(usize, String), (Vec<u8>, Vec<u8>)>,
}

impl Peers {
    /// Syncs the documents of one branch with those of its district, as both were before.
    ///
    /// # Errors
    /// When a change or message cannot be read: then the comparison means nothing.
    pub fn sync(&mut self, branch: usize, lower: &Value, upper: &Value) -> Result<Tally> {
        let (lower, upper) = (lower.as_object().context("no documents")?, upper.as_object().context("no documents")?);
        let ids: BTreeSet<&String> = lower.keys().chain(upper.keys()).collect();
        let mut tally = Tally::default();
        for id in ids {
            let (mut a, mut b) = (load(1, lower.get(id))?, load(2, upper.get(id))?);
            let key = (branch, id.clone());
            let (mut state_a, mut state_b) = match self.shared.get(&key) {
                Some((a, b)) => (State::decode(a)?, State::decode(b)?),
                None => (State::new(), State::new()),
            };
            let mut one = Tally::default();
            loop {
                let up = a.generate_sync_message(&mut state_a);
                deliver(up.clone(), &mut b, &mut state_b, &mut one)?;
                let down = b.generate_sync_message(&mut state_b);
                deliver(down.clone(), &mut a, &mut state_a, &mut one)?;
                if up.is_none() && down.is_none() {
                    break;
                }
                one.round_trips += 1;
            }
            anyhow::ensure!(a.get_heads() == b.get_heads(), "Automerge's peers did not agree on {id}");
            self.shared.insert(key, (state_a.encode(), state_b.encode()));
            tally.add(one);
        }
        Ok(tally)
    }
}

fn deliver(message: Option<Message>, to: &mut Automerge, state: &mut State, tally: &mut Tally) -> Result<()> {
    let Some(message) = message else { return Ok(()) };
    let bytes = message.encode();
    tally.bytes += bytes.len() as u64;
    tally.messages += 1;
    to.receive_sync_message(state, Message::decode(&bytes)?)?;
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "a peer to compare with, under an actor of ours; no record is made")]
fn empty(actor: u8) -> Automerge {
    Automerge::new().with_actor(ActorId::from([actor; 16]))
}

fn load(actor: u8, changes: Option<&Value>) -> Result<Automerge> {
    let mut doc = empty(actor);
    let given = changes.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let read: Vec<Change> = given.map(|c| Change::from_bytes(unhex(c))).collect::<Result<_, _>>()?;
    doc.apply_changes(read)?;
    Ok(doc)
}

#[cfg(test)]
mod tests {
    use super::*;
    use automerge::ROOT;
    use automerge::transaction::Transactable as _;
    use serde_json::json;

    #[test]
    fn a_known_document_costs_less_than_a_new_one_and_silence_is_not_free() {
        let mut doc = empty(9);
        let mut tx = doc.transaction();
        tx.put(ROOT, "name", "x".repeat(300)).unwrap();
        tx.commit();
        let bytes: String = doc.get_changes(&[])[0].raw_bytes().iter().map(|b| format!("{b:02x}")).collect();
        let (with, without) = (json!({ "a": [bytes] }), json!({}));
        let mut peers = Peers::default();
        let first = peers.sync(0, &with, &without).unwrap();
        assert!(first.bytes > 100 && first.round_trips >= 1, "{first:?}");
        let again = peers.sync(0, &with, &with).unwrap();
        assert!(again.bytes < first.bytes && again.messages > 0, "{again:?}");
    }
}
