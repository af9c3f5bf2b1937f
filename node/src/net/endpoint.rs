//! A UDP socket that dials and, on a relay, accepts.
//!
//! It does not: redial, back off, choose among relays, or check what a device may do.
//!
//! Invariants: at most `connections_max` accepted connections and [`HANDSHAKES_MAX`] handshakes at
//! a time; a dial gives a connection to one of the expected devices or none.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ed25519_dalek::SigningKey;
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{ConnectionError, EndpointConfig, VarInt};
use quinn_proto::RandomConnectionIdGenerator;
use quinn_proto::crypto::{CryptoError, HmacKey};
use sampan_core::id::DeviceId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

use super::connection::{Connection, canonical, code};
use super::error::{AcceptError, BindError, DialError};
use super::socket::{self, Use};
use super::tls;
use super::transport::{self, Side};

/// Handshakes at a time; more wait unread in quinn's queue, where they cost a packet each. One
/// core does about a thousand a second.
const HANDSHAKES_MAX: usize = 1024;

/// Handshakes at a time beyond which strangers must first prove their address (one more round
/// trip); devices that were here before bring a token and need not.
const RETRY_ABOVE: usize = 256;

/// Bytes of a connection id, which every datagram carries: as many as quinn's default, all of them random.
const CONNECTION_ID_BYTES: usize = 8;

/// A handshake takes a second or two on a thin link; longer than this and the link is no use.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(30);

/// How long an address may stay silent before the next one of the name is tried beside it.
const DIAL_STAGGER: Duration = Duration::from_secs(2);

/// Sets of expected devices whose TLS sessions are remembered: ancestors of a unit, with room.
const CLIENT_CONFIGS_MAX: usize = 64;

/// Choices of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// No path-MTU probes: cheaper handshakes, somewhat more packets for bulk. Default: true.
    pub thin: bool,
    /// Accepted connections at a time. Default: 20,000.
    pub connections_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { thin: true, connections_max: 20_000 }
    }
}

/// A UDP socket with the device's key. Clones share it.
#[derive(Debug, Clone)]
pub struct Endpoint {
    quic: quinn::Endpoint,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    key: SigningKey,
    options: Options,
    accepts: bool,
    handshakes: Arc<Semaphore>,
    connections: Arc<Semaphore>,
    full_handshakes: Arc<AtomicU64>,
    /// By the sorted set of expected devices: rustls resumes a session only under the very
    /// verifier that it was made with.
    clients: Mutex<BTreeMap<Vec<DeviceId>, quinn::ClientConfig>>,
}

