//! Reading and rewriting `sampan.toml`.
//!
//! It does not: know defaults or other sources.
//!
//! Invariants: what a person wrote above the mark survives a rewrite, comments included, where that
//! gives exactly the file that was meant; else the file is written anew from its values.

use super::settings::{self, KEYS, Settings};
use super::{ConfigError, Night};
use crate::dir::{DirError, write_atomic};
use sampan_core::id::{DeviceId, OrgId, UnitId};
use sampan_core::suggest::nearest;
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::Path;

/// Bytes of a config that are read: far beyond any, and no more than an old PC can hold.
const CONFIG_BYTES_MAX: u64 = 1 << 20;
/// Opens the part that we write.
const MARK: &str = "# Written by Sampan; changes below this line are lost.";
/// The keys of `[replica]`.
const REPLICA_KEYS: [&str; 6] = ["org", "units", "device", "relays", "addresses", "replica"];

/// A relay that this replica knows by its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayEntry {
    /// Its key.
    pub device: DeviceId,
    /// Its addresses, `host:port`.
    pub addresses: Vec<String>,
}

/// What `init` and `join` remember.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplicaTable {
    /// The organisation: its root key.
    pub org: OrgId,
    /// The units of this device's grants.
    pub units: Vec<UnitId>,
    /// This device.
    pub device: DeviceId,
    /// Relays of the tickets, in the order to try them.
    pub relays: Vec<RelayEntry>,
}

/// The whole file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ConfigFile {
    /// What a person may set.
    pub settings: Settings,
    /// What we remember; absent before `init` or `join`.
    pub replica: Option<ReplicaTable>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    #[serde(skip_serializing_if = "Option::is_none")]
    listen: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    advertise: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    web: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lang: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seal_after_s: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seal_entries_max: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    backoff_s: Option<[u64; 2]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rate_kbit_max: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    night: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_mb: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    connections_max: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    log: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    replica: Option<RawReplica>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawReplica {
    org: String,
    units: Vec<String>,
    device: String,
    #[serde(default)]
    relays: Vec<RawRelay>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRelay {
    device: String,
    addresses: Vec<String>,
}

impl ConfigFile {
    /// Reads the file.
    ///
    /// # Errors
    /// [`ConfigError`] with the line.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        Self::parse(&path.display().to_string(), &read_text(path)?)
    }

    /// Parses the text of a file called `name`.
    ///
    /// # Errors
    /// [`ConfigError`] with the line.
    pub fn parse(name: &str, text: &str) -> Result<Self, ConfigError> {
        let raw: RawFile = toml::from_str(text).map_err(|e| syntax(name, text, &e))?;
        let settings = Settings {
            listen: raw.listen.map(|t| settings::address("listen", &t)).transpose()?,
            advertise: raw.advertise,
            web: raw.web.map(|t| settings::address("web", &t)).transpose()?,
            lang: raw.lang.map(|t| settings::lang("lang", &t)).transpose()?,
            seal_after_s: raw.seal_after_s,
            seal_entries_max: raw.seal_entries_max,
            backoff_s: raw.backoff_s.map(|[a, b]| (a, b)),
            rate_kbit_max: raw.rate_kbit_max,
            night: raw.night.map(|t| settings::night("night", &t)).transpose()?,
            cache_mb: raw.cache_mb,
            connections_max: raw.connections_max,
            log: raw.log,
        };
        settings.check(name)?;
        Ok(Self { settings, replica: raw.replica.map(replica).transpose()? })
    }

    /// Writes the file, keeping the words of a person in the old one where they still say the same.
    ///
    /// # Errors
    /// [`ConfigError::Dir`]; the old file stands.
    pub fn write(&self, path: &Path) -> Result<(), ConfigError> {
        let old = if path.exists() { read_text(path)? } else { String::new() };
        write_atomic(path, self.render(&old).as_bytes(), 0o600)?;
        Ok(())
    }

    /// The text of the file, given the old one: what a person wrote there stays where it still says the same.
    #[must_use]
    pub fn render(&self, old: &str) -> String {
        let raw = self.raw();
        let kept = self.keep_words(old, &raw);
        // The check makes a clever edit of the text safe: what it cannot do, the plain way does.
        if Self::parse("", &kept).is_ok_and(|back| back == *self) {
            return kept;
        }
        let top = RawFile { replica: None, ..self.raw() };
        join_parts(&to_toml(&top), &raw)
    }

    /// The old text above our part, with the lines of changed settings replaced or added.
    fn keep_words(&self, old: &str, raw: &RawFile) -> String {
        let old_settings = Self::parse("", old).map(|f| f.settings).unwrap_or_default();
        let mut lines: Vec<String> = old
            .lines()
            .take_while(|l| l.trim() != MARK && !l.trim_start().starts_with('['))
            .map(str::to_owned)
            .collect();
        let before = Self { settings: old_settings, replica: None };
        let (before, after) = (lines_of(&before.raw()), lines_of(&RawFile { replica: None, ..self.raw() }));
        for key in KEYS {
            let line = |list: &[(String, String)]| list.iter().find(|(k, _)| k == key).map(|(_, l)| l.clone());
            if line(&before) == line(&after) {
                continue;
            }
            let at = lines.iter().position(|l| l.split('=').next().is_some_and(|k| k.trim() == key));
            match (at, line(&after)) {
                (Some(at), Some(new)) => lines[at] = new,
                (Some(at), None) => drop(lines.remove(at)),
                (None, Some(new)) => lines.push(new),
                (None, None) => {}
            }
        }
        join_parts(&lines.join("\n"), raw)
    }

    fn raw(&self) -> RawFile {
        let s = &self.settings;
        RawFile {
            listen: s.listen.map(|a| a.to_string()),
            advertise: s.advertise.clone(),
            web: s.web.map(|a| a.to_string()),
            lang: s.lang.map(|l| l.code().to_owned()),
            seal_after_s: s.seal_after_s,
            seal_entries_max: s.seal_entries_max,
            backoff_s: s.backoff_s.map(|(a, b)| [a, b]),
            rate_kbit_max: s.rate_kbit_max,
            night: s.night.as_ref().map(Night::to_string),
            cache_mb: s.cache_mb,
            connections_max: s.connections_max,
            log: s.log.clone(),
            replica: self.replica.as_ref().map(|r| RawReplica {
                org: r.org.to_string(),
                units: r.units.iter().map(UnitId::to_string).collect(),
                device: r.device.to_string(),
                relays: r
                    .relays
                    .iter()
                    .map(|e| RawRelay { device: e.device.to_string(), addresses: e.addresses.clone() })
                    .collect(),
            }),
        }
    }
}

