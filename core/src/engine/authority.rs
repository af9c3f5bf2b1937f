//! Writing the charter: founding, units, invitations, enrolments, endpoints, schemas.
//!
//! It does not: fold or judge (the charter does; what is written without right is void and refused
//! here before it is written).
//!
//! Invariants: a commit of the charter is signed by the key that has the right: the root key, this
//! device, or a one-time ticket key; it is durable before this returns.

use super::{Engine, IntakeError, meta};
use crate::charter::{Charter, Grant, Holder, Op, Roles, Ticket};
use crate::entropy::{Entropy, random};
use crate::id::{CommitId, DeviceId, Flow, Incarnation, Nonce, SpaceId, UnitId};
use crate::limits::{CHAIN_COMMITS_MAX, COMMIT_ENTRIES_MAX, JOINED_UNHEARD_MAX};
use crate::log::commit::FORMAT;
use crate::log::{Commit, Entry, EntryKind, EntryPayload, Header, Payload, Secret, device_id};
use crate::pack::{self, PackScope};
use crate::register::{Register, SignedRegister, names};
use crate::store::{Batch, Store, StoreError};
use crate::time::Millis;
use crate::wire;
use crate::wire::frame::{Group, RelayAddress};
use ed25519_dalek::SigningKey;
use std::collections::BTreeSet;

/// Bytes of one unit among those joined by tickets: its id and its depth.
const JOINED_BYTES: usize = 17;

/// What became of a ticket that this device used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TicketFate {
    /// The charter shows that it counts.
    Counts,
    /// Another device used it first.
    Used,
    /// Its time was over before a relay saw it.
    Expired,
    /// No relay that could tell has seen it yet.
    Unheard,
}

/// A ticket that this device used.
struct UsedTicket {
    key: DeviceId,
    /// The charter shows it neither as counted nor as void.
    unheard: bool,
    /// Two groups: its grant, and the enrolment signed by the ticket's key.
    chain: Vec<Group>,
}

/// Who is invited, where, and for what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InviteRequest {
    /// The unit.
    pub unit: UnitId,
    /// The rights.
    pub roles: Roles,
    /// Whether they hold below the unit too.
    pub subtree: bool,
    /// The holder's name.
    pub holder: String,
    /// Until when the grant lets a device in.
    pub until: Option<Millis>,
    /// Until when the ticket may be used.
    pub use_by: Option<Millis>,
    /// The collections that may be written; `None` = all.
    pub collections: Option<BTreeSet<String>>,
    /// The device that the new one takes over from.
    pub replaces: Option<DeviceId>,
}

/// What a device knows after joining by a ticket, before any link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinFacts {
    /// The commits that show its right: the ticket's grant and its own enrolment.
    pub chain: Vec<Group>,
}

impl Engine {
    /// Founds an organisation that nobody may name a new root key of, see [`Engine::found_with`].
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn found(
        &mut self,
        store: &mut dyn Store,
        rng: &mut dyn Entropy,
        root_key: &SigningKey,
        name: &str,
        schema: (u32, String, Option<String>),
        now: Millis,
    ) -> Result<UnitId, StoreError> {
        self.found_with(store, rng, (root_key, None), name, schema, now)
    }

