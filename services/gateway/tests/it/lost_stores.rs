//! A stream, a bucket or an object store vanishes under a running gateway: the loss is reported and mended, and what
//! depends on it goes on.

use crate::world::{BUDI, SOON, World};
use async_nats::jetstream::{context::GetStreamErrorKind, stream::Stream};
use kurir_contract::{
    command::{Command, IDEMPOTENCY_BUCKET, IdempotencyKey, SendText, SentMessage},
    job,
    media::{MEDIA_BUCKET, MEDIA_TO_SEND_BUCKET},
    service::{PingReply, ServiceName},
    session::{SESSION_HOLDERS_BUCKET, SessionId},
    stream, subject,
};
use kurir_test_harness::{Port, http, until};
use serde_json::json;

/// Each with the stream that holds it.
fn stores() -> Vec<(&'static str, String)> {
    let bucket = |name: &'static str| (name, format!("KV_{name}"));
    vec![
        (stream::EVENTS, stream::EVENTS.to_owned()),
        (stream::OUTBOX, stream::OUTBOX.to_owned()),
        bucket(job::BUCKET),
        bucket(IDEMPOTENCY_BUCKET),
        bucket("known_chats"),
        bucket(SESSION_HOLDERS_BUCKET),
        (MEDIA_BUCKET, format!("OBJ_{MEDIA_BUCKET}")),
    ]
}

async fn find(world: &World, stream: &str) -> Result<Stream, String> {
    world.jetstream().await.get_stream(stream).await.map_err(|error| match error.kind() {
        GetStreamErrorKind::JetStream(refusal) => refusal.to_string(),
        other => format!("{other:?}"),
    })
}

async fn keyed(world: &World, key: &str, text: &str) -> SentMessage {
    let key: IdempotencyKey = key.parse().expect("a key");
    let to = BUDI.parse().expect("a number");
    let send = SendText { idempotency_key: Some(key), ..SendText::new(to, text) };
    world.ask(Command::SendText, send).await.expect("sent")
}

async fn image(world: &World) -> serde_json::Value {
    world.simulator.contact_sends(BUDI, json!({"type": "image", "size": 2_000})).await;
    world.data("message.received", |data| data["content"]["mediaDownloaded"] == true).await
}

#[tokio::test]
async fn each_store_that_vanishes_is_reported_made_again_and_used() {
    let port = Port::reserve();
    let listen = port.addr().to_string();
    let world = World::connected(&[("HEALTH_LISTEN", &listen), ("NEW_CHATS_PER_DAY", "5")]).await;
    // All stores are in use.
    let first = keyed(&world, "order-1", "one").await;
    image(&world).await;
    let waiting = world.jobs_record_made().await;
    for (name, stream) in stores() {
        until(format!("{name} to be made"), SOON, || find(&world, &stream)).await;
    }
    // The gateway has seen each of them.
    tokio::time::sleep(std::time::Duration::from_secs(6)).await;
    for (name, stream) in stores() {
        let old = find(&world, &stream).await.expect("it is there").cached_info().created;
        world.jetstream().await.delete_stream(&stream).await.expect("it was there");
        until(format!("{name} to be made again"), SOON, || async {
            let made = find(&world, &stream).await?;
            if made.cached_info().created == old { Err("the old one".to_owned()) } else { Ok(()) }
        })
        .await;
        let metric = format!(r#"kurir_stores_lost_total{{store="{name}"}} 1"#);
        until(metric.clone(), SOON, || async {
            let metrics = http::client().get(format!("http://{listen}/metrics")).send().await.expect("metrics");
            let metrics = metrics.text().await.expect("text");
            if metrics.contains(&metric) { Ok(()) } else { Err(metrics) }
        })
        .await;
        if name == stream::OUTBOX {
            world.has_failed(&waiting).await;
        }
    }
    let ping = world.nats.client().await.request(subject::service_ping(ServiceName::Gateway), "".into()).await;
    let pong: PingReply = serde_json::from_slice(&ping.expect("the gateway answers").payload).expect("a pong");
    for (name, _) in stores() {
        assert!(pong.notices.iter().any(|notice| notice.contains(name)), "{name} is not in {pong:?}");
    }
    // What depends on them works.
    world.is("connected").await;
    let again = keyed(&world, "order-1", "one").await;
    assert_eq!(again.message_id, first.message_id, "a repeat has the same id");
    keyed(&world, "order-2", "two").await;
    image(&world).await;
    world.finish().await;
}

#[tokio::test]
async fn a_job_whose_record_vanished_is_known_again_and_sent() {
    let world = World::connected(&[]).await;
    let waiting = world.jobs_record_made().await;
    tokio::time::sleep(std::time::Duration::from_secs(6)).await;
    world.jetstream().await.delete_stream(format!("KV_{}", job::BUCKET)).await.expect("it was there");
    until("the record to be made again", SOON, || async {
        let bucket = world.jetstream().await.get_key_value(job::BUCKET).await.map_err(|error| error.to_string())?;
        let record = bucket.get(waiting.record_key(&SessionId::default())).await.map_err(|error| error.to_string())?;
        record.ok_or_else(|| "no record".to_owned())
    })
    .await;
    assert!(world.events_of("job.failed").await.is_empty());
    world.finish().await;
}

#[tokio::test]
async fn a_store_of_files_to_send_that_vanished_is_made_again() {
    let world = World::connected(&[]).await;
    let config =
        async_nats::jetstream::object_store::Config { bucket: MEDIA_TO_SEND_BUCKET.to_owned(), ..Default::default() };
    world.jetstream().await.create_object_store(config).await.expect("a store");
    tokio::time::sleep(std::time::Duration::from_secs(6)).await;
    world.jetstream().await.delete_object_store(MEDIA_TO_SEND_BUCKET).await.expect("it was there");
    let stream = format!("OBJ_{MEDIA_TO_SEND_BUCKET}");
    until("it to be made again", SOON, || find(&world, &stream)).await;
    world.finish().await;
}
