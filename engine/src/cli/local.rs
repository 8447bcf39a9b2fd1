//! `roundtrip local`: the whole round trip on this machine, on the embedded stack.

use std::path::PathBuf;

use clap::Args;
use tokio_util::sync::CancellationToken;

use super::process::Signals;
use super::progress::{self, Outcomes, Watcher};
use super::{Format, process};
use crate::cloud::{Clients, setup};
use crate::dsl::spec::RoleSpec;
use crate::dsl::{self, Layers};
use crate::error::{Error, Exit, Result};
use crate::run::progress::{Counts, Progress};
use crate::run::role::Role;
use crate::stack::Stack;

/// The profile of the shipped roles whose waits suit one machine.
const PROFILE: &str = "local";

/// What is logged by default: outcomes have lines of their own, and the embedded services tell of every request
/// they refuse, which is no news here.
const LOG: &str = "warn,roundtrip::outcome=off,aws_config=error,s3s=off,dynoxide=off";

/// Arguments.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The folder to watch
    #[arg(long, value_name = "DIR")]
    inbox: PathBuf,
    /// The folder results are written to
    #[arg(long, value_name = "DIR")]
    results: PathBuf,
    /// The folder for everything kept: keys, the ledger, the embedded services
    #[arg(long, value_name = "DIR", default_value = super::STATE_DEFAULT)]
    state: PathBuf,
    /// Hands each file to this address by POST
    #[arg(long, value_name = "URL", conflicts_with = "command")]
    processor: Option<String>,
    /// Hands each file to this command: as its argument where {file} stands, else on standard input
    #[arg(long, value_name = "CMD")]
    command: Option<String>,
    /// Takes what is there and ends when every file has its result
    #[arg(long)]
    once: bool,
    /// Sets a value of a pipeline, for example analyse.claim.in-flight-max=4
    #[arg(long, value_name = "PIPELINE.SECTION.KEY=VALUE")]
    set: Vec<String>,
    /// How outcomes are printed on standard output
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(super) fn run(arguments: &Arguments) -> Result<Exit> {
    process::log(LOG, arguments.format == Format::Json)?;
    let specs = Specs::load(arguments)?;
    process::block_on(round_trip(arguments, specs))
}

/// Which role a setting belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Home {
    Client,
    Fetcher,
    Watcher,
    /// All three have to agree on the table and its shards.
    All,
}

impl Home {
    /// That of a pipeline, or of a section of roles.
    fn of(name: &str) -> Option<Self> {
        match name {
            "upload" | "receive" | "identity" => Some(Self::Client),
            "analyse" => Some(Self::Fetcher),
            "cleanup" | "restart-stalled" | "admit" | "sweep" | "queue-length" | "stream" => {
                Some(Self::Watcher)
            }
            "store" => Some(Self::All),
            _ => None,
        }
    }
}

/// The three roles.
struct Specs {
    client: RoleSpec,
    fetcher: RoleSpec,
    watcher: RoleSpec,
}

impl Specs {
    fn load(arguments: &Arguments) -> Result<Self> {
        let text = |path: &PathBuf| {
            let text = path
                .to_str()
                .ok_or_else(|| Error::usage(format!("{} is no UTF-8 path", path.display())));
            text.map(|text| toml_edit::Value::from(text).to_string())
        };
        let mut client = vec![
            format!("upload.source.directory.path={}", text(&arguments.inbox)?),
            format!("receive.sink.directory.path={}", text(&arguments.results)?),
        ];
        let processor = match (&arguments.processor, &arguments.command) {
            (Some(url), _) => format!("url={}", toml_edit::Value::from(url)),
            (None, Some(command)) => format!("command={}", toml_edit::Value::from(command)),
            (None, None) => "builtin=fingerprint".to_owned(),
        };
        let mut fetcher = vec![format!("analyse.sink.processor.{processor}")];
        let mut watcher = Vec::new();
        for set in &arguments.set {
            let key = set.strip_prefix("pipelines.").unwrap_or(set);
            let name = key.split(['.', '=']).next().unwrap_or_default().trim();
            match Home::of(name) {
                Some(Home::Client) => client.push(set.clone()),
                Some(Home::Fetcher) => fetcher.push(set.clone()),
                Some(Home::Watcher) => watcher.push(set.clone()),
                Some(Home::All) => [&mut client, &mut fetcher, &mut watcher]
                    .into_iter()
                    .for_each(|role| role.push(set.clone())),
                None => {
                    let what = format!("--set {set}: there is no pipeline `{name}` here");
                    let hint = "set a value of upload, receive, analyse, cleanup, restart-stalled, admit, \
                                sweep or queue-length, or of store, identity or stream";
                    return Err(Error::config(what).hint(hint));
                }
            }
        }
        let load = |role, set| {
            // The embedded stack has a bucket and a table of its own: the environment is another fleet's.
            let layers = Layers {
                profile: Some(PROFILE.to_owned()),
                set,
                ..Layers::default()
            };
            dsl::load_role(role, &layers)
        };
        Ok(Self {
            client: load("client", client)?,
            fetcher: load("fetcher", fetcher)?,
            watcher: load("watcher", watcher)?,
        })
    }
}

