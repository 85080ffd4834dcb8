//! What holds for every route alike, tried on each operation of the document.

use crate::{
    api::{Api, KEY, answer},
    openapi::operations,
};
use kurir_test_harness::Nats;
use reqwest::{Method, Response};
use serde_json::{Value, json};

/// The JSON of an error, whose `code` is a string.
async fn error_body(response: Response, name: &str) -> Value {
    let text = response.text().await.expect("a body");
    let body: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: no JSON ({error}): {text}"));
    assert_eq!(body["success"], false, "{name}: {body}");
    assert!(body["code"].is_string() && body["message"].is_string(), "{name}: {body}");
    body
}

fn header<'a>(response: &'a Response, name: &str) -> Option<&'a str> {
    response.headers().get(name).and_then(|value| value.to_str().ok())
}

#[tokio::test]
async fn a_keyed_route_says_how_to_authenticate() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    let mut keyed = 0;
    for one in operations(&api).await.into_iter().filter(|one| one.is_keyed()) {
        let name = format!("{} {}", one.method, one.path);
        let response = api.request(one.method.clone(), &one.path_with("x")).send().await.expect("an answer");
        assert_eq!(response.status(), 401, "{name}");
        assert_eq!(header(&response, "www-authenticate"), Some("ApiKey realm=\"kurir\""), "{name}");
        error_body(response, &name).await;
        keyed += 1;
    }
    assert!(keyed > 100, "{keyed}");
}

#[tokio::test]
async fn a_method_that_a_route_does_not_have_is_answered_with_those_it_has() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    let operations = operations(&api).await;
    for one in &operations {
        let name = &one.path;
        let response = api.request(Method::TRACE, &one.path_with("x")).send().await.expect("an answer");
        assert_eq!(response.status(), 405, "{name}");
        let allow = header(&response, "allow").unwrap_or_default().to_owned();
        for other in operations.iter().filter(|other| other.path == one.path) {
            assert!(allow.split(',').any(|method| method.trim() == other.method.as_str()), "{name}: {allow}");
        }
        if one.path.starts_with("/api/") {
            assert_eq!(error_body(response, name).await["code"], "method_not_allowed", "{name}");
        }
    }
}

#[tokio::test]
async fn a_body_of_another_type_is_refused_as_such() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    let mut tried = 0;
    for one in operations(&api).await.into_iter().filter(|one| one.has_body()) {
        let name = format!("{} {}", one.method, one.path);
        let request = api.request(one.method.clone(), &one.path_with("x")).header("X-API-Key", KEY);
        let response = request.header("Content-Type", "application/xml").body("<a/>").send().await.expect("an answer");
        assert_eq!(response.status(), 415, "{name}");
        assert_eq!(error_body(response, &name).await["code"], "unsupported_media_type", "{name}");
        tried += 1;
    }
    assert!(tried > 50, "{tried}");
}

#[tokio::test]
async fn each_answer_names_its_request_and_none_is_kept() {
    let nats = Nats::start().await;
    let mut api = Api::start(&nats, &[]).await;
    for one in operations(&api).await {
        let name = format!("{} {}", one.method, one.path);
        let request = api.request(one.method.clone(), &one.path_with("x")).header("X-Request-Id", "order-7");
        let response = request.send().await.expect("an answer");
        assert_eq!(header(&response, "x-request-id"), Some("order-7"), "{name}");
        if one.path.starts_with("/api/") {
            assert_eq!(header(&response, "cache-control"), Some("no-store"), "{name}");
        }
    }
    let request = api.request(Method::GET, "/api/health").header("X-Request-Id", "a b");
    let response = request.send().await.expect("an answer");
    let made = header(&response, "x-request-id").expect("an id").to_owned();
    assert!(made.starts_with("req_") && made.len() == 36, "{made}");
    api.process.wait_for_line(|line| line.contains(&made), crate::api::SOON).await;
}

