//! The durability hook: a message is acknowledged to WhatsApp only after JetStream has stored its event.
//!
//! The client never retries a failed hook on a live connection, and later messages of the chat would overtake the
//! failed one. So the hook waits for the broker, which keeps the order, up to a limit. Then it aborts the connection:
//! the message and all later ones fail, the gateway leaves WhatsApp, and WhatsApp sends them again, in order, when the
//! gateway comes back with the broker (docs/decisions: waiting inside the hook).

use super::{MappedMessage, MessageMapper};
use crate::{
    chat_queue::{ChatQueue, ChatTurn},
    publish::{EventPublisher, PublishTimeout},
    session::{abort::ConnectionAbort, state::SessionSignal},
};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use kurir_contract::address::ChatJid;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;
use tracing::Instrument as _;
use wacore::types::events::InboundMessage;
use whatsapp_rust::{Client, InboundDurabilityHook, async_trait};

/// The hook of one connection.
pub struct DurabilityHook {
    pub inbound: MessageMapper,
    pub publisher: EventPublisher,
    /// How long a message waits for the broker.
    pub wait: Duration,
    pub breaker: ConnectionAbort,
    /// The client distinguishes chats by the address of the message. Here a person is one chat.
    pub turns: Mutex<ChatQueue>,
}

/// Chats of one batch that are published at the same time: as many as the client hands over in live mode.
const CHATS_AT_ONCE: usize = 64;

#[async_trait]
impl InboundDurabilityHook for DurabilityHook {
    async fn on_messages(&self, client: Arc<Client>, batch: &[InboundMessage]) -> anyhow::Result<()> {
        let begun = Instant::now();
        // One deadline for the whole batch, because it delays everything behind it.
        let files_by = self.inbound.file_deadline();
        let stored = tokio::select! {
            biased;
            () = self.breaker.token().cancelled() => anyhow::bail!("the gateway leaves WhatsApp; {} message(s) come again", batch.len()),
            stored = self.publish_batch(&client, batch, files_by) => stored,
        };
        self.publisher.metrics.observe_hook_wait(begun.elapsed());
        stored.map_err(|error| {
            let signal = self.publisher.storage_problem().map_or(SessionSignal::BrokerLost, SessionSignal::CannotStore);
            self.breaker.abort(signal, &error);
            error.into()
        })
    }
}

impl DurabilityHook {
    async fn publish_batch(
        &self,
        client: &Arc<Client>,
        batch: &[InboundMessage],
        files_by: Instant,
    ) -> Result<(), PublishTimeout> {
        // Live messages come one by one.
        if let [message] = batch {
            return match self.map_message(client, message).await {
                Some(received) => self.publish_in_order(vec![received], files_by).await,
                None => Ok(()),
            };
        }
        stream::iter(self.group_by_chat(client, batch).await)
            .map(Ok)
            .try_for_each_concurrent(CHATS_AT_ONCE, |chat| self.publish_in_order(chat, files_by))
            .await
    }

    /// Publishes the messages of a chat one after the other, each after the earlier one was acknowledged: a lost
    /// connection may lose one message and let the next through.
    async fn publish_in_order(&self, chat: Vec<MappedMessage>, files_by: Instant) -> Result<(), PublishTimeout> {
        let Some(turn) = chat.first().map(|first| self.join_chat(&first.chat)) else { return Ok(()) };
        let _turn = turn.wait().await;
        for received in chat {
            let chat = received.chat.clone();
            let (event, owed) = received.into_event(&self.inbound.session, files_by).await;
            let span = tracing::info_span!(
                "message",
                otel.kind = "producer",
                session.id = %self.inbound.session,
                event.id = %event.id,
                chat = %chat.redacted(),
            );
            async {
                // The time starts now: waiting for a file, or for an earlier message's file, is not waiting for the
                // broker. If the broker is away, the first message that has waited this long ends the wait of all.
                self.publisher.publish(&event, Instant::now() + self.wait).await?;
                if let Some(owed) = owed {
                    owed.event_stored();
                }
                self.inbound.known.record(&chat);
                tracing::debug!("stored a message");
                Ok(())
            }
            .instrument(span)
            .await?;
        }
        Ok(())
    }

    fn join_chat(&self, chat: &ChatJid) -> ChatTurn {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner).join(chat)
    }

    /// Splits a batch by chat. Each chat keeps the order in which it was written.
    async fn group_by_chat(&self, client: &Arc<Client>, batch: &[InboundMessage]) -> Vec<Vec<MappedMessage>> {
        let mut chats: Vec<Vec<(&InboundMessage, MappedMessage)>> = Vec::new();
        let mut places: HashMap<ChatJid, usize> = HashMap::new();
        for message in batch {
            let Some(received) = self.map_message(client, message).await else { continue };
            let place = *places.entry(received.chat.clone()).or_insert_with(|| {
                chats.push(Vec::new());
                chats.len() - 1
            });
            chats[place].push((message, received));
        }
        chats.into_iter().map(sort_by_time).collect()
    }

    async fn map_message(&self, client: &Arc<Client>, message: &InboundMessage) -> Option<MappedMessage> {
        let received = self.inbound.map_inbound(client, message).await;
        received.inspect_err(|why| tracing::debug!(message.id = message.info.id, "no event for a message: {why}")).ok()
    }
}

/// The client keeps the order of each address. If a person wrote under two addresses, WhatsApp's clock decides, to the
/// second.
fn sort_by_time(mut chat: Vec<(&InboundMessage, MappedMessage)>) -> Vec<MappedMessage> {
    let address = |(message, _): &(&InboundMessage, MappedMessage)| message.info.source.chat.server;
    let several = chat.iter().any(|message| address(message) != address(&chat[0]));
    if several {
        chat.sort_by_key(|(message, _)| message.info.timestamp);
    }
    chat.into_iter().map(|(_, received)| received).collect()
}
