//! A key as NATS keeps it: never the key itself, only its SHA-256.

use super::scope::Scope;
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use kurir_contract::{clock, session::SessionId};
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// The KV bucket of the keys; the key there is the id.
pub const KEYS_BUCKET: &str = "api_keys";
/// So that a key is recognised where it should not be, by scanners too.
const PREFIX: &str = "kurir_";
/// Characters that a list shows of a key.
const SHOWN: usize = 12;

/// A key, without the key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyRecord {
    pub id: String,
    pub name: String,
    /// SHA-256 in hex.
    pub hash: String,
    /// The first characters.
    pub starts_with: String,
    pub scopes: Vec<Scope>,
    /// Empty: all sessions.
    #[serde(default)]
    pub sessions: Vec<SessionId>,
    /// ISO 8601; none: never.
    #[serde(default)]
    pub expires_at: Option<String>,
    /// None: no limit.
    #[serde(default)]
    pub requests_per_minute: Option<u32>,
    pub created_at: String,
    /// The id of the key that made it.
    pub created_by: String,
}

/// What a caller asks of a new key.
pub struct NewKey {
    pub name: String,
    pub scopes: Vec<Scope>,
    pub sessions: Vec<SessionId>,
    pub expires_at: Option<OffsetDateTime>,
    pub requests_per_minute: Option<u32>,
}

impl KeyRecord {
    /// Makes a key of 256 random bits; the second value is the key, which is nowhere else.
    pub fn create(new: NewKey, created_by: &str) -> (Self, String) {
        let (id, secret): ([u8; 8], [u8; 32]) = (rand::random(), rand::random());
        let key = format!("{PREFIX}{}", BASE64_URL_SAFE_NO_PAD.encode(secret));
        let NewKey { name, mut scopes, sessions, expires_at, requests_per_minute } = new;
        scopes.sort_unstable();
        scopes.dedup();
        let record = Self {
            id: format!("key_{}", hex::encode(id)),
            name,
            hash: hash_key(key.as_bytes()),
            starts_with: key[..SHOWN].to_owned(),
            scopes,
            sessions,
            expires_at: expires_at.map(clock::iso),
            requests_per_minute,
            created_at: clock::now_iso(),
            created_by: created_by.to_owned(),
        };
        (record, key)
    }

    /// A time that cannot be read is over.
    pub fn is_valid(&self, now: OffsetDateTime) -> bool {
        self.expires_at.as_deref().is_none_or(|until| clock::parse(until).is_some_and(|until| until > now))
    }
}

/// How a key is looked up. 256 random bits need no salt and no slow hash.
pub fn hash_key(key: &[u8]) -> String {
    hex::encode(digest(&SHA256, key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::Duration;

    #[test]
    fn a_record_has_nothing_of_the_key_but_its_beginning() {
        let now = OffsetDateTime::now_utc();
        let new = NewKey {
            name: "CRM".to_owned(),
            scopes: vec![Scope::Send, Scope::Read, Scope::Send],
            sessions: Vec::new(),
            expires_at: Some(now + Duration::hours(1)),
            requests_per_minute: None,
        };
        let (record, key) = KeyRecord::create(new, "environment");
        assert_eq!((key.len(), record.hash == hash_key(key.as_bytes())), (PREFIX.len() + 43, true));
        assert!(!serde_json::to_string(&record).expect("JSON").contains(&key[SHOWN..]));
        assert_eq!(record.scopes, [Scope::Read, Scope::Send]);
        assert!(record.is_valid(now) && !record.is_valid(now + Duration::hours(2)));
    }
}
