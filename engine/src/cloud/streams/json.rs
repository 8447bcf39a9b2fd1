//! An answer of the stream that the SDK cannot read, read record by record.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use roundtrip_core::stream::BadRecord;
use serde_json::Value;

use super::Records;
use super::record::{Change, Kind, TTL_PRINCIPAL};
use crate::cloud::item::Item;

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

fn item(value: &Value) -> Option<Item> {
    let attributes = value.as_object()?;
    attributes
        .iter()
        .map(|(name, value)| Some((name.clone(), attribute(value)?)))
        .collect()
}

/// `{"S": "text"}` and the other types a record of ours may hold. Binary values are none of ours: they are read
/// as absent.
fn attribute(value: &Value) -> Option<AttributeValue> {
    let typed = value.as_object().filter(|typed| typed.len() == 1)?;
    let (kind, value) = typed.iter().next()?;
    let texts = || -> Option<Vec<String>> {
        let values = value.as_array()?;
        values
            .iter()
            .map(|value| Some(value.as_str()?.to_owned()))
            .collect()
    };
    Some(match kind.as_str() {
        "S" => AttributeValue::S(value.as_str()?.to_owned()),
        "N" => AttributeValue::N(value.as_str()?.to_owned()),
        "BOOL" => AttributeValue::Bool(value.as_bool()?),
        "NULL" | "B" | "BS" => AttributeValue::Null(true),
        "SS" => AttributeValue::Ss(texts()?),
        "NS" => AttributeValue::Ns(texts()?),
        "L" => {
            let values = value.as_array()?;
            AttributeValue::L(values.iter().map(attribute).collect::<Option<_>>()?)
        }
        "M" => {
            let values = value.as_object()?;
            let read = |(name, value): (&String, &Value)| Some((name.clone(), attribute(value)?));
            AttributeValue::M(values.iter().map(read).collect::<Option<HashMap<_, _>>>()?)
        }
        _ => return None,
    })
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
