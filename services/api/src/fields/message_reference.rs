//! How a caller names a message: by its id, or by what any of Kurir's formats prints of it.

use super::{FieldError, FieldValue};
use crate::error_code::ErrorCode;
use kurir_contract::address::ChatJid;
use schemars::json_schema;
use serde_json::{Map, Value};

/// WhatsApp's ids have up to 32 characters; a longer text is none.
const MAX_MESSAGE_ID: usize = 128;

/// A message, and what its name says about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageReference {
    /// WhatsApp's own id.
    pub id: String,
    /// The chat that it is in.
    pub chat: Option<ChatJid>,
    /// Whether this account wrote it.
    pub from_me: Option<bool>,
    /// Who wrote it, in a group.
    pub participant: Option<ChatJid>,
}

impl MessageReference {
    fn new(id: &str) -> Option<Self> {
        let id = id.trim();
        // An address in it is a sign of another format; no id has one.
        let fits =
            (1..=MAX_MESSAGE_ID).contains(&id.len()) && !id.contains(['@', ' ']) && !id.contains(char::is_control);
        fits.then(|| Self { id: id.to_owned(), chat: None, from_me: None, participant: None })
    }

    /// An id, or `<from me>_<chat>_<id>` with `_<writer>` behind it in groups, as the format `waha` has it.
    pub fn from_text(text: &str) -> Option<Self> {
        let text = text.trim();
        let Some((from_me, rest)) = text.split_once('_').filter(|(from_me, _)| matches!(*from_me, "true" | "false"))
        else {
            return Self::new(text);
        };
        let (chat, rest) = rest.split_once('_')?;
        let (id, participant) = match rest.split_once('_') {
            Some((id, writer)) => (id, Some(ChatJid::from_recipient(writer).ok()?)),
            None => (rest, None),
        };
        Some(Self {
            chat: Some(ChatJid::from_recipient(chat).ok()?),
            from_me: Some(from_me == "true"),
            participant,
            ..Self::new(id)?
        })
    }

    /// A text, or an object: of Baileys and `evolution` (`key`), of `waha` (`id`), of Kurir (`messageId`).
    pub fn from_json(given: &Value) -> Option<Self> {
        match given {
            Value::String(text) => Self::from_text(text),
            Value::Object(fields) => Self::from_fields(fields),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => None,
        }
    }

    fn from_fields(fields: &Map<String, Value>) -> Option<Self> {
        if let Some(key) = fields.get("key") {
            return Self::from_fields(key.as_object()?);
        }
        let named = |names: &[&str]| names.iter().find_map(|name| fields.get(*name).filter(|value| !value.is_null()));
        let id = named(&["messageId", "id", "_serialized"])?;
        let reference = Self::from_json(id)?;
        let address = |names: &[&str]| named(names).and_then(|value| ChatJid::from_json(value).ok());
        Some(Self {
            chat: reference.chat.or_else(|| address(&["remoteJid", "chatId", "from", "to", "chat"])),
            from_me: reference.from_me.or_else(|| named(&["fromMe"]).and_then(Value::as_bool)),
            participant: reference
                .participant
                .or_else(|| address(&["participant"]))
                .filter(|writer| !writer.is_group()),
            id: reference.id,
        })
    }

    /// Whether the message may be in this chat: a phone number and a LID may be one person.
    pub fn may_be_in(&self, chat: &ChatJid) -> bool {
        self.chat
            .as_ref()
            .is_none_or(|own| own == chat || (own.server() != chat.server() && own.is_group() == chat.is_group()))
    }

    /// The error of a message that is in another chat than the request says.
    pub fn elsewhere(&self) -> FieldError {
        let chat = self.chat.as_ref().map(ToString::to_string).unwrap_or_default();
        FieldError::coded_predicate(ErrorCode::InvalidMessageId, format!("is the id of a message in the chat {chat}"))
    }
}

