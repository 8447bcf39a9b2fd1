//! Proofs of the results folder.

use std::ffi::OsStr;

use tempfile::TempDir;

use super::*;
use crate::error::{Exit, render};

fn results() -> (TempDir, ResultsDirectory) {
    let folder = tempfile::tempdir().unwrap();
    let results = open(folder.path()).unwrap();
    (folder, results)
}

fn open(path: &Path) -> Result<ResultsDirectory> {
    ResultsDirectory::open(&DirectorySink {
        path: path.to_owned(),
    })
}

/// Every file below a folder, relative to it.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = walkdir::WalkDir::new(folder)
        .into_iter()
        .map(std::result::Result::unwrap)
        .filter(|entry| entry.file_type().is_file())
        .map(|entry| entry.path().strip_prefix(folder).unwrap().to_owned())
        .collect();
    files.sort();
    files
}

#[test]
fn a_result_lies_beside_the_name_of_its_file() {
    let (folder, results) = results();
    for (file, content_type, body, expected) in [
        (
            "a/b.tif",
            Some("application/json; charset=utf-8"),
            &b"{}"[..],
            "a/b.tif.json",
        ),
        ("c.tif", Some("application/geo+json"), b"{}", "c.tif.json"),
        ("d.tif", Some("text/csv"), b"x", "d.tif.txt"),
        ("e.tif", Some("image/png"), b"{}", "e.tif.bin"),
        ("f.tif", None, b"[1]", "f.tif.json"),
        ("g.tif", None, b"cells: 3", "g.tif.txt"),
        ("h.tif", None, b"\x00", "h.tif.bin"),
        (
            "two words\nand a line/é.tif",
            None,
            b"[]",
            "two words\nand a line/é.tif.json",
        ),
    ] {
        let path = results.write_result(Path::new(file), content_type, body).unwrap();
        assert_eq!(path, folder.path().join(expected));
        assert_eq!(fs::read(path).unwrap(), body);
    }
    assert_eq!(files(folder.path()).len(), 8, "nothing unfinished is left");
}

#[test]
fn a_new_result_replaces_the_old_one_and_the_old_error() {
    let (folder, results) = results();
    let file = Path::new("a/b.tif");
    let error = error_text(file, "no cells in it", Timestamp(0), "file-1");
    results.write_error(file, &error).unwrap();
    assert_eq!(files(folder.path()), [Path::new("a/b.tif.error.txt")]);
    results.write_result(file, None, b"{\"a\": 1}").unwrap();
    results.write_result(file, None, b"{\"a\": 2}").unwrap();
    assert_eq!(files(folder.path()), [Path::new("a/b.tif.json")]);
    assert_eq!(
        fs::read(folder.path().join("a/b.tif.json")).unwrap(),
        b"{\"a\": 2}"
    );
}

#[test]
fn a_result_is_never_taken_for_the_error_of_another_file() {
    let (folder, results) = results();
    let text = Some("text/plain");
    for (file, expected) in [
        ("run1.error", "run1.error~.txt"),
        ("run1.ERROR", "run1.ERROR~.txt"),
        ("run1.error~", "run1.error~~.txt"),
        (".error", ".error~.txt"),
        ("run1.errors", "run1.errors.txt"),
        ("run1~", "run1~.txt"),
    ] {
        let path = results.write_result(Path::new(file), text, b"mine").unwrap();
        assert_eq!(path, folder.path().join(expected));
    }
    let json = results
        .write_result(Path::new("run1.error"), None, b"{}")
        .unwrap();
    assert_eq!(
        json,
        folder.path().join("run1.error.json"),
        "no error is called so"
    );

    let error = error_text(Path::new("run1"), "no cells in it", Timestamp(0), "file-1");
    results.write_error(Path::new("run1"), &error).unwrap();
    results.write_result(Path::new("run1"), text, b"run1").unwrap();
    assert!(!folder.path().join("run1.error.txt").exists());
    assert_eq!(fs::read(folder.path().join("run1.error~.txt")).unwrap(), b"mine");
}

#[test]
fn what_only_has_the_name_of_an_error_stays() {
    let (folder, results) = results();
    let path = folder.path().join("run1.error.txt");
    for theirs in ["0.03", "", "There is"] {
        fs::write(&path, theirs).unwrap();
        results.write_result(Path::new("run1"), None, b"{}").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), theirs);
    }
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    results.write_result(Path::new("run1"), None, b"{}").unwrap();
    assert!(path.is_dir(), "a folder of results");
}

#[test]
fn the_longest_names_of_that_kind_are_told_apart_too() {
    let (_folder, results) = results();
    for length in 235..=255 {
        let name = |ending: &str| PathBuf::from("a".repeat(length - ending.len()) + ending);
        let theirs = results.write_result(&name(".error"), Some("text/plain"), b"x");
        let error = results.write_error(Path::new(&"a".repeat(length - ".error".len())), "x");
        assert_ne!(theirs.unwrap(), error.unwrap(), "{length}");
    }
}

