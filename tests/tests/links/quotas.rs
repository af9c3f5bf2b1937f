//! Quotas of devices at a relay: two replicas on disk, their tables, and a clock that the test moves.

use sampan_core::charter::{Op, Roles, Ticket};
use sampan_core::engine::{InviteRequest, meta};
use sampan_core::id::{DeviceId, UnitId};
use sampan_core::store::Store as _;
use sampan_core::sync::{Event, Role};
use sampan_core::time::Millis;
use sampan_node::config::Settings;
use sampan_node::desk::quota::{QuotaRates, Rate};
use sampan_node::desk::{SessionEnd, SessionId, SessionState, Table, TableInput, TableOutput};
use sampan_node::replica::{ImportRecord, Replica};
use sampan_tests::city::found;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A replica and the sessions of it.
struct Place {
    replica: Replica,
    table: Table,
}

type Clock = Arc<AtomicU64>;

impl Place {
    fn new(mut replica: Replica, clock: &Clock, rates: QuotaRates) -> Self {
        let clock = clock.clone();
        replica.set_clock(Arc::new(move || Millis(clock.load(Ordering::Relaxed))));
        let table = Table::with_quotas(&replica, rates);
        Self { replica, table }
    }

    fn device(&self) -> DeviceId {
        self.replica.device()
    }
}

fn invite(city: &mut Replica, unit: UnitId) -> Ticket {
    let request = InviteRequest {
        unit,
        roles: Roles::EDITOR,
        subtree: false,
        holder: "generated".into(),
        until: None,
        use_by: None,
        collections: None,
        replaces: None,
    };
    let now = city.now();
    let Replica { store, engine, rng, .. } = city;
    store.group(|s| engine.invite(s, rng, &request, now)).unwrap()
}

fn unit(city: &mut Replica, name: &str) -> UnitId {
    let (id, now, root) = (UnitId(city.random()), city.now(), city.engine.charter().root().unwrap());
    let op = Op::CreateUnit { unit: id, name: name.into(), code: None, kind: Some("branch".into()), since: now };
    let Replica { store, engine, rng, .. } = city;
    store.group(|s| engine.write_charter(s, rng, root, &[op], now)).unwrap();
    id
}

fn join(dir: &Path, ticket: &Ticket, clock: &Clock) -> Place {
    Place::new(Replica::join(dir, ticket, Settings::default()).unwrap(), clock, QuotaRates::default())
}

fn add(place: &mut Place, unit: UnitId, seed: u64, n: usize) {
    let collection = place.replica.collection("members").unwrap();
    let rows = sampan_tests::members::members(seed, n).into_iter();
    let rows = rows.map(|fields| ImportRecord { unit, fields, updates: None }).collect();
    place.replica.import(&collection, rows).unwrap();
}

/// One session until nothing moves any more, or one end closes; how the lower end stands then.
fn talk(lower: &mut Place, upper: &mut Place, number: u64) -> SessionState {
    let id = SessionId(number);
    let open = |role, peer| TableInput::Open { id, role, peer, fallback: false };
    let mut inputs = [vec![open(Role::Lower, upper.device())], vec![open(Role::Upper, lower.device())]];
    let mut state = SessionState::default();
    let mut closed = false;
    while inputs.iter().any(|i| !i.is_empty()) {
        let mut next = [Vec::new(), Vec::new()];
        for (at, taken) in std::mem::take(&mut inputs).into_iter().enumerate() {
            let place = if at == 0 { &mut *lower } else { &mut *upper };
            for output in place.table.transact(&mut place.replica, taken, true).0 {
                match output {
                    TableOutput::Frame { lane, bytes, .. } => {
                        next[at].push(TableInput::Sent { id, lane });
                        next[1 - at].push(TableInput::Frame { id, lane, bytes, ahead: None });
                    }
                    TableOutput::Close { .. } => closed = true,
                    TableOutput::State { state: s, .. } if at == 0 => state = *s,
                    TableOutput::State { .. } => {}
                }
            }
        }
        inputs = next;
    }
    assert_eq!(closed, state.end.is_some());
    for place in [lower, upper] {
        place.table.transact(&mut place.replica, vec![TableInput::Closed { id }], true);
    }
    state
}

fn told_to_wait(state: &SessionState) -> Option<u32> {
    match &state.end {
        Some(SessionEnd::Refused(Event::Refused { retry_after, text, .. })) => {
            assert!(text.contains("what arrived is kept"), "{text}");
            *retry_after
        }
        None => None,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_load_over_the_quota_is_told_when_to_come_back_and_finishes_and_no_sibling_waits() {
    let dir = tempfile::tempdir().unwrap();
    let clock: Clock = Arc::new(AtomicU64::new(sampan_node::replica::system_clock()().0));
    let rates = QuotaRates { bytes: Rate { burst: 100_000, per_s: 1_000 }, commits: Rate { burst: 1_000, per_s: 1 } };
    let mut city = Place::new(found(&dir.path().join("city"), "Thành phố"), &clock, rates);
    let units = ["Chi bộ 1", "Chi bộ 2"].map(|name| unit(&mut city.replica, name));
    let tickets = units.map(|u| invite(&mut city.replica, u));
    let mut big = join(&dir.path().join("big"), &tickets[0], &clock);
    let mut small = join(&dir.path().join("small"), &tickets[1], &clock);
    let mut sessions = 0..;
    let mut number = || sessions.next().unwrap();
    // The charter first: a unit can be written in once it is known.
    for place in [&mut big, &mut small] {
        assert!(talk(place, &mut city, number()).verified_at.is_some());
    }
    add(&mut big, units[0], 1, 3_000);
    let mut waits = 0;
    loop {
        let before = city.replica.store.last_commit().unwrap();
        let state = talk(&mut big, &mut city, number());
        let Some(seconds) = told_to_wait(&state) else {
            assert!(state.verified_at.is_some(), "{state:?}");
            break;
        };
        waits += 1;
        assert!(waits < 100 && seconds > 0);
        let held = city.replica.store.last_commit().unwrap();
        assert!(held > before, "each time something came, and was kept");
        // Who comes too early is told again, and costs nothing.
        let early = talk(&mut big, &mut city, number());
        assert!(told_to_wait(&early).is_some_and(|s| s > 0 && s <= seconds), "{early:?}");
        assert_eq!(city.replica.store.last_commit().unwrap(), held);
        // Its sibling is taken at once.
        add(&mut small, units[1], 100 + waits, 1);
        assert!(talk(&mut small, &mut city, number()).verified_at.is_some());
        clock.fetch_add(u64::from(seconds) * 1_000, Ordering::Relaxed);
    }
    assert!(waits >= 2, "the quota is never met");
    city.replica.project().unwrap();
    assert_eq!(city.replica.store.count_records().unwrap(), 3_000 + waits);
    assert_eq!(big.replica.status().unwrap().unsent_changes, 0);
    let held_back = city.replica.held_back().unwrap();
    assert_eq!(held_back.iter().map(|(d, _)| *d).collect::<Vec<_>>(), [big.device()]);
    assert!(city.replica.store.meta(&format!("{}{}", meta::CHILD_HELD_BACK_AT, small.device())).unwrap().is_none());
}
