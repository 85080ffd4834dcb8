//! `/api/events/stream`: live events, filters, and a return without a gap.

use crate::{
    api::{Api, KEY, SOON},
    history::{store, text},
};
use kurir_test_harness::Nats;
use reqwest::{Method, Response};
use serde_json::Value;
use tokio::time::timeout;

const SARI: &str = "6281234567890@s.whatsapp.net";
const BUDI: &str = "6289876543210@s.whatsapp.net";

struct Follower {
    response: Response,
    text: String,
}

impl Follower {
    async fn start(api: &Api, query: &str, last: Option<u64>) -> Self {
        Self::start_at(api, query, last.map(|last| last.to_string())).await.0
    }

    /// With the first frame, which names the place.
    async fn start_at(api: &Api, query: &str, last: Option<String>) -> (Self, String) {
        let request = api.request(Method::GET, &format!("/api/events/stream?{query}")).header("X-API-Key", KEY);
        let request = last.into_iter().fold(request, |request, last| request.header("Last-Event-ID", last));
        let response = request.send().await.expect("an answer");
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let mut follower = Self { response, text: String::new() };
        let first = follower.frame().await;
        assert!(first.starts_with(": alive\nid: "), "{first}");
        (follower, first)
    }

    async fn frame(&mut self) -> String {
        loop {
            if let Some((frame, rest)) = self.text.split_once("\n\n") {
                let (frame, rest) = (frame.to_owned(), rest.to_owned());
                self.text = rest;
                return frame;
            }
            let chunk = timeout(SOON, self.response.chunk()).await.expect("a frame in time").expect("a body");
            self.text += &String::from_utf8_lossy(&chunk.expect("no end"));
        }
    }

    /// The sequence and the id of the next event.
    async fn event(&mut self) -> (u64, String) {
        loop {
            let frame = self.frame().await;
            if frame.starts_with("event: restart") {
                continue;
            }
            let Some((id, data)) = frame.split_once("\ndata: ") else { continue };
            let data: Value = serde_json::from_str(data).expect("JSON");
            let sequence = id.rsplit(' ').next().and_then(|id| id.parse().ok()).expect("a sequence");
            assert_eq!(data["sequence"], sequence);
            return (sequence, data["id"].as_str().expect("an id").to_owned());
        }
    }
}

async fn say(nats: &Nats, id: &str, chat: &str) {
    store(nats, "default", "message.received", id, text(id, chat, "x", "hello")).await;
}

#[tokio::test]
async fn events_come_live_and_a_return_misses_none() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    say(&nats, "evt_before", SARI).await;
    let mut follower = Follower::start(&api, "", None).await;
    say(&nats, "evt_1", SARI).await;
    let (last, id) = follower.event().await;
    assert_eq!(id, "evt_1");
    drop(follower);
    for id in ["evt_2", "evt_3"] {
        say(&nats, id, SARI).await;
    }
    let mut again = Follower::start(&api, "", Some(last)).await;
    assert_eq!((again.event().await.1, again.event().await.1), ("evt_2".to_owned(), "evt_3".to_owned()));
}

#[tokio::test]
async fn filters_leave_out_the_others() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    let mut by_chat = Follower::start(&api, &format!("chat={BUDI}&after=0"), None).await;
    let mut by_type = Follower::start(&api, "type=call.*,message.sent&after=0", None).await;
    let mut by_session = Follower::start(&api, "session=sales&after=0", None).await;
    say(&nats, "evt_1", SARI).await;
    say(&nats, "evt_2", BUDI).await;
    store(&nats, "default", "call.missed", "evt_3", serde_json::json!({})).await;
    store(&nats, "sales", "message.received", "evt_4", text("x", SARI, "x", "hello")).await;
    assert_eq!(by_chat.event().await.1, "evt_2");
    assert_eq!(by_type.event().await.1, "evt_3");
    assert_eq!(by_session.event().await.1, "evt_4");
    for wrong in ["type=a..b", "after=x", "session=a%20b"] {
        assert_eq!(api.get(&format!("/api/events/stream?{wrong}")).await.0, 400, "{wrong}");
    }
}