impl FieldValue for MessageReference {
    fn parse(given: &Value) -> Result<Self, FieldError> {
        Self::from_json(given).ok_or_else(|| {
            let text = "is required: the id of the message, as answers and events of any format name it";
            FieldError::coded_predicate(ErrorCode::InvalidMessageId, text)
        })
    }
}

inline_schema!(MessageReference, |_| json_schema!({
    "type": ["string", "object"], "minLength": 1, "maxLength": 255, "examples": ["3EB0C431C26A1916E07A"],
    "description": "The id of a message, as answers and events of any format name it (`false_6281234567890@c.us_3EB0…` too), or an object with `key.id`.",
}));

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Id, chat, whether this account wrote it, writer.
    type Named = (String, Option<String>, Option<bool>, Option<String>);

    fn read(given: Value) -> Option<Named> {
        let MessageReference { id, chat, from_me, participant } = MessageReference::from_json(&given)?;
        Some((id, chat.map(|chat| chat.to_string()), from_me, participant.map(|writer| writer.to_string())))
    }

    #[test]
    fn what_every_format_prints_is_taken_back() {
        let (budi, ani, group) =
            ("6281234567890@s.whatsapp.net", "6281234567891@s.whatsapp.net", "120363000000000001@g.us");
        let id = || "3EB0AA".to_owned();
        let some = |text: &str| Some(text.to_owned());
        for (given, expected) in [
            (json!(" 3EB0AA "), (id(), None, None, None)),
            (json!("false_6281234567890@c.us_3EB0AA"), (id(), some(budi), Some(false), None)),
            (json!("true_6281234567890@c.us_3EB0AA"), (id(), some(budi), Some(true), None)),
            (
                json!("false_120363000000000001@g.us_3EB0AA_6281234567891@c.us"),
                (id(), some(group), Some(false), some(ani)),
            ),
            (json!({"key": {"id": "3EB0AA"}}), (id(), None, None, None)),
            (
                json!({"key": {"id": "3EB0AA", "remoteJid": group, "fromMe": false, "participant": ani}, "message": {}}),
                (id(), some(group), Some(false), some(ani)),
            ),
            (json!({"id": "3EB0AA", "remoteJid": budi, "fromMe": true}), (id(), some(budi), Some(true), None)),
            (
                json!({"id": "false_6281234567890@c.us_3EB0AA", "from": "6281234567890@c.us"}),
                (id(), some(budi), Some(false), None),
            ),
            (json!({"id": {"_serialized": "true_6281234567890@c.us_3EB0AA"}}), (id(), some(budi), Some(true), None)),
            (
                json!({"messageId": "3EB0AA", "from": group, "participant": ani, "content": {"text": "x"}}),
                (id(), some(group), None, some(ani)),
            ),
        ] {
            assert_eq!(read(given.clone()), Some(expected), "{given}");
        }
    }

    #[test]
    fn what_names_no_message_is_refused() {
        for given in [
            json!(""),
            json!("  "),
            json!(7),
            json!("x".repeat(129)),
            json!("6281234567890@c.us_3EB0AA"),
            json!("false_6281234567890@c.us"),
            json!("false_somebody@c.us_3EB0AA"),
            json!("false_120363000000000001@g.us_3EB0AA_somebody@c.us"),
            json!("two words"),
            json!({"key": "3EB0AA"}),
            json!({"text": "x"}),
        ] {
            assert_eq!(read(given.clone()), None, "{given}");
        }
    }

    #[test]
    fn a_message_is_not_in_another_chat_than_its_name_says() {
        let jid = |to: &str| ChatJid::from_recipient(to).expect("an address");
        let budi = MessageReference::from_text("false_6281234567890@c.us_3EB0AA").expect("a name");
        assert!(budi.may_be_in(&jid("6281234567890")) && budi.may_be_in(&jid("123456789012345@lid")));
        assert!(!budi.may_be_in(&jid("6281234567891")) && !budi.may_be_in(&jid("120363000000000001@g.us")));
        let any = MessageReference::from_text("3EB0AA").expect("a name");
        assert!(any.may_be_in(&jid("6281234567891")));
    }
}
