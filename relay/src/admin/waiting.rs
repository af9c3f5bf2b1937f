//! What waits in the quarantines of the levels below, by their own signed word.
//!
//! It does not: show what is in it: that is looked at where it lies.

use super::devices::Told;
use super::when::rfc3339;
use sampan_core::register::{Waiting, names};
use sampan_core::store::{Store as _, StoreError};
use sampan_core::wire;
use sampan_node::replica::Replica;
use serde::Serialize;

/// What waits of one unit at one device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WaitingRow {
    /// The unit; `null` for what the device did not name by unit.
    pub unit: Option<String>,
    /// How many commits.
    pub commits: u64,
    /// Since when the oldest lies there.
    pub oldest_at: Option<String>,
    /// The device that holds them.
    pub device: String,
    /// Who holds that device, where that is known here.
    pub holder: Option<String>,
    /// When it said so.
    pub said_at: String,
    /// The unit's path, for people.
    #[serde(skip)]
    pub path: String,
}

/// The rows, by unit path and device.
///
/// # Errors
/// [`StoreError`].
pub fn rows(replica: &Replica) -> Result<Vec<WaitingRow>, StoreError> {
    let charter = replica.engine.charter();
    let told = Told::read(&replica.store)?;
    let mut out = Vec::new();
    for (_, signed) in replica.store.registers(0)? {
        let Ok(register) = signed.trust() else { continue };
        let of_another = register.name == names::QUARANTINE && register.device != replica.device();
        if !of_another || charter.revoked(&register.device).is_some() {
            continue;
        }
        let Ok(waiting) = wire::decode::<Waiting>("list of what waits", &register.payload) else { continue };
        let mut rights = charter.rights(&register.device);
        let holder = rights.find_map(|r| told.holder(&r.key, &r.holder)).map(str::to_owned);
        let row = |unit: Option<String>, path: String, commits: u64, oldest_at: Option<String>| WaitingRow {
            unit,
            commits,
            oldest_at,
            device: register.device.to_string(),
            holder: holder.clone(),
            said_at: rfc3339(register.time),
            path,
        };
        for u in &waiting.units {
            out.push(row(Some(u.unit.to_string()), charter.path(&u.unit), u.commits, Some(rfc3339(u.oldest))));
        }
        if waiting.more > 0 {
            out.push(row(None, String::new(), waiting.more, None));
        }
    }
    out.sort_by(|a, b| (&a.path, &a.device).cmp(&(&b.path, &b.device)));
    Ok(out)
}
