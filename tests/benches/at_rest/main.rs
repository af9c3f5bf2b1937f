//! What it costs to leave nothing on a disk: encryption of the database, and cleaning after an erasure.
//!
//! `cargo bench -p sampan-tests --bench at_rest -- scrub [RECORDS]`;
//! `cargo bench -p sampan-tests --features encryption --bench at_rest -- encryption [RECORDS]`;
//! with `wiped`, SQLCipher also locks and wipes all its memory.
//!
//! It does not: prove that nothing is left (the tests do), or compare machines.
//!
//! Invariants: encrypted and plain take turns in one run, with the same program and the same records.

use sampan_core::id::RecordId;
use sampan_node::replica::{ImportRecord, Replica};
use sampan_tests::city::found;
use std::path::Path;
use std::time::{Duration, Instant};

/// Records of an import at a time.
const STEP: usize = 5_000;

fn main() {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!("load of the machine before: {}", load.trim());
    let words: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    let records = words.iter().find_map(|w| w.parse().ok());
    let wanted = |row: &str| words.is_empty() || words.iter().any(|w| w == row);
    if wanted("scrub") {
        scrub(records.unwrap_or(50_000));
    }
    #[cfg(feature = "encryption")]
    if wanted("encryption") {
        if words.iter().any(|w| w == "wiped") {
            encryption::wipe_all_memory();
        }
        encryption::row(records.unwrap_or(3_000));
    }
}

/// Adds generated members at the root of a founded organisation, and seals them.
fn fill(replica: &mut Replica, n: usize) -> Vec<RecordId> {
    let collection = replica.collection("members").expect("the collection");
    let unit = replica.units()[0];
    let mut ids = Vec::new();
    let rows = sampan_tests::members::members(5, n);
    for rows in rows.chunks(STEP) {
        let rows = rows.iter().map(|f| ImportRecord { unit, fields: f.clone(), updates: None }).collect();
        ids.extend(replica.import(&collection, rows).expect("importing"));
        replica.seal().expect("sealing");
        replica.store.checkpoint().expect("a checkpoint");
    }
    replica.project().expect("projecting");
    ids
}

fn size(path: &Path) -> f64 {
    std::fs::metadata(path.join("store.db")).map_or(0.0, |m| m.len() as f64 / 1e6)
}

/// One record erased at a hub, and the disk cleaned after it.
fn scrub(n: usize) {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("hub");
    let mut replica = found(&path, "Thành phố");
    let ids = fill(&mut replica, n);
    let (unit, what) = replica.erasable(ids[n / 2]).expect("a record").expect("a record");
    let began = Instant::now();
    replica.erase(unit, what, "bench").expect("erasing");
    let erased = began.elapsed();
    let (done, stop) = std::sync::mpsc::channel::<()>();
    let other = path.clone();
    // Somebody else of this folder who wants to write all the while.
    let writer = std::thread::spawn(move || {
        let mut longest = Duration::ZERO;
        let conn = connection(&other);
        conn.busy_timeout(Duration::from_secs(600)).expect("a timeout");
        while stop.try_recv().is_err() {
            let began = Instant::now();
            conn.execute_batch("BEGIN IMMEDIATE; ROLLBACK").expect("a turn");
            longest = longest.max(began.elapsed());
            std::thread::sleep(Duration::from_millis(2));
        }
        longest
    });
    let began = Instant::now();
    while !replica.clean_erased().expect("cleaning") {}
    let cleaned = began.elapsed();
    done.send(()).expect("the writer");
    let waited = writer.join().expect("the writer");
    println!(
        "scrub: {n} records, {:.1} MB: erasing {erased:.2?}, cleaning {cleaned:.2?}; another writer waited {waited:.2?}",
        size(&path)
    );
}

fn connection(path: &Path) -> rusqlite::Connection {
    let conn = rusqlite::Connection::open(path.join("store.db")).expect("a database");
    #[cfg(feature = "encryption")]
    {
        let text = std::fs::read_to_string(path.join("keys/database.key")).expect("a key without a passphrase");
        let key = text.lines().nth(1).expect("its digits");
        conn.execute_batch(&format!("PRAGMA key = \"x'{key}'\"")).expect("keying");
    }
    conn
}

#[cfg(feature = "encryption")]
mod encryption {
    //! Encrypted beside plain.

