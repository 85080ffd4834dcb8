//! Knows who is on WhatsApp. The client itself sends to a number without an account and says `Ok`.

use kurir_contract::{address::ChatJid, command::NumberChecked};
use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
};
use wacore_binary::Jid;
use whatsapp_rust::Client;

/// The accounts that were found. An address without an account is asked for again, because the person may have joined.
#[derive(Default)]
pub struct RecipientCache(Mutex<HashSet<ChatJid>>);

/// A few hundred kilobytes. When the cache is full it is cleared, which costs one question for each address.
const KNOWN: usize = 10_000;

impl RecipientCache {
    /// Whether a message to `jid` would reach an account.
    ///
    /// # Errors
    /// If WhatsApp did not answer.
    pub async fn is_on_whatsapp(&self, client: &Client, chat: &ChatJid, jid: &Jid) -> anyhow::Result<bool> {
        // A group's id comes from WhatsApp; a wrong one causes a nack.
        if !(jid.is_pn() || jid.is_lid()) || self.cached().contains(chat) {
            return Ok(true);
        }
        Ok(self.query_whatsapp(client, chat, jid).await?.exists)
    }

    /// Asks WhatsApp about a number or a LID, also if it is cached.
    ///
    /// # Errors
    /// If WhatsApp did not answer.
    pub async fn query_whatsapp(&self, client: &Client, chat: &ChatJid, jid: &Jid) -> anyhow::Result<NumberChecked> {
        let found = client.contacts().is_on_whatsapp(std::slice::from_ref(jid)).await?;
        let found = found.into_iter().find(|user| user.is_registered);
        let mut known = self.cached();
        known.remove(chat);
        let Some(found) = found else { return Ok(NumberChecked { exists: false, jid: chat.clone(), lid: None }) };
        if known.len() == KNOWN {
            known.clear();
        }
        known.insert(chat.clone());
        let address = |jid: &Jid| ChatJid::from_whatsapp(&jid.to_string());
        Ok(NumberChecked { exists: true, jid: address(&found.jid), lid: found.lid.as_ref().map(address) })
    }

    fn cached(&self) -> std::sync::MutexGuard<'_, HashSet<ChatJid>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
