//! An endpoint that wants files receives them in the body, up to a size, under the signature. A missing file delays
//! nothing.

use crate::stage::{SOON, Stage};
use async_nats::{
    HeaderMap,
    jetstream::{
        message::PublishMessage,
        object_store::{Config, ObjectStore},
    },
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use kurir_contract::{endpoint::SigningSecret, header, media::MEDIA_BUCKET};
use serde_json::{Value, json};
use standardwebhooks::Webhook;

async fn store(stage: &Stage) -> ObjectStore {
    let config = Config { bucket: MEDIA_BUCKET.to_owned(), ..Config::default() };
    stage.jetstream.create_object_store(config).await.unwrap()
}

/// Stores an event as the gateway does for a message with a file.
async fn publish(stage: &Stage, kind: &str, id: &str, file: &str) -> Value {
    let content = json!({"caption": "\"mediaDownloaded\":true", "mediaDownloaded": true, "filename": file});
    let data = json!({"messageId": id, "from": "628@s.whatsapp.net", "messageType": "image", "content": content});
    let body = json!({"event": kind, "timestamp": "2026-11-24T13:27:25.042Z", "data": data});
    let mut headers = HeaderMap::new();
    headers.insert(header::EVENT_ID, id);
    let message = PublishMessage::build().headers(headers).payload(body.to_string().into());
    stage.jetstream.send_publish(format!("whatsapp.events.default.{kind}"), message).await.unwrap().await.unwrap();
    body
}

#[tokio::test(flavor = "multi_thread")]
async fn the_default_endpoint_gets_files_in_the_body_up_to_a_size() {
    let stage = Stage::set().await;
    stage.make_events().await;
    let (secret, files) = (SigningSecret::random(), store(&stage).await);
    let file: Vec<u8> = (0..300_001_u32).map(|n| (n % 251) as u8).collect();
    files.put("small.jpg", &mut file.as_slice()).await.unwrap();
    files.put("large.jpg", &mut [file.as_slice(), &file].concat().as_slice()).await.unwrap();
    let revealed = secret.reveal();
    let _dispatcher =
        stage.dispatcher_with([("WEBHOOK_BASE64_MAX", "300001"), ("WEBHOOK_SECRET", revealed.as_str())]).await;
    for (kind, name, expected) in [
        ("message.received", "small.jpg", Some(&file)),
        ("message.sent", "small.jpg", Some(&file)),
        ("media.downloaded", "small.jpg", Some(&file)),
        ("message.received", "large.jpg", None),
        ("message.received", "expired.jpg", None),
    ] {
        let id = format!("{kind}-{name}");
        let mut body = publish(&stage, kind, &id, name).await;
        let arrived = |request: &kurir_test_harness::Request| request.header("webhook-id") == id;
        let request = kurir_test_harness::until(format!("{id} to arrive"), SOON, || async {
            stage.receiver.requests().into_iter().find(arrived).ok_or("not there")
        })
        .await;
        if let Some(file) = expected {
            body["data"]["content"]["base64"] = BASE64_STANDARD.encode(file).into();
        }
        assert!(request.json() == body, "{id} is not what was expected");
        assert!(Webhook::new(&secret.reveal()).unwrap().verify(&request.body, &request.headers).is_ok(), "{id}");
    }
    stage.settled(SOON).await;
    assert!(stage.attempts().await.iter().all(|attempt| attempt.attempt == 1), "a missing file is no failure");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_of_the_api_gets_files_in_the_body_only_if_it_asks() {
    let stage = Stage::set().await;
    store(&stage).await.put("a.jpg", &mut b"hello".as_slice()).await.unwrap();
    let _dispatcher = stage.endpoints_dispatcher().await;
    let ids = [
        stage.endpoint(json!({"headers": {"x-asks": "no"}})).await,
        stage.endpoint(json!({"headers": {"x-asks": "yes"}, "base64": true})).await,
        stage.endpoint(json!({"headers": {"x-asks": "in order"}, "base64": true, "ordering": "chat"})).await,
    ];
    publish(&stage, "message.received", "evt_1", "a.jpg").await;
    let requests = stage.receiver.wait_for(3, SOON).await;
    for request in &requests {
        let expected = if request.header("x-asks") == "no" { Value::Null } else { "aGVsbG8=".into() };
        assert_eq!(request.json()["data"]["content"]["base64"], expected, "{}", request.header("x-asks"));
    }
    stage.all_settled(&ids.iter().collect::<Vec<_>>(), SOON).await;
}
