//! After the last attempt an event rests in the dead letters, and `error.occurred` reports it.

use crate::stage::{AFTER_ALL_RETRIES, SOON, Stage};
use futures::StreamExt as _;
use kurir_contract::{
    delivery::{AttemptResult, DeliveryReport},
    header,
};
use kurir_test_harness::Answer;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn four_failures_are_a_dead_letter_and_one_error_that_the_endpoint_does_not_get() {
    let stage = Stage::set().await;
    let mut dispatcher = stage.dispatcher().await;
    let client = stage.nats.client().await;
    let inbox = client.new_inbox();
    let mut reports = client.subscribe(inbox.clone()).await.unwrap();
    client.flush().await.unwrap();
    stage.receiver.always(Answer::status(500).body("come back later"));
    let body =
        stage.publish_with("message.received", &[(header::EVENT_ID, "evt_1"), (header::REPORT_TO, &inbox)]).await;

    let report = tokio::time::timeout(AFTER_ALL_RETRIES, reports.next()).await.unwrap().unwrap();
    let ended: DeliveryReport = serde_json::from_slice(&report.payload).unwrap();
    assert_eq!((ended.attempt, ended.status, ended.delivered), (4, Some(500), false));
    assert_eq!(ended.error.as_deref(), Some("the receiver answered 500"));

    stage.settled(SOON).await;
    let letters = stage.dead_letters().await;
    assert_eq!(letters.len(), 1);
    let letter = &letters[0];
    assert_eq!((letter.event_id.as_str(), letter.event.as_str(), letter.sequence), ("evt_1", "message.received", 1));
    assert_eq!((letter.endpoint.as_str(), letter.attempts), ("default", 4));
    assert_eq!(letter.payload, body.to_string());
    assert_eq!(letter.reason, "the receiver answered 500");
    let is_last = |last: &AttemptResult| matches!(last, AttemptResult::Refused { status: 500, body, .. } if body == "come back later");
    assert!(letter.last.as_ref().is_some_and(is_last), "{letter:?}");

    let errors = stage.events("error.occurred").await;
    assert_eq!(errors.len(), 1);
    assert_eq!(errors[0]["data"]["errorType"], "webhook.delivery.failed");
    assert_eq!(
        errors[0]["data"]["context"],
        json!({"endpoint": "default", "eventId": "evt_1", "event": "message.received", "attempts": 4, "lastStatus": 500})
    );
    // Four requests for the event, none for the error about it.
    assert_eq!(stage.receiver.count(), 4);
    let line = "All webhook attempts failed for event: message.received";
    dispatcher.wait_for_line(|said| said.contains(line), SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_about_deliveries_that_cannot_be_delivered_tells_of_nothing_more() {
    let stage = Stage::set().await;
    let _dispatcher = stage.dispatcher().await;
    stage.receiver.always(500_u16);
    stage.publish("error.occurred", "evt_1").await;
    stage.receiver.wait_for(4, AFTER_ALL_RETRIES).await;
    stage.settled(SOON).await;
    assert_eq!(stage.dead_letters().await.len(), 1);
    assert_eq!(stage.events("error.occurred").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payload_that_does_not_fit_into_a_dead_letter_stops_nothing() {
    let stage = Stage::set().await;
    let _dispatcher = stage.dispatcher().await;
    stage.receiver.always(500_u16);
    // Every quote is escaped in the letter: 720 kB become 1.2 MB, above NATS' limit.
    let payload = format!("{{\"event\":\"test\",\"data\":[{}0]}}", "\"\",".repeat(240_000));
    let stored = stage.jetstream.publish("whatsapp.events.default.test", payload.into()).await.unwrap();
    assert_eq!(stored.await.unwrap().sequence, 1);
    stage.receiver.wait_for(4, AFTER_ALL_RETRIES).await;
    stage.settled(SOON).await;
    let letters = stage.dead_letters().await;
    assert_eq!((letters.len(), letters[0].payload.as_str()), (1, ""));
    assert!(letters[0].reason.contains("message 1 of EVENTS"), "{}", letters[0].reason);
}
