//! From the text of a schema file to a [`Schema`].
//!
//! It does not: read files; compare versions (see `evolve`).
//!
//! Invariants: what parses is valid: every name that is mentioned exists, every limit holds; all
//! problems of a file are reported together, in file order, each with its line.

use super::document::{At, Problems, SchemaProblem, Section};
use super::types::{Choice, Collection, Field, Label, Schema};
use crate::id::Flow;
use crate::limits::{FIELDS_MAX, NAME_BYTES_MAX, SCHEMA_BYTES_MAX, SCHEMA_ID_BYTES_MAX, TREE_DEPTH_MAX};
use crate::suggest::{did_you_mean, nearest};
use crate::value::Kind;
use std::collections::{BTreeMap, BTreeSet};
use toml::de::DeTable;

/// Parses and validates a schema file.
///
/// The format is TOML: one `[schema]` (name, version, levels), then `[collection.ID]` (label, flow,
/// reach, title, person, search, match, unique, identity, reply_to, addressed), `[collection.ID.field.ID]` (kind,
/// label, required, max, scale, choices, to, hidden) and `[metric.ID]` (label, of, op, where, by,
/// period, reach). `op` is `count`, `sum:FIELD`, `min:FIELD` or `max:FIELD`. `reach` is `root` or the name
/// of a level and defaults to `root`. A missing label shows the id, a missing title the first
/// field; `of` may stand for a ref's `to`.
///
/// # Errors
/// Every problem of the file, in file order.
pub fn parse(text: &str) -> Result<Schema, Vec<SchemaProblem>> {
    let mut problems = Problems::new(text);
    if text.len() > SCHEMA_BYTES_MAX {
        let what = format!("the file has {} bytes; {SCHEMA_BYTES_MAX} are allowed", text.len());
        problems.add(1, "", what);
        return Err(problems.into_sorted());
    }
    let (document, errors) = DeTable::parse_recoverable(text);
    for e in &errors {
        let line = problems.line(e.span().map_or(0, |s| s.start));
        problems.add(line, "", format!("not valid TOML: {}", e.message()));
    }
    if !problems.is_empty() {
        return Err(problems.into_sorted());
    }
    let root = Section::new(String::new(), 1, document.get_ref(), &problems);
    let schema = Reader { levels: Vec::new(), later: Vec::new(), problems: &mut problems }.schema(root, text);
    if problems.is_empty() { Ok(schema) } else { Err(problems.into_sorted()) }
}

/// Whether a word may be an id: `[a-z][a-z0-9_]*`, at most 64 bytes.
#[must_use]
pub fn is_id(word: &str) -> bool {
    word.len() <= SCHEMA_ID_BYTES_MAX
        && word.starts_with(|c: char| c.is_ascii_lowercase())
        && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

/// Parses the name of a kind, such as `string`.
#[must_use]
pub fn kind_named(name: &str) -> Option<Kind> {
    KINDS.iter().find(|(n, _)| *n == name).map(|(_, k)| *k)
}

/// The name of a kind as schema files write it.
#[must_use]
pub fn kind_name(kind: Kind) -> &'static str {
    KINDS.iter().find(|(_, k)| *k == kind).map_or("", |(n, _)| n)
}

const KINDS: [(&str, Kind); 12] = [
    ("text", Kind::Text),
    ("string", Kind::String),
    ("int", Kind::Int),
    ("decimal", Kind::Decimal),
    ("bool", Kind::Bool),
    ("date", Kind::Date),
    ("choice", Kind::Choice),
    ("list", Kind::List),
    ("set", Kind::Set),
    ("counter", Kind::Counter),
    ("ref", Kind::Ref),
    ("file", Kind::File),
];

/// A collection named before all collections were known.
struct Later {
    line: u32,
    path: String,
    key: &'static str,
    target: String,
}

/// What is known while a document is read.
pub(super) struct Reader<'p> {
    pub(super) levels: Vec<String>,
    later: Vec<Later>,
    pub(super) problems: &'p mut Problems,
}

