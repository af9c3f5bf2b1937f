//! An audit file from a village, and what becomes of it in dishonest hands.

use super::*;
use crate::charter::Roles;
use crate::id::{DeviceId, OrgId, RecordId, StoreEpoch, UnitId};
use crate::pack::Stored;
use crate::store::Store;
use crate::testing::village::Village;
use crate::testing::{MemStore, test_key};
use crate::time::{MAX_MILLIS, Millis};
use std::collections::BTreeSet;
use std::sync::Arc;

fn mem(org: OrgId, device: DeviceId, epoch: StoreEpoch) -> Box<dyn Store> {
    Box::new(MemStore::new(org, device, epoch))
}

struct Case {
    v: Village,
    branch: usize,
    records: Vec<RecordId>,
    unit: UnitId,
}

/// A branch that has written two records, one with a text, a set and an edit, all of it at the city.
fn case() -> Case {
    let mut v = Village::found(71, Arc::new(Stored), &mut mem);
    let root = v.root();
    let unit = v.unit(0, root, "Chi bộ 1", "branch");
    let ticket = v.invite(0, unit, Roles::EDITOR);
    let branch = v.join("branch", &ticket, &mut mem);
    assert!(v.sync(branch, 0).verified());
    let a = v.create(branch, unit, "members", &["full_name=Nguyễn Văn An", "card_number=1"]);
    let b = v.create(branch, unit, "members", &["full_name=Trần Thị Bình", "card_number=2"]);
    v.seal(branch);
    v.now = Millis(v.now.0 + 86_400_000);
    v.set(branch, "members", a, &["full_name=Nguyễn Văn Ân", "rewards+=Bằng khen"]);
    v.seal(branch);
    assert!(v.sync(branch, 0).verified());
    Case { v, branch, records: vec![a, b], unit }
}

impl Case {
    fn file(&self, at: usize, of: Selection) -> String {
        let r = &self.v.replicas[at];
        let units = BTreeSet::from([self.unit]);
        let (mut w, mut text) = AuditWriter::begin(&r.engine, &*r.store, of, &units, self.v.now).unwrap();
        for id in &self.records {
            text.push_str(&w.record(&*r.store, *id).unwrap());
        }
        text.push_str(&w.end());
        text
    }

    /// The lines signed anew by the city's device, which made the file: a maker that lies.
    fn resealed(&self, lines: &[Line]) -> String {
        resealed(lines, self.v.replicas[0].engine.key())
    }
}

fn resealed(lines: &[Line], key: &ed25519_dalek::SigningKey) -> String {
    let mut text = String::new();
    for line in lines.iter().filter(|l| !matches!(l, Line::End(_))) {
        text.push_str(&line.write());
        text.push('\n');
    }
    let digest = crate::hash::tagged("audit", &[text.as_bytes()]);
    let end = EndLine {
        lines: text.lines().count() as u64,
        digest: data_encoding::HEXLOWER.encode(&digest),
        signature: data_encoding::BASE64.encode(&crate::log::sign("audit", key, &digest)),
    };
    text + &Line::End(end).write() + "\n"
}

fn check(text: &[u8], root: Option<OrgId>) -> Result<Report, AuditError> {
    let mut v = Verifier::new(root);
    for line in text.split_inclusive(|b| *b == b'\n') {
        v.line(line)?;
    }
    v.report()
}

fn lines(text: &str) -> Vec<Line> {
    text.lines().map(|l| Line::read(l).unwrap()).collect()
}

fn entries(lines: &mut [Line]) -> Vec<&mut EntryLine> {
    lines.iter_mut().filter_map(|l| if let Line::Entry(e) = l { Some(e) } else { None }).collect()
}

