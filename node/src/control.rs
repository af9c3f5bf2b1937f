//! What one process of a folder asks of its daemon, over loopback.
//!
//! It does not: speak to anything but this machine.

use crate::dir::{Dir, RunInfo, Running};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long a daemon may take to answer a nudge.
const NUDGE_WITHIN: Duration = Duration::from_secs(1);

/// Tells a running daemon that something was written. It would find out by itself a moment later, so
/// nothing is wrong when it does not answer.
pub fn nudge(dir: &Dir) {
    if let Ok(Running::Daemon(info)) = dir.running() {
        let _ = post(&info, "/nudge", "", NUDGE_WITHIN);
    }
}

/// Posts to a daemon; the body of its answer.
///
/// # Errors
/// When it does not answer in time, or not with success.
pub fn post(info: &RunInfo, path: &str, body: &str, within: Duration) -> std::io::Result<String> {
    let address = SocketAddr::from(([127, 0, 0, 1], info.port));
    let mut stream = TcpStream::connect_timeout(&address, within.min(Duration::from_secs(5)))?;
    stream.set_read_timeout(Some(within))?;
    stream.set_write_timeout(Some(within))?;
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nAuthorization: Bearer {}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        info.port,
        info.token,
        body.len()
    );
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let ok = head.split_whitespace().nth(1).is_some_and(|code| code.starts_with('2'));
    if ok {
        Ok(body.to_owned())
    } else {
        Err(std::io::Error::other(head.lines().next().unwrap_or_default().to_owned()))
    }
}
