//! `session-<address>`: the keys of a chat with one device, as libsignal's JavaScript port writes them ("v1").

use super::{
    addresses::{FileAddress, KnownPeople},
    folder::BaileysFolder,
    octets::Octets,
};
use bytes::Bytes;
use serde::Deserialize;
use std::{collections::BTreeMap, sync::Arc};
use wacore::{
    libsignal::protocol::{
        LegacyIndexedSessionV1, LegacySessionBaseKeyRoleV1, LegacySessionChainCounterV1, LegacySessionChainKeyV1,
        LegacySessionChainRoleV1, LegacySessionChainV1, LegacySessionDispositionV1, LegacySessionIndexV1,
        LegacySessionKeyPairV1, LegacySessionLocalContext, LegacySessionMessageKeyV1, LegacySessionPendingPreKeyV1,
        LegacySessionRatchetV1, LegacySessionRecordV1, LegacySessionV1, SessionRecord,
    },
    types::jid::JidExt as _,
};

/// The first byte of a public key of 33 bytes.
const KEY_TYPE: u8 = 5;

#[derive(Deserialize)]
struct RecordFile {
    #[serde(rename = "_sessions", default)]
    sessions: BTreeMap<String, SessionEntry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SessionEntry {
    #[serde(default)]
    registration_id: u32,
    current_ratchet: Ratchet,
    index_info: IndexInfo,
    #[serde(rename = "_chains", default)]
    chains: BTreeMap<String, Chain>,
    pending_pre_key: Option<PendingPreKey>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Ratchet {
    ephemeral_key_pair: EphemeralKeys,
    last_remote_ephemeral_key: Octets,
    previous_counter: i64,
    root_key: Octets,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EphemeralKeys {
    pub_key: Octets,
    priv_key: Octets,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct IndexInfo {
    base_key: Octets,
    base_key_type: u32,
    closed: i64,
    #[serde(default)]
    used: u64,
    #[serde(default)]
    created: u64,
    remote_identity_key: Octets,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Chain {
    chain_key: ChainKey,
    chain_type: u32,
    #[serde(default)]
    message_keys: BTreeMap<u32, Octets>,
}

#[derive(Deserialize)]
struct ChainKey {
    counter: i64,
    key: Option<Octets>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PendingPreKey {
    signed_key_id: u32,
    pre_key_id: Option<u32>,
    base_key: Octets,
}

/// The sessions of the files that can be read.
#[derive(Default)]
pub struct SessionFiles {
    records: Vec<(FileAddress, RecordFile)>,
}

/// The keys of the chat with one device, as the client stores them.
pub struct AdoptedSession {
    /// The client's name of the device.
    pub address: Arc<str>,
    pub record: Bytes,
    /// The device's identity key.
    pub identity: [u8; 32],
}

impl SessionFiles {
    /// Reads the files; `left_out` gets the names of those that are damaged.
    pub fn read(folder: &BaileysFolder, left_out: &mut Vec<String>) -> Self {
        let mut records = Vec::new();
        for (file, content) in folder.of_sort("session-") {
            let address = file.id.rsplit_once('.').and_then(|(user, device)| FileAddress::new(user, device));
            match (address, serde_json::from_slice::<RecordFile>(content)) {
                (Some(address), Ok(record)) => records.push((address, record)),
                _ => left_out.push(file.name.to_owned()),
            }
        }
        Self { records }
    }

    /// The identity key of each device.
    pub fn identities(&self) -> impl Iterator<Item = (FileAddress, [u8; 32])> {
        self.records.iter().filter_map(|(address, record)| {
            let newest = record.sessions.values().max_by_key(|session| session.index_info.rank())?;
            Some((address.clone(), raw_key(&newest.index_info.remote_identity_key)?))
        })
    }

    /// Converts the sessions; those of one device under its number and its LID become one record.
    pub fn convert(
        self,
        people: &KnownPeople,
        local: LegacySessionLocalContext,
        left_out: &mut Vec<String>,
    ) -> Vec<AdoptedSession> {
        let mut devices: BTreeMap<String, BTreeMap<String, SessionEntry>> = BTreeMap::new();
        for (address, record) in self.records {
            let Some(device) = people.resolve(&address) else {
                left_out.push(format!("session-{}.{}", address.user, address.device));
                continue;
            };
            let sessions = devices.entry(device.to_protocol_address_string()).or_default();
            for (base_key, session) in record.sessions {
                let is_older =
                    sessions.get(&base_key).is_some_and(|other| other.index_info.rank() > session.index_info.rank());
                if !is_older {
                    sessions.insert(base_key, session);
                }
            }
        }
        let mut adopted = Vec::with_capacity(devices.len());
        for (address, sessions) in devices {
            match convert_record(&address, sessions, local) {
                Ok(Some(session)) => adopted.push(session),
                Ok(None) => {}
                Err(problem) => left_out.push(format!("the session with {address}: {problem}")),
            }
        }
        adopted
    }
}

impl IndexInfo {
    fn is_current(&self) -> bool {
        self.closed == -1
    }

    /// The session that is used is the one with the highest rank.
    fn rank(&self) -> (bool, u64) {
        (self.is_current(), self.used)
    }
}

fn convert_record(
    address: &str,
    sessions: BTreeMap<String, SessionEntry>,
    local: LegacySessionLocalContext,
) -> Result<Option<AdoptedSession>, String> {
    let Some((current, newest)) = sessions.iter().max_by_key(|(_, session)| session.index_info.rank()) else {
        return Ok(None);
    };
    let current = current.clone();
    let identity = raw_key(&newest.index_info.remote_identity_key).ok_or("the identity key is none")?;
    let indexed: Result<Vec<_>, String> = sessions
        .into_iter()
        .map(|(base_key, mut session)| {
            // Of two that are in use, the one that was used last stays so.
            if session.index_info.is_current() && base_key != current {
                session.index_info.closed = i64::try_from(session.index_info.used).unwrap_or(i64::MAX);
            }
            let index_key = Octets::decode(&base_key).ok_or("a base key is no base64")?;
            Ok(LegacyIndexedSessionV1 { index_key: index_key.0.into(), session: convert_session(session)? })
        })
        .collect();
    let record = LegacySessionRecordV1::from_indexed_sessions(indexed?).map_err(|error| error.to_string())?;
    let record: SessionRecord = record.into_session_record(local).map_err(|error| error.to_string())?;
    let record = record.serialize().map_err(|error| error.to_string())?;
    Ok(Some(AdoptedSession { address: address.into(), record: record.into(), identity }))
}

fn convert_session(session: SessionEntry) -> Result<LegacySessionV1, String> {
    let SessionEntry { registration_id, current_ratchet: ratchet, index_info: index, chains, pending_pre_key } =
        session;
    let disposition =
        LegacySessionDispositionV1::from_closed_timestamp(index.closed).map_err(|error| error.to_string())?;
    let chains: Result<Vec<_>, String> =
        chains.into_iter().map(|(ratchet_key, chain)| convert_chain(&ratchet_key, chain)).collect();
    Ok(LegacySessionV1 {
        registration_id,
        ratchet: LegacySessionRatchetV1 {
            key_pair: LegacySessionKeyPairV1 {
                public: ratchet.ephemeral_key_pair.pub_key.0.into(),
                private: ratchet.ephemeral_key_pair.priv_key.0.into(),
            },
            last_remote_ephemeral_key: ratchet.last_remote_ephemeral_key.0.into(),
            previous_counter: ratchet.previous_counter,
            root_key: ratchet.root_key.0.into(),
        },
        index: LegacySessionIndexV1 {
            base_key: index.base_key.0.into(),
            base_key_role: LegacySessionBaseKeyRoleV1::try_from(index.base_key_type)
                .map_err(|error| error.to_string())?,
            disposition,
            used_at_ms: index.used,
            created_at_ms: index.created,
            remote_identity_key: index.remote_identity_key.0.into(),
        },
        chains: chains?,
        pending_pre_key: pending_pre_key.map(|pending| LegacySessionPendingPreKeyV1 {
            pre_key_id: pending.pre_key_id,
            signed_pre_key_id: pending.signed_key_id,
            base_key: pending.base_key.0.into(),
        }),
    })
}

fn convert_chain(ratchet_key: &str, chain: Chain) -> Result<LegacySessionChainV1, String> {
    let ratchet_key = Octets::decode(ratchet_key).ok_or("a ratchet key is no base64")?;
    Ok(LegacySessionChainV1 {
        ratchet_key: ratchet_key.0.into(),
        role: LegacySessionChainRoleV1::try_from(chain.chain_type).map_err(|error| error.to_string())?,
        chain_key: LegacySessionChainKeyV1 {
            counter: LegacySessionChainCounterV1::new(chain.chain_key.counter).map_err(|error| error.to_string())?,
            key: chain.chain_key.key.filter(|key| !key.0.is_empty()).map(|key| key.0.into()),
        },
        message_keys: chain
            .message_keys
            .into_iter()
            .map(|(index, seed)| LegacySessionMessageKeyV1 { index, seed: seed.0.into() })
            .collect(),
    })
}

/// The key without its type.
fn raw_key(key: &Octets) -> Option<[u8; 32]> {
    key.0.strip_prefix(&[KEY_TYPE])?.try_into().ok()
}
