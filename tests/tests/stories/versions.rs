//! A peer of an older protocol: whichever end it is, it gets nothing that it cannot read, and both ends get everything.
//!
//! It does not: run an old program. The old end is one that is told by every hello that the other end is old too, and
//! what reaches it is looked at byte by byte.

use crate::{mem, ok, three_levels_with};
use sampan_core::charter::Roles;
use sampan_core::engine::meta;
use sampan_core::id::{RecordId, UnitId};
use sampan_core::log::SignedHeader;
use sampan_core::log::brief::Brief;
use sampan_core::pack::{Stored, StoredColumns, is_columnar, is_dense, is_for_frames, is_worded};
use sampan_core::store::{Batch, CommitKey};
use sampan_core::sync::{Env, Event, Session};
use sampan_core::testing::village::Village;
use sampan_core::value::Value;
use sampan_core::wire::frame::{
    Frame, PROTOCOL, PROTOCOL_COLUMNS, PROTOCOL_MIN, PROTOCOL_NAMES, PROTOCOL_SHORT, RefuseCode,
};
use sampan_node::codec::ZstdCodec;
use std::sync::Arc;

/// Which end is of the old version.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Old {
    Lower,
    Upper,
}

/// The last frame of a protocol.
fn last_frame(protocol: u16) -> u8 {
    match protocol {
        PROTOCOL_MIN => 11,
        PROTOCOL_COLUMNS => 18,
        _ => 28,
    }
}

/// What an old end makes of a frame: `None` where it cannot read it.
fn as_old_reads(bytes: &[u8], protocol: u16) -> Option<Vec<u8>> {
    if bytes.get(1).is_none_or(|number| *number > last_frame(protocol)) {
        return None;
    }
    let mut frame = Frame::decode(bytes).unwrap();
    match &mut frame {
        Frame::Commits { groups, .. } if groups.iter().any(|g| is_worded(&g.pack)) => return None,
        // A field that it does not know makes a frame one that it cannot read.
        Frame::ShortAcks(acks) if protocol < PROTOCOL_NAMES && acks.iter().any(|ack| ack.named.is_some()) => {
            return None;
        }
        Frame::Commits { groups, .. }
            if protocol < PROTOCOL_NAMES && groups.iter().flat_map(|g| &g.headers).any(names_heads) =>
        {
            return None;
        }
        Frame::Greeting(greeting) if protocol >= PROTOCOL_SHORT => greeting.version = Some(protocol),
        Frame::Greeted(greeted) if protocol >= PROTOCOL_SHORT => greeted.version = Some(protocol),
        Frame::Hello(hello) if protocol >= PROTOCOL_SHORT => hello.version_max = protocol,
        _ if protocol >= PROTOCOL_SHORT => {}
        Frame::Hello(hello) if hello.acks.is_some() => return None,
        Frame::Greeting(greeting) if greeting.version.is_some() || greeting.charter.is_some() => return None,
        Frame::Greeted(greeted) if greeted.version.is_some() => return None,
        Frame::Hello(hello) => hello.version_max = protocol,
        Frame::Commits { groups, .. } if groups.iter().any(|g| is_dense(&g.pack)) => return None,
        Frame::Commits { groups, .. } if protocol == PROTOCOL_MIN => {
            let whole = groups.iter().flat_map(|g| &g.headers).all(|h| !Brief::is(h) && h.trust().is_ok());
            if !whole || groups.iter().any(|g| is_columnar(&g.pack)) {
                return None;
            }
        }
        _ => {}
    }
    Some(frame.encode())
}

/// Whether a header names charter heads by their beginnings.
fn names_heads(head: &SignedHeader) -> bool {
    Brief::is(head) && Brief::read(head).is_ok_and(|brief| brief.names_heads())
}

/// How a session between a new and an old end went.
#[derive(Debug, Default)]
struct Met {
    verified: (bool, bool),
    commits: u64,
    /// Of frames, both ways.
    bytes: u64,
    /// What the old end could not read, by name; it refuses it, and the session is over.
    unread: Option<&'static str>,
}

fn session(v: &mut Village, lower: usize, upper: usize, old: Old) -> Met {
    session_with(v, lower, upper, old, PROTOCOL_MIN)
}

