//! Files that are to be sent: as a form or as JSON, in any order of the fields; and that nothing stays of what is refused.

use crate::{
    api::{Api, KEY, SOON, answer, store_messages},
    stand_in::{Gateway, connected},
};
use async_nats::jetstream::object_store::ObjectStore;
use futures::{StreamExt as _, stream};
use kurir_contract::{command::Command, media::MEDIA_TO_SEND_BUCKET};
use kurir_test_harness::{Nats, http, until};
use reqwest::{Body, Method};
use serde_json::{Value, json};
use std::{convert::Infallible, time::Duration};
use tokio::io::AsyncReadExt as _;

const MEDIA: &str = "/api/whatsapp/send-media";
const BUDI: &str = "6281234567890";
const BUDI_JID: &str = "6281234567890@s.whatsapp.net";
const BOUNDARY: &str = "the-boundary-of-the-tests";
/// Of the three bytes `abc`.
const SHA256: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

fn sent(command: Command, arguments: &Value) -> Option<Value> {
    let sent = json!({"ok": {"messageId": "3EB0AA", "to": arguments["to"], "attempt": 1}});
    Some(if command == Command::Status { connected() } else { sent })
}

fn field(name: &str, value: &str) -> Vec<u8> {
    format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n").into_bytes()
}

fn file(name: &str, mimetype: &str, bytes: &[u8]) -> Vec<u8> {
    let mimetype = if mimetype.is_empty() { String::new() } else { format!("Content-Type: {mimetype}\r\n") };
    let head = format!(
        "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"a file.bin\"\r\n{mimetype}\r\n"
    );
    [head.as_bytes(), bytes, b"\r\n"].concat()
}

fn end() -> Vec<u8> {
    format!("--{BOUNDARY}--\r\n").into_bytes()
}

async fn post_form(api: &Api, path: &str, body: impl Into<Body>) -> (u16, Value) {
    let request = api.request(Method::POST, path).header("X-API-Key", KEY);
    let content_type = format!("multipart/form-data; boundary={BOUNDARY}");
    answer(request.header("Content-Type", content_type).body(body)).await
}

async fn store(nats: &Nats) -> Option<ObjectStore> {
    nats.jetstream().await.get_object_store(MEDIA_TO_SEND_BUCKET).await.ok()
}

/// The files that wait in NATS.
async fn waiting(nats: &Nats) -> Vec<String> {
    let Some(store) = store(nats).await else { return Vec::new() };
    let objects: Vec<_> = store.list().await.expect("a list").collect().await;
    objects.into_iter().map(|object| object.expect("an object").name).collect()
}

/// The bytes that NATS holds for files, those that nobody knows of too.
async fn held(nats: &Nats) -> u64 {
    let stream = nats.jetstream().await.get_stream(format!("OBJ_{MEDIA_TO_SEND_BUCKET}")).await;
    stream.map_or(0, |stream| stream.cached_info().state.bytes)
}

async fn nothing_stays(nats: &Nats) {
    until("no file in NATS", SOON, || async {
        let (waiting, held) = (waiting(nats).await, held(nats).await);
        // What is left of a removed object is a note that it was, of some 400 bytes.
        if waiting.is_empty() && held < 20_000 { Ok(()) } else { Err((waiting, held)) }
    })
    .await;
}

#[tokio::test]
async fn a_form_is_handed_over_whatever_the_order_of_its_fields() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    let gateway = Gateway::start(&nats, "default", sent).await;
    let (to, kind) = (field("to", "+62 812-3456-7890"), field("mediaType", "image"));
    let (caption, picture) = (field("caption", "laut"), file("media", "image/png", b"abc"));
    for order in [[&to, &kind, &caption, &picture], [&picture, &caption, &kind, &to]] {
        let body = [order.map(Vec::as_slice).concat(), end()].concat();
        let (status, answer) = post_form(&api, MEDIA, body).await;
        let expected = json!({"success": true, "messageId": "3EB0AA", "message": "Media message sent successfully",
            "to": BUDI_JID, "attempt": 1});
        assert_eq!((status, answer), (200, expected));
    }
    let objects = waiting(&nats).await;
    assert_eq!(objects.len(), 2, "the gateway is who removes what it has sent");
    for (command, mut said) in gateway.commands() {
        assert_eq!(command, Command::SendMedia);
        let object = said["file"]["object"].take();
        assert!(objects.iter().any(|name| object == json!(name)), "{object}");
        assert_eq!(
            said,
            json!({"to": BUDI_JID, "kind": "image", "mimetype": "image/png", "caption": "laut", "fileName": null,
                "file": {"object": null, "received": false, "size": 3, "sha256": SHA256},
                "viewOnce": false, "gifPlayback": false, "quoted": null})
        );
    }
    let mut bytes = Vec::new();
    let mut object = store(&nats).await.expect("the store").get(&objects[0]).await.expect("the object");
    object.read_to_end(&mut bytes).await.expect("its bytes");
    assert_eq!(bytes, b"abc");
    let (_, metrics) = api.get("/api/metrics").await;
    assert_eq!((&metrics["data"]["mediaSent"], &metrics["data"]["mediaFailed"]), (&json!(2), &json!(0)));
}

