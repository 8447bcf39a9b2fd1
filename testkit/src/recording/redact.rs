//! Takes what is personal out of entries: the same name always becomes the same other name.

use std::fmt::Write as _;

use hmac::{Hmac, KeyInit as _, Mac as _};
use roundtrip_core::lifecycle::attribute as a;
use roundtrip_core::names::{ClientId, FileId, JobKey, RESERVED_PREFIX};
use roundtrip_core::plan::Outline;
use roundtrip_core::record::{Attribute, Record};
use sha2::Sha256;

use super::entry::Entry;

/// Attributes of a job that say nothing about anybody.
const PLAIN: [&str; 20] = [
    a::STATUS,
    a::VERSION,
    a::CREATED,
    a::CHUNKS,
    a::PROCESSOR,
    a::ASSIGNED,
    a::DOWNLOADED,
    a::RESULTS_TYPE,
    a::PROCESSED,
    a::LANE,
    a::DUE,
    a::RETRIES,
    a::FAILURES,
    a::CLEANING,
    a::CLEANED,
    a::EXPIRES,
    "at",
    "by",
    "since",
    "what",
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

/// Replaces names and texts by others that tell nothing, the same ones always by the same.
///
/// It remembers nothing: each is the HMAC-SHA256 of what it replaces, and the key is known to nobody once the recorder
/// has ended. Without the key, nobody can tell by trying whether a name they guess is behind another. Signatures do not hold afterwards, which is why the verdict on them is recorded before.
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
                *image = self.record(image);
            }
        }
        let verdict = entry.own.as_mut().and_then(|own| own.signature.as_mut());
        if let Some(Err(why)) = verdict.map(|verdict| &mut verdict.0) {
            "the signature does not hold".clone_into(why);
        }
        entry
    }

    fn record(&self, record: &Record<'static>) -> Record<'static> {
        let value = |(name, value): (&str, &Attribute<'static>)| {
            (name.to_owned(), self.attribute(name, value, record))
        };
        record.iter().map(value).collect()
    }

    fn attribute(
        &self,
        name: &str,
        value: &Attribute<'static>,
        record: &Record<'static>,
    ) -> Attribute<'static> {
        if PLAIN.contains(&name) {
            return value.clone();
        }
        match value {
            Attribute::Text(text) => Attribute::text(self.text(name, text, record)),
            Attribute::Map(map) => Attribute::Map(self.record(map)),
            Attribute::List(list) => {
                let list = list.iter().map(|value| self.attribute(name, value, record));
                Attribute::List(list.collect())
            }
            Attribute::Number(_) | Attribute::Bool(_) | Attribute::Null(_) | Attribute::Opaque(_) => {
                value.clone()
            }
        }
    }

    fn text(&self, name: &str, text: &str, record: &Record<'_>) -> String {
        match name {
            a::CLIENT => self.client(text),
            a::FILE => self.file(text),
            a::OUTLINE => self.outline(text),
            a::SIGNATURE | a::OUTLINE_SIGNATURE => self.hex(text, text.len().min(144)),
            a::RESULTS if is_object(text, record) => {
                let key = self.key_of(record);
                key.map_or_else(|| self.hex(text, 16), |key| key.results())
            }
            a::RESULTS => self.hex(text, 16),
            a::BUCKET => format!("bucket-{}", self.hex(text, 8)),
            _ => format!("redacted-{}", self.hex(text, 16)),
        }
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

/// Whether a result is the name of the object it lies in.
fn is_object(text: &str, record: &Record<'_>) -> bool {
    let name = |name| record.get(name).and_then(Attribute::as_text).unwrap_or_default();
    text == format!("{}/{}/results", name(a::CLIENT), name(a::FILE))
}

#[cfg(test)]
mod tests;
