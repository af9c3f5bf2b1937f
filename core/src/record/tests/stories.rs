//! Stories about records: two people, offline, and what they find when they meet.
//!
//! It does not: look at bytes (`births` does).
//!
//! Invariants: after a meeting both desks show the same.

use super::*;
use std::collections::BTreeSet;

#[test]
fn a_record_shows_what_it_was_created_with() {
    let given = [
        ("name", s("Nguyễn Văn Ánh")),
        ("age", Value::Int(41)),
        ("fee", Value::Int(-1250)),
        ("active", Value::Bool(true)),
        ("born", s("1985-02")),
        ("notes", t("Họp chi bộ")),
        ("steps", list(&["một", "hai"])),
        ("tags", set(&["cũ", "mới"])),
        ("visits", Value::Counter(3)),
    ];
    let (a, _) = Desk::two(&given);
    let expected: BTreeMap<String, Value> = given.iter().map(|(f, v)| ((*f).to_owned(), v.clone())).collect();
    assert_eq!(a.view(), View { fields: expected, conflicts: vec![], removed: false });
}

#[test]
fn edits_of_different_fields_merge() {
    let (mut a, mut b) = Desk::two(&[("name", s("An")), ("age", Value::Int(40))]);
    a.set("name", s("Anh"));
    b.set("age", Value::Int(41));
    meet(&mut a, &mut b);
    assert_eq!((a.value("name"), a.value("age")), (Some(s("Anh")), Some(Value::Int(41))));
    assert!(a.view().conflicts.is_empty());
}

#[test]
fn different_values_of_one_field_are_a_conflict_until_someone_picks() {
    let (mut a, mut b) = Desk::two(&[("name", s("An"))]);
    let by_a = a.set("name", s("Anh"))[0].hash;
    let by_b = b.set("name", s("Bình"))[0].hash;
    meet(&mut a, &mut b);
    let view = a.view();
    assert_eq!(view.conflicts.len(), 1);
    let c = &view.conflicts[0];
    assert_eq!((c.field.as_str(), Some(&c.winner)), ("name", view.fields.get("name")));
    let all: BTreeSet<(Value, ChangeHash)> = c.values.iter().map(|v| (v.value.clone(), v.change)).collect();
    assert_eq!(all, BTreeSet::from([(s("Anh"), by_a), (s("Bình"), by_b)]));
    // Picking the winner, the loser or something else all settle it.
    for pick in [c.winner.clone(), c.values[0].value.clone(), s("Chi")] {
        let (mut a, mut b) = (a.clone(), b.clone());
        let made = a.set("name", pick.clone());
        assert_eq!((made.len(), made[0].fields.clone()), (1, vec!["name".to_owned()]));
        meet(&mut a, &mut b);
        assert!(b.view().conflicts.is_empty());
        assert_eq!(b.value("name"), Some(pick.clone()));
        assert!(b.set("name", pick).is_empty());
    }
}

#[test]
fn equal_values_are_no_conflict() {
    let (mut a, mut b) = Desk::two(&[("name", s("An"))]);
    a.set("name", s("Anh"));
    b.set("name", s("Anh"));
    meet(&mut a, &mut b);
    assert!(a.view().conflicts.is_empty());
    assert!(a.set("name", s("Anh")).is_empty());
}

#[test]
fn an_edit_that_changes_nothing_makes_nothing() {
    let (mut a, _) = Desk::two(&[("name", s("An")), ("notes", t("x")), ("visits", Value::Counter(2))]);
    let before = a.doc.heads();
    for (field, edit) in [
        ("name", Edit::Set(s("An"))),
        ("age", Edit::Clear),
        ("notes", Edit::Set(t("x"))),
        ("visits", Edit::Set(Value::Counter(2))),
        ("visits", Edit::Add(Value::Counter(0))),
        ("steps", Edit::Clear),
        ("steps", Edit::Set(list(&[]))),
        ("tags", Edit::Sub(set(&["x"]))),
    ] {
        assert_eq!(a.edit(field, edit.clone()), vec![], "{field} {edit:?}");
    }
    assert_eq!(a.doc.heads(), before);
}

#[test]
fn clearing_empties_what_was_born_and_deletes_scalars() {
    let (mut a, mut b) = Desk::two(&[
        ("name", s("An")),
        ("notes", t("abc")),
        ("steps", list(&["x"])),
        ("tags", set(&["x"])),
        ("visits", Value::Counter(5)),
    ]);
    b.edit("visits", Edit::Add(Value::Counter(2)));
    for field in ["name", "notes", "steps", "tags", "visits"] {
        assert_eq!(a.edit(field, Edit::Clear).len(), 1, "{field}");
        assert_eq!(a.edit(field, Edit::Clear).len(), 0, "{field}");
    }
    let expected = [("notes", t("")), ("steps", list(&[])), ("tags", set(&[])), ("visits", Value::Counter(0))];
    assert_eq!(a.view().fields, expected.into_iter().map(|(f, v)| (f.to_owned(), v)).collect());
    meet(&mut a, &mut b);
    assert_eq!(a.value("visits"), Some(Value::Counter(2)), "an addition beside a clearing counts");
    assert_eq!(a.set("notes", t("new")).len(), 1, "no birth: it was born with the record");
}

