//! The quarantine: what lies there and why, and an operator's word on it.
//!
//! It does not: judge anything: a release or rejection is an operation of the charter, signed, with its
//! reason, and kept for ever; what it means follows from the charter alone, on every replica.
//!
//! Invariants: nothing here deletes; what was rejected stays where it lies, and may still be released.

use super::devices::Told;
use super::when::rfc3339;
use super::{Desk, Failure, decide};
use sampan_core::change::{Parsed, creation_fields};
use sampan_core::charter::{Charter, Op};
use sampan_core::engine::Laid;
use sampan_core::id::{CommitId, UnitId};
use sampan_core::log::Commit;
use sampan_core::schema::to_json;
use sampan_core::store::StoreError;
use sampan_node::cli::{App, CliError, codes};
use sampan_node::replica::Replica;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// Digits of a commit's id that are enough to look for it.
const COMMIT_DIGITS_MIN: usize = 6;

/// An entry of someone else's that waits for one in the quarantine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BlockedRow {
    /// Its record.
    pub record: String,
    /// Its change.
    pub change: String,
    /// Its author's device.
    pub author: String,
    /// Whether its author's replica wrote it anew on what stands.
    pub anew: bool,
}

/// One commit of the quarantine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct QuarantineRow {
    /// The commit.
    pub commit: String,
    /// Who signed it.
    pub device: String,
    /// Who holds that device, where that is known here.
    pub holder: Option<String>,
    /// The unit.
    pub unit: String,
    /// Its place in its log, from 1.
    pub sequence: u64,
    /// How many entries it has.
    pub entries: u32,
    /// When it was made, by its author's clock.
    pub at: String,
    /// Since when it lies here.
    pub since: String,
    /// The neighbour that handed it over; this very device for what had counted before a cut.
    pub from: String,
    /// Why it lies here.
    pub reason: String,
    /// `waiting` or `rejected`.
    pub state: &'static str,
    /// Commits before it that lie here too: it is released only with them.
    pub needs: Vec<String>,
    /// What of others builds on it and is released with it.
    pub blocks: Vec<BlockedRow>,
    /// The unit's path, for people.
    #[serde(skip)]
    pub path: String,
}

/// One change of a commit in the quarantine.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ChangeRow {
    /// The record.
    pub record: String,
    /// The collection that it names.
    pub collection: String,
    /// The change.
    pub change: String,
    /// When, by its author's clock.
    pub at: String,
    /// For a creation: the fields. `null` for a change of what is there already.
    pub fields: Option<serde_json::Map<String, serde_json::Value>>,
}

/// The rows of a list, oldest first; rejected ones only if `all`.
///
/// # Errors
/// [`StoreError`].
pub fn rows(replica: &Replica, all: bool) -> Result<Vec<QuarantineRow>, StoreError> {
    let charter = replica.engine.charter();
    let told = Told::read(&replica.store)?;
    let laid = replica.engine.laid(&replica.store)?;
    Ok(laid.iter().filter(|l| all || !l.rejected).map(|l| row(charter, &told, l)).collect())
}

fn row(charter: &Charter, told: &Told, laid: &Laid) -> QuarantineRow {
    let h = laid.held.head.header();
    let mut holders = charter.all_rights().filter(|(device, _)| **device == h.device);
    let blocks = laid.blocks.iter().map(|b| BlockedRow {
        record: b.record.to_string(),
        change: b.change.to_string(),
        author: b.author.to_string(),
        anew: b.anew,
    });
    QuarantineRow {
        commit: laid.held.head.id().to_string(),
        device: h.device.to_string(),
        holder: holders.find_map(|(_, r)| told.holder(&r.key, &r.holder)).map(str::to_owned),
        unit: h.space.unit.to_string(),
        sequence: h.sequence,
        entries: h.entries,
        at: rfc3339(h.time),
        since: rfc3339(laid.held.at),
        from: laid.held.peer.to_string(),
        reason: laid.held.reason.clone(),
        state: if laid.rejected { "rejected" } else { "waiting" },
        needs: laid.needs.iter().map(CommitId::to_string).collect(),
        blocks: blocks.collect(),
        path: charter.path(&h.space.unit),
    }
}

