//! Computed changes: births, identity records, and the bytes that must never move.
//!
//! It does not: cover what people see day to day (`stories`).
//!
//! Invariants: the golden constants are never edited.

use super::*;

const GOLDEN_IDENTITY_ID: &str = "77063e16ef422da7ad546a5a28f80452";
const GOLDEN_IDENTITY: &str = concat!(
    "856f4a839b70e44c0142001045d4e7d48a145e354ea69886b2d456880101000000061510340142025603",
    "570670027e0964697265637469766504756e69740202017e46263737616230380200",
);
const GOLDEN_BIRTH: &str = concat!(
    "856f4a837aeba03d0150019b70e44ca5ea042e768247deca8fbe0c5277d236f838bedd860d5a0e773583",
    "7e105436098e24471e310d933979d665e445010300000005150734014202560270027f056e6f74657301",
    "7f047f007f00",
);

#[test]
fn two_equal_rows_are_two_records_and_equal_arguments_equal_bytes() {
    let row = fields(&[("name", s("An"))]);
    let one = create(&ANH, Millis(5), [1; 6], &row).unwrap();
    let two = create(&ANH, Millis(5), [2; 6], &row).unwrap();
    assert_ne!(ids::record_id(&space(), &one.hash), ids::record_id(&space(), &two.hash));
    assert_eq!(one, create(&ANH, Millis(5), [1; 6], &row).unwrap());
}

#[test]
fn text_and_counter_first_used_on_two_sides_at_once_both_stand() {
    let (mut a, mut b) = Desk::two(&[("name", s("An"))]);
    let made = a.try_edit(&[("notes", Edit::Set(t("sáng "))), ("visits", Edit::Add(Value::Counter(3)))]).unwrap();
    let births: Vec<_> = made.iter().filter_map(|c| c.birth.clone()).collect();
    assert_eq!(births, vec![("notes".to_owned(), Kind::Text), ("visits".to_owned(), Kind::Counter)]);
    assert_eq!(made[2].fields, vec!["notes", "visits"]);
    b.set("name", s("Anh"));
    let theirs = b.try_edit(&[("notes", Edit::Set(t("chiều "))), ("visits", Edit::Sub(Value::Counter(1)))]).unwrap();
    assert_eq!(made[..2], theirs[..2], "births fold by hash, whatever was edited before them");
    meet(&mut a, &mut b);
    let Some(Value::Text(text)) = a.value("notes") else { panic!() };
    assert!(text.contains("sáng ") && text.contains("chiều "), "{text}");
    assert_eq!(a.value("visits"), Some(Value::Counter(2)));
    assert!(a.view().conflicts.is_empty());
    // The second use needs no birth.
    assert_eq!(a.edit("visits", Edit::Add(Value::Int(1))).len(), 1);
}

/// Why births exist: an object made by each side's ordinary change is two objects.
#[test]
fn without_the_birth_change_one_side_is_hidden() {
    use automerge::transaction::Transactable;
    use automerge::{ROOT, ReadDoc};
    let (a, _) = Desk::two(&[("name", s("An"))]);
    let mut docs = [ANH, BINH].map(|actor| {
        let mut doc = a.doc.doc.clone();
        doc.set_actor(engine::am_actor(&actor));
        let mut tx = doc.transaction();
        let text = tx.put_object(ROOT, "notes", automerge::ObjType::Text).unwrap();
        tx.splice_text(&text, 0, 0, "mine").unwrap();
        tx.put(ROOT, "visits", automerge::ScalarValue::counter(2)).unwrap();
        tx.commit_with(engine::at_time(1));
        doc
    });
    let [one, two] = &mut docs;
    one.merge(two).unwrap();
    let (_, text) = one.get(ROOT, "notes").unwrap().unwrap();
    assert_eq!(one.text(&text).unwrap(), "mine");
    assert_eq!(one.get_all(ROOT, "notes").unwrap().len(), 2);
    assert_eq!(read::winner(one, "visits", None).unwrap(), Some(Value::Counter(2)), "an addition is lost");
}

