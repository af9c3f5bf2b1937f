//! One source of settings: a file, the environment, or flags; every setting may be absent.
//!
//! It does not: know which source leads (see [`super::Config::resolve`]).
//!
//! Invariants: a value in a [`Settings`] that came through [`Settings::check`] is in its range.

use super::ConfigError;
use crate::i18n::Lang;
use sampan_core::limits::{COMMIT_ENTRIES_MAX, ENDPOINTS_MAX};
use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

/// The keys of the file, in the order of the manual.
pub(super) const KEYS: [&str; 13] = [
    "listen",
    "advertise",
    "web",
    "lang",
    "seal_after_s",
    "seal_entries_max",
    "backoff_s",
    "rate_kbit_max",
    "night",
    "cache_mb",
    "connections_max",
    "log",
    "replica",
];

/// A window of the day, by the local clock; it may cross midnight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Night {
    /// First minute of the day inside it.
    pub from: u16,
    /// First minute of the day after it.
    pub until: u16,
}

impl Night {
    /// 22:00 to 05:00.
    pub const DEFAULT: Self = Self { from: 22 * 60, until: 5 * 60 };

    /// Whether a minute of the day (0 to 1439) lies in it; equal ends mean the whole day.
    #[must_use]
    pub fn contains(self, minute: u16) -> bool {
        if self.from < self.until {
            (self.from..self.until).contains(&minute)
        } else {
            minute >= self.from || minute < self.until
        }
    }
}

impl fmt::Display for Night {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (a, b) = (self.from, self.until);
        write!(f, "{:02}:{:02}-{:02}:{:02}", a / 60, a % 60, b / 60, b % 60)
    }
}

impl FromStr for Night {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        let minute = |t: &str| {
            let (h, m) = t.trim().split_once(':').ok_or(())?;
            let (h, m): (u16, u16) = (h.parse().map_err(drop)?, m.parse().map_err(drop)?);
            if h < 24 && m < 60 { Ok(h * 60 + m) } else { Err(()) }
        };
        let (from, until) = text.split_once('-').ok_or(())?;
        Ok(Self { from: minute(from)?, until: minute(until)? })
    }
}

/// The settings that one source gives.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "each field is described at `Config`")]
pub struct Settings {
    pub listen: Option<SocketAddr>,
    pub advertise: Option<Vec<String>>,
    pub web: Option<SocketAddr>,
    pub lang: Option<Lang>,
    pub seal_after_s: Option<u64>,
    pub seal_entries_max: Option<usize>,
    pub backoff_s: Option<(u64, u64)>,
    pub rate_kbit_max: Option<u32>,
    pub night: Option<Night>,
    pub cache_mb: Option<u32>,
    pub connections_max: Option<u32>,
    pub log: Option<String>,
}

impl Settings {
    /// The settings of the environment: `SAMPAN_` and the key in capitals; lists with commas.
    ///
    /// # Errors
    /// [`ConfigError::Value`] names the variable.
    pub fn from_env(env: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let mut s = Self::default();
        for key in KEYS.into_iter().filter(|k| *k != "replica") {
            let name = format!("SAMPAN_{}", key.to_uppercase());
            // An empty variable is how a shell script says "not set".
            if let Some(text) = env(&name).filter(|t| !t.is_empty()) {
                s.set(&name, key, &text)?;
            }
        }
        Ok(s)
    }

    fn set(&mut self, name: &str, key: &str, text: &str) -> Result<(), ConfigError> {
        let list = || text.split(',').map(|t| t.trim().to_owned()).collect::<Vec<_>>();
        match key {
            "listen" => self.listen = Some(address(name, text)?),
            "advertise" => self.advertise = Some(list()),
            "web" => self.web = Some(address(name, text)?),
            "lang" => self.lang = Some(lang(name, text)?),
            "seal_after_s" => self.seal_after_s = Some(number(name, text)?),
            "seal_entries_max" => self.seal_entries_max = Some(number(name, text)?),
            "backoff_s" => {
                let (a, b) = text.split_once(',').ok_or_else(|| bad(name, text, BACKOFF))?;
                self.backoff_s = Some((number(name, a)?, number(name, b)?));
            }
            "rate_kbit_max" => self.rate_kbit_max = Some(number(name, text)?),
            "night" => self.night = Some(night(name, text)?),
            "cache_mb" => self.cache_mb = Some(number(name, text)?),
            "connections_max" => self.connections_max = Some(number(name, text)?),
            "log" => self.log = Some(text.to_owned()),
            other => return Err(bad(other, text, "it is not a setting")),
        }
        self.check(name)
    }

