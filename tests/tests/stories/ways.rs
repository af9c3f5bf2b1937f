//! Ways: a device with units below different relays, one way up for each; and deputies, who dial the relay of their
//! own unit.
//!
//! They do not: open a socket (`e2e/ways` does) or keep links.

use crate::cuts::{aside, checked};
use crate::{mem, ok, three_levels};
use sampan_core::charter::Roles;
use sampan_core::engine::{Narrowing, Ways};
use sampan_core::id::{DeviceId, UnitId};
use sampan_core::register::Heartbeat;
use sampan_core::scope;
use sampan_core::sync::Event;
use sampan_core::testing::village::{LinkEnd, Village};
use sampan_core::time::Millis;
use sampan_core::wire::frame::RefuseCode;
use std::collections::BTreeSet;

/// A second district relay (3) of a village of three levels, with a branch of its own; the district and the branch.
fn second_district(v: &mut Village) -> (UnitId, UnitId) {
    let root = v.root();
    let district = v.unit(0, root, "Quận Đống Đa", "district");
    let ticket = v.invite(0, district, Roles::ADMIN);
    let at = v.join("second district", &ticket, &mut mem);
    ok(&v.sync(at, 0));
    v.listen(at, district);
    ok(&v.sync(at, 0));
    assert_eq!(at, 3);
    let branch = v.unit(at, district, "Chi bộ 9", "branch");
    ok(&v.sync(at, 0));
    (district, branch)
}

/// A device (4) with a unit below each of two districts, in step with both relays: the districts and the branches.
fn both(seed: u64) -> (Village, [UnitId; 2], [UnitId; 2]) {
    let (mut v, first, one) = three_levels(seed);
    let (second, other) = second_district(&mut v);
    let tickets = [v.invite(1, one, Roles::EDITOR), v.invite(3, other, Roles::EDITOR)];
    let at = v.join("both", &tickets[0], &mut mem);
    ok(&v.sync(at, 1));
    v.use_ticket(at, &tickets[1]);
    ok(&v.sync(at, 3));
    for relay in [1, 3, 0, 1, 3] {
        if relay != 0 {
            ok(&v.sync(at, relay));
            ok(&v.sync(relay, 0));
        }
    }
    (v, [first, second], [one, other])
}

fn device(v: &Village, at: usize) -> DeviceId {
    v.replicas[at].engine.device()
}

fn ways(v: &Village, at: usize) -> Ways {
    v.replicas[at].engine.ways(&*v.replicas[at].store).unwrap()
}

/// Where a device's ways begin, as a replica's charter shows them.
fn begin(v: &Village, at: usize, of: usize) -> Vec<UnitId> {
    scope::ways(v.replicas[at].engine.charter(), &device(v, of)).iter().map(scope::Way::unit).collect()
}

/// The units of which a replica holds anything at all.
fn held(v: &Village, at: usize) -> BTreeSet<UnitId> {
    v.replicas[at].engine.holdings().spaces().map(|(s, _)| s.unit).collect()
}

/// The units of which a replica holds what devices say of themselves, and the names of holders.
fn told_of(v: &Village, at: usize) -> BTreeSet<UnitId> {
    let registers = v.replicas[at].store.registers(0).unwrap();
    registers.iter().filter_map(|(_, r)| r.trust().ok()).map(|r| r.unit).collect()
}

fn redirected(end: &LinkEnd) -> Option<Vec<DeviceId>> {
    end.lower.iter().find_map(|e| match e {
        Event::Redirect(relays) => Some(relays.iter().map(|r| r.device).collect()),
        _ => None,
    })
}

fn refused(end: &LinkEnd) -> Option<RefuseCode> {
    end.lower.iter().find_map(|e| if let Event::Refused { code, .. } = e { Some(*code) } else { None })
}

