//! The sending half: eight lanes, each one stream of frames, none of which can block another.
//!
//! It does not: queue. A lane takes one frame at a time and takes the next only when its stream
//! has accepted the last, so that the caller chooses late what to send next.
//!
//! Invariants: a frame is written whole or the lane is dead, also if the caller stops waiting; on
//! the wire a lane is a byte for its priority, then for each frame a `u32` (little endian) length
//! and its bytes; a lane at rest costs no task and no buffer.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use quinn::{SendStream, WriteError};
use sampan_core::limits::FRAME_BYTES_MAX;
use tokio::sync::Notify;

use super::connection::Control;
use super::error::ConnError;
use super::transport::PRIORITIES;

/// Frames up to this size are copied behind their length, so that both share a packet.
const JOIN_BYTES_MAX: usize = 16 << 10;

/// What became of an offered frame.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Offer {
    /// The lane is writing it.
    Taken,
    /// The lane still writes the one before; here it is back.
    Busy(Vec<u8>),
}

/// Sends frames. Clones share the lanes; each has its own [`Sender::freed`].
#[derive(Debug, Clone)]
pub struct Sender {
    control: Control,
    shared: Arc<Shared>,
    /// How often a lane had become free when this clone last looked.
    seen: u64,
}

/// What the clones and the tasks that write share.
#[derive(Debug)]
struct Shared {
    lanes: Mutex<Lanes>,
    /// A lane became free, or the connection failed.
    free: Notify,
}

#[derive(Debug)]
struct Lanes {
    lanes: [Lane; PRIORITIES],
    /// How often one became free.
    freed: u64,
    finished: bool,
    failed: Option<ConnError>,
}

#[derive(Debug, Default)]
struct Lane {
    state: LaneState,
    /// Frames given to the lane.
    taken: u64,
    /// Frames that the stream has accepted.
    accepted: u64,
}

#[derive(Debug, Default)]
enum LaneState {
    #[default]
    Unopened,
    Idle(SendStream),
    /// A task has the stream and gives it back.
    Busy,
}

impl Sender {
    pub(super) fn new(control: Control) -> Self {
        let lanes = Lanes { lanes: Default::default(), freed: 0, finished: false, failed: None };
        Self { control, shared: Arc::new(Shared { lanes: Mutex::new(lanes), free: Notify::new() }), seen: 0 }
    }

    /// The connection's other handle.
    #[must_use]
    pub fn control(&self) -> &Control {
        &self.control
    }

    /// Whether the lane would take a frame now.
    #[must_use]
    pub fn is_free(&self, priority: u8) -> bool {
        let lanes = self.lock();
        lanes.lanes.get(usize::from(priority)).is_some_and(|l| !matches!(l.state, LaneState::Busy))
    }

    /// Waits until a lane has become free since this was last called (or since this clone was
    /// made). It may return for a lane that was filled again; look with [`Sender::is_free`]. It
    /// returns at once and for ever when the connection has failed; `offer` then says why.
    pub async fn freed(&mut self) {
        let failed = self.lock().failed.is_some();
        if !failed {
            self.seen = self.shared.freed(self.seen).await;
        }
    }

    /// Hands a frame to its lane without waiting; priority 0 is the most urgent.
    ///
    /// # Errors
    /// If the frame is too long, the priority unknown, the sender finished, or the connection gone.
    pub fn offer(&self, priority: u8, frame: Vec<u8>) -> Result<Offer, ConnError> {
        self.start(priority, frame).map(|s| match s {
            Start::Taken { .. } => Offer::Taken,
            Start::Busy(frame) => Offer::Busy(frame),
        })
    }

    /// Sends a frame; returns when the stream has accepted all its bytes (not: when they
    /// arrived). Dropping the future never leaves half a frame: once taken it is written.
    ///
    /// # Errors
    /// As [`Sender::offer`].
    pub async fn send(&self, priority: u8, frame: Vec<u8>) -> Result<(), ConnError> {
        let mut frame = frame;
        let number = loop {
            let seen = self.lock().freed;
            match self.start(priority, frame)? {
                Start::Taken { number } => break number,
                Start::Busy(back) => frame = back,
            }
            self.shared.freed(seen).await;
        };
        loop {
            let seen = {
                let lanes = self.lock();
                if lanes.lanes[usize::from(priority)].accepted >= number {
                    return Ok(());
                }
                if let Some(e) = &lanes.failed {
                    return Err(e.clone());
                }
                lanes.freed
            };
            self.shared.freed(seen).await;
        }
    }

    /// Takes no further frame and waits until the peer's QUIC has acknowledged all that was sent.
    /// An acknowledgement is delayed to save packets, by 25 ms on a fast path and up to 200 ms:
    /// where the protocol above has an answer of its own, wait for that instead.
    ///
    /// # Errors
    /// If it takes longer than `within`, or the connection ends first.
    pub async fn finish(&self, within: Duration) -> Result<(), ConnError> {
        self.lock().finished = true;
        tokio::time::timeout(within, self.acknowledged()).await.unwrap_or(Err(ConnError::Unacknowledged { within }))
    }

