//! One branch of the herd: a device on a store in memory, which dials, syncs and stays.
//!
//! It does not: dial again, or keep anything of what it measured beyond three times.

use ed25519_dalek::SigningKey;
use sampan_core::engine::{Engine, NewRecord, SealLimits};
use sampan_core::id::{DeviceId, OrgId, StoreEpoch, UnitId};
use sampan_core::log::device_id;
use sampan_core::sync::{Env, Event, Session};
use sampan_core::testing::{MemStore, SeededRng, members, test_time};
use sampan_core::time::Millis;
use sampan_core::wire::frame::Group;
use sampan_node::codec::ZstdCodec;
use sampan_node::net::{Connection, Endpoint};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A handshake that took longer than this failed: what a branch waits on a bad day.
const DIAL_WITHIN: Duration = Duration::from_secs(60);

/// What a branch starts from.
pub struct Seed {
    /// Its device's key.
    pub key: SigningKey,
    /// Its unit.
    pub unit: UnitId,
    /// The charters above it.
    pub above: Arc<Vec<Group>>,
    /// Its own charter.
    pub own: Vec<Group>,
}

/// A branch that is connected and verified: dropping it closes the link.
pub struct Kept {
    link: Connection,
    /// Its replica lives as long as it would in the field: thousands that are freed one by one leave holes in the heap of
    /// this process, and finding room among them was a third of its time.
    _branch: Branch,
    /// From dialling to the end of the handshake.
    pub connected: Duration,
    /// From dialling until both ends were equal.
    pub verified: Duration,
    /// When that was.
    pub at: Instant,
}

impl Kept {
    /// Packets of its own that were found lost, and sent again.
    #[must_use]
    pub fn lost_packets(&self) -> u64 {
        self.link.control.stats().lost_packets
    }
}

/// A replica with everything but a link: its charters, and one member who was added and sealed.
pub struct Branch {
    store: MemStore,
    engine: Engine,
    rng: SeededRng,
    key: SigningKey,
}

impl Branch {
    /// Sets it up.
    ///
    /// # Errors
    /// In words.
    pub fn new(seed: Seed, org: OrgId, relay: DeviceId, number: u64) -> Result<Self, String> {
        let mut rng = SeededRng::new(number);
        let now = test_time(10_000);
        let codec = Arc::new(ZstdCodec);
        let epoch = StoreEpoch(sampan_core::entropy::random(&mut rng));
        let mut store = MemStore::with_codec(org, device_id(&seed.key), epoch, codec.clone());
        let words = |e: &dyn std::fmt::Display| e.to_string();
        let mut engine = Engine::open(&mut store, org, seed.key.clone(), codec, &mut rng).map_err(|e| words(&e))?;
        for groups in [seed.above.as_slice(), seed.own.as_slice()] {
            engine.intake(&mut store, &mut rng, relay, groups, &|_, _| true, now).map_err(|e| words(&e))?;
        }
        let schema = engine.schema().cloned().ok_or("no schema came")?;
        let collection = schema.collection("members").ok_or("no members in the schema")?;
        let fields = members::members(number, 1).pop().ok_or("no member")?;
        let new = NewRecord { collection, unit: seed.unit, fields };
        engine.create(&mut store, &mut rng, vec![new], now).map_err(|e| words(&e))?;
        engine.seal(&mut store, &mut rng, SealLimits::default(), now).map_err(|e| words(&e))?;
        Ok(Self { store, engine, rng, key: seed.key })
    }
}

/// Dials and syncs.
///
/// # Errors
/// In words.
pub async fn run(mut branch: Branch, endpoint: &Endpoint, address: &str, relay: DeviceId) -> Result<Kept, String> {
    let began = Instant::now();
    let mut link =
        endpoint.under(&branch.key).connect(address, &[relay], DIAL_WITHIN).await.map_err(|e| e.to_string())?;
    let connected = began.elapsed();
    let now = test_time(20_000);
    let mut session = {
        let Branch { store, engine, rng, .. } = &mut branch;
        let mut env = Env { store, engine, rng, now };
        Session::lower(&mut env, relay, false).map_err(|e| e.to_string())?
    };
    loop {
        for (lane, bytes) in due(&mut branch, &mut session, now)? {
            link.sender.send(lane, bytes).await.map_err(|e| e.to_string())?;
        }
        for event in session.events() {
            match event {
                Event::Refused { text, .. } => return Err(text),
                Event::NotVerified => return Err("not verified after all repairs".into()),
                _ => {}
            }
        }
        if session.verified_at().is_some() && session.is_quiet() {
            return Ok(Kept { link, _branch: branch, connected, verified: began.elapsed(), at: Instant::now() });
        }
        match link.receiver.recv().await {
            Ok(Some((lane, bytes))) => {
                let Branch { store, engine, rng, .. } = &mut branch;
                let mut env = Env { store, engine, rng, now };
                session.receive(&mut env, lane, &bytes).map_err(|e| e.to_string())?;
            }
            Ok(None) => return Err("the relay closed the link".into()),
            Err(e) => return Err(e.to_string()),
        }
    }
}

/// What is to be sent now.
fn due(branch: &mut Branch, session: &mut Session, now: Millis) -> Result<Vec<(u8, Vec<u8>)>, String> {
    let Branch { store, engine, rng, .. } = branch;
    let mut env = Env { store, engine, rng, now };
    let mut out = Vec::new();
    while let Some(frame) = session.next_frame(&mut env, &|_| true).map_err(|e| e.to_string())? {
        out.push(frame);
    }
    Ok(out)
}
