//! The chat of an event, as a token of a subject.

use crate::session::SessionId;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use std::{borrow::Cow, fmt, str::FromStr};

/// A hash of session and chat. A JID does not fit into a subject, and must not be readable there.
///
/// Two of a million chats share a token with a probability of one in thirty million. Their events then wait for each
/// other; nothing else happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChatToken(u64);

/// The error of a text that is no token.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no token of a chat: it has 16 hex digits")]
pub struct InvalidChatToken(String);

/// The fields of an event's `data` that name its chat.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ChatFields<'a> {
    #[serde(borrow)]
    from: Option<Cow<'a, str>>,
    #[serde(borrow)]
    to: Option<Cow<'a, str>>,
    #[serde(borrow)]
    chat: Option<ChatAddress<'a>>,
}

/// The canonical address of a chat.
#[derive(Deserialize)]
struct ChatAddress<'a> {
    #[serde(borrow)]
    jid: Cow<'a, str>,
}

/// The part of an event's envelope that is read.
#[derive(Deserialize)]
struct ChatEnvelope<'a> {
    #[serde(borrow)]
    data: ChatFields<'a>,
}

impl ChatToken {
    /// The token of an event's chat; `envelope` is the event as it is stored. All events of a session that name no chat, or
    /// are no envelope, share one token.
    #[must_use]
    pub fn from_event(session: &SessionId, envelope: &[u8]) -> Self {
        let data = serde_json::from_slice::<ChatEnvelope<'_>>(envelope).map(|read| read.data).unwrap_or_default();
        let chat = data.from.or(data.to).or(data.chat.map(|chat| chat.jid)).unwrap_or_default();
        // No session's name has a slash.
        let hash = Sha256::new().chain_update(session.as_str()).chain_update("/").chain_update(&*chat).finalize();
        Self(hash.iter().take(8).fold(0, |token, byte| token << 8 | u64::from(*byte)))
    }
}

impl From<u64> for ChatToken {
    fn from(token: u64) -> Self {
        Self(token)
    }
}

impl fmt::Display for ChatToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for ChatToken {
    type Err = InvalidChatToken;

    fn from_str(token: &str) -> Result<Self, Self::Err> {
        match u64::from_str_radix(token, 16) {
            Ok(hash) if token.len() == 16 => Ok(Self(hash)),
            Ok(_) | Err(_) => Err(InvalidChatToken(token.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(session: &str, envelope: &str) -> ChatToken {
        ChatToken::from_event(&session.parse().unwrap_or_default(), envelope.as_bytes())
    }

    #[test]
    fn what_is_about_one_chat_of_one_session_has_one_token() {
        let received = token("a", r#"{"event": "message.received", "data": {"from": "1@s.whatsapp.net", "x": 1}}"#);
        for (session, envelope, same) in [
            ("a", r#"{"event": "message.sent", "data": {"to": "1@s.whatsapp.net"}}"#, true),
            ("a", r#"{"data": {"chat": {"jid": "1\u0040s.whatsapp.net", "lid": "2@lid"}}}"#, true),
            ("b", r#"{"data": {"from": "1@s.whatsapp.net"}}"#, false),
            ("a", r#"{"data": {"from": "2@s.whatsapp.net"}}"#, false),
            ("a", r#"{"data": {"chat": {"jid": "2@lid"}}}"#, false),
            ("a", r#"{"data": {"isConnected": true}}"#, false),
        ] {
            assert_eq!(token(session, envelope) == received, same, "{session} {envelope}");
        }
        let of_no_chat = token("a", r#"{"data": {"isConnected": true}}"#);
        for envelope in ["", "{}", "no JSON", r#"{"data": {"from": 5}}"#, r#"{"data": null}"#] {
            assert_eq!(token("a", envelope), of_no_chat, "{envelope}");
        }
    }

    #[test]
    fn a_token_is_read_back_as_it_was_written() {
        let token = token("a", "");
        assert_eq!(token.to_string().parse(), Ok(token));
        for wrong in ["-", "", "0", "+123456789abcdef0", "g123456789abcdef"] {
            assert!(wrong.parse::<ChatToken>().is_err(), "{wrong}");
        }
    }
}
