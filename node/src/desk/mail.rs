//! What the desk has for one link: frames to send, and how its session stands.
//!
//! It does not: bound what waits (the table hands out at most a few frames a lane), or tell of a state that was
//! replaced before it was looked at.
//!
//! Invariants: what is to be done keeps its order, and is told before a state that was put in after it; who stops
//! waiting loses nothing; a link for which nothing waits keeps no queue. Tokio's channels have room for 32 messages from
//! the first on, and for eight groups of listeners: two kilobytes, of thousands of links that are quiet.

use super::{Outgoing, SessionState};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// What a link is told.
#[derive(Debug)]
pub enum Told {
    /// To do this.
    Do(Outgoing),
    /// That its session stands otherwise now.
    State,
    /// That the desk has done with it: once, and nothing after.
    Gone,
}

/// Both ends' share.
#[derive(Debug, Default)]
struct Mail {
    held: Mutex<Held>,
    /// One waits: the link.
    put: Notify,
}

#[derive(Debug, Default)]
struct Held {
    outgoing: VecDeque<Outgoing>,
    state: SessionState,
    /// The link has not been told of the state.
    changed: bool,
    /// The desk's end is gone, and the link has not been told.
    gone: bool,
}

impl Mail {
    /// Nothing here panics while holding the lock; a poisoned one is as good as any.
    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The two ends for a new link.
pub(super) fn mail() -> (MailIn, MailOut) {
    let mail = Arc::new(Mail::default());
    (MailIn(mail.clone()), MailOut(mail))
}

/// The desk's end; when it goes, the link is told.
#[derive(Debug)]
pub(super) struct MailIn(Arc<Mail>);

impl MailIn {
    /// Gives the link something to do; nobody does it when the link is gone.
    pub(super) fn put(&self, what: Outgoing) {
        self.0.lock().outgoing.push_back(what);
        self.0.put.notify_one();
    }

    /// Says how the session stands.
    pub(super) fn state(&self, state: SessionState) {
        {
            let mut held = self.0.lock();
            if held.state == state {
                return;
            }
            (held.state, held.changed) = (state, true);
        }
        self.0.put.notify_one();
    }
}

impl Drop for MailIn {
    fn drop(&mut self) {
        self.0.lock().gone = true;
        self.0.put.notify_one();
    }
}

/// The link's end.
#[derive(Debug)]
pub struct MailOut(Arc<Mail>);

impl MailOut {
    /// What comes next; waits for it. Nothing is lost if this is dropped while it waits.
    pub async fn recv(&mut self) -> Told {
        loop {
            if let Some(told) = self.take() {
                return told;
            }
            // What was put in since is remembered.
            self.0.put.notified().await;
        }
    }

    fn take(&mut self) -> Option<Told> {
        let mut held = self.0.lock();
        if let Some(what) = held.outgoing.pop_front() {
            if held.outgoing.is_empty() {
                held.outgoing = VecDeque::new();
            }
            Some(Told::Do(what))
        } else if std::mem::take(&mut held.changed) {
            Some(Told::State)
        } else {
            std::mem::take(&mut held.gone).then_some(Told::Gone)
        }
    }

    /// How the session stands now.
    #[must_use]
    pub fn state(&self) -> SessionState {
        self.0.lock().state.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use std::pin::pin;
    use std::task::Poll;

    fn frame(n: u8) -> Outgoing {
        Outgoing::Frame(n, vec![n])
    }

    fn state(words: &str) -> SessionState {
        SessionState { waits_for: words.to_owned(), ..SessionState::default() }
    }

    #[tokio::test]
    async fn what_is_to_be_done_comes_in_order_then_the_last_state_then_the_end() {
        let (desk, mut link) = mail();
        desk.put(frame(1));
        desk.state(state("a"));
        desk.put(frame(2));
        desk.state(state("b"));
        desk.state(state("b"));
        desk.put(Outgoing::Close(7, String::new()));
        drop(desk);
        for n in [1, 2] {
            assert!(matches!(link.recv().await, Told::Do(Outgoing::Frame(lane, _)) if lane == n));
        }
        assert!(matches!(link.recv().await, Told::Do(Outgoing::Close(7, _))));
        assert!(matches!(link.recv().await, Told::State));
        assert_eq!(link.state().waits_for, "b");
        assert!(matches!(link.recv().await, Told::Gone));
        let still = poll_fn(|cx| Poll::Ready(pin!(link.recv()).poll(cx).is_pending()));
        assert!(still.await, "the end is told once");
    }

    #[tokio::test]
    async fn a_state_that_is_the_same_is_not_told_and_who_stops_waiting_loses_nothing() {
        let (desk, mut link) = mail();
        desk.state(SessionState::default());
        let idle = poll_fn(|cx| Poll::Ready(pin!(link.recv()).poll(cx).is_pending()));
        assert!(idle.await);
        {
            // One who was woken, and is dropped before it looks.
            let mut waiting = Box::pin(link.recv());
            poll_fn(|cx| Poll::Ready(waiting.as_mut().poll(cx).is_pending())).await;
            desk.put(frame(3));
        }
        assert!(matches!(link.recv().await, Told::Do(Outgoing::Frame(3, _))));
    }

    #[tokio::test]
    async fn a_waiting_link_is_woken_from_another_thread() {
        let (desk, mut link) = mail();
        let link = tokio::spawn(async move { (link.recv().await, link.recv().await) });
        std::thread::spawn(move || desk.put(frame(5))).join().unwrap();
        assert!(matches!(link.await.unwrap(), (Told::Do(Outgoing::Frame(5, _)), Told::Gone)));
    }

    #[test]
    fn a_link_for_which_nothing_waits_keeps_no_queue() {
        let (desk, mut link) = mail();
        (0..9).for_each(|n| desk.put(frame(n)));
        while link.take().is_some() {}
        assert_eq!(desk.0.lock().outgoing.capacity(), 0);
    }
}