    /// Founds the organisation: the root unit, the schema, this device as its first admin, and the key
    /// that may name a new root key.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn found_with(
        &mut self,
        store: &mut dyn Store,
        rng: &mut dyn Entropy,
        (root_key, succession): (&SigningKey, Option<DeviceId>),
        name: &str,
        schema: (u32, String, Option<String>),
        now: Millis,
    ) -> Result<UnitId, StoreError> {
        let unit = UnitId(random(rng));
        let (version, text, kind) = schema;
        let salt = random(rng);
        let holder = Grant::holder_hash(&salt, name);
        let found = Op::Found { name: name.to_owned(), unit, succession, kind };
        let grant = Op::Grant(Grant {
            key: self.device,
            roles: Roles::ADMIN,
            subtree: true,
            from: now,
            until: None,
            ticket: false,
            use_by: None,
            holder,
            collections: None,
            replaces: None,
        });
        let space = SpaceId::charter(unit);
        self.write_ops(store, rng, root_key, space, &[found, grant, Op::Schema { version, text }], now)?;
        Ok(unit)
    }

    /// Writes operations into the charter of a unit under this device's key, in as many commits as
    /// they need.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn write_charter(
        &mut self,
        store: &mut dyn Store,
        rng: &mut dyn Entropy,
        unit: UnitId,
        ops: &[Op],
        now: Millis,
    ) -> Result<Vec<CommitId>, StoreError> {
        if !self.charter.counts(&self.device, &SpaceId::charter(unit)) {
            return Err(StoreError::Io(format!("this device has no right to write the charter of unit {unit}")));
        }
        let key = self.key.clone();
        self.write_ops(store, rng, &key, SpaceId::charter(unit), ops, now)
    }

    pub(super) fn write_ops(
        &mut self,
        store: &mut dyn Store,
        rng: &mut dyn Entropy,
        key: &SigningKey,
        space: SpaceId,
        ops: &[Op],
        now: Millis,
    ) -> Result<Vec<CommitId>, StoreError> {
        // Another process may have written: signing on tips of before would fork our own log.
        self.catch_up(store)?;
        let mut out = Vec::new();
        for chunk in ops.chunks(COMMIT_ENTRIES_MAX) {
            let payload = Payload {
                secret: Secret::Whole(random(rng)),
                entries: chunk.iter().map(|op| entry(op, now)).collect(),
            };
            let commit = if device_id(key) == self.device {
                self.sign(store, space, self.nonce, payload, now)?
            } else {
                self.sign_as(key, space, payload, now)?
            };
            out.push(commit.id());
            self.store_own(store, space, commit, now)?;
        }
        Ok(out)
    }

    /// Stores a charter commit of ours, and judges the quarantine anew under the charter it makes.
    fn store_own(
        &mut self,
        store: &mut dyn Store,
        space: SpaceId,
        commit: Commit,
        now: Millis,
    ) -> Result<(), StoreError> {
        self.store_commits(store, None, space, vec![commit], None, Batch::at(now))
            .and_then(|_| self.judge_quarantine(store, now))
            .map(|_| ())
            .map_err(|e| StoreError::Io(format!("a charter commit of ours was refused: {e}")))
    }

    /// Signs under a key that is not this device's: its log here has one commit or follows its tips.
    fn sign_as(&self, key: &SigningKey, space: SpaceId, payload: Payload, now: Millis) -> Result<Commit, StoreError> {
        let device = device_id(key);
        let mut parents = Vec::new();
        let mut sequence = 1;
        if let Some(tips) = self.holdings.tips(&space) {
            parents = tips.of_device(device);
            sequence +=
                self.charter_log.iter().filter(|c| c.header().space == space && c.header().device == device).count()
                    as u64;
        }
        let header = Header {
            format: FORMAT,
            org: self.org,
            space,
            device,
            incarnation: Incarnation::default(),
            sequence,
            charter_heads: self.charter_heads(&space.unit, &parents),
            parents,
            nonce: Nonce::default(),
            time: now,
            entries: 0,
            root: [0; 32],
        };
        Commit::seal(key, header, payload).map_err(|e| StoreError::Io(format!("a commit of ours broke a limit: {e}")))
    }

    /// Makes a ticket: grants a one-time key its right in the unit's charter and writes the holder's
    /// name as a register beside it. The caller checked that this device is admin of the unit.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn invite(
        &mut self,
        store: &mut dyn Store,
        rng: &mut dyn Entropy,
        request: &InviteRequest,
        now: Millis,
    ) -> Result<Ticket, StoreError> {
        let seed: [u8; 32] = random(rng);
        let key = device_id(&SigningKey::from_bytes(&seed));
        let salt: [u8; 16] = random(rng);
        let op = Op::Grant(Grant {
            key,
            roles: request.roles,
            subtree: request.subtree,
            from: now,
            until: request.until,
            ticket: true,
            use_by: request.use_by,
            holder: Grant::holder_hash(&salt, &request.holder),
            collections: request.collections.clone(),
            replaces: request.replaces,
        });
        let ids = self.write_charter(store, rng, request.unit, &[op], now)?;
        self.write_holder(store, request.unit, key, Holder { salt, name: request.holder.clone() }, now)?;
        let space = SpaceId::charter(request.unit);
        let keys: Vec<_> = store.known(&ids)?.into_iter().flatten().map(|(k, _)| k).collect();
        let grant = store.groups(&space, &keys)?.into_iter().next();
        let grant = grant.ok_or_else(|| StoreError::Damaged("the grant just written is not there".into()))?;
        let unit = self.charter.unit(&request.unit);
        Ok(Ticket {
            org: self.org,
            org_name: self.charter.name().to_owned(),
            unit: request.unit,
            unit_name: unit.map(|u| u.name.clone()).unwrap_or_default(),
            seed,
            grant,
            relays: self.relays_for(&request.unit),
            use_by: request.use_by,
            depth: unit.map_or(0, |u| u.depth),
            relay: request.roles.contains(Roles::RELAY),
        })
    }

    pub(super) fn write_holder(
        &self,
        store: &mut dyn Store,
        unit: UnitId,
        key: DeviceId,
        holder: Holder,
        now: Millis,
    ) -> Result<(), StoreError> {
        let mut batch = Batch::at(now);
        let counter = self.next_counter(store, &mut batch, now)?;
        let register = Register {
            org: self.org,
            unit,
            name: format!("{}{key}", names::HOLDER),
            device: self.device,
            counter,
            time: now,
            payload: wire::encode(&holder),
        };
        batch.registers.push(SignedRegister::seal(&self.key, &register));
        store.write(&batch)
    }

    /// Relays that a device of this unit would dial, nearest first: the unit's own too, which a deputy dials.
    fn relays_for(&self, unit: &UnitId) -> Vec<RelayAddress> {
        let all = self.charter.chain(unit).flat_map(|u| self.charter.endpoints(&u.id));
        let mut out: Vec<RelayAddress> = all.map(|(device, addresses)| RelayAddress { device, addresses }).collect();
        out.truncate(crate::limits::ENDPOINTS_MAX);
        out
    }

    /// Uses a ticket for this device: stores the grant it carries and an enrolment signed by its key.
    ///
    /// # Errors
    /// [`StoreError`], also when the ticket's own commit does not verify.
    pub fn join(
        &mut self,
        store: &mut dyn Store,
        rng: &mut dyn Entropy,
        ticket: &Ticket,
        box_key: [u8; 32],
        now: Millis,
    ) -> Result<JoinFacts, StoreError> {
        let bad = |what: String| StoreError::Io(format!("the ticket's grant cannot be used: {what}"));
        let key = SigningKey::from_bytes(&ticket.seed);
        let space = SpaceId::charter(ticket.unit);
        let head = ticket.grant.headers.first().ok_or_else(|| bad("it is empty".into()))?;
        let head = head.verify(&self.org).map_err(|e| bad(e.to_string()))?;
        let scope = PackScope { org: self.org, space };
        let payloads = pack::decode(&scope, &ticket.grant.pack, &*self.codec).map_err(|e| bad(e.to_string()))?;
        let payload = payloads.into_iter().next().ok_or_else(|| bad("it is empty".into()))?;
        let grant = Commit::join(head, payload).map_err(|e| bad(e.to_string()))?;
        if grant.header().space != space {
            return Err(bad("it is for another unit".into()));
        }
        let enrol = Op::enrol(&self.key, box_key, &device_id(&key));
        let payload = Payload { secret: Secret::Whole(random(rng)), entries: vec![entry(&enrol, now)] };
        let header = Header {
            format: FORMAT,
            org: self.org,
            space,
            device: device_id(&key),
            incarnation: Incarnation::default(),
            sequence: 1,
            parents: Vec::new(),
            nonce: Nonce::default(),
            charter_heads: vec![grant.id()],
            time: now,
            entries: 0,
            root: [0; 32],
        };
        let enrol = Commit::seal(&key, header, payload).map_err(|e| bad(e.to_string()))?;
        let group = |c: &Commit| Group {
            headers: vec![c.head().signed().clone()],
            pack: pack::encode(&scope, &[c.payload()], &*self.codec),
        };
        let chain = vec![group(&grant), group(&enrol)];
        let mut batch = Batch::at(now);
        // Several tickets may be used before any link: each is remembered until the charter shows it.
        let mut joined = Vec::new();
        for (unit, depth) in joined_of(store)? {
            if unit != ticket.unit && self.tickets_of(store, &unit)?.iter().any(|t| t.unheard) {
                joined.push((unit, depth));
            }
        }
        joined.push((ticket.unit, ticket.depth));
        // The same ticket again is one more enrolment by its key, of which the charter could take one.
        let mut of_unit = self.tickets_of(store, &ticket.unit)?;
        of_unit.retain(|t| t.key != device_id(&key));
        if let Some(heard) = of_unit.iter().position(|t| !t.unheard).filter(|_| of_unit.len() >= JOINED_UNHEARD_MAX) {
            of_unit.remove(heard);
        }
        if joined.len() > JOINED_UNHEARD_MAX || of_unit.len() >= JOINED_UNHEARD_MAX {
            return Err(StoreError::Io(format!(
                "{JOINED_UNHEARD_MAX} tickets were used here that no relay has seen yet (JOINED_UNHEARD_MAX): connect \
                 once with 'sync' before the next"
            )));
        }
        let chains = of_unit.into_iter().flat_map(|t| t.chain).chain(chain.clone()).collect::<Vec<Group>>();
        batch.meta.insert(meta::JOINED_UNIT.into(), Some(joined_bytes(&joined)));
        batch.meta.insert(meta::chain(&ticket.unit), Some(wire::encode(&chains)));
        let ticket_box = crate::bundle::BoxSecret::of_signer(&key).to_bytes().to_vec();
        batch.meta.insert(meta::ticket_box(&ticket.unit), Some(ticket_box));
        batch.meta.insert(meta::ADMITTED.into(), None);
        store.write(&batch)?;
        Ok(JoinFacts { chain })
    }

    /// The chains that show this device's rights, for a relay that may not have them yet: all of them, or, once a
    /// relay has let this device in, those that the charter has not shown since.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn chains(&self, store: &dyn Store) -> Result<Vec<Group>, StoreError> {
        let mut out = Vec::new();
        let admitted = store.meta(meta::ADMITTED)?.is_some();
        let mut units: BTreeSet<UnitId> = joined_of(store)?.into_iter().map(|(unit, _)| unit).collect();
        if !admitted {
            units.extend(self.charter.units_of(&self.device));
        }
        for unit in units {
            let all = self.tickets_of(store, &unit)?.into_iter();
            out.extend(all.filter(|t| t.unheard || !admitted).flat_map(|t| t.chain));
        }
        out.truncate(CHAIN_COMMITS_MAX);
        Ok(out)
    }

    /// Whether this device used a ticket of which it has not heard yet: neither that it counts, nor that it never will.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn has_unheard_tickets(&self, store: &dyn Store) -> Result<bool, StoreError> {
        for (unit, _) in joined_of(store)? {
            if self.tickets_of(store, &unit)?.iter().any(|t| t.unheard) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The tickets that this device used on a unit; a ticket that another device used first will never count.
    fn tickets_of(&self, store: &dyn Store, unit: &UnitId) -> Result<Vec<UsedTicket>, StoreError> {
        let mut out = Vec::new();
        for chain in chain_of(store, unit)?.chunks(2) {
            let enrol = chain.last().and_then(|g| g.headers.first()).and_then(|h| h.trust().ok());
            let Some(enrol) = enrol else { continue };
            let key = enrol.header().device;
            let used = self.charter.ticket(&key).and_then(|t| t.used_by);
            let spent = used.map_or(store.meta(&meta::spent(&key))?.is_some(), |by| by != self.device);
            let unheard = !self.charter.knows(&enrol.id()) && !spent;
            out.push(UsedTicket { key, unheard, chain: chain.to_vec() });
        }
        Ok(out)
    }

    /// What became of a ticket that this device used, as far as the charter shows it, or a relay said.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn ticket_fate(
        &self,
        store: &dyn Store,
        unit: &UnitId,
        key: &DeviceId,
        now: Millis,
    ) -> Result<TicketFate, StoreError> {
        match self.charter.ticket(key).and_then(|t| t.used_by) {
            Some(device) if device == self.device => return Ok(TicketFate::Counts),
            Some(_) => return Ok(TicketFate::Used),
            None => {}
        }
        if store.meta(&meta::spent(key))?.is_none() {
            return Ok(TicketFate::Unheard);
        }
        let mut grants = self.ticket_grants(store, unit)?.into_iter().filter(|g| g.key == *key);
        let over = grants.any(|g| g.use_by.is_some_and(|u| u < now) && !now.is_unset());
        Ok(if over { TicketFate::Expired } else { TicketFate::Used })
    }

    /// Notes what a relay says of the tickets that this device showed it: those that open nothing.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) fn note_spent(&self, store: &dyn Store, said: &[Group], batch: &mut Batch) -> Result<(), StoreError> {
        let keys: BTreeSet<DeviceId> =
            said.iter().flat_map(|g| &g.headers).filter_map(|h| h.trust().ok()).map(|h| h.header().device).collect();
        for (unit, _) in joined_of(store)?.iter().filter(|_| !keys.is_empty()) {
            for ticket in self.tickets_of(store, unit)?.iter().filter(|t| t.unheard && keys.contains(&t.key)) {
                batch.meta.insert(meta::spent(&ticket.key), Some(vec![1]));
            }
        }
        Ok(())
    }

    /// Forgets the tickets that this device used and that will never count, and tells which: of each once.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn forget_spent(&self, store: &mut dyn Store, now: Millis) -> Result<Vec<(UnitId, TicketFate)>, StoreError> {
        let (mut out, mut joined, mut batch) = (Vec::new(), Vec::new(), Batch::at(now));
        for (unit, depth) in joined_of(store)? {
            let all = self.tickets_of(store, &unit)?;
            let mut kept = Vec::new();
            for ticket in all {
                match self.ticket_fate(store, &unit, &ticket.key, now)? {
                    TicketFate::Counts | TicketFate::Unheard => kept.push(ticket),
                    fate @ (TicketFate::Used | TicketFate::Expired) => {
                        batch.meta.insert(meta::spent(&ticket.key), None);
                        out.push((unit, fate));
                    }
                }
            }
            if !kept.is_empty() {
                joined.push((unit, depth));
            }
            let chains: Vec<Group> = kept.into_iter().flat_map(|t| t.chain).collect();
            batch.meta.insert(meta::chain(&unit), (!chains.is_empty()).then(|| wire::encode(&chains)));
        }
        if !out.is_empty() {
            batch.meta.insert(meta::JOINED_UNIT.into(), Some(joined_bytes(&joined)));
            store.write(&batch)?;
        }
        Ok(out)
    }

    /// Takes the chains that show a device's rights, each as far as the charter held here can place it: one that
    /// builds on what has not arrived is left out, and keeps no other from being taken. Returns what was left out.
    ///
    /// # Errors
    /// [`IntakeError`], but for a commit before its parents.
    pub(crate) fn intake_chains(
        &mut self,
        store: &mut dyn Store,
        rng: &mut dyn Entropy,
        from: DeviceId,
        chains: &[Group],
        now: Millis,
    ) -> Result<Vec<Group>, IntakeError> {
        let only_charter = |_: &Charter, space: &SpaceId| space.flow == Flow::Charter;
        let mut left = Vec::new();
        for one in chains.chunks(2) {
            // An enrolment by a grant that was left out would lie in the quarantine for nothing.
            match self.intake(store, rng, from, one, &only_charter, now) {
                Ok(_) => {}
                Err(IntakeError::PeerOrder(_)) => left.extend_from_slice(one),
                Err(e) => return Err(e),
            }
        }
        Ok(left)
    }

    /// What the tickets that this device used grant it, before the charter has come and said so.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(super) fn ticket_grants(&self, store: &dyn Store, unit: &UnitId) -> Result<Vec<Grant>, StoreError> {
        let damaged = |e: String| StoreError::Damaged(format!("the chain of a ticket: {e}"));
        let chain = chain_of(store, unit)?;
        let scope = PackScope { org: self.org, space: SpaceId::charter(*unit) };
        let mut out = Vec::new();
        for group in chain {
            let payloads = pack::decode(&scope, &group.pack, &*self.codec).map_err(|e| damaged(e.to_string()))?;
            let ops = payloads.iter().flat_map(|p| &p.entries).map(|e| Op::decode(&e.payload));
            out.extend(ops.filter_map(|op| if let Ok(Op::Grant(grant)) = op { Some(grant) } else { None }));
        }
        Ok(out)
    }

    /// Units that this device has a right on, or joined by a ticket that no relay has seen yet.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn joined_units(&self, store: &dyn Store) -> Result<Vec<UnitId>, StoreError> {
        let mut units = self.charter.units_of(&self.device);
        units.extend(joined_of(store)?.into_iter().map(|(unit, _)| unit));
        Ok(units.into_iter().collect())
    }

    /// Publishes where this device's relay listens for a unit, if it differs from what stands.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn publish_endpoint(
        &mut self,
        store: &mut dyn Store,
        rng: &mut dyn Entropy,
        unit: UnitId,
        addresses: &[String],
        now: Millis,
    ) -> Result<bool, StoreError> {
        let stands = self.charter.endpoints(&unit).into_iter().find(|(d, _)| *d == self.device).map(|(_, a)| a);
        let may = self.charter.roles(&self.device, &unit).contains(Roles::RELAY);
        if !may || stands.as_deref() == Some(addresses) || (stands.is_none() && addresses.is_empty()) {
            return Ok(false);
        }
        self.write_charter(store, rng, unit, &[Op::Endpoint { addresses: addresses.to_vec() }], now)?;
        Ok(true)
    }

    /// The next counter of this device's registers: grows with the clock, and whatever the clock does.
    pub(super) fn next_counter(&self, store: &dyn Store, batch: &mut Batch, now: Millis) -> Result<u64, StoreError> {
        let next = now.0.max(super::meta_u64(store, meta::REGISTER_COUNTER)? + 1);
        batch.meta.insert(meta::REGISTER_COUNTER.into(), Some(next.to_le_bytes().to_vec()));
        Ok(next)
    }

    /// Whether a charter holds nothing yet: such a relay takes charters from anyone whose commits
    /// lead to the root key, and nothing else.
    #[must_use]
    pub fn is_blank(&self) -> bool {
        self.charter.root().is_none()
    }

    /// The charter that these groups would lead to, beside what is held: for judging at the door.
    #[must_use]
    pub fn charter_with(&self, commits: &[Commit]) -> Charter {
        let mut charter = self.charter.clone();
        // At the door most are held already.
        if commits.iter().all(|c| charter.knows(&c.id()) || charter.extend(c)) {
            self.assert_folded(&charter, commits);
            return charter;
        }
        Charter::fold(self.org, self.charter_log.iter().chain(commits))
    }
}

