//! People as WhatsApp names them: in a direct chat, and in groups that know their members by LID, by LID.
//!
//! Users write numbers. A reaction that names a member of such a group by number is about no message that the others have.

use crate::inbound::addresses;
use wacore::types::message::AddressingMode;
use wacore_binary::{Jid, JidExt as _};
use waproto::whatsapp::{Message, MessageKey};
use whatsapp_rust::Client;

/// A chat as its receipts and signs of life are addressed.
pub async fn chat_address(client: &Client, jid: &Jid) -> Jid {
    if jid.is_pn() { look_up_lid(client, jid).await.unwrap_or_else(|| jid.clone()) } else { jid.clone() }
}

/// Somebody in a chat: in a group as that names its members, elsewhere as he is.
///
/// # Errors
/// If WhatsApp did not tell of the group.
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

/// Names the writer of the message that another one is about as its group does.
///
/// # Errors
/// If WhatsApp did not tell of the group.
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
