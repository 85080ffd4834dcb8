//! Everything that a folder holds, and writing it into a database of the client.

use super::{
    CREDENTIALS_FILE, UnusableFolder,
    addresses::KnownPeople,
    app_state::{CollectionState, read_collections, read_sync_keys},
    credentials::{KeyHalves, read_device},
    folder::BaileysFolder,
    octets::{Octets, read_number},
    sender_key::read_sender_keys,
    signal_session::{AdoptedSession, SessionFiles},
};
use crate::inbound::addresses::chat_jid;
use bytes::Bytes;
use kurir_contract::address::ChatJid;
use serde::Deserialize;
use std::{collections::BTreeSet, sync::Arc};
use wacore::{
    libsignal::{
        protocol::{IdentityKey, LegacySessionLocalContext},
        store::record_helpers::encode_pre_key_record_to,
    },
    store::{Device, error::Result},
};
use wacore_binary::Jid;
use whatsapp_rust::store::{
    AppStateSyncKey, AppSyncStore as _, DeviceStore as _, LidPnMappingEntry, ProtocolStore as _, SignalStore as _,
    SqliteStore, TcTokenEntry,
};

/// How a pair of number and LID was learnt, for the client's records.
const LEARNT_FROM: &str = "adopted";

/// A session of Baileys in the forms of Kurir's client.
pub struct BaileysKeys {
    device: Device,
    number: Jid,
    pre_keys: Vec<PreKey>,
    sessions: Vec<AdoptedSession>,
    sender_keys: Vec<(Arc<str>, Bytes)>,
    sync_keys: Vec<(Vec<u8>, AppStateSyncKey)>,
    collections: Vec<CollectionState>,
    people: Vec<(String, String)>,
    pub(super) privacy_tokens: Vec<(String, TcTokenEntry)>,
    /// Files that could not be read, and whose keys are made again.
    pub left_out: Vec<String>,
}

struct PreKey {
    id: u32,
    record: Bytes,
    is_uploaded: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PrivacyToken {
    token: Octets,
    /// None while the contact gave no token, or after Baileys dropped an old one: then only the other time counts.
    #[serde(default, deserialize_with = "read_number")]
    timestamp: i64,
    sender_timestamp: Option<i64>,
}

impl BaileysKeys {
    /// Reads a folder.
    ///
    /// # Errors
    /// If the folder holds no session, or one that was never paired or is damaged. The error names the file.
    pub fn read(folder: &BaileysFolder) -> std::result::Result<Self, UnusableFolder> {
        let credentials = folder.file(CREDENTIALS_FILE);
        let credentials = credentials.ok_or_else(|| {
            UnusableFolder::new(CREDENTIALS_FILE, "is missing: this is no folder of a Baileys session")
        })?;
        let (device, number) = read_device(credentials)?;
        let mut left_out = Vec::new();
        let lid = device.lid.as_ref();
        let own: BTreeSet<String> =
            [Some(&number), lid].into_iter().flatten().map(|jid| jid.user.to_string()).collect();
        let files = SessionFiles::read(folder, &mut left_out);
        let mut people = KnownPeople::read(folder, (Some(&number), lid));
        people.learn(files.identities());
        let local = LegacySessionLocalContext {
            identity_key: IdentityKey::new(device.identity_key.public_key),
            registration_id: device.registration_id,
        };
        Ok(Self {
            pre_keys: read_pre_keys(folder, device.first_unupload_pre_key_id, &mut left_out),
            sessions: files.convert(&people, local, &mut left_out),
            sender_keys: read_sender_keys(folder, &people, &own, &mut left_out),
            sync_keys: read_sync_keys(folder, &mut left_out),
            collections: read_collections(folder, &mut left_out),
            privacy_tokens: read_privacy_tokens(folder, &people, &mut left_out),
            people: people.pairs().map(|(number, lid)| (number.to_owned(), lid.to_owned())).collect(),
            device,
            number,
            left_out,
        })
    }

    /// The account's number.
    #[must_use]
    pub fn account(&self) -> ChatJid {
        chat_jid(&self.number)
    }

