//! The hash over all devices that a message is for. A client that computed another one has an old list of devices or of
//! members, and fetches the list again.

use wacore::messages::MessageUtils;
use wacore_binary::{Jid, JidExt as _};

use super::client_message::ClientMessage;
use crate::{phone_number::PhoneNumber, state::ServerState};

impl ServerState {
    /// The hash that the ack of a message carries. In a group each ack has it. In a chat only one for a client that left
    /// out a device: clients disagree on whether their own device belongs to that list.
    pub(super) fn hash_for_ack(&self, number: &PhoneNumber, device: u16, message: &ClientMessage) -> Option<String> {
        if message.to.is_group() {
            return self.hash_of_group(number, device, message);
        }
        let contact = self.number_behind(&message.to).filter(|_| message.has_participants)?;
        let mut people = vec![&contact];
        people.extend((contact != *number).then_some(number));
        let wanted: Vec<(PhoneNumber, u16)> = people
            .into_iter()
            .flat_map(|person| self.addressable_devices(person))
            .filter(|(person, at)| (person, *at) != (number, device))
            .collect();
        let has_all = wanted.iter().all(|device| message.personal.contains_key(device));
        (!has_all).then(|| hash(&wanted, message.to.is_pn())).flatten()
    }

    /// Whether the client says in a group that it knows other devices than there are.
    pub(super) fn has_wrong_hash(&self, number: &PhoneNumber, device: u16, message: &ClientMessage) -> bool {
        message.to.is_group() && message.hash.is_some() && message.hash != self.hash_of_group(number, device, message)
    }

    /// None for what is no message to the whole group.
    fn hash_of_group(&self, number: &PhoneNumber, device: u16, message: &ClientMessage) -> Option<String> {
        message.shared.as_ref()?;
        let group = self.groups.get(&message.to.user)?;
        let mut devices: Vec<(PhoneNumber, u16)> =
            group.participants.iter().flat_map(|member| self.addressable_devices(member)).collect();
        devices.push((number.clone(), device));
        devices.sort();
        devices.dedup();
        hash(&devices, message.names_numbers)
    }

    /// The phone and the companions of somebody who is on WhatsApp.
    fn addressable_devices(&self, number: &PhoneNumber) -> Vec<(PhoneNumber, u16)> {
        let person = self.people.get(number).filter(|person| person.registered);
        let devices = person.map(|person| std::iter::once(0).chain(person.companions.keys().copied()));
        devices.into_iter().flatten().map(|at| (number.clone(), at)).collect()
    }
}

fn hash(devices: &[(PhoneNumber, u16)], by_number: bool) -> Option<String> {
    let address = |(number, at): &(PhoneNumber, u16)| if by_number { number.jid(*at) } else { number.lid_jid(*at) };
    let devices: Vec<Jid> = devices.iter().map(address).collect();
    MessageUtils::participant_list_hash(&devices).ok()
}
