//! iroh-docs: two nodes with real endpoints on loopback, without relays or lookups, entries in redb and
//! contents in the blob store, both on disk; a record is one entry whose content is its JSON.
//!
//! It does not: merge (the last writer of a record wins, whole records at a time), keep history, or search.

use crate::contender::{Contender, Cost, Done, Over, Resident};
use crate::edits::{Edits, Records, json};
use crate::resident;
use futures_util::{Stream, StreamExt as _};
use iroh::endpoint::presets;
use iroh::protocol::Router;
use iroh::{Endpoint, EndpointAddr, RelayMode};
use iroh_blobs::store::fs::FsStore;
use iroh_blobs::{BlobsProtocol, Hash};
use iroh_docs::api::Doc;
use iroh_docs::api::protocol::{AddrInfoOptions, ShareMode};
use iroh_docs::engine::LiveEvent;
use iroh_docs::protocol::Docs;
use iroh_docs::{AuthorId, ContentStatus, DocTicket};
use iroh_gossip::net::Gossip;
use sampan_tests::table::cpu;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::time::{Duration, Instant};
use tokio::runtime::{Handle, Runtime};

/// What is under way when a measurement ends is given this time to end, which is not measured.
const SETTLED: Duration = Duration::from_secs(1);

type Events = Pin<Box<dyn Stream<Item = anyhow::Result<LiveEvent>> + Send>>;

/// One node.
struct Node {
    endpoint: Endpoint,
    router: Router,
    docs: Docs,
}

impl Node {
    async fn new(dir: &Path) -> Self {
        std::fs::create_dir_all(dir).expect("a folder");
        let builder = Endpoint::builder(presets::Minimal).relay_mode(RelayMode::Disabled).clear_ip_transports();
        let endpoint = builder.bind_addr("127.0.0.1:0").expect("an address").bind().await.expect("an endpoint");
        let blobs = FsStore::load(dir.join("blobs")).await.expect("a blob store");
        let gossip = Gossip::builder().spawn(endpoint.clone());
        let docs = Docs::persistent(dir.to_owned()).spawn(endpoint.clone(), (*blobs).clone(), gossip.clone());
        let docs = docs.await.expect("documents");
        let router = Router::builder(endpoint.clone())
            .accept(iroh_blobs::ALPN, BlobsProtocol::new(&blobs, None))
            .accept(iroh_gossip::ALPN, gossip)
            .accept(iroh_docs::ALPN, docs.clone())
            .spawn();
        Self { endpoint, router, docs }
    }

    fn addr(&self) -> EndpointAddr {
        let sockets = self.endpoint.bound_sockets();
        sockets.into_iter().fold(EndpointAddr::new(self.endpoint.id()), EndpointAddr::with_ip_addr)
    }

    /// UDP payload of its socket so far, both ways.
    fn bytes(&self) -> u64 {
        let socket = &self.endpoint.metrics().socket;
        socket.send_ipv4.get() + socket.send_ipv6.get() + socket.recv_data_ipv4.get() + socket.recv_data_ipv6.get()
    }

    /// Its own `import_and_subscribe`, step by step, for a stream that borrows nothing.
    async fn import(&self, ticket: DocTicket) -> (Doc, Events) {
        let doc = self.docs.import_namespace(ticket.capability).await.expect("importing");
        let events: Events = Box::pin(doc.subscribe().await.expect("events"));
        doc.start_sync(ticket.nodes).await.expect("syncing");
        (doc, events)
    }

    async fn stop(self) {
        let _ = self.router.shutdown().await;
    }
}

/// Reads events until `n` entries came and the content of each is there.
async fn arrive(events: &mut Events, n: usize) {
    let (mut inserted, mut wanted, mut ready) = (0, BTreeSet::<Hash>::new(), BTreeSet::<Hash>::new());
    while inserted < n || !wanted.is_subset(&ready) {
        match events.next().await.expect("events").expect("an event") {
            LiveEvent::InsertRemote { entry, content_status, .. } => {
                inserted += 1;
                wanted.insert(entry.content_hash());
                if matches!(content_status, ContentStatus::Complete) {
                    ready.insert(entry.content_hash());
                }
            }
            LiveEvent::ContentReady { hash } => {
                ready.insert(hash);
            }
            LiveEvent::InsertLocal { .. }
            | LiveEvent::PendingContentReady
            | LiveEvent::NeighborUp(_)
            | LiveEvent::NeighborDown(_)
            | LiveEvent::SyncFinished(_) => {}
        }
    }
}

