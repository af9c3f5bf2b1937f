//! The keys that a bundle is encrypted to, and the wrapping of its content key.
//!
//! It does not: read key files or say who receives a bundle (`plan`).
//!
//! Invariants: a secret is wiped when dropped and never printed; a shared secret that is all zero (a public
//! key of low order) is refused on both sides; a wrapping key serves one bundle and one receiver.

use crate::hash::tagged;
use crate::id::DeviceId;
use chacha20poly1305::aead::AeadInOut;
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use ed25519_dalek::{SigningKey, VerifyingKey};
use std::fmt;
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

/// Bytes that authenticate a chunk or a wrapped key.
pub(super) const TAG_BYTES: usize = 16;

/// An X25519 public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct BoxKey(pub [u8; 32]);

impl BoxKey {
    /// The same point as an ed25519 public key, on the other form of its curve: for a device whose own box key
    /// is not known here (the founder's, or a relay's that only a ticket names), and for a ticket that no
    /// device has used yet. `None` for bytes that are no point.
    #[must_use]
    pub fn of_signer(key: &DeviceId) -> Option<Self> {
        VerifyingKey::from_bytes(&key.0).ok().map(|k| Self(k.to_montgomery().to_bytes()))
    }
}

/// An X25519 secret key.
#[derive(Clone)]
pub struct BoxSecret(StaticSecret);

impl BoxSecret {
    /// From its 32 bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(StaticSecret::from(bytes))
    }

    /// The secret of [`BoxKey::of_signer`].
    #[must_use]
    pub fn of_signer(key: &SigningKey) -> Self {
        Self::from_bytes(key.to_scalar_bytes())
    }

    /// The bytes, to be kept in secret.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes())
    }

    /// The public key.
    #[must_use]
    pub fn public(&self) -> BoxKey {
        BoxKey(PublicKey::from(&self.0).to_bytes())
    }

    /// The key that wraps a bundle's content key for one receiver; `None` when the other key is of low order.
    fn wrapping(&self, other: &BoxKey, ephemeral: &BoxKey, receiver: &BoxKey) -> Option<Zeroizing<[u8; 32]>> {
        let shared = self.0.diffie_hellman(&PublicKey::from(other.0));
        let key = || Zeroizing::new(tagged("bundle-wrap", &[&ephemeral.0, &receiver.0, shared.as_bytes()]));
        shared.was_contributory().then(key)
    }
}

impl fmt::Debug for BoxSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BoxSecret(…)")
    }
}

/// One receiver's way to the content key.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct Slot {
    /// Tells a receiver which slot is its own, and nobody else anything: see [`hint`].
    #[cbor(n(0), with = "minicbor::bytes")]
    pub hint: [u8; 8],
    /// The content key, encrypted.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub wrapped: [u8; 48],
}

/// The first 8 bytes of the tagged hash `bundle-receiver` over the ephemeral and the receiver's key.
#[must_use]
pub fn hint(ephemeral: &BoxKey, receiver: &BoxKey) -> [u8; 8] {
    let mut out = [0; 8];
    out.copy_from_slice(&tagged("bundle-receiver", &[&ephemeral.0, &receiver.0])[..8]);
    out
}

/// Encrypts the content key to one receiver; `None` for a key of low order.
pub(super) fn wrap(ephemeral: &BoxSecret, receiver: &BoxKey, content: &[u8; 32]) -> Option<Slot> {
    let public = ephemeral.public();
    let key = ephemeral.wrapping(receiver, &public, receiver)?;
    let mut wrapped = [0; 48];
    wrapped[..32].copy_from_slice(content);
    // The key is used once: a nonce of zeros repeats nothing.
    let (body, rest) = wrapped.split_at_mut(32);
    let tag =
        XChaCha20Poly1305::new((&*key).into()).encrypt_inout_detached(&XNonce::default(), b"", body.into()).ok()?;
    rest.copy_from_slice(&tag);
    Some(Slot { hint: hint(&public, receiver), wrapped })
}

/// The content key of a slot, for the one who has its secret.
pub(super) fn unwrap(secret: &BoxSecret, ephemeral: &BoxKey, slot: &Slot) -> Option<Zeroizing<[u8; 32]>> {
    let public = secret.public();
    if hint(ephemeral, &public) != slot.hint {
        return None;
    }
    let key = secret.wrapping(ephemeral, ephemeral, &public)?;
    let mut content = Zeroizing::new([0; 32]);
    content.copy_from_slice(&slot.wrapped[..32]);
    let tag = slot.wrapped[32..].try_into().ok()?;
    let cipher = XChaCha20Poly1305::new((&*key).into());
    cipher.decrypt_inout_detached(&XNonce::default(), b"", content.as_mut_slice().into(), tag).ok()?;
    Some(content)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::device_id;
    use crate::testing::test_key;

    #[test]
    fn a_signing_key_and_its_public_half_give_one_box_key() {
        let key = test_key(7);
        assert_eq!(BoxKey::of_signer(&device_id(&key)), Some(BoxSecret::of_signer(&key).public()));
        assert_eq!(format!("{:?}", BoxSecret::of_signer(&key)), "BoxSecret(…)");
    }

    #[test]
    fn only_the_receiver_opens_a_slot() {
        let (ephemeral, to, other) =
            (BoxSecret::from_bytes([1; 32]), BoxSecret::from_bytes([2; 32]), BoxSecret::from_bytes([3; 32]));
        let slot = wrap(&ephemeral, &to.public(), &[9; 32]).unwrap();
        assert_eq!(unwrap(&to, &ephemeral.public(), &slot).as_deref(), Some(&[9; 32]));
        assert!(unwrap(&other, &ephemeral.public(), &slot).is_none());
        for at in 0..48 {
            let mut bent = slot.clone();
            bent.wrapped[at] ^= 1;
            assert!(unwrap(&to, &ephemeral.public(), &bent).is_none(), "byte {at}");
        }
    }

    #[test]
    fn keys_of_low_order_give_no_secret() {
        let low = BoxKey([0; 32]);
        let secret = BoxSecret::from_bytes([2; 32]);
        assert!(wrap(&secret, &low, &[9; 32]).is_none());
        let slot = Slot { hint: hint(&low, &secret.public()), wrapped: [0; 48] };
        assert!(unwrap(&secret, &low, &slot).is_none());
    }
}
