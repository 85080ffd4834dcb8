//! The contract's section "Authentication".

use crate::api::{Api, KEY, SOON, answer};
use kurir_test_harness::Nats;
use reqwest::Method;
use serde_json::json;

const WEBHOOK: [&str; 3] = ["GET /api/webhook/status", "POST /api/webhook/test", "POST /api/webhook/send"];
const WHATSAPP: [&str; 28] = [
    "GET /api/whatsapp/status",
    "GET /api/whatsapp/qr",
    "POST /api/whatsapp/send-message",
    "POST /api/whatsapp/logout",
    "POST /api/whatsapp/pairing-code",
    "POST /api/whatsapp/restart",
    "GET /api/sessions/sales/whatsapp/status",
    "POST /api/sessions/sales/whatsapp/send-message",
    "POST /api/metrics/reset",
    "GET /api/endpoints",
    "POST /api/endpoints",
    "GET /api/endpoints/default",
    "PATCH /api/endpoints/default",
    "DELETE /api/endpoints/default",
    "POST /api/endpoints/default/enable",
    "POST /api/endpoints/default/disable",
    "POST /api/endpoints/default/test",
    "POST /api/endpoints/default/secret/rotate",
    "GET /api/dead-letters",
    "GET /api/dead-letters/1",
    "DELETE /api/dead-letters/1",
    "POST /api/dead-letters/1/replay",
    "POST /api/dead-letters/replay",
    "GET /api/replays",
    "POST /api/replays",
    "GET /api/replays/rep_1",
    "DELETE /api/replays/rep_1",
    "GET /api/ledger",
];
const OPEN: [&str; 5] =
    ["GET /api/health", "GET /api/health/detailed", "GET /api/metrics", "GET /livez", "GET /readyz"];

fn split(route: &str) -> (Method, &str) {
    let (method, path) = route.split_once(' ').expect("a method");
    (method.parse().expect("a method"), path)
}

#[tokio::test]
async fn each_group_of_routes_says_its_own_text_without_the_right_key() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[("WRONG_KEYS_PER_MINUTE", "0")]).await;
    let refusal = |message: &str, code: &str| (401, json!({"success": false, "message": message, "code": code}));
    let in_webhook = "Invalid or missing API key";
    for (routes, missing, wrong) in [
        (&WEBHOOK[..], refusal(in_webhook, "invalid_api_key"), refusal(in_webhook, "invalid_api_key")),
        (
            &WHATSAPP[..],
            refusal("API key is required", "missing_api_key"),
            refusal("Invalid API key", "invalid_api_key"),
        ),
    ] {
        for route in routes {
            let (method, path) = split(route);
            let bare = || api.request(method.clone(), path);
            assert_eq!(answer(bare()).await, missing, "{route} without a key");
            assert_eq!(answer(bare().header("X-API-Key", "")).await, missing, "{route} with an empty key");
            for key in ["wrong", &KEY[1..], &format!("{KEY}x"), "ü"] {
                assert_eq!(answer(bare().header("X-API-Key", key)).await, wrong, "{route} with {key}");
                assert_eq!(
                    answer(api.request(method.clone(), &format!("{path}?api_key={key}"))).await,
                    wrong,
                    "{route}?api_key={key}"
                );
            }
        }
    }
}

#[tokio::test]
async fn the_key_is_good_in_the_header_and_in_the_query_and_never_in_the_log() {
    let nats = Nats::start().await;
    let mut api = Api::start(&nats, &[]).await;
    let status = || api.request(Method::GET, "/api/webhook/status");
    assert_eq!(answer(status().header("x-api-key", KEY)).await.0, 200);
    let with_query = || api.request(Method::GET, &format!("/api/webhook/status?a=b&api_key={KEY}"));
    assert_eq!(answer(with_query()).await.0, 200);
    assert_eq!(answer(with_query().header("x-api-key", "")).await.0, 200);
    assert_eq!(answer(with_query().header("x-api-key", "wrong")).await.0, 401, "the header comes first");
    // Lines of the log are written a moment after what they tell of: the last one is waited for.
    api.process.wait_for_line(|line| line.contains("GET /api/webhook/status: 401"), SOON).await;
    let log = api.process.output();
    assert_eq!(log.matches("GET /api/webhook/status: 200").count(), 3, "{log}");
    assert!(!log.contains(KEY), "{log}");
}

#[tokio::test]
async fn some_routes_want_no_key() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    for route in OPEN {
        let (method, path) = split(route);
        assert_eq!(answer(api.request(method, path)).await.0, 200, "{route}");
    }
}

#[tokio::test]
async fn too_many_wrong_keys_are_429_and_a_right_key_that_cannot_be_guessed_is_taken() {
    let nats = Nats::start().await;
    for (key, then) in [("a-key-of-sixteen-characters-or-more", 200), ("short-key", 429)] {
        let mut api = Api::start(&nats, &[("WRONG_KEYS_PER_MINUTE", "5"), ("API_KEY", key)]).await;
        let status = |key: &str| api.request(Method::GET, "/api/webhook/status").header("X-API-Key", key);
        assert_eq!(answer(status(key)).await.0, 200);
        for _ in 0..5 {
            assert_eq!(answer(status("wrong")).await.0, 401);
        }
        let refused = status("wrong").send().await.expect("an answer");
        assert_eq!(refused.status(), 429);
        let wait: u64 = refused.headers()["retry-after"].to_str().expect("text").parse().expect("seconds");
        assert!((1..=12).contains(&wait), "{wait}");
        assert_eq!(answer(status(key)).await.0, then, "{key}");
        assert_eq!(api.process.output().contains("API_KEY has fewer than 16 characters"), then == 429);
        assert_eq!(api.process.terminate(SOON).await.code(), Some(0));
    }
}
