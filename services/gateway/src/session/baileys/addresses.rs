//! Whose keys a file holds: Baileys writes only digits, and up to version 6 not whether they are a number or a LID.
//!
//! A person may have two sessions there, one under the number and one under the LID. Kurir's client has one, under the LID
//! where it is known. Which number belongs to which LID is told by the files `lid-mapping-…` (from version 7 on), by the
//! account's own addresses, and by the identity key: both sessions of a device hold the same.

use super::folder::BaileysFolder;
use std::collections::{BTreeMap, BTreeSet};
use wacore_binary::{Jid, Server};

/// Numbers have at most 13 digits in practice, LIDs 14 or 15.
const DIGITS_OF_A_LID: usize = 14;

/// A device as a file's name has it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileAddress {
    pub user: String,
    /// Baileys' number for a kind of address; 0 is a phone number, or unknown.
    domain: u16,
    pub device: u16,
}

impl FileAddress {
    /// Reads `<user>[_<domain>]` and the device.
    pub fn new(user: &str, device: &str) -> Option<Self> {
        let device = device.parse().ok()?;
        let (user, domain) = match user.split_once('_') {
            Some((user, domain)) => (user, domain.parse().ok()?),
            None => (user, 0),
        };
        let is_user = !user.is_empty() && user.bytes().all(|byte| byte.is_ascii_digit());
        is_user.then(|| Self { user: user.to_owned(), domain, device })
    }
}

/// Numbers and LIDs that belong together.
#[derive(Default)]
pub struct KnownPeople {
    lids: BTreeMap<String, String>,
    numbers: BTreeMap<String, String>,
}

impl KnownPeople {
    /// Reads what the folder tells by itself.
    pub fn read(folder: &BaileysFolder, own: (Option<&Jid>, Option<&Jid>)) -> Self {
        let mut people = Self::default();
        for (file, content) in folder.of_sort("lid-mapping-") {
            let Ok(other) = serde_json::from_slice::<String>(content) else { continue };
            match file.id.strip_suffix("_reverse") {
                Some(lid) => people.add(&other, lid),
                None => people.add(file.id, &other),
            }
        }
        if let (Some(number), Some(lid)) = own {
            people.add(&number.user, &lid.user);
        }
        people
    }

    fn add(&mut self, number: &str, lid: &str) {
        let is_user = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if is_user(number) && is_user(lid) {
            self.lids.insert(number.to_owned(), lid.to_owned());
            self.numbers.insert(lid.to_owned(), number.to_owned());
        }
    }

    /// Learns from the identity keys of devices: two addresses with one key are one person.
    pub fn learn(&mut self, identities: impl IntoIterator<Item = (FileAddress, [u8; 32])>) {
        let mut owners: BTreeMap<[u8; 32], BTreeSet<String>> = BTreeMap::new();
        for (address, key) in identities {
            if address.domain <= 1 {
                owners.entry(key).or_default().insert(address.user);
            }
        }
        for users in owners.into_values() {
            let [first, second] = users.into_iter().collect::<Vec<_>>().try_into().unwrap_or_default();
            let (number, lid): (String, String) =
                if first.len() < second.len() { (first, second) } else { (second, first) };
            if number.len() < DIGITS_OF_A_LID && lid.len() >= DIGITS_OF_A_LID {
                self.add(&number, &lid);
            }
        }
    }

    /// The address under which Kurir's client looks for the keys of this device.
    pub fn resolve(&self, address: &FileAddress) -> Option<Jid> {
        let server = match address.domain {
            0 if self.is_lid(&address.user) => Server::Lid,
            0 => Server::Pn,
            1 => Server::Lid,
            128 => Server::Hosted,
            129 => Server::HostedLid,
            _ => return None,
        };
        let jid = match (server, self.lids.get(&address.user)) {
            (Server::Pn, Some(lid)) => Jid::new(lid, Server::Lid),
            (Server::Hosted, Some(lid)) => Jid::new(lid, Server::HostedLid),
            _ => Jid::new(&address.user, server),
        };
        Some(jid.with_device(address.device))
    }

    fn is_lid(&self, user: &str) -> bool {
        self.numbers.contains_key(user) || (!self.lids.contains_key(user) && user.len() >= DIGITS_OF_A_LID)
    }

    /// Number and LID of each person.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.lids.iter().map(|(number, lid)| (number.as_str(), lid.as_str()))
    }
}
