//! Tests of the commands on a replica in a throw-away folder, without a process.

mod exchange;
mod files;
mod imports;
mod relayed;

use super::join::{AfterJoin, join_with};
use super::*;
use crate::cli::args::{Cli, JoinArgs, TicketArgs};
use crate::cli::codes;
use crate::cli::output::Output;
use crate::cli::{run, usage};
use crate::config::Settings;
use crate::entropy::SystemEntropy;
use crate::keys::Secret;
use crate::replica::{Replica, ReplicaError, system_clock};
use sampan_core::charter::{Op, Roles};
use sampan_core::engine::InviteRequest;
use sampan_core::id::{RecordId, UnitId};
use sampan_core::store::{Batch, EntryAt, Store};
use serde_json::Value as Json;
use std::ffi::OsString;
use std::path::Path;

/// An organisation with a branch, in `dir/city`; a ticket for the branch.
fn city(dir: &Path) -> (String, String) {
    let root = Secret::draw(&mut SystemEntropy);
    let schema = sampan_core::schema::builtin();
    let path = dir.join("city");
    let mut line = String::new();
    Replica::create(&path, root.organisation(), Settings::default(), |store, engine, rng, _| {
        let now = system_clock()();
        let facts = (schema.version, schema.source.clone(), schema.levels.first().cloned());
        let unit = engine.found(store, rng, &root.signing_key(), "Thành phố", facts, now)?;
        let branch = UnitId([7; 16]);
        let op = Op::CreateUnit {
            unit: branch,
            name: "Chi bộ 1".into(),
            code: Some("P01".into()),
            kind: Some("branch".into()),
            since: now,
        };
        engine.write_charter(store, rng, unit, &[op], now)?;
        let request = InviteRequest {
            unit: branch,
            roles: Roles::EDITOR,
            subtree: false,
            holder: "x".into(),
            until: None,
            use_by: None,
            collections: None,
            replaces: None,
        };
        line = engine.invite(store, rng, &request, now)?.encode();
        Ok::<_, ReplicaError>((vec![unit], Vec::new()))
    })
    .unwrap();
    (path.display().to_string(), line)
}

fn arguments(parts: &[&str]) -> Vec<OsString> {
    std::iter::once("sampan").chain(parts.iter().copied()).map(OsString::from).collect()
}

/// Runs a command that must succeed; its stdout.
fn done(parts: &[&str]) -> String {
    let mut bytes = Vec::new();
    let exit = run(arguments(parts), &|_| None, &mut bytes);
    let text = String::from_utf8(bytes).unwrap();
    assert_eq!(exit, ExitCode::Done, "{parts:?}: {text}");
    text
}

fn json(parts: &[&str]) -> Json {
    serde_json::from_str(&done(&[parts, &["--json"]].concat())).unwrap()
}

/// The error that a command ends in.
fn refused(parts: &[&str]) -> CliError {
    with_app(parts, &mut |cli, app| dispatch(cli.command.as_ref().unwrap(), app)).unwrap_err()
}

fn with_app(
    parts: &[&str],
    f: &mut dyn FnMut(&Cli, &mut App) -> Result<ExitCode, CliError>,
) -> Result<ExitCode, CliError> {
    let mut sink = std::io::sink();
    let early = usage::peek(&arguments(parts), &|_| None);
    let mut app = App {
        program: "sampan",
        lang: early.lang,
        json: early.json,
        unit: None,
        out: Output::new(&mut sink),
        env: &|_| None,
    };
    let cli = usage::parse::<Cli>(arguments(parts), &mut app)?.unwrap();
    app.unit.clone_from(&cli.global.unit);
    f(&cli, &mut app)
}

