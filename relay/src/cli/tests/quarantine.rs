//! A stolen PC, by the commands: revoke, list, show, release, reject; commits are carried by hand.

use super::Office;
use sampan_core::charter::{Charter, Ticket};
use sampan_core::id::{Flow, SpaceId};
use sampan_core::store::{CommitKey, Store as _};
use sampan_core::value::Value;
use sampan_core::wire::frame::Group;
use sampan_node::cli::ExitCode;
use sampan_node::config::Settings;
use sampan_node::replica::Replica;
use std::collections::BTreeMap;

fn groups(of: &Replica, charter: bool) -> Vec<Group> {
    let rows = of.store.stored_after(CommitKey(0), 10_000).unwrap();
    let wanted = rows.into_iter().filter(|(log, _)| (log.space.flow == Flow::Charter) == charter);
    wanted.flat_map(|(log, row)| of.store.groups(&log.space, &[row.key]).unwrap()).collect()
}

fn take(to: &mut Replica, from: &Replica, groups: &[Group]) {
    let (bearer, now) = (from.device(), to.now());
    let Replica { store, engine, rng, .. } = to;
    let shared = |_: &Charter, _: &SpaceId| true;
    store.group(|s| engine.intake(s, rng, bearer, groups, &shared, now)).unwrap();
}

fn add(to: &mut Replica, name: &str) -> String {
    let members = to.schema().unwrap().collection("members").unwrap().clone();
    let unit = to.units()[0];
    let fields = BTreeMap::from([("full_name".to_owned(), Value::Str(name.to_owned()))]);
    let row = sampan_node::replica::ImportRecord { unit, fields, updates: None };
    let id = to.import(&members, vec![row]).unwrap()[0];
    to.seal().unwrap();
    id.to_string()
}

