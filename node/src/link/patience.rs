//! How long a lower end waits for an equality that does not come.
//!
//! It does not: measure time; its callers ask in silence, every few seconds.
//!
//! Invariants: a link on which anything still moves is never given up.

use crate::desk::SessionState;
use std::time::Duration;

/// How long a lower end that is not in step waits in silence before it asks again: several round trips
/// of the slowest link.
pub const ASK_AGAIN_AFTER: Duration = Duration::from_secs(5);

/// Asking in vain this often, with nothing stored or sent in between, ends a link: four minutes. A new one
/// starts with fresh sessions at both ends, which is all that can still help.
const ASKS_MAX: u32 = 8;
/// How often the wait doubles from one vain question to the next.
const DOUBLINGS_MAX: u32 = 3;

/// The patience of one link.
#[derive(Debug, Clone, Copy, Default)]
pub struct Patience {
    asks: u32,
    moved: (u64, u64),
}

impl Patience {
    /// Asks once more; false when it is time to give the link up.
    pub fn ask(&mut self, state: &SessionState) -> bool {
        let moved = (state.stats.commits_sent, state.stats.commits_received);
        if moved != self.moved {
            *self = Self { asks: 0, moved };
        }
        self.asks += 1;
        self.asks <= ASKS_MAX
    }

    /// How long to wait in silence before the next question: [`ASK_AGAIN_AFTER`] at first, longer after
    /// vain ones.
    #[must_use]
    pub fn wait(&self) -> Duration {
        ASK_AGAIN_AFTER * 2_u32.pow(self.asks.min(DOUBLINGS_MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_on_which_nothing_moves_is_given_up_and_one_that_moves_is_not() {
        let mut patience = Patience::default();
        let mut state = SessionState::default();
        for _ in 0..ASKS_MAX {
            assert!(patience.ask(&state));
        }
        assert!(!patience.ask(&state));
        assert_eq!(patience.wait(), ASK_AGAIN_AFTER * 8);
        state.stats.commits_received = 1;
        assert!(patience.ask(&state), "something came");
        assert_eq!(patience.wait(), ASK_AGAIN_AFTER * 2);
    }
}