#[test]
fn each_district_serves_its_unit_and_nothing_of_one_reaches_the_other() {
    let (mut v, districts, units) = both(801);
    let at = 4;
    let mut begun = districts.to_vec();
    begun.sort();
    assert_eq!(begin(&v, at, at), begun);
    assert_eq!(begin(&v, 0, at), begun, "the city finds the same");
    let written: Vec<_> = units.iter().map(|unit| v.create(at, *unit, "members", &["full_name=An"])).collect();
    // A sign of life for each unit, as a daemon writes it.
    for unit in units {
        let beat = Heartbeat {
            version: "1".into(),
            unsent_changes: 0,
            verified_at: Millis(0),
            last_error: String::new(),
            clock_offset: 0,
        };
        let now = v.now;
        let r = &mut v.replicas[at];
        r.engine.heartbeat(&mut *r.store, unit, &beat, now).unwrap();
    }
    for relay in [1, 3, 1, 3] {
        ok(&v.sync(at, relay));
    }
    for (here, there, relay) in [(0, 1, 1), (1, 0, 3)] {
        assert!(v.view(relay, written[here]).is_some(), "its own district's relay has it");
        assert!(v.view(relay, written[there]).is_none());
        let (held, told) = (held(&v, relay), told_of(&v, relay));
        assert!(held.contains(&units[here]) && told.contains(&units[here]), "{relay}");
        for foreign in [units[there], districts[there]] {
            assert!(!held.contains(&foreign), "{relay} holds something of the other district");
            assert!(!told.contains(&foreign), "{relay} was told of the other district");
        }
    }
    // Each relay says what it holds of its own unit, and of the other nothing.
    for (unit, district) in units.iter().zip(districts) {
        let said = v.replicas[at].engine.delivered(&*v.replicas[at].store, unit).unwrap();
        let tick = said.iter().find(|d| d.unit == district).unwrap();
        assert!(tick.complete, "{said:?}");
        assert!(said.iter().all(|d| d.unit == district || d.unit == v.root()), "{said:?}");
    }
    for relay in [1, 3] {
        ok(&v.sync(relay, 0));
    }
    assert!(written.iter().all(|id| v.view(0, *id).is_some()), "the city has both");
    // What comes down comes by either way, and goes on to the other: it is both districts' to have.
    let root = v.root();
    let order = v.create(0, root, "directives", &["title=Chỉ thị 05"]);
    ok(&v.sync(1, 0));
    ok(&v.sync(at, 1));
    assert!(v.view(at, order).is_some());
    checked(&v);
}

#[test]
fn verified_is_what_the_oldest_way_is() {
    let (mut v, first, one) = three_levels(802);
    let (second, other) = second_district(&mut v);
    let tickets = [v.invite(1, one, Roles::EDITOR), v.invite(3, other, Roles::EDITOR)];
    let at = v.join("both", &tickets[0], &mut mem);
    ok(&v.sync(at, 1));
    let met_first = v.now;
    assert_eq!(ways(&v, at).verified_at, Some(met_first), "one way, and it is in step");
    v.use_ticket(at, &tickets[1]);
    v.now.0 += 60_000;
    ok(&v.sync(at, 3));
    let now = ways(&v, at);
    assert_eq!(now.ways.len(), 2);
    assert_eq!(now.verified_at, Some(met_first), "the older of the two");
    v.now.0 += 60_000;
    let id = v.create(at, other, "members", &["full_name=An"]);
    ok(&v.sync(at, 1));
    let now = ways(&v, at);
    let of = |unit: &UnitId| now.of_unit(&v.replicas[at].engine, unit).unwrap();
    assert_eq!((of(&one).way.unit(), of(&other).way.unit()), (first, second));
    assert_eq!(now.verified_at, of(&other).verified_at, "what was written for the second has not met its relay");
    assert!(of(&one).verified_through > of(&other).verified_through);
    let said = v.replicas[at].engine.delivered(&*v.replicas[at].store, &other).unwrap();
    assert!(said.iter().all(|d| !d.complete), "{said:?}");
    ok(&v.sync(at, 3));
    assert!(v.view(3, id).is_some());
    assert!(ways(&v, at).verified_at > Some(met_first));
    // Found equal with one relay alone: nothing is said for the other.
    let mut batch = sampan_core::store::Batch::at(v.now);
    batch.meta.insert(sampan_core::engine::meta::verified_with(&device(&v, 3)), None);
    v.replicas[at].store.write(&batch).unwrap();
    assert_eq!(ways(&v, at).verified_at, None);
    checked(&v);
}

