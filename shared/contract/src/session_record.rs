//! What Kurir remembers of a session besides its keys: who made it, how it differs from the gateway's settings, and whether
//! it shall run. The records are the bucket [`SESSIONS_BUCKET`]; a key is the session's id.
//!
//! The session `default` needs no record. Without one it runs, as the gateway's settings say.

use crate::proxy_url::ProxyUrl;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The bucket of the records.
pub const SESSIONS_BUCKET: &str = "sessions";
/// The most entries of [`SessionRecord::metadata`].
pub const MOST_METADATA: usize = 50;
/// The most bytes of a key of the metadata.
pub const LONGEST_METADATA_KEY: usize = 64;
/// The most bytes of a value of the metadata.
pub const LONGEST_METADATA_VALUE: usize = 500;

/// One session.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SessionRecord {
    /// A name for people.
    pub name: Option<String>,
    /// Texts that each event of the session carries as `data.sessionMetadata`.
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
    #[serde(default)]
    pub settings: SessionSettings,
    #[serde(default)]
    pub desired: DesiredState,
    /// ISO 8601.
    #[serde(default)]
    pub created_at: String,
    #[serde(default)]
    pub updated_at: String,
    /// The id of the folder of sessions that has the keys, once a gateway has taken the session.
    #[serde(default)]
    pub home: Option<String>,
    /// Whether keys are on their way that were made elsewhere. A session without keys shows no QR code meanwhile.
    #[serde(default)]
    pub awaits_keys: bool,
}

/// How a session differs from the settings of its gateway; absent: as the gateway.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SessionSettings {
    /// As `WHATSAPP_MARK_ONLINE`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mark_online: Option<bool>,
    /// As `WHATSAPP_HISTORY_SYNC`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history_sync: Option<bool>,
    /// As `WHATSAPP_STATUS_BROADCAST`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_broadcast: Option<bool>,
    /// As `MEDIA_DOWNLOAD`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_download: Option<bool>,
    /// As `SEND_GAP`, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub send_gap_ms: Option<u64>,
    /// As `NEW_CHATS_PER_DAY`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new_chats_per_day: Option<u32>,
    /// As `WHATSAPP_PROXY`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub proxy: Option<ProxyUrl>,
}

/// What shall be with a session. A gateway brings it about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum DesiredState {
    #[default]
    Running,
    /// No gateway connects it until it is started.
    Stopped,
    /// A gateway wipes the keys and removes the record.
    Deleted,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_of_an_earlier_version_can_be_read() {
        let record: SessionRecord = serde_json::from_str(r#"{"name":"Sales"}"#).expect("a record");
        assert_eq!((record.desired, record.settings), (DesiredState::Running, SessionSettings::default()));
        let text = serde_json::to_string(&SessionRecord { desired: DesiredState::Deleted, ..SessionRecord::default() });
        assert!(text.expect("JSON").contains(r#""desired":"deleted""#));
    }
}
