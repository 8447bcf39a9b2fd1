//! Who and what: client ids, file ids and the object keys made of them.
//!
//! Records are not trusted: a name is only made by [`ClientId::parse`] and [`FileId::parse`], so that a key
//! built from names cannot leave its prefix.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Hex digits of an uncompressed secp256r1 point.
const POINT_DIGITS: usize = 130;

/// Partition keys that begin so are no clients': such rows hold what readers and fetchers know of one another.
pub const RESERVED_PREFIX: &str = "roundtrip#";

/// The key of the object that holds the name of the bucket's table: it can be no job's.
pub const OWNER: &str = "roundtrip/table";

/// A name that does not have the form the wire format asks for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Not a client id.
    #[error("the client id must be `client-04` and 128 lower-case hex digits")]
    Client,
    /// Not a file id.
    #[error("the file id must be `file-` and a lower-case UUID")]
    File,
}

/// `client-` and the client's uncompressed secp256r1 public key in hex (130 digits).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ClientId(String);

impl ClientId {
    /// Takes a client id as it stands in a record.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let digits = text.strip_prefix("client-").ok_or(NameError::Client)?;
        let well_formed =
            digits.len() == POINT_DIGITS && digits.starts_with("04") && digits.bytes().all(is_hex);
        if well_formed {
            Ok(Self(text.to_owned()))
        } else {
            Err(NameError::Client)
        }
    }

    /// The id as it stands in a record.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The public key: an uncompressed point in hex.
    pub fn public_key_hex(&self) -> &str {
        self.0.trim_start_matches("client-")
    }

    /// The first digits, enough for a person to tell clients apart in a log line.
    pub fn short(&self) -> &str {
        self.0.get(..17).unwrap_or(&self.0)
    }
}

/// `file-` and a UUID: one file's journey, and the job's sort key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FileId(String);

impl FileId {
    /// Takes a file id as it stands in a record.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let uuid = text.strip_prefix("file-").ok_or(NameError::File)?;
        let well_formed = uuid.len() == 36
            && uuid.bytes().enumerate().all(|(index, byte)| match index {
                8 | 13 | 18 | 23 => byte == b'-',
                _ => is_hex(byte),
            });
        if well_formed {
            Ok(Self(text.to_owned()))
        } else {
            Err(NameError::File)
        }
    }

    /// The id as it stands in a record.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_hex(byte: u8) -> bool {
    byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)
}

macro_rules! as_text {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;

            fn try_from(text: String) -> Result<Self, NameError> {
                Self::parse(&text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }
    };
}

as_text!(ClientId);
as_text!(FileId);

/// The key of a job in the table, and the prefix of its objects in the bucket.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobKey {
    /// Partition key.
    pub client: ClientId,
    /// Sort key.
    pub file: FileId,
}

impl JobKey {
    /// `<client>/<file>/`: every object of the job lies under it.
    pub fn prefix(&self) -> String {
        format!("{}/{}/", self.client, self.file)
    }

    /// `<client>/<file>/<n>`: the n-th chunk, from 0.
    pub fn chunk(&self, index: u64) -> String {
        format!("{}/{}/{index}", self.client, self.file)
    }

    /// `<client>/<file>/manifest`: the signed list of chunks, the commit point.
    pub fn manifest(&self) -> String {
        format!("{}/{}/manifest", self.client, self.file)
    }

    /// `<client>/<file>/results`: a sealed result that is too large for the record.
    pub fn results(&self) -> String {
        format!("{}/{}/results", self.client, self.file)
    }

    /// The job that an object belongs to by its key, and which of its objects it is; none where the key is not exactly
    /// one that a job's object has.
    pub fn of_object(object: &str) -> Option<(Self, ObjectPart)> {
        let mut names = object.splitn(3, '/');
        let job = Self {
            client: ClientId::parse(names.next()?).ok()?,
            file: FileId::parse(names.next()?).ok()?,
        };
        let part = match names.next()? {
            "manifest" => ObjectPart::Manifest,
            "results" => ObjectPart::Results,
            index => {
                let index = index.parse().ok()?;
                // A number has other spellings too, such as 007 and +7.
                if job.chunk(index) != object {
                    return None;
                }
                ObjectPart::Chunk(index)
            }
        };
        Some((job, part))
    }
}

/// Which of a job's objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ObjectPart {
    /// A chunk, from 0.
    Chunk(u64),
    /// The manifest.
    Manifest,
    /// The sealed result.
    Results,
}

impl fmt::Display for JobKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.file, self.client.short())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_id_cannot_leave_its_prefix() {
        for text in [
            "file-../../x",
            "../x",
            "file-",
            "file-1A026C06-E99C-4F2F-842C-CB01C51849AF",
            "file-1a026c06/e99c-4f2f-842c-cb01c51849af",
        ] {
            assert_eq!(FileId::parse(text), Err(NameError::File), "{text}");
        }
        assert!(FileId::parse("file-1a026c06-e99c-4f2f-842c-cb01c51849af").is_ok());
    }

    #[test]
    fn a_client_id_is_an_uncompressed_point() {
        let id = format!("client-04{}", "ab".repeat(64));
        assert!(ClientId::parse(&id).is_ok());
        for text in [
            id.replace("04", "02"),
            id.to_uppercase(),
            format!("{id}0"),
            id.replace("client-", ""),
        ] {
            assert_eq!(ClientId::parse(&text), Err(NameError::Client), "{text}");
        }
    }

    #[test]
    fn an_object_leads_back_to_its_job_and_nothing_else_does() {
        let job = crate::fixture::key(7);
        for (object, part) in [
            (job.chunk(0), ObjectPart::Chunk(0)),
            (job.chunk(u64::MAX), ObjectPart::Chunk(u64::MAX)),
            (job.manifest(), ObjectPart::Manifest),
            (job.results(), ObjectPart::Results),
        ] {
            assert_eq!(JobKey::of_object(&object), Some((job.clone(), part)), "{object}");
        }
        let prefix = job.prefix();
        for strange in [
            "",
            "007",
            "+7",
            "-1",
            "18446744073709551616",
            "Manifest",
            "manifest/",
            "0/1",
            "results.json",
        ] {
            assert_eq!(
                JobKey::of_object(&format!("{prefix}{strange}")),
                None,
                "{strange}"
            );
        }
        for strange in [
            "",
            "0",
            "backup/2026/0",
            OWNER,
            "roundtrip#stream/a/0",
            prefix.trim_end_matches('/'),
        ] {
            assert_eq!(JobKey::of_object(strange), None, "{strange}");
        }
    }
}
