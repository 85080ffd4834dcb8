//! Previews of links: what a page says about itself, from pages that are as they should be and from hostile ones.

use crate::{
    api::{Api, SOON},
    stand_in::{Gateway, connected},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use image::{DynamicImage, ImageFormat, RgbImage};
use kurir_contract::{command::Command, event::EventType, session::SessionId, subject};
use kurir_test_harness::Nats;
use serde_json::{Value, json};
use std::{
    io::Cursor,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

const PATH: &str = "/api/whatsapp/send-message";
const BUDI: &str = "6281234567890";
const BUDI_JID: &str = "6281234567890@s.whatsapp.net";
const OPEN: [(&str, &str); 1] = [("MEDIA_ALLOWED_NETWORKS", "127.0.0.0/8")];

fn sent(command: Command, arguments: &Value) -> Option<Value> {
    let sent = json!({"ok": {"messageId": "3EB0AA", "to": arguments["to"], "attempt": 1}});
    Some(if command == Command::Status { connected() } else { sent })
}

fn page(body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {length}\r\n\r\n{body}")
        .into_bytes()
}

fn picture() -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    DynamicImage::from(RgbImage::new(300, 150)).write_to(&mut bytes, ImageFormat::Png).expect("a picture");
    let bytes = bytes.into_inner();
    let head = format!("HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: {}\r\n\r\n", bytes.len());
    [head.as_bytes(), &bytes].concat()
}

async fn serve(mut stream: TcpStream) {
    let mut head = vec![0; 4096];
    let read = stream.read(&mut head).await.unwrap_or_default();
    let text = String::from_utf8_lossy(&head[..read]).into_owned();
    let redirect = |to: &str| format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n").into_bytes();
    let answer = match text.split(' ').nth(1).unwrap_or_default() {
        "/good" => page(
            "<html><head><title>No</title><meta property=\"og:title\" content=\"Rice &amp; soup\">\
             <meta name=description content='Every day'><meta property='og:image' content='/picture.png'></head>",
        ),
        "/picture.png" => picture(),
        "/moved" => redirect("/good"),
        "/plain" => page("<title>Plain</title>"),
        "/inside-picture" => {
            page("<title>Inside</title><meta property='og:image' content='http://169.254.169.254/a.png'>")
        }
        "/large" => page(&format!("<title>Large</title>{}", "x".repeat(3 << 20))),
        "/late-title" => page(&format!("{}<title>Late</title>", "<p>x</p>".repeat(100_000))),
        "/forever" => redirect("/forever"),
        "/inside" => redirect("http://169.254.169.254/latest"),
        "/pdf" => b"HTTP/1.1 200 OK\r\nContent-Type: application/pdf\r\nContent-Length: 8\r\n\r\n%PDF-1.4".to_vec(),
        "/nothing" => page("<html></html>"),
        "/silent" => {
            tokio::time::sleep(Duration::from_secs(60)).await;
            return;
        }
        "/drops" => {
            // A byte a second, forever.
            let head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n";
            let mut written = stream.write_all(head).await;
            while written.is_ok() {
                tokio::time::sleep(Duration::from_secs(1)).await;
                written = stream.write_all(b"<").await;
            }
            return;
        }
        _ => b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec(),
    };
    let _ = stream.write_all(&answer).await;
    let _ = stream.shutdown().await;
}

async fn pages() -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let task = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    (format!("http://{address}"), task)
}

async fn preview_of(api: &Api, gateway: &Gateway, text: &str) -> Value {
    let body = json!({"to": BUDI, "message": text, "linkPreview": true});
    let (status, answer) = api.post(PATH, &body).await;
    assert_eq!(status, 200, "{text}: {answer}");
    gateway.commands().pop().expect("a command").1["linkPreview"].clone()
}

