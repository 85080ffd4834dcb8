//! The search index and its routes: what was stored is found, with and without a disk, and erased for good.

use crate::api::{Api, KEY, SOON, answer};
use async_nats::HeaderMap;
use kurir_contract::{
    delivery::{AttemptRecord, AttemptResult},
    endpoint::EndpointId,
    event::{EventId, EventType},
    header, subject,
};
use kurir_test_harness::{Nats, until};
use reqwest::Method;
use serde_json::{Value, json};

/// An event as a gateway stores it; gives its sequence.
pub async fn store(nats: &Nats, session: &str, event: &str, id: &str, data: Value) -> u64 {
    let subject = subject::event(&session.parse().expect("a name"), &event.parse().expect("a type"));
    let body = json!({"event": event, "timestamp": "2026-11-29T10:00:00.000Z", "data": data}).to_string();
    let mut headers = HeaderMap::new();
    headers.insert(header::EVENT_ID, id);
    // The client has to live until the answer.
    let jetstream = nats.jetstream().await;
    let stored = jetstream.publish_with_headers(subject, headers, body.into()).await.expect("NATS");
    stored.await.expect("stored").sequence
}

/// `data` of a received text.
pub fn text(message_id: &str, chat: &str, name: &str, text: &str) -> Value {
    let addresses = json!({"jid": chat, "pn": chat, "lid": null});
    json!({
        "messageId": message_id, "from": chat, "timestamp": 1_796_000_000_000_i64, "messageType": "text",
        "content": {"text": text}, "sender": {"jid": chat, "pushName": name},
        "chat": addresses, "author": addresses, "participant": null, "fromMe": false,
    })
}

/// As a dispatcher records an attempt.
pub async fn record(nats: &Nats, endpoint: &str, event_id: &str, sequence: u64, attempt: u32, result: AttemptResult) {
    let endpoint: EndpointId = endpoint.parse().expect("an id");
    let record = AttemptRecord {
        event_id: EventId::from_header(event_id),
        event: EventType::MESSAGE_RECEIVED,
        endpoint: endpoint.clone(),
        sequence,
        attempt,
        result,
        duration_ms: 12,
        at: kurir_contract::clock::now_iso(),
        replay: None,
    };
    let payload = serde_json::to_vec(&[record]).expect("JSON");
    let jetstream = nats.jetstream().await;
    let stored = jetstream.publish(subject::deliveries(&endpoint), payload.into()).await.expect("NATS");
    stored.await.expect("stored");
}

/// Makes the streams, as any service does.
async fn make_streams(nats: &Nats) {
    if nats.jetstream().await.get_stream(kurir_contract::stream::AUDIT).await.is_err() {
        Api::start(nats, &[]).await;
    }
}

pub async fn caught_up(api: &Api) {
    until("the index to catch up", SOON, || async {
        let (status, body) = api.get("/api/index").await;
        if body["data"]["caughtUp"] == true { Ok(()) } else { Err((status, body)) }
    })
    .await;
}

fn column<'a>(body: &'a Value, name: &str) -> Vec<&'a str> {
    body["data"].as_array().expect("a list").iter().filter_map(|row| row[name].as_str()).collect()
}

const SARI: &str = "6281234567890@s.whatsapp.net";
const BUDI: &str = "6289876543210@s.whatsapp.net";

async fn some_messages(nats: &Nats) {
    make_streams(nats).await;
    store(nats, "default", "message.received", "evt_1", text("A1", SARI, "Sari", "Where is my order?")).await;
    store(nats, "default", "message.received", "evt_2", text("A2", BUDI, "Budi", "Selamat pagi")).await;
    let sent = json!({"messageId": "B1", "to": SARI, "timestamp": "2026-11-29T10:00:01.000Z", "messageType": "text",
                      "content": {"text": "Your order is on its way"}, "fromMe": true,
                      "chat": {"jid": SARI}, "author": {"jid": "620000000000@s.whatsapp.net"}});
    store(nats, "default", "message.sent", "evt_3", sent).await;
    let ack = json!({"messageId": "B1", "status": "read", "timestamp": 1_796_000_005_000_i64, "fromMe": false,
                     "chat": {"jid": SARI}, "author": {"jid": SARI}});
    store(nats, "default", "message.ack", "evt_4", ack).await;
    store(nats, "sales", "message.received", "evt_5", text("C1", SARI, "Sari", "An order for sales")).await;
}

