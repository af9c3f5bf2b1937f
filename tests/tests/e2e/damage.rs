//! Damage: one bit flipped in every column of every table is found and named, and the levels above heal
//! what was lost.

use crate::world::{World, database, sampan};
use rusqlite::Connection;
use rusqlite::types::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// A value with one bit flipped; `None` for one that holds nothing.
fn flipped(value: &Value, key: bool) -> Option<Value> {
    match value {
        // Far away, so that a key does not meet another.
        Value::Integer(n) => Some(Value::Integer(n ^ if key { 1 << 20 } else { 1 })),
        Value::Text(t) if !t.is_empty() => {
            let mut bytes = t.clone().into_bytes();
            let at = bytes.iter().position(u8::is_ascii).unwrap();
            bytes[at] ^= 1;
            Some(Value::Text(String::from_utf8(bytes).unwrap()))
        }
        Value::Blob(b) if !b.is_empty() => {
            let mut bytes = b.clone();
            let at = bytes.len() / 2;
            bytes[at] ^= 4;
            Some(Value::Blob(bytes))
        }
        Value::Null | Value::Real(_) | Value::Text(_) | Value::Blob(_) => None,
    }
}

/// Tables of the database, those of the search index left out.
fn tables(db: &Connection) -> Vec<String> {
    let sql = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'
        AND sql NOT LIKE 'CREATE VIRTUAL%' AND name NOT LIKE '\\_search\\_%' ESCAPE '\\' ORDER BY name";
    let mut q = db.prepare(sql).unwrap();
    q.query_map([], |r| r.get(0)).unwrap().map(Result::unwrap).collect()
}

/// The last row of a table that has something in a column.
fn row_of(db: &Connection, table: &str, column: &str) -> Option<(Vec<String>, Vec<Value>)> {
    let mut q = db.prepare(&format!("SELECT * FROM \"{table}\" WHERE \"{column}\" IS NOT NULL")).unwrap();
    let names: Vec<String> = q.column_names().into_iter().map(str::to_owned).collect();
    let n = names.len();
    let rows = q.query_map([], |r| (0..n).map(|i| r.get(i)).collect::<Result<Vec<Value>, _>>()).unwrap();
    rows.map(Result::unwrap).last().map(|row| (names, row))
}

fn set(db: &Connection, table: &str, names: &[String], row: &[Value], at: usize, new: &Value) -> bool {
    let same: Vec<String> = names.iter().enumerate().map(|(i, n)| format!("\"{n}\" IS ?{}", i + 2)).collect();
    let sql = format!("UPDATE \"{table}\" SET \"{}\" = ?1 WHERE {}", names[at], same.join(" AND "));
    let params = std::iter::once(new).chain(row);
    db.execute(&sql, rusqlite::params_from_iter(params)).unwrap() == 1
}

/// A branch with a bit of everything: sealed, unsealed, in conflict, acknowledged.
fn branch(w: &World) -> Vec<String> {
    let mut ids = vec![w.add("branch", "members", &["full_name=Nguyễn Văn An", "phone=1"])];
    ids.push(w.add("branch", "members", &["full_name=Trần Thị Bình", "notes=một hai ba"]));
    w.sync("branch");
    sampan(&["set", &w.path("branch"), &ids[0], "phone=2"]).ok();
    ids.push(w.add("branch", "members", &["full_name=Lê Chi"]));
    w.sync("branch");
    sampan(&["set", &w.path("branch"), &ids[1], "address=phố Huế"]).ok();
    ids
}

