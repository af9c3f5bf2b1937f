//! `schema …`: the next version looked over, published, and followed below: real binaries.
//!
//! It does not: try every thing that may not change (`core/src/schema/evolve.rs` does).

use crate::world::{Daemon, World, command, finish, relay, sampan};
use sampan_core::charter::Op;
use sampan_node::config::Settings;
use sampan_node::replica::Replica;
use serde_json::json;
use std::fs;

/// The published schema as its next version, with something put in.
fn next(w: &World, version: u32, more: &str) -> String {
    let text = relay(&["schema", "show", &w.path("city"), "--source"]).ok().stdout;
    let was = text.lines().find(|l| l.starts_with("version = ")).unwrap().to_owned();
    let file = w.path(&format!("schema-{version}.toml"));
    fs::write(&file, text.replacen(&was, &format!("version = {version}"), 1) + "\n" + more).unwrap();
    file
}

#[test]
fn a_new_field_is_published_and_used_at_a_branch_after_it_synced() {
    let w = World::three_levels();
    let (city, branch) = (w.path("city"), w.path("branch"));
    let member = w.add("branch", "members", &["full_name=An"]);
    let more = "[collection.members.field.nickname]\nkind = \"string\"\nlabel = { vi = \"Tên gọi\", en = \"Nickname\" }\n\
                [collection.boats]\nflow = \"up\"\n[collection.boats.field.name]\nkind = \"string\"\n";
    let file = next(&w, 7, more);
    let checked = relay(&["schema", "check", &file, &city, "--json"]).ok().json();
    assert_eq!((&checked["version"], &checked["may_follow"]), (&json!(7), &json!(true)));
    let news = json!([{ "what": "collection", "where": "boats" }, { "what": "field", "where": "members.nickname" }]);
    assert_eq!(checked["news"], news);
    assert_eq!(relay(&["schema", "show", &city, "--json"]).ok().json()["version"], 2, "checking changes nothing");
    let told = relay(&["schema", "publish", &city, &file]).ok();
    assert!(told.stdout.contains("new field members.nickname") && told.stderr.contains("Version 7"), "{told:?}");

    // Not there yet: the branch says which version it goes by, and goes on.
    sampan(&["set", &branch, &member, "nickname=Tí"]).refused(2, "The schema here is version 2");
    sampan(&["list", &branch, "boats"]).refused(2, "The schema here is version 2");
    w.sync_relay("district");
    w.sync("branch");
    sampan(&["set", &branch, &member, "nickname=Tí"]).ok();
    sampan(&["add", &branch, "boats", "name=Sông Hồng"]).ok();
    assert_eq!(w.list("sampan", "branch", "members")[0]["nickname"], "Tí");
    w.sync("branch");
    w.sync_relay("district");
    assert_eq!(w.list("sampan-relay", "city", "members")[0]["nickname"], "Tí");
    assert_eq!(w.list("sampan-relay", "city", "boats").len(), 1);
    let shown = relay(&["schema", "show", &w.path("district")]).ok().stdout;
    assert!(shown.contains("boats") && shown.contains('7'), "{shown}");
}

#[test]
fn what_may_not_follow_and_who_may_not_publish_is_refused_and_changes_nothing() {
    let w = World::three_levels();
    let (city, district) = (w.path("city"), w.path("district"));
    let file = next(&w, 3, "");
    // Only the root's admin; a district's is not.
    relay(&["schema", "publish", &district, &file]).refused(3, "admin of");
    // Nothing may be removed or retyped, and each thing is named.
    let text = fs::read_to_string(&file).unwrap();
    let bad = w.path("bad.toml");
    let start = text.find("[collection.members.field.ethnicity]").unwrap();
    let end = text[start + 1..].find("\n[").unwrap() + start + 2;
    let cut = format!("{}{}", &text[..start], &text[end..]);
    fs::write(
        &bad,
        cut.replacen(
            "[collection.members.field.date_of_birth]\nkind = \"date\"",
            "[collection.members.field.date_of_birth]\nkind = \"string\"",
            1,
        ),
    )
    .unwrap();
    relay(&["schema", "check", &bad]).ok();
    for verb in [["schema", "check", &bad, &city], ["schema", "publish", &city, &bad]] {
        let out = relay(&verb).refused(2, "members.field.ethnicity: it was removed");
        assert!(out.stderr.contains("date_of_birth: 'kind' cannot change"), "{out:?}");
    }
    // The version must grow.
    fs::write(&bad, text.replacen("version = 3", "version = 2", 1)).unwrap();
    relay(&["schema", "publish", &city, &bad]).refused(2, "version = 3");
    // Every error of a file with its line.
    fs::write(
        &bad,
        "[schema]\nname = \"x\"\nversion = 1\nlevels = [\"a\"]\n[collection.c]\nflow = \"sideways\"\ncolour = 1\n",
    )
    .unwrap();
    let out = relay(&["schema", "check", &bad]).refused(2, "line 6");
    assert!(out.stderr.contains("line 7") && out.stderr.contains("sideways"), "{out:?}");
    relay(&["schema", "check", &w.path("none.toml")]).refused(2, "none.toml");
    relay(&["schema", "show", &w.path("nowhere")]).refused(2, "");
    relay(&["schema", "publish", &city]).refused(2, "");
    for name in ["city", "district"] {
        assert_eq!(relay(&["schema", "show", &w.path(name), "--json"]).ok().json()["version"], 2);
    }
    // A branch's program publishes nothing.
    assert_eq!(sampan(&["schema", "show", &w.path("branch")]).code, 2);
    let words = relay(&["schema", "publish", &city, &file]).ok();
    assert!(words.stderr.contains("Version 3"), "{words:?}");
}

