//! DynamoDB: the conditions, the sparse index and the stream Roundtrip builds on.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure};
use futures_util::future::join_all;

use crate::{Bench, TABLE};

fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

fn key(file: &str) -> HashMap<String, AttributeValue> {
    HashMap::from([
        ("client".to_owned(), text("client-04")),
        ("file".to_owned(), text(file)),
    ])
}

#[tokio::test]
async fn a_job_is_claimed_once() {
    let bench = Bench::new().await;
    let dynamodb = &bench.clients.dynamodb;
    let create = || {
        let item = key("file-1")
            .into_iter()
            .chain([("status".to_owned(), text("QUEUED"))])
            .collect();
        let request = dynamodb.put_item().table_name(TABLE).set_item(Some(item));
        request
            .item("lane", text("ready#0"))
            .item("due", text("2026-01-01T00:00:00.000Z"))
    };
    create()
        .condition_expression("attribute_not_exists(client)")
        .send()
        .await
        .unwrap();
    let again = create()
        .condition_expression("attribute_not_exists(client)")
        .send()
        .await
        .unwrap_err();
    assert!(again.into_service_error().is_conditional_check_failed_exception());

    let claims = join_all((0..20).map(|n| {
        dynamodb
            .update_item()
            .table_name(TABLE)
            .set_key(Some(key("file-1")))
            .update_expression("SET #s = :processing, processor = :me, lane = :leased")
            .condition_expression("attribute_not_exists(processor) AND #s = :queued")
            .expression_attribute_names("#s", "status")
            .expression_attribute_values(":processing", text("PROCESSING"))
            .expression_attribute_values(":queued", text("QUEUED"))
            .expression_attribute_values(":leased", text("leased#0"))
            .expression_attribute_values(":me", text(&format!("processor-{n}")))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
    }))
    .await;
    let winners: Vec<_> = (0..20).filter(|n| claims[*n].is_ok()).collect();
    assert_eq!(winners.len(), 1);
    for lost in claims.into_iter().filter_map(Result::err) {
        let aws_sdk_dynamodb::operation::update_item::UpdateItemError::ConditionalCheckFailedException(lost) =
            lost.into_service_error()
        else {
            panic!("another refusal");
        };
        assert_eq!(
            lost.item().unwrap()["processor"],
            text(&format!("processor-{}", winners[0]))
        );
    }
}

#[tokio::test]
async fn a_lane_holds_only_those_in_it() {
    let bench = Bench::new().await;
    let dynamodb = &bench.clients.dynamodb;
    for n in 0..3 {
        let request = dynamodb
            .put_item()
            .table_name(TABLE)
            .set_item(Some(key(&format!("file-{n}"))));
        let request = if n == 0 {
            request
        } else {
            request.item("lane", text("ready#0"))
        };
        let due = format!("2026-01-0{}T00:00:00.000Z", 4 - n);
        let request = if n == 0 {
            request
        } else {
            request.item("due", text(&due))
        };
        request.send().await.unwrap();
    }
    let lane = || async {
        let answer = dynamodb
            .query()
            .table_name(TABLE)
            .index_name("lanes")
            .key_condition_expression("lane = :lane AND due <= :now")
            .expression_attribute_values(":lane", text("ready#0"))
            .expression_attribute_values(":now", text("2026-02-01"))
            .send()
            .await
            .unwrap();
        answer
            .items()
            .iter()
            .map(|item| item["file"].as_s().unwrap().clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(lane().await, ["file-2", "file-1"]);
    dynamodb
        .update_item()
        .table_name(TABLE)
        .set_key(Some(key("file-2")))
        .update_expression("REMOVE lane, due")
        .send()
        .await
        .unwrap();
    assert_eq!(lane().await, ["file-1"]);
    let whole = dynamodb
        .get_item()
        .table_name(TABLE)
        .set_key(Some(key("file-2")))
        .consistent_read(true);
    assert!(whole.send().await.unwrap().item.is_some());
}
