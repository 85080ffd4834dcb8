//! The state of a client's connection: its phase, what is to be written, and how far its pairing is.
//! Leaves reading and writing to `server`.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Instant,
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use wacore_binary::{Jid, Node};
use wacore_libsignal::protocol::KeyPair;
use waproto::whatsapp::device_props::PlatformType;

use crate::{passkey::PasskeyCredential, phone_number::PhoneNumber, signal::CompanionKeys};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(pub u64);

/// What the writing half of a socket has to do, in order.
#[derive(Debug)]
pub enum OutboxItem {
    Stanza(Box<Node>),
    /// An entry of the companion's offline queue, by its place.
    Entry {
        place: u64,
        offline: bool,
        corrupt: bool,
    },
    Close,
}

#[derive(Debug)]
pub enum ConnectionPhase {
    /// Not yet linked to an account.
    Registering(Box<ClientRegistration>),
    LoggedIn {
        number: PhoneNumber,
        device: u16,
    },
    /// Refused or replaced: what still comes in is ignored.
    Ended,
}

/// A client that wants to be linked.
#[derive(Debug)]
pub struct ClientRegistration {
    pub keys: CompanionKeys,
    pub push_name: Option<String>,
    /// The references of the QR codes that are still valid.
    pub refs: Vec<String>,
    /// A pairing code was asked for and is not entered yet.
    pub code: Option<CodeRequest>,
    /// The account's passkey was asked for.
    pub passkey: Option<PasskeyCeremony>,
    /// The phone agreed; the client's signature is awaited.
    pub agreed: Option<PairingAgreement>,
}

/// What a phone agreed to with a companion.
#[derive(Debug, Clone)]
pub struct PairingAgreement {
    pub iq_id: String,
    pub number: PhoneNumber,
    pub device: u16,
}

#[derive(Debug)]
pub struct ClientConnection {
    pub phase: ConnectionPhase,
    pub outbox: VecDeque<OutboxItem>,
    pub wake: Arc<Notify>,
    /// The offline queue was written: new entries follow as they come.
    pub online: bool,
    /// What the client said of being online on this connection, in order; of many, the last ones.
    pub presences: Vec<String>,
    /// The last of them was that it is online.
    pub available: bool,
    /// Whose presence it follows, under the address that it asked for.
    pub subscriptions: BTreeMap<PhoneNumber, Jid>,
    /// The channels whose reactions and views it follows, and until when.
    pub live_channels: BTreeMap<String, Instant>,
    /// Held back by a fault, to be overtaken by the next entry.
    pub held: Option<u64>,
}

impl ClientConnection {
    pub fn push(&mut self, outgoing: OutboxItem) {
        self.outbox.push_back(outgoing);
        self.wake.notify_one();
    }

    pub fn logged_in(&self) -> Option<(&PhoneNumber, u16)> {
        match &self.phase {
            ConnectionPhase::LoggedIn { number, device } => Some((number, *device)),
            ConnectionPhase::Registering(_) | ConnectionPhase::Ended => None,
        }
    }
}

/// A client that asked for a code.
pub struct CodeRequest {
    pub number: PhoneNumber,
    pub reference: Vec<u8>,
    /// The client's ephemeral key, encrypted by the code.
    pub wrapped: Vec<u8>,
    pub entered: Option<EnteredCode>,
}

/// The code was entered on the phone.
pub struct EnteredCode {
    pub ephemeral: KeyPair,
    /// The client's ephemeral key. Nonsense if the code was wrong, which only shows later.
    pub theirs: [u8; 32],
}

impl std::fmt::Debug for CodeRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CodeRequest").field("number", &self.number).finish_non_exhaustive()
    }
}

/// What goes wrong on purpose, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PasskeyTrouble {
    /// The challenge is worthless before anybody can answer it.
    Expired,
    /// The phone takes the answer, and never says anything.
    Silent,
    /// The phone's key cannot be read.
    Garbled,
    /// The phone turns the client down at the end.
    Refuses,
}

/// An account that can be linked by passkey only.
pub struct PasskeyAccount {
    pub passkey: PasskeyCredential,
    pub trouble: Option<PasskeyTrouble>,
}

/// How far one client's pairing by passkey is.
pub struct PasskeyCeremony {
    pub number: PhoneNumber,
    pub challenge: [u8; 32],
    pub good_until: Instant,
    /// Each stage begins with what the client sent.
    pub stage: CeremonyStage,
    /// What the client has to name in its key, once it has asked for it.
    pub reference: Option<String>,
}

pub enum CeremonyStage {
    Asked,
    Answered(PrologueAnswer),
    Revealed { key: [u8; 32], code: String },
    HandedOver { secret: Vec<u8> },
}

/// A client's ephemeral key and the phone's.
pub struct PrologueAnswer {
    pub identity: Vec<u8>,
    pub theirs: [u8; 32],
    pub device_type: PlatformType,
    pub commitment: Vec<u8>,
    pub ephemeral: KeyPair,
    pub nonce: [u8; 32],
}

impl std::fmt::Debug for PasskeyCeremony {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ceremony").field("number", &self.number).finish_non_exhaustive()
    }
}