#[test]
fn sets_merge_and_an_addition_wins() {
    let (mut a, mut b) = Desk::two(&[("tags", set(&["x", "y"]))]);
    a.edit("tags", Edit::Sub(set(&["z"])));
    a.edit("tags", Edit::Sub(s("x")));
    a.edit("tags", Edit::Add(s("z")));
    a.edit("tags", Edit::Sub(s("z")));
    b.edit("tags", Edit::Add(list(&["z", "w"])));
    meet(&mut a, &mut b);
    assert_eq!(a.value("tags"), Some(set(&["w", "y", "z"])));
    a.set("tags", set(&["y"]));
    assert_eq!(a.value("tags"), Some(set(&["y"])));
}

#[test]
fn lists_take_the_smaller_edit() {
    let (mut a, mut b) = Desk::two(&[("steps", list(&["1", "2", "3"]))]);
    a.set("steps", list(&["0", "1", "2", "3"]));
    b.edit("steps", Edit::Add(list(&["4"])));
    b.edit("steps", Edit::Sub(s("2")));
    meet(&mut a, &mut b);
    assert_eq!(a.value("steps"), Some(list(&["0", "1", "3", "4"])));
}

#[test]
fn texts_are_diffed_small_and_large() {
    let (mut a, mut b) = Desk::two(&[("notes", t("Cuộc họp thường kỳ"))]);
    a.set("notes", t("Cuộc họp bất thường kỳ"));
    b.set("notes", t("Cuộc họp thường kỳ tháng 3"));
    meet(&mut a, &mut b);
    assert_eq!(a.value("notes"), Some(t("Cuộc họp bất thường kỳ tháng 3")));
    // Beyond the finer diff's bound the middle is replaced; both ends still merge.
    let (long, other) = ("đ".repeat(6_000), "ế".repeat(6_000));
    a.set("notes", t(&format!("<{long}>")));
    b.pull(&a);
    a.set("notes", t(&format!("<{other}>")));
    b.set("notes", t(&format!("1<{long}>2")));
    meet(&mut a, &mut b);
    assert_eq!(a.value("notes"), Some(t(&format!("1<{other}>2"))));
}

#[test]
fn a_removal_stands_against_a_concurrent_edit_and_is_listed() {
    let (mut a, mut b) = Desk::two(&[("name", s("An"))]);
    let removal = a.set(REMOVED_KEY, Value::Bool(true))[0].hash;
    assert_eq!((a.view().removed, a.view().conflicts.len()), (true, 0));
    let beside = b.set("name", s("Anh"))[0].hash;
    meet(&mut a, &mut b);
    let view = b.view();
    assert!(view.removed);
    assert_eq!(
        view.conflicts,
        vec![Conflict {
            field: REMOVED_KEY.into(),
            values: vec![
                ConflictValue { value: Value::Bool(false), change: beside },
                ConflictValue { value: Value::Bool(true), change: removal },
            ],
            winner: Value::Bool(true),
        }]
    );
    // Removing again, in knowledge of the edit, settles it; so does restoring.
    for keep in [true, false] {
        let mut c = b.clone();
        assert_eq!(c.set(REMOVED_KEY, Value::Bool(keep)).len(), 1);
        assert_eq!((c.view().removed, c.view().conflicts.len()), (keep, 0));
        assert_eq!(c.value("name"), Some(s("Anh")));
    }
    // An edit in knowledge of the removal is no conflict.
    b.set(REMOVED_KEY, Value::Bool(true));
    b.set("name", s("Ánh"));
    assert_eq!((b.view().removed, b.view().conflicts.len()), (true, 0));
}

#[test]
fn history_says_what_each_author_saw_and_wrote() {
    let (mut a, mut b) = Desk::two(&[("name", s("An")), ("visits", Value::Counter(1))]);
    a.set("name", s("Anh"));
    b.set("name", s("Ân"));
    b.set("notes", t("xin chào"));
    b.edit("visits", Edit::Add(Value::Counter(2)));
    meet(&mut a, &mut b);
    a.edit("name", Edit::Clear);
    a.set(REMOVED_KEY, Value::Bool(true));
    let steps = a.doc.history().unwrap();
    assert_eq!(steps.iter().filter(|st| st.birth).count(), 1);
    let told = |actor: ActorId| -> Vec<(String, Option<Value>, Option<Value>)> {
        let mine = steps.iter().filter(|st| st.actor == actor);
        mine.flat_map(|st| st.fields.iter().map(|f| (f.field.clone(), f.old.clone(), f.new.clone()))).collect()
    };
    assert_eq!(
        told(BINH),
        vec![
            ("name".into(), Some(s("An")), Some(s("Ân"))),
            ("notes".into(), None, Some(t("xin chào"))),
            ("visits".into(), Some(Value::Counter(1)), Some(Value::Counter(3))),
        ]
    );
    let by_anh = told(ANH);
    assert_eq!(by_anh[..2], [("name".into(), None, Some(s("An"))), ("visits".into(), None, Some(Value::Counter(1)))]);
    assert_eq!(by_anh[2], ("name".into(), Some(s("An")), Some(s("Anh"))));
    assert_eq!(by_anh[3].2, None);
    assert_eq!(by_anh[4], (REMOVED_KEY.into(), None, Some(Value::Bool(true))));
    assert!(steps.iter().filter(|st| !st.birth).all(|st| st.time > 0));
}

