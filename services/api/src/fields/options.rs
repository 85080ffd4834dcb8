//! `options` of a send: what it replies to, whom it mentions, when it goes out.

use super::{Field, FieldError, FieldValue, Person, Quoted, Timestamp, checked_optional};
use crate::{error_code::ErrorCode, response::ApiError};
use kurir_contract::{address::ChatJid, clock, command::Quote, job};
use schemars::{JsonSchema, json_schema};
use serde::Deserialize;
use serde_json::Value;
use time::OffsetDateTime;

/// As many as a group has members.
const MENTIONS: usize = 1_024;

/// What may accompany a message.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SendOptions {
    /// The message that this one replies to: its id, or an object with `key.id`.
    quoted: Option<Field<Quoted>>,
    /// Who wrote the quoted message, in a group.
    quoted_participant: Option<Field<QuotedParticipant>>,
    /// Whom the text mentions, as `@` and their digits; `all` is everybody in the group.
    mentions: Option<Field<MentionList>>,
    /// Whether the text's first link is shown with the page's title and picture. The page is fetched for that.
    link_preview: Option<Field<LinkPreviewFlag>>,
    /// When the message is to be sent: at most 30 days ahead.
    send_at: Option<Field<SendAt>>,
}

/// The person who wrote the quoted message.
struct QuotedParticipant(ChatJid);

struct LinkPreviewFlag(bool);

struct MentionList {
    people: Vec<ChatJid>,
    /// Everybody in the group.
    all: bool,
}

/// A time that is ahead, at most 30 days.
pub struct SendAt(pub OffsetDateTime);

/// The options of a request that may have none.
///
/// # Errors
/// If they are no object.
pub fn options_or_default(options: Option<Field<SendOptions>>) -> Result<SendOptions, ApiError> {
    Ok(checked_optional(options, "options", ErrorCode::InvalidOptions)?.unwrap_or_default())
}

impl SendOptions {
    /// The message that is replied to, with its writer if it is known.
    ///
    /// # Errors
    /// If it is named wrongly; the other methods do the same for their field.
    pub fn quoted(&mut self) -> Result<Option<Quoted>, ApiError> {
        let quoted = checked_optional(self.quoted.take(), "options.quoted", ErrorCode::InvalidQuoted)?;
        let name = "options.quotedParticipant";
        let writer = checked_optional(self.quoted_participant.take(), name, ErrorCode::InvalidQuoted)?;
        Ok(quoted.map(|mut quoted| {
            if let Some(QuotedParticipant(writer)) = writer {
                quoted.reference.participant = Some(writer);
            }
            quoted
        }))
    }

    /// The id of the message that is replied to, and what is known of it.
    ///
    /// # Errors
    /// If it is named wrongly.
    pub fn quoted_with_quote(&mut self) -> Result<(Option<String>, Option<Quote>), ApiError> {
        Ok(match self.quoted()? {
            Some(quoted) => (Some(quoted.reference.id.clone()), quoted.quote()),
            None => (None, None),
        })
    }

    /// The people who are mentioned, and whether everybody in the group is.
    pub fn mentions(&mut self) -> Result<(Vec<ChatJid>, bool), ApiError> {
        let mentions = checked_optional(self.mentions.take(), "options.mentions", ErrorCode::InvalidMentions)?;
        Ok(mentions.map(|MentionList { people, all }| (people, all)).unwrap_or_default())
    }

    /// Whether the text's link gets a preview.
    pub fn has_link_preview(&mut self) -> Result<bool, ApiError> {
        let flag = checked_optional(self.link_preview.take(), "options.linkPreview", ErrorCode::InvalidOptions)?;
        Ok(flag.is_some_and(|LinkPreviewFlag(flag)| flag))
    }

    pub fn send_at(&mut self) -> Result<Option<OffsetDateTime>, ApiError> {
        let at = checked_optional(self.send_at.take(), "options.sendAt", ErrorCode::InvalidSendAt)?;
        Ok(at.map(|SendAt(at)| at))
    }
}

