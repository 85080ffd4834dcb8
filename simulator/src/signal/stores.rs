//! The stores that the Signal library asks for: maps in memory, one per kind of key.
//! They answer at once. `SignalEndpoint` uses them.

use std::collections::{BTreeMap, HashMap};

use async_trait::async_trait;
use wacore_libsignal::protocol::{
    Direction, IdentityChange, IdentityKey, IdentityKeyPair, IdentityKeyStore, KeyPair, PreKeyId, PreKeyRecord,
    PreKeyStore, ProtocolAddress, PublicKey, SenderKeyName, SenderKeyRecord, SenderKeyStore, SessionRecord,
    SessionStore, SignalProtocolError, SignedPreKeyId, SignedPreKeyRecord, SignedPreKeyStore,
};

use crate::randomness::Randomness;

pub(super) type SignalResult<T> = Result<T, SignalProtocolError>;

/// The id of the one signed prekey that an endpoint ever has.
pub(super) const SIGNED_PREKEY_ID: u32 = 1;

/// A one-time prekey waits for the first message of the client that fetched it. A fetch without a
/// message leaves one behind, so the oldest are removed beyond this number.
const MAX_ONE_TIME_PREKEYS: usize = 4_096;

#[derive(Clone)]
pub(super) struct IdentityData {
    pub(super) pair: IdentityKeyPair,
    pub(super) registration_id: u32,
}

#[async_trait]
impl IdentityKeyStore for IdentityData {
    async fn get_identity_key_pair(&self) -> SignalResult<IdentityKeyPair> {
        Ok(self.pair.clone())
    }

    async fn get_local_registration_id(&self) -> SignalResult<u32> {
        Ok(self.registration_id)
    }

    async fn save_identity(
        &mut self,
        _address: &ProtocolAddress,
        _identity: &IdentityKey,
    ) -> SignalResult<IdentityChange> {
        Ok(IdentityChange::NewOrUnchanged)
    }

    // A simulated phone trusts every identity: a client that was installed again is a test, not an attack.
    async fn is_trusted_identity(
        &self,
        _address: &ProtocolAddress,
        _identity: &IdentityKey,
        _direction: Direction,
    ) -> SignalResult<bool> {
        Ok(true)
    }

    async fn get_identity(&self, _address: &ProtocolAddress) -> SignalResult<Option<IdentityKey>> {
        Ok(None)
    }
}

#[derive(Clone, Default)]
pub(super) struct PreKeyMap {
    pub(super) next: u32,
    pub(super) records: BTreeMap<u32, PreKeyRecord>,
}

impl PreKeyMap {
    pub(super) fn generate(&mut self) -> (u32, PublicKey) {
        // Ids travel in three bytes.
        self.next = self.next % 0x00ff_fffe + 1;
        let pair = KeyPair::generate(&mut Randomness);
        self.records.insert(self.next, PreKeyRecord::new(self.next.into(), &pair));
        while self.records.len() > MAX_ONE_TIME_PREKEYS {
            self.records.pop_first();
        }
        (self.next, pair.public_key)
    }
}

#[async_trait]
impl PreKeyStore for PreKeyMap {
    async fn get_pre_key(&self, id: PreKeyId) -> SignalResult<PreKeyRecord> {
        self.records.get(&u32::from(id)).cloned().ok_or(SignalProtocolError::InvalidPreKeyId)
    }

    async fn save_pre_key(&mut self, id: PreKeyId, record: &PreKeyRecord) -> SignalResult<()> {
        self.records.insert(id.into(), record.clone());
        Ok(())
    }

    async fn remove_pre_key(&mut self, id: PreKeyId) -> SignalResult<()> {
        self.records.remove(&u32::from(id));
        Ok(())
    }
}

#[derive(Clone)]
pub(super) struct SignedPreKeySlot(pub(super) SignedPreKeyRecord);

#[async_trait]
impl SignedPreKeyStore for SignedPreKeySlot {
    async fn get_signed_pre_key(&self, id: SignedPreKeyId) -> SignalResult<SignedPreKeyRecord> {
        if u32::from(id) == SIGNED_PREKEY_ID {
            Ok(self.0.clone())
        } else {
            Err(SignalProtocolError::InvalidSignedPreKeyId)
        }
    }

    async fn save_signed_pre_key(&mut self, _id: SignedPreKeyId, record: &SignedPreKeyRecord) -> SignalResult<()> {
        self.0 = record.clone();
        Ok(())
    }
}

#[derive(Clone, Default)]
pub(super) struct SessionMap(pub(super) HashMap<String, SessionRecord>);

#[async_trait]
impl SessionStore for SessionMap {
    async fn load_session(&self, address: &ProtocolAddress) -> SignalResult<Option<SessionRecord>> {
        Ok(self.0.get(address.as_str()).cloned())
    }

    async fn has_session(&self, address: &ProtocolAddress) -> SignalResult<bool> {
        Ok(self.0.contains_key(address.as_str()))
    }

    async fn store_session(&mut self, address: &ProtocolAddress, record: SessionRecord) -> SignalResult<()> {
        self.0.insert(address.as_str().to_owned(), record);
        Ok(())
    }
}

#[derive(Clone, Default)]
pub(super) struct SenderKeyMap(pub(super) HashMap<String, SenderKeyRecord>);

#[async_trait]
impl SenderKeyStore for SenderKeyMap {
    async fn store_sender_key(&mut self, name: &SenderKeyName, record: SenderKeyRecord) -> SignalResult<()> {
        self.0.insert(name.cache_key().to_owned(), record);
        Ok(())
    }

    async fn load_sender_key(&self, name: &SenderKeyName) -> SignalResult<Option<SenderKeyRecord>> {
        Ok(self.0.get(name.cache_key()).cloned())
    }
}