/// The same with an old end of this protocol.
fn session_with(v: &mut Village, lower: usize, upper: usize, old: Old, protocol: u16) -> Met {
    v.seal(lower);
    v.seal(upper);
    let devices = [lower, upper].map(|at| v.replicas[at].engine.device());
    let now = v.now;
    let mut met = Met::default();
    let mut ends = {
        let r = &mut v.replicas[lower];
        let mut env = Env { store: &mut *r.store, engine: &mut r.engine, rng: &mut r.rng, now };
        [Session::lower(&mut env, devices[1], false).unwrap(), Session::upper(devices[0])]
    };
    for _ in 0..100_000 {
        let mut moved = false;
        for (from, to) in [(0, 1), (1, 0)] {
            let r = &mut v.replicas[[lower, upper][from]];
            let mut env = Env { store: &mut *r.store, engine: &mut r.engine, rng: &mut r.rng, now };
            ends[from].poke(&mut env).unwrap();
            let Some((lane, bytes)) = ends[from].next_frame(&mut env, &|_| true).unwrap() else { continue };
            moved = true;
            met.bytes += bytes.len() as u64;
            let to_old = (to == 0) == (old == Old::Lower);
            let read = if to_old { as_old_reads(&bytes, protocol) } else { Some(old_hello(&bytes, protocol)) };
            let (back, bytes) = match read {
                Some(bytes) => (to, bytes),
                None => {
                    met.unread = Some(Frame::decode(&bytes).unwrap().name());
                    let text = "the peer sent what is no frame".to_owned();
                    (from, Frame::Refuse(RefuseCode::Protocol, text, None).encode())
                }
            };
            let r = &mut v.replicas[[lower, upper][back]];
            let mut env = Env { store: &mut *r.store, engine: &mut r.engine, rng: &mut r.rng, now };
            ends[back].receive(&mut env, lane, &bytes).unwrap();
            let verified = ends[back].events().any(|e| e == Event::Verified);
            let which = if back == 0 { &mut met.verified.0 } else { &mut met.verified.1 };
            *which |= verified;
            if met.unread.is_some() {
                return met;
            }
        }
        if !moved {
            for (n, end) in ends.iter_mut().enumerate() {
                let verified = end.events().any(|e| e == Event::Verified);
                if n == 0 { met.verified.0 |= verified } else { met.verified.1 |= verified }
            }
            met.commits = ends.iter().map(|e| e.stats().commits_sent).sum();
            return met;
        }
    }
    panic!("a session that never becomes quiet");
}

/// What an old end says: that it knows nothing newer.
fn old_hello(bytes: &[u8], protocol: u16) -> Vec<u8> {
    match Frame::decode(bytes).unwrap() {
        Frame::Hello(mut hello) => {
            hello.version_max = protocol;
            Frame::Hello(hello).encode()
        }
        Frame::Greeting(mut greeting) if protocol >= PROTOCOL_SHORT => {
            greeting.version = Some(protocol);
            Frame::Greeting(greeting).encode()
        }
        Frame::Greeted(mut greeted) if protocol >= PROTOCOL_SHORT => {
            greeted.version = Some(protocol);
            Frame::Greeted(greeted).encode()
        }
        frame => {
            assert!(bytes[1] <= last_frame(protocol), "an old end says {}", frame.name());
            bytes.to_vec()
        }
    }
}

/// A city (0) and a branch (1) that never met but for the joining; `old` packs as the old version did.
fn pair(seed: u64, old: Old) -> (Village, UnitId) {
    // The city founds with its own codec, the branch opens with the village's of that moment.
    let new: Arc<dyn sampan_core::pack::Codec + Send + Sync> = Arc::new(StoredColumns);
    let verbatim: Arc<dyn sampan_core::pack::Codec + Send + Sync> = Arc::new(Stored);
    let (city, branch_codec) = if old == Old::Upper { (verbatim, new) } else { (new, verbatim) };
    let mut v = Village::found(880 + seed, city, &mut mem);
    let root = v.root();
    let branch = v.unit(0, root, "Chi bộ 1", "branch");
    let t = v.invite(0, branch, Roles::EDITOR);
    v.pack_with(branch_codec);
    v.join("branch", &t, &mut mem);
    (v, branch)
}