#[tokio::test]
async fn what_was_stored_is_found_by_words_names_ids_and_filters() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    some_messages(&nats).await;
    caught_up(&api).await;

    let (_, chats) = api.get("/api/chats?session=default").await;
    assert_eq!(column(&chats, "id"), [SARI, BUDI]);
    assert_eq!(chats["data"][0]["name"], "Sari");
    assert_eq!(
        (&chats["data"][0]["messages"], &chats["data"][0]["lastText"]),
        (&json!(2), &json!("Your order is on its way"))
    );
    let (_, messages) = api.get(&format!("/api/chats/{SARI}/messages?session=default")).await;
    assert_eq!(column(&messages, "id"), ["B1", "A1"]);
    assert_eq!(messages["data"][0]["status"], "read");

    let found = async |q: &str| {
        let (status, body) = api.get(&format!("/api/search?q={q}")).await;
        assert_eq!(status, 200, "{body}");
        let hits = body["data"].as_array().expect("a list").iter();
        hits.map(|hit| {
            format!(
                "{}:{}",
                hit["found"].as_str().unwrap_or_default(),
                match hit["found"].as_str() {
                    Some("message") => &hit["message"]["id"],
                    Some("event") => &hit["event"]["id"],
                    _ => &hit["contact"]["name"],
                }
                .as_str()
                .unwrap_or_default()
            )
        })
        .collect::<Vec<_>>()
    };
    assert_eq!(found("ord").await, ["message:C1", "message:B1", "message:A1"]);
    assert_eq!(found("order%20where").await, ["message:A1"]);
    assert_eq!(found("budi").await, ["contact:Budi"]);
    assert_eq!(found("%2B62898765").await, ["contact:Budi"]);
    assert_eq!(found("A2").await[0], "event:evt_2");
    assert_eq!(found("%22%27*%28").await, [""; 0]);

    let events = async |query: &str| {
        let (status, body) = api.get(&format!("/api/events?{query}")).await;
        assert_eq!(status, 200, "{query}: {body}");
        column(&body, "id").into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(events("type=message.*&session=default").await, ["evt_4", "evt_3", "evt_2", "evt_1"]);
    assert_eq!(events("type=message.received&limit=1").await, ["evt_5"]);
    assert_eq!(events(&format!("chat={BUDI}")).await, ["evt_2"]);
    assert_eq!(events("messageId=B1").await, ["evt_4", "evt_3"]);
    assert_eq!(events("since=2000-01-01T00:00:00Z&until=2001-01-01T00:00:00Z").await, [""; 0]);
    assert_eq!(events("since=2000-01-01T00:00:00Z&limit=2").await, ["evt_5", "evt_4"]);
    let (_, page) = api.get("/api/events?limit=2").await;
    let next = page["next"].as_str().expect("a next page").to_owned();
    assert_eq!(events(&format!("limit=2&after={next}")).await, ["evt_3", "evt_2"]);
    for wrong in ["after=x", "limit=0", "since=yesterday"] {
        assert_eq!(api.get(&format!("/api/events?{wrong}")).await.0, 400, "{wrong}");
    }

    let (_, event) = api.get("/api/events/B1").await;
    assert_eq!((&event["data"]["id"], &event["data"]["body"]["data"]["messageId"]), (&json!("evt_3"), &json!("B1")));
    assert_eq!(api.get("/api/events/evt_none").await.1["code"], "event_not_found");
    assert_eq!(column(&api.get("/api/contacts?q=sar").await.1, "name"), ["Sari", "Sari"]);
}

