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

use crate::{outbound::new_chat_limit::KnownChats, publish::OutgoingEvent};
use content::{context, open};
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
}

/// What a message tells, the chat within which its order counts, and its file if that is on its way.
pub struct MappedMessage {
    pub chat: ChatJid,
    told: MessageEvent,
    file: Option<PendingDownload>,
}

impl MappedMessage {
    /// The event as it is to be stored; its file is waited for until `by`.
    pub async fn event(self, session: &SessionId, by: Instant) -> (OutgoingEvent, Option<LateFile>) {
        let Self { mut told, file, .. } = self;
        let owed = match file {
            Some(file) => Some(file.into_event(&mut told, by).await),
            None => None,
        };
        (told.outgoing(session), owed)
    }
}

impl MessageMapper {
    /// The event of a message, or why it is none.
    ///
    /// # Errors
    /// If the message is not one that a user hears of.
    pub async fn event_of(&self, client: &Arc<Client>, message: &InboundMessage) -> Result<MappedMessage, SkipReason> {
        let InboundMessage { message, info, .. } = message;
        self.undecryptable.came(&info.id);
        mapping::is_wanted(info, self.statuses)?;
        let directory = addresses::directory(client, info, &named(message)).await;
        let chat = directory.address(&info.source.chat);
        self.polls.remember(&chat, &info.id, message);
        let seen = MappingContext { info, message, directory: &directory, session: &self.session };
        let told = mapping::told(&seen, &self.polls)?;
        let file = self.media.as_ref().and_then(|media| media.begin(client, info, message, &told));
        Ok(MappedMessage { chat, told, file })
    }

    /// Until when the files of what has come now are waited for.
    #[must_use]
    pub fn files_by(&self) -> Instant {
        Instant::now() + self.media.as_ref().map(DownloadQueue::wait).unwrap_or_default()
    }
}

/// Whom a message names beside its own chat and writer.
#[must_use]
pub fn named(message: &Message) -> Vec<Jid> {
    let opened = open(message);
    let mut named = context::named(opened);
    let participant = update::named(opened.message).and_then(|key| key.participant.as_deref()?.parse().ok());
    named.extend(participant);
    named
}
