//! Pairing by the 8-character code: the client says hello for a phone number, somebody enters the
//! code on that phone, both agree on a secret, and pairing goes on as after a scan.
//! The code itself never reaches the server. Its key derivation takes 131,072 rounds of PBKDF2,
//! so it runs outside the lock, in two steps: `code_awaited`, then `code_entered`.

use anyhow::{Context as _, Result, ensure};
use wacore::pair_code::PairCodeUtils;
use wacore_binary::{Node, NodeRef, builder::NodeBuilder};
use wacore_libsignal::{crypto::aes_256_gcm_decrypt, protocol::KeyPair, protocol::PublicKey};

use super::pairing::PairingError;
use crate::{
    connection::{CodeRequest, ConnectionId, ConnectionPhase, EnteredCode},
    phone_number::PhoneNumber,
    randomness::{Randomness, random},
    signal::raw_key,
    state::ServerState,
};

/// What the phone needs to work with a code, and what it found.
pub struct CodeDerivation {
    connection: ConnectionId,
    wrapped: Vec<u8>,
}

pub struct DerivedCode {
    connection: ConnectionId,
    entered: EnteredCode,
    wrapped_primary: [u8; 80],
}

impl CodeDerivation {
    /// The slow part: derives keys from the code, twice.
    pub fn run(self, code: &str) -> Result<DerivedCode, PairingError> {
        let code = code.trim().replace('-', "").to_ascii_uppercase();
        if !PairCodeUtils::validate_code(&code) {
            return Err(PairingError::Malformed(
                "a pairing code has 8 characters of 123456789ABCDEFGHJKLMNPQRSTVWXYZ".to_owned(),
            ));
        }
        let theirs = PairCodeUtils::decrypt_primary_ephemeral_pub(&self.wrapped, &code)
            .map_err(|error| PairingError::Internal(anyhow::anyhow!("{error}")))?;
        let ephemeral = KeyPair::generate(&mut Randomness);
        let wrapped_primary = PairCodeUtils::encrypt_ephemeral_pub(&raw_key(&ephemeral.public_key), &code);
        Ok(DerivedCode { connection: self.connection, entered: EnteredCode { ephemeral, theirs }, wrapped_primary })
    }
}

impl ServerState {
    /// IQs of a client that is not linked yet: the two stages of its side here, those of a passkey elsewhere.
    pub(super) fn on_registration_iq(&mut self, id: ConnectionId, iq_id: &str, iq: &NodeRef<'_>) {
        let answer = match iq.get_optional_child("link_code_companion_reg") {
            Some(stage) => self.on_code_stage(id, stage),
            None if iq.get_attr("xmlns").is_some_and(|ns| ns.as_str() == "w:p") => Ok(None),
            None if iq.get_attr("xmlns").is_some_and(|ns| ns.as_str() == "md") => self.on_passkey_iq(id, iq),
            None => Err(anyhow::anyhow!("no client may ask this before it is linked")),
        };
        let node = NodeBuilder::new("iq").attr("from", "s.whatsapp.net").attr("id", iq_id);
        let node = match answer {
            Ok(children) => node.attr("type", "result").children(children).build(),
            Err(error) => {
                tracing::warn!("a client that is not linked is refused: {error:#}");
                let refused = NodeBuilder::new("error").attr("code", "400").attr("text", "bad-request").build();
                node.attr("type", "error").children([refused]).build()
            }
        };
        self.send(id, node);
    }

    fn on_code_stage(&mut self, id: ConnectionId, stage: &NodeRef<'_>) -> Result<Option<Node>> {
        let number: PhoneNumber = stage
            .attrs()
            .optional_jid("jid")
            .context("the stage has no jid")?
            .user
            .parse()
            .map_err(anyhow::Error::msg)?;
        match stage.get_attr("stage").map(|value| value.as_str()).as_deref() {
            Some("companion_hello") => {
                let wrapped = bytes(stage, "link_code_pairing_wrapped_companion_ephemeral_pub")?;
                ensure!(wrapped.len() == 80, "the wrapped key has not 80 bytes");
                let reference = format!("3@{:016x}", random::<u64>()).into_bytes();
                let registration = self.registration(id).context("the client is gone")?;
                registration.code = Some(CodeRequest { number, reference: reference.clone(), wrapped, entered: None });
                let reference = NodeBuilder::new("link_code_pairing_ref").bytes(reference).build();
                Ok(Some(
                    NodeBuilder::new("link_code_companion_reg")
                        .attr("stage", "companion_hello")
                        .children([reference])
                        .build(),
                ))
            }
            Some("companion_finish") => {
                let bundle = bytes(stage, "link_code_pairing_wrapped_key_bundle")?;
                let secret = self.open_key_bundle(id, &number, &bundle)?;
                self.link(id, &number, &secret)?;
                Ok(None)
            }
            other => anyhow::bail!("{other:?} is no stage of a companion"),
        }
    }

