//! Links a companion to an account: QR references, the phone's scan, the mutual signatures.
//! Promises what wacore's `do_pair_crypto` checks. Leaves the 8-character code to `pairing_code`,
//! and accounts that want a passkey to `passkey`.

use std::{
    collections::{BTreeSet, VecDeque},
    time::Duration,
};

use anyhow::{Context as _, Result};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use buffa::Message as _;
use rand::distr::{Alphanumeric, SampleString as _};
use wacore_binary::{NodeRef, builder::NodeBuilder};
use wacore_libsignal::crypto::hmac_sha256;
use waproto::whatsapp::{ADVDeviceIdentity, ADVSignedDeviceIdentity, ADVSignedDeviceIdentityHMAC, ClientPairingProps};

use crate::{
    connection::{ClientRegistration, ConnectionId, ConnectionPhase, PairingAgreement},
    people::{CompanionDevice, SimulatedPerson, scenario},
    phone_number::PhoneNumber,
    randomness::Randomness,
    refusals::{ConnectionEnd, StreamError},
    state::ServerState,
    timers::TimerAction,
};

/// As many codes as WhatsApp gives: the client shows the first for 60 s, the others for 20 s.
const QR_CODES: usize = 6;

/// In front of what the account signs (whatsmeow, pair.go).
const ACCOUNT_SIGNATURE_PREFIX: [u8; 2] = [6, 0];

/// The client notes that a disconnect is to come only after it has sent its signature, in a task
/// of its own. A 515 that comes within the same milliseconds costs it one more reconnect.
const BEFORE_RESTART: Duration = Duration::from_millis(250);

/// How long a client has to read the 515 and to leave by itself. One that finds the socket closed first takes the
/// connection for lost, and the pairing for failed.
const RESTART_READ: Duration = Duration::from_secs(10);

#[derive(Debug, thiserror::Error)]
pub enum PairingError {
    #[error("{0}")]
    Malformed(String),
    #[error("no client shows this QR code (any more): it is unknown, expired or used")]
    UnknownRef,
    #[error("no client waits for a code for {0}")]
    NoCodeAwaited(PhoneNumber),
    #[error("no such account has a passkey, or several have one: name the `number` of one that does")]
    NoPasskey,
    #[error(transparent)]
    Internal(#[from] anyhow::Error),
}

/// Who a scanned client became.
#[derive(Debug, Clone)]
pub struct ScanOutcome {
    pub number: PhoneNumber,
    /// None yet if the account's passkey is asked for first.
    pub device: Option<u16>,
}

impl ServerState {
    /// Gives a registering client the references of its QR codes.
    pub(super) fn show_qr(&mut self, id: ConnectionId) {
        let Some(registration) = self.registration(id) else {
            return;
        };
        registration.refs =
            (0..QR_CODES).map(|_| format!("2@{}", Alphanumeric.sample_string(&mut Randomness, 88))).collect();
        let refs: Vec<_> = registration
            .refs
            .iter()
            .map(|reference| NodeBuilder::new("ref").bytes(reference.as_bytes()).build())
            .collect();
        let iq = NodeBuilder::new("iq")
            .attr("from", "s.whatsapp.net")
            .attr("type", "set")
            .attr("id", self.fresh_id("P"))
            .attr("xmlns", "md")
            .children([NodeBuilder::new("pair-device").children(refs).build()])
            .build();
        self.send(id, iq);
    }

    /// Every code that is shown becomes worthless; the clients reconnect and get new ones.
    pub fn expire_qr(&mut self) -> usize {
        let showing: Vec<ConnectionId> = self
            .connections
            .iter()
            .filter(|(_, connection)| matches!(connection.phase, ConnectionPhase::Registering(_)))
            .map(|(id, _)| *id)
            .collect();
        for id in &showing {
            self.end(*id, &ConnectionEnd::Closed);
        }
        showing.len()
    }

