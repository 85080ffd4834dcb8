//! Receivers that cost as much as they can, each beside receivers that must not notice it.

use crate::stage::{SOON, Stage, endpoints::NO_DEFAULT, tls::Authority};
use kurir_test_harness::Receiver;
use serde_json::json;
use std::time::{Duration, Instant};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpListener,
    task::JoinHandle,
};
use tokio_rustls::TlsAcceptor;

/// Events whose delivery is measured, for each animal.
const EVENTS: usize = 200;
/// What may be added to the usual time: this machine has other work, too.
const TOLERANCE: Duration = Duration::from_millis(150);

/// What a hostile receiver does once a request has come.
#[derive(Clone, Copy, Debug)]
enum Animal {
    /// Repeats these bytes without end, after these.
    Flood { first: &'static [u8], again: &'static [u8], http2: bool },
    /// Sends a byte a second.
    Slow,
    /// Never reads.
    NeverReads,
    /// Begins a TLS handshake again and again.
    HelloRequests,
}

const ZOO: [(&str, Animal); 11] = [
    (
        "interim answers",
        Animal::Flood { first: b"", again: b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", http2: false },
    ),
    ("chunks of one byte", Animal::Flood { first: CHUNKED, again: b"1\r\n.\r\n", http2: false }),
    ("a head without end", Animal::Flood { first: b"HTTP/1.1 200 OK\r\n", again: b"a: b\r\n", http2: false }),
    ("settings", Animal::Flood { first: SETTINGS, again: SETTINGS, http2: true }),
    ("pings", Animal::Flood { first: SETTINGS, again: b"\0\0\x08\x06\0\0\0\0\0abcdefgh", http2: true }),
    (
        "a head in frames without end",
        Animal::Flood { first: HEADERS, again: b"\0\0\x01\x09\0\0\0\0\x01\x88", http2: true },
    ),
    ("empty data", Animal::Flood { first: ANSWER, again: b"\0\0\0\0\0\0\0\0\x01", http2: true }),
    (
        "a huge table of headers",
        Animal::Flood { first: HUGE_TABLE, again: b"\0\0\x04\x08\0\0\0\0\0\0\0\0\x01", http2: true },
    ),
    ("a byte a second", Animal::Slow),
    ("never reads", Animal::NeverReads),
    ("handshakes", Animal::HelloRequests),
];
const CHUNKED: &[u8] = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
const SETTINGS: &[u8] = b"\0\0\0\x04\0\0\0\0\0";
/// Settings, and the beginning of the head of stream 1 without its end.
const HEADERS: &[u8] = b"\0\0\0\x04\0\0\0\0\0\0\0\x01\x01\0\0\0\0\x01\x88";
/// Settings, and a whole head of stream 1.
const ANSWER: &[u8] = b"\0\0\0\x04\0\0\0\0\0\0\0\x01\x01\x04\0\0\0\x01\x88";
/// A table of 4 GB is allowed.
const HUGE_TABLE: &[u8] = b"\0\0\x06\x04\0\0\0\0\0\0\x01\xff\xff\xff\xff";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it compares times: run it alone on a quiet machine (--ignored --nocapture)"]
async fn a_hostile_receiver_does_not_delay_the_others() {
    let stage = Stage::set().await;
    let authority = Authority::new();
    let file = authority.file();
    let settings = [NO_DEFAULT, ("WEBHOOK_CA_FILE", file.path().to_str().unwrap())];
    let _dispatcher = stage.dispatcher_with(settings).await;
    let good = Receiver::start().await;
    stage.endpoint(json!({"url": good.url(), "events": ["message.received"]})).await;
    let usual = p99(&stage, &good, "usual").await;
    for (name, animal) in ZOO {
        let (url, serving) = start(animal, &authority).await;
        // Every event meets it, and each is tried again at once: its circuit stays closed as long as possible.
        let hostile = stage.endpoint(json!({"url": url, "retry": [1, 1, 1], "timeoutSeconds": 5})).await;
        let beside = p99(&stage, &good, name).await;
        stage.delete(&hostile).await;
        serving.abort();
        println!("{name}: p99 {beside:?}, usually {usual:?}");
        assert!(beside <= usual * 3 / 2 + TOLERANCE, "{name}: p99 {beside:?}, usually {usual:?}");
    }
}

/// The time from the storing of an event to its arrival that 99 of 100 stay below.
async fn p99(stage: &Stage, good: &Receiver, name: &str) -> Duration {
    let before = good.count();
    let mut stored = Vec::new();
    for number in 0..EVENTS {
        stored.push(Instant::now());
        let id = format!("{}_{number}", name.replace(' ', "-"));
        stage.store("default", "message.received", &id, json!({"from": "491700000001@s.whatsapp.net"})).await;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    good.wait_for(before + EVENTS, SOON).await;
    let mut times: Vec<_> = good.requests()[before..]
        .iter()
        .map(|request| {
            let number = request.header("webhook-id").rsplit('_').next().unwrap().parse::<usize>().unwrap();
            request.at.saturating_duration_since(stored[number])
        })
        .collect();
    times.sort();
    times[times.len() * 99 / 100]
}

async fn start(animal: Animal, authority: &Authority) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let is_tls = matches!(animal, Animal::Flood { http2: true, .. } | Animal::HelloRequests);
    let tls = is_tls.then(|| authority.acceptor("localhost", &["h2"]));
    let serving = tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            tokio::spawn(handle(tcp, animal, tls.clone()));
        }
    });
    (format!("{}://localhost:{port}/", if is_tls { "https" } else { "http" }), serving)
}

async fn handle(mut tcp: tokio::net::TcpStream, animal: Animal, tls: Option<TlsAcceptor>) {
    match (animal, tls) {
        // Records of type 22 that ask for a new handshake, instead of one.
        (Animal::HelloRequests, _) => {
            let _ = tcp.read(&mut [0; 4096]).await;
            while tcp.write_all(&b"\x16\x03\x03\0\x04\0\0\0\0".repeat(512)).await.is_ok() {}
        }
        (_, Some(tls)) => {
            if let Ok(stream) = tls.accept(tcp).await {
                misbehave(stream, animal).await;
            }
        }
        (_, None) => misbehave(tcp, animal).await,
    }
}

async fn misbehave(mut stream: impl AsyncRead + AsyncWrite + Unpin, animal: Animal) {
    match animal {
        Animal::NeverReads => std::future::pending().await,
        Animal::Slow => {
            let _ = stream.read(&mut [0; 4096]).await;
            for byte in CHUNKED.iter().cycle() {
                if stream.write_all(&[*byte]).await.is_err() {
                    return;
                }
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
        Animal::Flood { first, again, .. } => {
            let _ = stream.read(&mut [0; 4096]).await;
            let many = again.repeat(4_096);
            if stream.write_all(first).await.is_ok() {
                while stream.write_all(&many).await.is_ok() {}
            }
        }
        Animal::HelloRequests => {}
    }
}
