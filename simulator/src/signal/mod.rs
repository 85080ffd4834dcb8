//! One end of the Signal protocol: the keys and sessions of a simulated phone.
//! wacore-libsignal alone opens sessions, encrypts and decrypts.
//! Which device is written to and what a plaintext means is decided in `stanza`.

mod companion_keys;
mod stores;

use anyhow::{Context as _, Result, bail};
use futures::FutureExt as _;
use rand::RngExt as _;
use wacore_libsignal::protocol::{
    CiphertextMessage, CiphertextMessageType, DeviceId, GenericSignedPreKey as _, IdentityKeyPair, KeyPair,
    PreKeyBundle, PreKeyId, PreKeyRecord, PreKeySignalMessage, ProtocolAddress, PublicKey,
    SenderKeyDistributionMessage, SenderKeyName, SenderKeyRecord, SessionRecord, SignalMessage, SignalProtocolError,
    SignedPreKeyId, SignedPreKeyRecord, Timestamp, UsePQRatchet, create_sender_key_distribution_message, group_decrypt,
    group_encrypt, message_decrypt, message_encrypt, process_prekey_bundle, process_sender_key_distribution_message,
};

use crate::randomness::Randomness;

pub use companion_keys::{CompanionKeys, big_endian};

use stores::{IdentityData, PreKeyMap, SIGNED_PREKEY_ID, SenderKeyMap, SessionMap, SignalResult, SignedPreKeySlot};

/// What goes into an `<enc>`: its `type` and its content.
#[derive(Debug, Clone)]
pub struct EncryptedPayload {
    pub kind: &'static str,
    pub bytes: Vec<u8>,
}

/// The keys and sessions of one simulated phone.
#[derive(Clone)]
pub struct SignalEndpoint {
    identities: IdentityData,
    prekeys: PreKeyMap,
    signed_prekey: SignedPreKeySlot,
    sessions: SessionMap,
    sender_keys: SenderKeyMap,
}

/// The names under which an endpoint keeps sessions: a phone number and a device, never a LID,
/// so that one device has one session however it is addressed.
pub fn address(number: &str, device: u16) -> ProtocolAddress {
    ProtocolAddress::new(number, DeviceId::new(u32::from(device)))
}

pub fn sender_key_name(group: &str, number: &str, device: u16) -> SenderKeyName {
    SenderKeyName::new(group.to_owned(), format!("{number}.{device}"))
}

/// The stores are maps in memory, so the library's futures are ready at their first poll.
fn at_once<T>(future: impl Future<Output = SignalResult<T>>) -> SignalResult<T> {
    future.now_or_never().unwrap_or_else(|| {
        Err(SignalProtocolError::InvalidState("signal endpoint", "a store in memory did not answer at once".to_owned()))
    })
}

impl SignalEndpoint {
    pub fn generate() -> Result<Self> {
        let mut rng = Randomness;
        let pair = IdentityKeyPair::generate(&mut rng);
        let signed = KeyPair::generate(&mut rng);
        let signature = pair
            .private_key()
            .calculate_signature(&signed.public_key.serialize(), &mut rng)
            .context("sign a prekey")?;
        let record = SignedPreKeyRecord::new(
            SignedPreKeyId::from(SIGNED_PREKEY_ID),
            Timestamp::from_epoch_millis(0),
            &signed,
            &signature,
        );
        Ok(Self {
            identities: IdentityData {
                pair,
                // 14 bits, as WhatsApp's own apps choose it.
                registration_id: rng.random_range(1..=0x3fff),
            },
            prekeys: PreKeyMap::default(),
            signed_prekey: SignedPreKeySlot(record),
            sessions: SessionMap::default(),
            sender_keys: SenderKeyMap::default(),
        })
    }

    pub fn identity_public(&self) -> [u8; 32] {
        raw_key(self.identities.pair.public_key())
    }

    pub fn registration_id(&self) -> u32 {
        self.identities.registration_id
    }

