//! The commands of a relay as a person types them, in one process.

mod quarantine;

use super::args::Cli;
use super::run;
use clap::{CommandFactory, Parser};
use sampan_core::id::DeviceId;
use sampan_node::cli::output::Output;
use sampan_node::cli::{App, CliError, ExitCode, usage};
use sampan_node::i18n::{self, Lang};
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

const WARDS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/hanoi_units_2024.csv");

/// A folder for relays that goes when the test ends.
struct Office {
    place: tempfile::TempDir,
}

impl Office {
    fn new() -> Self {
        Self { place: tempfile::tempdir().unwrap() }
    }

    fn founded() -> Self {
        let office = Self::new();
        office.ok(&["init", "city", "--org", "Thành phố Hà Nội", "--listen", "127.0.0.1:0"]);
        office
    }

    fn dir(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    /// The words of a command; `city`, `ward` and files are names inside the office.
    fn line(&self, words: &[&str]) -> Vec<OsString> {
        let inside = |w: &str| {
            matches!(w, "city" | "ward" | "other")
                || w.ends_with(".toml")
                || (w.ends_with(".csv") && !w.starts_with('/'))
        };
        let word = |w: &&str| if inside(w) { self.dir(w).into_os_string() } else { OsString::from(w) };
        std::iter::once("sampan-relay".into()).chain(words.iter().map(word)).collect()
    }

    fn out(&self, words: &[&str]) -> (ExitCode, String) {
        let mut bytes = Vec::new();
        let exit = run(self.line(words), &|_| None, &mut bytes);
        (exit, String::from_utf8(bytes).unwrap())
    }

    #[track_caller]
    fn ok(&self, words: &[&str]) -> String {
        let (exit, out) = self.out(words);
        assert_eq!(exit, ExitCode::Done, "{words:?}");
        out
    }

    /// One object a line.
    #[track_caller]
    fn json(&self, words: &[&str]) -> Vec<Json> {
        let words: Vec<&str> = words.iter().copied().chain(["--json"]).collect();
        self.ok(&words).lines().map(|l| serde_json::from_str(l).unwrap()).collect()
    }

    /// The error that a command ends in.
    #[track_caller]
    fn refused(&self, words: &[&str]) -> CliError {
        let mut sink = std::io::sink();
        let mut app = App {
            program: "sampan-relay",
            lang: Lang::En,
            json: true,
            unit: None,
            out: Output::new(&mut sink),
            env: &|_| None,
        };
        let cli = match usage::parse::<Cli>(self.line(words), &mut app) {
            Ok(cli) => cli.unwrap(),
            Err(e) => return e,
        };
        app.unit = cli.global.unit;
        super::commands::dispatch(&cli.command.unwrap(), &mut app).unwrap_err()
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.dir(name), text).unwrap();
    }

    fn units(&self, dir: &str) -> usize {
        self.json(&["unit", "list", dir]).len()
    }
}

#[test]
fn the_definitions_are_sound_and_every_word_is_there() {
    Cli::command().debug_assert();
    for lang in [Lang::Vi, Lang::En] {
        usage::localize(Cli::command(), lang).debug_assert();
    }
    fn look(command: &clap::Command, path: &str) {
        for arg in command.get_arguments() {
            assert!(i18n::find(&format!("arg.{}", arg.get_id())).is_some(), "{path}: {}", arg.get_id());
        }
        for sub in command.get_subcommands() {
            let path = format!("{path}.{}", sub.get_name());
            assert!(i18n::find(&path).is_some(), "{path}");
            look(sub, &path);
        }
    }
    look(&Cli::command(), "cmd");
}

