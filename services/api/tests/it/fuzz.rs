//! Random requests to every route: no 500, no hang, no answer that is not JSON.
//!
//! The same seed gives the same requests. `KURIR_FUZZ_REQUESTS=50000` for more of them, `KURIR_FUZZ_SEED` for others.

use crate::{
    api::{Api, KEY},
    stand_in::{Gateway, connected},
};
use futures::{StreamExt as _, stream};
use kurir_contract::command::Command;
use kurir_test_harness::Nats;
use reqwest::{Method, Url};
use serde_json::{Map, Value, json};
use std::time::Duration;

/// Longer than any bound of a route that needs no receiver.
const ANSWERS_WITHIN: Duration = Duration::from_secs(40);

/// The committed document names every route: another test compares it with the router.
const DOCUMENT: &str = include_str!("../../../../docs/openapi.json");

fn routes() -> Vec<(Method, String)> {
    let document: Value = serde_json::from_str(DOCUMENT).unwrap_or_default();
    let mut routes = Vec::new();
    // The page that shows the document is the only answer that is HTML by design.
    // The stream of events has no end by design.
    let is_fuzzed = |path: &str| !["/docs", "/api/events/stream"].contains(&path);
    let paths = document["paths"].as_object().into_iter().flatten().filter(|(path, _)| is_fuzzed(path));
    for (path, operations) in paths {
        for method in operations.as_object().into_iter().flat_map(Map::keys) {
            if let Ok(method) = method.to_uppercase().parse::<Method>()
                && ["GET", "POST", "PUT", "PATCH", "DELETE"].contains(&method.as_str())
            {
                routes.push((method, path.clone()));
            }
        }
    }
    assert!(routes.len() > 100, "docs/openapi.json names only {} routes", routes.len());
    routes
}

/// A generator of its own: SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % below.max(1) as u64) as usize
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.next(of.len())]
    }

    fn text(&mut self) -> String {
        let known = [
            "",
            "default",
            "6281234567890",
            "6281234567890@s.whatsapp.net",
            "123@g.us",
            "1@lid",
            "@",
            "a@b",
            "..",
            "%2e%2e",
            "null",
            "-1",
            "0",
            "18446744073709551616",
            "2026-11-29T00:00:00Z",
            "https://127.0.0.1/",
            "file:///etc/passwd",
            "image",
            "a.b",
            ">",
            "*",
            "whatsapp.events.>",
            "\u{0}",
            "\r\nX: y",
            "\u{202e}",
            "😀",
            "{}",
            "[]",
            "true",
            "chat",
        ];
        match self.next(8) {
            0 => "x".repeat(self.next(6_000)),
            1 => (0..self.next(20)).filter_map(|_| char::from_u32(self.next(0x11_0000) as u32)).collect(),
            _ => self.one(&known).to_owned(),
        }
    }

    fn value(&mut self, depth: usize) -> Value {
        match self.next(if depth == 0 { 6 } else { 8 }) {
            0 => Value::Null,
            1 => json!(self.next(2) == 0),
            2 => json!(self.next(usize::MAX) as i64),
            3 => json!(self.next(1000) as f64 / 7.0),
            4 | 5 => json!(self.text()),
            6 => (0..self.next(5)).map(|_| self.value(depth - 1)).collect(),
            _ => Value::Object(self.object(depth - 1)),
        }
    }

    fn object(&mut self, depth: usize) -> Map<String, Value> {
        let names = [
            "to",
            "message",
            "messages",
            "options",
            "quoted",
            "media",
            "mediaType",
            "base64",
            "file",
            "caption",
            "eventType",
            "data",
            "url",
            "events",
            "secret",
            "retry",
            "headers",
            "ordering",
            "format",
            "filters",
            "endpoint",
            "since",
            "subject",
            "participants",
            "id",
            "messageId",
            "chat",
            "latitude",
            "longitude",
            "name",
            "options",
            "emoji",
            "picture",
            "sendAt",
            "type",
            "state",
            "phoneNumber",
            "number",
            "response",
            "code",
        ];
        (0..self.next(7))
            .map(|_| (if self.next(10) == 0 { self.text() } else { self.one(&names).to_owned() }, self.value(depth)))
            .collect()
    }

    fn body(&mut self) -> Vec<u8> {
        match self.next(10) {
            0 => Vec::new(),
            1 => (0..self.next(300)).map(|_| self.next(256) as u8).collect(),
            2 => "[".repeat(self.next(3_000)).into_bytes(),
            _ => Value::Object(self.object(3)).to_string().into_bytes(),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_whatever_it_says_is_a_500_a_hang_or_no_json() {
    let number =
        |variable: &str, usual: u64| std::env::var(variable).ok().map_or(usual, |text| text.parse().expect("a number"));
    let (count, seed) = (number("KURIR_FUZZ_REQUESTS", 5_000), number("KURIR_FUZZ_SEED", 20_261_129));
    let nats = Nats::start().await;
    let api = &Api::start(&nats, &[("LOG_LEVEL", "warn")]).await;
    let _gateway = Gateway::start(&nats, "default", |command, _| {
        let refused = json!({"error": {"code": "invalid_request", "message": "no"}});
        Some(if command == Command::Status { connected() } else { refused })
    })
    .await;
    let routes = routes();
    assert!(routes.len() > 100, "the router is read: {}", routes.len());
    let mut random = Random(seed);
    let requests = (0..count).map(|number| {
        let (method, path) = routes[random.next(routes.len())].clone();
        let mut url = Url::parse(&api.url("/")).expect("a URL");
        let segments: Vec<String> = path
            .trim_start_matches('/')
            .split('/')
            .map(|segment| match segment {
                "{session}" if random.next(2) == 0 => "default".to_owned(),
                segment if segment.starts_with('{') => random.text().chars().take(200).collect(),
                segment => segment.to_owned(),
            })
            .collect();
        url.path_segments_mut().expect("a path").clear().extend(&segments);
        if random.next(3) == 0 {
            let name = random.one(&["limit", "endpoint", "since", "until", "api_key", "x"]);
            let value: String = random.text().chars().take(200).collect();
            url.query_pairs_mut().append_pair(name, &value);
        }
        let content_type = random.one(&["application/json", "multipart/form-data; boundary=b", "text/plain", "x"]);
        let body = if method == Method::GET { Vec::new() } else { random.body() };
        (number, method, url, content_type, body)
    });
    let requests: Vec<_> = requests.collect();
    let http = reqwest::Client::new();
    stream::iter(requests)
        .for_each_concurrent(16, |(number, method, url, content_type, body)| {
            let http = http.clone();
            async move {
                let what =
                    format!("request {number} of seed {seed}: {method} {url} {:?}", String::from_utf8_lossy(&body));
                let request = http.request(method.clone(), url).header("X-API-Key", KEY);
                let request = request.header("Content-Type", content_type).timeout(ANSWERS_WITHIN).body(body);
                let answer = request.send().await.unwrap_or_else(|error| panic!("{what}: {error}"));
                let (status, bytes) = (answer.status().as_u16(), answer.bytes().await.expect("a body"));
                assert!(status != 500, "{what}: {}", String::from_utf8_lossy(&bytes));
                let is_json = serde_json::from_slice::<Value>(&bytes).is_ok();
                assert!(is_json || method == Method::HEAD, "{what}: {status} {}", String::from_utf8_lossy(&bytes));
            }
        })
        .await;
    println!("{count} requests to {} routes", routes.len());
}
