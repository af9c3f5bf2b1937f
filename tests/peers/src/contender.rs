//! What every contender can do, and what one measurement of it says.
//!
//! It does not: measure.

use crate::edits::Edits;
use std::time::Duration;

/// What one measurement cost.
#[derive(Debug, Clone, Default)]
pub struct Cost {
    /// From dialling to done.
    pub time: Duration,
    /// CPU of this process meanwhile: both ends.
    pub cpu: Duration,
    /// Payload of TCP or UDP, both ways; of messages where nothing is sent.
    pub bytes: Option<u64>,
    /// What else is worth a word.
    pub note: String,
}

/// Why a contender leaves a size: the limit was hit.
#[derive(Debug, Clone, Copy)]
pub struct Over(pub Duration);

/// One measurement.
pub type Done = Result<Cost, Over>;

/// Resident memory of a fresh process that received all records.
#[derive(Debug, Clone, Copy)]
pub struct Resident {
    /// With its runtime and node up, nothing received.
    pub before: u64,
    /// When everything has arrived.
    pub after: u64,
}

/// Sampan or a peer with all records at one end.
pub trait Contender {
    /// Its name in tables.
    fn name(&self) -> &'static str;
    /// First sync to a replica that is empty; the last of them stays as the other end.
    fn first(&mut self) -> Done;
    /// Reconnect with nothing changed since.
    fn nothing(&mut self) -> Done;
    /// Edits made while not connected (their time does not count), then a reconnect until the other end
    /// has them and both know that nothing else differs.
    fn monday(&mut self, edits: &Edits) -> Done;
    /// Edits over a link that is up, one after the other: each from the call to its arrival.
    fn live(&mut self, edits: &Edits) -> Result<Vec<Duration>, Over>;
    /// Memory of a receiving process.
    fn memory(&mut self) -> Result<Resident, Over>;
    /// Whether this contender can do a row.
    fn does(&self, _row: &str) -> bool {
        true
    }
}
