//! The keys that a client declares when it registers.

use anyhow::{Context as _, Result, ensure};
use buffa::Message as _;
use waproto::whatsapp::{DeviceProps, client_payload::DevicePairingRegistrationData};

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
    /// It reads the first parts of the history inside the message that tells of them.
    pub inline_history: bool,
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
            inline_history: reads_inline_history(data),
        };
        ensure!(keys.identity.len() == 32 && keys.signed_prekey.len() == 32, "keys have 32 bytes");
        Ok(keys)
    }
}

fn reads_inline_history(data: &DevicePairingRegistrationData) -> bool {
    let props = data.device_props.as_deref().and_then(|bytes| DeviceProps::decode_from_slice(bytes).ok());
    let config = props.and_then(|props| props.history_sync_config.into_option());
    config.is_some_and(|config| config.inline_initial_payload_in_e2_ee_msg == Some(true))
}

/// Ids travel in three or four bytes, the highest first.
pub fn big_endian(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |value, byte| (value << 8) | u32::from(*byte))
}
