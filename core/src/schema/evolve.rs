//! Which schema may follow which: only additions.
//!
//! It does not: migrate anything; a record written under any version stays readable under all.
//!
//! Invariants: what a peer with the old schema wrote keeps its meaning under the new one.

use super::types::{Collection, Field, Schema};

/// Whether `new` may replace `old`.
///
/// Fields, choices, collections, metrics and levels below the last may be added; labels, hidden,
/// required, max, title, person, search, match and unique may change. Nothing is removed or retyped.
///
/// # Errors
/// One sentence for each thing that may not change.
pub fn evolve(old: &Schema, new: &Schema) -> Result<(), Vec<String>> {
    let mut wrong = Vec::new();
    if old.name != new.name {
        wrong.push(format!(
            "schema.name: it is '{}' and cannot become '{}'; another schema needs another organisation",
            old.name, new.name
        ));
    }
    if new.version <= old.version {
        wrong.push(format!(
            "schema.version: {} is not above the published {}; give the new file version = {}",
            new.version,
            old.version,
            old.version.saturating_add(1)
        ));
    }
    if !new.levels.starts_with(&old.levels) {
        wrong.push(format!(
            "schema.levels: the published levels ({}) must stay first and in order; only lower ones may be added at the end",
            old.levels.join(", ")
        ));
    }
    for (id, before) in &old.collections {
        match new.collections.get(id) {
            None => wrong.push(format!("collection.{id}: it was removed; collections stay for ever, put it back")),
            Some(after) => collection(before, after, &mut wrong),
        }
    }
    for (id, before) in &old.metrics {
        match new.metrics.get(id) {
            None => wrong.push(format!("metric.{id}: it was removed; put it back")),
            Some(after)
                if (&after.of, &after.op, &after.period, &after.on)
                    != (&before.of, &before.op, &before.period, &before.on) =>
            {
                wrong.push(format!(
                    "metric.{id}: 'of', 'op', 'period' and 'on' cannot change, or old figures change their meaning; add a metric under a new name"
                ));
            }
            Some(_) => {}
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong) }
}

/// One thing that a new version brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// A collection.
    Collection(String),
    /// A field: its collection and its id.
    Field(String, String),
    /// A choice: the collection, the field and its id.
    Choice(String, String, String),
    /// A field that is shown no more.
    Hidden(String, String),
    /// A field or collection under another label; a collection has an empty field.
    Label(String, String),
    /// A metric.
    Metric(String),
    /// A level below the last.
    Level(String),
}

impl News {
    /// The word for what it is.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Collection(_) => "collection",
            Self::Field(..) => "field",
            Self::Choice(..) => "choice",
            Self::Hidden(..) => "hidden",
            Self::Label(..) => "label",
            Self::Metric(_) => "metric",
            Self::Level(_) => "level",
        }
    }

    /// What it is about, such as `members.phone`.
    #[must_use]
    pub fn path(&self) -> String {
        match self {
            Self::Collection(id) | Self::Metric(id) | Self::Level(id) => id.clone(),
            Self::Label(c, f) if f.is_empty() => c.clone(),
            Self::Field(c, f) | Self::Hidden(c, f) | Self::Label(c, f) => format!("{c}.{f}"),
            Self::Choice(c, f, id) => format!("{c}.{f} = {id}"),
        }
    }
}

/// What a version brings that may follow another.
#[must_use]
pub fn news(old: &Schema, new: &Schema) -> Vec<News> {
    let mut out: Vec<News> = new.levels.iter().skip(old.levels.len()).cloned().map(News::Level).collect();
    for (id, after) in &new.collections {
        let Some(before) = old.collections.get(id) else {
            out.push(News::Collection(id.clone()));
            continue;
        };
        if before.label != after.label {
            out.push(News::Label(id.clone(), String::new()));
        }
        for field in &after.fields {
            let Some(was) = before.field(&field.id) else {
                out.push(News::Field(id.clone(), field.id.clone()));
                continue;
            };
            let added = field.choices.iter().filter(|c| !was.choices.iter().any(|w| w.id == c.id));
            out.extend(added.map(|c| News::Choice(id.clone(), field.id.clone(), c.id.clone())));
            if field.hidden && !was.hidden {
                out.push(News::Hidden(id.clone(), field.id.clone()));
            }
            if field.label != was.label {
                out.push(News::Label(id.clone(), field.id.clone()));
            }
        }
    }
    out.extend(new.metrics.keys().filter(|id| !old.metrics.contains_key(*id)).cloned().map(News::Metric));
    out
}

fn collection(old: &Collection, new: &Collection, wrong: &mut Vec<String>) {
    let id = &old.id;
    let mut same = |what: &str, equal: bool| {
        if !equal {
            wrong.push(format!(
                "collection.{id}: '{what}' cannot change once published; records already live by it. Add a new collection instead"
            ));
        }
    };
    same("flow", old.flow == new.flow);
    same("reach", old.reach == new.reach);
    same("identity", old.identity == new.identity);
    same("reply_to", old.reply_to == new.reply_to);
    for before in &old.fields {
        match new.field(&before.id) {
            None => wrong.push(format!(
                "collection.{id}.field.{}: it was removed; put it back, with hidden = true to keep it from the screens",
                before.id
            )),
            Some(after) => field(id, before, after, wrong),
        }
    }
}

