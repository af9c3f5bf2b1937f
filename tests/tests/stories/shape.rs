//! A hub and a district's relay over many units: what is said when nothing differs, and when one branch does.
//!
//! They do not: measure the shape of a whole city (`sampan-bench tree` does; the counts hardly grow with it).

use sampan_tests::long::tree::cases;
use sampan_tests::shape::{Counts, Shape};

/// Large enough that the hello cannot list every log, so that digests are compared from the top.
const SMALL: Counts = Counts { districts: 3, grassroots: 30, branches: 600 };

#[test]
fn one_branch_that_differs_is_found_in_few_round_trips_and_nothing_in_200_bytes() {
    let mut shape = Shape::found(9, SMALL);
    let mut seen = Vec::new();
    // The first two meetings of each bring every acknowledgement.
    let early = |name: &str| name.contains("first") || name.contains("the next");
    for case in cases(&mut shape).into_iter().filter(|c| !early(c.name)) {
        let (same, forgot) = (case.changes == (0, 0), case.name.contains("forgotten"));
        // Without a memory of the last meeting both say hello, compare from the top and pass all acknowledgements.
        let (bytes, bytes_max) = match (same, forgot) {
            (true, false) => (case.bytes(), 200),
            (true, true) => (case.bytes_of_finding(), 600),
            (false, false) => (case.bytes(), 2_048),
            (false, true) => (case.bytes_of_finding(), 8_192),
        };
        let trips_max = if same || !forgot { 1 } else { 4 };
        assert!(bytes <= bytes_max, "{}: {bytes} bytes, at most {bytes_max}: {:?}", case.name, case.frames);
        assert!(case.round_trips <= trips_max, "{}: {} round trips", case.name, case.round_trips);
        seen.push(case.name);
    }
    assert_eq!(seen.len(), 8, "{seen:?}");
}
