//! Figures: how they are declared, who computes them, how they travel, what coverage claims, how a period closes.
//!
//! # A metric
//!
//! ```toml
//! [metric.admissions]
//! label = { vi = "Kết nạp", en = "Admissions" }   # what people read; the name unless it is said
//! of = "members"              # the collection
//! op = "count"                # count, sum:FIELD, min:FIELD, max:FIELD, distinct:FIELD
//! where = "status != left"    # as in `list --where`
//! by = ["gender"]             # dimensions, at most METRIC_DIMENSIONS_MAX
//! period = "month"            # day, week, month, quarter, half, year
//! on = "admission_date"       # the date that puts a record into a period
//! reach = "root"              # the highest level that is shown the figure
//! expected = "branch"         # the level whose units must report; the lowest unless it is said
//! over = "target_admissions"  # a ratio: another metric, or sum:FIELD of the same records
//! ```
//!
//! - With `on` a record counts in the period of its date, and in `undated` where the date is not known well enough
//!   (a year is in no month): such records are shown, never dropped. Without `on` the figure is a *state*, as of now;
//!   what it was in an earlier period only a closing tells.
//! - Everything is exact, in whole numbers of the field's scale; sums are 128 bits wide.
//! - A dimension is of kind choice, bool, date or ref; where the figure travels no further than its records also
//!   string and int. Above the records a figure must not spell out what they say of a person.
//! - `distinct` is counted where the records are. It does not add up, and is refused where only figures would travel
//!   (hashes of names are names to whoever can guess them).
//! - A ratio names its denominator and shows it beside the percent; above 100 % it is flagged, never capped or
//!   hidden; with nothing to divide by there is no percent. Denominators of another period kind are those of the
//!   period in which the numerator's begins (a quarter over a year's target). Coverage in *persons* is a ratio over the
//!   persons expected (`op = "sum:attended"`, `over = "sum:expected"`).
//!
//! # Who computes
//!
//! Every replica keeps, beside its rows, two figures for each unit, metric, period and dimension: of the unit's own
//! records, and with those of all units below (tables `_figures`, `_figure_values`). They change in the transaction
//! that changes the row, by what the old row gave and the new one gives ([`Measure::of_row`](crate::rollup::Measure)):
//! an edit costs one update a level, whatever the number of records. A new schema makes them anew from the rows; a
//! unit that moves makes the sums anew from the units' own figures, so that it counts where it is now.
//!
//! Asked for a unit, a replica takes, in this order:
//!
//! 1. **what it holds**: a relay at or below the reach of the collection, or a device of the unit itself, uses its
//!    own figures. It is never behind what it holds;
//! 2. the **sum of a relay** of a child (register `sum/METRIC/YEAR`, [`Said`](crate::rollup::Said)): it takes the
//!    place of everything below that child;
//! 3. the **own figures of a unit** as one of its devices said them (`figure/METRIC/YEAR`): of several devices the
//!    one that has seen most commits of the unit speaks, then the later. Two devices of one unit never add up;
//! 4. and below a child without either, the same for its own children.
//!
//! So a unit counts once, whichever way its figure came. A register of figures goes to the next relay above and no
//! further, and only where that relay does not hold the records itself and is within the metric's reach; that relay
//! says its own sum to the next. Only a device with the `relay` right over a unit may say sums for it, only one with
//! `editor` or `relay` its own figures.
//!
//! A register holds the figures of one metric in one year (what is as of now, undated or too wide for a year lies under
//! no year), so that an edit today sends today's year. Beyond `FIGURES_SAID_MAX` figures nothing is said in part: the
//! register says that it is too large, `rollup` flags the row, and the unit does not count as one that reported.
//!
//! # What is not known here
//!
//! A figure of which nothing is known is no zero: `rollup` says *not known here*, in JSON `"value": null` with a `reason`,
//! and `targets` the problem `not_known`:
//!
//! | `reason` | |
//! | --- | --- |
//! | `in_sum` | it lies in the sum of a relay above it (`known_at`: its unit), which is all that came here; its coverage is that of the sum |
//! | `not_said` | nothing has been said of it here yet |
//! | `out_of_reach` | figures of the metric do not travel as far as this device |
//! | `too_large` | it was said to be too large to travel |
//! | `not_additive` | it was counted in parts, and numbers of different values do not add up |
//!
//! A sum of which some parts are known shows these, and its coverage says how many they are. `distinct` travels with its
//! records alone; where two parts of the tree were counted apart their whole is not known, never a sum. What is not known is
//! not closed (`figure_unknown`).
//!
//! # What coverage claims
//!
//! *Expected* are the units of the declared level in the tree as it is now. A unit *has reported* for a period when
//! something of it has arrived that was made since the period began:
//!
//! - a commit in its space of the collection's reach, here, by whoever wrote it (a grassroots office types for a
//!   branch without a PC);
//! - or its *report* ([`Report`](crate::rollup::Report)), which every device makes of what it holds of its units, once in
//!   each period (the shortest of any metric, else a month), and which goes up as far as heartbeats do: it says the
//!   digest of each space. It counts only where that is the digest of what is held here, so a report that runs ahead of
//!   its records claims nothing. This is how a unit with nothing to tell has told so;
//! - or, where only figures travel, the figure itself: a sum names the units that are in it.
//!
//! A figure as of now, of a metric without a period, counts whoever was ever heard of; with one, who was heard of in
//! the current period. `oldest_input_at` is the oldest of what those units last said. `--missing` lists the others by
//! name, with when they were last heard of and since when they are missing (since they exist, if never).
//!
//! # Closing a period
//!
//! `rollup DIR --metric M --close PERIOD` at the relay of a unit signs what stands, with its coverage, once the period
//! is over (register `closed/M/PERIOD`, [`Closing`](crate::rollup::Closing)). It is signed under counter 1 and no
//! other is taken, so that nothing takes its place; of two relays that close the same period the earlier stands, and
//! so does the earlier word of one relay that was put back to an old copy and closes it again.
//! Closings go all the way up within the metric's reach, and (protocol 5) down to the relays of their unit, so that one
//! that was put back, replaced or added knows what is closed. A change that arrives later changes the figure, and leaves a
//! line at every unit that had closed the period: what it was, what it became, when it was seen, whose change it was
//! and in which record (the record is named only where the records are). A `distinct` with dimensions has its whole in the
//! closing by itself, without dimensions; of closings made before that the whole is not known. Erasing a record takes its name, and its
//! author's, out of these lines.
//!
//! # The check
//!
//! `rollup DIR --check` opens every record from its changes as a document and counts all figures again in one pass
//! ([`recount`](crate::rollup::recount)), sharing nothing with the way above but the schema. A difference is exit 5,
//! with what is kept and what was counted.
//!
//! # What is not said
//!
//! Periods are cut in UTC. A relay whose sum stands while its children already dial another relay goes on speaking
//! for them until its right ends. A schema with metrics of this form is not read by versions before it.
