//! samod: two repositories over loopback TCP, each with its storage in the file system, a document a record.
//!
//! It does not: fsync (its storage does not), verify or search. Which documents exist is told to the
//! receiver beside the protocol where it asks for them.

#![allow(clippy::disallowed_methods)] // the peer is used as its users call it

use crate::automerge_docs::scalar;
use crate::contender::{Contender, Cost, Done, Over, Resident};
use crate::counting::{Count, Counting};
use crate::edits::Edits;
use crate::{peers, resident};
use automerge::transaction::Transactable as _;
use automerge::{ChangeHash, ROOT};
use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, StreamExt as _};
use samod::storage::{Storage, StorageKey, TokioFilesystemStorage};
use samod::{AcceptorHandle, BackoffConfig, DialError, Dialer, DocHandle, DocumentId, Repo, Transport, Url};
use sampan_tests::table::cpu;
use std::collections::{BTreeSet, HashMap};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Handle, Runtime};
use tokio::sync::watch;

/// How long its tasks may take to end.
const ENDED: Duration = Duration::from_secs(10);

/// Its storage in the file system, and how many documents it has taken.
#[derive(Clone)]
struct Watched {
    inner: TokioFilesystemStorage,
    seen: Arc<Mutex<BTreeSet<String>>>,
    stored: watch::Sender<usize>,
}

impl Watched {
    fn new(dir: &Path) -> Self {
        Self { inner: TokioFilesystemStorage::new(dir), seen: Arc::default(), stored: watch::channel(0).0 }
    }
}

impl Storage for Watched {
    fn load(&self, key: StorageKey) -> impl Future<Output = Option<Vec<u8>>> + Send {
        self.inner.load(key)
    }

    fn load_range(&self, prefix: StorageKey) -> impl Future<Output = HashMap<StorageKey, Vec<u8>>> + Send {
        self.inner.load_range(prefix)
    }

    fn put(&self, key: StorageKey, data: Vec<u8>) -> impl Future<Output = ()> + Send {
        let this = self.clone();
        async move {
            let document = (&key).into_iter().next().cloned().unwrap_or_default();
            this.inner.put(key, data).await;
            if document.parse::<DocumentId>().is_ok() {
                let mut seen = this.seen.lock().expect("no panic while it is held");
                seen.insert(document);
                this.stored.send_replace(seen.len());
            }
        }
    }

    fn delete(&self, key: StorageKey) -> impl Future<Output = ()> + Send {
        self.inner.delete(key)
    }
}

/// Its own TCP dialer, with a counter, and without Nagle's delay.
struct Dial {
    addr: SocketAddr,
    count: Count,
}

impl Dialer for Dial {
    type Error = Infallible;

    fn url(&self) -> Url {
        Url::parse(&format!("tcp://{}", self.addr)).expect("a URL")
    }

    fn connect(&self) -> BoxFuture<'static, Result<Transport, DialError<Infallible>>> {
        let (addr, count) = (self.addr, self.count.clone());
        async move {
            let io = TcpStream::connect(addr).await.map_err(DialError::transient)?;
            io.set_nodelay(true).map_err(DialError::transient)?;
            Ok(Transport::from_tokio_io(Counting::new(io, count)))
        }
        .boxed()
    }
}

/// The end that dials.
struct Dialled {
    repo: Repo,
    storage: Watched,
    link: Option<samod::DialerHandle<Infallible>>,
    count: Count,
    handles: Vec<DocHandle>,
}

impl Dialled {
    async fn new(dir: &Path) -> Self {
        let storage = Watched::new(dir);
        let repo = Repo::build_tokio().with_storage(storage.clone()).load().await;
        Self { repo, storage, link: None, count: Count::default(), handles: Vec::new() }
    }

    async fn dial(&mut self, addr: SocketAddr) {
        let dial = Arc::new(Dial { addr, count: self.count.clone() });
        let link = self.repo.dial(BackoffConfig::default(), dial).expect("a running repository");
        link.established().await.expect("a link");
        self.link = Some(link);
    }

    /// Dials, asks for every document by its id and waits until its storage has all of them.
    async fn receive(&mut self, addr: SocketAddr, ids: &[DocumentId]) {
        self.dial(addr).await;
        self.find(ids).await;
        self.stored(ids.len()).await;
    }

    async fn find(&mut self, ids: &[DocumentId]) {
        let finds = futures_util::future::join_all(ids.iter().map(|id| self.repo.find(id.clone())));
        let found = finds.await.into_iter();
        self.handles = found.map(|f| f.expect("a running repository").expect("the document")).collect();
    }

