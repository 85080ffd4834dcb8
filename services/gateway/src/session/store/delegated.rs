//! The methods that [`BatchingStore`] passes on to the client's own store: all except those that write a message or its
//! chat's keys.
//!
//! Methods with a default in the trait are passed on, too, because the store has better ones.

#![warn(clippy::missing_trait_methods)]

use super::BatchingStore;
use crate::session::journal::StoreChange as Change;
use async_trait::async_trait;
use bytes::Bytes;
use std::{collections::HashMap, sync::Arc};
use wacore::{
    appstate::{hash::HashState, processor::AppStateMutationMAC},
    stats::StorageResourceReport,
    store::{Device, error::Result},
};
use whatsapp_rust::store::{
    AppStateSyncKey, AppSyncStore, DeviceListRecord, DeviceStore, LidPnMappingEntry, MessageSecret, MsgSecretEntry,
    MsgSecretStore, PendingInboundKey, PendingInboundRow, ProtocolStore, SignalStore, TcTokenEntry,
};

/// Eight days, in seconds.
const LONGER_THAN_THE_LIBRARY: i64 = 8 * 24 * 60 * 60;

/// The same text with a sign that looks alike.
pub fn without_at(name: &str) -> String {
    name.replace('@', "\u{ff20}")
}

/// Methods that read, and methods that change something, each with its [`StoreChange`].
macro_rules! delegate {
    ($store:ident {
        $(fn $name:ident($($argument:ident: $type:ty),*) -> $answer:ty;)+
    } changes {
        $(fn $write:ident($($given:ident: $given_type:ty),*) -> $written:ty = $change:expr;)+
    } $({ $($own:tt)+ })?) => {
        #[async_trait]
        impl $store for BatchingStore {
            $(async fn $name(&self, $($argument: $type),*) -> $answer {
                let _call = self.tasks.begin_store_call();
                self.store.$name($($argument),*).await
            })+
            $(async fn $write(&self, $($given: $given_type),*) -> $written {
                let _call = self.tasks.begin_store_call();
                let change = self.change(|| $change);
                self.write(change, self.store.$write($($given),*)).await
            })+
            $($($own)+)?
        }
    };
}

delegate! { SignalStore {
    fn load_identity(address: &str) -> Result<Option<[u8; 32]>>;
    fn get_session(address: &str) -> Result<Option<Bytes>>;
    fn has_session(address: &str) -> Result<bool>;
    fn has_signal_state_for_user(user: &str) -> Result<bool>;
    fn load_prekey(id: u32) -> Result<Option<Bytes>>;
    fn load_prekeys_batch(ids: &[u32]) -> Result<Vec<(u32, Bytes)>>;
    fn get_max_prekey_id() -> Result<u32>;
    fn load_signed_prekey(id: u32) -> Result<Option<Vec<u8>>>;
    fn load_all_signed_prekeys() -> Result<Vec<(u32, Vec<u8>)>>;
    fn get_sender_key(address: &str) -> Result<Option<Vec<u8>>>;
} changes {
    fn put_identity(address: &str, key: [u8; 32]) -> Result<()> = Change::PutIdentities(vec![(address.into(), key)]);
    fn put_identities_batch(identities: &[(Arc<str>, [u8; 32])]) -> Result<()> =
        Change::PutIdentities(identities.to_vec());
    fn delete_identity(address: &str) -> Result<()> = Change::DeleteIdentity(address.to_owned());
    fn delete_session(address: &str) -> Result<()> = Change::DeleteSession(address.to_owned());
    fn store_prekey(id: u32, record: &[u8], uploaded: bool) -> Result<()> =
        Change::StorePrekeys { keys: vec![(id, Bytes::copy_from_slice(record))], uploaded };
    fn store_prekeys_batch(keys: &[(u32, Bytes)], uploaded: bool) -> Result<()> =
        Change::StorePrekeys { keys: keys.to_vec(), uploaded };
    fn mark_prekeys_uploaded(ids: &[u32]) -> Result<()> = Change::MarkPrekeysUploaded(ids.to_vec());
    fn remove_prekey(id: u32) -> Result<()> = Change::RemovePrekey(id);
    fn store_signed_prekey(id: u32, record: &[u8]) -> Result<()> =
        Change::StoreSignedPrekey { id, record: Bytes::copy_from_slice(record) };
    fn remove_signed_prekey(id: u32) -> Result<()> = Change::RemoveSignedPrekey(id);
    fn delete_sender_key(address: &str) -> Result<()> = Change::DeleteSenderKey(address.to_owned());
} {
    async fn put_session(&self, address: &str, session: &[u8]) -> Result<()> {
        self.flush_pending().await?;
        let change = self.change(|| Change::PutSessions(vec![(address.into(), Bytes::copy_from_slice(session))]));
        self.write(change, self.store.put_session(address, session)).await
    }

    async fn put_sessions_batch(&self, sessions: &[(Arc<str>, Bytes)]) -> Result<()> {
        self.flush_pending().await?;
        let change = self.change(|| Change::PutSessions(sessions.to_vec()));
        self.write(change, self.store.put_sessions_batch(sessions)).await
    }

    async fn put_sender_key(&self, address: &str, record: &[u8]) -> Result<()> {
        self.flush_pending().await?;
        let change = self.change(|| Change::PutSenderKeys(vec![(address.into(), Bytes::copy_from_slice(record))]));
        self.write(change, self.store.put_sender_key(address, record)).await
    }

    async fn put_sender_keys_batch(&self, sender_keys: &[(Arc<str>, Bytes)]) -> Result<()> {
        self.flush_pending().await?;
        let change = self.change(|| Change::PutSenderKeys(sender_keys.to_vec()));
        self.write(change, self.store.put_sender_keys_batch(sender_keys)).await
    }
} }