impl Endpoint {
    /// An endpoint that only dials, on a free port of both IP families (or of IPv4 where there is
    /// no IPv6).
    ///
    /// # Errors
    /// If no socket can be opened, or outside of a tokio runtime.
    pub fn client(key: &SigningKey, options: Options) -> Result<Self, BindError> {
        let runtime = runtime()?;
        let v4 = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        let quic = socket::bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)), Use::Dial)
            .or_else(|_| socket::bind(v4, Use::Dial))
            .and_then(|socket| quinn::Endpoint::new(EndpointConfig::default(), None, socket, runtime))
            .map_err(|source| BindError::Socket { addr: v4, source })?;
        Ok(Self::new(quic, key, options, false, Arc::default()))
    }

    /// An endpoint that accepts at `addr` and can also dial.
    ///
    /// # Errors
    /// If the socket cannot be opened, or outside of a tokio runtime.
    pub fn server(addr: SocketAddr, key: &SigningKey, options: Options) -> Result<Self, BindError> {
        let runtime = runtime()?;
        let socket_error = |source| BindError::Socket { addr, source };
        let full_handshakes = Arc::new(AtomicU64::new(0));
        let tls_error = |why: String| BindError::Tls { why };
        let tls = tls::server(key, full_handshakes.clone()).map_err(|e| tls_error(e.to_string()))?;
        let crypto = QuicServerConfig::try_from(tls).map_err(|e| tls_error(e.to_string()))?;
        let mut config = quinn::ServerConfig::with_crypto(Arc::new(crypto));
        config.transport_config(transport::config(Side::Acceptor, options.thin));
        config.time_source(Arc::new(tls::Monotonic::start()));
        let socket = socket::bind(addr, Use::Accept).map_err(socket_error)?;
        let quic = quinn::Endpoint::new(restartable(key), Some(config), socket, runtime).map_err(socket_error)?;
        Ok(Self::new(quic, key, options, true, full_handshakes))
    }

    fn new(
        quic: quinn::Endpoint,
        key: &SigningKey,
        options: Options,
        accepts: bool,
        full_handshakes: Arc<AtomicU64>,
    ) -> Self {
        let shared = Shared {
            key: key.clone(),
            options,
            accepts,
            handshakes: Arc::new(Semaphore::new(HANDSHAKES_MAX)),
            connections: Arc::new(Semaphore::new(options.connections_max)),
            full_handshakes,
            clients: Mutex::default(),
        };
        Self { quic, shared: Arc::new(shared) }
    }

    /// This socket under another device's key, to dial with only: many devices of one process need not have a
    /// socket each.
    #[must_use]
    pub fn under(&self, key: &SigningKey) -> Self {
        Self::new(self.quic.clone(), key, self.shared.options, false, Arc::default())
    }

    /// The device whose key this endpoint holds.
    #[must_use]
    pub fn device(&self) -> DeviceId {
        tls::device_of(&self.shared.key)
    }

    /// The bound address, its port resolved.
    ///
    /// # Errors
    /// If the system does not tell.
    pub fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.quic.local_addr()
    }

    /// Handshakes that this end accepted in full; resumed ones are not among them.
    #[must_use]
    pub fn full_handshakes(&self) -> u64 {
        self.shared.full_handshakes.load(Ordering::Relaxed)
    }

    /// Connections open now, dialled and accepted.
    #[must_use]
    pub fn open_connections(&self) -> usize {
        self.quic.open_connections()
    }

    /// Dials `addr` (`host:port`) and expects one of the devices `expected` there. Every address
    /// of the name is tried; the first that completes wins.
    ///
    /// # Errors
    /// When none completed within `timeout`: the most telling of what happened.
    pub async fn connect(&self, addr: &str, expected: &[DeviceId], timeout: Duration) -> Result<Connection, DialError> {
        let until = tokio::time::Instant::now() + timeout;
        let dns = |why: String| DialError::Dns { host: addr.to_owned(), why };
        let addrs: Vec<SocketAddr> = tokio::time::timeout_at(until, tokio::net::lookup_host(addr))
            .await
            .map_err(|_| dns(format!("the name service did not answer within {} ms", timeout.as_millis())))?
            .map_err(|e| dns(e.to_string()))?
            .collect();
        if addrs.is_empty() {
            return Err(dns("the name has no address".into()));
        }
        let tried = addrs.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let unreachable = |why: String| DialError::Unreachable { addr: addr.to_owned(), tried: tried.clone(), why };
        let config = self.client_config(expected).map_err(unreachable)?;

        let mut dials = JoinSet::new();
        let mut waiting = addrs.iter().copied();
        let mut worst: Option<DialError> = None;
        loop {
            // The next address starts when the last stayed silent for a while or all have failed.
            if let Some(next) = waiting.next() {
                dials.spawn(dial_one(self.quic.clone(), config.clone(), next, expected.to_vec()));
            } else if dials.is_empty() {
                break;
            }
            // Silence of this very machine means nothing: its addresses are tried at once.
            let more = waiting.len() > 0;
            let pause = if addrs.iter().all(|a| a.ip().is_loopback()) { Duration::ZERO } else { DIAL_STAGGER };
            tokio::select! {
                () = tokio::time::sleep_until(until) => break,
                () = tokio::time::sleep(pause), if more => {}
                Some(done) = dials.join_next() => match done {
                    Ok(Ok(connection)) => return Ok(connection),
                    Ok(Err(failure)) => {
                        let failure = match failure {
                            Failure::Silent(why) => unreachable(why),
                            Failure::Answered(e) => e,
                        };
                        if worst.as_ref().is_none_or(|w| telling(&failure) > telling(w)) {
                            worst = Some(failure);
                        }
                    }
                    Err(e) => worst = worst.or(Some(unreachable(e.to_string()))),
                },
            }
        }
        Err(worst.unwrap_or_else(|| {
            unreachable(format!(
                "nothing came back within {} ms; the relay is down, the port is closed or UDP is blocked",
                timeout.as_millis()
            ))
        }))
    }

    /// The next connection that knocks; `None` once the endpoint is closed. Waits while too many
    /// handshakes are going on. Call it again before the handshake is done: [`Incoming::accept`]
    /// belongs into a task of its own.
    pub async fn accept(&self) -> Option<Incoming> {
        loop {
            // The semaphore is never closed.
            let handshake = self.shared.handshakes.clone().acquire_owned().await.ok()?;
            let incoming = self.quic.accept().await?;
            let going_on = HANDSHAKES_MAX - self.shared.handshakes.available_permits();
            if going_on > RETRY_ABOVE && !incoming.remote_address_validated() {
                // Always possible for an address that was not validated.
                let _ = incoming.retry();
                continue;
            }
            match self.shared.connections.clone().try_acquire_owned() {
                Ok(connection) => {
                    return Some(Incoming { incoming, handshake, connection });
                }
                Err(_) => incoming.refuse(),
            }
        }
    }

    /// Closes all connections with a code and a reason and accepts no more.
    pub fn close(&self, code: u32, reason: &str) {
        self.quic.close(VarInt::from_u32(code), reason.as_bytes());
    }

    /// Waits until all connections have ended and their last words are sent.
    pub async fn wait_idle(&self) {
        self.quic.wait_idle().await;
    }

    /// Takes a new socket after the network has changed, so that connections migrate instead of
    /// waiting for their timeouts. An endpoint that accepts keeps its socket: its address is what
    /// others know.
    ///
    /// # Errors
    /// If no socket can be opened; the old one then stays.
    pub fn rebind(&self) -> Result<(), BindError> {
        if self.shared.accepts {
            return Ok(());
        }
        let v6 = self.quic.local_addr().is_ok_and(|a| a.is_ipv6());
        let addr = if v6 {
            SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0))
        } else {
            SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0))
        };
        socket::bind(addr, Use::Dial)
            .and_then(|socket| self.quic.rebind(socket))
            .map_err(|source| BindError::Socket { addr, source })
    }

    fn client_config(&self, expected: &[DeviceId]) -> Result<quinn::ClientConfig, String> {
        let mut set = expected.to_vec();
        set.sort_unstable();
        set.dedup();
        let mut clients = self.shared.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(config) = clients.get(&set) {
            return Ok(config.clone());
        }
        let tls = tls::client(&self.shared.key, &set).map_err(|e| e.to_string())?;
        let crypto = QuicClientConfig::try_from(tls).map_err(|e| e.to_string())?;
        let mut config = quinn::ClientConfig::new(Arc::new(crypto));
        config.transport_config(transport::config(Side::Dialler, self.shared.options.thin));
        if clients.len() >= CLIENT_CONFIGS_MAX {
            // Forgetting costs one full handshake each.
            clients.clear();
        }
        clients.insert(set, config.clone());
        Ok(config)
    }
}

