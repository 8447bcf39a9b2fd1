//! Takes what is personal out of entries: the same name always becomes the same other name.

use std::fmt::Write as _;

use hmac::{Hmac, KeyInit as _, Mac as _};
use roundtrip_core::iso;
use roundtrip_core::job::{Lane, OPERATOR, OPERATOR_ASKED, Status};
use roundtrip_core::lifecycle::Write;
use roundtrip_core::lifecycle::attribute as a;
use roundtrip_core::names::{ClientId, FileId, JobKey, RESERVED_PREFIX};
use roundtrip_core::plan::{Bounds, Outline};
use roundtrip_core::record::{Attribute, HISTORY_BYTES_MAX, Opaque, RECORD_BYTES_MAX, Record};
use roundtrip_core::worker::words;
use sha2::Sha256;

use super::entry::Entry;

/// What a job's record has. Anything else in it is somebody else's, and no replay asks for it.
const JOB: [&str; 26] = [
    a::STATUS,
    a::VERSION,
    a::CREATED,
    a::BUCKET,
    a::FILE,
    a::CHUNKS,
    a::CLIENT,
    a::SIGNATURE,
    a::PROCESSOR,
    a::ASSIGNED,
    a::DOWNLOADED,
    a::RESULTS,
    a::RESULTS_TYPE,
    a::ERROR,
    a::PROCESSED,
    a::OUTLINE,
    a::OUTLINE_SIGNATURE,
    a::LANE,
    a::DUE,
    a::RETRIES,
    a::FAILURES,
    a::HISTORY,
    a::CLEANING,
    a::CLEANED,
    a::EXPIRES,
    a::PRIORITY,
];

/// What an attempt of a job's history has.
const ATTEMPT: [&str; 6] = ["at", "by", "failed", "since", "what", "why"];

/// The writes an attempt can end with.
const ENDINGS: [Write; 7] = [
    Write::Complete,
    Write::Fail,
    Write::Release,
    Write::Requeue,
    Write::GiveUp,
    Write::Refuse,
    Write::Cancel,
];

/// Attributes of rows that are no jobs which replay needs.
const ROW: [&str; 7] = [
    a::CLIENT,
    a::FILE,
    a::EXPIRES,
    "pipeline",
    "report_ms",
    "seen",
    "started",
];

/// Stands for what a record had too much of.
const FILLER: &str = "filler";

/// Replaces names and texts by others that tell nothing, the same ones always by the same.
///
/// It remembers nothing: each is the HMAC-SHA256 of what it replaces, and the key is known to nobody once the recorder
/// has ended. Without the key, nobody can tell by trying whether a name they guess is behind another. Signatures do not
/// hold afterwards, which is why the verdict on them is recorded before. A text stays only where it is one that the program
/// writes there; attributes that no record of ours has go. An open record that is too large to be a job stays so, by a
/// filler.
#[derive(Clone, Debug)]
pub struct Redaction {
    keyed: Hmac<Sha256>,
}

impl Redaction {
    /// Replaces under this key: fresh from the system's random numbers for each recording, and kept nowhere.
    pub fn new(key: [u8; 32]) -> Self {
        let keyed = Hmac::new_from_slice(&key).expect("HMAC takes keys of any length");
        Self { keyed }
    }

