//! The idempotency key, with which a send is sent once: what callers may choose, and what is derived from it.

use super::{SendContact, SendLocation, SendMedia, SendText};
use crate::{address::ChatJid, session::SessionId};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{str::FromStr, time::Duration};

/// The KV bucket of the used keys, each under [`IdempotencyKey::of`].
pub const IDEMPOTENCY_BUCKET: &str = "idempotency_keys";
/// How long a key is remembered. A caller repeats a send within hours.
pub const IDEMPOTENCY_LASTS: Duration = Duration::from_secs(24 * 60 * 60);
/// UUIDs have 36 characters. The limit leaves room for composed names.
const LONGEST: usize = 255;

/// 1 to 255 visible ASCII characters, chosen by the caller.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct IdempotencyKey(String);

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("Idempotency-Key must be 1 to 255 visible ASCII characters")]
pub struct InvalidIdempotencyKey;

impl IdempotencyKey {
    /// The key in the bucket: 32 hex digits, because a caller's key may hold characters that NATS does not take.
    #[must_use]
    pub fn of(&self, session: &SessionId) -> String {
        hex::encode(&self.hash(session)[..16])
    }

    /// The id of the message that is sent under this key, in the form of WhatsApp Web's ids.
    #[must_use]
    pub fn message_id(&self, session: &SessionId) -> String {
        // Other bytes than those for the bucket.
        format!("3EB0{}", hex::encode(&self.hash(session)[16..25]).to_uppercase())
    }

    /// The prefix of the keys for a job's messages.
    pub(crate) fn of_job(id: &str) -> Self {
        Self(id.to_owned())
    }

    /// The key of one of several messages that were sent under this key.
    #[must_use]
    pub fn part(&self, index: usize) -> Self {
        Self(format!("{}/{index}", self.0))
    }

    fn hash(&self, session: &SessionId) -> [u8; 32] {
        hash(&[session.as_str(), &self.0])
    }
}

impl FromStr for IdempotencyKey {
    type Err = InvalidIdempotencyKey;

    fn from_str(key: &str) -> Result<Self, InvalidIdempotencyKey> {
        let fits = (1..=LONGEST).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic());
        if fits { Ok(Self(key.to_owned())) } else { Err(InvalidIdempotencyKey) }
    }
}

impl SendText {
    /// Equal for the same message to the same chat, and for no other message.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        // A reply to the empty id is no reply.
        let mut parts = vec![self.to.as_str(), &self.text, self.quoted.as_deref().unwrap_or_default()];
        // Missing fields do not enter the hash, because an earlier release did not know them.
        if self.quoted_participant.is_some() || !self.mentions.is_empty() {
            parts.push(self.quoted_participant.as_ref().map(ChatJid::as_str).unwrap_or_default());
            parts.extend(self.mentions.iter().map(ChatJid::as_str));
        }
        if self.mention_all {
            parts.push("all");
        }
        fingerprint(&parts)
    }
}

impl SendLocation {
    /// Equal for the same location to the same chat, and for no other message.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let (latitude, longitude) = (self.latitude.to_string(), self.longitude.to_string());
        let quoted = self.quoted.as_deref().unwrap_or_default();
        hex::encode(hash(&["location", self.to.as_str(), &latitude, &longitude, &self.name, &self.address, quoted]))
    }
}

impl SendContact {
    /// Equal for the same contact to the same chat, and for no other message.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let quoted = self.quoted.as_deref().unwrap_or_default();
        hex::encode(hash(&["contact", self.to.as_str(), &self.display_name, &self.vcard, quoted]))
    }
}

impl SendMedia {
    /// Equal for the same file to the same chat, wherever the file is stored, and for no other message.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let flag = |flag: bool| if flag { "1" } else { "" };
        hex::encode(hash(&[
            "media",
            self.to.as_str(),
            self.kind.as_str(),
            // The name of a received file is unique.
            self.file.sha256.as_deref().unwrap_or(&self.file.object),
            &self.mimetype,
            &self.caption,
            self.file_name.as_deref().unwrap_or_default(),
            flag(self.view_once),
            flag(self.gif_playback),
            self.quoted.as_deref().unwrap_or_default(),
        ]))
    }
}

/// Equal for the same parts, and for no others.
pub(super) fn fingerprint(parts: &[&str]) -> String {
    hex::encode(hash(parts))
}

pub(crate) fn hash(parts: &[&str]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        // The length in front distinguishes ("ab", "c") from ("a", "bc").
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{FilePreview, FileToSend, MediaKind};

    fn key(key: &str) -> IdempotencyKey {
        key.parse().expect("a key")
    }

    #[test]
    fn a_key_is_visible_ascii_of_a_bounded_length() {
        for bad in ["", "a b", "ü", "a\n", &"x".repeat(256)] {
            assert_eq!(bad.parse::<IdempotencyKey>(), Err(InvalidIdempotencyKey), "{bad:?}");
        }
        assert!("x".repeat(255).parse::<IdempotencyKey>().is_ok());
    }

    #[test]
    fn the_same_key_of_a_session_is_the_same_message_and_no_other_is() {
        let (default, sales) = (SessionId::default(), "sales".parse::<SessionId>().expect("a session"));
        let id = key("order-7").message_id(&default);
        assert_eq!(id, key("order-7").message_id(&default));
        assert_eq!((id.len(), &id[..4]), (22, "3EB0"));
        for other in [key("order-7").message_id(&sales), key("order-8").message_id(&default)] {
            assert_ne!(id, other);
        }
        assert_ne!(key("a").part(0).of(&default), key("a").part(1).of(&default));
    }

    #[test]
    fn a_fingerprint_tells_messages_apart() {
        let text = |to: &str, text: &str, quoted: Option<&str>| {
            let to = to.parse().expect("a recipient");
            SendText { quoted: quoted.map(str::to_owned), ..SendText::new(to, text) }.fingerprint()
        };
        let first = text("6281234567890", "a", None);
        assert_eq!(first, text("+62 812-3456-7890", "a", None));
        for other in
            [text("6281234567891", "a", None), text("6281234567890", "b", None), text("6281234567890", "a", Some("b"))]
        {
            assert_ne!(first, other);
        }
        let to: ChatJid = "6281234567890".parse().expect("a recipient");
        let plain = SendText::new(to.clone(), "a");
        let mention = SendText { mentions: vec![to.clone()], ..plain.clone() }.fingerprint();
        let writer = SendText { quoted_participant: Some(to), ..plain.clone() }.fingerprint();
        assert!(plain.fingerprint() == first && mention != first && writer != first && mention != writer);
    }

    #[test]
    fn a_file_is_the_same_under_any_name_of_its_object() {
        let media = |object: &str, sha256: &str, view_once: bool| SendMedia {
            to: "6281234567890".parse().expect("a recipient"),
            kind: MediaKind::Image,
            file: FileToSend {
                object: object.to_owned(),
                received: false,
                size: Some(3),
                sha256: Some(sha256.to_owned()),
            },
            mimetype: "image/png".to_owned(),
            caption: String::new(),
            file_name: None,
            view_once,
            gif_playback: false,
            preview: FilePreview::default(),
            quoted: None,
            quote: None,
            idempotency_key: None,
        };
        let first = media("a", "01", false).fingerprint();
        assert_eq!(first, media("b", "01", false).fingerprint());
        for other in [media("a", "02", false), media("a", "01", true)] {
            assert_ne!(first, other.fingerprint());
        }
    }
}
