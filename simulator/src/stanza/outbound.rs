//! Messages of simulated phones. Each is encrypted for every companion that has to get it and waits in its queue.
//! A companion gets what a real sender would have encrypted for it, in the order of sending. Encryption and queueing are
//! `sealing`, a message that a companion asks for again is `resend`.

use anyhow::{Context as _, Result};
use buffa::Message as _;
use wacore::messages::{MessageUtils, wrap_device_sent};
use wacore_binary::builder::NodeBuilder;
use waproto::whatsapp::Message;

use super::{device_sent::device_sent, envelope::MessageEnvelope, message_kind, message_view, sealing};
use crate::{
    groups,
    people::AddressingMode,
    phone_number::PhoneNumber,
    sent_log::SentPlaintext,
    signal::{EncryptedPayload, sender_key_name},
    state::ServerState,
};

/// Why a phone cannot send a message, by the kind of the caller's mistake.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    #[error("{0}")]
    Invalid(String),
    #[error("{0}")]
    NotFound(String),
    #[error("{0}")]
    Conflict(String),
    #[error("{0}")]
    Full(String),
    #[error(transparent)]
    Internal(#[from] anyhow::Error),
}

/// A message that a simulated phone sends.
#[derive(Default)]
pub struct OutboundMessage {
    pub id: String,
    /// What it says, as far as it can be read here.
    pub message: Message,
    /// The bytes to encrypt, if they are not to be those of `message`.
    pub raw: Option<Vec<u8>>,
    /// The account it is for, or the group.
    pub to: Option<PhoneNumber>,
    pub group: Option<String>,
    pub addressing: Option<AddressingMode>,
    /// The name shown with it, instead of the person's own.
    pub push_name: Option<String>,
    /// The sender's broadcast list through which it goes out to the account.
    pub broadcast: Option<String>,
    /// The companions get no ciphertext, and this reason.
    pub unavailable: Option<String>,
}

/// A companion that gets a message.
type DeviceKey = (PhoneNumber, u16);

impl ServerState {
    /// Sends the message to every receiver.
    pub fn say(&mut self, sender: &PhoneNumber, mut utterance: OutboundMessage) -> Result<(), SendError> {
        utterance.group = utterance.group.as_deref().map(groups::whole);
        if let Some(to) = &utterance.to {
            self.people.meet(to)?;
        }
        let person = self.people.meet(sender)?;
        let addressing = utterance.addressing.unwrap_or(person.addressing);
        let push_name = utterance.push_name.unwrap_or_else(|| person.push_name.clone());
        let (hides_number, verified_name) = (person.hides_number, person.verified_name());
        let receivers = self.receivers(sender, utterance.to.as_ref(), utterance.group.as_deref())?;
        for (number, device) in &receivers {
            let full = self.people.companion(number, *device).is_some_and(|companion| companion.queue.is_full());
            if full {
                return Err(SendError::Full(format!("the offline queue of {number} device {device} is full")));
            }
        }
        let plaintext = utterance.raw.clone().unwrap_or_else(|| utterance.message.encode_to_vec());
        let kind = message_kind::kind(&utterance.message);
        let list = utterance.broadcast.as_deref().map(|id| format!("{}@broadcast", groups::bare(id)));
        let envelope = MessageEnvelope {
            sender,
            id: &utterance.id,
            group: utterance.group.as_deref().or(list.as_deref()),
            kind,
            addressing,
            hides_number,
            push_name,
            verified_name,
            now: self.now(),
        };
        self.sent.keep(
            sender,
            &utterance.id,
            SentPlaintext {
                plaintext: plaintext.clone(),
                group: utterance.group.clone(),
                to: utterance.to.clone(),
                kind,
                for_phones_only: utterance.unavailable.as_deref() == Some("view_once"),
                timestamp: envelope.now,
            },
        );
        match (&utterance.group, &utterance.to) {
            _ if utterance.unavailable.is_some() => {
                let reason = utterance.unavailable.as_deref().unwrap_or_default();
                self.say_nothing(&envelope, reason, &receivers)?;
            }
            (Some(group), _) => self.say_to_group(&envelope, group, &plaintext, &receivers)?,
            (None, Some(to)) => {
                let copy = match &utterance.raw {
                    Some(raw) => device_sent(raw, &to.jid(0).to_string()),
                    None => wrap_device_sent(utterance.message.clone(), to.jid(0).to_string()).encode_to_vec(),
                };
                self.say_to_account(&envelope, to, &plaintext, &copy, &receivers)?;
            }
            (None, None) => return Err(SendError::Invalid("neither `to` nor `group`".to_owned())),
        }
        self.phones_hear(&envelope, utterance.to.as_ref(), &utterance.message, &plaintext);
        if let (Some(to), None) = (&utterance.to, &utterance.group) {
            self.give_token_if_due(sender, to);
        }
        Ok(())
    }

