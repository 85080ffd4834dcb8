//! Every change that the client makes to its state, as a value that can be stored and made again elsewhere.
//!
//! To make the same changes again in the same order gives the same state, also if some of them were made before.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use wacore::{
    appstate::{hash::HashState, processor::AppStateMutationMAC},
    store::{Device, error::Result},
};
use whatsapp_rust::store::{
    AppStateSyncKey, AppSyncStore as _, DeviceListRecord, DeviceStore as _, LidPnMappingEntry, MessageSecret,
    MsgSecretEntry, MsgSecretStore as _, PendingInboundKey, PendingInboundRow, ProtocolStore as _, SignalStore as _,
    SqliteStore, TcTokenEntry,
};

/// One change. The names of variants and fields are stored, so they never change their meaning.
#[derive(Serialize, Deserialize)]
pub enum StoreChange {
    /// A gateway took the session: the earlier holder is shut out.
    Taken,
    /// The account was logged out, and the keys were removed.
    Wiped,

    /// The session's files up to and with the change of this sequence are in this object of `session_snapshots`.
    Snapshot {
        object: String,
        sequence: u64,
    },
    /// A line of the file of polls.
    Poll(String),

    PutIdentities(Vec<(Arc<str>, [u8; 32])>),
    DeleteIdentity(String),
    PutSessions(Vec<(Arc<str>, Bytes)>),
    DeleteSession(String),
    StorePrekeys {
        keys: Vec<(u32, Bytes)>,
        uploaded: bool,
    },
    MarkPrekeysUploaded(Vec<u32>),
    RemovePrekey(u32),
    StoreSignedPrekey {
        id: u32,
        record: Bytes,
    },
    RemoveSignedPrekey(u32),
    PutSenderKeys(Vec<(Arc<str>, Bytes)>),
    DeleteSenderKey(String),

    SetSyncKey {
        id: Bytes,
        key: AppStateSyncKey,
    },
    SetVersion {
        name: String,
        state: HashState,
    },
    PutMutationMacs {
        name: String,
        version: u64,
        macs: Vec<AppStateMutationMAC>,
    },
    DeleteMutationMacs {
        name: String,
        index_macs: Vec<Bytes>,
    },
    ClearMutationMacs(String),

    SetSenderKeyStatus {
        group: String,
        entries: Vec<(String, bool)>,
    },
    ClearSenderKeyDevices(String),
    DeleteSenderKeyDevices(Vec<String>),
    ClearAllSenderKeyDevices,
    PutLidMappings(Vec<LidPnMappingEntry>),
    SaveBaseKey {
        address: String,
        message: String,
        key: Bytes,
    },
    DeleteBaseKey {
        address: String,
        message: String,
    },
    UpdateDeviceLists(Vec<DeviceListRecord>),
    DeleteDevices(String),
    PutGroupMetadata {
        group: String,
        blob: Bytes,
    },
    DeleteGroupMetadata(String),
    PutTcToken {
        jid: String,
        entry: TcTokenEntry,
    },
    DeleteTcToken(String),
    DeleteExpiredTcTokens {
        token_cutoff: i64,
        sender_cutoff: i64,
    },
    TouchTcToken {
        jid: String,
        sender_timestamp: i64,
    },
    StoreReceivedTcToken {
        jid: String,
        token: Bytes,
        timestamp: i64,
    },
    StoreSentMessage {
        chat: String,
        message: String,
        payload: Bytes,
    },
    TakeSentMessage {
        chat: String,
        message: String,
    },
    DeleteExpiredSentMessages(i64),
    /// Messages that were published, and messages that wait for it.
    Pending {
        published: Vec<PendingChange>,
        kept: Vec<PendingChange>,
    },
    DeleteExpiredPending(i64),

    CreateDevice,
    SaveDevice(Box<Device>),
    PutMessageSecret {
        chat: String,
        sender: String,
        message: String,
        secret: MessageSecret,
    },
    PutMessageSecrets(Vec<MsgSecretEntry>),
    DeleteExpiredMessageSecrets(i64),
}

/// A message that was decrypted.
#[derive(Serialize, Deserialize)]
pub struct PendingChange {
    pub chat: String,
    pub sender: String,
    pub id: String,
    /// Empty if the message was published.
    #[serde(default)]
    pub message: Bytes,
}

