//! A companion and its queue as they are written.

use std::collections::{BTreeSet, VecDeque};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use wacore_binary::{OwnedNodeRef, marshal};

use super::base64_bytes::Base64Bytes;
use crate::{
    ledger::RecordKey,
    offline_queue::{OfflineQueue, QueueEntry, StanzaClass},
    people::CompanionDevice,
    phone_number::PhoneNumber,
    signal::CompanionKeys,
};

fn yes() -> bool {
    true
}

#[derive(Serialize, Deserialize)]
pub struct CompanionRecord {
    device: u16,
    push_name: String,
    registration_id: u32,
    identity: Base64Bytes,
    signed_prekey_id: u32,
    signed_prekey: Base64Bytes,
    signed_prekey_signature: Base64Bytes,
    noise: Base64Bytes,
    one_time_prekeys: Vec<(u32, Base64Bytes)>,
    signed_identity: Base64Bytes,
    asked_for_prekeys: bool,
    /// Older snapshots are of clients that all read it so.
    #[serde(default = "yes")]
    inline_history: bool,
    #[serde(default)]
    status_holders: BTreeSet<(PhoneNumber, u16)>,
    queue: Vec<EntryRecord>,
}

#[derive(Serialize, Deserialize)]
struct EntryRecord {
    class: StanzaClass,
    id: String,
    chat: String,
    /// The stanza in WhatsApp's own encoding.
    node: Base64Bytes,
    record: Option<RecordKey>,
    written: u32,
}

impl CompanionRecord {
    pub fn of(companion: &CompanionDevice) -> Result<Self> {
        let keys = &companion.keys;
        Ok(Self {
            device: companion.device,
            push_name: companion.push_name.clone(),
            registration_id: keys.registration_id,
            identity: Base64Bytes(keys.identity.clone()),
            signed_prekey_id: keys.signed_prekey_id,
            signed_prekey: Base64Bytes(keys.signed_prekey.clone()),
            signed_prekey_signature: Base64Bytes(keys.signed_prekey_signature.clone()),
            noise: Base64Bytes(keys.noise.to_vec()),
            one_time_prekeys: companion
                .one_time_prekeys
                .iter()
                .map(|(id, key)| (*id, Base64Bytes(key.clone())))
                .collect(),
            signed_identity: Base64Bytes(companion.signed_identity.clone()),
            asked_for_prekeys: companion.asked_for_prekeys,
            inline_history: keys.inline_history,
            status_holders: companion.status_holders.clone(),
            queue: companion.queue.entries().map(EntryRecord::of).collect::<Result<_>>()?,
        })
    }

    pub fn restore(self) -> Result<CompanionDevice> {
        let mut queue = OfflineQueue::default();
        for entry in self.queue {
            queue.push(entry.restore()?);
        }
        let noise = self.noise.0.try_into().ok().context("a Noise key has 32 bytes")?;
        Ok(CompanionDevice {
            device: self.device,
            push_name: self.push_name,
            keys: CompanionKeys {
                registration_id: self.registration_id,
                identity: self.identity.0,
                signed_prekey_id: self.signed_prekey_id,
                signed_prekey: self.signed_prekey.0,
                signed_prekey_signature: self.signed_prekey_signature.0,
                noise,
                inline_history: self.inline_history,
            },
            one_time_prekeys: self.one_time_prekeys.into_iter().map(|(id, key)| (id, key.0)).collect(),
            signed_identity: self.signed_identity.0,
            queue,
            connection: None,
            typing: VecDeque::new(),
            status_holders: self.status_holders,
            asked_for_prekeys: self.asked_for_prekeys,
        })
    }
}

impl EntryRecord {
    fn of(entry: &QueueEntry) -> Result<Self> {
        Ok(Self {
            class: entry.class,
            id: entry.id.clone(),
            chat: entry.chat.clone(),
            node: Base64Bytes(marshal(&entry.node)?),
            record: entry.record,
            written: entry.written,
        })
    }

    fn restore(self) -> Result<QueueEntry> {
        // `marshal` puts the frame's flag byte in front; a plain one is 0.
        let bytes = self.node.0.get(1..).context("a stanza is empty")?.to_vec();
        Ok(QueueEntry {
            class: self.class,
            id: self.id,
            chat: self.chat,
            node: OwnedNodeRef::new(bytes)?.to_owned_node(),
            record: self.record,
            written: self.written,
        })
    }
}
