//! Lists of units from csv: one unit a row, or several levels on a row.
//!
//! It does not: parse csv (the node's importer does, with its limits) or write.
//!
//! Invariants: every row is checked against the tree and against the rows before it; a row that is
//! bad plans nothing, also not the upper levels that it names.

use super::resolve::nearest_units;
use super::units::{Place, Plan, Refusal, Wanted};
use sampan_core::charter::Charter;
use sampan_core::fold::fold;
use sampan_core::suggest::nearest;
use sampan_core::value::Value;
use sampan_node::cli::convert::{did_you_mean, list_of};
use sampan_node::cli::import::{BadCell, Column, Import, ImportRow, read_csv};
use sampan_node::cli::{App, CliError, codes};
use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

/// Bytes that a header may have.
const HEADER_BYTES_MAX: usize = 64 << 10;
/// The columns of a list with one unit a row, with other headings for them.
const COLUMNS: [(&str, &[&str]); 4] = [
    ("name", &["tên", "tên đơn vị", "đơn vị", "unit"]),
    ("parent", &["cấp trên", "đơn vị cấp trên", "trực thuộc"]),
    ("code", &["mã", "mã đơn vị"]),
    ("kind", &["cấp", "loại"]),
];

/// What a file says: its good rows, and how its columns are meant.
#[derive(Debug)]
pub struct UnitFile {
    /// The file's name.
    pub name: String,
    rows: Import,
    /// The columns that are levels, upper first; none = one unit a row.
    levels: Vec<String>,
}

/// Reads a file. `levels` names the columns that are levels; none = one unit a row.
///
/// # Errors
/// `csv_levels` for missing columns; whatever the importer refuses; `file_unreadable`.
pub fn read(app: &App, path: &Path, levels: &[String]) -> Result<UnitFile, CliError> {
    let name = path.display().to_string();
    let bytes = std::fs::read(path).map_err(|e| {
        let values = [("file", name.as_str()), ("reason", &e.to_string())];
        app.error(&codes::FILE_UNREADABLE, &values).at(name.clone())
    })?;
    read_bytes(app, name, &bytes, levels)
}

/// Reads the bytes of a file, see [`read`].
///
/// # Errors
/// As [`read`].
pub fn read_bytes(app: &App, name: String, bytes: &[u8], levels: &[String]) -> Result<UnitFile, CliError> {
    let header = header(bytes);
    let find = |wanted: &str| header.iter().find(|h| *h == wanted || fold(h) == fold(wanted)).cloned();
    let missing = |columns: &[&str]| {
        let known: Vec<&str> = header.iter().map(String::as_str).collect();
        let near: Vec<String> =
            columns.iter().flat_map(|c| nearest(c, known.iter().copied())).map(str::to_owned).collect();
        let quoted: Vec<String> = columns.iter().map(|c| format!("'{c}'")).collect();
        let values = [
            ("file", name.as_str()),
            ("columns", &quoted.join(", ")),
            ("nearest", &did_you_mean(app.lang, &near)),
            ("known", &list_of(app.lang, &known)),
        ];
        app.error(&codes::CSV_LEVELS, &values).at(format!("{name}:1"))
    };
    let (columns, levels) = if levels.is_empty() {
        let labels = |l: &[&str]| l.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>();
        let columns: Vec<Column> =
            COLUMNS.iter().map(|(id, l)| Column { id: (*id).to_owned(), labels: labels(l) }).collect();
        let is_name = |h: &String| {
            let of_name = COLUMNS[0];
            fold(h) == of_name.0 || of_name.1.iter().any(|l| fold(l) == fold(h))
        };
        // An empty file is the importer's to refuse.
        if !header.is_empty() && !header.iter().any(is_name) {
            return Err(missing(&["name"]));
        }
        (columns, Vec::new())
    } else {
        let absent: Vec<&str> = levels.iter().map(String::as_str).filter(|l| find(l).is_none()).collect();
        if !absent.is_empty() && !header.is_empty() {
            return Err(missing(&absent));
        }
        let all = header.iter().map(|h| Column { id: h.clone(), labels: Vec::new() }).collect();
        (all, levels.iter().filter_map(|l| find(l)).collect())
    };
    let rows = read_csv(app.lang, &name, bytes, &columns, &mut |_, _| Ok(Value::Bool(true)))?;
    Ok(UnitFile { name, rows, levels })
}