/// A connection that knocks, before any work was done for it. Dropping it refuses it.
#[derive(Debug)]
pub struct Incoming {
    incoming: quinn::Incoming,
    handshake: OwnedSemaphorePermit,
    connection: OwnedSemaphorePermit,
}

impl Incoming {
    /// Where it comes from.
    #[must_use]
    pub fn remote(&self) -> SocketAddr {
        canonical(self.incoming.remote_address())
    }

    /// Does the handshake. The connection's [`peer`](Connection::peer) is then proven; what that
    /// device may do is the caller's to check, also when its session was resumed.
    ///
    /// # Errors
    /// If the handshake fails or takes longer than 30 s.
    pub async fn accept(self) -> Result<Connection, AcceptError> {
        let remote = self.remote();
        let failed = |e: ConnectionError| AcceptError::Handshake { remote, why: e.to_string() };
        let connecting = self.incoming.accept().map_err(failed)?;
        let quic = tokio::time::timeout(HANDSHAKE_TIMEOUT, connecting)
            .await
            .map_err(|_| AcceptError::TimedOut { remote, within: HANDSHAKE_TIMEOUT })?
            .map_err(failed)?;
        drop(self.handshake);
        Connection::new(quic, false, Some(self.connection))
            .ok_or_else(|| AcceptError::Handshake { remote, why: "the peer showed no ed25519 key".into() })
    }
}

/// How one address of a name failed.
enum Failure {
    Silent(String),
    Answered(DialError),
}

async fn dial_one(
    quic: quinn::Endpoint,
    config: quinn::ClientConfig,
    addr: SocketAddr,
    expected: Vec<DeviceId>,
) -> Result<Connection, Failure> {
    let connecting = quic.connect_with(config, addr, tls::SERVER_NAME).map_err(|e| Failure::Silent(e.to_string()))?;
    let wrong = |found| {
        let expected = expected.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        Failure::Answered(DialError::WrongKey { addr, expected, found })
    };
    let handshake = |why: String| Failure::Answered(DialError::Handshake { addr, why });
    let connection = match connecting.await {
        Ok(quic) => {
            Connection::new(quic, true, None).ok_or_else(|| handshake("the server showed no ed25519 key".into()))?
        }
        Err(ConnectionError::TransportError(e)) => {
            return Err(tls::wrong_key(&e.reason).map_or_else(|| handshake(e.to_string()), wrong));
        }
        Err(ConnectionError::ConnectionClosed(e)) if e.error_code == quinn::TransportErrorCode::CONNECTION_REFUSED => {
            let reason = "it takes no more connections now; try again later".to_owned();
            return Err(Failure::Answered(DialError::Refused { addr, code: e.error_code.into(), reason }));
        }
        Err(ConnectionError::ApplicationClosed(e)) => {
            let reason = String::from_utf8_lossy(&e.reason).into_owned();
            return Err(Failure::Answered(DialError::Refused { addr, code: e.error_code.into_inner(), reason }));
        }
        Err(e @ (ConnectionError::TimedOut | ConnectionError::Reset | ConnectionError::LocallyClosed)) => {
            return Err(Failure::Silent(e.to_string()));
        }
        Err(
            e @ (ConnectionError::VersionMismatch
            | ConnectionError::ConnectionClosed(_)
            | ConnectionError::CidsExhausted),
        ) => return Err(handshake(e.to_string())),
    };
    // The verifier does not run on resumption.
    let found = connection.peer();
    if expected.contains(&found) {
        Ok(connection)
    } else {
        connection.control.close(code::DROPPED, "another device was expected");
        Err(wrong(found))
    }
}

