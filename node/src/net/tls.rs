//! TLS 1.3 with raw public keys (RFC 7250): the ed25519 key of the device is its identity.
//!
//! It does not: ask what a device may do, read the wall clock, read or write certificates, or
//! keep a session on disk. Early data (0-RTT) is off on both sides.
//!
//! Invariants: both ends prove a key in every full handshake, and signatures are checked strictly.
//! Verifiers do *not* run when a session is resumed; the device then comes from the session's
//! stored certificates, so whoever accepts a connection checks the device's rights every time.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{AlwaysResolvesClientRawPublicKeys, Resumption};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{AlwaysResolvesServerRawPublicKeys, ServerSessionMemoryCache};
use rustls::sign::CertifiedKey;
use rustls::time_provider::TimeProvider;
use rustls::{
    DigitallySignedStruct, DistinguishedName, Error, PeerIncompatible, PeerMisbehaved, SignatureAlgorithm,
    SignatureScheme,
};
use sampan_core::id::DeviceId;

/// The protocol's name in the handshake.
const ALPN: &[u8] = b"sampan/1";

/// The name that quinn wants for every server. It is not sent, and keys nothing: each set of
/// expected devices has a configuration, and so a session store, of its own.
pub(super) const SERVER_NAME: &str = "sampan";

/// Sessions that an accepting end remembers, about 0.4 kB each: more than the branches of a city.
const SERVER_SESSIONS_MAX: usize = 32_768;

/// Servers whose sessions one configuration remembers: the addresses of one relay.
const CLIENT_SESSIONS_MAX: usize = 8;

/// Tickets sent after a handshake. Each is good for one resumption, which brings the next.
const TICKETS: usize = 1;

/// `SubjectPublicKeyInfo` of an ed25519 key (RFC 8410) up to the key itself.
const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// What our verifier says before the key that it did not expect; [`wrong_key`] finds it again.
const WRONG_KEY: &str = "the server holds the key of device ";

/// The device that holds a key.
#[must_use]
pub fn device_of(key: &SigningKey) -> DeviceId {
    DeviceId(key.verifying_key().to_bytes())
}

/// The DER form of a device's key.
fn spki_of(device: &DeviceId) -> Vec<u8> {
    [&SPKI_PREFIX[..], &device.0].concat()
}

/// The device in a DER key; `None` if it is no ed25519 key.
pub(super) fn device_of_spki(der: &[u8]) -> Option<DeviceId> {
    der.strip_prefix(&SPKI_PREFIX).and_then(DeviceId::from_slice)
}

/// The unexpected device that a failed handshake speaks of, if that is why it failed.
pub(super) fn wrong_key(why: &str) -> Option<DeviceId> {
    let (_, rest) = why.split_once(WRONG_KEY)?;
    rest.get(..DeviceId::LEN * 2)?.parse().ok()
}

/// The accepting side; the counter grows by one with every full handshake (not on resumption).
pub(super) fn server(key: &SigningKey, full_handshakes: Arc<AtomicU64>) -> Result<rustls::ServerConfig, Error> {
    let resolver = AlwaysResolvesServerRawPublicKeys::new(certified(key));
    let mut config = rustls::ServerConfig::builder_with_details(provider(), Arc::new(Monotonic::start()))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(Arc::new(AnyDevice { full_handshakes }))
        .with_cert_resolver(Arc::new(resolver));
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.session_storage = ServerSessionMemoryCache::new(SERVER_SESSIONS_MAX);
    config.send_tls13_tickets = TICKETS;
    Ok(config)
}

/// The dialling side, for servers that hold one of the `expected` keys.
pub(super) fn client(key: &SigningKey, expected: &[DeviceId]) -> Result<rustls::ClientConfig, Error> {
    let verifier = OneOf { expected: expected.to_vec() };
    let resolver = AlwaysResolvesClientRawPublicKeys::new(certified(key));
    let mut config = rustls::ClientConfig::builder_with_details(provider(), Arc::new(Monotonic::start()))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_client_cert_resolver(Arc::new(resolver));
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.enable_sni = false;
    config.resumption = Resumption::in_memory_sessions(CLIENT_SESSIONS_MAX);
    Ok(config)
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn certified(key: &SigningKey) -> Arc<CertifiedKey> {
    let device = device_of(key);
    let cert = CertificateDer::from(spki_of(&device));
    Arc::new(CertifiedKey::new(vec![cert], Arc::new(DeviceKey { key: Arc::new(key.clone()), device })))
}

/// Time since the process began. Sessions and tokens live in memory only, so their ages need no
/// other, and a PC whose clock says 1970, or jumps, connects and resumes all the same.
#[derive(Debug)]
pub(super) struct Monotonic {
    start: Instant,
}

impl Monotonic {
    pub(super) fn start() -> Self {
        Self { start: Instant::now() }
    }

    /// Tokens are compared with times before them; the epoch itself has none.
    fn since_epoch(&self) -> Duration {
        Duration::from_secs(1 << 30) + self.start.elapsed()
    }
}

impl TimeProvider for Monotonic {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(self.since_epoch()))
    }
}

