//! Messages that refer to another message: reactions, edits, deletions for everyone.
//!
//! The client derives the stanza's `edit` attribute from them.

use super::{
    message::{MessageToSend, parse_jid},
    text::validate_text,
};
use buffa::MessageField;
use kurir_contract::{
    address::ChatJid,
    command::{CommandError, SendEdit, SendReaction, SendRevoke},
};
use time::OffsetDateTime;
use wacore_binary::{Jid, JidExt as _};
use waproto::whatsapp::{
    Message, MessageKey,
    message::{ProtocolMessage, ReactionMessage, protocol_message::Type},
};

/// The longest emoji (a family, a flag of a region) has some ten code points.
const LONGEST_EMOJI: usize = 32;
/// WhatsApp's ids have up to 32 characters. Anything longer is not an id.
const LONGEST_ID: usize = 128;

/// # Errors
/// If the request does not say to which message.
pub fn build_reaction(request: SendReaction) -> Result<MessageToSend, CommandError> {
    if request.emoji.chars().count() > LONGEST_EMOJI {
        return Err(CommandError::invalid("emoji must be one emoji, or empty to take the reaction back"));
    }
    let jid = parse_jid(&request.to)?;
    if jid.is_group() && !request.from_me && request.participant.is_none() {
        return Err(CommandError::invalid("participant is required in a group: who wrote the message"));
    }
    let fingerprint = request.fingerprint();
    let SendReaction { to, message_id, emoji, from_me, participant, idempotency_key: key } = request;
    let writer = participant.filter(|_| !from_me);
    let reaction = ReactionMessage {
        key: target_key(&jid, message_id, from_me, writer)?,
        text: Some(emoji),
        sender_timestamp_ms: Some(now_millis()),
        ..ReactionMessage::default()
    };
    let message = Message { reaction_message: MessageField::some(reaction), ..Message::default() };
    Ok(MessageToSend { to, jid, message, attachment: None, key, fingerprint })
}

/// # Errors
/// With the errors of a text.
pub fn build_edit(request: SendEdit) -> Result<MessageToSend, CommandError> {
    validate_text(&request.text)?;
    let jid = parse_jid(&request.to)?;
    let fingerprint = request.fingerprint();
    let SendEdit { to, message_id, text, idempotency_key: key } = request;
    let edited = Message { conversation: Some(text), ..Message::default() };
    let edit = ProtocolMessage {
        r#type: Some(Type::MESSAGE_EDIT),
        key: target_key(&jid, message_id, true, None)?,
        edited_message: MessageField::some(edited),
        timestamp_ms: Some(now_millis()),
        ..ProtocolMessage::default()
    };
    Ok(MessageToSend { to, jid, message: protocol_message(edit), attachment: None, key, fingerprint })
}

/// # Errors
/// If another person's message is to be deleted in a direct chat.
pub fn build_revoke(request: SendRevoke) -> Result<MessageToSend, CommandError> {
    let jid = parse_jid(&request.to)?;
    if request.participant.is_some() && !jid.is_group() {
        return Err(CommandError::invalid(
            "participant is for groups, whose administrators may delete what another wrote",
        ));
    }
    let fingerprint = request.fingerprint();
    let SendRevoke { to, message_id, participant, idempotency_key: key } = request;
    let revoke = ProtocolMessage {
        r#type: Some(Type::REVOKE),
        key: target_key(&jid, message_id, participant.is_none(), participant)?,
        ..ProtocolMessage::default()
    };
    Ok(MessageToSend { to, jid, message: protocol_message(revoke), attachment: None, key, fingerprint })
}

fn protocol_message(protocol: ProtocolMessage) -> Message {
    Message { protocol_message: MessageField::some(protocol), ..Message::default() }
}

/// The key of the other message, from this account's point of view. The account's own message needs no author, also in
/// a group.
fn target_key(
    chat: &Jid,
    message_id: String,
    from_me: bool,
    writer: Option<ChatJid>,
) -> Result<MessageField<MessageKey>, CommandError> {
    if !(1..=LONGEST_ID).contains(&message_id.trim().len()) {
        return Err(CommandError::invalid("messageId is required: the id of the message"));
    }
    Ok(MessageField::some(MessageKey {
        remote_jid: Some(chat.to_non_ad().to_string()),
        from_me: Some(from_me),
        id: Some(message_id),
        participant: writer.filter(|_| chat.is_group()).map(|writer| writer.to_string()),
    }))
}

fn now_millis() -> i64 {
    let at = OffsetDateTime::now_utc();
    at.unix_timestamp() * 1_000 + i64::from(at.millisecond())
}
