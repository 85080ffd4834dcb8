//! Which chat an event is about, as a token of a subject. Pure.

use crate::session::SessionId;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use std::{borrow::Cow, fmt, str::FromStr};

/// A hash of session and chat: a JID does not fit into a subject, and is nobody's business there. Of a million chats
/// two have the same token with a chance of one in thirty million; they wait for each other then, and nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChatToken(u64);

/// What [`ChatToken`] refuses.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no token of a chat: it has 16 hex digits")]
pub struct InvalidChatToken(String);

/// Where an event's `data` names its chat.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Data<'a> {
    #[serde(borrow)]
    from: Option<Cow<'a, str>>,
    #[serde(borrow)]
    to: Option<Cow<'a, str>>,
    #[serde(borrow)]
    chat: Option<Party<'a>>,
}

/// The chat under its canonical address.
#[derive(Deserialize)]
struct Party<'a> {
    #[serde(borrow)]
    jid: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    data: Data<'a>,
}

impl ChatToken {
    /// `envelope`: an event as it is stored. One that names no chat, or is no envelope, is of a chat of its own by
    /// session.
    #[must_use]
    pub fn of(session: &SessionId, envelope: &[u8]) -> Self {
        let data = serde_json::from_slice::<Envelope<'_>>(envelope).map(|read| read.data).unwrap_or_default();
        let chat = data.from.or(data.to).or(data.chat.map(|chat| chat.jid)).unwrap_or_default();
        // No session's name holds a slash.
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
        ChatToken::of(&session.parse().unwrap_or_default(), envelope.as_bytes())
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
