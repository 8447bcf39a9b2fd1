//! Files out, results back: what ships the files of a folder, and what collects their results.

use std::sync::Arc;

use roundtrip_core::collect::Collect;
use roundtrip_core::upload::Upload;
use tracing::debug;

use super::owned;
use crate::dsl::spec::{DirectorySink, DirectorySource, JobsSink, ResultsSource};
use crate::error::{Error, Result};
use crate::run::collect::{CollectWorld, Shared};
use crate::run::driver::now;
use crate::run::parts::Parts;
use crate::run::policy::{self, Middle};
use crate::run::ship::{Cargo, Ship};
use crate::sink::directory::ResultsDirectory;
use crate::source::directory::Directory;

pub(super) async fn ship(
    name: &str,
    source: &DirectorySource,
    sink: &JobsSink,
    middle: &Middle<'_>,
    parts: &Parts,
) -> Result<(Upload, Ship)> {
    let codec = middle.codec()?;
    let (concurrency_max, _) = middle.transport()?;
    let cargo = Cargo {
        chunk_size: middle.chunk_size()?,
        codec: codec.codec,
        level: codec.level,
        concurrency_max,
        version: sink.version.clone(),
        send_name: sink.send_name,
        priority: sink.priority,
    };
    let policy = policy::upload(source, sink, middle)?;
    let directory = Directory::open(source)?;
    let (key, ledger) = (
        owned(parts.key.as_ref(), "key")?,
        owned(parts.ledger.as_ref(), "ledger")?,
    );
    let world = Ship::new(name, directory, parts.clone(), key, ledger, cargo).await?;
    Ok((Upload::new(policy), world))
}

pub(super) async fn collect(
    source: &ResultsSource,
    sink: &DirectorySink,
    parts: &Parts,
    uploads: &[String],
) -> Result<(Collect, CollectWorld)> {
    let of = if source.of.is_empty() {
        uploads.to_vec()
    } else {
        source.of.clone()
    };
    let shared = Shared {
        parts: parts.clone(),
        key: owned(parts.key.as_ref(), "key")?,
        ledger: owned(parts.ledger.as_ref(), "ledger")?,
        of,
        folder: results(sink.clone()).await?,
    };
    let machine = Collect::new(
        policy::results_pace(source).since(now()),
        policy::delivery(source),
    );
    Ok((
        machine,
        CollectWorld {
            shared: Arc::new(shared),
        },
    ))
}

/// Opens the folder of results. What dead processes left there is removed meanwhile: the folder may hold millions of
/// results, on a share, and nothing has to wait for that.
async fn results(sink: DirectorySink) -> Result<ResultsDirectory> {
    let opened = tokio::task::spawn_blocking(move || ResultsDirectory::open(&sink)).await;
    let folder =
        opened.map_err(|error| Error::failed("opening the results folder broke off").because(error))??;
    let swept = folder.clone();
    let thread = std::thread::Builder::new().name("results-sweep".to_owned());
    if let Err(error) = thread.spawn(move || swept.sweep()) {
        debug!(%error, "unfinished results are left to the next start");
    }
    Ok(folder)
}
