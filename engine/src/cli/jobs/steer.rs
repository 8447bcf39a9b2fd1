//! `roundtrip jobs requeue` and `cancel`.

use roundtrip_core::job::{Job, Status};
use roundtrip_core::lifecycle::{Change, operator};

use super::{Desk, Wanted};
use crate::cli::output::print;
use crate::cloud::fault::Fault;
use crate::cloud::jobs::Answer;
use crate::error::{Error, Exit, Result};
use crate::run::driver::now;

pub(super) async fn cancel(desk: &Desk, wanted: &Wanted, why: &str) -> Result<Exit> {
    let job = desk.one(wanted).await?;
    let change = operator::cancel(&job, now(), why).map_err(|refusal| refused(refusal, &job))?;
    apply(desk, &job, change).await?;
    let fetcher = match (job.status, &job.processor) {
        (Status::Processing, Some(processor)) => format!(
            "; {} stops with its next heartbeat (analyse.claim.heartbeat)",
            super::plain(processor)
        ),
        (Status::Queued | Status::Processing | Status::Completed | Status::Error, _) => String::new(),
    };
    print(format!("cancelled {}{fetcher}\n", job.key.file).as_bytes())
}

pub(super) async fn requeue(desk: &Desk, wanted: &Wanted) -> Result<Exit> {
    let job = desk.one(wanted).await?;
    let change = operator::requeue(&job, now()).map_err(|refusal| refused(refusal, &job))?;
    if job.status == Status::Error {
        refuse_without_chunks(desk, &job).await?;
    }
    apply(desk, &job, change).await?;
    let from = match (job.status, &job.processor) {
        (Status::Processing, Some(processor)) => format!(
            "; {} stops with its next heartbeat (analyse.claim.heartbeat)",
            super::plain(processor)
        ),
        (Status::Error, _) => "; a client that has collected its error does not ask for it again".to_owned(),
        (Status::Queued | Status::Processing | Status::Completed, _) => String::new(),
    };
    print(format!("requeued {}{from}\n", job.key.file).as_bytes())
}

/// One whose chunks are gone must not be offered again, though its record does not say so: its client may have given it
/// up. What a watcher deletes the record tells before, and the condition of the write asks for that.
async fn refuse_without_chunks(desk: &Desk, job: &Job) -> Result<()> {
    for chunk in [0, job.chunks.saturating_sub(1)] {
        let key = job.key.chunk(chunk);
        let exists = desk.objects.exists(&key).await;
        if !exists.map_err(|fault| fault.during(format!("cannot look for the chunk {key}")))? {
            return Err(refused(operator::Refusal::Cleaned, job));
        }
    }
    Ok(())
}

async fn apply(desk: &Desk, job: &Job, change: Change) -> Result<()> {
    let mut answer = desk.jobs.apply(&change).await;
    // A record may be as large as a record can be: then it loses its history rather than its end.
    if matches!(answer, Err(Fault::Unacceptable(_)))
        && let Some(shorter) = change.without_history()
    {
        answer = desk.jobs.apply(&shorter).await;
    }
    match answer.map_err(|fault| fault.during(format!("cannot write to {}", job.key.file)))? {
        Answer::Done(_) => Ok(()),
        Answer::Lost(current) => {
            let is = current.map_or_else(|| "it is gone".to_owned(), |job| standing(&job));
            Err(
                Error::failed(format!("{} moved meanwhile: now {is}", job.key.file))
                    .hint("look at it with `roundtrip jobs show`, then try again"),
            )
        }
    }
}

fn refused(refusal: operator::Refusal, job: &Job) -> Error {
    let what = format!("{refusal}: {} is {}", job.key.file, standing(job));
    Error::failed(what).hint("`roundtrip jobs show` tells what happens next")
}

fn standing(job: &Job) -> String {
    let lane = job
        .lane
        .map_or_else(|| "in no lane".to_owned(), |lane| format!("in lane {lane}"));
    format!("{}, {lane}", job.status.as_str())
}
