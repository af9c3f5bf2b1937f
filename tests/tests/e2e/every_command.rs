//! Every command of both programs is given bad input once and more: the documented code and exit, a sentence to a
//! person, and not a row of the database or a file of the folder changed.
//!
//! It does not: show what the commands are for (each has its own tests), or try what needs a link (`bad_links`).
//!
//! A command that is new and has no row here is red.

use crate::world::{World, command, database, finish, relay, sampan};
use clap::CommandFactory as _;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// A command, what is bad about it, and what it must say: program, arguments, code. In the arguments `{d}` is a folder
/// of the program, `{r}` a member there, `{t}` where files can be, `{x}` a file that is not what it should be.
#[rustfmt::skip]
const BAD: &[(&str, &[&str], &str)] = &[
    ("sampan", &["join", "{t}/new", "hello"], "ticket_not"),
    ("sampan", &["join", "{t}/new", "@{t}/none"], "file_unreadable"),
    ("sampan", &["run", "{t}/none"], "dir_not_ours"),
    ("sampan", &["run", "{d}", "--web", "here"], "usage"),
    ("sampan", &["sync", "{d}", "--relay", "no address"], "bad_value"),
    ("sampan", &["sync", "{d}", "--timeout", "soon"], "usage"),
    ("sampan", &["add", "{d}", "member", "full_name=X"], "unknown_collection"),
    ("sampan", &["add", "{d}", "members", "full_nam=X"], "unknown_field"),
    ("sampan", &["add", "{d}", "members", "full_name=X", "date_of_birth=31/02/2000"], "bad_date"),
    ("sampan", &["add", "{d}", "members", "full_name=X", "status=nowhere"], "unknown_choice"),
    ("sampan", &["add", "{d}", "members", "--from", "{t}/none.csv"], "file_unreadable"),
    ("sampan", &["add", "{d}", "members", "--from", "{x}.xlsx"], "xlsx"),
    ("sampan", &["set", "{d}", "ffffffff", "full_name=X"], "unknown_record"),
    ("sampan", &["set", "{d}", "{r}", "full_name"], "usage"),
    ("sampan", &["set", "{d}", "{r}", "full_nam=X"], "unknown_field"),
    ("sampan", &["remove", "{d}", "ffffffff"], "unknown_record"),
    ("sampan", &["list", "{d}", "member"], "unknown_collection"),
    ("sampan", &["list", "{d}", "members", "--where", "full_name ="], "bad_expr"),
    ("sampan", &["show", "{d}", "ffffffff"], "unknown_record"),
    ("sampan", &["conflicts", "{t}/none"], "dir_not_ours"),
    ("sampan", &["resolve", "{d}", "{r}", "full_name=X"], "not_in_conflict"),
    ("sampan", &["erase", "{d}", "{r}", "--reason", "asked"], "no_right"),
    ("sampan", &["erase", "{d}", "{r}"], "usage"),
    ("sampan", &["export", "{d}", "member", "{t}/out.csv"], "unknown_collection"),
    ("sampan", &["export", "{d}", "members", "{t}/out.doc"], "export_kind"),
    ("sampan", &["due", "{d}", "--days", "-1"], "usage"),
    ("sampan", &["due", "{d}", "--on", "31/02/2026"], "bad_value"),
    ("sampan", &["replies", "{d}", "{r}"], "not_answered"),
    ("sampan", &["replies", "{d}", "ffffffff"], "unknown_record"),
    ("sampan", &["targets", "{d}", "--metric", "nothing"], "unknown_metric"),
    ("sampan", &["targets", "{d}", "--period", "2026-13"], "bad_period"),
    ("sampan", &["report", "{d}", "--out", "{t}/out.pdf"], "report_kind"),
    ("sampan", &["report", "{d}", "--out", "{t}/out.html", "--period", "never"], "bad_period"),
    ("sampan", &["attach", "{d}", "{r}", "full_name", "{x}"], "field_not_file"),
    ("sampan", &["attach", "{d}", "ffffffff", "file", "{x}"], "unknown_record"),
    ("sampan", &["fetch", "{d}", "{r}", "full_name", "{t}/out"], "field_not_file"),
    ("sampan", &["fetch", "{d}", "ffffffff", "file", "{t}/out"], "unknown_record"),
    ("sampan", &["status", "{t}/none"], "dir_not_ours"),
    ("sampan", &["rollup", "{d}", "--metric", "nothing"], "unknown_metric"),
    ("sampan", &["rollup", "{d}", "--period", "2026-13"], "bad_period"),
    ("sampan", &["rollup", "{d}", "--unit", "nowhere"], "unknown_unit"),
    ("sampan", &["rollup", "{d}", "--close", "2026"], "usage"),
    ("sampan", &["verify", "{t}/none"], "dir_not_ours"),
    ("sampan", &["verify", "--audit", "{x}"], "audit_not"),
    ("sampan", &["verify", "{d}", "--audit", "{x}"], "usage"),
    ("sampan", &["audit", "{d}", "{t}/out", "--record", "ffffffff"], "unknown_record"),
    ("sampan", &["audit", "{d}", "{t}/out", "--since", "soon"], "bad_date"),
    ("sampan", &["doctor", "{t}/none"], "dir_not_ours"),
    ("sampan", &["bundle", "create", "{d}", "{t}/out", "--for", "nowhere"], "unknown_unit"),
    ("sampan", &["bundle", "apply", "{d}", "{x}"], "bundle_not"),
    ("sampan", &["bundle", "inspect", "{d}", "{x}"], "bundle_not"),
    ("sampan", &["bundle", "waiting", "{d}", "--drop", "ffff"], "bundle_unknown"),
    ("sampan", &["passphrase", "{d}", "remove"], "passphrase_none"),
    ("sampan", &["passphrase", "{d}", "forget"], "usage"),
    ("sampan", &["recovery", "make", "{d}"], "passphrase_none"),
    ("sampan", &["recovery", "ask", "{d}", "{t}/out"], "passphrase_none"),
    ("sampan", &["recovery", "answer", "{d}", "{x}", "{t}/out", "--code", "1"], "recovery_not"),
    ("sampan", &["recovery", "finish", "{d}", "{x}"], "recovery_not"),
    ("sampan", &["encrypt", "{t}/none"], "dir_not_ours"),
    ("sampan", &["backup", "{d}", "{x}"], "file_exists"),
    ("sampan", &["backup", "{t}/none", "{t}/out"], "dir_not_ours"),
    ("sampan", &["restore", "{x}", "{t}/new"], "backup_not"),
    ("sampan", &["restore", "{t}/none", "{t}/new"], "file_unreadable"),
    ("sampan-relay", &["init", "{d}", "--org", "X"], "dir_taken"),
    ("sampan-relay", &["init", "{t}/new", "--org", "X", "--schema", "{x}"], "bad_schema"),
    ("sampan-relay", &["unit", "add", "{d}", "--name", "X", "--parent", "nowhere"], "unknown_unit"),
    ("sampan-relay", &["unit", "add", "{d}", "--from", "{t}/none.csv"], "file_unreadable"),
    ("sampan-relay", &["unit", "list", "{t}/none"], "dir_not_ours"),
    ("sampan-relay", &["unit", "rename", "{d}", "001", "X"], "later"),
    ("sampan-relay", &["unit", "move", "{d}", "001", "X"], "later"),
    ("sampan-relay", &["unit", "merge", "{d}", "001", "X"], "later"),
    ("sampan-relay", &["unit", "split", "{d}", "001", "X"], "later"),
    ("sampan-relay", &["unit", "dissolve", "{d}", "001"], "later"),
    ("sampan-relay", &["unit", "reorganise", "{d}", "{x}"], "later"),
    ("sampan-relay", &["root", "export", "{d}", "{x}"], "file_exists"),
    ("sampan-relay", &["root", "import", "{d}", "{x}"], "key_line"),
    ("sampan-relay", &["root", "succeed", "{d}", "--succession-key", "{x}"], "key_line"),
    ("sampan-relay", &["root", "appoint", "{d}", "--holder", ""], "usage"),
    ("sampan-relay", &["root", "show", "{t}/none"], "dir_not_ours"),
    ("sampan-relay", &["schema", "publish", "{d}", "{x}"], "bad_schema"),
    ("sampan-relay", &["schema", "check", "{x}"], "bad_schema"),
    ("sampan-relay", &["schema", "show", "{t}/none"], "dir_not_ours"),
    ("sampan-relay", &["invite", "{d}", "--unit", "nowhere", "--role", "editor", "--holder", "x"], "unknown_unit"),
    ("sampan-relay", &["invite", "{d}", "--unit", "001", "--role", "king", "--holder", "x"], "unknown_role"),
    ("sampan-relay", &["invite", "{d}", "--unit", "001", "--role", "editor", "--holder", "x", "--until", "soon"], "bad_date"),
    ("sampan-relay", &["join", "{t}/new", "hello"], "ticket_not"),
    ("sampan-relay", &["run", "{t}/none"], "dir_not_ours"),
    ("sampan-relay", &["sync", "{d}", "--relay", "no address"], "bad_value"),
    ("sampan-relay", &["devices", "{t}/none"], "dir_not_ours"),
    ("sampan-relay", &["revoke", "{d}", "ffff", "--reason", "lost"], "unknown_device"),
    ("sampan-relay", &["narrow", "{d}", "ffff", "--unit", "001", "--role", "reader", "--reason", "less"], "unknown_device"),
    ("sampan-relay", &["quarantine", "{t}/none", "list"], "dir_not_ours"),
    ("sampan-relay", &["quarantine", "{d}", "show", "ffff"], "unknown_commit"),
    ("sampan-relay", &["quarantine", "{d}", "release", "ffff", "--reason", "good"], "unknown_commit"),
    ("sampan-relay", &["quarantine", "{d}", "reject", "ffff", "--reason", "bad"], "unknown_commit"),
    ("sampan-relay", &["silent", "{d}", "--days", "many"], "usage"),
    ("sampan-relay", &["silent", "{t}/none"], "dir_not_ours"),
];

