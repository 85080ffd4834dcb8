//! The id of an event: the same occurrence has the same id, however often WhatsApp reports it.

use super::EventType;
use crate::{address::ChatJid, session::SessionId};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;

/// `evt_` and 32 hex digits. It is the header `Nats-Msg-Id` in EVENTS and `webhook-id` at the receiver.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(with = "String"))]
pub struct EventId(String);

/// The parts that identify an event. Addresses are canonical: one person has one address.
#[derive(Clone, Copy, Debug)]
pub struct EventIdentity<'a> {
    pub session: &'a SessionId,
    pub event: &'a EventType,
    pub chat: &'a ChatJid,
    pub sender: &'a ChatJid,
    pub message_id: &'a str,
    /// Distinguishes events about one message: the kind of receipt and its reader, the edit, …; else empty.
    pub variant: &'a str,
}

impl EventId {
    /// The id of an event about a message.
    #[must_use]
    pub fn from_identity(identity: &EventIdentity<'_>) -> Self {
        let mut hash = Sha256::new();
        for part in [
            identity.session.as_str(),
            identity.event.as_str(),
            identity.chat.as_str(),
            identity.sender.as_str(),
            identity.message_id,
            identity.variant,
        ] {
            // The length in front keeps ("ab", "c") and ("a", "bc") apart.
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        Self::from_bytes(&hash.finalize()[..16])
    }

    /// The id of an event without a message id. The caller makes it once, before the first try to publish.
    #[must_use]
    pub fn random() -> Self {
        Self::from_bytes(&rand::random::<[u8; 16]>())
    }

    /// The id of an event that another program stored without `Nats-Msg-Id`.
    #[must_use]
    pub fn from_sequence(stream_sequence: u64) -> Self {
        Self(format!("evt_seq{stream_sequence}"))
    }

    /// The id of an event about this one: the same for the same `of_what`.
    #[must_use]
    pub fn derived(&self, of_what: &str) -> Self {
        let mut hash = Sha256::new();
        for part in [self.0.as_str(), of_what] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        Self::from_bytes(&hash.finalize()[..16])
    }

    /// Takes an id as a header has it.
    #[must_use]
    pub fn from_header(id: &str) -> Self {
        Self(id.to_owned())
    }

    fn from_bytes(bytes: &[u8]) -> Self {
        Self(format!("evt_{}", hex::encode(bytes)))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(chat: &str, message_id: &str, variant: &str) -> EventId {
        let (session, chat) = (SessionId::default(), ChatJid::from_whatsapp(chat));
        EventId::from_identity(&EventIdentity {
            session: &session,
            event: &EventType::MESSAGE_RECEIVED,
            chat: &chat,
            sender: &chat,
            message_id,
            variant,
        })
    }

    #[test]
    fn the_same_message_has_the_same_id_and_no_other_has() {
        let first = id("628@s.whatsapp.net", "3EB0", "");
        assert_eq!(first, id("628:4@s.whatsapp.net", "3EB0", ""));
        assert_ne!(first, id("629@s.whatsapp.net", "3EB0", ""));
        assert_ne!(first, id("628@s.whatsapp.net", "3EB", "0"));
        assert_eq!(first.as_str().len(), 36);
    }

    #[test]
    fn a_derived_id_is_the_same_for_the_same_and_no_other() {
        let event = EventId::from_sequence(7);
        assert_eq!(event.derived("default live"), event.derived("default live"));
        assert_ne!(event.derived("default live"), event.derived("other live"));
        assert_ne!(event.derived("default live"), EventId::from_sequence(8).derived("default live"));
    }
}
