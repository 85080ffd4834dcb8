//! The state as it is written: plain records, and the way there and back. Companions are `companion_record`.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use super::{base64_bytes::Base64Bytes, companion_record::CompanionRecord};
use crate::{
    app_state::AppState,
    channels::ChannelTable,
    groups::GroupTable,
    ledger::{LedgerRecord, MessageLedger},
    media_store::TlsIdentity,
    noise::{ServerIdentity, ServerKeys},
    people::{
        AbProperties, AddressingMode, BusinessProfile, CallLog, PhoneInbox, PresenceState, PrivacyTokens, ReceiptMode,
        ReceivedMessage, ReceivedReceipt, SimulatedPerson,
    },
    phone_number::PhoneNumber,
    privacy::{DefaultTimer, PrivacySettings},
    signal::{EndpointRecord, SignalEndpoint},
    state::ServerState,
};

#[derive(Serialize, Deserialize)]
pub struct StateSnapshot {
    server_key: Base64Bytes,
    #[serde(default)]
    intermediate_key: Option<Base64Bytes>,
    #[serde(default)]
    root_key: Option<Base64Bytes>,
    #[serde(default)]
    media_tls: Option<TlsRecord>,
    clock_offset: i64,
    loads_begun: u64,
    people: Vec<PersonRecord>,
    groups: GroupTable,
    #[serde(default)]
    channels: ChannelTable,
    first_line: u64,
    lines: Vec<LedgerRecord>,
}

/// The media server's certificate and private key, both DER.
#[derive(Serialize, Deserialize)]
struct TlsRecord {
    certificate: Base64Bytes,
    private_key: Base64Bytes,
    names: Vec<String>,
}

fn key_of(bytes: &Base64Bytes) -> Result<[u8; 32]> {
    bytes.0.as_slice().try_into().context("a key has 32 bytes")
}

#[derive(Serialize, Deserialize)]
struct PersonRecord {
    number: PhoneNumber,
    push_name: String,
    phone: PhoneRecord,
    companions: Vec<CompanionRecord>,
    next_device: u16,
    is_account: bool,
    registered: bool,
    receipts: ReceiptMode,
    addressing: AddressingMode,
    #[serde(default)]
    about: Option<String>,
    #[serde(default)]
    refuses_groups: bool,
    #[serde(default)]
    blocked: BTreeSet<PhoneNumber>,
    #[serde(default)]
    aliases: BTreeSet<PhoneNumber>,
    #[serde(default)]
    app_state: Option<AppState>,
    #[serde(default)]
    privacy: PrivacySettings,
    #[serde(default)]
    default_timer: DefaultTimer,
    #[serde(default)]
    hides_number: bool,
    #[serde(default)]
    business: Option<BusinessProfile>,
    #[serde(default)]
    tokens: PrivacyTokens,
    #[serde(default)]
    properties: AbProperties,
    raw_id: u32,
    received: Vec<ReceivedMessage>,
    received_receipts: Vec<ReceivedReceipt>,
}

#[derive(Serialize, Deserialize)]
struct PhoneRecord {
    identity: Base64Bytes,
    registration_id: u32,
    signed_prekey: Base64Bytes,
    next_prekey: u32,
    prekeys: Vec<Base64Bytes>,
    sessions: Vec<(String, Base64Bytes)>,
    sender_keys: Vec<(String, Base64Bytes)>,
}

impl StateSnapshot {
    pub fn of(server: &ServerState) -> Result<Self> {
        let (first_line, lines) = server.ledger.export();
        let keys = server.identity.keys();
        Ok(Self {
            server_key: Base64Bytes(keys.server.to_vec()),
            intermediate_key: Some(Base64Bytes(keys.intermediate.to_vec())),
            root_key: Some(Base64Bytes(keys.root.to_vec())),
            media_tls: server.media_tls.as_ref().map(|tls| TlsRecord {
                certificate: Base64Bytes(tls.certificate.clone()),
                private_key: Base64Bytes(tls.private_key.clone()),
                names: tls.names.clone(),
            }),
            clock_offset: server.clock_offset,
            loads_begun: server.loads.begun(),
            people: server.people.iter().map(PersonRecord::of).collect::<Result<_>>()?,
            groups: server.groups.clone(),
            channels: server.channels.clone(),
            first_line,
            lines,
        })
    }

