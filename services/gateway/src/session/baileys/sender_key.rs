//! `sender-key-<group>--<sender>--<device>`: the keys with which a member of a group encrypts for all others.
//!
//! The account's own are left out. The client makes a new one when it next sends to the group and gives it to all members,
//! so that no key is ever used twice.

use super::{
    addresses::{FileAddress, KnownPeople},
    folder::BaileysFolder,
    octets::Octets,
};
use bytes::Bytes;
use serde::Deserialize;
use std::{collections::BTreeSet, sync::Arc};
use wacore::{
    libsignal::{
        protocol::{
            SenderChainKeyComponents, SenderKeyRecord, SenderKeyRecordComponents, SenderKeyStateComponents,
            SenderMessageKeyComponents, SenderSigningKeyComponents,
        },
        store::sender_key_name::SenderKeyName,
    },
    types::jid::JidExt as _,
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SenderKeyState {
    sender_key_id: u32,
    sender_chain_key: ChainKey,
    sender_signing_key: SigningKey,
    #[serde(default)]
    sender_message_keys: Vec<ChainKey>,
}

#[derive(Deserialize)]
struct ChainKey {
    iteration: u32,
    seed: Octets,
}

#[derive(Deserialize)]
struct SigningKey {
    public: Octets,
}

/// Reads the keys of the groups' other members, each under the client's name for it.
pub fn read_sender_keys(
    folder: &BaileysFolder,
    people: &KnownPeople,
    own: &BTreeSet<String>,
    left_out: &mut Vec<String>,
) -> Vec<(Arc<str>, Bytes)> {
    let mut keys = Vec::new();
    for (file, content) in folder.of_sort("sender-key-") {
        let mut parts = file.id.split("--");
        let (Some(group), Some(sender), Some(device), None) = (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            // `sender-key-memory-…` says who has the account's own key.
            if !file.id.starts_with("memory-") {
                left_out.push(file.name.to_owned());
            }
            continue;
        };
        let address = FileAddress::new(sender, device);
        if address.as_ref().is_some_and(|address| own.contains(&address.user)) {
            continue;
        }
        let sender = address.and_then(|address| people.resolve(&address));
        match (sender, read_record(content)) {
            (Some(sender), Some(record)) => {
                let name = SenderKeyName::from_parts(group, &sender.to_protocol_address_string());
                keys.push((name.cache_key().into(), record));
            }
            _ => left_out.push(file.name.to_owned()),
        }
    }
    keys
}

fn read_record(content: &[u8]) -> Option<Bytes> {
    let text: Octets = serde_json::from_slice(content).ok()?;
    let states: Vec<SenderKeyState> = serde_json::from_slice(&text.0).ok()?;
    // The client looks at the newest state first.
    let states = states.into_iter().rev().map(|state| SenderKeyStateComponents {
        key_id: state.sender_key_id,
        chain_key: SenderChainKeyComponents {
            iteration: state.sender_chain_key.iteration,
            seed: state.sender_chain_key.seed.0,
        },
        signing_key: SenderSigningKeyComponents { public: state.sender_signing_key.public.0, private: None },
        message_keys: state
            .sender_message_keys
            .into_iter()
            .map(|key| SenderMessageKeyComponents { iteration: key.iteration, seed: key.seed.0 })
            .collect(),
    });
    let record = SenderKeyRecord::from_components(SenderKeyRecordComponents { states: states.collect() }).ok()?;
    record.serialize().ok().map(Bytes::from)
}