#[tokio::test]
async fn attempts_are_found_by_each_filter_and_counted() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    let one = store(&nats, "default", "message.received", "evt_1", text("A1", SARI, "Sari", "hello")).await;
    let two = store(&nats, "sales", "message.received", "evt_2", text("A2", BUDI, "Budi", "hello")).await;
    let refused = AttemptResult::Refused { status: 503, body: "try later".to_owned(), headers: Vec::new() };
    let delivered = AttemptResult::Delivered { status: 200, headers: vec![("server".to_owned(), "n8n".to_owned())] };
    let failed = AttemptResult::Failed {
        class: "connect".to_owned(),
        phase: Some("connect".into()),
        message: "connection refused".to_owned(),
    };
    record(&nats, "ep_1", "evt_1", one, 1, refused).await;
    record(&nats, "ep_1", "evt_1", one, 2, delivered.clone()).await;
    record(&nats, "ep_2", "evt_2", two, 1, failed).await;
    record(&nats, "ep_2", "evt_1", one, 1, delivered).await;
    caught_up(&api).await;
    let found = async |query: &str| {
        let (status, body) = api.get(&format!("/api/deliveries?{query}")).await;
        assert_eq!(status, 200, "{query}: {body}");
        let rows = body["data"].as_array().expect("a list").iter();
        rows.map(|row| format!("{} {} {}", row["endpoint"], row["eventId"], row["attempt"]).replace('"', ""))
            .collect::<Vec<_>>()
    };
    for (query, expected) in [
        ("", vec!["ep_2 evt_1 1", "ep_2 evt_2 1", "ep_1 evt_1 2", "ep_1 evt_1 1"]),
        ("endpoint=ep_1", vec!["ep_1 evt_1 2", "ep_1 evt_1 1"]),
        ("outcome=delivered&endpoint=ep_2", vec!["ep_2 evt_1 1"]),
        ("outcome=failed", vec!["ep_2 evt_2 1"]),
        ("status=503", vec!["ep_1 evt_1 1"]),
        ("status=200", vec!["ep_2 evt_1 1", "ep_1 evt_1 2"]),
        ("session=sales", vec!["ep_2 evt_2 1"]),
        (&format!("chat={BUDI}"), vec!["ep_2 evt_2 1"]),
        ("event=evt_2", vec!["ep_2 evt_2 1"]),
        ("type=message.*&limit=1", vec!["ep_2 evt_1 1"]),
        ("since=2026-01-01T00:00:00Z&limit=1", vec!["ep_2 evt_1 1"]),
        ("until=2026-01-01T00:00:00Z", vec![]),
    ] {
        assert_eq!(found(query).await, expected, "{query}");
    }
    assert_eq!(api.get("/api/deliveries?outcome=lost").await.0, 400);
    let (_, page) = api.get("/api/deliveries?status=503").await;
    assert_eq!(page["data"][0]["answer"], "try later");
    let id = page["data"][0]["id"].as_str().expect("an id").to_owned();
    assert_eq!(api.get(&format!("/api/deliveries/{id}")).await.1["data"], page["data"][0]);
    let (_, statistics) = api.get("/api/statistics?hours=1").await;
    assert_eq!((&statistics["data"]["delivered"], &statistics["data"]["failed"]), (&json!(2), &json!(2)));
    let (_, of_one) = api.get("/api/statistics?hours=1&endpoint=ep_1").await;
    assert_eq!((&of_one["data"]["delivered"], &of_one["data"]["p95Ms"]), (&json!(1), &json!(15)));
}

#[tokio::test]
async fn the_index_goes_on_after_a_restart_and_can_be_made_again() {
    let nats = Nats::start().await;
    let folder = std::env::temp_dir().join(format!("kurir-index-{}", std::process::id()));
    let path = folder.to_str().expect("UTF-8").to_owned();
    let mut api = Api::start(&nats, &[("INDEX_PATH", &path)]).await;
    some_messages(&nats).await;
    caught_up(&api).await;
    assert_eq!(api.get("/api/index").await.1["data"]["onDisk"], true);
    api.process.kill_9().await;
    store(&nats, "default", "message.received", "evt_6", text("A6", BUDI, "Budi", "after the restart")).await;
    let api = Api::start(&nats, &[("INDEX_PATH", &path)]).await;
    caught_up(&api).await;
    let all = column(&api.get("/api/events").await.1, "id").len();
    assert_eq!(all, 6, "each event once");
    // A second replica in the same folder has its own file.
    let other = Api::start(&nats, &[("INDEX_PATH", &path)]).await;
    caught_up(&other).await;
    assert_eq!(column(&other.get("/api/events").await.1, "id").len(), 6);
    assert_eq!(other.post("/api/index/rebuild", &json!({})).await.0, 200);
    until("the index to be made again", SOON, || async {
        let (_, events) = other.get("/api/events").await;
        let (_, chats) = other.get("/api/chats").await;
        if events["data"].as_array().is_some_and(|rows| rows.len() == 6) && chats["data"][0]["messages"] == 2 {
            Ok(())
        } else {
            Err((events, chats))
        }
    })
    .await;
    drop((api, other));
    let _ = std::fs::remove_dir_all(folder);
}

