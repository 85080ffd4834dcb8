//! Sent files: each reaches the contact byte for byte, once, and has an event.

use crate::world::{SOON, World};
use async_nats::jetstream::object_store::ObjectStore;
use kurir_contract::{
    command::{Command, CommandError, CommandErrorCode, FilePreview, FileToSend, MediaKind, SendMedia, SentMessage},
    media::{MEDIA_TO_SEND_BUCKET, new_object_name},
};
use kurir_test_harness::until;
use serde_json::{Value, json};

const ANI: &str = "6281230000009";

async fn store(world: &World) -> ObjectStore {
    let jetstream = world.jetstream().await;
    if let Ok(store) = jetstream.get_object_store(MEDIA_TO_SEND_BUCKET).await {
        return store;
    }
    let bucket = MEDIA_TO_SEND_BUCKET.to_owned();
    let config = async_nats::jetstream::object_store::Config { bucket, ..Default::default() };
    jetstream.create_object_store(config).await.expect("a store")
}

/// Stores a file as the API does, and makes the command that sends it.
async fn put(world: &World, kind: MediaKind, mimetype: &str, bytes: &[u8]) -> SendMedia {
    let object = new_object_name();
    let mut reader = bytes;
    let info = store(world).await.put(object.as_str(), &mut reader).await.expect("the file is put");
    let digest = info.digest.as_deref().and_then(|digest| digest.strip_prefix("SHA-256=")).expect("a digest");
    let digest = base64::Engine::decode(&base64::prelude::BASE64_URL_SAFE, digest).expect("base64");
    let sha256 = Some(digest.iter().map(|byte| format!("{byte:02x}")).collect());
    SendMedia {
        to: ANI.parse().expect("a number"),
        kind,
        file: FileToSend { object, received: false, size: Some(info.size as u64), sha256 },
        mimetype: mimetype.to_owned(),
        caption: String::new(),
        file_name: None,
        view_once: false,
        gif_playback: false,
        preview: FilePreview::default(),
        quoted: None,
        quote: None,
        idempotency_key: None,
    }
}

async fn send(world: &World, media: &SendMedia) -> Result<SentMessage, CommandError> {
    world.ask(Command::SendMedia, media).await
}

/// The contact's copy of a message, and the bytes of its file.
async fn received(world: &World, sent: &SentMessage) -> (Value, Vec<u8>) {
    let id = sent.message_id.as_str();
    let got = world.simulator.contact_receives(ANI, "the file", SOON, |got| got["id"] == id).await;
    let url = world.simulator.url(&format!("/contacts/{ANI}/messages/{id}/media"));
    let answer = kurir_test_harness::http::client().get(url).send().await.expect("an answer");
    assert!(answer.status().is_success(), "{}", answer.status());
    (got, answer.bytes().await.expect("bytes").to_vec())
}

async fn is_gone(world: &World, media: &SendMedia) {
    let store = store(world).await;
    until("the file to be removed", SOON, || async {
        match store.info(&media.file.object).await {
            Ok(info) if !info.deleted => Err(info),
            _ => Ok(()),
        }
    })
    .await;
}

fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 31 % 251) as u8).collect()
}

#[tokio::test]
async fn each_kind_reaches_the_contact_byte_for_byte() {
    let world = World::connected(&[]).await;
    // Files of several chunks, of one, and of sizes around a cipher block.
    for (kind, mimetype, length, kind_there, content) in [
        (
            MediaKind::Image,
            "image/png",
            300_000,
            "image",
            json!({"caption": "laut", "text": "laut", "mimetype": "image/png", "fileName": "media.jpg"}),
        ),
        (
            MediaKind::Video,
            "video/mp4",
            70_000,
            "video",
            json!({"caption": "laut", "text": "laut", "mimetype": "video/mp4", "fileName": "media.mp4"}),
        ),
        (
            MediaKind::Audio,
            "audio/mp4",
            16,
            "audio",
            json!({"caption": "laut", "text": "laut", "mimetype": "audio/mp4", "fileName": "media.mp3"}),
        ),
        (
            MediaKind::Voice,
            "audio/ogg; codecs=opus",
            15,
            "audio",
            json!({"caption": "laut", "text": "laut", "mimetype": "audio/ogg; codecs=opus", "fileName": "media.mp3"}),
        ),
        (
            MediaKind::Document,
            "application/pdf",
            1,
            "document",
            json!({"caption": "laut", "text": "laut", "fileName": "media.pdf", "mimetype": "application/pdf"}),
        ),
        (MediaKind::Sticker, "image/webp", 4_000, "sticker", json!({"mimetype": "image/webp"})),
    ] {
        let bytes = bytes(length);
        let media = SendMedia { caption: "laut".to_owned(), ..put(&world, kind, mimetype, &bytes).await };
        let sent = send(&world, &media).await.expect("sent");
        let (got, there) = received(&world, &sent).await;
        assert!(there == bytes, "{kind}: {} bytes of {length} arrived", there.len());
        assert_eq!(got["type"], kind_there, "{got}");
        let data = world.data("message.sent", |data| data["messageId"] == sent.message_id.as_str()).await;
        assert_eq!((&data["messageType"], &data["content"]), (&json!(kind_there), &content));
        is_gone(&world, &media).await;
    }
    world.finish().await;
}

