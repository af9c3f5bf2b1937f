//! The stage: a folder that goes away, nine places in it, and how they are founded.
//!
//! It does not: tell the story.
//!
//! Invariants: when a stage is closed or dropped its processes have ended and its folder is gone.

use super::branch::Branch;
use super::node::{Kind, Node, settings};
use super::tree::Tree;
use super::words::Words;
use anyhow::{Context as _, Result};
use sampan_core::charter::{Op, Roles};
use sampan_core::engine::InviteRequest;
use sampan_core::fold::fold;
use sampan_core::id::UnitId;
use sampan_node::entropy::SystemEntropy;
use sampan_node::i18n::Lang;
use sampan_node::keys::{self, KeyKind, Secret};
use sampan_node::replica::{Replica, ReplicaError, system_clock};
use serde_json::json;
use std::fmt::Display;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// The city's name.
pub const CITY: &str = "Thành phố Hà Nội";
const UNITS: &str = include_str!("../../data/units.csv");

/// One row of the units.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitRow {
    /// Code and name of the district.
    pub district: (String, String),
    /// Code and name of the ward.
    pub ward: (String, String),
}

/// The units of the demo.
#[must_use]
pub fn unit_rows() -> Vec<UnitRow> {
    let rows = UNITS.lines().skip(1).map(|line| line.split(',').map(str::to_owned).collect::<Vec<_>>());
    let rows = rows.filter_map(|r| <[String; 4]>::try_from(r).ok());
    rows.map(|[dc, d, wc, w]| UnitRow { district: (dc, d), ward: (wc, w) }).collect()
}

/// The folder name of a unit: its name without what kind it is, in plain letters.
#[must_use]
pub fn slug(name: &str) -> String {
    let folded = fold(name);
    let bare = ["thanh pho ", "quan ", "phuong "].iter().find_map(|p| folded.strip_prefix(p)).unwrap_or(&folded);
    bare.replace(' ', "-")
}

/// A folder of this run, removed when dropped unless kept.
pub struct Folder(PathBuf);

impl Folder {
    fn make() -> Result<Self> {
        let path = std::env::temp_dir().join(format!("sampan-demo-{}", std::process::id()));
        std::fs::create_dir(&path).with_context(|| format!("{} cannot be made", path.display()))?;
        std::fs::create_dir(path.join("logs"))?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A thread that is just ending may still close a file.
        for _ in 0..50 {
            if std::fs::remove_dir_all(&self.0).is_ok() || !self.0.exists() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }
}

/// A district.
pub struct District {
    /// Its unit.
    pub unit: UnitId,
    /// Its name.
    pub name: String,
    /// Its relay.
    pub node: Node,
}

/// A branch.
pub struct Place {
    /// Its unit.
    pub unit: UnitId,
    /// Its name.
    pub name: String,
    /// Its district's position.
    pub district: usize,
    /// Its process.
    pub branch: Branch,
}

/// Everything.
pub struct Stage {
    /// Language.
    pub lang: Lang,
    /// The step the story is at.
    pub step: &'static str,
    /// The city's relay.
    pub city: Option<Node>,
    /// The districts.
    pub districts: Vec<District>,
    /// The branches; dropped before the folder is.
    pub places: Vec<Place>,
    /// The tree on the screen.
    pub tree: Tree,
    folder: Folder,
}

impl Stage {
    /// An empty stage.
    ///
    /// # Errors
    /// When no folder can be made.
    pub fn new(lang: Lang) -> Result<Self> {
        let mut districts: Vec<(String, Vec<String>)> = Vec::new();
        for row in unit_rows() {
            match districts.last_mut().filter(|(d, _)| *d == row.district.1) {
                Some((_, wards)) => wards.push(row.ward.1),
                None => districts.push((row.district.1, vec![row.ward.1])),
            }
        }
        let tree = Tree::new(lang, (CITY.to_owned(), districts));
        let (districts, places) = (Vec::new(), Vec::new());
        Ok(Self { lang, step: "start", city: None, districts, places, tree, folder: Folder::make()? })
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.folder.0
    }

    /// The log of what the demo itself does.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.folder.0.join("logs/demo.log")
    }

    /// Says a sentence.
    pub fn say(&self, words: &Words, fill: &[&dyn Display]) {
        let text = words.with(self.lang, fill);
        println!("      {text}");
        self.note(&text);
    }

    /// Shows a command that a person would type for what happens now.
    pub fn command(&self, command: &str) {
        println!("      $ {command}");
        self.note(&format!("$ {command}"));
    }

    /// Writes a line into the demo's log; a log that cannot be written stops nobody.
    pub fn note(&self, line: &str) {
        if let Ok(mut file) = OpenOptions::new().create(true).append(true).open(self.log()) {
            let _ = writeln!(file, "[{}] {line}", self.step);
        }
    }

    /// The city's node.
    ///
    /// # Errors
    /// Before it was founded.
    pub fn city(&mut self) -> Result<&mut Node> {
        self.city.as_mut().context("the city is not founded yet")
    }

