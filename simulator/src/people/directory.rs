//! The directory: finds a person by number or LID, makes one on demand, chooses the account
//! that a pairing client gets.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use anyhow::{Result, ensure};
use wacore_binary::Jid;

use super::{CompanionDevice, SimulatedPerson, dialing::registered_form};
use crate::phone_number::PhoneNumber;

/// The account of a client without a push name.
const DEFAULT_ACCOUNT: &str = "15550100001";

/// People are created on demand when a number is named. This many take about 1 GB.
const MAX_PEOPLE: usize = 100_000;

#[derive(Default)]
pub struct PeopleDirectory {
    people: BTreeMap<PhoneNumber, SimulatedPerson>,
    by_lid: HashMap<String, PhoneNumber>,
    /// By the other ways to dial somebody.
    by_alias: HashMap<PhoneNumber, PhoneNumber>,
}

impl PeopleDirectory {
    pub fn get(&self, number: &PhoneNumber) -> Option<&SimulatedPerson> {
        self.people.get(number)
    }

    pub fn get_mut(&mut self, number: &PhoneNumber) -> Option<&mut SimulatedPerson> {
        self.people.get_mut(number)
    }

    /// The number under which the owner of a dialled one is registered.
    pub fn registered(&self, dialled: &PhoneNumber) -> PhoneNumber {
        match self.by_alias.get(dialled) {
            Some(owner) => owner.clone(),
            None if self.people.contains_key(dialled) => dialled.clone(),
            None => registered_form(dialled),
        }
    }

    /// Registers somebody under exactly this number, and lets these others lead there.
    pub fn set_aliases(&mut self, number: &PhoneNumber, aliases: BTreeSet<PhoneNumber>) -> Result<()> {
        for alias in &aliases {
            ensure!(alias != number, "{number} cannot be an alias of itself");
            ensure!(!self.people.contains_key(alias), "{alias} is on WhatsApp itself, so it cannot lead to {number}");
        }
        self.by_alias.remove(number);
        self.by_alias.retain(|_, owner| owner != number);
        self.by_alias.extend(aliases.iter().map(|alias| (alias.clone(), number.clone())));
        if !self.people.contains_key(number) {
            self.create(number)?;
        }
        if let Some(person) = self.people.get_mut(number) {
            person.aliases = aliases;
        }
        Ok(())
    }

    /// The person with this number, created if there is none.
    pub fn meet(&mut self, number: &PhoneNumber) -> Result<&mut SimulatedPerson> {
        if !self.people.contains_key(number) {
            let registered = self.registered(number);
            ensure!(registered == *number, "nobody is registered as {number}: it leads to {registered}");
            self.create(number)?;
        }
        self.people.get_mut(number).ok_or_else(|| anyhow::anyhow!("a person vanished"))
    }

    fn create(&mut self, number: &PhoneNumber) -> Result<()> {
        ensure!(self.people.len() < MAX_PEOPLE, "{MAX_PEOPLE} people are on this WhatsApp, no more fit");
        let tail = &number.as_str()[number.as_str().len() - 4..];
        self.insert(SimulatedPerson::new(number.clone(), format!("Contact {tail}"))?);
        Ok(())
    }

    pub fn insert(&mut self, person: SimulatedPerson) {
        self.by_lid.insert(person.lid.clone(), person.number.clone());
        self.by_alias.extend(person.aliases.iter().map(|alias| (alias.clone(), person.number.clone())));
        self.people.insert(person.number.clone(), person);
    }

    /// The number behind an address, phone number or LID. `None` for an unknown LID and for a group.
    pub fn number_of(&self, jid: &Jid) -> Option<PhoneNumber> {
        if jid.is_lid() {
            self.by_lid.get(jid.user.as_str()).cloned()
        } else if jid.is_pn() {
            jid.user.parse().ok()
        } else {
            None
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = &SimulatedPerson> {
        self.people.values()
    }

    pub fn accounts(&self) -> impl Iterator<Item = &SimulatedPerson> {
        self.people.values().filter(|person| person.is_account)
    }

    pub fn companion_mut(&mut self, number: &PhoneNumber, device: u16) -> Option<&mut CompanionDevice> {
        self.people.get_mut(number)?.companions.get_mut(&device)
    }

    pub fn companion(&self, number: &PhoneNumber, device: u16) -> Option<&CompanionDevice> {
        self.people.get(number)?.companions.get(&device)
    }

    /// The account for a client that pairs: the same push name is the same number, a new one
    /// the next free number, none the default one.
    pub fn account_for(&self, push_name: Option<&str>) -> Result<PhoneNumber> {
        let default: PhoneNumber = DEFAULT_ACCOUNT.parse().map_err(anyhow::Error::msg)?;
        let Some(name) = push_name.filter(|name| !name.is_empty()) else {
            return Ok(default);
        };
        if let Some(known) = self.accounts().find(|person| person.push_name == name) {
            return Ok(known.number.clone());
        }
        let first: u64 = DEFAULT_ACCOUNT.parse()?;
        for candidate in first + 1.. {
            let number: PhoneNumber = candidate.to_string().parse().map_err(anyhow::Error::msg)?;
            if !self.people.contains_key(&number) {
                return Ok(number);
            }
        }
        Ok(default)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_push_name_chooses_the_account() {
        let mut people = PeopleDirectory::default();
        let none = people.account_for(None).unwrap();
        assert_eq!(none.as_str(), DEFAULT_ACCOUNT);
        let anna = people.account_for(Some("Anna")).unwrap();
        assert_ne!(anna, none);
        let person = people.meet(&anna).unwrap();
        person.push_name = "Anna".to_owned();
        person.is_account = true;
        assert_eq!(people.account_for(Some("Anna")).unwrap(), anna);
        assert_ne!(people.account_for(Some("Ben")).unwrap(), anna);
    }
}
