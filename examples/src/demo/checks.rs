//! Every level against every other: by the sync's own word, by each store's own check, and by SQL.
//!
//! It does not: change anything.

use super::node::sync_running;
use super::proof::{export, same};
use super::stage::Stage;
use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

impl Stage {
    /// One session on every link upward, each of which must end verified, and a check of every store.
    ///
    /// # Errors
    /// The first that does not hold.
    pub async fn verify_links(&mut self) -> Result<usize> {
        let mut links = 0;
        let relays = self.districts.iter().map(|d| d.node.path.clone());
        let all: Vec<_> = relays.chain(self.places.iter().map(|p| p.branch.path.clone())).collect();
        for path in all {
            let report = sync_running(&path).await.with_context(|| path.display().to_string())?;
            ensure!(report.verified, "{} did not end verified", path.display());
            links += 1;
        }
        let request = json!({ "do": "verify" });
        let mut found = vec![self.city()?.ask(request.clone()).await?];
        for d in &mut self.districts {
            found.push(d.node.ask(request.clone()).await?);
        }
        for p in &mut self.places {
            found.push(p.branch.ask(request.clone()).await?);
        }
        let sound = |v: &Value| v["damaged"].as_array().is_some_and(Vec::is_empty);
        match found.iter().find(|v| !sound(v)) {
            Some(bad) => Err(anyhow::anyhow!("a store is damaged: {bad}")),
            None => Ok(links),
        }
    }
}

/// Compares the rows of all levels; how many were the same.
///
/// # Errors
/// The first that differ.
pub async fn rows(stage: &mut Stage) -> Result<u64> {
    // Asking for the status brings the tables up to what is stored.
    let status = json!({ "do": "status" });
    stage.city()?.ask(status.clone()).await?;
    for d in &mut stage.districts {
        d.node.ask(status.clone()).await?;
    }
    for p in &mut stage.places {
        let s = p.branch.ask(status.clone()).await?;
        let odd = ["pending", "blocked", "quarantined"].iter().any(|k| s[*k] != 0);
        ensure!(!odd, "{} has something that does not stand: {s}", p.name);
    }
    let city = stage.city()?.path.clone();
    let directives = export(&city, "directives", None)?;
    ensure!(!directives.is_empty(), "the city has no directive");
    let mut equal = 0;
    for d in &stage.districts {
        equal += same("directives", (&city, &directives), (&d.node.path, &export(&d.node.path, "directives", None)?))?;
    }
    for p in &stage.places {
        let (here, unit) = (&p.branch.path, p.unit.to_string());
        let above = &stage.districts[p.district].node.path;
        equal += same("directives", (&city, &directives), (here, &export(here, "directives", None)?))?;
        for collection in ["members", "receipts", "meetings"] {
            // All that a branch has, whatever unit it says it is of.
            let own = export(here, collection, None)?;
            ensure!(!own.is_empty(), "{} has no {collection}", p.name);
            equal += same(collection, (here, &own), (above, &export(above, collection, Some(&unit))?))?;
            if collection == "meetings" {
                let strayed = export(&city, collection, Some(&unit))?.len();
                ensure!(strayed == 0, "{strayed} meetings went farther than their reach, to the city");
            } else {
                equal += same(collection, (here, &own), (&city, &export(&city, collection, Some(&unit))?))?;
            }
        }
    }
    Ok(equal)
}
