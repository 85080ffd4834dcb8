//! An account's app state: settings that its devices share through the server, which cannot read them.
//! A collection has a version, a patch per version and the records that are in force. The account's phone made the key,
//! so it can read and check what companions store, and write settings of its own.
//! Promises that each version is one patch. Who is told is decided in `stanza`.

mod setting;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use anyhow::{Context as _, Result, ensure};
use buffa::{Message as _, MessageField};
use serde::{Deserialize, Serialize};
use wacore::appstate::{
    AppStateError, ExpandedAppStateKeys, decode_record, encode_record, expand_app_state_keys,
    hash::{HashState, generate_patch_mac},
    process_patch,
};
use waproto::whatsapp::{
    KeyId, SyncActionValue, SyncdMutation, SyncdMutations, SyncdPatch, SyncdRecord, SyncdSnapshot, SyncdVersion,
    syncd_mutation::SyncdOperation,
};

use crate::randomness::random;

pub use setting::{NewSetting, SettingIndex};

/// The collections that WhatsApp has, in the order in which clients ask for them.
pub const COLLECTIONS: [&str; 5] = ["critical_block", "critical_unblock_low", "regular_high", "regular_low", "regular"];

/// Patches of one collection that are kept; a client that is further behind gets a snapshot.
const MAX_PATCHES: usize = 1_000;

#[derive(Clone, Serialize, Deserialize)]
pub struct AppState {
    key: AppStateKey,
    collections: BTreeMap<String, SettingCollection>,
}

/// The one key of all devices of an account.
#[derive(Clone, Serialize, Deserialize)]
pub struct AppStateKey {
    pub id: [u8; 6],
    pub data: [u8; 32],
    /// Unix seconds.
    pub made: i64,
}

#[derive(Clone, Default, Serialize, Deserialize)]
pub struct SettingCollection {
    /// Version and aggregate hash over all records in force.
    hash: HashState,
    /// The newest patches by version, as they are handed out.
    patches: VecDeque<(u64, Vec<u8>)>,
    /// By the MAC of the index: the record in force.
    records: Vec<(Vec<u8>, Vec<u8>)>,
    /// Somebody stored a patch that the phone cannot read: the records are incomplete.
    is_unreadable: bool,
}

/// A patch was taken.
pub struct PatchAccepted {
    pub version: u64,
    /// What it changes; or why the phone could not read it.
    pub settings: Result<Vec<Setting>, AppStateError>,
}

/// A setting in force, or a change of one.
#[derive(Debug, Clone)]
pub struct Setting {
    pub index: Vec<String>,
    pub value: Option<SyncActionValue>,
    pub is_removed: bool,
}

impl AppState {
    pub fn new(now: i64) -> Self {
        let key = AppStateKey { id: random(), data: random(), made: now };
        Self { key, collections: BTreeMap::new() }
    }

    pub fn key(&self) -> &AppStateKey {
        &self.key
    }

    pub fn version(&self, collection: &str) -> u64 {
        self.collections.get(collection).map_or(0, |collection| collection.hash.version)
    }

    /// The patches after a version, at most `most`; and whether more follow. None if they are no longer kept.
    pub fn patches_after(&self, collection: &str, version: u64, most: usize) -> Option<(Vec<Vec<u8>>, bool)> {
        let Some(collection) = self.collections.get(collection) else { return Some((Vec::new(), false)) };
        let oldest = collection.patches.front().map_or(collection.hash.version + 1, |(first, _)| *first);
        if version + 1 < oldest {
            return None;
        }
        let mut later = collection.patches.iter().filter(|(at, _)| *at > version).map(|(_, patch)| patch.clone());
        let patches = later.by_ref().take(most).collect();
        Some((patches, later.next().is_some()))
    }

    /// How many patches a collection keeps.
    pub fn kept(&self, collection: &str) -> usize {
        self.collections.get(collection).map_or(0, |collection| collection.patches.len())
    }

    /// Everything in force as the phone uploads it. None while the collection is empty or cannot be read.
    pub fn snapshot(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let Some(collection) = self.collections.get(name).filter(|one| one.hash.version > 0 && !one.is_unreadable)
        else {
            return Ok(None);
        };
        let records = collection.records.iter().map(|(_, record)| SyncdRecord::decode_from_slice(record));
        let snapshot = SyncdSnapshot {
            version: version_field(collection.hash.version),
            records: records.collect::<Result<_, _>>()?,
            mac: Some(collection.hash.generate_snapshot_mac(name, &self.keys().snapshot_mac)),
            key_id: self.key_id(),
        };
        Ok(Some(snapshot.encode_to_vec()))
    }

    /// Takes a companion's patch over `base`. The error is the version that others have reached.
    /// `external` are mutations that the companion uploaded because they are many.
    pub fn accept(
        &mut self,
        name: &str,
        base: u64,
        patch: &[u8],
        external: Option<&[u8]>,
    ) -> Result<PatchAccepted, u64> {
        let current = self.version(name);
        if base != current {
            return Err(current);
        }
        let version = current + 1;
        // The server adds the version; later fields of a protobuf win, and unknown ones stay.
        let numbered = SyncdPatch { version: version_field(version), ..Default::default() }.encode_to_vec();
        let bytes = [patch, numbered.as_slice()].concat();
        let settings = self.read_patch(name, &bytes, external);
        let collection = self.collections.entry(name.to_owned()).or_default();
        collection.is_unreadable |= settings.is_err();
        collection.hash.version = version;
        collection.keep(version, bytes);
        Ok(PatchAccepted { version, settings })
    }

