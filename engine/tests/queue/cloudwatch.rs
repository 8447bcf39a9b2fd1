//! What `PutMetricData` says on the wire: CBOR, read here without the SDK.

use std::fmt::Write as _;

use minicbor::Decoder;
use minicbor::data::Type;
use serde_json::{Map, Value, json};

use crate::world::Seen;

/// The request's body, with times as whole seconds.
pub(crate) fn decoded(seen: &Seen) -> Value {
    assert_eq!(
        seen.path,
        "/service/GraniteServiceVersion20100801/operation/PutMetricData"
    );
    assert_eq!(seen.headers["smithy-protocol"], "rpc-v2-cbor");
    value(&mut Decoder::new(&seen.body))
}

fn value(decoder: &mut Decoder<'_>) -> Value {
    let kind = decoder.datatype().unwrap();
    if matches!(kind, Type::Map | Type::MapIndef) {
        let mut map = Map::new();
        let mut left = decoder.map().unwrap();
        while more(decoder, &mut left) {
            let name = decoder.str().unwrap().to_owned();
            map.insert(name, value(decoder));
        }
        Value::Object(map)
    } else if matches!(kind, Type::Array | Type::ArrayIndef) {
        let mut items = Vec::new();
        let mut left = decoder.array().unwrap();
        while more(decoder, &mut left) {
            items.push(value(decoder));
        }
        Value::Array(items)
    } else if kind == Type::Tag {
        decoder.tag().unwrap();
        value(decoder)
    } else if kind == Type::String {
        json!(decoder.str().unwrap())
    } else if matches!(kind, Type::F32 | Type::F64) {
        json!(decoder.f64().unwrap())
    } else {
        json!(decoder.i64().unwrap())
    }
}

/// Whether another item follows; of an open list its end is passed.
fn more(decoder: &mut Decoder<'_>, left: &mut Option<u64>) -> bool {
    match left {
        Some(0) => false,
        Some(count) => {
            *count -= 1;
            true
        }
        None if decoder.datatype().unwrap() == Type::Break => {
            decoder.skip().unwrap();
            false
        }
        None => true,
    }
}

/// A line for each metric: its name, dimensions, unit and number, ages in whole seconds.
pub(crate) fn lines(seen: &Seen) -> String {
    let body = decoded(seen);
    let mut text = format!("{}\n", body["Namespace"].as_str().unwrap());
    for datum in body["MetricData"].as_array().unwrap() {
        assert!(datum["Timestamp"].is_number());
        let number = datum["Value"].as_f64().unwrap();
        assert!(number.is_finite());
        let unit = datum["Unit"].as_str().unwrap();
        let shown = if unit == "Seconds" { number.floor() } else { number };
        let (name, dimensions) = (&datum["MetricName"], &datum["Dimensions"]);
        writeln!(text, "{name} {dimensions} {unit} {shown}").unwrap();
    }
    text
}
