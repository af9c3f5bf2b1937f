//! What people write and paste: tickets, schema files, filters, assignments, the config, values.
//!
//! It does not: read tables (`tables`).
//!
//! Invariants tried: nothing panics; what is read says the same when it is written and read again; every
//! refusal has words.

use super::draw::{Count, Draw};
use sampan_core::charter::{Ticket, ticket as line};
use sampan_core::date::Date;
use sampan_core::engine::Engine;
use sampan_core::fold::{fold, name_sort_key, sort_key};
use sampan_core::hash::tagged;
use sampan_core::id::StoreEpoch;
use sampan_core::limits::{EXPR_TERMS_MAX, TICKET_CHARS_MAX};
use sampan_core::log::device_id;
use sampan_core::pack::Stored;
use sampan_core::schema::number::{parse_decimal, parse_plain_decimal, plain_decimal};
use sampan_core::schema::value::is_empty;
use sampan_core::schema::{
    self, Assignment, Collection, Expr, Field, Lang, Operand, Schema, Term, check, display, evolve, from_json,
    parse_cell, parse_value, required_missing, title, to_cell, to_json,
};
use sampan_core::suggest::nearest;
use sampan_core::testing::{MemStore, test_key, test_time};
use sampan_core::value::{Edit, Kind, Value};
use sampan_core::wire;
use sampan_node::config::ConfigFile;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

fn builtin() -> &'static Schema {
    static MADE: OnceLock<Schema> = OnceLock::new();
    MADE.get_or_init(schema::builtin)
}