impl quinn::TimeSource for Monotonic {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + self.since_epoch()
    }
}

/// The device key as rustls wants it.
#[derive(Clone)]
struct DeviceKey {
    key: Arc<SigningKey>,
    device: DeviceId,
}

impl fmt::Debug for DeviceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeviceKey").field("device", &self.device).finish_non_exhaustive()
    }
}

impl rustls::sign::SigningKey for DeviceKey {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn rustls::sign::Signer>> {
        offered.contains(&SignatureScheme::ED25519).then(|| Box::new(self.clone()) as Box<dyn rustls::sign::Signer>)
    }

    fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        Some(SubjectPublicKeyInfoDer::from(spki_of(&self.device)))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::ED25519
    }
}

impl rustls::sign::Signer for DeviceKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        Ok(self.key.sign(message).to_bytes().to_vec())
    }

    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::ED25519
    }
}

fn device_of_cert(cert: &CertificateDer<'_>) -> Result<DeviceId, Error> {
    device_of_spki(cert).ok_or_else(|| Error::General("the peer's key is no ed25519 key".into()))
}

fn check_signature(
    message: &[u8],
    cert: &CertificateDer<'_>,
    signed: &DigitallySignedStruct,
) -> Result<HandshakeSignatureValid, Error> {
    if signed.scheme != SignatureScheme::ED25519 {
        return Err(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme.into());
    }
    let bad = || Error::from(rustls::CertificateError::BadSignature);
    let key = VerifyingKey::from_bytes(&device_of_cert(cert)?.0).map_err(|_| bad())?;
    let signature = Signature::from_slice(signed.signature()).map_err(|_| bad())?;
    key.verify_strict(message, &signature).map_err(|_| bad())?;
    Ok(HandshakeSignatureValid::assertion())
}

/// TLS 1.2 is not offered, so this answer is never used.
fn no_tls12() -> Result<HandshakeSignatureValid, Error> {
    Err(PeerIncompatible::Tls13RequiredForQuic.into())
}

/// The dialler's check: the server is one of the devices expected.
#[derive(Debug)]
struct OneOf {
    expected: Vec<DeviceId>,
}

impl ServerCertVerifier for OneOf {
    fn verify_server_cert(
        &self,
        cert: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let device = device_of_cert(cert)?;
        if self.expected.contains(&device) {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(Error::General(format!("{WRONG_KEY}{device}")))
        }
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        no_tls12()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        check_signature(message, cert, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

/// The acceptor's check: any device, as long as it proves its key.
#[derive(Debug)]
struct AnyDevice {
    full_handshakes: Arc<AtomicU64>,
}

impl ClientCertVerifier for AnyDevice {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        cert: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        device_of_cert(cert)?;
        self.full_handshakes.fetch_add(1, Ordering::Relaxed);
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        no_tls12()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        check_signature(message, cert, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_survive_their_der_form_and_others_are_refused() {
        let device = device_of(&SigningKey::from_bytes(&[7; 32]));
        let der = spki_of(&device);
        assert_eq!(der.len(), 44);
        assert_eq!(device_of_spki(&der), Some(device));
        assert_eq!(device_of_spki(&der[..43]), None);
        let mut x25519 = der;
        x25519[8] = 0x6e;
        assert_eq!(device_of_spki(&x25519), None);
    }

    #[test]
    fn an_unexpected_key_can_be_read_back_from_the_words() {
        let device = DeviceId([9; 32]);
        let words = Error::General(format!("{WRONG_KEY}{device}")).to_string();
        assert_eq!(wrong_key(&words), Some(device));
        assert_eq!(wrong_key("something else"), None);
    }

    #[test]
    fn the_secret_is_not_printed() {
        let key = SigningKey::from_bytes(&[7; 32]);
        let device = device_of(&key);
        let shown = format!("{:?}", DeviceKey { key: Arc::new(key), device });
        assert!(shown.contains(&format!("{device:?}")), "{shown}");
        assert!(!shown.contains("7, 7, 7") && !shown.contains("0707"), "{shown}");
    }
}
