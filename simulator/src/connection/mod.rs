//! A client's connection, from the first byte to the last: `socket` reads and writes frames,
//! `noise` shakes hands, `login` lets in or refuses, `pairing` links new companions,
//! `delivery` decides what of the offline queue is written when.

mod delivery;
mod login;
mod noise;
mod pairing;
mod pairing_code;
mod passkey;
mod socket;

use std::{collections::VecDeque, sync::Arc};

use tokio::sync::Notify;
use wacore_binary::Node;

pub use noise::ServerIdentity;
pub use pairing::{PairingError, Scanned};
pub use passkey::{PasskeyAccount, Shown, Trouble};
pub use socket::accept;

use crate::people::{CompanionKeys, Number};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(pub u64);

/// What the writing half of a socket has to do, in order.
#[derive(Debug)]
pub enum Outgoing {
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
pub enum Phase {
    /// Not yet linked to an account.
    Registering(Box<Registration>),
    LoggedIn {
        number: Number,
        device: u16,
    },
    /// Refused or replaced: what still comes in is ignored.
    Ended,
}

/// A client that wants to be linked.
#[derive(Debug)]
pub struct Registration {
    pub keys: CompanionKeys,
    pub push_name: Option<String>,
    /// The references of the QR codes that are still valid.
    pub refs: Vec<String>,
    /// A pairing code was asked for and is not entered yet.
    pub code: Option<pairing_code::CodeRequest>,
    /// The account's passkey was asked for.
    pub passkey: Option<passkey::Ceremony>,
    /// The phone agreed; the client's signature is awaited.
    pub agreed: Option<Agreed>,
}

/// What a phone agreed to with a companion.
#[derive(Debug, Clone)]
pub struct Agreed {
    pub iq_id: String,
    pub number: Number,
    pub device: u16,
}

#[derive(Debug)]
pub struct Connection {
    pub phase: Phase,
    pub outbox: VecDeque<Outgoing>,
    pub wake: Arc<Notify>,
    /// The offline queue was written: new entries follow as they come.
    pub online: bool,
    /// What the client said of being online on this connection, in order; of many, the last ones.
    pub presences: Vec<String>,
    /// Held back by a fault, to be overtaken by the next entry.
    pub held: Option<u64>,
}

impl Connection {
    pub fn push(&mut self, outgoing: Outgoing) {
        self.outbox.push_back(outgoing);
        self.wake.notify_one();
    }

    pub fn logged_in(&self) -> Option<(&Number, u16)> {
        match &self.phase {
            Phase::LoggedIn { number, device } => Some((number, *device)),
            Phase::Registering(_) | Phase::Ended => None,
        }
    }
}
