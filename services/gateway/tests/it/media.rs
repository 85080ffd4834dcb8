//! Received files: each is stored byte for byte before its event is published. A missing file delays nothing, is
//! reported as missing, and comes later if possible.

use crate::world::{BUDI, BUDI_JID, SOON, World};
use kurir_contract::media::MEDIA_BUCKET;
use kurir_test_harness::until;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;

/// A file as the simulator makes it.
fn made(size: usize) -> Vec<u8> {
    (0..size).map(|n| (n % 251) as u8).collect()
}

/// The bytes and the type of a file in the store.
async fn kept(world: &World, name: &str) -> (Vec<u8>, String) {
    let store = world.jetstream().await.get_object_store(MEDIA_BUCKET).await.expect("the gateway made the store");
    let mut object = store.get(name).await.expect("the file is there");
    let mut bytes = Vec::new();
    object.read_to_end(&mut bytes).await.expect("all of it");
    (bytes, object.info.metadata["content-type"].clone())
}

async fn received(world: &World, message: Value) -> Value {
    let id = world.simulator.contact_sends(BUDI, message).await;
    world.data("message.received", |data| data["messageId"] == id.as_str()).await
}

/// The part of a `content` with a file that is checked.
async fn assert_kept(world: &World, data: &Value, expected: &[u8], mimetype: &str, extension: &str) {
    let content = &data["content"];
    let name = content["filename"].as_str().unwrap_or_else(|| panic!("no file: {data}"));
    let (kind, id) = (data["messageType"].as_str().expect("a kind"), data["messageId"].as_str().expect("an id"));
    assert!(name.starts_with(&format!("{kind}_{id}_")) && name.ends_with(&format!(".{extension}")), "{name}");
    assert_eq!(content["mediaDownloaded"], true);
    assert_eq!(content["filepath"], format!("media/{name}"));
    assert_eq!(content["downloadUrl"], format!("/media/{name}"));
    assert_eq!((&content["fileSize"], &content["mimeType"]), (&json!(expected.len()), &json!(mimetype)));
    assert_eq!(content["base64"], Value::Null, "never in NATS");
    assert!(kept(world, name).await == (expected.to_vec(), mimetype.to_owned()), "{name} is another file");
}

#[tokio::test]
async fn each_kind_of_file_is_kept_byte_for_byte() {
    let world = World::connected(&[]).await;
    for (kind, mimetype, extension, size) in [
        ("image", "image/jpeg", "jpg", 1),
        ("video", "video/mp4", "mp4", 300_000),
        ("audio", "audio/ogg; codecs=opus", "ogg", 16),
        ("document", "application/pdf", "pdf", 131_072),
        ("sticker", "image/webp", "webp", 1_000_001),
    ] {
        let data = received(&world, json!({"type": kind, "size": size})).await;
        assert_kept(&world, &data, &made(size), mimetype, extension).await;
    }
    // A message that the phone sends has its file, too.
    let account = world.account().await;
    let sent = json!({"type": "image", "size": 100, "to": BUDI});
    let id = world.simulator.contact_sends(&account, sent).await;
    let data = world.data("message.sent", |data| data["messageId"] == id.as_str()).await;
    assert_kept(&world, &data, &made(100), "image/jpeg", "jpg").await;
    world.finish().await;
}

#[tokio::test]
async fn a_file_that_is_gone_or_damaged_comes_from_the_phone() {
    let world = World::connected(&[]).await;
    for fault in ["gone", "corrupted", "longer"] {
        let data = received(&world, json!({"type": "image", "size": 5_000, "fault": fault, "caption": fault})).await;
        assert_eq!(data["content"]["mediaDownloaded"], false, "{fault}");
        assert!(data["content"]["error"].is_string() && data["content"]["filename"].is_null(), "{data}");
        if fault == "longer" {
            // Uploaded again by the phone, the file is still longer than its message says.
            continue;
        }
        let late = world.event("media.downloaded", |late| late["messageId"] == data["messageId"]).await;
        assert_kept(&world, &late.body["data"], &made(5_000), "image/jpeg", "jpg").await;
        assert_eq!(late.body["data"]["content"]["caption"], fault);
        assert_eq!((&late.body["data"]["chat"]["jid"], &late.id), (&json!(BUDI_JID), &id_of(&late.body)));
    }
    assert_eq!(world.events_of("media.downloaded").await.len(), 2);
    world.finish().await;
}