    use super::*;
    use sampan_core::charter::Roles;
    use sampan_core::value::Edit;
    use sampan_node::config::Settings;
    use sampan_tests::city::{Branch, add_members, relay, ticket, unit};

    /// How often each of the two has its turn.
    const TURNS: usize = 5;
    /// Edits a turn.
    const EDITS: usize = 100;

    /// Has SQLCipher lock and wipe every buffer, in this whole process: what our program leaves off.
    pub fn wipe_all_memory() {
        let conn = rusqlite::Connection::open_in_memory().expect("a database");
        conn.execute_batch("PRAGMA key = 'k'; PRAGMA cipher_memory_security = ON").expect("the option");
    }

    /// First loads and edits of a branch's PC.
    pub fn row(n: usize) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        runtime.expect("a runtime").block_on(turns(n));
    }

    async fn turns(n: usize) {
        let dir = tempfile::tempdir().expect("a folder");
        let city = relay(found(&dir.path().join("city"), "Thành phố")).await;
        let desk = &city.daemon.desk;
        let root = desk.call(|r| r.engine.charter().root()).await.flatten().expect("an organisation");
        let branch = unit(desk, root, "Chi bộ 1", "branch").await;
        add_members(desk, branch, 5, n).await;
        let (mut loads, mut edits) = ([const { Vec::new() }; 2], [const { Vec::new() }; 2]);
        for turn in 0..TURNS * 2 {
            let encrypted = turn % 2;
            let path = dir.path().join(format!("pc{turn}"));
            let line = ticket(desk, branch, Roles::EDITOR).await;
            let decoded = sampan_core::charter::Ticket::decode(&line).expect("a ticket of ours");
            let joined = Replica::join(&path, &decoded, Settings::default()).expect("joining");
            drop(joined);
            if encrypted == 0 {
                decrypt(&path);
            }
            let replica = Replica::open(&path, &Settings::default()).expect("opening");
            assert_eq!(replica.store.is_encrypted(), encrypted == 1);
            let pc = Branch::of(replica);
            let began = Instant::now();
            pc.sync_ok().await;
            pc.desk.call(|r| r.project()).await.expect("a desk").expect("projecting");
            loads[encrypted].push(began.elapsed());
            let mut replica = pc.stop().await;
            let collection = replica.collection("members").expect("the collection");
            let shown = replica.list(&collection, None, None).expect("a list");
            assert_eq!(shown.len(), n);
            for (i, row) in shown.iter().step_by((n / EDITS).max(1)).take(EDITS).enumerate() {
                let value = sampan_core::value::Value::Str(format!("09{i:08}"));
                let began = Instant::now();
                replica.set(row.id, &[("phone".to_owned(), Edit::Set(value))]).expect("an edit");
                edits[encrypted].push(began.elapsed());
            }
            println!("turn {turn}: store {:.1} MB", size(&path));
        }
        for (what, times) in [("first load", loads), ("local edit", edits)] {
            let [plain, encrypted] = times.map(middle);
            let ratio = encrypted.as_secs_f64() / plain.as_secs_f64();
            println!("encryption: {what} of {n}: {ratio:.2} x plain ({encrypted:.2?} against {plain:.2?})");
        }
        city.daemon.stop().await;
    }

    fn middle(mut times: Vec<Duration>) -> Duration {
        times.sort();
        times[times.len() / 2]
    }

    /// The same folder as a program without encryption would have made it.
    fn decrypt(path: &Path) {
        let (store, plain) = (path.join("store.db"), path.join("plain.db"));
        let conn = connection(path);
        let head = |name: &str| conn.pragma_query_value(None, name, |r| r.get::<_, i64>(0)).expect("a number");
        let (id, version) = (head("application_id"), head("user_version"));
        conn.execute("ATTACH DATABASE ?1 AS plain KEY ''", [plain.to_str().expect("a path")]).expect("a file");
        conn.query_row("SELECT sqlcipher_export('plain')", [], |_| Ok(())).expect("an export");
        conn.execute_batch(&format!("PRAGMA plain.application_id = {id}; PRAGMA plain.user_version = {version}"))
            .expect("its head");
        drop(conn);
        std::fs::rename(plain, store).expect("the plain one");
        std::fs::remove_file(path.join("keys/database.key")).expect("no key");
    }
}
