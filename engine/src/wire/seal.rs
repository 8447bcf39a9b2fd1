//! Results that only their client can open: `<ephemeral public key>:<iv>:<tag>:<ciphertext>`, all hex.
//!
//! AES-256-GCM under the SHA-256 of the x coordinate that ECDH of an ephemeral key and the client's key gives.

use aes_gcm::aead::{AeadInOut, KeyInit};
use aes_gcm::{Aes256Gcm, Nonce, Tag};
use p256::PublicKey;
use p256::ecdh::{EphemeralSecret, SharedSecret, diffie_hellman};
use p256::ecdsa::SigningKey;
use p256::elliptic_curve::Generate;
use p256::elliptic_curve::sec1::ToSec1Point;
use p256::elliptic_curve::zeroize::Zeroizing;
use roundtrip_core::names::ClientId;
use sha2::{Digest, Sha256};

/// Bytes of a plain result, at most: what one seal or open holds in memory is about three times this.
pub const PLAIN_BYTES_MAX: usize = 64 << 20;

/// Bytes of a sealed text, at most: exactly what [`PLAIN_BYTES_MAX`] plain bytes give.
pub const SEALED_BYTES_MAX: usize = sealed_bytes(PLAIN_BYTES_MAX);

const POINT_BYTES: usize = 65;
const IV_BYTES: usize = 12;
const TAG_BYTES: usize = 16;

/// A result that could not be sealed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The client id has the right form but names no key.
    #[error("the client id is no point on the curve secp256r1")]
    Client,
    /// Beyond [`PLAIN_BYTES_MAX`].
    #[error("a result of {0} bytes is larger than the {PLAIN_BYTES_MAX} bytes that can be sealed")]
    TooLarge(usize),
    /// The system gave no random numbers.
    #[error("the system's random number generator failed")]
    Random,
}

/// A sealed text that does not open.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Beyond [`SEALED_BYTES_MAX`].
    #[error("the sealed text of {0} bytes is larger than the {SEALED_BYTES_MAX} bytes that are opened")]
    TooLarge(usize),
    /// Not four parts.
    #[error("the sealed text is not `<public key>:<iv>:<tag>:<ciphertext>`: number of parts {0}")]
    Parts(usize),
    /// A part that is not hex.
    #[error("the {0} is not hex")]
    Hex(&'static str),
    /// A part of the wrong length.
    #[error("the {part} has {actual} bytes, not {expected}")]
    Length {
        /// Which part.
        part: &'static str,
        /// Bytes it must have.
        expected: usize,
        /// Bytes it has.
        actual: usize,
    },
    /// The ephemeral public key is no key.
    #[error("the ephemeral public key is no point on the curve secp256r1")]
    Point,
    /// Right in form, but the tag does not fit.
    #[error("it does not open with this key: it was sealed for another client or altered since")]
    Key,
}

/// Bytes of the sealed text that so many plain bytes give.
pub const fn sealed_bytes(plain_bytes: usize) -> usize {
    2 * (POINT_BYTES + IV_BYTES + TAG_BYTES) + 3 + 2 * plain_bytes
}

/// Seals a result so that only this client can open it. Each call draws a new ephemeral key, so the same
/// result never gives the same text twice.
pub fn seal(client: &ClientId, plain: &[u8]) -> Result<String, SealError> {
    if plain.len() > PLAIN_BYTES_MAX {
        return Err(SealError::TooLarge(plain.len()));
    }
    let point = hex::decode(client.public_key_hex()).map_err(|_| SealError::Client)?;
    let recipient = PublicKey::from_sec1_bytes(&point).map_err(|_| SealError::Client)?;
    let ephemeral = EphemeralSecret::try_generate().map_err(|_| SealError::Random)?;
    let iv = Nonce::try_generate().map_err(|_| SealError::Random)?;

    let mut bytes = plain.to_vec();
    let tag = cipher(&ephemeral.diffie_hellman(&recipient))
        .encrypt_inout_detached(&iv, b"", bytes.as_mut_slice().into())
        .map_err(|_| SealError::TooLarge(plain.len()))?;

    let mut text = String::with_capacity(sealed_bytes(plain.len()));
    push_hex(&mut text, ephemeral.public_key().to_sec1_point(false).as_bytes());
    for part in [iv.as_slice(), tag.as_slice(), bytes.as_slice()] {
        text.push(':');
        push_hex(&mut text, part);
    }
    Ok(text)
}

/// Opens a sealed text with the client's key. Takes at most [`SEALED_BYTES_MAX`] bytes, hex of either case,
/// and nothing around the four parts.
pub(super) fn open(key: &SigningKey, sealed: &str) -> Result<Vec<u8>, OpenError> {
    if sealed.len() > SEALED_BYTES_MAX {
        return Err(OpenError::TooLarge(sealed.len()));
    }
    let mut parts = sealed.split(':');
    let four = (
        parts.next(),
        parts.next(),
        parts.next(),
        parts.next(),
        parts.next(),
    );
    let (Some(point), Some(iv), Some(tag), Some(ciphertext), None) = four else {
        return Err(OpenError::Parts(sealed.split(':').count()));
    };
    let point: [u8; POINT_BYTES] = part("ephemeral public key", point)?;
    let iv: [u8; IV_BYTES] = part("iv", iv)?;
    let tag: [u8; TAG_BYTES] = part("tag", tag)?;
    let mut bytes = hex::decode(ciphertext).map_err(|_| OpenError::Hex("ciphertext"))?;

    let sender = PublicKey::from_sec1_bytes(&point).map_err(|_| OpenError::Point)?;
    let shared = diffie_hellman(key.as_nonzero_scalar(), sender.as_affine());
    cipher(&shared)
        .decrypt_inout_detached(
            &Nonce::from(iv),
            b"",
            bytes.as_mut_slice().into(),
            &Tag::from(tag),
        )
        .map_err(|_| OpenError::Key)?;
    Ok(bytes)
}

fn cipher(shared: &SharedSecret) -> Aes256Gcm {
    let key = Zeroizing::new(<[u8; 32]>::from(Sha256::digest(shared.raw_secret_bytes())));
    Aes256Gcm::new((&*key).into())
}

fn part<const N: usize>(part: &'static str, digits: &str) -> Result<[u8; N], OpenError> {
    if digits.len() != 2 * N && digits.len().is_multiple_of(2) {
        return Err(OpenError::Length {
            part,
            expected: N,
            actual: digits.len() / 2,
        });
    }
    let mut bytes = [0; N];
    hex::decode_to_slice(digits, &mut bytes).map_err(|_| OpenError::Hex(part))?;
    Ok(bytes)
}

/// Appends hex without a second buffer the size of the result.
fn push_hex(text: &mut String, bytes: &[u8]) {
    const DIGITS: [char; 16] = [
        '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f',
    ];
    for byte in bytes {
        text.push(DIGITS[usize::from(byte >> 4)]);
        text.push(DIGITS[usize::from(byte & 15)]);
    }
}

#[cfg(test)]
mod tests;
