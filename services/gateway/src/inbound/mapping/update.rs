//! Maps messages that refer to another message: reactions, edits, deletions for everyone, votes. Pure.
//!
//! The client has decrypted those that WhatsApp encrypts twice. Votes are decrypted here, with the poll's own secret.

use super::{
    MappingContext, SkipReason,
    target::{TargetMessage, find_target},
};
use crate::inbound::{
    content::{
        content_of,
        context::{context_of, cut_fields},
        unwrap_message,
    },
    message_event::{MessageEvent, MessageEventData},
    polls::PollStore,
};
use kurir_contract::event::{
    ChatChange, ChatUpdated, EventType, MessageEdited, MessageReaction, MessageRevoked, PollVote,
};
use waproto::whatsapp::{
    Message, MessageKey,
    message::{PollUpdateMessage, ProtocolMessage, ReactionMessage, protocol_message::Type},
};

/// The outcome of reading a message as one that refers to another.
pub enum MessageUpdate {
    Event(MessageEvent),
    /// One of [`PASSED_OVER`].
    Skipped(SkipReason),
    /// The message refers to another one and does not say to which.
    Unreadable,
    /// The message refers to no other.
    None,
}

/// The messages that the apps send each other: keys, settings, requests between an account's own devices, and the state of
/// bots. No person reads them, so they have no event. A type that is not listed here and has no event is `unknown`.
pub const PASSED_OVER: [Type; 26] = [
    Type::EPHEMERAL_SYNC_RESPONSE,
    Type::HISTORY_SYNC_NOTIFICATION,
    Type::APP_STATE_SYNC_KEY_SHARE,
    Type::APP_STATE_SYNC_KEY_REQUEST,
    Type::MSG_FANOUT_BACKFILL_REQUEST,
    Type::INITIAL_SECURITY_NOTIFICATION_SETTING_SYNC,
    Type::APP_STATE_FATAL_EXCEPTION_NOTIFICATION,
    Type::SHARE_PHONE_NUMBER,
    Type::PEER_DATA_OPERATION_REQUEST_MESSAGE,
    Type::PEER_DATA_OPERATION_REQUEST_RESPONSE_MESSAGE,
    Type::REQUEST_WELCOME_MESSAGE,
    Type::BOT_FEEDBACK_MESSAGE,
    Type::MEDIA_NOTIFY_MESSAGE,
    Type::CLOUD_API_THREAD_CONTROL_NOTIFICATION,
    Type::LID_MIGRATION_MAPPING_SYNC,
    Type::BOT_MEMU_ONBOARDING_MESSAGE,
    Type::STOP_GENERATION_MESSAGE,
    Type::LIMIT_SHARING,
    Type::AI_PSI_METADATA,
    Type::AI_QUERY_FANOUT,
    Type::GROUP_MEMBER_LABEL_CHANGE,
    Type::AI_MEDIA_COLLECTION_MESSAGE,
    Type::MESSAGE_UNSCHEDULE,
    Type::CHAT_THEME_SETTING,
    Type::AI_METADATA_OPERATION,
    Type::STATUS_MENTION_MESSAGE,
];

/// Makes the event of a message that refers to another one.
pub fn map_update(seen: &MappingContext<'_>, message: &Message, polls: &PollStore) -> MessageUpdate {
    let told = if let Some(reaction) = message.reaction_message.as_option() {
        reaction_event(seen, reaction)
    } else if let Some(protocol) = message.protocol_message.as_option() {
        match protocol.r#type {
            Some(Type::REVOKE) => revoked_event(seen, protocol),
            Some(Type::MESSAGE_EDIT) => edited_event(seen, protocol),
            Some(Type::EPHEMERAL_SETTING) => expiration_event(seen, protocol),
            None if protocol.edited_message.is_set() => edited_event(seen, protocol),
            Some(kind) if PASSED_OVER.contains(&kind) => return MessageUpdate::Skipped(SkipReason::Protocol),
            // Newer than this version.
            _ => None,
        }
    } else {
        let Some(update) = message.poll_update_message.as_option() else { return MessageUpdate::None };
        vote_event(seen, update, polls)
    };
    told.map_or(MessageUpdate::Unreadable, MessageUpdate::Event)
}

/// The key of the other message. Its people are looked up.
pub fn referenced_key(message: &Message) -> Option<&MessageKey> {
    if let Some(reaction) = message.reaction_message.as_option() {
        return reaction.key.as_option();
    }
    if let Some(protocol) = message.protocol_message.as_option() {
        return protocol.key.as_option();
    }
    if let Some(response) = message.enc_event_response_message.as_option() {
        return response.event_creation_message_key.as_option();
    }
    if let Some(added) = message.poll_add_option_message.as_option() {
        return added.poll_creation_message_key.as_option();
    }
    message.poll_update_message.as_option()?.poll_creation_message_key.as_option()
}

