//! `roundtrip jobs show`: the facts of a job and its story.

use std::fmt::Write as _;

use bytesize::ByteSize;
use roundtrip_core::at::Timestamp;
use roundtrip_core::job::Job;
use roundtrip_core::plan::{Codec, Outline};
use roundtrip_core::story::{Line, Tense, tell};
use serde::Serialize;

use super::{Desk, Wanted, distance, plain};
use crate::cli::Format;
use crate::cli::output::print;
use crate::cloud::fault::Fault;
use crate::cloud::item::iso;
use crate::error::{Error, Exit, Result};
use crate::run::driver::now;
use crate::source::lanes::verified;

/// Everything there is to say of a job.
#[derive(Debug, Serialize)]
struct Account<'a> {
    file: &'a str,
    client: &'a str,
    status: &'static str,
    lane: Option<String>,
    due: Option<String>,
    /// How urgent its client says it is, 0 to 9.
    priority: u8,
    created: &'a str,
    version: &'a str,
    bucket: &'a str,
    chunks: u64,
    /// What the outline says, where the client sent one.
    size: Option<u64>,
    chunk_size: Option<u64>,
    codec: Option<Codec>,
    name: Option<&'a str>,
    /// Whether the record is what its client signed.
    signed: bool,
    not_signed_because: Option<&'a str>,
    /// What of the upload lies in the bucket.
    uploaded: &'a str,
    failures: u32,
    retries: u32,
    story: Vec<Sentence<'a>>,
}

#[derive(Debug, Serialize)]
struct Sentence<'a> {
    tense: &'static str,
    at: Option<String>,
    text: &'a str,
    keys: &'static [&'static str],
}

pub(super) async fn run(desk: &Desk, wanted: &Wanted, format: Format) -> Result<Exit> {
    let job = desk.one(wanted).await?;
    let signature = verified(&job);
    let outline = job.outline.as_deref().and_then(|text| {
        let (client, file) = (&job.key.client, &job.key.file);
        Outline::read(text, client, file, job.chunks).ok()
    });
    let uploaded = uploaded(desk, &job).await;
    let now = now();
    let story = tell(&job, signature.is_ok(), now);
    let account = Account {
        file: job.key.file.as_str(),
        client: job.key.client.as_str(),
        status: job.status.as_str(),
        lane: job.lane.map(|lane| lane.to_string()),
        due: job.due.map(iso),
        priority: job.priority,
        created: &job.created,
        version: &job.version,
        bucket: &job.bucket,
        chunks: job.chunks,
        size: outline.as_ref().map(|outline| outline.size),
        chunk_size: outline.as_ref().map(|outline| outline.chunk_size),
        codec: outline.as_ref().map(|outline| outline.codec),
        name: outline.as_ref().and_then(|outline| outline.name.as_deref()),
        signed: signature.is_ok(),
        not_signed_because: signature.as_ref().err().map(String::as_str),
        uploaded: &uploaded,
        failures: job.failures,
        retries: job.retries,
        story: story.iter().map(sentence).collect(),
    };
    let text = match format {
        Format::Text => page(&account, &story, now),
        Format::Json => {
            let text = serde_json::to_string_pretty(&account)
                .map_err(|error| Error::failed("the job could not be written as JSON").because(error))?;
            text + "\n"
        }
    };
    print(text.as_bytes())
}

fn sentence(line: &Line) -> Sentence<'_> {
    Sentence {
        tense: line.tense.as_str(),
        at: line.at.map(iso),
        text: &line.text,
        keys: line.keys,
    }
}

/// What of the upload lies in the bucket. The story does not depend on it: a bucket that is away is told of.
async fn uploaded(desk: &Desk, job: &Job) -> String {
    let look = async {
        let exists = async |key: String| desk.objects.exists(&key).await;
        Ok::<_, Fault>(if exists(job.key.manifest()).await? {
            "everything, with its manifest"
        } else if exists(job.key.chunk(job.chunks.saturating_sub(1))).await? {
            "the last chunk, no manifest"
        } else if exists(job.key.chunk(0)).await? {
            "the first chunk, not the last"
        } else {
            "nothing"
        })
    };
    match look.await {
        Ok(text) => text.to_owned(),
        Err(fault) => format!("not known: {fault}"),
    }
}

fn page(account: &Account<'_>, story: &[Line], now: Timestamp) -> String {
    let mut page = String::new();
    let mut fact = |name: &str, text: String| {
        // Writing to a text does not fail.
        let _ = writeln!(page, "{name:<10} {}", plain(&text));
    };
    fact("file", account.file.to_owned());
    fact("client", account.client.to_owned());
    let lane = account.lane.as_deref();
    fact(
        "status",
        format!(
            "{}, {}",
            account.status,
            lane.map_or_else(|| "in no lane".to_owned(), |lane| format!("lane {lane}"))
        ),
    );
    if account.priority > 0 {
        fact("priority", format!("{} (its client says)", account.priority));
    }
    fact("created", account.created.to_owned());
    fact("version", account.version.to_owned());
    let chunks = if account.chunks == 1 {
        "1 chunk".to_owned()
    } else {
        format!("{} chunks", account.chunks)
    };
    let extent = match (account.size, account.chunk_size) {
        (Some(size), Some(chunk_size)) => {
            let chunk_size = ByteSize::b(chunk_size).display().iec();
            format!("{size} bytes in {chunks} of up to {chunk_size}")
        }
        (_, None) | (None, _) => format!("{chunks}; its client does not say how large"),
    };
    fact("content", extent);
    if let Some(name) = account.name {
        fact("name", name.to_owned());
    }
    let signature = account.not_signed_because.map_or_else(
        || "holds: the record is what its client signed".to_owned(),
        |why| format!("DOES NOT HOLD: {why}"),
    );
    fact("signature", signature);
    fact("in bucket", format!("{}: {}", account.bucket, account.uploaded));
    for (tense, title) in [
        (Tense::Past, "What happened"),
        (Tense::Now, "Now"),
        (Tense::Next, "Next"),
    ] {
        let mut lines = story.iter().filter(|line| line.tense == tense).peekable();
        if lines.peek().is_some() {
            let _ = writeln!(page, "\n{title}");
        }
        for Line { at, text, keys, .. } in lines {
            let moment = at.map_or_else(String::new, |at| format!("{} ({})", iso(at), distance(at, now)));
            let keys = if keys.is_empty() {
                String::new()
            } else {
                format!("  [{}]", keys.join(", "))
            };
            let _ = writeln!(page, "  {moment:<39} {}{keys}", plain(text));
        }
    }
    page
}