/// The headings, as the importer will see them.
fn header(bytes: &[u8]) -> Vec<String> {
    let bytes = bytes.strip_prefix(&[0xef, 0xbb, 0xbf]).unwrap_or(bytes);
    let line = bytes.split(|b| matches!(b, b'\n' | b'\r')).find(|l| !l.is_empty()).unwrap_or_default();
    let line = &line[..line.len().min(HEADER_BYTES_MAX)];
    let count = |c: u8| line.iter().filter(|b| **b == c).count();
    let separator = [b';', b'\t'].into_iter().fold(b',', |best, c| if count(c) > count(best) { c } else { best });
    let mut reader = csv::ReaderBuilder::new().has_headers(false).delimiter(separator).from_reader(line.take(u64::MAX));
    let mut record = csv::ByteRecord::new();
    match reader.read_byte_record(&mut record) {
        Ok(true) => {
            record.iter().map(|c| String::from_utf8_lossy(c).trim().to_owned()).filter(|c| !c.is_empty()).collect()
        }
        Ok(false) | Err(_) => Vec::new(),
    }
}

/// What planning a file gave.
#[derive(Debug, Default)]
pub struct Outcome {
    /// What is wrong, by line.
    pub bad: Vec<BadCell>,
    /// Units that rows name and that existed before.
    pub existing: usize,
}

impl UnitFile {
    /// Plans every row below `base`; `kind` is that of the lowest level.
    #[must_use]
    pub fn plan(&self, app: &App, plan: &mut Plan, charter: &Charter, base: Place, kind: Option<&str>) -> Outcome {
        let mut work = Work {
            app,
            plan,
            charter,
            base,
            kind,
            stated: BTreeMap::new(),
            out: Outcome { bad: self.rows.bad.clone(), existing: 0 },
        };
        if self.levels.is_empty() {
            work.one_a_row(&self.rows.rows);
        } else {
            for row in &self.rows.rows {
                work.levels(row, &self.levels);
            }
        }
        let mut out = work.out;
        out.bad.sort_by_key(|b| b.line);
        out
    }

    /// Refuses bad rows unless they may be skipped.
    ///
    /// # Errors
    /// `csv_bad_rows` with a line for each bad cell.
    pub fn accept(&self, app: &App, bad: Vec<BadCell>, skip_bad: bool) -> Result<(), CliError> {
        let import = Import { rows: Vec::new(), bad };
        if skip_bad && !import.bad.is_empty() {
            for cell in &import.bad {
                app.say_line(&cell.words(app.lang));
            }
            app.say("csv.skipped", &[("count", &import.bad_rows().to_string())]);
        }
        import.accept(app.lang, &self.name, skip_bad).map(drop)
    }
}

/// Words that are built already, on stderr as [`App::say`] says them.
trait SayLine {
    fn say_line(&self, text: &str);
}

impl SayLine for App<'_> {
    fn say_line(&self, text: &str) {
        if !self.json {
            sampan_node::cli::output::to_stderr(text);
        }
    }
}

struct Work<'w, 'a, 'c> {
    app: &'w App<'a>,
    plan: &'w mut Plan<'c>,
    charter: &'w Charter,
    base: Place,
    kind: Option<&'w str>,
    /// The line that stated each unit as its own.
    stated: BTreeMap<Place, u64>,
    out: Outcome,
}

