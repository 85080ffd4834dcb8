//! What events tell that are about no message: a session's connection, a group's people, somebody's presence.

use super::fields::Fields;
use kurir_contract::session::SessionStatus;
use serde::Deserialize as _;

/// Where a session stands, as far as the other gateways tell states apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connection {
    Open,
    /// Under way, whether it was there before or not.
    Connecting,
    /// A QR code waits.
    Pairing,
    /// Ended; nothing happens by itself.
    Ended(SessionStatus),
}

impl Connection {
    /// None if neither Kurir's own nor the contract's field says it.
    pub fn of(data: Fields<'_>) -> Option<Self> {
        let status = data.get("status").and_then(|status| SessionStatus::deserialize(status).ok());
        Some(match status {
            Some(SessionStatus::Connected) => Self::Open,
            Some(SessionStatus::Pairing) => Self::Pairing,
            Some(SessionStatus::Connecting | SessionStatus::Reconnecting | SessionStatus::WaitingForBroker) => {
                Self::Connecting
            }
            Some(
                end @ (SessionStatus::LoggedOut
                | SessionStatus::Replaced
                | SessionStatus::Banned
                | SessionStatus::Locked
                | SessionStatus::Outdated
                | SessionStatus::Refused),
            ) => Self::Ended(end),
            // A later Kurir's state, or another publisher's event.
            None if data.is_true("isConnected") => Self::Open,
            None if data.text("qrCode").is_some() => Self::Pairing,
            None if data.get("isConnected").is_some() => Self::Connecting,
            None => return None,
        })
    }
}

/// What happened to people in a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Added,
    Removed,
    Promoted,
    Demoted,
}

impl Change {
    pub fn of(data: Fields<'_>) -> Option<Self> {
        match data.first_text(&["action", "change", "type"])? {
            "add" | "added" | "join" | "joined" => Some(Self::Added),
            "remove" | "removed" | "leave" | "left" => Some(Self::Removed),
            "promote" | "promoted" => Some(Self::Promoted),
            "demote" | "demoted" => Some(Self::Demoted),
            _ => None,
        }
    }
}

/// The group that an event is about.
pub fn group_id(data: Fields<'_>) -> Option<&str> {
    data.first_text(&["group", "groupId", "chat", "chatId", "from", "id"])
}

/// What somebody does at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doing {
    Available,
    Unavailable,
    Composing,
    Recording,
    Paused,
}

/// Somebody's presence in a chat.
pub struct Presence<'a> {
    pub chat: &'a str,
    pub who: &'a str,
    pub doing: Doing,
    /// Seconds since 1970.
    pub last_seen: Option<i64>,
}

impl<'a> Presence<'a> {
    pub fn of(data: Fields<'a>) -> Option<Self> {
        let chat = data.first_text(&["chat", "chatId", "from", "id"])?;
        let doing = match data.first_text(&["presence", "state", "status"])? {
            "available" | "online" => Doing::Available,
            "unavailable" | "offline" => Doing::Unavailable,
            "composing" | "typing" => Doing::Composing,
            "recording" => Doing::Recording,
            "paused" => Doing::Paused,
            _ => return None,
        };
        let who = data.first_text(&["participant", "from"]).unwrap_or(chat);
        Some(Self { chat, who, doing, last_seen: data.seconds("lastSeen") })
    }
}
