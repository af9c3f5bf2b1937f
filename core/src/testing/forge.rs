//! Commits that nobody with manners would sign.
//!
//! It does not: hand them in, or judge what becomes of them.

use super::SeededRng;
use super::village::Village;
use crate::entropy::random;
use crate::id::{ActorId, DeviceId, Flow, Incarnation, Nonce, RecordId, SpaceId};
use crate::log::commit::FORMAT;
use crate::log::{Commit, Entry, EntryKind, EntryPayload, Header, Payload, Secret, device_id};
use crate::pack::{self, PackScope};
use crate::record::{self, ids};
use crate::value::{Kind, Value};
use crate::wire::frame::Group;
use ed25519_dalek::SigningKey;

impl Village {
    /// A commit with one member created by `key`'s actor, in any space, as the first of `author`'s log there and with its
    /// signature where a replica has that key; and the record. With another `author` than the key's own the change is of
    /// an actor that is not the author's.
    ///
    /// # Panics
    /// On a space of no records.
    #[must_use]
    pub fn forge(&self, key: &SigningKey, space: SpaceId, author: DeviceId) -> (Group, RecordId) {
        assert_ne!(space.flow, Flow::Charter, "records lie elsewhere");
        let mut rng = SeededRng::new(31);
        let nonce = Nonce(random(&mut rng));
        let actor = ActorId::of(&device_id(key), &nonce);
        let fields = [("full_name".to_owned(), (Kind::String, Value::Str("Kẻ lạ".into())))];
        let change = record::create(&actor, self.now, [1; 6], &fields.into()).expect("a plain change");
        let record = ids::record_id(&space, &change.hash);
        let entry = Entry {
            kind: EntryKind::Change,
            record,
            collection: "members".into(),
            payload_hash: change.hash.0,
            time: self.now,
            birth: None,
        };
        let payload = Payload {
            secret: Secret::Whole(random(&mut rng)),
            entries: vec![EntryPayload { entry, payload: change.bytes }],
        };
        let nonce = if author == device_id(key) { nonce } else { Nonce([9; 16]) };
        let header = Header {
            format: FORMAT,
            org: self.org,
            space,
            device: author,
            incarnation: Incarnation(nonce.0),
            sequence: 1,
            parents: vec![],
            nonce,
            charter_heads: self.replicas[0].engine.charter().heads(&space.unit),
            time: self.now,
            entries: 0,
            root: [0; 32],
        };
        let signer = self.replicas.iter().map(|r| r.engine.key()).find(|k| device_id(k) == author).unwrap_or(key);
        let commit = Commit::seal(signer, header, payload).expect("a plain commit");
        let scope = PackScope { org: self.org, space };
        let pack = pack::encode(&scope, &[commit.payload()], &*self.codec);
        (Group { headers: vec![commit.head().signed().clone()], pack }, record)
    }
}