impl StoreChange {
    /// Makes the change in a database. What changes other files is the caller's.
    ///
    /// # Errors
    /// If the database does not take it.
    pub async fn apply(self, store: &SqliteStore) -> Result<()> {
        match self {
            Self::Taken | Self::Wiped | Self::Snapshot { .. } | Self::Poll(_) => Ok(()),
            Self::PutIdentities(identities) => store.put_identities_batch(&identities).await,
            Self::DeleteIdentity(address) => store.delete_identity(&address).await,
            Self::PutSessions(sessions) => store.put_sessions_batch(&sessions).await,
            Self::DeleteSession(address) => store.delete_session(&address).await,
            Self::StorePrekeys { keys, uploaded } => store.store_prekeys_batch(&keys, uploaded).await,
            Self::MarkPrekeysUploaded(ids) => store.mark_prekeys_uploaded(&ids).await,
            Self::RemovePrekey(id) => store.remove_prekey(id).await,
            Self::StoreSignedPrekey { id, record } => store.store_signed_prekey(id, &record).await,
            Self::RemoveSignedPrekey(id) => store.remove_signed_prekey(id).await,
            Self::PutSenderKeys(keys) => store.put_sender_keys_batch(&keys).await,
            Self::DeleteSenderKey(address) => store.delete_sender_key(&address).await,
            Self::SetSyncKey { id, key } => store.set_sync_key(&id, key).await,
            Self::SetVersion { name, state } => store.set_version(&name, state).await,
            Self::PutMutationMacs { name, version, macs } => store.put_mutation_macs(&name, version, &macs).await,
            Self::DeleteMutationMacs { name, index_macs } => {
                let index_macs: Vec<_> = index_macs.into_iter().map(Vec::from).collect();
                store.delete_mutation_macs(&name, &index_macs).await
            }
            Self::ClearMutationMacs(name) => store.clear_mutation_macs(&name).await,
            Self::SetSenderKeyStatus { group, entries } => {
                let entries: Vec<_> = entries.iter().map(|(device, has)| (device.as_str(), *has)).collect();
                store.set_sender_key_status(&group, &entries).await
            }
            Self::ClearSenderKeyDevices(group) => store.clear_sender_key_devices(&group).await,
            Self::DeleteSenderKeyDevices(devices) => {
                let devices: Vec<_> = devices.iter().map(String::as_str).collect();
                store.delete_sender_key_device_rows(&devices).await
            }
            Self::ClearAllSenderKeyDevices => store.clear_all_sender_key_devices().await,
            Self::PutLidMappings(entries) => store.put_lid_mappings(&entries).await,
            Self::SaveBaseKey { address, message, key } => store.save_base_key(&address, &message, &key).await,
            Self::DeleteBaseKey { address, message } => store.delete_base_key(&address, &message).await,
            Self::UpdateDeviceLists(records) => store.update_device_lists(records).await,
            Self::DeleteDevices(user) => store.delete_devices(&user).await,
            Self::PutGroupMetadata { group, blob } => store.put_group_metadata(&group, &blob).await,
            Self::DeleteGroupMetadata(group) => store.delete_group_metadata(&group).await,
            Self::PutTcToken { jid, entry } => store.put_tc_token(&jid, &entry).await,
            Self::DeleteTcToken(jid) => store.delete_tc_token(&jid).await,
            Self::DeleteExpiredTcTokens { token_cutoff, sender_cutoff } => {
                store.delete_expired_tc_tokens(token_cutoff, sender_cutoff).await.map(drop)
            }
            Self::TouchTcToken { jid, sender_timestamp } => {
                store.touch_tc_token_sender_timestamp(&jid, sender_timestamp).await
            }
            Self::StoreReceivedTcToken { jid, token, timestamp } => {
                store.store_received_tc_token(&jid, &token, timestamp).await
            }
            Self::StoreSentMessage { chat, message, payload } => {
                store.store_sent_message(&chat, &message, &payload).await
            }
            Self::TakeSentMessage { chat, message } => store.take_sent_message(&chat, &message).await.map(drop),
            Self::DeleteExpiredSentMessages(cutoff) => store.delete_expired_sent_messages(cutoff).await.map(drop),
            Self::Pending { published, kept } => {
                let keys: Vec<_> = published.iter().map(PendingChange::as_key).collect();
                store.delete_pending_inbound_batch(&keys).await?;
                let rows: Vec<_> = kept.iter().map(PendingChange::as_row).collect();
                store.store_pending_inbound_batch(&rows).await
            }
            Self::DeleteExpiredPending(cutoff) => store.delete_expired_pending_inbound(cutoff).await.map(drop),
            Self::CreateDevice => match store.exists().await? {
                true => Ok(()),
                false => store.create().await.map(drop),
            },
            Self::SaveDevice(device) => store.save(&device).await,
            Self::PutMessageSecret { chat, sender, message, secret } => {
                store.put_msg_secret(&chat, &sender, &message, &secret).await
            }
            Self::PutMessageSecrets(entries) => store.put_msg_secrets(entries).await.map(drop),
            Self::DeleteExpiredMessageSecrets(cutoff) => store.delete_expired_msg_secrets(cutoff).await.map(drop),
        }
    }
}

impl PendingChange {
    pub fn as_key(&self) -> PendingInboundKey<'_> {
        PendingInboundKey { chat: &self.chat, sender: &self.sender, id: &self.id }
    }

    pub fn as_row(&self) -> PendingInboundRow<'_> {
        PendingInboundRow { chat: &self.chat, sender: &self.sender, id: &self.id, message: &self.message }
    }
}

#[cfg(test)]
mod tests;
