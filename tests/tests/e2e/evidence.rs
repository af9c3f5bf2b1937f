//! Files of evidence with the real binaries: made at a branch and at the city, checked by one who has only
//! the root key, here and in Python, and edited by hostile hands.

use crate::world::{World, command, finish, relay, sampan};
use serde_json::Value as Json;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// `sampan verify --audit`, away from every folder of ours.
fn verify(file: &str, root: &str) -> crate::world::Out {
    let mut c = command("sampan", &["verify", "--audit", file, "--root", root]);
    c.current_dir("/");
    finish(c)
}

/// The verifier in Python; `None` where its packages are missing, which fails in CI.
pub(crate) struct Python(Option<PathBuf>);

impl Python {
    pub(crate) fn find(place: &Path) -> Option<Self> {
        let run = |packages: Option<&Path>| Python(packages.map(Path::to_owned)).output(&["--audit", "/nowhere"]);
        match run(None) {
            Some((code, _)) if code != 3 => return Some(Self(None)),
            Some(_) | None => {}
        }
        if std::env::var("CI").is_ok_and(|v| v == "true") {
            let mut pip = Command::new("python3");
            pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target"]).arg(place);
            let out = pip.args(["blake3", "cryptography"]).output().expect("python3 is part of CI");
            assert!(out.status.success(), "pip: {}", String::from_utf8_lossy(&out.stderr));
            return Some(Self(Some(place.to_owned())));
        }
        // Past the capture of test output, which would hide the words of a test that passes.
        let words =
            "\n!!! SKIPPED: the verifier in Python did not check the file of evidence: no blake3, cryptography\n";
        std::io::stderr().write_all(words.as_bytes()).unwrap();
        None
    }

    pub(crate) fn output(&self, args: &[&str]) -> Option<(i32, String)> {
        let mut c = Command::new("python3");
        c.arg("-B").arg(concat!(env!("CARGO_MANIFEST_DIR"), "/verify/sampan_verify.py")).args(args);
        if let Some(packages) = &self.0 {
            c.env("PYTHONPATH", packages);
        }
        let out = c.output().ok()?;
        let said = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
        Some((out.status.code().unwrap_or(-1), said))
    }
}

pub(crate) fn read(file: &str) -> Vec<Json> {
    std::fs::read_to_string(file).unwrap().lines().map(|l| serde_json::from_str(l).unwrap()).collect()
}

#[test]
fn who_did_what_is_shown_to_one_who_has_only_the_root_key() {
    let w = World::three_levels();
    let id = w.add("branch", "members", &["full_name=Nguyễn Văn An", "card_number=1"]);
    let other = w.add("branch", "members", &["full_name=Trần Thị Bình", "rewards=[\"Bằng khen\"]"]);
    sampan(&["set", &w.path("branch"), &id, "phone=0912"]).ok();
    w.sync("branch");
    w.sync_relay("district");
    let root = sampan(&["status", &w.path("branch"), "--json"]).ok().json()["device"].as_str().unwrap().to_owned();
    let device = root;

    // The branch's own file is of both records; the city's of one, and of a unit by its code.
    let (mine, city, unit) = (w.path("mine.jsonl"), w.path("city.jsonl"), w.path("unit.jsonl"));
    let made = sampan(&["audit", &w.path("branch"), &mine]).ok();
    let org = made.stderr.split("--root ").nth(1).unwrap().trim().to_owned();
    assert_eq!(org.len(), 64, "the root key is told: {made:?}");
    relay(&["audit", &w.path("city"), &city, "--record", &id]).ok();
    relay(&["audit", &w.path("city"), &unit, "--unit", "001.1", "--since", "2026"]).ok();
    let none = relay(&["audit", &w.path("city"), &w.path("none"), "--unit", "001.2", "--json"]).ok().json();
    assert_eq!((none["records"].clone(), none["entries"].clone()), (0.into(), 0.into()));
    verify(&w.path("none"), &org).ok();
    for (file, records) in [(&mine, 2), (&city, 1), (&unit, 2)] {
        let said = verify(file, &org).ok();
        assert!(said.stdout.contains(&format!("of {records} records")) && said.stdout.contains(&device), "{said:?}");
    }
    let json = finish(command("sampan-relay", &["verify", "--audit", &city, "--json"])).ok().json();
    assert_eq!((json["organisation"].as_str(), json["root_compared"].clone()), (Some(org.as_str()), false.into()));
    let words = sampan(&["verify", "--audit", &city]).ok();
    assert!(words.stdout.contains("compare it") && words.stdout.contains(&org), "{words:?}");

    // Readable as it stands: the edit of the phone, by whom, when claimed and when first seen at the city.
    let lines = read(&city);
    let edit = lines.iter().find(|l| l["fields"]["phone"]["new"] == "0912").expect("the edit is told");
    assert_eq!((edit["record"].as_str(), edit["author"].as_str()), (Some(id.as_str()), Some(device.as_str())));
    assert!(edit["at"].as_str() <= edit["first_seen_at"].as_str(), "{edit}");

    // A revoked author's work stays evidence, and the revocation is told with it.
    relay(&["revoke", &w.path("city"), &device, "--reason", "stolen"]).ok();
    relay(&["audit", &w.path("city"), &city, "--record", &id]).ok();
    let said = verify(&city, &org).ok();
    assert!(said.stdout.contains("revoked: stolen"), "{said:?}");

    hostile(&w, &mine, &org, &id, &other);
}

