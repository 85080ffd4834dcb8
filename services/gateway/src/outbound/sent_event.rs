//! The event about a sent message: the same as if the phone had sent it, except for `fromDevice`.
//!
//! So the event of a reaction, an edit or a deletion does not depend on which device of the account made it.

use super::{addressing, content::MessageToSend};
use crate::{
    inbound::{
        MessageMapper,
        addresses::{AddressDirectory, look_up_addresses},
        content::raw_fields,
        mapping::{self, MappingContext},
        message_event::MessageEventData,
        referenced_people,
    },
    publish::OutgoingEvent,
    session::OwnAddresses,
};
use kurir_contract::{address::ChatJid, clock, event::MessageContent};
use time::OffsetDateTime;
use wacore::types::message::{MessageInfo, MessageSource};
use wacore_binary::{Jid, JidExt as _};
use whatsapp_rust::{Client, chrono::DateTime};

/// The addresses of the people in a sent message. Without a client only the account itself is known.
pub async fn sender_directory(
    client: Option<&Client>,
    own: Option<&OwnAddresses>,
    outgoing: &MessageToSend,
) -> AddressDirectory {
    let jid = |address: &ChatJid| address.as_str().parse().ok();
    let number = own.and_then(|own| jid(&own.jid));
    let lid = own.and_then(|own| jid(own.lid.as_ref()?));
    let mut directory = AddressDirectory::of_account(number, lid);
    if let Some(client) = client {
        look_up_addresses(client, &mut directory, [&outgoing.jid]).await;
        let mut message = outgoing.message.clone();
        addressing::settle_context(directory.own_jid(), &mut message);
        look_up_addresses(client, &mut directory, &referenced_people(&message)).await;
    }
    directory
}

/// The event of a message that WhatsApp accepted at a time, under an id.
pub fn sent_event(
    inbound: &MessageMapper,
    directory: &AddressDirectory,
    outgoing: &MessageToSend,
    (id, at): (&str, OffsetDateTime),
) -> Option<OutgoingEvent> {
    let info = message_info(directory, &outgoing.jid, id, at);
    let mut message = outgoing.message.clone();
    addressing::settle_context(directory.own_jid(), &mut message);
    let identity = AddressDirectory::of_account(directory.own_jid().cloned(), None);
    let identity = &identity;
    let seen = MappingContext { info: &info, message: &message, directory, identity, session: &inbound.session };
    match mapping::map_message(&seen, &inbound.polls) {
        Ok(mut told) => {
            if let MessageEventData::Sent(sent) = &mut told.data {
                sent.from_device = false;
                if let Some(attachment) = &outgoing.attachment {
                    sent.content = attachment.content.clone();
                }
                sent.timestamp = clock::iso(at);
                // An empty quoted text stands for one that is not known.
                if let Some(reply) = &mut sent.context.reply
                    && matches!(&reply.quoted, Some(MessageContent::Text { text }) if text.is_empty())
                {
                    reply.quoted = None;
                }
            }
            if inbound.raw.is_included() {
                told.raw_on_request = inbound.raw.is_on_request();
                told.data.set_raw(raw_fields(&outgoing.message).into());
            }
            Some(told.into_outgoing(&inbound.session))
        }
        Err(skipped) => {
            tracing::error!("a message was sent that has no event: {skipped}");
            None
        }
    }
}

fn message_info(directory: &AddressDirectory, chat: &Jid, id: &str, at: OffsetDateTime) -> MessageInfo {
    let source = MessageSource {
        chat: chat.clone(),
        sender: directory.own_jid().unwrap_or(chat).clone(),
        is_from_me: true,
        is_group: chat.is_group(),
        ..MessageSource::default()
    };
    let timestamp = DateTime::from_timestamp(at.unix_timestamp(), at.nanosecond()).unwrap_or_default();
    MessageInfo { source, id: id.to_owned(), timestamp, ..MessageInfo::default() }
}