#[test]
fn one_bit_in_any_column_of_any_table_is_found_and_named() {
    let w = World::three_levels();
    branch(&w);
    let dir = w.path("branch");
    sampan(&["verify", &dir]).ok();
    let file = Path::new(&dir).join("store.db");
    let whole = fs::read(&file).unwrap();
    let db = database(&dir);
    let tables = tables(&db);
    let mut columns = Vec::new();
    for table in &tables {
        let q = db.prepare(&format!("SELECT * FROM \"{table}\"")).unwrap();
        columns.extend(q.column_names().into_iter().map(|c| (table.clone(), c.to_owned())));
    }
    drop(db);
    let (mut missed, mut found, mut misnamed) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
    for (table, column) in &columns {
        let db = database(&dir);
        let Some((names, row)) = row_of(&db, table, column) else { continue };
        let at = names.iter().position(|n| n == column).unwrap();
        let key: bool = db
            .query_row("SELECT pk > 0 FROM pragma_table_info(?1) WHERE name = ?2", [table, column], |r| r.get(0))
            .unwrap();
        let Some(new) = flipped(&row[at], key) else { continue };
        assert!(set(&db, table, &names, &row, at, &new), "{table}.{column}");
        drop(db);
        let out = sampan(&["verify", &dir, "--json"]);
        match out.code {
            0 => drop(missed.insert((table.as_str(), column.as_str()))),
            5 => {
                found.insert(table.as_str());
                let damaged = out.json()["damaged"].as_array().unwrap().clone();
                assert!(!damaged.is_empty(), "{table}.{column}");
                let own = |d: &serde_json::Value| d["table"] == table.as_str() || table == "_rows_members";
                if !damaged.iter().any(own) {
                    misnamed.push(format!("{table}.{column}: {damaged:?}"));
                }
            }
            _ => panic!("{table}.{column}: {out:?}"),
        }
        // The same file, so that the replica does not take it for a copy.
        for ending in ["-wal", "-shm"] {
            let _ = fs::remove_file(format!("{}{ending}", file.display()));
        }
        fs::write(&file, &whole).unwrap();
    }
    assert_eq!(missed, BTreeSet::new(), "not found; named otherwise: {misnamed:#?}");
    for table in tables.iter().filter(|t| !["quarantine", "dirty"].contains(&t.as_str())) {
        let empty = database(&dir).query_row(&format!("SELECT count(*) FROM \"{table}\""), [], |r| r.get(0));
        if empty != Ok(0) {
            assert!(found.contains(table.as_str()), "{table}");
        }
    }
    println!("named by a table beside their own: {misnamed:#?}");
    sampan(&["verify", &dir]).ok();
}

/// Flips a bit of a blob where it lies, by SQL.
fn harm(dir: &str, sql: &str) {
    let db = database(dir);
    assert!(db.execute(sql, []).unwrap() > 0, "{sql}");
}

#[test]
fn what_was_lost_comes_back_from_above_and_nothing_else_is_lost() {
    let w = World::three_levels();
    let ids = branch(&w);
    let dir = w.path("branch");
    let before = w.list("sampan", "branch", "members");
    // The first commit of the branch's records: all that follows in its log builds on it.
    harm(
        &dir,
        "UPDATE packs SET bytes = zeroblob(length(bytes)) WHERE id =
        (SELECT c.pack FROM commits c JOIN hist h ON h.at = c.key ORDER BY c.key LIMIT 1)",
    );
    let out = sampan(&["verify", &dir, "--json"]);
    assert_eq!(out.code, 5, "{out:?}");
    let damaged = out.json()["damaged"].clone();
    assert_eq!(damaged[0]["table"], "packs");
    assert!(damaged.as_array().unwrap().iter().any(|d| d["record"] == ids[0].as_str()), "{damaged}");
    assert_eq!(out.json()["repaired"], 0);
    assert!(out.stderr.contains("--repair"), "{out:?}");

    let out = sampan(&["verify", &dir, "--repair", "--json"]);
    assert_eq!(out.code, 4, "{out:?}");
    assert_eq!(out.json()["to_fetch"], 1);
    assert!(out.json()["waiting"].as_u64().unwrap() > 0, "{out:?}");
    sampan(&["verify", &dir]).ok();
    assert!(Path::new(&dir).join("store.db-damaged").exists(), "nothing was fetched yet");
    w.sync("branch");

    assert_eq!(w.list("sampan", "branch", "members"), before, "the unsealed edit as well");
    assert!(sampan(&["doctor", &dir]).stdout.contains("store.db-damaged"));
    sampan(&["verify", &dir]).ok();
    assert!(!Path::new(&dir).join("store.db-damaged").exists(), "in sync and sound: it is of no use any more");
    let status = sampan(&["status", &dir, "--json"]).ok().json();
    assert_eq!((&status["unsent_changes"], &status["quarantined"]), (&0.into(), &0.into()), "{status}");
    assert_eq!(w.field("sampan-relay", "district", &ids[1], "address"), "phố Huế");
    sampan(&["set", &dir, &ids[2], "phone=9"]).ok();
    w.sync("branch");
    assert_eq!(w.field("sampan-relay", "district", &ids[2], "phone"), "9");
}

