//! A message as JSON, for content without a mapping.

use kurir_contract::event::MessageContent;
use serde::Serialize;
use serde_json::Value;
use waproto::whatsapp::Message;

/// The raw message, without keys. None if it holds only keys.
pub fn unknown_content(message: &Message) -> Option<MessageContent> {
    let Value::Object(mut fields) = to_raw_json(message) else { return None };
    for key in ["senderKeyDistributionMessage", "fastRatchetKeySenderKeyDistributionMessage", "messageContextInfo"] {
        fields.remove(key);
    }
    (!fields.is_empty()).then_some(MessageContent::Unknown { raw: Value::Object(fields) })
}

/// A protobuf message as JSON with WhatsApp's field names. Unset fields are left out, and bytes are arrays of numbers.
pub fn to_raw_json<M: Serialize>(message: &M) -> Value {
    // Cannot fail for a protobuf message. If it did, the message must still be published.
    prune_nulls(serde_json::to_value(message).unwrap_or_else(|error| Value::String(error.to_string())))
}

fn prune_nulls(value: Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| (camel_case(&name), prune_nulls(value)))
            .collect(),
        Value::Array(items) => items.into_iter().map(prune_nulls).collect(),
        other => other,
    }
}

fn camel_case(name: &str) -> String {
    let mut words = name.split('_');
    let mut camel = words.next().unwrap_or_default().to_owned();
    for word in words {
        let mut letters = word.chars();
        camel.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        camel.push_str(letters.as_str());
    }
    camel
}
