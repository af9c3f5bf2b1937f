//! The story, step by step.
//!
//! It does not: clean up (the stage does).
//!
//! Invariants: what is said was looked at; whatever does not hold ends the story with an error.

use super::compare::{Peers, Tally};
use super::node::{PATIENCE, sync_running};
use super::stage::{Stage, slug};
use super::tree::Ticks;
use super::wire::Wire;
use super::words::{self, Words};
use super::{checks, proof};
use anyhow::{Context as _, Result, ensure};
use sampan_core::store::Store as _;
use sampan_node::link::SyncReport;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::Instant;

/// Generated members in all.
const MEMBERS: u64 = 300;
/// Lines of the book that is on its way when the power goes: three frames of 1,024 entries at most.
const MEETINGS: u64 = 2_400;
/// The branch that loses power.
const KILLED: usize = 5;
/// Between two looks at something that comes by itself.
const LOOK_EVERY: Duration = Duration::from_millis(40);

/// What the last table shows.
#[derive(Debug, Default)]
pub struct Figures {
    records: u64,
    load: Tally,
    load_peer: Tally,
    back: Tally,
    back_peer: Tally,
    had: u64,
    resent: u64,
    conflicts: (usize, usize),
    receipts: u64,
    links: usize,
    rows: u64,
}

impl Stage {
    /// Tells it all.
    ///
    /// # Errors
    /// The first thing that did not hold; [`Stage::step`] names the step.
    pub async fn tell(&mut self) -> Result<()> {
        let mut f = Figures::default();
        let mut peers = Peers::default();
        println!("{}", words::OPENING.with(self.lang, &[]));
        println!("{}", words::FOLDER.with(self.lang, &[&self.path().display()]));
        self.begin(1, "found", &words::FOUND);
        self.found().await?;
        self.say(&words::FOUND_DONE, &[]);
        let members = self.load(&mut f, &mut peers).await?;
        self.begin(3, "cut", &words::CUT);
        self.cut().await?;
        self.begin(4, "edits", &words::EDITS);
        self.edits(&members).await?;
        self.begin(5, "directive", &words::DIRECTIVE);
        let directive = self.directive().await?;
        self.begin(6, "kill", &words::KILL);
        self.kill(&mut f).await?;
        self.begin(7, "links", &words::BACK);
        self.back(&mut f, &mut peers).await?;
        self.begin(8, "conflict", &words::CONFLICT);
        self.conflict(&mut f, &members).await?;
        self.begin(9, "receipts", &words::RECEIPTS);
        self.receipts(&mut f, &directive).await?;
        self.begin(10, "proof", &words::VERIFY);
        self.verify(&mut f).await?;
        self.table(&f);
        Ok(())
    }

    fn begin(&mut self, number: u8, step: &'static str, title: &Words) {
        self.step = step;
        let title = title.with(self.lang, &[]);
        println!("\n{}", words::STEP.with(self.lang, &[&number, &title]));
    }

    /// The first load; the ids of each branch's members.
    async fn load(&mut self, f: &mut Figures, peers: &mut Peers) -> Result<Vec<Vec<String>>> {
        self.begin(2, "load", &words::LOAD);
        let count = MEMBERS / self.places.len() as u64;
        let first = slug(&self.places[0].name);
        self.command(&format!("sampan add {first} members --from members.csv"));
        let mut members = Vec::new();
        for (i, p) in self.places.iter_mut().enumerate() {
            let request = json!({ "do": "members", "unit": p.unit.to_string(), "seed": 2_026 + i, "count": count });
            let ids = p.branch.ask(request).await?;
            members.push(ids.as_array().into_iter().flatten().filter_map(|v| v.as_str().map(str::to_owned)).collect());
        }
        self.say(&words::LOAD_ADDED, &[&MEMBERS]);
        self.command(&format!("sampan sync {first}"));
        let mut before = Vec::new();
        for i in 0..self.places.len() {
            before.push(self.documents(i).await?);
            f.load.add(tally(&self.sync_closed(i).await?));
        }
        for (i, (lower, upper)) in before.iter().enumerate() {
            f.load_peer.add(peers.sync(i, lower, upper)?);
        }
        self.command(&format!("sampan run {first}"));
        self.open_branches().await?;
        self.everywhere().await?;
        let (a, b) = (f.load, f.load_peer);
        self.say(&words::LOAD_DONE, &[&a.bytes, &a.round_trips, &b.bytes, &b.round_trips, &b.messages]);
        Ok(members)
    }

    async fn cut(&mut self) -> Result<()> {
        for p in &mut self.places {
            p.branch.ask(json!({ "do": "close" })).await?;
        }
        for d in &mut self.districts {
            d.node.close().await?;
        }
        self.city()?.close().await?;
        self.say(&words::CUT_DONE, &[]);
        Ok(())
    }