    /// The companions that a message reaches: those of the account or of the group's members,
    /// and the sender's own.
    fn receivers(
        &self,
        sender: &PhoneNumber,
        to: Option<&PhoneNumber>,
        group: Option<&str>,
    ) -> Result<Vec<DeviceKey>, SendError> {
        let mut numbers = vec![sender.clone()];
        if let Some(id) = group {
            let group = self.groups.get(id).ok_or_else(|| SendError::NotFound(format!("there is no group {id:?}")))?;
            if !group.participants.contains(sender) {
                return Err(SendError::Conflict(format!("{sender} is not in group {id}")));
            }
            numbers.extend(group.participants.iter().filter(|n| *n != sender).cloned());
        }
        numbers.extend(to.filter(|to| *to != sender).cloned());
        let receivers: Vec<DeviceKey> = numbers
            .iter()
            .filter_map(|number| self.people.get(number))
            .flat_map(|person| {
                let devices = person.companions.keys();
                devices.map(|device| (person.number.clone(), *device))
            })
            .collect();
        if receivers.is_empty() {
            return Err(SendError::Conflict(match to {
                Some(to) => format!("{to} has no companion: pair one first (POST /admin/mock-phone/scan-qr)"),
                None => "no member of the group has a companion".to_owned(),
            }));
        }
        Ok(receivers)
    }

    fn say_to_account(
        &mut self,
        envelope: &MessageEnvelope<'_>,
        to: &PhoneNumber,
        plaintext: &[u8],
        copy: &[u8],
        receivers: &[DeviceKey],
    ) -> Result<()> {
        let padded = MessageUtils::pad_message_v2(plaintext.to_vec());
        let copy = MessageUtils::pad_message_v2(copy.to_vec());
        for (number, device) in receivers {
            let is_copy = number == envelope.sender && number != to;
            let sealed = self.seal(envelope.sender, number, *device, if is_copy { &copy } else { &padded })?;
            let stanza = match envelope.group {
                _ if is_copy => envelope.own_copy(to),
                Some(list) => envelope.in_group(&groups::jid_of(list)),
                None => envelope.direct(),
            };
            let children = envelope.children(vec![envelope.enc(&sealed)]);
            self.post(envelope, number, *device, stanza.children(children).build())?;
        }
        Ok(())
    }

    /// Tells companions of a message that only the phone may show.
    fn say_nothing(&mut self, envelope: &MessageEnvelope<'_>, reason: &str, receivers: &[DeviceKey]) -> Result<()> {
        for (number, device) in receivers.iter().filter(|(number, _)| number != envelope.sender) {
            let stanza = match envelope.group {
                Some(group) => envelope.in_group(&groups::jid_of(group)),
                None => envelope.direct(),
            };
            let unavailable = NodeBuilder::new("unavailable").attr("type", reason).build();
            self.post(envelope, number, *device, stanza.children([unavailable]).build())?;
        }
        Ok(())
    }

    fn say_to_group(
        &mut self,
        envelope: &MessageEnvelope<'_>,
        group: &str,
        plaintext: &[u8],
        receivers: &[DeviceKey],
    ) -> Result<()> {
        let jid = self.groups.get(group).context("the group vanished")?.jid().to_string();
        let name = sender_key_name(&jid, envelope.sender.as_str(), 0);
        let phone = &mut self.people.get_mut(envelope.sender).context("the sender vanished")?.phone;
        let distribution = sealing::sender_key_message(&jid, phone.sender_key_distribution(&name)?);
        let distribution = MessageUtils::encode_and_pad(&distribution);
        let sealed = EncryptedPayload {
            kind: "skmsg",
            bytes: phone.group_encrypt(&name, &MessageUtils::pad_message_v2(plaintext.to_vec()))?,
        };
        for (number, device) in receivers {
            let mut children = Vec::with_capacity(2);
            if self.needs_sender_key(group, envelope.sender, number, *device) {
                let key = self.seal(envelope.sender, number, *device, &distribution)?;
                children.push(envelope.enc(&key));
            }
            children.push(envelope.enc(&sealed));
            let children = envelope.children(children);
            let node = envelope.in_group(&self.group_jid(group)).children(children).build();
            self.post(envelope, number, *device, node)?;
        }
        Ok(())
    }

    /// The simulated phones that the message reaches as well: the account's, or the group's.
    fn phones_hear(
        &mut self,
        envelope: &MessageEnvelope<'_>,
        to: Option<&PhoneNumber>,
        message: &Message,
        plaintext: &[u8],
    ) {
        let members = envelope
            .group
            .and_then(|group| self.groups.get(group))
            .map(|group| group.participants.clone())
            .unwrap_or_default();
        let mut received = message_view::received(
            (message, plaintext),
            envelope.id,
            envelope.sender,
            0,
            envelope.group,
            envelope.addressing,
            envelope.now,
        );
        if envelope.group.is_none() {
            received.sent_to = None;
        }
        for number in members.iter().chain(to) {
            if number != envelope.sender
                && let Some(person) = self.people.get_mut(number)
            {
                person.inbox.take(received.clone());
            }
        }
    }
}
