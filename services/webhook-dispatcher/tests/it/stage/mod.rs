//! The parts that every test here needs: NATS, a receiver, dispatchers between them, and a look into the streams.

pub mod bad_servers;
pub mod dns_server;
pub mod endpoints;
pub mod nginx;
pub mod tls;

use async_nats::{
    HeaderMap,
    jetstream::{
        Context,
        consumer::{AckPolicy, pull},
        message::PublishMessage,
        stream::{Config, RetentionPolicy},
    },
};
use futures::StreamExt as _;
use kurir_contract::{
    delivery::{AttemptRecord, DeadLetter},
    header, stream,
};
use kurir_test_harness::{Nats, Process, Receiver, until};
use serde_json::{Value, json};
use std::time::Duration;

/// For anything that takes no time by design.
pub const SOON: Duration = Duration::from_secs(20);
/// The whole of the contract's schedule, 2 + 4 + 8 s, and some patience.
pub const AFTER_ALL_RETRIES: Duration = Duration::from_secs(40);
/// The shortest `ack_wait` that the settings allow: tests of crashes need not wait for 30 s.
pub const SHORT_ACK_WAIT: [(&str, &str); 2] = [("WEBHOOK_TIMEOUT", "1s"), ("WEBHOOK_ACK_WAIT", "6s")];

const BINARY: &str = env!("CARGO_BIN_EXE_kurir-webhook-dispatcher");

pub struct Stage {
    pub nats: Nats,
    pub receiver: Receiver,
    pub jetstream: Context,
}

impl Stage {
    pub async fn set() -> Self {
        let nats = Nats::start().await;
        let jetstream = nats.jetstream().await;
        Self { receiver: Receiver::start().await, nats, jetstream }
    }

    /// A dispatcher that is ready.
    pub async fn dispatcher(&self) -> Process {
        self.dispatcher_with([]).await
    }

    /// A ready dispatcher with these settings, which override the stage's own.
    pub async fn dispatcher_with<const N: usize>(&self, settings: [(&str, &str); N]) -> Process {
        let mut dispatcher = self.start(settings);
        dispatcher.wait_ready(SOON).await;
        dispatcher
    }

    /// A dispatcher that may not be ready yet.
    pub fn start<const N: usize>(&self, settings: [(&str, &str); N]) -> Process {
        Process::spawn("webhook-dispatcher", BINARY, self.environment(settings))
    }

    /// A dispatcher that a shell starts with a soft limit of open files.
    pub fn start_with_few_files<const N: usize>(&self, files: usize, settings: [(&str, &str); N]) -> Process {
        let script = format!("ulimit -Sn {files}; exec '{BINARY}'");
        Process::spawn_with_arguments("webhook-dispatcher", "/bin/sh", ["-c", &script], self.environment(settings))
    }

    /// Starts a dispatcher with mounts of its own.
    pub fn start_in_namespace<const N: usize>(&self, mounts: &str, settings: [(&str, &str); N]) -> Process {
        let script = format!("{mounts} && exec '{BINARY}'");
        let arguments = ["--mount", "/bin/sh", "-c", &script];
        Process::spawn_with_arguments("webhook-dispatcher", "unshare", arguments, self.environment(settings))
    }

    fn environment<const N: usize>(&self, settings: [(&str, &str); N]) -> Vec<(String, String)> {
        let own = [
            ("NATS_URL", self.nats.url()),
            ("WEBHOOK_URL", self.receiver.url()),
            // The receivers of endpoints made through the API are there.
            ("WEBHOOK_ALLOWED_NETWORKS", "127.0.0.0/8".to_owned()),
            ("LOG_FILE", String::new()),
            // Tests store events before a dispatcher runs.
            ("WEBHOOK_START", "all".to_owned()),
        ];
        let own = own.into_iter().filter(|(key, _)| settings.iter().all(|(other, _)| other != key));
        let settings = settings.map(|(key, value)| (key, value.to_owned()));
        let login = Nats::login("webhook-dispatcher");
        login.into_iter().chain(own.chain(settings).map(|(key, value)| (key.to_owned(), value))).collect()
    }

