//! The receiving half: whole frames of all lanes, the most urgent first.
//!
//! It does not: read ahead. A lane holds at most the frame it is reading; what nobody asks for
//! stays in QUIC's windows and holds the sender back.
//!
//! Invariants: order is kept within a priority and nowhere else; memory grows with the bytes that
//! came, never with a length announced; `recv` loses nothing if it is dropped half-way.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::{Context, Poll, ready};

use quinn::{ReadError, RecvStream, VarInt};
use sampan_core::limits::FRAME_BYTES_MAX;

use super::connection::{Control, code};
use super::error::ConnError;
use super::transport::PRIORITIES;

/// Bytes by which a frame's buffer grows.
const GROW_BYTES: usize = 64 << 10;

/// Receives frames.
#[derive(Debug)]
pub struct Receiver {
    control: Control,
    /// Open lanes, the most urgent first; those that have not said their priority before all.
    lanes: Vec<Lane>,
    /// A bit for each priority that the peer has opened.
    opened: u8,
}

#[derive(Debug)]
struct Lane {
    stream: RecvStream,
    priority: Option<u8>,
    head: [u8; 4],
    head_len: usize,
    body: Vec<u8>,
    body_len: usize,
}

/// What a lane, asked for progress, came to.
enum Step {
    Frame(u8, Vec<u8>),
    /// It said its priority.
    Named(u8),
    /// It was finished at the end of a frame.
    Ended,
}

enum Fault {
    /// The connection is gone; other lanes may still hold what came before.
    Lost(quinn::ConnectionError),
    Broken(ConnError),
}

impl Receiver {
    pub(super) fn new(control: Control) -> Self {
        Self { control, lanes: Vec::new(), opened: 0 }
    }

    /// The connection's other handle.
    #[must_use]
    pub fn control(&self) -> &Control {
        &self.control
    }

    /// The next frame and its priority; `None` after the peer closed with
    /// [`code::DONE`]. Frames that arrived before a close are given out before it is told.
    ///
    /// # Errors
    /// When the connection ends in any other way. A peer that breaks the framing is closed with
    /// [`code::FRAMING`] and the sentence that is returned here.
    pub async fn recv(&mut self) -> Result<Option<(u8, Vec<u8>)>, ConnError> {
        let quic = self.control.quic().clone();
        let mut accept = pin!(quic.accept_uni());
        let outcome = poll_fn(|cx| {
            loop {
                let lost = loop {
                    match accept.as_mut().poll(cx) {
                        Poll::Ready(Ok(stream)) => {
                            // There are a few at most: room for those that there are.
                            self.lanes.reserve_exact(1);
                            self.lanes.insert(0, Lane::new(stream));
                            accept.set(quic.accept_uni());
                        }
                        Poll::Ready(Err(e)) => {
                            accept.set(quic.accept_uni());
                            break Some(e);
                        }
                        Poll::Pending => break None,
                    }
                };
                match self.poll_lanes(cx) {
                    Poll::Ready(Ok(frame)) => return Poll::Ready(Ok(frame)),
                    // Streams may have come in between; with the loss known, look once more.
                    Poll::Ready(Err(Fault::Lost(_))) if lost.is_none() => {}
                    Poll::Ready(Err(fault)) => return Poll::Ready(Err(fault)),
                    Poll::Pending => match lost {
                        Some(e) => return Poll::Ready(Err(Fault::Lost(e))),
                        None => return Poll::Pending,
                    },
                }
            }
        })
        .await;
        match outcome {
            Ok(frame) => Ok(Some(frame)),
            Err(Fault::Lost(e)) => match self.control.error(e) {
                ConnError::ClosedByPeer { code: code::DONE, .. } => Ok(None),
                other => Err(other),
            },
            Err(Fault::Broken(e)) => {
                self.control.close(code::FRAMING, &e.to_string());
                Err(e)
            }
        }
    }

