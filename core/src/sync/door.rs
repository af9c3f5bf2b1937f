//! The door: whether a relay lets a device in, and whether another relay is nearer.
//!
//! It does not: trust the transport's certificate checks, which do not run on resumption: every accept
//! is judged here, by the charter.
//!
//! Invariants: expiry is judged here, by the relay's clock, and nowhere else; a refused device learns
//! why and changes nothing.

use super::terms::Env;
use crate::charter::{Charter, Op};
use crate::engine::IntakeError;
use crate::id::{CommitId, DeviceId, Flow};
use crate::log::Commit;
use crate::pack::{self, PackScope};
use crate::scope::{self, Side};
use crate::time::Millis;
use crate::wire::frame::{Hello, RefuseCode, RelayAddress};

/// The verdict.
pub(crate) enum Door {
    Open,
    Refused(RefuseCode, String),
    Redirect(Vec<RelayAddress>),
}

fn refused(code: RefuseCode, text: impl Into<String>) -> Door {
    Door::Refused(code, text.into())
}

/// Judges a device that says hello, taking in the chain that shows its right.
pub(crate) fn judge(env: &mut Env<'_>, peer: DeviceId, hello: &Hello) -> Result<Door, IntakeError> {
    let commits = match chain_commits(env, hello) {
        Ok(commits) => commits,
        Err(why) => return Ok(refused(RefuseCode::Protocol, why)),
    };
    if let Some(refusal) = judge_tickets(env, hello, &commits) {
        return Ok(refusal);
    }
    let only_charter = |_: &Charter, space: &crate::id::SpaceId| space.flow == Flow::Charter;
    if !hello.chain.is_empty() {
        let known = env.engine.charter().rights(&peer).next().is_some();
        // A device that the charter shows already may send its chain again; strangers' chains are
        // taken only when they end in a right, so that nobody fills the quarantine at the door.
        let would = env.engine.charter_with(&commits);
        if known || would.rights(&peer).next().is_some() {
            env.engine.intake(env.store, env.rng, peer, &hello.chain, &only_charter, env.now)?;
        }
    }
    let verdict = judge_rights(env.engine.charter(), peer, env.now);
    let unknown = matches!(verdict, Some(Door::Refused(RefuseCode::NoGrant, _)));
    if unknown && !can_tell(env, &commits) {
        return Ok(refused(RefuseCode::Busy, NOT_YET));
    }
    if verdict.is_none() && !serves(env.engine.charter(), &env.engine.device(), &peer) {
        return Ok(refused(RefuseCode::Busy, NOT_YET));
    }
    Ok(verdict.unwrap_or_else(|| nearer(env, peer, hello)))
}

/// Whether this device is, as far as the charter held here shows, a relay above (or of) a unit of the peer.
/// One that comes back empty may hear of its children's rights before its own.
fn serves(charter: &Charter, me: &DeviceId, peer: &DeviceId) -> bool {
    let mine = Side::of(charter, me).relay_units;
    Side::of(charter, peer).all().iter().any(|unit| charter.chain(unit).any(|u| mine.contains(&u.id)))
}

/// What a device hears whose right this relay cannot judge yet.
const NOT_YET: &str = "the charter that shows this device's right has not arrived at this relay yet; it is tried again";

/// Whether the charter held here decides about a chain. A relay that has been without its own parent for
/// weeks knows nothing of a unit that was created since: that is no refusal.
fn can_tell(env: &Env<'_>, chain: &[Commit]) -> bool {
    let charter = env.engine.charter();
    let arrived = |c: &Commit| {
        let own = |id: &CommitId| chain.iter().any(|c| c.id() == *id);
        let h = c.header();
        charter.unit(&h.space.unit).is_some()
            && h.parents.iter().chain(&h.charter_heads).all(|head| charter.knows(head) || own(head))
    };
    !chain.is_empty() && chain.iter().all(arrived)
}

/// Whether a device that is connected may stay.
pub(crate) fn judge_rights(charter: &Charter, peer: DeviceId, now: Millis) -> Option<Door> {
    if let Some(reason) = charter.revoked(&peer) {
        return Some(refused(RefuseCode::GrantEnded, format!("the grant of this device was revoked: {reason}")));
    }
    let rights: Vec<_> = charter.rights(&peer).collect();
    if rights.is_empty() {
        return Some(refused(RefuseCode::NoGrant, "this device has no grant in this organisation"));
    }
    let ended = |until: Option<Millis>| until.is_some_and(|u| u < now) && !now.is_unset();
    if rights.iter().all(|r| ended(r.until)) {
        return Some(refused(RefuseCode::GrantEnded, "the grant of this device has ended"));
    }
    None
}

fn chain_commits(env: &Env<'_>, hello: &Hello) -> Result<Vec<Commit>, String> {
    let org = env.engine.org();
    let mut out = Vec::new();
    for group in &hello.chain {
        let heads: Result<Vec<_>, _> = group.headers.iter().map(|h| h.verify(&org)).collect();
        let heads = heads.map_err(|e| e.to_string())?;
        let Some(space) = heads.first().map(|h| h.header().space) else { continue };
        if space.flow != Flow::Charter {
            return Err("its chain holds something that is not of a charter".into());
        }
        let scope = PackScope { org, space };
        let payloads = pack::decode(&scope, &group.pack, env.engine.codec()).map_err(|e| e.to_string())?;
        for (head, payload) in heads.into_iter().zip(payloads) {
            out.push(Commit::join(head, payload).map_err(|e| e.to_string())?);
        }
    }
    Ok(out)
}

/// Used and expired tickets. A ticket that this device already used is never judged again.
fn judge_tickets(env: &Env<'_>, hello: &Hello, commits: &[Commit]) -> Option<Door> {
    // A fold of the whole charter is not paid for by everyone who says hello.
    if commits.is_empty() {
        return None;
    }
    let charter = env.engine.charter();
    let would = env.engine.charter_with(commits);
    for c in commits {
        let key = c.header().device;
        let enrols = c.payload().entries.iter().any(|e| matches!(Op::decode(&e.payload), Ok(Op::Enrol { .. })));
        if !enrols {
            continue;
        }
        let used_by = charter.ticket(&key).and_then(|t| t.used_by);
        match used_by {
            Some(device) if device != hello.device => {
                return Some(refused(RefuseCode::TicketUsed, "this ticket was used already by another device"));
            }
            Some(_) => {}
            None => {
                let use_by = would.ticket(&key).and_then(|t| t.use_by);
                if use_by.is_some_and(|u| u < env.now) && !env.now.is_unset() {
                    return Some(refused(RefuseCode::TicketExpired, "this ticket has expired; ask for a new one"));
                }
            }
        }
    }
    None
}

/// Sends a device to the relay nearest above it, unless it says that that one does not answer.
fn nearer(env: &Env<'_>, peer: DeviceId, hello: &Hello) -> Door {
    if hello.fallback {
        return Door::Open;
    }
    let route = scope::upstream(env.engine.charter(), &peer);
    let me = env.engine.device();
    match route.iter().position(|(_, device, _)| *device == me) {
        Some(at) if at > 0 && route[0].0 != route[at].0 => {
            let relays = route[..at].iter();
            Door::Redirect(relays.map(|(_, d, a)| RelayAddress { device: *d, addresses: a.clone() }).collect())
        }
        Some(_) | None => Door::Open,
    }
}