impl FieldValue for SendOptions {
    fn parse(given: &Value) -> Result<Self, FieldError> {
        let invalid = || FieldError::sentence(ErrorCode::InvalidOptions, "options must be an object");
        if given.is_null() {
            return Ok(Self::default());
        }
        let options = given.as_object().ok_or_else(invalid)?;
        serde_json::from_value(Value::Object(options.clone())).map_err(|_| invalid())
    }
}

impl FieldValue for QuotedParticipant {
    fn parse(given: &Value) -> Result<Self, FieldError> {
        Person::parse(given).map(|Person(writer)| Self(writer)).map_err(|error| {
            FieldError::predicate("must be the number of who wrote the quoted message")
                .with_detail(Some(error.detailed_text()))
        })
    }
}

impl FieldValue for LinkPreviewFlag {
    fn parse(given: &Value) -> Result<Self, FieldError> {
        let flag = given.as_bool().or_else(|| given.as_str().and_then(|flag| flag.trim().parse().ok()));
        flag.map(Self).ok_or_else(|| FieldError::predicate("must be true or false"))
    }
}

impl FieldValue for MentionList {
    fn parse(given: &Value) -> Result<Self, FieldError> {
        let invalid = |detail: Option<String>| {
            FieldError::predicate(format!(
                "must be a list of at most {MENTIONS} numbers; the text names each as @ and its digits"
            ))
            .with_detail(detail)
        };
        let people = given.as_array().filter(|people| people.len() <= MENTIONS).ok_or_else(|| invalid(None))?;
        let read = |(at, one): (usize, &Value)| match Person::parse(one) {
            Ok(Person(person)) => Ok(person),
            Err(error) => Err(invalid(Some(format!("at {at}: {}", error.detailed_text())))),
        };
        let is_all = |one: &Value| matches!(one.as_str().map(str::trim), Some("all" | "everyone" | "@all"));
        let all = people.iter().any(is_all);
        let people = people.iter().enumerate().filter(|(_, one)| !is_all(one)).map(read);
        people.collect::<Result<_, _>>().map(|people| Self { people, all })
    }
}

impl FieldValue for SendAt {
    fn parse(given: &Value) -> Result<Self, FieldError> {
        Self::parse_at(given, clock::now())
    }
}

impl SendAt {
    fn parse_at(given: &Value, now: OffsetDateTime) -> Result<Self, FieldError> {
        let invalid = |text: String| FieldError::coded_predicate(ErrorCode::InvalidSendAt, text);
        let Timestamp(at) = Timestamp::parse(given).map_err(|error| invalid(error.text().to_owned()))?;
        if at <= now {
            return Err(invalid("is in the past".to_owned()));
        }
        if at > now + job::LATEST {
            return Err(invalid("must be at most 30 days ahead".to_owned()));
        }
        Ok(Self(at))
    }
}

inline_schema!(
    LinkPreviewFlag,
    |_| json_schema!({"type": ["boolean", "string"], "enum": [true, false, "true", "false"]})
);
inline_schema!(QuotedParticipant, |generator| Person::json_schema(generator));
inline_schema!(
    MentionList,
    |generator| json_schema!({"type": "array", "maxItems": MENTIONS, "items": {"anyOf": [Person::json_schema(generator), {"const": "all"}]}})
);
inline_schema!(SendAt, |generator| Timestamp::json_schema(generator));

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use time::macros::datetime;

    #[test]
    fn a_time_to_send_is_ahead_and_has_an_offset() {
        let now = datetime!(2026-11-24 12:00 UTC);
        let at = |at: Value| SendAt::parse_at(&at, now).map(|SendAt(at)| at);
        assert_eq!(at(json!("2026-11-24T19:00:01+07:00")), Ok(datetime!(2026-11-24 12:00:01 UTC)));
        let iso = "must be a time in ISO 8601, as 2026-11-24T13:00:00Z";
        for (wrong, text) in [
            (json!("2026-11-24T12:00:00Z"), "is in the past"),
            (json!("2026-12-24T12:00:01Z"), "must be at most 30 days ahead"),
            (json!("2026-11-24T13:00:00"), iso),
            (json!(7), iso),
        ] {
            assert_eq!(at(wrong).expect_err("refused").text(), text);
        }
    }
}