/// What edits of a file come to, here and in Python.
fn hostile(w: &World, file: &str, org: &str, id: &str, other: &str) {
    let whole = std::fs::read(file).unwrap();
    let lines: Vec<String> = String::from_utf8(whole.clone()).unwrap().lines().map(str::to_owned).collect();
    let place = w.path("edited.jsonl");
    let python = Python::find(&w.dir.path().join("packages"));
    let both = |bytes: &[u8], code: i32, words: &str| {
        std::fs::write(&place, bytes).unwrap();
        let out = verify(&place, org);
        let mut said = out.stderr.clone();
        if code == 0 {
            out.ok();
        } else {
            let sentences = out.stderr.trim().lines().count();
            assert_eq!(sentences, 2, "one sentence and what to do next: {out:?}");
            out.refused(code, words);
        }
        if let Some((answer, words)) = python.as_ref().and_then(|p| p.output(&["--audit", &place, "--root", org])) {
            assert_eq!(answer, i32::from(code != 0), "Python: {words}; here: {said}");
            said.push_str(&words);
        }
        assert!(!said.contains("Traceback"), "{said}");
    };
    let text = |lines: &[String]| (lines.join("\n") + "\n").into_bytes();
    both(&whole, 0, "");

    // Cut, empty, not one of ours.
    both(&whole[..whole.len() - 1], 2, "is cut");
    both(&text(&lines[..lines.len() - 1]), 2, "is cut");
    both(b"", 2, "no file of evidence");
    both(b"{\"hello\":1}\n", 2, "no file of evidence");
    both(&[whole.as_slice(), b"{}\n"].concat(), 2, "cannot be read");

    // A byte flipped in each line, once in its readable part and once in its signed one.
    for (n, line) in lines.iter().enumerate() {
        for at in [line.len() / 5, line.len() - 5] {
            let start: usize = lines[..n].iter().map(|l| l.len() + 1).sum();
            let mut flipped = whole.clone();
            flipped[start + at] ^= 1;
            std::fs::write(&place, &flipped).unwrap();
            let out = verify(&place, org);
            assert!([2, 5].contains(&out.code), "byte {at} of line {}: {out:?}", n + 1);
        }
    }

    // A charter commit left out; an entry under another record; another organisation's key.
    let charter = lines.iter().position(|l| l.contains("\"charter\"") && l.contains("\"enrol\"")).unwrap();
    let mut edited = lines.clone();
    edited.remove(charter);
    both(&text(&edited), 5, "");
    let creation = lines.iter().position(|l| l.contains("\"line\":\"charter\"")).unwrap();
    let mut edited = lines.clone();
    edited.remove(creation);
    both(&text(&edited), 5, "is missing");
    let entry = lines.iter().position(|l| l.contains(&format!("\"record\":\"{id}\""))).unwrap();
    let mut edited = lines.clone();
    edited[entry] = edited[entry].replace(id, other);
    both(&text(&edited), 5, "is not what its author signed");
    let author = lines.iter().position(|l| l.contains("\"kind\":\"change\"")).unwrap();
    let mut edited = lines.clone();
    edited[author] = edited[author].replacen("\"author\":\"", "\"author\":\"00", 1);
    both(&text(&edited), 5, "the column 'author'");
    let foreign = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c";
    let out = verify(file, foreign).refused(5, "another organisation");
    assert!(out.stderr.contains(org), "the key that it leads to is named: {out:?}");
    if let Some((code, said)) = python.as_ref().and_then(|p| p.output(&["--audit", file, "--root", foreign])) {
        assert!(code == 1 && said.contains("another organisation"), "{said}");
    }
    verify(file, "abc").refused(2, "no root key");
    sampan(&["verify", "--audit", "/nowhere"]).refused(2, "cannot be read");
    sampan(&["verify"]).refused(2, "DIR");
    sampan(&["audit", &w.path("branch"), "/nowhere/file"]).refused(1, "cannot be written");
    sampan(&["audit", &w.path("branch"), &place, "--since", "soon"]).refused(2, "not a date");
    sampan(&["audit", &w.path("branch"), &place, "--record", "ffff"]).refused(2, "no record");
}

