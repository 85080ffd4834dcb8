//! Receivers that a stranger has chosen: slow, broken, lying, or where no webhook may go.

use crate::stage::{
    SOON, Stage,
    endpoints::NO_DEFAULT,
    tls::{Authority, TlsReceiver},
};
use kurir_contract::{
    delivery::{AttemptRecord, AttemptResult},
    endpoint::EndpointId,
};
use kurir_test_harness::{Answer, Receiver};
use serde_json::json;
use std::time::Duration;

/// The class of an attempt without an answer, or the status.
fn class(attempt: &AttemptRecord) -> String {
    match &attempt.result {
        AttemptResult::Failed { class, .. } => class.clone(),
        AttemptResult::Refused { status, .. } | AttemptResult::Delivered { status, .. } => status.to_string(),
        AttemptResult::Filtered { by } => by.clone(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_a_receiver_does_its_attempt_ends_in_time_and_is_told_apart() {
    let stage = Stage::set().await;
    let elsewhere = Receiver::start().await;
    let _dispatcher = stage.endpoints_dispatcher().await;
    let huge = Answer::status(200).body(vec![b'.'; 8 * 1024 * 1024]);
    let long_head = Answer::status(500).header("x-long", &"x".repeat(600_000));
    let many = (0..500).fold(Answer::status(500), |answer, number| answer.header(&format!("x-{number}"), "y"));
    let mut endpoints: Vec<(EndpointId, Receiver, &str)> = Vec::new();
    for (answer, expected) in [
        (Answer::status(200).slow(Duration::from_secs(1)), "200"),
        (Answer::Hang, "timeout"),
        (Answer::Drip, "timeout"),
        (Answer::DripHead, "timeout"),
        (Answer::Flood, "200"),
        (huge, "200"),
        (Answer::Reset, "reset"),
        (Answer::Garbage, "invalid"),
        (Answer::redirect(&elsewhere.url()), "302"),
        (long_head, "invalid"),
        (many, "500"),
    ] {
        let receiver = Receiver::start().await;
        receiver.always(answer);
        let settings = json!({"url": receiver.url(), "timeoutSeconds": 3, "retry": [600]});
        endpoints.push((stage.endpoint(settings).await, receiver, expected));
    }
    stage.publish("test", "evt_1").await;
    for (id, receiver, expected) in &endpoints {
        let first = stage.recorded_of(id, 1).await.remove(0);
        assert_eq!(class(&first), *expected, "{first:?}");
        assert!(first.duration_ms < 6_000, "{first:?}");
        let text = serde_json::to_string(&first).unwrap();
        assert!(text.len() < 8 * 1024, "{} bytes are kept", text.len());
        assert_eq!(receiver.count(), 1, "{expected}");
    }
    assert_eq!(elsewhere.count(), 0, "a redirect was followed");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_made_through_the_api_leads_into_no_private_network() {
    let stage = Stage::set().await;
    let mut dispatcher = stage.dispatcher_with([("WEBHOOK_ALLOWED_NETWORKS", "10.0.0.0/8")]).await;
    let port = stage.receiver.addr().port();
    for (number, host) in (1..).zip(["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "2130706433", "0.0.0.0"])
    {
        let url = format!("http://{host}:{port}/secret-path");
        let id = stage.endpoint(json!({"url": url, "retry": [], "events": ["test"]})).await;
        stage.publish("test", &format!("evt_{number}")).await;
        let first = stage.recorded_of(&id, 1).await.remove(0);
        assert_eq!(class(&first), "forbidden", "{host}: {first:?}");
        assert!(serde_json::to_string(&first).unwrap().contains("WEBHOOK_ALLOWED_NETWORKS"), "{first:?}");
        stage.delete(&id).await;
    }
    // The operator's own URL may lead there.
    stage.receiver.wait_for(6, SOON).await;
    stage.settled(SOON).await;
    assert!(stage.receiver.requests().iter().all(|request| request.path == "/webhook"));
    dispatcher.wait_for_line(|line| line.contains("forbidden") || line.contains("no webhook may go"), SOON).await;
    assert!(!dispatcher.output().contains("secret-path"));
}

#[tokio::test(flavor = "multi_thread")]
async fn https_is_trusted_by_the_authority_of_the_ca_file_and_by_no_other() {
    let stage = Stage::set().await;
    let (own, foreign) = (Authority::new(), Authority::new());
    let file = own.file();
    let path = file.path().to_str().unwrap();
    let _dispatcher = stage.dispatcher_with([NO_DEFAULT, ("WEBHOOK_CA_FILE", path)]).await;
    let good = TlsReceiver::start(&own, "localhost").await;
    let wrong_name = TlsReceiver::start(&own, "example.org").await;
    let unknown = TlsReceiver::start(&foreign, "localhost").await;
    let mut endpoints = Vec::new();
    for (url, expected) in [(good.url(), "200"), (wrong_name.url(), "tls"), (unknown.url(), "tls")] {
        endpoints.push((stage.endpoint(json!({"url": url, "retry": [600]})).await, expected));
    }
    stage.publish("test", "evt_1").await;
    for (id, expected) in &endpoints {
        let first = stage.recorded_of(id, 1).await.remove(0);
        assert_eq!(class(&first), *expected, "{first:?}");
    }
    assert_eq!((good.requests(), wrong_name.requests(), unknown.requests()), (1, 0, 0));
}

/// The API refuses these settings. If they are in the bucket all the same, they do no harm.
#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_cannot_be_used_is_left_alone_and_disturbs_no_other() {
    let stage = Stage::set().await;
    let mut dispatcher = stage.endpoints_dispatcher().await;
    for url in ["ftp://127.0.0.1/secret-path", "no URL", "http://"] {
        stage.endpoint(json!({"url": url})).await;
    }
    stage.endpoint(json!({"headers": {"a b": "c"}})).await;
    let id = stage.endpoint(json!({})).await;
    stage.publish("test", "evt_1").await;
    stage.all_settled(&[&id], SOON).await;
    assert_eq!(stage.receiver.count(), 1);
    dispatcher.wait_for_line(|line| line.contains("failed to use webhook endpoint"), SOON).await;
    assert!(!dispatcher.output().contains("secret-path"));
}