    /// Stores an event as the gateway does.
    pub async fn publish(&self, kind: &str, id: &str) -> Value {
        self.publish_with(kind, &[(header::EVENT_ID, id)]).await
    }

    /// Stores an event with these headers, and gives its body.
    pub async fn publish_with(&self, kind: &str, headers: &[(&str, &str)]) -> Value {
        let body = json!({"event": kind, "timestamp": "2026-11-24T13:27:25.042Z", "data": {"text": "hello"}});
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, *value);
        }
        let publish = PublishMessage::build().headers(map).payload(body.to_string().into());
        let subject = format!("whatsapp.events.default.{kind}");
        self.jetstream.send_publish(subject, publish).await.unwrap().await.unwrap();
        body
    }

    /// Makes EVENTS before any dispatcher does.
    pub async fn make_events(&self) {
        let config =
            Config { name: stream::EVENTS.into(), subjects: vec!["whatsapp.events.>".into()], ..Config::default() };
        self.jetstream.create_stream(Config { allow_direct: true, ..config }).await.unwrap();
    }

    /// The retries that wait in RETRIES, and those that are due and not settled.
    pub async fn retries(&self) -> u64 {
        self.count(stream::RETRIES).await
    }

    pub async fn count(&self, stream: &str) -> u64 {
        self.jetstream.get_stream(stream).await.unwrap().cached_info().state.messages
    }

    /// Events that the endpoint has not settled.
    pub async fn unsettled(&self) -> u64 {
        let events = self.jetstream.get_stream(stream::EVENTS).await.unwrap();
        let info = events.consumer_info("webhook-default").await.unwrap();
        let state = &events.cached_info().state;
        // The consumer's figures come a moment after an event: one that it has not seen yet is not settled.
        let unseen = u64::from(state.messages > 0 && info.delivered.stream_sequence < state.last_sequence);
        (info.num_pending + info.num_ack_pending as u64).max(unseen)
    }

    /// Waits until every event is delivered or dead and nothing is left to do.
    pub async fn settled(&self, within: Duration) {
        until("every event to be settled", within, || async {
            match (self.unsettled().await, self.retries().await) {
                (0, 0) => Ok(()),
                left => Err(left),
            }
        })
        .await;
    }

    pub async fn attempts(&self) -> Vec<AttemptRecord> {
        let batches: Vec<Vec<AttemptRecord>> = self.read(stream::DELIVERIES).await;
        batches.into_iter().flatten().collect()
    }

    /// Waits until there are this many recorded attempts, and gives them.
    pub async fn recorded(&self, count: usize) -> Vec<AttemptRecord> {
        until(format!("{count} recorded attempts"), SOON, || async {
            let attempts = self.attempts().await;
            if attempts.len() >= count { Ok(attempts) } else { Err(attempts) }
        })
        .await
    }

    pub async fn dead_letters(&self) -> Vec<DeadLetter> {
        self.read(stream::DEAD_LETTERS).await
    }

    /// The bodies of all events of a type.
    pub async fn events(&self, kind: &str) -> Vec<Value> {
        let all: Vec<Value> = self.read(stream::EVENTS).await;
        all.into_iter().filter(|event| event["event"] == kind).collect()
    }

    /// All payloads of a stream that is no work queue.
    async fn read<T: serde::de::DeserializeOwned>(&self, name: &str) -> Vec<T> {
        let mut stream = self.jetstream.get_stream(name).await.unwrap();
        let info = stream.info().await.unwrap();
        assert_ne!(info.config.retention, RetentionPolicy::WorkQueue);
        let count = info.state.messages as usize;
        let config = pull::Config { ack_policy: AckPolicy::None, ..pull::Config::default() };
        let consumer = stream.create_consumer(config).await.unwrap();
        let messages = consumer.messages().await.unwrap().take(count);
        messages.map(|message| serde_json::from_slice(&message.unwrap().payload).unwrap()).collect().await
    }
}