fn field(collection: &str, old: &Field, new: &Field, wrong: &mut Vec<String>) {
    let path = format!("collection.{collection}.field.{}", old.id);
    for (what, equal) in [("kind", old.kind == new.kind), ("scale", old.scale == new.scale), ("to", old.to == new.to)] {
        if !equal {
            wrong.push(format!(
                "{path}: '{what}' cannot change once published; add a field under a new name and hide this one"
            ));
        }
    }
    for choice in &old.choices {
        if !new.choices.iter().any(|c| c.id == choice.id) {
            wrong.push(format!("{path}: the choice '{}' was removed; records may hold it, put it back", choice.id));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::parse;

    const BASE: &str = r#"
[schema]
name = "coop"
version = 1
levels = ["union", "coop"]
[collection.farms]
flow = "up"
reach = "root"
identity = ["code"]
[collection.farms.field.code]
kind = "string"
[collection.farms.field.crop]
kind = "choice"
choices = [{ id = "rice" }, { id = "tea" }]
[collection.farms.field.area]
kind = "decimal"
scale = 2
[metric.farms]
of = "farms"
op = "count"
"#;

    fn try_change(from: &str, to: &str) -> Result<(), Vec<String>> {
        assert!(BASE.contains(from), "the test's own text: {from}");
        let next = BASE.replace("version = 1", "version = 2").replace(from, to);
        evolve(&parse(BASE).unwrap(), &parse(&next).unwrap())
    }

    #[test]
    fn additions_labels_and_hiding_pass() {
        assert_eq!(
            try_change(
                "[metric.farms]",
                "[collection.farms.field.owner]\nkind = \"string\"\n[collection.boats]\nflow = \"down\"\n[metric.farms]"
            ),
            Ok(())
        );
        assert_eq!(
            try_change(
                "kind = \"decimal\"",
                "kind = \"decimal\"\nhidden = true\nlabel = { vi = \"Diện tích\", en = \"Area\" }"
            ),
            Ok(())
        );
        assert_eq!(try_change("{ id = \"tea\" }", "{ id = \"tea\", en = \"Tea\" }, { id = \"corn\" }"), Ok(()));
        assert_eq!(try_change("\"coop\"]", "\"coop\", \"group\"]"), Ok(()));
    }

    #[test]
    fn what_is_new_is_named_once() {
        let next = BASE
            .replace("version = 1", "version = 2")
            .replace("\"coop\"]", "\"coop\", \"group\"]")
            .replace("{ id = \"tea\" }", "{ id = \"tea\" }, { id = \"corn\" }")
            .replace("scale = 2", "scale = 2\nhidden = true\nlabel = { vi = \"Diện tích\" }")
            .replace("[metric.farms]", "[collection.farms.field.owner]\nkind = \"string\"\n[collection.boats]\nflow = \"down\"\n[metric.boats]\nof = \"farms\"\nop = \"count\"\n[metric.farms]");
        let (old, new) = (parse(BASE).unwrap(), parse(&next).unwrap());
        assert_eq!(evolve(&old, &new), Ok(()));
        let told: Vec<String> = news(&old, &new).iter().map(|n| format!("{} {}", n.kind(), n.path())).collect();
        let expected = [
            "level group",
            "collection boats",
            "choice farms.crop = corn",
            "hidden farms.area",
            "label farms.area",
            "field farms.owner",
            "metric boats",
        ];
        assert_eq!(told, expected);
        assert_eq!(news(&new, &new), []);
    }

    #[test]
    fn removals_and_retypings_are_named() {
        for (from, to, named) in [
            (
                "[collection.farms.field.area]\nkind = \"decimal\"\nscale = 2\n",
                "",
                "collection.farms.field.area: it was removed",
            ),
            ("scale = 2", "scale = 3", "collection.farms.field.area: 'scale'"),
            ("kind = \"decimal\"\nscale = 2", "kind = \"int\"", "'kind' cannot change"),
            (", { id = \"tea\" }", "", "the choice 'tea' was removed"),
            ("flow = \"up\"\nreach = \"root\"", "flow = \"down\"", "collection.farms: 'flow'"),
            ("reach = \"root\"", "reach = \"coop\"", "collection.farms: 'reach'"),
            ("identity = [\"code\"]\n", "", "collection.farms: 'identity'"),
            ("\"union\", \"coop\"]", "\"city\", \"coop\"]", "schema.levels"),
            ("op = \"count\"", "op = \"sum:area\"", "metric.farms"),
        ] {
            let wrong = try_change(from, to).unwrap_err();
            assert!(wrong.iter().any(|w| w.contains(named)), "{named}: {wrong:?}");
        }
    }

    #[test]
    fn the_version_must_grow() {
        let schema = parse(BASE).unwrap();
        let wrong = evolve(&schema, &schema).unwrap_err();
        assert_eq!(wrong.len(), 1);
        assert!(wrong[0].contains("version = 2"), "{wrong:?}");
    }
}