    /// The account's number with the device, `<number>:<device>@s.whatsapp.net`.
    #[must_use]
    pub fn device(&self) -> String {
        self.number.to_string()
    }

    /// The public half of the device's identity key, in hexadecimal digits.
    #[must_use]
    pub fn identity(&self) -> String {
        hex::encode(self.device.identity_key.public_key.public_key_bytes())
    }

    /// Writes everything into a database that holds nothing yet.
    ///
    /// # Errors
    /// If the database does not take it.
    pub async fn write(&self, store: &SqliteStore) -> Result<()> {
        let now = wacore::time::now_secs();
        // All rows belong to the device's.
        store.create().await?;
        for uploaded in [true, false] {
            let keys: Vec<_> = self
                .pre_keys
                .iter()
                .filter(|key| key.is_uploaded == uploaded)
                .map(|key| (key.id, key.record.clone()))
                .collect();
            store.store_prekeys_batch(&keys, uploaded).await?;
        }
        let identities: Vec<_> =
            self.sessions.iter().map(|session| (Arc::clone(&session.address), session.identity)).collect();
        store.put_identities_batch(&identities).await?;
        let sessions: Vec<_> =
            self.sessions.iter().map(|session| (Arc::clone(&session.address), session.record.clone())).collect();
        store.put_sessions_batch(&sessions).await?;
        store.put_sender_keys_batch(&self.sender_keys).await?;
        for (id, key) in &self.sync_keys {
            store.set_sync_key(id, key.clone()).await?;
        }
        for collection in &self.collections {
            store.set_version(&collection.name, collection.state.clone()).await?;
            store.put_mutation_macs(&collection.name, collection.state.version, &collection.macs).await?;
        }
        let people: Vec<_> = self
            .people
            .iter()
            .map(|(number, lid)| LidPnMappingEntry {
                lid: lid.clone(),
                phone_number: number.clone(),
                created_at: now,
                updated_at: now,
                learning_source: LEARNT_FROM.to_owned(),
            })
            .collect();
        store.put_lid_mappings(&people).await?;
        for (lid, token) in &self.privacy_tokens {
            store.put_tc_token(lid, token).await?;
        }
        // Last: with it the session is paired.
        store.save(&self.device).await
    }
}

fn read_pre_keys(folder: &BaileysFolder, first_unuploaded: u32, left_out: &mut Vec<String>) -> Vec<PreKey> {
    let mut keys = Vec::new();
    for (file, content) in folder.of_sort("pre-key-") {
        let pair = serde_json::from_slice::<KeyHalves>(content).ok().and_then(|halves| halves.key_pair().ok());
        match (file.id.parse::<u32>(), pair) {
            (Ok(id), Some(pair)) => {
                let mut record = Vec::new();
                encode_pre_key_record_to(id, &pair, &mut record);
                keys.push(PreKey { id, record: record.into(), is_uploaded: id < first_unuploaded });
            }
            _ => left_out.push(file.name.to_owned()),
        }
    }
    keys
}

fn read_privacy_tokens(
    folder: &BaileysFolder,
    people: &KnownPeople,
    left_out: &mut Vec<String>,
) -> Vec<(String, TcTokenEntry)> {
    let mut tokens = Vec::new();
    // Baileys' own list of who has a token.
    for (file, content) in folder.of_sort("tctoken-").filter(|(file, _)| file.id != "__index") {
        let user = file.id.split_once('@').map(|(user, _)| user);
        match (user, serde_json::from_slice::<PrivacyToken>(content)) {
            (Some(user), Ok(token)) => {
                let lid = people.pairs().find(|(number, _)| *number == user).map_or(user, |(_, lid)| lid);
                let entry = TcTokenEntry {
                    token: token.token.0,
                    token_timestamp: token.timestamp,
                    sender_timestamp: token.sender_timestamp,
                };
                tokens.push((lid.to_owned(), entry));
            }
            _ => left_out.push(file.name.to_owned()),
        }
    }
    tokens
}
