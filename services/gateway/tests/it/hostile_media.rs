//! A message says where its file is. Whatever it says, the gateway speaks to WhatsApp's media hosts only.

use crate::world::{BUDI, SOON, World};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use buffa::{Message as _, MessageField};
use kurir_test_harness::until;
use serde_json::{Value, json};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};
use tokio::net::TcpListener;
use waproto::whatsapp::{
    Message,
    message::{
        AudioMessage, DocumentMessage, ExtendedTextMessage, FutureProofMessage, ImageMessage, StickerMessage,
        VideoMessage,
    },
};

/// A server that counts who connects, in the name of everything that a gateway must not reach.
struct Trap {
    port: u16,
    connections: Arc<AtomicUsize>,
}

impl Trap {
    async fn set() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let connections = Arc::<AtomicUsize>::default();
        let counted = Arc::clone(&connections);
        tokio::spawn(async move {
            while listener.accept().await.is_ok() {
                counted.fetch_add(1, Ordering::SeqCst);
            }
        });
        Self { port, connections }
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// Where a message says that its file is.
#[derive(Clone)]
struct Place {
    direct_path: Option<String>,
    static_url: Option<String>,
}

fn raw(message: &Message) -> Value {
    json!({"type": "raw", "base64": BASE64_STANDARD.encode(message.encode_to_vec())})
}

/// The same place in each kind of message that has a file, and in each envelope.
fn messages(place: &Place) -> Vec<Message> {
    let Place { direct_path, static_url } = place.clone();
    let key = || Some(vec![7; 32]);
    let (sha256, enc_sha256) = (key, key);
    let image = ImageMessage {
        url: static_url.clone(),
        direct_path: direct_path.clone(),
        static_url: static_url.clone(),
        media_key: key(),
        file_sha256: sha256(),
        file_enc_sha256: enc_sha256(),
        file_length: Some(100),
        thumbnail_direct_path: direct_path.clone(),
        ..Default::default()
    };
    let video = VideoMessage {
        url: static_url.clone(),
        direct_path: direct_path.clone(),
        static_url: static_url.clone(),
        media_key: key(),
        file_sha256: sha256(),
        file_enc_sha256: enc_sha256(),
        ..Default::default()
    };
    let audio = AudioMessage {
        url: static_url.clone(),
        direct_path: direct_path.clone(),
        media_key: key(),
        file_sha256: sha256(),
        file_enc_sha256: enc_sha256(),
        ..Default::default()
    };
    let document = DocumentMessage {
        url: static_url.clone(),
        direct_path: direct_path.clone(),
        media_key: key(),
        file_sha256: sha256(),
        file_enc_sha256: enc_sha256(),
        ..Default::default()
    };
    let sticker = StickerMessage {
        url: static_url.clone(),
        direct_path: direct_path.clone(),
        media_key: key(),
        file_sha256: sha256(),
        file_enc_sha256: enc_sha256(),
        ..Default::default()
    };
    let link = ExtendedTextMessage {
        text: Some("see".to_owned()),
        matched_text: static_url.clone(),
        thumbnail_direct_path: direct_path,
        media_key: key(),
        thumbnail_sha256: sha256(),
        thumbnail_enc_sha256: enc_sha256(),
        ..Default::default()
    };
    let unencrypted = ImageMessage { media_key: None, ..image.clone() };
    let once = Message { image_message: MessageField::some(image.clone()), ..Default::default() };
    vec![
        Message { image_message: MessageField::some(image), ..Default::default() },
        Message { image_message: MessageField::some(unencrypted), ..Default::default() },
        Message { video_message: MessageField::some(video.clone()), ..Default::default() },
        Message { ptv_message: MessageField::some(video), ..Default::default() },
        Message { audio_message: MessageField::some(audio), ..Default::default() },
        Message { document_message: MessageField::some(document), ..Default::default() },
        Message { sticker_message: MessageField::some(sticker), ..Default::default() },
        Message { extended_text_message: MessageField::some(link), ..Default::default() },
        Message {
            view_once_message_v2: MessageField::some(FutureProofMessage { message: MessageField::some(once) }),
            ..Default::default()
        },
    ]
}

#[tokio::test]
async fn no_message_makes_the_gateway_speak_to_a_host_that_is_not_whatsapps() {
    let world = World::connected(&[]).await;
    let trap = Trap::set().await;
    let port = trap.port;
    let path = |path: String| Place { direct_path: Some(path), static_url: None };
    let url = |url: String| Place { direct_path: None, static_url: Some(url) };
    let places = [
        url(format!("http://127.0.0.1:{port}/admin/delete?all=1")),
        url(format!("https://127.0.0.1:{port}/admin/delete?all=1")),
        url(format!("https://localhost:{port}/")),
        url(format!("https://[::ffff:127.0.0.1]:{port}/")),
        url(format!("https://mmg.whatsapp.net@127.0.0.1:{port}/")),
        url(format!("https://2130706433:{port}/")),
        path(format!("@127.0.0.1:{port}/steal")),
        path(format!("@127.0.0.1:{port}/steal#/")),
        path(format!(".localhost:{port}/steal")),
        path(format!("\\@127.0.0.1:{port}/steal")),
        path(format!("http://127.0.0.1:{port}/steal")),
        Place {
            direct_path: Some("/v/image/none".to_owned()),
            static_url: Some(format!("https://127.0.0.1:{port}/both")),
        },
    ];
    let mut ids = Vec::new();
    for message in places.iter().flat_map(messages) {
        ids.push(world.simulator.contact_sends(BUDI, raw(&message)).await);
    }
    // A channel's files are not encrypted, and their messages pass no durability hook.
    let last = world.simulator.contact_writes(BUDI, "the last").await;
    world.data("message.received", |data| data["messageId"] == last.as_str()).await;
    for event in world.events_of("message.received").await {
        let data = &event.body["data"];
        if ids.iter().any(|id| data["messageId"] == id.as_str()) && data["messageType"] != "text" {
            assert_eq!(data["content"]["mediaDownloaded"], false, "{data}");
        }
    }
    assert_eq!(trap.connections(), 0, "the gateway connected to an address that a message named");
    world.finish().await;
}

#[tokio::test]
async fn a_redirect_of_a_media_host_is_not_followed() {
    let world = World::connected(&[]).await;
    let trap = Trap::set().await;
    let redirect = format!("https://127.0.0.1:{}/inside", trap.port);
    let message = json!({"type": "image", "size": 100, "redirectTo": redirect});
    let id = world.simulator.contact_sends(BUDI, message).await;
    let data = world.data("message.received", |data| data["messageId"] == id.as_str()).await;
    assert_eq!(data["content"]["mediaDownloaded"], false, "{data}");
    assert_eq!(trap.connections(), 0, "the gateway followed a redirect");
    world.finish().await;
}

#[tokio::test]
async fn a_failed_download_writes_no_media_token_into_the_log() {
    let world = World::connected(&[("LOG_LEVEL", "trace")]).await;
    let id = world.simulator.contact_sends(BUDI, json!({"type": "image", "size": 5_000, "fault": "corrupted"})).await;
    world.data("media.downloaded", |late| late["messageId"] == id.as_str()).await;
    until("the log to tell of the download", SOON, || async {
        let log = world.gateway.output();
        if log.contains("could not be downloaded") || log.contains("a download failed") { Ok(()) } else { Err(()) }
    })
    .await;
    // The simulator's media token.
    assert!(!world.gateway.output().contains("auth=simulator"), "the media token is in the log");
    world.finish().await;
}
