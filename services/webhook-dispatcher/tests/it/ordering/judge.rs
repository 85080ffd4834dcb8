//! An ordered endpoint, its events, and a receiver that checks their order while it answers.

use crate::stage::{SOON, Stage};
use async_nats::{
    HeaderMap,
    jetstream::{kv, message::PublishMessage},
};
use kurir_contract::{
    endpoint::{BUCKET, EndpointId, EndpointSettings, EventOrdering, RetrySchedule},
    header, stream, subject,
};
use kurir_test_harness::{Answer, Process, Receiver, until};
use serde_json::json;
use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

/// No endpoint but this one.
pub const ALONE: [(&str, &str); 2] = [("WEBHOOK_URL", ""), ("WEBHOOK_ALLOWED_NETWORKS", "127.0.0.0/8")];

/// Identifies an event: its chat, and its number in the chat.
type Which = (String, u64);

#[derive(Default)]
struct Seen {
    arrivals: HashMap<Which, u32>,
    accepted: HashSet<Which>,
    /// When each event came for the first time.
    first: Vec<(Which, Instant)>,
    broken: Vec<String>,
}

/// Answers for the receiver, and checks that no event comes before the one before it was accepted.
#[derive(Clone, Default)]
pub struct Judge(Arc<Mutex<Seen>>);

impl Judge {
    /// `fails`: by chat, number and how often the event came before.
    pub fn at(
        receiver: &Receiver,
        delay: Duration,
        fails: impl Fn(&str, u64, u32) -> bool + Send + Sync + 'static,
    ) -> Self {
        let judge = Self::default();
        let seen = judge.clone();
        receiver.answer_with(move |request| {
            let data = &request.json()["data"];
            let which = (data["from"].as_str().unwrap().to_owned(), data["number"].as_u64().unwrap());
            let mut seen = seen.0.lock().unwrap();
            let times = *seen.arrivals.get(&which).unwrap_or(&0);
            if times == 0 {
                let before = (which.0.clone(), which.1.wrapping_sub(1));
                if which.1 > 0 && !seen.accepted.contains(&before) {
                    seen.broken.push(format!("{which:?} came before the one before it was taken"));
                }
                seen.first.push((which.clone(), Instant::now()));
            }
            seen.arrivals.insert(which.clone(), times + 1);
            let answer = if fails(&which.0, which.1, times) {
                Answer::status(500)
            } else {
                seen.accepted.insert(which);
                Answer::status(200)
            };
            if delay.is_zero() { answer } else { answer.slow(delay) }
        });
        judge
    }

    pub fn accepted(&self) -> usize {
        self.0.lock().unwrap().accepted.len()
    }

    pub fn accepted_of(&self, chat: &str) -> usize {
        self.0.lock().unwrap().accepted.iter().filter(|(of, _)| of == chat).count()
    }

    /// Requests beyond one for each event.
    pub fn repeats(&self) -> u32 {
        self.0.lock().unwrap().arrivals.values().map(|times| times - 1).sum()
    }

    /// The longest time without a first arrival of this chat since `since`.
    pub fn pause_after(&self, since: Instant, chat: &str) -> Duration {
        let seen = self.0.lock().unwrap();
        let times: Vec<Instant> = std::iter::once(since)
            .chain(seen.first.iter().filter(|(of, at)| of.0 == chat && *at > since).map(|(_, at)| *at))
            .collect();
        times.windows(2).map(|two| two[1] - two[0]).max().unwrap_or_default()
    }

    pub async fn wait(&self, accepted: usize, within: Duration) {
        until(format!("{accepted} events to be taken"), within, || async {
            let count = self.accepted();
            if count >= accepted { Ok(()) } else { Err((count, self.broken())) }
        })
        .await;
        assert_eq!(self.broken(), [] as [String; 0]);
    }

    pub fn broken(&self) -> Vec<String> {
        self.0.lock().unwrap().broken.clone()
    }
}

pub fn endpoint() -> EndpointId {
    "ep_order".parse().unwrap()
}

pub fn settings(stage: &Stage, ordering: EventOrdering, retry: &[u64]) -> EndpointSettings {
    let mut settings = EndpointSettings::new(stage.receiver.url());
    settings.ordering = ordering;
    settings.retry = RetrySchedule::Own(retry.to_vec());
    settings.timeout_seconds = 5;
    settings
}

pub async fn write(stage: &Stage, settings: &EndpointSettings) {
    let config = kv::Config { bucket: BUCKET.into(), history: 1, ..kv::Config::default() };
    let bucket = match stage.jetstream.get_key_value(BUCKET).await {
        Ok(bucket) => bucket,
        Err(_) => stage.jetstream.create_key_value(config).await.unwrap(),
    };
    bucket.put(endpoint().as_str(), serde_json::to_vec(settings).unwrap().into()).await.unwrap();
}

/// A dispatcher for the common endpoint.
pub async fn dispatcher(stage: &Stage) -> Process {
    stage.dispatcher_with(ALONE).await
}

pub async fn publish(stage: &Stage, chat: &str, number: u64) {
    let at = "2026-11-24T13:27:25.042Z";
    let body = json!({"event": "message.received", "timestamp": at, "data": {"from": chat, "number": number}});
    let mut headers = HeaderMap::new();
    headers.insert(header::EVENT_ID, format!("{chat}-{number}"));
    let publish = PublishMessage::build().headers(headers).payload(body.to_string().into());
    let sent = stage.jetstream.send_publish("whatsapp.events.default.message.received", publish).await;
    sent.unwrap().await.unwrap();
}

/// Waits for the log line of a dispatcher that holds the endpoint. Gives which dispatcher it is.
pub async fn holder(dispatchers: &[&Process], within: Duration) -> usize {
    until("a dispatcher to hold the endpoint", within, || async {
        dispatchers.iter().position(|one| one.output().contains("this dispatcher now keeps webhook endpoint"))
    })
    .await
}

/// Waits until everything is acknowledged and nothing waits.
pub async fn settled(stage: &Stage, within: Duration) {
    until("every event to be settled", within, || async {
        let events = stage.jetstream.get_stream(stream::EVENTS).await.map_err(|error| error.to_string())?;
        let info = events.consumer_info(endpoint().consumer_name()).await.map_err(|error| error.to_string())?;
        match (info.num_pending + info.num_ack_pending as u64, stage.retries().await) {
            (0, 0) => Ok(()),
            left => Err(format!("{left:?}")),
        }
    })
    .await;
}

/// How many events are parked.
pub async fn parked(stage: &Stage) -> usize {
    use futures::StreamExt as _;
    let retries = stage.jetstream.get_stream(stream::RETRIES).await.unwrap();
    retries.info_with_subjects(subject::parked_retries(&endpoint())).await.unwrap().count().await
}

/// A third of the events, always the same.
pub fn a_third(chat: &str, number: u64) -> bool {
    (chat.bytes().map(u64::from).sum::<u64>() + number * 7).is_multiple_of(3)
}

pub async fn wait_parked(stage: &Stage, count: usize) {
    until(format!("{count} events to be parked"), SOON, || async {
        let parked = parked(stage).await;
        if parked == count { Ok(()) } else { Err(parked) }
    })
    .await;
}