fn collection(d: &mut Draw<'_>) -> &'static Collection {
    let all = &builtin().collections;
    all.values().nth(d.below(all.len())).expect("below their number")
}

pub fn ticket(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    match Ticket::decode(&text) {
        Ok(t) => taken(&t),
        Err(e) => assert!(e.to_string().len() < 4 * TICKET_CHARS_MAX, "{e}"),
    }
    // With a right check sum chance reaches the body.
    let check = tagged("ticket", &[bytes]);
    let whole = [bytes, &check[..4]].concat();
    let made = format!("{}{}", line::PREFIX, data_encoding::BASE32_NOPAD.encode(&whole).to_lowercase());
    if let Ok(t) = Ticket::decode(&made) {
        assert_eq!(wire::encode(&t), bytes);
        assert_eq!(t.encode(), made);
        taken(&t);
    }
}

/// A ticket that is whole may still be a lie: joining with it is refused or works, and leaves a store that
/// opens.
fn taken(t: &Ticket) {
    assert!(Ticket::decode(&t.encode()).as_ref() == Ok(t));
    let key = test_key(77);
    let mut store = MemStore::new(t.org, device_id(&key), StoreEpoch([7; 16]));
    let mut rng = Count::default();
    let mut engine = Engine::open(&mut store, t.org, key.clone(), Arc::new(Stored), &mut rng).expect("an empty store");
    match engine.join(&mut store, &mut rng, t, [7; 32], test_time(5)) {
        Ok(_) => drop(engine.joined_units(&store).expect("it was stored")),
        Err(e) => assert!(!e.to_string().is_empty()),
    }
    Engine::open(&mut store, t.org, key, Arc::new(Stored), &mut rng).expect("a store that it wrote itself");
}

pub fn schema(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let read = match schema::parse(&text) {
        Ok(read) => read,
        Err(problems) => {
            assert!(!problems.is_empty());
            return problems.iter().for_each(|p| assert!(!p.to_string().is_empty()));
        }
    };
    assert_eq!(schema::parse(&read.source).as_ref(), Ok(&read), "its source says the same");
    assert_eq!(read.source, text);
    // Only the version stands in the way of itself.
    let newer = Schema { version: read.version.saturating_add(1), ..read.clone() };
    assert_eq!(evolve(&read, &newer).is_ok(), newer.version > read.version);
    assert!(evolve(&read, &read).is_err());
    let _ = evolve(builtin(), &read);
    for c in read.collections.values() {
        assert_eq!(title(c, &BTreeMap::new()).trim(), title(c, &BTreeMap::new()));
        let all: BTreeMap<String, Value> = c.fields.iter().map(|f| (f.id.clone(), Value::Str("{x}".into()))).collect();
        let _ = (title(c, &all), required_missing(c, &all));
        for f in &c.fields {
            assert_eq!(c.field(&f.id), Some(f), "ids are unique");
            value(f, "1");
        }
        let names = c.search.iter().chain(&c.match_on).chain(&c.unique);
        assert!(names.into_iter().all(|n| c.field(n).is_some()), "{c:?}");
        for n in &c.identity {
            assert!(n == "_unit" || c.field(n).is_some(), "{c:?}");
        }
    }
}

pub fn filter(bytes: &[u8]) {
    let mut d = Draw::new(bytes);
    let c = collection(&mut d);
    let text = String::from_utf8_lossy(d.rest());
    let read = match Expr::parse(c, &text) {
        Ok(read) => read,
        Err(e) => {
            assert!(e.at >= 1 && e.at <= text.chars().count() + 1, "{e}");
            return assert!(!e.to_string().is_empty());
        }
    };
    assert!(read.terms.len() <= EXPR_TERMS_MAX);
    let samples =
        [None, Some(Value::Str("2025-11-3\u{111}".into())), Some(Value::Int(-1)), Some(Value::Str(String::new()))];
    for sample in &samples {
        for t in &read.terms {
            let opposite = match t.op {
                schema::Op::Eq => Some(schema::Op::Ne),
                schema::Op::Ne => Some(schema::Op::Eq),
                schema::Op::Lt | schema::Op::Le | schema::Op::Gt | schema::Op::Ge | schema::Op::Contains => None,
            };
            if let Some(op) = opposite {
                let other = Term { op, ..t.clone() };
                assert_ne!(t.matches(sample.as_ref()), other.matches(sample.as_ref()), "{t:?} of {sample:?}");
            }
        }
        let _ = read.matches(&|_| sample.clone());
    }
    if let Some(written) = read.terms.iter().map(|t| written(c, t)).collect::<Option<Vec<_>>>() {
        let again = written.join(" and ");
        if again.len() <= sampan_core::limits::EXPR_BYTES_MAX {
            assert_eq!(Expr::parse(c, &again).as_ref(), Ok(&read), "{again}");
        }
    }
}

/// The term as text; `None` where its operand does not say what was written.
fn written(c: &Collection, t: &Term) -> Option<String> {
    let field = c.field(&t.field);
    let value = match &t.operand {
        Operand::Empty => String::new(),
        Operand::Value(Value::Str(s) | Value::Text(s)) | Operand::Prefix(s) | Operand::Folded(s) => s.clone(),
        Operand::Value(v) => to_cell(field, v),
        Operand::OneOf(_) => return None,
    };
    // What folds to nothing is not what `""` says.
    if value.is_empty() && t.operand != Operand::Empty {
        return None;
    }
    Some(format!("{} {} \"{}\"", t.field, t.op, value.replace('\\', "\\\\").replace('"', "\\\"")))
}

pub fn assignment(bytes: &[u8]) {
    let mut d = Draw::new(bytes);
    let c = collection(&mut d);
    let text = String::from_utf8_lossy(d.rest());
    match Assignment::parse(c, &text) {
        Ok((id, edit)) => {
            let field = c.field(&id);
            assert!(field.is_some() || id == "_removed", "{id}");
            match (&edit, field) {
                (Edit::Set(v) | Edit::Add(v) | Edit::Sub(v), Some(f)) => {
                    assert_eq!(check(f, v), Ok(()));
                    round(f, v);
                }
                (Edit::Clear, _) | (_, None) => {}
            }
            // The command line reads the same field from it.
            let typed = sampan_node::cli::assign::parse_one(sampan_node::i18n::Lang::En, &text);
            assert_eq!(typed.ok().map(|a| a.field), Some(id), "{text}");
        }
        Err(e) => assert!(!e.to_string().is_empty()),
    }
    let words: Vec<String> = text.split('\n').map(str::to_owned).collect();
    let _ = sampan_node::cli::assign::parse_all(sampan_node::i18n::Lang::Vi, &words);
}

pub fn config(bytes: &[u8]) {
    let mut d = Draw::new(bytes);
    let change = d.byte();
    let text = String::from_utf8_lossy(d.rest());
    let read = match ConfigFile::parse("sampan.toml", &text) {
        Ok(read) => read,
        Err(e) => return assert!(!e.to_string().is_empty()),
    };
    let mut file = read.clone();
    let s = &mut file.settings;
    match change % 8 {
        1 => s.listen = Some("127.0.0.1:40123".parse().expect("an address")),
        2 => s.log = Some("debug".into()),
        3 => s.advertise = None,
        4 => s.advertise = Some(vec!["a:1".into(), "[::1]:2".into()]),
        5 => s.backoff_s = Some((1, 9)),
        6 => file.replica = None,
        7 => s.cache_mb = None,
        _ => {}
    }
    for old in [&*text, ""] {
        let once = file.render(old);
        let back = ConfigFile::parse("c", &once).unwrap_or_else(|e| panic!("{e}\nfrom {old:?}\nwrote {once:?}"));
        assert_eq!(back, file, "{once}");
        assert_eq!(file.render(&once), once, "a second rewrite changes nothing");
    }
}

/// One field of each kind, with limits that chance can reach.
fn fields() -> &'static [Field] {
    static MADE: OnceLock<Vec<Field>> = OnceLock::new();
    MADE.get_or_init(|| {
        let mut out: Vec<Field> = Vec::new();
        for f in builtin().collections.values().flat_map(|c| &c.fields) {
            if !out.iter().any(|o| o.kind == f.kind && o.scale == f.scale && o.max == f.max) {
                out.push(f.clone());
            }
        }
        for scale in [0, 3, 9] {
            let decimal = out.iter().find(|f| f.kind == Kind::Decimal).cloned();
            out.extend(decimal.map(|f| Field { scale, ..f }));
        }
        out
    })
}

