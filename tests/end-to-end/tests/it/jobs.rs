//! Messages that wait, as a user sees them over HTTP: taken with 202, told of to the webhook, sent, looked at, cancelled.

use crate::expect::webhook;
use kurir_test_harness::{
    Stack,
    stack::{KEY, SOON},
    until,
};
use reqwest::Method;
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime, format_description::well_known::Rfc3339};

const CONTACT: &str = "6281234567890";
const OTHER: &str = "6281234567891";
const JOBS: &str = "/api/whatsapp/jobs";

fn within(seconds: i64) -> String {
    (OffsetDateTime::now_utc() + Duration::seconds(seconds)).format(&Rfc3339).unwrap()
}

async fn state(stack: &Stack, id: &str, wanted: &str) -> Value {
    until(format!("the job to be {wanted}"), SOON, || async {
        let (status, body) = stack.api.get(&format!("{JOBS}/{id}")).await;
        if body["data"]["state"] == wanted { Ok(body["data"].clone()) } else { Err((status, body)) }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_taken_sent_and_told_of() {
    let stack = Stack::start().await;
    let messages = json!([
        {"to": CONTACT, "message": "one"},
        {"to": OTHER, "message": "two", "options": {}},
        {"command": "send-location", "to": CONTACT, "latitude": -6.17, "longitude": 106.82},
    ]);
    let (status, taken) = stack.api.post(JOBS, json!({"name": "reminder", "messages": messages})).await;
    assert_eq!((status, &taken["success"], &taken["data"]["total"]), (202, &json!(true), &json!(3)), "{taken}");
    let id = taken["data"]["id"].as_str().unwrap().to_owned();
    let done = state(&stack, &id, "done").await;
    assert_eq!((&done["sent"], &done["failed"], &done["name"]), (&json!(3), &json!(0), &json!("reminder")));
    for (index, contact) in [(0, CONTACT), (1, OTHER), (2, CONTACT)] {
        let message = &taken["data"]["messages"][index]["messageId"];
        stack.simulator.contact_receives(contact, "the message", SOON, |got| got["id"] == *message).await;
    }
    let told = webhook(&stack.receiver, "job.done", |body| body["event"] == "job.done").await.json();
    assert_eq!((&told["data"]["jobId"], &told["data"]["sent"]), (&json!(id), &json!(3)));
    let (_, list) = stack.api.get(&format!("{JOBS}?state=done")).await;
    assert_eq!(list["data"][0]["id"], json!(id));
    let (_, none) = stack.api.get(&format!("{JOBS}?state=queued")).await;
    assert_eq!(none["data"], json!([]));
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_with_a_time_waits_for_it_or_is_cancelled() {
    let stack = Stack::start().await;
    let at = within(8);
    let send = |text: &str, at: &str| json!({"to": CONTACT, "message": text, "options": {"sendAt": at}});
    let (status, kept) = stack.api.post("/api/whatsapp/send-message", send("later", &at)).await;
    assert_eq!((status, &kept["status"], &kept["reason"]), (202, &json!("queued"), &json!("scheduled")), "{kept}");
    assert_eq!(kept["to"], format!("{CONTACT}@s.whatsapp.net"));
    let poll = json!({"to": CONTACT, "name": "Lunch?", "options": ["Rice", "Soup"], "sendAt": at});
    let (status, poll) = stack.api.post("/api/whatsapp/send-poll", poll).await;
    assert_eq!((status, &poll["reason"], &poll["until"]), (202, &json!("scheduled"), &kept["until"]), "{poll}");
    let (status, dropped) = stack.api.post("/api/whatsapp/send-message", send("never", &within(3600))).await;
    assert_eq!(status, 202);
    let id = dropped["jobId"].as_str().unwrap();
    let cancelled =
        stack.api.request(Method::DELETE, &format!("{JOBS}/{id}")).header("X-API-Key", KEY).send().await.unwrap();
    assert_eq!(cancelled.status(), 200);
    assert_eq!(cancelled.json::<Value>().await.unwrap()["data"]["state"], "cancelled");
    webhook(&stack.receiver, "job.cancelled", |body| body["event"] == "job.cancelled").await;
    stack.simulator.contact_receives(CONTACT, "the text", SOON, |got| got["id"] == kept["messageId"]).await;
    stack.simulator.contact_receives(CONTACT, "the poll", SOON, |got| got["id"] == poll["messageId"]).await;
    let due = OffsetDateTime::parse(&at, &Rfc3339).unwrap();
    assert!(OffsetDateTime::now_utc() >= due);
    assert_eq!(stack.simulator.received_by(CONTACT).await.len(), 2);
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restricted_account_answers_that_the_message_waits() {
    let stack = Stack::start().await;
    let account = stack.simulator.get("/accounts").await[0]["number"].as_str().unwrap().to_owned();
    let restriction = json!({"kind": "time_lock", "seconds": 20});
    stack.simulator.post(&format!("/accounts/{account}/restriction"), restriction).await;
    let (status, single) = stack.api.post("/api/whatsapp/send-message", json!({"to": CONTACT, "message": "one"})).await;
    assert_eq!((status, &single["success"], &single["reason"]), (202, &json!(true), &json!("time_lock")), "{single}");
    let (_, shown) = stack.api.get("/api/whatsapp/status").await;
    assert_eq!(shown["data"]["restriction"]["kind"], "time_lock", "{shown}");
    let bulk = json!({"messages": [{"to": OTHER, "message": "two"}]});
    let (status, bulk) = stack.api.post("/api/whatsapp/send-bulk", bulk).await;
    assert_eq!((status, &bulk["summary"]["success"]), (200, &json!(1)), "{bulk}");
    assert_eq!(bulk["results"][0]["status"], "queued", "{bulk}");
    webhook(&stack.receiver, "session.restricted", |body| body["event"] == "session.restricted").await;
    for (contact, id) in [(CONTACT, &single["messageId"]), (OTHER, &bulk["results"][0]["messageId"])] {
        stack.simulator.contact_receives(contact, "what waited", SOON * 2, |got| got["id"] == *id).await;
    }
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_job_is_refused_with_what_is_right() {
    let stack = Stack::start().await;
    let text = json!({"to": CONTACT, "message": "one"});
    let large = json!({"to": CONTACT, "message": "x".repeat(4000)});
    for (body, status, code) in [
        (json!({}), 400, "invalid_messages"),
        (json!({"messages": []}), 400, "no_messages"),
        (json!({"messages": [text, {"to": CONTACT}]}), 400, "incomplete_message"),
        (json!({"messages": [text], "sendAt": "2020-01-01T00:00:00Z"}), 400, "invalid_send_at"),
        (json!({"messages": [text], "sendAt": "tomorrow"}), 400, "invalid_send_at"),
        (json!({"messages": [text], "name": 7}), 400, "invalid_job"),
        (json!({"messages": [{"command": "status", "to": CONTACT}]}), 400, "invalid_job"),
        (
            json!({"messages": [{"command": "send-location", "to": CONTACT, "latitude": 91.0, "longitude": 0.0}]}),
            400,
            "invalid_location",
        ),
        (json!({"messages": vec![large; 251]}), 413, "job_too_large"),
    ] {
        let (answered, answer) = stack.api.post(JOBS, body).await;
        assert_eq!((answered, &answer["code"]), (status, &json!(code)), "{answer}");
    }
    for id in ["job_1", "job_00000000000000000000000000000000"] {
        let (status, answer) = stack.api.get(&format!("{JOBS}/{id}")).await;
        assert_eq!((status, &answer["code"]), (404, &json!("job_not_found")));
    }
    let (status, answer) = stack.api.get(&format!("{JOBS}?state=lost")).await;
    assert_eq!((status, &answer["code"]), (400, &json!("invalid_query")));
    let keyed = |body: Value| {
        stack
            .api
            .request(Method::POST, JOBS)
            .header("X-API-Key", KEY)
            .header("Idempotency-Key", "once")
            .json(&body)
            .send()
    };
    let first: Value = keyed(json!({"messages": [text]})).await.unwrap().json().await.unwrap();
    let again: Value = keyed(json!({"messages": [text]})).await.unwrap().json().await.unwrap();
    assert_eq!(first["data"]["id"], again["data"]["id"]);
    let other = keyed(json!({"messages": [text, text]})).await.unwrap();
    assert_eq!(other.status(), 409);
    stack.finish().await;
}
