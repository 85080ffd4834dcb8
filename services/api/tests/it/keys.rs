//! `/api/keys`, `/api/login` and `/api/audit`: what a key may do, how a browser is logged in, and what was noted.

use crate::{
    api::{Api, KEY, SOON, answer},
    history::{caught_up, store, text},
    openapi::operations,
    stand_in::{Gateway, connected, status},
};
use kurir_contract::command::Command;
use kurir_test_harness::{Nats, until};
use reqwest::Method;
use serde_json::{Value, json};

async fn make(api: &Api, body: Value) -> (String, String) {
    let (status, made) = api.post("/api/keys", &body).await;
    assert_eq!(status, 201, "{made}");
    let text = |name: &str| made["data"][name].as_str().expect("text").to_owned();
    (text("id"), text("key"))
}

async fn get(api: &Api, key: &str, path: &str) -> (u16, Value) {
    answer(api.request(Method::GET, path).header("X-API-Key", key)).await
}

async fn post(api: &Api, key: &str, path: &str, body: &Value) -> (u16, Value) {
    answer(api.request(Method::POST, path).header("X-API-Key", key).json(body)).await
}

#[tokio::test]
async fn a_key_does_what_its_scopes_say_and_a_deleted_one_nothing_on_any_replica() {
    let nats = Nats::start().await;
    let (api, other) = (Api::start(&nats, &[]).await, Api::start(&nats, &[]).await);
    let (id, key) = make(&api, json!({"name": "CRM", "scopes": ["read"]})).await;
    assert!(key.starts_with("kurir_") && key.len() == 49, "{key}");
    until("the other replica to know the key", SOON, || async { get(&other, &key, "/api/events").await.0 == 200 })
        .await;
    let (status, refused) = post(&other, &key, "/api/endpoints", &json!({})).await;
    assert_eq!((status, &refused["code"]), (403, &json!("insufficient_scope")));
    assert_eq!(get(&api, &key, "/api/keys").await.1["code"], "insufficient_scope");
    let (_, list) = api.get("/api/keys").await;
    assert_eq!((&list["data"][0]["id"], &list["data"][0]["name"]), (&json!(id), &json!("CRM")));
    assert!(!list.to_string().contains(&key), "the list shows a key");
    assert_eq!(api.delete(&format!("/api/keys/{id}")).await.0, 200);
    assert_eq!(get(&api, &key, "/api/events").await.1["code"], "invalid_api_key");
    until("the other replica to refuse the key", SOON, || async { get(&other, &key, "/api/events").await.0 == 401 })
        .await;
    assert_eq!(api.delete(&format!("/api/keys/{id}")).await.1["code"], "key_not_found");
    let wrong =
        json!({"scopes": ["all"], "sessions": ["a b"], "expiresAt": "2020-01-01T00:00:00Z", "requestsPerMinute": 0});
    let (_, wrong) = api.post("/api/keys", &wrong).await;
    assert_eq!(
        (&wrong["code"], wrong["problems"].as_array().map(Vec::len)),
        (&json!("invalid_key"), Some(5)),
        "{wrong}"
    );
}

#[tokio::test]
async fn each_route_that_changes_something_refuses_a_key_that_may_only_read() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    let (_, key) = make(&api, json!({"name": "reader", "scopes": ["read"]})).await;
    let questions = ["checkNumber", "subscribePresence"];
    for one in operations(&api).await.into_iter().filter(|one| one.is_keyed() && one.method != Method::GET) {
        let id = one.operation["operationId"].as_str().unwrap_or_default().to_owned();
        if questions.iter().any(|question| id.starts_with(question)) {
            continue;
        }
        let request = api.request(one.method.clone(), &one.path_with("x")).header("X-API-Key", &key);
        assert_eq!(answer(request).await.1["code"], "insufficient_scope", "{id}");
    }
}

#[tokio::test]
async fn a_key_that_may_only_read_sees_no_code_to_pair_with() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    let _gateway = Gateway::start(&nats, "default", |_, _| Some(status("pairing", false, Some("2@code")))).await;
    let path = "/api/whatsapp/status";
    for (scopes, code) in [(json!(["read"]), Value::Null), (json!(["read", "manage"]), json!("2@code"))] {
        let (_, key) = make(&api, json!({"name": "key", "scopes": scopes})).await;
        let (status, shown) = get(&api, &key, path).await;
        assert_eq!((status, &shown["data"]["status"], &shown["data"]["qrCode"]), (200, &json!("pairing"), &code));
    }
    assert_eq!(api.get(path).await.1["data"]["qrCode"], "2@code");
}

#[tokio::test]
async fn a_key_of_one_session_sees_and_uses_no_other() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    let _gateway = Gateway::start(&nats, "sales", |command, _| (command == Command::Status).then(connected)).await;
    let chat = "6281234567890@s.whatsapp.net";
    store(&nats, "default", "message.received", "evt_1", text("A1", chat, "Sari", "hello")).await;
    store(&nats, "sales", "message.received", "evt_2", text("A2", chat, "Sari", "hello")).await;
    caught_up(&api).await;
    let (_, key) =
        make(&api, json!({"name": "sales", "scopes": ["read", "send", "manage"], "sessions": ["sales"]})).await;
    for (path, of_sales) in [
        ("/api/events", 1),
        ("/api/chats", 1),
        ("/api/contacts", 1),
        ("/api/search?q=hello", 1),
        ("/api/events?session=default", 0),
    ] {
        let (status, body) = get(&api, &key, path).await;
        assert_eq!((status, body["data"].as_array().map(Vec::len)), (200, Some(of_sales)), "{path} {body}");
    }
    for path in ["/api/events/evt_1", "/api/events/A1/life", "/api/events/1"] {
        assert_eq!(get(&api, &key, path).await.1["code"], "event_not_found", "{path}");
    }
    assert_eq!(get(&api, &key, "/api/sessions/sales/whatsapp/status").await.0, 200);
    for path in ["/api/whatsapp/status", "/api/sessions/default/whatsapp/status", "/api/endpoints", "/api/dead-letters"]
    {
        assert_eq!(get(&api, &key, path).await.1["code"], "session_not_allowed", "{path}");
    }
}

