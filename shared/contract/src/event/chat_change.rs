//! `chat.updated`: a setting of a direct chat.

use super::EventOrigin;
use serde::Serialize;

/// `data` of `chat.updated`. The author is the person who made the change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ChatUpdated {
    /// WhatsApp's id of the notice.
    pub message_id: String,
    #[serde(flatten)]
    pub change: ChatChange,
    /// Milliseconds since 1970.
    pub timestamp: i64,
    #[serde(flatten)]
    pub origin: EventOrigin,
}

/// `change`, and the `details` that belong to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "change", content = "details", rename_all = "snake_case", rename_all_fields = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum ChatChange {
    /// After how many seconds messages disappear; 0: never.
    Expiration { seconds: u32 },
}
