//! A companion: a real client linked to an account, as the server knows it.
//! Promises that each one-time prekey is handed out once. Leaves what waits for the companion
//! to its offline queue.

use std::{
    collections::{BTreeSet, VecDeque},
    time::Instant,
};

use anyhow::Result;
use wacore_binary::Node;
use wacore_libsignal::protocol::{DeviceId, IdentityKey, PreKeyBundle, PreKeyId, PublicKey, SignedPreKeyId};

use crate::{connection::ConnectionId, offline_queue::OfflineQueue, phone_number::PhoneNumber, signal::CompanionKeys};

#[derive(Debug)]
pub struct CompanionDevice {
    pub device: u16,
    pub push_name: String,
    pub keys: CompanionKeys,
    /// In the order of upload: the digest is computed over it.
    pub one_time_prekeys: VecDeque<(u32, Vec<u8>)>,
    /// What the companion signed at pairing; handed out with its bundle.
    pub signed_identity: Vec<u8>,
    pub queue: OfflineQueue,
    pub connection: Option<ConnectionId>,
    /// Typing of the last moment while it was away, and until when it is shown.
    pub typing: VecDeque<(Instant, Node)>,
    /// The devices that hold this companion's sender key of status posts.
    pub status_holders: BTreeSet<(PhoneNumber, u16)>,
    /// A replenishing was asked for and has not come yet.
    pub asked_for_prekeys: bool,
}

impl CompanionDevice {
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
