//! What a reader accepts as one state of a file, and what it does not.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

use super::*;

const CONTENT: &[u8] = b"0123456789";

fn inbox() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("a")).unwrap();
    fs::write(folder.path().join("a/b.tif"), CONTENT).unwrap();
    folder
}

fn seen(root: &Path, relative: &str) -> Stamp {
    stamp::stamp(&root.join(relative).symlink_metadata().unwrap())
}

fn open(root: &Path) -> FileReader {
    FileReader::open(root, Path::new("a/b.tif"), &seen(root, "a/b.tif")).unwrap()
}

fn file_at(path: &Path) -> File {
    File::options().write(true).open(path).unwrap()
}

fn file_for_writing(root: &Path) -> File {
    file_at(&root.join("a/b.tif"))
}

#[test]
fn reads_pieces_to_the_end() {
    let inbox = inbox();
    let mut reader = open(inbox.path());
    assert_eq!(reader.size(), 10);
    assert_eq!(reader.read_piece(4).unwrap(), b"0123");
    assert_eq!(reader.read_piece(6).unwrap(), b"456789");
    reader.finish().unwrap();
}

#[test]
fn an_empty_file_is_finished_at_once() {
    let inbox = inbox();
    fs::write(inbox.path().join("empty"), b"").unwrap();
    let mut reader =
        FileReader::open(inbox.path(), Path::new("empty"), &seen(inbox.path(), "empty")).unwrap();
    assert_eq!(reader.read_piece(0).unwrap(), b"");
    reader.finish().unwrap();
}

#[test]
fn is_not_finished_before_the_end() {
    let inbox = inbox();
    let mut reader = open(inbox.path());
    reader.read_piece(9).unwrap();
    assert!(matches!(reader.finish(), Err(ReadError::Changed)));
}

#[test]
fn a_file_in_another_state_than_seen_is_refused() {
    let inbox = inbox();
    let stamp = seen(inbox.path(), "a/b.tif");
    let other = Stamp { size: 11, ..stamp };
    let opened = FileReader::open(inbox.path(), Path::new("a/b.tif"), &other);
    assert!(matches!(opened, Err(ReadError::Changed)));
}

#[test]
fn a_file_written_while_it_is_read_is_changed() {
    let inbox = inbox();
    let mut reader = open(inbox.path());
    reader.read_piece(10).unwrap();
    let writer = file_for_writing(inbox.path());
    io::Write::write_all(&mut &writer, b"X").unwrap();
    writer
        .set_modified(SystemTime::now() + Duration::from_secs(2))
        .unwrap();
    assert!(matches!(reader.finish(), Err(ReadError::Changed)));
}

#[test]
fn a_file_that_grows_is_changed() {
    let inbox = inbox();
    let mut reader = open(inbox.path());
    reader.read_piece(10).unwrap();
    let mut writer = File::options()
        .append(true)
        .open(inbox.path().join("a/b.tif"))
        .unwrap();
    io::Write::write_all(&mut writer, b"X").unwrap();
    assert!(matches!(reader.finish(), Err(ReadError::Changed)));
}

#[test]
fn a_file_cut_short_is_changed() {
    let inbox = inbox();
    let mut reader = open(inbox.path());
    reader.read_piece(4).unwrap();
    file_for_writing(inbox.path()).set_len(5).unwrap();
    assert!(matches!(reader.read_piece(6), Err(ReadError::Changed)));
    assert!(matches!(reader.finish(), Err(ReadError::Changed)));
}

#[test]
fn a_file_replaced_by_its_twin_is_changed() {
    let inbox = inbox();
    let mut reader = open(inbox.path());
    reader.read_piece(10).unwrap();
    let twin = inbox.path().join("twin");
    fs::write(&twin, CONTENT).unwrap();
    let modified = reader.opened.modified().unwrap();
    File::options()
        .write(true)
        .open(&twin)
        .unwrap()
        .set_modified(modified)
        .unwrap();
    fs::rename(&twin, inbox.path().join("a/b.tif")).unwrap();
    assert!(matches!(reader.finish(), Err(ReadError::Changed)));
}

