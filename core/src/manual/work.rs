//! The work that flows: what a schema declares beyond fields, and what commands make of it.
//!
//! It does not: repeat a command's `--help`, or the forms of stored things ([`formats`](super::formats)).
//!
//! Invariants: nothing on this page is known to the engine by name; another schema (`examples/data/cooperative.toml`) has
//! other words and works the same.
//!
//! # Questions and answers
//!
//! A collection of flow `down` asks, one with `reply_to` answers. Its `ref` to the asking collection says which record
//! is answered, and the unit whose space it lies in is who answers; with `identity = ["directive", "_unit"]` two devices
//! of a unit write one answer, also when neither knows of the other. An answer without any other field is an answer: a
//! nil return. One that comes before what it answers is kept, and counts as soon as that is there.
//!
//! **Who is asked**: every unit below the one that issued the record. Where the asking collection has `addressed`, the
//! name of a set field, and the set is not empty, then only the units named in it (by code, id, path or name) and all
//! below them. A name that is no unit is refused at the keyboard.
//!
//! `replies DIR RECORD` lists the units that are asked, as far as this replica holds them (a relay: its own and all
//! below), those that have answered, and with `--missing` only those that have not.
//!
//! # What is due
//!
//! ```toml
//! [calendar]
//! rest = ["saturday", "sunday"]   # the default
//! holidays = "holidays"           # a collection, best of flow down
//! from = "starts"                 # its date fields …
//! until = "ends"
//! works = "worked"                # … and a bool: worked in exchange
//!
//! [due.probation_ends]            # a date in a record, and a time after it
//! of = "members"
//! where = "status = candidate"
//! date = "admission_date"
//! after = "12 months"             # N days | working days | months | years
//! on_rest = "next"                # stays (the default) | next | before
//!
//! [due.badge]                     # several: milestones
//! of = "members"
//! date = "admission_date"
//! after = ["30 years", "40 years"]
//! reached = "badge_years"         # an int: the last milestone that was reached
//!
//! [due.directive]                 # what a unit settles by an answer
//! of = "directives"
//! date = "due"
//! answered_by = "receipts"
//! answered_where = "studied = true"
//!
//! [due.quarterly_report]          # a record that every unit must have for each period
//! of = "reports"
//! each = "quarter"                # month | quarter | half | year
//! period = "period"               # 2026-11, 2026-Q4, 2026-H2, 2026
//! after = "5 working days"
//! since = "2026-01-01"
//! levels = ["branch"]
//! ```
//!
//! - A date that is known as a year or a month only is due at its end, and shown as it is known.
//! - A span of working days begins with the first working day after the date. Where two records speak of one day,
//!   *worked* wins. A holiday without a day, with its last day before its first, or longer than
//!   [`HOLIDAY_DAYS_MAX`](crate::limits::HOLIDAY_DAYS_MAX) days changes nothing and is told, and so is a year of which no holiday
//!   is known when working days were counted in it.
//! - Of milestones that have passed only the last is due, until `reached` says so.
//! - Periods are asked for back to [`DUE_PERIODS_BACK`](crate::limits::DUE_PERIODS_BACK) before the one that runs, never before
//!   `since` or before the unit was there.
//! - What a record makes due belongs to the unit that holds it; what is answered belongs to each unit that is asked.
//!
//! These rules are policy: a new version of a schema may change or drop them.
//!
//! # Whom to call
//!
//! `[contact]` (`of`, `where`, `name`, `phone`) names the records in which units say who answers for them.
//! `sampan-relay silent` puts these beside the units that were not heard of; where there is none, the holder of the
//! unit's device stands there.
