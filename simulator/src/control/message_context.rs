//! Messages about other messages, and kinds of content beyond texts and files, as JSON and as WhatsApp's messages;
//! and what goes around any of them: a quote, mentions, the envelopes of what disappears.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use buffa::{Message as _, MessageField};
use wacore::{
    message_edit::{MessageEditContext, encrypt_message_edit},
    poll::{compute_option_hash, encrypt_poll_vote_with_secret},
};
use wacore_binary::Jid;
use waproto::whatsapp::{
    ContextInfo, Message, MessageContextInfo, MessageKey,
    message::{
        ButtonsResponseMessage, ContactMessage, ContactsArrayMessage, ExtendedTextMessage, FutureProofMessage,
        ListResponseMessage, LiveLocationMessage, PollCreationMessage, PollEncValue, PollUpdateMessage,
        ProtocolMessage, SecretEncryptedMessage, buttons_response_message::Response,
        list_response_message::SingleSelectReply, poll_creation_message, protocol_message,
        secret_encrypted_message::SecretEncType,
    },
};

use super::{
    new_message::{MessageKind, NewMessage, SendingContact, required},
    response::{ApiError, ApiResult},
};
use crate::{people::AddressingMode, phone_number::PhoneNumber, randomness::random};

impl NewMessage {
    /// The kinds of this chapter.
    pub(super) fn talk(&self, speaker: SendingContact<'_>) -> ApiResult<Message> {
        let mut message = Message::default();
        match self.kind {
            MessageKind::Contacts => {
                let cards = required(self.contacts.clone(), "contacts")?.into_iter().map(|card| ContactMessage {
                    display_name: Some(card.display_name),
                    vcard: Some(card.vcard),
                    ..Default::default()
                });
                message.contacts_array_message = MessageField::some(ContactsArrayMessage {
                    display_name: self.display_name.clone(),
                    contacts: cards.collect(),
                    ..Default::default()
                });
            }
            MessageKind::LiveLocation => {
                message.live_location_message = MessageField::some(LiveLocationMessage {
                    degrees_latitude: Some(required(self.latitude, "latitude")?),
                    degrees_longitude: Some(required(self.longitude, "longitude")?),
                    caption: self.caption.clone(),
                    ..Default::default()
                });
            }
            MessageKind::Poll => self.poll_into(&mut message)?,
            MessageKind::Vote => message.poll_update_message = MessageField::some(self.vote(speaker)?),
            MessageKind::ListReply => {
                let row = SingleSelectReply { selected_row_id: Some(required(self.target.clone(), "target")?) };
                message.list_response_message = MessageField::some(ListResponseMessage {
                    title: self.text.clone(),
                    single_select_reply: MessageField::some(row),
                    ..Default::default()
                });
            }
            MessageKind::ButtonReply => {
                message.buttons_response_message = MessageField::some(ButtonsResponseMessage {
                    selected_button_id: Some(required(self.target.clone(), "target")?),
                    response: self.text.clone().map(Response::SelectedDisplayText),
                    ..Default::default()
                });
            }
            MessageKind::Edit => {
                let text = Message { conversation: Some(required(self.text.clone(), "text")?), ..Default::default() };
                let protocol = self.protocol(protocol_message::Type::MESSAGE_EDIT, speaker)?;
                let protocol = ProtocolMessage { edited_message: MessageField::some(text), ..protocol };
                let inner = Message { protocol_message: MessageField::some(protocol), ..Default::default() };
                if self.encrypted == Some(true) {
                    message.secret_encrypted_message = MessageField::some(self.sealed(&inner, speaker)?);
                } else {
                    message.edited_message = envelope(inner);
                }
            }
            MessageKind::Revoke => {
                let protocol = self.protocol(protocol_message::Type::REVOKE, speaker)?;
                message.protocol_message = MessageField::some(protocol);
            }
            MessageKind::Raw => {
                let bytes = self.raw()?.unwrap_or_default();
                // Newer than what is known here, or damaged: it goes out as it is, and is shown as nothing known.
                message = Message::decode_from_slice(&bytes).unwrap_or_default();
            }
            other => return Err(ApiError::bad(format!("{other:?} is of another chapter"))),
        }
        Ok(message)
    }

