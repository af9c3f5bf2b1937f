//! Tables to import: csv of records and of units.
//!
//! It does not: read cells as values (`texts`).
//!
//! Invariants tried: nothing panics; memory is bounded by the file; what is read does not depend on how the
//! bytes came in; every row and every complaint names a line of the file; what is planned obeys the limits
//! of units, and a bad row plans nothing.

use super::draw::Draw;
use super::memory::peak;
use super::world;
use sampan_core::charter::Charter;
use sampan_core::limits::{NAME_BYTES_MAX, TREE_DEPTH_MAX};
use sampan_core::value::Value;
use sampan_node::cli::import::{Column, Import, UNIT_COLUMN, read_csv};
use sampan_node::cli::output::Output;
use sampan_node::cli::{App, CliError};
use sampan_node::i18n::Lang;
use sampan_relay::admin::unit_csv::read_bytes;
use sampan_relay::admin::units::{Place, Plan};
use std::collections::BTreeSet;
use std::io::Read;
use std::sync::OnceLock;

/// Hands out a few bytes at a time, as a pipe does.
struct Pieces<'a> {
    rest: &'a [u8],
    piece: usize,
}

impl Read for Pieces<'_> {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let n = self.piece.min(buf.len());
        (&mut self.rest).take(n as u64).read(buf)
    }
}

fn columns() -> Vec<Column> {
    let column =
        |id: &str, labels: &[&str]| Column { id: id.into(), labels: labels.iter().map(|l| (*l).into()).collect() };
    vec![column("full_name", &["Họ và tên"]), column("phone", &["Điện thoại"]), column("notes", &[])]
}

fn import(source: impl Read) -> Result<Import, CliError> {
    let mut cell = |field: &str, text: &str| match text {
        "bad" => Err(format!("{field} may not be bad")),
        _ => Ok(Value::Str(text.to_owned())),
    };
    read_csv(Lang::En, "f.csv", source, &columns(), &mut cell)
}

pub fn csv(bytes: &[u8]) {
    let mut d = Draw::new(bytes);
    let piece = 1 + d.below(9);
    let bytes = d.rest();
    let mut read = None;
    let cost = peak(|| read = Some(import(bytes)));
    assert!(cost <= 64 * bytes.len() + (256 << 10), "{cost} bytes held for {}", bytes.len());
    let whole = read.expect("it was called");
    let pieces = import(Pieces { rest: bytes, piece });
    let words = |e: &CliError| e.to_string();
    assert_eq!(whole.as_ref().map_err(words), pieces.as_ref().map_err(words), "in pieces of {piece}");
    let Ok(import) = whole else { return };
    let lines = bytes.iter().filter(|b| matches!(b, b'\n' | b'\r')).count() as u64 + 1;
    let mut last = 1;
    for row in &import.rows {
        assert!(row.line > last || last == 1 && row.line > 1, "line {} after {last}", row.line);
        assert!(row.line <= lines);
        last = row.line;
        let known: BTreeSet<&str> = row.cells.iter().map(|(id, _)| id.as_str()).collect();
        assert_eq!(known.len(), row.cells.len(), "a field twice");
        for (id, text) in &row.cells {
            assert!(columns().iter().any(|c| c.id == *id) && *id != UNIT_COLUMN);
            assert!(!text.is_empty() && text.trim() == text);
        }
    }
    for bad in &import.bad {
        assert!(bad.line > 1 && bad.line <= lines, "line {} of {lines}", bad.line);
        assert!(!bad.words(Lang::Vi).is_empty());
    }
    assert!(import.bad_rows() <= import.bad.len());
}

fn charter() -> &'static Charter {
    static MADE: OnceLock<Charter> = OnceLock::new();
    MADE.get_or_init(|| world::city().engine.charter().clone())
}

pub fn units(bytes: &[u8]) {
    let mut d = Draw::new(bytes);
    let how = d.byte();
    let bytes = d.rest();
    let levels: Vec<String> = match how % 3 {
        0 => vec![],
        1 => vec!["Quận".into(), "phuong".into()],
        _ => vec!["a".into()],
    };
    let mut sink = Vec::new();
    let app = App {
        program: "sampan-relay",
        lang: if how & 4 == 0 { Lang::En } else { Lang::Vi },
        json: true,
        unit: None,
        out: Output::new(&mut sink),
        env: &|_| None,
    };
    let file = match read_bytes(&app, "u.csv".into(), bytes, &levels) {
        Ok(file) => file,
        Err(e) => return assert!(!e.to_string().is_empty()),
    };
    let root = charter().root().expect("it was founded");
    let names: Vec<String> = ["city", "district", "branch"].map(str::to_owned).into();
    let mut plan = Plan::new(charter(), &names);
    let kind = (how & 8 != 0).then_some("branch");
    let outcome = file.plan(&app, &mut plan, charter(), Place::Known(root), kind);
    for bad in &outcome.bad {
        assert!(bad.line >= 1 && !bad.words(app.lang).is_empty());
    }
    let mut codes = BTreeSet::new();
    for (at, unit) in plan.planned().iter().enumerate() {
        assert!(!unit.name.trim().is_empty() && unit.name.len() <= NAME_BYTES_MAX, "{unit:?}");
        assert!(usize::from(unit.depth) < TREE_DEPTH_MAX, "{unit:?}");
        assert!(unit.code.as_ref().is_none_or(|c| codes.insert(c.clone())), "a code twice: {unit:?}");
        match unit.parent {
            Place::New(parent) => assert!(parent < at, "a parent comes first"),
            Place::Known(id) => assert!(charter().unit(&id).is_some()),
        }
    }
    // The same file again on top of the plan adds nothing.
    let before = plan.planned().len();
    let again = file.plan(&app, &mut plan, charter(), Place::Known(root), kind);
    assert_eq!(plan.planned().len(), before, "planned twice: {:?}", again.bad);
    let refused = file.accept(&app, outcome.bad.clone(), false).is_err();
    assert_eq!(refused, !outcome.bad.is_empty());
}
