//! A record as the table holds it: judges and makes a change as DynamoDB would.

use std::collections::BTreeMap;

use roundtrip_core::at::Timestamp;
use roundtrip_core::claim::Malformed;
use roundtrip_core::job::{Attempt, Job, Lane, LaneKind, PRIORITY_MAX, Status};
use roundtrip_core::lifecycle::{Change, RecordKey, Term, Value, attribute as a};
use roundtrip_core::names::{ClientId, FileId, JobKey};

use super::names;

/// Where the index keeps a record: the lane, the rank of its priority (the highest is 0, none the last), the moment.
pub(crate) type Place = (Lane, u8, Timestamp);

/// Attributes by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Record(BTreeMap<&'static str, Value>);

impl Record {
    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    pub(crate) fn attributes(&self) -> impl Iterator<Item = (&'static str, &Value)> {
        self.0.iter().map(|(name, value)| (*name, value))
    }

    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        let Some(Value::Text(text)) = self.0.get(name) else {
            return None;
        };
        Some(text)
    }

    pub(crate) fn time(&self, name: &str) -> Option<Timestamp> {
        match self.0.get(name) {
            Some(Value::Time(moment) | Value::Expiry(moment) | Value::Turn { due: moment, .. }) => {
                Some(*moment)
            }
            None | Some(Value::Text(_) | Value::Number(_) | Value::History(_)) => None,
        }
    }

    pub(crate) fn number(&self, name: &str) -> u64 {
        let Some(Value::Number(number)) = self.0.get(name) else {
            return 0;
        };
        *number
    }

    fn history(&self) -> &[Attempt] {
        let Some(Value::History(history)) = self.0.get(a::HISTORY) else {
            return &[];
        };
        history
    }

    /// How urgent it is: where it waits its place says so, elsewhere what its client stated.
    fn priority(&self) -> u8 {
        let waits = self.lane().is_some_and(|lane| lane.kind == LaneKind::Ready);
        match self.0.get(a::DUE) {
            Some(Value::Turn { priority, .. }) if waits => *priority,
            Some(_) if waits => 0,
            Some(_) | None => u8::try_from(self.number(a::PRIORITY))
                .unwrap_or(0)
                .min(PRIORITY_MAX),
        }
    }

    pub(crate) fn status(&self) -> Option<Status> {
        self.text(a::STATUS).and_then(Status::parse)
    }

    pub(crate) fn lane(&self) -> Option<Lane> {
        self.text(a::LANE).and_then(Lane::parse)
    }

    pub(crate) fn due(&self) -> Option<Timestamp> {
        self.time(a::DUE)
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.status().is_some_and(Status::is_finished)
    }

    /// Where the index keeps it.
    pub(crate) fn place(&self) -> Option<Place> {
        let rank = match self.0.get(a::DUE) {
            Some(Value::Turn { priority, .. }) => PRIORITY_MAX.saturating_sub(*priority),
            Some(_) | None => PRIORITY_MAX,
        };
        Some((self.lane()?, rank, self.due()?))
    }

    /// Bytes, names included, as DynamoDB counts them, near enough.
    pub(crate) fn bytes(&self) -> usize {
        let attempt = |attempt: &Attempt| 60 + attempt.by.len() + attempt.what.len() + attempt.why.len();
        let value = |value: &Value| match value {
            Value::Text(text) => text.len(),
            Value::Number(_) | Value::Expiry(_) => 8,
            Value::Time(_) => 24,
            Value::Turn { .. } => 27,
            Value::History(history) => history.iter().map(attempt).sum(),
        };
        self.0.iter().map(|(name, held)| name.len() + value(held)).sum()
    }

    pub(crate) fn holds(&self, term: &Term) -> bool {
        match term {
            Term::Exists => !self.0.is_empty(),
            Term::Missing(name) => !self.0.contains_key(name),
            Term::Is(name, value) => self.0.get(name) == Some(value),
            Term::Generation(generation) => self.number(a::RETRIES) == u64::from(*generation),
            Term::Finished => self.is_finished(),
            Term::NotAfter(name, moment) => self.time(name).is_some_and(|held| held <= *moment),
        }
    }

    /// Makes a change whose condition holds.
    pub(crate) fn apply(&mut self, change: &Change) {
        if self.0.is_empty() {
            self.0.insert(a::CLIENT, Value::Text(change.key.client.clone()));
            self.0.insert(a::FILE, Value::Text(change.key.file.clone()));
        }
        self.0.extend(change.set.iter().cloned());
        for name in &change.remove {
            self.0.remove(name);
        }
    }

    pub(crate) fn key(&self) -> RecordKey {
        RecordKey {
            client: self.text(a::CLIENT).unwrap_or_default().to_owned(),
            file: self.text(a::FILE).unwrap_or_default().to_owned(),
        }
    }

    /// Reads the record as the engine does.
    pub(crate) fn job(&self) -> Result<Job, Malformed> {
        let malformed = |why: &str| Malformed {
            key: self.key(),
            why: why.to_owned(),
            too_large: false,
            seen: Vec::new(),
        };
        let text = |name: &str| self.text(name).map(ToOwned::to_owned);
        let signed =
            |name: &str| text(name).ok_or_else(|| malformed(&format!("`{name}` is missing or no text")));
        let count = |name: &str| u32::try_from(self.number(name)).unwrap_or(u32::MAX);
        let client = ClientId::parse(self.text(a::CLIENT).unwrap_or_default());
        let file = FileId::parse(self.text(a::FILE).unwrap_or_default());
        let (client, file) = match (client, file) {
            (Ok(client), Ok(file)) => (client, file),
            (Err(error), _) | (_, Err(error)) => return Err(malformed(&error.to_string())),
        };
        let status = self
            .status()
            .ok_or_else(|| malformed("`status` is none of the four"))?;
        let created = signed(a::CREATED)?;
        let created_at = names::moment(&created).ok_or_else(|| malformed("`created` is no ISO 8601 time"))?;
        let Some(Value::Number(chunks)) = self.get(a::CHUNKS) else {
            return Err(malformed("`chunks` is missing or no whole number"));
        };
        Ok(Job {
            key: JobKey { client, file },
            status,
            version: signed(a::VERSION)?,
            created,
            created_at: Some(created_at),
            bucket: signed(a::BUCKET)?,
            chunks: *chunks,
            signature: signed(a::SIGNATURE)?,
            processor: text(a::PROCESSOR),
            assigned: self.time(a::ASSIGNED),
            downloaded: self.time(a::DOWNLOADED),
            processed: self.time(a::PROCESSED),
            results: text(a::RESULTS),
            results_type: text(a::RESULTS_TYPE),
            error: text(a::ERROR),
            outline: text(a::OUTLINE),
            outline_signature: text(a::OUTLINE_SIGNATURE),
            lane: self.lane(),
            due: self.due(),
            priority: self.priority(),
            retries: count(a::RETRIES),
            failures: count(a::FAILURES),
            history: self.history().to_vec(),
            cleaning: self.time(a::CLEANING),
            cleaned: self.time(a::CLEANED),
        })
    }
}
