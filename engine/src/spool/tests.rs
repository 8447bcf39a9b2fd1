//! Proofs of the spool: followers, the held-back end, failure, deletion and the sweep.

use std::fs;

use futures_util::{FutureExt as _, StreamExt as _, TryStreamExt as _};
use tempfile::TempDir;

use super::*;

fn spool() -> (TempDir, SpoolDir) {
    let state = tempfile::tempdir().unwrap();
    let spool = SpoolDir::open(state.path(), "processor-1").unwrap();
    (state, spool)
}

async fn take(
    stream: &mut (impl futures_util::Stream<Item = Result<Bytes, SpoolError>> + Unpin),
    length: usize,
) -> Vec<u8> {
    let mut taken = Vec::new();
    while taken.len() < length {
        taken.extend_from_slice(&stream.next().await.unwrap().unwrap());
    }
    taken
}

async fn all(reader: &SpoolReader) -> Result<Vec<u8>, SpoolError> {
    reader
        .stream()
        .try_fold(Vec::new(), |mut all, piece| async move {
            all.extend_from_slice(&piece);
            Ok(all)
        })
        .await
}

#[tokio::test]
async fn a_reader_follows_and_the_last_byte_waits_for_the_proof() {
    let (_state, spool) = spool();
    let (mut writer, reader) = spool.create("file-1", Some(6)).unwrap();
    let mut stream = Box::pin(reader.stream());
    assert!(stream.next().now_or_never().is_none());

    writer.append(Bytes::from_static(b"abc")).await.unwrap();
    assert_eq!(take(&mut stream, 3).await, b"abc");
    writer.append(Bytes::from_static(b"def")).await.unwrap();
    assert_eq!(take(&mut stream, 2).await, b"de");
    assert!(
        stream.next().now_or_never().is_none(),
        "the last byte came without a proof"
    );

    writer.prove().unwrap();
    assert_eq!(take(&mut stream, 1).await, b"f");
    assert!(stream.next().await.is_none());
    assert_eq!(
        all(&reader).await.unwrap(),
        b"abcdef",
        "a second stream begins at the beginning"
    );
}

#[tokio::test]
async fn a_file_of_unknown_size_learns_it_with_the_proof() {
    let (_state, spool) = spool();
    let (mut writer, reader) = spool.create("file-1", None).unwrap();
    let mut stream = Box::pin(reader.stream());
    writer.append(Bytes::from_static(b"abc")).await.unwrap();
    assert_eq!(take(&mut stream, 2).await, b"ab");
    assert!(stream.next().now_or_never().is_none());
    assert_eq!((reader.size(), reader.written()), (None, 3));

    writer.prove().unwrap();
    assert_eq!(reader.size(), Some(3));
    assert_eq!(take(&mut stream, 1).await, b"c");
    assert!(stream.next().await.is_none());
}

#[tokio::test]
async fn an_empty_file_ends_only_with_the_proof() {
    let (_state, spool) = spool();
    let (writer, reader) = spool.create("file-1", Some(0)).unwrap();
    let mut stream = Box::pin(reader.stream());
    assert!(stream.next().now_or_never().is_none());
    assert!(reader.head().await.unwrap().is_empty());
    writer.prove().unwrap();
    assert!(stream.next().await.is_none());
    reader.proven().await.unwrap();
}

#[tokio::test]
async fn a_large_file_comes_in_bounded_pieces() {
    let (_state, spool) = spool();
    let content: Vec<u8> = (0..=255_u8).cycle().take(1_000_003).collect();
    let (mut writer, reader) = spool.create("file-1", Some(1_000_003)).unwrap();
    writer.append(content.clone().into()).await.unwrap();
    writer.prove().unwrap();
    let pieces: Vec<Bytes> = reader.stream().try_collect().await.unwrap();
    assert_eq!(pieces.iter().map(Bytes::len).max(), Some(256 * 1024));
    assert_eq!(pieces.concat(), content);
    assert_eq!(reader.head().await.unwrap(), content[..8192]);
}

#[tokio::test]
async fn the_head_waits_until_there_is_enough_of_it() {
    let (_state, spool) = spool();
    let (mut writer, reader) = spool.create("file-1", None).unwrap();
    writer.append(Bytes::from_static(b"short")).await.unwrap();
    assert!(reader.head().now_or_never().is_none());
    writer.prove().unwrap();
    assert_eq!(reader.head().await.unwrap(), b"short"[..]);
}

#[tokio::test]
async fn a_failed_file_fails_its_readers() {
    let (_state, spool) = spool();
    let (mut writer, reader) = spool.create("file-1", Some(3)).unwrap();
    writer.append(Bytes::from_static(b"abc")).await.unwrap();
    let mut stream = Box::pin(reader.stream());
    assert_eq!(take(&mut stream, 2).await, b"ab");
    writer.fail("chunk 1 is not what its client signed");
    let error = stream.next().await.unwrap().unwrap_err();
    assert_eq!(error.to_string(), "chunk 1 is not what its client signed");
    assert!(stream.next().await.is_none(), "a stream ends after its error");
    assert!(reader.proven().await.is_err() && reader.head().await.is_err() && reader.failure().is_some());
}

#[tokio::test]
async fn a_writer_dropped_without_proof_fails_the_file() {
    let (_state, spool) = spool();
    let (writer, reader) = spool.create("file-1", None).unwrap();
    let waiting = tokio::spawn({
        let reader = reader.clone();
        async move { reader.proven().await }
    });
    drop(writer);
    assert!(matches!(waiting.await.unwrap(), Err(SpoolError::Abandoned)));
    assert!(matches!(all(&reader).await, Err(SpoolError::Abandoned)));
}

