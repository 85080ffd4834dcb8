//! Finds a message by its id among the events that are kept: EVENTS has no index by message, so the newest events are read.
//!
//! A reply is shown with the author and the content that it carries itself; a caller that has only the id gets them so.

use crate::{error_code::ErrorCode, response::ApiError};
use async_nats::jetstream::{
    consumer::{DeliverPolicy, pull::OrderedConfig},
    stream::Stream,
};
use futures::StreamExt as _;
use kurir_chassis::broker::Broker;
use kurir_contract::{address::ChatJid, command::Quote, event::EventType, session::SessionId, stream::EVENTS, subject};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout, timeout_at};

/// A send that waits longer for its quote goes out without.
const WITHIN: Duration = Duration::from_secs(2);
/// How many of the newest events are looked through, step by step: most replies are to a message of the last minutes.
const STEPS: [u64; 3] = [200, 5_000, 100_000];
/// A message of this account has its event shortly after the answer to its send.
const EVENT_FOLLOWS: Duration = Duration::from_secs(1);

pub struct MessageLookup {
    broker: Broker,
}

impl MessageLookup {
    pub fn new(broker: Broker) -> Self {
        Self { broker }
    }

    /// Adds to a quote what the caller did not say of the message, if its event is found in time.
    pub async fn complete_quote(&self, session: &SessionId, id: &str, quote: &mut Option<Quote>) {
        if quote.as_ref().is_some_and(|quote| quote.content.is_some()) || !self.broker.is_connected() {
            return;
        }
        let deadline = Instant::now() + WITHIN;
        let Ok(Found::Message(data)) = timeout_at(deadline, self.find(session, id)).await else { return };
        let given = quote.take().unwrap_or_default();
        let found = read_quote(&data);
        let author = given.author.or(found.author);
        let completed = Quote { author, from_me: given.from_me || found.from_me, content: found.content };
        *quote = (completed != Quote::default()).then_some(completed);
    }

    /// Refuses the id of a message that no event has: what refers to it would do nothing, and WhatsApp says nothing of it.
    /// If not all events could be looked through in time, the id passes.
    ///
    /// # Errors
    /// Not found: all events were looked through.
    pub async fn require(&self, session: &SessionId, id: &str) -> Result<(), ApiError> {
        if !self.broker.is_connected() {
            return Ok(());
        }
        for pause in [Duration::ZERO, EVENT_FOLLOWS] {
            sleep(pause).await;
            match timeout(WITHIN, self.find(session, id)).await {
                Ok(Found::Nowhere) => {}
                Ok(Found::Message(_) | Found::PerhapsOlder) | Err(_) => return Ok(()),
            }
        }
        let text = format!("No event of the session has a message with the id {id}, so nothing can refer to it");
        Err(ApiError::new(ErrorCode::MessageNotFound, text))
    }

    /// Looks through the newest events, more at each step.
    async fn find(&self, session: &SessionId, id: &str) -> Found {
        let Ok(stream) = self.broker.jetstream.get_stream(EVENTS).await else { return Found::PerhapsOlder };
        let (first, last) = (stream.cached_info().state.first_sequence, stream.cached_info().state.last_sequence);
        let mut looked = last.saturating_add(1);
        for step in STEPS {
            let from = last.saturating_sub(step).max(first);
            if from < looked {
                match find_between(&stream, session, id, from, looked).await {
                    Ok(None) => {}
                    Ok(Some(data)) => return Found::Message(data),
                    Err(_) => return Found::PerhapsOlder,
                }
                looked = from;
            }
        }
        if looked <= first { Found::Nowhere } else { Found::PerhapsOlder }
    }
}

enum Found {
    /// The `data` of the message's event, with the event's type as `event`.
    Message(Value),
    /// All events were looked through.
    Nowhere,
    PerhapsOlder,
}

/// Reads the events of messages from one sequence to another.
async fn find_between(
    stream: &Stream,
    session: &SessionId,
    id: &str,
    from: u64,
    to: u64,
) -> anyhow::Result<Option<Value>> {
    let config = OrderedConfig {
        filter_subjects: vec![
            subject::event(session, &EventType::MESSAGE_RECEIVED),
            subject::event(session, &EventType::MESSAGE_SENT),
        ],
        deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: from.max(1) },
        ..OrderedConfig::default()
    };
    let consumer = stream.create_consumer(config).await?;
    if consumer.cached_info().num_pending == 0 {
        return Ok(None);
    }
    let named = format!("\"messageId\":{}", json!(id));
    let mut messages = consumer.messages().await?;
    while let Some(message) = messages.next().await {
        let message = message?;
        let (sequence, pending) = match message.info() {
            Ok(info) => (info.stream_sequence, info.pending),
            Err(error) => anyhow::bail!("a message of EVENTS has no sequence: {error}"),
        };
        if contains(&message.payload, named.as_bytes())
            && let Ok(mut envelope) = serde_json::from_slice::<Value>(&message.payload)
            && envelope["data"]["messageId"] == id
        {
            let event = envelope["event"].take();
            envelope["data"]["event"] = event;
            return Ok(Some(envelope["data"].take()));
        }
        if pending == 0 || sequence >= to {
            return Ok(None);
        }
    }
    anyhow::bail!("the events ended early")
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}

fn read_quote(data: &Value) -> Quote {
    let from_me = data["fromMe"].as_bool().unwrap_or(data["event"] == EventType::MESSAGE_SENT.as_str());
    // Who wrote it in a group; else the other person in the chat.
    let author = ["participant", "from"].iter().find_map(|name| ChatJid::from_json(&data[*name]).ok());
    let author = author.filter(|author| !author.is_group() && !from_me);
    let content = json!({"messageType": data["messageType"], "content": data["content"]});
    Quote { author, from_me, content: serde_json::from_value(content).ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quote_is_read_from_the_event() {
        let budi = "6281234567890@s.whatsapp.net";
        let group = "120363000000000001@g.us";
        let content = json!({"text": "hi"});
        for (data, author, from_me) in [
            (
                json!({"event": "message.received", "from": budi, "messageType": "text", "content": content}),
                Some(budi),
                false,
            ),
            (
                json!({"event": "message.received", "from": group, "participant": budi, "messageType": "text", "content": content}),
                Some(budi),
                false,
            ),
            (json!({"event": "message.sent", "to": budi, "messageType": "text", "content": content}), None, true),
        ] {
            let quote = read_quote(&data);
            assert_eq!((quote.author.as_ref().map(ChatJid::as_str), quote.from_me), (author, from_me), "{data}");
            assert!(quote.content.is_some());
        }
    }
}
