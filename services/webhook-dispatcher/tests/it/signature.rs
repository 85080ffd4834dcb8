//! Requests are signed as Standard Webhooks defines it; its published library verifies them.

use crate::stage::{SOON, Stage, endpoints::NO_DEFAULT};
use kurir_contract::{clock, endpoint::SigningSecret};
use kurir_test_harness::Request;
use serde_json::json;
use standardwebhooks::Webhook;
use std::time::Duration;
use time::OffsetDateTime;

fn verifies(secret: &SigningSecret, request: &Request) -> bool {
    Webhook::new(&secret.reveal()).unwrap().verify(&request.body, &request.headers).is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_default_endpoint_signs_if_it_has_a_secret() {
    let stage = Stage::set().await;
    let secret = SigningSecret::random();
    let revealed = secret.reveal();
    let mut dispatcher = stage.dispatcher_with([("WEBHOOK_SECRET", revealed.as_str())]).await;
    stage.publish("message.received", "evt_1").await;
    let request = stage.receiver.wait_for(1, SOON).await.remove(0);
    assert!(verifies(&secret, &request));
    assert!(!verifies(&SigningSecret::random(), &request));
    dispatcher.wait_for_line(|line| line.contains("Webhook sent successfully"), SOON).await;
    assert!(!dispatcher.output().contains(&revealed[6..]), "the secret is in the log");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_attempt_is_signed_anew_and_both_secrets_verify_during_a_rotation() {
    let stage = Stage::set().await;
    let _dispatcher = stage.dispatcher_with([NO_DEFAULT]).await;
    let [old, new] = [0; 2].map(|_| SigningSecret::random());
    let until = clock::iso(OffsetDateTime::now_utc() + Duration::from_secs(8));
    let secrets = json!([{"secret": new.reveal()}, {"secret": old.reveal(), "until": until}]);
    let headers = json!({"x-tenant": "acme", "authorization": "Bearer word"});
    let id = stage.endpoint(json!({"secrets": secrets, "headers": headers, "retry": [2, 8]})).await;
    stage.receiver.answers([500_u16, 500, 200]);
    stage.publish("message.received", "evt_1").await;
    let requests = stage.receiver.wait_for(3, SOON).await;
    stage.all_settled(&[&id], SOON).await;

    let timestamps: Vec<_> = requests.iter().map(|request| request.header("webhook-timestamp")).collect();
    assert!(timestamps.is_sorted() && timestamps[0] < timestamps[1], "{timestamps:?}");
    for request in &requests {
        assert!(verifies(&new, request));
        assert_eq!((request.header("x-tenant"), request.header("authorization")), ("acme", "Bearer word"));
    }
    let by_the_old: Vec<_> = requests.iter().map(|request| verifies(&old, request)).collect();
    assert_eq!(by_the_old, [true, true, false], "its time is over at the third attempt");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_secret_nothing_is_signed() {
    let stage = Stage::set().await;
    let _dispatcher = stage.dispatcher_with([NO_DEFAULT]).await;
    stage.endpoint(json!({})).await;
    stage.publish("test", "evt_1").await;
    let request = stage.receiver.wait_for(1, SOON).await.remove(0);
    assert_eq!((request.header("webhook-signature"), request.header("webhook-timestamp")), ("", ""));
    assert_eq!(request.header("webhook-id"), "evt_1");
}