/// Units that this device joined by tickets and that were not heard of then, each with its depth.
fn joined_of(store: &dyn Store) -> Result<Vec<(UnitId, u8)>, StoreError> {
    let bytes = store.meta(meta::JOINED_UNIT)?.unwrap_or_default();
    let one = |one: &[u8]| Some((UnitId::from_slice(one.get(..16)?)?, *one.get(16)?));
    Ok(bytes.chunks(JOINED_BYTES).filter_map(one).collect())
}

fn joined_bytes(joined: &[(UnitId, u8)]) -> Vec<u8> {
    joined.iter().flat_map(|(unit, depth)| unit.0.into_iter().chain([*depth])).collect()
}

/// The chains of tickets on a unit, as they were kept.
fn chain_of(store: &dyn Store, unit: &UnitId) -> Result<Vec<Group>, StoreError> {
    let Some(bytes) = store.meta(&meta::chain(unit))? else { return Ok(Vec::new()) };
    wire::decode::<Vec<Group>>("chain", &bytes).map_err(|e| StoreError::Damaged(format!("the chain of a ticket: {e}")))
}

fn entry(op: &Op, now: Millis) -> EntryPayload {
    let payload = op.encode();
    let payload_hash = Entry::hash_payload(EntryKind::Charter, &payload);
    let mut record = [0; 16];
    record.copy_from_slice(&payload_hash[..16]);
    let record = crate::id::RecordId(record);
    let kind = EntryKind::Charter;
    EntryPayload {
        entry: Entry { kind, record, collection: String::new(), payload_hash, time: now, birth: None },
        payload,
    }
}