#[tokio::test]
async fn events_that_are_gone_are_named() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    for id in ["evt_1", "evt_2", "evt_3"] {
        say(&nats, id, SARI).await;
    }
    let events = nats.jetstream().await.get_stream("EVENTS").await.expect("EVENTS");
    events.purge().sequence(3).await.expect("purged");
    let mut follower = Follower::start(&api, "", Some(0)).await;
    assert_eq!(follower.frame().await, "event: gap\nid: 2\ndata: {\"first\":1,\"last\":2}");
    assert_eq!(follower.event().await.1, "evt_3");
}

/// The sequences of the old stream name other events in the new one: whoever comes back with one begins at its start.
#[tokio::test]
async fn a_place_in_a_stream_that_was_made_anew_is_the_start_of_the_new_one() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    for id in ["evt_1", "evt_2"] {
        say(&nats, id, SARI).await;
    }
    let (mut live, first) = Follower::start_at(&api, "type=message.*&after=1", None).await;
    assert_eq!(live.event().await.1, "evt_2");
    let stream = first.split(": stream ").nth(1).expect("the name of the stream").to_owned();
    let jetstream = nats.jetstream().await;
    let config = jetstream.get_stream("EVENTS").await.expect("EVENTS").cached_info().config.clone();
    jetstream.delete_stream("EVENTS").await.expect("deleted");
    jetstream.create_stream(config).await.expect("created");
    for id in ["evt_3", "evt_4", "evt_5"] {
        say(&nats, id, SARI).await;
    }
    // By a place with its stream, and by a bare sequence that the new stream does not have yet.
    for place in [format!("2-{stream}"), "400".to_owned()] {
        let (mut again, _) = Follower::start_at(&api, "type=message.*", Some(place)).await;
        assert_eq!(again.frame().await, "event: restart\nid: 0\ndata: {\"after\":0}");
        assert_eq!(again.event().await.1, "evt_3");
    }
    // Who stayed is told, or cut off and comes back by that rule.
    while let Ok(Some(chunk)) = timeout(SOON, live.response.chunk()).await.expect("news in time") {
        live.text += &String::from_utf8_lossy(&chunk);
        if live.text.contains("event: restart") {
            assert_eq!(live.event().await.1, "evt_3");
            break;
        }
        assert!(!live.text.contains("data: "), "{}", live.text);
    }
}

#[tokio::test]
async fn a_follower_does_not_hold_a_shutdown_up() {
    let nats = Nats::start().await;
    let mut api = Api::start(&nats, &[]).await;
    let _follower = Follower::start(&api, "", None).await;
    let began = std::time::Instant::now();
    let status = api.process.terminate(SOON).await;
    assert!(status.success() && began.elapsed().as_secs() < 15, "{status} after {:?}", began.elapsed());
}

#[tokio::test]
async fn a_follower_that_takes_nothing_is_cut_off_and_can_come_back() {
    let nats = Nats::start().await;
    let api = Api::start(&nats, &[]).await;
    let mut slow = Follower::start(&api, "after=0", None).await;
    let large = "x".repeat(700_000);
    for number in 0..16 {
        store(&nats, "default", "test", &format!("evt_{number}"), serde_json::json!({"text": large})).await;
    }
    // It takes nothing for longer than it is waited for.
    tokio::time::sleep(std::time::Duration::from_secs(14)).await;
    let mut last = 0;
    while let Ok(Some(chunk)) = timeout(SOON, slow.response.chunk()).await.expect("an end in time") {
        slow.text += &String::from_utf8_lossy(&chunk);
        while let Some((frame, rest)) = slow.text.split_once("\n\n") {
            let id = frame.lines().find_map(|line| line.strip_prefix("id: ")?.parse().ok());
            last = id.unwrap_or(last);
            slow.text = rest.to_owned();
        }
    }
    assert!((1..16).contains(&last), "cut off after {last}");
    let mut again = Follower::start(&api, "", Some(last)).await;
    assert_eq!(again.event().await.0, last + 1);
}