    /// Signs with the identity key (XEdDSA), as a phone does for its companions.
    pub fn sign(&self, message: &[u8]) -> Result<[u8; 64]> {
        let signature = self.identities.pair.private_key().calculate_signature(message, &mut Randomness)?;
        Ok(signature)
    }

    /// The Diffie-Hellman secret of the identity key and another one (pairing by code).
    pub fn agree(&self, theirs: &[u8]) -> Result<[u8; 32]> {
        let theirs = PublicKey::from_djb_public_key_bytes(theirs)?;
        Ok(self.identities.pair.private_key().calculate_agreement(&theirs)?)
    }

    /// A key bundle for a client that wants to write to this phone, with a fresh one-time prekey.
    pub fn publish_bundle(&mut self) -> Result<PreKeyBundle> {
        let (id, public) = self.prekeys.generate();
        let signed = &self.signed_prekey.0;
        Ok(PreKeyBundle::new(
            self.identities.registration_id,
            DeviceId::new(0),
            Some((PreKeyId::from(id), public)),
            SignedPreKeyId::from(SIGNED_PREKEY_ID),
            signed.public_key()?,
            signed.signature()?,
            *self.identities.pair.identity_key(),
        )?)
    }

    pub fn has_session(&self, to: &ProtocolAddress) -> bool {
        self.sessions.0.contains_key(to.as_str())
    }

    pub fn forget_session(&mut self, with: &ProtocolAddress) {
        self.sessions.0.remove(with.as_str());
    }

    /// Opens (or replaces) the session with a device by its key bundle.
    pub fn open_session(&mut self, to: &ProtocolAddress, bundle: &PreKeyBundle) -> Result<()> {
        at_once(process_prekey_bundle(
            to,
            &mut self.sessions,
            &mut self.identities,
            bundle,
            &mut Randomness,
            UsePQRatchet::No,
        ))
        .with_context(|| format!("open a session with {to}"))?;
        Ok(())
    }

    pub fn encrypt(&mut self, to: &ProtocolAddress, plaintext: &[u8]) -> Result<EncryptedPayload> {
        let sealed = at_once(message_encrypt(plaintext, to, &mut self.sessions, &mut self.identities))
            .with_context(|| format!("encrypt for {to}"))?;
        let kind = match sealed.message_type() {
            CiphertextMessageType::PreKey => "pkmsg",
            CiphertextMessageType::Whisper => "msg",
            CiphertextMessageType::SenderKey | CiphertextMessageType::Plaintext => {
                bail!("a session cannot produce a message of this kind")
            }
        };
        Ok(EncryptedPayload { kind, bytes: sealed.serialize().to_vec() })
    }

    /// Decrypts a `pkmsg` or `msg` of one device.
    pub fn decrypt(&mut self, from: &ProtocolAddress, kind: &str, bytes: &[u8]) -> Result<Vec<u8>> {
        let message = match kind {
            "pkmsg" => CiphertextMessage::PreKeySignalMessage(PreKeySignalMessage::try_from(bytes)?),
            "msg" => CiphertextMessage::SignalMessage(SignalMessage::try_from(bytes)?),
            other => bail!("no session decrypts an enc of type {other:?}"),
        };
        let opened = at_once(message_decrypt(
            &message,
            from,
            &mut self.sessions,
            &mut self.identities,
            &mut self.prekeys,
            &self.signed_prekey,
            &mut Randomness,
            UsePQRatchet::No,
        ))
        .with_context(|| format!("decrypt a {kind} of {from}"))?;
        if let Some(id) = opened.consumed_prekey_id {
            self.prekeys.records.remove(&u32::from(id));
        }
        Ok(opened.plaintext)
    }

    /// The sender key of this phone in a group, made at first use, as the others need it.
    pub fn sender_key_distribution(&mut self, name: &SenderKeyName) -> Result<Vec<u8>> {
        let distribution =
            at_once(create_sender_key_distribution_message(name, &mut self.sender_keys, &mut Randomness))?;
        Ok(distribution.serialized().to_vec())
    }