fn join_parts(top: &str, raw: &RawFile) -> String {
    let top = top.trim_end();
    let mut out = String::from(top);
    if !top.is_empty() {
        out.push('\n');
    }
    if raw.replica.is_some() {
        let ours = RawFile { replica: None, ..RawFile::default() };
        debug_assert!(to_toml(&ours).is_empty());
        if !top.is_empty() {
            out.push('\n');
        }
        out.push_str(MARK);
        out.push('\n');
        out.push_str(&to_toml(&OnlyReplica { replica: raw.replica.as_ref() }));
    }
    out
}

#[derive(Serialize)]
struct OnlyReplica<'a> {
    replica: Option<&'a RawReplica>,
}

fn to_toml<T: Serialize>(value: &T) -> String {
    // Strings, integers, lists and tables alone: there is nothing in them that TOML cannot say.
    toml::to_string(value).unwrap_or_default()
}

/// Each setting as the line that says it.
fn lines_of(raw: &RawFile) -> Vec<(String, String)> {
    to_toml(raw).lines().filter_map(|l| l.split_once('=').map(|(k, _)| (k.trim().to_owned(), l.to_owned()))).collect()
}

fn read_text(path: &Path) -> Result<String, ConfigError> {
    let failed = |e| ConfigError::Dir(DirError::from_io(path, e));
    let name = path.display().to_string();
    if fs::metadata(path).map_err(failed)?.len() > CONFIG_BYTES_MAX {
        return Err(ConfigError::Syntax { file: name, line: 1, reason: "longer than 1 MiB".to_owned() });
    }
    let bytes = fs::read(path).map_err(failed)?;
    String::from_utf8(bytes).map_err(|e| {
        let good = &e.as_bytes()[..e.utf8_error().valid_up_to()];
        let line = 1 + good.iter().filter(|b| **b == b'\n').count();
        ConfigError::Syntax { file: name, line, reason: "not UTF-8 text".to_owned() }
    })
}

fn replica(raw: RawReplica) -> Result<ReplicaTable, ConfigError> {
    fn id<T: std::str::FromStr>(key: &str, text: &str) -> Result<T, ConfigError> {
        text.parse().map_err(|_| ConfigError::Value {
            key: format!("replica.{key}"),
            given: text.to_owned(),
            wanted: "it is written by init and join, and takes an id in hexadecimal digits",
        })
    }
    Ok(ReplicaTable {
        org: id("org", &raw.org)?,
        units: raw.units.iter().map(|u| id("units", u)).collect::<Result<_, _>>()?,
        device: id("device", &raw.device)?,
        relays: raw
            .relays
            .into_iter()
            .map(|r| Ok(RelayEntry { device: id("relays.device", &r.device)?, addresses: r.addresses }))
            .collect::<Result<_, ConfigError>>()?,
    })
}