    /// Refuses values out of range; `name` is where they came from.
    ///
    /// # Errors
    /// [`ConfigError::Value`].
    pub(super) fn check(&self, name: &str) -> Result<(), ConfigError> {
        let refuse = |key: &str, given: String, wanted| {
            let name = if name.starts_with("SAMPAN_") { name } else { key };
            Err(bad(name, &given, wanted))
        };
        if let Some(n) = self.seal_entries_max
            && (n == 0 || n > COMMIT_ENTRIES_MAX)
        {
            return refuse("seal_entries_max", n.to_string(), "it takes 1 to 256, and can only be lowered");
        }
        if let Some((a, b)) = self.backoff_s
            && (a == 0 || b < a || b > 86_400)
        {
            return refuse("backoff_s", format!("[{a}, {b}]"), BACKOFF);
        }
        if self.rate_kbit_max == Some(0) {
            return refuse("rate_kbit_max", "0".to_owned(), "it takes 1 or more; leave it out for no limit");
        }
        if self.connections_max == Some(0) {
            return refuse("connections_max", "0".to_owned(), "it takes 1 or more");
        }
        if let Some(log) = &self.log
            && !LEVELS.contains(&log.as_str())
        {
            return refuse("log", log.clone(), "it takes off, error, warn, info, debug or trace");
        }
        if let Some(list) = &self.advertise {
            if list.len() > ENDPOINTS_MAX {
                return refuse("advertise", list.len().to_string(), "it takes at most 8 addresses");
            }
            if let Some(wrong) = list.iter().find(|a| !is_endpoint(a)) {
                return refuse("advertise", wrong.clone(), "it takes host:port");
            }
        }
        Ok(())
    }
}

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
const BACKOFF: &str = "it takes the shortest and the longest wait in seconds, such as [1, 300]";

/// Whether a text is `host:port` with a name or an address.
fn is_endpoint(text: &str) -> bool {
    text.parse::<SocketAddr>().is_ok()
        || text.rsplit_once(':').is_some_and(|(host, port)| {
            !host.is_empty()
                && host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))
                && port.parse::<u16>().is_ok_and(|p| p > 0)
        })
}

pub(super) fn address(name: &str, text: &str) -> Result<SocketAddr, ConfigError> {
    text.trim().parse().map_err(|_| bad(name, text, "it takes ADDRESS:PORT, such as 127.0.0.1:8080 or [::]:7447"))
}

pub(super) fn lang(name: &str, text: &str) -> Result<Lang, ConfigError> {
    text.parse().map_err(|_| bad(name, text, "it takes vi or en"))
}

pub(super) fn night(name: &str, text: &str) -> Result<Night, ConfigError> {
    text.parse().map_err(|()| bad(name, text, "it takes two times, such as 22:00-05:00"))
}

fn number<T: FromStr>(name: &str, text: &str) -> Result<T, ConfigError> {
    text.trim().parse().map_err(|_| bad(name, text, "it takes a whole number"))
}

fn bad(name: &str, given: &str, wanted: &'static str) -> ConfigError {
    ConfigError::Value { key: name.to_owned(), given: given.to_owned(), wanted }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env<'a>(pairs: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<String> + 'a {
        move |name| pairs.iter().find(|(k, _)| *k == name).map(|(_, v)| (*v).to_owned())
    }

    #[test]
    fn the_environment_sets_every_key() {
        let s = Settings::from_env(&env(&[
            ("SAMPAN_LISTEN", "127.0.0.1:0"),
            ("SAMPAN_ADVERTISE", "relay.example:7447, [2001:db8::1]:7447"),
            ("SAMPAN_WEB", "127.0.0.1:8080"),
            ("SAMPAN_LANG", "vi"),
            ("SAMPAN_SEAL_AFTER_S", "0"),
            ("SAMPAN_SEAL_ENTRIES_MAX", "10"),
            ("SAMPAN_BACKOFF_S", "2,60"),
            ("SAMPAN_RATE_KBIT_MAX", "64"),
            ("SAMPAN_NIGHT", "21:30-04:00"),
            ("SAMPAN_CACHE_MB", "8"),
            ("SAMPAN_CONNECTIONS_MAX", "5"),
            ("SAMPAN_LOG", "debug"),
            ("SAMPAN_MACHINE_ID", "not a setting"),
        ]))
        .unwrap();
        assert_eq!(s.advertise.as_ref().unwrap().len(), 2);
        assert_eq!(s.backoff_s, Some((2, 60)));
        assert_eq!(s.lang, Some(Lang::Vi));
        assert_eq!(s.night.unwrap().to_string(), "21:30-04:00");
        assert_eq!((s.seal_after_s, s.seal_entries_max, s.cache_mb), (Some(0), Some(10), Some(8)));
        assert_eq!(Settings::from_env(&env(&[("SAMPAN_WEB", "")])).unwrap(), Settings::default());
    }

    #[test]
    fn what_a_setting_cannot_take_is_refused_by_its_name() {
        for (name, value) in [
            ("SAMPAN_SEAL_ENTRIES_MAX", "257"),
            ("SAMPAN_SEAL_ENTRIES_MAX", "0"),
            ("SAMPAN_BACKOFF_S", "9"),
            ("SAMPAN_BACKOFF_S", "9,3"),
            ("SAMPAN_LISTEN", "7447"),
            ("SAMPAN_LANG", "fr"),
            ("SAMPAN_NIGHT", "25:00-05:00"),
            ("SAMPAN_LOG", "loud"),
            ("SAMPAN_ADVERTISE", "relay"),
            ("SAMPAN_CACHE_MB", "-1"),
        ] {
            let err = Settings::from_env(&env(&[(name, value)])).unwrap_err();
            assert!(err.to_string().starts_with(name), "{err}");
        }
    }

    #[test]
    fn a_night_crosses_midnight() {
        let n = Night::DEFAULT;
        assert!(n.contains(23 * 60) && n.contains(0) && n.contains(299) && !n.contains(300));
        assert!(!n.contains(22 * 60 - 1) && n.contains(22 * 60));
        let noon: Night = "12:00-13:00".parse().unwrap();
        assert!(noon.contains(720) && !noon.contains(780) && !noon.contains(0));
    }
}