    /// The phone scans a QR code: `ref,noise key,identity key,adv secret,client type`.
    pub fn scan(&mut self, qr: &str, account: Option<PhoneNumber>) -> Result<ScanOutcome, PairingError> {
        // Newer clients show an address of wa.me, with the code behind `#`.
        let code = qr.trim().rsplit('#').next().unwrap_or_default();
        let fields: Vec<&str> = code.split(',').collect();
        let [reference, _noise, identity, secret, ..] = fields.as_slice() else {
            return Err(PairingError::Malformed(
                "a QR code is: reference, noise key, identity key, adv secret, client type, with commas between"
                    .to_owned(),
            ));
        };
        let decode = |name: &str, text: &str| {
            BASE64_STANDARD
                .decode(text)
                .ok()
                .filter(|bytes| bytes.len() == 32)
                .ok_or_else(|| PairingError::Malformed(format!("the QR code's {name} is not 32 bytes in base64")))
        };
        let identity = decode("identity key", identity)?;
        let secret = decode("adv secret", secret)?;
        let id = self
            .connections
            .iter()
            .find(|(_, connection)| {
                matches!(&connection.phase, ConnectionPhase::Registering(registration)
                    if registration.refs.iter().any(|known| known == reference)
                        && registration.agreed.is_none()
                        && registration.passkey.is_none()
                        && registration.keys.identity == identity)
            })
            .map(|(id, _)| *id)
            .ok_or(PairingError::UnknownRef)?;
        let push_name = self.registration(id).and_then(|r| r.push_name.clone());
        let number = match account.or_else(|| self.fixed_account.clone()) {
            Some(number) => number,
            None => self.people.account_for(push_name.as_deref())?,
        };
        Ok(self.link(id, &number, &secret)?)
    }

    /// The phone of `number` vouches for the client: sends `<pair-success>`.
    pub(super) fn agree(&mut self, id: ConnectionId, number: &PhoneNumber, secret: &[u8]) -> Result<ScanOutcome> {
        let now = self.now();
        let iq_id = self.fresh_id("P");
        let lid_migrated = self.lid_migrated;
        let registration = self.registration(id).context("the client is gone")?;
        let companion_identity = registration.keys.identity.clone();
        let push_name = registration.push_name.clone();
        registration.refs.clear();

        let person = self.people.meet(number)?;
        let device = person.next_device;
        person.next_device += 1;
        name_account(person, push_name);
        let container = vouch(person, device, now, &companion_identity, secret)?;
        let name = person.push_name.clone();
        let props = ClientPairingProps { is_chat_db_lid_migrated: Some(lid_migrated), ..Default::default() };
        let success = NodeBuilder::new("pair-success").children([
            NodeBuilder::new("device-identity").bytes(container).build(),
            NodeBuilder::new("device").attr("jid", number.jid(device)).attr("lid", number.lid_jid(device)).build(),
            // Without a name the client waits 10 s for one at every login.
            NodeBuilder::new("biz").attr("name", name.as_str()).build(),
            NodeBuilder::new("platform").attr("name", "simulator").build(),
            NodeBuilder::new("client-props").bytes(props.encode_to_vec()).build(),
        ]);
        let iq = NodeBuilder::new("iq")
            .attr("from", "s.whatsapp.net")
            .attr("type", "set")
            .attr("id", iq_id.as_str())
            .attr("xmlns", "md")
            .children([success.build()])
            .build();
        self.send(id, iq);
        if let Some(registration) = self.registration(id) {
            registration.agreed = Some(PairingAgreement { iq_id, number: number.clone(), device });
        }
        Ok(ScanOutcome { number: number.clone(), device: Some(device) })
    }

