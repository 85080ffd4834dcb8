//! Gives each person one address: the phone number if it is known, else the LID. It never guesses.
//!
//! WhatsApp names a contact by number in one message and by LID in the next, and the event's id and chat must not
//! depend on that. An [`AddressDirectory`] holds the pairs of addresses that one message and the client's store reveal.

use super::learned_pairs::{JidPair, learn_pairs, pairs_in_source};
use kurir_contract::{address::ChatJid, event::KnownAddresses};
use wacore::types::message::MessageInfo;
use wacore_binary::Jid;
use whatsapp_rust::Client;

/// The pairs of addresses for one message or notice.
#[derive(Clone, Debug, Default)]
pub struct AddressDirectory {
    /// The people whose two addresses are known.
    people: Vec<AddressPair>,
    /// The account's own addresses.
    own: Vec<Jid>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct AddressPair {
    number: Jid,
    lid: Jid,
}

impl AddressDirectory {
    /// A directory that knows the account itself.
    #[must_use]
    pub fn of_account(number: Option<Jid>, lid: Option<Jid>) -> Self {
        let mut directory = Self::default();
        if let (Some(number), Some(lid)) = (&number, &lid) {
            directory.add_pair(number, lid);
        }
        directory.own = number.into_iter().chain(lid).collect();
        directory
    }

    /// Adds two addresses of one person. Ignores them unless one is a number and the other a LID.
    pub fn add_pair(&mut self, one: &Jid, other: &Jid) {
        let (number, lid) = if one.server.is_pn_family() { (one, other) } else { (other, one) };
        if number.server.is_pn_family() && lid.server.is_lid_family() && self.other_address(lid).is_none() {
            self.people.push(AddressPair { number: without_device(number), lid: without_device(lid) });
        }
    }

    fn other_address(&self, jid: &Jid) -> Option<&Jid> {
        let person = |person: &&AddressPair| {
            let same = if jid.server.is_lid_family() { &person.lid } else { &person.number };
            same.user_base() == jid.user_base()
        };
        let found = self.people.iter().find(person)?;
        if jid.server.is_lid_family() { Some(&found.number) } else { jid.server.is_pn_family().then_some(&found.lid) }
    }

    /// All known addresses of a person or chat.
    #[must_use]
    pub fn known_addresses(&self, jid: &Jid) -> KnownAddresses {
        let (this, other) = (chat_jid(jid), self.other_address(jid).map(chat_jid));
        if jid.server.is_pn_family() {
            KnownAddresses { jid: this.clone(), pn: Some(this), lid: other }
        } else if jid.server.is_lid_family() {
            KnownAddresses { jid: other.clone().unwrap_or_else(|| this.clone()), pn: other, lid: Some(this) }
        } else {
            KnownAddresses::from_jid(this)
        }
    }

    /// The canonical address.
    #[must_use]
    pub fn canonical_address(&self, jid: &Jid) -> ChatJid {
        let number = if jid.server.is_lid_family() { self.other_address(jid) } else { None };
        chat_jid(number.unwrap_or(jid))
    }

    /// Whether the address belongs to this account.
    #[must_use]
    pub fn is_own(&self, jid: &Jid) -> bool {
        let address = self.canonical_address(jid);
        self.own.iter().any(|own| self.canonical_address(own) == address)
    }

    /// The account's own address; none before the pairing.
    #[must_use]
    pub fn own_jid(&self) -> Option<&Jid> {
        self.own.first()
    }

    /// Whether a lookup could add the other address.
    fn is_incomplete(&self, jid: &Jid) -> bool {
        (jid.server.is_pn_family() || jid.server.is_lid_family()) && self.other_address(jid).is_none()
    }
}

/// The addresses of the people in a message and of those whom it names, and before them those that the message's head
/// itself says.
pub async fn message_directories(
    client: &Client,
    info: &MessageInfo,
    named: &[Jid],
) -> (AddressDirectory, AddressDirectory) {
    let source = &info.source;
    // In a message from the account's own phone, the chat is the recipient.
    let recipient = info.peer_recipient_pn.iter().map(|number| (source.chat.clone(), number.clone()));
    let pairs: Vec<_> = pairs_in_source(source).into_iter().chain(recipient).collect();
    let identity = directory_of_pairs(client, &pairs);
    let mut directory = identity.clone();
    look_up_addresses(client, &mut directory, [&source.sender, &source.chat]).await;
    look_up_addresses(client, &mut directory, named).await;
    (identity, directory)
}

/// A directory with these pairs, which are stored for later messages, too.
pub async fn learned_directory(client: &Client, pairs: &[JidPair]) -> AddressDirectory {
    learn_pairs(client, pairs).await;
    directory_of_pairs(client, pairs)
}

/// A directory with these pairs, which are not stored. The client itself stores those of messages, and a message that is
/// decrypted must wait for nothing but the store (decision 16).
fn directory_of_pairs(client: &Client, pairs: &[JidPair]) -> AddressDirectory {
    let mut directory = AddressDirectory::of_account(client.pn(), client.lid());
    for (one, other) in pairs {
        directory.add_pair(one, other);
    }
    directory
}

/// Adds the pairs that the client's store knows.
pub async fn look_up_addresses(
    client: &Client,
    directory: &mut AddressDirectory,
    jids: impl IntoIterator<Item = &Jid>,
) {
    for jid in jids {
        if directory.is_incomplete(jid)
            && let Some(other) = stored_address(client, jid).await
        {
            directory.add_pair(jid, &other);
        }
    }
}

/// The addresses of one person that the client's store knows.
pub async fn resolve_address(client: &Client, jid: &Jid) -> KnownAddresses {
    let mut directory = AddressDirectory::default();
    look_up_addresses(client, &mut directory, [jid]).await;
    directory.known_addresses(jid)
}

async fn stored_address(client: &Client, jid: &Jid) -> Option<Jid> {
    // The store keeps addresses without a device, in one namespace.
    match client.get_lid_pn_entry(&without_device(jid)).await {
        Ok(entry) if jid.server.is_lid_family() => entry.map(|entry| Jid::pn(&*entry.phone_number)),
        Ok(entry) => entry.map(|entry| Jid::lid(&*entry.lid)),
        Err(error) => {
            tracing::warn!("failed to look up the other address of a contact: {error:#}");
            None
        }
    }
}

/// The address without a device, in the namespace that users know.
fn without_device(jid: &Jid) -> Jid {
    if jid.server.is_pn_family() {
        Jid::pn(jid.user_base())
    } else if jid.server.is_lid_family() {
        Jid::lid(jid.user_base())
    } else {
        jid.to_non_ad()
    }
}

/// The address as a chat.
#[must_use]
pub fn chat_jid(jid: &Jid) -> ChatJid {
    ChatJid::from_whatsapp(&without_device(jid).to_string())
}

#[cfg(test)]
mod tests;