fn reaction_event(seen: &MappingContext<'_>, reaction: &ReactionMessage) -> Option<MessageEvent> {
    let TargetMessage { id, author } = find_target(reaction.key.as_option(), seen)?;
    let data = MessageReaction {
        message_id: id,
        emoji: reaction.text.clone().unwrap_or_default(),
        reaction_id: seen.info.id.clone(),
        message_author: author.map(|author| seen.directory.known_addresses(&author)),
        timestamp: reaction.sender_timestamp_ms.unwrap_or_else(|| seen.sent_at_millis()),
        origin: seen.event_origin(&EventType::MESSAGE_REACTION),
    };
    Some(MessageEvent::new(
        EventType::MESSAGE_REACTION,
        data.origin.event_id.clone(),
        MessageEventData::Reaction(Box::new(data)),
    ))
}

fn edited_event(seen: &MappingContext<'_>, protocol: &ProtocolMessage) -> Option<MessageEvent> {
    let TargetMessage { id, .. } = find_target(protocol.key.as_option(), seen)?;
    let opened = unwrap_message(protocol.edited_message.as_option()?);
    let mut origin = seen.event_origin(&EventType::MESSAGE_EDITED);
    origin.truncated = cut_fields(opened);
    let data = MessageEdited {
        message_id: id,
        content: content_of(opened.message)?,
        edit_id: seen.info.id.clone(),
        timestamp: protocol.timestamp_ms.unwrap_or_else(|| seen.sent_at_millis()),
        context: context_of(opened, seen.info.ephemeral_expiration, seen.directory),
        origin,
    };
    Some(MessageEvent::new(
        EventType::MESSAGE_EDITED,
        data.origin.event_id.clone(),
        MessageEventData::Edited(Box::new(data)),
    ))
}

/// Somebody changed after how long the messages of a direct chat disappear.
fn expiration_event(seen: &MappingContext<'_>, protocol: &ProtocolMessage) -> Option<MessageEvent> {
    let data = ChatUpdated {
        message_id: seen.info.id.clone(),
        change: ChatChange::Expiration { seconds: protocol.ephemeral_expiration? },
        timestamp: seen.sent_at_millis(),
        origin: seen.event_origin(&EventType::CHAT_UPDATED),
    };
    let id = data.origin.event_id.clone();
    Some(MessageEvent::new(EventType::CHAT_UPDATED, id, MessageEventData::Chat(Box::new(data))))
}

fn revoked_event(seen: &MappingContext<'_>, protocol: &ProtocolMessage) -> Option<MessageEvent> {
    let TargetMessage { id, author } = find_target(protocol.key.as_option(), seen)?;
    let origin = seen.event_origin(&EventType::MESSAGE_REVOKED);
    let message_author = author.map(|author| seen.directory.known_addresses(&author));
    let data = MessageRevoked {
        message_id: id,
        revoke_id: seen.info.id.clone(),
        by_admin: message_author.as_ref().map(|author| author.jid != origin.author.jid),
        message_author,
        timestamp: seen.sent_at_millis(),
        origin,
    };
    Some(MessageEvent::new(
        EventType::MESSAGE_REVOKED,
        data.origin.event_id.clone(),
        MessageEventData::Revoked(Box::new(data)),
    ))
}

fn vote_event(seen: &MappingContext<'_>, update: &PollUpdateMessage, polls: &PollStore) -> Option<MessageEvent> {
    let TargetMessage { id, author } = find_target(update.poll_creation_message_key.as_option(), seen)?;
    let origin = seen.event_origin(&EventType::POLL_VOTE);
    let creator = author.map(|author| seen.directory.known_addresses(&author));
    let poll = polls.find(&origin.chat, &id);
    let chosen = poll.as_ref().and_then(|poll| {
        let vote = update.vote.as_option()?;
        poll.decrypt_vote(vote, &id, creator.as_ref(), &origin.author)
    });
    let data = PollVote {
        message_id: id,
        poll_name: poll.map(|poll| poll.name.clone()),
        selected_options: chosen,
        vote_id: seen.info.id.clone(),
        timestamp: update.sender_timestamp_ms.unwrap_or_else(|| seen.sent_at_millis()),
        origin,
    };
    Some(MessageEvent::new(EventType::POLL_VOTE, data.origin.event_id.clone(), MessageEventData::Vote(Box::new(data))))
}
