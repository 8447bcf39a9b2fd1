//! `roundtrip init`: the shipped pipelines and roles as files for editing.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use clap::Args;

use super::output::tell;
use crate::dsl::shipped::{PIPELINES, ROLES, Shipped};
use crate::error::{Error, Exit, Result};

/// Arguments of `roundtrip init`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Folder to write pipelines/ and roles/ into; files that exist are left as they are
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

pub(super) fn run(arguments: Arguments) -> Result<Exit> {
    let Arguments { folder } = arguments;
    for shipped in PIPELINES.iter().chain(ROLES) {
        let file = folder.join(shipped.path);
        let written = write(&file, shipped).map_err(|error| {
            Error::config(format!("cannot write {}", file.display()))
                .because(error)
                .hint("name a folder you may write to")
        })?;
        if written {
            tell(&format!("wrote  {}", file.display()));
        } else {
            tell(&format!("kept   {} (it exists)", file.display()));
        }
    }
    Ok(Exit::Done)
}

/// Writes a file that does not exist yet; whether it did.
fn write(file: &Path, shipped: &Shipped) -> std::io::Result<bool> {
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)?;
    }
    match OpenOptions::new().write(true).create_new(true).open(file) {
        Ok(mut open) => open.write_all(shipped.text.as_bytes()).map(|()| true),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}
