//! The door: whether a relay lets a device in, and whether another relay is nearer.
//!
//! It does not: trust the transport's certificate checks, which do not run on resumption: every accept
//! is judged here, by the charter.
//!
//! Invariants: expiry is judged here, by the relay's clock, and nowhere else; a refused device learns
//! why and changes nothing.

use super::session::Session;
use super::terms::{Env, Role};
use crate::charter::{Charter, Op};
use crate::engine::IntakeError;
use crate::id::{CommitId, DeviceId, Flow};
use crate::limits::CHAIN_COMMITS_MAX;
use crate::log::Commit;
use crate::pack::{self, PackScope};
use crate::scope::{self, Side};
use crate::store::{Batch, StoreError};
use crate::time::Millis;
use crate::wire::frame::{Group, Hello, RefuseCode, RelayAddress};
use std::collections::BTreeSet;

/// The verdict.
pub(crate) enum Door {
    Open,
    Refused(RefuseCode, String),
    Redirect(Vec<RelayAddress>),
}

/// What became of the chains that a device showed, where it is not what they are for.
#[derive(Debug, Default)]
pub(crate) struct Shown {
    /// What the charter cannot place yet: no more than one hello.
    pub early: Vec<Group>,
    /// Enrolments by tickets that are used or over: the device is told by having them back.
    pub spent: Vec<Group>,
}

fn refused(code: RefuseCode, text: impl Into<String>) -> Door {
    Door::Refused(code, text.into())
}

/// Judges a device that says hello, taking in the chains that show its rights, one a ticket. A ticket that is used or
/// over opens nothing, and shuts out nobody whose other rights stand.
pub(crate) fn judge(env: &mut Env<'_>, peer: DeviceId, hello: &Hello, shown: &mut Shown) -> Result<Door, IntakeError> {
    let commits = match chain_commits(env, hello) {
        Ok(commits) => commits,
        Err(why) => return Ok(refused(RefuseCode::Protocol, why)),
    };
    let worth = may_lead_to_a_right(env.engine.charter(), &commits);
    let (spent, refusal) = judge_tickets(env, hello, if worth { &commits } else { &[] });
    if worth {
        let known = env.engine.charter().rights(&peer).next().is_some();
        // A device that the charter shows already may send its chain again; strangers' chains are
        // taken only when they end in a right, so that nobody fills the quarantine at the door.
        let good: Vec<Commit> = commits.iter().filter(|c| !spent.contains(&c.id())).cloned().collect();
        let would = env.engine.charter_with(&good);
        if known || would.rights(&peer).next().is_some() {
            let over = |g: &Group| g.headers.iter().any(|h| h.trust().is_ok_and(|h| spent.contains(&h.id())));
            shown.spent = hello.chain.iter().filter(|g| over(g)).cloned().collect();
            // A grant and its enrolment stand side by side.
            let stands = hello.chain.chunks(2).filter(|one| !one.iter().any(over));
            let chains: Vec<Group> = stands.flatten().cloned().collect();
            shown.early = env.engine.intake_chains(env.store, env.rng, peer, &chains, env.now)?;
        }
    }
    let verdict = judge_rights(env.engine.charter(), peer, env.now);
    if verdict.is_some()
        && let Some(refusal) = refusal
    {
        return Ok(refusal);
    }
    let unknown = matches!(verdict, Some(Door::Refused(RefuseCode::NoGrant, _)));
    if unknown && !can_tell(env, &commits) {
        return Ok(refused(RefuseCode::Busy, NOT_YET));
    }
    if verdict.is_none() && !serves(env.engine.charter(), &env.engine.device(), &peer) {
        return Ok(refused(RefuseCode::Busy, NOT_YET));
    }
    Ok(verdict.unwrap_or_else(|| nearer(env, peer, hello.fallback)))
}

/// Whether a device that greets is let in without more words. One that is not says hello, and is judged by that.
pub(crate) fn lets_in(env: &Env<'_>, peer: DeviceId, fallback: bool) -> bool {
    let charter = env.engine.charter();
    judge_rights(charter, peer, env.now).is_none()
        && serves(charter, &env.engine.device(), &peer)
        && matches!(nearer(env, peer, fallback), Door::Open)
}