fn syntax(file: &str, text: &str, error: &toml::de::Error) -> ConfigError {
    let at = error.span().map_or(0, |s| s.start).min(text.len());
    let line = 1 + text.as_bytes()[..at].iter().filter(|b| **b == b'\n').count();
    let file = file.to_owned();
    let unknown = error.message().strip_prefix("unknown field `").and_then(|m| m.split('`').next());
    match unknown {
        Some(key) => {
            let known = KEYS.into_iter().chain(REPLICA_KEYS);
            let nearest = nearest(key, known).into_iter().map(str::to_owned).collect();
            ConfigError::UnknownKey { file, line, key: key.to_owned(), nearest }
        }
        None => ConfigError::Syntax { file, line, reason: error.message().to_owned() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::i18n::Lang;

    fn full() -> ConfigFile {
        ConfigFile {
            settings: Settings {
                listen: Some("127.0.0.1:7447".parse().unwrap()),
                lang: Some(Lang::Vi),
                ..Settings::default()
            },
            replica: Some(ReplicaTable {
                org: OrgId([1; 32]),
                units: vec![UnitId([2; 16]), UnitId([3; 16])],
                device: DeviceId([4; 32]),
                relays: vec![RelayEntry {
                    device: DeviceId([5; 32]),
                    addresses: vec!["district.example:7447".to_owned()],
                }],
            }),
        }
    }

    #[test]
    fn it_round_trips_through_the_file() {
        let t = tempfile::tempdir().unwrap();
        let path = t.path().join("sampan.toml");
        full().write(&path).unwrap();
        assert_eq!(ConfigFile::read(&path).unwrap(), full());
        assert_eq!(fs::read_dir(t.path()).unwrap().count(), 1, "no draft stays");
    }

    #[test]
    fn every_setting_of_the_manual_is_read() {
        let text = "listen=\"[::]:7447\"\nadvertise=[\"a:1\"]\nweb=\"127.0.0.1:80\"\nlang=\"en\"\n\
            seal_after_s=600\nseal_entries_max=256\nbackoff_s=[1,300]\nrate_kbit_max=64\n\
            night=\"22:00-05:00\"\ncache_mb=64\nconnections_max=20000\nlog=\"info\"\n";
        let file = ConfigFile::parse("x", text).unwrap();
        let s = &file.settings;
        assert!(s.listen.is_some() && s.web.is_some() && s.night.is_some() && s.log.is_some());
        assert_eq!(s.backoff_s, Some((1, 300)));
        assert_eq!(ConfigFile::parse("x", &file.render("")).unwrap(), file);
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_line_and_the_nearest() {
        let err = ConfigFile::parse("sampan.toml", "lang=\"vi\"\n\nseal_afterr_s=3\n").unwrap_err();
        let text = err.to_string();
        assert!(text.contains("sampan.toml, line 3"), "{text}");
        assert!(text.contains("'seal_afterr_s'") && text.contains("'seal_after_s'"), "{text}");
        let err = ConfigFile::parse("c", "[replica]\norg=\"\"\nunitz=[]\n").unwrap_err();
        assert!(matches!(err, ConfigError::UnknownKey { line: 3, .. }), "{err}");
    }

    #[test]
    fn wrong_types_and_broken_text_name_the_line() {
        for (text, line) in [("lang=\"vi\"\ncache_mb=\"a\"\n", 2), ("\n\nlang=\n", 3)] {
            match ConfigFile::parse("c", text).unwrap_err() {
                ConfigError::Syntax { line: l, .. } => assert_eq!(l, line, "{text}"),
                other => panic!("{other}"),
            }
        }
        assert!(ConfigFile::parse("c", "seal_entries_max=300").is_err());
    }

    #[test]
    fn a_rewrite_keeps_comments_and_resolves_the_port() {
        let old = "# our district\nlisten = \"127.0.0.1:0\" # any port\nlog = \"debug\"\n# end\n";
        let mut file = ConfigFile::parse("c", old).unwrap();
        file.settings.listen = Some("127.0.0.1:40123".parse().unwrap());
        file.replica = full().replica;
        let once = file.render(old);
        assert!(once.starts_with("# our district\nlisten = \"127.0.0.1:40123\"\nlog = \"debug\"\n# end\n"), "{once}");
        assert_eq!(ConfigFile::parse("c", &once).unwrap(), file);
        assert_eq!(file.render(&once), once, "a second rewrite changes nothing");
        file.replica.as_mut().unwrap().relays.clear();
        let again = file.render(&once);
        assert!(again.contains("# end") && ConfigFile::parse("c", &again).unwrap() == file);
    }

    #[test]
    fn a_text_that_cannot_be_kept_is_written_anew() {
        let old = "advertise = [\n  \"a:1\",\n  \"b:2\",\n]\n";
        let mut file = ConfigFile::parse("c", old).unwrap();
        file.settings.advertise = Some(vec!["c:3".to_owned()]);
        assert_eq!(ConfigFile::parse("c", &file.render(old)).unwrap(), file);
    }

    #[test]
    fn other_encodings_are_named_by_line() {
        let t = tempfile::tempdir().unwrap();
        let path = t.path().join("c");
        fs::write(&path, b"lang=\"vi\"\n# \xff\n").unwrap();
        assert!(matches!(ConfigFile::read(&path), Err(ConfigError::Syntax { line: 2, .. })));
    }
}