/// Reads events of both ends until one of them says that a sync has ended well. The end that dialled may be
/// told of a lost connection instead: the other closes as soon as it has all that it wanted.
async fn finished(events: impl Stream<Item = anyhow::Result<LiveEvent>> + Unpin) {
    let mut events = events;
    loop {
        if let LiveEvent::SyncFinished(sync) = events.next().await.expect("events").expect("an event")
            && sync.result.is_ok()
        {
            return;
        }
    }
}

/// Reads events until the other end is a neighbour in the swarm, which live edits pass through.
async fn neighbour(events: &mut Events) {
    while !matches!(events.next().await.expect("events").expect("an event"), LiveEvent::NeighborUp(_)) {}
}

struct Other {
    node: Node,
    doc: Doc,
    events: Events,
}

/// The node with all records, and the last receiver.
pub struct Iroh {
    rt: Handle,
    own: Option<Runtime>,
    dir: PathBuf,
    node: Node,
    doc: Doc,
    author: AuthorId,
    ticket: DocTicket,
    n: usize,
    other: Option<Other>,
    receivers: usize,
    limit: Duration,
}

fn key(at: usize) -> Vec<u8> {
    // As long as Sampan's ids of records.
    format!("{at:016}").into_bytes()
}

impl Iroh {
    /// A node with one entry a record.
    pub fn new(records: &Records, dir: &Path, limit: Duration) -> Result<Self, Over> {
        let own = crate::run::runtime();
        let rt = own.handle().clone();
        let making = async {
            let node = Node::new(&dir.join("iroh")).await;
            let doc = node.docs.create().await.expect("a document");
            let author = node.docs.author_default().await.expect("an author");
            for (at, row) in records.rows.iter().enumerate() {
                doc.set_bytes(author, key(at), json(row)).await.expect("an entry");
            }
            doc.start_sync(Vec::new()).await.expect("syncing");
            let mut ticket = doc.share(ShareMode::Write, AddrInfoOptions::Id).await.expect("a ticket");
            ticket.nodes = vec![node.addr()];
            (node, doc, author, ticket)
        };
        let made = rt.block_on(async { tokio::time::timeout(limit, making).await });
        let Ok((node, doc, author, ticket)) = made else {
            own.shutdown_timeout(SETTLED);
            return Err(Over(limit));
        };
        let (own, dir, n) = (Some(own), dir.to_owned(), records.rows.len());
        Ok(Self { rt, own, dir, node, doc, author, ticket, n, other: None, receivers: 0, limit })
    }

    fn next_dir(&mut self) -> PathBuf {
        self.receivers += 1;
        self.dir.join(format!("iroh-receiver-{}", self.receivers))
    }

    /// Leaves at the receiver, lets `edit` happen at the other end, and starts its sync again.
    fn reconnect(&mut self, edits: Option<&Edits>) -> Done {
        let Self { rt, doc, author, other, ticket, limit, .. } = self;
        let Other { node, doc: theirs, events } = other.as_mut().expect("a receiver");
        let work = async {
            // A second sync, with the new neighbour of the swarm, may still run: it is not cut.
            tokio::time::sleep(SETTLED).await;
            theirs.leave().await.expect("leaving");
            *events = Box::pin(theirs.subscribe().await.expect("events"));
            if let Some(edits) = edits {
                for (at, json) in edits.places.iter().zip(&edits.json) {
                    doc.set_bytes(*author, key(*at), json.clone()).await.expect("an entry");
                }
            }
            // What is still under way for the last link.
            tokio::time::sleep(SETTLED).await;
            let ours: Events = Box::pin(doc.subscribe().await.expect("events"));
            let (began, before, bytes) = (Instant::now(), cpu(), node.bytes());
            theirs.start_sync(ticket.nodes.clone()).await.expect("syncing");
            match edits {
                Some(edits) => arrive(events, edits.places.len()).await,
                None => finished(futures_util::stream::select(events, ours)).await,
            }
            let (time, bytes) = (began.elapsed(), Some(node.bytes() - bytes));
            Cost { time, cpu: cpu().saturating_sub(before), bytes, note: String::new() }
        };
        rt.block_on(async { tokio::time::timeout(*limit, work).await }).map_err(|_| Over(*limit))
    }
}

