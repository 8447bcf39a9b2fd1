//! Setup and its check, through the library.

use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
};
use roundtrip::cloud::setup::Outcome::{Found, Made};
use roundtrip::cloud::{Clients, setup};
use roundtrip::error::{Exit, render};
use roundtrip::stack::Stack;

use crate::{BUCKET, Bench, TABLE};

#[tokio::test]
async fn setup_makes_what_is_missing_and_finds_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let stack = Stack::start(folder.path(), None).await.unwrap();
    let clients = Clients::for_endpoints(stack.endpoints()).await;
    let missing = setup::check(&clients, BUCKET, TABLE).await.unwrap_err();
    insta::assert_snapshot!(render(&missing), @r"
    Error: cannot use the table `roundtrip-jobs`: it does not exist
    Hint: make it with `roundtrip setup`, or correct the name
    ");
    insta::assert_snapshot!(setup::ensure(&clients, BUCKET, TABLE).await.unwrap(), @r"
    made      table `roundtrip-jobs`
    made      index `lanes` of `roundtrip-jobs`
    made      stream of `roundtrip-jobs`
    made      TTL attribute `expires` of `roundtrip-jobs`
    made      bucket `roundtrip`
    left out  rule to drop unfinished uploads of `roundtrip` after 7 days (this S3 does not have it)
    left out  block of public access to `roundtrip` (this S3 does not have it)
    made      owner of `roundtrip`: table `roundtrip-jobs`
    ");
    let again = setup::ensure(&clients, BUCKET, TABLE).await.unwrap();
    assert!(again.steps.iter().all(|step| step.outcome != Made), "{again}");
    let second = setup::ensure(&clients, BUCKET, "second-table").await.unwrap();
    insta::assert_snapshot!(second.steps.last().unwrap().reason.as_ref().unwrap(), @"the bucket belongs to the table `roundtrip-jobs`: `sweep` deletes nothing for this one");
    setup::check(&clients, BUCKET, TABLE).await.unwrap();
    let missing = setup::check(&clients, "elsewhere", TABLE).await.unwrap_err();
    insta::assert_snapshot!(render(&missing), @r"
    Error: cannot use the bucket `elsewhere`: it does not exist
    Hint: make it with `roundtrip setup`, or correct the name
    ");
    assert_eq!(missing.exit, Exit::Config);
    stack.stop().await;
}

#[tokio::test]
async fn two_setups_at_once_agree() {
    let folder = tempfile::tempdir().unwrap();
    let stack = Stack::start(folder.path(), None).await.unwrap();
    let clients = Clients::for_endpoints(stack.endpoints()).await;
    let (one, two) = tokio::join!(
        setup::ensure(&clients, BUCKET, TABLE),
        setup::ensure(&clients, BUCKET, TABLE)
    );
    one.unwrap();
    two.unwrap();
    setup::check(&clients, BUCKET, TABLE).await.unwrap();
}

#[tokio::test]
async fn a_table_without_index_and_stream_gets_them() {
    let bench = Bench::new().await;
    table(&bench, "bare-table", ["client", "file"]).await;
    let lacking = setup::check(&bench.clients, BUCKET, "bare-table")
        .await
        .unwrap_err();
    assert_eq!(lacking.to_string(), "the table `bare-table` has no index `lanes`");
    let report = setup::ensure(&bench.clients, BUCKET, "bare-table").await.unwrap();
    let outcomes: Vec<_> = report.steps[..4].iter().map(|step| step.outcome).collect();
    assert_eq!(outcomes, [Found, Made, Made, Made]);
    setup::check(&bench.clients, BUCKET, "bare-table").await.unwrap();
}

#[tokio::test]
async fn a_table_of_something_else_is_refused() {
    let bench = Bench::new().await;
    table(&bench, "other-table", ["user", "order"]).await;
    let refused = setup::ensure(&bench.clients, BUCKET, "other-table")
        .await
        .unwrap_err();
    insta::assert_snapshot!(render(&refused), @r"
    Error: the table `other-table` is not a table of jobs: its keys are user (HASH), order (RANGE), not client (HASH), file (RANGE)
    Hint: choose another name with --table or ROUNDTRIP_TABLE, or delete the table if nobody needs it
    ");
    assert_eq!(refused.exit, Exit::Config);
}

#[tokio::test]
async fn wrong_credentials_and_silence_are_told_apart() {
    let bench = Bench::new().await;
    let mut endpoints = bench.stack.endpoints().clone();
    endpoints.secret_key = "wrong".to_owned();
    let clients = Clients::for_endpoints(&endpoints).await;
    let refused = setup::check(&clients, BUCKET, TABLE).await.unwrap_err();
    assert_eq!(refused.exit, Exit::Config);
    assert!(
        render(&refused).contains("SignatureDoesNotMatch"),
        "{}",
        render(&refused)
    );
    assert!(!render(&refused).contains("wrong"));
    endpoints.access_key = "NOBODY".to_owned();
    let clients = Clients::for_endpoints(&endpoints).await;
    let refused = setup::check(&clients, BUCKET, TABLE).await.unwrap_err();
    assert_eq!(refused.exit, Exit::Config, "{}", render(&refused));

    let clients = Clients::for_endpoints(bench.stack.endpoints()).await;
    bench.stack.stop().await;
    let away = setup::check(&clients, BUCKET, TABLE).await.unwrap_err();
    assert_eq!(away.exit, Exit::TryAgain);
    assert!(render(&away).contains("cannot be reached"), "{}", render(&away));
}

async fn table(bench: &Bench, name: &str, keys: [&str; 2]) {
    let attribute = |name: &str| {
        let definition = AttributeDefinition::builder().attribute_name(name);
        definition.attribute_type(ScalarAttributeType::S).build().unwrap()
    };
    let element = |name: &str, kind| {
        KeySchemaElement::builder()
            .attribute_name(name)
            .key_type(kind)
            .build()
            .unwrap()
    };
    let request = bench.clients.dynamodb.create_table().table_name(name);
    request
        .billing_mode(BillingMode::PayPerRequest)
        .attribute_definitions(attribute(keys[0]))
        .attribute_definitions(attribute(keys[1]))
        .key_schema(element(keys[0], KeyType::Hash))
        .key_schema(element(keys[1], KeyType::Range))
        .send()
        .await
        .unwrap();
}
