//! JSON Schemas of the events, made from their types: they describe a webhook's body and a message in EVENTS.
//!
//! The feature `schema` turns this module on. A test writes the schemas to `shared/contract/schemas/` and compares them.

pub use super::table::event_schemas;

use super::{EventEnvelope, EventOrigin, EventType, MessageContent, MessageContext};
use schemars::{JsonSchema, Schema, generate::SchemaSettings};
use serde_json::json;

/// A row of the table of events, with the JSON Schema of the whole body.
pub struct EventSchema {
    pub event_type: EventType,
    /// One sentence: when the event is published.
    pub description: &'static str,
    pub schema: Schema,
}

impl EventSchema {
    pub(super) fn new<D: JsonSchema>(event_type: EventType, description: &'static str) -> Self {
        let mut schema = schema_of::<EventEnvelope<D>>();
        let object = schema.ensure_object();
        object.insert("title".to_owned(), json!(event_type.as_str()));
        object.insert("description".to_owned(), json!(description));
        // All events share one envelope; the schema of one event allows its own type only.
        if let Some(event) = object.get_mut("properties").and_then(|properties| properties.get_mut("event")) {
            *event = json!({"const": event_type.as_str()});
        }
        Self { event_type, description, schema }
    }
}

/// The schema of the fields that all events about a chat share.
#[must_use]
pub fn origin_schema() -> Schema {
    schema_of::<EventOrigin>()
}

/// The schema of the fields that all events with a content share.
#[must_use]
pub fn context_schema() -> Schema {
    schema_of::<MessageContext>()
}

/// The schema of `messageType` and its `content`: one variant each.
#[must_use]
pub fn content_schema() -> Schema {
    schema_of::<MessageContent>()
}

/// Describes what is written, because a receiver reads it: a field that may be null is required, too.
fn schema_of<T: JsonSchema>() -> Schema {
    SchemaSettings::draft2020_12().for_serialize().into_generator().into_root_schema_for::<T>()
}