#[test]
fn the_commands_of_the_contract_parse() {
    for line in [
        "init d --org N --schema f.toml --listen 127.0.0.1:0 --advertise h:1,g:2",
        "unit add d --name N --parent P --code 01 --kind district",
        "unit add d --from f.csv --levels district,ward --skip-bad --json",
        "unit list d --tree",
        "unit merge d a b --into c",
        "invite d --unit U --role editor reader --holder H",
        "invite d --unit U --role editor --role relay --holder H --subtree --until 2027 --use-by 2027-01-01",
        "join d sampan:x --listen 0.0.0.0:1 --advertise h:1",
        "run d --listen 127.0.0.1:0 --web 127.0.0.1:0",
        "sync d --timeout 5 --json",
        "revoke d abcd --reason stolen",
        "revoke d abcd --reason stolen --lost",
        "revoke d abcd --reason moved --retire --json",
        "narrow d abcd --unit u --role reader --reason moved",
        "narrow d abcd --unit u --collections a,b --until 2027-01-31 --reason moved --json",
        "quarantine d list --below",
        "quarantine d list --all --json",
        "quarantine d show 0123ab",
        "quarantine d release 0123ab 4567cd --reason ours",
        "quarantine d reject 0123ab --reason forged",
        "rollup d --metric m --period 2026-11",
        "add d members full_name=A",
        "verify d --json",
    ] {
        let words = std::iter::once("sampan-relay").chain(line.split(' '));
        assert!(Cli::try_parse_from(words).is_ok(), "{line}");
    }
    let office = Office::new();
    assert!(office.ok(&["--lang", "vi"]).contains("sampan-relay init DIR"));
    assert!(office.ok(&["unit", "add", "--help", "--lang", "vi"]).contains("Thêm đơn vị"));
}

#[test]
fn an_organisation_is_founded_once() {
    let office = Office::new();
    let made = office.json(&["init", "city", "--org", "Hà Nội", "--listen", "127.0.0.1:0"]);
    let root = made[0]["unit"].as_str().unwrap();
    assert_eq!(made[0]["organisation"].as_str().unwrap().len(), 64);
    assert_eq!(made[0]["device"].as_str().unwrap().len(), 64);
    assert!(office.dir("city").join("keys/root.key").exists());
    let toml = std::fs::read_to_string(office.dir("city").join("sampan.toml")).unwrap();
    assert!(toml.contains("listen = \"127.0.0.1:") && !toml.contains(":0\""), "{toml}");
    let units = office.json(&["unit", "list", "city"]);
    assert_eq!((units.len(), &units[0]["unit"], &units[0]["kind"]), (1, &Json::from(root), &Json::from("city")));
    assert_eq!(units[0]["status"], "active");
    assert!(units[0]["parent"].is_null() && units[0]["until"].is_null());

    let e = office.refused(&["init", "city", "--org", "Hà Nội"]);
    assert_eq!((e.exit, e.code), (ExitCode::BadInput, "dir_taken"));
    std::fs::create_dir(office.dir("other")).unwrap();
    std::fs::write(office.dir("other").join("letter.txt"), "dear").unwrap();
    let e = office.refused(&["init", "other", "--org", "Hà Nội"]);
    assert_eq!((e.exit, e.code), (ExitCode::BadInput, "dir_foreign"));
    assert_eq!(std::fs::read_dir(office.dir("other")).unwrap().count(), 1);
}

#[test]
fn every_problem_of_a_schema_is_told_and_nothing_is_written() {
    let office = Office::new();
    let text = "[schema]\nname = \"x\"\nversion = 1\nlevels = [\"city\"]\nnonsense = 1\n\n[collection.a]\nflow = \"sideways\"\n";
    office.write("bad.toml", text);
    let e = office.refused(&["init", "city", "--org", "X", "--schema", "bad.toml"]);
    assert_eq!((e.exit, e.code), (ExitCode::BadInput, "bad_schema"));
    assert!(e.details.len() >= 2, "{e:?}");
    assert!(e.details.iter().any(|d| d.contains("line 5")) && e.details.iter().any(|d| d.contains("line 8")), "{e:?}");
    assert!(!office.dir("city").exists());
}

