//! The content of a message. Pure.
//!
//! `kinds` has the mappings, with `business` and `commerce` for what businesses send. `context` reads what comes with the
//! content: `mentions`, `relation` and `origin` are parts of it. `raw` keeps what has no mapping, as `proto_json`.

pub mod business;
mod commerce;
pub mod context;
mod kinds;
mod mentions;
mod origin;
mod proto_json;
mod raw;
mod relation;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use buffa::Message as _;
pub use kinds::event_response;
use kurir_contract::event::MessageContent;
pub use raw::raw_fields;
use serde_json::json;
use waproto::whatsapp::{Message, MessageAssociation, MessageKey};

/// A message without the envelopes that WhatsApp puts around it (ephemeral, view once, …).
#[derive(Clone, Copy)]
pub struct UnwrappedMessage<'a> {
    pub message: &'a Message,
    /// Whether one of the envelopes says that the phone shows the message once.
    pub view_once: bool,
    /// What the message or one of its envelopes says of the message to which it belongs.
    pub association: Option<&'a MessageAssociation>,
    /// The message on which it is a comment.
    pub comment: Option<&'a MessageKey>,
}

/// Takes a message out of its envelopes.
#[must_use]
pub fn unwrap_message(message: &Message) -> UnwrappedMessage<'_> {
    let mut opened = UnwrappedMessage { message, view_once: false, association: association(message), comment: None };
    // Each envelope is a level of the decoded message, and the decoder limits the depth.
    while let Some((inner, view_once)) = open_envelope(opened.message) {
        let comment =
            opened.message.comment_message.as_option().and_then(|comment| comment.target_message_key.as_option());
        opened = UnwrappedMessage {
            message: inner,
            view_once: opened.view_once || view_once,
            association: association(inner).or(opened.association),
            comment: comment.or(opened.comment),
        };
    }
    opened
}

fn association(message: &Message) -> Option<&MessageAssociation> {
    message.message_context_info.as_option()?.message_association.as_option()
}

fn open_envelope(message: &Message) -> Option<(&Message, bool)> {
    let sent_by_own_device = message.device_sent_message.as_option().and_then(|sent| sent.message.as_option());
    let once = [&message.view_once_message, &message.view_once_message_v2, &message.view_once_message_v2_extension];
    let others = [
        &message.ephemeral_message,
        &message.document_with_caption_message,
        &message.group_mentioned_message,
        &message.lottie_sticker_message,
        &message.edited_message,
        &message.associated_child_message,
        &message.poll_creation_message_v4,
        &message.bot_invoke_message,
        &message.bot_forwarded_message,
        &message.spoiler_message,
        &message.question_message,
        &message.question_reply_message,
        &message.group_status_message,
        &message.group_status_message_v2,
    ];
    let once = || once.into_iter().find_map(|envelope| envelope.as_option()?.message.as_option());
    let others = || others.into_iter().find_map(|envelope| envelope.as_option()?.message.as_option());
    let comment = || message.comment_message.as_option().and_then(|comment| comment.message.as_option());
    sent_by_own_device
        .map(|inner| (inner, false))
        .or_else(|| once().map(|inner| (inner, true)))
        .or_else(|| others().map(|inner| (inner, false)))
        .or_else(|| comment().map(|inner| (inner, false)))
}

/// The content of a message; none if it holds nothing that a user would read.
#[must_use]
pub fn content_of(message: &Message) -> Option<MessageContent> {
    let message = unwrap_message(message).message;
    if has_no_content(message) {
        return None;
    }
    kinds::mapped_content(message).or_else(|| raw::unknown_content(message))
}

/// The key of the raw content of a message that holds nothing known.
pub const UNREADABLE: &str = "base64";

/// The content of a message that holds nothing that this version knows, as a newer app writes it.
#[must_use]
pub fn unreadable(message: &Message) -> MessageContent {
    // The library passes on no field that it does not know, so these bytes may be few.
    MessageContent::Unknown { raw: json!({UNREADABLE: BASE64_STANDARD.encode(message.encode_to_vec())}) }
}

/// Whether a message is still encrypted with the secret of another one, which the client does not have.
#[must_use]
pub fn is_sealed(message: &Message) -> bool {
    message.enc_reaction_message.is_set()
        || message.enc_comment_message.is_set()
        || message.enc_event_response_message.is_set()
        || message.secret_encrypted_message.is_set()
}

/// A poll's question, its options and the secret of its votes, if the message is a poll.
#[must_use]
pub fn find_poll(message: &Message) -> Option<(String, Vec<String>, Vec<u8>)> {
    let poll = kinds::find_poll_creation(unwrap_message(message).message)?;
    Some((poll.name.clone().unwrap_or_default(), kinds::option_names(poll), message_secret(message)?))
}

/// A calendar event's name and the secret of its answers, if the message is a calendar event.
#[must_use]
pub fn find_event(message: &Message) -> Option<(String, Vec<u8>)> {
    let event = unwrap_message(message).message.event_message.as_option()?;
    Some((event.name.clone().unwrap_or_default(), message_secret(message)?))
}

/// The secret is next to the content, in any of the envelopes.
fn message_secret(message: &Message) -> Option<Vec<u8>> {
    let secret = |message: &Message| message.message_context_info.as_option()?.message_secret.clone();
    secret(unwrap_message(message).message).or_else(|| secret(message))
}

/// Protocol messages, reactions and votes have other events, or none.
fn has_no_content(message: &Message) -> bool {
    message.protocol_message.is_set()
        || message.reaction_message.is_set()
        || message.enc_reaction_message.is_set()
        || message.poll_update_message.is_set()
        || is_sealed(message)
}

#[cfg(test)]
mod tests;