fn both(met: &Met) {
    assert_eq!((met.verified, met.unread), ((true, true), None), "{met:?}");
}

fn phone(v: &Village, at: usize, id: RecordId) -> Option<Value> {
    v.field(at, id, "phone")
}

#[test]
fn a_first_load_and_edits_go_both_ways_whichever_end_is_old() {
    for (n, old) in [(0, Old::Lower), (1, Old::Upper)] {
        let (mut v, branch) = pair(n, old);
        let root = v.root();
        let told = v.create(0, root, "directives", &["title=Chỉ thị 1"]);
        let name = |n: usize| format!("full_name=Nguyễn Văn {n}");
        both(&session(&mut v, 1, 0, old));
        let ids: Vec<RecordId> =
            (0..40).map(|n| v.create(1, branch, "members", &[&name(n), "phone=0912345678"])).collect();
        both(&session(&mut v, 1, 0, old));
        assert!(v.view(1, told).is_some(), "{old:?}");
        for (n, id) in ids.iter().enumerate() {
            v.set(1, "members", *id, &[&format!("phone=09{n:08}")]);
        }
        v.set(0, "directives", told, &["title=Chỉ thị 2"]);
        let met = session(&mut v, 1, 0, old);
        both(&met);
        assert!(met.commits >= 2, "{old:?}: {met:?}");
        for (n, id) in ids.iter().enumerate() {
            assert_eq!(phone(&v, 0, *id), Some(Value::Str(format!("09{n:08}"))), "{old:?}");
        }
        assert_eq!(v.field(1, told, "title"), Some(Value::Str("Chỉ thị 2".into())), "{old:?}");
        // Nothing new.
        let met = session(&mut v, 1, 0, old);
        both(&met);
        assert_eq!(met.commits, 0, "{old:?}");
    }
}

#[test]
fn a_relay_that_was_replaced_by_an_old_one_is_spoken_to_as_such_from_then_on() {
    let (mut v, branch) = pair(7, Old::Upper);
    ok(&v.sync(1, 0));
    let id = v.create(1, branch, "members", &["full_name=An", "phone=1"]);
    ok(&v.sync(1, 0));
    v.set(1, "members", id, &["phone=2"]);
    // Both greet by now, and an old relay knows no greeting.
    let met = session(&mut v, 1, 0, Old::Upper);
    assert_eq!(met.unread, Some("Greeting"));
    both(&session(&mut v, 1, 0, Old::Upper));
    assert_eq!(phone(&v, 0, id), Some(Value::Str("2".into())));
    // And when it is new again, in brief again.
    v.set(1, "members", id, &["phone=3"]);
    ok(&v.sync(1, 0));
    assert_eq!(phone(&v, 0, id), Some(Value::Str("3".into())));
    v.set(1, "members", id, &["phone=4"]);
    let end = v.sync(1, 0);
    ok(&end);
    assert_eq!(end.round_trips, 1);
}

#[test]
fn an_end_that_reads_columns_and_no_dense_packs_gets_none_and_a_new_one_does() {
    let columns: Arc<dyn sampan_core::pack::Codec + Send + Sync> = Arc::new(StoredColumns);
    for old in [Old::Lower, Old::Upper] {
        let mut v = Village::found(901, columns.clone(), &mut mem);
        let root = v.root();
        let branch = v.unit(0, root, "Chi bộ 1", "branch");
        let t = v.invite(0, branch, Roles::EDITOR);
        v.join("branch", &t, &mut mem);
        both(&session_with(&mut v, 1, 0, old, PROTOCOL_COLUMNS));
        let name = |n: usize| format!("full_name=Nguyễn Văn {n}");
        let ids: Vec<RecordId> =
            (0..40).map(|n| v.create(1, branch, "members", &[&name(n), "phone=0912345678"])).collect();
        both(&session_with(&mut v, 1, 0, old, PROTOCOL_COLUMNS));
        for round in 0..2 {
            for (n, id) in ids.iter().enumerate() {
                v.set(round, "members", *id, &[&format!("phone=0{round}{n:08}")]);
            }
            both(&session_with(&mut v, 1, 0, old, PROTOCOL_COLUMNS));
            let (at, last) = (1 - round, ids[39]);
            assert_eq!(phone(&v, at, last), Some(Value::Str(format!("0{round}{:08}", 39))), "{old:?}");
        }
    }
}

