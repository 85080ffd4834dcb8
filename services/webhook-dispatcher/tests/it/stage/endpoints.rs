//! Endpoints as the API makes them: settings in a bucket, which the dispatchers watch.

use super::{SOON, Stage};
use async_nats::{
    HeaderMap,
    jetstream::{
        consumer::DeliverPolicy,
        kv::{Config, Store},
        message::PublishMessage,
    },
};
use kurir_contract::{
    delivery::AttemptRecord,
    endpoint::{BUCKET, EndpointId, EndpointSettings, EndpointState, STATES_BUCKET},
    header, stream,
};
use kurir_test_harness::{Process, Receiver, Request, until};
use serde_json::{Value, json};
use std::{collections::HashMap, iter, time::Duration};

/// A dispatcher that has only the endpoints in the bucket.
pub const NO_DEFAULT: (&str, &str) = ("WEBHOOK_URL", "");

/// How often each event arrived at these receivers.
pub fn arrivals(receivers: &[&Receiver]) -> HashMap<String, usize> {
    let mut arrivals = HashMap::new();
    for request in receivers.iter().flat_map(|receiver| receiver.requests()) {
        *arrivals.entry(id_of(&request)).or_default() += 1;
    }
    arrivals
}

/// The events that arrived, in alphabetical order.
pub fn ids(receiver: &Receiver) -> Vec<String> {
    let mut ids: Vec<_> = receiver.requests().iter().map(id_of).collect();
    ids.sort();
    ids
}

fn id_of(request: &Request) -> String {
    request.header("webhook-id").to_owned()
}

impl Stage {
    /// A dispatcher without the endpoint `default`, ready.
    pub async fn endpoints_dispatcher(&self) -> Process {
        self.dispatcher_with([NO_DEFAULT]).await
    }

    /// Makes an endpoint. Without a URL it leads to the receiver, and without a start it begins now.
    pub async fn endpoint(&self, settings: Value) -> EndpointId {
        let id = EndpointId::random();
        self.endpoint_named(&id, settings).await;
        id
    }

    pub async fn endpoint_named(&self, id: &EndpointId, mut settings: Value) {
        let events = self.jetstream.get_stream(stream::EVENTS).await;
        let last = events.map_or(0, |events| events.cached_info().state.last_sequence);
        let fields = settings.as_object_mut().unwrap();
        fields.entry("url").or_insert_with(|| self.receiver.url().into());
        fields.entry("startSequence").or_insert_with(|| (last + 1).into());
        self.write(id, settings).await;
    }

    /// Changes some fields of an endpoint.
    pub async fn change(&self, id: &EndpointId, changes: Value) {
        let mut settings = serde_json::to_value(self.settings(id).await).unwrap();
        for (name, value) in changes.as_object().unwrap() {
            settings[name] = value.clone();
        }
        self.write(id, settings).await;
    }

    pub async fn enable(&self, id: &EndpointId) {
        self.change(id, json!({"enabled": true, "disabledReason": null})).await;
    }

    pub async fn delete(&self, id: &EndpointId) {
        self.bucket(BUCKET).await.delete(id.as_str()).await.unwrap();
    }

    pub async fn settings(&self, id: &EndpointId) -> EndpointSettings {
        let stored = self.bucket(BUCKET).await.get(id.as_str()).await.unwrap().unwrap();
        serde_json::from_slice(&stored).unwrap()
    }

    /// Whether there are settings of the endpoint.
    pub async fn stored(&self, id: &EndpointId) -> bool {
        self.bucket(BUCKET).await.get(id.as_str()).await.unwrap().is_some()
    }

    /// Waits until the endpoint is disabled, and gives the reason.
    pub async fn disabled(&self, id: &EndpointId, within: Duration) -> String {
        until("the endpoint to be disabled", within, || async {
            let settings = self.settings(id).await;
            (!settings.enabled).then(|| settings.disabled_reason.unwrap_or_default())
        })
        .await
    }

    /// The state of an endpoint that fails.
    pub async fn state(&self, id: &EndpointId) -> Option<EndpointState> {
        let stored = self.bucket(STATES_BUCKET).await.get(id.as_str()).await.unwrap()?;
        Some(serde_json::from_slice(&stored).unwrap())
    }

