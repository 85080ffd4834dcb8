//! Who and where: what every event about a chat says beside its own fields.
//!
//! One person is one canonical address, and under it both names that WhatsApp has for him: his number and his LID.

use super::EventId;
use crate::{address::ChatJid, session::SessionId};
use serde::Serialize;

/// A person or a chat, under every address that is known. What is not known is null, never guessed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct KnownAddresses {
    /// The canonical address: by number where the number is known, else by LID; of a group its own.
    pub jid: ChatJid,
    /// `…@s.whatsapp.net`; null if unknown, and of what is no person.
    pub pn: Option<ChatJid>,
    /// `…@lid`; null if unknown, and of what is no person.
    pub lid: Option<ChatJid>,
}

impl KnownAddresses {
    /// Somebody of whom only one address is known, or a group.
    #[must_use]
    pub fn of(jid: ChatJid) -> Self {
        let pn = (jid.server() == "s.whatsapp.net").then(|| jid.clone());
        let lid = jid.is_lid().then(|| jid.clone());
        Self { jid, pn, lid }
    }
}

/// Where an event belongs and whose doing it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct EventOrigin {
    /// The chat.
    pub chat: KnownAddresses,
    /// Who did it: wrote, reacted, read, voted, …
    pub author: KnownAddresses,
    /// The author again, canonical, in a group or a broadcast; null in a direct chat.
    pub participant: Option<ChatJid>,
    /// Whether the author is this account, on this or another of its devices.
    pub from_me: bool,
    /// The session that saw it.
    pub session: SessionId,
    /// The event's id, also in the header `webhook-id`.
    pub event_id: EventId,
    /// The fields that lost something because the event was too large for NATS, as `content.text` or `reply.quoted`; absent
    /// if it is whole.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub truncated: Vec<String>,
}