    /// First step: the client that waits for a code for this number.
    pub fn code_awaited(&self, number: &PhoneNumber) -> Result<CodeDerivation, PairingError> {
        self.connections
            .iter()
            .find_map(|(id, connection)| match &connection.phase {
                ConnectionPhase::Registering(registration) => registration
                    .code
                    .as_ref()
                    .filter(|code| code.number == *number)
                    .map(|code| CodeDerivation { connection: *id, wrapped: code.wrapped.clone() }),
                ConnectionPhase::LoggedIn { .. } | ConnectionPhase::Ended => None,
            })
            .ok_or_else(|| PairingError::NoCodeAwaited(number.clone()))
    }

    /// Second step: the phone says hello to the client.
    pub fn code_entered(&mut self, number: &PhoneNumber, result: DerivedCode) -> Result<(), PairingError> {
        let identity = self.people.meet(number)?.phone.identity_public();
        let id = result.connection;
        let code = self
            .registration(id)
            .and_then(|registration| registration.code.as_mut())
            .ok_or_else(|| PairingError::NoCodeAwaited(number.clone()))?;
        code.entered = Some(result.entered);
        let hello = NodeBuilder::new("link_code_companion_reg")
            .attr("stage", "primary_hello")
            .children([
                NodeBuilder::new("link_code_pairing_wrapped_primary_ephemeral_pub")
                    .bytes(result.wrapped_primary.to_vec())
                    .build(),
                NodeBuilder::new("primary_identity_pub").bytes(identity.to_vec()).build(),
                NodeBuilder::new("link_code_pairing_ref").bytes(code.reference.clone()).build(),
            ])
            .build();
        let notification = NodeBuilder::new("notification")
            .attr("type", "link_code_companion_reg")
            .attr("from", "s.whatsapp.net")
            .attr("id", self.fresh_id("N"))
            .attr("t", self.now().to_string())
            .children([hello])
            .build();
        self.send(id, notification);
        Ok(())
    }

    /// Opens the client's bundle and derives the secret that both will have.
    fn open_key_bundle(&mut self, id: ConnectionId, number: &PhoneNumber, bundle: &[u8]) -> Result<[u8; 32]> {
        let registration = self.registration(id).context("the client is gone")?;
        let companion_identity = registration.keys.identity.clone();
        let entered = registration
            .code
            .as_mut()
            .and_then(|code| code.entered.take())
            .context("no code was entered on the phone")?;
        let theirs = PublicKey::from_djb_public_key_bytes(&entered.theirs)?;
        let ephemeral_secret = entered.ephemeral.calculate_agreement(&theirs)?;
        let (salt, rest) = bundle.split_at_checked(32).context("the bundle is too short")?;
        let (iv, sealed) = rest.split_at_checked(12).context("the bundle is too short")?;
        let mut key = [0; 32];
        wacore::crypto::hkdf_sha256_into(
            &ephemeral_secret,
            Some(salt),
            b"link_code_pairing_key_bundle_encryption_key",
            &mut key,
        )?;
        let mut opened = Vec::new();
        aes_256_gcm_decrypt(&key, iv.try_into()?, b"", sealed, &mut opened)
            .ok()
            .context("the client's key bundle does not open: a wrong code was entered")?;
        ensure!(opened.len() == 96, "the bundle has not 96 bytes");
        let identity_secret = self.people.meet(number)?.phone.agree(&companion_identity)?;
        let combined = [&ephemeral_secret[..], &identity_secret[..], &opened[64..]].concat();
        let mut secret = [0; 32];
        wacore::crypto::hkdf_sha256_into(&combined, None, b"adv_secret", &mut secret)?;
        Ok(secret)
    }
}

pub(super) fn bytes(stage: &NodeRef<'_>, name: &str) -> Result<Vec<u8>> {
    stage
        .get_optional_child(name)
        .and_then(|child| child.content_bytes())
        .map(<[u8]>::to_vec)
        .with_context(|| format!("the stage has no {name}"))
}
