//! The message that a send replies to: its name, and what the caller says of it. Callers hand over the whole object that a
//! webhook gave them; the reply then shows who wrote it and what.

use super::{FieldError, FieldValue, MessageReference};
use crate::error_code::ErrorCode;
use kurir_contract::command::{ForwardedContent, ForwardedFile, Quote};
use serde_json::{Value, json};

/// The message that is replied to.
#[derive(Clone, Debug, PartialEq)]
pub struct Quoted {
    pub reference: MessageReference,
    /// Its content, if the caller said it.
    pub content: Option<ForwardedContent>,
}

impl Quoted {
    /// What the send says about it besides its id; none if that is all that is known.
    pub fn quote(&self) -> Option<Quote> {
        let from_me = self.reference.from_me.unwrap_or(false);
        let quote = Quote { author: self.reference.participant.clone(), from_me, content: self.content.clone() };
        (quote != Quote::default()).then_some(quote)
    }
}

impl FieldValue for Quoted {
    fn parse(given: &Value) -> Result<Self, FieldError> {
        let reference = MessageReference::from_json(given).ok_or_else(|| {
            let text = "options.quoted must be a message id or an object with key.id";
            FieldError::sentence(ErrorCode::InvalidQuoted, text)
        })?;
        Ok(Self { reference, content: read_content(given) })
    }
}

/// The content of a message as Kurir, `evolution` (Baileys) or `waha` prints it; none if it is not there.
fn read_content(given: &Value) -> Option<ForwardedContent> {
    if let (Some(kind), Some(content)) = (given.get("messageType"), given.get("content")) {
        let own = serde_json::from_value(json!({"messageType": kind, "content": content}));
        if let Ok(own) = own {
            return Some(own);
        }
    }
    if let Some(message) = given.get("message").filter(|message| message.is_object()) {
        return read_baileys(message);
    }
    let text = given.get("body").and_then(Value::as_str).filter(|text| !text.is_empty())?;
    Some(ForwardedContent::Text { text: text.to_owned() })
}

fn read_baileys(message: &Value) -> Option<ForwardedContent> {
    let text = message.get("conversation").or_else(|| message.pointer("/extendedTextMessage/text"));
    if let Some(text) = text.and_then(Value::as_str) {
        return Some(ForwardedContent::Text { text: text.to_owned() });
    }
    let texts = |fields: &Value, name: &str| fields.get(name).and_then(Value::as_str).map(str::to_owned);
    let file = |name: &str, mimetype: &str| {
        let fields = message.get(name)?;
        Some(ForwardedFile {
            filename: None,
            mimetype: texts(fields, "mimetype").unwrap_or_else(|| mimetype.to_owned()),
            caption: texts(fields, "caption"),
            file_name: texts(fields, "fileName"),
        })
    };
    if let Some(place) = message.get("locationMessage") {
        let degrees = |name: &str| place.get(name).and_then(Value::as_f64);
        return Some(ForwardedContent::Location {
            latitude: degrees("degreesLatitude")?,
            longitude: degrees("degreesLongitude")?,
            name: texts(place, "name").unwrap_or_default(),
            address: texts(place, "address").unwrap_or_default(),
        });
    }
    if let Some(card) = message.get("contactMessage") {
        let (display_name, vcard) = (texts(card, "displayName")?, texts(card, "vcard")?);
        return Some(ForwardedContent::Contact { display_name, vcard });
    }
    None.or_else(|| file("imageMessage", "image/jpeg").map(ForwardedContent::Image))
        .or_else(|| file("videoMessage", "video/mp4").map(ForwardedContent::Video))
        .or_else(|| file("audioMessage", "audio/ogg").map(ForwardedContent::Audio))
        .or_else(|| file("documentMessage", "application/octet-stream").map(ForwardedContent::Document))
        .or_else(|| file("stickerMessage", "image/webp").map(ForwardedContent::Sticker))
}

inline_schema!(Quoted, |generator| MessageReference::json_schema(generator));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_objects_of_every_format_say_what_is_quoted() {
        let text = |text: &str| Some(ForwardedContent::Text { text: text.to_owned() });
        for (given, content) in [
            (json!({"messageId": "A", "messageType": "text", "content": {"text": "hi"}}), text("hi")),
            (json!({"key": {"id": "A"}, "message": {"conversation": "hi"}}), text("hi")),
            (json!({"key": {"id": "A"}, "message": {"extendedTextMessage": {"text": "hi"}}}), text("hi")),
            (json!({"id": "false_6281234567890@c.us_A", "body": "hi"}), text("hi")),
            (json!("A"), None),
            (json!({"key": {"id": "A"}}), None),
        ] {
            assert_eq!(Quoted::parse(&given).expect("a message").content, content, "{given}");
        }
        let image =
            json!({"key": {"id": "A"}, "message": {"imageMessage": {"caption": "sea", "mimetype": "image/png"}}});
        let Some(ForwardedContent::Image(file)) = Quoted::parse(&image).expect("a message").content else {
            panic!("no image")
        };
        assert_eq!((file.caption.as_deref(), file.mimetype.as_str()), (Some("sea"), "image/png"));
    }
}
