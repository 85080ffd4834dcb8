//! The path of one message from WhatsApp to EVENTS.
//!
//! `durability` is called by the client before it acknowledges a message, and answers when JetStream has it. `mapping`
//! says what the message is to a user, `addresses` whose it is: one person is one address. `unhooked` takes the few
//! messages that the client gives without asking.

pub mod addresses;
mod content;
pub mod durability;
pub mod mapping;
pub mod unhooked;

use crate::publish::OutgoingEvent;
use addresses::Addresses;
use kurir_contract::{
    address::ChatJid,
    event::{Content, EventId, EventIdentity, EventType, MessageReceived},
    session::SessionId,
};
use mapping::Skipped;
use time::OffsetDateTime;
use wacore::types::events::InboundMessage;
use whatsapp_rust::Client;

/// What makes events of messages.
#[derive(Clone)]
pub struct Inbound {
    pub session: SessionId,
    /// Whether status updates are wanted.
    pub statuses: bool,
}

/// A message's event, and the chat within which its order counts.
pub struct Received {
    pub chat: ChatJid,
    pub event: OutgoingEvent,
}

/// NATS takes 1 MB in one message by default. What is larger keeps its place in the order, but not its content.
const LARGEST_EVENT: usize = 900_000;

impl Inbound {
    /// The event of a message, or why it is none.
    ///
    /// # Errors
    /// If the message is not one that a user received.
    pub async fn event_of(&self, client: &Client, message: &InboundMessage) -> Result<Received, Skipped> {
        let content = mapping::content(&message.info, &message.message, self.statuses)?;
        let addresses = addresses::resolve(client, &message.info.source).await;
        Ok(self.event(message, addresses, content))
    }

    fn event(&self, message: &InboundMessage, Addresses { chat, sender }: Addresses, content: Content) -> Received {
        let kind = EventType::MESSAGE_RECEIVED;
        let id = EventId::of(&EventIdentity {
            session: &self.session,
            event: &kind,
            chat: &chat,
            sender: &sender,
            message_id: &message.info.id,
            variant: "",
        });
        let data = mapping::received(&message.info, &chat, &sender, content, &self.session, &id);
        let mut event = self.outgoing(&id, &data);
        if event.size() > LARGEST_EVENT {
            tracing::warn!(event.id = %id, "a message of {} bytes is too large for an event: its content is left out", event.size());
            let raw = serde_json::json!({"omitted": "the message is too large for an event", "bytes": event.size()});
            event = self.outgoing(&id, &MessageReceived { content: Content::Unknown { raw }, ..data });
        }
        Received { chat, event }
    }

    fn outgoing(&self, id: &EventId, data: &MessageReceived) -> OutgoingEvent {
        OutgoingEvent::new(&self.session, EventType::MESSAGE_RECEIVED, id.clone(), OffsetDateTime::now_utc(), data)
    }
}