#[tokio::test]
async fn without_a_disk_the_api_answers_as_before_and_the_index_is_in_memory() {
    let nats = Nats::start().await;
    some_messages(&nats).await;
    let api = Api::start(&nats, &[("INDEX_PATH", "/proc/no-such-folder")]).await;
    caught_up(&api).await;
    assert_eq!(api.get("/api/index").await.1["data"]["onDisk"], false);
    assert_eq!(column(&api.get("/api/chats?session=sales").await.1, "id"), [SARI]);
    assert_eq!(api.get("/api/health").await.0, 200);
}

#[tokio::test]
async fn without_the_message_store_no_text_is_kept_nor_left_over() {
    let nats = Nats::start().await;
    let folder = std::env::temp_dir().join(format!("kurir-index-texts-{}", std::process::id()));
    let path = folder.to_str().expect("UTF-8").to_owned();
    some_messages(&nats).await;
    let mut api = Api::start(&nats, &[("INDEX_PATH", &path)]).await;
    caught_up(&api).await;
    assert!(!column(&api.get("/api/search?q=order").await.1, "found").is_empty());
    api.process.terminate(SOON).await;
    let api = Api::start(&nats, &[("INDEX_PATH", &path), ("MESSAGE_STORE", "false")]).await;
    until("the texts to be gone", SOON, || async {
        let (_, found) = api.get("/api/search?q=order").await;
        let (_, index) = api.get("/api/index").await;
        let is_done = index["data"]["caughtUp"] == true && found["data"] == json!([]);
        if is_done { Ok(()) } else { Err((found, index)) }
    })
    .await;
    let (_, messages) = api.get(&format!("/api/chats/{SARI}/messages")).await;
    assert_eq!(column(&messages, "id"), ["C1", "B1", "A1"]);
    assert!(messages["data"].as_array().is_some_and(|rows| rows.iter().all(|row| row["text"].is_null())), "{messages}");
    drop(api);
    let _ = std::fs::remove_dir_all(folder);
}

#[tokio::test]
async fn an_erased_chat_is_gone_from_every_index_and_stays_gone() {
    let nats = Nats::start().await;
    let one = Api::start(&nats, &[]).await;
    let other = Api::start(&nats, &[]).await;
    some_messages(&nats).await;
    let group = json!({"messageId": "G1", "from": "1203630@g.us", "messageType": "text", "content": {"text": "group order"},
                       "chat": {"jid": "1203630@g.us"}, "author": {"jid": SARI}, "participant": SARI, "fromMe": false});
    store(&nats, "default", "message.received", "evt_g", group).await;
    caught_up(&one).await;
    caught_up(&other).await;
    let (status, erased) = one.delete(&format!("/api/chats/{SARI}")).await;
    assert_eq!((status, &erased["data"]["messages"]), (200, &json!(4)), "{erased}");
    let is_gone = async |api: &Api| {
        let (_, found) = api.get("/api/search?q=order").await;
        let (_, chats) = api.get("/api/chats").await;
        let (_, index) = api.get("/api/index").await;
        let is_gone = found["data"] == json!([]) && !column(&chats, "id").contains(&SARI);
        if is_gone && index["data"]["caughtUp"] == true { Ok(()) } else { Err((found, chats)) }
    };
    assert!(is_gone(&one).await.is_ok());
    until("the other replica to erase it too", SOON, || is_gone(&other)).await;
    // The group stays, without what the erased person wrote.
    assert_eq!(column(&other.get("/api/chats").await.1, "id"), ["1203630@g.us", BUDI]);
    // What comes afterwards is kept again.
    store(&nats, "default", "message.received", "evt_7", text("A7", SARI, "Sari", "a new order")).await;
    caught_up(&one).await;
    assert_eq!(one.get("/api/search?q=order").await.1["data"].as_array().map(Vec::len), Some(1));
    assert_eq!(one.delete("/api/chats/nobody").await.1["code"], "chat_not_found");
    let (status, _) = answer(one.request(Method::DELETE, "/api/chats/x").header("X-API-Key", KEY)).await;
    assert_eq!(status, 404);
}

#[tokio::test]
async fn events_that_are_too_old_leave_the_index() {
    let nats = Nats::start().await;
    some_messages(&nats).await;
    let api = Api::start(&nats, &[("INDEX_RETENTION", "1ms")]).await;
    caught_up(&api).await;
    for path in ["/api/events", "/api/chats", "/api/contacts"] {
        assert_eq!(api.get(path).await.1["data"], json!([]), "{path}");
    }
}
