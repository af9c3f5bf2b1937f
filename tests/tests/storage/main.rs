//! The power goes at every step: each script runs once on made-up disks, and every disk is then cut at every
//! write, sync and change of a name, three ways each, opened again and judged.
//!
//! It does not: wait, draw randomness, or touch the machine's disk. A run of its own, without the harness of
//! ordinary tests, so that what it did is always printed.
//!
//! Invariants: a failing point prints the one command that repeats it. `SAMPAN_CRASH_POINTS` is how many
//! points to look at, spread over the scripts (`all` for every one); `SAMPAN_CRASH_SEED` chooses them;
//! `SAMPAN_CRASH=script:step:way:seed` repeats one; names of scripts as arguments choose those.

mod check;
mod stage;
mod watched;
mod workloads;

use check::Point;
use sampan_core::testing::SeededRng;
use sampan_tests::disk::{Crash, Fault, Image, Model, Op};
use stage::Book;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;
use workloads::{ALL, Script};

/// Points of the ordinary run.
const POINTS: usize = 1_500;
/// One point in so many is played for real as well: the power goes while the script runs.
const ONE_LIVE_IN: u64 = 40;
/// And one in so many meets an error of the disk there, after which the program goes on.
const ONE_ERROR_IN: u64 = 20;
/// Failures of one script after which it is left alone.
const FAILURES_MAX: usize = 3;
/// Ways to lose what was not synced.
const WAYS: u64 = 3;

thread_local! {
    static WHERE: std::cell::RefCell<String> = const { std::cell::RefCell::new(String::new()) };
}

fn way(n: u64, seed: u64) -> Crash {
    match n % WAYS {
        0 => Crash::DropUnsynced,
        1 => Crash::RandomSubset(seed),
        _ => Crash::TornSector(seed),
    }
}

fn quietly<R>(f: impl FnOnce() -> R) -> Result<R, String> {
    catch_unwind(AssertUnwindSafe(f)).map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned())).unwrap_or_default();
        format!("{text} ({})", WHERE.with_borrow(String::clone))
    })
}

/// What one script came to.
#[derive(Default)]
struct Outcome {
    steps: usize,
    ran: usize,
    distinct: usize,
    live: usize,
    errors: usize,
    frames: u64,
    failures: Vec<String>,
}

#[derive(Clone, Copy)]
struct Chosen {
    /// Of all points of the script, from 0 to 1.
    share: f64,
    seed: u64,
    only: Option<(usize, u64, u64)>,
}

impl Chosen {
    /// The seed of a point that is to be looked at.
    fn seed(&self, script: u64, step: usize, n: u64) -> Option<u64> {
        let mut rng = SeededRng::new(self.seed ^ script << 32 ^ (step as u64) << 8 ^ n);
        let (chance, seed) = (rng.next_u64() as f64 / u64::MAX as f64, rng.next_u64());
        match self.only {
            Some((s, w, seed)) => ((s, w) == (step, n)).then_some(seed),
            None => (chance < self.share).then_some(seed),
        }
    }
}

fn seed_of(name: &str) -> u64 {
    // Small enough for the keys that are counted from it.
    u64::from(blake3::hash(name.as_bytes()).as_bytes()[0]) + 1_000
}

fn new_book(name: &str, rough: bool) -> Book {
    Book { seed: seed_of(name), rough, ..Book::default() }
}