    /// The entry without what is personal in it.
    #[must_use]
    pub fn redact(&self, mut entry: Entry<'static>) -> Entry<'static> {
        let is_row = entry.key().client.starts_with(RESERVED_PREFIX);
        let body = &mut entry.body;
        let images = [Some(&mut body.keys), body.before.as_mut(), body.after.as_mut()];
        for image in images.into_iter().flatten() {
            if is_row {
                image.retain(|name| ROW.contains(&name));
            } else {
                let mut redacted = self.record(image, &JOB);
                if let Some(filler) = filler(image, &redacted) {
                    redacted.insert(FILLER, filler);
                }
                *image = redacted;
            }
        }
        let verdict = entry.own.as_mut().and_then(|own| own.signature.as_mut());
        if let Some(Err(why)) = verdict.map(|verdict| &mut verdict.0) {
            "the signature does not hold".clone_into(why);
        }
        entry
    }

    /// The attributes of these names, with what is personal replaced.
    fn record(&self, record: &Record<'static>, known: &[&str]) -> Record<'static> {
        let attributes = record.iter().filter(|(name, _)| known.contains(name));
        let attributes = attributes.map(|(name, value)| {
            let value = match value {
                Attribute::List(attempts) if name == a::HISTORY => self.history(attempts),
                Attribute::Text(text) => Attribute::text(self.text(name, text, record)),
                Attribute::Number(_) | Attribute::Bool(_) | Attribute::Null(_) | Attribute::Opaque(_) => {
                    value.clone()
                }
                // None of ours is one.
                Attribute::Map(_) | Attribute::List(_) => Attribute::Null(true),
            };
            (name.to_owned(), value)
        });
        attributes.collect()
    }

    fn history(&self, whole: &[Attribute<'static>]) -> Attribute<'static> {
        let attempts = whole.iter().filter_map(|attempt| match attempt {
            Attribute::Map(attempt) => Some(Attribute::Map(self.record(attempt, &ATTEMPT))),
            Attribute::Text(_)
            | Attribute::Number(_)
            | Attribute::Bool(_)
            | Attribute::Null(_)
            | Attribute::List(_)
            | Attribute::Opaque(_) => None,
        });
        let mut redacted: Vec<Attribute<'static>> = attempts.collect();
        let size = |attempts: &[Attribute<'_>]| attempts.iter().map(Attribute::size_bytes).sum();
        redacted.extend(lost(size(whole), size(&redacted), HISTORY_BYTES_MAX));
        Attribute::List(redacted)
    }

    fn text(&self, name: &str, text: &str, record: &Record<'_>) -> String {
        if is_plain(name, text) {
            return text.to_owned();
        }
        match name {
            a::CLIENT => self.client(text),
            a::FILE => self.file(text),
            a::OUTLINE => self.outline(text),
            a::PROCESSOR | "by" => format!("processor-{}", self.hex(text, 16)),
            a::SIGNATURE | a::OUTLINE_SIGNATURE => self.hex(text, text.len().min(144)),
            a::RESULTS if is_object(text, record) => {
                let key = self.key_of(record);
                key.map_or_else(|| self.hex(text, 16), |key| key.results())
            }
            a::RESULTS => self.hex(text, 16),
            a::BUCKET => format!("bucket-{}", self.hex(text, 8)),
            a::ERROR | "why" => self.reason(text),
            a::VERSION => version(text).unwrap_or_else(|| format!("redacted-{}", self.hex(text, 16))),
            _ => format!("redacted-{}", self.hex(text, 16)),
        }
    }

    /// A reason in words: what the program decides by stays, what follows is somebody's.
    fn reason(&self, text: &str) -> String {
        let begins = words::BEGINNINGS.iter().find(|begins| text.starts_with(**begins));
        if begins == Some(&text) {
            return text.to_owned();
        }
        let key = Bounds::named_by(text).map(|key| format!(" ({key})"));
        let attempt = text.rfind(words::ATTEMPT).and_then(|at| text.get(at..));
        let attempt = attempt.filter(|attempt| {
            let numbers = attempt.strip_prefix(words::ATTEMPT).unwrap_or_default();
            let letters = numbers.strip_suffix(')').unwrap_or("?").split(" of ");
            letters.clone().count() == 2 && letters.flat_map(str::chars).all(|letter| letter.is_ascii_digit())
        });
        let (begins, key) = (begins.copied().unwrap_or_default(), key.unwrap_or_default());
        let attempt = attempt.unwrap_or_default();
        format!("{begins}redacted-{}{key}{attempt}", self.hex(text, 16))
    }

    fn client(&self, text: &str) -> String {
        match ClientId::parse(text) {
            Ok(_) => format!("client-04{}", self.hex(text, 128)),
            Err(_) => format!("redacted-{}", self.hex(text, 16)),
        }
    }

    fn file(&self, text: &str) -> String {
        let hex = self.hex(text, 32);
        match (FileId::parse(text), hex.split_at(8)) {
            (Ok(_), (first, rest)) => {
                let (second, third, fourth, fifth) = (&rest[..4], &rest[4..8], &rest[8..12], &rest[12..]);
                format!("file-{first}-{second}-{third}-{fourth}-{fifth}")
            }
            (Err(_), _) => format!("redacted-{hex}"),
        }
    }

    fn outline(&self, text: &str) -> String {
        let Ok(mut outline) = serde_json::from_str::<Outline>(text) else {
            return format!("redacted-{}", self.hex(text, 16));
        };
        let client = ClientId::parse(&self.client(outline.client.as_str()));
        let file = FileId::parse(&self.file(outline.file.as_str()));
        if let (Ok(client), Ok(file)) = (client, file) {
            (outline.client, outline.file) = (client, file);
        }
        outline.name = outline
            .name
            .map(|name| format!("redacted-{}", self.hex(&name, 16)));
        outline.text()
    }

    fn key_of(&self, record: &Record<'_>) -> Option<JobKey> {
        let name = |name| record.get(name).and_then(Attribute::as_text);
        Some(JobKey {
            client: ClientId::parse(&self.client(name(a::CLIENT)?)).ok()?,
            file: FileId::parse(&self.file(name(a::FILE)?)).ok()?,
        })
    }

    /// So many hex digits that only this key makes of this text: the HMACs of the text behind the number of the block,
    /// as eight bytes, one after the other.
    fn hex(&self, text: &str, digits: usize) -> String {
        let mut hex = String::with_capacity(digits + 64);
        for block in 0_u64.. {
            if hex.len() >= digits {
                break;
            }
            let mut mac = self.keyed.clone();
            mac.update(&block.to_be_bytes());
            mac.update(text.as_bytes());
            for byte in mac.finalize().into_bytes() {
                let _ = write!(hex, "{byte:02x}");
            }
        }
        hex.truncate(digits);
        hex
    }
}

/// What a record without the history has lost, where it was too large to be an open job.
fn filler(before: &Record<'_>, after: &Record<'_>) -> Option<Attribute<'static>> {
    let status = before.get(a::STATUS).and_then(Attribute::as_text);
    if status.and_then(Status::parse).is_none_or(Status::is_finished) {
        return None;
    }
    let size = |record: &Record<'_>| {
        let history = record.get(a::HISTORY).map_or(0, Attribute::size_bytes);
        record.size_bytes() - history
    };
    lost(size(before), size(after), RECORD_BYTES_MAX)
}

/// So much filler as was lost of what had more than this.
fn lost(before: usize, after: usize, max: usize) -> Option<Attribute<'static>> {
    let is_lost = before > max && after < before;
    is_lost.then(|| Attribute::Opaque(Opaque(before - after)))
}

/// Whether a text is one that the program itself writes there: it then says nothing about anybody.
fn is_plain(name: &str, text: &str) -> bool {
    match name {
        a::STATUS => Status::parse(text).is_some(),
        a::LANE => Lane::parse(text).is_some_and(|lane| lane.to_string() == text),
        a::VERSION => text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.'),
        a::DUE => {
            // A place among the urgent ones has a digit before its moment.
            let moment = match text.as_bytes() {
                [b'!', b'0'..=b'9', b'#', ..] => text.get(3..),
                _ => Some(text),
            };
            moment.and_then(iso::read).is_some()
        }
        a::CREATED
        | a::ASSIGNED
        | a::DOWNLOADED
        | a::PROCESSED
        | a::CLEANING
        | a::CLEANED
        | "at"
        | "since" => iso::read(text).is_some(),
        "what" => ENDINGS.iter().any(|write| write.as_str() == text),
        "by" if text == OPERATOR => true,
        "why" => text == OPERATOR_ASKED,
        a::PROCESSOR | "by" => text.strip_prefix("processor-").is_some_and(|id| {
            let is_of_id = |byte: u8| byte.is_ascii_hexdigit() || byte == b'-';
            id.len() == 36 && id.bytes().all(is_of_id)
        }),
        _ => false,
    }
}

/// The version without the words that may follow its numbers: which fetchers take it still shows.
fn version(text: &str) -> Option<String> {
    let numbers = text
        .split(['-', '+'])
        .next()
        .filter(|numbers| !numbers.is_empty())?;
    let rest = text.strip_prefix(numbers)?;
    let pre = if rest.starts_with('-') { "-0" } else { "" };
    is_plain(a::VERSION, numbers).then(|| format!("{numbers}{pre}"))
}

/// Whether a result is the name of the object it lies in.
fn is_object(text: &str, record: &Record<'_>) -> bool {
    let name = |name| record.get(name).and_then(Attribute::as_text).unwrap_or_default();
    text == format!("{}/{}/results", name(a::CLIENT), name(a::FILE))
}

#[cfg(test)]
mod tests;
