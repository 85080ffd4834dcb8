//! Pairing by passkey: an account that is linked in no other way. A scanned code leads to a challenge; the client
//! answers it with a signature of the user's passkey and an ephemeral key; phone and client show the same code; the
//! client hands over its keys under the secret that both then have, and pairing ends as after a scan.
//! Promises what wacore's `shortcake` describes, seen from the phone. Leaves the signature to `crate::passkey`.

use std::{
    collections::hash_map::Entry,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use buffa::Message as _;
use schemars::JsonSchema;
use serde::Serialize;
use wacore::shortcake::ShortcakeUtils;
use wacore_binary::{Node, NodeRef, builder::NodeBuilder};
use wacore_libsignal::{
    crypto::aes_256_gcm_decrypt,
    protocol::{KeyPair, PublicKey},
};
use waproto::whatsapp::{
    CompanionEphemeralIdentity, EncryptedPairingRequest, PairingRequest, PrimaryEphemeralIdentity, ProloguePayload,
    device_props::PlatformType,
};

use super::{
    pairing::{PairingError, ScanOutcome},
    pairing_code::bytes,
};
use crate::{
    connection::{
        CeremonyStage, ConnectionId, ConnectionPhase, PasskeyAccount, PasskeyCeremony, PasskeyTrouble, PrologueAnswer,
    },
    passkey::{PasskeyCredential, RequestOptions},
    phone_number::PhoneNumber,
    randomness::{Randomness, random},
    signal::raw_key,
    state::ServerState,
    timers::TimerAction,
};

/// As long as WhatsApp takes an answer (the default of its setting `passkeys__request_options_ttl_seconds`).
const CHALLENGE_LASTS: Duration = Duration::from_secs(600);

/// What the phone takes for its part. The client notes what it has just sent only after WhatsApp's answer to it, in a
/// task of its own: a phone that reacts within the same milliseconds finds it unprepared.
const PHONE_TAKES: Duration = Duration::from_millis(400);

/// A ceremony as the phone shows it.
#[derive(Serialize, JsonSchema)]
pub struct CeremonyView {
    state: &'static str,
    /// To be compared with what the client shows.
    code: Option<String>,
}

impl ServerState {
    /// From now on the account can be linked by passkey only; it keeps the passkey that it has.
    pub fn require_passkey(
        &mut self,
        number: PhoneNumber,
        trouble: Option<PasskeyTrouble>,
    ) -> Result<&PasskeyCredential> {
        self.people.meet(&number)?;
        let account = match self.passkeys.entry(number) {
            Entry::Occupied(account) => account.into_mut(),
            Entry::Vacant(account) => {
                account.insert(PasskeyAccount { passkey: PasskeyCredential::generate()?, trouble: None })
            }
        };
        account.trouble = trouble;
        Ok(&account.passkey)
    }

    /// The user's browser signs; without a number, the only passkey that there is.
    pub fn sign_passkey(
        &mut self,
        number: Option<&PhoneNumber>,
        options: &RequestOptions,
        origin: &str,
    ) -> Result<serde_json::Value, PairingError> {
        let account = match number {
            Some(number) => self.passkeys.get_mut(number),
            None if self.passkeys.len() == 1 => self.passkeys.values_mut().next(),
            None => None,
        };
        let account = account.ok_or(PairingError::NoPasskey)?;
        Ok(account.passkey.sign(options, origin)?)
    }

    /// What the account's phone shows of a ceremony.
    pub fn shown_passkey(&self, number: &PhoneNumber) -> CeremonyView {
        let ceremony = self.connections.values().find_map(|connection| match &connection.phase {
            ConnectionPhase::Registering(registration) => {
                registration.passkey.as_ref().filter(|one| one.number == *number)
            }
            ConnectionPhase::LoggedIn { .. } | ConnectionPhase::Ended => None,
        });
        let (state, code) = match ceremony.map(|ceremony| &ceremony.stage) {
            None => ("none", None),
            Some(CeremonyStage::Asked) => ("requested", None),
            Some(CeremonyStage::Answered(_)) => ("answered", None),
            Some(CeremonyStage::Revealed { code, .. }) => ("code", Some(code.clone())),
            Some(CeremonyStage::HandedOver { .. }) => ("confirmed", None),
        };
        CeremonyView { state, code }
    }

    /// Vouches for the client, or asks it for a passkey first.
    pub(super) fn link(&mut self, id: ConnectionId, number: &PhoneNumber, secret: &[u8]) -> Result<ScanOutcome> {
        let Some(account) = self.passkeys.get(number) else {
            return self.agree(id, number, secret);
        };
        let challenge: [u8; 32] = random();
        let options = account.passkey.options(&challenge, CHALLENGE_LASTS).to_string();
        let good_for = if account.trouble == Some(PasskeyTrouble::Expired) { Duration::ZERO } else { CHALLENGE_LASTS };
        let registration = self.registration(id).context("the client is gone")?;
        registration.refs.clear();
        registration.passkey = Some(PasskeyCeremony {
            number: number.clone(),
            challenge,
            good_until: Instant::now() + good_for,
            stage: CeremonyStage::Asked,
            reference: None,
        });
        let child = NodeBuilder::new("passkey_request_options").bytes(options.into_bytes()).build();
        self.notify_registering(id, "passkey_prologue_request", child);
        Ok(ScanOutcome { number: number.clone(), device: None })
    }

    /// The client's part, a question each.
    pub(super) fn on_passkey_iq(&mut self, id: ConnectionId, iq: &NodeRef<'_>) -> Result<Option<Node>> {
        let child = iq.children().and_then(|children| children.first()).context("the question is empty")?;
        match child.tag.as_ref() {
            "ref" => {
                let reference = format!("4@{}", BASE64_URL_SAFE_NO_PAD.encode(random::<[u8; 24]>()));
                self.ceremony(id)?.reference = Some(reference.clone());
                Ok(Some(NodeBuilder::new("ref").bytes(reference.into_bytes()).build()))
            }
            "passkey_prologue" => self.on_prologue(id, child).map(|()| None),
            "companion_nonce" => self.on_nonce(id, child).map(|()| None),
            "encrypted_pairing_request" => self.on_pairing_request(id, child).map(|()| None),
            other => bail!("no client may ask for {other:?} before it is linked"),
        }
    }

    fn on_prologue(&mut self, id: ConnectionId, prologue: &NodeRef<'_>) -> Result<()> {
        let (credential, assertion) = (bytes(prologue, "credential_id")?, bytes(prologue, "webauthn_assertion")?);
        let ceremony = self.ceremony(id)?;
        ensure!(matches!(ceremony.stage, CeremonyStage::Asked), "the challenge was answered before");
        ensure!(Instant::now() < ceremony.good_until, "the challenge is no longer good");
        let (number, challenge) = (ceremony.number.clone(), ceremony.challenge);
        let reference = ceremony.reference.take().context("no reference was asked for")?;
        let account = self.passkeys.get_mut(&number).context("the account has no passkey")?;
        account.passkey.verify(&credential, &assertion, &challenge)?;

        let payload = ProloguePayload::decode_from_slice(&bytes(prologue, "prologue_payload")?)?;
        let identity = payload.companion_ephemeral_identity.context("no identity")?;
        let commitment = payload.commitment.into_option().and_then(|one| one.hash).context("no commitment")?;
        let said = CompanionEphemeralIdentity::decode_from_slice(&identity)?;
        ensure!(said.r#ref.as_deref() == Some(reference.as_str()), "the identity names another reference");
        let theirs = said.public_key.context("no ephemeral key")?;
        let answered = PrologueAnswer {
            theirs: theirs.as_slice().try_into().context("an ephemeral key has 32 bytes")?,
            device_type: said.device_type.unwrap_or(PlatformType::UNKNOWN),
            identity,
            commitment,
            ephemeral: KeyPair::generate(&mut Randomness),
            nonce: random(),
        };
        let ceremony = self.ceremony(id)?;
        ceremony.reference = Some(reference);
        ceremony.stage = CeremonyStage::Answered(answered);
        self.timers.after(PHONE_TAKES, TimerAction::PhoneGoesOn(id));
        Ok(())
    }

    fn on_nonce(&mut self, id: ConnectionId, nonce: &NodeRef<'_>) -> Result<()> {
        let nonce: [u8; 32] = content(nonce)?.try_into().context("a nonce has 32 bytes")?;
        let ceremony = self.ceremony(id)?;
        let CeremonyStage::Answered(answered) = &ceremony.stage else { bail!("the nonce comes before the prologue") };
        let commitment = ShortcakeUtils::commitment_hash(&answered.identity, &nonce);
        ensure!(commitment[..] == answered.commitment[..], "the nonce is not the one that the client committed to");
        let reference = ceremony.reference.as_deref().context("no reference")?;
        let theirs = PublicKey::from_djb_public_key_bytes(&answered.theirs)?;
        let shared = answered.ephemeral.calculate_agreement(&theirs)?;
        let key = ShortcakeUtils::derive_encryption_key_from_shared_secret(&shared, answered.device_type, reference)?;
        let ours = raw_key(&answered.ephemeral.public_key);
        let code = ShortcakeUtils::derive_verification_code(&nonce, &ours, &answered.nonce);
        let (first, last) = code.split_at(code.len() / 2);
        ceremony.stage = CeremonyStage::Revealed { key, code: format!("{first}-{last}") };
        Ok(())
    }

    fn on_pairing_request(&mut self, id: ConnectionId, request: &NodeRef<'_>) -> Result<()> {
        let ceremony = self.ceremony(id)?;
        let CeremonyStage::Revealed { key, .. } = &ceremony.stage else { bail!("the request comes before the nonce") };
        let (key, number) = (*key, ceremony.number.clone());
        let trouble = self.passkeys.get(&number).and_then(|account| account.trouble);
        ensure!(trouble != Some(PasskeyTrouble::Refuses), "the phone turned the client down");
        let sealed = EncryptedPairingRequest::decode_from_slice(content(request)?)?;
        let iv = sealed.iv.unwrap_or_default();
        let mut opened = Vec::new();
        aes_256_gcm_decrypt(
            &key,
            iv.as_slice().try_into().context("an iv has 12 bytes")?,
            b"",
            &sealed.encrypted_payload.unwrap_or_default(),
            &mut opened,
        )
        .ok()
        .context("the pairing request does not open")?;
        let request = PairingRequest::decode_from_slice(&opened)?;
        let keys = &self.registration(id).context("the client is gone")?.keys;
        ensure!(request.companion_public_key.as_deref() == Some(&keys.noise[..]), "another Noise key");
        ensure!(request.companion_identity_key.as_deref() == Some(&keys.identity[..]), "another identity key");
        let secret = request.adv_secret.filter(|secret| secret.len() == 32).context("no secret of 32 bytes")?;
        self.ceremony(id)?.stage = CeremonyStage::HandedOver { secret };
        self.timers.after(PHONE_TAKES, TimerAction::PhoneGoesOn(id));
        Ok(())
    }

    /// The phone had its time: it answers the prologue with its key, and the pairing request with its signature.
    pub fn phone_goes_on(&mut self, id: ConnectionId) {
        let Ok(ceremony) = self.ceremony(id) else { return };
        let number = ceremony.number.clone();
        match &ceremony.stage {
            CeremonyStage::Asked | CeremonyStage::Revealed { .. } => {}
            CeremonyStage::Answered(answered) => {
                let identity = PrimaryEphemeralIdentity {
                    public_key: Some(raw_key(&answered.ephemeral.public_key).to_vec()),
                    nonce: Some(answered.nonce.to_vec()),
                }
                .encode_to_vec();
                let identity = match self.passkeys.get(&number).and_then(|account| account.trouble) {
                    Some(PasskeyTrouble::Silent) => return,
                    Some(PasskeyTrouble::Garbled) => Vec::new(),
                    Some(PasskeyTrouble::Expired | PasskeyTrouble::Refuses) | None => identity,
                };
                let child = NodeBuilder::new("primary_ephemeral_identity").bytes(identity).build();
                self.notify_registering(id, "crsc_continuation", child);
            }
            CeremonyStage::HandedOver { secret } => {
                let secret = secret.clone();
                if let Err(error) = self.agree(id, &number, &secret) {
                    tracing::error!("the phone of {number} cannot vouch for a client: {error:#}");
                }
            }
        }
    }

    fn ceremony(&mut self, id: ConnectionId) -> Result<&mut PasskeyCeremony> {
        self.registration(id).and_then(|one| one.passkey.as_mut()).context("the client was asked for no passkey")
    }

    fn notify_registering(&mut self, id: ConnectionId, kind: &str, child: Node) {
        let notification = NodeBuilder::new("notification")
            .attr("type", kind)
            .attr("from", "s.whatsapp.net")
            .attr("id", self.fresh_id("N"))
            .attr("t", self.now().to_string())
            .children([child])
            .build();
        self.send(id, notification);
    }
}

fn content<'a>(node: &'a NodeRef<'_>) -> Result<&'a [u8]> {
    node.content_bytes().with_context(|| format!("{} is empty", node.tag))
}
