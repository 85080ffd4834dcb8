//! Events that are about no message: a session's connection, a group's people, a person's presence.

use crate::delivery::format::fields::JsonFields;
use kurir_contract::session::SessionStatus;
use serde::Deserialize as _;
use serde_json::Value;

/// A session's state, as far as the other gateways distinguish states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionState {
    Open,
    /// Under way, whether it was connected before or not.
    Connecting,
    /// A QR code waits to be scanned.
    Pairing,
    /// Ended; nothing happens without the user.
    Ended(SessionStatus),
}

impl ConnectionState {
    /// None if neither Kurir's field nor the API contract's says it.
    pub fn parse(data: JsonFields<'_>) -> Option<Self> {
        let status = data.get("status").and_then(|status| SessionStatus::deserialize(status).ok());
        Some(match status {
            Some(SessionStatus::Connected) => Self::Open,
            Some(SessionStatus::Pairing) => Self::Pairing,
            Some(
                SessionStatus::Connecting
                | SessionStatus::Reconnecting
                | SessionStatus::ProxyUnavailable
                | SessionStatus::WaitingForBroker
                | SessionStatus::StorageFull
                | SessionStatus::StorageRefused
                | SessionStatus::StorageUnavailable,
            ) => Self::Connecting,
            Some(
                end @ (SessionStatus::LoggedOut
                | SessionStatus::Replaced
                | SessionStatus::Banned
                | SessionStatus::Locked
                | SessionStatus::Outdated
                | SessionStatus::Refused
                | SessionStatus::Damaged),
            ) => Self::Ended(end),
            // A state of a later Kurir, or another publisher's event.
            None if data.is_true("isConnected") => Self::Open,
            None if data.text("qrCode").is_some() => Self::Pairing,
            None if data.get("isConnected").is_some() => Self::Connecting,
            None => return None,
        })
    }
}

/// What happened to people in a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParticipantChange {
    Added,
    Removed,
    Promoted,
    Demoted,
}

impl ParticipantChange {
    pub fn parse(data: JsonFields<'_>) -> Option<Self> {
        match data.text("action")? {
            "add" => Some(Self::Added),
            "remove" => Some(Self::Removed),
            "promote" => Some(Self::Promoted),
            "demote" => Some(Self::Demoted),
            // The other gateways do not report a new number or requests to join.
            _ => None,
        }
    }
}

/// The group that an event is about.
pub fn group_id(data: JsonFields<'_>) -> Option<&str> {
    data.address(&["chat"])
}

/// A change of a group that the other gateways have a field for.
pub enum GroupChange<'a> {
    Subject(&'a str),
    /// None if it was deleted.
    Description(Option<&'a str>),
    /// Whether only administrators may write.
    Announcement(bool),
    /// Whether only administrators may change the group's data.
    Locked(bool),
    /// Whether an administrator must let new members in.
    Approval(bool),
    /// After how many seconds messages disappear.
    Expiration(i64),
    /// Whether every member may add others.
    MembersAdd(bool),
}

impl<'a> GroupChange<'a> {
    pub fn parse(data: JsonFields<'a>) -> Option<Self> {
        let details = data.within("details");
        let flag = |name: &str| details.get(name).and_then(Value::as_bool);
        match data.text("change")? {
            "subject" => details.text("subject").map(Self::Subject),
            "description" => Some(Self::Description(details.text("description"))),
            "announcement" => flag("announcement").map(Self::Announcement),
            "locked" => flag("locked").map(Self::Locked),
            "approval" => flag("required").map(Self::Approval),
            "expiration" => details.get("seconds").and_then(Value::as_i64).map(Self::Expiration),
            "member_add_mode" => match details.text("mode")? {
                "all_member_add" => Some(Self::MembersAdd(true)),
                "admin_add" => Some(Self::MembersAdd(false)),
                _ => None,
            },
            _ => None,
        }
    }
}

/// A call: who calls whom.
pub struct CallView<'a> {
    pub id: &'a str,
    pub chat: &'a str,
    pub from: &'a str,
    pub is_video: bool,
    pub is_group: bool,
    pub end: Option<CallEnd>,
}

/// What another device of this account did with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallEnd {
    Accepted,
    Rejected,
}

impl<'a> CallView<'a> {
    pub fn parse(data: JsonFields<'a>) -> Option<Self> {
        let from = data.address(&["author"])?;
        Some(Self {
            id: data.first_text(&["callId"])?,
            chat: data.address(&["group", "chat"]).unwrap_or(from),
            from,
            is_video: data.is_true("video"),
            is_group: data.get("group").is_some(),
            end: match data.text("reason") {
                Some("accepted_elsewhere") => Some(CallEnd::Accepted),
                Some("rejected_elsewhere") => Some(CallEnd::Rejected),
                Some(_) | None => None,
            },
        })
    }
}

/// What a person does at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PresenceState {
    Available,
    Unavailable,
    Composing,
    Recording,
    Paused,
}

/// A person's presence in a chat.
pub struct PresenceView<'a> {
    pub chat: &'a str,
    pub who: &'a str,
    pub doing: PresenceState,
    /// Seconds since 1970.
    pub last_seen: Option<i64>,
}

impl<'a> PresenceView<'a> {
    pub fn parse(data: JsonFields<'a>) -> Option<Self> {
        let chat = data.address(&["chat"])?;
        let doing = match data.text("presence")? {
            "available" => PresenceState::Available,
            "unavailable" => PresenceState::Unavailable,
            "composing" => PresenceState::Composing,
            "recording" => PresenceState::Recording,
            "paused" => PresenceState::Paused,
            _ => return None,
        };
        let who = data.address(&["author"]).unwrap_or(chat);
        Some(Self { chat, who, doing, last_seen: data.seconds("lastSeen") })
    }
}
