//! `creds.json`: the device that WhatsApp knows.

use super::{CREDENTIALS_FILE, UnusableFolder, octets::Octets};
use serde::Deserialize;
use std::{str::FromStr as _, sync::Arc};
use wacore::{
    libsignal::protocol::{KeyPair, PrivateKey, PublicKey},
    store::Device,
};
use wacore_binary::Jid;
use waproto::whatsapp as wa;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Credentials {
    noise_key: KeyHalves,
    signed_identity_key: KeyHalves,
    signed_pre_key: SignedPreKey,
    registration_id: u32,
    adv_secret_key: Octets,
    #[serde(default = "first_key")]
    next_pre_key_id: u32,
    #[serde(default = "first_key")]
    first_unuploaded_pre_key_id: u32,
    me: Option<Me>,
    account: Option<Account>,
    routing_info: Option<Octets>,
}

fn first_key() -> u32 {
    1
}

/// A private and a public key of 32 bytes each.
#[derive(Deserialize)]
pub struct KeyHalves {
    private: Octets,
    public: Octets,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SignedPreKey {
    key_pair: KeyHalves,
    signature: Octets,
    key_id: u32,
}

#[derive(Deserialize)]
struct Me {
    id: String,
    lid: Option<String>,
    name: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Account {
    details: Octets,
    account_signature_key: Octets,
    account_signature: Octets,
    device_signature: Octets,
}

impl KeyHalves {
    /// # Errors
    /// If these are no keys, or the public one belongs to another private one.
    pub fn key_pair(&self) -> Result<KeyPair, String> {
        let private = self.private.exactly::<32>().map_err(|problem| format!("the private key {problem}"))?;
        let private = PrivateKey::deserialize(&private).map_err(|error| error.to_string())?;
        let public = PublicKey::from_stored_public_key_bytes(&self.public.0).map_err(|error| error.to_string())?;
        let derived = private.public_key().map_err(|error| error.to_string())?;
        if derived != public {
            return Err("the public key does not belong to the private one".to_owned());
        }
        Ok(KeyPair::new(public, private))
    }
}

/// Reads the device and the account's number.
///
/// # Errors
/// If the file is damaged, or of a session that was never paired.
pub fn read_device(file: &[u8]) -> Result<(Device, Jid), UnusableFolder> {
    let unusable = |problem: String| UnusableFolder::new(CREDENTIALS_FILE, problem);
    let credentials: Credentials =
        serde_json::from_slice(file).map_err(|error| unusable(format!("cannot be read: {error}")))?;
    let (Some(me), Some(account)) = (&credentials.me, &credentials.account) else {
        return Err(unusable("is of a session that was never paired".to_owned()));
    };
    let within = |part: &str| {
        let part = part.to_owned();
        move |problem: String| UnusableFolder::new(CREDENTIALS_FILE, format!("is damaged at {part}: {problem}"))
    };
    let number = Jid::from_str(&me.id).map_err(|error| within("me.id")(error.to_string()))?;
    if !number.is_pn() || number.device == 0 {
        return Err(within("me.id")("it names no linked device".to_owned()));
    }
    let lid = me.lid.as_deref().map(Jid::from_str).transpose().map_err(|error| within("me.lid")(error.to_string()))?;
    let signed = &credentials.signed_pre_key;
    let account = wa::ADVSignedDeviceIdentity {
        details: Some(account.details.0.clone()),
        account_signature_key: Some(account.account_signature_key.0.clone()),
        account_signature: Some(account.account_signature.exactly::<64>().map_err(within("account"))?.to_vec()),
        device_signature: Some(account.device_signature.exactly::<64>().map_err(within("account"))?.to_vec()),
    };
    let mut device = Device::new();
    device.pn = Some(number.clone());
    device.lid = lid;
    device.registration_id = credentials.registration_id;
    device.noise_key = credentials.noise_key.key_pair().map_err(within("noiseKey"))?;
    device.identity_key = credentials.signed_identity_key.key_pair().map_err(within("signedIdentityKey"))?;
    device.signed_pre_key = signed.key_pair.key_pair().map_err(within("signedPreKey"))?;
    device.signed_pre_key_id = signed.key_id;
    device.signed_pre_key_signature = signed.signature.exactly().map_err(within("signedPreKey.signature"))?;
    device.adv_secret_key = credentials.adv_secret_key.exactly().map_err(within("advSecretKey"))?;
    device.account = Some(Arc::new(account));
    device.push_name = me.name.clone().unwrap_or_default();
    device.edge_routing_info = credentials.routing_info.map(|info| info.0);
    device.next_pre_key_id = credentials.next_pre_key_id;
    device.first_unupload_pre_key_id = credentials.first_unuploaded_pre_key_id;
    device.server_has_prekeys = credentials.first_unuploaded_pre_key_id > 1;
    Ok((device, number))
}
