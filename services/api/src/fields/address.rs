//! Addresses: chats, people, groups.

use super::{FieldError, FieldValue};
use crate::error_code::ErrorCode;
use kurir_contract::{
    address::{ChatJid, InvalidRecipient},
    command::group::MOST_PARTICIPANTS,
};
use schemars::json_schema;
use serde_json::Value;

/// A chat: a person or a group.
pub struct Recipient(pub ChatJid);

/// A person.
pub struct Person(pub ChatJid);

/// A person whose phone number is known.
pub struct PhoneNumber(pub ChatJid);

/// The person who wrote a message of a group.
pub struct Participant(pub ChatJid);

/// People, each of them once.
pub struct ParticipantList(pub Vec<ChatJid>);

/// A group: its JID, or what stands in front of the `@`.
pub struct GroupJid(pub ChatJid);

fn invalid_recipient(problem: &InvalidRecipient) -> FieldError {
    let code = match problem {
        InvalidRecipient::Missing => ErrorCode::MissingRecipient,
        InvalidRecipient::Format { .. } | InvalidRecipient::LeadingZero { .. } | InvalidRecipient::Unclear { .. } => {
            ErrorCode::InvalidRecipient
        }
    };
    FieldError::sentence(code, problem.to_string()).with_detail(problem.detail())
}

/// The error of an address that is another one than a person's.
fn no_number(understood: &ChatJid) -> FieldError {
    invalid_recipient(&InvalidRecipient::Format { understood: understood.to_string() })
}

impl FieldValue for Recipient {
    fn parse(given: &Value) -> Result<Self, FieldError> {
        ChatJid::from_json(given).map(Self).map_err(|problem| invalid_recipient(&problem))
    }
}

impl FieldValue for Person {
    fn parse(given: &Value) -> Result<Self, FieldError> {
        let Recipient(person) = Recipient::parse(given)?;
        if person.is_group() { Err(no_number(&person)) } else { Ok(Self(person)) }
    }
}

impl FieldValue for PhoneNumber {
    fn parse(given: &Value) -> Result<Self, FieldError> {
        let Recipient(person) = Recipient::parse(given)?;
        let is_number = person.server() == "s.whatsapp.net";
        if is_number { Ok(Self(person)) } else { Err(no_number(&person)) }
    }
}

impl FieldValue for Participant {
    fn parse(given: &Value) -> Result<Self, FieldError> {
        Person::parse(given).map(|Person(person)| Self(person)).map_err(|error| {
            FieldError::coded_predicate(ErrorCode::InvalidParticipant, "must be the number of a person")
                .with_detail(Some(error.detailed_text()))
        })
    }
}

impl FieldValue for ParticipantList {
    fn parse(given: &Value) -> Result<Self, FieldError> {
        let invalid = |more: String| {
            let text = format!("must be a list of 1 to {MOST_PARTICIPANTS} phone numbers{more}");
            FieldError::coded_predicate(ErrorCode::InvalidParticipants, text)
        };
        let list = given.as_array().filter(|list| list.len() <= MOST_PARTICIPANTS);
        let list = list.ok_or_else(|| invalid(String::new()))?;
        let mut people: Vec<ChatJid> = Vec::with_capacity(list.len());
        for (at, one) in list.iter().enumerate() {
            let Recipient(person) = Recipient::parse(one).map_err(|error| {
                invalid(format!("; at {at}: {}", error.text()))
                    .with_detail(Some(format!("at {at}: {}", error.detailed_text())))
            })?;
            if person.is_group() {
                return Err(invalid(format!("; at {at}: a group is no participant")));
            }
            if !people.contains(&person) {
                people.push(person);
            }
        }
        Ok(Self(people))
    }
}

impl FieldValue for GroupJid {
    fn parse(given: &Value) -> Result<Self, FieldError> {
        let id = given.as_str().unwrap_or_default();
        let whole = if id.contains('@') { id.to_owned() } else { format!("{id}@g.us") };
        ChatJid::from_recipient(&whole).ok().filter(ChatJid::is_group).map(Self).ok_or_else(|| {
            let text = "A group's id looks like 120363000000000001@g.us, or the digits alone";
            FieldError::sentence(ErrorCode::InvalidGroup, text)
        })
    }
}

inline_schema!(Recipient, |_| json_schema!({
    "type": ["string", "integer"],
    "description": "A phone number with its country code (10 to 15 digits, 9 after a +; blanks, hyphens and parentheses may stand between), or a JID of any format: …@s.whatsapp.net, …@c.us, …@g.us, …@lid. A number in JSON will do, too.",
    "examples": ["6281234567890"],
}));
inline_schema!(Person, |_| json_schema!({
    "type": ["string", "integer"],
    "description": "A phone number with its country code, or the JID of a person.",
    "examples": ["6281234567890"],
}));
inline_schema!(PhoneNumber, |_| json_schema!({
    "type": ["string", "integer"],
    "description": "A phone number with its country code.",
    "examples": ["6281234567890"],
}));
inline_schema!(Participant, |_| json_schema!({
    "type": ["string", "integer", "null"],
    "description": "The number or JID of the person who wrote the message.",
    "examples": ["6281234567890"],
}));
inline_schema!(ParticipantList, |_| json_schema!({
    "type": "array",
    "items": {"type": ["string", "integer"]},
    "maxItems": MOST_PARTICIPANTS,
    "description": "Phone numbers or JIDs of people.",
    "examples": [["6281234567890"]],
}));
inline_schema!(GroupJid, |_| json_schema!({
    "type": "string",
    "description": "A group's JID, or the digits in front of the @.",
    "examples": ["120363000000000001@g.us"],
}));