async fn round_trip(arguments: &Arguments, specs: Specs) -> Result<Exit> {
    let signals = process::signals()?;
    let stack = Stack::start(&arguments.state.join("stack"), None).await?;
    let ended = with_stack(arguments, specs, &stack, signals).await;
    stack.stop().await;
    Ok(progress::exit(arguments.once, &ended?))
}

async fn with_stack(arguments: &Arguments, specs: Specs, stack: &Stack, signals: Signals) -> Result<Counts> {
    let Signals { stop, at_once } = signals;
    let clients = Clients::for_endpoints(stack.endpoints()).await;
    let store = &specs.client.store;
    setup::ensure(&clients, &store.bucket, &store.table).await?;
    let progress = Progress::default();
    let prepare = |spec, progress| Role::prepare(spec, &clients, &arguments.state, progress);
    let client = prepare(&specs.client, progress.clone()).await?;
    let fetcher = prepare(&specs.fetcher, progress.clone()).await?;
    let fetcher = fetcher.stopping_at_once(at_once);
    let watcher = prepare(&specs.watcher, progress.clone()).await?;
    let shown = Watcher::start(progress, Outcomes::new(arguments.format), true);

    let (client_done, fetcher_done) = (CancellationToken::new(), stop.child_token());
    let finish_client = CancellationToken::new();
    if arguments.once {
        finish_client.cancel();
    }
    // One after the other: results first, then the processor is let go, then what is left in the bucket goes.
    let never = CancellationToken::new();
    let client = async {
        let ended = client.run(finish_client, stop.clone()).await;
        fetcher_done.cancel();
        ended
    };
    let fetcher = async {
        let ended = fetcher.run(never, fetcher_done.clone()).await;
        client_done.cancel();
        if ended.is_err() {
            stop.cancel();
        }
        ended
    };
    let watcher = async {
        let ended = watcher.run(client_done.clone(), stop.clone()).await;
        if ended.is_err() {
            stop.cancel();
        }
        ended
    };
    let (client, fetcher, watcher) = tokio::join!(client, fetcher, watcher);
    let counts = shown.end().await;
    client.and(fetcher).and(watcher)?;
    Ok(counts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dsl::shipped::PIPELINES;

    fn arguments(set: &str) -> Arguments {
        Arguments {
            inbox: "in".into(),
            results: "out".into(),
            state: "state".into(),
            processor: None,
            command: None,
            once: false,
            set: vec![set.to_owned()],
            format: Format::default(),
        }
    }

    #[test]
    fn every_shipped_pipeline_can_be_set() {
        for pipeline in PIPELINES {
            let specs = Specs::load(&arguments(&format!("{0}.name={0}", pipeline.name())));
            let Err(error) = specs else { continue };
            assert!(!error.what.contains("there is no pipeline"), "{error}");
        }
        Specs::load(&arguments("queue-length.source.lanes.every=5s")).unwrap();
        Specs::load(&arguments("stream.lease=20s")).unwrap();
    }

    #[test]
    fn a_pipeline_that_is_not_there_is_named() {
        let error = Specs::load(&arguments("uplaod.source.directory.settle=1s"))
            .err()
            .unwrap();
        assert_eq!(
            error.what,
            "--set uplaod.source.directory.settle=1s: there is no pipeline `uplaod` here"
        );
    }
}