#[test]
fn the_wards_of_a_city_come_from_csv_and_are_not_created_twice() {
    let office = Office::founded();
    let add = ["unit", "add", "city", "--from", WARDS, "--levels", "district,ward"];
    let ids = office.ok(&add);
    assert_eq!(ids.lines().count(), 556);
    let units = office.json(&["unit", "list", "city"]);
    assert_eq!(units.len(), 557);
    let by_id: BTreeMap<&str, &Json> = units.iter().map(|u| (u["unit"].as_str().unwrap(), u)).collect();
    assert!(ids.lines().all(|id| by_id.contains_key(id)));
    let wards: Vec<&Json> = units.iter().filter(|u| u["kind"] == "grassroots").collect();
    assert_eq!(wards.len(), 526);
    assert!(wards.iter().all(|w| w["code"].as_str().unwrap().len() == 5), "leading zeros are kept");
    assert!(wards.iter().all(|w| by_id[w["parent"].as_str().unwrap()]["kind"] == "district"));
    let mut names: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for ward in &wards {
        names.entry(ward["name"].as_str().unwrap()).or_default().insert(ward["parent"].as_str().unwrap());
    }
    let twice: Vec<_> = names.iter().filter(|(_, parents)| parents.len() == 2).collect();
    assert_eq!(twice.len(), 14, "a name may occur under two parents");

    assert_eq!(office.ok(&add), "", "the second time there is nothing to add");
    assert_eq!(office.units("city"), 557);
    let tree = office.ok(&["unit", "list", "city", "--tree"]);
    assert!(tree.contains("    Phường Trúc Bạch") && tree.contains("00004"), "{}", &tree[..800]);

    // A name that occurs twice needs its path, and a slip finds its name.
    let (name, _) = twice[0];
    let e = office.refused(&["invite", "city", "--unit", name, "--role", "editor", "--holder", "A"]);
    assert_eq!((e.exit, e.code), (ExitCode::BadInput, "ambiguous_unit"));
    office.ok(&["invite", "city", "--unit", "quan ba dinh/phuong truc bach", "--role", "editor", "--holder", "A"]);
    let e = office.refused(&["unit", "add", "city", "--name", "X", "--parent", "Quận Ba Đìn"]);
    assert_eq!((e.exit, e.code), (ExitCode::BadInput, "unknown_unit"));
    assert!(e.hint.contains("Quận Ba Đình"), "{e:?}");
}

