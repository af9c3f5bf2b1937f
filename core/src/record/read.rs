//! Reading typed values out of a document, now or at a point of its history.
//!
//! It does not: write, or know what kind a field should have: it maps what is there.
//!
//! Invariants: reading never recurses, so that a document nested by a stranger cannot exhaust the
//! stack; what no schema of ours writes comes out as [`Value::Other`].

use super::engine::refused;
use super::error::Damaged;
use crate::value::Value;
use automerge::{ChangeHash, ObjId, ObjType, ROOT, ReadDoc, ScalarValue, Value as AmValue};
use std::collections::BTreeSet;

/// All concurrent values of a root key with the ids of the operations that wrote them; the winner
/// is the last. Empty if the key is absent.
pub(super) fn all<D: ReadDoc>(doc: &D, key: &str, at: Option<&[ChangeHash]>) -> Result<Vec<(Value, ObjId)>, Damaged> {
    let raw = match at {
        None => doc.get_all(ROOT, key),
        Some(heads) => doc.get_all_at(ROOT, key, heads),
    };
    let mut out = Vec::new();
    for (value, id) in raw.map_err(refused)? {
        let value = match value {
            AmValue::Object(kind) => object(doc, &id, kind, at)?,
            AmValue::Scalar(scalar) => of_scalar(&scalar),
        };
        out.push((value, id));
    }
    Ok(out)
}

/// The winning value of a root key.
pub(super) fn winner<D: ReadDoc>(doc: &D, key: &str, at: Option<&[ChangeHash]>) -> Result<Option<Value>, Damaged> {
    Ok(all(doc, key, at)?.pop().map(|(value, _)| value))
}

fn object<D: ReadDoc>(doc: &D, id: &ObjId, kind: ObjType, at: Option<&[ChangeHash]>) -> Result<Value, Damaged> {
    match kind {
        ObjType::Text => Ok(Value::Text(match at {
            None => doc.text(id).map_err(refused)?,
            Some(heads) => doc.text_at(id, heads).map_err(refused)?,
        })),
        ObjType::List => {
            let values = match at {
                None => doc.values(id),
                Some(heads) => doc.values_at(id, heads),
            };
            Ok(Value::List(values.map(|(value, _)| element(&value)).collect()))
        }
        ObjType::Map | ObjType::Table => {
            let keys = match at {
                None => doc.keys(id),
                Some(heads) => doc.keys_at(id, heads),
            };
            Ok(Value::Set(keys.collect::<BTreeSet<String>>()))
        }
    }
}

fn element(value: &AmValue<'_>) -> String {
    match value {
        AmValue::Object(kind) => shape(*kind).to_owned(),
        AmValue::Scalar(scalar) => match scalar.as_ref() {
            ScalarValue::Str(s) => s.to_string(),
            other => text_of(other),
        },
    }
}

fn shape(kind: ObjType) -> &'static str {
    match kind {
        ObjType::Map | ObjType::Table => "{…}",
        ObjType::List => "[…]",
        ObjType::Text => "(text)",
    }
}

fn of_scalar(scalar: &ScalarValue) -> Value {
    match scalar {
        ScalarValue::Str(s) => Value::Str(s.to_string()),
        ScalarValue::Int(n) => Value::Int(*n),
        ScalarValue::Boolean(b) => Value::Bool(*b),
        ScalarValue::Counter(c) => Value::Counter(i64::from(c)),
        other => Value::Other(text_of(other)),
    }
}

fn text_of(scalar: &ScalarValue) -> String {
    match scalar {
        ScalarValue::Bytes(b) => data_encoding::HEXLOWER.encode(b),
        ScalarValue::Str(s) => s.to_string(),
        ScalarValue::Int(n) => n.to_string(),
        ScalarValue::Uint(n) => n.to_string(),
        ScalarValue::F64(x) => x.to_string(),
        ScalarValue::Counter(c) => i64::from(c).to_string(),
        ScalarValue::Timestamp(t) => t.to_string(),
        ScalarValue::Boolean(b) => b.to_string(),
        ScalarValue::Unknown { bytes, .. } => data_encoding::HEXLOWER.encode(bytes),
        ScalarValue::Null => "null".to_owned(),
    }
}
