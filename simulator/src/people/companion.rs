//! A companion: a real client linked to an account, as the server knows it.
//! Promises that each one-time prekey is handed out once. Leaves what waits for the companion
//! to its offline queue.

use std::collections::VecDeque;

use anyhow::{Context as _, Result, ensure};
use wacore_libsignal::protocol::{DeviceId, IdentityKey, PreKeyBundle, PreKeyId, PublicKey, SignedPreKeyId};
use waproto::whatsapp::client_payload::DevicePairingRegistrationData;

use crate::{connection::ConnectionId, offline_queue::OfflineQueue};

/// What a client declared about itself when it registered.
#[derive(Debug, Clone)]
pub struct CompanionKeys {
    pub registration_id: u32,
    pub identity: Vec<u8>,
    pub signed_prekey_id: u32,
    pub signed_prekey: Vec<u8>,
    pub signed_prekey_signature: Vec<u8>,
    /// The Noise key of its socket: who logs in as this companion must hold it.
    pub noise: [u8; 32],
}

impl CompanionKeys {
    pub fn from_registration(data: &DevicePairingRegistrationData, noise: [u8; 32]) -> Result<Self> {
        let keys = Self {
            registration_id: big_endian(data.e_regid.as_deref().context("no registration id")?),
            identity: data.e_ident.clone().context("no identity key")?,
            signed_prekey_id: big_endian(data.e_skey_id.as_deref().context("no signed prekey id")?),
            signed_prekey: data.e_skey_val.clone().context("no signed prekey")?,
            signed_prekey_signature: data.e_skey_sig.clone().context("no prekey signature")?,
            noise,
        };
        ensure!(keys.identity.len() == 32 && keys.signed_prekey.len() == 32, "keys have 32 bytes");
        Ok(keys)
    }
}

/// Ids travel in three or four bytes, the highest first.
pub fn big_endian(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |value, byte| (value << 8) | u32::from(*byte))
}

#[derive(Debug)]
pub struct Companion {
    pub device: u16,
    pub push_name: String,
    pub keys: CompanionKeys,
    /// In the order of upload: the digest is computed over it.
    pub one_time_prekeys: VecDeque<(u32, Vec<u8>)>,
    /// What the companion signed at pairing; handed out with its bundle.
    pub signed_identity: Vec<u8>,
    pub queue: OfflineQueue,
    pub connection: Option<ConnectionId>,
    /// A replenishing was asked for and has not come yet.
    pub asked_for_prekeys: bool,
}

impl Companion {
    /// The next bundle for a session with this companion. Once the one-time prekeys are used up
    /// it comes without one, as WhatsApp does.
    pub fn take_bundle(&mut self) -> Result<PreKeyBundle> {
        let one_time = match self.one_time_prekeys.pop_front() {
            Some((id, key)) => Some((PreKeyId::from(id), PublicKey::from_djb_public_key_bytes(&key)?)),
            None => None,
        };
        Ok(PreKeyBundle::new(
            self.keys.registration_id,
            DeviceId::new(u32::from(self.device)),
            one_time,
            SignedPreKeyId::from(self.keys.signed_prekey_id),
            PublicKey::from_djb_public_key_bytes(&self.keys.signed_prekey)?,
            self.keys.signed_prekey_signature.clone(),
            IdentityKey::new(PublicKey::from_djb_public_key_bytes(&self.keys.identity)?),
        )?)
    }
}
