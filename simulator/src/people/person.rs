//! A person: number, LID, name, phone and companions, and how it was told to behave.
//! What the person sends and receives is decided in `stanza`.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AbProperties, BusinessProfile, CallLog, CompanionDevice, PhoneInbox, PrivacyTokens};
use crate::{
    app_state::AppState,
    groups::ProfilePicture,
    phone_number::PhoneNumber,
    privacy::{DefaultTimer, PrivacySettings},
    randomness::random,
    signal::SignalEndpoint,
};

/// By which name a contact appears in what it sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AddressingMode {
    Pn,
    Lid,
}

/// Whether the phone confirms a delivery by itself, as phones do, or only when told to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ReceiptMode {
    /// By itself. The phone of an account with companions leaves it to them.
    Auto,
    Manual,
    /// By itself, although a companion did not get the message.
    Always,
}

/// Whether somebody is online, as the server knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PresenceState {
    Available,
    /// Unix seconds; none if the person was never seen.
    Unavailable {
        last_seen: Option<i64>,
    },
}

impl Default for PresenceState {
    fn default() -> Self {
        Self::Unavailable { last_seen: None }
    }
}

pub struct SimulatedPerson {
    pub number: PhoneNumber,
    pub lid: String,
    pub push_name: String,
    /// The phone, device 0.
    pub phone: SignalEndpoint,
    pub companions: BTreeMap<u16, CompanionDevice>,
    /// A device id is never given twice, so no session is ever confused with an older one.
    pub next_device: u16,
    /// Had a companion once. Stays true after a logout.
    pub is_account: bool,
    pub registered: bool,
    pub receipts: ReceiptMode,
    pub addressing: AddressingMode,
    /// Nobody learns the number: everything is by LID.
    pub hides_number: bool,
    /// The text about the person.
    pub about: Option<String>,
    pub picture: Option<ProfilePicture>,
    /// Nobody can add this person to a group; an invitation is needed.
    pub refuses_groups: bool,
    pub blocked: BTreeSet<PhoneNumber>,
    /// Other numbers that lead to this person when somebody dials them.
    pub aliases: BTreeSet<PhoneNumber>,
    /// Made when its first companion is linked.
    pub app_state: Option<AppState>,
    pub privacy: PrivacySettings,
    pub default_timer: DefaultTimer,
    pub business: Option<BusinessProfile>,
    pub tokens: PrivacyTokens,
    pub properties: AbProperties,
    pub presence: PresenceState,
    pub calls: CallLog,
    pub inbox: PhoneInbox,
    /// Changes only when the phone is installed again: clients read it as the account's identity.
    pub raw_id: u32,
}

impl SimulatedPerson {
    pub fn new(number: PhoneNumber, push_name: String) -> Result<Self> {
        Ok(Self {
            lid: number.lid(),
            raw_id: random::<u32>() >> 1,
            number,
            push_name,
            phone: SignalEndpoint::generate()?,
            companions: BTreeMap::new(),
            next_device: 1,
            is_account: false,
            registered: true,
            receipts: ReceiptMode::Auto,
            addressing: AddressingMode::Pn,
            hides_number: false,
            about: None,
            picture: None,
            refuses_groups: false,
            blocked: BTreeSet::new(),
            aliases: BTreeSet::new(),
            app_state: None,
            privacy: PrivacySettings::default(),
            default_timer: DefaultTimer::default(),
            business: None,
            tokens: PrivacyTokens::default(),
            properties: AbProperties::default(),
            presence: PresenceState::default(),
            calls: CallLog::default(),
            inbox: PhoneInbox::default(),
        })
    }

    /// The certificate of a business's name; none of who is no business.
    pub fn verified_name(&self) -> Option<Vec<u8>> {
        self.business.as_ref().map(|business| business.certificate(&self.phone))
    }

    /// Replaces the phone by a new one, with a new identity and without sessions.
    pub fn reinstall(&mut self) -> Result<()> {
        self.phone = SignalEndpoint::generate()?;
        self.raw_id = random::<u32>() >> 1;
        Ok(())
    }
}
