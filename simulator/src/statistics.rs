//! Counts of what crossed the sockets, by stanza and direction, since the start.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

#[derive(Debug, Default, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TrafficStatistics {
    /// Stanzas by tag, as they came from clients.
    pub from_client: BTreeMap<String, u64>,
    /// Stanzas by tag, as they were written to clients.
    pub to_client: BTreeMap<String, u64>,
    pub connections_accepted: u64,
    pub handshakes_failed: u64,
    pub handshakes: BTreeMap<&'static str, u64>,
    pub logins: u64,
    pub pairings: u64,
    /// Patches of settings that the account's phone could not read, or whose MACs are wrong.
    pub unreadable_patches: u64,
    pub decryption_failures: u64,
    pub retry_requests_from_client: u64,
    pub retry_requests_to_client: u64,
    pub nacks: u64,
    /// Receipts that do not name the device that wrote the message, and so acknowledge nothing.
    pub receipts_without_device: u64,
    pub prekey_uploads: u64,
    pub unanswered_iqs: BTreeMap<String, u64>,
}

/// Tags come from the client. More kinds than WhatsApp has are not counted.
const MAX_KINDS: usize = 64;

impl TrafficStatistics {
    pub fn came(&mut self, tag: &str) {
        count(&mut self.from_client, tag);
    }

    pub fn went(&mut self, tag: &str) {
        count(&mut self.to_client, tag);
    }

    pub fn unanswered(&mut self, namespace: &str) {
        count(&mut self.unanswered_iqs, namespace);
    }
}

fn count(counts: &mut BTreeMap<String, u64>, name: &str) {
    if let Some(count) = counts.get_mut(name) {
        *count += 1;
    } else if counts.len() < MAX_KINDS {
        counts.insert(name.to_owned(), 1);
    }
}
