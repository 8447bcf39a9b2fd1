use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Barrier;
use std::thread;

use tempfile::TempDir;

use super::*;
use crate::error::{Error, render};

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn write(path: &Path, text: &str, mode: u32) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// What a person reads, with the test's folder left out.
fn report(fault: KeyError, folder: &TempDir) -> String {
    render(&Error::from(fault)).replace(&folder.path().display().to_string(), "DIR")
}

/// Keys of other kinds, made for this test.
const ED25519: &str = "MC4CAQAwBQYDK2VwBCIEIEsu6b/sWZP0xUkrDtf9405yiVlYIbBC/gzpE9Go/C0x";
const P384: &str = "MIG2AgEAMBAGByqGSM49AgEGBSuBBAAiBIGeMIGbAgEBBDCEq9OCQgrGO8dlIoEu
ipK+VIQf8OIFQ1ViSz6/E06LPjDKWkpLh2xMZn6jO85DeomhZANiAAS08atvOc3q
dJBdCgzwuItiQ+7s6QdpUmOGR+dVnHwnW0W02Ri750lKhfcueT+MwEgRaDd3umai
jLoOpx16iEaAFoik31F+vX3HeoYXnsDuYv8q3/1vR9aXVUdLKki8Il0=";

fn pem(body: &str) -> String {
    format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n")
}

fn names(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into())
        .collect()
}

#[test]
fn a_key_is_made_once_and_kept() {
    let folder = folder();
    let path = folder.path().join("deep/er/client.pem");
    let made = ClientKey::load_or_create(&path).unwrap();
    assert_eq!(mode(&path), 0o600);
    assert_eq!(names(path.parent().unwrap()), [PathBuf::from("client.pem")]);
    let bytes = fs::read(&path).unwrap();
    assert!(bytes.starts_with(b"-----BEGIN PRIVATE KEY-----\n"));

    assert_eq!(ClientKey::load_or_create(&path).unwrap(), made);
    assert_eq!(ClientKey::load(&path).unwrap(), made);
    assert!(matches!(ClientKey::create(&path), Err(KeyError::Exists { .. })));
    assert_eq!(fs::read(&path).unwrap(), bytes);
}

#[test]
fn keys_differ_and_survive_pem() {
    let (one, other) = (ClientKey::generate().unwrap(), ClientKey::generate().unwrap());
    assert_ne!(one.client_id(), other.client_id());
    let pem = one.to_pem();
    assert_eq!(ClientKey::from_pem(&pem).unwrap(), one);
    let windows = format!("\n {}\r\n ", pem.replace('\n', "\r\n"));
    assert_eq!(ClientKey::from_pem(&windows).unwrap(), one);
}

#[test]
fn racing_processes_end_with_one_key() {
    const RACERS: usize = 8;
    for _ in 0..20 {
        let folder = folder();
        let path = folder.path().join("state/client.pem");
        let start = Barrier::new(RACERS);
        let clients: Vec<_> = thread::scope(|scope| {
            let race = || {
                start.wait();
                ClientKey::load_or_create(&path).unwrap().client_id().clone()
            };
            let racers: Vec<_> = (0..RACERS).map(|_| scope.spawn(race)).collect();
            racers.into_iter().map(|racer| racer.join().unwrap()).collect()
        });
        let kept = ClientKey::load(&path).unwrap();
        assert!(clients.iter().all(|client| client == kept.client_id()));
        assert_eq!(
            names(path.parent().unwrap()).len(),
            1,
            "nothing of the losers is left"
        );
    }
}