#[test]
fn a_record_is_added_edited_removed_and_brought_back() {
    let dir = tempfile::tempdir().unwrap();
    let (d, _) = city(dir.path());
    let d = d.as_str();
    let added = done(&["add", d, "members", "full_name=Lê Thị Đào", "status=Dự bị", r#"rewards=["a"]"#]);
    let id = added.trim();
    assert_eq!(id.len(), 32, "{added}");
    let shown = json(&["show", d, &id[..8]]);
    assert_eq!((&shown["full_name"], &shown["status"]), (&"Lê Thị Đào".into(), &"candidate".into()));
    assert_eq!((&shown["phone"], &shown["_collection"]), (&Json::Null, &"members".into()));
    assert!(shown.get("id").is_none(), "hidden fields are shown only where they are set");
    for key in ["_unit", "_updated", "_author", "_id"] {
        assert!(shown[key].is_string(), "{key}: {shown}");
    }
    assert_eq!(
        (shown["_conflict"].clone(), shown["_delivered"].clone()),
        (serde_json::json!([]), serde_json::json!({}))
    );
    done(&["set", d, id, "phone=0912", "rewards+=b", "rewards+=c", "notes=Xin chào"]);
    assert_eq!(json(&["set", d, id, "phone=0912"])["changes"], 0);
    let history = json(&["show", d, id, "--history"])["history"].clone();
    let last = history.as_array().unwrap().last().unwrap();
    assert_eq!(last["fields"]["phone"], serde_json::json!({ "old": null, "new": "0912" }));
    assert_eq!(last["fields"]["rewards"]["new"], serde_json::json!(["a", "b", "c"]));
    done(&["remove", d, id]);
    assert_eq!(done(&["list", d, "members"]), "");
    assert_eq!(json(&["show", d, id])["_removed"], true);
    done(&["set", d, id, "_removed=false"]);
    assert!(done(&["list", d, "members", "--search", "le thi dao"]).contains("Lê Thị Đào"));
    let words = done(&["show", d, id, "--lang", "vi"]);
    assert!(words.contains("đã lưu tại đây ✓") && words.contains("Dự bị"), "{words}");
}

#[test]
fn an_import_is_whole_matches_and_places_rows() {
    let dir = tempfile::tempdir().unwrap();
    let (d, _) = city(dir.path());
    let d = d.as_str();
    let file = dir.path().join("m.csv");
    let f = file.to_str().unwrap();
    std::fs::write(&file, "full_name,card_number,_unit\nA,1,P01\nA,,P01\nA,,P01\nB,2,\n").unwrap();
    let first = json(&["add", d, "members", "--from", f]);
    let ids = first["records"].as_array().unwrap().clone();
    assert_eq!((ids.len(), first["skipped"].clone()), (4, Json::from(0)));
    assert_ne!(ids[1], ids[2], "two equal rows are two records");
    assert_eq!(done(&["list", d, "members", "--unit", "P01", "--json"]).lines().count(), 3);
    assert_eq!(
        done(&["list", d, "members", "--where", "_unit = P01 and card_number = 1", "--json"]).lines().count(),
        1
    );
    // The same card: an update; a wrong date, an unknown unit, no name: bad rows.
    let rows = "full_name,card_number,date_of_birth,_unit\nA2,1,,\nC,3,hôm qua,\nD,4,,P99\n,5,,\n";
    std::fs::write(&file, rows).unwrap();
    let e = refused(&["add", d, "members", "--from", f]);
    assert_eq!((e.code, e.details.len()), ("csv_bad_rows", 3), "{e:?}");
    assert_eq!(json(&["status", d])["records"], 4, "nothing was imported");
    let second = json(&["add", d, "members", "--from", f, "--skip-bad"]);
    assert_eq!((second["records"][0].clone(), second["skipped"].clone()), (ids[0].clone(), Json::from(3)));
    assert_eq!(json(&["show", d, ids[0].as_str().unwrap()])["full_name"], "A2");
    // A row whose match fields several records have.
    std::fs::write(&file, "full_name,card_number\nE,7\nE,7\n").unwrap();
    done(&["add", d, "members", "--from", f]);
    std::fs::write(&file, "full_name,card_number\nE,7\n").unwrap();
    let e = refused(&["add", d, "members", "--from", f, "--lang", "vi"]);
    assert!(e.details[0].contains("khớp với 2 hồ sơ"), "{e:?}");
}

#[test]
fn what_is_exported_is_read_back() {
    let dir = tempfile::tempdir().unwrap();
    let (d, _) = city(dir.path());
    let d = d.as_str();
    for name in ["full_name=Bùi; \"Bá\"", "full_name=An"] {
        done(&["add", d, "members", name, r#"rewards=["x; y","z"]"#, "date_of_birth=1950-03", "--unit", "Chi bộ 1"]);
    }
    let file = dir.path().join("out.csv");
    let f = file.to_str().unwrap();
    done(&["export", d, "members", f]);
    let before = done(&["list", d, "members", "--json"]);
    let again = json(&["add", d, "members", "--from", f]);
    assert_eq!(again["records"].as_array().unwrap().len(), 2);
    assert_eq!(done(&["list", d, "members", "--json"]), before, "an export that is read back changes nothing");
    assert_eq!(refused(&["export", d, "members", "x.pdf"]).code, "export_kind");
    assert_eq!(refused(&["export", d, "members", "/nowhere/at/all.csv"]).code, "file_unwritable");
}

#[test]
fn refusals_have_their_codes_and_the_nearest_names() {
    let dir = tempfile::tempdir().unwrap();
    let (d, _) = city(dir.path());
    let d = d.as_str();
    let id = done(&["add", d, "members", "full_name=An"]);
    let id = id.trim();
    let cases: [(&[&str], &str, ExitCode, &str); 16] = [
        (&["add", d, "membrs", "a=1"], "unknown_collection", ExitCode::BadInput, "'members'"),
        (&["add", d, "members", "fulname=A"], "unknown_field", ExitCode::BadInput, "'full_name'"),
        (&["add", d, "members", "Họ và tên=A"], "unknown_field", ExitCode::BadInput, "'full_name'"),
        (&["add", d, "members", "phone=1"], "required", ExitCode::BadInput, "field=value"),
        (&["set", d, id, "full_name="], "required", ExitCode::BadInput, "field=value"),
        (&["set", d, id, "status=oficial"], "unknown_choice", ExitCode::BadInput, "'official'"),
        (&["set", d, id, "date_of_birth=1950-13"], "bad_date", ExitCode::BadInput, "YYYY-MM"),
        (&["set", d, id, "updated_at=soon"], "bad_value", ExitCode::BadInput, "nothing was written"),
        (&["set", d, id, "phone+=1"], "bad_value", ExitCode::BadInput, "nothing was written"),
        (&["set", d, "ffffffffffffffffffffffffffffffff", "phone=1"], "unknown_record", ExitCode::BadInput, "list DIR"),
        (&["show", d, "An"], "unknown_record", ExitCode::BadInput, id),
        (&["list", d, "members", "--where", "status ! official"], "bad_expr", ExitCode::BadInput, "operators"),
        (&["list", d, "members", "--where", "stats = official"], "unknown_field", ExitCode::BadInput, "'status'"),
        (&["add", d, "members", "full_name=A", "--unit", "P02"], "unknown_unit", ExitCode::BadInput, "'P01'"),
        (&["resolve", d, id, "phone=1"], "not_in_conflict", ExitCode::BadInput, "conflicts"),
        (&["status", "/nowhere"], "dir_not_ours", ExitCode::BadInput, "join"),
    ];
    for (line, code, exit, hint) in cases {
        let e = refused(line);
        assert_eq!((e.code, e.exit), (code, exit), "{line:?}: {e:?}");
        assert!(e.hint.contains(hint), "{line:?}: {e:?}");
        assert!(!e.to_words().contains('{'), "{e:?}");
        let vi = refused(&[line, &["--lang", "vi"]].concat());
        assert!(vi.code == code && vi.message != e.message && vi.hint != e.hint, "{vi:?}");
        assert!(!vi.to_words().contains('{'), "{vi:?}");
    }
}

#[test]
fn status_verify_and_doctor_of_a_sound_replica() {
    let dir = tempfile::tempdir().unwrap();
    let (d, _) = city(dir.path());
    let d = d.as_str();
    done(&["add", d, "members", "full_name=An"]);
    let status = json(&["status", d]);
    let keys: Vec<&str> = status.as_object().unwrap().keys().map(String::as_str).collect();
    let wanted = [
        "beacon",
        "blocked",
        "built_on_cut",
        "bundles_waiting",
        "delivered",
        "device",
        "ended",
        "files_waiting",
        "files_waiting_bytes",
        "last_error",
        "news_from_above_at",
        "pending",
        "quarantined",
        "records",
        "schema_newer",
        "units",
        "unsent_changes",
        "verified_at",
        "ways",
        "withdrawn",
    ];
    assert_eq!(keys, wanted);
    assert_eq!((status["records"].clone(), status["unsent_changes"].clone()), (1.into(), 0.into()));
    let verified = json(&["verify", d]);
    assert!(verified["checked"].as_u64().unwrap() > 0, "{verified}");
    assert_eq!((verified["damaged"].clone(), verified["repaired"].clone()), (serde_json::json!([]), 0.into()));
    let health = json(&["doctor", d]);
    assert_eq!(health["ok"], true, "{health}");
    assert!(done(&["status", d, "--lang", "vi"]).contains("1 hồ sơ, đã lưu tại đây"));
}

#[test]
fn a_hole_that_nobody_asked_for_is_damage() {
    let dir = tempfile::tempdir().unwrap();
    let (city, _) = city(dir.path());
    let id = done(&["add", &city, "members", "full_name=Trần Thị Bình"]);
    assert_eq!(done(&["erase", &city, "--list"]).lines().count(), 1, "it says that there is nothing");
    let mut replica = Replica::open(Path::new(&city), &Settings::default()).unwrap();
    replica.seal().unwrap();
    assert_eq!(replica.verify().unwrap().damaged, []);
    let record = id.trim().parse::<RecordId>().unwrap();
    let state = replica.store.records(&[record]).unwrap().remove(0).unwrap();
    let entry = replica.store.entries(state.key.unwrap()).unwrap().remove(0);
    let EntryAt::Sealed(key, place) = entry.at else { panic!("{entry:?}") };
    let mut batch = Batch::at(replica.now());
    batch.holes = vec![(record, key, place)];
    batch.forgotten = vec![record];
    replica.store.write(&batch).unwrap();
    let damaged = replica.verify().unwrap().damaged;
    assert!(
        damaged.iter().any(|d| d.record == Some(record.to_string()) && d.what.contains("no erasure")),
        "{damaged:?}"
    );
}

#[test]
fn a_ticket_makes_a_branch_that_works_before_any_link() {
    let dir = tempfile::tempdir().unwrap();
    let (_, line) = city(dir.path());
    let branch = dir.path().join("branch").display().to_string();
    let joined = json(&["join", &branch, &line]);
    assert_eq!(joined["unit"], UnitId([7; 16]).to_string());
    let id = done(&["add", &branch, "members", "full_name=An"]);
    assert_eq!(json(&["status", &branch])["unsent_changes"], 1);
    let words = done(&["show", &branch, id.trim()]);
    assert!(words.contains("saved here ✓ · the level above ·"), "{words}");
    let status = done(&["status", &branch]);
    assert!(status.contains("1 changes not yet sent up") && status.contains("sampan sync DIR"), "{status}");
}

#[test]
fn tickets_that_cannot_be_used_write_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (d, line) = city(dir.path());
    let other = tempfile::tempdir().unwrap();
    let (_, foreign) = city(other.path());
    let new = dir.path().join("new").display().to_string();
    let mut altered = line.clone();
    let last = if altered.pop() == Some('a') { 'b' } else { 'a' };
    altered.push(last);
    let cut = &line[..line.len() / 2];
    for less in 1..20 {
        assert_eq!(refused(&["join", &d, &line[..line.len() - less]]).code, "ticket_cut", "{less} less");
    }
    let refused_with = |ticket: &str, into: &str| refused(&["join", into, ticket]);
    assert_eq!(refused_with("hello", &new).code, "ticket_not");
    assert_eq!(refused_with(&altered, &new).code, "ticket_altered");
    assert_eq!(refused_with(cut, &new).code, "ticket_cut");
    assert!(!Path::new(&new).exists());
    let e = refused_with(&foreign, &d);
    assert_eq!((e.code, e.exit), ("ticket_other_org", ExitCode::BadInput));
    let home = dir.path().join("home");
    std::fs::create_dir(&home).unwrap();
    std::fs::write(home.join("letter.txt"), "mine").unwrap();
    assert_eq!(refused_with(&line, home.to_str().unwrap()).code, "dir_foreign");
    assert_eq!(std::fs::read_dir(&home).unwrap().count(), 1);
}

#[test]
fn what_a_relay_refuses_leaves_the_folder_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let (d, line) = city(dir.path());
    let refuse = |into: &Path| {
        let args = {
            let ticket = TicketArgs { ticket: Some(line.clone()), file: None };
            JoinArgs { dir: into.to_owned(), ticket, timeout: 0 }
        };
        let mut ask =
            |_: &mut Replica, _, _: &App| Ok(AfterJoin::Refused { code: &codes::TICKET_USED, text: String::new() });
        with_app(&["status", "x"], &mut |_, app| join_with(&args, crate::config::Settings::default(), app, &mut ask))
            .unwrap_err()
    };
    let new = dir.path().join("new");
    assert_eq!(refuse(&new).exit, ExitCode::Refused);
    assert!(!new.exists());
    let empty = dir.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    refuse(&empty);
    assert_eq!(std::fs::read_dir(&empty).unwrap().count(), 0);
    let config = Path::new(&d).join("sampan.toml");
    let before = std::fs::read_to_string(&config).unwrap();
    refuse(Path::new(&d));
    assert_eq!(std::fs::read_to_string(&config).unwrap(), before);
    assert_eq!(json(&["status", &d])["units"].as_array().unwrap().len(), 1);
}

#[test]
fn the_language_of_the_config_yields_to_the_flag() {
    let dir = tempfile::tempdir().unwrap();
    let (d, _) = city(dir.path());
    let config = Path::new(&d).join("sampan.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, format!("lang = \"vi\"\n{text}")).unwrap();
    assert!(done(&["status", &d]).contains("hồ sơ"));
    assert!(done(&["status", &d, "--lang", "en"]).contains("records"));
}

#[test]
fn the_desk_merges_small_packs_when_it_is_quiet_and_when_it_ends() {
    let dir = tempfile::tempdir().unwrap();
    let (city, _) = city(dir.path());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let mut replica = Replica::open(Path::new(&city), &Settings::default()).unwrap();
    let unit = *replica.units().first().unwrap();
    let members = replica.schema().unwrap().collection("members").unwrap().clone();
    let add = |r: &mut Replica, n: usize| {
        let name = sampan_core::value::Value::Str(format!("Người {n}"));
        let id = r.add(&members, unit, [("full_name".to_owned(), name)].into()).unwrap();
        assert!(r.seal().unwrap() > 0);
        id
    };
    let ids: Vec<RecordId> = (0..40).map(|n| add(&mut replica, n)).collect();
    assert!(replica.store.merge_due().unwrap());
    let replica = runtime.block_on(async {
        let (desk, thread) = crate::desk::Desk::start(replica);
        // Each call is a turn of its own; between two of them the desk is quiet and goes one step.
        while desk.call(|r| r.store.merge_due().unwrap()).await.unwrap() {
            tokio::task::yield_now().await;
        }
        thread.stop().await.unwrap()
    });
    let mut replica = replica;
    for n in 40..80 {
        add(&mut replica, n);
    }
    let replica = runtime.block_on(async { crate::desk::Desk::start(replica).1.stop().await.unwrap() });
    assert!(!replica.store.merge_due().unwrap(), "what is left is too little");
    let report = replica.store.verify(&replica.store.org()).unwrap();
    assert_eq!(report.damaged, vec![]);
    drop(replica);
    let shown = json(&["show", &city, &ids[7].to_string()]);
    assert!(shown.to_string().contains("Người 7"), "{shown}");
    json(&["doctor", &city]);
}
