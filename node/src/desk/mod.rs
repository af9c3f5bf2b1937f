//! The desk: the one thread that owns a replica while links are open, and works through everything
//! that they bring in groups.
//!
//! It does not: touch a socket (`link` carries frames to and from it) or decide whom to dial.
//!
//! Invariants: everything taken in one group is one transaction, and nothing that a session has to
//! say leaves before that transaction is durable; when it fails, no session of the group survives and
//! the engine is read anew; no link makes another wait for more than its share (`turns`).

mod mail;
pub mod quota;
pub mod table;
mod turns;
mod work;

pub use mail::{MailOut, Told};
pub use table::{Table, TableInput, TableOutput};

use crate::replica::Replica;
use sampan_core::engine::{Ahead, AheadReader};
use sampan_core::id::DeviceId;
use sampan_core::limits::{AHEAD_BYTES_MAX, DESK_INPUT_BYTES_MAX, LINK_INPUT_BYTES_MAX};
use sampan_core::sync::{Event, FileTalk, Progress, Role, Stats};
use sampan_core::time::Millis;
use std::sync::Arc;
use std::thread::JoinHandle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};

/// Inputs that may be on their way to the desk. What waits there for its turn is bounded in bytes, a link's and
/// all links'; a link that brings more waits itself, and QUIC's flow control holds its peer back.
const INPUTS_MAX: usize = 1_024;

/// A frame's room at the desk: of its link, of all, and of what lies read ahead.
type Room = (OwnedSemaphorePermit, OwnedSemaphorePermit, Option<OwnedSemaphorePermit>);

/// One session's name at the desk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct SessionId(pub u64);

/// What the desk wants of a link.
#[derive(Debug)]
pub enum Outgoing {
    /// Send this frame on this lane, then say [`Desk::sent`].
    Frame(u8, Vec<u8>),
    /// Send what is queued, then close with this code and reason.
    Close(u32, String),
}

/// How a session stands, after each group.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SessionState {
    /// When both ends last were equal, nothing asked since.
    pub verified_at: Option<Millis>,
    /// Nothing to send, nothing awaited, nothing unsealed.
    pub settled: bool,
    /// The peer is known to have taken everything that was said: closing the link now loses nothing.
    pub heard: bool,
    /// How the talk about files stands.
    pub files: FileTalk,
    /// Whether everything that came was looked at for the files that it names.
    pub names_known: bool,
    /// What it waits for, in words; empty for nothing.
    pub waits_for: String,
    /// Counts.
    pub stats: Stats,
    /// How far what was announced has come.
    pub progress: Progress,
    /// What ended it, if anything did.
    pub end: Option<SessionEnd>,
}

/// What ended a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionEnd {
    /// The peer refused us, or we the peer.
    Refused(Event),
    /// Another relay is nearer.
    Redirect(Vec<sampan_core::wire::frame::RelayAddress>),
    /// After all repairs the two ends still differ.
    NotVerified,
    /// An error, in words.
    Failed(String),
}

/// The link's end of a session.
#[derive(Debug)]
pub struct Port {
    /// Its name.
    pub id: SessionId,
    /// What to send, and how it stands.
    pub mail: MailOut,
    /// Bytes of its frames that may still wait at the desk.
    room: Arc<Semaphore>,
}

type Call = Box<dyn FnOnce(&mut Replica) + Send>;

enum Input {
    Open { role: Role, peer: DeviceId, fallback: bool, reply: oneshot::Sender<Port> },
    Frame { id: SessionId, lane: u8, bytes: Vec<u8>, ahead: Option<Ahead>, room: Room },
    Link(SessionId, TableInput),
    Settle(SessionId, oneshot::Sender<()>),
    Call(Call),
    Nudge,
    Stop,
}

/// A handle to the desk; cheap to clone.
#[derive(Clone)]
pub struct Desk {
    inputs: mpsc::Sender<Input>,
    connected: watch::Receiver<Vec<DeviceId>>,
    room: Arc<Semaphore>,
    reader: AheadReader,
    /// Bytes of frames that may lie read ahead.
    ahead: Arc<Semaphore>,
}