fn id_of(body: &Value) -> String {
    body["data"]["eventId"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn what_nobody_has_is_missing_and_what_is_too_large_is_not_fetched() {
    let mut world = World::connected(&[("MEDIA_MAX_SIZE", "1kB")]).await;
    let gone = json!({"type": "image", "size": 10, "fault": "gone", "reupload": "not_found"});
    assert_eq!(received(&world, gone).await["content"]["mediaDownloaded"], false);
    world.gateway.wait_for_line(|line| line.contains("it has it no longer"), SOON).await;
    let large = received(&world, json!({"type": "image", "size": 1_025})).await;
    let error = large["content"]["error"].as_str().unwrap_or_default();
    assert!(error.contains("1025") && error.contains("MEDIA_MAX_SIZE"), "{large}");
    let fits = received(&world, json!({"type": "image", "size": 1_024})).await;
    assert_kept(&world, &fits, &made(1_024), "image/jpeg", "jpg").await;
    assert!(world.events_of("media.downloaded").await.is_empty());
    world.finish().await;
}

#[tokio::test]
async fn a_slow_file_holds_its_chat_for_a_while_and_no_other_and_comes_behind_its_event() {
    let world = World::connected(&[("MEDIA_WAIT", "3s")]).await;
    let slow = json!({"type": "video", "size": 60_000, "bytesPerSecond": 6_000});
    let id = world.simulator.contact_sends(BUDI, slow).await;
    world.simulator.contact_writes(BUDI, "after it").await;
    world.simulator.contact_writes("6281230000002", "beside it").await;
    world.data("media.downloaded", |data| data["messageId"] == id.as_str()).await;
    let told: Vec<String> = world.events().await.iter().filter_map(|event| step(&event.body, &id)).collect();
    assert_eq!(told, ["beside it", "the video without its file", "after it", "its file"]);
    let late = world.data("media.downloaded", |_| true).await;
    assert_kept(&world, &late, &made(60_000), "video/mp4", "mp4").await;
    world.finish().await;
}

fn step(body: &Value, slow: &str) -> Option<String> {
    let data = &body["data"];
    let is_slow = data["messageId"] == slow;
    match body["event"].as_str()? {
        "message.received" if is_slow && data["content"]["mediaDownloaded"] == false => {
            Some("the video without its file".to_owned())
        }
        "message.received" => data["content"]["text"].as_str().map(str::to_owned),
        "media.downloaded" if is_slow => Some("its file".to_owned()),
        _ => None,
    }
}

#[tokio::test]
async fn media_servers_that_stall_hold_nobody_elses_file() {
    let world = World::connected(&[]).await;
    // More than are downloaded at the same time, from so many people, and one of them sends many.
    for n in 0..10 {
        let slow = json!({"type": "image", "size": 100_000, "bytesPerSecond": 1, "reupload": "not_found"});
        world.simulator.contact_sends(&format!("628123000010{n}"), slow).await;
    }
    for _ in 0..4 {
        world
            .simulator
            .contact_sends("6281230000100", json!({"type": "video", "size": 9_000_000, "bytesPerSecond": 1}))
            .await;
    }
    let data = received(&world, json!({"type": "audio", "size": 5_000, "ptt": true})).await;
    assert_kept(&world, &data, &made(5_000), "audio/ogg; codecs=opus", "ogg").await;
    let data = received(&world, json!({"type": "image", "size": 2_000_000})).await;
    assert_kept(&world, &data, &made(2_000_000), "image/jpeg", "jpg").await;
    world.finish().await;
}

#[tokio::test]
async fn slow_downloads_of_others_do_not_delay_a_voice_note() {
    let world = World::connected(&[]).await;
    for n in 0..4 {
        let slow = json!({"type": "video", "size": 8_000_000, "bytesPerSecond": 100_000});
        world.simulator.contact_sends(&format!("628123000010{n}"), slow).await;
    }
    let data = received(&world, json!({"type": "audio", "size": 5_000, "ptt": true})).await;
    assert_kept(&world, &data, &made(5_000), "audio/ogg; codecs=opus", "ogg").await;
    // The four have not even been told of.
    assert_eq!(world.events_of("message.received").await.len(), 1);
    world.finish().await;
}

#[tokio::test]
async fn six_stalled_files_delay_their_chat_hardly_more_than_one() {
    let world = World::connected(&[("MEDIA_WAIT", "4s")]).await;
    let begun = std::time::Instant::now();
    for _ in 0..6 {
        let slow = json!({"type": "image", "size": 100_000, "bytesPerSecond": 1, "reupload": "not_found"});
        world.simulator.contact_sends(BUDI, slow).await;
    }
    let text = world.simulator.contact_writes(BUDI, "after all of them").await;
    world.data("message.received", |data| data["messageId"] == text.as_str()).await;
    // Six times four seconds before.
    assert!(begun.elapsed() < std::time::Duration::from_secs(12), "{:?}", begun.elapsed());
    let told = world.events_of("message.received").await;
    assert_eq!(told.len(), 7);
    assert_eq!(told[6].body["data"]["content"]["text"], "after all of them");
    world.finish().await;
}

#[tokio::test]
async fn a_gateway_killed_during_a_download_loses_nothing_and_leaves_nothing_on_disk() {
    let mut world = World::connected(&[]).await;
    let id =
        world.simulator.contact_sends(BUDI, json!({"type": "image", "size": 40_000, "bytesPerSecond": 8_000})).await;
    let folder = world.gateway.folder().join("sessions/default");
    // The file has no name but is open: the download is under way.
    let open = format!("/proc/{}/fd", world.gateway.id());
    until("the download to be under way", SOON, || async {
        let links: Vec<_> = std::fs::read_dir(&open)
            .map(|fds| fds.flatten().filter_map(|fd| std::fs::read_link(fd.path()).ok()).collect())
            .unwrap_or_default();
        let under_way =
            links.iter().any(|link| link.starts_with(&folder) && link.to_string_lossy().contains("(deleted)"));
        if under_way { Ok(()) } else { Err(links) }
    })
    .await;
    world.gateway.kill_9().await;
    assert!(world.events_of("message.received").await.is_empty(), "its event waits for its file");
    world.gateway.restart().await;
    let data = world.data("message.received", |data| data["messageId"] == id.as_str()).await;
    assert_kept(&world, &data, &made(40_000), "image/jpeg", "jpg").await;
    let names = ["lock", "phone.json", "polls.jsonl", "whatsapp.db", "whatsapp.db-shm", "whatsapp.db-wal"];
    for entry in std::fs::read_dir(&folder).expect("the folder of the session").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        assert!(names.contains(&name.as_str()), "{name} was left");
    }
    world.finish().await;
}

#[tokio::test]
async fn a_file_waits_for_nats_as_its_message_does() {
    let mut world = World::connected(&[]).await;
    world.nats.stop().await;
    let id = world.simulator.contact_sends(BUDI, json!({"type": "image", "size": 300_000})).await;
    world.gateway.wait_for_line(|line| line.contains("a file is not stored yet"), SOON).await;
    world.nats.start_again().await;
    let data = world.data("message.received", |data| data["messageId"] == id.as_str()).await;
    assert_kept(&world, &data, &made(300_000), "image/jpeg", "jpg").await;
    world.finish().await;
}