    async fn edits(&mut self, members: &[Vec<String>]) -> Result<()> {
        let first = slug(&self.places[0].name);
        let above = slug(&self.districts[0].name);
        let short = |id: &str| id[..8.min(id.len())].to_owned();
        let contested = members[0][0].clone();
        self.command(&format!("sampan set {first} {} phone=0912345678", short(&contested)));
        self.command(&format!("sampan-relay set {above} {} phone=0987654321", short(&contested)));
        for (i, p) in self.places.iter_mut().enumerate() {
            for (n, id) in members[i].iter().take(3).enumerate() {
                let phone = format!("phone=09{i}234567{n}");
                let phone = if i == 0 && n == 0 { "phone=0912345678" } else { &phone };
                p.branch.ask(json!({ "do": "set", "id": id, "fields": [phone] })).await?;
            }
            let fields = json!(["title=Sinh hoạt tháng 11", "held_on=2026-11-20", "attended=42"]);
            let unit = p.unit.to_string();
            p.branch.ask(json!({ "do": "add", "collection": "meetings", "unit": unit, "fields": fields })).await?;
        }
        let request = json!({ "do": "set", "id": contested, "fields": ["phone=0987654321"] });
        self.districts[0].node.ask(request).await?;
        let request = json!({ "do": "set", "id": members[0][1], "fields": ["position=bí thư chi bộ"] });
        self.city()?.ask(request).await?;
        self.say(&words::EDITS_DONE, &[&self.places[0].name, &self.districts[0].name]);
        Ok(())
    }

    async fn directive(&mut self) -> Result<String> {
        let city = slug(super::stage::CITY);
        self.command(&format!("sampan-relay add {city} directives number=12-CT/TU title=\"…\" urgency=urgent"));
        let fields = json!(["number=12-CT/TU", "title=Rà soát hồ sơ đảng viên", "urgency=urgent", "due=2026-12-15"]);
        let city = self.city()?;
        let unit = city.with(|r| r.engine.charter().root().context("no root unit")).await?.to_string();
        let request = json!({ "do": "add", "collection": "directives", "unit": unit, "fields": fields });
        let id = city.ask(request).await?.as_str().unwrap_or_default().to_owned();
        let mut seen = 0;
        for p in &mut self.places {
            seen += p.branch.ask(json!({ "do": "count", "collection": "directives" })).await?.as_u64().unwrap_or(1);
        }
        ensure!(seen == 0, "a branch saw the directive with every link cut");
        self.say(&words::DIRECTIVE_DONE, &[&seen]);
        Ok(id)
    }