    async fn acknowledged(&self) -> Result<(), ConnError> {
        let mut streams = Vec::new();
        loop {
            let seen = {
                let mut lanes = self.lock();
                if let Some(e) = &lanes.failed {
                    return Err(e.clone());
                }
                if !lanes.lanes.iter().any(|l| matches!(l.state, LaneState::Busy)) {
                    for lane in &mut lanes.lanes {
                        if let LaneState::Idle(stream) = std::mem::take(&mut lane.state) {
                            streams.push(stream);
                        }
                    }
                    break;
                }
                lanes.freed
            };
            self.shared.freed(seen).await;
        }
        for stream in &mut streams {
            // Only a stream that was finished before refuses, and these were not.
            let _ = stream.finish();
        }
        for stream in streams {
            match stream.stopped().await {
                Ok(None) => {}
                Ok(Some(_)) => {
                    return Err(ConnError::PeerFraming { why: "it stopped a stream" });
                }
                Err(_) => return Err(self.gone()),
            }
        }
        Ok(())
    }

    fn start(&self, priority: u8, frame: Vec<u8>) -> Result<Start, ConnError> {
        if frame.len() > FRAME_BYTES_MAX {
            return Err(ConnError::LocalOversize { bytes: frame.len(), limit: FRAME_BYTES_MAX });
        }
        let mut lanes = self.lock();
        if let Some(e) = &lanes.failed {
            return Err(e.clone());
        }
        if lanes.finished {
            return Err(ConnError::LocalFinished);
        }
        if let Some(e) = self.control.close_reason() {
            return Err(e);
        }
        let lane = lanes.lanes.get_mut(usize::from(priority)).ok_or(ConnError::LocalPriority { priority })?;
        let stream = match std::mem::replace(&mut lane.state, LaneState::Busy) {
            LaneState::Busy => return Ok(Start::Busy(frame)),
            LaneState::Unopened => None,
            LaneState::Idle(stream) => Some(stream),
        };
        lane.taken += 1;
        let number = lane.taken;
        drop(lanes);

        // The task holds quinn's handle and not ours, so that a connection which everybody has
        // let go is closed although a frame still waits for the peer's window.
        let quic = self.control.quic().clone();
        let shared = self.shared.clone();
        tokio::spawn(async move {
            let outcome = write(&quic, stream, priority, &frame).await;
            {
                let mut lanes = shared.lock();
                match outcome {
                    Ok(stream) => {
                        let lane = &mut lanes.lanes[usize::from(priority)];
                        lane.accepted = number;
                        lane.state = LaneState::Idle(stream);
                    }
                    Err(e) => lanes.failed = Some(e),
                }
                lanes.freed += 1;
            }
            shared.free.notify_waiters();
        });
        Ok(Start::Taken { number })
    }

    fn lock(&self) -> MutexGuard<'_, Lanes> {
        self.shared.lock()
    }

    fn gone(&self) -> ConnError {
        self.control.close_reason().unwrap_or(ConnError::ClosedHere)
    }
}

impl Shared {
    /// Nothing here panics while holding the lock; a poisoned one is as good as any.
    fn lock(&self) -> MutexGuard<'_, Lanes> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until lanes became free more often than `seen`; how often that is.
    async fn freed(&self, seen: u64) -> u64 {
        loop {
            // Made before the look: it is woken by what happens in between.
            let free = self.free.notified();
            let freed = self.lock().freed;
            if freed != seen {
                return freed;
            }
            free.await;
        }
    }
}

enum Start {
    Taken { number: u64 },
    Busy(Vec<u8>),
}

async fn write(
    quic: &quinn::Connection,
    stream: Option<SendStream>,
    priority: u8,
    frame: &[u8],
) -> Result<SendStream, ConnError> {
    let joined = if frame.len() <= JOIN_BYTES_MAX { frame } else { &[] };
    let mut head = Vec::with_capacity(5 + joined.len());
    let mut stream = match stream {
        Some(stream) => stream,
        None => {
            let stream = quic.open_uni().await?;
            // quinn sends the greatest first.
            let _ = stream.set_priority(-i32::from(priority));
            head.push(priority);
            stream
        }
    };
    // Checked against FRAME_BYTES_MAX, which is far below.
    head.extend_from_slice(&(frame.len() as u32).to_le_bytes());
    head.extend_from_slice(joined);
    stream.write_all(&head).await.map_err(write_error)?;
    if joined.len() < frame.len() {
        stream.write_all(frame).await.map_err(write_error)?;
    }
    Ok(stream)
}

fn write_error(e: WriteError) -> ConnError {
    match e {
        WriteError::ConnectionLost(e) => e.into(),
        WriteError::Stopped(_) => ConnError::PeerFraming { why: "it stopped a stream" },
        WriteError::ClosedStream => ConnError::LocalFinished,
        WriteError::ZeroRttRejected => ConnError::Transport { why: e.to_string() },
    }
}
