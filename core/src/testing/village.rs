//! A virtual network of replicas: real engines and sessions, frames handed over in memory.
//!
//! It does not: lose, delay or reorder frames (the simulation does), or open a socket.
//!
//! Invariants: everything follows from the seed; time moves only when told.

use crate::charter::{Grant, Op, Roles, Ticket};
use crate::engine::{Engine, InviteRequest, NewRecord, Saved, SealLimits};
use crate::id::{DeviceId, OrgId, RecordId, StoreEpoch, UnitId};
use crate::log::brief::Brief;
use crate::log::device_id;
use crate::pack::Codec;
use crate::schema::{self, Assignment};
use crate::store::Store;
use crate::sync::{About, Env, Event, Session, SessionError};
use crate::testing::{SeededRng, test_key};
use crate::time::Millis;
use crate::value::Value;
use crate::wire::frame::Frame;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Makes the store of a new replica: organisation, device, epoch.
pub type MakeStore<'a> = &'a mut dyn FnMut(OrgId, DeviceId, StoreEpoch) -> Box<dyn Store>;

/// One replica.
pub struct Replica {
    /// Its store.
    pub store: Box<dyn Store>,
    /// Its engine.
    pub engine: Engine,
    /// Its randomness.
    pub rng: SeededRng,
    /// Where its relay listens, by name; its device dials nobody.
    pub name: String,
}

/// How a link ended, or that it is quiet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkEnd {
    /// Events at the lower end.
    pub lower: Vec<Event>,
    /// Events at the upper end.
    pub upper: Vec<Event>,
    /// The error that ended it.
    pub error: Option<SessionError>,
    /// Round trips that the lower end waited for.
    pub round_trips: u64,
    /// Bytes of frames, up and down.
    pub bytes: (u64, u64),
    /// Changes, up and down, that the lower end sent and got.
    pub changes: (u64, u64),
    /// Brief headers that named charter heads by their beginnings, and acknowledgements that named a relay by its place.
    pub named: (u64, u64),
    /// The lower end may close at once: it knows that the upper has taken everything.
    pub heard: bool,
}

impl LinkEnd {
    /// Whether both ends said verified.
    #[must_use]
    pub fn verified(&self) -> bool {
        self.lower.contains(&Event::Verified) && self.upper.contains(&Event::Verified)
    }

    /// Round trips until the lower end may close without losing what it said last: where it was not answered, the
    /// transport's acknowledgement is one more.
    #[must_use]
    pub fn round_trips_to_close(&self) -> u64 {
        self.round_trips + u64::from(!self.heard)
    }
}

/// An open link: two sessions and what is under way.
pub struct Link {
    lower: usize,
    upper: usize,
    down_session: Session,
    up_session: Session,
    up: VecDeque<(u8, Vec<u8>)>,
    down: VecDeque<(u8, Vec<u8>)>,
    events: (Vec<Event>, Vec<Event>),
    error: Option<SessionError>,
    held: bool,
    ahead: Option<u8>,
    named: (u64, u64),
}

impl Link {
    /// The two ends' sessions, the lower one first.
    #[must_use]
    pub fn sessions(&self) -> (&Session, &Session) {
        (&self.down_session, &self.up_session)
    }

    /// Frames of one lane arrive before all others that are on their way, which wait while there is more to say.
    pub fn let_overtake(&mut self, lane: u8) {
        self.ahead = Some(lane);
    }

    /// Keeps what the lower end says on its way, or lets it arrive.
    pub fn hold_up(&mut self, held: bool) {
        self.held = held;
    }

    /// Whether the lower end has found both ends equal.
    #[must_use]
    pub fn lower_is_equal(&self) -> bool {
        self.down_session.verified_at().is_some()
    }

    /// Whether the lower end knows that the upper has taken everything that it said.
    #[must_use]
    pub fn lower_is_heard(&self) -> bool {
        self.down_session.is_heard()
    }

    /// Whether the lower end would tell its user "verified" and stop.
    #[must_use]
    pub fn lower_is_done(&self) -> bool {
        self.down_session.verified_at().is_some() && self.down_session.is_quiet()
    }
}

impl Link {
    /// What happened so far at the lower end and at the upper end.
    #[must_use]
    pub fn events(&self) -> (&[Event], &[Event]) {
        (&self.events.0, &self.events.1)
    }
}

/// The network.
pub struct Village {
    /// The replicas.
    pub replicas: Vec<Replica>,
    /// The clock of all of them.
    pub now: Millis,
    /// The organisation.
    pub org: OrgId,
    /// How many times a session passed over news that did not concern it.
    pub passed_over: u64,
    pub(super) codec: Arc<dyn Codec + Send + Sync>,
    keys: u64,
}

