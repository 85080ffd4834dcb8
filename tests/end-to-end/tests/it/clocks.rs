//! The machines of the gateway and of the API have wrong clocks: what is to happen at a time happens when it is that time.

use crate::expect::{text, webhook};
use kurir_test_harness::{Stack, faketime, stack::SOON, until};
use serde_json::json;
use std::time::Duration;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

const CONTACT: &str = "6281234567890";

fn ahead(seconds: i64) -> String {
    (OffsetDateTime::now_utc() + time::Duration::seconds(seconds)).format(&Rfc3339).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_clock_changes_neither_when_a_message_is_sent_nor_how_long_a_key_is_valid() {
    for (of_gateway, of_api) in [("+3600", "-3600"), ("-3600", "+3600")] {
        let (Some(gateway), Some(api)) = (faketime::environment(of_gateway), faketime::environment(of_api)) else {
            return;
        };
        let plan = gateway.iter().fold(Stack::plan(), |plan, (name, value)| plan.gateway(name, value));
        let plan = api.iter().fold(plan, |plan, (name, value)| plan.api(name, value));
        let mut stack = plan.start().await;
        for service in [&mut stack.gateway, &mut stack.api.process] {
            service.wait_for_line(|line| line.contains("the clock of this machine is 3600"), SOON).await;
        }

        let due = OffsetDateTime::now_utc() + time::Duration::seconds(6);
        let later = json!({"to": CONTACT, "message": "later", "options": {"sendAt": ahead(6)}});
        let (status, answer) = stack.api.post("/api/whatsapp/send-message", later).await;
        assert_eq!(status, 202, "{answer}");
        let past = json!({"to": CONTACT, "message": "never", "options": {"sendAt": ahead(-60)}});
        assert_eq!(stack.api.post("/api/whatsapp/send-message", past).await.0, 400);
        let job = json!({"sendAt": ahead(6), "messages": [
            {"to": CONTACT, "message": "of a job"},
            {"to": CONTACT, "message": "of a job, later", "sendAt": ahead(9)},
        ]});
        let (status, answer) = stack.api.post("/api/whatsapp/jobs", job).await;
        assert!((200..300).contains(&status), "{status} {answer}");

        let key = json!({"name": "short", "scopes": ["read"], "expiresAt": ahead(8)});
        let (status, key) = stack.api.post("/api/keys", key).await;
        assert_eq!(status, 201, "{key}");
        let key = key["data"]["key"].as_str().unwrap().to_owned();
        let status_with_key = async || {
            let asked = stack.api.request(reqwest::Method::GET, "/api/whatsapp/status").header("X-API-Key", &key);
            asked.send().await.unwrap().status().as_u16()
        };
        until("the key to be known", SOON, || async { status_with_key().await == 200 }).await;

        for (message, least) in [("later", 0), ("of a job", 0), ("of a job, later", 3)] {
            let sent = stack.simulator.contact_receives(CONTACT, message, SOON, |m| m["text"] == message).await;
            let early = due + time::Duration::seconds(least) - OffsetDateTime::now_utc();
            assert!(early < time::Duration::seconds(1), "{message} came {early} early: {sent}");
            assert!(early > time::Duration::seconds(-15), "{message} came {early} late");
        }
        until("the key to be over", Duration::from_secs(15), || async { status_with_key().await == 401 }).await;

        stack.simulator.contact_writes(CONTACT, "what time is it").await;
        let event = webhook(&stack.receiver, "the message", |body| text(body) == "what time is it").await.json();
        let at = OffsetDateTime::parse(event["timestamp"].as_str().unwrap(), &Rfc3339).unwrap();
        assert!((OffsetDateTime::now_utc() - at).abs() < time::Duration::seconds(20), "{event}");
        stack.finish().await;
    }
}