/// One commit with its changes.
///
/// # Errors
/// `unknown_commit`; what lies there and cannot be read.
pub fn show(app: &App, replica: &Replica, named: &str) -> Result<(QuarantineRow, Vec<ChangeRow>), CliError> {
    use sampan_node::cli::convert::IntoCli as _;
    let bad = |e: StoreError| e.into_cli(app.lang);
    let laid = replica.engine.laid(&replica.store).map_err(bad)?;
    let laid = find(app, &laid, named)?;
    let told = Told::read(&replica.store).map_err(bad)?;
    let commit = replica.engine.open_laid(&laid.held).map_err(|e| bad(StoreError::Damaged(e.to_string())))?;
    Ok((row(replica.engine.charter(), &told, laid), changes(replica, &commit)))
}

fn changes(replica: &Replica, commit: &Commit) -> Vec<ChangeRow> {
    let schema = replica.schema();
    let of = |e: &sampan_core::log::EntryPayload| {
        let fields = Parsed::read(&e.payload).ok().filter(|p| p.deps.is_empty()).and_then(|p| creation_fields(&p));
        let collection = schema.and_then(|s| s.collection(&e.entry.collection));
        let shown = fields.map(|fields| {
            let visible = fields.iter().filter(|(name, _)| !name.starts_with('_'));
            visible.map(|(name, v)| (name.clone(), to_json(collection.and_then(|c| c.field(name)), v))).collect()
        });
        ChangeRow {
            record: e.entry.record.to_string(),
            collection: e.entry.collection.clone(),
            change: e.entry.change().to_string(),
            at: rfc3339(e.entry.time),
            fields: shown,
        }
    };
    commit.payload().entries.iter().filter(|e| e.entry.kind.is_change()).map(of).collect()
}

fn find<'a>(app: &App, laid: &'a [Laid], named: &str) -> Result<&'a Laid, CliError> {
    let digits = named.trim().to_lowercase();
    let fits = |l: &&Laid| digits.len() >= COMMIT_DIGITS_MIN && l.held.head.id().to_string().starts_with(&digits);
    let found: Vec<&Laid> = laid.iter().filter(fits).collect();
    match found.as_slice() {
        [one] => Ok(one),
        _ => Err(app.error(&codes::UNKNOWN_COMMIT, &[("name", named)])),
    }
}

/// An operator's word on commits in the quarantine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// They count from now on.
    Release,
    /// They are not to count, and are not listed any more.
    Reject,
}

/// Says a word on commits, into the charters of their units; returns the commits.
///
/// # Errors
/// `unknown_commit`, `needs_earlier`, `no_right`; nothing was written.
pub fn say(
    app: &App,
    replica: &mut Replica,
    named: &[String],
    reason: &str,
    verdict: Verdict,
) -> Result<Vec<CommitId>, CliError> {
    let reason = super::found::checked_name(app, "--reason", reason)?.to_owned();
    decide(app, replica, |desk| {
        let laid = desk.engine.laid(&*desk.store)?;
        let mut chosen: BTreeMap<CommitId, &Laid> = BTreeMap::new();
        for name in named {
            let one = find(app, &laid, name)?;
            chosen.insert(one.held.head.id(), one);
        }
        if verdict == Verdict::Release {
            for (id, one) in &chosen {
                let missing: Vec<String> =
                    one.needs.iter().filter(|n| !chosen.contains_key(n)).map(CommitId::to_string).collect();
                if !missing.is_empty() {
                    let values = [("name", id.to_string()), ("needed", missing.join(" "))];
                    let values: Vec<(&str, &str)> = values.iter().map(|(k, v)| (*k, v.as_str())).collect();
                    return Err(app.error(&codes::NEEDS_EARLIER, &values).into());
                }
            }
        }
        let mut by_unit: BTreeMap<UnitId, BTreeSet<CommitId>> = BTreeMap::new();
        for (id, one) in &chosen {
            by_unit.entry(one.held.head.header().space.unit).or_default().insert(*id);
        }
        for (unit, commits) in by_unit {
            write(app, desk, unit, commits.into_iter().collect(), reason.clone(), verdict)?;
        }
        Ok::<_, Failure>(chosen.into_keys().collect())
    })
}

fn write(
    app: &App,
    desk: &mut Desk<'_>,
    unit: UnitId,
    commits: Vec<CommitId>,
    reason: String,
    verdict: Verdict,
) -> Result<(), Failure> {
    desk.require_admin(app.lang, &unit, "right.quarantine")?;
    let op = match verdict {
        Verdict::Release => Op::Release { commits, reason },
        Verdict::Reject => Op::Reject { commits, reason },
    };
    desk.engine.write_charter(desk.store, desk.rng, unit, &[op], desk.now)?;
    Ok(())
}