    async fn stored(&self, documents: usize) {
        let mut stored = self.storage.stored.subscribe();
        stored.wait_for(|n| *n >= documents).await.expect("the storage");
    }

    /// Waits until both ends know, document by document, that they hold the same.
    async fn settled(&self) {
        let connection = self.link.as_ref().and_then(samod::DialerHandle::connection_id).expect("a link");
        for handle in &self.handles {
            handle.we_have_their_changes(connection).await;
            handle.they_have_our_changes(connection).await;
        }
    }
}

/// The end with all records, and the last receiver.
pub struct Samod {
    rt: Handle,
    own: Option<Runtime>,
    dir: PathBuf,
    addr: SocketAddr,
    acceptor: AcceptorHandle,
    /// Kept so that it goes on serving.
    _repo: Repo,
    ids: Vec<DocumentId>,
    handles: Vec<DocHandle>,
    other: Option<Dialled>,
    receivers: usize,
    limit: Duration,
    announced: bool,
}

impl Samod {
    /// A repository with one document a record, made of Sampan's own changes.
    ///
    /// With `announced` its receivers do not ask: they wait until everything was announced and stored.
    pub fn new(changes: &[Vec<u8>], dir: &Path, limit: Duration, announced: bool) -> Result<Self, Over> {
        let own = crate::run::runtime();
        let rt = own.handle().clone();
        let dir = &dir.join(if announced { "announced" } else { "asked" });
        let making = async {
            let repo = Repo::build_tokio().with_storage(Watched::new(&dir.join("samod"))).load().await;
            let mut handles = Vec::new();
            for document in peers::documents(changes) {
                handles.push(repo.create(document).await.expect("a running repository"));
            }
            let acceptor = repo.make_acceptor(Url::parse("tcp://127.0.0.1").expect("a URL")).expect("an acceptor");
            let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a socket");
            let addr = listener.local_addr().expect("an address");
            let accepting = acceptor.clone();
            tokio::spawn(async move {
                while let Ok((io, _)) = listener.accept().await {
                    io.set_nodelay(true).expect("an option");
                    if accepting.accept_tokio_io(io).is_err() {
                        break;
                    }
                }
            });
            (repo, handles, acceptor, addr)
        };
        let made = rt.block_on(async { tokio::time::timeout(limit, making).await });
        let Ok((repo, handles, acceptor, addr)) = made else {
            own.shutdown_timeout(ENDED);
            return Err(Over(limit));
        };
        let ids = handles.iter().map(|h| h.document_id().clone()).collect();
        let (own, dir) = (Some(own), dir.to_owned());
        Ok(Self {
            rt,
            own,
            dir,
            addr,
            acceptor,
            _repo: repo,
            ids,
            handles,
            other: None,
            receivers: 0,
            limit,
            announced,
        })
    }

    fn next_dir(&mut self) -> PathBuf {
        self.receivers += 1;
        self.dir.join(format!("samod-receiver-{}", self.receivers))
    }

    async fn hang_up(&mut self) {
        if let Some(link) = self.other.as_mut().and_then(|o| o.link.take()) {
            link.close();
        }
        while self.acceptor.connection_count() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Dials again and waits until all is settled; time and bytes of that.
    fn reconnect(&mut self, places: &[usize]) -> Done {
        let Self { rt, other, addr, handles, limit, .. } = self;
        let _inside = rt.enter();
        let wanted: Vec<(usize, Vec<ChangeHash>)> =
            places.iter().map(|at| (*at, handles[*at].with_document(|d| d.get_heads()))).collect();
        let other = other.as_mut().expect("a receiver");
        let before_bytes = other.count.load(Ordering::Relaxed);
        let (began, before) = (Instant::now(), cpu());
        let work = async {
            other.dial(*addr).await;
            for (at, heads) in &wanted {
                arrived(&other.handles[*at], heads).await;
            }
            let first = began.elapsed();
            other.settled().await;
            first
        };
        let first = rt.block_on(async { tokio::time::timeout(*limit, work).await }).map_err(|_| Over(*limit))?;
        let note = format!("edits_arrived_ms={:.1}", first.as_secs_f64() * 1e3);
        let bytes = Some(other.count.load(Ordering::Relaxed) - before_bytes);
        Ok(Cost { time: began.elapsed(), cpu: cpu().saturating_sub(before), bytes, note })
    }
}

/// Waits until a document has these heads.
async fn arrived(handle: &DocHandle, heads: &[ChangeHash]) {
    let mut changes = std::pin::pin!(handle.changes());
    while handle.with_document(|d| d.get_heads()) != heads {
        changes.next().await.expect("a running repository");
    }
}

impl Contender for Samod {
    fn name(&self) -> &'static str {
        if self.announced { "samod, announced" } else { "samod" }
    }

