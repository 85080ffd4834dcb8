//! Addresses people as WhatsApp does: by LID in direct chats, and by LID in groups whose members are known by LID.
//!
//! Users write phone numbers. A reaction that names a member of such a group by number refers to no message that the
//! others have.

use super::content::{ALL, OWN_ADDRESS, context_mut};
use crate::{inbound::addresses, session::OwnAddresses};
use std::collections::HashSet;
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

/// Addresses the author of the quoted message and the people who are mentioned, as the chat knows them; the text of a mention
/// names the same digits.
///
/// # Errors
/// If WhatsApp did not describe the group.
pub async fn rename_context(
    client: &Client,
    own: Option<&OwnAddresses>,
    chat: &Jid,
    message: &mut Message,
) -> anyhow::Result<()> {
    let Some(context) = context_mut(message) else { return Ok(()) };
    let group = if chat.is_group() && (context.participant.is_some() || !context.mentioned_jid.is_empty()) {
        Some(client.groups().query_info(chat).await?)
    } else {
        None
    };
    let is_lid_group = group.as_ref().is_some_and(|group| group.addressing_mode == AddressingMode::Lid);
    if context.participant.as_deref() == Some(OWN_ADDRESS) {
        let lid = own.and_then(|own| own.lid.as_ref()).filter(|_| is_lid_group || chat.is_lid());
        context.participant = lid.or(own.map(|own| &own.jid)).map(ToString::to_string);
    } else if let Some(author) = context.participant.as_ref().and_then(|author| author.parse().ok()) {
        context.participant = Some(participant_address(client, chat, &author).await?.to_string());
    }
    let Some(group) = group else { return Ok(()) };
    let mut renamed = Vec::new();
    let mut mentioned = Vec::with_capacity(context.mentioned_jid.len());
    for named in std::mem::take(&mut context.mentioned_jid) {
        if named == ALL {
            let others = group.participants.iter().map(|member| member.to_non_ad().to_string());
            mentioned.extend(others);
        } else if let Ok(jid) = named.parse::<Jid>() {
            let address = participant_address(client, chat, &jid).await?;
            if address.user != jid.user {
                renamed.push((format!("@{}", jid.user), format!("@{}", address.user)));
            }
            mentioned.push(address.to_string());
        }
    }
    let mut seen = HashSet::new();
    mentioned.retain(|one: &String| seen.insert(one.clone()));
    context.mentioned_jid = mentioned;
    if let Some(text) = message.extended_text_message.as_option_mut().and_then(|text| text.text.as_mut()) {
        for (number, lid) in renamed {
            *text = text.replace(&number, &lid);
        }
    }
    Ok(())
}

/// Takes the placeholders out of a message that is only read for its event.
pub fn settle_context(own: Option<&Jid>, message: &mut Message) {
    let Some(context) = context_mut(message) else { return };
    if context.participant.as_deref() == Some(OWN_ADDRESS) {
        context.participant = own.map(|own| own.to_non_ad().to_string());
    }
    context.mentioned_jid.retain(|named| named != ALL);
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