/// The desk's thread; dropping it without [`DeskThread::stop`] leaves the thread to end by itself.
pub struct DeskThread {
    handle: JoinHandle<Replica>,
    inputs: mpsc::Sender<Input>,
}

impl DeskThread {
    /// Seals what is pending, ends the thread and gives the replica back.
    pub async fn stop(self) -> Option<Replica> {
        let _ = self.inputs.send(Input::Stop).await;
        tokio::task::spawn_blocking(move || self.handle.join().ok()).await.ok().flatten()
    }
}

impl Desk {
    /// Starts the desk's thread around a replica. Must be called inside a runtime.
    #[must_use]
    pub fn start(replica: Replica) -> (Self, DeskThread) {
        let (inputs, receiver) = mpsc::channel(INPUTS_MAX);
        let (connected_in, connected) = watch::channel(Vec::new());
        let runtime = tokio::runtime::Handle::current();
        let reader = replica.engine.ahead_reader();
        let handle = std::thread::spawn(move || work::Work::new(replica, receiver, connected_in, runtime).run());
        let room = Arc::new(Semaphore::new(DESK_INPUT_BYTES_MAX));
        let ahead = Arc::new(Semaphore::new(AHEAD_BYTES_MAX));
        (Self { inputs: inputs.clone(), connected, room, reader, ahead }, DeskThread { handle, inputs })
    }

    /// Opens a session; `None` when the desk has stopped.
    pub async fn open(&self, role: Role, peer: DeviceId, fallback: bool) -> Option<Port> {
        let (reply, port) = oneshot::channel();
        self.inputs.send(Input::Open { role, peer, fallback, reply }).await.ok()?;
        port.await.ok()
    }

    /// Hands over a frame; waits while too much of this link, or of all, waits at the desk already. What can be read
    /// and checked of it without the store is, here, beside the desk's thread.
    pub async fn frame(&self, port: &Port, lane: u8, bytes: Vec<u8>) -> bool {
        // Frames are bounded by the transport; one larger than the room takes all of it.
        let size = u32::try_from(bytes.len().min(LINK_INPUT_BYTES_MAX)).unwrap_or(u32::MAX);
        let Ok(own) = port.room.clone().acquire_many_owned(size).await else { return false };
        let Ok(all) = self.room.clone().acquire_many_owned(size).await else { return false };
        let read = self.ahead.clone().try_acquire_many_owned(size).ok();
        let ahead = read.as_ref().and_then(|_| self.reader.read(&bytes));
        let room = (own, all, read.filter(|_| ahead.is_some()));
        self.inputs.send(Input::Frame { id: port.id, lane, bytes, ahead, room }).await.is_ok()
    }

    /// Waits until everything that this link handed over before has been taken.
    pub async fn settle(&self, id: SessionId) {
        let (reply, done) = oneshot::channel();
        if self.inputs.send(Input::Settle(id, reply)).await.is_ok() {
            let _ = done.await;
        }
    }

    /// A frame was accepted by the transport.
    pub async fn sent(&self, id: SessionId, lane: u8) {
        let _ = self.inputs.send(Input::Link(id, TableInput::Sent { id, lane })).await;
    }

    /// The link is gone.
    pub async fn closed(&self, id: SessionId) {
        let _ = self.inputs.send(Input::Link(id, TableInput::Closed { id })).await;
    }

    /// Asks the peer for a new comparison.
    pub async fn verify(&self, id: SessionId) {
        let _ = self.inputs.send(Input::Link(id, TableInput::Verify { id })).await;
    }

    /// Another process edited: look at once.
    pub async fn nudge(&self) {
        let _ = self.inputs.send(Input::Nudge).await;
    }

    /// Runs something on the replica between two groups, before what links have waiting; `None` when the desk
    /// has stopped.
    pub async fn call<R: Send + 'static>(&self, f: impl FnOnce(&mut Replica) -> R + Send + 'static) -> Option<R> {
        let (reply, answer) = oneshot::channel();
        let call: Call = Box::new(move |replica| {
            let _ = reply.send(f(replica));
        });
        self.inputs.send(Input::Call(call)).await.ok()?;
        answer.await.ok()
    }

    /// The devices of the sessions open now.
    #[must_use]
    pub fn connected(&self) -> Vec<DeviceId> {
        self.connected.borrow().clone()
    }
}
