//! One job from its first chunk to its sealed result.

use std::sync::Arc;

use roundtrip_core::job::Job;
use roundtrip_core::names::JobKey;
use roundtrip_core::record::INLINE_RESULT_BYTES_MAX;
use roundtrip_core::worker::{Ending, Event};
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use crate::cloud::objects::Objects;
use crate::run::fetch::{self, FetchError, FetchPolicy};
use crate::sink::processor::{Alive, Answer, Input, Processor, alive};
use crate::spool::SpoolDir;
use crate::wire::{seal, signed};

/// What it takes to carry one job.
pub(super) struct Load {
    pub(super) job: Job,
    pub(super) objects: Objects,
    pub(super) spool: Arc<SpoolDir>,
    pub(super) fetch: FetchPolicy,
    pub(super) processor: Arc<Processor>,
    /// Notified when the processor may have the file.
    pub(super) engage: Arc<Notify>,
    pub(super) stop: CancellationToken,
    pub(super) reports: mpsc::Sender<Event>,
}

/// Fetches the file, hands it to the processor when told to, seals what comes back. The local copy is gone when
/// this returns or is dropped. However the analysis ends, this returns when nothing of it runs any more: the processor's
/// place is free then.
pub(super) async fn carry(load: Load) -> Ending {
    let stop = load.stop.clone();
    let (alive, gone) = alive();
    let ending = tokio::select! {
        biased;
        () = stop.cancelled() => Ending::Stopped,
        ending = carry_on(load, alive) => ending,
    };
    gone.wait().await;
    ending
}

async fn carry_on(load: Load, alive: Alive) -> Ending {
    let Load {
        job,
        objects,
        spool,
        fetch,
        processor,
        engage,
        reports,
        stop: _,
    } = load;
    let outline = match signed::verify_outline(&job) {
        Ok(outline) => outline,
        Err(error) => return Ending::Refused(format!("the outline is not what its client signed: {error}")),
    };
    if let Some(why) = outline.as_ref().and_then(|outline| fetch.bounds.refuses(outline)) {
        return Ending::Refused(why);
    }
    let size = outline.as_ref().map(|outline| outline.size);
    let (writer, reader) = match spool.create(job.key.file.as_str(), size) {
        Ok(file) => file,
        Err(error) => return Ending::Unfit(error.to_string()),
    };
    let input = Input {
        file: reader,
        name: outline.as_ref().and_then(|outline| outline.name.clone()),
    };
    let analysis = async {
        engage.notified().await;
        processor.analyse(input, alive).await
    };
    let arrival = async {
        let report = |here| {
            let _ = reports.try_send(Event::Progressed {
                key: job.key.clone(),
                here,
                size,
            });
        };
        fetch::fetch(&objects, &job, outline.as_ref(), &fetch, writer, report).await?;
        // This report must not be lost: without it the processor may never be engaged.
        let _ = reports.send(Event::Arrived(job.key.clone())).await;
        Ok::<(), FetchError>(())
    };
    tokio::pin!(analysis, arrival);
    let answer = tokio::select! {
        arrived = &mut arrival => match arrived {
            Ok(()) => analysis.await,
            Err(error) => return not_arrived(error),
        },
        answer = &mut analysis => match answer {
            // The fetcher knows best why a file is not whole.
            Answer::Unproven(why) => match arrival.await {
                Ok(()) => Answer::Unproven(why),
                Err(error) => return not_arrived(error),
            },
            answer @ (Answer::Result { .. }
            | Answer::JobFault(_)
            | Answer::Failed { .. }
            | Answer::Away { .. }
            | Answer::TurnedAway { .. }
            | Answer::Unfit(_)) => answer,
        },
    };
    ended(&objects, &job.key, answer).await
}

fn not_arrived(error: FetchError) -> Ending {
    match error {
        FetchError::Refused(why) => Ending::Refused(why),
        FetchError::Stalled(why) => Ending::Stalled(why),
        FetchError::Fault(why) => Ending::Fault(why),
        FetchError::Unfit(why) => Ending::Unfit(why),
        FetchError::Barred(why) => Ending::Barred(why),
    }
}

async fn ended(objects: &Objects, key: &JobKey, answer: Answer) -> Ending {
    match answer {
        Answer::Result { content_type, body } => match seal_result(objects, key, body).await {
            Ok(results) => Ending::Result {
                results,
                results_type: content_type,
            },
            Err(ending) => ending,
        },
        Answer::JobFault(why) => Ending::JobFault(why),
        Answer::Failed { why, after } => Ending::Failed { why, after },
        Answer::Away { why, after } => Ending::Away { why, after },
        Answer::TurnedAway { why, after } => Ending::TurnedAway { why, after },
        Answer::Unproven(why) => Ending::Fault(why),
        Answer::Unfit(why) => Ending::Unfit(why),
    }
}

/// Seals a result for its client; gives what the record says of it: the sealed text, or the object it lies in.
async fn seal_result(objects: &Objects, key: &JobKey, body: Vec<u8>) -> Result<String, Ending> {
    let fits = body.len() <= INLINE_RESULT_BYTES_MAX;
    let client = key.client.clone();
    let sealed = tokio::task::spawn_blocking(move || seal::seal(&client, &body)).await;
    let sealed = match sealed {
        Ok(Ok(sealed)) => sealed,
        Ok(Err(error)) => return Err(Ending::JobFault(format!("the result cannot be sealed: {error}"))),
        Err(error) => return Err(Ending::Fault(format!("the result was not sealed: {error}"))),
    };
    if fits {
        return Ok(sealed);
    }
    let object = key.results();
    match objects.put(&object, sealed.into()).await {
        Ok(()) => Ok(object),
        Err(fault) => {
            let why = format!("the result cannot be put into the bucket: {fault}");
            Err(if fault.is_transient() {
                Ending::Fault(why)
            } else {
                Ending::Barred(why)
            })
        }
    }
}