#[tokio::test]
async fn each_kind_has_its_route_and_takes_json_too() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    store_messages(&nats, &["3EB0FF"]).await;
    let gateway = Gateway::start(&nats, "default", sent).await;
    let webp = "UklGRgAAAABXRUJQVlA4IAAAAAA=";
    for (kind, body) in [
        ("image", json!({"viewOnce": true})),
        ("video", json!({"gifPlayback": true})),
        ("audio", json!({})),
        ("voice", json!({"options": {"quoted": "3EB0FF"}})),
        ("document", json!({"fileName": "bill.pdf"})),
        ("sticker", json!({"base64": webp})),
    ] {
        let mut all = json!({"to": BUDI, "base64": "YWJj"});
        for (name, value) in body.as_object().expect("an object") {
            all[name] = value.clone();
        }
        let (status, answer) = api.post(&format!("/api/sessions/default/whatsapp/send-{kind}"), &all).await;
        assert_eq!(status, 200, "{kind}: {answer}");
    }
    let commands = gateway.commands();
    let said: Vec<_> = commands.iter().map(|(_, said)| (&said["kind"], &said["mimetype"])).collect();
    let expected = [
        ("image", "image/jpeg"),
        ("video", "video/mp4"),
        ("audio", "audio/mp4"),
        ("voice", "audio/ogg; codecs=opus"),
        ("document", "application/pdf"),
        ("sticker", "image/webp"),
    ]
    .map(|(kind, mimetype)| (json!(kind), json!(mimetype)));
    assert_eq!(said, expected.iter().map(|(kind, mimetype)| (kind, mimetype)).collect::<Vec<_>>());
    assert_eq!((&commands[0].1["viewOnce"], &commands[1].1["gifPlayback"]), (&json!(true), &json!(true)));
    assert_eq!((&commands[3].1["quoted"], &commands[4].1["fileName"]), (&json!("3EB0FF"), &json!("bill.pdf")));
    assert_eq!(commands[0].1["file"]["sha256"], SHA256);
}

/// Keeps `abc` as a gateway keeps a file that came.
async fn receive(nats: &Nats, name: &str) {
    let config = async_nats::jetstream::object_store::Config {
        bucket: kurir_contract::media::MEDIA_BUCKET.to_owned(),
        ..Default::default()
    };
    let received = nats.jetstream().await.create_object_store(config).await.expect("a store");
    received.put(name, &mut b"abc".as_slice()).await.expect("a file");
}

#[tokio::test]
async fn a_received_file_is_sent_on_where_it_is() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    let gateway = Gateway::start(&nats, "default", sent).await;
    receive(&nats, "image_3EB0_1_ab.png").await;
    let body = json!({"to": BUDI, "file": "image_3EB0_1_ab.png", "mimetype": "image/png"});
    assert_eq!(api.post("/api/whatsapp/send-image", &body).await.0, 200);
    let said = &gateway.commands()[0].1;
    let file = json!({"object": "image_3EB0_1_ab.png", "received": true, "size": 3, "sha256": SHA256});
    assert_eq!(said["file"], file);
    let (status, answer) = api.post("/api/whatsapp/send-image", &json!({"to": BUDI, "file": "nothing.png"})).await;
    assert_eq!((status, &answer["code"]), (404, &json!("file_not_found")));
    assert_eq!(waiting(&nats).await, [""; 0], "nothing was copied");
}