    /// The bytes of a raw message, which are sent as they are.
    pub(super) fn raw(&self) -> ApiResult<Option<Vec<u8>>> {
        if self.kind != MessageKind::Raw {
            return Ok(None);
        }
        let bytes = BASE64_STANDARD.decode(required(self.base64.as_deref(), "base64")?);
        bytes.map(Some).map_err(|error| ApiError::bad(format!("`base64` is not base64: {error}")))
    }

    /// Apps give each message that may be added to a secret of its own.
    pub(super) fn with_secret(&self, mut message: Message) -> Message {
        match self.kind {
            MessageKind::Reaction | MessageKind::Vote | MessageKind::Edit | MessageKind::Revoke | MessageKind::Raw => {}
            _ => message.message_context_info = MessageField::some(fresh_secret()),
        }
        message
    }

    fn poll_into(&self, message: &mut Message) -> ApiResult<()> {
        let options = required(self.options.clone(), "options")?.into_iter();
        let options =
            options.map(|name| poll_creation_message::Option { option_name: Some(name), ..Default::default() });
        message.poll_creation_message_v3 = MessageField::some(PollCreationMessage {
            name: Some(required(self.name.clone(), "name")?),
            options: options.collect(),
            selectable_options_count: Some(self.selectable.unwrap_or(1)),
            ..Default::default()
        });
        Ok(())
    }

    fn vote(&self, speaker: SendingContact<'_>) -> ApiResult<PollUpdateMessage> {
        let poll = speaker.poll.ok_or_else(|| ApiError::not_found("the voter has received no poll under `target`"))?;
        let raw = BASE64_STANDARD.decode(&poll.raw).map_err(anyhow::Error::new)?;
        let message = Message::decode_from_slice(&raw).map_err(anyhow::Error::new)?;
        let secret = message.message_context_info.as_option().and_then(|context| context.message_secret.clone());
        let secret = secret.ok_or_else(|| ApiError::bad("the message under `target` is no poll"))?;
        let chosen = required(self.options.clone(), "options")?;
        let hashes: Vec<Vec<u8>> = chosen.iter().map(|name| compute_option_hash(name).to_vec()).collect();
        let (creator, voter) = (speaker.address_of(&poll.from), speaker.address_of(speaker.number));
        let (payload, iv) =
            encrypt_poll_vote_with_secret(&hashes, &secret, &poll.id, &creator.to_string(), &voter.to_string())?;
        Ok(PollUpdateMessage {
            poll_creation_message_key: MessageField::some(self.key(&poll.id, Some(&poll.from), speaker)),
            vote: MessageField::some(PollEncValue { enc_payload: Some(payload), enc_iv: Some(iv.to_vec()) }),
            sender_timestamp_ms: Some(time::OffsetDateTime::now_utc().unix_timestamp() * 1_000),
            ..Default::default()
        })
    }

    /// An edit as newer apps send it: encrypted once more, with the secret of the message that it changes.
    fn sealed(&self, edit: &Message, speaker: SendingContact<'_>) -> ApiResult<SecretEncryptedMessage> {
        let target = required(self.target.as_deref(), "target")?;
        let original = speaker.original.ok_or_else(|| ApiError::not_found("the contact has sent no such message"))?;
        let original = Message::decode_from_slice(&original.plaintext).map_err(anyhow::Error::new)?;
        let secret = original.message_context_info.as_option().and_then(|context| context.message_secret.clone());
        let secret = secret.ok_or_else(|| ApiError::bad("the message under `target` has no secret"))?;
        let editor = speaker.address_of(speaker.number).to_string();
        let context = MessageEditContext { original_msg_id: target, original_sender_jid: &editor, editor_jid: &editor };
        let (payload, iv) = encrypt_message_edit(edit, &secret, &context)?;
        Ok(SecretEncryptedMessage {
            target_message_key: MessageField::some(self.key(target, Some(speaker.number), speaker)),
            enc_payload: Some(payload),
            enc_iv: Some(iv.to_vec()),
            secret_enc_type: Some(SecretEncType::MESSAGE_EDIT),
            ..Default::default()
        })
    }