/// Whether folding the charter with this chain can give anyone a right: only if somebody who has one, or a
/// ticket that was given out, signed a part of it. A stranger can sign what it likes at no cost; a fold of a
/// city's charter costs milliseconds.
fn may_lead_to_a_right(charter: &Charter, chain: &[Commit]) -> bool {
    chain.iter().any(|c| {
        let author = c.header().device;
        author.0 == charter.org().0 || charter.rights(&author).next().is_some() || charter.ticket(&author).is_some()
    })
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
        if let Some((_, cut)) = charter.cuts().filter(|(key, _)| **key == peer).last() {
            return Some(refused(
                RefuseCode::GrantEnded,
                format!("the grant of this device has ended: {}", cut.reason),
            ));
        }
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
    if hello.chain.iter().map(|g| g.headers.len()).sum::<usize>() > CHAIN_COMMITS_MAX {
        return Err(format!("its chain has more than CHAIN_COMMITS_MAX ({CHAIN_COMMITS_MAX}) commits"));
    }
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

/// Enrolments by used and expired tickets, and what to say of the first. A ticket that this device already used is
/// never judged again.
fn judge_tickets(env: &Env<'_>, hello: &Hello, commits: &[Commit]) -> (BTreeSet<CommitId>, Option<Door>) {
    let (mut spent, mut said) = (BTreeSet::new(), None);
    // A fold of the whole charter is not paid for by everyone who says hello.
    if commits.is_empty() {
        return (spent, said);
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
        let refusal = match used_by {
            Some(device) if device != hello.device => {
                refused(RefuseCode::TicketUsed, "this ticket was used already by another device")
            }
            Some(_) => continue,
            None => {
                let use_by = would.ticket(&key).and_then(|t| t.use_by);
                if use_by.is_none_or(|u| u >= env.now) || env.now.is_unset() {
                    continue;
                }
                refused(RefuseCode::TicketExpired, "this ticket has expired; ask for a new one")
            }
        };
        spent.insert(c.id());
        said.get_or_insert(refusal);
    }
    (spent, said)
}

impl Session {
    /// The lower end: a ticket that was its only claim at this relay opens nothing. A device with other rights goes on
    /// without it; one without keeps it, and is told the same each time.
    pub(super) fn note_refused_ticket(&mut self, env: &mut Env<'_>, code: RefuseCode) -> Result<(), StoreError> {
        let of_ticket = matches!(code, RefuseCode::TicketUsed | RefuseCode::TicketExpired);
        let others = env.engine.charter().rights(&env.engine.device()).next().is_some();
        if !of_ticket || self.role != Role::Lower || !others {
            return Ok(());
        }
        let shown = env.engine.chains_for(env.store, &self.peer)?;
        // Of several it is not said which.
        if shown.len() == 2 {
            let mut batch = Batch::at(env.now);
            env.engine.note_spent(env.store, &shown, &mut batch)?;
            env.store.write(&batch)?;
        }
        Ok(())
    }
}

/// Sends a device to the relay nearest above it, unless it says that that one does not answer, or this one is the nearest
/// on one of its ways.
fn nearer(env: &Env<'_>, peer: DeviceId, fallback: bool) -> Door {
    if fallback {
        return Door::Open;
    }
    let ways = scope::ways(env.engine.charter(), &peer);
    let me = env.engine.device();
    if ways.iter().any(|way| way.begins_with(&me)) {
        return Door::Open;
    }
    match ways.iter().find_map(|way| way.before(&me)) {
        Some(relays) => {
            let relays = relays.iter();
            Door::Redirect(relays.map(|r| RelayAddress { device: r.relay, addresses: r.addresses.clone() }).collect())
        }
        None => Door::Open,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::charter::Roles;
    use crate::id::{OrgId, StoreEpoch};
    use crate::pack::Stored;
    use crate::store::Store;
    use crate::sync::Event;
    use crate::testing::MemStore;
    use crate::testing::village::Village;
    use crate::wire::frame::Frame;
    use std::sync::Arc;

    fn mem(org: OrgId, device: DeviceId, epoch: StoreEpoch) -> Box<dyn Store> {
        Box::new(MemStore::new(org, device, epoch))
    }

    /// What a device shows when it says hello to the city, and the hello.
    fn shown(v: &mut Village, at: usize) -> Hello {
        let (now, city) = (v.now, v.replicas[0].engine.device());
        let r = &mut v.replicas[at];
        let mut env = Env { store: &mut *r.store, engine: &mut r.engine, rng: &mut r.rng, now };
        let mut session = Session::lower(&mut env, city, false).unwrap();
        let (_, bytes) = session.next_frame(&mut env, &|_| true).unwrap().unwrap();
        let Ok(Frame::Hello(hello)) = Frame::decode(&bytes) else { panic!("no hello") };
        *hello
    }

    fn commits(v: &mut Village, hello: &Hello) -> Result<Vec<Commit>, String> {
        let now = v.now;
        let r = &mut v.replicas[0];
        chain_commits(&Env { store: &mut *r.store, engine: &mut r.engine, rng: &mut r.rng, now }, hello)
    }

    #[test]
    fn a_chain_of_strangers_is_not_worth_a_fold_and_an_honest_one_is() {
        let mut v = Village::found(61, Arc::new(Stored), &mut mem);
        let root = v.root();
        let unit = v.unit(0, root, "Chi bộ 1", "branch");
        let ticket = v.invite(0, unit, Roles::EDITOR);
        let branch = v.join("branch", &ticket, &mut mem);
        let hello = shown(&mut v, branch);
        let honest = commits(&mut v, &hello).unwrap();
        let charter = v.replicas[0].engine.charter().clone();
        assert_eq!(honest.len(), 2, "the ticket's grant and the enrolment");
        assert!(may_lead_to_a_right(&charter, &honest));
        assert!(may_lead_to_a_right(&charter, &honest[1..]), "a ticket that was given out");
        // The same written by an organisation of its own under this one's name: keys that nobody knows.
        let mut forged = Vec::new();
        for (n, commit) in honest.iter().enumerate() {
            let key = crate::testing::test_key(900 + n as u64);
            let header = crate::log::Header { device: crate::log::device_id(&key), ..commit.header().clone() };
            forged.push(Commit::seal(&key, header, commit.payload().clone()).unwrap());
        }
        assert!(!may_lead_to_a_right(&charter, &forged));
        assert!(!may_lead_to_a_right(&charter, &[]));
        // At the door it is refused as what it is, and nothing of it is kept.
        let scope = |c: &Commit| PackScope { org: v.org, space: c.header().space };
        let group = |c: &Commit| Group {
            headers: vec![c.head().signed().clone()],
            pack: pack::encode(&scope(c), &[c.payload()], &Stored),
        };
        let stranger = crate::log::device_id(&crate::testing::test_key(950));
        let chain: Vec<Group> = forged.iter().map(group).collect();
        let asked = Hello { device: stranger, chain: chain.clone(), ..hello.clone() };
        let many: Vec<Group> = (0..=CHAIN_COMMITS_MAX).map(|_| chain[0].clone()).collect();
        let flood = Hello { device: stranger, chain: many, ..hello.clone() };
        for (hello, code) in [(asked, RefuseCode::NoGrant), (flood, RefuseCode::Protocol)] {
            let now = v.now;
            let r = &mut v.replicas[0];
            let held = r.engine.charter_version();
            let mut env = Env { store: &mut *r.store, engine: &mut r.engine, rng: &mut r.rng, now };
            let mut session = Session::upper(stranger);
            session.receive(&mut env, 0, &Frame::Hello(Box::new(hello)).encode()).unwrap();
            let events: Vec<Event> = session.events().collect();
            assert!(matches!(&events[..], [Event::Refused { code: c, .. }] if *c == code), "{events:?}");
            assert_eq!(r.engine.charter_version(), held);
            assert!(r.store.quarantine().unwrap().is_empty());
        }
        assert!(v.sync(branch, 0).verified(), "the honest one is let in");
    }

    #[test]
    fn a_device_is_sent_to_a_nearer_relay_only_from_one_that_begins_none_of_its_ways() {
        let mut v = Village::found(64, Arc::new(Stored), &mut mem);
        let root = v.root();
        let mut relays = Vec::new();
        let mut device = None;
        for n in 1..=2 {
            let unit = v.unit(0, root, &format!("Quận {n}"), "district");
            let ticket = v.invite(0, unit, Roles::ADMIN);
            let at = v.join("district", &ticket, &mut mem);
            v.sync(at, 0);
            v.listen(at, unit);
            let branch = v.unit(at, unit, "Chi bộ", "branch");
            let ticket = v.invite(at, branch, Roles::EDITOR);
            v.sync(at, 0);
            match device {
                None => device = Some(v.join("branch", &ticket, &mut mem)),
                Some(device) => v.use_ticket(device, &ticket),
            }
            relays.push(at);
        }
        let device = device.unwrap();
        for at in &relays {
            assert!(v.sync(device, *at).verified());
            assert!(v.sync(*at, 0).verified());
        }
        let key = v.replicas[device].engine.device();
        let judge = |v: &mut Village, at: usize, fallback| {
            let now = v.now;
            let r = &mut v.replicas[at];
            nearer(&Env { store: &mut *r.store, engine: &mut r.engine, rng: &mut r.rng, now }, key, fallback)
        };
        for at in &relays {
            assert!(matches!(judge(&mut v, *at, false), Door::Open));
        }
        let Door::Redirect(to) = judge(&mut v, 0, false) else { panic!("the city begins no way") };
        assert_eq!(to.len(), 1, "those before it on one way");
        assert!(relays.iter().any(|at| v.replicas[*at].engine.device() == to[0].device));
        assert!(matches!(judge(&mut v, 0, true), Door::Open), "they do not answer");
        let ticket = v.invite(0, root, Roles::READER);
        v.use_ticket(device, &ticket);
        let mut link = v.connect(device, 0, true);
        v.run(&mut link);
        assert!(matches!(judge(&mut v, 0, false), Door::Open), "a unit of the device's is its own");
    }
}
