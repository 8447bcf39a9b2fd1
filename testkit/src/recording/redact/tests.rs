use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use roundtrip_core::job::Job;

use super::*;
use crate::recording::Reader;

fn entry() -> Entry<'static> {
    let client = format!("client-04{}", "ab".repeat(64));
    let file = "file-1a026c06-e99c-4f2f-842c-cb01c51849af";
    let outline = format!(
        r#"{{\"format\":1,\"client\":\"{client}\",\"file\":\"{file}\",\"size\":9,\"chunk_size\":4,\"codec\":\"zstd\",\"name\":\"secret.tif\"}}"#
    );
    let text = format!(
        r#"{{"eventName":"MODIFY","dynamodb":{{"Keys":{{"client":{{"S":"{client}"}},"file":{{"S":"{file}"}}}},
        "NewImage":{{"client":{{"S":"{client}"}},"file":{{"S":"{file}"}},"status":{{"S":"COMPLETED"}},
        "outline":{{"S":"{outline}"}},"signature":{{"S":"30ab"}},"results":{{"S":"{client}/{file}/results"}},
        "error":{{"S":"secret.tif is no image"}},"note":{{"S":"secret"}},"chunks":{{"N":"3"}},
        "history":{{"L":[{{"M":{{"what":{{"S":"fail"}},"why":{{"S":"secret"}},"by":{{"S":"processor-1 of secret"}},"version":{{"S":"secret"}}}}}}]}},
        "version":{{"S":"1.2.0+secret"}},"secret":{{"S":"x"}},"at":{{"M":{{"secret":{{"N":"1"}}}}}}}}}},
        "roundtrip":{{"signature":"the signature of secret does not hold"}}}}"#
    );
    let text = text.replace('\n', " ");
    Reader::new(text.as_bytes()).entries().next().unwrap().unwrap()
}

#[test]
fn nothing_personal_is_left_and_names_still_hold() {
    let redaction = Redaction::new([1; 32]);
    let redacted = redaction.redact(entry());
    let text = serde_json::to_string(&redacted).unwrap();
    for secret in ["secret", "abab", "1a026c06", "30ab"] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
    let image = redacted.body.after.as_ref().unwrap();
    let name = |name: &str| image.get(name).unwrap().as_text().unwrap();
    let client = ClientId::parse(name("client")).unwrap();
    let file = FileId::parse(name("file")).unwrap();
    assert_eq!(
        name("results"),
        JobKey {
            client: client.clone(),
            file: file.clone()
        }
        .results()
    );
    let outline = Outline::read(name("outline"), &client, &file, 3).unwrap();
    assert_eq!((outline.size, outline.chunk_size), (9, 4));
    assert_eq!(redacted.key().client, client.as_str());
}

#[test]
fn what_the_program_wrote_itself_stays() {
    let text = |name: &str, text: &str| Redaction::new([1; 32]).text(name, text, &Record::default());
    for (name, plain) in [
        ("status", "QUEUED"),
        ("lane", "ready#3"),
        ("created", "2025-09-25T11:21:51.690Z"),
        ("version", "0.1.0"),
        ("due", "2025-09-25T11:21:51.690Z"),
        ("due", "!3#2025-09-25T11:21:51.690Z"),
        ("what", "requeue"),
        ("why", "an operator asked for it"),
        ("by", "operator"),
        ("by", "processor-1a026c06-e99c-4f2f-842c-cb01c51849af"),
    ] {
        assert_eq!(text(name, plain), plain);
        for other in [format!("{plain} of Ada"), format!("Ada{plain}"), "Ada".to_owned()] {
            assert!(!text(name, &other).contains("Ada"), "{name} {other}");
        }
    }
    assert_eq!(text("by", "ours"), text("processor", "ours"));
    assert_eq!(text("version", "2.5.0-beta.ada+desk"), "2.5.0-0");
}

/// A replay tells by a reason how an attempt ended.
#[test]
fn of_a_reason_what_the_program_decides_by_stays() {
    let reason = |text: &str| Redaction::new([1; 32]).text("why", text, &Record::default());
    let hidden = |text: &str| reason(text).replace(&Redaction::new([1; 32]).hex(text, 16), "…");
    let stalled = "its upload stopped: no chunk of ada.tif came for 2m";
    assert_eq!(hidden(stalled), "its upload stopped: redacted-…");
    assert_eq!(reason("the fetcher was stopped"), "the fetcher was stopped");
    let failed = "ada.tif is no image (attempt 3 of 3)";
    assert_eq!(hidden(failed), "redacted-… (attempt 3 of 3)");
    assert_eq!(hidden("ada.tif (attempt ada of 3)"), "redacted-…");
    assert_eq!(hidden("ada.tif (attempt 3 of 3) by Ada"), "redacted-…");
}

