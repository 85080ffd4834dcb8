//! `session.passkey`: the steps of a pairing by passkey.

use super::EventId;
use crate::{command::PasskeyProgress, session::SessionId};
use serde::Serialize;

/// `data` of `session.passkey`: published at each step. `connection.status` reports the success.
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
