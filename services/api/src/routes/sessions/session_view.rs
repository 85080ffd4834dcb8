//! A session as its routes show it.

use kurir_contract::{
    command::SessionInfo,
    session::{SessionId, SessionStatus},
    session_record::{DesiredState, SessionRecord},
};
use schemars::JsonSchema;
use serde::Serialize;
use std::{collections::BTreeMap, time::Duration};

/// A session.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionView {
    id: SessionId,
    name: Option<String>,
    metadata: BTreeMap<String, String>,
    desired: DesiredState,
    /// The session's state at WhatsApp; null while no gateway runs it.
    status: Option<SessionStatus>,
    /// Whether messages arrive and can be sent.
    is_connected: bool,
    /// The account's address; null until it is paired.
    jid: Option<String>,
    /// Each is null if the session is as its gateway.
    mark_online: Option<bool>,
    history_sync: Option<bool>,
    status_broadcast: Option<bool>,
    media_download: Option<bool>,
    send_gap: Option<String>,
    new_chats_per_day: Option<u32>,
    /// A password in it is `••••`.
    proxy: Option<String>,
    /// ISO 8601; null for `default`, which needs no record.
    created_at: Option<String>,
    updated_at: Option<String>,
}

impl SessionView {
    pub fn id(&self) -> &SessionId {
        &self.id
    }

    /// The state by which lists are filtered.
    pub fn state_name(&self) -> &'static str {
        match (self.desired, self.status) {
            (DesiredState::Running, Some(status)) => status.as_str(),
            (DesiredState::Running, None) => "moving",
            (DesiredState::Stopped | DesiredState::Deleted, _) => "stopped",
        }
    }

    /// `info` is the answer of the session's gateway, if one runs it.
    pub fn new(id: SessionId, record: SessionRecord, info: Option<SessionInfo>) -> Self {
        let settings = record.settings;
        let gap = |ms| humantime::format_duration(Duration::from_millis(ms)).to_string();
        let time = |time: String| Some(time).filter(|time| !time.is_empty());
        Self {
            id,
            name: record.name,
            metadata: record.metadata,
            desired: record.desired,
            status: info.as_ref().map(|info| info.status),
            is_connected: info.as_ref().is_some_and(|info| info.is_connected),
            jid: info.and_then(|info| info.jid).map(|jid| jid.to_string()),
            mark_online: settings.mark_online,
            history_sync: settings.history_sync,
            status_broadcast: settings.status_broadcast,
            media_download: settings.media_download,
            send_gap: settings.send_gap_ms.map(gap),
            new_chats_per_day: settings.new_chats_per_day,
            proxy: settings.proxy.map(|proxy| proxy.masked()),
            created_at: time(record.created_at),
            updated_at: time(record.updated_at),
        }
    }
}
