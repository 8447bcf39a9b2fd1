//! The state folder of a stack: its lock, its layout and its credentials.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::error::{Error, Result};

const LOCK: &str = "lock";
const CREDENTIALS: &str = "credentials.json";
const PORTS: &str = "ports";

/// An opened state folder, locked for as long as this lives.
pub(super) struct State {
    folder: PathBuf,
    pub(super) access_key: String,
    pub(super) secret_key: String,
    // The lock falls with the open file, so also when the process is killed.
    _lock: File,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State")
            .field("folder", &self.folder)
            .finish_non_exhaustive()
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Credentials {
    version: u32,
    access_key: String,
    secret_key: String,
}

impl State {
    /// Opens the folder, making it and what belongs in it when missing.
    pub(super) fn open(folder: &Path) -> Result<Self> {
        make_private(folder)?;
        let lock = lock(folder)?;
        let credentials = credentials(folder)?;
        make_private(&folder.join("s3"))?;
        let state = Self {
            folder: folder.to_path_buf(),
            access_key: credentials.access_key,
            secret_key: credentials.secret_key,
            _lock: lock,
        };
        // SQLite would let others read it, where the folder was there before and does.
        let database = state.dynamodb();
        private_file(&database).map_err(|error| unusable(&database, error))?;
        Ok(state)
    }

    /// The ports of S3 and DynamoDB it had last; none before the first start, or where they are not readable.
    pub(super) fn ports(&self) -> Option<(u16, u16)> {
        let text = fs::read_to_string(self.folder.join(PORTS)).ok()?;
        let (s3, dynamodb) = text.trim().split_once(' ')?;
        Some((s3.parse().ok()?, dynamodb.parse().ok()?))
    }

    /// Remembers the ports for the next start. Without them it only takes others, so a failure is no error.
    pub(super) fn remember_ports(&self, (s3, dynamodb): (u16, u16)) {
        let write = || {
            let mut file = private_file(&self.folder.join(PORTS))?;
            file.set_len(0)?;
            writeln!(file, "{s3} {dynamodb}")
        };
        if let Err(error) = write() {
            tracing::debug!(%error, "the ports are not remembered");
        }
    }

    /// The file of the DynamoDB part.
    pub(super) fn dynamodb(&self) -> PathBuf {
        self.folder.join("dynamodb.sqlite")
    }

    /// The folder of the S3 part.
    pub(super) fn s3(&self) -> PathBuf {
        self.folder.join("s3")
    }
}

fn make_private(folder: &Path) -> Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|error| unusable(folder, error))
}

fn unusable(path: &Path, error: io::Error) -> Error {
    Error::config(format!("cannot use {} for the stack's state", path.display()))
        .because(error)
        .hint("give --state a folder this user may write to")
}

/// Opens a file, making it readable by its owner alone when missing.
fn private_file(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
}

fn lock(folder: &Path) -> Result<File> {
    let path = folder.join(LOCK);
    let mut file = private_file(&path).map_err(|error| unusable(&path, error))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            // Only for the message: a holder that has not yet written its line is still the holder.
            let _ = file.read_to_string(&mut holder);
            let holder = holder.trim();
            let by = if holder.is_empty() {
                String::new()
            } else {
                format!(" ({holder})")
            };
            return Err(
                Error::away(format!("{} is in use by another stack{by}", folder.display()))
                    .hint("stop that process, or give --state another folder"),
            );
        }
        Err(TryLockError::Error(error)) => return Err(unusable(&path, error)),
    }
    let line = format!("process {}\n", std::process::id());
    file.set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| file.write_all(line.as_bytes()))
        .map_err(|error| unusable(&path, error))?;
    Ok(file)
}

fn credentials(folder: &Path) -> Result<Credentials> {
    let path = folder.join(CREDENTIALS);
    match fs::read(&path) {
        Ok(text) => {
            let credentials: Credentials =
                serde_json::from_slice(&text).map_err(|error| damaged(&path).because(error))?;
            if credentials.version != 1 {
                return Err(damaged(&path));
            }
            // A copied or restored folder may have lost the mode; the keys stay private.
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600))
                .map_err(|error| unusable(&path, error))?;
            Ok(credentials)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let credentials = generate();
            write_private(folder, &path, &credentials).map_err(|error| unusable(&path, error))?;
            Ok(credentials)
        }
        Err(error) => Err(unusable(&path, error)),
    }
}

fn damaged(path: &Path) -> Error {
    Error::config(format!(
        "{} does not hold the stack's credentials",
        path.display()
    ))
    .hint("delete the file: the next start makes new ones")
}

fn generate() -> Credentials {
    let access = Uuid::new_v4().simple().to_string().to_uppercase();
    Credentials {
        version: 1,
        access_key: format!("RT{}", &access[..18]),
        secret_key: format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple()),
    }
}

/// Written beside and renamed, so that a kill never leaves half a file.
fn write_private(folder: &Path, path: &Path, credentials: &Credentials) -> io::Result<()> {
    let partial = folder.join("credentials.json.partial");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&partial)?;
    file.write_all(&serde_json::to_vec_pretty(credentials)?)?;
    file.sync_all()?;
    fs::rename(&partial, path)?;
    File::open(folder)?.sync_all()
}
