//! `sampan.toml`: the settings of a replica, and what `init` and `join` remember there.
//!
//! It does not: read the environment (a look-up is passed in), parse flags, or hold a secret.
//!
//! Invariants: a key that is not known is refused with its line; a flag leads the environment, which
//! leads the file, which leads the default; a rewrite keeps what a person wrote above `[replica]`,
//! and the file is replaced as a whole or not at all.

mod file;
mod settings;

pub use file::{ConfigFile, RelayEntry, ReplicaTable};
pub use settings::{Night, Settings};

use crate::dir::DirError;
use crate::i18n::Lang;
use sampan_core::limits::COMMIT_ENTRIES_MAX;
use std::net::SocketAddr;

/// Why the config cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A key that is not known.
    #[error("{file}, line {line}: unknown key '{key}'{}", sampan_core::suggest::did_you_mean(.nearest))]
    UnknownKey {
        /// The file.
        file: String,
        /// Its line, from 1.
        line: usize,
        /// The key.
        key: String,
        /// Known keys that look like it.
        nearest: Vec<String>,
    },
    /// Not TOML, or a value of the wrong type.
    #[error("{file}, line {line}: {reason}")]
    Syntax {
        /// The file.
        file: String,
        /// Its line, from 1.
        line: usize,
        /// The reader's reason.
        reason: String,
    },
    /// A value that a setting cannot take.
    #[error("{key}: '{given}' cannot be used; {wanted}")]
    Value {
        /// The setting, or the environment variable.
        key: String,
        /// What was given.
        given: String,
        /// What it takes.
        wanted: &'static str,
    },
    /// Reading or writing failed.
    #[error(transparent)]
    Dir(#[from] DirError),
}

/// Every setting with its value in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Where a relay accepts; default every address, port 7447.
    pub listen: SocketAddr,
    /// Addresses that a relay publishes (`host:port`); empty = the listen address, or for a wildcard
    /// the host's addresses.
    pub advertise: Vec<String>,
    /// Where the status page is served; off unless given.
    pub web: Option<SocketAddr>,
    /// The language; `None` = the system's.
    pub lang: Option<Lang>,
    /// Seconds until an edit is sealed without a link.
    pub seal_after_s: u64,
    /// Entries until edits are sealed.
    pub seal_entries_max: usize,
    /// Shortest and longest wait between two tries of a link, in seconds.
    pub backoff_s: (u64, u64),
    /// Greatest rate of sending in kbit/s; `None` = unlimited.
    pub rate_kbit_max: Option<u32>,
    /// When low priorities may use the whole link.
    pub night: Night,
    /// Mebibytes of the database's pages and decoded packs: 16, with which a whole first load stays within the 64 MB
    /// that an old PC has to spare; a relay that runs takes [`RELAY_CACHE_MB`].
    pub cache_mb: u32,
    /// Connections that a relay keeps at once.
    pub connections_max: u32,
    /// The level of the logs.
    pub log: String,
}

/// [`Config::cache_mb`] of a relay that runs, where nothing else is set: it serves many at once, on a machine of its own.
pub const RELAY_CACHE_MB: u32 = 64;

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((std::net::Ipv6Addr::UNSPECIFIED, 7447)),
            advertise: Vec::new(),
            web: None,
            lang: None,
            seal_after_s: 600,
            seal_entries_max: COMMIT_ENTRIES_MAX,
            backoff_s: (1, 300),
            rate_kbit_max: None,
            night: Night::DEFAULT,
            cache_mb: 16,
            connections_max: 20_000,
            log: "info".to_owned(),
        }
    }
}

impl Config {
    /// The settings in force: `flags` over `environment` over `file` over the defaults.
    #[must_use]
    pub fn resolve(flags: &Settings, environment: &Settings, file: &Settings) -> Self {
        Self::default().overruled(flags, environment, file)
    }

    /// The settings in force over these defaults: `flags` over `environment` over `file`.
    #[must_use]
    pub fn overruled(self, flags: &Settings, environment: &Settings, file: &Settings) -> Self {
        let d = self;
        macro_rules! first {
            ($name:ident) => {
                flags.$name.clone().or_else(|| environment.$name.clone()).or_else(|| file.$name.clone())
            };
        }
        Self {
            listen: first!(listen).unwrap_or(d.listen),
            advertise: first!(advertise).unwrap_or(d.advertise),
            web: first!(web),
            lang: first!(lang),
            seal_after_s: first!(seal_after_s).unwrap_or(d.seal_after_s),
            seal_entries_max: first!(seal_entries_max).unwrap_or(d.seal_entries_max),
            backoff_s: first!(backoff_s).unwrap_or(d.backoff_s),
            rate_kbit_max: first!(rate_kbit_max),
            night: first!(night).unwrap_or(d.night),
            cache_mb: first!(cache_mb).unwrap_or(d.cache_mb),
            connections_max: first!(connections_max).unwrap_or(d.connections_max),
            log: first!(log).unwrap_or(d.log),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_lead_the_environment_which_leads_the_file_which_leads_the_default() {
        let with = |s: u64| Settings { seal_after_s: Some(s), ..Settings::default() };
        let none = Settings::default();
        assert_eq!(Config::resolve(&none, &none, &none), Config::default());
        assert_eq!(Config::resolve(&none, &none, &with(3)).seal_after_s, 3);
        assert_eq!(Config::resolve(&none, &with(2), &with(3)).seal_after_s, 2);
        assert_eq!(Config::resolve(&with(1), &with(2), &with(3)).seal_after_s, 1);
    }

    #[test]
    fn the_defaults_are_those_of_the_manual() {
        let c = Config::default();
        assert_eq!(c.listen.to_string(), "[::]:7447");
        assert_eq!(c.night.to_string(), "22:00-05:00");
        assert_eq!((c.seal_after_s, c.seal_entries_max, c.backoff_s), (600, 256, (1, 300)));
        assert_eq!((c.cache_mb, c.connections_max, c.log.as_str()), (16, 20_000, "info"));
        assert!(c.web.is_none() && c.rate_kbit_max.is_none() && c.advertise.is_empty());
    }
}
