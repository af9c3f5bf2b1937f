//! A way back into a folder whose passphrase was forgotten: what is kept for the level above, what is asked of
//! it, and its answer.
//!
//! It does not: open files, judge who asks (the one who answers does), or say what the key opens.
//!
//! Three texts, each a line that names it and its body in base64:
//! - the *deposit* lies in the folder: its key, encrypted to the devices of the level above, signed by the
//!   device whose folder it is;
//! - the *request* carries the deposit and a key made for this one time; its [`code`](Request::code) is read
//!   out by telephone, so that no other request can be put in its place on the way;
//! - the *answer* carries the folder's key, encrypted to that one-time key.
//!
//! Invariants: the folder's key is in none of them in clear; an answer opens with the secret of the one request
//! that it answers and with nothing else; a text that is not whole, of another kind or another form is told.

use super::keys::{self, BoxKey, BoxSecret, Slot};
use crate::entropy::{Entropy, random};
use crate::hash::tagged;
use crate::id::{DeviceId, OrgId};
use crate::limits::{BUNDLE_RECEIVERS_MAX, RECOVERY_BYTES_MAX};
use crate::log::{device_id, sign, signature_holds};
use crate::time::Millis;
use crate::wire;
use chacha20poly1305::aead::AeadInOut;
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use data_encoding::{BASE32_NOPAD, BASE64};
use ed25519_dalek::SigningKey;
use minicbor::bytes::ByteVec;
use zeroize::Zeroizing;

/// Bytes of the sum that tells a slip or a cut from another text.
const SUM_BYTES: usize = 8;
/// Characters in a line of the body.
const LINE_CHARS: usize = 64;
/// Characters of the code that is read out: 60 bits, which nobody hits by making requests.
const CODE_CHARS: usize = 12;
/// Characters of it that are read in one breath.
const CODE_GROUP: usize = 4;

/// Which of the three a text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Deposit,
    Request,
    Answer,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Deposit => "deposit",
            Self::Request => "request",
            Self::Answer => "answer",
        }
    }

    fn header(self) -> String {
        format!("sampan recovery {}, version ", self.word())
    }
}

/// Why a text cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecoveryError {
    /// It begins otherwise.
    #[error("this is no recovery {0}")]
    Not(&'static str),
    /// A version that this program does not read.
    #[error("this recovery {0} is of a newer Sampan")]
    Newer(&'static str),
    /// A character is wrong, or some are missing.
    #[error("this recovery {0} is incomplete or was altered")]
    Damaged(&'static str),
    /// The signature is not that of the device that it names.
    #[error("this recovery deposit is not signed by the device that it names")]
    Signature,
    /// Encrypted to others.
    #[error("this recovery file is sealed to other devices")]
    NotForUs,
    /// It answers another request, or one that was answered before.
    #[error("this answers another request")]
    OtherRequest,
    /// Nobody to encrypt to, or a key that gives no secret.
    #[error("a receiver's key cannot be used")]
    Receiver,
}

/// What stands openly in a deposit.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct DepositHead {
    /// The organisation.
    #[n(0)]
    pub org: OrgId,
    /// The device whose folder it is.
    #[n(1)]
    pub device: DeviceId,
    /// When it was made, by the device's clock.
    #[n(2)]
    pub made: Millis,
    /// The devices that can open it, in the order of the slots.
    #[n(3)]
    pub receivers: Vec<DeviceId>,
    /// The X25519 key of this deposit alone.
    #[cbor(n(4), with = "minicbor::bytes")]
    ephemeral: [u8; 32],
    /// The content key, once for each receiver.
    #[n(5)]
    slots: Vec<Slot>,
}

/// The key of a folder, encrypted to the level above.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct Deposit {
    /// The head as it was signed.
    #[n(0)]
    head: ByteVec,
    /// The folder's key under the content key.
    #[cbor(n(1), with = "minicbor::bytes")]
    sealed: [u8; 48],
    /// By the device, over the head and the sealed key.
    #[cbor(n(2), with = "minicbor::bytes")]
    signature: [u8; 64],
}

