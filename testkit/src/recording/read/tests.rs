use proptest::prelude::*;
use roundtrip_core::at::Timestamp;

use super::*;
use crate::recording::Writer;

const ENTRY: &str = r#"{"eventID":"1","eventName":"MODIFY","dynamodb":{"ApproximateCreationDateTime":1758799311,"Keys":{"client":{"S":"c"},"file":{"S":"f"}},"NewImage":{"chunks":{"N":"1"}},"SequenceNumber":"7"}}"#;

fn read(text: &str) -> Result<Vec<Entry<'static>>, String> {
    Reader::new(text.as_bytes())
        .entries()
        .collect::<Result<_, ReadError>>()
        .map_err(|error| error.to_string())
}

#[test]
fn the_three_forms_tell_the_same() {
    let line = read(ENTRY).unwrap();
    let answer =
        format!("{{\n  \"Records\": [\n    {ENTRY},\n {ENTRY}],\n  \"NextShardIterator\": \"i\"\n}}\n");
    let lambda = format!("{{\"Records\":[{ENTRY}]}}");
    let mut both = line.clone();
    both.extend(line.clone());
    assert_eq!(read(&answer).unwrap(), both);
    assert_eq!(read(&lambda).unwrap(), line);
    // Answers one after another, as a loop of the command line tool writes them.
    assert_eq!(read(&format!("{lambda}{lambda}\n\n{ENTRY}")).unwrap().len(), 3);
}

#[test]
fn the_records_alone_are_read_and_a_byte_order_mark_is_not() {
    let line = read(ENTRY).unwrap();
    let both = [line.clone(), line.clone()].concat();
    assert_eq!(read(&format!("[\n  {ENTRY},\n  {ENTRY}\n]\n")).unwrap(), both);
    assert_eq!(read(&format!("[{ENTRY}]\n[]\n[{ENTRY}]\n")).unwrap(), both);
    assert_eq!(read(&format!("\u{feff}{ENTRY}\n")).unwrap(), line);
    assert_eq!(read("\u{feff}").unwrap(), []);
    let told = read(&format!("[\n{ENTRY},\n{{\"eventName\":\"INSERT\"}}\n]")).unwrap_err();
    assert!(told.starts_with("line 3,"), "{told}");
}

#[test]
fn a_moment_is_a_number_or_a_text() {
    let of = |text: &str| read(&ENTRY.replace("1758799311", text)).unwrap()[0].moment();
    for text in ["1758799311", "1.758799311E9", "\"2025-09-25T13:21:51+02:00\""] {
        assert_eq!(of(text), Some(Timestamp(1_758_799_311_000)), "{text}");
    }
    assert_eq!(of("1758799311.69"), Some(Timestamp(1_758_799_311_690)));
}

#[test]
fn what_is_written_reads_the_same() {
    let entries = read(ENTRY).unwrap();
    let mut writer = Writer::new(Vec::new());
    writer.header(Some("a test"), Some("made by hand")).unwrap();
    for entry in &entries {
        writer.entry(entry).unwrap();
    }
    let text = writer.into_inner();
    assert_eq!(read(std::str::from_utf8(&text).unwrap()).unwrap(), entries);
    assert!(text.starts_with(br#"{"recording":{"format":1,"about":"a test","#));
}

#[test]
fn bytes_that_are_no_text_are_told_with_their_place() {
    let mut text = format!("{ENTRY}\n{{\"Records\": [\n    ").into_bytes();
    text.extend(b"\xff]}\n");
    let told = Reader::new(text.as_slice())
        .entries()
        .last()
        .unwrap()
        .unwrap_err();
    assert_eq!(told.to_string(), "line 3, column 5: it is no text in UTF-8");
}

#[test]
fn a_fault_is_told_with_its_place() {
    let answers = [
        format!("{ENTRY}\n\n{{\"eventName\": \"MODIFY\"}}\n"),
        format!("{ENTRY}\n{}\n", ENTRY.replace("MODIFY", "TOUCH")),
        format!("{ENTRY}\n{}\n", &ENTRY[..120]),
        format!("{ENTRY}\nnot json\n"),
        ENTRY.replace("\"S\":\"c\"", "\"Q\":\"c\""),
        ENTRY.replace("1758799311", "\"today\""),
        "{\"Records\": [\n{\"eventName\": \"INSERT\"}\n]}".to_owned(),
        "{\"recording\": {\"format\": 99}}".to_owned(),
    ]
    .map(|text| read(&text).unwrap_err());
    insta::assert_snapshot!(answers.join("\n"));
}

proptest! {
    #[test]
    fn no_text_breaks_the_reader(text in "[{}\\[\\]\",:a-zRecords0-9\\\\\n ]{0,80}") {
        let _ = read(&text);
    }
}
