//! Many sessions in one gateway, made and managed over the API: each has an account, settings, metadata and an end of its
//! own, and none disturbs another.

use crate::expect::{text, webhook};
use kurir_test_harness::{
    Stack,
    stack::{Api, SOON},
    until,
};
use reqwest::Method;
use serde_json::{Value, json};

const CONTACT: &str = "6281100000001";

pub async fn has_status(api: &Api, id: &str, status: &str) -> Value {
    until(format!("the session {id} to be {status}"), SOON * 2, || async {
        let (code, body) = api.get(&format!("/api/sessions/{id}")).await;
        let session = body["data"].clone();
        if session["status"] == status { Ok(session) } else { Err((code, body)) }
    })
    .await
}

/// Makes a session and pairs it with this account.
async fn paired(stack: &Stack, id: &str, mut session: Value, number: &str) -> Value {
    session["id"] = id.into();
    let (code, made) = stack.api.post("/api/sessions", session).await;
    assert_eq!(code, 201, "{made}");
    let qr = until("a QR code", SOON, || async {
        let (_, body) = stack.api.get(&format!("/api/sessions/{id}/whatsapp/status")).await;
        body["data"]["qrCode"].as_str().map(str::to_owned).ok_or(body)
    })
    .await;
    stack.simulator.scan_as(number, &qr).await;
    has_status(&stack.api, id, "connected").await
}

