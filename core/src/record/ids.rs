//! placeholder until merged
use crate::id::*;
/// x
pub fn record_id(space: &SpaceId, first_change: &ChangeHash) -> RecordId {
    RecordId(crate::hash::tagged16(
        "record",
        &[&space.key(), &first_change.0],
    ))
}
