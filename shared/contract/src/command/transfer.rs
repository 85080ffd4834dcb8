//! Moving a session's keys: into a session that is not paired, and out of one that is stopped.
//!
//! The keys themselves are an object in the store of files to send, sealed with a passphrase that only these messages hold.

use super::CommandError;
use crate::{address::ChatJid, session::SessionId};
use serde::{Deserialize, Serialize};

/// Gives a session that is not paired keys that were made elsewhere.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AdoptKeys {
    /// The name of the sealed object.
    pub object: String,
    pub passphrase: String,
    pub source: KeySource,
}

/// What a sealed object holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeySource {
    /// A tar file of the folder that Baileys' `useMultiFileAuthState` writes.
    BaileysFolder,
    /// An exported session of Kurir.
    Export,
}

/// The keys are in their place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KeysAdopted {
    /// The account's number.
    pub jid: ChatJid,
    /// What could not be read, and whose keys are made again.
    pub left_out: Vec<String>,
}

/// Asks all gateways for the keys of a stopped session. Only the gateway that has them answers.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExportKeys {
    pub session: SessionId,
    /// Seals the object.
    pub passphrase: String,
}

/// An answer to [`ExportKeys`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExportReply {
    /// At once: this gateway has the keys. Another answer follows.
    Begun,
    /// The name of the sealed object.
    Stored(String),
    Failed(CommandError),
}
