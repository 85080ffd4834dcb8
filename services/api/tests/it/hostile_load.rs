//! Thousands of hostile connections of each sort: the API's memory stays bounded, and a healthy caller is served.
//!
//! Only on the loopback network, and it ends by itself. `KURIR_HOSTILE_CONNECTIONS=10000` for the whole load; the figures
//! are printed (`--nocapture`), and stand in docs/security.md.

use crate::{
    api::{Api, KEY},
    form_bounds::rss_of,
    raw::{connect_from, exchange, post},
};
use kurir_test_harness::Nats;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::{
    net::Ipv4Addr,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    task::JoinSet,
};

/// How many at once are on their way to connect.
const CONNECTING: usize = 200;
/// How long the load of each sort lasts.
const LASTS: Duration = Duration::from_secs(6);
const HEALTHY_EVERY: Duration = Duration::from_millis(20);
/// In kB; the goal of the whole.
const MOST_MEMORY: u64 = 150 << 10;
/// No request hangs; how quick they are is asserted only if `KURIR_HOSTILE_P99_MS` says so, since tests run beside each
/// other, unoptimised, on any machine. The goal for the released binary is 50.
const SLOWEST: Duration = Duration::from_secs(15);

/// What a hostile client writes; then it stays.
fn sorts() -> Vec<(&'static str, Vec<u8>)> {
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let send = "/api/whatsapp/send-message";
    let fill = |head: String, bytes: usize| [head.as_bytes(), &vec![b'x'; bytes]].concat();
    let form = "Content-Length: 9000000\r\nContent-Type: multipart/form-data; boundary=b";
    let part = "--b\r\nContent-Disposition: form-data; name=\"media\"; filename=\"x\"\r\n";
    vec![
        ("silent", Vec::new()),
        ("half a head", b"GET /api/health HTTP/1.1\r\nHost: x\r\n".to_vec()),
        ("a head of 31 kB without an end", fill("GET / HTTP/1.1\r\nA: ".to_owned(), 31_000)),
        ("a head of 380 kB", fill("GET / HTTP/1.1\r\nA: ".to_owned(), 380_000)),
        ("half a preface of HTTP/2", preface[..12].to_vec()),
        ("idle HTTP/2", [preface, &b"\0\0\0\x04\0\0\0\0\0"[..]].concat()),
        ("idle after a request", b"GET /api/health HTTP/1.1\r\nHost: x\r\n\r\n".to_vec()),
        ("requests without an end", b"GET /api/metrics HTTP/1.1\r\nHost: x\r\n\r\n".repeat(500)),
        ("a body of 1 MB, wrong key", fill(post(send, "wrong", "Content-Length: 1048576"), 1_000_000)),
        ("a body of 1 MB, right key", fill(post(send, KEY, "Content-Length: 1048576"), 1_000_000)),
        ("a body of 8 kB, right key", fill(post(send, KEY, "Content-Length: 8192"), 8_000)),
        ("a form's endless head", fill(post("/api/whatsapp/send-media", KEY, form) + part, 1_000_000)),
        ("a form's file", fill(post("/api/whatsapp/send-media", KEY, form) + part + "\r\n", 1_000_000)),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_hostile_connections_take_neither_the_memory_nor_the_time_of_others() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).expect("more open files");
    let count = std::env::var("KURIR_HOSTILE_CONNECTIONS").ok().map_or(1_000, |count| count.parse().expect("a number"));
    let slowest = std::env::var("KURIR_HOSTILE_P99_MS").ok();
    let slowest = slowest.map_or(SLOWEST, |ms| Duration::from_millis(ms.parse().expect("a number")));
    let nats = Nats::start().await;
    let api = Arc::new(Api::start(&nats, &[("WRONG_KEYS_PER_MINUTE", "0"), ("LOG_LEVEL", "warn")]).await);
    for (sort, said) in sorts() {
        let load = Load::default();
        let mut clients = JoinSet::new();
        load.begin(&mut clients, &api, said.into(), count);
        let mut times = Vec::new();
        let (began, mut most_memory) = (Instant::now(), 0);
        while began.elapsed() < LASTS {
            let asked = Instant::now();
            // A connection of its own each time, as the hostile ones have.
            let answer = exchange(&api, b"GET /api/health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
            assert!(answer.starts_with("HTTP/1.1 200 "), "a healthy request was not served: {sort}: {answer}");
            times.push(asked.elapsed());
            most_memory = most_memory.max(rss_of(api.process.id()));
            tokio::time::sleep(HEALTHY_EVERY.saturating_sub(asked.elapsed())).await;
        }
        clients.shutdown().await;
        times.sort();
        let (p50, p99) = (times[times.len() / 2], times[times.len() * 99 / 100]);
        println!(
            "{sort}: {} connections, {} MB written; RSS {} MB; healthy requests {}, p50 {:.1} ms, p99 {:.1} ms",
            load.connected.load(Ordering::Relaxed),
            load.written.load(Ordering::Relaxed) >> 20,
            most_memory >> 10,
            times.len(),
            p50.as_secs_f64() * 1e3,
            p99.as_secs_f64() * 1e3,
        );
        assert!(most_memory < MOST_MEMORY, "{sort}: {most_memory} kB");
        assert!(p99 < slowest, "{sort}: {p99:?}");
    }
}

#[derive(Clone, Default)]
struct Load {
    connected: Arc<AtomicUsize>,
    written: Arc<AtomicU64>,
}

impl Load {
    /// Opens `count` connections that write `said` and then stay until they are closed; each is then opened again.
    fn begin(&self, clients: &mut JoinSet<()>, api: &Arc<Api>, said: Arc<[u8]>, count: usize) {
        let connecting = Arc::new(tokio::sync::Semaphore::new(CONNECTING));
        for number in 0..count {
            let (load, api, said, connecting) = (self.clone(), Arc::clone(api), said.clone(), Arc::clone(&connecting));
            clients.spawn(async move {
                // Some addresses share the load, so that the bound by address is not what holds.
                let address = Ipv4Addr::new(127, 0, 1, 1 + (number % 20) as u8);
                loop {
                    let turn = connecting.acquire().await.expect("never closed");
                    let stream = connect_from(&api, address).await;
                    load.connected.fetch_add(1, Ordering::Relaxed);
                    drop(turn);
                    if let Ok(mut stream) = stream {
                        for piece in said.chunks(64 * 1024) {
                            if stream.write_all(piece).await.is_err() {
                                break;
                            }
                            load.written.fetch_add(piece.len() as u64, Ordering::Relaxed);
                        }
                        let mut buffer = [0; 64];
                        // One that asks without an end reads nothing.
                        if said.starts_with(b"GET /api/metrics") {
                            tokio::time::sleep(LASTS).await;
                        } else {
                            while stream.read(&mut buffer).await.is_ok_and(|count| count > 0) {}
                        }
                    }
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            });
        }
    }
}