#[test]
fn a_file_says_who_did_what_and_holds_under_the_root_key_alone() {
    let c = case();
    let text = c.file(0, Selection::default());
    let report = check(text.as_bytes(), Some(c.v.org)).unwrap();
    assert_eq!(report.records, 2);
    let branch = c.v.replicas[c.branch].engine.device();
    assert_eq!(report.authors.keys().collect::<Vec<_>>(), [&branch]);
    assert_eq!(report.authors[&branch].entries, 3, "two creations, one edit: {report:?}");
    assert_eq!((report.name.as_str(), report.made_by), ("Thành phố", c.v.replicas[0].engine.device()));
    let mut all = lines(&text);
    let edit = entries(&mut all).into_iter().find(|e| e.fields.contains_key("rewards")).unwrap();
    assert_eq!(edit.fields["full_name"].old, "Nguyễn Văn An");
    assert_eq!(edit.fields["full_name"].new, "Nguyễn Văn Ân");
    assert_eq!((edit.author.clone(), edit.status.as_str()), (Some(branch.to_string()), "accepted"));
    assert!(text.contains(r#""kind":"birth""#), "the set's birth is evidence too");
    // The branch's own file holds as well, and what it is of can be narrowed.
    let own = c.file(c.branch, Selection { since: Some(c.v.now), ..Selection::default() });
    assert_eq!(check(own.as_bytes(), Some(c.v.org)).unwrap().records, 1);
}

#[test]
fn no_byte_of_a_file_is_free() {
    let c = case();
    let text = c.file(0, Selection::default()).into_bytes();
    let mut tried = 0;
    let mut start = 0;
    for line in text.split_inclusive(|b| *b == b'\n') {
        // Every place of the readable parts would take minutes; a stride that is odd meets each of them.
        let stride = (line.len() / 24).max(1) | 1;
        for at in (0..line.len()).step_by(stride).chain([line.len() - 1]) {
            for bit in [1, 0x20] {
                let mut flipped = text.clone();
                flipped[start + at] ^= bit;
                assert!(check(&flipped, Some(c.v.org)).is_err(), "byte {at} of {}", String::from_utf8_lossy(line));
                tried += 1;
            }
        }
        start += line.len();
    }
    assert!(tried > 500, "{tried}");
}

#[test]
fn a_file_that_was_cut_is_said_to_be_cut() {
    let c = case();
    let text = c.file(0, Selection::default());
    assert_eq!(check(b"", None).unwrap_err().what, Finding::NotAudit);
    assert_eq!(check(b"hello\n", None).unwrap_err().what, Finding::NotAudit);
    let mut at = 0;
    for line in text.lines() {
        for cut in [at + line.len() / 2, at + line.len()] {
            let e = check(&text.as_bytes()[..cut], Some(c.v.org)).unwrap_err();
            assert!(matches!(e.what, Finding::Cut | Finding::NotAudit), "{cut}: {e}");
            assert!(e.what.is_bad_input());
        }
        at += line.len() + 1;
        if at < text.len() {
            assert_eq!(check(&text.as_bytes()[..at], Some(c.v.org)).unwrap_err().what, Finding::Cut);
        }
    }
    let more = text + "{}\n";
    assert!(matches!(check(more.as_bytes(), None).unwrap_err().what, Finding::Unreadable(_)));
}

#[test]
fn another_root_key_and_a_stranger_as_maker_are_refused() {
    let c = case();
    let text = c.file(0, Selection::default());
    let other = OrgId(crate::log::device_id(&test_key(5)).0);
    assert_eq!(check(text.as_bytes(), Some(other)).unwrap_err().what, Finding::OtherRoot(c.v.org));
    // The file of one organisation under the name of another.
    let mut all = lines(&text);
    if let Line::Audit(head) = &mut all[0] {
        head.organisation = other.to_string();
    }
    assert!(matches!(check(c.resealed(&all).as_bytes(), Some(other)).unwrap_err().what, Finding::Commit(_)));
    // Somebody who has no right signs a true file.
    let stranger = test_key(6);
    let device = crate::log::device_id(&stranger);
    if let Line::Audit(head) = &mut all[0] {
        head.organisation = c.v.org.to_string();
        head.made_by = device.to_string();
    }
    let forged = resealed(&all, &stranger);
    assert_eq!(check(forged.as_bytes(), Some(c.v.org)).unwrap_err().what, Finding::MakerUnknown(device));
    assert_eq!(
        check(resealed(&lines(&text), &stranger).as_bytes(), None).unwrap_err().what,
        Finding::Maker(c.v.replicas[0].engine.device())
    );
}

#[test]
fn a_maker_that_lies_is_found_out_although_it_signs_what_it_changed() {
    let c = case();
    let text = c.file(0, Selection::default());
    let whole = lines(&text);
    assert!(check(c.resealed(&whole).as_bytes(), Some(c.v.org)).is_ok(), "signing the same anew changes nothing");
    let finding = |edit: &dyn Fn(&mut Vec<Line>)| {
        let mut all = whole.clone();
        edit(&mut all);
        assert_ne!(all, whole, "the edit did something");
        let e = check(c.resealed(&all).as_bytes(), Some(c.v.org)).unwrap_err();
        assert!(!e.what.is_bad_input(), "{e}");
        e.what
    };
    let last = |all: &mut Vec<Line>, edit: &dyn Fn(&mut EntryLine)| edit(entries(all).pop().unwrap());
    let (a, b) = (c.records[0], c.records[1]);

    // Readable columns.
    assert_eq!(
        finding(&|all| last(all, &|e| e.author = Some(DeviceId([1; 32]).to_string()))),
        Finding::Column("author")
    );
    assert_eq!(finding(&|all| last(all, &|e| e.status = "blocked".into())), Finding::Column("status"));
    assert_eq!(finding(&|all| last(all, &|e| e.unit = UnitId([1; 16]).to_string())), Finding::Column("unit"));
    let other_value = |e: &mut EntryLine| {
        e.fields.values_mut().next().unwrap().new = "nobody".into();
    };
    assert_eq!(finding(&|all| last(all, &other_value)), Finding::Column("fields"));
    let later = |e: &mut EntryLine| e.at = utc(Millis(MAX_MILLIS));
    assert_eq!(finding(&|all| last(all, &later)), Finding::NotSigned(b));

    // An entry under another record, another place, in another commit.
    let moved = |e: &mut EntryLine| e.record = RecordId([3; 16]).to_string();
    assert_eq!(finding(&|all| last(all, &moved)), Finding::NotSigned(RecordId([3; 16])));
    let swapped = |all: &mut Vec<Line>| {
        let mut e = entries(all);
        let (one, two) = e.split_at_mut(1);
        std::mem::swap(&mut one[0].record, &mut two[two.len() - 1].record);
    };
    assert_eq!(finding(&swapped), Finding::NotSigned(b));
    assert_eq!(finding(&|all| last(all, &|e| e.index += 1)), Finding::NotSigned(b));

    // Something left out: a commit's header, what an edit builds on, a part of the charter.
    let without = |all: &mut Vec<Line>, gone: &dyn Fn(&Line) -> bool| {
        let at = all.iter().position(gone).unwrap();
        all.remove(at);
    };
    assert!(matches!(finding(&|all| without(all, &|l| matches!(l, Line::Commit(_)))), Finding::CommitMissing(_)));
    let creation = finding(&|all| without(all, &|l| matches!(l, Line::Entry(e) if e.record == a.to_string())));
    assert_eq!(creation, Finding::Column("status"), "the edit would wait for its creation");
    let charters = whole.iter().filter(|l| matches!(l, Line::Charter(_))).count();
    assert!(charters >= 4, "founding, unit, ticket, enrolment: {charters}");
    for n in 0..charters {
        let what = finding(&|all| {
            all.remove(1 + n);
        });
        let known = matches!(what, Finding::CharterMissing(_) | Finding::NoRight { .. } | Finding::NoFounding);
        assert!(known, "without charter commit {n}: {what}");
    }

    // The same entry twice, and a record in two places.
    let twice = |all: &mut Vec<Line>| {
        let again = all.iter().rfind(|l| matches!(l, Line::Entry(_))).cloned().unwrap();
        let at = all.len() - 1;
        all.insert(at, again);
    };
    assert!(matches!(finding(&twice), Finding::Twice(_)));
    let apart = |all: &mut Vec<Line>| {
        let at = all.iter().position(|l| matches!(l, Line::Entry(e) if e.record == a.to_string())).unwrap();
        let entry = all.remove(at);
        let end = all.len() - 1;
        all.insert(end, entry);
    };
    assert!(matches!(finding(&apart), Finding::Twice(_) | Finding::Column("status")));
}

#[test]
fn a_commit_of_one_without_the_right_is_found_out() {
    // A device that was never enrolled signs a commit of its own under a true charter.
    let c = case();
    let mut all = lines(&c.file(0, Selection::default()));
    let stranger = test_key(9);
    let device = crate::log::device_id(&stranger);
    let at = all.iter().position(|l| matches!(l, Line::Commit(_))).unwrap();
    if let Line::Commit(line) = &mut all[at] {
        let bytes = data_encoding::BASE64.decode(line.header.as_bytes()).unwrap();
        let mut header: crate::log::Header = crate::wire::decode("header", &bytes).unwrap();
        header.device = device;
        let bytes = crate::wire::encode(&header);
        line.commit = crate::id::CommitId(crate::hash::tagged("commit-id", &[&bytes])).to_string();
        line.author = device.to_string();
        line.signature = data_encoding::BASE64.encode(&crate::log::sign("commit", &stranger, &bytes));
        line.header = data_encoding::BASE64.encode(&bytes);
    }
    let e = check(c.resealed(&all).as_bytes(), Some(c.v.org)).unwrap_err();
    assert_eq!(e.what, Finding::NoRight { device, unit: c.unit });
}

#[test]
fn labels_of_time_have_one_text() {
    for (ms, text) in [
        (0, "1970-01-01T00:00:00.000Z"),
        (951_782_400_123, "2000-02-29T00:00:00.123Z"),
        (1_767_225_599_999, "2025-12-31T23:59:59.999Z"),
        (MAX_MILLIS, "9999-12-31T23:59:59.999Z"),
    ] {
        assert_eq!(utc(Millis(ms)), text);
    }
}

#[test]
fn a_maker_that_shows_what_a_cut_leaves_out_as_standing_is_found_out() {
    let mut c = case();
    let (device, now) = (c.v.replicas[c.branch].engine.device(), c.v.now);
    let r = &mut c.v.replicas[0];
    let request = crate::engine::CutRequest {
        device,
        kind: crate::charter::CutKind::Lost,
        reason: "lost".into(),
        remaining: Roles::NONE,
    };
    r.engine.write_cut(&mut *r.store, &mut r.rng, &[c.unit].into(), &request, now).unwrap();
    // What the stolen device writes later comes by another way, and is set aside.
    c.v.set(c.branch, "members", c.records[0], &["full_name=Kẻ gian"]);
    c.v.seal(c.branch);
    let from = &c.v.replicas[c.branch];
    let mut groups = Vec::new();
    for (log, row) in from.store.stored_after(crate::store::CommitKey(0), 1_000).unwrap() {
        if log.space.flow == crate::id::Flow::Up {
            groups.extend(from.store.groups(&log.space, &[row.key]).unwrap());
        }
    }
    let r = &mut c.v.replicas[0];
    r.engine.intake(&mut *r.store, &mut r.rng, device, &groups, &|_, _| true, now).unwrap();

    let text = c.file(0, Selection::default());
    let report = check(text.as_bytes(), None).unwrap();
    assert_eq!((report.outside, report.cuts.len(), report.authors[&device].outside), (1, 1, 1));
    assert_eq!(report.authors[&device].entries, 3, "what stands is counted apart");

    // Said to stand, said to be inside, or both: the charter in the file says otherwise.
    let find = |l: &Line| matches!(l, Line::Entry(e) if e.status == "outside");
    let column = |lines: &[Line]| check(c.resealed(lines).as_bytes(), None).unwrap_err().what;
    let mut lie = lines(&text);
    let at = lie.iter().position(find).unwrap();
    if let Line::Entry(e) = &mut lie[at] {
        e.status = "accepted".into();
    }
    assert_eq!(column(&lie), Finding::Column("status"));
    for word in [None, Some("inside".to_owned()), Some("released".to_owned())] {
        let mut lie = lines(&text);
        for line in &mut lie {
            if let Line::Commit(l) = line
                && l.cut.as_deref() == Some("outside")
            {
                l.cut.clone_from(&word);
            }
        }
        assert_eq!(column(&lie), Finding::Column("cut"), "{word:?}");
    }
    // A commit that continues what is inside, shown before it, is not inside for that.
    let mut lie = lines(&text);
    let inside = lie.iter().position(|l| matches!(l, Line::Commit(c) if c.cut.as_deref() == Some("inside"))).unwrap();
    let moved = lie.remove(inside);
    lie.insert(inside + 1, moved);
    assert_eq!(column(&lie), Finding::Column("cut"), "the newest stands first");
}