#[tokio::test]
async fn a_text_shows_the_page_of_its_link_if_that_is_asked_for() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &OPEN).await;
    let gateway = Gateway::start(&nats, "default", sent).await;
    let (url, server) = pages().await;
    for path in ["/good", "/moved"] {
        let link = format!("{url}{path}");
        let preview = preview_of(&api, &gateway, &format!("Look ({link}).")).await;
        let thumbnail = BASE64_STANDARD.decode(preview["thumbnail"].as_str().unwrap_or_default()).expect("base64");
        let small = image::load_from_memory_with_format(&thumbnail, ImageFormat::Jpeg).expect("a JPEG");
        assert_eq!((small.width(), small.height()), (100, 50));
        let expected =
            json!({"url": link, "title": "Rice & soup", "description": "Every day", "thumbnail": preview["thumbnail"]});
        assert_eq!(preview, expected);
    }
    for (path, title) in [("/plain", "Plain"), ("/inside-picture", "Inside"), ("/large", "Large")] {
        let preview = preview_of(&api, &gateway, &format!("{url}{path}")).await;
        assert_eq!((&preview["title"], &preview["thumbnail"]), (&json!(title), &Value::Null), "{path}: {preview}");
    }
    for body in [
        json!({"to": BUDI, "message": format!("{url}/good")}),
        json!({"to": BUDI, "message": format!("{url}/good"), "linkPreview": false}),
        json!({"to": BUDI, "message": "no link", "linkPreview": true}),
        json!({"to": BUDI, "message": format!("{url}/good"), "options": {"linkPreview": ""}}),
    ] {
        assert_eq!(api.post(PATH, &body).await.0, 200, "{body}");
        assert_eq!(gateway.commands().pop().expect("a command").1.get("linkPreview"), None, "{body}");
    }
    let (status, answer) = api.post(PATH, &json!({"to": BUDI, "message": "x", "linkPreview": "perhaps"})).await;
    assert_eq!((status, &answer["code"]), (400, &json!("invalid_options")), "{answer}");
    server.abort();
}

#[tokio::test]
async fn a_hostile_page_gives_no_preview_and_holds_nothing_up() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &OPEN).await;
    let gateway = Gateway::start(&nats, "default", sent).await;
    let (url, server) = pages().await;
    for path in ["/late-title", "/forever", "/inside", "/pdf", "/nothing", "/missing", "/silent", "/drops"] {
        let begun = Instant::now();
        let preview = preview_of(&api, &gateway, &format!("{url}{path}")).await;
        assert_eq!(preview, Value::Null, "{path}");
        assert!(begun.elapsed() < SOON, "{path} took {:?}", begun.elapsed());
    }
    // Without the setting this machine itself is out of reach.
    let closed = Api::start(&nats, &[]).await;
    for link in [format!("{url}/good"), "http://[::1]/".to_owned(), "http://10.0.0.1/".to_owned()] {
        assert_eq!(preview_of(&closed, &gateway, &link).await, Value::Null, "{link}");
    }
    server.abort();
}

#[tokio::test]
async fn messages_of_jobs_and_bulk_requests_and_later_ones_have_quotes_and_previews() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &OPEN).await;
    let gateway = Gateway::start(&nats, "default", sent).await;
    let (url, server) = pages().await;
    let data = json!({"messageId": "3EB0Q1", "from": BUDI_JID, "messageType": "text", "content": {"text": "when?"}});
    let envelope = json!({"event": "message.received", "timestamp": "2026-11-24T12:00:00.000Z", "data": data});
    let subject = subject::event(&SessionId::default(), &EventType::MESSAGE_RECEIVED);
    // The client has to live until the answer.
    let jetstream = nats.jetstream().await;
    let stored = jetstream.publish(subject, envelope.to_string().into()).await.expect("a connection");
    stored.await.expect("EVENTS");
    let message = json!({"to": BUDI, "message": format!("{url}/plain"), "quoted": "3EB0Q1", "linkPreview": true});
    let later = time::OffsetDateTime::now_utc() + time::Duration::hours(1);
    let later = later.format(&time::format_description::well_known::Rfc3339).expect("a time");
    let mut scheduled = message.clone();
    scheduled["sendAt"] = json!(later);
    let bulk = json!({"messages": [message.clone(), message.clone()]});
    let jobs = json!({"messages": [message.clone(), message.clone()]});
    for (path, body) in [("send-bulk", &bulk), ("jobs", &jobs), ("send-message", &scheduled)] {
        let before = gateway.commands().len();
        let _ = api.post(&format!("/api/whatsapp/{path}"), body).await;
        gateway.wait_for_commands(before + 1).await;
        let (command, said) = gateway.commands()[before].clone();
        let text = if command == Command::SubmitJob { &said["items"][0]["arguments"] } else { &said };
        assert_eq!(text["linkPreview"]["title"], "Plain", "{path}: {said}");
        assert_eq!(text["quoted"], "3EB0Q1", "{path}");
        assert_eq!(
            (&text["quote"]["author"], &text["quote"]["content"]["content"]["text"]),
            (&json!(BUDI_JID), &json!("when?")),
            "{path}: {said}"
        );
    }
    server.abort();
}
