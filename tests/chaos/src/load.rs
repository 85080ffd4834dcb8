//! The load: texts that contacts write to each account, and texts that callers send through the API, all with a number.

use crate::ChaosPlan;
use anyhow::Context as _;
use kurir_test_harness::{Stack, stack::KEY};
use reqwest::Client;
use serde_json::{Value, json};
use std::{collections::BTreeMap, time::Duration};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

/// The sessions and their accounts.
pub const ACCOUNTS: [(&str, &str); 3] =
    [("default", "6281230009001"), ("sales", "6281230009002"), ("support", "6281230009003")];
/// Contacts that write, and that are written to.
const CONTACTS: u32 = 20;
/// One send for so many messages of contacts, and at most so many sends a second.
const MESSAGES_FOR_A_SEND: u32 = 10;
const MOST_SENDS: u32 = 10;
/// How long a caller repeats a send, always with the same key.
const REPEATED_FOR: Duration = Duration::from_secs(240);
const CALL_WITHIN: Duration = Duration::from_secs(130);

/// Everything that was sent.
#[derive(Default)]
pub struct SentLoad {
    /// The texts of contacts with their ids at WhatsApp, by session and contact, in their order.
    pub messages: BTreeMap<(String, String), Vec<SentMessage>>,
    /// What callers sent.
    pub sends: Vec<SentText>,
}

pub struct SentMessage {
    pub id: String,
    pub text: String,
}

pub struct SentText {
    pub to: String,
    pub text: String,
    /// The answer that ended the repeats; none if there was none.
    pub accepted: bool,
}

#[derive(Clone)]
pub struct Load {
    http: Client,
    api: String,
    simulator: String,
}

impl Load {
    pub fn new(stack: &Stack) -> Self {
        Self { http: Client::new(), api: stack.api.url(""), simulator: stack.simulator.url("") }
    }

    /// Writes and sends until `stop`, and then until each send has its answer.
    pub async fn run(&self, plan: ChaosPlan, stop: &CancellationToken) -> SentLoad {
        let mut sent = SentLoad::default();
        let mut sends = tokio::task::JoinSet::new();
        let mut tick = interval(Duration::from_secs(1) / plan.messages_per_second);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let messages_for_a_send = MESSAGES_FOR_A_SEND.max(plan.messages_per_second / MOST_SENDS);
        let mut number = 0_u32;
        while !stop.is_cancelled() {
            tick.tick().await;
            let (session, account) = ACCOUNTS[number as usize % ACCOUNTS.len()];
            let contact = format!("62811000{:05}", number % CONTACTS);
            let text = format!("message {number}");
            if let Some(id) = self.contact_writes(&contact, account, &text).await {
                sent.messages.entry((session.to_owned(), contact.clone())).or_default().push(SentMessage { id, text });
            }
            if number.is_multiple_of(messages_for_a_send) {
                sends.spawn(self.clone().send(session, contact, format!("send {number}")));
            }
            number += 1;
        }
        sent.sends = sends.join_all().await;
        sent
    }

    async fn contact_writes(&self, contact: &str, account: &str, text: &str) -> Option<String> {
        let url = format!("{}/contacts/{contact}/messages", self.simulator);
        let answer = self.http.post(url).json(&json!({"text": text, "to": account})).send().await.ok()?;
        let body: Value = answer.json().await.ok()?;
        body["id"].as_str().map(str::to_owned)
    }

    /// Sends as a careful caller does: again with the same key, until it is accepted.
    async fn send(self, session: &'static str, to: String, text: String) -> SentText {
        let url = format!("{}/api/sessions/{session}/whatsapp/send-message", self.api);
        let begun = Instant::now();
        while begun.elapsed() < REPEATED_FOR {
            let request =
                self.http.post(&url).header("X-API-Key", KEY).header("Idempotency-Key", text.replace(' ', "-"));
            let answer = request.json(&json!({"to": to, "message": text})).timeout(CALL_WITHIN).send().await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                return SentText { to, text, accepted: true };
            }
            sleep(Duration::from_secs(1)).await;
        }
        SentText { to, text, accepted: false }
    }

    /// An answer of the API; null if there was none.
    pub async fn get(&self, path: &str) -> Value {
        let answer = self.http.get(format!("{}{path}", self.api)).header("X-API-Key", KEY).send().await;
        match answer {
            Ok(answer) => answer.json().await.unwrap_or_default(),
            Err(_) => Value::Null,
        }
    }

    pub async fn post(&self, path: &str, body: Value) -> anyhow::Result<Value> {
        let request = self.http.post(format!("{}{path}", self.api)).header("X-API-Key", KEY).json(&body);
        let answer = request.send().await.context("the API does not answer")?;
        let status = answer.status();
        let body: Value = answer.json().await.unwrap_or_default();
        anyhow::ensure!(status.is_success(), "the API answered {path} with {status}: {body}");
        Ok(body)
    }

    pub async fn make_session(&self, session: &str) -> anyhow::Result<()> {
        self.post("/api/sessions", json!({"id": session, "sendGap": "0s"})).await.map(drop)
    }

    /// The QR code of a session.
    pub async fn qr_code(&self, session: &str) -> Result<String, String> {
        let status = self.get(&format!("/api/sessions/{session}/whatsapp/status")).await;
        status["data"]["qrCode"].as_str().map(str::to_owned).ok_or_else(|| status.to_string())
    }

    pub async fn is_connected(&self, session: &str) -> Result<(), String> {
        let status = self.get(&format!("/api/sessions/{session}/whatsapp/status")).await;
        if status["data"]["isConnected"] == true { Ok(()) } else { Err(status.to_string()) }
    }
}