/// A grant of these roles on one unit, with no end and nothing special.
#[must_use]
pub fn plain_grant(key: DeviceId, roles: Roles, from: Millis) -> Grant {
    Grant {
        key,
        roles,
        subtree: false,
        from,
        until: None,
        ticket: false,
        use_by: None,
        holder: [0; 32],
        collections: None,
        replaces: None,
    }
}

/// The text of the schema that villages use: the built-in one.
#[must_use]
pub fn village_schema() -> (u32, String, Option<String>) {
    let s = schema::builtin();
    (s.version, s.source.clone(), s.levels.first().cloned())
}

impl Village {
    /// A village of one city: replica 0 founds the organisation and is its relay.
    pub fn found(seed: u64, codec: Arc<dyn Codec + Send + Sync>, make: MakeStore<'_>) -> Self {
        let root = test_key(seed.wrapping_mul(1_000));
        let org = OrgId(device_id(&root).0);
        let now = crate::testing::test_time(1);
        let mut v = Self { replicas: Vec::new(), now, org, passed_over: 0, codec, keys: seed.wrapping_mul(1_000) + 1 };
        let city = v.add("city", make);
        let r = &mut v.replicas[city];
        let unit = r
            .engine
            .found(&mut *r.store, &mut r.rng, &root, "Thành phố", village_schema(), now)
            .unwrap_or_else(|e| panic!("founding failed: {e}"));
        v.listen(city, unit);
        v
    }

    fn add(&mut self, name: &str, make: MakeStore<'_>) -> usize {
        self.keys += 1;
        let key = test_key(self.keys);
        let mut rng = SeededRng::new(self.keys.wrapping_mul(77));
        let mut store = make(self.org, device_id(&key), StoreEpoch(crate::entropy::random(&mut rng)));
        let engine = Engine::open(&mut *store, self.org, key, self.codec.clone(), &mut rng)
            .unwrap_or_else(|e| panic!("opening failed: {e}"));
        self.replicas.push(Replica { store, engine, rng, name: name.to_owned() });
        self.replicas.len() - 1
    }

    /// Publishes an endpoint for a relay.
    pub fn listen(&mut self, at: usize, unit: UnitId) {
        let (now, name) = (self.now, self.replicas[at].name.clone());
        let r = &mut self.replicas[at];
        r.engine
            .publish_endpoint(&mut *r.store, &mut r.rng, unit, &[name], now)
            .unwrap_or_else(|e| panic!("publishing failed: {e}"));
    }

    /// The root unit.
    #[must_use]
    pub fn root(&self) -> UnitId {
        self.replicas[0].engine.charter().root().unwrap_or_default()
    }

    /// Creates a unit, written by a replica that may.
    pub fn unit(&mut self, by: usize, parent: UnitId, name: &str, kind: &str) -> UnitId {
        let now = self.now;
        let r = &mut self.replicas[by];
        let unit = UnitId(crate::entropy::random(&mut r.rng));
        let op = Op::CreateUnit { unit, name: name.to_owned(), code: None, kind: Some(kind.to_owned()), since: now };
        r.engine
            .write_charter(&mut *r.store, &mut r.rng, parent, &[op], now)
            .unwrap_or_else(|e| panic!("creating {name} failed: {e}"));
        unit
    }

    /// A replica lets a key write in a unit, without a ticket.
    pub fn grant(&mut self, by: usize, unit: UnitId, key: DeviceId) {
        let now = self.now;
        let r = &mut self.replicas[by];
        let op = Op::Grant(plain_grant(key, Roles::EDITOR, now));
        r.engine.write_charter(&mut *r.store, &mut r.rng, unit, &[op], now).unwrap();
    }

    /// An invitation.
    pub fn invite(&mut self, by: usize, unit: UnitId, roles: Roles) -> Ticket {
        let now = self.now;
        let r = &mut self.replicas[by];
        let request = InviteRequest {
            unit,
            roles,
            subtree: false,
            holder: "a holder".into(),
            until: None,
            use_by: None,
            collections: None,
            replaces: None,
        };
        r.engine.invite(&mut *r.store, &mut r.rng, &request, now).unwrap_or_else(|e| panic!("inviting failed: {e}"))
    }

    /// A new replica that joins by a ticket.
    pub fn join(&mut self, name: &str, ticket: &Ticket, make: MakeStore<'_>) -> usize {
        let at = self.add(name, make);
        self.use_ticket(at, ticket);
        at
    }