#[test]
fn a_relay_farther_up_sends_to_the_nearer_one_and_serves_when_that_does_not_answer() {
    let (mut v, _, units) = both(803);
    let at = 4;
    let end = v.sync(at, 0);
    let to = redirected(&end).expect("the city is the nearest on neither way");
    assert_eq!(to.len(), 1);
    assert!(to[0] == device(&v, 1) || to[0] == device(&v, 3));
    assert!(redirected(&v.sync(at, 1)).is_none() && redirected(&v.sync(at, 3)).is_none());
    // Both districts are down: the city serves both units.
    let written: Vec<_> = units.iter().map(|unit| v.create(at, *unit, "members", &["full_name=Bình"])).collect();
    let mut link = v.connect(at, 0, true);
    v.run(&mut link);
    assert!(link.lower_is_equal());
    assert!(written.iter().all(|id| v.view(0, *id).is_some()));
    // With a right on the city itself it has a way there too, and is let in without a word.
    let root = v.root();
    let ticket = v.invite(0, root, Roles::READER);
    v.use_ticket(at, &ticket);
    let mut link = v.connect(at, 0, true);
    v.run(&mut link);
    assert_eq!(begin(&v, at, at).len(), 3);
    ok(&v.sync(at, 0));
    checked(&v);
}

#[test]
fn a_unit_that_is_withdrawn_takes_its_way_with_it_and_no_other() {
    let (mut v, districts, units) = both(804);
    let at = 4;
    let key = device(&v, at);
    let unsent = v.create(at, units[1], "members", &["full_name=Chưa gửi"]);
    v.seal(at);
    let now = v.now;
    let r = &mut v.replicas[3];
    let narrowing = Narrowing {
        device: key,
        unit: units[1],
        roles: Roles::NONE,
        subtree: false,
        collections: None,
        until: None,
        reason: "đổi việc".into(),
        regrant: None,
    };
    r.engine.write_narrowing(&mut *r.store, &mut r.rng, &narrowing, now).unwrap();
    // The second district knows of no other right of this device's. It does not call the device at an end.
    let end = v.sync(at, 3);
    assert_eq!(refused(&end), Some(RefuseCode::GrantEnded));
    assert_eq!(v.replicas[at].engine.ended(&*v.replicas[at].store).unwrap(), None);
    assert_eq!(begin(&v, at, at).len(), 2, "it has not seen the charter that says so");
    // The next on that way has it.
    ok(&v.sync(3, 0));
    let mut link = v.connect(at, 0, true);
    v.run(&mut link);
    assert!(link.lower_is_equal());
    assert_eq!(begin(&v, at, at), [districts[0]]);
    let id = v.create(at, units[0], "members", &["full_name=An"]);
    ok(&v.sync(at, 1));
    assert!(v.view(1, id).is_some());
    // What was unsent was handed in where it belongs, for somebody there to judge.
    assert_eq!(aside(&v, 3).len(), 1);
    assert!(v.view(3, unsent).is_none() && v.view(1, unsent).is_none());
    checked(&v);
}