    pub fn accept_sender_key(&mut self, name: &SenderKeyName, bytes: &[u8]) -> Result<()> {
        let distribution = SenderKeyDistributionMessage::try_from(bytes)?;
        at_once(process_sender_key_distribution_message(name, &distribution, &mut self.sender_keys))?;
        Ok(())
    }

    pub fn group_encrypt(&mut self, name: &SenderKeyName, plaintext: &[u8]) -> Result<Vec<u8>> {
        let sealed = at_once(group_encrypt(&mut self.sender_keys, name, plaintext, &mut Randomness))?;
        Ok(sealed.serialized().to_vec())
    }

    pub fn group_decrypt(&mut self, name: &SenderKeyName, bytes: &[u8]) -> Result<Vec<u8>> {
        Ok(at_once(group_decrypt(bytes, &mut self.sender_keys, name))?)
    }

    /// Everything that must survive a restart, as the library serialises it.
    pub fn export(&self) -> Result<EndpointRecord> {
        Ok(EndpointRecord {
            identity: self.identities.pair.serialize().to_vec(),
            registration_id: self.identities.registration_id,
            signed_prekey: self.signed_prekey.0.serialize()?,
            next_prekey: self.prekeys.next,
            prekeys: collect(self.prekeys.records.values().map(PreKeyRecord::serialize))?,
            sessions: self
                .sessions
                .0
                .iter()
                .map(|(name, record)| Ok((name.clone(), record.serialize()?)))
                .collect::<SignalResult<_>>()?,
            sender_keys: self
                .sender_keys
                .0
                .iter()
                .map(|(name, record)| Ok((name.clone(), record.serialize()?)))
                .collect::<SignalResult<_>>()?,
        })
    }

    pub fn import(record: &EndpointRecord) -> Result<Self> {
        let mut prekeys = PreKeyMap { next: record.next_prekey, ..PreKeyMap::default() };
        for bytes in &record.prekeys {
            let prekey = PreKeyRecord::deserialize(bytes)?;
            prekeys.records.insert(u32::from(prekey.id()?), prekey);
        }
        Ok(Self {
            identities: IdentityData {
                pair: IdentityKeyPair::try_from(record.identity.as_slice())?,
                registration_id: record.registration_id,
            },
            prekeys,
            signed_prekey: SignedPreKeySlot(SignedPreKeyRecord::deserialize(&record.signed_prekey)?),
            sessions: SessionMap(
                record
                    .sessions
                    .iter()
                    .map(|(name, bytes)| Ok((name.clone(), SessionRecord::deserialize(bytes)?)))
                    .collect::<SignalResult<_>>()?,
            ),
            sender_keys: SenderKeyMap(
                record
                    .sender_keys
                    .iter()
                    .map(|(name, bytes)| Ok((name.clone(), SenderKeyRecord::deserialize(bytes)?)))
                    .collect::<SignalResult<_>>()?,
            ),
        })
    }
}

/// An [`SignalEndpoint`] at rest.
#[derive(Debug, Clone, Default)]
pub struct EndpointRecord {
    pub identity: Vec<u8>,
    pub registration_id: u32,
    pub signed_prekey: Vec<u8>,
    pub next_prekey: u32,
    pub prekeys: Vec<Vec<u8>>,
    pub sessions: Vec<(String, Vec<u8>)>,
    pub sender_keys: Vec<(String, Vec<u8>)>,
}

fn collect(records: impl Iterator<Item = SignalResult<Vec<u8>>>) -> Result<Vec<Vec<u8>>> {
    Ok(records.collect::<SignalResult<_>>()?)
}

/// The 32 bytes of a key without its type byte.
pub fn raw_key(key: &PublicKey) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(key.public_key_bytes());
    bytes
}

/// A key as people compare it.
pub fn hexadecimal(key: &[u8]) -> String {
    key.iter().map(|byte| format!("{byte:02x}")).collect()
}