    fn protocol(&self, kind: protocol_message::Type, speaker: SendingContact<'_>) -> ApiResult<ProtocolMessage> {
        let target = required(self.target.as_deref(), "target")?;
        // Contacts edit and delete their own messages. An administrator names the author of the message.
        let author = self.target_author.as_ref().or(Some(speaker.number));
        Ok(ProtocolMessage {
            r#type: Some(kind),
            key: MessageField::some(self.key(target, author, speaker)),
            timestamp_ms: Some(time::OffsetDateTime::now_utc().unix_timestamp() * 1_000),
            ..Default::default()
        })
    }

    /// The key of another message, from the speaker's point of view.
    pub(super) fn key(&self, id: &str, author: Option<&PhoneNumber>, speaker: SendingContact<'_>) -> MessageKey {
        let group = self.group.as_deref().map(crate::groups::whole);
        MessageKey {
            id: Some(id.to_owned()),
            from_me: Some(author == Some(speaker.number)),
            participant: author.filter(|_| group.is_some()).map(|author| author.lid_jid(0).to_string()),
            remote_jid: group.or_else(|| speaker.to.map(|number| speaker.address_of(number).to_string())),
        }
    }

    /// A text, with what it answers and whom it mentions if it does.
    pub(super) fn text_into(&self, message: &mut Message) -> ApiResult<()> {
        let text = required(self.text.clone(), "text")?;
        match self.context() {
            None => message.conversation = Some(text),
            Some(context) => {
                message.extended_text_message = MessageField::some(ExtendedTextMessage {
                    text: Some(text),
                    context_info: MessageField::some(context),
                    ..Default::default()
                });
            }
        }
        Ok(())
    }

    /// None if nothing comes with the content.
    pub(super) fn context(&self) -> Option<ContextInfo> {
        let nothing = self.quoted.is_none() && self.mentions.is_none() && self.forwarded.is_none();
        if nothing && self.expires_after.is_none() {
            return None;
        }
        let quoted = self.quoted_text.clone().map(|text| Message { conversation: Some(text), ..Default::default() });
        let mentions = self.mentions.iter().flatten().map(|number| number.lid_jid(0).to_string());
        Some(ContextInfo {
            stanza_id: self.quoted.clone(),
            participant: self.quoted_author.as_ref().map(|number| number.lid_jid(0).to_string()),
            quoted_message: quoted.map(MessageField::some).unwrap_or_default(),
            mentioned_jid: mentions.collect(),
            is_forwarded: self.forwarded,
            forwarding_score: self.forwarded.map(u32::from),
            expiration: self.expires_after,
            ..Default::default()
        })
    }

    /// In the envelopes that it was asked for.
    pub(super) fn wrapped(&self, message: Message) -> Message {
        let mut message = message;
        if self.view_once == Some(true) {
            message = Message { view_once_message_v2: envelope(message), ..Default::default() };
        }
        if self.expires_after.is_some() {
            message = Message { ephemeral_message: envelope(message), ..Default::default() };
        }
        message
    }
}

impl SendingContact<'_> {
    /// The address by which an app names somebody in this chat, also as key material of what it adds to a message.
    fn address_of(&self, number: &PhoneNumber) -> Jid {
        match self.addressing {
            AddressingMode::Pn => number.jid(0),
            AddressingMode::Lid => number.lid_jid(0),
        }
    }
}

fn fresh_secret() -> MessageContextInfo {
    MessageContextInfo { message_secret: Some(random::<[u8; 32]>().to_vec()), ..Default::default() }
}

fn envelope(message: Message) -> MessageField<FutureProofMessage> {
    MessageField::some(FutureProofMessage { message: MessageField::some(message) })
}