#[test]
fn a_deputy_at_the_city_syncs_with_its_relay_and_rules_as_it_does() {
    let (mut v, district, branch) = three_levels(810);
    let root = v.root();
    let ticket = v.invite(0, root, Roles::ADMIN);
    assert_eq!(ticket.relays.first().map(|r| r.device), Some(device(&v, 0)), "its ticket says whom to dial");
    let deputy = v.join("deputy", &ticket, &mut mem);
    ok(&v.sync(deputy, 0));
    let key = device(&v, deputy);
    let charter = v.replicas[deputy].engine.charter();
    assert_eq!(begin(&v, deputy, deputy), [root]);
    assert!(!scope::is_top(charter, &key) && scope::is_top(charter, &device(&v, 0)));
    // What goes up comes to it, as to the relay.
    let member = v.create(2, branch, "members", &["full_name=An"]);
    ok(&v.sync(2, 1));
    ok(&v.sync(1, 0));
    ok(&v.sync(deputy, 0));
    assert!(v.view(deputy, member).is_some());
    // What it says goes down from the relay, also what concerns a unit that has no relay of its own.
    let lone = v.unit(deputy, root, "Ban Tổ chức", "branch");
    let (all, one) = (
        v.create(deputy, root, "directives", &["title=Chỉ thị 05"]),
        v.create(deputy, lone, "directives", &["title=Chỉ thị 06"]),
    );
    let ticket = v.invite(deputy, lone, Roles::EDITOR);
    ok(&v.sync(deputy, 0));
    assert!(v.view(0, all).is_some() && v.view(0, one).is_some());
    ok(&v.sync(1, 0));
    ok(&v.sync(2, 1));
    assert!(v.view(2, all).is_some() && v.view(2, one).is_none());
    let office = v.join("office", &ticket, &mut mem);
    ok(&v.sync(office, 0));
    assert!(v.view(office, all).is_some() && v.view(office, one).is_some(), "who was let in by the deputy has both");
    // What it takes away is gone everywhere.
    crate::cuts::cut(&mut v, deputy, 2, branch, sampan_core::charter::CutKind::Lost);
    ok(&v.sync(deputy, 0));
    ok(&v.sync(1, 0));
    assert_eq!(refused(&v.sync(2, 1)), Some(RefuseCode::GrantEnded));
    // What the relay holds it says to the deputy too.
    let said = v.replicas[deputy].engine.delivered(&*v.replicas[deputy].store, &branch).unwrap();
    assert!(said.iter().any(|d| d.unit == root && d.complete), "{said:?}");
    let said = v.replicas[deputy].engine.delivered(&*v.replicas[deputy].store, &district).unwrap();
    assert!(said.iter().any(|d| d.unit == root), "{said:?}");
    checked(&v);
}

#[test]
fn a_deputy_at_a_district_dials_its_relay_first_and_where_there_is_none_the_one_above() {
    let (mut v, district, branch) = three_levels(811);
    let root = v.root();
    let ticket = v.invite(1, district, Roles::ADMIN);
    let deputy = v.join("deputy", &ticket, &mut mem);
    ok(&v.sync(deputy, 1));
    assert_eq!(begin(&v, deputy, deputy), [district]);
    assert_eq!(begin(&v, 1, 1), [root], "the relay itself goes on to the city");
    let order = v.create(deputy, district, "directives", &["title=Chỉ thị quận"]);
    ok(&v.sync(deputy, 1));
    ok(&v.sync(2, 1));
    assert!(v.view(1, order).is_some() && v.view(2, order).is_some());
    ok(&v.sync(1, 0));
    assert!(v.view(0, order).is_none(), "a district's own word stays below it");
    let member = v.create(2, branch, "members", &["full_name=An"]);
    ok(&v.sync(2, 1));
    ok(&v.sync(deputy, 1));
    assert!(v.view(deputy, member).is_some());
    // Sent on by the city, or served by it while the district's relay is away.
    assert_eq!(redirected(&v.sync(deputy, 0)), Some(vec![device(&v, 1)]));
    let mut link = v.connect(deputy, 0, true);
    v.run(&mut link);
    assert!(link.lower_is_equal());
    // A district without a relay: its admin's word goes down from the city's.
    let lone = v.unit(0, root, "Quận Tây Hồ", "district");
    let below = v.unit(0, lone, "Chi bộ 7", "branch");
    let tickets = [v.invite(0, lone, Roles::ADMIN), v.invite(0, below, Roles::EDITOR)];
    let admin = v.join("admin", &tickets[0], &mut mem);
    ok(&v.sync(admin, 0));
    assert_eq!(begin(&v, admin, admin), [root]);
    let order = v.create(admin, lone, "directives", &["title=Chỉ thị Tây Hồ"]);
    ok(&v.sync(admin, 0));
    let last = v.join("last", &tickets[1], &mut mem);
    ok(&v.sync(last, 0));
    assert!(v.view(last, order).is_some());
    checked(&v);
}
