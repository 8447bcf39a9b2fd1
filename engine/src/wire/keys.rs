//! The client's P-256 key: made once, kept in a file only its owner can read, never made anew.

use std::fmt;
use std::path::Path;

use p256::ecdsa::SigningKey;
use p256::elliptic_curve::Generate;
use p256::elliptic_curve::zeroize::Zeroizing;
use p256::pkcs8::{DecodePrivateKey, EncodePrivateKey, LineEnding};
use roundtrip_core::names::ClientId;

use super::seal::{self, OpenError};
use super::signature;

mod error;
mod file;

pub use error::KeyError;
pub use file::KEY_BYTES_MAX;

/// A client's secret key and the id that follows from it. The secret is wiped when the key is dropped and
/// shows in no `Debug` and no error.
#[derive(Clone, PartialEq, Eq)]
pub struct ClientKey {
    secret: SigningKey,
    client: ClientId,
}

impl ClientKey {
    /// A new key from the system's random numbers.
    ///
    /// # Errors
    /// [`KeyError::Random`] where the system has none to give.
    pub fn generate() -> Result<Self, KeyError> {
        SigningKey::try_generate()
            .map(Self::from)
            .map_err(|_| KeyError::Random)
    }

    /// The key in a file.
    ///
    /// # Errors
    /// [`KeyError::Missing`] where there is none, [`KeyError::Exposed`] where others than its owner may read
    /// or write it; what is no P-256 key in PKCS#8 PEM is an error as well.
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        file::load(path, file::Exposure::Refused)
    }

    /// As [`ClientKey::load`], but takes a key that others may read: for a single use that was asked for, with
    /// a warning, never for a key that goes on being used.
    pub fn load_exposed(path: &Path) -> Result<Self, KeyError> {
        file::load(path, file::Exposure::Accepted)
    }

    /// Makes a key and its file, mode 0600, with the folders on the way. The file is there whole or not at
    /// all, and durable on return.
    ///
    /// # Errors
    /// [`KeyError::Exists`] where something lies there already: it is never replaced.
    pub fn create(path: &Path) -> Result<Self, KeyError> {
        file::create(path)
    }

    /// The key in a file, made on first use. Where two processes do this at once, both end with the key of
    /// the one that was first.
    pub fn load_or_create(path: &Path) -> Result<Self, KeyError> {
        match Self::load(path) {
            Err(KeyError::Missing { .. }) => match Self::create(path) {
                Err(KeyError::Exists { .. }) => file::load_of_another(path),
                made => made,
            },
            loaded => loaded,
        }
    }

    /// The key as PKCS#8 PEM; the text wipes itself.
    pub fn to_pem(&self) -> Zeroizing<String> {
        self.secret
            .to_pkcs8_pem(LineEnding::LF)
            .expect("a P-256 key has a PKCS#8 form")
    }

    /// Reads PKCS#8 PEM; white space around it does not matter.
    ///
    /// # Errors
    /// What the text is instead, in words; nothing of the text itself.
    pub fn from_pem(pem: &str) -> Result<Self, &'static str> {
        SigningKey::from_pkcs8_pem(pem.trim())
            .map(Self::from)
            .map_err(|_| error::what_it_is(pem))
    }

    /// The id of the client that has this key.
    pub fn client_id(&self) -> &ClientId {
        &self.client
    }

    /// Signs a text: DER in lower-case hex.
    pub fn sign(&self, text: &str) -> String {
        signature::sign(&self.secret, text)
    }

    /// Opens what [`seal::seal`] sealed for this client.
    ///
    /// # Errors
    /// Text beyond [`seal::SEALED_BYTES_MAX`], of another form, sealed for another client, or altered.
    pub fn open(&self, sealed: &str) -> Result<Vec<u8>, OpenError> {
        seal::open(&self.secret, sealed)
    }
}

impl From<SigningKey> for ClientKey {
    fn from(secret: SigningKey) -> Self {
        let point = hex::encode(secret.verifying_key().to_sec1_point(false).as_bytes());
        let client = ClientId::parse(&format!("client-{point}"))
            .expect("an uncompressed point in lower-case hex is a client id");
        Self { secret, client }
    }
}

impl fmt::Debug for ClientKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientKey")
            .field("client", &self.client.short())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
