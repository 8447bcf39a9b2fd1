//! An answer of the stream that the SDK cannot read, read record by record.

use roundtrip_core::record::Record;
use roundtrip_core::stream::BadRecord;
use roundtrip_testkit::recording::Entry;
use serde::Deserialize as _;
use serde_json::Value;

use super::record::{Change, Kind, TTL_PRINCIPAL};
use super::{Entries, Records};

/// The records of an answer; none where the answer itself is no answer.
pub(super) fn records(body: &[u8]) -> Option<Records> {
    let answer: Value = serde_json::from_slice(body).ok()?;
    let mut records = Records {
        next: answer
            .get("NextShardIterator")
            .and_then(Value::as_str)
            .map(str::to_owned),
        ..Records::default()
    };
    for value in answer.get("Records")?.as_array()? {
        records.take(record(value));
    }
    Some(records)
}

/// The records of an answer as a recording keeps them.
pub(super) fn entries(body: &[u8]) -> Option<Entries> {
    let answer: Value = serde_json::from_slice(body).ok()?;
    let next = answer.get("NextShardIterator").and_then(Value::as_str);
    let mut entries = Entries {
        next: next.map(str::to_owned),
        ..Entries::default()
    };
    for value in answer.get("Records")?.as_array()? {
        let sequence = value.pointer("/dynamodb/SequenceNumber").and_then(Value::as_str);
        let bad = |error: serde_json::Error| BadRecord {
            sequence: sequence.unwrap_or_default().to_owned(),
            why: error.to_string(),
        };
        entries.take(Entry::deserialize(value).map(Entry::into_owned).map_err(bad));
    }
    Some(entries)
}

fn record(value: &Value) -> Result<Change, BadRecord> {
    let body = value.get("dynamodb");
    let text = |name| body.and_then(|body| body.get(name)).and_then(Value::as_str);
    let sequence = text("SequenceNumber").unwrap_or_default().to_owned();
    let bad = |why: &str| BadRecord {
        sequence: sequence.clone(),
        why: why.to_owned(),
    };
    let principal = value.pointer("/userIdentity/principalId").and_then(Value::as_str);
    let kind = match value.get("eventName").and_then(Value::as_str) {
        Some("INSERT" | "MODIFY") => Kind::Written,
        Some("REMOVE") if principal == Some(TTL_PRINCIPAL) => Kind::Expired,
        Some("REMOVE") => Kind::Deleted,
        Some(_) | None => return Err(bad("its event is none of the three")),
    };
    let body = body.ok_or_else(|| bad("the record has no body"))?;
    let keys = body.get("Keys").and_then(item).filter(|keys| !keys.is_empty());
    let keys = keys.ok_or_else(|| bad("it has no readable keys"))?;
    let image = |name| match body.get(name).map(item) {
        Some(None) => Err(bad("an attribute of its image cannot be read")),
        Some(image) => Ok(image),
        None => Ok(None),
    };
    let (before, after) = (image("OldImage")?, image("NewImage")?);
    Ok(Change {
        sequence,
        kind,
        keys,
        before,
        after,
    })
}

fn item(value: &Value) -> Option<Record<'static>> {
    Some(Record::deserialize(value).ok()?.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_record_keeps_nobody_from_the_others() {
        let body = br#"{"NextShardIterator": "i", "Records": [
            {"eventName": "MODIFY", "dynamodb": {"SequenceNumber": "1", "Keys": {"client": {"S": "c"}}}},
            {"eventName": "MODIFY", "dynamodb": {"SequenceNumber": "2", "Keys": {"client": {"S": 5}}}},
            {"eventName": "MODIFY", "dynamodb": {"SequenceNumber": "3", "Keys": {"client": {"S": "c"}},
             "NewImage": {"chunks": {"Q": "?"}}}},
            {"eventName": "REMOVE", "dynamodb": {"SequenceNumber": "4", "Keys": {"client": {"S": "c"}}},
             "userIdentity": {"type": "Service", "principalId": "dynamodb.amazonaws.com"}}
        ]}"#;
        let records = records(body).unwrap();
        let kinds: Vec<_> = records.changes.iter().map(|change| change.kind).collect();
        assert_eq!(kinds, [Kind::Written, Kind::Expired]);
        let bad: Vec<_> = records.bad.iter().map(|bad| bad.sequence.as_str()).collect();
        assert_eq!(bad, ["2", "3"]);
        assert_eq!(
            (records.last.as_deref(), records.next.as_deref()),
            (Some("4"), Some("i"))
        );
    }
}
