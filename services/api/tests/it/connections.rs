//! The bounds on one connection and on all of them together.

use crate::{
    api::{Api, KEY},
    raw::{closed, connect, connect_from, exchange, post, read_until},
};
use kurir_test_harness::Nats;
use serde_json::Value;
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt as _;

/// The first time-out, and what a busy machine needs besides.
const FIRST_TIMEOUT: std::ops::Range<Duration> = Duration::from_secs(9)..Duration::from_secs(19);

#[tokio::test]
async fn whoever_does_not_finish_a_head_is_let_go() {
    let nats = Nats::start().await;
    let api = &Api::start(&nats, &[]).await;
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    // A frame of SETTINGS, and HEADERS without END_HEADERS.
    let headers = [preface, &b"\0\0\0\x04\0\0\0\0\0\0\0\x01\x01\0\0\0\0\x01\x82"[..]].concat();
    let silent = [&b""[..], &b"GET /api/health HTTP/1.1\r\nHost: x\r\n"[..], &preface[..10]].map(|said| async move {
        let mut stream = connect(api).await;
        stream.write_all(said).await.expect("written");
        let began = Instant::now();
        closed(&mut stream).await;
        assert!(FIRST_TIMEOUT.contains(&began.elapsed()), "{:?} after {said:?}", began.elapsed());
    });
    let http2 = [preface.to_vec(), headers].map(|said| async move {
        let began = Instant::now();
        assert_eq!(exchange(api, &said).await, "", "HTTP/2 is not spoken here");
        assert!(began.elapsed() < FIRST_TIMEOUT.start);
    });
    futures::future::join(futures::future::join_all(silent), futures::future::join_all(http2)).await;
}

#[tokio::test]
async fn what_is_no_request_gets_an_answer_in_json() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    let long = "x".repeat(40_000);
    let many = "a: b\r\n".repeat(200);
    for (request, status) in [
        ("no request at all\r\n\r\n".to_owned(), 400),
        ("G\u{1}T / HTTP/1.1\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\nHo st: x\r\n\r\n".to_owned(), 400),
        ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n".to_owned(), 400),
        (format!("GET /{long} HTTP/1.1\r\nHost: x\r\n\r\n"), 431),
        (format!("GET / HTTP/1.1\r\nHost: x\r\nA: {long}\r\n\r\n"), 431),
        (format!("GET / HTTP/1.1\r\nHost: x\r\n{many}\r\n"), 431),
    ] {
        let answer = exchange(&api, request.as_bytes()).await;
        let shown: String = request.chars().take(60).collect();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{shown}: {answer:?}"));
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{shown}: {answer}");
        assert!(head.contains("content-type: application/json") && head.contains("connection: close"), "{answer}");
        let body: Value = serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}"));
        assert_eq!(body["success"], false, "{shown}");
        assert!(body["message"].is_string() && body["code"].is_string(), "{body}");
    }
}

#[tokio::test]
async fn a_new_connection_takes_the_place_of_one_that_says_nothing_but_not_of_a_request() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[("MAX_CONNECTIONS_PER_ADDRESS", "3")]).await;
    let mut silent = connect(&api).await;
    let mut busy = Vec::new();
    for _ in 0..2 {
        let mut stream = connect(&api).await;
        let head = post("/api/whatsapp/send-message", KEY, "Content-Length: 100\r\nExpect: 100-continue");
        stream.write_all(head.as_bytes()).await.expect("written");
        read_until(&mut stream, |text| text.contains("100 Continue")).await;
        busy.push(stream);
    }
    let mut third = connect(&api).await;
    closed(&mut silent).await;
    let head = post("/api/whatsapp/send-message", KEY, "Content-Length: 100\r\nExpect: 100-continue");
    third.write_all(head.as_bytes()).await.expect("written");
    read_until(&mut third, |text| text.contains("100 Continue")).await;
    let refused = exchange(&api, b"GET /api/health HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(refused.starts_with("HTTP/1.1 503 ") && refused.contains("\r\nretry-after: "), "{refused}");
    assert!(refused.contains("too_many_connections"), "{refused}");
    drop(busy.pop());
    kurir_test_harness::until("a place", crate::api::SOON, || async {
        api.request(reqwest::Method::GET, "/api/health").send().await.is_ok_and(|answer| answer.status() == 200)
    })
    .await;
}

#[tokio::test]
async fn refused_bodies_of_others_close_no_connection_that_is_kept_open() {
    let nats = Nats::start().await;
    let api = &Api::start(&nats, &[]).await;
    let asks = b"GET /api/health HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut kept = Vec::new();
    for _ in 0..4 {
        let mut stream = connect(api).await;
        stream.write_all(asks).await.expect("written");
        read_until(&mut stream, |text| text.contains("\r\n\r\n{")).await;
        kept.push(stream);
    }
    // Together more than all unfinished heads may hold, and from each address fewer connections than are kept open.
    for _ in 0..3 {
        let refused = (0..60).map(|number| async move {
            let mut stream = connect_from(api, [127, 0, 2, 1 + number / 2].into()).await.expect("a connection");
            let head = post("/api/whatsapp/send-message", "wrong", "Content-Length: 1000000");
            // An answer may come, and the connection end, before all of it is written.
            let _ = stream.write_all(&[head.as_bytes(), &[b'x'; 900_000]].concat()).await;
            stream
        });
        let refused = futures::future::join_all(refused).await;
        for stream in &mut kept {
            stream.write_all(asks).await.expect("written");
            let answer = read_until(stream, |text| text.contains("\r\n\r\n{")).await;
            assert!(answer.starts_with("HTTP/1.1 200 "), "{answer:?}");
        }
        drop(refused);
    }
}

#[tokio::test]
async fn bodies_have_a_bound_in_all_and_short_ones_are_never_kept_out() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[("MAX_BYTES_IN_FLIGHT", "4MB")]).await;
    let path = "/api/whatsapp/send-message";
    let mut held = Vec::new();
    for _ in 0..4 {
        let mut stream = connect(&api).await;
        let head = post(path, KEY, "Content-Length: 1000000\r\nExpect: 100-continue");
        stream.write_all(head.as_bytes()).await.expect("written");
        read_until(&mut stream, |text| text.contains("100 Continue")).await;
        held.push(stream);
    }
    let large = || api.request(reqwest::Method::POST, path).header("X-API-Key", KEY).body(vec![b' '; 1_000_000]);
    let refused = large().send().await.expect("an answer");
    assert_eq!(refused.status(), 503);
    assert!(refused.headers().contains_key("retry-after"), "{refused:?}");
    let form = api.request(reqwest::Method::POST, "/api/whatsapp/send-media").header("X-API-Key", KEY);
    let form = form.header("Content-Type", "multipart/form-data; boundary=b").body("--b--");
    assert_eq!(form.send().await.expect("an answer").status(), 503);
    assert_eq!(api.post(path, &serde_json::json!({})).await.0, 400, "a short body has its place");
    drop(held);
    kurir_test_harness::until("the bytes are given back", crate::api::SOON, || async {
        large().send().await.is_ok_and(|answer| answer.status() == 400)
    })
    .await;
}
