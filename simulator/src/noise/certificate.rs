//! The server's key and the certificate chain that vouches for it: a root key signs the intermediate certificate, the
//! intermediate key signs the leaf, and the leaf names the server's key.
//! A client that trusts the root key accepts the chain as it accepts WhatsApp's. The signatures are XEdDSA.

use anyhow::Result;
use buffa::{Message as _, MessageField};
use wacore_libsignal::protocol::{KeyPair, PrivateKey};
use waproto::whatsapp::{
    CertChain,
    cert_chain::{NoiseCertificate, noise_certificate::Details},
};

use crate::{randomness::Randomness, signal::raw_key};

/// Serial numbers as WhatsApp's chain has them: clients require the issuer 0 of the intermediate certificate.
const ROOT_SERIAL: u32 = 0;
const INTERMEDIATE_SERIAL: u32 = 1;
const LEAF_SERIAL: u32 = 2;

/// Unix seconds, November 2023 and October 2096: a test may move the clock by decades.
const NOT_BEFORE: u64 = 1_700_000_000;
const NOT_AFTER: u64 = 4_000_000_000;

/// The server's static key, and the keys that sign its chain.
#[derive(Clone)]
pub struct ServerIdentity {
    root: KeyPair,
    intermediate: KeyPair,
    pub(super) key: KeyPair,
    /// The encoded `CertChain`.
    pub(super) chain: Vec<u8>,
}

/// The private keys of a [`ServerIdentity`], as the state folder keeps them.
pub struct ServerKeys {
    pub root: [u8; 32],
    pub intermediate: [u8; 32],
    pub server: [u8; 32],
}

impl ServerIdentity {
    pub fn generate() -> Result<Self> {
        let mut rng = Randomness;
        Self::from_pairs(KeyPair::generate(&mut rng), KeyPair::generate(&mut rng), KeyPair::generate(&mut rng))
    }

    pub fn from_keys(keys: &ServerKeys) -> Result<Self> {
        let pair = |bytes: &[u8; 32]| anyhow::Ok(KeyPair::try_from(PrivateKey::deserialize(bytes)?)?);
        Self::from_pairs(pair(&keys.root)?, pair(&keys.intermediate)?, pair(&keys.server)?)
    }

    /// Gives a server key of an older state folder, which has no other keys, a chain of its own.
    pub fn from_server_key(server: &[u8; 32]) -> Result<Self> {
        let mut rng = Randomness;
        let server = KeyPair::try_from(PrivateKey::deserialize(server)?)?;
        Self::from_pairs(KeyPair::generate(&mut rng), KeyPair::generate(&mut rng), server)
    }

    pub fn keys(&self) -> ServerKeys {
        let private = |pair: &KeyPair| *pair.private_key.serialize();
        ServerKeys { root: private(&self.root), intermediate: private(&self.intermediate), server: private(&self.key) }
    }

    /// The public root key: what a client has to trust instead of WhatsApp's.
    pub fn root_public(&self) -> [u8; 32] {
        raw_key(&self.root.public_key)
    }

    fn from_pairs(root: KeyPair, intermediate: KeyPair, key: KeyPair) -> Result<Self> {
        let chain = CertChain {
            intermediate: MessageField::some(certify(&root, ROOT_SERIAL, INTERMEDIATE_SERIAL, &intermediate)?),
            leaf: MessageField::some(certify(&intermediate, INTERMEDIATE_SERIAL, LEAF_SERIAL, &key)?),
        }
        .encode_to_vec();
        Ok(Self { root, intermediate, key, chain })
    }
}

/// A certificate of `subject`'s public key, signed by `issuer`.
fn certify(issuer: &KeyPair, issuer_serial: u32, serial: u32, subject: &KeyPair) -> Result<NoiseCertificate> {
    let details = Details {
        serial: Some(serial),
        issuer_serial: Some(issuer_serial),
        key: Some(raw_key(&subject.public_key).to_vec()),
        not_before: Some(NOT_BEFORE),
        not_after: Some(NOT_AFTER),
    }
    .encode_to_vec();
    let signature = issuer.private_key.calculate_signature(&details, &mut Randomness)?;
    Ok(NoiseCertificate { details: Some(details), signature: Some(signature.to_vec()) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use wacore_libsignal::protocol::PublicKey;

    /// What a client checks that compares the root key with the one it trusts.
    fn is_trusted(identity: &ServerIdentity, trusted_root: &[u8; 32]) -> bool {
        let chain = CertChain::decode_from_slice(&identity.chain).unwrap();
        let (intermediate, leaf) = (chain.intermediate.into_option().unwrap(), chain.leaf.into_option().unwrap());
        let is_signed = |certificate: &NoiseCertificate, key: &[u8]| {
            PublicKey::from_djb_public_key_bytes(key)
                .unwrap()
                .verify_signature(certificate.details.as_ref().unwrap(), certificate.signature.as_ref().unwrap())
        };
        let details =
            |certificate: &NoiseCertificate| Details::decode_from_slice(certificate.details.as_ref().unwrap()).unwrap();
        let (above, below) = (details(&intermediate), details(&leaf));
        is_signed(&intermediate, trusted_root)
            && is_signed(&leaf, above.key.as_ref().unwrap())
            && above.issuer_serial == Some(0)
            && below.issuer_serial == above.serial
            && below.key.as_deref() == Some(identity.key.public_key.public_key_bytes())
    }

    #[test]
    fn a_client_that_trusts_the_root_key_accepts_the_chain_and_no_other_does() {
        let identity = ServerIdentity::generate().unwrap();
        assert!(is_trusted(&identity, &identity.root_public()));
        let other = ServerIdentity::generate().unwrap();
        assert!(!is_trusted(&identity, &other.root_public()));
    }

    #[test]
    fn an_identity_comes_back_from_its_keys() {
        let identity = ServerIdentity::generate().unwrap();
        let again = ServerIdentity::from_keys(&identity.keys()).unwrap();
        assert_eq!(again.root_public(), identity.root_public());
        assert!(is_trusted(&again, &identity.root_public()));
    }
}
