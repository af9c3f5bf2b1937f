//! What is absent: core names no clock, file, thread, socket or unordered map, and each foreign library
//! stays in its room.
//!
//! It does not: read the code as a compiler does: lines are searched, comments and test modules left
//! out. Clippy's lists (`clippy.toml`) see through imports where this does not.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package lies in the workspace").to_owned()
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The packages that sampan-core may name. A new one needs a reason there and a line here.
const CORE_DEPENDENCIES: [&str; 14] = [
    "automerge",
    "blake3",
    "chacha20poly1305",
    "data-encoding",
    "ed25519-dalek",
    "minicbor",
    "serde",
    "serde_json",
    "sha2",
    "thiserror",
    "toml",
    "unicode-normalization",
    "x25519-dalek",
    "zeroize",
];

/// Packages that core must not even reach through others: they open sockets, files or threads, read
/// clocks, or need a C compiler.
const NEVER_BELOW_CORE: [&str; 14] = [
    "tokio",
    "mio",
    "socket2",
    "quinn",
    "rustls",
    "ring",
    "rusqlite",
    "libsqlite3-sys",
    "zstd",
    "zstd-sys",
    "rayon",
    "jiff",
    "chrono",
    "tempfile",
];

/// The names in one table of a manifest.
fn table(manifest: &str, name: &str) -> BTreeSet<String> {
    let head = format!("[{name}]");
    let lines = manifest.lines().skip_while(|l| l.trim() != head).skip(1);
    let lines = lines.take_while(|l| !l.starts_with('[')).map(|l| l.split('#').next().unwrap_or_default().trim());
    lines.filter_map(|l| l.split(['.', '=', ' ']).next()).filter(|n| !n.is_empty()).map(str::to_owned).collect()
}

#[test]
fn core_names_only_the_packages_on_its_list() {
    let manifest = read(&root().join("core/Cargo.toml"));
    let named = table(&manifest, "dependencies");
    let allowed: BTreeSet<String> = CORE_DEPENDENCIES.iter().map(|n| (*n).to_owned()).collect();
    assert_eq!(named, allowed, "core/Cargo.toml and the list in this test differ");
    assert!(!manifest.contains("[target.") && !manifest.contains("[build-dependencies"), "core is one for all targets");
}

/// One package of the lock file: name, and the names it depends on.
fn packages(lock: &str) -> Vec<(String, Vec<String>)> {
    let quoted = |l: &str| l.split('"').nth(1).map(|t| t.split(' ').next().unwrap_or_default().to_owned());
    let parts = lock.split("[[package]]").skip(1);
    parts
        .map(|p| {
            let name = p.lines().find(|l| l.starts_with("name = ")).and_then(quoted).unwrap_or_default();
            let needs = p.lines().skip_while(|l| !l.starts_with("dependencies")).skip(1);
            (name, needs.take_while(|l| *l != "]").filter_map(quoted).collect())
        })
        .collect()
}

#[test]
fn nothing_below_core_touches_the_world() {
    let packages = packages(&read(&root().join("Cargo.lock")));
    // The lock file lists dev-dependencies too; core's only one is left out at the start.
    let mut todo: Vec<String> = CORE_DEPENDENCIES.iter().map(|n| (*n).to_owned()).collect();
    let mut seen: BTreeSet<String> = BTreeSet::new();
    while let Some(name) = todo.pop() {
        if seen.insert(name.clone()) {
            todo.extend(packages.iter().filter(|(n, _)| *n == name).flat_map(|(_, needs)| needs.clone()));
        }
    }
    assert!(seen.len() > 40, "the lock file was not understood: only {seen:?}");
    let found: Vec<&String> = seen.iter().filter(|n| NEVER_BELOW_CORE.contains(&n.as_str())).collect();
    assert!(found.is_empty(), "below sampan-core lie {found:?}");
}