fn play(name: &str, rough: bool, script: Script, chosen: Chosen) -> Outcome {
    let book = new_book(name, rough);
    let mut out = Outcome::default();
    if let Err(e) = quietly(|| script(&book)) {
        out.failures.push(format!("{name}: the script itself failed: {e}"));
        return out;
    }
    let ops = book.tape.take();
    let from = *book.from.borrow();
    (out.steps, out.frames) = (ops.len() - from, *book.frames.borrow());
    let mut models: BTreeMap<usize, Model> = BTreeMap::new();
    let mut played: BTreeMap<usize, u64> = BTreeMap::new();
    let mut looked_at = BTreeSet::new();
    let org = sampan_core::id::OrgId(sampan_core::log::device_id(&sampan_core::testing::test_key(book.seed * 1_000)).0);
    for (step, (subject, op)) in ops.iter().enumerate() {
        let model = models.entry(*subject).or_insert_with(|| Model::empty(rough));
        let mut points = Vec::new();
        if step >= from {
            points
                .extend((0..WAYS).filter_map(|n| chosen.seed(book.seed, step, n).map(|seed| (n, seed, way(n, seed)))));
        }
        // A sync that was cut has synced nothing yet; a write that was cut may have begun.
        let syncs = matches!(op, Op::Sync(..) | Op::SyncFolder);
        let earlier = |crash| syncs || crash == Crash::DropUnsynced;
        let before = points.iter().filter(|(.., c)| earlier(*c)).map(|(n, _, c)| (*n, model.after(*c)));
        let mut images: BTreeMap<u64, Image> = before.collect();
        model.play(op);
        let after = points.iter().filter(|(.., c)| !earlier(*c)).map(|(n, _, c)| (*n, model.after(*c)));
        images.extend(after);
        *played.entry(*subject).or_default() += 1;
        for (n, seed, crash) in points {
            out.ran += 1;
            let left = images.remove(&n).unwrap_or_default();
            let earlier = earlier(crash);
            let live = chosen.only.is_some() || SeededRng::new(seed).one_in(ONE_LIVE_IN);
            let repeat = format!("SAMPAN_CRASH={name}:{step}:{n}:{seed} cargo test -p sampan-tests --test storage");
            if looked_at.insert((*subject, print_of(&left), place_in(&book, *subject, step, &models))) {
                out.distinct += 1;
                let mut images: BTreeMap<usize, Image> = models.iter().map(|(s, m)| (*s, m.current())).collect();
                images.insert(*subject, left);
                let point = Point { book: &book, org, subject: *subject, step, images, seed };
                let done = quietly(|| point.check()).and_then(|r| r);
                if let Err(e) = done {
                    out.failures.push(format!(
                        "{name}: at step {step} of seat {subject} ({op_name}), {crash:?}: {e}\n    {repeat}",
                        op_name = name_of(op)
                    ));
                }
            }
            if live {
                out.live += 1;
                let fault = if earlier { Fault::PowerOffBefore } else { Fault::PowerOffAfter };
                let cut = (*subject, played[subject], fault);
                if let Err(e) = play_live(name, rough, script, cut, crash, org, seed) {
                    out.failures
                        .push(format!("{name}: live at step {step} of seat {subject}, {crash:?}: {e}\n    {repeat}"));
                }
            }
            if chosen.only.is_some() || SeededRng::new(seed ^ 1).one_in(ONE_ERROR_IN) {
                out.errors += 1;
                let fault = [Fault::IoError, Fault::Full, Fault::IoErrorForGood][(seed % 3) as usize];
                let cut = (*subject, played[subject], fault);
                if let Err(e) = play_error(name, rough, script, cut, org, seed) {
                    let what = format!("{name}: {fault:?} at step {step} of seat {subject}");
                    out.failures.push(format!("{what}: {e}\n    {repeat}"));
                }
            }
            if out.failures.len() >= FAILURES_MAX {
                return out;
            }
        }
    }
    out
}

