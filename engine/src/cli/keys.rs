//! (being written)

use clap::Subcommand;

use crate::error::{Error, Exit, Result};

/// Commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// (being written)
    Placeholder,
}

pub(super) fn run(_command: Command) -> Result<Exit> {
    Err(Error::failed("being written"))
}
