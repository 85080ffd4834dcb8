//! Stands in for a gateway, or for a dispatcher, on its subjects: answers what a test tells it to.

use crate::api::SOON;
use async_nats::{Client, RequestErrorKind};
use futures::StreamExt as _;
use kurir_contract::{command::Command, session::SessionId, subject, webhook::WebhookCommand};
use kurir_test_harness::{Nats, until};
use serde_json::{Value, json};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::task::JoinHandle;

type Said = Arc<Mutex<Vec<(Command, Value)>>>;

/// Answers the commands of one session until it is dropped.
pub struct Gateway {
    said: Said,
    task: JoinHandle<()>,
}

impl Gateway {
    /// `answers` gives the reply to a command, or nothing for none; it is asked once for each.
    pub async fn start(
        nats: &Nats,
        session: &str,
        answers: impl Fn(Command, &Value) -> Option<Value> + Send + Sync + 'static,
    ) -> Self {
        Self::slow(nats, session, Duration::ZERO, answers).await
    }

    /// As [`Gateway::start`]; all but the status comes so much later.
    pub async fn slow(
        nats: &Nats,
        session: &str,
        by: Duration,
        answers: impl Fn(Command, &Value) -> Option<Value> + Send + Sync + 'static,
    ) -> Self {
        let client = nats.client().await;
        let session: SessionId = session.parse().expect("a session");
        let mut commands = client.subscribe(subject::all_commands(&session)).await.expect("a subscription");
        known(&client).await;
        let said = Said::default();
        let heard = Arc::clone(&said);
        let task = tokio::spawn(async move {
            while let Some(message) = commands.next().await {
                let command = subject::parse_command(&message.subject).expect("a command");
                let arguments = serde_json::from_slice(&message.payload).expect("JSON");
                let reply = answers(command, &arguments);
                heard.lock().expect("a lock").push((command, arguments));
                if command != Command::Status {
                    tokio::time::sleep(by).await;
                }
                if let (Some(reply), Some(to)) = (reply, message.reply) {
                    client.publish(to, reply.to_string().into()).await.expect("a connection");
                }
            }
        });
        Self { said, task }
    }

    /// What it was asked, but for the status.
    pub fn commands(&self) -> Vec<(Command, Value)> {
        let said = self.said.lock().expect("a lock");
        said.iter().filter(|(command, _)| *command != Command::Status).cloned().collect()
    }

    /// Everything it was asked.
    pub fn asked(&self) -> usize {
        self.said.lock().expect("a lock").len()
    }

    pub async fn wait_for_commands(&self, count: usize) {
        until("commands", SOON, || async { self.commands().len() >= count }).await;
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Waits until NATS knows the subscriptions that this client made: it reads its commands in their order, and answers
/// the last one.
pub async fn known(client: &Client) {
    let answer = client.request("nobody.listens.here", "".into()).await;
    assert!(answer.is_err_and(|error| error.kind() == RequestErrorKind::NoResponders));
}

/// A reply of a gateway whose session is connected.
pub fn connected() -> Value {
    status("connected", true, None)
}

pub fn status(status: &str, is_connected: bool, qr_code: Option<&str>) -> Value {
    json!({"ok": {
        "isConnected": is_connected,
        "qrCode": qr_code,
        "sessionPath": "./sessions",
        "status": status,
        "reason": null,
        "until": null,
        "jid": null,
        "lid": null,
    }})
}

/// Answers what dispatchers are asked, until it is dropped.
pub struct Dispatcher {
    asked: Arc<Mutex<Vec<(WebhookCommand, Value)>>>,
    task: JoinHandle<()>,
}

impl Dispatcher {
    /// `answers` gives the reply to a command, or nothing for none.
    pub async fn start(
        nats: &Nats,
        answers: impl Fn(WebhookCommand, &Value) -> Option<Value> + Send + Sync + 'static,
    ) -> Self {
        let client = nats.client().await;
        let mut commands = client.subscribe(subject::ALL_WEBHOOK_COMMANDS).await.expect("a subscription");
        known(&client).await;
        let asked = Arc::<Mutex<Vec<_>>>::default();
        let heard = Arc::clone(&asked);
        let task = tokio::spawn(async move {
            while let Some(message) = commands.next().await {
                let command = subject::parse_webhook_command(&message.subject).expect("a command");
                let arguments = serde_json::from_slice(&message.payload).expect("JSON");
                let reply = answers(command, &arguments);
                heard.lock().expect("a lock").push((command, arguments));
                if let (Some(reply), Some(to)) = (reply, message.reply) {
                    client.publish(to, reply.to_string().into()).await.expect("a connection");
                }
            }
        });
        Self { asked, task }
    }

    /// What it was asked.
    pub fn commands(&self) -> Vec<(WebhookCommand, Value)> {
        self.asked.lock().expect("a lock").clone()
    }
}

impl Drop for Dispatcher {
    fn drop(&mut self) {
        self.task.abort();
    }
}