    fn does(&self, row: &str) -> bool {
        // After a first sync there is no difference.
        !self.announced || row == "first"
    }

    fn first(&mut self) -> Done {
        let dir = self.next_dir();
        let rt = self.rt.clone();
        let limit = self.limit;
        if let Some(old) = self.other.take() {
            rt.block_on(async {
                if let Some(link) = &old.link {
                    link.close();
                }
                let _ = tokio::time::timeout(limit, old.repo.stop()).await;
            });
            rt.block_on(async { tokio::time::timeout(limit, self.hang_up()).await.map_err(|_| Over(limit)) })?;
        }
        let mut other = rt.block_on(Dialled::new(&dir));
        let (began, before) = (Instant::now(), cpu());
        let work = async {
            if self.announced {
                other.dial(self.addr).await;
                other.stored(self.ids.len()).await;
            } else {
                other.receive(self.addr, &self.ids).await;
            }
        };
        rt.block_on(async { tokio::time::timeout(limit, work).await }).map_err(|_| Over(limit))?;
        let (time, cpu) = (began.elapsed(), cpu().saturating_sub(before));
        let bytes = Some(other.count.load(Ordering::Relaxed));
        if self.announced {
            rt.block_on(other.find(&self.ids));
        }
        for (theirs, ours) in other.handles.iter().zip(&self.handles) {
            let (theirs, ours) = (theirs.with_document(|d| d.get_heads()), ours.with_document(|d| d.get_heads()));
            assert_eq!(theirs, ours, "samod ended with different heads");
        }
        self.other = Some(other);
        Ok(Cost { time, cpu, bytes, note: String::new() })
    }

    fn nothing(&mut self) -> Done {
        let rt = self.rt.clone();
        let limit = self.limit;
        rt.block_on(async { tokio::time::timeout(limit, self.hang_up()).await }).map_err(|_| Over(limit))?;
        self.reconnect(&[])
    }

    fn monday(&mut self, edits: &Edits) -> Done {
        let rt = self.rt.clone();
        let limit = self.limit;
        rt.block_on(async { tokio::time::timeout(limit, self.hang_up()).await }).map_err(|_| Over(limit))?;
        let _inside = rt.enter();
        for (at, change) in edits.places.iter().zip(&edits.changes) {
            self.handles[*at].with_document(|d| peers::add(d, change));
        }
        self.reconnect(&edits.places)
    }

    fn live(&mut self, edits: &Edits) -> Result<Vec<Duration>, Over> {
        let Self { rt, other, handles, limit, .. } = self;
        let other = other.as_ref().expect("a receiver");
        let work = async {
            let mut times = Vec::new();
            for (at, (name, value)) in edits.places.iter().zip(&edits.fields) {
                let began = Instant::now();
                let heads = handles[*at].with_document(|d| {
                    d.transact(|tx| tx.put(ROOT, name.as_str(), scalar(value))).expect("an edit");
                    d.get_heads()
                });
                arrived(&other.handles[*at], &heads).await;
                times.push(began.elapsed());
                tokio::time::sleep(crate::run::BETWEEN).await;
            }
            times
        };
        rt.block_on(async { tokio::time::timeout(*limit, work).await }).map_err(|_| Over(*limit))
    }

    fn memory(&mut self) -> Result<Resident, Over> {
        let dir = self.next_dir();
        let ids = self.dir.join("samod-ids");
        let lines: Vec<String> = self.ids.iter().map(ToString::to_string).collect();
        std::fs::write(&ids, lines.join("\n")).expect("a file");
        let (dir, addr, ids) = (dir.display().to_string(), self.addr.to_string(), ids.display().to_string());
        resident::ask(&["samod", &dir, &addr, &ids])
    }
}

impl Drop for Samod {
    fn drop(&mut self) {
        // With all that it still does: whoever was over the limit must not slow down those who follow.
        if let Some(own) = self.own.take() {
            own.shutdown_timeout(ENDED);
        }
    }
}

/// What the child process of the row `memory` does.
pub async fn receive_all(dir: &Path, addr: &str, ids: &Path) -> Resident {
    let text = std::fs::read_to_string(ids).expect("the ids");
    let ids: Vec<DocumentId> = text.lines().map(|l| l.parse().expect("an id")).collect();
    let mut other = Dialled::new(dir).await;
    let before = resident::now();
    other.receive(addr.parse().expect("an address"), &ids).await;
    Resident { before, after: resident::now() }
}