#[tokio::test]
async fn a_received_file_is_forwarded_by_the_data_of_its_event() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    let gateway = Gateway::start(&nats, "default", sent).await;
    receive(&nats, "audio_3EB0_1_ab.ogg").await;
    let data = |filename: &str| {
        json!({"messageId": "3EB0", "messageType": "audio", "forwardingScore": 2, "viewOnce": false,
            "media": {"voiceNote": true, "round": false, "gif": false, "seconds": 3, "width": null, "bytes": 3},
            "content": {"mimetype": "audio/ogg", "mediaDownloaded": true, "filename": filename, "fileSize": 3}})
    };
    let forward = |filename: &str| json!({"to": BUDI, "message": data(filename)});
    let (status, answer) = api.post("/api/whatsapp/forward-message", &forward("audio_3EB0_1_ab.ogg")).await;
    assert_eq!((status, &answer["messageId"]), (200, &json!("3EB0AA")), "{answer}");
    let content = json!({"mimetype": "audio/ogg", "filename": "audio_3EB0_1_ab.ogg"});
    let media = json!({"voiceNote": true, "round": false, "gif": false, "animated": false, "seconds": 3, "width": null,
        "height": null, "caption": null});
    let expected = json!({"to": BUDI_JID, "message": {"messageType": "audio", "content": content}, "media": media,
        "forwardingScore": 2});
    assert_eq!(gateway.commands(), [(Command::SendForward, expected)]);
    let (status, answer) = api.post("/api/whatsapp/forward-message", &forward("audio_3EB0_1_cd.ogg")).await;
    assert_eq!((status, &answer["code"]), (404, &json!("file_not_found")), "{answer}");
    assert_eq!(gateway.commands().len(), 1, "nobody was asked to send what is not there");
    assert_eq!(waiting(&nats).await, [""; 0], "nothing was copied");
}

#[tokio::test]
async fn every_refusal_has_its_text_and_nothing_stays() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[("MEDIA_UPLOAD_MAX", "100kB")]).await;
    let gateway = Gateway::start(&nats, "default", sent).await;
    let (to, image) = (field("to", BUDI), field("mediaType", "image"));
    let picture = file("media", "image/png", b"abc");
    let large = file("media", "image/png", &vec![7; 100 * 1024 + 1]);
    let types = "Invalid media type. Allowed types: image, video, audio, document";
    let too_large = "File size too large. Maximum size: 100kB";
    for (path, parts, status, message) in [
        (MEDIA, vec![&picture, &image], 400, "Phone number is required"),
        (MEDIA, vec![&field("to", "12"), &image, &picture], 400, "Invalid phone number format"),
        (MEDIA, vec![&to, &image], 400, "Media file is required"),
        (MEDIA, vec![&to, &image, &field("media", "")], 400, "Media file is required"),
        (MEDIA, vec![&to, &picture], 400, types),
        (MEDIA, vec![&to, &picture, &field("mediaType", "sticker")], 400, types),
        (MEDIA, vec![&to, &image, &large], 413, too_large),
        (MEDIA, vec![&large, &to, &image], 413, too_large),
        (MEDIA, vec![&to, &image, &file("media", "image/png", b"")], 400, "The media file is empty"),
        (MEDIA, vec![&to, &image, &picture, &picture], 400, "A message has one file, in the field media"),
        (MEDIA, vec![&to, &image, &file("picture", "image/png", b"abc")], 400, "The file belongs into the field media"),
        (
            MEDIA,
            vec![&to, &picture, &field("caption", &"x".repeat(33_000))],
            400,
            "A field of the form is longer than 32 kB",
        ),
        (
            "/api/whatsapp/send-video",
            vec![&to, &picture],
            400,
            "A file of the type image/png cannot be sent as video, which takes video/…",
        ),
        ("/api/whatsapp/send-sticker", vec![&to, &file("media", "", b"abc")], 400, "A sticker must be a WebP image"),
    ] {
        let parts: Vec<u8> = parts.into_iter().flatten().copied().chain(end()).collect();
        let (seen, answer) = post_form(&api, path, parts).await;
        assert_eq!((seen, &answer["message"]), (status, &json!(message)), "{path}: {answer}");
        nothing_stays(&nats).await;
    }
    for (body, status, message) in [
        (json!({"to": BUDI}), 400, "Media file is required"),
        (json!({"to": BUDI, "base64": "%"}), 400, "base64 is not valid base64"),
        (json!({"to": "12", "base64": "YWJj"}), 400, "Invalid phone number format"),
        (
            json!({"to": BUDI, "base64": "YWJj", "file": "a.png"}),
            400,
            "The file is base64, url, or file with the name of a received one: one of them, as a string",
        ),
    ] {
        let (seen, answer) = api.post("/api/whatsapp/send-image", &body).await;
        assert_eq!((seen, &answer["message"]), (status, &json!(message)), "{body}");
    }
    nothing_stays(&nats).await;
    assert_eq!(gateway.asked(), 0);
}