impl Deposit {
    /// Encrypts a folder's key to these receivers; the device signs it.
    ///
    /// # Errors
    /// [`RecoveryError::Receiver`].
    pub fn make(
        key: &SigningKey,
        org: OrgId,
        made: Millis,
        receivers: &[(DeviceId, BoxKey)],
        folder_key: &[u8; 32],
        rng: &mut dyn Entropy,
    ) -> Result<Self, RecoveryError> {
        if receivers.is_empty() || receivers.len() > BUNDLE_RECEIVERS_MAX {
            return Err(RecoveryError::Receiver);
        }
        let ephemeral = BoxSecret::from_bytes(random(rng));
        let content = Zeroizing::new(random::<32>(rng));
        let wrapped = receivers.iter().map(|(_, to)| keys::wrap(&ephemeral, to, &content));
        let head = DepositHead {
            org,
            device: device_id(key),
            made,
            receivers: receivers.iter().map(|(device, _)| *device).collect(),
            ephemeral: ephemeral.public().0,
            slots: wrapped.collect::<Option<_>>().ok_or(RecoveryError::Receiver)?,
        };
        let head = wire::encode(&head);
        let sealed = seal("recovery-deposit", &content, &head, folder_key).ok_or(RecoveryError::Receiver)?;
        let signature = sign("recovery", key, &[head.as_slice(), &sealed].concat());
        Ok(Self { head: head.into(), sealed, signature })
    }

    /// What stands openly in it, its signature checked.
    ///
    /// # Errors
    /// [`RecoveryError::Damaged`], [`RecoveryError::Signature`].
    pub fn head(&self) -> Result<DepositHead, RecoveryError> {
        let damaged = RecoveryError::Damaged(Kind::Deposit.word());
        let head: DepositHead = wire::decode("recovery deposit", &self.head).map_err(|_| damaged.clone())?;
        if head.receivers.len() != head.slots.len() || head.slots.len() > BUNDLE_RECEIVERS_MAX {
            return Err(damaged);
        }
        let signed = [self.head.as_slice(), &self.sealed].concat();
        if signature_holds("recovery", &head.device, &signed, &self.signature) {
            Ok(head)
        } else {
            Err(RecoveryError::Signature)
        }
    }

    /// The folder's key, for one who has one of these secrets.
    ///
    /// # Errors
    /// [`RecoveryError`].
    pub fn open(&self, secrets: &[BoxSecret]) -> Result<Zeroizing<[u8; 32]>, RecoveryError> {
        let head = self.head()?;
        let ephemeral = BoxKey(head.ephemeral);
        let mut tries = secrets.iter().flat_map(|s| head.slots.iter().map(move |slot| (s, slot)));
        let content = tries.find_map(|(s, slot)| keys::unwrap(s, &ephemeral, slot)).ok_or(RecoveryError::NotForUs)?;
        unseal("recovery-deposit", &content, &self.head, &self.sealed).ok_or(RecoveryError::NotForUs)
    }

    /// Its text.
    #[must_use]
    pub fn text(&self) -> String {
        text_of(Kind::Deposit, &wire::encode(self))
    }

    /// The inverse of [`Deposit::text`].
    ///
    /// # Errors
    /// [`RecoveryError`].
    pub fn read(text: &[u8]) -> Result<Self, RecoveryError> {
        read(Kind::Deposit, text)
    }
}

/// What a locked folder asks of the level above.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct Request {
    /// What lies in the folder.
    #[n(0)]
    pub deposit: Deposit,
    /// The public half of the key made for this one time.
    #[cbor(n(1), with = "minicbor::bytes")]
    once: [u8; 32],
    /// When it was asked, by the folder's clock.
    #[n(2)]
    pub asked: Millis,
}

impl Request {
    /// Asks with a secret that is kept for the answer.
    #[must_use]
    pub fn new(deposit: Deposit, once: &BoxSecret, asked: Millis) -> Self {
        Self { deposit, once: once.public().0, asked }
    }

    fn id(&self) -> [u8; 32] {
        tagged("recovery-request", &[&wire::encode(self)])
    }