    /// A stanza of a client that is not linked yet.
    pub(super) fn on_registration_stanza(&mut self, id: ConnectionId, stanza: &NodeRef<'_>) {
        if stanza.tag != "iq" {
            return;
        }
        let attr = |name| stanza.get_attr(name).map(|value| value.as_str().into_owned());
        let (kind, iq_id) = (attr("type"), attr("id").unwrap_or_default());
        match kind.as_deref() {
            Some("result") => {
                let signed = stanza
                    .get_optional_child("pair-device-sign")
                    .and_then(|sign| sign.get_optional_child("device-identity"))
                    .and_then(|identity| identity.content_bytes());
                if let Some(signed) = signed {
                    self.complete_pairing(id, &iq_id, signed.to_vec());
                }
            }
            Some("error") => tracing::warn!("a client refused its pairing: {stanza:?}"),
            Some("set" | "get") => self.on_registration_iq(id, &iq_id, stanza),
            _ => {}
        }
    }

    /// The client signed as well: it is a companion from now on, and has to log in as one.
    fn complete_pairing(&mut self, id: ConnectionId, iq_id: &str, signed_identity: Vec<u8>) {
        let Some(registration) = self.registration(id) else {
            return;
        };
        let Some(agreed) = registration.agreed.take_if(|agreed| agreed.iq_id == iq_id) else {
            return;
        };
        let PairingAgreement { number, device, .. } = agreed;
        let companion = CompanionDevice {
            device,
            push_name: registration.push_name.clone().unwrap_or_default(),
            keys: registration.keys.clone(),
            one_time_prekeys: VecDeque::new(),
            signed_identity,
            queue: Default::default(),
            connection: None,
            typing: VecDeque::new(),
            status_holders: BTreeSet::new(),
            asked_for_prekeys: true,
        };
        if let Some(person) = self.people.get_mut(&number) {
            person.is_account = true;
            person.companions.insert(device, companion);
        }
        self.dirty = true;
        self.statistics.pairings += 1;
        tracing::info!("{number} has device {device} now");
        if let Err(error) = self.greet_companion(&number, device) {
            tracing::error!("the phone of {number} cannot greet device {device}: {error:#}");
        }
        self.tell_of_device(&number, device, true);
        let restart = ConnectionEnd::StreamError(StreamError::Code(515));
        if let Some(node) = restart.node() {
            self.timers.after(BEFORE_RESTART, TimerAction::Send(id, Box::new(node)));
        }
        self.timers.after(BEFORE_RESTART + RESTART_READ, TimerAction::Close(id));
    }

    pub(super) fn registration(&mut self, id: ConnectionId) -> Option<&mut ClientRegistration> {
        match &mut self.connections.get_mut(&id)?.phase {
            ConnectionPhase::Registering(registration) => Some(registration),
            ConnectionPhase::LoggedIn { .. } | ConnectionPhase::Ended => None,
        }
    }
}

fn name_account(person: &mut SimulatedPerson, push_name: Option<String>) {
    if let Some(name) = push_name {
        if !person.is_account {
            scenario::apply(&name, &mut person.tokens, &mut person.properties);
        }
        person.push_name = name;
    } else if !person.is_account {
        let tail = &person.number.as_str()[person.number.as_str().len() - 4..];
        person.push_name = format!("Account {tail}");
    }
}

/// The account's signature over the companion's identity, sealed with the secret of the QR code.
fn vouch(person: &SimulatedPerson, device: u16, now: i64, companion_identity: &[u8], secret: &[u8]) -> Result<Vec<u8>> {
    let details = ADVDeviceIdentity {
        raw_id: Some(person.raw_id),
        timestamp: Some(u64::try_from(now).unwrap_or_default()),
        key_index: Some(u32::from(device)),
        ..Default::default()
    }
    .encode_to_vec();
    let signature = person.phone.sign(&[&ACCOUNT_SIGNATURE_PREFIX, details.as_slice(), companion_identity].concat())?;
    let signed = ADVSignedDeviceIdentity {
        details: Some(details),
        account_signature_key: Some(person.phone.identity_public().to_vec()),
        account_signature: Some(signature.to_vec()),
        ..Default::default()
    }
    .encode_to_vec();
    Ok(ADVSignedDeviceIdentityHMAC {
        hmac: Some(hmac_sha256(secret, &signed).to_vec()),
        details: Some(signed),
        ..Default::default()
    }
    .encode_to_vec())
}