#[test]
fn a_peer_of_protocol_two_greets_as_ever_whichever_end_it_is() {
    for (n, old) in [(11, Old::Lower), (12, Old::Upper)] {
        let (mut v, branch) = pair(n, old);
        let id = v.create(1, branch, "members", &["full_name=An", "phone=1"]);
        both(&session_with(&mut v, 1, 0, old, 2));
        both(&session_with(&mut v, 1, 0, old, 2));
        let met = session_with(&mut v, 1, 0, old, 2);
        both(&met);
        assert!(met.bytes <= 200, "{old:?}: {met:?}");
        v.set(1, "members", id, &["phone=2"]);
        both(&session_with(&mut v, 1, 0, old, 2));
        assert_eq!(phone(&v, 0, id), Some(Value::Str("2".into())), "{old:?}");
        let ticks = v.replicas[1].engine.delivered(&*v.replicas[1].store, &branch).unwrap();
        assert!(ticks[0].complete, "{old:?}: its acknowledgement came");
    }
}

#[test]
fn a_peer_of_protocol_three_is_shown_no_names_and_one_of_four_is() {
    for old in [Some(Old::Lower), Some(Old::Upper), None] {
        let (mut v, _, branch) = three_levels_with(903, Arc::new(StoredColumns), &mut mem);
        let id = v.create(2, branch, "members", &["full_name=An", "phone=1"]);
        let named = std::cell::Cell::new((0, 0));
        let meet = |v: &mut Village| match old {
            Some(old) => both(&session_with(v, 2, 1, old, PROTOCOL_SHORT)),
            None => {
                let mut link = v.connect(2, 1, false);
                v.run(&mut link);
                let end = v.end(link);
                ok(&end);
                let (heads, relays) = named.get();
                named.set((heads + end.named.0, relays + end.named.1));
            }
        };
        // The two met as new ones: an end that went back would be refused once.
        let devices = [1, 2].map(|at| v.replicas[at].engine.device());
        for (at, name) in [
            (2, meta::peer_protocol(&devices[0])),
            (2, meta::met(&devices[0])),
            (1, meta::spoken_with(&devices[1])),
            (1, meta::met(&devices[1])),
        ] {
            let mut batch = Batch::at(v.now);
            batch.meta.insert(name, None);
            v.replicas[at].store.write(&batch).unwrap();
        }
        meet(&mut v);
        meet(&mut v);
        for n in 0..3 {
            // The branch's charter goes on, and the city acknowledges.
            let ticket = v.invite(1, branch, Roles::EDITOR);
            let second = v.join(&format!("second {n}"), &ticket, &mut mem);
            ok(&v.sync(second, 1));
            meet(&mut v);
            v.set(2, "members", id, &[&format!("phone=2{n}")]);
            meet(&mut v);
            ok(&v.sync(1, 0));
            meet(&mut v);
            assert_eq!(phone(&v, 0, id), Some(Value::Str(format!("2{n}"))), "{old:?}");
            let ticks = v.replicas[2].engine.delivered(&*v.replicas[2].store, &branch).unwrap();
            assert!(ticks.iter().all(|t| t.complete), "{old:?}: {ticks:?}");
        }
        let (heads, relays) = named.get();
        assert_eq!((heads > 0, relays > 0), (old.is_none(), old.is_none()), "{old:?}");
    }
}

