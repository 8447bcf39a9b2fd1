//! Several fetchers share the work: each job is won once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use crate::processors::{reply, serve};
use crate::world::{World, files_below, history, text};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_fetchers_analyse_each_file_once() {
    const FILES: usize = 60;
    let world = World::new().await;
    for number in 0..FILES {
        world.write(&format!("inbox/{number:02}.txt"), format!("file {number:02}"));
    }
    let analysed: Arc<Mutex<Vec<String>>> = Arc::default();
    let seen = Arc::clone(&analysed);
    let url = serve(move |body| {
        let file = String::from_utf8(body.to_vec()).unwrap();
        seen.lock().unwrap().push(file.clone());
        reply(200, "text/plain", format!("{file} is fine\n"))
    })
    .await;
    let processor = format!("analyse.sink.processor.url={url}");
    let fetcher = world.role("fetcher", &[&processor]);
    let first = world.start(&fetcher, "first").await;
    let second = world.start(&fetcher, "second").await;
    let watcher = world.start(&world.role("watcher", &[]), "watcher").await;
    let counts = world.once(&world.role("client", &[]), "client").await;
    first.finish().await;
    second.finish().await;
    watcher.finish().await;

    assert_eq!((counts.done, counts.failed), (FILES as u64, 0));
    let analysed = analysed.lock().unwrap().clone();
    assert_eq!(analysed.len(), FILES);
    assert_eq!(analysed.iter().collect::<BTreeSet<_>>().len(), FILES);
    assert_eq!(files_below(&world.path("results")).len(), FILES);
    world.assert_cleaned(FILES, "COMPLETED").await;
    let mut won: BTreeMap<String, usize> = BTreeMap::new();
    for record in world.records().await.values() {
        assert_eq!(history(record), ["complete"], "nobody else had it: {record:?}");
        *won.entry(text(record, "processor").to_owned()).or_default() += 1;
    }
    assert_eq!(won.len(), 2, "both took part: {won:?}");
    assert_eq!(won.values().sum::<usize>(), FILES);
}

/// Beginning together, two pipelines of one process find the same jobs in the same moment.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_pipelines_of_one_role_analyse_each_file_once() {
    const FILES: usize = 40;
    let world = World::new().await;
    for number in 0..FILES {
        world.write(&format!("inbox/{number:02}.txt"), format!("file {number:02}"));
    }
    let analysed: Arc<Mutex<Vec<Vec<u8>>>> = Arc::default();
    let seen = Arc::clone(&analysed);
    let url = serve(move |body| {
        seen.lock().unwrap().push(body.to_vec());
        reply(200, "text/plain", "fine\n")
    })
    .await;
    let pipeline = |name: &str| {
        format!(
            "[pipelines.{name}]\nuse = \"analyse\"\nsink.processor.url = \"{url}\"\n\
             source.jobs.interval = \"20ms\"\nsource.jobs.interval-max = \"100ms\"\n"
        )
    };
    let role = world.write(
        "roles/two.toml",
        format!("name = \"two\"\n{}{}", pipeline("one"), pipeline("other")),
    );
    let both = world
        .start(&world.role(role.to_str().unwrap(), &[]), "fetcher")
        .await;
    let counts = world.once(&world.role("client", &[]), "client").await;
    let (_, rows) = world.rows().await;
    both.finish().await;

    assert_eq!((counts.done, counts.failed), (FILES as u64, 0));
    assert_eq!(analysed.lock().unwrap().len(), FILES);
    let claims = rows.values().filter_map(|row| row.get("processor")?.as_s().ok());
    assert_eq!(claims.collect::<BTreeSet<_>>().len(), 2, "each claims for itself");
}