    pub async fn put_state(&self, id: &EndpointId, state: &EndpointState) {
        let state = serde_json::to_vec(state).unwrap();
        self.bucket(STATES_BUCKET).await.put(id.as_str(), state.into()).await.unwrap();
    }

    async fn write(&self, id: &EndpointId, settings: Value) {
        // Settings that the API would refuse are a mistake of the test.
        let settings: EndpointSettings = serde_json::from_value(settings).unwrap();
        let settings = serde_json::to_vec(&settings).unwrap();
        self.bucket(BUCKET).await.put(id.as_str(), settings.into()).await.unwrap();
    }

    async fn bucket(&self, name: &str) -> Store {
        match self.jetstream.get_key_value(name).await {
            Ok(bucket) => bucket,
            Err(_) => {
                let config = Config { bucket: name.to_owned(), ..Config::default() };
                self.jetstream.create_key_value(config).await.unwrap()
            }
        }
    }

    /// Stores an event of a session with this `data`.
    pub async fn store(&self, session: &str, kind: &str, id: &str, data: Value) {
        let body = json!({"event": kind, "timestamp": "2026-11-24T13:27:25.042Z", "data": data});
        let mut headers = HeaderMap::new();
        headers.insert(header::EVENT_ID, id);
        let publish = PublishMessage::build().headers(headers).payload(body.to_string().into());
        let subject = format!("whatsapp.events.{session}.{kind}");
        self.jetstream.send_publish(subject, publish).await.unwrap().await.unwrap();
    }

    /// Events that an endpoint has not settled.
    pub async fn unsettled_of(&self, id: &EndpointId) -> Option<u64> {
        let events = self.jetstream.get_stream(stream::EVENTS).await.ok()?;
        let info = events.consumer_info(id.consumer_name()).await.ok()?;
        let counted = info.num_pending + info.num_ack_pending as u64;
        // NATS counts an event as pending a moment after it has acknowledged it, so the last event itself is looked at.
        let first = match info.config.deliver_policy {
            DeliverPolicy::ByStartSequence { start_sequence } => start_sequence,
            _ => 0,
        };
        let mut last = 0;
        let filters = iter::once(&info.config.filter_subject).chain(&info.config.filter_subjects);
        for filter in filters.filter(|filter| !filter.is_empty()) {
            if let Ok(event) = events.get_last_raw_message_by_subject(filter).await {
                last = last.max(event.sequence);
            }
        }
        let is_not_counted = last >= first && last > info.delivered.stream_sequence;
        Some(counted.max(u64::from(is_not_counted)))
    }

    /// Waits until these endpoints have settled everything, and no retry is left.
    pub async fn all_settled(&self, endpoints: &[&EndpointId], within: Duration) {
        until("every event of the endpoints to be settled", within, || async {
            let mut left = Vec::new();
            for id in endpoints {
                left.push(self.unsettled_of(id).await);
            }
            let retries = self.retries().await;
            if retries == 0 && left.iter().all(|left| *left == Some(0)) { Ok(()) } else { Err((left, retries)) }
        })
        .await;
    }

    /// Waits until an endpoint has this many recorded attempts, and gives them, the earliest first.
    pub async fn recorded_of(&self, id: &EndpointId, count: usize) -> Vec<AttemptRecord> {
        let mut attempts = until(format!("{count} recorded attempts"), SOON, || async {
            let attempts: Vec<_> =
                self.attempts().await.into_iter().filter(|attempt| attempt.endpoint == *id).collect();
            if attempts.len() >= count { Ok(attempts) } else { Err(attempts) }
        })
        .await;
        attempts.sort_by(|a, b| a.at.cmp(&b.at));
        attempts
    }

    /// Waits until there are this many events of a type, and gives their `data`.
    pub async fn told(&self, kind: &str, count: usize, within: Duration) -> Vec<Value> {
        until(format!("{count} of {kind}"), within, || async {
            let told: Vec<_> = self.events(kind).await.into_iter().map(|event| event["data"].clone()).collect();
            if told.len() >= count { Ok(told) } else { Err(told) }
        })
        .await
    }
}
