//! Tests of the command line as a whole, without a process.

use super::args::Cli;
use super::*;
use crate::i18n;
use clap::{CommandFactory, Parser};
use std::ffi::OsString;

fn arguments(line: &str) -> Vec<OsString> {
    line.split_whitespace().map(OsString::from).collect()
}

fn out_of(line: &str) -> (ExitCode, String) {
    let mut bytes = Vec::new();
    let exit = run(arguments(line), &|_| None, &mut bytes);
    (exit, String::from_utf8(bytes).unwrap())
}

/// The error that a command line ends in.
fn refused(line: &str) -> CliError {
    let mut sink = std::io::sink();
    let early = usage::peek(&arguments(line), &|_| None);
    let mut app = App {
        program: "sampan",
        lang: early.lang,
        json: early.json,
        unit: None,
        out: Output::new(&mut sink),
        env: &|_| None,
    };
    usage::parse::<Cli>(arguments(line), &mut app).unwrap_err()
}

#[test]
fn the_definitions_are_sound() {
    Cli::command().debug_assert();
    for lang in [Lang::Vi, Lang::En] {
        usage::localize(Cli::command(), lang).debug_assert();
    }
}

#[test]
fn every_command_and_argument_has_its_words() {
    let command = Cli::command();
    let mut seen = 0;
    for sub in command.get_subcommands().chain([&command]) {
        if sub.get_name() != "sampan" {
            assert!(i18n::find(&format!("cmd.{}", sub.get_name())).is_some(), "{}", sub.get_name());
            seen += 1;
        }
        for arg in sub.get_arguments() {
            assert!(i18n::find(&format!("arg.{}", arg.get_id())).is_some(), "{}", arg.get_id());
        }
    }
    assert!(seen >= 17, "{seen}");
}

#[test]
fn without_a_command_the_everyday_five_are_shown() {
    let (exit, vi) = out_of("sampan --lang vi");
    assert_eq!(exit, ExitCode::Done);
    assert!(vi.contains("Năm lệnh dùng hằng ngày"), "{vi}");
    let (_, en) = out_of("sampan");
    for name in ["add", "list", "set", "sync", "status"] {
        assert!(vi.contains(&format!("sampan {name} DIR")) && en.contains(&format!("sampan {name} DIR")));
    }
}

#[test]
fn help_is_in_the_language() {
    let (exit, text) = out_of("sampan --help --lang=vi");
    assert_eq!(exit, ExitCode::Done);
    assert!(text.contains("Cách dùng: sampan") && text.contains("Lệnh:"), "{text}");
    assert!(text.contains("Tìm và liệt kê hồ sơ") && !text.contains("Usage"), "{text}");
    let (_, text) = out_of("sampan --lang vi list --help");
    assert!(text.contains("Tham số:") && text.contains("Thư mục Sampan"), "{text}");
    let at = |word: &str| text.rfind(word).unwrap();
    assert!(at("<DIR>") < at("<COLLECTION>"), "{text}");
    assert!(out_of("sampan --version").1.starts_with("sampan 0."));
}

#[test]
fn bad_usage_is_exit_2_with_a_suggestion() {
    let e = refused("sampan lsit d members");
    assert_eq!((e.exit, e.code), (ExitCode::BadInput, "usage"));
    assert!(e.message.contains("'lsit'") && e.hint.contains("'list'"), "{e:?}");
    let e = refused("sampan list d members --serach x");
    assert!(e.hint.contains("--search"), "{e:?}");
    let e = refused("sampan --lang vi set d");
    assert!(e.message.starts_with("Lệnh chưa đúng: thiếu"), "{e:?}");
    let e = refused("sampan sync d --timeout soon");
    assert!(e.message.contains("soon"), "{e:?}");
    assert_eq!(refused("sampan add d members a=1 --from x.csv").exit, ExitCode::BadInput);
    assert_eq!(refused("sampan add d members").exit, ExitCode::BadInput);
    assert_eq!(refused("sampan --lang fr").exit, ExitCode::BadInput);
}

#[test]
fn errors_with_json_are_one_object() {
    let e = refused("sampan lsit --json");
    let value: serde_json::Value = serde_json::from_str(&e.to_json()).unwrap();
    assert_eq!(value["error"]["code"], "usage");
    assert_eq!(value["error"]["where"], "lsit");
    assert!(value["error"]["hint"].is_string() && value["error"]["message"].is_string());
}

#[test]
fn the_commands_of_the_contract_parse() {
    for line in [
        "sampan join d sampan:abc",
        "sampan run d --web 127.0.0.1:0",
        "sampan sync d --relay h:1 --timeout 5 --json",
        "sampan add d members full_name=A born=1950 --unit P01",
        "sampan add d members --from x.csv --skip-bad",
        "sampan set d r1 n+=5 tags-=a note=",
        "sampan remove d r1",
        "sampan list d members --where a=b --search x --json",
        "sampan show d r1 --history --json",
        "sampan conflicts d --json",
        "sampan resolve d r1 a=b",
        "sampan status d --json",
        "sampan export d members f.csv",
        "sampan rollup d --metric m --period 2026-11 --by-unit --json",
        "sampan rollup d --unit P01 --missing",
        "sampan rollup d --check",
        "sampan rollup d --metric m --close 2026-11",
        "sampan verify d",
        "sampan verify --audit f --root ab --json",
        "sampan audit d f --record r1",
        "sampan audit d f --unit P01 --since 2026-11",
        "sampan doctor d",
        "sampan bundle create d --for 001 f.bundle --whole",
        "sampan bundle create d f.bundle",
        "sampan bundle apply d f.bundle --receipt g.bundle --json",
        "sampan bundle inspect d f.bundle --json",
        "sampan bundle waiting d --drop 0a1b --json",
        "sampan passphrase d set --passphrase-file f",
        "sampan passphrase d change --passphrase-file f --new-passphrase-file g",
        "sampan --passphrase-file f passphrase d remove",
        "sampan recovery make d --passphrase-file f",
        "sampan recovery ask d f --json",
        "sampan recovery answer d f g --code AAAA-BBBB-CCCC",
        "sampan recovery finish d g --new-passphrase-file f",
        "sampan encrypt d --json",
        "sampan attach d r1 attachment f.pdf --json",
        "sampan fetch d r1 attachment g.pdf --json",
        "sampan backup d f",
        "sampan restore f d",
    ] {
        assert!(Cli::try_parse_from(arguments(line)).is_ok(), "{line}");
    }
}