/// The same for real: the script runs into the power cut, whatever it makes of the error.
fn play_live(
    name: &str,
    rough: bool,
    script: Script,
    cut: (usize, u64, Fault),
    crash: Crash,
    org: sampan_core::id::OrgId,
    seed: u64,
) -> Result<(), String> {
    let book = Book { cut: Some(cut), ..new_book(name, rough) };
    let ended = quietly(|| script(&book));
    let seats = book.seats.borrow().clone();
    let disk = seats.get(cut.0).map(|h| h.borrow().disk.clone()).ok_or("the seat was never taken")?;
    if !disk.is_off() {
        return Err(format!("the power never went: {ended:?}"));
    }
    for held in &seats {
        // Closing writes nothing on a disk without power; the others go on from what they see.
        let open = held.borrow_mut().store.take();
        if !held.borrow().disk.is_off() {
            held.borrow().disk.restart();
        }
        drop(open);
    }
    disk.crash(crash);
    let images = seats.iter().enumerate().map(|(n, h)| (n, h.borrow().disk.snapshot())).collect();
    let step = book.tape.len();
    quietly(|| Point { book: &book, org, subject: cut.0, step, images, seed }.check()).and_then(|r| r)
}

/// The disk fails and is well again: the open store holds what was confirmed, and so does the one opened next.
fn play_error(
    name: &str,
    rough: bool,
    script: Script,
    cut: (usize, u64, Fault),
    org: sampan_core::id::OrgId,
    seed: u64,
) -> Result<(), String> {
    let book = Book { cut: Some(cut), short: true, ..new_book(name, rough) };
    // Whether the script minds is its own affair: a checkpoint that fails is tried again another time.
    let ended = quietly(|| script(&book));
    if let Err(e) = ended
        && e.contains("before a sync")
    {
        return Err(e);
    }
    let seats = book.seats.borrow().clone();
    let disk = seats.get(cut.0).map(|h| h.borrow().disk.clone()).ok_or("the seat was never taken")?;
    disk.heal();
    let step = book.tape.len();
    let at_all = |images| Point { book: &book, org, subject: cut.0, step, images, seed };
    if let Some(open) = &seats[cut.0].borrow().store {
        quietly(|| at_all(BTreeMap::new()).check_open(open)).and_then(|r| r)?;
    }
    for held in &seats {
        let open = held.borrow_mut().store.take();
        drop(open);
        held.borrow().disk.restart();
    }
    let images = seats.iter().enumerate().map(|(n, h)| (n, h.borrow().disk.snapshot())).collect();
    quietly(|| at_all(images).check()).and_then(|r| r)
}

fn name_of(op: &Op) -> &'static str {
    match op {
        Op::Create(_) => "creation",
        Op::Write(..) => "write",
        Op::Cut(..) => "cut",
        Op::Sync(..) => "sync",
        Op::Delete(_) => "deletion",
        Op::Rename(..) => "move",
        Op::SyncFolder => "sync of the folder",
    }
}

fn print_of(image: &Image) -> [u8; 32] {
    let mut h = blake3::Hasher::new();
    for (name, bytes) in &image.files {
        h.update(name.as_bytes()).update(&(bytes.len() as u64).to_le_bytes()).update(bytes);
    }
    *h.finalize().as_bytes()
}

/// Everything that a point's judgement depends on besides the image: equal places need one look.
fn place_in(book: &Book, subject: usize, step: usize, models: &BTreeMap<usize, Model>) -> Vec<u64> {
    let seats = book.seats.borrow();
    let held = seats[subject].borrow();
    let mut out: Vec<u64> = vec![
        held.marks.iter().filter(|m| m.begun <= step).count() as u64,
        held.marks.iter().filter(|m| m.ended <= step).count() as u64,
        book.promises.borrow().iter().filter(|p| p.begun <= step).count() as u64,
        book.promises.borrow().iter().filter(|p| p.ended <= step).count() as u64,
        book.left.borrow().iter().filter(|l| l.at <= step).count() as u64,
    ];
    out.extend(models.iter().filter(|(s, _)| **s != subject).map(|(_, m)| m.steps()));
    out
}