impl Reader<'_> {
    fn schema(mut self, mut root: Section<'_>, text: &str) -> Schema {
        let (mut name, mut version) = (String::new(), 0);
        match root.table("schema", self.problems) {
            Some(head) => (name, version) = self.head(head),
            None => self.problems.add(1, "schema", "the table [schema] with name, version and levels is missing"),
        }
        let mut collections = BTreeMap::new();
        if let Some(all) = root.table("collection", self.problems) {
            for (id, section) in all.named(self.problems) {
                let collection = self.collection(id, section);
                collections.insert(id.to_owned(), collection);
            }
        }
        for l in std::mem::take(&mut self.later) {
            if !collections.contains_key(&l.target) {
                let near = nearest(&l.target, collections.keys().map(String::as_str));
                let what = format!("'{}' names '{}', which is no collection.{}", l.key, l.target, did_you_mean(&near));
                self.problems.add(l.line, &l.path, what);
            }
        }
        let (mut metrics, mut overs) = (BTreeMap::new(), Vec::new());
        if let Some(all) = root.table("metric", self.problems) {
            for (id, section) in all.named(self.problems) {
                if let Some(metric) = self.metric(id, section, &collections, &mut overs) {
                    metrics.insert(id.to_owned(), metric);
                }
            }
            self.check_overs(overs, &metrics);
        }
        let calendar = root.table("calendar", self.problems).and_then(|s| self.calendar(s, &collections));
        let mut dues = BTreeMap::new();
        if let Some(all) = root.table("due", self.problems) {
            for (id, section) in all.named(self.problems) {
                if let Some(rule) = self.due(id, section, &collections) {
                    dues.insert(id.to_owned(), rule);
                }
            }
        }
        let contact = root.table("contact", self.problems).and_then(|s| self.contact(s, &collections));
        let target = root.table("target", self.problems).and_then(|s| self.target(s, &collections, &metrics));
        root.close(self.problems);
        let calendar = calendar.unwrap_or_default();
        Schema {
            name,
            version,
            levels: self.levels,
            collections,
            metrics,
            calendar,
            dues,
            contact,
            target,
            source: text.to_owned(),
        }
    }

    fn head(&mut self, mut s: Section<'_>) -> (String, u32) {
        let name = self.needed(&mut s, "name");
        let name = name.map(|at| {
            if at.value.trim().is_empty() || at.value.len() > NAME_BYTES_MAX {
                let what = format!("'name' must have 1 to {NAME_BYTES_MAX} bytes");
                self.problems.add(at.line, &s.path, what);
            }
            at.value.to_owned()
        });
        let version = s.number("version", 1, u32::MAX, self.problems);
        if version.is_none() && !s.has("version") {
            self.problems.add(s.line, &s.path, "'version' is missing; a first schema has version = 1");
        }
        let levels = s.strings("levels", self.problems);
        self.check_levels(&levels, &s.path);
        self.levels = levels.value;
        s.close(self.problems);
        (name.unwrap_or_default(), version.map_or(0, |v| v.value))
    }

    /// Reports names that are no levels.
    pub(super) fn check_levels_of(&mut self, named: &At<Vec<String>>, path: &str) {
        for name in named.value.iter().filter(|n| !self.levels.contains(n)) {
            let near = nearest(name, self.levels.iter().map(String::as_str));
            let what = format!("'levels' names '{name}', which is no level here.{}", did_you_mean(&near));
            self.problems.add(named.line, path, what);
        }
    }

    fn check_levels(&mut self, levels: &At<Vec<String>>, path: &str) {
        let count = levels.value.len();
        if !(1..=TREE_DEPTH_MAX).contains(&count) {
            let what = format!("'levels' must name 1 to {TREE_DEPTH_MAX} levels, the root's first; it names {count}");
            self.problems.add(levels.line, path, what);
        }
        for (i, level) in levels.value.iter().enumerate() {
            if !is_id(&level.replace('-', "_")) {
                self.problems.add(levels.line, path, bad_id("level", level));
            }
            if levels.value[..i].contains(level) || (level == "root" && i > 0) {
                self.problems.add(levels.line, path, format!("the level '{level}' stands there twice"));
            }
        }
    }

    fn collection(&mut self, id: &str, mut s: Section<'_>) -> Collection {
        self.check_id("collection", id, &s);
        let fields = self.fields(&mut s);
        let label = self.label(&mut s, id);
        let flow = self.flow(&mut s);
        let reach = self.reach(&mut s, flow == Flow::Up);
        let title = self.title(&mut s, &fields);
        let person = s.string("person", self.problems).and_then(|at| {
            let found = fields.iter().find(|f| f.id == at.value && f.kind == Kind::String).map(|f| f.id.clone());
            if found.is_none() {
                let what = format!("'person' must name a string field of this collection, not '{}'", at.value);
                self.problems.add(at.line, &s.path, what);
            }
            found
        });
        let search = self.names(&mut s, "search", &fields, |_| None);
        let match_on = self.names(&mut s, "match", &fields, scalar);
        let unique = self.names(&mut s, "unique", &fields, scalar);
        let identity = self.names(&mut s, "identity", &fields, scalar);
        let reply_to = self.other(&mut s, "reply_to");
        let addressed = s.string("addressed", self.problems).and_then(|at| {
            let set = |f: &Field| f.id == at.value && f.kind == Kind::Set;
            let found = fields.iter().find(|f| set(f)).map(|f| f.id.clone());
            if found.is_none() {
                let what = format!("'addressed' must name a set field of this collection, not '{}'", at.value);
                self.problems.add(at.line, &s.path, what);
            }
            found
        });
        let c = Collection {
            id: id.to_owned(),
            label,
            flow,
            reach,
            title,
            person,
            search,
            match_on,
            unique,
            identity,
            reply_to,
            addressed,
            fields,
        };
        s.close(self.problems);
        c
    }

    fn flow(&mut self, s: &mut Section<'_>) -> Flow {
        let Some(at) = self.needed(s, "flow") else {
            return Flow::Local;
        };
        match at.value {
            "up" => Flow::Up,
            "down" => Flow::Down,
            "group" => Flow::Group,
            "local" => Flow::Local,
            other => {
                let what = format!("'flow' must be up, down, group or local, not '{other}'");
                self.problems.add(at.line, &s.path, what);
                Flow::Local
            }
        }
    }

    /// The level that `reach` names; `root` if absent.
    pub(super) fn reach(&mut self, s: &mut Section<'_>, travels_up: bool) -> u8 {
        let Some(at) = s.string("reach", self.problems) else {
            return 0;
        };
        let found = self.levels.iter().position(|l| l == at.value);
        let level = match found {
            Some(i) => i as u8, // at most TREE_DEPTH_MAX levels
            None if at.value == "root" => 0,
            None => {
                let near = nearest(at.value, self.levels.iter().map(String::as_str));
                let what = format!(
                    "'reach' must be root or a level ({}), not '{}'.{}",
                    self.levels.join(", "),
                    at.value,
                    did_you_mean(&near)
                );
                self.problems.add(at.line, &s.path, what);
                0
            }
        };
        if level > 0 && !travels_up {
            self.problems.add(at.line, &s.path, "'reach' is for flow = \"up\" only; leave it out");
            return 0;
        }
        level
    }

    fn title(&mut self, s: &mut Section<'_>, fields: &[Field]) -> String {
        let Some(at) = s.string("title", self.problems) else {
            return fields.first().map(|f| format!("{{{}}}", f.id)).unwrap_or_default();
        };
        match template_fields(at.value) {
            Err(what) => self.problems.add(at.line, &s.path, format!("'title': {what}")),
            Ok(names) => {
                for name in names.iter().filter(|n| !fields.iter().any(|f| f.id == **n)) {
                    self.no_field(at.line, &s.path, "title", name, fields);
                }
            }
        }
        at.value.to_owned()
    }

    /// A list of field names; `refuse` says why a kind cannot serve.
    fn names(
        &mut self,
        s: &mut Section<'_>,
        key: &'static str,
        fields: &[Field],
        refuse: fn(Kind) -> Option<&'static str>,
    ) -> Vec<String> {
        let at = s.strings(key, self.problems);
        let mut seen = BTreeSet::new();
        for name in &at.value {
            if !seen.insert(name) {
                self.problems.add(at.line, &s.path, format!("'{key}' names '{name}' twice"));
            }
            if key == "identity" && name == "_unit" {
                continue;
            }
            match fields.iter().find(|f| f.id == *name) {
                None => self.no_field(at.line, &s.path, key, name, fields),
                Some(f) => {
                    if let Some(why) = refuse(f.kind) {
                        let what = format!("'{key}' names '{name}', a {}: {why}", kind_name(f.kind));
                        self.problems.add(at.line, &s.path, what);
                    }
                }
            }
        }
        at.value
    }

    pub(super) fn no_field(&mut self, line: u32, path: &str, key: &str, name: &str, fields: &[Field]) {
        let near = nearest(name, fields.iter().map(|f| f.id.as_str()));
        let what = format!("'{key}' names '{name}', which is no field here.{}", did_you_mean(&near));
        self.problems.add(line, path, what);
    }

    /// A collection's name that is checked once all are known.
    fn other(&mut self, s: &mut Section<'_>, key: &'static str) -> Option<String> {
        let at = s.string(key, self.problems)?;
        self.later.push(Later { line: at.line, path: s.path.clone(), key, target: at.value.to_owned() });
        Some(at.value.to_owned())
    }

    fn fields(&mut self, s: &mut Section<'_>) -> Vec<Field> {
        let Some(all) = s.table("field", self.problems) else {
            return Vec::new();
        };
        let mut fields = Vec::new();
        for (id, section) in all.named(self.problems) {
            if fields.len() == FIELDS_MAX {
                let what = format!("a collection has at most {FIELDS_MAX} fields; this is one more");
                self.problems.add(section.line, &section.path, what);
                break;
            }
            fields.push(self.field(id, section));
        }
        fields
    }

    fn field(&mut self, id: &str, mut s: Section<'_>) -> Field {
        self.check_id("field", id, &s);
        let kind = self.kind(&mut s);
        let max = s.number("max", 1, u32::MAX, self.problems);
        let scale = s.number("scale", 0, 9, self.problems);
        let choices = s.tables("choices", self.problems);
        let to = self.other(&mut s, "to").or_else(|| self.other(&mut s, "of"));
        if let Some(kind) = kind {
            let measured = matches!(kind, Kind::Text | Kind::String | Kind::List | Kind::Set);
            self.only("max", max.as_ref().map(|m| m.line), measured, "text, string, list and set", &s);
            self.only("scale", scale.as_ref().map(|m| m.line), kind == Kind::Decimal, "decimal", &s);
            self.only("choices", choices.as_ref().map(|c| c.line), kind == Kind::Choice, "choice", &s);
            self.only("to", to.as_ref().map(|_| s.line), kind == Kind::Ref, "ref", &s);
            if kind == Kind::Choice && !s.has("choices") {
                self.problems.add(
                    s.line,
                    &s.path,
                    "a choice needs 'choices', a list such as [{ id = \"a\", vi = \"A\", en = \"A\" }]",
                );
            }
        }
        let field = Field {
            id: id.to_owned(),
            kind: kind.unwrap_or(Kind::String),
            required: s.flag("required", self.problems),
            max: max.map(|m| m.value),
            scale: scale.map_or(0, |m| m.value as u8), // at most 9
            choices: choices.map(|c| self.choices(c, &s.path)).unwrap_or_default(),
            to,
            hidden: s.flag("hidden", self.problems),
            label: self.label(&mut s, id),
        };
        s.close(self.problems);
        field
    }

    fn kind(&mut self, s: &mut Section<'_>) -> Option<Kind> {
        let at = self.needed(s, "kind")?;
        let kind = kind_named(at.value);
        if kind.is_none() {
            let names: Vec<&str> = KINDS.iter().map(|(n, _)| *n).collect();
            let near = nearest(at.value, names.iter().copied());
            let what =
                format!("'kind' must be one of {}, not '{}'.{}", names.join(", "), at.value, did_you_mean(&near));
            self.problems.add(at.line, &s.path, what);
        }
        kind
    }

    /// Reports a key that stands at a field of the wrong kind.
    fn only(&mut self, key: &str, line: Option<u32>, fits: bool, kinds: &str, s: &Section<'_>) {
        if let Some(line) = line.filter(|_| !fits) {
            self.problems.add(line, &s.path, format!("'{key}' is for the kind {kinds} only; leave it out"));
        }
    }

    fn choices(&mut self, list: At<Vec<Section<'_>>>, path: &str) -> Vec<Choice> {
        let mut out: Vec<Choice> = Vec::new();
        if list.value.is_empty() {
            self.problems.add(list.line, path, "'choices' must name at least one choice");
        }
        for mut s in list.value {
            let id = self.needed(&mut s, "id").map_or("", |at| at.value);
            let well_formed = is_id(&format!("x{id}")) && !id.is_empty() && !id.starts_with('_');
            if !well_formed && s.has("id") {
                self.problems.add(s.line, &s.path, bad_id("choice", id));
            }
            if out.iter().any(|c| c.id == id) {
                self.problems.add(s.line, &s.path, format!("the choice '{id}' stands there twice"));
            }
            let label = self.words(&mut s, id);
            s.close(self.problems);
            out.push(Choice { id: id.to_owned(), label });
        }
        out
    }

    pub(super) fn label(&mut self, s: &mut Section<'_>, id: &str) -> Label {
        match s.table("label", self.problems) {
            None => Label { vi: id.to_owned(), en: id.to_owned() },
            Some(mut l) => {
                let label = self.words(&mut l, id);
                l.close(self.problems);
                label
            }
        }
    }

    /// `vi` and `en`; one stands for the other, the id for both.
    fn words(&mut self, s: &mut Section<'_>, id: &str) -> Label {
        let vi = s.string("vi", self.problems).map(|at| at.value);
        let en = s.string("en", self.problems).map(|at| at.value);
        let pick = |a: Option<&str>, b: Option<&str>| a.or(b).unwrap_or(id).to_owned();
        Label { vi: pick(vi, en), en: pick(en, vi) }
    }

    pub(super) fn check_id(&mut self, what: &str, id: &str, s: &Section<'_>) {
        if !is_id(id) {
            self.problems.add(s.line, &s.path, bad_id(what, id));
        }
    }

    /// Reads a string that must be there.
    pub(super) fn needed<'d>(&mut self, s: &mut Section<'d>, key: &'static str) -> Option<At<&'d str>> {
        let found = s.string(key, self.problems);
        if found.is_none() && !s.has(key) {
            self.problems.add(s.line, &s.path, format!("'{key}' is missing"));
        }
        found
    }
}

fn bad_id(what: &str, id: &str) -> String {
    format!(
        "'{id}' cannot name a {what}: use a-z, 0-9 and _, beginning with a letter, at most {SCHEMA_ID_BYTES_MAX} characters"
    )
}

/// Why a kind cannot be compared as one value.
fn scalar(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::Text | Kind::List | Kind::Set | Kind::Counter => Some("only kinds with one plain value can stand here"),
        Kind::String | Kind::Int | Kind::Decimal | Kind::Bool | Kind::Date | Kind::Choice | Kind::Ref | Kind::File => {
            None
        }
    }
}

/// The field names in a title template.
pub(super) fn template_fields(template: &str) -> Result<Vec<&str>, String> {
    let mut names = Vec::new();
    let mut rest = template;
    while let Some(open) = rest.find(['{', '}']) {
        let tail = &rest[open..];
        let close = tail.find('}').filter(|c| *c > 0);
        let Some(close) = close else {
            return Err(format!("'{template}' has a brace without its partner; write {{field}}"));
        };
        names.push(&tail[1..close]);
        rest = &tail[close + 1..];
    }
    Ok(names)
}
