//! One record of the stream, as the SDK gives it.

use std::collections::HashMap;

use aws_sdk_dynamodbstreams::types::{AttributeValue, OperationType, Record as Streamed};
use roundtrip_core::at::Timestamp;
use roundtrip_core::record::{Attribute, Opaque, Record};
use roundtrip_core::stream::BadRecord;
use roundtrip_testkit::recording::{Body, Entry, Identity, Kind as Recorded};

/// What happened to an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It was made or changed.
    Written,
    /// It was deleted by somebody.
    Deleted,
    /// It was deleted by the table: its time to live had passed.
    Expired,
}

/// A change of one item.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Its place in the shard.
    pub sequence: String,
    /// What happened.
    pub kind: Kind,
    /// The item's key.
    pub keys: Record<'static>,
    /// The item as it was before, where there was one.
    pub before: Option<Record<'static>>,
    /// The item as it was afterwards, where there was one.
    pub after: Option<Record<'static>>,
}

/// Who deletes items whose time to live has passed.
pub(super) const TTL_PRINCIPAL: &str = "dynamodb.amazonaws.com";

pub(super) fn of_sdk(record: Streamed) -> Result<Change, BadRecord> {
    let expired = record
        .user_identity
        .is_some_and(|identity| identity.principal_id.as_deref() == Some(TTL_PRINCIPAL));
    let Some(body) = record.dynamodb else {
        return Err(bad("", "the record has no body"));
    };
    let sequence = body.sequence_number.unwrap_or_default();
    let kind = match record.event_name {
        Some(OperationType::Insert | OperationType::Modify) => Kind::Written,
        Some(OperationType::Remove) if expired => Kind::Expired,
        Some(OperationType::Remove) => Kind::Deleted,
        // The SDK's enum is open.
        Some(_) | None => return Err(bad(&sequence, "its event is none of the three")),
    };
    let image = |image: Option<_>| image.map(|image| item(image, &sequence)).transpose();
    let keys = image(body.keys.filter(|keys| !keys.is_empty()))?;
    let keys = keys.ok_or_else(|| bad(&sequence, "it has no keys"))?;
    Ok(Change {
        kind,
        keys,
        before: image(body.old_image)?,
        after: image(body.new_image)?,
        sequence,
    })
}

fn bad(sequence: &str, why: &str) -> BadRecord {
    BadRecord {
        sequence: sequence.to_owned(),
        why: why.to_owned(),
    }
}

/// An item of this record as the core sees it.
fn item(image: HashMap<String, AttributeValue>, sequence: &str) -> Result<Record<'static>, BadRecord> {
    let unreadable = || bad(sequence, "an attribute has a type this version does not know");
    image
        .into_iter()
        .map(|(name, value)| Some((name, attribute(value)?)))
        .collect::<Option<_>>()
        .ok_or_else(unreadable)
}

/// A value of a stream as the core sees it; none of a type that the SDK does not know.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the variant for unknown types cannot be named"
)]
pub(super) fn attribute(value: AttributeValue) -> Option<Attribute<'static>> {
    Some(match value {
        AttributeValue::S(text) => Attribute::text(text),
        AttributeValue::N(digits) => Attribute::Number(digits.into()),
        AttributeValue::Bool(value) => Attribute::Bool(value),
        AttributeValue::Null(value) => Attribute::Null(value),
        AttributeValue::L(values) => {
            Attribute::List(values.into_iter().map(attribute).collect::<Option<_>>()?)
        }
        AttributeValue::M(values) => Attribute::Map(
            values
                .into_iter()
                .map(|(name, value)| Some((name, attribute(value)?)))
                .collect::<Option<_>>()?,
        ),
        AttributeValue::B(bytes) => Attribute::Opaque(Opaque(bytes.as_ref().len())),
        AttributeValue::Bs(set) => {
            Attribute::Opaque(Opaque(set.iter().map(|bytes| bytes.as_ref().len()).sum()))
        }
        AttributeValue::Ns(set) | AttributeValue::Ss(set) => {
            Attribute::Opaque(Opaque(set.iter().map(String::len).sum()))
        }
        _ => return None,
    })
}

/// A record of the stream as a recording keeps it.
pub(super) fn entry_of_sdk(record: Streamed) -> Result<Entry<'static>, BadRecord> {
    let Some(body) = record.dynamodb else {
        return Err(bad("", "the record has no body"));
    };
    let sequence = body.sequence_number.unwrap_or_default();
    let kind = match record.event_name {
        Some(OperationType::Insert) => Recorded::Insert,
        Some(OperationType::Modify) => Recorded::Modify,
        Some(OperationType::Remove) => Recorded::Remove,
        // The SDK's enum is open.
        Some(_) | None => return Err(bad(&sequence, "its event is none of the three")),
    };
    let image = |image: Option<_>| image.map(|image| item(image, &sequence)).transpose();
    let keys = image(body.keys)?.ok_or_else(|| bad(&sequence, "it has no keys"))?;
    let (before, after) = (image(body.old_image)?, image(body.new_image)?);
    let created = body.approximate_creation_date_time;
    Ok(Entry {
        id: record.event_id,
        kind,
        identity: record.user_identity.map(|identity| Identity {
            kind: identity.r#type,
            principal: identity.principal_id,
        }),
        body: Body {
            created: created.and_then(|moment| Some(Timestamp(moment.to_millis().ok()?))),
            keys,
            before,
            after,
            sequence: (!sequence.is_empty()).then_some(sequence),
            size_bytes: body.size_bytes.and_then(|bytes| u64::try_from(bytes).ok()),
            view: body.stream_view_type.map(|view| view.as_str().to_owned()),
        },
        own: None,
    })
}