    /// A replica uses one more ticket.
    pub fn use_ticket(&mut self, at: usize, ticket: &Ticket) {
        let now = self.now;
        let r = &mut self.replicas[at];
        r.engine
            .join(&mut *r.store, &mut r.rng, ticket, [7; 32], now)
            .unwrap_or_else(|e| panic!("joining failed: {e}"));
    }

    /// Creates a record from assignments such as `full_name=An`.
    pub fn create(&mut self, at: usize, unit: UnitId, collection: &str, fields: &[&str]) -> RecordId {
        let saved = self.try_create(at, unit, collection, fields);
        saved.unwrap_or_else(|e| panic!("creating failed: {e}"))
    }

    /// Creates a record, or says why not.
    ///
    /// # Errors
    /// The sentence of the refusal.
    pub fn try_create(
        &mut self,
        at: usize,
        unit: UnitId,
        collection: &str,
        fields: &[&str],
    ) -> Result<RecordId, String> {
        let now = self.now;
        let schema = self.schema(at);
        let c = schema.collection(collection).ok_or("no such collection")?;
        let mut values = BTreeMap::new();
        for f in fields {
            let (name, edit) = Assignment::parse(c, f).map_err(|e| e.to_string())?;
            if let crate::value::Edit::Set(v) | crate::value::Edit::Add(v) = edit {
                values.insert(name, v);
            }
        }
        let r = &mut self.replicas[at];
        let new = NewRecord { collection: c, unit, fields: values };
        let saved = r.engine.create(&mut *r.store, &mut r.rng, vec![new], now).map_err(|e| e.to_string())?;
        saved.first().map(|s| s.id).ok_or_else(|| "nothing was saved".to_owned())
    }

    fn schema(&self, at: usize) -> schema::Schema {
        self.replicas[at].engine.schema().cloned().unwrap_or_else(schema::builtin)
    }

    /// Edits a record.
    pub fn set(&mut self, at: usize, collection: &str, id: RecordId, edits: &[&str]) -> Saved {
        let now = self.now;
        let schema = self.schema(at);
        let c = schema.collection(collection).unwrap_or_else(|| panic!("no collection {collection}"));
        let edits: Vec<_> =
            edits.iter().map(|e| Assignment::parse(c, e).unwrap_or_else(|e| panic!("bad edit: {e}"))).collect();
        let r = &mut self.replicas[at];
        r.engine.edit(&mut *r.store, c, id, &edits, now).unwrap_or_else(|e| panic!("editing failed: {e}"))
    }

    /// The fields of a record as a replica shows them; `None` if it does not have it.
    #[must_use]
    pub fn view(&self, at: usize, id: RecordId) -> Option<crate::record::View> {
        let r = &self.replicas[at];
        let (_, _, document) = r.engine.document(&*r.store, id).ok()?;
        document.view().ok()
    }

    /// One field of a record.
    #[must_use]
    pub fn field(&self, at: usize, id: RecordId, field: &str) -> Option<Value> {
        self.view(at, id)?.fields.get(field).cloned()
    }

    /// Replicas that join from now on pack with this codec.
    pub fn pack_with(&mut self, codec: Arc<dyn Codec + Send + Sync>) {
        self.codec = codec;
    }

    /// Opens a link and says the lower end's hello.
    pub fn connect(&mut self, lower: usize, upper: usize, fallback: bool) -> Link {
        self.seal(lower);
        self.seal(upper);
        let upper_device = self.replicas[upper].engine.device();
        let lower_device = self.replicas[lower].engine.device();
        let now = self.now;
        let r = &mut self.replicas[lower];
        let mut env = Env { store: &mut *r.store, engine: &mut r.engine, rng: &mut r.rng, now };
        let down_session =
            Session::lower(&mut env, upper_device, fallback).unwrap_or_else(|e| panic!("saying hello failed: {e}"));
        Link {
            lower,
            upper,
            down_session,
            up_session: Session::upper(lower_device),
            up: VecDeque::new(),
            down: VecDeque::new(),
            events: (Vec::new(), Vec::new()),
            error: None,
            held: false,
            ahead: None,
            named: (0, 0),
        }
    }

    /// Seals what is pending.
    pub fn seal(&mut self, at: usize) {
        let now = self.now;
        let r = &mut self.replicas[at];
        r.engine
            .seal(&mut *r.store, &mut r.rng, SealLimits::default(), now)
            .unwrap_or_else(|e| panic!("sealing failed: {e}"));
    }