impl Contender for Iroh {
    fn name(&self) -> &'static str {
        "iroh-docs"
    }

    fn first(&mut self) -> Done {
        let dir = self.next_dir();
        if let Some(old) = self.other.take() {
            self.rt.block_on(old.node.stop());
        }
        let node = self.rt.block_on(Node::new(&dir));
        let work = async {
            let (began, before, bytes) = (Instant::now(), cpu(), node.bytes());
            let (doc, mut events) = node.import(self.ticket.clone()).await;
            arrive(&mut events, self.n).await;
            let (time, bytes) = (began.elapsed(), Some(node.bytes() - bytes));
            let cost = Cost { time, cpu: cpu().saturating_sub(before), bytes, note: String::new() };
            (cost, doc, events)
        };
        let done = self.rt.block_on(async { tokio::time::timeout(self.limit, work).await });
        let (cost, doc, events) = done.map_err(|_| Over(self.limit))?;
        self.other = Some(Other { node, doc, events });
        Ok(cost)
    }

    fn nothing(&mut self) -> Done {
        self.reconnect(None)
    }

    fn monday(&mut self, edits: &Edits) -> Done {
        self.reconnect(Some(edits))
    }

    fn live(&mut self, edits: &Edits) -> Result<Vec<Duration>, Over> {
        let Self { rt, doc, author, other, ticket, limit, .. } = self;
        let Other { doc: theirs, events, .. } = other.as_mut().expect("a receiver");
        let work = async {
            tokio::time::sleep(SETTLED).await;
            theirs.leave().await.expect("leaving");
            *events = Box::pin(theirs.subscribe().await.expect("events"));
            theirs.start_sync(ticket.nodes.clone()).await.expect("syncing");
            neighbour(events).await;
            tokio::time::sleep(SETTLED).await;
            let mut times = Vec::new();
            for (at, json) in edits.places.iter().zip(&edits.json) {
                let began = Instant::now();
                doc.set_bytes(*author, key(*at), json.clone()).await.expect("an entry");
                arrive(events, 1).await;
                times.push(began.elapsed());
                tokio::time::sleep(crate::run::BETWEEN).await;
            }
            times
        };
        rt.block_on(async { tokio::time::timeout(*limit, work).await }).map_err(|_| Over(*limit))
    }

    fn memory(&mut self) -> Result<Resident, Over> {
        let dir = self.next_dir().display().to_string();
        resident::ask(&["iroh", &dir, &self.ticket.to_string(), &self.n.to_string()])
    }
}

impl Drop for Iroh {
    fn drop(&mut self) {
        let other = self.other.take();
        let work = async {
            if let Some(other) = other {
                other.node.stop().await;
            }
            let _ = self.node.router.shutdown().await;
        };
        let within = Duration::from_secs(20);
        // Whoever does not end in time is ended with the process.
        self.rt.block_on(async { tokio::time::timeout(within, work).await.ok() });
        if let Some(own) = self.own.take() {
            own.shutdown_timeout(within);
        }
    }
}

/// What the child process of the row `memory` does.
pub async fn receive_all(dir: &Path, ticket: &str, n: usize) -> Resident {
    let node = Node::new(dir).await;
    let before = resident::now();
    let ticket: DocTicket = ticket.parse().expect("a ticket");
    let (_doc, mut events) = node.import(ticket).await;
    arrive(&mut events, n).await;
    Resident { before, after: resident::now() }
}
