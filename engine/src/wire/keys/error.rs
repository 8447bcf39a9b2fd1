//! What can be wrong with a key file, and what to do about it; nothing of a key is ever in it.

use std::io;
use std::path::PathBuf;

use crate::error::Error;

/// A key that could not be had.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// No file.
    #[error("there is no key at {}", .path.display())]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// A new key was asked for where something lies already.
    #[error("{} exists already: a key is never replaced", .path.display())]
    Exists {
        /// What lies there.
        path: PathBuf,
    },
    /// A folder, a pipe or a device.
    #[error("the key {} is not a regular file", .path.display())]
    NotAFile {
        /// What was looked at.
        path: PathBuf,
    },
    /// Others may read or write it.
    #[error("the key {} is open to others than its owner (mode {mode:04o})", .path.display())]
    Exposed {
        /// Which file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A file, but no key.
    #[error("{} is not a P-256 private key in PKCS#8 PEM: {what}", .path.display())]
    NotAKey {
        /// Which file.
        path: PathBuf,
        /// What it is instead.
        what: &'static str,
    },
    /// The system refused.
    #[error("could not {doing} {}", .path.display())]
    Io {
        /// What was tried, as a verb.
        doing: &'static str,
        /// With which file or folder.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file system that lets others at every file, whatever its mode.
    #[error("the file system of {} keeps no file to its owner", .folder.display())]
    Shared {
        /// The folder the key was meant for.
        folder: PathBuf,
    },
    /// The system gave no random numbers.
    #[error("the system's random number generator failed")]
    Random,
}

impl KeyError {
    /// What the reader can do.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Missing { path } => Some(format!("make one: roundtrip keys new --key {}", shell(path))),
            Self::Exists { path } => Some(format!(
                "results sealed for a key open with that key alone: use it, or move it away first; \
                 roundtrip keys show --key {} tells which client it is",
                shell(path)
            )),
            Self::NotAFile { .. } => Some("name the PEM file itself".to_owned()),
            Self::Exposed { path, .. } => Some(format!("chmod 600 {}", shell(path))),
            Self::NotAKey { what, path } if *what == SEC1 => Some(format!(
                "openssl pkcs8 -topk8 -nocrypt -in {} -out KEY.pem, then chmod 600 KEY.pem",
                shell(path)
            )),
            Self::NotAKey { .. } => Some(
                "it was left as it is; put the right key there, or move it away to have a new one made"
                    .to_owned(),
            ),
            Self::Io { .. } | Self::Shared { .. } => {
                Some("a key needs a folder that its owner may write to, on a disk of this machine".to_owned())
            }
            Self::Random => None,
        }
    }
}

impl From<KeyError> for Error {
    fn from(fault: KeyError) -> Self {
        let hint = fault.hint();
        let error = match fault {
            KeyError::Io { doing, path, source } => {
                Self::config(format!("could not {doing} {}", path.display())).because(source)
            }
            KeyError::Missing { .. }
            | KeyError::Exists { .. }
            | KeyError::NotAFile { .. }
            | KeyError::Exposed { .. }
            | KeyError::NotAKey { .. }
            | KeyError::Shared { .. }
            | KeyError::Random => Self::config(fault.to_string()),
        };
        match hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }
}

const SEC1: &str = "it is a key in the older SEC1 form";

/// What a text that is no key looks like, judged by its PEM label.
pub(super) fn what_it_is(text: &str) -> &'static str {
    let label = |label: &str| text.contains(&format!("-----BEGIN {label}-----"));
    if text.trim().is_empty() {
        "it is empty"
    } else if label("EC PRIVATE KEY") {
        SEC1
    } else if label("ENCRYPTED PRIVATE KEY") {
        "it is encrypted with a passphrase"
    } else if label("PUBLIC KEY") {
        "it is a public key"
    } else if label("PRIVATE KEY") {
        "it is damaged, or a key of another kind or curve"
    } else {
        "it is not PEM"
    }
}

/// A path as a shell takes it, quoted only where it must be.
fn shell(path: &std::path::Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=:@%".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}
