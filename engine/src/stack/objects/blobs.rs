//! The bodies of objects: one file each, named by chance, written once and never changed.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use futures_util::TryStreamExt;
use s3s::crypto::{Checksum as _, Md5};
use s3s::dto::{Checksum, StreamingBlob};
use s3s::{S3Result, s3_error};
use tokio::io::AsyncWriteExt;
use uuid::Uuid;

use super::checksum::Declared;
use super::internal;

/// How much of a body is gathered for one write to the file.
const BUFFER_BYTES: usize = 512 * 1024;

/// The folder of bodies.
#[derive(Clone, Debug)]
pub(super) struct Blobs {
    folder: PathBuf,
}

/// A body on its way in. Dropping it before [`Blob::keep`] removes the file.
#[derive(Debug)]
pub(super) struct Blob {
    folder: PathBuf,
    name: String,
    kept: bool,
}

/// A body that came in whole and as declared.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) blob: Blob,
    pub(super) size: u64,
    pub(super) md5: [u8; 16],
    pub(super) checksum: Checksum,
}

impl Blobs {
    /// Opens the folder, making it when missing.
    pub(super) fn open(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        Ok(Self {
            folder: folder.to_path_buf(),
        })
    }

    /// Removes every body that is not in use: what interrupted requests left behind.
    pub(super) fn sweep(&self, in_use: &HashSet<String>) -> io::Result<usize> {
        let mut removed = 0;
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            if !entry
                .file_name()
                .to_str()
                .is_some_and(|name| in_use.contains(name))
            {
                fs::remove_file(entry.path())?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    /// Writes a request's body to a new file, and checks it against what the request declared.
    pub(super) async fn receive(&self, mut body: StreamingBlob, declared: Declared) -> S3Result<Received> {
        let blob = self.create();
        let file = tokio::fs::File::create_new(blob.path()).await.map_err(internal)?;
        let mut file = tokio::io::BufWriter::with_capacity(BUFFER_BYTES, file);
        let (mut md5, mut hasher, mut size) = (Md5::new(), declared.hasher(), 0_u64);
        while let Some(bytes) = body
            .try_next()
            .await
            .map_err(|error| s3_error!(IncompleteBody, "{error}"))?
        {
            md5.update(&bytes);
            hasher.update(&bytes);
            size += bytes.len() as u64;
            file.write_all(&bytes).await.map_err(internal)?;
        }
        file.flush().await.map_err(internal)?;
        let (md5, checksum) = (md5.finalize(), hasher.finalize());
        declared.verify(&md5, &checksum)?;
        file.into_inner().sync_data().await.map_err(internal)?;
        Ok(Received {
            blob,
            size,
            md5,
            checksum,
        })
    }

    /// A new body that is the old ones in a row. Blocks.
    pub(super) fn join(&self, names: &[String]) -> io::Result<Blob> {
        let blob = self.create();
        let mut joined = fs::File::create_new(blob.path())?;
        for name in names {
            io::copy(&mut fs::File::open(self.path(name))?, &mut joined)?;
        }
        joined.sync_data()?;
        Ok(blob)
    }

    /// A new name for an old body: bodies never change, so they can be shared. Blocks.
    pub(super) fn link(&self, name: &str) -> io::Result<Blob> {
        let blob = self.create();
        fs::hard_link(self.path(name), blob.path())?;
        Ok(blob)
    }

    /// Where a body lies.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Removes bodies that no row names any more. Whoever reads one keeps it open to the end.
    pub(super) fn remove(&self, names: impl IntoIterator<Item = String>) {
        for name in names {
            if let Err(error) = fs::remove_file(self.path(&name)) {
                // The next start sweeps it.
                tracing::warn!(%error, name, "a deleted object's body could not be removed");
            }
        }
    }

    fn create(&self) -> Blob {
        Blob {
            folder: self.folder.clone(),
            name: Uuid::new_v4().simple().to_string(),
            kept: false,
        }
    }
}

impl Blob {
    fn path(&self) -> PathBuf {
        self.folder.join(&self.name)
    }

    /// The body's name, for its row.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Makes the file's name outlast a power failure; its content is synced already. Blocks.
    pub(super) fn sync(&self) -> io::Result<()> {
        fs::File::open(&self.folder)?.sync_all()
    }

    /// A row names the body now.
    pub(super) fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Blob {
    fn drop(&mut self) {
        if !self.kept {
            // What cannot be removed now is swept at the next start.
            let _ = fs::remove_file(self.path());
        }
    }
}
