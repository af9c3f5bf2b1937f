//! Where a relay listens, and the addresses that the levels below are told.
//!
//! It does not: keep a socket, or find the host's addresses (`serve::advertised` does).
//!
//! Invariants: at most [`ENDPOINTS_MAX`] addresses; each has a port that is not 0.

use sampan_core::limits::{ENDPOINTS_MAX, NAME_BYTES_MAX};
use sampan_node::cli::{App, CliError, codes};
use sampan_node::config::{Config, Settings};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

/// What `init` and `join` remember: the listen address with its port found, and what was advertised.
///
/// # Errors
/// `bad_address`, `limit`; `no_port` when the address cannot be bound.
pub fn settings(app: &App, listen: Option<SocketAddr>, advertise: &[String]) -> Result<Settings, CliError> {
    let environment = Settings::from_env(app.env).map_err(|e| {
        use sampan_node::cli::convert::IntoCli;
        e.into_cli(app.lang)
    })?;
    let flags = Settings { listen, ..Settings::default() };
    let wanted = Config::resolve(&flags, &environment, &Settings::default()).listen;
    let listen = resolve_port(wanted).map_err(|e| {
        let address = wanted.to_string();
        app.error(&codes::NO_PORT, &[("address", &address), ("reason", &e.to_string())]).at(address)
    })?;
    let advertise = checked(app, advertise, listen.port())?;
    let advertise = (!advertise.is_empty()).then_some(advertise);
    Ok(Settings { listen: Some(listen), advertise, ..Settings::default() })
}

/// An address with its port 0 replaced by a free one.
///
/// # Errors
/// When the address cannot be bound.
pub fn resolve_port(listen: SocketAddr) -> io::Result<SocketAddr> {
    if listen.port() != 0 {
        return Ok(listen);
    }
    let bound = UdpSocket::bind(listen).or_else(|e| match listen {
        // A host without IPv6: the wildcard then means every address of IPv4.
        SocketAddr::V6(a) if a.ip().is_unspecified() => UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)),
        SocketAddr::V6(_) | SocketAddr::V4(_) => Err(e),
    })?;
    bound.local_addr()
}

/// Addresses as `host:port`; a missing or zero port is the one listened at.
///
/// # Errors
/// `bad_address`, `limit`.
pub fn checked(app: &App, advertise: &[String], port: u16) -> Result<Vec<String>, CliError> {
    if advertise.len() > ENDPOINTS_MAX {
        return Err(app
            .error(&codes::LIMIT, &[("what", "--advertise"), ("limit", &format!("ENDPOINTS_MAX = {ENDPOINTS_MAX}"))]));
    }
    let one = |text: &String| {
        with_port(text, port).ok_or_else(|| app.error(&codes::BAD_ADDRESS, &[("given", text)]).at(text.clone()))
    };
    advertise.iter().map(one).collect()
}

fn with_port(text: &str, port: u16) -> Option<String> {
    let text = text.trim();
    if text.is_empty()
        || text.len() > NAME_BYTES_MAX
        || text.chars().any(|c| c.is_whitespace() || c.is_control() || c == '/')
    {
        return None;
    }
    if let Ok(ip) = text.trim_matches(['[', ']']).parse::<IpAddr>() {
        return Some(SocketAddr::new(ip, port).to_string());
    }
    match text.rsplit_once(':') {
        None => Some(format!("{text}:{port}")),
        Some((host, given)) => {
            let given: u16 = given.parse().ok()?;
            let v6 = host.starts_with('[') && host.ends_with(']');
            let plain = !host.is_empty() && !host.contains(':');
            (v6 || plain).then(|| format!("{host}:{}", if given == 0 { port } else { given }))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_get_the_port_that_they_lack() {
        let all = [
            ("relay.example.org", Some("relay.example.org:7447")),
            ("relay.example.org:9", Some("relay.example.org:9")),
            ("10.0.0.1:0", Some("10.0.0.1:7447")),
            ("10.0.0.1", Some("10.0.0.1:7447")),
            ("2001:db8::5", Some("[2001:db8::5]:7447")),
            ("[2001:db8::5]:80", Some("[2001:db8::5]:80")),
            (":80", None),
            ("http://x:80", None),
            ("host:port", None),
            ("a b", None),
            ("", None),
        ];
        for (given, wanted) in all {
            assert_eq!(with_port(given, 7447).as_deref(), wanted, "{given}");
        }
    }

    #[test]
    fn a_free_port_is_found_and_a_given_one_kept() {
        let given: SocketAddr = "127.0.0.1:7447".parse().unwrap();
        assert_eq!(resolve_port(given).unwrap(), given);
        let found = resolve_port("127.0.0.1:0".parse().unwrap()).unwrap();
        assert!(found.port() != 0 && found.ip().is_loopback());
        assert_ne!(resolve_port("[::]:0".parse().unwrap()).unwrap().port(), 0);
        // A documentation address is never this host's.
        assert!(resolve_port("192.0.2.1:0".parse().unwrap()).is_err());
    }
}
