//! A live edit over three links, daemons kept: branch, grassroots relay, district relay, city.
//!
//! It does not: found anything; the stores are watched through a second, read-only connection.

use crate::table::{Row, median, ms, percentile};
use sampan_core::id::RecordId;
use sampan_core::testing::SeededRng;
use sampan_core::value::{Edit, Value};
use sampan_node::desk::Desk;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Longer than an edit takes on any machine.
const ARRIVES_WITHIN: Duration = Duration::from_secs(60);

/// When each of some edits was in each store, from the moment when it was made.
///
/// # Errors
/// In words.
pub async fn edits(
    branch: &Desk,
    ids: &[RecordId],
    rows: &[BTreeMap<String, Value>],
    stores: &[PathBuf],
    n: usize,
) -> Result<Vec<Vec<Duration>>, String> {
    let mut rng = SeededRng::new(9);
    let mut hops: Vec<Vec<Duration>> = vec![Vec::new(); stores.len()];
    for i in 0..n {
        let at = i * 13 % ids.len();
        let (id, (name, value)) = (ids[at], crate::members::edit(&mut rng, &rows[at]));
        let mut watched = Vec::new();
        for path in stores {
            let last = last_commit(path)?;
            watched.push((last()?, last));
        }
        let began = Instant::now();
        let watchers: Vec<_> = watched
            .into_iter()
            .map(|(before, last)| {
                tokio::task::spawn_blocking(move || {
                    while last()? == before {
                        if began.elapsed() > ARRIVES_WITHIN {
                            return Err("an edit did not arrive".to_owned());
                        }
                        std::thread::sleep(Duration::from_micros(200));
                    }
                    Ok(began.elapsed())
                })
            })
            .collect();
        let edit = branch.call(move |r| r.set(id, &[(name, Edit::Set(value))]).map(|_| ()));
        edit.await.ok_or("the desk stopped")?.map_err(|e| e.to_string())?;
        for (hop, watcher) in hops.iter_mut().zip(watchers) {
            hop.push(watcher.await.map_err(|e| e.to_string())??);
        }
        // So that what follows an edit (acknowledgements, projection) does not meet the next.
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    Ok(hops)
}

/// The row of these edits, beside four one-row durable commits of bare SQLite.
#[must_use]
pub fn row(name: String, hops: &[Vec<Duration>], floor: Duration) -> Row {
    let of = |at: usize| hops.get(at).map(|h| (median(h.clone()), percentile(h.clone(), 0.95))).unwrap_or_default();
    let last = of(2);
    let mut row = Row::new(name)
        .ratio("four one-row durable commits", last.0.as_secs_f64(), 4.0 * floor.as_secs_f64())
        .goal("ms until the city's store has it", last.0.as_secs_f64() * 1_000.0, 30.0);
    for (at, name) in ["at the first relay", "at the second", "at the city"].into_iter().enumerate() {
        row = row.value(name, format!("{} ({})", ms(of(at).0), ms(of(at).1)));
    }
    row
}

/// Reads the number of a store's newest commit.
///
/// # Errors
/// In words, also of each reading.
pub fn last_commit(path: &Path) -> Result<impl Fn() -> Result<i64, String> + Send + use<>, String> {
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY | rusqlite::OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = rusqlite::Connection::open_with_flags(path, flags).map_err(|e| format!("{}: {e}", path.display()))?;
    Ok(move || {
        let find = conn.prepare_cached("SELECT coalesce(max(key), 0) FROM commits");
        find.and_then(|mut f| f.query_row([], |r| r.get(0))).map_err(|e| e.to_string())
    })
}

/// Waits until no store has taken a commit for a while.
///
/// # Errors
/// In words.
pub async fn settle(stores: &[PathBuf]) -> Result<(), String> {
    let read = || stores.iter().map(|s| last_commit(s)?()).collect::<Result<Vec<i64>, String>>();
    let mut before = read()?;
    loop {
        tokio::time::sleep(Duration::from_millis(2_500)).await;
        let now = read()?;
        if now == before {
            return Ok(());
        }
        before = now;
    }
}

/// One-row durable commits of bare SQLite.
///
/// # Errors
/// SQLite's.
pub fn sqlite_commits(path: &Path, change: &[u8], n: usize) -> rusqlite::Result<Vec<Duration>> {
    let conn = rusqlite::Connection::open(path)?;
    conn.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    conn.pragma_update(None, "synchronous", "FULL")?;
    conn.execute_batch("CREATE TABLE IF NOT EXISTS t (id INTEGER PRIMARY KEY, bytes BLOB NOT NULL)")?;
    let mut add = conn.prepare("INSERT INTO t (bytes) VALUES (?1)")?;
    (0..n)
        .map(|_| {
            let began = Instant::now();
            add.execute([change])?;
            Ok(began.elapsed())
        })
        .collect()
}
