//! `GET /media/{file}`: the file, whole and in ranges, from whichever replica is asked, and to whoever has its name.

use crate::api::{Api, answer};
use async_nats::jetstream::object_store::{Config, ObjectMetadata};
use kurir_contract::media::{CONTENT_TYPE, MEDIA_BUCKET, SENDER_NAME};
use kurir_test_harness::Nats;
use reqwest::{Method, Response, header::HeaderMap};
use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// Some pieces of 128 kB and a part of one.
const SIZE: usize = 400_001;

fn bytes() -> Vec<u8> {
    (0..SIZE).map(|n| (n % 251) as u8).collect()
}

async fn put(nats: &Nats, name: &str, mimetype: &str) {
    put_bytes(nats, name, mimetype, &bytes()).await;
}

async fn put_bytes(nats: &Nats, name: &str, mimetype: &str, bytes: &[u8]) {
    let jetstream = nats.jetstream().await;
    let config = Config { bucket: MEDIA_BUCKET.to_owned(), ..Config::default() };
    if jetstream.get_object_store(MEDIA_BUCKET).await.is_err() {
        jetstream.create_object_store(config).await.expect("a store");
    }
    put_named(nats, name, mimetype, None, bytes).await;
}

/// With the name that its sender gave it.
async fn put_named(nats: &Nats, name: &str, mimetype: &str, given: Option<&str>, mut bytes: &[u8]) {
    let store = nats.jetstream().await.get_object_store(MEDIA_BUCKET).await.expect("a store");
    let mut metadata = HashMap::from([(CONTENT_TYPE.to_owned(), mimetype.to_owned())]);
    metadata.extend(given.map(|given| (SENDER_NAME.to_owned(), given.to_owned())));
    let meta = ObjectMetadata { name: name.to_owned(), metadata, ..ObjectMetadata::default() };
    store.put(meta, &mut bytes).await.expect("stored");
}

async fn get(api: &Api, file: &str, headers: &[(&str, &str)]) -> Response {
    let request = api.request(Method::GET, &format!("/media/{file}"));
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    request.send().await.expect("an answer")
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

#[tokio::test]
async fn each_replica_serves_a_file_whole_and_in_ranges_without_a_key() {
    let nats = Nats::start().await;
    let (one, other) = (Api::start(&nats, &[]).await, Api::start(&nats, &[]).await);
    put(&nats, "image_A_1_0.jpg", "image/jpeg").await;
    let all = bytes();
    for api in [&one, &other] {
        let whole = get(api, "image_A_1_0.jpg", &[]).await;
        assert_eq!(whole.status(), 200);
        let headers = whole.headers().clone();
        assert_eq!(text(&headers, "content-type"), "image/jpeg");
        assert_eq!(text(&headers, "content-length"), SIZE.to_string());
        assert_eq!(text(&headers, "accept-ranges"), "bytes");
        assert_eq!(text(&headers, "content-disposition"), "inline; filename=\"image_A_1_0.jpg\"");
        assert_eq!(text(&headers, "x-content-type-options"), "nosniff");
        assert!(whole.bytes().await.expect("all of it") == all);

        let tag = text(&headers, "etag");
        let unchanged = get(api, "image_A_1_0.jpg", &[("If-None-Match", tag)]).await;
        assert_eq!((unchanged.status().as_u16(), unchanged.bytes().await.expect("nothing").len()), (304, 0));
        let other_file = get(api, "image_A_1_0.jpg", &[("Range", "bytes=0-9"), ("If-Range", "\"another\"")]).await;
        assert_eq!(other_file.status(), 200);
        for (range, from, to) in [
            ("bytes=0-0", 0, 1),
            ("bytes=100-199", 100, 200),
            ("bytes=131000-263000", 131_000, 263_001),
            ("bytes=400000-", 400_000, SIZE),
            ("bytes=-7", SIZE - 7, SIZE),
        ] {
            let part = get(api, "image_A_1_0.jpg", &[("Range", range), ("If-Range", tag)]).await;
            assert_eq!(part.status(), 206, "{range}");
            assert_eq!(text(part.headers(), "content-range"), format!("bytes {from}-{}/{SIZE}", to - 1));
            assert_eq!(text(part.headers(), "content-length"), (to - from).to_string());
            assert!(part.bytes().await.expect("a part") == all[from..to], "{range}");
        }
        let outside = get(api, "image_A_1_0.jpg", &[("Range", "bytes=400001-")]).await;
        assert_eq!(outside.status(), 416);
        assert_eq!(text(outside.headers(), "content-range"), format!("bytes */{SIZE}"));
        let head = api.request(Method::HEAD, "/media/image_A_1_0.jpg").send().await.expect("an answer");
        assert_eq!((head.status().as_u16(), text(head.headers(), "content-length")), (200, "400001"));
    }
}

#[tokio::test]
async fn a_document_is_saved_under_the_name_that_its_sender_gave_it() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    put_bytes(&nats, "other.bin", "", b"x").await;
    for (given, expected) in [
        (Some("bill.pdf"), "inline; filename=\"bill.pdf\""),
        (
            Some("Rechnung März.pdf"),
            "inline; filename=\"Rechnung M_rz.pdf\"; filename*=UTF-8''Rechnung%20M%C3%A4rz.pdf",
        ),
        (Some("../a\r\nX-Evil: 1\".pdf"), "inline; filename=\"aX-Evil_ 1_.pdf\"; filename*=UTF-8''aX-Evil_%201%22.pdf"),
        (Some(""), "inline; filename=\"a.pdf\""),
        (None, "inline; filename=\"a.pdf\""),
    ] {
        put_named(&nats, "a.pdf", "application/pdf", given, b"%PDF-1.4").await;
        let answer = get(&api, "a.pdf", &[]).await;
        assert_eq!(answer.status(), 200, "{given:?}");
        assert_eq!(text(answer.headers(), "content-disposition"), expected, "{given:?}");
        assert_eq!(answer.headers().get("x-evil"), None);
    }
}