    /// Founds the organisation, its units, their relays and their branches.
    ///
    /// # Errors
    /// Whatever goes wrong first.
    pub async fn found(&mut self) -> Result<()> {
        let path = self.path().join(slug(CITY));
        self.command(&format!("sampan-relay init {} --org \"{CITY}\"", slug(CITY)));
        let mut city = Node::of(Kind::Relay, &path, found(&path)?);
        city.open().await?;
        let root = city.with(|r| r.engine.charter().root().context("no root unit")).await?;
        self.command(&format!("sampan-relay unit add {} --from units.csv --levels district,branch", slug(CITY)));
        for row in unit_rows() {
            if self.districts.iter().all(|d| d.name != row.district.1) {
                let (unit, node) = self.district(&mut city, root, &row).await?;
                self.districts.push(District { unit, name: row.district.1.clone(), node });
            }
            let district = self.districts.len() - 1;
            let parent = &mut self.districts[district];
            let unit = create(&mut parent.node, parent.unit, row.ward.clone(), "branch").await?;
            let line = invite(&mut parent.node, unit, Roles::EDITOR).await?;
            let (above, name) = (slug(&parent.name), slug(&row.ward.1));
            if self.places.is_empty() {
                self.command(&format!(
                    "sampan-relay invite {above} --unit \"{}\" --role editor --holder \"…\"",
                    row.ward.1
                ));
                self.command(&format!("sampan join {name} {}…", &line[..line.len().min(24)]));
            }
            let log = self.path().join(format!("logs/{name}.log"));
            let mut branch = Branch::start(&self.path().join(&name), &log)?;
            branch.ask(json!({ "do": "join", "ticket": line })).await?;
            self.places.push(Place { unit, name: row.ward.1, district, branch });
        }
        self.city = Some(city);
        Ok(())
    }

    async fn district(&self, city: &mut Node, root: UnitId, row: &UnitRow) -> Result<(UnitId, Node)> {
        let unit = create(city, root, row.district.clone(), "district").await?;
        let line = invite(city, unit, Roles::ADMIN).await?;
        let name = slug(&row.district.1);
        self.command(&format!("sampan-relay join {name} {}…", &line[..line.len().min(24)]));
        let mut node = Node::join(Kind::Relay, &self.path().join(name), &line)?;
        // It learns its right first, so that it can publish where it listens as soon as it does.
        node.sync(None, |_| ()).await?;
        node.open().await?;
        Ok((unit, node))
    }

    /// Starts the process of a branch anew, in the folder that it had.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn restart(&mut self, place: usize) -> Result<()> {
        let p = &mut self.places[place];
        p.branch.kill();
        p.branch = Branch::start(&p.branch.path.clone(), &p.branch.log.clone())?;
        Ok(())
    }

    /// Ends everything that runs here.
    pub async fn close(mut self) {
        self.places.clear();
        for d in &mut self.districts {
            let _ = d.node.close().await;
        }
        if let Some(city) = &mut self.city {
            let _ = city.close().await;
        }
    }
}

fn found(path: &Path) -> Result<Replica> {
    let root = Secret::draw(&mut SystemEntropy);
    let schema = sampan_core::schema::builtin();
    let replica = Replica::create(path, root.organisation(), settings(), |store, engine, rng, dir| {
        let now = system_clock()();
        let facts = (schema.version, schema.source.clone(), schema.levels.first().cloned());
        keys::store(&dir.keys(), KeyKind::Root, &root)?;
        let unit = engine.found(store, rng, &root.signing_key(), CITY, facts, now)?;
        Ok::<_, ReplicaError>((vec![unit], Vec::new()))
    })?;
    Ok(replica)
}

async fn create(node: &mut Node, parent: UnitId, unit: (String, String), kind: &'static str) -> Result<UnitId> {
    node.with(move |r| {
        let id = UnitId(r.random());
        let now = r.now();
        let op = Op::CreateUnit { unit: id, name: unit.1, code: Some(unit.0), kind: Some(kind.into()), since: now };
        let Replica { store, engine, rng, .. } = r;
        store.group(|s| engine.write_charter(s, rng, parent, &[op], now))?;
        Ok(id)
    })
    .await
}

async fn invite(node: &mut Node, unit: UnitId, roles: Roles) -> Result<String> {
    node.with(move |r| {
        let now = r.now();
        let (holder, subtree) = (String::from("demo"), false);
        let request = InviteRequest {
            unit,
            roles,
            subtree,
            holder,
            until: None,
            use_by: None,
            collections: None,
            replaces: None,
        };
        let Replica { store, engine, rng, .. } = r;
        Ok(store.group(|s| engine.invite(s, rng, &request, now))?.encode())
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_units_are_real_and_make_plain_folder_names() {
        let rows = unit_rows();
        assert_eq!(rows.len(), 6);
        assert_eq!(slug(&rows[0].ward.1), "phuc-xa");
        assert_eq!(slug(&rows[0].district.1), "ba-dinh");
        assert_eq!(slug(CITY), "ha-noi");
    }
}
