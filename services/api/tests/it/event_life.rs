//! The life of an event, and a selection of attempts again, with a real dispatcher and a receiver that fails.

use crate::{
    api::{Api, SOON, dispatcher},
    history::{caught_up, store, text},
};
use kurir_test_harness::{Nats, Receiver, receiver::Answer, until};
use serde_json::{Value, json};

const SARI: &str = "6281234567890@s.whatsapp.net";

async fn life(api: &Api, id: &str) -> Value {
    caught_up(api).await;
    let (status, body) = api.get(&format!("/api/events/{id}/life")).await;
    assert_eq!(status, 200, "{body}");
    body["data"].clone()
}

fn at<'a>(life: &'a Value, endpoint: &str) -> &'a Value {
    let endpoints = life["endpoints"].as_array().expect("a list");
    endpoints.iter().find(|one| one["endpoint"] == endpoint).unwrap_or_else(|| panic!("no {endpoint} in {life}"))
}

#[tokio::test]
async fn a_life_says_where_the_event_is_at_each_endpoint_and_why() {
    let (nats, receiver) = (Nats::start().await, Receiver::start().await);
    let url = receiver.url();
    let api = Api::start(&nats, &[("WEBHOOK_URL", &url), ("WEBHOOK_ALLOWED_NETWORKS", "127.0.0.0/8")]).await;
    let _dispatcher = dispatcher(&nats, &url).await;
    let calls = json!({"url": url, "events": ["call.*"]});
    let calls = api.post("/api/endpoints", &calls).await.1["data"]["id"].as_str().expect("an id").to_owned();
    let others = json!({"url": url, "filter": {"chats": ["6289876543210@s.whatsapp.net"]}});
    let (status, others) = api.post("/api/endpoints", &others).await;
    assert_eq!(status, 201, "{others}");
    let others = others["data"]["id"].as_str().expect("an id").to_owned();
    receiver.answers([Answer::status(400).body("no such order")]);
    let id = "evt_life";
    store(&nats, "default", "message.received", id, text("A1", SARI, "Sari", "hello")).await;
    let settled = until("the event to be settled", SOON * 2, || async {
        let life = life(&api, id).await;
        let states = [at(&life, "default")["state"].clone(), at(&life, &others)["state"].clone()];
        if states == [json!("delivered"), json!("filtered")] { Ok(life) } else { Err(life) }
    })
    .await;
    let attempts = at(&settled, "default")["attempts"].as_array().expect("a list").clone();
    assert_eq!(attempts.len(), 2, "{attempts:?}");
    assert_eq!((&attempts[0]["status"], &attempts[0]["answer"]), (&json!(400), &json!("no such order")));
    assert_eq!((&attempts[1]["outcome"], &attempts[1]["attempt"]), (&json!("delivered"), &json!(2)));
    assert!(at(&settled, &others)["reason"].as_str().is_some_and(|why| why.contains("content filter")));
    assert_eq!(at(&settled, &calls)["state"], "unmatched");
    let steps: Vec<&str> =
        settled["steps"].as_array().expect("steps").iter().filter_map(|s| s["step"].as_str()).collect();
    assert_eq!(steps, ["received", "stored", "acknowledged"]);
    // By the id that WhatsApp gave it, too.
    assert_eq!(life(&api, "A1").await["event"]["id"], id);
}

#[tokio::test]
async fn an_event_that_waits_says_until_when_and_for_what() {
    let (nats, receiver) = (Nats::start().await, Receiver::start().await);
    let url = receiver.url();
    let api = Api::start(&nats, &[("WEBHOOK_URL", &url)]).await;
    let _dispatcher = dispatcher(&nats, &url).await;
    receiver.always(Answer::status(500));
    store(&nats, "default", "message.received", "evt_w", text("A1", SARI, "Sari", "hello")).await;
    until("the event to wait for an attempt", SOON, || async {
        let life = life(&api, "evt_w").await;
        let found = at(&life, "default");
        let is_waiting = found["state"] == "waiting" && found["until"].is_string();
        if is_waiting && found["reason"].as_str().is_some_and(|why| why.contains("500")) { Ok(()) } else { Err(life) }
    })
    .await;
    until("the event to be dead", SOON * 2, || async {
        let life = life(&api, "evt_w").await;
        let found = at(&life, "default");
        if found["state"] == "dead" && found["deadLetter"].is_u64() { Ok(()) } else { Err(life) }
    })
    .await;
}

#[tokio::test]
async fn a_selection_is_counted_first_and_then_delivered_again_once() {
    let (nats, receiver) = (Nats::start().await, Receiver::start().await);
    let url = receiver.url();
    let api = Api::start(&nats, &[("WEBHOOK_URL", &url)]).await;
    let _dispatcher = dispatcher(&nats, &url).await;
    for number in 0..3 {
        let data = text(&format!("A{number}"), SARI, "Sari", "hello");
        store(&nats, "default", "message.received", &format!("evt_{number}"), data).await;
    }
    until("three deliveries", SOON, || async { receiver.requests().len() == 3 }).await;
    until("their records", SOON, || async {
        caught_up(&api).await;
        api.get("/api/deliveries").await.1["data"].as_array().map(Vec::len) == Some(3)
    })
    .await;
    let selection = json!({"endpoint": "default", "outcome": "delivered"});
    let (status, counted) = api.post("/api/deliveries/resend", &selection).await;
    assert_eq!((status, &counted["data"]["total"], &counted["data"]["dryRun"]), (200, &json!(3), &json!(true)));
    assert_eq!(receiver.requests().len(), 3, "a dry run delivers nothing");
    let mut selection = selection;
    selection["dryRun"] = json!(false);
    let (status, resent) = api.post("/api/deliveries/resend", &selection).await;
    assert_eq!(status, 200, "{resent}");
    let replay = resent["data"]["endpoints"][0]["replays"][0]["id"].as_str().expect("a replay").to_owned();
    until("the replay to end", SOON, || async {
        let (_, replay) = api.get(&format!("/api/replays/{replay}")).await;
        if replay["data"]["state"] == "done" { Ok(()) } else { Err(replay) }
    })
    .await;
    let mut ids: Vec<String> =
        receiver.requests().iter().map(|request| request.header("webhook-id").to_owned()).collect();
    ids.sort();
    assert_eq!(ids, ["evt_0", "evt_0", "evt_1", "evt_1", "evt_2", "evt_2"]);
    for wrong in [json!({"outcome": "lost"}), json!({"status": 7}), json!({"endpiont": "default"})] {
        assert_eq!(api.post("/api/deliveries/resend", &wrong).await.1["code"], "invalid_selection", "{wrong}");
    }
}
