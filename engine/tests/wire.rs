//! The vectors made with Node's crypto, and the commands around keys, through the compiled program.

#![expect(
    clippy::unwrap_used,
    reason = "outside `#[test]` functions, the lint takes helpers of tests for program code"
)]

use std::fs;
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use p256::SecretKey;
use p256::pkcs8::{EncodePrivateKey, LineEnding};
use serde_json::{Value, json};
use tempfile::TempDir;

const VECTORS: &str = include_str!("vectors/wire.json");

fn vectors(kind: &str) -> Vec<Value> {
    let vectors: Value = serde_json::from_str(VECTORS).unwrap();
    vectors[kind].as_array().unwrap().clone()
}

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// Runs the program in a folder with this on standard input.
fn roundtrip(folder: &Path, arguments: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_roundtrip"))
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that has seen enough closes its input: no fault of the test.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

/// What a person sees: exit code, standard output, standard error.
fn seen(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    format!(
        "{}\n{}---\n{}",
        code(output),
        text(&output.stdout),
        text(&output.stderr)
    )
}

/// Writes a raw private key of the vectors as PEM.
fn pem(folder: &Path, private_key: &Value) -> PathBuf {
    let key = SecretKey::from_slice(&hex::decode(private_key.as_str().unwrap()).unwrap()).unwrap();
    let path = folder.join("key.pem");
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&path)
        .unwrap();
    file.write_all(key.to_pkcs8_pem(LineEnding::LF).unwrap().as_bytes())
        .unwrap();
    path
}

/// The record of a vector: the signed properties and the signature.
fn record(entry: &Value) -> Value {
    let mut record = entry["job"].clone();
    record["signature"] = entry["signature"].clone();
    record
}

fn dynamodb(record: &Value) -> Value {
    let typed = |(name, value): (&String, &Value)| {
        let typed = match value.as_u64() {
            Some(number) => json!({ "N": number.to_string() }),
            None => json!({ "S": value }),
        };
        (name.clone(), typed)
    };
    record
        .as_object()
        .unwrap()
        .iter()
        .map(typed)
        .collect::<serde_json::Map<_, _>>()
        .into()
}

#[test]
fn every_job_of_the_vectors_comes_out_as_marked() {
    let folder = folder();
    let entries = vectors("jobs");
    assert_eq!(entries.len(), 48);
    for entry in entries {
        let record = record(&entry);
        let valid = entry["valid"].as_bool().unwrap();
        let expected = i32::from(!valid);
        let file = folder.path().join("job.json");
        fs::write(&file, record.to_string()).unwrap();
        let by_file = roundtrip(folder.path(), &["job", "verify", "job.json"], b"");
        assert_eq!(code(&by_file), expected, "{entry}");
        let said = String::from_utf8_lossy(if valid { &by_file.stdout } else { &by_file.stderr });
        let start = if valid {
            "the signature holds: "
        } else {
            "Error: the signature does not hold: "
        };
        assert!(
            said.starts_with(start) && said.trim_end().lines().count() == 1,
            "{said}"
        );

        let item = json!({ "Item": dynamodb(&record) }).to_string();
        let by_input = roundtrip(folder.path(), &["job", "verify", "-"], item.as_bytes());
        assert_eq!(code(&by_input), expected, "{entry}");
    }
}

#[test]
fn every_sealed_result_of_the_vectors_comes_out_as_marked() {
    let folder = folder();
    let entries = vectors("sealed");
    assert_eq!(entries.len(), 27);
    for entry in entries {
        let key = pem(folder.path(), &entry["private_key"]);
        let sealed = entry["sealed"].as_str().unwrap();
        let arguments = ["results", "open", "--key", key.to_str().unwrap()];
        for input in [sealed.to_owned(), format!(" \n{sealed}\r\n")] {
            let output = roundtrip(folder.path(), &arguments, input.as_bytes());
            if entry["opens"].as_bool().unwrap() {
                assert_eq!(code(&output), 0, "{entry}");
                assert_eq!(output.stdout, entry["plain"].as_str().unwrap().as_bytes());
                assert_eq!(output.stderr, b"");
            } else {
                assert_eq!(code(&output), 1, "{entry}");
                assert_eq!(output.stdout, b"", "nothing of a result that does not open");
                let said = String::from_utf8_lossy(&output.stderr);
                assert!(said.starts_with("Error: the result does not open: "), "{said}");
            }
        }
    }
}

#[test]
fn the_vectors_private_keys_give_their_client_ids() {
    let folder = folder();
    for entry in vectors("jobs")
        .iter()
        .filter(|entry| entry["private_key"].is_string())
    {
        let key = pem(folder.path(), &entry["private_key"]);
        let output = roundtrip(
            folder.path(),
            &["keys", "show", "--key", key.to_str().unwrap()],
            b"",
        );
        let client = format!("{}\n", entry["job"]["client"].as_str().unwrap());
        assert_eq!(String::from_utf8(output.stdout).unwrap(), client);
    }
}

