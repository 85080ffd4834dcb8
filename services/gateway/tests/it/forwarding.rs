//! Received files that are forwarded: the recipient gets the stored bytes as the same kind of message, marked as
//! forwarded.

use crate::world::{BUDI, SOON, World};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use buffa::Message as _;
use kurir_contract::{
    clock,
    command::{Command, CommandErrorCode, SentMessage},
    job::{JobId, JobItem, JobRecord, SendJob},
    media::MEDIA_BUCKET,
};
use serde_json::{Value, json};
use waproto::whatsapp::Message;

const ANI: &str = "6281230000009";
const ANI_JID: &str = "6281230000009@s.whatsapp.net";

/// The request that forwards the message of an event's `data`.
fn forward(data: &Value) -> Value {
    json!({"to": ANI_JID, "message": data, "media": data["media"], "forwardingScore": data["forwardingScore"]})
}

/// The event of a message with a file that Budi sends.
async fn received(world: &World, message: Value) -> Value {
    let id = world.simulator.contact_sends(BUDI, message).await;
    let data = world.data("message.received", |data| data["messageId"] == id.as_str()).await;
    assert_eq!(data["content"]["mediaDownloaded"], true, "{data}");
    data
}

/// Ani's copy of a message, its protobuf, and the bytes of its file.
async fn arrived(world: &World, id: &str) -> (Value, Message, Vec<u8>) {
    let got = world.simulator.contact_receives(ANI, "the file", SOON, |got| got["id"] == id).await;
    let raw = BASE64_STANDARD.decode(got["raw"].as_str().expect("a protobuf")).expect("base64");
    let message = Message::decode_from_slice(&raw).expect("a message");
    let url = world.simulator.url(&format!("/contacts/{ANI}/messages/{id}/media"));
    let answer = kurir_test_harness::http::client().get(url).send().await.expect("an answer");
    assert!(answer.status().is_success(), "{}", answer.status());
    (got, message, answer.bytes().await.expect("bytes").to_vec())
}

/// A file as the simulator makes it.
fn made(size: usize) -> Vec<u8> {
    (0..size).map(|n| (n % 251) as u8).collect()
}

#[tokio::test]
async fn each_kind_of_file_is_forwarded_byte_for_byte_as_what_it_was() {
    let world = World::connected(&[]).await;
    for (message, kind, score) in [
        (json!({"type": "image", "size": 300_000, "mimetype": "image/png", "caption": "laut"}), "image", 1),
        (json!({"type": "video", "size": 70_000, "caption": "laut", "seconds": 7, "forwarded": true}), "video", 2),
        (json!({"type": "video", "size": 16, "round": true, "seconds": 7}), "ptv", 1),
        (json!({"type": "audio", "size": 15, "mimetype": "audio/mp4", "seconds": 7, "forwarded": true}), "audio", 2),
        (json!({"type": "audio", "size": 1, "ptt": true, "seconds": 7}), "audio", 1),
        (json!({"type": "document", "size": 4_000, "fileName": "bill.pdf", "caption": "laut"}), "document", 1),
        (json!({"type": "sticker", "size": 5_000}), "sticker", 1),
    ] {
        let data = received(&world, message.clone()).await;
        let sent: SentMessage = world.ask(Command::SendForward, forward(&data)).await.expect("sent");
        let (got, there, bytes) = arrived(&world, &sent.message_id).await;
        let size = message["size"].as_u64().expect("a size") as usize;
        assert!(bytes == made(size), "{message}: {} bytes of {size} arrived", bytes.len());
        assert_eq!((&got["type"], &got["forwarded"]), (&json!(kind), &json!(score)), "{message}");
        assert_eq!((&got["caption"], &got["fileName"]), (&message["caption"], &message["fileName"]), "{message}");
        assert_eq!(got["mimetype"], data["content"]["mimetype"], "{message}");
        let seconds = there.video_message.seconds.or(there.ptv_message.seconds).or(there.audio_message.seconds);
        assert_eq!(json!(seconds), message["seconds"], "{message}");
        assert_eq!(there.audio_message.ptt.unwrap_or_default(), message["ptt"] == true, "{message}");
        let told = world.data("message.sent", |data| data["messageId"] == sent.message_id.as_str()).await;
        assert_eq!((&told["forwarded"], &told["forwardingScore"]), (&json!(true), &json!(score)), "{message}");
        assert_eq!(told["messageType"], data["messageType"], "{message}");
        assert_eq!(told["media"]["round"], data["media"]["round"], "{message}");
    }
    world.finish().await;
}

#[tokio::test]
async fn a_forwarded_file_stays_where_it_is_and_goes_out_once_for_its_key() {
    let world = World::connected(&[]).await;
    let data = received(&world, json!({"type": "image", "size": 1_000})).await;
    let body = |key: &str, data: &Value| {
        let mut body = forward(data);
        body["idempotencyKey"] = json!(key);
        body
    };
    let first: SentMessage = world.ask(Command::SendForward, body("once", &data)).await.expect("sent");
    let again: SentMessage = world.ask(Command::SendForward, body("once", &data)).await.expect("the first answer");
    assert_eq!(first, again);
    let other = received(&world, json!({"type": "image", "size": 1_000})).await;
    let refused = world.ask::<SentMessage>(Command::SendForward, body("once", &other)).await.expect_err("another file");
    assert_eq!(refused.code, CommandErrorCode::Conflict);
    // As a job that the gateway runs by itself.
    let job = SendJob {
        id: JobId::random(),
        name: None,
        created_at: clock::now_iso(),
        send_at: None,
        items: vec![JobItem {
            command: Command::SendForward.as_str().to_owned(),
            arguments: forward(&data),
            send_at: None,
        }],
    };
    let id = job.id.item_key(0).message_id(&"default".parse().expect("a session"));
    let record: JobRecord = world.ask(Command::SubmitJob, &job).await.expect("taken");
    assert_eq!(record.total, 1);
    let (got, _, bytes) = arrived(&world, &id).await;
    assert_eq!((&got["forwarded"], bytes), (&json!(1), made(1_000)));
    assert_eq!(world.simulator.received_by(ANI).await.len(), 2);
    world.finish().await;
}

#[tokio::test]
async fn a_file_that_is_no_longer_kept_is_not_forwarded() {
    let world = World::connected(&[]).await;
    let data = received(&world, json!({"type": "document", "size": 100})).await;
    let store = world.jetstream().await.get_object_store(MEDIA_BUCKET).await.expect("the store");
    store.delete(data["content"]["filename"].as_str().expect("a name")).await.expect("deleted");
    let refused = world.ask::<SentMessage>(Command::SendForward, forward(&data)).await.expect_err("nothing is there");
    let expected = (CommandErrorCode::InvalidRequest, "The file of this message is no longer there; send it again");
    assert_eq!((refused.code, refused.message.as_str()), expected);
    assert_eq!(world.simulator.received_by(ANI).await.len(), 0);
    world.finish().await;
}
