//! `presence.updated`, `contact.updated` and `contact.identity_changed`. Each is published at most once: see the promises.

use super::{EventOrigin, KnownAddresses};
use serde::Serialize;

/// `data` of `presence.updated`. The author is the person whose presence changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PresenceUpdated {
    pub presence: PresenceState,
    /// When they were last online, milliseconds since 1970; null if they are online or hide it.
    pub last_seen: Option<i64>,
    #[serde(flatten)]
    pub origin: EventOrigin,
}

/// Whether somebody is online, and what they do in the chat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum PresenceState {
    /// They are online.
    Available,
    /// They are offline.
    Unavailable,
    /// They type in the chat.
    Composing,
    /// They record a voice note in the chat.
    Recording,
    /// They stopped typing or recording.
    Paused,
}

/// `data` of `contact.updated`. The author is the contact.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ContactUpdated {
    #[serde(flatten)]
    pub change: ContactChange,
    /// Milliseconds since 1970.
    pub timestamp: i64,
    #[serde(flatten)]
    pub origin: EventOrigin,
}

/// `change`, and the `details` that belong to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "change", content = "details", rename_all = "snake_case", rename_all_fields = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum ContactChange {
    /// The contact's picture was changed or removed.
    Picture { removed: bool },
    /// The contact has a new text about themselves.
    About { about: String },
    /// The contact has a new number: `previous` is the old address, the author is the new one.
    Number { previous: KnownAddresses },
    /// The contact's name in the phone's address book changed.
    Name { full_name: Option<String>, first_name: Option<String> },
    /// Something in the profile changed; WhatsApp did not say what.
    Profile {},
}

/// `data` of `contact.identity_changed`: the contact has new keys, for example after a new installation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct IdentityChanged {
    /// Milliseconds since 1970.
    pub timestamp: i64,
    #[serde(flatten)]
    pub origin: EventOrigin,
}
