//! `app-state-sync-…`: the keys of the settings that all devices of an account share, and how far they were read.

use super::{
    folder::BaileysFolder,
    octets::{Octets, read_number},
};
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap};
use wacore::appstate::{hash::HashState, processor::AppStateMutationMAC};
use waproto::whatsapp as wa;
use whatsapp_rust::store::AppStateSyncKey;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SyncKeyFile {
    key_data: Octets,
    fingerprint: Fingerprint,
    #[serde(deserialize_with = "read_number")]
    timestamp: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Fingerprint {
    raw_id: Option<u32>,
    current_index: Option<u32>,
    #[serde(default)]
    device_indexes: Vec<u32>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct VersionFile {
    version: u64,
    hash: Octets,
    #[serde(default)]
    index_value_map: BTreeMap<String, IndexValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct IndexValue {
    value_mac: Octets,
}

/// How far one collection of settings was read. A collection that is missing is read from its beginning.
pub struct CollectionState {
    pub name: String,
    pub state: HashState,
    pub macs: Vec<AppStateMutationMAC>,
}

/// Reads the keys, each under its id.
pub fn read_sync_keys(folder: &BaileysFolder, left_out: &mut Vec<String>) -> Vec<(Vec<u8>, AppStateSyncKey)> {
    let mut keys = Vec::new();
    for (file, content) in folder.of_sort("app-state-sync-key-") {
        // In a file's name base64's `/` is written `__`.
        let id = Octets::decode(&file.id.replace("__", "/"));
        match (id, serde_json::from_slice::<SyncKeyFile>(content)) {
            (Some(id), Ok(key)) => keys.push((id.0, convert_key(key))),
            _ => left_out.push(file.name.to_owned()),
        }
    }
    keys
}

fn convert_key(key: SyncKeyFile) -> AppStateSyncKey {
    let fingerprint = wa::message::AppStateSyncKeyFingerprint {
        raw_id: key.fingerprint.raw_id,
        current_index: key.fingerprint.current_index,
        device_indexes: key.fingerprint.device_indexes,
    };
    AppStateSyncKey {
        key_data: key.key_data.0,
        fingerprint: waproto::codec::app_state_sync_key_fingerprint_to_vec(&fingerprint),
        timestamp: key.timestamp,
    }
}

/// Reads how far each collection was read.
pub fn read_collections(folder: &BaileysFolder, left_out: &mut Vec<String>) -> Vec<CollectionState> {
    let mut collections = Vec::new();
    for (file, content) in folder.of_sort("app-state-sync-version-") {
        match serde_json::from_slice::<VersionFile>(content).ok().and_then(|version| convert_version(file.id, version))
        {
            Some(collection) => collections.push(collection),
            None => left_out.push(file.name.to_owned()),
        }
    }
    collections
}

fn convert_version(name: &str, file: VersionFile) -> Option<CollectionState> {
    let macs: Option<Vec<_>> = file
        .index_value_map
        .into_iter()
        .map(|(index, value)| {
            Some(AppStateMutationMAC { index_mac: Octets::decode(&index)?.0, value_mac: value.value_mac.0 })
        })
        .collect();
    let state = HashState {
        version: file.version,
        hash: file.hash.exactly().ok()?,
        index_value_map: HashMap::new(),
        ..HashState::default()
    };
    Some(CollectionState { name: name.to_owned(), state, macs: macs? })
}