delegate! { AppSyncStore {
    fn get_sync_key(key_id: &[u8]) -> Result<Option<AppStateSyncKey>>;
    fn get_version(name: &str) -> Result<HashState>;
    fn get_mutation_mac(name: &str, index_mac: &[u8]) -> Result<Option<Vec<u8>>>;
    fn get_mutation_macs(name: &str, index_macs: &[[u8; 32]]) -> Result<HashMap<[u8; 32], Vec<u8>>>;
    fn get_latest_sync_key_id() -> Result<Option<Vec<u8>>>;
} changes {
    fn set_sync_key(key_id: &[u8], key: AppStateSyncKey) -> Result<()> =
        Change::SetSyncKey { id: Bytes::copy_from_slice(key_id), key: key.clone() };
    fn set_version(name: &str, state: HashState) -> Result<()> =
        Change::SetVersion { name: name.to_owned(), state: state.clone() };
    fn put_mutation_macs(name: &str, version: u64, mutations: &[AppStateMutationMAC]) -> Result<()> =
        Change::PutMutationMacs { name: name.to_owned(), version, macs: mutations.to_vec() };
    fn delete_mutation_macs(name: &str, index_macs: &[Vec<u8>]) -> Result<()> =
        Change::DeleteMutationMacs {
            name: name.to_owned(),
            index_macs: index_macs.iter().map(|mac| Bytes::copy_from_slice(mac)).collect(),
        };
    fn clear_mutation_macs(name: &str) -> Result<()> = Change::ClearMutationMacs(name.to_owned());
} }

