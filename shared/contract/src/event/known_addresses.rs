//! The fields that every event about a chat has: which chat, who did it, in which session.
//!
//! A person has one canonical address, and up to two addresses that WhatsApp knows: a phone number and a LID.

use super::EventId;
use crate::{address::ChatJid, session::SessionId};
use serde::{Deserialize, Serialize};

/// All known addresses of a person or a chat. An unknown address is null; none is guessed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct KnownAddresses {
    /// The canonical address: by number if the number is known, else by LID. A group has its own.
    pub jid: ChatJid,
    /// `…@s.whatsapp.net`; null if it is unknown, and for a group.
    pub pn: Option<ChatJid>,
    /// `…@lid`; null if it is unknown, and for a group.
    pub lid: Option<ChatJid>,
}

impl KnownAddresses {
    /// The addresses of a group, or of a person of whom only this address is known.
    #[must_use]
    pub fn from_jid(jid: ChatJid) -> Self {
        let pn = (jid.server() == "s.whatsapp.net").then(|| jid.clone());
        let lid = jid.is_lid().then(|| jid.clone());
        Self { jid, pn, lid }
    }
}

/// The chat of an event and the person who caused it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct EventOrigin {
    /// The chat's canonical address, also if the account itself wrote: an answer to it goes to the chat.
    pub from: ChatJid,
    /// The chat that the event belongs to.
    pub chat: KnownAddresses,
    /// The person who wrote, reacted, read, voted, …
    pub author: KnownAddresses,
    /// The author's canonical address in a group or a broadcast; null in a direct chat.
    pub participant: Option<ChatJid>,
    /// Whether the author is this account, on any of its devices.
    pub from_me: bool,
    /// The session that received the event.
    pub session: SessionId,
    /// The event's id. The header `webhook-id` has it, too.
    pub event_id: EventId,
    /// The fields that lost something because the event was too large for NATS, as `content.text` or `reply.quoted`; absent
    /// if the event is whole.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub truncated: Vec<String>,
    /// How many bytes the event had before it was made smaller for NATS; absent if it was not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub original_bytes: Option<u64>,
}