    fn poll_lanes(&mut self, cx: &mut Context<'_>) -> Poll<Result<(u8, Vec<u8>), Fault>> {
        let mut lost = None;
        let mut at = 0;
        while let Some(lane) = self.lanes.get_mut(at) {
            match lane.poll(cx) {
                Poll::Ready(Ok(Step::Frame(priority, frame))) => {
                    return Poll::Ready(Ok((priority, frame)));
                }
                Poll::Ready(Ok(Step::Named(priority))) => {
                    self.place(priority)?;
                    // It may now stand behind others that were not asked yet.
                    at = 0;
                }
                Poll::Ready(Ok(Step::Ended)) => {
                    self.lanes.remove(at);
                }
                Poll::Ready(Err(Fault::Lost(e))) => {
                    lost = Some(e);
                    at += 1;
                }
                Poll::Ready(Err(fault)) => return Poll::Ready(Err(fault)),
                Poll::Pending => at += 1,
            }
        }
        match lost {
            Some(e) => Poll::Ready(Err(Fault::Lost(e))),
            None => Poll::Pending,
        }
    }

    fn place(&mut self, priority: u8) -> Result<(), Fault> {
        let broken = |why| Fault::Broken(ConnError::PeerFraming { why });
        if usize::from(priority) >= PRIORITIES {
            return Err(broken("a stream names a priority that does not exist"));
        }
        if self.opened & (1 << priority) != 0 {
            return Err(broken("a second stream names the same priority"));
        }
        self.opened |= 1 << priority;
        self.lanes.sort_by_key(|l| l.priority);
        Ok(())
    }
}

impl Lane {
    fn new(stream: RecvStream) -> Self {
        Self { stream, priority: None, head: [0; 4], head_len: 0, body: Vec::new(), body_len: 0 }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Step, Fault>> {
        let broken = |why| Fault::Broken(ConnError::PeerFraming { why });
        let Some(priority) = self.priority else {
            let mut byte = [0];
            if ready!(read(&mut self.stream, cx, &mut byte))? == 0 {
                return Poll::Ready(Err(broken("a stream ended before it named its priority")));
            }
            self.priority = Some(byte[0]);
            return Poll::Ready(Ok(Step::Named(byte[0])));
        };
        while self.head_len < self.head.len() {
            match ready!(read(&mut self.stream, cx, &mut self.head[self.head_len..]))? {
                0 if self.head_len == 0 => return Poll::Ready(Ok(Step::Ended)),
                0 => return Poll::Ready(Err(broken("a stream ended inside a frame's length"))),
                n => self.head_len += n,
            }
        }
        let announced = u32::from_le_bytes(self.head);
        let len = announced as usize;
        if len > FRAME_BYTES_MAX {
            let e = ConnError::PeerOversize { priority, bytes: announced, limit: FRAME_BYTES_MAX };
            return Poll::Ready(Err(Fault::Broken(e)));
        }
        while self.body_len < len {
            if self.body.len() == self.body_len {
                self.body.resize(len.min(self.body_len + GROW_BYTES), 0);
            }
            match ready!(read(&mut self.stream, cx, &mut self.body[self.body_len..]))? {
                0 => return Poll::Ready(Err(broken("a stream ended inside a frame"))),
                n => self.body_len += n,
            }
        }
        self.head_len = 0;
        self.body_len = 0;
        Poll::Ready(Ok(Step::Frame(priority, std::mem::take(&mut self.body))))
    }
}

/// Reads into a buffer that is not empty; 0 is the end of the stream.
fn read(stream: &mut RecvStream, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<Result<usize, Fault>> {
    stream.poll_read(cx, buf).map_err(|e| match e {
        ReadError::ConnectionLost(e) => Fault::Lost(e),
        ReadError::Reset(VarInt { .. }) => Fault::Broken(ConnError::PeerFraming { why: "it reset a stream" }),
        ReadError::ClosedStream | ReadError::IllegalOrderedRead | ReadError::ZeroRttRejected => {
            Fault::Broken(ConnError::Transport { why: e.to_string() })
        }
    })
}
