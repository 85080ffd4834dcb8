//! `session.passkey`: how a pairing by passkey goes on.

use super::EventId;
use crate::{command::PasskeyProgress, session::SessionId};
use serde::Serialize;

/// `data` of `session.passkey`, at each step; that it succeeded is told by `connection.status`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SessionPasskey {
    #[serde(flatten)]
    pub passkey: PasskeyProgress,
    /// ISO 8601.
    pub timestamp: String,
    pub session: SessionId,
    pub event_id: EventId,
}
