//! The event of a notice, before it is encoded.

use kurir_contract::event::{EventId, EventType};
use serde::Serialize;

/// The event of a notice.
pub(crate) struct NoticeEvent {
    pub kind: EventType,
    pub id: EventId,
    pub data: serde_json::Value,
}

impl NoticeEvent {
    pub fn new(kind: EventType, id: EventId, data: impl Serialize) -> Self {
        // The types are the contract's, and its tests encode each of them.
        Self { kind, id, data: serde_json::to_value(data).unwrap_or_default() }
    }
}