/// The words that lead to each command that does something.
fn leaves(command: &clap::Command, before: &[String], out: &mut BTreeSet<Vec<String>>) {
    let below: Vec<_> = command.get_subcommands().collect();
    if below.is_empty() {
        out.insert(before.to_vec());
    }
    for sub in below {
        let mut words = before.to_vec();
        words.push(sub.get_name().to_owned());
        leaves(sub, &words, out);
    }
}

/// Everything that lies in a folder: the rows of its database and the names and sizes of its other files.
fn inventory(dir: &str) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    let mut todo = vec![Path::new(dir).to_owned()];
    while let Some(folder) = todo.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                todo.push(path);
            } else if !name.starts_with("store.db") {
                out.insert(path.display().to_string(), format!("{:?}", std::fs::read(&path).unwrap()));
            }
        }
    }
    let db = database(dir);
    let mut tables =
        db.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND sql NOT LIKE '%VIRTUAL%'").unwrap();
    let tables: Vec<String> = tables.query_map([], |r| r.get(0)).unwrap().map(Result::unwrap).collect();
    for table in tables {
        let mut rows = db.prepare(&format!("SELECT * FROM \"{table}\"")).unwrap();
        let columns = rows.column_count();
        let mut all: Vec<String> = rows
            .query_map([], |r| {
                let values: Vec<rusqlite::types::Value> = (0..columns).map(|i| r.get_unwrap(i)).collect();
                Ok(format!("{values:?}"))
            })
            .unwrap()
            .map(Result::unwrap)
            .collect();
        all.sort();
        out.insert(table, all.join("\n"));
    }
    out
}

