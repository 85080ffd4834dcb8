//! Takes over the session of a program that uses Baileys, without a new pairing: reads the folder that Baileys'
//! `useMultiFileAuthState` writes and makes the keys of Kurir's client of it. The folder itself is never changed.
//!
//! `folder` reads the files, `octets` the forms in which Baileys writes bytes. `credentials` is the device itself,
//! `addresses` finds out whose session a file holds, `signal_session` and `sender_key` are the keys of chats and groups,
//! `app_state` those of settings, and `keys` writes everything into a database.
//!
//! Without `creds.json` there is no session, so what is wrong with that file is an error. Any other file that cannot be read
//! is left out and named, as Baileys itself reads it as absent: WhatsApp's clients make new keys among themselves.

mod addresses;
mod app_state;
mod credentials;
mod folder;
mod keys;
mod octets;
mod sender_key;
mod signal_session;

pub use folder::{BaileysFolder, CREDENTIALS_FILE};
pub use keys::BaileysKeys;

/// Why a folder cannot be taken over.
#[derive(Debug, thiserror::Error)]
#[error("{file} {problem}")]
pub struct UnusableFolder {
    /// The file's name in the folder.
    pub file: String,
    pub problem: String,
}

impl UnusableFolder {
    pub fn new(file: &str, problem: impl Into<String>) -> Self {
        Self { file: file.to_owned(), problem: problem.into() }
    }
}

#[cfg(test)]
mod tests;