#[test]
fn a_sealed_result_is_never_overwritten() {
    let (folder, results) = results();
    let file = Path::new("a/b.tif");
    for (sealed, expected) in [
        ("one", "a/b.tif.sealed"),
        ("two", "a/b.tif.sealed.2"),
        ("three", "a/b.tif.sealed.3"),
        ("two", "a/b.tif.sealed.2"),
    ] {
        let path = results.keep_sealed(file, sealed).unwrap();
        assert_eq!(path, folder.path().join(expected));
        assert_eq!(fs::read_to_string(path).unwrap(), sealed);
    }
    assert_eq!(files(folder.path()).len(), 3);
}

#[test]
fn no_path_leads_out_of_the_folder() {
    let (folder, results) = results();
    for file in ["", "..", "../b.tif", "a/../../b.tif", "/b.tif", "./b.tif", "a/.."] {
        let file = Path::new(file);
        assert!(
            results.write_result(file, None, b"").is_err(),
            "{}",
            file.display()
        );
        assert!(results.write_error(file, "").is_err() && results.keep_sealed(file, "").is_err());
    }
    assert!(files(folder.path()).is_empty());
}

#[test]
fn long_names_are_shortened_and_stay_apart() {
    let (folder, results) = results();
    let fits = "x".repeat(250);
    let path = results.write_result(Path::new(&fits), None, b"{}").unwrap();
    assert_eq!(path.file_name(), Some(OsStr::new(&format!("{fits}.json"))));

    let first = format!("{}.tif", "é".repeat(125));
    let second = format!("{}.png", "é".repeat(125));
    let names: Vec<_> = [&first, &second, &first]
        .into_iter()
        .map(|file| results.write_result(Path::new(file), None, b"{}").unwrap())
        .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    assert_eq!(names[0], names[2], "the same file has the same name every time");
    assert_ne!(names[0], names[1]);
    insta::assert_snapshot!(names[0].trim_start_matches('é'), @"~857955e9.json");
    assert!(
        names.iter().all(|name| (253..=255).contains(&name.len())),
        "{names:?}"
    );

    let error = {
        let text = error_text(Path::new(&first), "x", Timestamp(0), "file-1");
        results.write_error(Path::new(&first), &text).unwrap()
    };
    results.write_result(Path::new(&first), None, b"{}").unwrap();
    assert!(!error.exists(), "a shortened error file is found again");
    assert_eq!(files(folder.path()).len(), 3);
}

#[cfg(target_os = "linux")]
#[test]
fn names_need_not_be_unicode() {
    use std::os::unix::ffi::OsStrExt as _;
    let (_folder, results) = results();
    for name in [b"caf\xe9.tif".to_vec(), vec![0xff; 255], vec![0x80; 255]] {
        let path = results
            .write_result(Path::new(OsStr::from_bytes(&name)), None, b"{}")
            .unwrap();
        assert!(path.exists() && path.file_name().unwrap().len() <= 255);
    }
}

#[test]
fn unfinished_files_go_unless_somebody_writes_them() {
    let (folder, _results) = results();
    fs::create_dir(folder.path().join("a")).unwrap();
    let dead = folder.path().join("a/.roundtrip-dead.tmp");
    fs::write(&dead, "half a res").unwrap();
    fs::write(folder.path().join("a/.hidden.tmp"), "not ours").unwrap();
    let living = temporary_in(folder.path()).unwrap();
    let results = open(folder.path()).unwrap();
    assert!(dead.exists(), "opening does not walk: there may be millions");
    results.sweep();
    assert!(!dead.exists());
    assert!(living.path().exists());
    assert!(folder.path().join("a/.hidden.tmp").exists());
}

#[test]
fn a_folder_that_cannot_be_written_is_a_matter_of_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let error = open(&file.join("results")).unwrap_err();
    assert_eq!(error.exit, Exit::Config);
    let text = render(&error).replace(folder.path().to_str().unwrap(), "DIR");
    insta::assert_snapshot!(text, @r"
    Error: results cannot be written to DIR/file/results
    Caused by: Not a directory (os error 20)
    Hint: name a folder that this user may write: `sink.directory.path`, or --results of `roundtrip local`
    ");
}

#[cfg(unix)]
#[test]
fn a_result_is_as_readable_as_any_new_file() {
    use std::os::unix::fs::PermissionsExt as _;
    let (folder, results) = results();
    let plain = folder.path().join("plain");
    fs::write(&plain, "").unwrap();
    let path = results.write_result(Path::new("b.tif"), None, b"{}").unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
    assert_eq!(mode(&path), mode(&plain));
}

#[test]
fn an_error_file_says_what_when_and_which() {
    let text = error_text(
        Path::new("a/b.tif"),
        "exit status 3: no cells",
        Timestamp(1_758_799_311_690),
        "file-1",
    );
    insta::assert_snapshot!(text, @r"
    There is no result for a/b.tif.

    What happened: exit status 3: no cells
    When: 2025-09-25T11:21:51.69Z
    Job: file-1

    The file is not sent again by itself. To send it again, change it or copy it into its folder anew.
    ");
}
