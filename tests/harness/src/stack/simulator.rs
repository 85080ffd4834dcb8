//! The simulated WhatsApp: its process, and the calls of its control API that tests use.

use super::{SOON, api::send_and_read};
use crate::{Port, Process, binaries::binary, http, until};
use serde_json::{Value, json};
use std::{net::SocketAddr, time::Duration};

pub struct Simulator {
    pub process: Process,
    port: Port,
    media: Port,
    client: reqwest::Client,
}

impl Simulator {
    /// Starts it. With `scans` the simulated phone scans every QR code by itself.
    pub async fn start(scans: bool) -> Self {
        Self::start_with(scans, []).await
    }

    /// Starts it with settings of the test's own.
    pub async fn start_with(scans: bool, own: impl IntoIterator<Item = (&'static str, String)>) -> Self {
        let (port, media) = (Port::reserve(), Port::reserve());
        let settings = [
            ("SIMULATOR_LISTEN", port.addr().to_string()),
            ("SIMULATOR_MEDIA_LISTEN", media.addr().to_string()),
            ("SIMULATOR_AUTO_SCAN", scans.to_string()),
            ("SIMULATOR_STATE", "state".to_owned()),
        ];
        let settings = settings.into_iter().chain(own);
        let mut process = Process::spawn("simulator", binary("whatsapp-simulator"), settings);
        process.wait_ready(SOON).await;
        Self { process, port, media, client: http::client() }
    }

    /// Where it serves WhatsApp, and its own routes.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.port.addr()
    }

    #[must_use]
    pub fn websocket_url(&self) -> String {
        format!("ws://{}/ws/chat", self.port.addr())
    }

    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.port.addr())
    }

    /// Where it serves HTTPS: files, and a page that a browser treats as WhatsApp's.
    #[must_use]
    pub fn page(&self) -> SocketAddr {
        self.media.addr()
    }

    pub async fn get(&self, path: &str) -> Value {
        expect_success(path, send_and_read(self.client.get(self.url(path))).await)
    }

    pub async fn post(&self, path: &str, body: Value) -> Value {
        expect_success(path, send_and_read(self.client.post(self.url(path)).json(&body)).await)
    }

    pub async fn delete(&self, path: &str) -> Value {
        expect_success(path, send_and_read(self.client.delete(self.url(path))).await)
    }

    pub async fn patch(&self, path: &str, body: Value) -> Value {
        expect_success(path, send_and_read(self.client.patch(self.url(path)).json(&body)).await)
    }

    /// The simulated phone scans a QR code.
    pub async fn scan(&self, qr: &str) {
        let path = "/admin/mock-phone/scan-qr";
        expect_success(path, send_and_read(self.client.post(self.url(path)).body(qr.to_owned())).await);
    }

    /// The phone of this account scans a QR code.
    pub async fn scan_as(&self, number: &str, qr: &str) {
        let path = format!("/admin/mock-phone/scan-qr?number={number}");
        expect_success(&path, send_and_read(self.client.post(self.url(&path)).body(qr.to_owned())).await);
    }

    /// Lets a contact write a text. Returns the message's id.
    pub async fn contact_writes(&self, number: &str, text: &str) -> String {
        self.contact_sends(number, json!({"text": text})).await
    }

    /// Lets a contact send `message`. Returns the message's id.
    pub async fn contact_sends(&self, number: &str, message: Value) -> String {
        let sent = self.post(&format!("/contacts/{number}/messages"), message).await;
        match sent["id"].as_str() {
            Some(id) => id.to_owned(),
            None => panic!("the simulator gave no id: {sent}"),
        }
    }

    /// The messages that a contact received.
    pub async fn received_by(&self, number: &str) -> Vec<Value> {
        self.get(&format!("/contacts/{number}/messages")).await.as_array().cloned().unwrap_or_default()
    }

    /// Waits until a contact has received a matching message, and returns it.
    pub async fn contact_receives(
        &self,
        number: &str,
        what: &str,
        deadline: Duration,
        fits: impl Fn(&Value) -> bool,
    ) -> Value {
        until(format!("{number} to receive {what}"), deadline, || async {
            let received = self.received_by(number).await;
            received.iter().find(|message| fits(message)).cloned().ok_or(received)
        })
        .await
    }

    /// The messages that WhatsApp holds for its clients, in one of the states `queued`, `sent`, `acknowledged`.
    pub async fn messages(&self, state: &str) -> Vec<Value> {
        self.get(&format!("/messages?state={state}")).await.as_array().cloned().unwrap_or_default()
    }
}

#[track_caller]
fn expect_success(path: &str, (status, body): (u16, Value)) -> Value {
    assert!((200..300).contains(&status), "the simulator answered {path} with {status}: {body}");
    body
}
