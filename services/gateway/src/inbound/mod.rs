//! The path of one message from WhatsApp to EVENTS.
//!
//! The client calls `durability` before it acknowledges a message, and goes on when JetStream has the message's event.
//! `content` reads the message, `mapping` makes the event, and `addresses` gives each person one address.
//! `message_event` encodes the event, after `media` has downloaded its file. `unhooked` takes the few messages for
//! which the client calls no hook, `notices` takes receipts, calls and changes, and `undecryptable` waits for messages
//! that could not be decrypted.

pub mod addresses;
pub mod content;
pub mod durability;
pub mod learned_pairs;
pub mod mapping;
pub mod media;
pub mod message_event;
pub mod notices;
pub mod polls;
mod raw_policy;
pub mod undecryptable;
pub mod unhooked;

use crate::{known_chats::KnownChats, metrics::GatewayMetrics, publish::OutgoingEvent};
use content::{context, unwrap_message};
use kurir_contract::{address::ChatJid, event::KnownAddresses, session::SessionId};
use mapping::{MappingContext, SkipReason, update};
use media::{DownloadQueue, LateFile, PendingDownload};
use message_event::MessageEvent;
use polls::PollStore;
pub use raw_policy::RawPolicy;
use std::sync::Arc;
use tokio::time::Instant;
use undecryptable::UndecryptableQueue;
use wacore::types::events::InboundMessage;
use wacore_binary::Jid;
use waproto::whatsapp::Message;
use whatsapp_rust::Client;

/// Makes events of messages.
#[derive(Clone)]
pub struct MessageMapper {
    pub session: SessionId,
    /// Whether status updates are published.
    pub statuses: bool,
    pub polls: PollStore,
    pub undecryptable: UndecryptableQueue,
    /// None if files are not downloaded.
    pub media: Option<DownloadQueue>,
    /// A person who wrote is one with whom the session has a chat.
    pub known: KnownChats,
    /// Whether events hold the whole message, too.
    pub raw: RawPolicy,
    pub metrics: GatewayMetrics,
}

/// The event of a message, the chat in whose order it stands, and its file if that is being downloaded.
pub struct MappedMessage {
    pub chat: ChatJid,
    told: MessageEvent,
    file: Option<PendingDownload>,
}

impl MappedMessage {
    /// Makes the event to publish. Waits for the file until `by`.
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
    /// Maps a message, and starts the download of its file.
    ///
    /// # Errors
    /// If the message has no event.
    pub async fn map_inbound(
        &self,
        client: &Arc<Client>,
        message: &InboundMessage,
    ) -> Result<MappedMessage, SkipReason> {
        let InboundMessage { message, info, .. } = message;
        self.undecryptable.remove(&info.id);
        mapping::check_wanted(info, self.statuses)?;
        let (identity, directory) = addresses::message_directories(client, info, &referenced_people(message)).await;
        let chat = directory.canonical_address(&info.source.chat);
        self.polls.add_message(&chat, &info.id, message);
        self.learn_option(&directory.known_addresses(&info.source.chat), message);
        let (identity, directory) = (&identity, &directory);
        let seen = MappingContext { info, message, directory, identity, session: &self.session };
        let mut told = mapping::map_message(&seen, &self.polls)?;
        if self.raw.is_included() {
            told.data.set_raw(content::raw_fields(message).into());
            told.raw_on_request = self.raw.is_on_request();
        }
        if told.is_unreadable() {
            self.metrics.count_unknown();
            tracing::warn!(
                message.id = info.id,
                "a message holds nothing that this version knows; its event has the type unknown"
            );
        }
        let file = self.media.as_ref().and_then(|media| media.start_download(client, info, message, (&chat, &told)));
        Ok(MappedMessage { chat, told, file })
    }

    /// Remembers an option that the message adds to a poll.
    fn learn_option(&self, chat: &KnownAddresses, message: &Message) {
        let added = unwrap_message(message).message.poll_add_option_message.as_option();
        let parts = added.and_then(|added| {
            let poll = added.poll_creation_message_key.as_option()?.id.as_deref()?;
            Some((poll, added.add_option.as_option()?.option_name.as_deref()?))
        });
        if let Some((poll, option)) = parts {
            self.polls.add_option(chat, poll, option);
        }
    }

    /// Until when the files of the messages that came now are waited for.
    #[must_use]
    pub fn file_deadline(&self) -> Instant {
        Instant::now() + self.media.as_ref().map(DownloadQueue::wait).unwrap_or_default()
    }
}

/// The people whom a message names besides its own chat and sender.
#[must_use]
pub fn referenced_people(message: &Message) -> Vec<Jid> {
    let opened = unwrap_message(message);
    let mut named = context::referenced_people(opened);
    let participant = update::referenced_key(opened.message).and_then(|key| key.participant.as_deref()?.parse().ok());
    named.extend(participant);
    named
}
