//! A phone's message once more, for a companion that could not decrypt it.

use anyhow::Result;
use buffa::Message as _;
use wacore::messages::{MessageUtils, wrap_device_sent};
use waproto::whatsapp::Message;

use super::{device_sent::device_sent, envelope::MessageEnvelope, sealing};
use crate::{phone_number::PhoneNumber, signal::sender_key_name, state::ServerState};

impl ServerState {
    /// A companion could not decrypt a phone's message: it gets it once more, in a new session.
    pub(super) fn say_again(
        &mut self,
        sender: &PhoneNumber,
        number: &PhoneNumber,
        device: u16,
        id: &str,
        count: u8,
    ) -> Result<()> {
        let Some(sent) = self.sent.find(sender, id).cloned() else {
            tracing::debug!("{sender} does not remember message {id}");
            return Ok(());
        };
        let mut plaintext = sent.plaintext.clone();
        let copy_of = sent.to.as_ref().filter(|to| number == sender && *to != sender);
        if let Some(group) = &sent.group {
            let jid = self.group_jid(group).to_string();
            let name = sender_key_name(&jid, sender.as_str(), 0);
            let phone = &mut self.people.meet(sender)?.phone;
            let key = sealing::sender_key_message(&jid, phone.sender_key_distribution(&name)?);
            // Two protobufs in a row are one with the fields of both.
            plaintext.extend(key.encode_to_vec());
        } else if let Some(to) = copy_of {
            let to = to.jid(0).to_string();
            plaintext = match Message::decode_from_slice(&plaintext) {
                Ok(message) => wrap_device_sent(message, to).encode_to_vec(),
                Err(_) => device_sent(&plaintext, &to),
            };
        }
        let person = self.people.meet(sender)?;
        let (addressing, push_name, hides_number) = (person.addressing, person.push_name.clone(), person.hides_number);
        let verified_name = person.verified_name();
        let sealed = self.seal(sender, number, device, &MessageUtils::pad_message_v2(plaintext))?;
        let envelope = MessageEnvelope {
            sender,
            id,
            group: sent.group.as_deref(),
            kind: sent.kind,
            addressing,
            hides_number,
            push_name,
            verified_name,
            now: self.now(),
        };
        let mut enc = envelope.enc(&sealed);
        enc.attrs.insert("count", count.to_string());
        let stanza = match (&sent.group, copy_of) {
            (Some(group), _) => envelope.in_group(&self.group_jid(group)),
            (None, Some(to)) => envelope.own_copy(to),
            (None, None) => envelope.direct(),
        };
        let node = stanza.children(envelope.children(vec![enc])).build();
        let record = self.ledger.find(id, number, device, sender);
        if let Some(record) = record {
            self.ledger.queued_again(record);
        }
        let chat = sent.group.as_deref().unwrap_or(sender.as_str());
        self.post_node(number, device, id, chat, node, record)
    }
}