    /// The phone changes settings: a patch with MACs as companions check them. Gives the new version.
    pub fn write(&mut self, new: &NewSetting, now_ms: i64) -> Result<u64> {
        let name = new.collection.as_str();
        let keys = self.keys();
        let mut collection = self.collections.get(name).cloned().unwrap_or_default();
        ensure!(!collection.is_unreadable, "a companion stored a patch in {name} that the phone cannot read");
        let index = serde_json::to_vec(&new.index).context("write the index")?;
        let value = SyncActionValue { timestamp: Some(now_ms), ..new.value.clone() };
        let operation = if new.is_removed { SyncdOperation::REMOVE } else { SyncdOperation::SET };
        let (mutation, _) = encode_record(operation, &index, &value, &keys, &self.key.id, &random(), new.version);
        let version = collection.hash.version + 1;
        let records = &collection.records;
        let (_, updated) = collection
            .hash
            .update_hash(std::slice::from_ref(&mutation), |index_mac, _| Ok(value_mac(records, index_mac)));
        updated?;
        collection.hash.version = version;
        let mut patch = SyncdPatch {
            version: version_field(version),
            snapshot_mac: Some(collection.hash.generate_snapshot_mac(name, &keys.snapshot_mac)),
            key_id: self.key_id(),
            mutations: vec![mutation.clone()],
            ..Default::default()
        };
        patch.patch_mac = Some(generate_patch_mac(&patch, name, &keys.patch_mac, version));
        collection.change(&[mutation]);
        collection.keep(version, patch.encode_to_vec());
        self.collections.insert(name.to_owned(), collection);
        Ok(version)
    }

    /// The settings in force in a collection.
    pub fn settings(&self, collection: &str) -> Vec<Setting> {
        let keys = self.keys();
        let records = self.collections.get(collection).into_iter().flat_map(|collection| &collection.records);
        records
            .filter_map(|(_, record)| SyncdRecord::decode_from_slice(record).ok())
            .filter_map(|record| decode_record(SyncdOperation::SET, &record, &keys, &self.key.id, true).ok())
            .map(|(mutation, _)| Setting { index: mutation.index, value: mutation.action_value, is_removed: false })
            .collect()
    }

    /// Checks the MACs of a patch and brings its changes into force.
    fn read_patch(&mut self, name: &str, bytes: &[u8], external: Option<&[u8]>) -> Result<Vec<Setting>, AppStateError> {
        let unreadable = |_| AppStateError::MismatchingLTHash;
        let mut patch = SyncdPatch::decode_from_slice(bytes).map_err(unreadable)?;
        if let Some(external) = external {
            patch.mutations = SyncdMutations::decode_from_slice(external).map_err(unreadable)?.mutations;
        }
        // Without a key there is nothing to check a patch by.
        if patch.key_id.as_option().is_none_or(|key| key.id.is_none()) {
            return Err(AppStateError::MissingKeyId);
        }
        let (keys, key_id) = (Arc::new(self.keys()), self.key.id);
        let collection = self.collections.entry(name.to_owned()).or_default();
        let mut state = collection.hash.clone();
        let records = &collection.records;
        let read = process_patch(
            &patch,
            &mut state,
            |id| if *id == key_id { Ok(Arc::clone(&keys)) } else { Err(AppStateError::KeyNotFound) },
            |index_mac| Ok(value_mac(records, index_mac)),
            true,
            name,
        )?;
        collection.hash = state;
        collection.change(&patch.mutations);
        Ok(read
            .mutations
            .into_iter()
            .map(|mutation| Setting {
                is_removed: mutation.operation == SyncdOperation::REMOVE,
                index: mutation.index,
                value: mutation.action_value,
            })
            .collect())
    }

    fn keys(&self) -> ExpandedAppStateKeys {
        expand_app_state_keys(&self.key.data)
    }

    fn key_id(&self) -> MessageField<KeyId> {
        MessageField::some(KeyId { id: Some(self.key.id.to_vec()) })
    }
}

impl SettingCollection {
    fn keep(&mut self, version: u64, patch: Vec<u8>) {
        self.patches.push_back((version, patch));
        // Without readable records there is no snapshot to fall back on.
        if self.patches.len() > MAX_PATCHES && !self.is_unreadable {
            self.patches.pop_front();
        }
    }

    fn change(&mut self, mutations: &[SyncdMutation]) {
        for mutation in mutations {
            let Some(record) = mutation.record.as_option() else { continue };
            let Some(index_mac) = record.index.as_option().and_then(|index| index.blob.clone()) else { continue };
            self.records.retain(|(known, _)| *known != index_mac);
            let is_removed = mutation.operation.is_some_and(|operation| operation == SyncdOperation::REMOVE);
            if !is_removed {
                self.records.push((index_mac, record.encode_to_vec()));
            }
        }
    }
}

fn version_field(version: u64) -> MessageField<SyncdVersion> {
    MessageField::some(SyncdVersion { version: Some(version) })
}

/// The MAC of the value in force under an index: its last 32 bytes.
fn value_mac(records: &[(Vec<u8>, Vec<u8>)], index_mac: &[u8]) -> Option<Vec<u8>> {
    let (_, record) = records.iter().find(|(known, _)| known == index_mac)?;
    let record = SyncdRecord::decode_from_slice(record).ok()?;
    let blob = record.value.as_option()?.blob.clone()?;
    blob.len().checked_sub(32).map(|at| blob[at..].to_vec())
}

#[cfg(test)]
mod tests;