    async fn kill(&mut self, f: &mut Figures) -> Result<()> {
        let (unit, name) = (self.places[KILLED].unit.to_string(), self.places[KILLED].name.clone());
        let folder = slug(&name);
        self.command(&format!("sampan add {folder} meetings --from so-hop-cu.csv"));
        let request = json!({ "do": "meetings", "unit": unit, "count": MEETINGS });
        self.places[KILLED].branch.ask(request).await?;
        let district = self.places[KILLED].district;
        self.districts[district].node.open().await?;
        let stored = |r: &mut sampan_node::replica::Replica| Ok(r.store.last_commit()?);
        let before = self.districts[district].node.with(stored).await?;
        let wire = Wire::lay(self.districts[district].node.listen).await?;
        self.command(&format!("sampan sync {folder} --relay {}", wire.address));
        self.places[KILLED].branch.send(&json!({ "do": "sync", "relay": wire.address.to_string() }))?;
        let count = json!({ "do": "count", "collection": "meetings", "unit": unit });
        let deadline = Instant::now() + PATIENCE;
        // Each look waits its turn at the relay's desk, behind what has just come in.
        while self.districts[district].node.with(stored).await? == before {
            ensure!(Instant::now() < deadline, "nothing of {name} came to its district in {PATIENCE:?}");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        wire.fall_silent();
        self.places[KILLED].branch.kill();
        self.command(&format!("kill -9 $(pgrep -f 'sampan sync {folder}')"));
        f.had = self.districts[district].node.ask(count.clone()).await?.as_u64().unwrap_or_default();
        self.restart(KILLED)?;
        let kept = self.places[KILLED].branch.ask(count).await?.as_u64().unwrap_or_default();
        ensure!(kept == MEETINGS + 1, "after the power cut {name} has {kept} of {} meetings", MEETINGS + 1);
        self.say(&words::KILL_DONE, &[&name, &MEETINGS, &f.had, &kept]);
        Ok(())
    }

    async fn back(&mut self, f: &mut Figures, peers: &mut Peers) -> Result<()> {
        let city = slug(super::stage::CITY);
        self.command(&format!("sampan-relay run {city}"));
        self.city()?.open().await?;
        for d in &mut self.districts {
            d.node.open().await?;
            sync_running(&d.node.path).await.with_context(|| format!("{} with the city", d.name))?;
        }
        self.command(&format!("sampan sync {}", slug(&self.places[0].name)));
        let mut before = Vec::new();
        for i in 0..self.places.len() {
            if i == KILLED {
                f.resent = self.sync_closed(i).await?.changes_sent;
                // The book, one meeting of November, three edited members.
                let all = MEETINGS + 4;
                ensure!(f.had + f.resent <= all, "{} of {all} changes stood, and {} were sent again", f.had, f.resent);
            } else {
                before.push((i, self.documents(i).await?));
                f.back.add(tally(&self.sync_closed(i).await?));
            }
        }
        for (i, (lower, upper)) in &before {
            f.back_peer.add(peers.sync(*i, lower, upper)?);
        }
        self.open_branches().await?;
        self.everywhere().await?;
        self.say(&words::BACK_RESUMED, &[&self.places[KILLED].name, &f.resent]);
        let (a, b) = (f.back, f.back_peer);
        self.say(&words::BACK_DONE, &[&a.bytes, &a.round_trips, &b.bytes, &b.round_trips, &b.messages]);
        Ok(())
    }

    async fn conflict(&mut self, f: &mut Figures, members: &[Vec<String>]) -> Result<()> {
        let first = slug(&self.places[0].name);
        self.command(&format!("sampan conflicts {first}"));
        let seen = self.await_conflicts(1).await?;
        for other in &seen[1..] {
            ensure!(*other == seen[0], "the levels see different conflicts: {} and {other}", seen[0]);
        }
        let row = seen[0][0].clone();
        ensure!(row["id"] == members[0][0].as_str(), "the conflict is on another record: {row}");
        f.conflicts.0 = 1;
        let values: Vec<&str> = row["values"].as_array().into_iter().flatten().filter_map(|v| v[0].as_str()).collect();
        let field = row["field"].as_str().unwrap_or_default().to_owned();
        self.say(&words::CONFLICT_SEEN, &[&field, &values.join(" / ")]);
        let merged = format!("_id={}", members[0][1]);
        let rows = proof::export(&self.places[0].branch.path, "members", None)?;
        let merged = rows.iter().find(|r| r.contains(&merged)).context("the merged record is missing")?;
        ensure!(merged.contains("bí thư chi bộ") && merged.contains("phone=0902345671"), "not merged: {merged}");
        self.say(&words::CONFLICT_MERGED, &[]);
        let pick = "0912345678";
        self.command(&format!("sampan resolve {first} {} {field}={pick}", &members[0][0][..8]));
        let request = json!({ "do": "set", "id": members[0][0], "fields": [format!("{field}={pick}")] });
        let changes = self.places[0].branch.ask(request).await?;
        ensure!(changes != 0, "the pick wrote nothing");
        self.await_conflicts(0).await?;
        f.conflicts.1 = 0;
        self.say(&words::CONFLICT_DONE, &[&pick]);
        Ok(())
    }

    async fn receipts(&mut self, f: &mut Figures, directive: &str) -> Result<()> {
        let first = slug(&self.places[0].name);
        self.command(&format!("sampan add {first} receipts directive={}… read=true", &directive[..8]));
        for i in 0..self.places.len() {
            let p = &mut self.places[i];
            let seen = p.branch.ask(json!({ "do": "count", "collection": "directives" })).await?;
            ensure!(seen == 1, "{} has {seen} directives, not 1", p.name);
            let fields = json!([format!("directive={directive}"), "read=true", "read_at=2026-11-21"]);
            let unit = p.unit.to_string();
            p.branch.ask(json!({ "do": "add", "collection": "receipts", "unit": unit, "fields": fields })).await?;
        }
        let deadline = Instant::now() + PATIENCE;
        loop {
            f.receipts =
                self.city()?.ask(json!({ "do": "count", "collection": "receipts" })).await?.as_u64().unwrap_or(0);
            if f.receipts == self.places.len() as u64 {
                break;
            }
            ensure!(Instant::now() < deadline, "only {} receipts came in {PATIENCE:?}", f.receipts);
            tokio::time::sleep(LOOK_EVERY).await;
        }
        self.everywhere().await?;
        self.say(&words::RECEIPTS_DONE, &[&f.receipts]);
        Ok(())
    }

    async fn verify(&mut self, f: &mut Figures) -> Result<()> {
        let first = slug(&self.places[0].name);
        self.command(&format!("sampan sync {first} && sampan verify {first}"));
        f.links = self.verify_links().await?;
        self.say(&words::VERIFY_SYNC, &[&f.links]);
        if std::env::var("SAMPAN_DEMO_BREAK").is_ok_and(|step| step == self.step) {
            proof::plant_wrong_row(&self.city()?.path.clone(), &self.places[2].unit.to_string())?;
        }
        self.command("sqlite3 ha-noi/store.db \"SELECT * FROM members ORDER BY _id\"");
        f.rows = checks::rows(self).await?;
        f.records = self.city()?.ask(json!({ "do": "count", "collection": "members" })).await?.as_u64().unwrap_or(0);
        ensure!(f.records == MEMBERS, "the city has {} members, not {MEMBERS}", f.records);
        self.say(&words::VERIFY_DONE, &[&f.rows]);
        Ok(())
    }

    /// Waits until every branch's records are at its district and at the city, and draws them on the way.
    async fn everywhere(&mut self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut ticks = Vec::new();
            for p in &mut self.places {
                ticks.push(Ticks::of(&p.branch.ask(json!({ "do": "status" })).await?));
            }
            self.tree.draw(&ticks);
            if ticks.iter().all(Ticks::complete) {
                self.tree.settle();
                return Ok(());
            }
            if Instant::now() > deadline {
                let late = self.places.iter().zip(&ticks).find(|(_, t)| !t.complete());
                let (late, _) = late.context("nobody is late")?;
                return Err(late.branch.failed(format!("its records are not everywhere after {PATIENCE:?}")));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// The conflicts as the first branch, its district and the city list them, once each has as many.
    async fn await_conflicts(&mut self, wanted: usize) -> Result<Vec<Value>> {
        let deadline = Instant::now() + PATIENCE;
        let request = json!({ "do": "conflicts" });
        loop {
            let seen = vec![
                self.places[0].branch.ask(request.clone()).await?,
                self.districts[0].node.ask(request.clone()).await?,
                self.city()?.ask(request.clone()).await?,
            ];
            if seen.iter().all(|s| s.as_array().map_or(0, Vec::len) == wanted) {
                return Ok(seen);
            }
            ensure!(Instant::now() < deadline, "not {wanted} conflicts everywhere: {seen:?}");
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn open_branches(&mut self) -> Result<()> {
        for p in &mut self.places {
            p.branch.ask(json!({ "do": "open" })).await?;
        }
        Ok(())
    }

    async fn sync_closed(&mut self, i: usize) -> Result<SyncReport> {
        let report: SyncReport = serde_json::from_value(self.places[i].branch.ask(json!({ "do": "sync" })).await?)?;
        ensure!(report.verified, "{} did not end verified", self.places[i].name);
        Ok(report)
    }

    /// What a branch and its district hold of the same, before they talk.
    async fn documents(&mut self, i: usize) -> Result<(Value, Value)> {
        let p = &mut self.places[i];
        let request = json!({ "do": "documents", "unit": p.unit.to_string() });
        let lower = p.branch.ask(request.clone()).await?;
        let upper = self.districts[p.district].node.ask(request).await?;
        Ok((lower, upper))
    }

    fn table(&self, f: &Figures) {
        let (w, lang) = (|a: &dyn std::fmt::Display, b: &dyn std::fmt::Display| format!("{a}, {b}"), self.lang);
        let places = 1 + self.districts.len() + self.places.len();
        let rows: [(&Words, String); 10] = [
            (&words::ROW_PLACES, w(&places, &(1 + self.places.len()))),
            (&words::ROW_RECORDS, f.records.to_string()),
            (&words::ROW_LOAD, w(&f.load.bytes, &f.load.round_trips)),
            (&words::ROW_LOAD_PEER, w(&f.load_peer.bytes, &f.load_peer.round_trips)),
            (&words::ROW_BACK, w(&f.back.bytes, &f.back.round_trips)),
            (&words::ROW_BACK_PEER, w(&f.back_peer.bytes, &f.back_peer.round_trips)),
            (&words::ROW_KILL, w(&f.had, &f.resent)),
            (&words::ROW_CONFLICT, w(&f.conflicts.0, &f.conflicts.1)),
            (&words::ROW_RECEIPTS, format!("{}/{}", f.receipts, self.places.len())),
            (&words::ROW_VERIFIED, w(&format!("{}/8", f.links), &f.rows)),
        ];
        println!("\n{}", words::TABLE.with(lang, &[]));
        for (label, value) in rows {
            let label = label.with(lang, &[]);
            let gap = " ".repeat(36usize.saturating_sub(label.chars().count()));
            println!("  {label}{gap}{value:>18}");
        }
    }
}

fn tally(report: &SyncReport) -> Tally {
    let bytes = report.sent_bytes + report.received_bytes;
    Tally { bytes, round_trips: report.handshake_round_trips + report.round_trips, messages: 0 }
}