/// What decisions are made from is the same afterwards.
#[test]
fn a_redacted_job_stands_where_it_stood() {
    let stands = |record: &Record<'_>| {
        let job = Job::read(record).ok()?;
        let attempts: Vec<_> = job
            .history
            .iter()
            .map(|one| {
                let begins = words::BEGINNINGS
                    .iter()
                    .find(|begins| one.why.starts_with(**begins));
                let asked = (one.is_operators(), one.by == OPERATOR);
                (one.at, one.since, one.failed, one.what.clone(), asked, begins)
            })
            .collect();
        let error = job.error.as_deref().unwrap_or_default();
        let error = (Bounds::named_by(error), error.contains(words::ATTEMPT));
        Some((
            (
                job.status,
                job.lane,
                job.due,
                job.priority,
                job.retries,
                job.failures,
            ),
            (job.created_at, job.assigned, job.downloaded, job.processed),
            (
                job.cleaning,
                job.cleaned,
                job.chunks,
                job.results_object().is_some(),
            ),
            (attempts, error),
        ))
    };
    let redaction = Redaction::new([1; 32]);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("recordings");
    let mut jobs = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let file = file.unwrap().path();
        if file.extension().is_none_or(|extension| extension != "jsonl") {
            continue;
        }
        for entry in Reader::new(BufReader::new(File::open(&file).unwrap())).entries() {
            let Ok(entry) = entry else { break };
            let before = entry.body.after.as_ref().and_then(stands);
            let after = redaction.redact(entry).body.after.as_ref().and_then(stands);
            assert_eq!(before, after, "{}", file.display());
            jobs += usize::from(before.is_some());
        }
    }
    assert!(jobs > 500, "{jobs}");
}

/// No fetcher takes it, and none does in a replay.
#[test]
fn a_record_that_is_too_large_stays_so() {
    let job = |name: &str, attribute: Attribute<'static>| {
        let mut entry = entry();
        let image = entry.body.after.as_mut().unwrap();
        for (signed, text) in [
            ("status", "QUEUED"),
            ("bucket", "b"),
            ("created", "2025-09-25T11:21:51.690Z"),
        ] {
            image.insert(signed, Attribute::text(text));
        }
        image.insert(name.to_owned(), attribute);
        entry
    };
    let read = |entry: Entry<'_>| {
        let text = serde_json::to_string(&entry).unwrap();
        let entry = Reader::new(text.as_bytes()).entries().next().unwrap().unwrap();
        Job::read(entry.body.after.as_ref().unwrap())
    };
    let note = Attribute::text("x".repeat(50_000));
    let why = Record::from([
        ("at", Attribute::text("2025-09-25T11:21:51.690Z")),
        ("why", note.clone()),
    ]);
    for (name, attribute) in [
        ("note", note.clone()),
        ("note", Attribute::Opaque(Opaque(50_000))),
        ("note", Attribute::List(vec![note.clone()])),
        ("version", note),
        ("history", Attribute::List(vec![Attribute::Map(why)])),
    ] {
        let large = job(name, attribute);
        assert!(read(large.clone()).unwrap_err().too_large, "{name}");
        let redacted = Redaction::new([1; 32]).redact(large);
        assert!(!format!("{redacted:?}").contains("xxx"), "{name}");
        assert!(read(redacted).unwrap_err().too_large, "{name}");
    }
    let small = Redaction::new([1; 32]).redact(job("note", Attribute::Opaque(Opaque(9))));
    assert_eq!(read(small).unwrap().chunks, 3);
}

#[test]
fn the_same_name_becomes_the_same_name_under_one_key() {
    let redaction = Redaction::new([1; 32]);
    assert_eq!(redaction.redact(entry()), redaction.redact(entry()));
    assert_ne!(redaction.redact(entry()), Redaction::new([2; 32]).redact(entry()));
}

/// Calculated with Python's `hmac`: the key is thirty-two sevens.
#[test]
fn a_name_is_the_hmac_of_the_block_and_the_text() {
    let hex = Redaction::new([7; 32]).hex("file-a", 80);
    assert_eq!(
        hex,
        "5940074f1b84e1bc68beb5a6afadaaaef71b321451817389fa2c143a6c9f0e03\
         04a7ccbdef25ad8c"
    );
}

#[test]
fn a_row_of_the_fleet_keeps_when_it_was_seen() {
    let mut row = entry();
    let text = |text: &'static str| Attribute::text(text);
    let image = Record::from([
        ("client".to_owned(), text("roundtrip#fleet")),
        ("file".to_owned(), text("processor-1#analyse")),
        ("host".to_owned(), text("ada's desk")),
        ("seen".to_owned(), text("2025-09-25T11:21:51.690Z")),
    ]);
    row.body.keys.clone_from(&image);
    row.body.after = Some(image);
    let after = Redaction::new([1; 32]).redact(row).body.after.unwrap();
    assert_eq!(
        after.iter().map(|(name, _)| name).collect::<Vec<_>>(),
        ["client", "file", "seen"]
    );
}
