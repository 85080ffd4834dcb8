//! One inbox for the messages of all consumers. A subscription for each would cost a dispatcher of 10,000 endpoints
//! 190 MB; a message says by itself which consumer it comes from.

use crate::jetstream::consumer::{PullId, PullSource};
use anyhow::Context as _;
use async_nats::{Client, Message, StatusCode, Subscriber};
use futures::StreamExt as _;
use std::time::Duration;

/// A request for messages.
#[derive(Clone, Copy, Debug)]
pub struct PullRequest<'a> {
    pub pull: PullId,
    /// Requests of an earlier generation are lost; what NATS still says about them counts no more.
    pub generation: u64,
    pub consumer: &'a str,
    pub batch: usize,
    /// How long NATS keeps it if there is no message for it.
    pub expires: Duration,
    /// NATS says at this pace that it is not forgotten.
    pub heartbeat: Duration,
}

/// What came.
#[derive(Debug)]
pub enum InboxItem {
    Message(Message),
    /// NATS said something about a request.
    Status {
        pull: PullId,
        generation: u64,
        said: PullStatus,
    },
    /// The client is at its end.
    Ended,
}

#[derive(Debug, PartialEq, Eq)]
pub enum PullStatus {
    /// The request waits.
    Heartbeat,
    /// It ended, and so many of its messages will not come.
    Expired { unserved: usize },
    /// It is lost, and all others of its line with it: without a number nothing is sure.
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

    /// A request that cannot be sent is one that is lost: the silence will tell.
    pub async fn ask(&self, request: &PullRequest<'_>) {
        let PullRequest { pull, generation, consumer, batch, expires, heartbeat } = request;
        let subject = format!("$JS.API.CONSUMER.MSG.NEXT.{}.{consumer}", pull.source.stream());
        let reply = format!("{}.{}.{}.{generation}", self.prefix, pull.source.stream(), pull.slot);
        let payload = format!(
            r#"{{"batch":{batch},"expires":{},"idle_heartbeat":{}}}"#,
            expires.as_nanos(),
            heartbeat.as_nanos()
        );
        if let Err(error) = self.client.publish_with_reply(subject, reply, payload.into()).await {
            tracing::debug!("failed to ask for events: {error}");
        }
    }

    /// May be dropped at any await without losing anything.
    pub async fn next(&mut self) -> InboxItem {
        loop {
            let Some(message) = self.messages.next().await else { return InboxItem::Ended };
            let Some(about) = message.subject.strip_prefix(&self.prefix) else { return InboxItem::Message(message) };
            // Nobody else knows the inbox; what cannot be read has nothing to say.
            if let Some((pull, generation)) = read(about) {
                return InboxItem::Status { pull, generation, said: said(&message) };
            }
        }
    }

    /// Ends the requests, and gives what NATS had sent before it knew.
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
        // NATS is away then: its requests are gone with it.
        let _ = tokio::time::timeout(within, drained).await;
        rest
    }
}

/// `.<stream>.<station>.<generation>`
fn read(about: &str) -> Option<(PullId, u64)> {
    let mut tokens = about.strip_prefix('.')?.split('.');
    let source = PullSource::of_stream(tokens.next()?)?;
    let slot = tokens.next()?.parse().ok()?;
    Some((PullId { slot, source }, tokens.next()?.parse().ok()?))
}

fn said(message: &Message) -> PullStatus {
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