#[tokio::test]
async fn a_file_far_too_large_is_answered_while_it_is_still_being_written() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    let chunk = vec![7_u8; 64 * 1024];
    let head = [field("to", BUDI), field("mediaType", "image"), file("media", "image/png", b"")].concat();
    // 40 MB; the field's end never comes.
    let chunks =
        std::iter::once(head[..head.len() - 2].to_vec()).chain((0..640).map(move |_| chunk.clone())).chain([end()]);
    let body = Body::wrap_stream(stream::iter(chunks.map(Ok::<_, Infallible>)));
    let (status, answer) = post_form(&api, MEDIA, body).await;
    assert_eq!((status, &answer["message"]), (413, &json!("File size too large. Maximum size: 10MB")));
    nothing_stays(&nats).await;
}

#[tokio::test]
async fn an_upload_that_stalls_or_breaks_off_leaves_nothing() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    let gateway = Gateway::start(&nats, "default", sent).await;
    let head = [field("to", BUDI), field("mediaType", "image"), file("media", "image/png", &[7; 200_000])].concat();
    let begun = head[..head.len() - 2].to_vec();
    let stalling =
        |begun: Vec<u8>| Body::wrap_stream(stream::iter([Ok::<_, Infallible>(begun)]).chain(stream::pending()));
    // Broken off by a client that goes away when the first part has arrived.
    let request = api.request(Method::POST, MEDIA).header("X-API-Key", KEY);
    let content_type = format!("multipart/form-data; boundary={BOUNDARY}");
    let broken = tokio::spawn(request.header("Content-Type", content_type).body(stalling(begun.clone())).send());
    until("the first part in NATS", SOON, || async { held(&nats).await > 100_000 }).await;
    broken.abort();
    nothing_stays(&nats).await;

    let stalled = tokio::time::timeout(Duration::from_secs(60), post_form(&api, MEDIA, stalling(begun))).await;
    let (status, answer) = stalled.expect("an answer though nothing comes");
    assert_eq!((status, &answer["code"]), (408, &json!("body_timeout")), "{answer}");
    nothing_stays(&nats).await;
    assert_eq!(gateway.asked(), 0);
}

#[tokio::test]
async fn what_the_gateway_refuses_is_taken_away() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    let body = || [field("to", BUDI), field("mediaType", "image"), file("media", "image/png", b"abc"), end()].concat();
    let (status, answer) = post_form(&api, MEDIA, body()).await;
    assert_eq!((status, &answer["message"]), (503, &json!("WhatsApp is not connected")), "no gateway is there");
    nothing_stays(&nats).await;
    let _gateway = Gateway::start(&nats, "default", |command, _| {
        let refusal = json!({"error": {"code": "refused_by_whatsapp", "message": "no", "whatsapp_code": 463}});
        Some(if command == Command::Status { connected() } else { refusal })
    })
    .await;
    let (status, answer) = post_form(&api, MEDIA, body()).await;
    assert_eq!(
        (status, &answer["code"], &answer["whatsappCode"]),
        (502, &json!("refused_by_whatsapp"), &json!(463)),
        "{answer}"
    );
    nothing_stays(&nats).await;
    let (_, metrics) = api.get("/api/metrics").await;
    assert_eq!(metrics["data"]["mediaFailed"], 2);
}

#[tokio::test]
async fn without_nats_a_file_is_refused_at_once() {
    let api = Api::spawn("nats://127.0.0.1:9", &[]);
    until("the API to listen", SOON, || async { http::client().get(api.url("/livez")).send().await.is_ok() }).await;
    let body = [field("to", BUDI), field("mediaType", "image"), file("media", "image/png", b"abc"), end()].concat();
    let (status, answer) = post_form(&api, MEDIA, body).await;
    assert_eq!((status, &answer["code"]), (503, &json!("broker_unavailable")), "{answer}");
}