#[test]
fn bad_input_has_its_code_and_changes_nothing() {
    let mut w = World::three_levels();
    let branch = w.path("branch");
    let member = w.add("branch", "members", &["full_name=Nguyễn Văn An"]);
    w.sync("branch");
    drop((w.city_daemon.take(), w.district_daemon.take()));
    let solo = w.path("solo");
    relay(&["init", &solo, "--org", "Thành phố", "--listen", "127.0.0.1:0"]).ok();
    relay(&["unit", "add", &solo, "--name", "Chi bộ 1", "--code", "001", "--kind", "branch"]).ok();
    let files = w.path("files");
    std::fs::create_dir(&files).unwrap();
    let not_it = format!("{files}/not-it");
    std::fs::write(&not_it, "no such thing\n").unwrap();
    std::fs::write(format!("{not_it}.xlsx"), "PK").unwrap();
    // Opened once by each program, so that what only opening does has been done.
    sampan(&["status", &branch]).ok();
    relay(&["status", &solo]).ok();
    let before = (inventory(&branch), inventory(&solo));
    let beside = || std::fs::read_dir(&files).unwrap().count();

    let mut wrong = Vec::new();
    for (program, args, code) in BAD {
        let dir = if *program == "sampan" { &branch } else { &solo };
        let filled: Vec<String> = args
            .iter()
            .map(|a| a.replace("{d}", dir).replace("{r}", &member).replace("{t}", &files).replace("{x}", &not_it))
            .collect();
        let mut for_people: Vec<&str> = filled.iter().map(String::as_str).collect();
        let said = finish(command(program, &for_people));
        for_people.push("--json");
        let told = finish(command(program, &for_people));
        let error = told.stderr.lines().rev().find_map(|l| serde_json::from_str::<serde_json::Value>(l).ok());
        let got =
            error.as_ref().and_then(|e| e["error"]["code"].as_str().or_else(|| e["code"].as_str())).unwrap_or("none");
        let exit = sampan_node::cli::codes::ALL.iter().find(|c| c.name == got).map(|c| c.exit as i32);
        if got != *code || exit != Some(said.code) || said.code != told.code || said.stderr.trim().len() < 10 {
            wrong.push(format!("{program} {args:?}: {got} (exit {}), not {code}: {}", said.code, said.stderr.trim()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(beside(), 2, "a refused command wrote no file");
    for (dir, was) in [(&branch, &before.0), (&solo, &before.1)] {
        let now = inventory(dir);
        let differ: Vec<_> = was.keys().chain(now.keys()).filter(|k| was.get(*k) != now.get(*k)).collect();
        assert!(differ.is_empty(), "{dir}: {differ:?} changed");
    }
}

#[test]
fn no_command_goes_without_bad_input() {
    for (program, tree) in
        [("sampan", sampan_node::cli::args::Cli::command()), ("sampan-relay", sampan_relay::cli::args::Cli::command())]
    {
        let mut commands = BTreeSet::new();
        leaves(&tree, &[], &mut commands);
        // What both programs have is tried in one of them: it is the same code.
        let tried = |words: &[String]| {
            BAD.iter().any(|(p, args, _)| {
                let mut given = args.iter().filter(|a| !a.starts_with('{'));
                (*p == program || program == "sampan-relay") && words.iter().all(|w| given.any(|a| a == w))
            })
        };
        let untried: Vec<_> = commands.iter().filter(|words| !tried(words)).collect();
        assert!(untried.is_empty(), "{program}: no bad input is tried for {untried:?}");
    }
}
