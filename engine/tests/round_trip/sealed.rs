//! A result that does not open with the client's key is reported and kept, and never overwritten.

use aws_sdk_dynamodb::types::AttributeValue;
use roundtrip::wire::keys::ClientKey;
use roundtrip::wire::seal;

use crate::world::{World, files_below, text, until};

/// Lets the file be analysed and, before its client looks, puts a result in place that is another's.
async fn exchange(world: &World, jobs: usize) -> String {
    let looks_once = &[
        "receive.source.results.interval=1h",
        "receive.source.results.interval-max=1h",
    ];
    let client = world.start(&world.role("client", looks_once), "client").await;
    let fetcher = world.start(&world.role("fetcher", &[]), "fetcher").await;
    until("the job is completed", async || {
        let records = world.records().await;
        records.len() == jobs
            && records
                .values()
                .all(|record| text(record, "status") == "COMPLETED")
    })
    .await;
    client.stop().await;
    fetcher.stop().await;
    let records = world.records().await;
    let newest = records
        .into_values()
        .max_by_key(|record| text(record, "created").to_owned());
    let mut record = newest.unwrap();
    let stranger = ClientKey::generate().unwrap();
    let sealed = seal::seal(stranger.client_id(), b"{\"not\":\"yours\"}").unwrap();
    record.insert("results".to_owned(), AttributeValue::S(sealed.clone()));
    world.put_record(record).await;
    sealed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_result_of_another_is_kept_and_reported() {
    let world = World::new().await;
    let client = world.role("client", &[]);
    world.write("inbox/a.txt", "first");
    let first = exchange(&world, 1).await;
    let counts = world.once(&client, "client").await;
    assert_eq!((counts.done, counts.failed), (0, 1));
    assert_eq!(world.read("results/a.txt.sealed"), first);
    let error = world.read("results/a.txt.error.txt");
    assert!(error.contains("does not open with this client's key"), "{error}");
    assert!(error.contains("a.txt.sealed"), "{error}");

    // It was told once, and that was that.
    let counts = world.once(&client, "client").await;
    assert_eq!((counts.done, counts.failed), (0, 0));

    world.write("inbox/a.txt", "second");
    let second = exchange(&world, 2).await;
    let counts = world.once(&client, "client").await;
    assert_eq!((counts.done, counts.failed), (0, 1));
    assert_eq!(
        world.read("results/a.txt.sealed"),
        first,
        "what is kept is never overwritten"
    );
    assert_eq!(world.read("results/a.txt.sealed.2"), second);
    assert_eq!(files_below(&world.path("results")).len(), 3);
}
