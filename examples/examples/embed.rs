//! A program that embeds a replica: founds an organisation in a folder, adds two people, lists them.
//!
//! Run it: `cargo run -p sampan-examples --example embed -- FOLDER`

use sampan_core::value::Value;
use sampan_node::config::Settings;
use sampan_node::entropy::SystemEntropy;
use sampan_node::keys::Secret;
use sampan_node::replica::{Replica, ReplicaError};
use std::collections::BTreeMap;
use std::path::Path;

/// The names in the folder's list, after two were added.
fn embed(folder: &Path) -> Result<Vec<String>, ReplicaError> {
    let root = Secret::draw(&mut SystemEntropy);
    let schema = sampan_core::schema::builtin();
    let mut replica = Replica::create(folder, root.organisation(), Settings::default(), |store, engine, rng, _| {
        let facts = (schema.version, schema.source.clone(), schema.levels.first().cloned());
        let now = sampan_node::replica::system_clock()();
        Ok((vec![engine.found(store, rng, &root.signing_key(), "Hội làng", facts, now)?], Vec::new()))
    })?;
    let (unit, members) = (replica.unit_or_only(None)?, replica.collection("members")?);
    for name in ["Nguyễn Thị Lan", "Trần Văn Đức"] {
        let fields = BTreeMap::from([("full_name".to_owned(), Value::Str(name.to_owned()))]);
        replica.add(&members, unit, fields)?;
    }
    // Diacritics are not needed to find a name.
    let found = replica.list(&members, None, Some("duc"))?.len();
    println!("'duc' finds {found}");
    let title = |row: &sampan_node::store::ProjectedRow| sampan_core::schema::to_cell(None, &row.values["full_name"]);
    Ok(replica.list(&members, None, None)?.iter().map(title).collect())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args_os().nth(1).ok_or("say in which new folder")?;
    embed(Path::new(&folder))?.iter().for_each(|name| println!("{name}"));
    Ok(())
}

#[test]
fn an_embedded_replica_lists_what_was_added() {
    let dir = tempfile::tempdir().unwrap();
    let mut names = embed(&dir.path().join("replica")).unwrap();
    names.sort();
    assert_eq!(names, ["Nguyễn Thị Lan", "Trần Văn Đức"]);
}
