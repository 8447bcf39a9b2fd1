//! A history as a recording: what the table's stream told, in the words of the stream, for a replay.

use roundtrip_core::job::{Attempt, PRIORITY_MAX};
use roundtrip_core::lifecycle::Value;
use serde_json::{Map, json};

use crate::model::names;
use crate::model::record::Record;
use crate::model::stream::{News, Stream};

/// The version of the form.
const FORMAT: u32 = 1;

/// A line that says what it is, then one line for each record of the stream, by time.
pub(super) fn lines(stream: &Stream, about: &str) -> Vec<String> {
    let header = json!({"recording": {"format": FORMAT, "about": about, "origin": "simulated"}});
    let entries = stream.all().into_iter().enumerate();
    let entries = entries.map(|(number, (shard, news))| entry(number, shard, news).to_string());
    std::iter::once(header.to_string()).chain(entries).collect()
}

fn entry(number: usize, shard: &str, news: &News) -> serde_json::Value {
    let kind = match (&news.before, &news.after) {
        (None, _) => "INSERT",
        (Some(_), Some(_)) => "MODIFY",
        (Some(_), None) => "REMOVE",
    };
    let mut body = Map::new();
    body.insert(
        "ApproximateCreationDateTime".to_owned(),
        json!(news.when.0.div_euclid(1_000)),
    );
    let keys = json!({"client": {"S": news.key.client}, "file": {"S": news.key.file}});
    body.insert("Keys".to_owned(), keys);
    for (name, image) in [("OldImage", &news.before), ("NewImage", &news.after)] {
        if let Some(image) = image {
            body.insert(name.to_owned(), record(image));
        }
    }
    body.insert("SequenceNumber".to_owned(), json!(format!("{:021}", number + 1)));
    body.insert("StreamViewType".to_owned(), json!("NEW_AND_OLD_IMAGES"));
    let mut own = json!({"arrived": names::iso(news.when), "shard": shard});
    // Signatures of the model are none of a real key: what was found of them is said beside.
    if let Some(Ok(job)) = news.after.as_ref().map(|image| image.job()) {
        let verdict = names::verify(&job).err().unwrap_or_else(|| "holds".to_owned());
        own["signature"] = json!(verdict);
    }
    let mut entry = json!({"eventName": kind, "dynamodb": body, "roundtrip": own});
    if news.after.is_none() {
        entry["userIdentity"] = json!({"type": "Service", "principalId": "dynamodb.amazonaws.com"});
    }
    entry
}

fn record(record: &Record) -> serde_json::Value {
    let attributes = record
        .attributes()
        .map(|(name, held)| (name.to_owned(), value(held)));
    serde_json::Value::Object(attributes.collect())
}

fn value(value: &Value) -> serde_json::Value {
    match value {
        Value::Text(text) => json!({"S": text}),
        Value::Number(number) => json!({"N": number.to_string()}),
        Value::Time(moment) => json!({"S": names::iso(*moment)}),
        Value::Turn { priority, due } => {
            let rank = PRIORITY_MAX.saturating_sub(*priority);
            json!({"S": format!("!{rank}#{}", names::iso(*due))})
        }
        Value::Expiry(moment) => json!({"N": moment.0.div_euclid(1_000).to_string()}),
        Value::History(attempts) => json!({"L": attempts.iter().map(attempt).collect::<Vec<_>>()}),
    }
}

fn attempt(attempt: &Attempt) -> serde_json::Value {
    let mut map = Map::new();
    let mut put = |name: &str, value: serde_json::Value| drop(map.insert(name.to_owned(), value));
    put("at", json!({"S": names::iso(attempt.at)}));
    put("by", json!({"S": attempt.by}));
    put("what", json!({"S": attempt.what}));
    put("why", json!({"S": attempt.why}));
    if let Some(since) = attempt.since {
        put("since", json!({"S": names::iso(since)}));
    }
    if attempt.failed {
        put("failed", json!({"BOOL": true}));
    }
    json!({"M": map})
}
