//! The API's process, and calls of a user.

use crate::{Nats, Port, Process, binaries::binary, http};
use serde_json::Value;
use std::path::PathBuf;

/// The key of every stack's API. It is the demo's key, so that the commands in the documents work with a stack.
pub const KEY: &str = "demo-key";

pub struct Api {
    pub process: Process,
    port: Port,
    client: reqwest::Client,
}

impl Api {
    pub(super) fn start(program: PathBuf, settings: impl IntoIterator<Item = (String, String)>) -> Self {
        let port = Port::reserve();
        let own = [("HOST", "127.0.0.1"), ("PORT", &port.number().to_string()), ("API_KEY", KEY)]
            .map(|(variable, value)| (variable.to_owned(), value.to_owned()));
        let process = Process::spawn("api", program, own.into_iter().chain(settings));
        Self { process, port, client: http::client() }
    }

    /// Starts another API, and waits until it is ready.
    pub async fn replica(&self, nats_url: &str) -> Self {
        let settings = [("NATS_URL", nats_url), ("LOG_FILE", "")];
        let settings = settings.map(|(variable, value)| (variable.to_owned(), value.to_owned()));
        let mut replica = Self::start(binary("kurir-api"), settings.into_iter().chain(Nats::login("api")));
        replica.process.wait_ready(super::SOON).await;
        replica
    }

    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.port.addr())
    }

    /// GET with the key: status and body.
    pub async fn get(&self, path: &str) -> (u16, Value) {
        send_and_read(self.client.get(self.url(path)).header("X-API-Key", KEY)).await
    }

    /// POST with the key: status and body.
    pub async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        send_and_read(self.client.post(self.url(path)).header("X-API-Key", KEY).json(&body)).await
    }

    /// Any method with the key and a body: status and body.
    pub async fn call(&self, method: reqwest::Method, path: &str, body: Value) -> (u16, Value) {
        send_and_read(self.client.request(method, self.url(path)).header("X-API-Key", KEY).json(&body)).await
    }

    /// A request without the key, which the test completes.
    pub fn request(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method, self.url(path))
    }
}

/// Sends a request. Returns status and body; a body that is no JSON as text, a missing answer as status 0.
pub(super) async fn send_and_read(request: reqwest::RequestBuilder) -> (u16, Value) {
    match request.send().await {
        Ok(response) => {
            let status = response.status().as_u16();
            let text = response.text().await.unwrap_or_default();
            (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
        }
        Err(problem) => (0, Value::String(problem.to_string())),
    }
}