#[test]
fn what_follows_from_commits_is_made_anew_without_anyone() {
    let w = World::three_levels();
    let ids = branch(&w);
    let dir = w.path("branch");
    let before = w.list("sampan", "branch", "members");
    for sql in [
        "UPDATE hist SET status = 2 WHERE at > 0",
        "UPDATE records SET max_op = max_op + 1",
        "UPDATE _rows_members SET phone = '777'",
        "UPDATE counts SET entries = entries + 1",
        "UPDATE meta SET value = x'0000' WHERE name = 'nonce'",
        "UPDATE logs SET forked = 1",
        "UPDATE info SET value = zeroblob(16) WHERE name = 'epoch'",
        "DELETE FROM tips",
        "UPDATE collections SET name = 'menbers' WHERE name = 'members'",
    ] {
        harm(&dir, sql);
        sampan(&["verify", &dir]).refused(5, "");
        let out = sampan(&["verify", &dir, "--repair", "--json"]);
        assert_eq!(out.code, 0, "{sql}: {out:?}");
        assert!(out.json()["repaired"].as_u64().unwrap() > 0, "{sql}");
        assert_eq!(w.list("sampan", "branch", "members"), before, "{sql}");
        sampan(&["verify", &dir]).ok();
    }
    w.sync("branch");
    assert_eq!(w.field("sampan-relay", "district", &ids[1], "address"), "phố Huế");
}

#[test]
fn doctor_says_what_to_do_about_it() {
    let w = World::three_levels();
    branch(&w);
    let dir = w.path("branch");
    let said = |name: &str| -> String {
        let out = sampan(&["doctor", &w.path(name)]);
        assert!(out.code <= 1, "{out:?}");
        out.stdout
    };
    let healthy = said("branch");
    assert!(
        healthy.contains("sound") && healthy.contains("free") && healthy.contains("passphrase DIR set"),
        "{healthy}"
    );
    sampan(&["backup", &dir, &w.path("b")]).ok();
    sampan(&["restore", &w.path("b"), &w.path("again")]).ok();
    let again = said("again");
    assert!(again.contains("restored backup") && again.contains("only one of the two"), "{again}");
    let vi = sampan(&["--lang", "vi", "doctor", &w.path("again")]).stdout;
    assert!(vi.contains("bản khôi phục"), "{vi}");
    harm(&dir, "UPDATE records SET damaged = 1");
    let hurt = said("branch");
    assert!(hurt.contains("verify DIR --repair"), "{hurt}");
    fs::write(w.path("words"), "con đò nhỏ bến sông").unwrap();
    sampan(&["passphrase", &w.path("again"), "set", "--passphrase-file", &w.path("words")]).ok();
    let locked = said("again");
    assert!(locked.contains("doctor DIR --passphrase-file") && !locked.contains("sound"), "{locked}");
    let opened = sampan(&["doctor", &w.path("again"), "--passphrase-file", &w.path("words")]).stdout;
    assert!(opened.contains("sound"), "{opened}");
}