fn names(office: &Office) -> Vec<String> {
    let mut relay = Replica::open(&office.dir("city"), &Settings::default()).unwrap();
    relay.project().unwrap();
    drop(relay);
    let rows = office.json(&["list", "city", "members"]);
    rows.iter().map(|r| r["full_name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_stolen_pc_is_cut_off_and_what_was_right_is_released() {
    let office = Office::founded();
    office.ok(&["unit", "add", "city", "--name", "Chi bộ 1", "--kind", "branch"]);
    let line = office.ok(&["invite", "city", "--unit", "Chi bộ 1", "--role", "editor", "--holder", "Nguyễn Thị Hoa"]);
    let ticket = Ticket::decode(line.trim()).unwrap();
    let open = || Replica::open(&office.dir("city"), &Settings::default()).unwrap();
    let mut branch = Replica::join(&office.dir("branch"), &ticket, Settings::default()).unwrap();
    let chain = branch.engine.chains(&branch.store).unwrap();
    let mut relay = open();
    take(&mut relay, &branch, &chain);
    let charter = groups(&relay, true);
    take(&mut branch, &relay, &charter);
    add(&mut branch, "Nguyễn Văn An");
    take(&mut relay, &branch, &groups(&branch, false));
    drop(relay);
    assert_eq!(names(&office), ["Nguyễn Văn An"]);

    let device = branch.device().to_string();
    let done = office.json(&["revoke", "city", &device[..8], "--reason", "mất máy", "--lost"]);
    assert_eq!((&done[0]["kind"], &done[0]["logs"], &done[0]["revoked"]), (&"lost".into(), &1.into(), &true.into()));
    assert_eq!(names(&office), ["Nguyễn Văn An"], "what was there stays");

    // It writes on; somebody carries what it wrote.
    for name in ["Ghi trước khi mất", "Kẻ gian"] {
        add(&mut branch, name);
        let mut relay = open();
        take(&mut relay, &branch, &groups(&branch, false));
    }
    assert_eq!(names(&office), ["Nguyễn Văn An"], "nothing of it counts");
    let list = office.json(&["quarantine", "city", "list"]);
    assert_eq!(list.len(), 2);
    assert_eq!((&list[0]["device"], &list[0]["state"]), (&device.as_str().into(), &"waiting".into()));
    assert_eq!(list[0]["holder"], "Nguyễn Thị Hoa");
    assert_eq!(list[0]["reason"], "it lies outside a cut of its device");
    let (first, second) = (list[0]["commit"].as_str().unwrap(), list[1]["commit"].as_str().unwrap());
    assert_eq!(list[1]["needs"], serde_json::json!([first]));
    let shown = office.json(&["quarantine", "city", "show", &first[..10]]);
    assert_eq!(shown[0]["changes"][0]["fields"]["full_name"], "Ghi trước khi mất");
    assert!(office.ok(&["quarantine", "city", "show", first]).contains("Ghi trước khi mất"));

    // What is wrong changes nothing.
    for (words, code) in [
        (vec!["quarantine", "city", "release", second, "--reason", "x"], "needs_earlier"),
        (vec!["quarantine", "city", "release", "abcdef012345", "--reason", "x"], "unknown_commit"),
        (vec!["quarantine", "city", "show", &first[..3]], "unknown_commit"),
        (vec!["quarantine", "city", "release", first], "usage"),
    ] {
        let e = office.refused(&words);
        assert_eq!((e.exit, e.code), (ExitCode::BadInput, code), "{words:?}");
    }
    assert_eq!(office.json(&["quarantine", "city", "list"]), list);

    let done = office.json(&["quarantine", "city", "release", first, "--reason", "chị Hoa ghi"]);
    assert_eq!(done[0]["released"], serde_json::json!([first]));
    assert_eq!(names(&office), ["Ghi trước khi mất", "Nguyễn Văn An"]);
    office.ok(&["quarantine", "city", "reject", second, "--reason", "giả"]);
    assert!(office.json(&["quarantine", "city", "list"]).is_empty(), "a rejected one is not shown again");
    let all = office.json(&["quarantine", "city", "list", "--all"]);
    assert_eq!((all.len(), &all[0]["state"]), (1, &"rejected".into()), "and it is not deleted");
    assert_eq!(names(&office), ["Ghi trước khi mất", "Nguyễn Văn An"]);
    assert_eq!(office.out(&["verify", "city"]).0, ExitCode::Done);
}

#[test]
fn a_grant_is_narrowed_and_never_widened_and_a_cut_says_what_is_not_held_here() {
    let office = Office::founded();
    office.ok(&["unit", "add", "city", "--name", "Chi bộ 1", "--kind", "branch"]);
    let line = office.ok(&["invite", "city", "--unit", "Chi bộ 1", "--role", "editor", "--holder", "Nguyễn Thị Hoa"]);
    let ticket = Ticket::decode(line.trim()).unwrap();
    let branch = Replica::join(&office.dir("branch"), &ticket, Settings::default()).unwrap();
    let mut relay = Replica::open(&office.dir("city"), &Settings::default()).unwrap();
    take(&mut relay, &branch, &branch.engine.chains(&branch.store).unwrap());
    drop(relay);
    let device = branch.device().to_string();
    let rows = || {
        let rows = office.json(&["devices", "city"]);
        rows.into_iter().filter(|d| d["device"] == device.as_str()).collect::<Vec<_>>()
    };
    let before = rows();
    let narrow = |more: &[&'static str]| -> Vec<String> {
        let base = ["narrow", "city", &device[..10], "--unit", "Chi bộ 1", "--reason", "đổi việc"];
        base.iter().map(|s| (*s).to_owned()).chain(more.iter().map(|s| (*s).to_owned())).collect()
    };
    for (more, code) in [
        (vec![], "not_narrower"),
        (vec!["--role", "admin"], "not_narrower"),
        (vec!["--role", "editor"], "not_narrower"),
        (vec!["--role", "reader", "--collections", "members"], "not_narrower"),
        (vec!["--collections", "nothing"], "unknown_collection"),
        (vec!["--until", "2001-01-01"], "date_past"),
        (vec!["--until", "soon"], "bad_date"),
    ] {
        let words = narrow(&more);
        let e = office.refused(&words.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!((e.exit, e.code), (ExitCode::BadInput, code), "{words:?}");
    }
    assert_eq!(rows(), before, "nothing was written");
    let words = narrow(&["--collections", "members,meetings", "--until", "2999-12-31"]);
    let done = office.json(&words.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(
        (&done[0]["role"], &done[0]["collections"]),
        (&"editor".into(), &serde_json::json!(["meetings", "members"]))
    );
    let now = rows();
    assert_eq!((now.len(), &now[0]["holder"]), (1, &"Nguyễn Thị Hoa".into()), "{now:?}");
    assert!(now[0]["until"].as_str().is_some_and(|u| u.starts_with("2999-12-31")), "{now:?}");
    let words = narrow(&["--collections", "members,directives"]);
    assert_eq!(office.refused(&words.iter().map(String::as_str).collect::<Vec<_>>()).code, "not_narrower");
    let words = narrow(&["--role", "reader"]);
    office.ok(&words.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(rows()[0]["role"], "reader");
    // Minutes of a branch reach the district, and the city does not hold them.
    let done = office.json(&["revoke", "city", &device[..10], "--reason", "mất máy"]);
    assert_eq!(done[0]["not_held"], serde_json::json!(["meetings", "resolutions"]), "{done:?}");
    assert_eq!(office.out(&["verify", "city"]).0, ExitCode::Done);
}
