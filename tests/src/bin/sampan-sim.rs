//! `sampan-sim`: runs simulated worlds by hand. See `sampan_tests::sim`.
//!
//! It does not: touch real disks or networks.

use sampan_tests::sim::{Options, run};

fn main() {
    let seed = std::env::args().nth(1).and_then(|s| s.parse().ok()).unwrap_or(1);
    let n: u64 = std::env::args().nth(2).and_then(|s| s.parse().ok()).unwrap_or(1);
    for s in seed..seed + n {
        let began = std::time::Instant::now();
        let out = run(s, &Options { echo: std::env::var("ECHO").is_ok(), ..Options::default() });
        println!(
            "seed {s}: on {:?} fired {:?} {:?} {:.2?} trace {} broken {:#?}",
            out.on.iter().map(|k| k.word()).collect::<Vec<_>>(),
            out.fired,
            out.stats,
            began.elapsed(),
            &out.trace[..8],
            out.broken.iter().take(5).collect::<Vec<_>>()
        );
    }
}