    /// Moves one frame each way, if there is one; false when the link is quiet.
    pub fn step(&mut self, link: &mut Link) -> bool {
        let now = self.now;
        let mut moved = false;
        for to_upper in [true, false] {
            let (from, to) = if to_upper { (link.lower, link.upper) } else { (link.upper, link.lower) };
            let (sender, receiver) = if to_upper {
                (&mut link.down_session, &mut link.up_session)
            } else {
                (&mut link.up_session, &mut link.down_session)
            };
            let r = &mut self.replicas[from];
            let mut env = Env { store: &mut *r.store, engine: &mut r.engine, rng: &mut r.rng, now };
            // As a relay's desk does it: news that do not concern a session are passed over.
            let about = About::since(env.engine, sender.looked_to());
            let over = sender.pass_over(&about);
            self.passed_over += u64::from(over && !about.is_empty());
            let poked = if over { Ok(()) } else { sender.poke(&mut env) };
            let frame = poked.and_then(|()| sender.next_frame(&mut env, &|_| true));
            let frame = match frame {
                Ok(f) => f,
                Err(e) => {
                    link.error = Some(e);
                    return false;
                }
            };
            let mut said = false;
            if let Some((lane, bytes)) = frame {
                (moved, said) = (true, true);
                let (heads, relays) = named(&bytes);
                link.named = (link.named.0 + heads, link.named.1 + relays);
                let queue = if to_upper { &mut link.up } else { &mut link.down };
                queue.push_back((lane, bytes));
            }
            if to_upper && link.held {
                continue;
            }
            let queue = if to_upper { &mut link.up } else { &mut link.down };
            let next = match link.ahead {
                None => queue.pop_front(),
                Some(ahead) => match queue.iter().position(|(lane, _)| *lane == ahead) {
                    Some(at) => queue.remove(at),
                    None if said => None,
                    None => queue.pop_front(),
                },
            };
            if let Some((lane, bytes)) = next {
                moved = true;
                let r = &mut self.replicas[to];
                let mut env = Env { store: &mut *r.store, engine: &mut r.engine, rng: &mut r.rng, now };
                if let Err(e) = receiver.receive(&mut env, lane, &bytes) {
                    link.error = Some(e);
                    return false;
                }
            }
            let unheard = |session: &Session, queue: &VecDeque<_>| queue.is_empty() || !session.is_heard();
            assert!(
                unheard(&link.down_session, &link.up),
                "what the lower end said last is on its way, and it may close"
            );
            assert!(
                unheard(&link.up_session, &link.down),
                "what the upper end said last is on its way, and it may close"
            );
            link.events.0.extend(link.down_session.events());
            link.events.1.extend(link.up_session.events());
        }
        moved
    }

    /// Runs a link until it is quiet.
    pub fn run(&mut self, link: &mut Link) {
        // Far above what any story needs; a loop without end is a bug to be shown, not hidden.
        for _ in 0..200_000 {
            if !self.step(link) {
                return;
            }
        }
        panic!("a link that never becomes quiet");
    }

    /// How a link stands.
    #[must_use]
    pub fn end(&self, link: Link) -> LinkEnd {
        let (d, u) = (link.down_session.stats(), link.up_session.stats());
        LinkEnd {
            lower: link.events.0,
            upper: link.events.1,
            error: link.error,
            round_trips: d.round_trips,
            bytes: (d.frame_bytes_sent, u.frame_bytes_sent),
            changes: (d.changes_sent, d.changes_received),
            named: link.named,
            heard: link.down_session.is_heard(),
        }
    }

    /// One whole session between two replicas.
    pub fn sync(&mut self, lower: usize, upper: usize) -> LinkEnd {
        let mut link = self.connect(lower, upper, false);
        self.run(&mut link);
        self.end(link)
    }
}

/// Brief headers of a frame that name charter heads by their beginnings, and its acknowledgements that name a relay.
fn named(bytes: &[u8]) -> (u64, u64) {
    let frame = Frame::decode(bytes).ok();
    let (mut heads, mut relays) = (0, 0);
    if let Some(Frame::Commits { groups, .. }) = &frame {
        let briefs = groups.iter().flat_map(|g| &g.headers).filter(|h| Brief::is(h));
        heads = briefs.filter(|h| Brief::read(h).is_ok_and(|b| b.names_heads())).count() as u64;
    }
    if let Some(Frame::ShortAcks(acks)) = &frame {
        relays = acks.iter().filter(|a| a.named.is_some()).count() as u64;
    }
    (heads, relays)
}
