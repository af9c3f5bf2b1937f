//! How the ids of records and of their computed actors are made.
//!
//! It does not: decide which collections have identities (the schema) or check a claimed id against
//! an entry (`log` calls this).
//!
//! Invariants: an id depends on nothing but its arguments; every variable part is length-prefixed, so
//! that no two different inputs hash the same bytes; personal data never goes into an id.

use crate::hash::tagged16;
use crate::id::{ActorId, ChangeHash, OrgId, RecordId, SpaceId, UnitId};
use crate::value::Kind;

/// The id of an ordinary record: from the space of its birth and its first change.
#[must_use]
pub fn record_id(space: &SpaceId, first_change: &ChangeHash) -> RecordId {
    RecordId(tagged16("record", &[&space.key(), &first_change.0]))
}

/// The id of an identity record: from what it is about.
///
/// `key_fields` are (name, value in its text form), in any order.
#[must_use]
pub fn identity_id(org: &OrgId, unit: &UnitId, collection: &str, key_fields: &[(String, String)]) -> RecordId {
    let mut bytes = prefixed(collection);
    let mut sorted: Vec<&(String, String)> = key_fields.iter().collect();
    sorted.sort();
    for (name, value) in sorted {
        bytes.extend(prefixed(name));
        bytes.extend(prefixed(value));
    }
    RecordId(tagged16("identity", &[&org.0, &unit.0, &bytes]))
}

/// The actor of an identity record's creation change.
#[must_use]
pub fn identity_actor(id: &RecordId) -> ActorId {
    ActorId(tagged16("identity-actor", &[&id.0]))
}

/// The actor of the birth change of one field.
#[must_use]
pub fn birth_actor(record: &RecordId, field: &str, kind: Kind) -> ActorId {
    ActorId(tagged16("birth", &[&record.0, &prefixed(field), &[kind as u8]]))
}

/// The text behind its length in bytes as u32, little endian.
fn prefixed(text: &str) -> Vec<u8> {
    // Names and values are bounded far below 4 GiB by `limits`.
    let mut out = (text.len() as u32).to_le_bytes().to_vec();
    out.extend_from_slice(text.as_bytes());
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Flow;

    #[test]
    fn an_identity_does_not_depend_on_the_order_of_its_keys_but_on_their_bounds() {
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        let of = |keys: &[(String, String)]| identity_id(&OrgId([1; 32]), &UnitId([2; 16]), "receipts", keys);
        let one = of(&[pair("directive", "77"), pair("unit", "8")]);
        assert_eq!(one, of(&[pair("unit", "8"), pair("directive", "77")]));
        assert_ne!(of(&[pair("ab", "c")]), of(&[pair("a", "bc")]));
        assert_ne!(of(&[pair("a", "b")]), of(&[pair("a", "b"), pair("", "")]));
    }

    #[test]
    fn a_record_is_bound_to_its_space_of_birth() {
        let here = SpaceId { unit: UnitId([2; 16]), flow: Flow::Up, reach: 0 };
        let there = SpaceId { unit: UnitId([3; 16]), ..here };
        let first = ChangeHash([9; 32]);
        assert_ne!(record_id(&here, &first), record_id(&there, &first));
        assert_ne!(record_id(&here, &first), record_id(&here, &ChangeHash([8; 32])));
    }
}
