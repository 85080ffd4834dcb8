//! A status update of a simulated phone: it goes to every client, under the sender key of the one broadcast that all
//! statuses share.

use anyhow::{Context as _, Result};
use buffa::{Message as _, MessageField};
use wacore::messages::MessageUtils;
use wacore_binary::Jid;
use waproto::whatsapp::{Message, message::SenderKeyDistributionMessage};

use super::message_kind;
use super::{envelope::MessageEnvelope, outbound::SendError};
use crate::{
    groups,
    ledger::{LedgerRecord, MessageState},
    people::AddressingMode,
    phone_number::PhoneNumber,
    signal::{EncryptedPayload, sender_key_name},
    state::ServerState,
};

impl ServerState {
    /// Shows it to every companion of every other account.
    pub fn show_status(&mut self, sender: &PhoneNumber, id: &str, message: &Message) -> Result<(), SendError> {
        let receivers: Vec<(PhoneNumber, u16)> = self
            .people
            .accounts()
            .filter(|person| person.number != *sender)
            .flat_map(|person| person.companions.keys().map(|device| (person.number.clone(), *device)))
            .collect();
        if receivers.is_empty() {
            return Err(SendError::Conflict("no account has a companion that could see it".to_owned()));
        }
        let person = self.people.meet(sender)?;
        let (push_name, hides_number) = (person.push_name.clone(), person.hides_number);
        let verified_name = person.verified_name();
        let kind = message_kind::kind(message);
        let envelope = MessageEnvelope {
            sender,
            id,
            group: None,
            kind,
            addressing: AddressingMode::Lid,
            hides_number,
            push_name,
            verified_name,
            now: self.now(),
        };
        for (number, device) in receivers {
            self.show_status_to(&envelope, &number, device, message)?;
        }
        Ok(())
    }

    fn show_status_to(
        &mut self,
        envelope: &MessageEnvelope<'_>,
        number: &PhoneNumber,
        device: u16,
        message: &Message,
    ) -> Result<()> {
        let broadcast = Jid::status_broadcast();
        let name = sender_key_name(&broadcast.to_string(), envelope.sender.as_str(), 0);
        let phone = &mut self.people.get_mut(envelope.sender).context("the sender vanished")?.phone;
        let key = SenderKeyDistributionMessage {
            group_id: Some(broadcast.to_string()),
            axolotl_sender_key_distribution_message: Some(phone.sender_key_distribution(&name)?),
        };
        let key = Message { sender_key_distribution_message: MessageField::some(key), ..Default::default() };
        let padded = MessageUtils::pad_message_v2(message.encode_to_vec());
        let status = EncryptedPayload { kind: "skmsg", bytes: phone.group_encrypt(&name, &padded)? };
        // A client that already has the key ignores it.
        let key = self.seal(envelope.sender, number, device, &MessageUtils::encode_and_pad(&key))?;
        let encs = [envelope.enc(&key), envelope.enc(&status)];
        let node = envelope.in_group(&broadcast).children(encs).build();
        let record = self.ledger.open(LedgerRecord {
            id: envelope.id.to_owned(),
            to: number.clone(),
            device,
            contact: envelope.sender.clone(),
            group: Some(groups::STATUS.to_owned()),
            state: MessageState::Queued,
            deliveries: 0,
            handed: 0,
        });
        self.post_node(number, device, envelope.id, &broadcast.user, node, Some(record))
    }
}
