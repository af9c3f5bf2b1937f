//! A document is a function of its set of changes; what is no such set is refused by name.
//!
//! It does not: cover foreign bytes in general (admission's tests do).
//!
//! Invariants: a failing case prints its input.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;

#[test]
fn an_edit_in_the_past_of_the_document_keeps_the_admission_rules() {
    // Sequence, start_op and dependencies as admission recomputes them.
    let (mut a, mut b) = Desk::two(&[("name", s("An"))]);
    let mut last = BTreeMap::new();
    for round in 0..3 {
        for desk in [&mut a, &mut b] {
            let made =
                desk.try_edit(&[("name", Edit::Set(s(&round.to_string()))), ("visits", Edit::Add(Value::Int(1)))]);
            for change in made.unwrap().iter().filter(|c| c.birth.is_none()) {
                let parsed = engine::parse(&change.bytes).unwrap();
                let seq = last.entry(desk.actor).or_insert(u64::from(desk.actor == ANH));
                *seq += 1;
                assert_eq!(parsed.seq(), *seq);
                let deps = parsed.deps().iter().map(|d| desk.doc.metas[&engine::ours(d)].max_op()).max().unwrap();
                assert_eq!(parsed.start_op().get(), deps + 1);
                assert_eq!(parsed.message(), None);
            }
        }
        meet(&mut a, &mut b);
    }
    assert_eq!(a.value("visits"), Some(Value::Counter(6)));
}

#[test]
fn damage_is_named() {
    let (mut a, _) = Desk::two(&[("name", s("An"))]);
    let made = a.set("name", s("Anh"));
    let record = a.doc.record();
    assert_eq!(
        Document::load(record, [made[0].bytes.as_slice()]).unwrap_err(),
        Damaged::MissingAncestor { missing: a.creation }
    );
    let changes = a.doc.changes();
    for cut in 0..made[0].bytes.len() {
        let err = Document::load(record, [changes[0].1.as_slice(), &made[0].bytes[..cut]]).unwrap_err();
        assert!(matches!(err, Damaged::Unreadable { .. }), "{err}");
    }
    let mut trailing = made[0].bytes.clone();
    trailing.push(0);
    assert!(a.doc.apply([trailing.as_slice()]).is_err());
    assert_eq!(a.value("name"), Some(s("Anh")));
    assert_eq!(engine::guarded::<(), Damaged>(|| panic!("oh {}", 1)), Err(Damaged::Panicked { reason: "oh 1".into() }));
}

#[derive(Debug, Clone)]
enum Act {
    Edit(usize, &'static str, Edit),
    Pull(usize, usize),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let word = prop::sample::select(vec!["", "a", "ab", "bà", "xyz"]);
    let words = prop::collection::vec(prop::sample::select(vec!["a", "b", "c"]), 0..4);
    let edit = (word, words, -3i64..4, 0usize..12).prop_map(|(w, ws, n, which)| match which {
        0 | 1 => ("name", Edit::Set(s(w))),
        2 => ("name", Edit::Clear),
        3 => ("age", Edit::Set(Value::Int(n))),
        4 | 5 => ("notes", Edit::Set(t(w))),
        6 => ("steps", Edit::Set(list(&ws))),
        7 => ("steps", Edit::Sub(list(&ws))),
        8 => ("tags", Edit::Add(list(&ws))),
        9 => ("tags", Edit::Set(list(&ws))),
        10 => ("visits", Edit::Add(Value::Int(n))),
        _ => (REMOVED_KEY, Edit::Set(Value::Bool(n > 0))),
    });
    let act = prop_oneof![
        3 => (0usize..3, edit).prop_map(|(who, (field, edit))| Act::Edit(who, field, edit)),
        1 => (0usize..3, 0usize..3).prop_map(|(to, from)| Act::Pull(to, from)),
    ];
    prop::collection::vec(act, 1..24)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_document_is_a_function_of_its_set_of_changes(acts in acts(), keys in prop::collection::vec(any::<u32>(), 64)) {
        let (a, b) = Desk::two(&[("name", s("An"))]);
        let mut desks = [a.clone(), b, Desk { actor: CHI, ..a }];
        for act in acts {
            match act {
                Act::Edit(who, field, edit) => drop(desks[who].edit(field, edit)),
                Act::Pull(to, from) => {
                    let from = desks[from].clone();
                    desks[to].pull(&from);
                }
            }
        }
        let mut all: BTreeMap<ChangeHash, Vec<u8>> = BTreeMap::new();
        for desk in &desks {
            all.extend(desk.doc.changes());
        }
        let mut shuffled: Vec<(u32, &Vec<u8>)> = keys.iter().copied().cycle().zip(all.values()).collect();
        let one = Document::load(desks[0].doc.record(), all.values().map(Vec::as_slice)).unwrap();
        shuffled.sort_by_key(|(k, _)| *k);
        let two = Document::load(desks[0].doc.record(), shuffled.iter().map(|(_, b)| b.as_slice())).unwrap();
        prop_assert_eq!(one.view().unwrap(), two.view().unwrap());
        prop_assert_eq!(one.history().unwrap(), two.history().unwrap());
        prop_assert_eq!(one.changes(), two.changes());
        prop_assert_eq!((one.heads(), one.max_op()), (two.heads(), two.max_op()));
        // Arrival one by one, each desk's own order first, ends at the same place.
        let others = desks.clone();
        for desk in &mut desks {
            for other in &others {
                desk.pull(other);
            }
            prop_assert_eq!(desk.view(), one.view().unwrap());
            prop_assert_eq!(desk.doc.heads(), one.heads());
        }
        // And the next edit there is the same change, whoever's copy it is made on.
        let made: BTreeSet<Vec<u8>> = desks.iter_mut().map(|desk| {
            desk.clock = 1_800_000_000_000;
            desk.actor = CHI;
            desk.edit("age", Edit::Set(Value::Int(99))).pop().unwrap().bytes
        }).collect();
        prop_assert_eq!(made.len(), 1);
    }
}