/// Every Rust file below a folder.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut out = Vec::new();
    let Ok(entries) = std::fs::read_dir(folder) else { return out };
    for entry in entries {
        let path = entry.unwrap_or_else(|e| panic!("{}: {e}", folder.display())).path();
        if path.is_dir() {
            out.extend(sources(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            out.push(path);
        }
    }
    out.sort();
    out
}

/// Whether a path is test code by its name.
fn is_test(path: &Path) -> bool {
    path.components().any(|c| c.as_os_str() == "tests" || c.as_os_str() == "tests.rs")
}

/// The lines that are code: without comments, and without what follows the opening of a test module.
fn code(text: &str) -> Vec<(usize, String)> {
    let mut out = Vec::new();
    let lines: Vec<&str> = text.lines().collect();
    for (i, line) in lines.iter().enumerate() {
        let next = lines.get(i + 1).copied().unwrap_or_default();
        if line.trim() == "#[cfg(test)]" && next.starts_with("mod ") && next.trim_end().ends_with('{') {
            break;
        }
        // A link in a string is cut off too, which hides nothing that matters here.
        out.push((i + 1, line.split("//").next().unwrap_or_default().to_owned()));
    }
    out
}

/// Whether a word stands in a line with no letter before it: `tokio` is not in `mytokio`.
fn names(line: &str, word: &str) -> bool {
    let ident = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let after = line[at + word.len()..].chars().next();
        let open = word.chars().last().is_some_and(ident);
        let inside = line[..at].chars().last().is_some_and(ident) || (open && after.is_some_and(ident));
        !inside
    })
}

/// Uses of `words` in the code below `folder`, outside the paths that may.
fn uses(folder: &str, words: &[&str], may: &[&str]) -> Vec<String> {
    let root = root();
    let mut found = Vec::new();
    for path in sources(&root.join(folder)) {
        let short = path.strip_prefix(&root).unwrap_or(&path).to_string_lossy().replace('\\', "/");
        if is_test(Path::new(&short)) || may.iter().any(|m| short.starts_with(m)) {
            continue;
        }
        for (at, line) in code(&read(&path)) {
            found.extend(words.iter().filter(|w| names(&line, w)).map(|w| format!("{short}:{at} names {w}")));
        }
    }
    found
}

fn none(found: Vec<String>, why: &str) {
    assert!(found.is_empty(), "{why}:\n{}", found.join("\n"));
}

#[test]
fn core_touches_nothing_outside() {
    let banned = [
        "std::time",
        "SystemTime",
        "Instant",
        "std::env",
        "std::fs",
        "std::thread",
        "std::net",
        "std::process",
        "std::io::stdin",
        "HashMap",
        "HashSet",
        "tokio",
        "println!",
        "eprintln!",
        "print!",
        "dbg!",
        "rusqlite",
        "quinn",
        "getrandom",
        "OsRng",
        "thread_rng",
    ];
    none(uses("core/src", &banned, &[]), "core is pure and its output never depends on an unordered map");
}

#[test]
fn automerge_stays_in_the_record_room() {
    none(uses("core/src", &["automerge"], &["core/src/record"]), "automerge is named only in core/src/record");
    none(uses("node/src", &["automerge"], &[]), "automerge is named only in core/src/record");
    none(uses("relay/src", &["automerge"], &[]), "automerge is named only in core/src/record");
}

#[test]
fn quinn_and_sql_stay_in_their_rooms() {
    let quic = ["quinn", "quinn_proto", "quinn_udp"];
    none(uses("node/src", &quic, &["node/src/net"]), "quinn is named only in node/src/net and relay");
    none(uses("relay/src", &["rusqlite"], &[]), "rusqlite is named only in node/src/store");
    none(
        uses("node/src", &["rusqlite", "rusqlite_migration"], &["node/src/store"]),
        "rusqlite is named only in node/src/store",
    );
    let sql =
        ["SELECT", "INSERT INTO", "INSERT OR", "DELETE FROM", "CREATE TABLE", "CREATE INDEX", "PRAGMA", "ALTER TABLE"];
    none(uses("node/src", &sql, &["node/src/store"]), "SQL stands only in node/src/store");
    none(uses("relay/src", &sql, &[]), "SQL stands only in node/src/store");
}

#[test]
fn the_search_finds_what_it_looks_for() {
    assert!(names("use std::time::Instant;", "std::time") && names("let x: HashMap<u8, u8>", "HashMap"));
    assert!(!names("let instants = 1", "Instant") && !names("MyInstant", "Instant") && !names("Instants", "Instant"));
    let text = "a\n// tokio\n#[cfg(test)]\nmod tests {\ntokio\n}";
    assert!(code(text).iter().all(|(_, l)| !l.contains("tokio")));
    assert!(!uses("core/src", &["automerge"], &[]).is_empty(), "core/src/record is searched");
}
