//! The key's file: read with care, written once, whole or not at all.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;

use p256::elliptic_curve::zeroize::Zeroizing;

use super::{ClientKey, KeyError};

/// Bytes of a key file, at most; a key has about 240.
pub const KEY_BYTES_MAX: usize = 16 << 10;

/// Whether a key that others than its owner may read is taken.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Exposure {
    Refused,
    Accepted,
}

pub(super) fn load(path: &Path, exposure: Exposure) -> Result<ClientKey, KeyError> {
    let unread = |source: io::Error| {
        let path = path.to_owned();
        if source.kind() == io::ErrorKind::NotFound {
            KeyError::Missing { path }
        } else {
            KeyError::Io {
                doing: "read the key",
                path,
                source,
            }
        }
    };
    // Asked before opening, which would wait on a pipe without a writer.
    if !fs::metadata(path).map_err(unread)?.is_file() {
        return Err(KeyError::NotAFile {
            path: path.to_owned(),
        });
    }
    let file = File::open(path).map_err(unread)?;
    let metadata = file.metadata().map_err(unread)?;
    if let (Exposure::Refused, Some(mode)) = (exposure, exposed(&metadata)) {
        return Err(KeyError::Exposed {
            path: path.to_owned(),
            mode,
        });
    }
    let not_a_key = |what| KeyError::NotAKey {
        path: path.to_owned(),
        what,
    };
    // With room from the start, so that growing leaves no copies behind that nobody wipes.
    let mut bytes = Zeroizing::new(Vec::with_capacity(KEY_BYTES_MAX + 1));
    file.take(KEY_BYTES_MAX as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(unread)?;
    if bytes.len() > KEY_BYTES_MAX {
        return Err(not_a_key("it is too large"));
    }
    let pem = std::str::from_utf8(&bytes).map_err(|_| not_a_key("it is not PEM"))?;
    ClientKey::from_pem(pem).map_err(not_a_key)
}

/// The key that another process made at this moment: used only once it is sure to survive a power cut.
pub(super) fn load_of_another(path: &Path) -> Result<ClientKey, KeyError> {
    let key = load(path, Exposure::Refused)?;
    sync_folder(folder_of(path))?;
    Ok(key)
}

pub(super) fn create(path: &Path) -> Result<ClientKey, KeyError> {
    let exists = || KeyError::Exists {
        path: path.to_owned(),
    };
    // Only for the clearer answer where the folder cannot be written; what counts is the last step.
    if path.symlink_metadata().is_ok() {
        return Err(exists());
    }
    let folder = folder_of(path);
    let in_folder = |doing| {
        move |source| KeyError::Io {
            doing,
            path: folder.to_owned(),
            source,
        }
    };
    fs::create_dir_all(folder).map_err(in_folder("make the key's folder"))?;

    let key = ClientKey::generate()?;
    let writing = "write a key into";
    // A file of its own name, mode 0600 from its first byte. A crash may leave it behind; it holds a key that
    // was never used.
    let mut file = tempfile::Builder::new()
        .prefix(".new-key-")
        .suffix(".pem")
        .tempfile_in(folder)
        .map_err(in_folder(writing))?;
    // Asked now, since such a key would be refused at the next start.
    if exposed(&file.as_file().metadata().map_err(in_folder(writing))?).is_some() {
        let folder = folder.to_owned();
        return Err(KeyError::Shared { folder });
    }
    file.write_all(key.to_pem().as_bytes())
        .map_err(in_folder(writing))?;
    file.as_file().sync_all().map_err(in_folder(writing))?;
    file.persist_noclobber(path).map_err(|fault| {
        if fault.error.kind() == io::ErrorKind::AlreadyExists {
            exists()
        } else {
            in_folder(writing)(fault.error)
        }
    })?;
    sync_folder(folder)?;
    Ok(key)
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Makes a new name in a folder survive a power cut.
#[cfg(unix)]
fn sync_folder(folder: &Path) -> Result<(), KeyError> {
    File::open(folder)
        .and_then(|file| file.sync_all())
        .map_err(|source| KeyError::Io {
            doing: "sync the folder",
            path: folder.to_owned(),
            source,
        })
}

#[cfg(not(unix))]
fn sync_folder(_folder: &Path) -> Result<(), KeyError> {
    Ok(())
}

/// The permission bits, where they let in others than the owner.
#[cfg(unix)]
fn exposed(metadata: &fs::Metadata) -> Option<u32> {
    use std::os::unix::fs::PermissionsExt;
    let mode = metadata.permissions().mode() & 0o7777;
    (mode & 0o077 != 0).then_some(mode)
}

#[cfg(not(unix))]
fn exposed(_metadata: &fs::Metadata) -> Option<u32> {
    None
}
