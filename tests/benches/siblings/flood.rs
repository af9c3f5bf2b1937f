//! Children of a relay that do what they like: each holds a good grant and a key, and no engine.
//!
//! It does not: measure.

use ed25519_dalek::SigningKey;
use sampan_core::frontier::ShortId;
use sampan_core::id::{DeviceId, Flow, Incarnation, LogId, Nonce, OrgId, SpaceId, StoreEpoch, UnitId};
use sampan_core::log::{Commit, device_id};
use sampan_core::pack::Stored;
use sampan_core::sync::lane;
use sampan_core::testing::SeededRng;
use sampan_core::testing::hostile::{self, Place};
use sampan_core::time::Millis;
use sampan_core::wire::frame::{Frame, Hello, Mark, ScopeDigests};
use sampan_node::net::{Connection, Endpoint, Options};
use sampan_relay::serve::Relay;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::task::JoinHandle;

/// Commits in one frame.
const COMMITS: usize = 256;
/// Frames that are made once and sent again and again.
const FRAMES: usize = 6;

/// What a child does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attack {
    /// Frames of the greatest size, of commits that count.
    Frames,
    /// Link after link.
    Links,
    /// Lists of commits that nobody asked for, each with a question.
    Inventories,
    /// Frames of which the last signature is wrong, on link after link.
    Signatures,
    /// Commits that no charter can judge.
    Unjudgeable,
}

impl Attack {
    pub const ALL: [Self; 5] = [Self::Frames, Self::Links, Self::Inventories, Self::Signatures, Self::Unjudgeable];

    pub fn words(self) -> &'static str {
        match self {
            Self::Frames => "a child that sends the greatest frames",
            Self::Links => "a child that opens link after link",
            Self::Inventories => "a child that sends inventories and asks",
            Self::Signatures => "a child that sends frames with a wrong signature",
            Self::Unjudgeable => "a child that sends what no charter can judge",
        }
    }
}

/// One such child.
#[derive(Clone)]
pub struct Attacker {
    pub attack: Attack,
    endpoint: Endpoint,
    relay: (String, DeviceId),
    hello: Vec<u8>,
    frames: Arc<Vec<Vec<u8>>>,
    sent: Arc<AtomicU64>,
    links: Arc<AtomicU64>,
}

impl Attacker {
    pub async fn new(attack: Attack, key: SigningKey, unit: UnitId, relay: &Relay) -> Self {
        let (org, device) = relay.daemon.desk.call(|r| (r.engine.org(), r.device())).await.expect("a desk");
        let now = sampan_node::replica::system_clock()();
        let hello = Hello {
            version_min: 1,
            version_max: 1,
            org,
            device: device_id(&key),
            units: vec![unit],
            tree_number: 0,
            schema_version: 0,
            clock: now,
            epoch: StoreEpoch::default(),
            digests: ScopeDigests::default(),
            frontier: None,
            chain: Vec::new(),
            registers: None,
            acks: None,
            fallback: false,
        };
        let space = SpaceId { unit, flow: Flow::Up, reach: 0 };
        let frames = match attack {
            Attack::Frames => commits(&key, org, space, now, 3_000, false),
            Attack::Signatures => commits(&key, org, space, now, 300, true),
            Attack::Unjudgeable => commits(&SigningKey::from_bytes(&[77; 32]), org, space, now, 300, false),
            Attack::Links => Vec::new(),
            Attack::Inventories => {
                let log = LogId { space, device: device_id(&key), incarnation: Incarnation::default() };
                let listed: Vec<ShortId> = (0..50_000_u64).map(short).collect();
                vec![Frame::Inventory { log, commits: listed }.encode()]
            }
        };
        let options = Options::default();
        Self {
            attack,
            endpoint: Endpoint::client(&key, options).expect("an endpoint"),
            relay: (relay.listen.to_string(), device),
            hello: Frame::Hello(Box::new(hello)).encode(),
            frames: Arc::new(frames),
            sent: Arc::default(),
            links: Arc::default(),
        }
    }

    /// Frames sent so far.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Links opened so far.
    pub fn links(&self) -> u64 {
        self.links.load(Ordering::Relaxed)
    }

    /// Does it until it is stopped.
    pub fn start(&self) -> JoinHandle<()> {
        let attacker = self.clone();
        tokio::spawn(async move {
            loop {
                attacker.link().await;
            }
        })
    }

    /// One link, until the relay ends it.
    async fn link(&self) {
        let (address, device) = &self.relay;
        let Ok(link) = self.endpoint.connect(address, &[*device], Duration::from_secs(30)).await else { return };
        self.links.fetch_add(1, Ordering::Relaxed);
        let Connection { control, sender, mut receiver } = link;
        if sender.send(lane::CHARTER, self.hello.clone()).await.is_err() {
            return;
        }
        if self.attack == Attack::Links {
            // Its answer has cost the relay a session.
            let _ = receiver.recv().await;
            control.close(1, "");
            return;
        }
        // What the relay answers is read, so that it never waits for this end.
        let reader = tokio::spawn(async move { while let Ok(Some(_)) = receiver.recv().await {} });
        let mut said = 1;
        'link: loop {
            for frame in self.frames.iter() {
                let on = if self.attack == Attack::Inventories { lane::CHARTER } else { lane::RECENT };
                if sender.send(on, frame.clone()).await.is_err() {
                    break 'link;
                }
                said += 1;
                self.sent.fetch_add(1, Ordering::Relaxed);
                if self.attack == Attack::Inventories {
                    let (digests, clock) = (ScopeDigests::default(), Millis(1));
                    let mark = Mark { number: said, frames: said, digests, answer: true, clock };
                    if sender.send(lane::CHARTER, Frame::Mark(mark).encode()).await.is_err() {
                        break 'link;
                    }
                }
            }
        }
        reader.abort();
    }
}

/// Full frames of one log.
fn commits(key: &SigningKey, org: OrgId, space: SpaceId, now: Millis, bytes: usize, broken: bool) -> Vec<Vec<u8>> {
    let mut rng = SeededRng::new(bytes as u64);
    let mut place = Place::first(org, space, Nonce([9; 16]), Vec::new(), now);
    let mut frames = Vec::new();
    for _ in 0..FRAMES {
        let mut all: Vec<Commit> = Vec::with_capacity(COMMITS);
        for _ in 0..COMMITS {
            let made = hostile::creation(key, &place, bytes, &mut rng);
            let commit = hostile::commit(key, &place, vec![made]);
            place = Place::after(&commit);
            all.push(commit);
        }
        let mut group = hostile::group(&Stored, &all.iter().collect::<Vec<_>>());
        if broken && let Some(last) = group.headers.last_mut() {
            last.signature[7] ^= 1;
        }
        frames.push(Frame::Commits { after: 1, groups: vec![group] }.encode());
    }
    frames
}

fn short(n: u64) -> ShortId {
    let mut id = [0; 32];
    id[..8].copy_from_slice(&n.to_le_bytes());
    ShortId::from(sampan_core::id::CommitId(id))
}
