//! The desk: the one thread that owns a replica while links are open, and works through everything
//! that they bring in groups.
//!
//! It does not: touch a socket (`link` carries frames to and from it) or decide whom to dial.
//!
//! Invariants: everything taken in one group is one transaction, and nothing that a session has to
//! say leaves before that transaction is durable; when it fails, no session of the group survives and
//! the engine is read anew.

pub mod table;
mod work;

pub use table::{Table, TableInput, TableOutput};

use crate::replica::Replica;
use sampan_core::id::DeviceId;
use sampan_core::sync::{Event, Progress, Role, Stats};
use sampan_core::time::Millis;
use std::thread::JoinHandle;
use tokio::sync::{mpsc, oneshot, watch};

/// Inputs that may wait at the desk; a link that brings more waits itself, and QUIC's flow control
/// holds its peer back.
const INPUTS_MAX: usize = 1_024;

/// One session's name at the desk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
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
    /// What to send.
    pub outgoing: mpsc::UnboundedReceiver<Outgoing>,
    /// How it stands.
    pub state: watch::Receiver<SessionState>,
}

type Call = Box<dyn FnOnce(&mut Replica) + Send>;

enum Input {
    Open { role: Role, peer: DeviceId, fallback: bool, reply: oneshot::Sender<Port> },
    Link(TableInput),
    Call(Call),
    Nudge,
    Stop,
}

/// A handle to the desk; cheap to clone.
#[derive(Clone)]
pub struct Desk {
    inputs: mpsc::Sender<Input>,
    connected: watch::Receiver<Vec<DeviceId>>,
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
        let handle = std::thread::spawn(move || work::Work::new(replica, receiver, connected_in, runtime).run());
        (Self { inputs: inputs.clone(), connected }, DeskThread { handle, inputs })
    }

    /// Opens a session; `None` when the desk has stopped.
    pub async fn open(&self, role: Role, peer: DeviceId, fallback: bool) -> Option<Port> {
        let (reply, port) = oneshot::channel();
        self.inputs.send(Input::Open { role, peer, fallback, reply }).await.ok()?;
        port.await.ok()
    }

    /// Hands over a frame; waits while the desk is behind.
    pub async fn frame(&self, id: SessionId, lane: u8, bytes: Vec<u8>) -> bool {
        self.inputs.send(Input::Link(TableInput::Frame { id, lane, bytes })).await.is_ok()
    }

    /// A frame was accepted by the transport.
    pub async fn sent(&self, id: SessionId, lane: u8) {
        let _ = self.inputs.send(Input::Link(TableInput::Sent { id, lane })).await;
    }

    /// The link is gone.
    pub async fn closed(&self, id: SessionId) {
        let _ = self.inputs.send(Input::Link(TableInput::Closed { id })).await;
    }

    /// Asks the peer for a new comparison.
    pub async fn verify(&self, id: SessionId) {
        let _ = self.inputs.send(Input::Link(TableInput::Verify { id })).await;
    }

    /// Another process edited: look at once.
    pub async fn nudge(&self) {
        let _ = self.inputs.send(Input::Nudge).await;
    }

    /// Runs something on the replica between two groups; `None` when the desk has stopped.
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