#[test]
fn what_lies_outside_a_cut_is_shown_as_such_by_both_verifiers() {
    let mut w = World::three_levels();
    let id = w.add("branch", "members", &["full_name=Nguyễn Văn An"]);
    w.sync("branch");
    w.sync_relay("district");
    let device = sampan(&["status", &w.path("branch"), "--json"]).ok().json()["device"].as_str().unwrap().to_owned();
    // The city hears nothing of what is written now; what it knows is what its cut names.
    w.city_daemon.take().unwrap().stop();
    sampan(&["set", &w.path("branch"), &id, "phone=666"]).ok();
    w.sync("branch");
    let forged = w.add("branch", "members", &["full_name=Kẻ gian"]);
    w.sync("branch");
    relay(&["revoke", &w.path("city"), &device, "--lost", "--reason", "mất máy"]).ok();
    w.city_daemon = Some(crate::world::Daemon::start("sampan-relay", &["run", &w.path("city")]));
    w.sync_relay("district");
    let set_aside = relay(&["quarantine", &w.path("district"), "list", "--json"]).ok().lines();
    assert_eq!(set_aside.len(), 2, "{set_aside:?}");

    let python = Python::find(&w.dir.path().join("packages"));
    let both = |name: &str, words: &[&str]| -> (Json, Vec<Json>) {
        let file = w.path(name);
        relay(&["audit", &w.path("district"), &file]).ok();
        let told = sampan(&["verify", "--audit", &file, "--json"]).ok().json();
        let said = sampan(&["verify", "--audit", &file]).ok().stdout;
        for word in words {
            assert!(said.contains(word), "'{word}' is not in {said}");
        }
        if let Some((code, said)) = python.as_ref().and_then(|p| p.output(&["--audit", &file])) {
            assert_eq!(code, 0, "{said}");
            for word in words {
                assert!(said.contains(word), "Python: '{word}' is not in {said}");
            }
        }
        (told, read(&file))
    };
    let entry = |lines: &[Json], status: &str| lines.iter().filter(|l| l["status"] == status).count();

    let (told, lines) = both("cut.jsonl", &["mất máy", "lost", "outside a cut"]);
    assert_eq!((&told["outside"], &told["cuts"][0]["kind"]), (&2.into(), &"lost".into()), "{told}");
    assert_eq!(told["cuts"][0]["device"], device.as_str());
    assert_eq!((told["authors"][0]["entries"].clone(), told["authors"][0]["outside"].clone()), (1.into(), 2.into()));
    assert_eq!((entry(&lines, "accepted"), entry(&lines, "outside")), (1, 2));
    let places: Vec<&Json> = lines.iter().filter(|l| l["line"] == "commit").map(|l| &l["cut"]).collect();
    assert_eq!(places, ["inside", "outside", "outside"]);
    let outside: Vec<&Json> = lines.iter().filter(|l| l["status"] == "outside").collect();
    assert!(outside.iter().all(|l| l["fields"] == serde_json::json!({})), "{outside:?}");
    assert!(outside.iter().any(|l| l["record"] == forged.as_str()), "a record that nothing else is known of");
    let charter: Vec<&Json> = lines.iter().filter(|l| l["line"] == "charter").collect();
    assert!(charter.iter().all(|l| l["first_seen_at"].is_string()), "{charter:?}");
    assert!(charter.iter().any(|l| l["operations"] == serde_json::json!(["cut"])), "{charter:?}");

    // One is let in, the other left out for good: both verifiers say which.
    let commit = |n: usize| set_aside[n]["commit"].as_str().unwrap().to_owned();
    relay(&["quarantine", &w.path("district"), "release", &commit(0), "--reason", "chị Hoa ghi"]).ok();
    relay(&["quarantine", &w.path("district"), "reject", &commit(1), "--reason", "giả"]).ok();
    let (told, lines) = both("words.jsonl", &["chị Hoa ghi", "released", "giả", "rejected"]);
    assert_eq!((told["outside"].clone(), told["verdicts"].as_array().unwrap().len()), (1.into(), 2));
    assert_eq!((entry(&lines, "accepted"), entry(&lines, "outside")), (2, 1));
    let mut places: Vec<&str> =
        lines.iter().filter(|l| l["line"] == "commit").filter_map(|l| l["cut"].as_str()).collect();
    places.sort_unstable();
    assert_eq!(places, ["inside", "rejected", "released"]);
}