fn only() -> Option<(String, usize, u64, u64)> {
    let text = std::env::var("SAMPAN_CRASH").ok()?;
    let mut parts = text.split(':');
    let name = parts.next()?.to_owned();
    Some((name, parts.next()?.parse().ok()?, parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args.iter().any(|a| a == "--list") {
        return;
    }
    let names: Vec<&String> = args.iter().filter(|a| !a.starts_with('-')).collect();
    std::panic::set_hook(Box::new(|info| {
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        WHERE.with_borrow_mut(|w| *w = place);
    }));
    let only = only();
    let wanted = std::env::var("SAMPAN_CRASH_POINTS").unwrap_or_default();
    let seed = std::env::var("SAMPAN_CRASH_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(1);
    let chosen: Vec<_> = ALL
        .iter()
        .filter(|(name, ..)| names.is_empty() || names.iter().any(|n| name.contains(n.as_str())))
        .filter(|(name, ..)| only.as_ref().is_none_or(|o| o.0 == *name))
        .collect();
    let points: Option<usize> = match wanted.as_str() {
        "all" => None,
        "" => Some(POINTS),
        n => Some(n.parse().unwrap_or_else(|_| panic!("SAMPAN_CRASH_POINTS is a number or 'all', not '{n}'"))),
    };
    let jobs = std::env::var("SAMPAN_CRASH_JOBS").ok().and_then(|s| s.parse().ok());
    let jobs: usize = jobs.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, |n| n.get()));
    let started = Instant::now();
    let next = AtomicUsize::new(0);
    let outcomes: Mutex<BTreeMap<&str, Outcome>> = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for _ in 0..jobs.clamp(1, chosen.len().max(1)) {
            scope.spawn(|| {
                while let Some((name, rough, script)) = chosen.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let began = Instant::now();
                    let each = points.map(|p| p.div_ceil(chosen.len()));
                    let share = |steps: usize| each.map_or(1.0, |e| e as f64 / (steps as f64 * WAYS as f64));
                    let steps = if each.is_some() { count(name, *rough, *script) } else { 1 };
                    let only = only.as_ref().map(|o| (o.1, o.2, o.3));
                    let out = play(name, *rough, *script, Chosen { share: share(steps.max(1)), seed, only });
                    let ms = began.elapsed().as_millis() as u64;
                    // Said at once: the long form takes its time.
                    println!("{}", line(name, &out, ms));
                    outcomes.lock().unwrap_or_else(|e| e.into_inner()).insert(name, out);
                }
            });
        }
    });
    let outcomes = outcomes.into_inner().unwrap_or_else(|e| e.into_inner());
    report(&outcomes, started.elapsed().as_secs_f64());
}

/// How many steps a script has.
fn count(name: &str, rough: bool, script: Script) -> usize {
    let book = new_book(name, rough);
    let _ = quietly(|| script(&book));
    book.tape.len() - *book.from.borrow()
}

fn line(name: &str, o: &Outcome, ms: u64) -> String {
    format!(
        "{name:28} {:5} steps {:6} points {:6} distinct {:4} live {:4} errors {:5} frames {ms:7} ms",
        o.steps, o.ran, o.distinct, o.live, o.errors, o.frames
    )
}

fn report(outcomes: &BTreeMap<&str, Outcome>, seconds: f64) {
    let mut all = Outcome::default();
    for o in outcomes.values() {
        all.steps += o.steps;
        all.ran += o.ran;
        all.distinct += o.distinct;
        all.live += o.live;
        all.errors += o.errors;
        all.frames += o.frames;
    }
    println!(
        "{} scripts, {} steps; {} crash points judged ({} distinct images, {} also live), {} errors of a disk, {} frames watched, {seconds:.1} s",
        outcomes.len(),
        all.steps,
        all.ran,
        all.distinct,
        all.live,
        all.errors,
        all.frames
    );
    let failures: Vec<&String> = outcomes.values().flat_map(|o| &o.failures).collect();
    for f in &failures {
        println!("FAILED {f}");
    }
    if !failures.is_empty() {
        std::process::exit(1);
    }
}
