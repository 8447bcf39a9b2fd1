//! Job records as DynamoDB items: a translation between the SDK's values and the core's, which reads them.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use roundtrip_core::claim::Malformed;
use roundtrip_core::job::Job;
use roundtrip_core::lifecycle::{RecordKey, Value, attribute as a};
use roundtrip_core::record::{Attribute, Opaque, Record};

pub use roundtrip_core::iso::{read as moment, write as iso};
pub(crate) use roundtrip_core::record::{place, turn_prefix};

/// A DynamoDB item.
pub type Item = HashMap<String, AttributeValue>;

/// A value as DynamoDB holds it.
pub fn attribute(value: &Value) -> AttributeValue {
    value_of(Attribute::from(value))
}

/// Reads a record: a job, or why it is none.
pub fn read(item: &Item) -> Result<Job, Malformed> {
    Job::read(&record(item))
}

/// The key of a record, whatever it is worth.
pub fn record_key(item: &Item) -> RecordKey {
    let text = |name: &str| {
        item.get(name)
            .and_then(|value| value.as_s().ok())
            .cloned()
            .unwrap_or_default()
    };
    RecordKey {
        client: text(a::CLIENT),
        file: text(a::FILE),
    }
}

/// Where the next page begins; none at the end, which a service may also tell by an empty key.
pub(crate) fn next_page(last: Option<&Item>) -> Option<Item> {
    last.filter(|key| !key.is_empty()).cloned()
}

/// An item as the core sees it.
pub fn record(item: &Item) -> Record<'_> {
    item.iter()
        .map(|(name, value)| (name.as_str(), attribute_of(value)))
        .collect()
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the variant for unknown types cannot be named"
)]
fn attribute_of(value: &AttributeValue) -> Attribute<'_> {
    match value {
        AttributeValue::S(text) => Attribute::text(text),
        AttributeValue::N(digits) => Attribute::Number(digits.into()),
        AttributeValue::Bool(value) => Attribute::Bool(*value),
        AttributeValue::Null(value) => Attribute::Null(*value),
        AttributeValue::M(map) => Attribute::Map(record(map)),
        AttributeValue::L(list) => Attribute::List(list.iter().map(attribute_of).collect()),
        other => Attribute::Opaque(opaque(other)),
    }
}

/// How much a value is whose type no record of ours has.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the variant for unknown types cannot be named"
)]
fn opaque(value: &AttributeValue) -> Opaque {
    Opaque(match value {
        AttributeValue::B(bytes) => bytes.as_ref().len(),
        AttributeValue::Bs(set) => set.iter().map(|bytes| bytes.as_ref().len()).sum(),
        AttributeValue::Ss(set) | AttributeValue::Ns(set) => set.iter().map(String::len).sum(),
        _ => 0,
    })
}

fn value_of(attribute: Attribute<'_>) -> AttributeValue {
    match attribute {
        Attribute::Text(text) => AttributeValue::S(text.into_owned()),
        Attribute::Number(digits) => AttributeValue::N(digits.into_owned()),
        Attribute::Bool(value) => AttributeValue::Bool(value),
        Attribute::Null(value) => AttributeValue::Null(value),
        Attribute::Map(map) => {
            let map = map
                .into_iter()
                .map(|(name, value)| (name.into_owned(), value_of(value)));
            AttributeValue::M(map.collect())
        }
        Attribute::List(list) => AttributeValue::L(list.into_iter().map(value_of).collect()),
        Attribute::Opaque(_) => AttributeValue::Null(true),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use roundtrip_core::at::Timestamp;

    use super::*;

    #[test]
    fn an_item_is_read_as_it_was_written() {
        let record = Record::from([
            ("a", Attribute::text("x")),
            ("b", Attribute::number(1)),
            ("c", Attribute::Bool(true)),
            ("d", Attribute::Null(true)),
            (
                "e",
                Attribute::List(vec![Attribute::Map(Record::from([("f", Attribute::text("y"))]))]),
            ),
        ]);
        let item: Item = record
            .iter()
            .map(|(name, value)| (name.to_owned(), value_of(value.clone())))
            .collect();
        assert_eq!(super::record(&item), record);
        let sets = Item::from([("a".to_owned(), AttributeValue::Ss(vec!["x".to_owned()]))]);
        assert_eq!(super::record(&sets).get("a"), Some(&Attribute::Opaque(Opaque(1))));
    }

    proptest! {
        // The core reads and writes dates itself: jiff is the judge.
        #[test]
        fn dates_are_those_of_the_calendar(ms in -60_000_000_000_000_i64..253_000_000_000_000) {
            let theirs = jiff::Timestamp::from_millisecond(ms).unwrap();
            prop_assert_eq!(iso(Timestamp(ms)), format!("{theirs:.3}"));
            prop_assert_eq!(moment(&theirs.to_string()), Some(Timestamp(ms)));
        }

        #[test]
        fn texts_are_moments_where_jiff_says_so(
            text in "20[0-9]{2}-[01][0-9]-[0-3][0-9][T ][0-2][0-9]:[0-5][0-9]:[0-6][0-9]([.,][0-9]{1,9})?(Z|[+-][0-2][0-9]:?[0-5][0-9])"
        ) {
            let theirs = text.parse::<jiff::Timestamp>().ok().map(|at| Timestamp(at.as_millisecond()));
            prop_assert_eq!(moment(&text), theirs, "{}", text);
        }
    }
}
