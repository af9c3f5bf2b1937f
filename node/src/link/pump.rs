//! The pump: carries frames between one connection and its session at the desk.
//!
//! It does not: look into a frame.
//!
//! Invariants: a lane's frames keep their order; a frame waits here only while its lane is busy, and
//! the desk hands out at most a few a lane.

use super::pace::{Pace, minute_of_day};
use super::patience::Patience;
use crate::desk::{Desk, Outgoing, Port, SessionEnd, SessionState, Told};
use crate::net::{ConnError, Connection, Offer, PRIORITIES, code};
use sampan_core::sync::Role;
use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::Instant;

/// How long what is queued may take to leave before a closing link is cut.
const FLUSH_WITHIN: Duration = Duration::from_secs(5);

/// How long a link that is in step and still may go without asking: what the relay above says daily comes
/// with its answer, so that a quiet week does not look like a week without news.
const ASK_ANEW_EVERY: Duration = Duration::from_secs(6 * 3_600);

/// What is said of a link that was given up.
const GAVE_UP: &str = "the two ends did not become equal and nothing moved any more; a new link is tried";

/// How a link ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PumpEnd {
    /// The session's last state.
    pub state: SessionState,
    /// Why the transport ended, `None` when this side closed it.
    pub transport: Option<String>,
    /// UDP bytes sent and received.
    pub udp_bytes: (u64, u64),
    /// Whether this side, before it closed, waited until the peer's transport had acknowledged everything: a round trip.
    pub waited: bool,
}

/// Carries frames until the link or the session ends, or `stop` says so.
pub async fn pump(
    desk: &Desk,
    mut connection: Connection,
    role: Role,
    fallback: bool,
    mut stop: impl FnMut(&SessionState) -> bool,
) -> PumpEnd {
    let peer = connection.peer();
    // What is waited for now and then is boxed: of thousands of links each keeps room in its task for the largest.
    let Some(mut port) = Box::pin(desk.open(role, peer, fallback)).await else {
        connection.control.close(code::STOPPING, "this side is stopping");
        return PumpEnd { state: SessionState::default(), transport: None, udp_bytes: (0, 0), waited: false };
    };
    let Some(mut pace) = Box::pin(desk.call(|r| Pace::of(r.config()))).await else {
        connection.control.close(code::STOPPING, "this side is stopping");
        return PumpEnd { state: SessionState::default(), transport: None, udp_bytes: (0, 0), waited: false };
    };
    let mut queues: [VecDeque<Vec<u8>>; PRIORITIES] = Default::default();
    let mut closing: Option<(u32, String)> = None;
    let mut paced;
    let mut asked = Instant::now();
    let mut in_step_since = Instant::now();
    let mut patience = Patience::default();
    let (mut gave_up, mut waited) = (false, false);
    let transport = loop {
        match Box::pin(flush(desk, &mut connection, &port, &mut queues, &mut pace)).await {
            Ok(wait) => paced = wait,
            Err(e) => break Some(e),
        }
        let busy = queues.iter().any(|q| !q.is_empty());
        if let Some((code, reason)) = &closing
            && !busy
        {
            // The last frame must arrive before the close does, which overtakes streams. Where the peer has answered
            // the last one, waiting for its transport too would cost a round trip, and the delay of an acknowledgement.
            if !port.mail.state().heard {
                waited = true;
                let _ = Box::pin(connection.sender.finish(FLUSH_WITHIN)).await;
            }
            connection.control.close(*code, reason);
            break None;
        }
        tokio::select! {
            // A lower end that is not in step and hears nothing asks again: silence is never an answer.
            () = tokio::time::sleep_until(asked + patience.wait()), if role == Role::Lower && closing.is_none() => {
                asked = Instant::now();
                match in_silence(&port.mail.state(), &mut patience, &mut in_step_since) {
                    Silence::Wait => {}
                    Silence::Ask => Box::pin(desk.verify(port.id)).await,
                    Silence::GiveUp => {
                        connection.control.close(code::DONE, GAVE_UP);
                        gave_up = true;
                        break None;
                    }
                }
            }
            frame = connection.receiver.recv() => match frame {
                Ok(Some((lane, bytes))) => {
                    asked = Instant::now();
                    if !Box::pin(desk.frame(&port, lane, bytes)).await {
                        closing = Some((code::STOPPING, "this side is stopping".into()));
                    }
                }
                Ok(None) => break None,
                Err(e) => break Some(e),
            },
            told = port.mail.recv() => match told {
                Told::Do(Outgoing::Frame(lane, bytes)) => {
                    if let Some(queue) = queues.get_mut(usize::from(lane)) {
                        queue.push_back(bytes);
                    }
                }
                Told::Do(Outgoing::Close(code, reason)) => closing = Some((code, reason)),
                Told::State => {
                    if stop(&port.mail.state()) {
                        closing.get_or_insert((code::DONE, String::new()));
                    }
                }
                Told::Gone => closing = Some((code::STOPPING, "this side is stopping".into())),
            },
            () = connection.sender.freed(), if busy => {}
            () = tokio::time::sleep(paced.unwrap_or_default()), if paced.is_some() => {}
        }
    };
    // What the desk said before the end still counts: a refusal, say, that came with the close.
    Box::pin(drain(&mut connection, desk, &port)).await;
    Box::pin(desk.closed(port.id)).await;
    let state = port.mail.state();
    let stats = connection.control.stats();
    PumpEnd {
        state,
        transport: if gave_up { Some(GAVE_UP.to_owned()) } else { transport.map(|e| e.to_string()) },
        udp_bytes: (stats.udp_sent_bytes, stats.udp_received_bytes),
        waited,
    }
}

