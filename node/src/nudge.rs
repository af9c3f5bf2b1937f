//! A knock at the daemon of a folder: another process wrote, look again.
//!
//! It does not: wait for the daemon to have looked, or fail: a daemon that misses it finds the news
//! at its next look of its own.
//!
//! Invariants: never longer than [`NUDGE_MS_MAX`] at each of its three steps; only loopback is spoken to.

use crate::dir::{Dir, Running};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

/// Milliseconds that connecting, asking and hearing may take each: a person waits for the command.
const NUDGE_MS_MAX: u64 = 500;

/// Tells the daemon of this folder, if one runs, that the store has grown.
pub fn nudge(dir: &Dir) {
    let Ok(Running::Daemon(info)) = dir.running() else { return };
    let limit = Duration::from_millis(NUDGE_MS_MAX);
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, info.port));
    let Ok(mut stream) = TcpStream::connect_timeout(&address, limit) else { return };
    if stream.set_read_timeout(Some(limit)).and_then(|()| stream.set_write_timeout(Some(limit))).is_err() {
        return;
    }
    let request = format!(
        "POST /nudge HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        info.token
    );
    if stream.write_all(request.as_bytes()).is_ok() {
        // The answer says nothing that matters; hearing it keeps the daemon from a broken pipe.
        let _ = stream.read(&mut [0; 256]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dir::RunInfo;
    use crate::entropy::SystemEntropy;
    use std::io::{BufRead, BufReader};
    use std::net::TcpListener;

    #[test]
    fn a_running_daemon_hears_the_knock_with_its_token() {
        let place = tempfile::tempdir().unwrap();
        let dir = Dir::create(&place.path().join("d")).unwrap().keep().unwrap();
        nudge(&dir);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let lock = dir.lock().unwrap();
        let info = RunInfo::draw(listener.local_addr().unwrap().port(), &mut SystemEntropy);
        lock.announce(&info).unwrap();
        let daemon = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let head: Vec<String> = lines.map(Result::unwrap).take_while(|l| !l.is_empty()).collect();
            stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
            head
        });
        nudge(&dir);
        let head = daemon.join().unwrap();
        assert_eq!(head[0], "POST /nudge HTTP/1.1");
        assert!(head.contains(&format!("Authorization: Bearer {}", info.token)), "{head:?}");
    }
}