/// A right that ends on a day, and a root key that was replaced twice: whoever holds the first root key alone follows
/// the line to the last, with the program and in Python.
#[test]
fn new_root_keys_and_the_ends_of_rights_are_told_by_both_verifiers() {
    let mut w = World { dir: tempfile::tempdir().unwrap(), city_daemon: None, district_daemon: None };
    let (city, branch) = (w.path("city"), w.path("branch"));
    let founded = relay(&["init", &city, "--org", "Thành phố", "--listen", "127.0.0.1:0", "--json"]).ok().json();
    let org = founded["organisation"].as_str().unwrap();
    let mut line = founded["succession_key"].as_str().unwrap().to_owned();
    let mut named = Vec::new();
    for paper in ["first", "second"] {
        let paper = w.path(paper);
        std::fs::write(&paper, &line).unwrap();
        let said = relay(&["root", "succeed", &city, "--succession-key", &paper, "--json"]).ok().json();
        named.push(said["root_key"].as_str().unwrap().to_owned());
        line = said["succession_key"].as_str().unwrap().to_owned();
        relay(&["root", "appoint", &city, "--holder", "Chánh văn phòng"]).ok();
    }
    relay(&["unit", "add", &city, "--name", "Chi bộ 1", "--code", "1", "--kind", "branch"]).ok();
    let invite = ["invite", &city, "--unit", "1", "--role", "editor", "--holder", "X", "--until", "2035-01-01"];
    let ticket = relay(&invite).ok().first();
    w.city_daemon = Some(crate::world::Daemon::start("sampan-relay", &["run", &city]));
    sampan(&["join", &branch, &ticket]).ok();
    let id = w.add("branch", "members", &["full_name=Trần Thị Bình"]);
    w.sync("branch");
    let file = w.path("file.jsonl");
    // The branch's own file: its charters are all that shows the line of root keys.
    sampan(&["audit", &branch, &file]).ok();
    assert!(read(&file).iter().any(|l| l["record"] == id.as_str() && l["status"] == "accepted"));
    let told = sampan(&["verify", "--audit", &file, "--root", org, "--json"]).ok().json();
    assert_eq!(told["root_key"], named[1].as_str(), "{told}");
    let words = verify(&file, org).ok().stdout;
    assert!(words.contains(&named[1]), "{words}");
    let python = Python::find(&w.dir.path().join("packages"));
    if let Some((code, words)) = python.and_then(|p| p.output(&["--audit", &file, "--root", org])) {
        assert_eq!(code, 0, "{words}");
        assert!(named.iter().all(|key| words.contains(key)) && words.contains("last until"), "{words}");
    }
}
