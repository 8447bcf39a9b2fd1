//! ECDSA P-256 signatures with SHA-256 over a text: DER in hex, as Node's crypto makes them.

use p256::ecdsa::signature::{Signer, Verifier};
use p256::ecdsa::{DerSignature, SigningKey, VerifyingKey};
use roundtrip_core::names::ClientId;

/// Hex digits of the longest signature: a sequence of two 33-byte integers.
pub const SIGNATURE_DIGITS_MAX: usize = 144;

/// A signature that proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The client id has the right form but names no key.
    #[error("the client id is no point on the curve secp256r1")]
    Client,
    /// Not hex.
    #[error("the signature is not hex")]
    Hex,
    /// Not DER, or not of this curve.
    #[error("the signature is not a DER encoded ECDSA signature")]
    Der,
    /// A signature, but of another text or by another key.
    #[error("the signature was made with another key or over other values")]
    Mismatch,
}

/// Whether the client signed this text. The signature is strict DER in hex; both values of S are taken, since
/// Node does not normalise it.
pub fn verify(client: &ClientId, text: &str, signature_hex: &str) -> Result<(), SignatureError> {
    if signature_hex.len() > SIGNATURE_DIGITS_MAX {
        return Err(SignatureError::Der);
    }
    let der = hex::decode(signature_hex).map_err(|_| SignatureError::Hex)?;
    let signature = DerSignature::from_bytes(&der).map_err(|_| SignatureError::Der)?;
    let point = hex::decode(client.public_key_hex()).map_err(|_| SignatureError::Client)?;
    let key = VerifyingKey::from_sec1_bytes(&point).map_err(|_| SignatureError::Client)?;
    key.verify(text.as_bytes(), &signature)
        .map_err(|_| SignatureError::Mismatch)
}

/// The signature of a text: DER in lower-case hex. The nonce is derived from key and text (RFC 6979), so the
/// same text gives the same signature.
pub(super) fn sign(key: &SigningKey, text: &str) -> String {
    let signature: DerSignature = key.sign(text.as_bytes());
    hex::encode(signature.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::keys::ClientKey;

    /// The order of the curve, to turn S into its mirror image.
    const ORDER: &str = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";

    fn signed() -> (ClientId, String) {
        let key = ClientKey::generate().unwrap();
        (key.client_id().clone(), key.sign("text"))
    }

    /// The other S that verifies as well: the order minus S.
    fn mirrored(signature: &str) -> String {
        use p256::ecdsa::Signature;
        let parsed = Signature::from_der(&hex::decode(signature).unwrap()).unwrap();
        let (r, s) = parsed.split_bytes();
        let mut mirror = hex::decode(ORDER).unwrap();
        let mut borrow = 0i16;
        for (digit, subtrahend) in mirror.iter_mut().zip(s.iter()).rev() {
            let difference = i16::from(*digit) - i16::from(*subtrahend) - borrow;
            borrow = i16::from(difference < 0);
            *digit = u8::try_from(difference.rem_euclid(256)).unwrap();
        }
        let mirror = p256::FieldBytes::try_from(mirror.as_slice()).unwrap();
        hex::encode(Signature::from_scalars(r, mirror).unwrap().to_der().as_bytes())
    }

    #[test]
    fn what_was_signed_verifies_with_either_s() {
        let (client, signature) = signed();
        assert_eq!(verify(&client, "text", &signature), Ok(()));
        assert_eq!(verify(&client, "text", &signature.to_uppercase()), Ok(()));
        let other = mirrored(&signature);
        assert_ne!(other, signature);
        assert_eq!(verify(&client, "text", &other), Ok(()));
    }

    #[test]
    fn another_text_or_key_does_not() {
        let (client, signature) = signed();
        let (stranger, _) = signed();
        assert_eq!(
            verify(&client, "text ", &signature),
            Err(SignatureError::Mismatch)
        );
        assert_eq!(
            verify(&stranger, "text", &signature),
            Err(SignatureError::Mismatch)
        );
    }

    #[test]
    fn der_is_strict() {
        let (client, signature) = signed();
        // A length in the long form, one byte too many, and an integer with a needless zero in front.
        let long_form = signature.replacen("30", "3081", 1);
        let padded = "300702020001020101";
        for text in ["", "30", long_form.as_str(), &format!("{signature}00"), padded] {
            assert_eq!(verify(&client, "text", text), Err(SignatureError::Der), "{text}");
        }
        assert_eq!(verify(&client, "text", &signature[1..]), Err(SignatureError::Hex));
        assert_eq!(verify(&client, "text", "zz"), Err(SignatureError::Hex));
        let zeros = "3006020100020100";
        assert_eq!(verify(&client, "text", zeros), Err(SignatureError::Mismatch));
        assert_eq!(
            verify(&client, "text", &"30".repeat(100_000)),
            Err(SignatureError::Der)
        );
    }

    #[test]
    fn a_client_id_off_the_curve_names_no_key() {
        let (_, signature) = signed();
        let client = ClientId::parse(&format!("client-04{}", "11".repeat(64))).unwrap();
        assert_eq!(verify(&client, "text", &signature), Err(SignatureError::Client));
    }
}
