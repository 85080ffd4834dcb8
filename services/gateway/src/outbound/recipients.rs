//! Who is on WhatsApp: the client sends to a number that nobody has and says `Ok`.

use kurir_contract::address::ChatJid;
use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
};
use wacore_binary::Jid;
use whatsapp_rust::Client;

/// Those who were found there. Whoever was not is asked for again: he may have joined.
#[derive(Default)]
pub struct Recipients(Mutex<HashSet<ChatJid>>);

/// A few hundred kilobytes; when it is full it begins anew, which costs one question for each.
const KNOWN: usize = 10_000;

impl Recipients {
    /// Whether a message to `jid` would reach anybody.
    ///
    /// # Errors
    /// If WhatsApp did not answer.
    pub async fn exists(&self, client: &Client, chat: &ChatJid, jid: &Jid) -> anyhow::Result<bool> {
        // A group's id is told by its members; a wrong one is a nack.
        if !(jid.is_pn() || jid.is_lid()) || self.known().contains(chat) {
            return Ok(true);
        }
        let found = client.contacts().is_on_whatsapp(std::slice::from_ref(jid)).await?;
        let exists = found.iter().any(|user| user.is_registered);
        if exists {
            let mut known = self.known();
            if known.len() == KNOWN {
                known.clear();
            }
            known.insert(chat.clone());
        }
        Ok(exists)
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashSet<ChatJid>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
