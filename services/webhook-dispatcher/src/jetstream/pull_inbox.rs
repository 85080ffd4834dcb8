//! One inbox for the messages of all consumers. A subscription for each consumer would cost a dispatcher of 10,000
//! endpoints 190 MB; a message names its consumer.

use crate::jetstream::consumer::{PullId, PullSource};
use anyhow::Context as _;
use async_nats::{Client, Message, StatusCode, Subscriber};
use futures::StreamExt as _;
use std::time::Duration;

/// A request for messages.
#[derive(Clone, Copy, Debug)]
pub struct PullRequest<'a> {
    pub pull: PullId,
    /// Requests of an earlier generation are lost. What NATS still says about them is ignored.
    pub generation: u64,
    pub consumer: &'a str,
    pub batch: usize,
    /// How long NATS keeps the request if there is no message for it.
    pub expires: Duration,
    /// How often NATS sends a heartbeat for the request.
    pub heartbeat: Duration,
}

/// What came from NATS.
#[derive(Debug)]
pub enum InboxItem {
    Message(Message),
    /// A status of a request.
    Status {
        pull: PullId,
        generation: u64,
        status: PullStatus,
    },
    /// The client has ended.
    Ended,
}

#[derive(Debug, PartialEq, Eq)]
pub enum PullStatus {
    /// The request still waits.
    Heartbeat,
    /// The request has ended; this many of its messages will not come.
    Expired { unserved: usize },
    /// The request is lost. Its size is unknown, so all requests of the pull count as lost.
    Trouble(String),
}

pub struct PullInbox {
    client: Client,
    prefix: String,
    messages: Subscriber,
}

impl PullInbox {
    pub async fn open(client: &Client) -> anyhow::Result<Self> {
        let prefix = client.new_inbox();
        let messages = client.subscribe(format!("{prefix}.*.*.*")).await.context("failed to subscribe to an inbox")?;
        Ok(Self { client: client.clone(), prefix, messages })
    }

    /// Sends a request. If that fails, the request is lost, which the missing heartbeats show.
    pub async fn request(&self, request: &PullRequest<'_>) {
        let PullRequest { pull, generation, consumer, batch, expires, heartbeat } = request;
        let subject = format!("$JS.API.CONSUMER.MSG.NEXT.{}.{consumer}", pull.source.stream());
        let reply = format!("{}.{}.{}.{generation}", self.prefix, pull.source.stream(), pull.slot);
        let payload = format!(
            r#"{{"batch":{batch},"expires":{},"idle_heartbeat":{}}}"#,
            expires.as_nanos(),
            heartbeat.as_nanos()
        );
        if let Err(error) = self.client.publish_with_reply(subject, reply, payload.into()).await {
            tracing::debug!("failed to request events: {error}");
        }
    }

    /// Cancel safe: a dropped future loses no message.
    pub async fn next(&mut self) -> InboxItem {
        loop {
            let Some(message) = self.messages.next().await else { return InboxItem::Ended };
            let Some(about) = message.subject.strip_prefix(&self.prefix) else { return InboxItem::Message(message) };
            // Only NATS knows the inbox; an unreadable status is ignored.
            if let Some((pull, generation)) = parse_status_subject(about) {
                return InboxItem::Status { pull, generation, status: read_status(&message) };
            }
        }
    }

    /// Ends the requests, and gives the messages that NATS had already sent.
    pub async fn close(mut self, within: Duration) -> Vec<Message> {
        let mut rest = Vec::new();
        if self.messages.drain().await.is_err() {
            return rest;
        }
        let drained = async {
            while let Some(message) = self.messages.next().await {
                if !message.subject.starts_with(&self.prefix) {
                    rest.push(message);
                }
            }
        };
        // After a timeout NATS is away, and the requests are gone with the connection.
        let _ = tokio::time::timeout(within, drained).await;
        rest
    }
}

/// Parses `.<stream>.<slot>.<generation>`.
fn parse_status_subject(about: &str) -> Option<(PullId, u64)> {
    let mut tokens = about.strip_prefix('.')?.split('.');
    let source = PullSource::from_stream(tokens.next()?)?;
    let slot = tokens.next()?.parse().ok()?;
    Some((PullId { slot, source }, tokens.next()?.parse().ok()?))
}

fn read_status(message: &Message) -> PullStatus {
    let pending = message.headers.as_ref().and_then(|headers| headers.get("Nats-Pending-Messages"));
    let unserved = pending.and_then(|pending| pending.as_str().parse().ok());
    match (message.status, unserved) {
        (Some(StatusCode::IDLE_HEARTBEAT), _) => PullStatus::Heartbeat,
        (Some(StatusCode::TIMEOUT), Some(unserved)) => PullStatus::Expired { unserved },
        (status, _) => {
            let status = status.map_or(0, |status| status.as_u16());
            PullStatus::Trouble(format!("NATS said {status} {}", message.description.as_deref().unwrap_or_default()))
        }
    }
}