#[test]
fn a_schema_that_only_a_newer_program_reads_leaves_the_one_before_it_in_force() {
    let mut w = World::three_levels();
    let (city, branch) = (w.path("city"), w.path("branch"));
    w.add("branch", "members", &["full_name=An"]);
    w.sync("branch");
    let before = relay(&["schema", "show", &city, "--json"]).ok().json()["version"].as_u64().unwrap();
    // A newer program publishes what this one does not read.
    w.city_daemon.take().unwrap().stop();
    let mut replica = Replica::open(std::path::Path::new(&city), &Settings::default()).unwrap();
    let (root, now) = (replica.engine.charter().root().unwrap(), replica.label().unwrap());
    let text = "[schema]\nname = \"membership\"\nversion = 9\nlevels = [\"city\"]\nsprouts = true\n".to_owned();
    let Replica { store, engine, rng, .. } = &mut replica;
    engine.write_charter(store, rng, root, &[Op::Schema { version: 9, text }], now).unwrap();
    drop(replica);
    w.city_daemon = Some(Daemon::start("sampan-relay", &["run", &city]));
    w.sync_relay("district");
    w.sync("branch");
    for (bin, name) in [("sampan-relay", "city"), ("sampan-relay", "district"), ("sampan", "branch")] {
        let dir = w.path(name);
        let of = |words: &[&str]| finish(command(bin, words));
        let status = of(&["status", &dir, "--json"]).ok().json();
        assert_eq!(status["schema_newer"], json!({ "published": 9, "read": before }), "{name}: {status}");
        let words = of(&["status", &dir]).ok().stdout;
        assert!(words.contains("version 9") && words.contains(&format!("version {before}")), "{name}: {words}");
        let words = of(&["status", &dir, "--lang", "vi"]).ok().stdout;
        assert!(words.contains("bản 9") && words.contains(&format!("đang dùng bản {before}")), "{name}: {words}");
        assert!(words.contains("schema_newer"), "{name}: {words}");
        let doctor = of(&["doctor", &dir]);
        assert!(doctor.stdout.contains("version 9"), "{name}: {doctor:?}");
        assert_eq!(w.list(bin, name, "members").len(), 1, "{name}");
        of(&["list", &dir, "boats"]).refused(2, "which this Sampan does not read");
    }
    // Work goes on, also above, and the next version is not written by one that cannot read this one.
    w.add("branch", "members", &["full_name=Bình"]);
    w.sync("branch");
    assert_eq!(w.list("sampan-relay", "district", "members").len(), 2);
    assert_eq!(relay(&["schema", "show", &city, "--json"]).ok().json()["version"], before);
    assert!(relay(&["schema", "show", &city, "--source"]).ok().stdout.contains("sprouts"));
    let file = w.path("next.toml");
    fs::write(&file, "[schema]\nname = \"membership\"\nversion = 10\nlevels = [\"city\"]\n").unwrap();
    relay(&["schema", "publish", &city, &file]).refused(1, "needs a newer Sampan");
    sampan(&["verify", &branch]).ok();
    assert_eq!(
        sampan(&["status", &branch, "--json"]).ok().json()["schema_newer"]["published"],
        9,
        "also when opened anew"
    );
}