#[test]
fn a_twin_that_took_its_place_before_it_is_read_is_changed() {
    let inbox = inbox();
    let (stamp, path) = (seen(inbox.path(), "a/b.tif"), inbox.path().join("a/b.tif"));
    let modified = path.metadata().unwrap().modified().unwrap();
    let twin = inbox.path().join("twin");
    // Clocks of file systems tick every few milliseconds: what happens within one tick cannot be told apart.
    while seen(inbox.path(), "a/b.tif").changed == stamp.changed {
        fs::write(&twin, CONTENT).unwrap();
        file_at(&twin).set_modified(modified).unwrap();
        fs::rename(&twin, &path).unwrap();
    }
    let opened = FileReader::open(inbox.path(), Path::new("a/b.tif"), &stamp);
    assert!(matches!(opened, Err(ReadError::Changed)));
}

#[test]
fn a_file_taken_away_is_gone() {
    let inbox = inbox();
    let stamp = seen(inbox.path(), "a/b.tif");
    let mut reader = open(inbox.path());
    reader.read_piece(10).unwrap();
    fs::rename(inbox.path().join("a/b.tif"), inbox.path().join("a/c.tif")).unwrap();
    assert!(matches!(
        reader.finish(),
        Err(ReadError::Changed | ReadError::Gone)
    ));
    let again = FileReader::open(inbox.path(), Path::new("a/b.tif"), &stamp);
    assert!(matches!(again, Err(ReadError::Gone)));
}

#[test]
fn a_folder_taken_away_does_not_make_its_files_gone() {
    let inbox = inbox();
    let stamp = seen(inbox.path(), "a/b.tif");
    let root = inbox.path().join("share");
    let opened = FileReader::open(&root, Path::new("a/b.tif"), &stamp);
    assert!(matches!(opened, Err(ReadError::Unreadable(_))));
}

#[test]
fn a_link_in_place_of_the_file_is_refused() {
    let inbox = inbox();
    let outside = tempfile::tempdir().unwrap();
    let stamp = seen(inbox.path(), "a/b.tif");
    fs::rename(inbox.path().join("a/b.tif"), outside.path().join("b.tif")).unwrap();
    symlink(outside.path().join("b.tif"), inbox.path().join("a/b.tif")).unwrap();
    let opened = FileReader::open(inbox.path(), Path::new("a/b.tif"), &stamp);
    assert!(matches!(opened, Err(ReadError::Changed)), "{opened:?}");
}

#[test]
fn a_link_in_place_of_its_folder_is_refused() {
    let inbox = inbox();
    let outside = tempfile::tempdir().unwrap();
    let stamp = seen(inbox.path(), "a/b.tif");
    let mut reader = open(inbox.path());
    reader.read_piece(10).unwrap();
    fs::rename(inbox.path().join("a"), outside.path().join("a")).unwrap();
    symlink(outside.path().join("a"), inbox.path().join("a")).unwrap();
    let opened = FileReader::open(inbox.path(), Path::new("a/b.tif"), &stamp);
    assert!(matches!(opened, Err(ReadError::Changed)), "{opened:?}");
    assert!(matches!(reader.finish(), Err(ReadError::Changed)));
}

#[test]
fn a_pipe_in_place_of_the_file_is_refused_without_waiting() {
    let inbox = inbox();
    let stamp = seen(inbox.path(), "a/b.tif");
    fs::remove_file(inbox.path().join("a/b.tif")).unwrap();
    let pipe = inbox.path().join("a/b.tif");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &pipe,
        rustix::fs::FileType::Fifo,
        0o600.into(),
        0,
    )
    .unwrap();
    let opened = FileReader::open(inbox.path(), Path::new("a/b.tif"), &stamp);
    assert!(matches!(opened, Err(ReadError::Changed)), "{opened:?}");
    fs::remove_file(&pipe).unwrap();
    let _socket = UnixListener::bind(&pipe).unwrap();
    assert!(FileReader::open(inbox.path(), Path::new("a/b.tif"), &stamp).is_err());
}

#[test]
fn a_path_that_leads_out_is_refused() {
    let inbox = inbox();
    let stamp = seen(inbox.path(), "a/b.tif");
    for path in ["../x", "/etc/hostname", "a/../a/b.tif", ""] {
        let opened = FileReader::open(inbox.path(), Path::new(path), &stamp);
        assert!(matches!(opened, Err(ReadError::Unreadable(_))), "{path}");
    }
}
