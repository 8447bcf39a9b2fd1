//! One record of the table's stream, as `GetRecords` returns it, with what the recorder adds.

use roundtrip_core::at::Timestamp;
use roundtrip_core::iso;
use roundtrip_core::lifecycle::{RecordKey, attribute as a};
use roundtrip_core::record::{Attribute, Record};
use serde::{Deserialize, Serialize};

use super::moment;

/// Who deletes records whose time to live has passed.
const TTL_PRINCIPAL: &str = "dynamodb.amazonaws.com";

/// What happened to a record of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Kind {
    /// It was made.
    Insert,
    /// It was changed.
    Modify,
    /// It was deleted, by somebody or by the table.
    Remove,
}

/// One record of the stream. What it was read from lends it the texts of its images.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry<'a> {
    /// The stream's id of it.
    #[serde(rename = "eventID", default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// What happened.
    #[serde(rename = "eventName")]
    pub kind: Kind,
    /// Who did it, where that was the table itself.
    #[serde(rename = "userIdentity", default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<Identity>,
    /// What it was done to.
    #[serde(rename = "dynamodb", borrow)]
    pub body: Body<'a>,
    /// What the recorder adds; others ignore it.
    #[serde(rename = "roundtrip", default, skip_serializing_if = "Option::is_none")]
    pub own: Option<Own>,
}

/// Who made a change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// `Service` for the table itself.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Which service.
    #[serde(
        rename = "principalId",
        alias = "PrincipalId",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub principal: Option<String>,
}

/// The record before and after the change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Body<'a> {
    /// When it happened, as the stream tells it: to the second.
    #[serde(
        rename = "ApproximateCreationDateTime",
        default,
        with = "moment",
        skip_serializing_if = "Option::is_none"
    )]
    pub created: Option<Timestamp>,
    /// The record's key.
    #[serde(rename = "Keys", borrow)]
    pub keys: Record<'a>,
    /// The record as it was, where there was one.
    #[serde(rename = "OldImage", borrow, default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Record<'a>>,
    /// The record as it is since, where there is one.
    #[serde(rename = "NewImage", borrow, default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Record<'a>>,
    /// Its place in its shard.
    #[serde(rename = "SequenceNumber", default, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<String>,
    /// Its size in bytes.
    #[serde(rename = "SizeBytes", default, skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<u64>,
    /// What the stream tells of a change: with both images, else jobs cannot be followed.
    #[serde(rename = "StreamViewType", default, skip_serializing_if = "Option::is_none")]
    pub view: Option<String>,
}

/// What the recorder adds to a record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Own {
    /// When it came to the recorder, ISO 8601.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arrived: Option<String>,
    /// The shard it was read from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shard: Option<String>,
    /// Whether the record is what its client signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<Verdict>,
}

/// `"holds"`, or why a signature does not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct Verdict(pub Result<(), String>);

impl From<String> for Verdict {
    fn from(text: String) -> Self {
        Self(if text == "holds" { Ok(()) } else { Err(text) })
    }
}

impl From<Verdict> for String {
    fn from(verdict: Verdict) -> Self {
        match verdict.0 {
            Ok(()) => "holds".to_owned(),
            Err(why) => why,
        }
    }
}

/// The first line of a recording: what it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// [`super::FORMAT`].
    pub format: u32,
    /// What it is about, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// Where it comes from: recorded, or edited from what.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
}

impl Entry<'_> {
    /// The same, with texts of its own.
    pub fn into_owned(self) -> Entry<'static> {
        let body = Body {
            created: self.body.created,
            keys: self.body.keys.into_owned(),
            before: self.body.before.map(Record::into_owned),
            after: self.body.after.map(Record::into_owned),
            sequence: self.body.sequence,
            size_bytes: self.body.size_bytes,
            view: self.body.view,
        };
        Entry {
            id: self.id,
            kind: self.kind,
            identity: self.identity,
            body,
            own: self.own,
        }
    }

    /// The key of the record that changed, whatever it is worth.
    pub fn key(&self) -> RecordKey {
        RecordKey::of(&self.body.keys)
    }

    /// Whether it has the keys of a jobs table.
    pub fn is_of_jobs_table(&self) -> bool {
        let is_text = |name| self.body.keys.get(name).and_then(Attribute::as_text).is_some();
        is_text(a::CLIENT) && is_text(a::FILE)
    }

    /// Whether the table deleted it because its time to live had passed.
    pub fn is_expiry(&self) -> bool {
        let principal = self
            .identity
            .as_ref()
            .and_then(|identity| identity.principal.as_deref());
        self.kind == Kind::Remove && principal == Some(TTL_PRINCIPAL)
    }

    /// When it happened, as far as the stream or else the recorder tells.
    pub fn moment(&self) -> Option<Timestamp> {
        let arrived = || self.own.as_ref()?.arrived.as_deref().and_then(iso::read);
        self.body.created.or_else(arrived)
    }

    /// Its place among the changes of its record; none where it is no number.
    pub fn place(&self) -> Option<u128> {
        self.body.sequence.as_ref()?.parse().ok()
    }

    /// What was said of the signature.
    pub fn verdict(&self) -> Option<&Result<(), String>> {
        Some(&self.own.as_ref()?.signature.as_ref()?.0)
    }
}