#[test]
fn refusals_have_names_and_change_nothing() {
    let (mut a, _) = Desk::two(&[("name", s("An")), ("visits", Value::Counter(1 << 42))]);
    let heads = a.doc.heads();
    let long = "x".repeat(crate::limits::STRING_BYTES_MAX + 1);
    let huge = "x".repeat(crate::limits::CHANGE_OPS_MAX as usize + 1);
    let cases: Vec<(&str, Edit, &str)> = vec![
        ("nobody", Edit::Clear, "no field 'nobody'"),
        ("_n", Edit::Set(s("x")), "engine's own"),
        ("age", Edit::Set(s("x")), "does not fit its kind"),
        ("name", Edit::Add(s("x")), "one value"),
        ("notes", Edit::Add(s("x")), "one value"),
        ("visits", Edit::Add(Value::Int(1 << 53)), "COUNTER_ABS_MAX"),
        ("name", Edit::Set(s(&long)), "STRING_BYTES_MAX"),
        ("tags", Edit::Add(list(&[&long])), "STRING_BYTES_MAX"),
        ("notes", Edit::Set(t(&"x".repeat(crate::limits::TEXT_BYTES_MAX + 1))), "TEXT_BYTES_MAX"),
        ("notes", Edit::Set(t(&huge)), "CHANGE_OPS_MAX"),
    ];
    for (field, edit, word) in cases {
        let err = a.try_edit(&[("born", Edit::Set(s("1990"))), (field, edit)]).unwrap_err().to_string();
        assert!(err.contains(word), "{field}: {err}");
        assert_eq!(a.doc.heads(), heads);
        assert_eq!(a.value("born"), None);
    }
    let big: Vec<String> = (0..5).map(|i| format!("{i}{}", "x".repeat(60_000))).collect();
    let err = a.try_edit(&[("steps", Edit::Set(Value::List(big)))]).unwrap_err().to_string();
    assert!(err.contains("CHANGE_BYTES_MAX"), "{err}");
    a.creation = ChangeHash([0; 32]);
    assert!(matches!(a.try_edit(&[("notes", Edit::Set(t("x")))]), Err(EditError::NoCreation { .. })));
}

#[test]
fn empty_strings_are_values_too() {
    let (mut a, mut b) = Desk::two(&[("name", s(""))]);
    a.set("tags", set(&["", "x"]));
    b.set("steps", list(&["", ""]));
    meet(&mut a, &mut b);
    assert_eq!(
        a.view().fields,
        fields(&[("name", s("")), ("tags", set(&["", "x"])), ("steps", list(&["", ""]))])
            .into_iter()
            .map(|(f, (_, v))| (f, v))
            .collect()
    );
    a.edit("tags", Edit::Sub(s("")));
    assert_eq!(a.value("tags"), Some(set(&["x"])));
}

/// Only strangers write past our own limits: the record may be set aside then, but nothing else.
#[test]
fn a_counter_that_overflows_never_takes_the_process_down() {
    use automerge::ROOT;
    use automerge::transaction::Transactable;
    let (mut a, _) = Desk::two(&[("visits", Value::Counter(1))]);
    let forged = [BINH, CHI].map(|actor| {
        let mut doc = a.doc.doc.clone();
        doc.set_actor(engine::am_actor(&actor));
        let mut tx = doc.transaction();
        tx.increment(ROOT, "visits", i64::MAX - 1).unwrap();
        tx.commit_with(engine::at_time(1));
        let change = doc.get_last_local_change().unwrap();
        change.raw_bytes().to_vec()
    });
    let before = a.view();
    match a.doc.apply(forged.iter().map(Vec::as_slice)) {
        // Without overflow checks Automerge wraps, the same everywhere.
        Ok(()) => assert!(matches!(a.doc.view(), Ok(_) | Err(Damaged::Panicked { .. }))),
        Err(e) => {
            assert!(matches!(e, Damaged::Panicked { .. }), "{e}");
            assert_eq!(a.view(), before);
        }
    }
}