delegate! { ProtocolStore {
    fn get_sender_key_devices(group_jid: &str) -> Result<Vec<(String, bool)>>;
    fn get_lid_mapping(lid: &str) -> Result<Option<LidPnMappingEntry>>;
    fn get_pn_mapping(phone: &str) -> Result<Option<LidPnMappingEntry>>;
    fn get_all_lid_mappings() -> Result<Vec<LidPnMappingEntry>>;
    fn has_same_base_key(address: &str, message_id: &str, current_base_key: &[u8]) -> Result<bool>;
    fn get_devices(user: &str) -> Result<Option<DeviceListRecord>>;
    fn get_group_metadata(group_jid: &str) -> Result<Option<Vec<u8>>>;
    fn get_tc_token(jid: &str) -> Result<Option<TcTokenEntry>>;
    fn get_all_tc_token_jids() -> Result<Vec<String>>;
    fn get_pending_inbound(chat: &str, sender: &str, id: &str) -> Result<Option<Vec<u8>>>;
} changes {
    fn set_sender_key_status(group_jid: &str, entries: &[(&str, bool)]) -> Result<()> = Change::SetSenderKeyStatus {
        group: group_jid.to_owned(),
        entries: entries.iter().map(|(device, has)| ((*device).to_owned(), *has)).collect(),
    };
    fn clear_sender_key_devices(group_jid: &str) -> Result<()> = Change::ClearSenderKeyDevices(group_jid.to_owned());
    fn delete_sender_key_device_rows(device_jids: &[&str]) -> Result<()> =
        Change::DeleteSenderKeyDevices(device_jids.iter().map(|jid| (*jid).to_owned()).collect());
    fn clear_all_sender_key_devices() -> Result<()> = Change::ClearAllSenderKeyDevices;
    fn put_lid_mapping(entry: &LidPnMappingEntry) -> Result<()> = Change::PutLidMappings(vec![(*entry).clone()]);
    fn put_lid_mappings(entries: &[LidPnMappingEntry]) -> Result<()> = Change::PutLidMappings(entries.to_vec());
    fn save_base_key(address: &str, message_id: &str, base_key: &[u8]) -> Result<()> = Change::SaveBaseKey {
        address: address.to_owned(),
        message: message_id.to_owned(),
        key: Bytes::copy_from_slice(base_key),
    };
    fn delete_base_key(address: &str, message_id: &str) -> Result<()> =
        Change::DeleteBaseKey { address: address.to_owned(), message: message_id.to_owned() };
    fn update_device_list(record: DeviceListRecord) -> Result<()> = Change::UpdateDeviceLists(vec![record.clone()]);
    fn update_device_lists(records: Vec<DeviceListRecord>) -> Result<()> = Change::UpdateDeviceLists(records.clone());
    fn delete_devices(user: &str) -> Result<()> = Change::DeleteDevices(user.to_owned());
    fn put_group_metadata(group_jid: &str, blob: &[u8]) -> Result<()> =
        Change::PutGroupMetadata { group: group_jid.to_owned(), blob: Bytes::copy_from_slice(blob) };
    fn delete_group_metadata(group_jid: &str) -> Result<()> = Change::DeleteGroupMetadata(group_jid.to_owned());
    fn put_tc_token(jid: &str, entry: &TcTokenEntry) -> Result<()> =
        Change::PutTcToken { jid: jid.to_owned(), entry: (*entry).clone() };
    fn delete_tc_token(jid: &str) -> Result<()> = Change::DeleteTcToken(jid.to_owned());
    fn delete_expired_tc_tokens(token_cutoff: i64, sender_cutoff: i64) -> Result<u32> =
        Change::DeleteExpiredTcTokens { token_cutoff, sender_cutoff };
    fn touch_tc_token_sender_timestamp(jid: &str, sender_timestamp: i64) -> Result<()> =
        Change::TouchTcToken { jid: jid.to_owned(), sender_timestamp };
    fn store_received_tc_token(jid: &str, token: &[u8], token_timestamp: i64) -> Result<()> =
        Change::StoreReceivedTcToken {
            jid: jid.to_owned(),
            token: Bytes::copy_from_slice(token),
            timestamp: token_timestamp,
        };
    fn store_sent_message(chat_jid: &str, message_id: &str, payload: &[u8]) -> Result<()> = Change::StoreSentMessage {
        chat: chat_jid.to_owned(),
        message: message_id.to_owned(),
        payload: Bytes::copy_from_slice(payload),
    };
    fn take_sent_message(chat_jid: &str, message_id: &str) -> Result<Option<Vec<u8>>> =
        Change::TakeSentMessage { chat: chat_jid.to_owned(), message: message_id.to_owned() };
    fn delete_expired_sent_messages(cutoff_timestamp: i64) -> Result<u32> =
        Change::DeleteExpiredSentMessages(cutoff_timestamp);
} {
    async fn store_pending_inbound(&self, chat: &str, sender: &str, id: &str, message: &[u8]) -> Result<()> {
        self.write_pending(&[PendingInboundRow { chat, sender, id, message }]).await
    }

    async fn delete_pending_inbound(&self, chat: &str, sender: &str, id: &str) -> Result<()> {
        self.delete_pending(&[PendingInboundKey { chat, sender, id }]).await
    }

    /// The library gives a message seven days. WhatsApp holds it for fourteen, and sends it again without the keys to it.
    async fn delete_expired_pending_inbound(&self, cutoff_timestamp: i64) -> Result<u32> {
        let cutoff = cutoff_timestamp - LONGER_THAN_THE_LIBRARY;
        let change = self.change(|| Change::DeleteExpiredPending(cutoff));
        self.write(change, self.store.delete_expired_pending_inbound(cutoff)).await
    }

    async fn store_pending_inbound_batch(&self, rows: &[PendingInboundRow<'_>]) -> Result<()> {
        self.write_pending(rows).await
    }

    async fn delete_pending_inbound_batch(&self, keys: &[PendingInboundKey<'_>]) -> Result<()> {
        self.delete_pending(keys).await
    }
} }

delegate! { DeviceStore {
    fn exists() -> Result<bool>;
    fn snapshot_db(name: &str, extra_content: Option<&[u8]>) -> Result<()>;
    fn resource_report() -> StorageResourceReport;
} changes {
    fn save(device: &Device) -> Result<()> = Change::SaveDevice(Box::new((*device).clone()));
    fn create() -> Result<i32> = Change::CreateDevice;
} {
    /// The account's name without an `@`. The library tells the name at each login, and would send one with an `@` as an
    /// address, for which WhatsApp ends the connection.
    async fn load(&self) -> Result<Option<Device>> {
        let device = self.store.load().await?;
        Ok(device.map(|mut device| {
            device.push_name = without_at(&device.push_name);
            device
        }))
    }
} }

delegate! { MsgSecretStore {
    fn get_msg_secret(chat: &str, sender: &str, msg_id: &str) -> Result<Option<Vec<u8>>>;
    fn get_msg_secret_with_ts(chat: &str, sender: &str, msg_id: &str) -> Result<Option<(Vec<u8>, i64)>>;
} changes {
    fn put_msg_secret(chat: &str, sender: &str, msg_id: &str, secret: &MessageSecret) -> Result<()> =
        Change::PutMessageSecret {
            chat: chat.to_owned(),
            sender: sender.to_owned(),
            message: msg_id.to_owned(),
            secret: *secret,
        };
    fn put_msg_secrets(entries: Vec<MsgSecretEntry>) -> Result<usize> = Change::PutMessageSecrets(entries.clone());
    fn delete_expired_msg_secrets(cutoff_timestamp: i64) -> Result<u32> =
        Change::DeleteExpiredMessageSecrets(cutoff_timestamp);
} }
