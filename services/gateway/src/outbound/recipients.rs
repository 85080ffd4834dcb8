//! Knows who is on WhatsApp. The client itself sends to a number without an account and says `Ok`.

use kurir_contract::{address::ChatJid, command::NumberChecked};
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};
use wacore_binary::Jid;
use whatsapp_rust::Client;

/// The accounts that were found, each under the address that was asked for. An address without an account is asked for
/// again, because the person may have joined.
#[derive(Default)]
pub struct RecipientCache(Mutex<HashMap<ChatJid, ChatJid>>);

/// A few hundred kilobytes. When the cache is full it is cleared, which costs one question for each address.
const KNOWN: usize = 10_000;

impl RecipientCache {
    /// The address under which a message to `jid` reaches an account; none if there is no account.
    ///
    /// It is another one where numbers are written in two ways: Brazil with or without the 9, Mexico with or without the 1,
    /// Argentina with or without the 9. WhatsApp alone knows under which of them the account was made.
    ///
    /// # Errors
    /// If WhatsApp did not answer.
    pub async fn find_account(&self, client: &Client, chat: &ChatJid, jid: &Jid) -> anyhow::Result<Option<ChatJid>> {
        // A group's id comes from WhatsApp; a wrong one causes a nack.
        if !(jid.is_pn() || jid.is_lid()) {
            return Ok(Some(chat.clone()));
        }
        if let Some(known) = self.cached().get(chat) {
            return Ok(Some(known.clone()));
        }
        let checked = self.query_whatsapp(client, chat, jid).await?;
        // Asked about a LID it may answer with the number: the caller's own address is as good.
        let is_same_kind = checked.jid.server() == chat.server();
        Ok(checked.exists.then(|| if is_same_kind { checked.jid } else { chat.clone() }))
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
        let address = |jid: &Jid| ChatJid::from_whatsapp(&jid.to_string());
        let right = address(&found.jid);
        known.insert(chat.clone(), if right.server() == chat.server() { right } else { chat.clone() });
        Ok(NumberChecked { exists: true, jid: address(&found.jid), lid: found.lid.as_ref().map(address) })
    }

    fn cached(&self) -> std::sync::MutexGuard<'_, HashMap<ChatJid, ChatJid>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
