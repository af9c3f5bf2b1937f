//! Canaries: planted bugs that the oracles of the simulated world must catch.
//!
//! It does not: plant anything by itself, or reach a release build: without the feature `testing` the
//! question is a constant `false`, and what hangs on it is compiled away.
//!
//! Invariants: the switch is of one thread, so that worlds beside each other do not share bugs; none
//! sings before it is planted, and none after its guard is gone.

#[cfg(any(test, feature = "testing"))]
pub use switch::{Planted, plant, sings};

/// A bug that can be planted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Canary {
    /// An acknowledgement leaves before what it speaks of is durable.
    AckBeforeDurable,
    /// Sealed commits leave before their transaction is durable.
    SealNotDurable,
    /// Intake does not ask whether the author of a commit has the right to write there.
    AuthorCheckSkipped,
    /// A frontier keeps one tip a log, whatever forks.
    TipsCollapsed,
    /// Data digests are compared, and "verified" said, while the charters differ.
    DigestsUnderUnequalCharters,
    /// Admission takes a change whose bytes are not the one canonical form.
    CanonicalCheckOff,
    /// A restored or cloned replica goes on under the actor of its twin.
    ActorKeptAfterRestore,
    /// A blocked change is stored, and counted in acknowledgements, as accepted.
    BlockedEntryTicked,
    /// An edit is reported as saved before it is durable.
    UnsealedEditLost,
    /// A session says verified at the first mark, whatever it says.
    VerifiedTooEarly,
    /// Registers and acknowledgements are never their turn.
    PriorityForgotten,
    /// Frontiers and digests hold commits of the quarantine.
    QuarantineInFrontier,
    /// What lies outside a cut goes on counting.
    CutIgnored,
    /// A bundle is taken in without a look at the hash and the signature at its end.
    BundleUnchecked,
    /// A relay's older beacon takes the place of the newer one that was remembered.
    BeaconGoesBack,
    /// A figure that is taken into another counts twice there.
    FigureCountedTwice,
    /// A sum names every unit below as one that has reported.
    SilentUnitClaimed,
    /// A chunk of a file is kept without a look at its hash.
    ChunkUnchecked,
}

impl Canary {
    /// All of them.
    pub const ALL: [Self; 18] = [
        Self::AckBeforeDurable,
        Self::SealNotDurable,
        Self::AuthorCheckSkipped,
        Self::TipsCollapsed,
        Self::DigestsUnderUnequalCharters,
        Self::CanonicalCheckOff,
        Self::ActorKeptAfterRestore,
        Self::BlockedEntryTicked,
        Self::UnsealedEditLost,
        Self::VerifiedTooEarly,
        Self::PriorityForgotten,
        Self::QuarantineInFrontier,
        Self::CutIgnored,
        Self::BundleUnchecked,
        Self::BeaconGoesBack,
        Self::FigureCountedTwice,
        Self::SilentUnitClaimed,
        Self::ChunkUnchecked,
    ];

    /// Its name on a command line and in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::AckBeforeDurable => "ack-before-durable",
            Self::SealNotDurable => "seal-not-durable",
            Self::AuthorCheckSkipped => "author-check-skipped",
            Self::TipsCollapsed => "tips-collapsed",
            Self::DigestsUnderUnequalCharters => "digests-under-unequal-charters",
            Self::CanonicalCheckOff => "canonical-check-off",
            Self::ActorKeptAfterRestore => "actor-kept-after-restore",
            Self::BlockedEntryTicked => "blocked-entry-ticked",
            Self::UnsealedEditLost => "unsealed-edit-lost",
            Self::VerifiedTooEarly => "verified-too-early",
            Self::PriorityForgotten => "priority-forgotten",
            Self::QuarantineInFrontier => "quarantine-in-frontier",
            Self::CutIgnored => "cut-ignored",
            Self::BundleUnchecked => "bundle-unchecked",
            Self::BeaconGoesBack => "beacon-goes-back",
            Self::FigureCountedTwice => "figure-counted-twice",
            Self::SilentUnitClaimed => "silent-unit-claimed",
            Self::ChunkUnchecked => "chunk-unchecked",
        }
    }

    /// The canary of a name; `None` if there is none.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|c| c.name() == name)
    }
}

/// Whether this bug is planted: never, in a build without the feature `testing`.
#[cfg(not(any(test, feature = "testing")))]
#[inline(always)]
#[must_use]
pub const fn sings(_: Canary) -> bool {
    false
}

#[cfg(any(test, feature = "testing"))]
mod switch {
    use super::Canary;
    use std::cell::Cell;
    use std::marker::PhantomData;

    thread_local! {
        /// One bit a canary.
        static SINGING: Cell<u32> = const { Cell::new(0) };
    }

    const fn bit(c: Canary) -> u32 {
        1 << c as u16
    }

    /// A planted canary; dropped, it is silent again.
    #[derive(Debug)]
    #[must_use = "a canary sings until this is dropped"]
    pub struct Planted {
        canary: Canary,
        before: bool,
        /// It must be dropped on the thread that planted it.
        _of_this_thread: PhantomData<*const ()>,
    }

    /// Plants a bug for this thread.
    pub fn plant(canary: Canary) -> Planted {
        let before = sings(canary);
        SINGING.set(SINGING.get() | bit(canary));
        Planted { canary, before, _of_this_thread: PhantomData }
    }

    impl Drop for Planted {
        fn drop(&mut self) {
            if !self.before {
                SINGING.set(SINGING.get() & !bit(self.canary));
            }
        }
    }

    /// Whether this bug is planted on this thread.
    #[inline]
    #[must_use]
    pub fn sings(canary: Canary) -> bool {
        SINGING.get() & bit(canary) != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn none_sings_unless_planted_and_only_while_it_is() {
        let singing = || Canary::ALL.into_iter().filter(|c| sings(*c)).collect::<Vec<_>>();
        assert_eq!(singing(), []);
        for c in Canary::ALL {
            let planted = plant(c);
            assert_eq!(singing(), [c]);
            drop(plant(c));
            assert_eq!(singing(), [c], "an inner guard does not take the outer one along");
            drop(planted);
            assert_eq!(singing(), []);
        }
        let (a, b) = (plant(Canary::TipsCollapsed), plant(Canary::PriorityForgotten));
        assert_eq!(singing(), [Canary::TipsCollapsed, Canary::PriorityForgotten]);
        drop((a, b));
    }

    #[test]
    fn names_are_distinct_and_lead_back() {
        for c in Canary::ALL {
            assert_eq!(Canary::from_name(c.name()), Some(c));
            assert_eq!(Canary::ALL[c as usize], c, "the list has the order of the enum");
        }
        assert_eq!(Canary::from_name("nightingale"), None);
    }
}
