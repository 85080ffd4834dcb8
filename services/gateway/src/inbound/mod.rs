//! The path of one message from WhatsApp to EVENTS.
//!
//! `durability` is called by the client before it acknowledges a message, and answers when JetStream has it. `content`
//! reads what a message holds, `mapping` says what it is to a user, `addresses` whose it is: one person is one address.
//! `message_event` makes an event of it, for which `media` fetches the file. `unhooked` takes the few messages that the client gives without asking, `notices` what
//! happens beside messages, `undecryptable` waits for what could not be read.

pub mod addresses;
mod content;
pub mod durability;
pub mod mapping;
pub mod media;
pub mod message_event;
pub mod notices;
pub mod polls;
pub mod undecryptable;
pub mod unhooked;

use crate::{metrics::GatewayMetrics, outbound::new_chat_limit::KnownChats, publish::OutgoingEvent};
use content::{context, unwrap_message};
use kurir_contract::{address::ChatJid, session::SessionId};
use mapping::{MappingContext, SkipReason, update};
use media::{DownloadQueue, LateFile, PendingDownload};
use message_event::MessageEvent;
use polls::PollStore;
use std::sync::Arc;
use tokio::time::Instant;
use undecryptable::UndecryptableQueue;
use wacore::types::events::InboundMessage;
use wacore_binary::Jid;
use waproto::whatsapp::Message;
use whatsapp_rust::Client;

/// What makes events of messages.
#[derive(Clone)]
pub struct MessageMapper {
    pub session: SessionId,
    /// Whether status updates are wanted.
    pub statuses: bool,
    pub polls: PollStore,
    pub undecryptable: UndecryptableQueue,
    /// Unless files are not to be downloaded.
    pub media: Option<DownloadQueue>,
    /// Who wrote is somebody that the session has a chat with.
    pub known: KnownChats,
    pub metrics: GatewayMetrics,
}

/// What a message tells, the chat within which its order counts, and its file if that is on its way.
pub struct MappedMessage {
    pub chat: ChatJid,
    told: MessageEvent,
    file: Option<PendingDownload>,
}

impl MappedMessage {
    /// The event as it is to be stored; its file is waited for until `by`.
    pub async fn into_event(self, session: &SessionId, by: Instant) -> (OutgoingEvent, Option<LateFile>) {
        let Self { mut told, file, .. } = self;
        let owed = match file {
            Some(file) => Some(file.complete_event(&mut told, by).await),
            None => None,
        };
        (told.into_outgoing(session), owed)
    }
}

impl MessageMapper {
    /// The event of a message, or why it is none.
    ///
    /// # Errors
    /// If the message is not one that a user hears of.
    pub async fn map_inbound(
        &self,
        client: &Arc<Client>,
        message: &InboundMessage,
    ) -> Result<MappedMessage, SkipReason> {
        let InboundMessage { message, info, .. } = message;
        self.undecryptable.remove(&info.id);
        mapping::check_wanted(info, self.statuses)?;
        let directory = addresses::message_directory(client, info, &referenced_people(message)).await;
        let chat = directory.canonical_address(&info.source.chat);
        self.polls.add_message(&chat, &info.id, message);
        let seen = MappingContext { info, message, directory: &directory, session: &self.session };
        let told = mapping::map_message(&seen, &self.polls)?;
        if told.is_unreadable() {
            self.metrics.count_unknown();
            tracing::warn!(
                message.id = info.id,
                "a message holds nothing that this version knows; it is told of as unknown"
            );
        }
        let file = self.media.as_ref().and_then(|media| media.start_download(client, info, message, &told));
        Ok(MappedMessage { chat, told, file })
    }

    /// Until when the files of what has come now are waited for.
    #[must_use]
    pub fn file_deadline(&self) -> Instant {
        Instant::now() + self.media.as_ref().map(DownloadQueue::wait).unwrap_or_default()
    }
}

/// Whom a message names beside its own chat and writer.
#[must_use]
pub fn referenced_people(message: &Message) -> Vec<Jid> {
    let opened = unwrap_message(message);
    let mut named = context::referenced_people(opened);
    let participant = update::referenced_key(opened.message).and_then(|key| key.participant.as_deref()?.parse().ok());
    named.extend(participant);
    named
}
