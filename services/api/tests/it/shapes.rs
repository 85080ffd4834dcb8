//! The contract's section "Shapes": what is no route, no JSON, or too much.

use crate::{
    api::{Api, KEY, answer, events_stored},
    stand_in::{Gateway, connected},
};
use kurir_test_harness::Nats;
use reqwest::Method;
use serde_json::{Value, json};

#[tokio::test]
async fn what_is_no_route_is_not_found_with_or_without_a_key() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    let not_found = (404, json!({"success": false, "message": "Route not found", "code": "route_not_found"}));
    for (method, path) in [
        (Method::GET, "/"),
        (Method::GET, "/api"),
        (Method::GET, "/api/whatsapp/nothing"),
        (Method::GET, "/api/sessions/default/nothing"),
    ] {
        assert_eq!(answer(api.request(method.clone(), path)).await, not_found, "{method} {path}");
        let with_key = api.request(method.clone(), path).header("X-API-Key", KEY);
        assert_eq!(answer(with_key).await, not_found, "{method} {path} with the key");
    }
}

#[tokio::test]
async fn a_slash_at_the_end_changes_nothing() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    assert_eq!(api.get("/api/health/").await.0, 200);
    assert_eq!(api.get("/api/webhook/status/").await.0, 200);
}

#[tokio::test]
async fn a_body_that_is_no_json_object_is_refused_and_nothing_happens() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[("WEBHOOK_URL", "http://127.0.0.1:9/webhook")]).await;
    let gateway = Gateway::start(&nats, "default", |_, _| Some(connected())).await;
    let large = format!(r#"{{"to":"6281234567890","message":"{}"}}"#, "x".repeat(10 << 20));
    for path in ["/api/whatsapp/send-message", "/api/webhook/test", "/api/webhook/send", "/api/whatsapp/pairing-code"] {
        for (body, status, code, message) in [
            ("{", 400, "invalid_json", "Request body is not valid JSON (line 1, column 1)"),
            (r#"{"to":}"#, 400, "invalid_json", "Request body is not valid JSON (line 1, column 7)"),
            ("to=6281234567890", 400, "invalid_json", "Request body is not valid JSON (line 1, column 2)"),
            ("[]", 400, "invalid_json", "Request body must be a JSON object"),
            ("null", 400, "invalid_json", "Request body must be a JSON object"),
            ("\"text\"", 400, "invalid_json", "Request body must be a JSON object"),
            (large.as_str(), 413, "body_too_large", "Request body is larger than 10 MB"),
        ] {
            let shown = &body[..body.len().min(20)];
            let request = api.request(Method::POST, path).header("X-API-Key", KEY).body(body.to_owned());
            let refused = (status, json!({"success": false, "message": message, "code": code}));
            assert_eq!(answer(request).await, refused, "{path} with {shown}");
        }
    }
    assert_eq!(gateway.asked(), 0);
    assert_eq!(events_stored(&nats).await, 0);
}

#[tokio::test]
async fn the_content_type_of_json_does_not_matter() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    for content_type in ["application/json; charset=utf-8", "application/x-www-form-urlencoded", "text/plain"] {
        let request = api.request(Method::POST, "/api/webhook/send").header("X-API-Key", KEY);
        let request = request.header("Content-Type", content_type).body(r#" {"eventType":"custom.event"} "#);
        let sent = json!({"success": true, "message": "Custom webhook sent"});
        assert_eq!(answer(request).await, (200, sent), "{content_type}");
    }
}

#[tokio::test]
async fn every_page_may_call_without_credentials_unless_it_is_set_otherwise() {
    let nats = Nats::start().await;
    let origin = "https://app.example";
    for (setting, allowed) in
        [(None, Some("*")), (Some(origin), Some(origin)), (Some("https://b.example"), None), (Some(""), None)]
    {
        let settings: Vec<_> = setting.map(|setting| ("CORS_ORIGIN", setting)).into_iter().collect();
        let api = Api::start(&nats, &settings).await;
        let response =
            api.request(Method::GET, "/api/health").header("Origin", origin).send().await.expect("an answer");
        let header = |name| response.headers().get(name).map(|value| value.to_str().unwrap_or_default());
        assert_eq!(header("access-control-allow-origin"), allowed, "{setting:?}");
        assert_eq!(header("access-control-allow-credentials"), None, "{setting:?}");
    }
    let api = Api::start(&nats, &[]).await;
    let preflight = api
        .request(Method::OPTIONS, "/api/whatsapp/send-message")
        .header("Origin", origin)
        .header("Access-Control-Request-Method", "POST")
        .header("Access-Control-Request-Headers", "x-api-key,content-type");
    let response = preflight.send().await.expect("an answer");
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["access-control-allow-headers"], "x-api-key,content-type");
    assert!(response.headers()["access-control-allow-methods"].to_str().is_ok_and(|methods| methods.contains("POST")));
}

#[tokio::test]
async fn a_value_of_the_wrong_kind_never_ends_in_a_server_error() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    let gateway = Gateway::start(&nats, "default", |_, _| Some(connected())).await;
    let values = [json!(null), json!(0), json!(-1.5), json!(true), json!(false), json!([]), json!({}), json!("\u{0}")];
    let wrong = |value: &Value| {
        [
            ("/api/whatsapp/send-message", json!({"to": value, "message": "x"})),
            ("/api/whatsapp/send-message", json!({"to": "6281234567890", "message": value})),
            ("/api/whatsapp/pairing-code", json!({"phoneNumber": value})),
            ("/api/webhook/send", json!({"eventType": value})),
        ]
    };
    for value in &values {
        for (path, body) in wrong(value) {
            // A message of one NUL is a message.
            if body["message"] == "\u{0}" {
                continue;
            }
            assert_eq!(api.post(path, &body).await.0, 400, "{path} {body}");
        }
    }
    assert_eq!(gateway.asked(), 0);
}
