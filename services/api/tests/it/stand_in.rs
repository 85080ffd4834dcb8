//! Stand-ins on the subjects of a gateway and of a dispatcher: they answer what a test tells them to.

use crate::api::SOON;
use futures::StreamExt as _;
use kurir_contract::{command::Command, header, session::SessionId, subject};
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
        client.flush().await.expect("a connection");
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

/// A dispatcher's report for each event that asks for one; keeps the events' bodies.
pub struct Dispatcher {
    bodies: Arc<Mutex<Vec<(String, Value)>>>,
    task: JoinHandle<()>,
}

impl Dispatcher {
    /// `report` gives the fields of the end beside event and endpoint.
    pub async fn start(nats: &Nats, report: impl Fn(&Value) -> Option<Value> + Send + Sync + 'static) -> Self {
        let client = nats.client().await;
        let mut events = client.subscribe(subject::ALL_EVENTS).await.expect("a subscription");
        client.flush().await.expect("a connection");
        let bodies = Arc::<Mutex<Vec<_>>>::default();
        let kept = Arc::clone(&bodies);
        let task = tokio::spawn(async move {
            while let Some(message) = events.next().await {
                let body: Value = serde_json::from_slice(&message.payload).expect("JSON");
                let headers = message.headers.expect("headers");
                let event = headers.get(header::EVENT_ID).expect("an event id").to_string();
                let report = report(&body);
                kept.lock().expect("a lock").push((message.subject.to_string(), body));
                let (Some(mut report), Some(inbox)) = (report, headers.get(header::REPORT_TO)) else { continue };
                report["eventId"] = json!(event);
                for endpoint in ["another", "default"] {
                    report["endpoint"] = json!(endpoint);
                    let mut report = report.clone();
                    if endpoint == "another" {
                        report["status"] = json!(418);
                    }
                    client.publish(inbox.to_string(), report.to_string().into()).await.expect("a connection");
                }
            }
        });
        Self { bodies, task }
    }

    /// Subject and body of each event that it saw.
    pub fn events(&self) -> Vec<(String, Value)> {
        self.bodies.lock().expect("a lock").clone()
    }
}

impl Drop for Dispatcher {
    fn drop(&mut self) {
        self.task.abort();
    }
}
