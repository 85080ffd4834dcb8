//! A poll with its own secret, with which votes are encrypted.

use super::message::{MessageToSend, parse_jid};
use buffa::MessageField;
use kurir_contract::command::{CommandError, SendPoll};
use std::collections::HashSet;
use waproto::whatsapp::{
    Message, MessageContextInfo,
    message::{PollContentType, PollCreationMessage, poll_creation_message},
};

/// WhatsApp's own limit. A vote cannot tell two options with one name apart.
const OPTIONS: std::ops::RangeInclusive<usize> = 2..=12;
/// The apps' limits, in characters.
const LONGEST_OPTION: usize = 100;
const LONGEST_NAME: usize = 255;

/// # Errors
/// If nobody could vote on the poll.
pub fn build_poll(request: SendPoll) -> Result<MessageToSend, CommandError> {
    let SendPoll { name, options, selectable, .. } = &request;
    if !(1..=LONGEST_NAME).contains(&name.chars().count()) {
        return Err(CommandError::invalid("name is required: the question, of at most 255 characters"));
    }
    let fits = |option: &String| (1..=LONGEST_OPTION).contains(&option.chars().count());
    let different: HashSet<&String> = options.iter().collect();
    if !OPTIONS.contains(&options.len()) || different.len() != options.len() || !options.iter().all(fits) {
        return Err(CommandError::invalid("options must be 2 to 12 different strings of 1 to 100 characters"));
    }
    if *selectable as usize > options.len() {
        return Err(CommandError::invalid(
            "selectable must be 0 (any number of options) or at most the number of options",
        ));
    }
    let jid = parse_jid(&request.to)?;
    let fingerprint = request.fingerprint();
    let SendPoll { to, name, options, selectable, idempotency_key: key } = request;
    let option = |name| poll_creation_message::Option { option_name: Some(name), ..Default::default() };
    let poll = MessageField::some(PollCreationMessage {
        name: Some(name),
        options: options.into_iter().map(option).collect(),
        selectable_options_count: Some(selectable),
        poll_content_type: Some(PollContentType::TEXT),
        ..PollCreationMessage::default()
    });
    let secret = rand::random::<[u8; 32]>().to_vec();
    let context = MessageContextInfo { message_secret: Some(secret), ..MessageContextInfo::default() };
    let mut message = Message { message_context_info: MessageField::some(context), ..Message::default() };
    // As WhatsApp Web does: the third version for a single choice, the first for several.
    if selectable == 1 {
        message.poll_creation_message_v3 = poll;
    } else {
        message.poll_creation_message = poll;
    }
    Ok(MessageToSend { to, jid, message, attachment: None, key, fingerprint })
}