    /// What is read out by telephone: another request has another code.
    #[must_use]
    pub fn code(&self) -> String {
        let digits = BASE32_NOPAD.encode(&self.id());
        let groups: Vec<&str> =
            (0..CODE_CHARS).step_by(CODE_GROUP).filter_map(|at| digits.get(at..at + CODE_GROUP)).collect();
        groups.join("-")
    }

    /// Whether this is its code, as somebody typed it: in either case, with or without the groups, with 0, 1 and
    /// 8 for the letters that look like them.
    #[must_use]
    pub fn has_code(&self, typed: &str) -> bool {
        let plain = typed.chars().filter(|c| !c.is_whitespace() && *c != '-').map(|c| match c {
            '0' => 'O',
            '1' => 'L',
            '8' => 'B',
            other => other.to_ascii_uppercase(),
        });
        plain.collect::<String>() == self.code().replace('-', "")
    }

    /// The answer, for one who has opened the deposit.
    ///
    /// # Errors
    /// [`RecoveryError::Receiver`] where the one-time key gives no secret.
    pub fn answer(&self, folder_key: &[u8; 32], rng: &mut dyn Entropy) -> Result<Answer, RecoveryError> {
        let ephemeral = BoxSecret::from_bytes(random(rng));
        let content = Zeroizing::new(random::<32>(rng));
        let slot = keys::wrap(&ephemeral, &BoxKey(self.once), &content).ok_or(RecoveryError::Receiver)?;
        let sealed = seal("recovery-answer", &content, &self.id(), folder_key).ok_or(RecoveryError::Receiver)?;
        Ok(Answer { request: self.id(), ephemeral: ephemeral.public().0, slot, sealed })
    }

    /// Its text.
    #[must_use]
    pub fn text(&self) -> String {
        text_of(Kind::Request, &wire::encode(self))
    }

    /// The inverse of [`Request::text`].
    ///
    /// # Errors
    /// [`RecoveryError`].
    pub fn read(text: &[u8]) -> Result<Self, RecoveryError> {
        read(Kind::Request, text)
    }
}

/// What the level above gives back.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct Answer {
    /// The request that it answers.
    #[cbor(n(0), with = "minicbor::bytes")]
    request: [u8; 32],
    /// The X25519 key of this answer alone.
    #[cbor(n(1), with = "minicbor::bytes")]
    ephemeral: [u8; 32],
    /// The content key, for the one-time key.
    #[n(2)]
    slot: Slot,
    /// The folder's key under the content key.
    #[cbor(n(3), with = "minicbor::bytes")]
    sealed: [u8; 48],
}

impl Answer {
    /// The folder's key, for the one who asked.
    ///
    /// # Errors
    /// [`RecoveryError::OtherRequest`].
    pub fn open(&self, request: &Request, once: &BoxSecret) -> Result<Zeroizing<[u8; 32]>, RecoveryError> {
        let id = request.id();
        if self.request != id {
            return Err(RecoveryError::OtherRequest);
        }
        let content =
            keys::unwrap(once, &BoxKey(self.ephemeral), &self.slot).ok_or(RecoveryError::Damaged("answer"))?;
        unseal("recovery-answer", &content, &id, &self.sealed).ok_or(RecoveryError::Damaged("answer"))
    }

    /// Its text.
    #[must_use]
    pub fn text(&self) -> String {
        text_of(Kind::Answer, &wire::encode(self))
    }

    /// The inverse of [`Answer::text`].
    ///
    /// # Errors
    /// [`RecoveryError`].
    pub fn read(text: &[u8]) -> Result<Self, RecoveryError> {
        read(Kind::Answer, text)
    }
}

/// The cipher of a content key for one purpose and one text beside it: its key is used once, so a nonce of zeros
/// repeats nothing.
fn cipher(purpose: &str, content: &[u8; 32], about: &[u8]) -> XChaCha20Poly1305 {
    let key = Zeroizing::new(tagged(purpose, &[content, &tagged("recovery-about", &[about])]));
    XChaCha20Poly1305::new((&*key).into())
}

fn seal(purpose: &str, content: &[u8; 32], about: &[u8], secret: &[u8; 32]) -> Option<[u8; 48]> {
    let mut out = [0; 48];
    let (body, rest) = out.split_at_mut(32);
    body.copy_from_slice(secret);
    let tag =
        cipher(purpose, content, about).encrypt_inout_detached(&XNonce::default(), b"", (&mut *body).into()).ok()?;
    rest.copy_from_slice(&tag);
    Some(out)
}