    pub fn restore(self, server: &mut ServerState) -> Result<()> {
        server.identity = match (&self.root_key, &self.intermediate_key) {
            (Some(root), Some(intermediate)) => ServerIdentity::from_keys(&ServerKeys {
                root: key_of(root)?,
                intermediate: key_of(intermediate)?,
                server: key_of(&self.server_key)?,
            })?,
            // The state folder is of a simulator that signed nothing.
            _ => ServerIdentity::from_server_key(&key_of(&self.server_key)?)?,
        };
        server.media_tls = self.media_tls.map(|tls| TlsIdentity {
            certificate: tls.certificate.0,
            private_key: tls.private_key.0,
            names: tls.names,
        });
        server.clock_offset = self.clock_offset;
        server.loads.continue_from(self.loads_begun);
        server.groups = self.groups;
        server.channels = self.channels;
        server.ledger = MessageLedger::import(self.first_line, self.lines);
        for person in self.people {
            let number = person.number.clone();
            server.people.insert(person.restore().with_context(|| format!("read what belongs to {number}"))?);
        }
        Ok(())
    }
}

impl PersonRecord {
    fn of(person: &SimulatedPerson) -> Result<Self> {
        Ok(Self {
            number: person.number.clone(),
            push_name: person.push_name.clone(),
            phone: PhoneRecord::of(&person.phone)?,
            companions: person.companions.values().map(CompanionRecord::of).collect::<Result<_>>()?,
            next_device: person.next_device,
            is_account: person.is_account,
            registered: person.registered,
            receipts: person.receipts,
            addressing: person.addressing,
            about: person.about.clone(),
            refuses_groups: person.refuses_groups,
            blocked: person.blocked.clone(),
            aliases: person.aliases.clone(),
            app_state: person.app_state.clone(),
            privacy: person.privacy.clone(),
            default_timer: person.default_timer,
            hides_number: person.hides_number,
            business: person.business.clone(),
            tokens: person.tokens.clone(),
            properties: person.properties.clone(),
            raw_id: person.raw_id,
            received: person.inbox.messages().cloned().collect(),
            received_receipts: person.inbox.receipts().cloned().collect(),
        })
    }

    fn restore(self) -> Result<SimulatedPerson> {
        let mut inbox = PhoneInbox::default();
        self.received.into_iter().for_each(|message| inbox.take(message));
        self.received_receipts.into_iter().for_each(|receipt| inbox.take_receipt(receipt));
        let mut companions = BTreeMap::new();
        for companion in self.companions {
            let companion = companion.restore()?;
            companions.insert(companion.device, companion);
        }
        Ok(SimulatedPerson {
            lid: self.number.lid(),
            number: self.number,
            push_name: self.push_name,
            phone: self.phone.restore()?,
            companions,
            next_device: self.next_device,
            is_account: self.is_account,
            registered: self.registered,
            receipts: self.receipts,
            addressing: self.addressing,
            about: self.about,
            // Media are not kept, so no picture and no call is.
            picture: None,
            refuses_groups: self.refuses_groups,
            blocked: self.blocked,
            aliases: self.aliases,
            app_state: self.app_state,
            privacy: self.privacy,
            default_timer: self.default_timer,
            hides_number: self.hides_number,
            business: self.business,
            tokens: self.tokens,
            properties: self.properties,
            presence: PresenceState::default(),
            calls: CallLog::default(),
            inbox,
            raw_id: self.raw_id,
        })
    }
}

impl PhoneRecord {
    fn of(phone: &SignalEndpoint) -> Result<Self> {
        let record = phone.export()?;
        let named =
            |pairs: Vec<(String, Vec<u8>)>| pairs.into_iter().map(|(name, bytes)| (name, Base64Bytes(bytes))).collect();
        Ok(Self {
            identity: Base64Bytes(record.identity),
            registration_id: record.registration_id,
            signed_prekey: Base64Bytes(record.signed_prekey),
            next_prekey: record.next_prekey,
            prekeys: record.prekeys.into_iter().map(Base64Bytes).collect(),
            sessions: named(record.sessions),
            sender_keys: named(record.sender_keys),
        })
    }

    fn restore(self) -> Result<SignalEndpoint> {
        let named =
            |pairs: Vec<(String, Base64Bytes)>| pairs.into_iter().map(|(name, bytes)| (name, bytes.0)).collect();
        SignalEndpoint::import(&EndpointRecord {
            identity: self.identity.0,
            registration_id: self.registration_id,
            signed_prekey: self.signed_prekey.0,
            next_prekey: self.next_prekey,
            prekeys: self.prekeys.into_iter().map(|bytes| bytes.0).collect(),
            sessions: named(self.sessions),
            sender_keys: named(self.sender_keys),
        })
    }
}