#[test]
fn a_peer_of_protocol_four_is_sent_a_schema_whole_and_one_of_five_by_its_words() {
    let mut loads = Vec::new();
    // Stores that read what the codec makes.
    let mut mem = sampan_tests::shape::mem;
    for old in [Some(Old::Lower), Some(Old::Upper), None] {
        let mut v = Village::found(904, Arc::new(ZstdCodec), &mut mem);
        let root = v.root();
        let branch = v.unit(0, root, "Chi bộ 1", "branch");
        let t = v.invite(0, branch, Roles::EDITOR);
        v.join("branch", &t, &mut mem);
        let end = match old {
            Some(old) => session_with(&mut v, 1, 0, old, PROTOCOL_NAMES),
            None => session_with(&mut v, 1, 0, Old::Lower, PROTOCOL),
        };
        let schema = |v: &Village, at: usize| v.replicas[at].engine.schema().map(|s| s.source.clone());
        // The helper's old end takes words for what it cannot read.
        if old.is_none() {
            assert_eq!(end.unread, Some("Commits"), "a peer of protocol five is sent words");
            let end = v.sync(1, 0);
            ok(&end);
        } else {
            both(&end);
        }
        assert!(schema(&v, 0).is_some() && schema(&v, 1) == schema(&v, 0), "{old:?}");
        loads.push(end.bytes);
        // What lies in a store, and with it in a bundle, is of a form that every version reads.
        for r in &v.replicas {
            let rows = r.store.stored_after(CommitKey(0), 1_000).unwrap();
            assert!(rows.len() > 3);
            for (log, row) in rows {
                let groups = r.store.groups(&log.space, &[row.key]).unwrap();
                assert!(groups.iter().all(|g| !is_for_frames(&g.pack)), "{old:?}: {log:?}");
            }
        }
    }
    assert!(loads[..2].iter().all(|bytes| *bytes > 9_000), "{loads:?}");
}

#[test]
fn a_relay_that_went_back_to_columns_is_sent_columns_after_one_refusal() {
    let columns: Arc<dyn sampan_core::pack::Codec + Send + Sync> = Arc::new(StoredColumns);
    let mut v = Village::found(902, columns, &mut mem);
    let root = v.root();
    let branch = v.unit(0, root, "Chi bộ 1", "branch");
    let t = v.invite(0, branch, Roles::EDITOR);
    v.join("branch", &t, &mut mem);
    let ids: Vec<RecordId> =
        (0..40).map(|n| v.create(1, branch, "members", &[&format!("full_name=Người {n}"), "phone=1"])).collect();
    ok(&v.sync(1, 0));
    let edit = |v: &mut Village, word: &str| {
        for id in &ids {
            v.set(1, "members", *id, &[&format!("phone={word}")]);
        }
    };
    edit(&mut v, "2");
    ok(&v.sync(1, 0));
    edit(&mut v, "3");
    let met = session_with(&mut v, 1, 0, Old::Upper, PROTOCOL_COLUMNS);
    assert_eq!(met.unread, Some("Greeting"), "it opens as the relay was last heard of");
    both(&session_with(&mut v, 1, 0, Old::Upper, PROTOCOL_COLUMNS));
    assert_eq!(phone(&v, 0, ids[7]), Some(Value::Str("3".into())));
}

#[test]
fn two_ends_that_were_updated_say_hello_once_and_greet_as_the_new_version_from_then_on() {
    for updated in [[0, 1].as_slice(), &[0], &[1]] {
        let (mut v, branch) = pair(13, Old::Upper);
        let id = v.create(1, branch, "members", &["full_name=An", "phone=1"]);
        ok(&v.sync(1, 0));
        // As a store of the old version has it, or as one that has met an old peer.
        let devices = [0, 1].map(|at| v.replicas[at].engine.device());
        let mut knew = 2_u16.to_le_bytes().to_vec();
        if !updated.contains(&1) {
            knew.extend(PROTOCOL.to_le_bytes());
        }
        for (at, name, value) in [
            (1, meta::peer_protocol(&devices[0]), Some(knew)),
            (0, meta::spoken_with(&devices[1]), (!updated.contains(&0)).then(|| PROTOCOL.to_le_bytes().to_vec())),
        ] {
            let mut batch = Batch::at(v.now);
            batch.meta.insert(name, value);
            v.replicas[at].store.write(&batch).unwrap();
        }
        v.set(1, "members", id, &["phone=2"]);
        ok(&v.sync(1, 0));
        assert_eq!(phone(&v, 0, id), Some(Value::Str("2".into())));
        let said = |v: &Village| v.replicas[1].store.meta(&meta::peer_protocol(&devices[0])).unwrap().unwrap();
        assert_eq!(said(&v), [PROTOCOL.to_le_bytes(), PROTOCOL.to_le_bytes()].concat(), "{updated:?}");
        let end = v.sync(1, 0);
        ok(&end);
        assert_eq!(end.round_trips, 1, "{updated:?}");
    }
}