pub fn values(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for f in fields() {
        value(f, &text);
    }
    for scale in 0..=9 {
        if let Some(n) = parse_plain_decimal(&text, scale) {
            assert_eq!(parse_plain_decimal(&plain_decimal(n, scale), scale), Some(n), "{text}");
            // Where a person's reading is taken at all, it is the same.
            if let Ok(read) = parse_decimal(&text, scale) {
                assert_eq!(read, n, "{text} at scale {scale}");
            }
        }
        if let Ok(n) = parse_decimal(&text, scale) {
            assert_eq!(parse_plain_decimal(&plain_decimal(n, scale), scale), Some(n), "{text}");
        }
    }
    for read in [Date::parse(&text), Date::parse_typed(&text)].into_iter().flatten() {
        assert_eq!(Date::parse(&read.to_string()), Ok(read));
        assert_eq!(Date::parse_typed(&read.day_first()), Ok(read));
        assert_eq!(Date::new(read.year(), read.month(), read.day()), Ok(read));
        let _ = sampan_relay::admin::when::end_of(read);
    }
    let folded = fold(&text);
    assert_eq!(fold(&folded), folded, "folding is idempotent");
    let _ = (sort_key(&text), name_sort_key(&text));
    assert!(nearest(&text, ["members", "minutes", "đơn vị"]).len() <= 3);
    if let Ok(json) = serde_json::from_slice::<serde_json::Value>(bytes) {
        for f in fields() {
            if let Ok(Some(v)) = from_json(f, &json) {
                assert_eq!(check(f, &v), Ok(()));
                round(f, &v);
            }
        }
    }
}

/// A text as a value of a field, in the two ways of reading it.
fn value(f: &Field, text: &str) {
    if let Ok(v) = parse_value(f, text) {
        assert_eq!(check(f, &v), Ok(()), "{text}");
        round(f, &v);
    }
    if let Ok(Some(v)) = parse_cell(f, text) {
        assert_eq!(check(f, &v), Ok(()), "{text}");
        round(f, &v);
        // Only `[]` says that nothing is there, and then nothing is shown.
        let shown = (!is_empty(&v)).then_some(v.clone());
        assert_eq!(parse_cell(f, &to_cell(Some(f), &v)), Ok(shown), "{} from the cell {text:?}", f.id);
    }
}

/// What programs are given is read back as the same.
fn round(f: &Field, v: &Value) {
    assert_eq!(from_json(f, &to_json(Some(f), v)), Ok(Some(v.clone())), "{}", f.id);
    for lang in [Lang::Vi, Lang::En] {
        let _ = display(f, v, lang);
    }
    let cell = to_cell(Some(f), v);
    match parse_cell(f, &cell) {
        // A cell cannot say that a value is there and empty, nor hold the spaces around a string.
        Ok(None) => assert!(cell.trim().is_empty(), "{}: {v:?}", f.id),
        Ok(Some(back)) if matches!(f.kind, Kind::String | Kind::File) => {
            assert_eq!(to_cell(Some(f), &back), cell.trim())
        }
        back => assert_eq!(back, Ok(Some(v.clone())), "{} through the cell {cell:?}", f.id),
    }
}
