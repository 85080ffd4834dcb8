//! The raw form of a message, for content without a mapping.

use super::proto_json::to_proto_json;
use kurir_contract::event::MessageContent;
use serde_json::{Map, Value};
use waproto::whatsapp::Message;

/// The fields of a message that are no content.
const NO_CONTENT: [&str; 1] = ["messageContextInfo"];

/// The raw message, without keys. None if it holds only keys.
pub fn unknown_content(message: &Message) -> Option<MessageContent> {
    let fields = raw_fields(message);
    (!fields.is_empty()).then_some(MessageContent::Unknown { raw: Value::Object(fields) })
}

/// The fields of the message as protobuf's JSON, without keys.
pub fn raw_fields(message: &Message) -> Map<String, Value> {
    let Value::Object(mut fields) = to_proto_json(message) else { return Map::new() };
    for name in NO_CONTENT {
        fields.remove(name);
    }
    fields
}
