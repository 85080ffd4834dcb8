//! The API under test, a caller, and a dispatcher behind it.

use kurir_contract::{event::EventType, session::SessionId, stream, subject};
use kurir_test_harness::{Nats, Port, Process, binaries::binary, http};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use std::{net::SocketAddr, time::Duration};

pub const KEY: &str = "a-key-of-the-tests";
/// On two busy cores.
pub const SOON: Duration = Duration::from_secs(20);

pub struct Api {
    pub process: Process,
    port: Port,
    http: reqwest::Client,
}

impl Api {
    /// Starts it and waits until it is ready.
    pub async fn start(nats: &Nats, settings: &[(&str, &str)]) -> Self {
        let mut api = Self::spawn(&nats.url(), settings);
        api.process.wait_ready(SOON).await;
        api
    }

    /// Starts it and waits for nothing.
    pub fn spawn(nats_url: &str, settings: &[(&str, &str)]) -> Self {
        let port = Port::reserve();
        let number = port.number().to_string();
        let base = [("NATS_URL", nats_url), ("API_KEY", KEY), ("HOST", "127.0.0.1"), ("PORT", number.as_str())];
        let login = Nats::login("api");
        let login = login.iter().map(|(variable, value)| (variable.as_str(), value.as_str()));
        let environment = login.chain(base.iter().chain(settings).copied());
        let process = Process::spawn("kurir-api", env!("CARGO_BIN_EXE_kurir-api"), environment);
        Self { process, port, http: http::client() }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.port.addr())
    }

    pub fn address(&self) -> SocketAddr {
        self.port.addr()
    }

    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// A request without a key.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, self.url(path))
    }

    pub async fn get(&self, path: &str) -> (u16, Value) {
        answer(self.request(Method::GET, path).header("X-API-Key", KEY)).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        answer(self.request(Method::POST, path).header("X-API-Key", KEY).json(body)).await
    }

    pub async fn patch(&self, path: &str, body: &Value) -> (u16, Value) {
        answer(self.request(Method::PATCH, path).header("X-API-Key", KEY).json(body)).await
    }

    pub async fn delete(&self, path: &str) -> (u16, Value) {
        answer(self.request(Method::DELETE, path).header("X-API-Key", KEY)).await
    }
}

/// A dispatcher that delivers to `webhook_url`.
pub async fn dispatcher(nats: &Nats, webhook_url: &str) -> Process {
    let allowed = "127.0.0.0/8".to_owned();
    let settings =
        [("NATS_URL", nats.url()), ("WEBHOOK_URL", webhook_url.to_owned()), ("WEBHOOK_ALLOWED_NETWORKS", allowed)];
    let settings = settings.map(|(variable, value)| (variable.to_owned(), value));
    let settings = settings.into_iter().chain(Nats::login("webhook-dispatcher"));
    let mut process = Process::spawn("dispatcher", binary("kurir-webhook-dispatcher"), settings);
    process.wait_ready(SOON).await;
    process
}

/// Status and JSON of an answer.
pub async fn answer(request: RequestBuilder) -> (u16, Value) {
    let response = request.send().await.expect("an answer");
    let status = response.status().as_u16();
    let text = response.text().await.expect("a body");
    (status, serde_json::from_str(&text).unwrap_or_else(|error| panic!("no JSON ({error}): {text}")))
}

/// How many events are stored.
pub async fn events_stored(nats: &Nats) -> u64 {
    let jetstream = nats.jetstream().await;
    let mut stream = jetstream.get_stream(stream::EVENTS).await.expect("EVENTS");
    stream.info().await.expect("its state").state.messages
}

/// Stores the event of a received message for each id, so that requests may refer to it.
pub async fn store_messages(nats: &Nats, ids: &[&str]) {
    let (jetstream, session) = (nats.jetstream().await, SessionId::default());
    for id in ids {
        let data = json!({"messageId": id, "from": "120363000000000009@g.us", "messageType": "unknown", "content": {"raw": {}}});
        let envelope = json!({"event": "message.received", "timestamp": "2026-11-24T12:00:00.000Z", "data": data});
        let subject = subject::event(&session, &EventType::MESSAGE_RECEIVED);
        let stored = jetstream.publish(subject, envelope.to_string().into()).await.expect("a connection");
        stored.await.expect("EVENTS");
    }
}

/// An ISO 8601 timestamp in UTC with milliseconds.
#[track_caller]
pub fn assert_iso(value: &Value) {
    let text = value.as_str().unwrap_or_default();
    let shape: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    assert_eq!(shape, "0000-00-00T00:00:00.000Z", "{value}");
}

/// Takes a field out of an object, so that the rest can be compared whole.
#[track_caller]
pub fn take(object: &mut Value, field: &str) -> Value {
    let fields = object.as_object_mut().expect("an object");
    fields.remove(field).unwrap_or_else(|| panic!("no {field:?} in {fields:?}"))
}