#[tokio::test]
async fn no_path_and_no_body_ends_in_a_server_error() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    let ids = ["%ff", "%00", "%F0%9F%98%80", "..%2f..", "0", "18446744073709551616", "6281234567890@lid", "a.b.*.%3E"];
    let bodies = [json!({}), json!({"to": "123456789012345@lid", "message": {"content": []}, "messages": [null]})];
    for one in operations(&api).await {
        for id in ids {
            for body in &bodies {
                let path = one.path_with(id);
                let name = format!("{} {path} {body}", one.method);
                let request = api.request(one.method.clone(), &path).header("X-API-Key", KEY);
                let request = if one.has_body() { request.json(body) } else { request };
                let response = request.send().await.expect("an answer");
                // 503: no gateway and no dispatcher run.
                let status = response.status().as_u16();
                assert!(status != 500 && status != 502, "{name}: {status}");
                if status >= 400 && one.path.starts_with("/api/") || one.path.starts_with("/media/") {
                    error_body(response, &name).await;
                }
            }
            if !one.path.contains("{id}") && !one.path.contains("{file}") {
                break;
            }
        }
    }
    for session in ["%ff", "a%20b", "x%00"] {
        let (status, body) = api.get(&format!("/api/sessions/{session}/whatsapp/status")).await;
        assert_eq!((status, &body["code"]), (400, &json!("invalid_session")), "{session}");
    }
}

#[tokio::test]
async fn each_list_has_pages() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    let mut lists = Vec::new();
    for one in operations(&api).await {
        let parameters = one.operation["parameters"].as_array().cloned().unwrap_or_default();
        let has = |name: &str| parameters.iter().any(|one| one["name"] == name);
        let id = one.operation["operationId"].as_str().unwrap_or_default();
        if id.starts_with("list") {
            assert!(has("limit") && has("after"), "{id}");
            lists.push(one);
        } else {
            // `followEvents` takes up a stream again, which has no pages; `search` wants its words besides.
            assert!(!has("after") || ["followEvents", "search"].contains(&id), "{id}");
        }
    }
    assert!(lists.len() > 9, "more than 3 lists of Kurir, and 3 of a session under two paths");
    for one in &lists {
        for (query, field) in [("limit=0", "limit"), ("limit=1001", "limit"), ("limit=x", "limit")] {
            let (status, body) = api.get(&format!("{}?{query}", one.path_with("x"))).await;
            assert_eq!((status, &body["code"]), (400, &json!("invalid_query")), "{} {query}: {body}", one.path);
            assert_eq!(body["problems"][0]["field"], field, "{body}");
        }
    }
}

#[tokio::test]
async fn an_outage_says_when_to_try_again() {
    let mut nats = Nats::start().await;
    let api = Api::start(&nats, &[("WEBHOOK_URL", "http://127.0.0.1:9/")]).await;
    nats.stop().await;
    for (method, path, body) in [
        (Method::GET, "/api/whatsapp/status", json!(null)),
        (Method::POST, "/api/whatsapp/send-message", json!({"to": "6281234567890", "message": "x"})),
        (Method::POST, "/api/webhook/test", json!({})),
        (Method::GET, "/api/endpoints", json!(null)),
        (Method::GET, "/api/dead-letters", json!(null)),
    ] {
        let request = api.request(method, path).header("X-API-Key", KEY);
        let response = if body.is_null() { request } else { request.json(&body) }.send().await.expect("an answer");
        assert_eq!((response.status().as_u16(), header(&response, "retry-after")), (503, Some("5")), "{path}");
    }
}

#[tokio::test]
async fn what_was_created_has_a_location() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    let body = json!({"url": "https://example.org/webhook"});
    let request = api.request(Method::POST, "/api/endpoints").header("X-API-Key", KEY).json(&body);
    let response = request.send().await.expect("an answer");
    assert_eq!(response.status(), 201);
    let location = header(&response, "location").expect("a location").to_owned();
    let (status, shown) = answer(api.request(Method::GET, &location).header("X-API-Key", KEY)).await;
    assert_eq!((status, &shown["data"]["url"]), (200, &json!("https://example.org/webhook")));
}
