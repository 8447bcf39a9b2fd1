//! (being written)

use clap::Args;

use crate::error::{Error, Exit, Result};

/// Arguments.
#[derive(Debug, Args)]
pub struct Arguments {}

pub(super) fn run(_arguments: Arguments) -> Result<Exit> {
    Err(Error::failed("being written"))
}