#[test]
fn one_unit_a_row_in_any_order_and_every_bad_row_is_listed() {
    let office = Office::founded();
    office.write("good.csv", "tên,cấp trên,mã\nChi bộ 1,Phường A,\nPhường A,001,00001\nQuận B,,001\n");
    assert_eq!(office.ok(&["unit", "add", "city", "--from", "good.csv"]).lines().count(), 3);
    let units = office.json(&["unit", "list", "city"]);
    let kinds: Vec<&str> = units.iter().map(|u| u["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["city", "district", "grassroots", "branch"]);

    let bad = "name,parent,code,kind\nGood,001,00009,\n,001,,\nPhường C,Quận Bb,00003,\nPhường D,001,00001,\nPhường E,001,00005,city\nGood,001,00009,\nPhường F,001,00006,ward\n";
    office.write("bad.csv", bad);
    let e = office.refused(&["unit", "add", "city", "--from", "bad.csv"]);
    assert_eq!((e.exit, e.code), (ExitCode::BadInput, "csv_bad_rows"));
    let lines: Vec<&str> = e.details.iter().map(|d| d.split(':').next().unwrap()).collect();
    let wanted = [
        "line 3, field name",
        "line 4, field parent",
        "line 5, field code",
        "line 6, field kind",
        "line 7, field name",
        "line 8, field kind",
    ];
    assert_eq!(lines, wanted, "{:?}", e.details);
    assert!(e.details[1].contains("Quận B"), "{:?}", e.details);
    assert!(e.details[5].contains("'ward'") && e.details[5].contains("city, district, grassroots, branch"), "{e:?}");
    let e = office.refused(&["unit", "add", "city", "--name", "Phường G", "--kind=ward"]);
    assert_eq!((e.exit, e.code), (ExitCode::BadInput, "bad_unit"));
    assert!(e.message.contains("'ward'") && e.message.contains("city, district, grassroots, branch"), "{e:?}");
    assert_eq!(office.units("city"), 4, "nothing was written");
    assert_eq!(office.ok(&["unit", "add", "city", "--from", "bad.csv", "--skip-bad"]).lines().count(), 1);

    office.write("gap.csv", "district_code,district,ward\n001,Quận B,Phường Mới\n,,Phường X\n");
    let e = office.refused(&["unit", "add", "city", "--from", "gap.csv", "--levels", "district,ward"]);
    assert!(e.details.len() == 1 && e.details[0].starts_with("line 3, field district"), "{e:?}");
    let e = office.refused(&["unit", "add", "city", "--from", "gap.csv"]);
    assert_eq!((e.exit, e.code), (ExitCode::BadInput, "csv_levels"));
    let e = office.refused(&["unit", "add", "city", "--from", "gap.csv", "--levels", "distrct,ward"]);
    assert!(e.hint.contains("'district'"), "{e:?}");
}

#[test]
fn codes_are_unique_on_a_level_and_units_are_not_added_twice() {
    let office = Office::founded();
    office.ok(&["unit", "add", "city", "--name", "Quận A", "--code", "001"]);
    office.ok(&["unit", "add", "city", "--name", "Quận B", "--code", "002"]);
    office.ok(&["unit", "add", "city", "--name", "Phường", "--code", "001", "--parent", "Quận B"]);
    let e = office.refused(&["unit", "add", "city", "--name", "Phường khác", "--code", "001", "--parent", "Quận A"]);
    assert_eq!((e.exit, e.code), (ExitCode::BadInput, "bad_unit"));
    assert!(e.message.contains("'001'"), "{e:?}");
    let e = office.refused(&["unit", "add", "city", "--name", "quan a"]);
    assert_eq!((e.exit, e.code), (ExitCode::BadInput, "unit_exists"));
    // The code means a district and a ward now.
    let e = office.refused(&["invite", "city", "--unit", "001", "--role", "reader", "--holder", "A"]);
    assert_eq!(e.code, "ambiguous_unit");
}

#[test]
fn a_ticket_is_one_line_for_whoever_may_give_it() {
    let office = Office::founded();
    office.ok(&["unit", "add", "city", "--name", "Quận A"]);
    let line = office.ok(&["invite", "city", "--unit", "Quận A", "--role", "relay", "--holder", "Lan"]);
    assert!(line.starts_with("sampan:") && line.lines().count() == 1 && line.len() <= 2_049);
    for (words, code) in [
        (["--unit", "Quận A", "--role", "edtor", "--holder", "A"], "unknown_role"),
        (["--unit", "Quận Aa", "--role", "editor", "--holder", "A"], "unknown_unit"),
        (["--unit", "Quận A", "--role", "editor", "--holder", " "], "usage"),
        (["--until", "2020", "--role=editor", "--holder=A", "--unit", "Quận A"], "date_past"),
        (["--until", "soon", "--role=editor", "--holder=A", "--unit", "Quận A"], "bad_date"),
    ] {
        let all: Vec<&str> = ["invite", "city"].into_iter().chain(words).collect();
        let e = office.refused(&all);
        assert_eq!((e.exit, e.code), (ExitCode::BadInput, code), "{e:?}");
    }
    let e = office.refused(&["invite", "city", "--unit", "Quận A", "--role", "edtor", "--holder", "A"]);
    assert!(e.hint.contains("'editor'"), "{e:?}");
}

#[test]
fn a_relay_joins_offline_and_has_no_right_that_it_was_not_given() {
    let office = Office::founded();
    office.ok(&["unit", "add", "city", "--name", "Quận A", "--code", "001"]);
    let editor = office.ok(&["invite", "city", "--unit", "001", "--role", "editor", "--holder", "Lan"]);
    let e = office.refused(&["join", "ward", editor.trim()]);
    assert_eq!((e.exit, e.code), (ExitCode::BadInput, "ticket_not_relay"));
    assert!(!office.dir("ward").exists());
    let relay = office.ok(&["invite", "city", "--unit", "001", "--role", "relay", "--holder", "Máy chủ"]);
    let words =
        ["join", "ward", relay.trim(), "--listen", "127.0.0.1:0", "--advertise", "relay.test", "--timeout", "0"];
    let made = office.json(&words);
    let toml = std::fs::read_to_string(office.dir("ward").join("sampan.toml")).unwrap();
    assert!(toml.contains("advertise = [\"relay.test:"), "{toml}");
    assert_eq!(made[0]["device"].as_str().unwrap().len(), 64);
    let e = office.refused(&["join", "other", "sampan:abc"]);
    assert_eq!(e.exit, ExitCode::BadInput);
}

#[test]
fn devices_are_listed_and_revoked() {
    let office = Office::founded();
    office.ok(&["unit", "add", "city", "--name", "Quận A"]);
    let own = office.json(&["devices", "city"]);
    assert_eq!((own.len(), &own[0]["role"]), (1, &Json::from("admin")));
    let own_id = own[0]["device"].as_str().unwrap().to_owned();
    let e = office.refused(&["revoke", "city", &own_id, "--reason", "x"]);
    assert_eq!((e.exit, e.code), (ExitCode::BadInput, "own_device"));
    let e = office.refused(&["revoke", "city", "abcdef", "--reason", "x"]);
    assert_eq!((e.exit, e.code), (ExitCode::BadInput, "unknown_device"));

    // A device enrols: its chain reaches the city as a session would bring it.
    let line = office.ok(&["invite", "city", "--unit", "Quận A", "--role", "editor", "--holder", "Nguyễn Thị Lan"]);
    let device = enrol(&office.dir("city"), line.trim());
    let rows = office.json(&["devices", "city"]);
    let row = rows.iter().find(|r| r["device"] == device.to_string()).unwrap();
    assert_eq!((&row["holder"], &row["role"]), (&Json::from("Nguyễn Thị Lan"), &Json::from("editor")));
    assert!(row["revoked_at"].is_null() && row["last_seen"].is_null() && row["from"].is_string());
    let status = office.json(&["status", "city"]);
    assert_eq!(status[0]["children"][0]["device"], device.to_string());
    assert_eq!(status[0]["children"][0]["connected"], false);
    assert!(status[0]["projected_to"].is_u64());

    let start = &device.to_string()[..12];
    let done = office.json(&["revoke", "city", start, "--reason", "mất máy"]);
    assert_eq!(done[0]["revoked"], true);
    assert_eq!(office.json(&["revoke", "city", start, "--reason", "mất máy"])[0]["revoked"], false);
    let rows = office.json(&["devices", "city"]);
    let row = rows.iter().find(|r| r["device"] == device.to_string()).unwrap();
    assert!(row["revoked_at"].is_string());
    assert_eq!(office.json(&["status", "city"])[0]["children"].as_array().unwrap().len(), 0);
}

/// Uses a ticket in a folder of its own and carries the enrolment into the relay's store by hand.
fn enrol(city: &Path, line: &str) -> DeviceId {
    use sampan_node::config::Settings;
    use sampan_node::replica::Replica;
    let place = tempfile::tempdir().unwrap();
    let ticket = sampan_core::charter::Ticket::decode(line).unwrap();
    let branch = Replica::join(&place.path().join("branch"), &ticket, Settings::default()).unwrap();
    let chain = branch.engine.chains(&branch.store).unwrap();
    let mut relay = Replica::open(city, &Settings::default()).unwrap();
    let now = relay.now();
    let Replica { store, engine, rng, .. } = &mut relay;
    let shared = |_: &sampan_core::charter::Charter, _: &sampan_core::id::SpaceId| true;
    store.group(|s| engine.intake(s, rng, branch.device(), &chain, &shared, now)).map(drop).unwrap();
    branch.device()
}

#[test]
fn later_commands_say_so() {
    let office = Office::founded();
    for words in [vec!["unit", "merge", "city", "a", "b"], vec!["unit", "rename", "city", "a", "--name", "b"]] {
        let e = office.refused(&words);
        assert_eq!((e.exit, e.code), (ExitCode::BadInput, "later"), "{words:?}");
    }
    assert_eq!(office.out(&["verify", "city"]).0, ExitCode::Done);
}
