//! Addresses people as WhatsApp does: by LID in direct chats, and by LID in groups whose members are known by LID.
//!
//! Users write phone numbers. A reaction that names a member of such a group by number refers to no message that the
//! others have.

use crate::inbound::addresses;
use wacore::types::message::AddressingMode;
use wacore_binary::{Jid, JidExt as _};
use waproto::whatsapp::{Message, MessageKey};
use whatsapp_rust::Client;

/// The address of a chat for receipts and chat states.
pub async fn chat_address(client: &Client, jid: &Jid) -> Jid {
    if jid.is_pn() { look_up_lid(client, jid).await.unwrap_or_else(|| jid.clone()) } else { jid.clone() }
}

/// The address of a person in a chat. A group may know its members by LID.
///
/// # Errors
/// If WhatsApp did not describe the group.
pub async fn participant_address(client: &Client, chat: &Jid, jid: &Jid) -> anyhow::Result<Jid> {
    if !chat.is_group() || !jid.is_pn() {
        return Ok(jid.clone());
    }
    let group = client.groups().query_info(chat).await?;
    Ok(match group.addressing_mode {
        AddressingMode::Pn => jid.clone(),
        AddressingMode::Lid => match look_up_lid(client, jid).await {
            Some(lid) => lid,
            None => group.phone_device_jid_into_lid(jid.clone()),
        },
    })
}

/// Addresses the author of the message to which a reaction, an edit or a deletion refers.
///
/// # Errors
/// If WhatsApp did not describe the group.
pub async fn rename_author(client: &Client, chat: &Jid, message: &mut Message) -> anyhow::Result<()> {
    let Some(named) = message_key(message).and_then(|key| key.participant.as_mut()) else { return Ok(()) };
    if let Ok(jid) = named.parse() {
        *named = participant_address(client, chat, &jid).await?.to_string();
    }
    Ok(())
}

fn message_key(message: &mut Message) -> Option<&mut MessageKey> {
    if let Some(reaction) = message.reaction_message.as_option_mut() {
        return reaction.key.as_option_mut();
    }
    message.protocol_message.as_option_mut()?.key.as_option_mut()
}

async fn look_up_lid(client: &Client, jid: &Jid) -> Option<Jid> {
    addresses::resolve_address(client, jid).await.lid?.as_str().parse().ok()
}
