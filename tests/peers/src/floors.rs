//! What nothing can go below: a QUIC connection and one round trip, QUIC moving as many bytes, ed25519
//! checking as many signatures, SQLite inserting the same rows durably, zstd of the raw changes.
//!
//! It does not: use anything of Sampan's but its bytes; QUIC is quinn with its own defaults and a
//! certificate that the other end knows.

use crate::contender::Cost;
use crate::peers::{sqlite_inserts, zstd3};
use ed25519_dalek::{Signer as _, SigningKey, Verifier as _};
use quinn::crypto::rustls::QuicServerConfig;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use sampan_tests::table::cpu;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::Handle;

/// A quinn server that sends as many bytes as a stream asks for, and a client.
pub struct Quic {
    rt: Handle,
    client: quinn::Endpoint,
    addr: SocketAddr,
}

impl Quic {
    /// Both ends on loopback.
    pub fn new(rt: &Handle) -> Self {
        let _inside = rt.enter();
        // Two crates of the peers bring features of rustls along; the provider is named, not guessed.
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
        let certificate: CertificateDer<'static> = made.cert.der().clone();
        let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
        let tls = rustls::ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("TLS 1.3")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone()], key.into())
            .expect("a server's TLS");
        let config = quinn::ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls).expect("QUIC's TLS")));
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let server = quinn::Endpoint::server(config, any).expect("a socket");
        let addr = server.local_addr().expect("an address");
        rt.spawn(async move {
            while let Some(incoming) = server.accept().await {
                tokio::spawn(async move {
                    let Ok(connection) = incoming.await else { return };
                    while let Ok((mut send, mut receive)) = connection.accept_bi().await {
                        let mut n = [0; 8];
                        if receive.read_exact(&mut n).await.is_err() {
                            return;
                        }
                        let bytes = vec![7; u64::from_le_bytes(n) as usize];
                        if send.write_all(&bytes).await.is_err() || send.finish().is_err() {
                            return;
                        }
                    }
                });
            }
        });
        let mut roots = rustls::RootCertStore::empty();
        roots.add(certificate).expect("a root");
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("TLS 1.3")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let tls = quinn::crypto::rustls::QuicClientConfig::try_from(tls).expect("QUIC's TLS");
        let mut client = quinn::Endpoint::client(any).expect("a socket");
        client.set_default_client_config(quinn::ClientConfig::new(Arc::new(tls)));
        Self { rt: rt.clone(), client, addr }
    }

    async fn connect(&self) -> quinn::Connection {
        self.client.connect(self.addr, "localhost").expect("an address").await.expect("a connection")
    }

    /// Connects and receives `n` bytes on one stream; with 1, a connection and one round trip.
    pub fn bytes(&self, n: u64) -> Cost {
        let (began, before) = (Instant::now(), cpu());
        self.rt.block_on(async {
            let connection = self.connect().await;
            fetch(&connection, n).await;
            let stats = connection.stats();
            let bytes = Some(stats.udp_tx.bytes + stats.udp_rx.bytes);
            let cost = Cost { time: began.elapsed(), cpu: cpu().saturating_sub(before), bytes, note: String::new() };
            connection.close(0u32.into(), b"done");
            cost
        })
    }

    /// Round trips on a connection that is up.
    pub fn echoes(&self, times: usize) -> Vec<Duration> {
        self.rt.block_on(async {
            let connection = self.connect().await;
            let mut out = Vec::new();
            for _ in 0..times {
                let began = Instant::now();
                fetch(&connection, 1).await;
                out.push(began.elapsed());
            }
            out
        })
    }
}

async fn fetch(connection: &quinn::Connection, n: u64) {
    let (mut send, mut receive) = connection.open_bi().await.expect("a stream");
    send.write_all(&n.to_le_bytes()).await.expect("sending");
    let got = receive.read_to_end(n as usize).await.expect("receiving");
    assert_eq!(got.len() as u64, n, "as many bytes as asked for");
}

/// Checks one signature for each of these messages.
pub fn verify(messages: &[Vec<u8>]) -> Cost {
    let key = SigningKey::from_bytes(&[7; 32]);
    let signatures: Vec<_> = messages.iter().map(|m| key.sign(m)).collect();
    let public = key.verifying_key();
    let (began, before) = (Instant::now(), cpu());
    for (message, signature) in messages.iter().zip(&signatures) {
        public.verify(message, signature).expect("a signature just made");
    }
    let note = format!("signatures={}", messages.len());
    Cost { time: began.elapsed(), cpu: cpu().saturating_sub(before), bytes: None, note }
}

/// Files of the SQLite floor: each insert into a new one.
pub struct Files {
    dir: PathBuf,
    next: usize,
}

impl Files {
    /// In a folder.
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), next: 0 }
    }

    /// A path that no file has yet.
    pub fn fresh(&mut self) -> PathBuf {
        self.next += 1;
        self.dir.join(format!("floor-{}.db", self.next))
    }

    /// The changes into one table, one durable transaction.
    pub fn inserts(&mut self, changes: &[Vec<u8>]) -> Cost {
        let path = self.fresh();
        let before = cpu();
        let time = sqlite_inserts(&path, changes);
        Cost { time, cpu: cpu().saturating_sub(before), bytes: None, note: String::new() }
    }
}

/// zstd-3 of the raw changes in one piece.
pub fn compress(changes: &[Vec<u8>]) -> Cost {
    let (began, before) = (Instant::now(), cpu());
    let bytes = Some(zstd3(changes));
    Cost { time: began.elapsed(), cpu: cpu().saturating_sub(before), bytes, note: String::new() }
}
