use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::wire::keys::ClientKey;

/// A sound record as plain JSON.
fn plain() -> Value {
    let key = ClientKey::generate().unwrap();
    let mut record = Record {
        version: "2.5.21 \"beta\"\té".to_owned(),
        created: "2025-09-25T11:21:51.690Z".to_owned(),
        bucket: "lab\\bucket/ü".to_owned(),
        file: "not a file id".to_owned(),
        chunks: 20,
        client: key.client_id().to_string(),
        signature: String::new(),
    };
    let Record {
        version,
        created,
        bucket,
        file,
        chunks,
        client,
        ..
    } = &record;
    let signed = Signed {
        version,
        created,
        bucket,
        file,
        chunks: *chunks,
        client,
    };
    record.signature = key.sign(&signed.text());
    json!({
        "signature": record.signature, "client": record.client, "chunks": record.chunks, "file": record.file,
        "bucket": record.bucket, "created": record.created, "version": record.version, "status": "COMPLETED",
        "results": ["anything", { "at": "all" }], "retries": 3,
    })
}

/// The same as DynamoDB writes it.
fn dynamodb(record: &Value) -> Value {
    let typed = |(name, value): (&String, &Value)| {
        let value = match value {
            Value::String(text) => json!({ "S": text }),
            Value::Number(number) => json!({ "N": number.to_string() }),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => json!({ "L": value }),
        };
        (name.clone(), value)
    };
    record
        .as_object()
        .unwrap()
        .iter()
        .map(typed)
        .collect::<Map<_, _>>()
        .into()
}

fn read(value: &Value) -> Result<Record, RecordError> {
    Record::read(value.to_string().as_bytes())
}

#[test]
fn each_form_of_a_record_reads_the_same() {
    let plain = plain();
    let expected = read(&plain).unwrap();
    assert_eq!(expected.verify(), Ok(()));
    let beside = json!({ "signature": plain["signature"], "job": without(&plain, "signature") });
    let typed = dynamodb(&plain);
    for form in [
        json!({ "Item": plain }),
        json!({ "Item": typed }),
        typed,
        beside,
        json!({ "job": plain }),
    ] {
        assert_eq!(read(&form).unwrap(), expected, "{form}");
    }
}

fn without(record: &Value, name: &str) -> Value {
    let mut record = record.clone();
    record.as_object_mut().unwrap().remove(name);
    record
}

#[test]
fn each_signed_property_counts() {
    let plain = plain();
    for name in ["version", "created", "bucket", "file"] {
        let mut altered = plain.clone();
        altered[name] = json!("other");
        assert_eq!(
            read(&altered).unwrap().verify(),
            Err(SignatureError::Mismatch.into()),
            "{name}"
        );
    }
    let mut altered = plain.clone();
    altered["client"] = json!("client-1");
    assert_eq!(read(&altered).unwrap().verify(), Err(NameError::Client.into()));
}

#[test]
fn what_is_no_record_is_said() {
    let plain = plain();
    let mut texts = vec![
        String::new(),
        "{".to_owned(),
        "[]".to_owned(),
        "1".to_owned(),
        "{}".to_owned(),
    ];
    texts.push("[".repeat(100_000));
    texts.push(without(&plain, "signature").to_string());
    for (name, value) in [
        ("chunks", json!(-1)),
        ("chunks", json!(1.5)),
        ("chunks", json!("20")),
        ("chunks", json!({ "N": 20 })),
        ("file", json!(null)),
        ("file", json!({ "S": 1 })),
    ] {
        let mut record = plain.clone();
        record[name] = value;
        texts.push(record.to_string());
    }
    texts.push(" ".repeat(RECORD_BYTES_MAX + 1));
    let said = |text: &String| Record::read(text.as_bytes()).unwrap_err().to_string();
    insta::assert_snapshot!(texts.iter().map(said).collect::<Vec<_>>().join("\n"), @"
    it is empty
    it is not JSON: EOF while parsing an object at line 1 column 1
    it is JSON, but not an object
    it is JSON, but not an object
    it has no property `version`
    it is not JSON: recursion limit exceeded at line 1 column 128
    it has no property `signature`
    its property `chunks` is not a whole number
    its property `chunks` is not a whole number
    its property `chunks` is not a whole number
    its property `chunks` is not a whole number
    its property `file` is not text
    its property `file` is not text
    it is larger than 4194304 bytes
    ");
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(Record::read(&bytes).is_err());
    }

    #[test]
    fn no_record_makes_it_panic(name in "version|file|chunks|client|signature|Item|job", value in "\\PC{0,80}") {
        let mut record = plain();
        record[&name] = serde_json::from_str(&value).unwrap_or_else(|_| json!(value));
        if let Ok(record) = read(&record) {
            let _ = record.verify();
        }
    }
}