#[test]
fn a_birth_is_what_automerge_itself_would_write() {
    use automerge::ROOT;
    use automerge::transaction::Transactable;
    let (a, _) = Desk::two(&[("name", s("An"))]);
    for (kind, field) in [(Kind::Text, "notes"), (Kind::List, "steps"), (Kind::Set, "tags"), (Kind::Counter, "visits")]
    {
        let computed = birth(&a.doc.record(), &a.creation, a.doc.max_op(), field, kind).unwrap();
        let mut doc = a.doc.doc.clone();
        doc.set_actor(engine::am_actor(&ids::birth_actor(&a.doc.record(), field, kind)));
        let mut tx = doc.transaction();
        match kind {
            Kind::Text => drop(tx.put_object(ROOT, field, automerge::ObjType::Text).unwrap()),
            Kind::List => drop(tx.put_object(ROOT, field, automerge::ObjType::List).unwrap()),
            Kind::Set => drop(tx.put_object(ROOT, field, automerge::ObjType::Map).unwrap()),
            _ => tx.put(ROOT, field, automerge::ScalarValue::counter(0)).unwrap(),
        }
        tx.commit_with(engine::at_time(0));
        assert_eq!(doc.get_last_local_change().unwrap().raw_bytes(), computed.bytes, "{kind:?}");
        let max = a.doc.max_op();
        assert!(verify_birth(&a.doc.record(), &a.creation, max, field, kind, &computed.bytes));
        assert!(!verify_birth(&RecordId([1; 16]), &a.creation, max, field, kind, &computed.bytes));
        assert!(!verify_birth(&a.doc.record(), &a.creation, max + 1, field, kind, &computed.bytes));
    }
    assert!(birth(&a.doc.record(), &a.creation, 2, "name", Kind::String).is_none());
}

fn receipt() -> (RecordId, BTreeMap<String, Value>) {
    let keys = vec![("unit".to_owned(), "08".to_owned()), ("directive".to_owned(), "77ab".to_owned())];
    let id = ids::identity_id(&OrgId([1; 32]), &UnitId([2; 16]), "receipts", &keys);
    (id, keys.into_iter().map(|(f, v)| (f, Value::Str(v))).collect())
}

#[test]
fn two_offline_creations_of_one_identity_are_one_record() {
    let (id, keys) = receipt();
    let (one, two) = (identity_creation(&id, &keys).unwrap(), identity_creation(&id, &keys).unwrap());
    assert_eq!(one, two);
    assert!(verify_identity(&id, &keys, &one.bytes));
    assert!(!verify_identity(&RecordId([3; 16]), &keys, &one.bytes));
    let (mut a, mut b) = (Desk::open(ANH, id, &one), Desk::open(BINH, id, &two));
    a.set("name", s("read"));
    b.set("visits", Value::Counter(1));
    b.set("notes", t("done"));
    meet(&mut a, &mut b);
    let expected: BTreeMap<String, Value> = [
        ("directive", s("77ab")),
        ("unit", s("08")),
        ("name", s("read")),
        ("visits", Value::Counter(1)),
        ("notes", t("done")),
    ]
    .into_iter()
    .map(|(f, v)| (f.to_owned(), v))
    .collect();
    assert_eq!(a.view().fields, expected);
    assert!(matches!(identity_creation(&id, &BTreeMap::new()), Err(EditError::KeyField { .. })));
}

/// These bytes are in every organisation's records: they must never move.
#[test]
fn golden_identity_and_birth() {
    let hex = |bytes: &[u8]| data_encoding::HEXLOWER.encode(bytes);
    let (id, keys) = receipt();
    let creation = identity_creation(&id, &keys).unwrap();
    let born = birth(&id, &creation.hash, 2, "notes", Kind::Text).unwrap();
    assert_eq!(
        (id.to_string().as_str(), hex(&creation.bytes).as_str(), hex(&born.bytes).as_str()),
        (GOLDEN_IDENTITY_ID, GOLDEN_IDENTITY, GOLDEN_BIRTH)
    );
}

#[test]
fn a_counter_set_to_zero_for_the_first_time_has_an_author() {
    let (mut a, _) = Desk::two(&[("name", s("An"))]);
    let made = a.set("visits", Value::Int(0));
    assert_eq!((made.len(), made[1].fields.clone()), (2, vec!["visits".to_owned()]));
    assert_eq!(a.value("visits"), Some(Value::Counter(0)));
    assert_eq!(a.edit("visits", Edit::Set(Value::Counter(9))).len(), 1);
    assert_eq!(a.value("visits"), Some(Value::Counter(9)));
}