#[tokio::test]
async fn no_more_and_no_less_than_announced() {
    let (_state, spool) = spool();
    let (mut writer, reader) = spool.create("file-1", Some(3)).unwrap();
    writer.append(Bytes::from_static(b"ab")).await.unwrap();
    assert!(matches!(
        writer.append(Bytes::from_static(b"cd")).await,
        Err(SpoolError::TooLong { size: 3 })
    ));
    assert!(matches!(
        writer.prove(),
        Err(SpoolError::TooShort { written: 2, size: 3 })
    ));
    assert!(matches!(reader.failure(), Some(SpoolError::TooShort { .. })));
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_full_disk_is_told_apart() {
    let (_state, spool) = spool();
    let (mut writer, reader) = spool.create("file-1", None).unwrap();
    writer.handle = Arc::new(fs::OpenOptions::new().write(true).open("/dev/full").unwrap());
    let error = writer.append(Bytes::from_static(b"abc")).await.unwrap_err();
    assert!(
        matches!(&error, SpoolError::Disk(cause) if cause.kind() == std::io::ErrorKind::StorageFull),
        "{error}"
    );
    assert!(matches!(reader.failure(), Some(SpoolError::Disk(_))));
    assert!(matches!(
        writer.append(Bytes::new()).await,
        Err(SpoolError::Interrupted)
    ));
}

#[tokio::test]
async fn the_file_goes_with_its_last_holder() {
    let (_state, spool) = spool();
    let (mut writer, reader) = spool.create("file-1", None).unwrap();
    writer.append(Bytes::from_static(b"abc")).await.unwrap();
    let path = reader.path().to_owned();
    let stream = reader.stream();
    writer.prove().unwrap();
    drop(reader);
    assert!(path.exists(), "a stream still reads it");
    drop(stream);
    assert!(!path.exists());

    let (writer, reader) = spool.create("file-2", None).unwrap();
    let path = reader.path().to_owned();
    let panicked = tokio::spawn(async move {
        let _held = (writer, reader);
        panic!("as a broken decoder would");
    });
    assert!(panicked.await.is_err());
    assert!(!path.exists());
}

#[tokio::test]
async fn the_folder_goes_with_the_last_of_its_files() {
    let (state, spool) = spool();
    let folder = spool.path().to_owned();
    let (writer, reader) = spool.create("file-1", None).unwrap();
    drop((spool, writer));
    assert!(
        SpoolDir::open(state.path(), "processor-1").is_err(),
        "still in use"
    );
    assert!(folder.exists());
    drop(reader);
    assert!(!folder.exists());
    SpoolDir::open(state.path(), "processor-1").unwrap();
}

#[test]
fn the_sweep_takes_dead_neighbours_and_leaves_living_ones() {
    let (state, living) = spool();
    let (_writer, held) = living.create("file-1", None).unwrap();
    let spool = state.path().join("spool");
    for dead in ["processor-dead", "processor-died-early"] {
        fs::create_dir(spool.join(dead)).unwrap();
        fs::write(spool.join(dead).join("file-9"), "a patient's file").unwrap();
    }
    fs::write(spool.join("processor-dead/.lock"), "").unwrap();
    fs::write(spool.join("note.txt"), "not ours").unwrap();

    let _second = SpoolDir::open(state.path(), "processor-2").unwrap();
    assert!(held.path().exists());
    assert!(!spool.join("processor-dead").exists() && !spool.join("processor-died-early").exists());
    assert!(spool.join("note.txt").exists());
}

#[test]
fn leftovers_under_the_same_id_are_removed() {
    let state = tempfile::tempdir().unwrap();
    let left = state.path().join("spool/processor-1");
    fs::create_dir_all(left.join("folder")).unwrap();
    fs::write(left.join("file-1"), "old").unwrap();
    let spool = SpoolDir::open(state.path(), "processor-1").unwrap();
    assert!(!left.join("file-1").exists() && !left.join("folder").exists());
    spool.create("file-1", None).unwrap();
}

#[test]
fn names_stay_inside_the_folder_and_apart() {
    let (state, spool) = spool();
    for name in ["", ".", "..", "../x", "a/b", "/etc/passwd", ".lock", "a/"] {
        assert!(
            matches!(spool.create(name, None), Err(SpoolError::Name(_))),
            "{name}"
        );
        assert!(SpoolDir::open(state.path(), name).is_err(), "{name}");
    }
    let first = spool.create("file-1", None).unwrap();
    let second = spool.create("file-1", None).unwrap();
    assert_ne!(first.1.path(), second.1.path());
}

#[cfg(unix)]
#[test]
fn only_this_user_reads_it_and_links_are_not_followed() {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;

    let (state, spool) = spool();
    let (_writer, reader) = spool.create("file-1", None).unwrap();
    assert_eq!(
        (
            mode(&state.path().join("spool")),
            mode(spool.path()),
            mode(reader.path())
        ),
        (0o700, 0o700, 0o600)
    );

    let elsewhere = tempfile::tempdir().unwrap();
    fs::write(elsewhere.path().join("precious"), "x").unwrap();
    symlink(elsewhere.path(), state.path().join("spool/processor-2")).unwrap();
    symlink(elsewhere.path(), state.path().join("spool/processor-3")).unwrap();
    assert!(SpoolDir::open(state.path(), "processor-2").is_err());
    let _other = SpoolDir::open(state.path(), "processor-4").unwrap();
    assert!(
        elsewhere.path().join("precious").exists(),
        "the sweep followed a link"
    );

    let other_state = tempfile::tempdir().unwrap();
    symlink(elsewhere.path(), other_state.path().join("spool")).unwrap();
    let error = SpoolDir::open(other_state.path(), "processor-1").unwrap_err();
    assert_eq!(error.exit, crate::error::Exit::Config);
}