impl Work<'_, '_, '_> {
    fn bad(&mut self, line: u64, field: Option<&str>, reason: String) {
        self.out.bad.push(BadCell { line, field: field.map(str::to_owned), reason });
    }

    /// Places one unit; `false` if it was refused.
    fn state(
        &mut self,
        line: u64,
        parent: Place,
        wanted: &Wanted,
        fields: (&str, &str),
        lowest: bool,
    ) -> Option<Place> {
        let lang = self.app.lang;
        match self.plan.place(parent, wanted) {
            Ok((place, new)) => {
                if lowest {
                    if let Some(first) = self.stated.get(&place) {
                        let reason = self.app.t("unit.twice", &[("line", &first.to_string())]);
                        self.bad(line, Some(fields.0), reason);
                        return None;
                    }
                    self.stated.insert(place, line);
                    if !new && matches!(place, Place::Known(_)) {
                        self.out.existing += 1;
                    }
                }
                Some(place)
            }
            Err(refusal) => {
                let field = match &refusal {
                    Refusal::CodeTaken { .. } | Refusal::OtherName { .. } => fields.1,
                    Refusal::KindAbove(_) | Refusal::KindUnknown { .. } => "kind",
                    Refusal::NoName | Refusal::Long | Refusal::Several(_) | Refusal::TooDeep => fields.0,
                };
                self.bad(line, Some(field), refusal.words(lang));
                None
            }
        }
    }

    fn levels(&mut self, row: &ImportRow, levels: &[String]) {
        let cell = |name: &str| row.cells.iter().find(|(c, _)| c == name).map(|(_, text)| text.clone());
        let code_column = |level: &str| format!("{level}_code");
        let given = |level: &String| cell(level).is_some() || cell(&code_column(level)).is_some();
        let Some(lowest) = levels.iter().rposition(given) else { return };
        let before = self.plan.planned().len();
        let mut at = self.base;
        for (i, level) in levels.iter().take(lowest + 1).enumerate() {
            let code = code_column(level);
            let Some(name) = cell(level) else {
                let id = if cell(&code).is_some() { "unit.no_name" } else { "unit.gap" };
                let reason = self.app.t(id, &[]);
                self.bad(row.line, Some(level), reason);
                return self.plan.undo_to(before);
            };
            let kind = self.kind.filter(|_| i + 1 == levels.len()).map(str::to_owned);
            let wanted = Wanted { name, code: cell(&code), kind };
            match self.state(row.line, at, &wanted, (level, &code), i == lowest) {
                Some(place) => at = place,
                None => return self.plan.undo_to(before),
            }
        }
    }

    /// Rows in passes: a parent may stand below its children in the file.
    fn one_a_row(&mut self, rows: &[ImportRow]) {
        let cell = |row: &ImportRow, name: &str| row.cells.iter().find(|(c, _)| c == name).map(|(_, t)| t.clone());
        let mut open: Vec<&ImportRow> = rows.iter().collect();
        loop {
            let before = open.len();
            let mut waiting = Vec::new();
            for row in open {
                let parent = match cell(row, "parent") {
                    None => self.base,
                    Some(text) => match self.plan.named(&text).as_slice() {
                        [one] => *one,
                        [] => {
                            waiting.push(row);
                            continue;
                        }
                        _ => {
                            let reason = self.app.t("unit.parents", &[("name", &text)]);
                            self.bad(row.line, Some("parent"), reason);
                            continue;
                        }
                    },
                };
                let wanted = Wanted {
                    name: cell(row, "name").unwrap_or_default(),
                    code: cell(row, "code"),
                    kind: cell(row, "kind").or_else(|| self.kind.map(str::to_owned)),
                };
                self.state(row.line, parent, &wanted, ("name", "code"), true);
            }
            if waiting.is_empty() || waiting.len() == before {
                for row in waiting {
                    let text = cell(row, "parent").unwrap_or_default();
                    let near = nearest_units(self.app.lang, self.charter, &text);
                    let reason = self.app.t("unit.no_parent", &[("name", &text), ("nearest", near.trim())]);
                    self.bad(row.line, Some("parent"), reason.trim().to_owned());
                }
                return;
            }
            open = waiting;
        }
    }
}
