//! The engine of the ordinary tests: the corpus, then a bounded number of seeded inputs made from it.
//!
//! It does not: look at coverage (`cargo bolero` does) or write into the repository: a failing input is
//! left in the temporary folder, its name printed with the command that repeats it.
//!
//! Invariants: the same seed tries the same inputs in the same order, on every machine.

use bolero::bolero_engine::input::Bytes;
use bolero::bolero_engine::{driver, panic};
use bolero::{Engine, Test, TestTarget};
use sampan_core::testing::SeededRng;
use std::path::{Path, PathBuf};

/// Whether a fuzzer drives this process: then it brings the inputs.
pub fn guided() -> bool {
    ["CARGO_BOLERO_SELECT", "BOLERO_LIBFUZZER_ARGS"].iter().any(|name| std::env::var_os(name).is_some())
}

/// The folder of a target's corpus.
pub fn corpus(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(name)
}

/// Runs a target within bounds.
pub fn bounded(name: &'static str, times: u64, len_max: usize, check: fn(&[u8])) {
    TestTarget::new(Bounded { name, times, len_max }).for_each(check);
}

struct Bounded {
    name: &'static str,
    times: u64,
    len_max: usize,
}

fn setting(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Err(_) => default,
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name}={text}: a number is needed")),
    }
}

impl<T: Test> Engine<T> for Bounded
where
    T::Value: std::fmt::Debug,
{
    type Output = ();

    fn run(self, mut test: T, options: driver::Options) {
        panic::set_hook();
        let mut run = |what: &str, input: &[u8]| {
            // Panics that a target expects of Automerge are not shown.
            panic::forward_panic(false);
            let result = test.test(&mut Bytes::new(input, &options));
            panic::forward_panic(true);
            let Err(error) = result else { return };
            panic::forward_panic(false);
            let shrunk = test.shrink(input.to_vec(), None, &options);
            panic::forward_panic(true);
            self.fail(what, input, &error.to_string(), &shrunk.map(|s| format!("{s:#}")).unwrap_or_default());
        };
        if let Some(file) = std::env::var_os("SAMPAN_FUZZ_INPUT") {
            let bytes = std::fs::read(&file).unwrap_or_else(|e| panic!("{}: {e}", Path::new(&file).display()));
            run("the given input", &bytes);
            return;
        }
        let corpus = read_corpus(self.name);
        for (name, bytes) in &corpus {
            run(name, bytes);
        }
        let words = super::seeds::words(self.name);
        let seed = setting("SAMPAN_FUZZ_SEED", 1);
        let salt = self.name.bytes().fold(seed, |a, b| a.wrapping_mul(0x100_0000_01b3) ^ u64::from(b));
        let times = self.times * setting("SAMPAN_FUZZ_TIMES", 1);
        for n in 0..times {
            let mut rng = SeededRng::new(salt.wrapping_add(n.wrapping_mul(0x2545_f491_4f6c_dd1d)));
            let input = mutated(&mut rng, &corpus, &words, self.len_max);
            run(&format!("input {n} of seed {seed}"), &input);
        }
        if times > self.times {
            println!("{}: {} of the corpus and {times} inputs of seed {seed}", self.name, corpus.len());
        }
    }
}

impl Bounded {
    fn fail(&self, what: &str, input: &[u8], error: &str, shrunk: &str) -> ! {
        let hash = blake3::hash(input).to_hex();
        let file = std::env::temp_dir().join(format!("sampan-fuzz-{}-{}", self.name, &hash[..12]));
        let kept = std::fs::write(&file, input);
        panic!(
            "target {}, {what}: {error}\n{shrunk}\nrepeat: SAMPAN_FUZZ_INPUT={} cargo test -p sampan-tests --test fuzz {} -- --exact\n({kept:?}; once fixed, keep it as tests/tests/fuzz/corpus/{}/A-TELLING-NAME)",
            self.name,
            file.display(),
            self.name,
            self.name
        );
    }
}

/// The committed inputs by name.
pub fn read_corpus(name: &str) -> Vec<(String, Vec<u8>)> {
    let folder = corpus(name);
    let listed = std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut out: Vec<_> = listed
        .map(|f| f.unwrap_or_else(|e| panic!("{}: {e}", folder.display())).path())
        .map(|p| (p.file_name().unwrap_or_default().to_string_lossy().into_owned(), p))
        .map(|(name, p)| (name, std::fs::read(&p).unwrap_or_else(|e| panic!("{}: {e}", p.display()))))
        .collect();
    out.sort();
    out
}

const EDGES: [&[u8]; 14] = [
    &[0x00],
    &[0xff],
    &[0x7f],
    &[0x80],
    &[0x9f],
    &[0xf6],
    &[0x1b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
    &[0x9b, 0, 0, 0, 1, 0, 0, 0, 0],
    &[0xff, 0xff, 0xff, 0xff, 0x0f],
    &[0x80, 0x00],
    b"\"",
    b"\r\n",
    "đ".as_bytes(),
    &[0xef, 0xbb, 0xbf],
];

/// An input: mostly one of the corpus after a few edits, sometimes parts of two, sometimes noise.
fn mutated(rng: &mut SeededRng, corpus: &[(String, Vec<u8>)], words: &[Vec<u8>], len_max: usize) -> Vec<u8> {
    let at = |rng: &mut SeededRng, len: usize| rng.below(len as u64 + 1) as usize;
    let some = |rng: &mut SeededRng| match corpus {
        [] => Vec::new(),
        all => all[rng.below(all.len() as u64) as usize].1.clone(),
    };
    let mut out = match rng.below(16) {
        0 => (0..rng.below(200)).map(|_| rng.next_u64() as u8).collect(),
        1 | 2 => {
            let (a, b) = (some(rng), some(rng));
            let (to, from) = (at(rng, a.len()), at(rng, b.len()));
            [&a[..to], &b[from..]].concat()
        }
        _ => some(rng),
    };
    // One edit finds most; many find what needs several at once.
    for _ in 0..1 + rng.below(2) * rng.below(10) {
        let from = at(rng, out.len());
        let len = at(rng, 16.min(out.len() - from));
        match rng.below(11) {
            0 | 1 if from < out.len() => out[from] ^= 1 << rng.below(8),
            2 if from < out.len() => out[from] = rng.next_u64() as u8,
            3 => out.insert(from, rng.next_u64() as u8),
            4 => drop(out.drain(from..from + len)),
            5 => {
                let part = out[from..from + len].repeat(1 + rng.below(6) as usize);
                let to = at(rng, out.len());
                out.splice(to..to, part);
            }
            6 => {
                let edge = EDGES[rng.below(EDGES.len() as u64) as usize];
                out.splice(from..from, edge.iter().copied());
            }
            7 | 8 if !words.is_empty() => {
                let word = &words[rng.below(words.len() as u64) as usize];
                let to = if rng.one_in(2) { from } else { from + len };
                out.splice(from..to, word.iter().copied());
            }
            9 => {
                let other = some(rng);
                let (a, n) = (at(rng, other.len()), rng.below(64) as usize);
                let part = &other[a..(a + n).min(other.len())];
                out.splice(from..from, part.iter().copied());
            }
            10 if rng.one_in(4) => out.truncate(from),
            _ => out.extend((0..rng.below(9)).map(|_| rng.next_u64() as u8)),
        }
    }
    out.truncate(len_max);
    out
}