#[tokio::test]
async fn an_upload_that_fails_is_a_try_and_the_message_has_one_id() {
    let world = World::connected(&[("WHATSAPP_SEND_PAUSES", "100ms,200ms")]).await;
    let fault =
        |code: u16, times: u32| json!({"kind": "nack", "code": code, "times": times, "match": {"stanza": "upload"}});
    let media = put(&world, MediaKind::Image, "image/png", &bytes(1_000)).await;
    // An expired permission is renewed within one try. A failing server costs one try.
    world.simulator.post("/faults", fault(401, 1)).await;
    assert_eq!(send(&world, &media).await.expect("sent").attempt, 1);
    let media = put(&world, MediaKind::Image, "image/png", &bytes(2_000)).await;
    world.simulator.post("/faults", fault(500, 1)).await;
    let sent = send(&world, &media).await.expect("sent");
    assert_eq!(sent.attempt, 2);
    let (got, there) = received(&world, &sent).await;
    assert_eq!((&got["copies"], there.len()), (&json!(1), 2_000));
    // The second try of a message does not upload again.
    let media = put(&world, MediaKind::Image, "image/png", &bytes(3_000)).await;
    let counting = json!({"kind": "delay", "delayMs": 0, "match": {"stanza": "upload"}});
    let counting = world.simulator.post("/faults", counting).await["id"].clone();
    world.simulator.post("/faults", json!({"kind": "nack", "code": 479, "times": 1, "match": {"contact": ANI}})).await;
    assert_eq!(send(&world, &media).await.expect("sent").attempt, 2);
    let faults = world.simulator.get("/faults").await;
    let uploads = faults.as_array().and_then(|all| all.iter().find(|fault| fault["id"] == counting));
    assert_eq!(uploads.map(|uploads| &uploads["met"]), Some(&json!(1)), "{faults}");
    world.finish().await;
}

#[tokio::test]
async fn all_tries_spent_the_file_stays_for_who_asks_again_with_the_key() {
    let world = World::connected(&[("WHATSAPP_SEND_PAUSES", "100ms,200ms")]).await;
    let fault = json!({"kind": "nack", "code": 500, "times": 3, "match": {"stanza": "upload"}});
    world.simulator.post("/faults", fault).await;
    let media = put(&world, MediaKind::Document, "text/csv", &bytes(5_000)).await;
    let media = SendMedia { idempotency_key: Some("bill-7".parse().expect("a key")), ..media };
    let refused = send(&world, &media).await.expect_err("three refusals");
    assert_eq!(refused.code, CommandErrorCode::RefusedByWhatsapp, "{refused}");
    assert!(refused.message.contains("media server did not take the file"), "{refused}");
    let sent = send(&world, &media).await.expect("sent");
    assert_eq!(received(&world, &sent).await.1, bytes(5_000));
    is_gone(&world, &media).await;
    // The file is gone, and the answer is still the first one.
    assert_eq!(send(&world, &media).await.expect("the first answer"), sent);
    // The file stored under another name is the same message, and its second copy is deleted, too.
    let again = put(&world, MediaKind::Document, "text/csv", &bytes(5_000)).await;
    let again = SendMedia { idempotency_key: media.idempotency_key.clone(), ..again };
    assert_eq!(send(&world, &again).await.expect("the first answer"), sent);
    is_gone(&world, &again).await;
    let other = put(&world, MediaKind::Document, "text/csv", &bytes(5_001)).await;
    let other = SendMedia { idempotency_key: media.idempotency_key.clone(), ..other };
    assert_eq!(send(&world, &other).await.expect_err("another file").code, CommandErrorCode::Conflict);
    is_gone(&world, &other).await;
    assert_eq!(world.simulator.received_by(ANI).await.len(), 1);
    world.finish().await;
}

#[tokio::test]
async fn a_gateway_that_dies_during_an_upload_sends_the_file_when_it_is_asked_again() {
    let mut world = World::connected(&[]).await;
    let slow = json!({"kind": "delay", "delayMs": 60_000, "times": 1, "match": {"stanza": "upload"}});
    world.simulator.post("/faults", slow).await;
    let media = put(&world, MediaKind::Video, "video/mp4", &bytes(200_000)).await;
    let media = SendMedia { idempotency_key: Some("film-1".parse().expect("a key")), ..media };
    let upload = async {
        until("the upload to begin", SOON, || async {
            let faults = world.simulator.get("/faults").await;
            if faults[0]["met"] == 1 { Ok(()) } else { Err(faults) }
        })
        .await;
    };
    tokio::select! {
        answer = send(&world, &media) => panic!("{answer:?}"),
        () = upload => {}
    }
    world.gateway.kill_9().await;
    let left = std::fs::read_dir(world.gateway.folder().join("sessions/default")).expect("the session's folder");
    let left: Vec<_> = left.flatten().map(|entry| entry.file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().starts_with(".tmp")), "{left:?}");
    world.gateway.start_again();
    world.gateway.wait_ready(SOON).await;
    world.is("connected").await;
    let sent = send(&world, &media).await.expect("sent");
    let (got, there) = received(&world, &sent).await;
    assert_eq!(got["copies"], 1);
    assert!(there == bytes(200_000));
    world.finish().await;
}

#[tokio::test]
async fn a_file_that_is_no_longer_there_is_refused() {
    let world = World::connected(&[]).await;
    let media = put(&world, MediaKind::Image, "image/png", b"abc").await;
    store(&world).await.delete(&media.file.object).await.expect("deleted");
    let refused = send(&world, &media).await.expect_err("nothing is there");
    assert_eq!(refused.code, CommandErrorCode::InvalidRequest);
    assert_eq!(refused.message, "The file of this message is no longer there; send it again");
    let mut received = SendMedia { file: FileToSend { received: true, ..media.file.clone() }, ..media };
    received.file.object = "image_3EB0_1_ab.png".to_owned();
    assert_eq!(send(&world, &received).await.expect_err("nor there").code, CommandErrorCode::InvalidRequest);
    assert_eq!(world.simulator.received_by(ANI).await.len(), 0);
    world.finish().await;
}