#[test]
fn what_is_no_key_is_said_and_left_alone() {
    let folder = folder();
    let path = folder.path().join("client.pem");
    let sound = ClientKey::generate().unwrap().to_pem();
    let torn = &sound[..sound.len() / 2];
    let relabelled = |label: &str| sound.replace("PRIVATE KEY", label);
    let mut seen = Vec::new();
    for text in [
        "",
        "hello",
        torn,
        relabelled("EC PRIVATE KEY").as_str(),
        relabelled("ENCRYPTED PRIVATE KEY").as_str(),
        relabelled("PUBLIC KEY").as_str(),
        &pem(ED25519),
        &pem(P384),
        &"x".repeat(KEY_BYTES_MAX + 1),
    ] {
        write(&path, text, 0o600);
        let fault = ClientKey::load_or_create(&path).unwrap_err();
        let KeyError::NotAKey { what, .. } = fault else {
            panic!("{fault:?}")
        };
        seen.push(what);
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }
    insta::assert_snapshot!(seen.join("\n"), @"
    it is empty
    it is not PEM
    it is damaged, or a key of another kind or curve
    it is a key in the older SEC1 form
    it is encrypted with a passphrase
    it is a public key
    it is damaged, or a key of another kind or curve
    it is damaged, or a key of another kind or curve
    it is too large
    ");

    fs::write(&path, [0xff, 0xfe, 0]).unwrap();
    insta::assert_snapshot!(report(ClientKey::load(&path).unwrap_err(), &folder), @"
    Error: DIR/client.pem is not a P-256 private key in PKCS#8 PEM: it is not PEM
    Hint: it was left as it is; put the right key there, or move it away to have a new one made
    ");
}

#[test]
fn a_key_open_to_others_is_refused() {
    let folder = folder();
    let path = folder.path().join("client's key.pem");
    let key = ClientKey::generate().unwrap();
    for mode in [0o644, 0o640, 0o604, 0o620, 0o602, 0o610, 0o777] {
        write(&path, &key.to_pem(), mode);
        assert!(
            matches!(ClientKey::load_or_create(&path), Err(KeyError::Exposed { .. })),
            "{mode:o}"
        );
        assert_eq!(ClientKey::load_exposed(&path).unwrap(), key);
    }
    for mode in [0o600, 0o400, 0o700] {
        write(&path, &key.to_pem(), mode);
        assert_eq!(ClientKey::load(&path).unwrap(), key);
    }
    write(&path, &key.to_pem(), 0o644);
    insta::assert_snapshot!(report(ClientKey::load(&path).unwrap_err(), &folder), @r#"
    Error: the key DIR/client's key.pem is open to others than its owner (mode 0644)
    Hint: chmod 600 'DIR/client'\''s key.pem'
    "#);
}

#[test]
fn a_place_that_cannot_hold_a_key_is_named() {
    let folder = folder();
    let path = folder.path().join("client.pem");
    insta::assert_snapshot!(report(ClientKey::load(&path).unwrap_err(), &folder), @"
    Error: there is no key at DIR/client.pem
    Hint: make one: roundtrip keys new --key DIR/client.pem
    ");

    fs::create_dir(&path).unwrap();
    insta::assert_snapshot!(report(ClientKey::load_or_create(&path).unwrap_err(), &folder), @"
    Error: the key DIR/client.pem is not a regular file
    Hint: name the PEM file itself
    ");
    insta::assert_snapshot!(report(ClientKey::create(&path).unwrap_err(), &folder), @"
    Error: DIR/client.pem exists already: a key is never replaced
    Hint: results sealed for a key open with that key alone: use it, or move it away first; roundtrip keys show --key DIR/client.pem tells which client it is
    ");

    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    insta::assert_snapshot!(report(ClientKey::create(&file.join("client.pem")).unwrap_err(), &folder), @"
    Error: could not make the key's folder DIR/file
    Caused by: File exists (os error 17)
    Hint: a key needs a folder that its owner may write to, on a disk of this machine
    ");
}

#[test]
fn a_dangling_link_is_not_written_through() {
    let folder = folder();
    let path = folder.path().join("client.pem");
    std::os::unix::fs::symlink(folder.path().join("elsewhere"), &path).unwrap();
    assert!(ClientKey::load_or_create(&path).is_err());
    assert!(!folder.path().join("elsewhere").exists());
}

#[test]
fn nothing_secret_shows() {
    let key = ClientKey::generate().unwrap();
    let debug = format!("{key:?}");
    assert_eq!(
        debug,
        format!("ClientKey {{ client: \"{}\", .. }}", key.client_id().short())
    );

    // The key's own digits in a file that does not parse.
    let folder = folder();
    let path = folder.path().join("client.pem");
    let secret = key.to_pem().lines().nth(2).unwrap().to_owned();
    write(&path, &pem(&secret), 0o600);
    let fault = ClientKey::load(&path).unwrap_err();
    let said = format!("{fault:?}") + &report(fault, &folder);
    assert!(!said.contains(&secret[..8]), "{said}");
}
