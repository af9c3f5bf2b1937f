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
//! Beside each that has not answered stands since when the record could have been seen there. A relay notes, for each device
//! that it meets, the verified meetings at which something new had come down
//! ([`MEETINGS_KEPT_MAX`](crate::limits::MEETINGS_KEPT_MAX) of them): the first one after the record came tells *since* when.
//! Of units below another relay the unit's own sign of life tells when it last verified: if that relay held the record
//! before, the record was there *at the latest* then. What neither says is *not known*; *has not come there* means that the
//! unit, or the relay between, was met and did not hold it. What was met before this was noted, and where the oldest
//! meetings were dropped, is told later than it was, never earlier.
//!
//! # Freshness
//!
//! `sampan-relay silent DIR` lists who was not heard of; with `--sums` a line for each unit directly below adds up how many
//! units with a device are silent, the changes that they had not sent, disks with too little room, errors of the last link,
//! clocks that are off by ten minutes or more, and the versions that run. Signs of life are registers and come before
//! records, also where the records cannot come: unsent work at a branch is told at every level above, whether its link is too
//! thin to let it through or it lies in a quarantine. Every register of this kind goes all the way up, so a city adds up its
//! districts from what each device said, not from what the districts say of them. A sign of life is given when a link begins:
//! that the work has come since is seen by the relay that it came to, which tells those above it once an hour (register
//! `settled`: whose word is outdone).
//!
//! # Numbers, dates and names
//!
//! People write and read in their language, programs do not: JSON and files carry plain numbers and `YYYY-MM-DD`.
//!
//! | | Vietnamese | English |
//! | --- | --- | --- |
//! | thousands, decimals | `2.241`, `36,8` | `2,241`, `36.8` |
//! | dates | `30/11/2025`, `11/2025`, `2025` | `2025-11-30`, `2025-11`, `2025` |
//! | periods | `11/2025`, `quý 3/2025` | `2025-11`, `2025-Q3` |
//!
//! What is typed, and the cells of a csv file, is read by one rule. A form that leaves one reading is taken in either
//! language: `36,8`, `36.8`, `1.234.567,5`, `1 234`. One mark before three digits (`2.241`) leaves two. In a field of whole
//! numbers the language's own mark groups thousands, and the other's is asked back. In a field with decimals it is asked back,
//! unless the mark is the language's decimal mark and the field has three decimals or more: a number is never taken for
//! a thousandfold of what was meant. `export` writes a fourth decimal where three could be taken for thousands, so that
//! every language reads the file back. Dates are day before month in every language, with `/`, `.` or `-`. Times are
//! those of the clock on the wall. A year belongs into a date field: whole numbers are shown with their thousands grouped.
//!
//! Lists go by the title in Vietnamese order (a ă â b c d đ e ê …; no tone, grave, hook, tilde, acute, dot below; numbers by
//! their size). A collection with `person = "full_name"` is one of people: `list` and `export` go by the last word of
//! that field, the given name, first, then by the rest of the name; `list --json` goes by the title, as for any other
//! collection. The order is made of the rows that are shown, not in SQL.
//!
//! # The schema grows
//!
//! `sampan-relay schema check FILE [DIR]` names every error of a file with its line, and whether the file may follow the
//! schema of a folder: fields, choices, collections, metrics and lowest levels may be added, fields hidden, labels changed;
//! nothing is removed or retyped, and the version grows. `schema publish DIR FILE` does the same and publishes; it takes
//! an admin of the root unit, as the first device is, and any device that `root appoint` made one by the root key. `schema show
//! DIR [--source]` shows what is in force. The levels below follow when they sync; until then they go by the version that
//! they have, and say so where they are asked for what it does not know. A program that cannot read the version that was
//! published goes by the newest that it reads, keeps and carries the rest, and says `schema_newer` in `status`, `doctor` and
//! where a name is unknown; it publishes no version on top of one that it cannot read.
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
//! # Targets
//!
//! ```toml
//! [target]
//! of = "targets"                  # a collection of flow down, addressed
//! value = "value"                 # its number: int or decimal
//! period = "period"               # 2026, 2026-Q3
//! measured_by = "measured_by"     # a string: the metric that says what is reached
//! slice = "slice"                 # a string: the part of the metric that counts
//! part_of = "part_of"             # a ref: the target that it is a part of
//! by_hand = "results_reported"    # a metric by target, for targets that name none
//! ```
//!
//! A record sets its number for each unit that it is addressed to, which must lie below the unit that issued it; one that is
//! addressed to nobody is the issuer's own. Of several that set the same for one unit those of the nearest issuer count, and add
//! up; the row says how many records they are. *The same* is the same period, measure and slice: a slice is
//! `VALUE` or `FIELD=VALUE` (ids or labels, with or without diacritics), several joined by `;`, and names values of the
//! metric's dimensions. Slices are targets of their own: nothing adds them up to a whole, nor units to the unit above.
//!
//! What is **reached** is the metric's figure of the unit and all below: with `on`, of all its periods within that of the
//! target; without, as of now, or as a past period closed. `targets DIR --period 2026-Q3` shows each target that has the quarter
//! in it, as reached by its end. A target that names no metric is measured by what units report by hand: the sum of
//! what is reported for it and for those that are `part_of` it, as far as these are known here, so units report under the target
//! that came from the top, each under one. What cannot be measured says why (`no_metric`, `no_slice`, `no_period`,
//! `out_of_reach`) and is not zero.
//!
//! The **percent** is of the unit's own target. Where none was set for it, but for units below, it is of the sum of what was
//! handed down, each nearest to the unit, and says so (`over`). Above 100 % it is flagged. Coverage is that of the metric at its
//! last period that is shown. A level sees the targets that its own and higher levels set: what a district hands on, the city
//! does not see.
//!
//! # One page
//!
//! `report DIR --out FILE.html` puts targets with the units one level down, each metric by period, dimension and unit, the units
//! that have not reported, at a relay the silent ones with whom to call, and what some of those asked have not answered (by the
//! `[due]` rules with `answered_by`) on one page that needs nothing else: no script, no link, no font. Its pictures have
//! a title, a description and their numbers in tables beside them; nothing is told by colour alone; all that people typed is
//! escaped, and the page forbids itself to load anything. Its numbers are those of `targets` and `rollup`. `--period P` shows each
//! metric as of the end of P. The file takes the place of an older one of that name only when it is whole.
//!
//! # Whom to call
//!
//! `[contact]` (`of`, `where`, `name`, `phone`) names the records in which units say who answers for them.
//! `sampan-relay silent` puts these beside the units that were not heard of; where there is none, the holder of the
//! unit's device stands there.