fn unseal(purpose: &str, content: &[u8; 32], about: &[u8], sealed: &[u8; 48]) -> Option<Zeroizing<[u8; 32]>> {
    let mut out = Zeroizing::new([0; 32]);
    out.copy_from_slice(&sealed[..32]);
    let tag = sealed[32..].try_into().ok()?;
    let cipher = cipher(purpose, content, about);
    cipher.decrypt_inout_detached(&XNonce::default(), b"", out.as_mut_slice().into(), tag).ok()?;
    Some(out)
}

fn sum(kind: Kind, body: &[u8]) -> [u8; SUM_BYTES] {
    let mut out = [0; SUM_BYTES];
    out.copy_from_slice(&tagged("recovery-text", &[kind.word().as_bytes(), body])[..SUM_BYTES]);
    out
}

fn text_of(kind: Kind, body: &[u8]) -> String {
    let digits = BASE64.encode(&[body, &sum(kind, body)].concat());
    let mut out = format!("{}1\n", kind.header());
    for line in digits.as_bytes().chunks(LINE_CHARS) {
        // Base64 is ASCII.
        out.push_str(std::str::from_utf8(line).unwrap_or_default());
        out.push('\n');
    }
    out
}

fn read<T>(kind: Kind, text: &[u8]) -> Result<T, RecoveryError>
where
    T: minicbor::Encode<()> + for<'b> minicbor::Decode<'b, ()>,
{
    let (not, damaged) = (RecoveryError::Not(kind.word()), RecoveryError::Damaged(kind.word()));
    let text = std::str::from_utf8(text).map_err(|_| not.clone())?;
    // A mail program may have put a mark in front and other line ends behind.
    let rest = text.trim_start_matches('\u{feff}').trim_start().strip_prefix(&kind.header()).ok_or(not)?;
    let (version, digits) = rest.split_once('\n').ok_or(damaged.clone())?;
    if version.trim() != "1" {
        let newer = version.trim().parse::<u32>().is_ok_and(|v| v > 1);
        return Err(if newer { RecoveryError::Newer(kind.word()) } else { damaged });
    }
    let digits: String = digits.chars().filter(|c| !c.is_whitespace()).collect();
    if digits.len() > RECOVERY_BYTES_MAX {
        return Err(damaged);
    }
    let bytes = BASE64.decode(digits.as_bytes()).map_err(|_| damaged.clone())?;
    let (body, found) = bytes.split_last_chunk::<SUM_BYTES>().ok_or(damaged.clone())?;
    if sum(kind, body) != *found {
        return Err(damaged);
    }
    wire::decode("recovery", body).map_err(|_| damaged)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{SeededRng, test_key};

    struct World {
        deposit: Deposit,
        upper: BoxSecret,
        rng: SeededRng,
    }

    fn world() -> World {
        let mut rng = SeededRng::new(7);
        let upper = BoxSecret::from_bytes([5; 32]);
        let to = [(DeviceId([8; 32]), BoxSecret::from_bytes([4; 32]).public()), (DeviceId([9; 32]), upper.public())];
        let deposit = Deposit::make(&test_key(1), OrgId([3; 32]), Millis(77), &to, &[42; 32], &mut rng).unwrap();
        World { deposit, upper, rng }
    }

    #[test]
    fn a_key_goes_up_sealed_and_comes_back_sealed() {
        let mut w = world();
        let once = BoxSecret::from_bytes([6; 32]);
        let request = Request::new(Deposit::read(w.deposit.text().as_bytes()).unwrap(), &once, Millis(99));
        let arrived = Request::read(request.text().replace('\n', "\r\n").as_bytes()).unwrap();
        assert_eq!(arrived, request);
        assert!(arrived.has_code(&request.code().to_lowercase().replace('-', " ")));
        assert!(!arrived.has_code("AAAA-AAAA-AAAA"));
        let head = arrived.deposit.head().unwrap();
        assert_eq!((head.device, head.receivers.len()), (device_id(&test_key(1)), 2));
        assert_eq!(arrived.deposit.open(std::slice::from_ref(&once)), Err(RecoveryError::NotForUs));
        let key = arrived.deposit.open(&[once.clone(), w.upper]).unwrap();
        let answer = arrived.answer(&key, &mut w.rng).unwrap();
        let answer = Answer::read(answer.text().as_bytes()).unwrap();
        assert_eq!(*answer.open(&request, &once).unwrap(), [42; 32]);
        for text in [w.deposit.text(), request.text(), answer.text()] {
            let body: String = text.lines().skip(1).collect();
            let bytes = BASE64.decode(body.as_bytes()).unwrap();
            assert!(!bytes.windows(8).any(|w| w == [42; 8]), "not in clear");
        }
    }

    #[test]
    fn another_request_or_another_secret_opens_no_answer() {
        let mut w = world();
        let (once, other) = (BoxSecret::from_bytes([6; 32]), BoxSecret::from_bytes([7; 32]));
        let first = Request::new(w.deposit.clone(), &once, Millis(1));
        let later = Request::new(w.deposit.clone(), &other, Millis(1));
        assert_ne!(first.code(), later.code(), "a request put in its place has another code");
        let answer = first.answer(&[42; 32], &mut w.rng).unwrap();
        assert_eq!(answer.open(&later, &other), Err(RecoveryError::OtherRequest));
        assert_eq!(answer.open(&first, &other), Err(RecoveryError::Damaged("answer")));
    }

    #[test]
    fn cut_altered_swapped_and_newer_texts_are_told() {
        let mut w = world();
        let request = Request::new(w.deposit.clone(), &BoxSecret::from_bytes([6; 32]), Millis(1));
        let answer = request.answer(&[42; 32], &mut w.rng).unwrap();
        let text = answer.text();
        for len in 0..text.trim_end().len() {
            assert!(Answer::read(&text.as_bytes()[..len]).is_err(), "{len}");
        }
        let body = text.find('\n').unwrap() + 1;
        for at in (body..text.trim_end().len()).filter(|at| text.as_bytes()[*at] != b'\n') {
            let mut bent = text.clone().into_bytes();
            bent[at] = if bent[at] == b'A' { b'B' } else { b'A' };
            assert_eq!(Answer::read(&bent), Err(RecoveryError::Damaged("answer")), "{at}");
        }
        assert_eq!(Answer::read(request.text().as_bytes()), Err(RecoveryError::Not("answer")));
        assert_eq!(Answer::read(b"dear"), Err(RecoveryError::Not("answer")));
        let newer = text.replace("version 1", "version 2");
        assert_eq!(Answer::read(newer.as_bytes()), Err(RecoveryError::Newer("answer")));
        let mut forged = w.deposit;
        forged.sealed[0] ^= 1;
        assert_eq!(forged.head(), Err(RecoveryError::Signature));
    }

    /// What version 1 wrote once, and must open for ever.
    const DEPOSIT_1: &str = include_str!("../../../tests/vectors/recovery_deposit.txt");
    const REQUEST_1: &str = include_str!("../../../tests/vectors/recovery_request.txt");
    const ANSWER_1: &str = include_str!("../../../tests/vectors/recovery_answer.txt");

    #[test]
    fn texts_of_version_1_open_for_ever() {
        let mut w = world();
        let once = BoxSecret::from_bytes([6; 32]);
        let request = Request::new(w.deposit.clone(), &once, Millis(99));
        let answer = request.answer(&[42; 32], &mut w.rng).unwrap();
        assert_eq!(w.deposit.text(), DEPOSIT_1);
        assert_eq!(request.text(), REQUEST_1);
        assert_eq!(answer.text(), ANSWER_1);
        let request = Request::read(REQUEST_1.as_bytes()).unwrap();
        assert_eq!(request.code(), "KSWI-X3DZ-HAMT");
        assert_eq!(*Deposit::read(DEPOSIT_1.as_bytes()).unwrap().open(&[w.upper]).unwrap(), [42; 32]);
        assert_eq!(*Answer::read(ANSWER_1.as_bytes()).unwrap().open(&request, &once).unwrap(), [42; 32]);
    }
}