async fn writes_to(stack: &Stack, account: &str, text: &str) {
    let body = json!({"text": text, "to": account});
    stack.simulator.post(&format!("/contacts/{CONTACT}/messages"), body).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_made_used_stopped_started_and_deleted() {
    let mut stack = Stack::plan().unpaired().start().await;
    let sales = json!({"name": "Sales", "metadata": {"crm": "7"}, "sendGap": "0s"});
    let session = paired(&stack, "sales", sales, "6281230002001").await;
    assert_eq!((&session["name"], &session["isConnected"]), (&json!("Sales"), &json!(true)));
    paired(&stack, "support", json!({}), "6281230002002").await;

    writes_to(&stack, "6281230002001", "to sales").await;
    writes_to(&stack, "6281230002002", "to support").await;
    let to_sales = webhook(&stack.receiver, "the message to sales", |body| text(body) == "to sales").await.json();
    let to_support = webhook(&stack.receiver, "the message to support", |body| text(body) == "to support").await.json();
    assert_eq!(to_sales["data"]["session"], "sales");
    assert_eq!(to_sales["data"]["sessionMetadata"], json!({"crm": "7"}));
    assert_eq!(to_support["data"]["session"], "support");
    assert_eq!(to_support["data"].get("sessionMetadata"), None);
    let send = json!({"to": CONTACT, "message": "from sales"});
    let (code, sent) = stack.api.post("/api/sessions/sales/whatsapp/send-message", send.clone()).await;
    assert_eq!(code, 200, "{sent}");

    // New metadata hold at once, without a new connection.
    let (code, changed) =
        stack.api.call(Method::PATCH, "/api/sessions/sales", json!({"metadata": {"crm": "8"}, "name": null})).await;
    assert_eq!((code, &changed["data"]["name"]), (200, &Value::Null), "{changed}");
    until("the new metadata", SOON, || async {
        writes_to(&stack, "6281230002001", "again").await;
        let requests = stack.receiver.requests();
        let found = requests.iter().any(|request| request.json()["data"]["sessionMetadata"] == json!({"crm": "8"}));
        if found { Ok(()) } else { Err(requests.len()) }
    })
    .await;

    let (code, stopped) = stack.api.post("/api/sessions/sales/stop", json!({})).await;
    assert_eq!((code, &stopped["data"]["desired"]), (200, &json!("stopped")), "{stopped}");
    until("sales to refuse a send", SOON, || async {
        let (code, body) = stack.api.post("/api/sessions/sales/whatsapp/send-message", send.clone()).await;
        if (code, &body["code"]) == (409, &json!("session_stopped")) { Ok(()) } else { Err((code, body)) }
    })
    .await;
    // It stays stopped across a restart, and the others go on.
    stack.gateway.restart().await;
    has_status(&stack.api, "support", "connected").await;
    let (_, shown) = stack.api.get("/api/sessions/sales").await;
    assert_eq!((&shown["data"]["desired"], &shown["data"]["status"]), (&json!("stopped"), &Value::Null), "{shown}");
    writes_to(&stack, "6281230002001", "while it was stopped").await;
    stack.api.post("/api/sessions/sales/start", json!({})).await;
    has_status(&stack.api, "sales", "connected").await;
    webhook(&stack.receiver, "what came meanwhile", |body| text(body) == "while it was stopped").await;

    let (code, list) = stack.api.get("/api/sessions?limit=2").await;
    let ids = |list: &Value| -> Vec<String> {
        let data = list["data"].as_array().cloned().unwrap_or_default();
        data.iter().map(|session| session["id"].as_str().unwrap_or_default().to_owned()).collect()
    };
    assert_eq!((code, ids(&list)), (200, vec!["default".to_owned(), "sales".to_owned()]), "{list}");
    let next = list["next"].as_str().expect("another page").to_owned();
    let (_, list) = stack.api.get(&format!("/api/sessions?limit=2&after={next}")).await;
    assert_eq!((ids(&list), &list["next"]), (vec!["support".to_owned()], &Value::Null), "{list}");
    let (_, list) = stack.api.get("/api/sessions?status=connected").await;
    assert_eq!(ids(&list), ["sales", "support"], "{list}");

    let (code, deleted) = stack.api.call(Method::DELETE, "/api/sessions/sales", json!({})).await;
    // A send that was asked for while the session stopped was taken as a job, and may still wait.
    let jobs = deleted["data"]["jobsCancelled"].as_u64().expect("a number");
    let expected = json!({"id": "sales", "loggedOut": true, "keysWiped": true, "jobsCancelled": jobs});
    assert_eq!((code, &deleted["data"]), (200, &expected), "{deleted}");
    assert!(!stack.gateway.folder().join("sessions/sales").exists());
    let (code, gone) = stack.api.get("/api/sessions/sales").await;
    assert_eq!((code, &gone["code"]), (404, &json!("session_not_found")), "{gone}");
    has_status(&stack.api, "support", "connected").await;
    for event in ["session.created", "session.stopped", "session.started", "session.deleted"] {
        webhook(&stack.receiver, event, |body| body["event"] == event && body["data"]["session"] == "sales").await;
    }
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_taken_or_unknown_session_gets_a_clear_answer() {
    let stack = Stack::plan().without_webhooks().unpaired().start().await;
    for id in ["", "A", "-a", "a.b", "../x"] {
        let (code, body) = stack.api.post("/api/sessions", json!({"id": id})).await;
        assert_eq!((code, &body["code"]), (400, &json!("invalid_session")), "{id}: {body}");
        assert_eq!(body["problems"][0]["field"], "id", "{body}");
    }
    let (code, body) = stack.api.post("/api/sessions", json!({"id": "a", "colour": "red", "markOnline": 1})).await;
    let fields: Vec<&Value> = body["problems"].as_array().into_iter().flatten().map(|one| &one["field"]).collect();
    assert_eq!((code, fields), (400, vec![&json!("colour"), &json!("markOnline")]), "{body}");
    assert_eq!(stack.api.post("/api/sessions", json!({"id": "a"})).await.0, 201);
    for id in ["a", "default"] {
        let (code, body) = stack.api.post("/api/sessions", json!({"id": id})).await;
        assert_eq!((code, &body["code"]), (409, &json!("session_exists")), "{body}");
    }
    for (method, path) in [
        (Method::GET, ""),
        (Method::PATCH, ""),
        (Method::DELETE, ""),
        (Method::POST, "/start"),
        (Method::POST, "/stop"),
    ] {
        let (code, body) = stack.api.call(method.clone(), &format!("/api/sessions/nobody{path}"), json!({})).await;
        assert_eq!((code, &body["code"]), (404, &json!("session_not_found")), "{method} {path}: {body}");
    }
    // The session `default` can be stopped as well, and comes back.
    let (code, _) = stack.api.post("/api/sessions/default/stop", json!({})).await;
    assert_eq!(code, 200);
    until("default to be stopped", SOON, || async {
        let (code, body) = stack.api.get("/api/whatsapp/status").await;
        if body["code"] == "session_stopped" { Ok(()) } else { Err((code, body)) }
    })
    .await;
    stack.api.post("/api/sessions/default/start", json!({})).await;
    has_status(&stack.api, "default", "pairing").await;
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_fails_disturbs_no_other_and_starts_by_itself() {
    let stack = Stack::plan().without_webhooks().unpaired().start().await;
    has_status(&stack.api, "default", "pairing").await;
    // Where the session's folder is to be stands a file.
    let folder = stack.gateway.folder().join("sessions/broken");
    std::fs::write(&folder, "").unwrap();
    let (code, made) = stack.api.post("/api/sessions", json!({"id": "broken"})).await;
    assert_eq!((code, &made["data"]["status"]), (201, &Value::Null), "{made}");
    let (code, moving) = stack.api.get("/api/sessions/broken/whatsapp/status").await;
    assert_eq!((code, &moving["code"]), (503, &json!("session_moving")), "{moving}");
    has_status(&stack.api, "default", "pairing").await;
    std::fs::remove_file(&folder).unwrap();
    has_status(&stack.api, "broken", "pairing").await;
    stack.finish().await;
}