#[test]
fn a_key_is_made_shown_and_never_replaced() {
    let folder = folder();
    let made = roundtrip(folder.path(), &["keys", "new"], b"");
    assert_eq!(code(&made), 0, "{}", seen(&made));
    let path = folder.path().join(".roundtrip/client.pem");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let client = String::from_utf8(made.stdout).unwrap();
    assert!(client.starts_with("client-04") && client.len() == 138, "{client}");

    let shown = roundtrip(folder.path(), &["keys", "show", "--state", ".roundtrip"], b"");
    assert_eq!(String::from_utf8(shown.stdout).unwrap(), client);
    let json = roundtrip(folder.path(), &["keys", "show", "--format", "json"], b"");
    let json: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(
        json,
        json!({ "client": client.trim(), "key": ".roundtrip/client.pem" })
    );

    let before = fs::read(&path).unwrap();
    let again = roundtrip(folder.path(), &["keys", "new"], b"");
    insta::assert_snapshot!(seen(&again), @"
    78
    ---
    Error: .roundtrip/client.pem exists already: a key is never replaced
    Hint: results sealed for a key open with that key alone: use it, or move it away first; roundtrip keys show --key .roundtrip/client.pem tells which client it is
    ");
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn a_missing_key_or_file_is_told_from_a_failed_check() {
    let folder = folder();
    let outputs = [
        roundtrip(folder.path(), &["keys", "show"], b""),
        roundtrip(folder.path(), &["results", "open", "--key", "none.pem"], b""),
        roundtrip(folder.path(), &["job", "verify", "none.json"], b""),
        roundtrip(folder.path(), &["job", "verify", "."], b""),
        roundtrip(folder.path(), &["job", "verify", "-"], b"{\"status\":\"QUEUED\"}"),
        roundtrip(folder.path(), &["job", "verify", "-"], b"\xff\xfe"),
    ];
    insta::assert_snapshot!(outputs.iter().map(seen).collect::<Vec<_>>().join("\n"), @"
    78
    ---
    Error: there is no key at .roundtrip/client.pem
    Hint: make one: roundtrip keys new --key .roundtrip/client.pem

    78
    ---
    Error: there is no key at none.pem
    Hint: name the key of the client the result was sealed for: no other opens it

    64
    ---
    Error: there is no file none.json
    Hint: name a file with a job record as JSON, or - for standard input

    1
    ---
    Error: could not read .
    Caused by: Is a directory (os error 21)

    1
    ---
    Error: standard input is not a job record: it has no property `version`

    1
    ---
    Error: standard input is not a job record: it is not JSON: expected value at line 1 column 1
    ");
    let no_key = roundtrip(folder.path(), &["results", "open"], b"");
    assert_eq!(code(&no_key), 64);
}

#[test]
fn a_key_open_to_others_opens_a_result_with_a_warning_but_is_not_shown() {
    let folder = folder();
    let entry = &vectors("sealed")[0];
    let key = pem(folder.path(), &entry["private_key"]);
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let sealed = entry["sealed"].as_str().unwrap();
    let opened = roundtrip(
        folder.path(),
        &["results", "open", "--key", "key.pem"],
        sealed.as_bytes(),
    );
    insta::assert_snapshot!(seen(&opened), @"
    0
    This is a secret message.---
    Warning: the key key.pem is open to others than its owner (mode 0644)
    Hint: chmod 600 key.pem
    ");
    let shown = roundtrip(folder.path(), &["keys", "show", "--key", "key.pem"], b"");
    assert_eq!(code(&shown), 78);
}

#[test]
fn input_that_is_no_sealed_result_is_said() {
    let folder = folder();
    pem(folder.path(), &vectors("sealed")[0]["private_key"]);
    let inputs = [&b""[..], b" \n", b"\xff", b"hello", b"a:b:c:d", b"::::"];
    let open = |input| {
        seen(&roundtrip(
            folder.path(),
            &["results", "open", "--key", "key.pem"],
            input,
        ))
    };
    insta::assert_snapshot!(inputs.map(open).join("\n"), @"
    1
    ---
    Error: the result does not open: standard input is empty

    1
    ---
    Error: the result does not open: standard input is empty

    1
    ---
    Error: the result does not open: it is not text

    1
    ---
    Error: the result does not open: the sealed text is not `<public key>:<iv>:<tag>:<ciphertext>`: number of parts 1

    1
    ---
    Error: the result does not open: the ephemeral public key is not hex

    1
    ---
    Error: the result does not open: the sealed text is not `<public key>:<iv>:<tag>:<ciphertext>`: number of parts 5
    ");
}
