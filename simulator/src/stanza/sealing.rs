//! Encrypts a phone's message for one companion, and puts the stanza into the companion's queue.

use anyhow::{Context as _, Result};
use buffa::MessageField;
use wacore_binary::{Jid, Node};
use waproto::whatsapp::{Message, message::SenderKeyDistributionMessage};

use super::envelope::MessageEnvelope;
use crate::{
    groups,
    ledger::{LedgerRecord, MessageState, RecordKey},
    offline_queue::{QueueEntry, StanzaClass},
    phone_number::PhoneNumber,
    signal::{EncryptedPayload, address},
    state::ServerState,
};

/// What hands a sender key of a group to a companion.
pub(super) fn sender_key_message(group: &str, key: Vec<u8>) -> Message {
    let distribution = SenderKeyDistributionMessage {
        group_id: Some(group.to_owned()),
        axolotl_sender_key_distribution_message: Some(key),
    };
    Message { sender_key_distribution_message: MessageField::some(distribution), ..Default::default() }
}

impl ServerState {
    /// Marks the companion as holding the sender's key of this group; true the first time.
    pub(super) fn needs_sender_key(
        &mut self,
        group: &str,
        sender: &PhoneNumber,
        number: &PhoneNumber,
        device: u16,
    ) -> bool {
        self.groups
            .get_mut(group)
            .is_some_and(|group| group.holders.entry(sender.clone()).or_default().insert((number.clone(), device)))
    }

    pub(super) fn group_jid(&self, group: &str) -> Jid {
        Jid::group(groups::bare(group))
    }

    /// Encrypts for one companion, opening the session if there is none.
    pub(super) fn seal(
        &mut self,
        sender: &PhoneNumber,
        number: &PhoneNumber,
        device: u16,
        padded: &[u8],
    ) -> Result<EncryptedPayload> {
        let to = address(number.as_str(), device);
        let known = self.people.get(sender).is_some_and(|person| person.phone.has_session(&to));
        let bundle = if known {
            None
        } else {
            let companion = self.people.companion_mut(number, device).context("the companion vanished")?;
            let bundle = companion.take_bundle()?;
            self.ask_for_prekeys(number, device);
            Some(bundle)
        };
        let phone = &mut self.people.get_mut(sender).context("the sender vanished")?.phone;
        if let Some(bundle) = bundle {
            phone.open_session(&to, &bundle)?;
        }
        phone.encrypt(&to, padded)
    }

    pub(super) fn post(
        &mut self,
        envelope: &MessageEnvelope<'_>,
        number: &PhoneNumber,
        device: u16,
        node: Node,
    ) -> Result<()> {
        let record = self.ledger.open(LedgerRecord {
            id: envelope.id.to_owned(),
            to: number.clone(),
            device,
            contact: envelope.sender.clone(),
            group: envelope.group.map(str::to_owned),
            state: MessageState::Queued,
            deliveries: 0,
            handed: 0,
        });
        let chat = envelope.group.unwrap_or(envelope.sender.as_str());
        self.post_node(number, device, envelope.id, chat, node, Some(record))
    }

    pub(super) fn post_node(
        &mut self,
        number: &PhoneNumber,
        device: u16,
        id: &str,
        chat: &str,
        node: Node,
        record: Option<RecordKey>,
    ) -> Result<()> {
        self.enqueue(
            number,
            device,
            QueueEntry {
                class: StanzaClass::Message,
                id: id.to_owned(),
                chat: groups::bare(chat).to_owned(),
                node,
                record,
                written: 0,
            },
        )
    }
}
