//! Where the bytes of a branch's first load go: that of `oldpc` once more in memory, each frame taken apart.
//!
//! It does not: open a link. What the handshake, packets and their acknowledgements add is the difference from what
//! `old-pc --load-only` counts on one.

use super::oldpc::{CARDS, DIRECTIVES, WIDTHS, directive};
use super::tree::session_heard;
use crate::shape::mem;
use sampan_core::charter::{Op, Roles};
use sampan_core::engine::NewRecord;
use sampan_core::entropy::random;
use sampan_core::id::{Flow, OrgId, UnitId};
use sampan_core::pack::{self, PackScope};
use sampan_core::testing::members::members;
use sampan_core::testing::village::Village;
use sampan_core::value::Value;
use sampan_core::wire::frame::{Frame, Group};
use sampan_node::codec::ZstdCodec;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Bytes of one kind.
#[derive(Debug, Clone, Copy, Default)]
struct Part {
    /// How many of them.
    count: u64,
    bytes: u64,
    /// What they were before protocol 5.
    before: u64,
}

/// Bytes by what they say.
type Parts = BTreeMap<String, Part>;

fn add(parts: &mut Parts, what: String, bytes: usize, before: usize) {
    let part = parts.entry(what).or_default();
    part.count += 1;
    part.bytes += bytes as u64;
    part.before += before as u64;
}

/// Takes the groups of a frame apart; how many bytes that accounts for.
fn take_apart(parts: &mut Parts, org: OrgId, way: &str, groups: &[Group]) -> Result<usize, String> {
    let mut all = 0;
    for group in groups {
        let space = group.headers.first().and_then(|h| h.trust().ok()).map(|h| h.header().space);
        let of = match space.map(|s| s.flow) {
            Some(Flow::Charter) => "charters",
            Some(Flow::Down) => "directives",
            Some(Flow::Up | Flow::Group | Flow::Local | Flow::Inbox) => "cards",
            None => "in brief",
        };
        for head in &group.headers {
            add(parts, format!("{way} {of}: headers"), head.bytes.len(), head.bytes.len());
            add(parts, format!("{way} {of}: signatures"), head.signature.len(), head.signature.len());
            all += head.bytes.len() + head.signature.len();
        }
        let mut before = group.pack.len();
        if let (true, Some(space)) = (pack::is_worded(&group.pack), space) {
            let scope = PackScope { org, space };
            let read = pack::read_worded(&scope, &group.pack, &ZstdCodec).map_err(|e| e.to_string())?;
            let payloads: Vec<_> = read.iter().map(|(payload, _)| payload).collect();
            before = pack::encode(&scope, &payloads, &ZstdCodec).len();
        }
        let long = if group.pack.len().max(before) >= 8 << 10 { "the pack with the schema" } else { "other packs" };
        let what = if of == "charters" { long } else { "packs" };
        add(parts, format!("{way} {of}: {what}"), group.pack.len(), before);
        all += group.pack.len();
    }
    Ok(all)
}

/// A city with units down to one branch, which has its cards; the replica that loads it, before it does.
fn stage() -> Result<(Village, usize), String> {
    let mut v = Village::found(406, Arc::new(ZstdCodec), &mut mem);
    let root = v.root();
    let mut above = root;
    for (name, kind, n) in WIDTHS {
        let r = &mut v.replicas[0];
        let ids: Vec<UnitId> = (0..n).map(|_| UnitId(random(&mut r.rng))).collect();
        let op = |(at, unit): (usize, &UnitId)| Op::CreateUnit {
            unit: *unit,
            name: format!("{name} {}", at + 1),
            code: None,
            kind: Some(kind.to_owned()),
            since: v.now,
        };
        let ops: Vec<Op> = ids.iter().enumerate().map(op).collect();
        r.engine.write_charter(&mut *r.store, &mut r.rng, above, &ops, v.now).map_err(|e| e.to_string())?;
        above = ids[0];
    }
    let ticket = v.invite(0, above, Roles::EDITOR);
    let first = v.join("first", &ticket, &mut mem);
    v.sync(first, 0);
    let cards: Vec<BTreeMap<String, Value>> = members(5, CARDS);
    let directives: Vec<BTreeMap<String, Value>> = (1..=DIRECTIVES).map(directive).collect();
    for (at, unit, collection, rows) in [(first, above, "members", cards), (0, root, "directives", directives)] {
        let schema = sampan_core::schema::builtin();
        let collection = schema.collection(collection).ok_or("no such collection")?;
        let r = &mut v.replicas[at];
        let rows = rows.into_iter().map(|fields| NewRecord { collection, unit, fields }).collect();
        r.engine.create(&mut *r.store, &mut r.rng, rows, v.now).map_err(|e| e.to_string())?;
        v.seal(at);
    }
    v.sync(first, 0);
    let ticket = v.invite(0, above, Roles::EDITOR);
    let second = v.join("second", &ticket, &mut mem);
    v.now.0 += 60_000;
    Ok((v, second))
}

/// Prints the table.
///
/// # Errors
/// In words.
pub fn run() -> Result<(), String> {
    let (mut v, second) = stage()?;
    let (mut parts, mut failed, org) = (Parts::new(), None, v.org);
    let mut heard = |lower: bool, frame: &Frame, len: usize| {
        let way = if lower { "up:" } else { "down:" };
        let apart = match frame {
            Frame::Commits { groups, .. } => take_apart(&mut parts, org, way, groups).unwrap_or_else(|e| {
                failed = Some(e);
                0
            }),
            Frame::Hello(hello) => take_apart(&mut parts, org, &format!("{way} its right,"), &hello.chain).unwrap_or(0),
            _ => 0,
        };
        add(&mut parts, format!("{way} {}: all else", frame.name()), len - apart, len - apart);
    };
    let case = session_heard(&mut v, second, 0, "a first load", &mut heard).map_err(|e| e.to_string())?;
    if let Some(e) = failed {
        return Err(e);
    }
    println!("bytes of frames | of | what | before protocol 5");
    for (what, part) in &parts {
        println!("{:>6} | {:>3} | {what} | {}", part.bytes, part.count, part.before);
    }
    let before: u64 = parts.values().map(|p| p.before).sum();
    println!("{:>6} |     | all of it, {} round trips | {before}", case.bytes(), case.round_trips);
    Ok(())
}