/// What a lower end does that has heard nothing for a while.
enum Silence {
    Wait,
    Ask,
    GiveUp,
}

fn in_silence(state: &SessionState, patience: &mut Patience, in_step_since: &mut Instant) -> Silence {
    if state.end.is_some() {
        return Silence::Wait;
    }
    if state.verified_at.is_some() {
        if in_step_since.elapsed() < ASK_ANEW_EVERY {
            return Silence::Wait;
        }
        *in_step_since = Instant::now();
        return Silence::Ask;
    }
    if patience.ask(state) { Silence::Ask } else { Silence::GiveUp }
}

/// Offers what is queued; how long the first frame that the pace holds back has to wait, if any.
async fn flush(
    desk: &Desk,
    connection: &mut Connection,
    port: &Port,
    queues: &mut [VecDeque<Vec<u8>>; PRIORITIES],
    pace: &mut Pace,
) -> Result<Option<Duration>, ConnError> {
    let mut held = None;
    for (lane, queue) in (0u8..).zip(queues.iter_mut()) {
        while let Some(bytes) = queue.pop_front() {
            if let Some(wait) = pace.wait(lane, Instant::now(), minute_of_day) {
                queue.push_front(bytes);
                held = Some(wait);
                break;
            }
            let size = bytes.len();
            match connection.sender.offer(lane, bytes)? {
                Offer::Taken => {
                    pace.spent(lane, size, Instant::now());
                    desk.sent(port.id, lane).await;
                }
                Offer::Busy(bytes) => {
                    queue.push_front(bytes);
                    break;
                }
            }
        }
        if queue.is_empty() {
            *queue = VecDeque::new();
        }
    }
    Ok(held)
}

/// Hands over what arrived before a close, and waits until the desk has taken it.
async fn drain(connection: &mut Connection, desk: &Desk, port: &Port) {
    while let Ok(Some((lane, bytes))) = connection.receiver.recv().await {
        if !desk.frame(port, lane, bytes).await {
            return;
        }
    }
    desk.settle(port.id).await;
}

/// Whether a session is done for one who only wanted to be in step.
#[must_use]
pub fn is_done(state: &SessionState) -> bool {
    state.end.is_some() || (state.verified_at.is_some() && state.settled)
}

/// A refusal's words, if that is what ended a session.
#[must_use]
pub fn refusal(end: &Option<SessionEnd>) -> Option<(sampan_core::wire::frame::RefuseCode, String)> {
    match end {
        Some(SessionEnd::Refused(sampan_core::sync::Event::Refused { code, text, .. })) => Some((*code, text.clone())),
        Some(SessionEnd::Refused(_) | SessionEnd::Redirect(_) | SessionEnd::NotVerified | SessionEnd::Failed(_))
        | None => None,
    }
}