#[tokio::test]
async fn a_browser_shows_only_types_that_cannot_run_and_never_by_the_words_of_the_sender() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    for (mimetype, disposition, served) in [
        ("text/html", "attachment", "application/octet-stream"),
        ("image/svg+xml", "attachment", "application/octet-stream"),
        ("text/plain", "attachment", "application/octet-stream"),
        ("x-new/browser-runs-it", "attachment", "application/octet-stream"),
        ("image/png; a=\"<script>\"", "inline", "image/png"),
        ("VIDEO/MP4", "inline", "video/mp4"),
        ("application/pdf", "inline", "application/pdf"),
    ] {
        put(&nats, "a.bin", mimetype).await;
        let answer = get(&api, "a.bin", &[]).await;
        assert_eq!(text(answer.headers(), "content-disposition"), format!("{disposition}; filename=\"a.bin\""));
        assert_eq!(text(answer.headers(), "content-type"), served, "{mimetype}");
        assert_eq!(text(answer.headers(), "x-content-type-options"), "nosniff");
        assert!(text(answer.headers(), "content-security-policy").contains("sandbox"), "{mimetype}");
    }
}

#[tokio::test]
async fn a_range_at_the_end_of_a_large_file_does_not_read_all_of_it() {
    let nats = Nats::start().await;
    let (counted, url) = counting_proxy(&nats).await;
    let mut api = Api::spawn(&url, &[]);
    api.process.wait_ready(crate::api::SOON).await;
    let bytes: Vec<u8> = (0..95 << 20).map(|n: usize| (n % 251) as u8).collect();
    put_bytes(&nats, "video_A_1_0.mp4", "video/mp4", &bytes).await;
    let before = counted.load(Ordering::Relaxed);
    for (range, from, to) in [
        ("bytes=-1", bytes.len() - 1, bytes.len()),
        ("bytes=50000000-50000009", 50_000_000, 50_000_010),
        ("bytes=0-9", 0, 10),
    ] {
        let part = get(&api, "video_A_1_0.mp4", &[("Range", range)]).await;
        assert_eq!(part.status(), 206, "{range}");
        assert!(part.bytes().await.expect("a part") == bytes[from..to], "{range}");
    }
    let read = counted.load(Ordering::Relaxed) - before;
    assert!(read < 4 << 20, "{read} bytes came from NATS");
}

/// Passes everything on, and counts what comes from NATS.
async fn counting_proxy(nats: &Nats) -> (Arc<AtomicU64>, String) {
    let counted = Arc::new(AtomicU64::new(0));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("nats://{}", listener.local_addr().expect("an address"));
    let to = nats.url().trim_start_matches("nats://").to_owned();
    let counting = Arc::clone(&counted);
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect(&to).await.expect("NATS");
            let ((mut from_client, mut to_client), (mut from_server, mut to_server)) =
                (client.into_split(), server.into_split());
            tokio::spawn(async move { tokio::io::copy(&mut from_client, &mut to_server).await });
            let counting = Arc::clone(&counting);
            tokio::spawn(async move {
                let mut buffer = vec![0; 64 * 1024];
                while let Ok(count) = from_server.read(&mut buffer).await {
                    counting.fetch_add(count as u64, Ordering::Relaxed);
                    if count == 0 || to_client.write_all(&buffer[..count]).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    (counted, url)
}

#[tokio::test]
async fn what_is_not_there_is_404_and_nats_away_is_503() {
    let mut nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    let no_store = answer(api.request(Method::GET, "/media/none.jpg")).await;
    assert_eq!((no_store.0, &no_store.1["code"]), (404, &"media_not_found".into()));
    put(&nats, "a.jpg", "image/jpeg").await;
    for missing in ["/media/none.jpg", "/media/..%2Fa.jpg", "/media/a%20b"] {
        let (status, body) = answer(api.request(Method::GET, missing)).await;
        assert_eq!(
            (status, &body["success"], &body["code"]),
            (404, &false.into(), &"media_not_found".into()),
            "{missing}"
        );
    }
    nats.stop().await;
    let (status, body) = answer(api.request(Method::GET, "/media/a.jpg")).await;
    assert_eq!((status, &body["code"]), (503, &"broker_unavailable".into()));
}