#[tokio::test]
async fn a_key_ends_at_its_time_and_keeps_its_rate() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    let soon = time::OffsetDateTime::now_utc() + time::Duration::seconds(3);
    let (_, key) =
        make(&api, json!({"name": "short", "scopes": ["read"], "expiresAt": kurir_contract::clock::iso(soon)})).await;
    assert_eq!(get(&api, &key, "/api/endpoints").await.0, 200);
    until("the key to end", SOON, || async { get(&api, &key, "/api/endpoints").await.0 == 401 }).await;
    let (_, key) = make(&api, json!({"name": "slow", "scopes": ["read"], "requestsPerMinute": 2})).await;
    let statuses = [get(&api, &key, "/api/endpoints").await.0, get(&api, &key, "/api/endpoints").await.0];
    assert_eq!(statuses, [200, 200]);
    let response =
        api.request(Method::GET, "/api/endpoints").header("X-API-Key", &key).send().await.expect("an answer");
    assert!(response.status() == 429 && response.headers().contains_key("retry-after"), "{}", response.status());
}

#[tokio::test]
async fn a_browser_is_logged_in_by_a_cookie_and_changes_nothing_without_its_token() {
    let nats = Nats::start().await;
    let (api, other) = (Api::start(&nats, &[]).await, Api::start(&nats, &[]).await);
    let wrong = answer(api.request(Method::POST, "/api/login").json(&json!({"apiKey": "guess"}))).await;
    assert_eq!((wrong.0, &wrong.1["code"]), (401, &json!("invalid_api_key")));
    let login = api.request(Method::POST, "/api/login").json(&json!({"apiKey": KEY})).send().await.expect("an answer");
    assert_eq!(login.status(), 200);
    let set = login.headers()["set-cookie"].to_str().expect("text").to_owned();
    assert!(set.contains("HttpOnly") && set.contains("SameSite=Strict") && !set.contains(KEY), "{set}");
    let cookie = set.split(';').next().expect("a value").to_owned();
    for replica in [&api, &other] {
        until("the replica to know the login", SOON, || async {
            answer(replica.request(Method::GET, "/api/endpoints").header("Cookie", &cookie)).await.0 == 200
        })
        .await;
    }
    let change = || api.request(Method::POST, "/api/metrics/reset").header("Cookie", &cookie);
    assert_eq!(answer(change()).await.1["code"], "invalid_csrf_token");
    assert_eq!(answer(change().header("X-CSRF-Token", "x")).await.1["code"], "invalid_csrf_token");
    let (_, shown) = answer(api.request(Method::GET, "/api/login").header("Cookie", &cookie)).await;
    let token = shown["data"]["csrfToken"].as_str().expect("a token").to_owned();
    assert_eq!(answer(change().header("X-CSRF-Token", &token)).await.0, 200);
    let forged = cookie.replace("environment", "key_0000000000000000");
    let (status, _) = answer(api.request(Method::GET, "/api/endpoints").header("Cookie", forged)).await;
    assert_eq!(status, 401);
    let out = api.request(Method::DELETE, "/api/login").header("Cookie", &cookie).send().await.expect("an answer");
    assert!(out.headers()["set-cookie"].to_str().is_ok_and(|set| set.contains("Max-Age=0")));
}

#[tokio::test]
async fn each_change_is_noted_with_its_key_and_no_secret() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    let (id, key) = make(&api, json!({"name": "CRM", "scopes": ["manage"]})).await;
    let (status, made) =
        post(&api, &key, "/api/endpoints?api_key=hidden", &json!({"url": "https://example.org/secret-path"})).await;
    assert_eq!(status, 201, "{made}");
    let endpoint = made["data"]["id"].as_str().expect("an id").to_owned();
    get(&api, &key, "/api/keys").await;
    let entries = until("two entries", SOON, || async {
        let (_, audit) = api.get("/api/audit").await;
        if audit["data"].as_array().is_some_and(|entries| entries.len() == 2) { Ok(audit) } else { Err(audit) }
    })
    .await;
    let (last, first) = (&entries["data"][0], &entries["data"][1]);
    assert_eq!(
        (&first["action"], &first["keyId"], &first["target"]),
        (&json!("POST /api/keys"), &json!("environment"), &json!(id))
    );
    assert_eq!(
        (&last["action"], &last["keyId"], &last["keyName"]),
        (&json!("POST /api/endpoints"), &json!(id), &json!("CRM"))
    );
    assert_eq!(
        (&last["status"], &last["target"], &last["address"]),
        (&json!(201), &json!(endpoint), &json!("127.0.0.1"))
    );
    let text = entries.to_string();
    for secret in [key.as_str(), KEY, "secret-path", "hidden", "whsec_"] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
    assert_eq!(api.get(&format!("/api/audit?key={id}")).await.1["data"].as_array().map(Vec::len), Some(1));
}