/// Of the failures of several addresses the one that says most is reported.
fn telling(e: &DialError) -> u8 {
    match e {
        DialError::WrongKey { .. } => 4,
        DialError::Refused { .. } => 3,
        DialError::Handshake { .. } => 2,
        DialError::Unreachable { .. } => 1,
        DialError::Dns { .. } => 0,
    }
}

fn runtime() -> Result<Arc<dyn quinn::Runtime>, BindError> {
    quinn::default_runtime().ok_or(BindError::NoRuntime)
}

/// Keys of resets that are the same after a restart: a relay that comes back
/// tells its children at once that it forgot them, instead of leaving them to their timeouts.
fn restartable(key: &SigningKey) -> EndpointConfig {
    let key = blake3::derive_key("sampan/quic-reset/1", key.as_bytes());
    let mut config = EndpointConfig::new(Arc::new(ResetKey(key)));
    config.cid_generator(|| Box::new(connection_ids()));
    config
}

/// Eight random bytes each. quinn's default has three, and does not look whether the id that it names in a Retry is some
/// link's already: at a hub with 17,000 links of five ids each one in 200 is, and that handshake hangs until it is given up.
fn connection_ids() -> RandomConnectionIdGenerator {
    RandomConnectionIdGenerator::new(CONNECTION_ID_BYTES)
}

/// BLAKE3 keyed, as quinn wants its HMAC.
struct ResetKey([u8; 32]);

impl HmacKey for ResetKey {
    fn sign(&self, data: &[u8], signature_out: &mut [u8]) {
        signature_out.copy_from_slice(blake3::keyed_hash(&self.0, data).as_bytes());
    }

    fn signature_len(&self) -> usize {
        blake3::OUT_LEN
    }

    fn verify(&self, data: &[u8], signature: &[u8]) -> Result<(), CryptoError> {
        let signature = <[u8; 32]>::try_from(signature).map_err(|_| CryptoError)?;
        // blake3::Hash compares in constant time.
        if blake3::keyed_hash(&self.0, data) == blake3::Hash::from_bytes(signature) { Ok(()) } else { Err(CryptoError) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quinn_proto::ConnectionIdGenerator as _;
    use std::collections::HashSet;

    #[test]
    fn no_two_links_of_a_city_get_one_connection_id() {
        // Of quinn's own some 200 would come twice.
        let (mut ids, links) = (connection_ids(), 17_000 * 5);
        let all: HashSet<_> = (0..links).map(|_| ids.generate_cid()).collect();
        assert_eq!(all.len(), links);
    }

    #[tokio::test]
    async fn under_load_strangers_prove_their_address_first() {
        let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let relay = Endpoint::server(loopback, &SigningKey::from_bytes(&[2; 32]), Options::default()).unwrap();
        let branch = Endpoint::client(&SigningKey::from_bytes(&[1; 32]), Options::default()).unwrap();
        let _load = relay.shared.handshakes.clone().acquire_many_owned(RETRY_ABOVE as u32).await.unwrap();
        let accepting = tokio::spawn({
            let relay = relay.clone();
            async move {
                let knock = relay.accept().await.unwrap();
                (knock.incoming.remote_address_validated(), knock.accept().await.unwrap())
            }
        });
        let addr = relay.local_addr().unwrap().to_string();
        let dialled = branch.connect(&addr, &[relay.device()], HANDSHAKE_TIMEOUT).await.unwrap();
        let (validated, accepted) = accepting.await.unwrap();
        assert!(validated, "the first packet should have been answered with a Retry");
        assert_eq!((dialled.peer(), accepted.peer()), (relay.device(), branch.device()));
    }
}
