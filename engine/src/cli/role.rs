//! `roundtrip run`: runs a role in this process.

use std::path::PathBuf;

use clap::Args;
use tokio_util::sync::CancellationToken;

use super::process::Signals;
use super::progress::{self, Outcomes, Watcher};
use super::{Format, process};
use crate::cloud::Clients;
use crate::dsl::{self, Layers};
use crate::error::{Exit, Result};
use crate::run::progress::Progress;
use crate::run::role::Role;

/// Arguments.
#[derive(Debug, Args)]
pub struct Arguments {
    /// A role file, or a shipped role: client, fetcher, watcher
    role: String,
    /// Sets a value over all files, for example upload.source.directory.path=inbox
    #[arg(long, value_name = "PIPELINE.SECTION.KEY=VALUE")]
    set: Vec<String>,
    /// The profile of the role file to use
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
    /// The folder for keys, the ledger and files under way
    #[arg(long, value_name = "DIR", default_value = super::STATE_DEFAULT)]
    state: PathBuf,
    /// Ends when everything that is there is done
    #[arg(long)]
    once: bool,
    /// How outcomes are printed on standard output, and logs on standard error
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(super) fn run(arguments: Arguments) -> Result<Exit> {
    process::log(
        "roundtrip=info,warn,aws_config=error",
        arguments.format == Format::Json,
    )?;
    let layers = Layers::of_process(arguments.profile, arguments.set);
    let spec = dsl::load_role(&arguments.role, &layers)?;
    process::block_on(async {
        let Signals { stop, at_once } = process::signals()?;
        let clients = Clients::from_environment().await?;
        let progress = Progress::default();
        let role = Role::prepare(&spec, &clients, &arguments.state, progress.clone())
            .await?
            .stopping_at_once(at_once);
        let finish = CancellationToken::new();
        if arguments.once {
            finish.cancel();
        }
        let watcher = Watcher::start(progress, Outcomes::new(arguments.format), false);
        let ended = role.run(finish, stop).await;
        let counts = watcher.end().await;
        ended?;
        Ok(progress::exit(arguments.once, &counts))
    })
}
