//! `sampan-proxy`: a bad link between two real nodes, for a person to try.
//!
//! It does not: end by itself; it prints what it carried, once a while, to stderr.
//!
//! Invariants: `ready ADDR` stands on stdout once it listens.

use sampan_tests::proxy::{Profile, Proxy};
use std::io::Write as _;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::process::ExitCode;
use std::time::Duration;

/// How often the counts are printed, if they changed.
const PRINT_EVERY: Duration = Duration::from_secs(5);

struct Args {
    profile: Profile,
    seed: u64,
    listen: SocketAddr,
    upstream: SocketAddr,
}

fn parse(mut words: impl Iterator<Item = String>) -> Result<Args, String> {
    let (mut profile, mut seed, mut faster, mut places) = (Profile::clean(), 1, 1, Vec::new());
    while let Some(word) = words.next() {
        let mut value = |of: &str| words.next().ok_or(format!("{of} needs a value"));
        match word.as_str() {
            "--profile" => {
                let name = value("--profile")?;
                profile = Profile::named(&name)
                    .ok_or(format!("no profile '{name}'; there are {}", Profile::NAMES.join(", ")))?;
            }
            "--seed" => seed = value("--seed")?.parse().map_err(|e| format!("--seed: {e}"))?,
            "--days-faster" => faster = value("--days-faster")?.parse().map_err(|e| format!("--days-faster: {e}"))?,
            _ => places.push(word),
        }
    }
    let [listen, upstream] = places.as_slice() else { return Err("LISTEN and UPSTREAM are needed".into()) };
    let address = |text: &str| {
        let found = text.to_socket_addrs().map_err(|e| format!("{text}: {e}"))?.next();
        found.ok_or(format!("{text}: no address"))
    };
    let profile = profile.days_faster(u32::max(faster, 1));
    Ok(Args { profile, seed, listen: address(listen)?, upstream: address(upstream)? })
}

fn main() -> ExitCode {
    let args = match parse(std::env::args().skip(1)) {
        Ok(args) => args,
        Err(why) => {
            eprintln!("{why}\nusage: sampan-proxy [--profile NAME] [--seed N] [--days-faster N] LISTEN UPSTREAM");
            eprintln!("profiles: {}", Profile::NAMES.join(", "));
            return ExitCode::from(2);
        }
    };
    let proxy = match Proxy::start_at(args.listen, args.profile, args.seed, args.upstream) {
        Ok(proxy) => proxy,
        Err(e) => {
            eprintln!("cannot listen on {}: {e}", args.listen);
            return ExitCode::FAILURE;
        }
    };
    println!("ready {}", proxy.listen());
    let _ = std::io::stdout().flush();
    let mut before = proxy.counts();
    loop {
        std::thread::sleep(PRINT_EVERY);
        let counts = proxy.counts();
        if counts != before {
            eprintln!("{counts}");
            before = counts;
        }
    }
}
