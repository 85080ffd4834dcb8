//! What a simulated phone does with a client's message: it decrypts it, keeps it in its inbox and confirms the
//! delivery. It asks again for a message that it cannot decrypt.

use anyhow::{Context as _, Result};
use buffa::Message as _;
use wacore::{
    iq::prekeys::{OneTimePreKeyNode, SignedPreKeyNode},
    messages::{decode_plaintext, unwrap_device_sent},
    protocol::ProtocolNode as _,
};
use wacore_binary::{Jid, Node, builder::NodeBuilder};
use waproto::whatsapp::Message;

use super::{message_view, peer_request};
use crate::{
    groups,
    offline_queue::{QueueEntry, StanzaClass},
    people::{AddressingMode, ReceiptMode, ReceivedMessage},
    phone_number::PhoneNumber,
    recording::Happening,
    signal::{address, sender_key_name},
    state::ServerState,
};

/// A client refuses the fifth request for one message.
const MAX_REQUESTS: u8 = 4;

/// Messages that phones ask again for, remembered at once.
const MAX_OPEN_REQUESTS: usize = 10_000;

/// An `<enc>` on its way to one device.
#[derive(Debug, Clone)]
pub(super) struct EncryptedPart {
    pub kind: String,
    pub bytes: Vec<u8>,
    pub node: Node,
}

/// A companion's message as it goes to one receiver.
pub(super) struct InboundMessage<'a> {
    pub id: &'a str,
    pub from: &'a PhoneNumber,
    pub device: u16,
    /// As the client addressed it: the person (by number or LID) or the group.
    pub to: &'a Jid,
    pub group: Option<&'a str>,
    /// The client knows other devices of the group than there are.
    pub has_wrong_hash: bool,
    pub now: i64,
}

impl ServerState {
    /// The phone of `number` gets its part of a message.
    pub(super) fn hear(&mut self, number: &PhoneNumber, incoming: &InboundMessage<'_>, encs: &[&EncryptedPart]) {
        for enc in encs {
            match self.decrypt(number, incoming, enc) {
                Ok(message) => self.understand(number, incoming, message),
                Err(error) => {
                    self.statistics.decryption_failures += 1;
                    tracing::info!(
                        "{number} cannot decrypt {} of {} device {}: {error:#}",
                        incoming.id,
                        incoming.from,
                        incoming.device
                    );
                    if let Err(error) = self.ask_again(number, incoming) {
                        tracing::warn!("{number} cannot ask again: {error:#}");
                    }
                    return;
                }
            }
        }
    }

    fn decrypt(&mut self, number: &PhoneNumber, incoming: &InboundMessage<'_>, enc: &EncryptedPart) -> Result<Message> {
        let phone = &mut self.people.meet(number)?.phone;
        let padded = if enc.kind == "skmsg" {
            let group = incoming.group.context("a skmsg outside a group")?;
            let name = sender_key_name(group, incoming.from.as_str(), incoming.device);
            phone.group_decrypt(&name, &enc.bytes)?
        } else {
            let from = address(incoming.from.as_str(), incoming.device);
            phone.decrypt(&from, &enc.kind, &enc.bytes)?
        };
        decode_plaintext(&padded, 2)
    }

    /// A copy of what the account itself sent is no step of its own.
    fn record_received(&mut self, number: &PhoneNumber, received: &ReceivedMessage) {
        if self.recording.is_running() && *number != received.from {
            self.recording.add(Happening::Received {
                contact: number.clone(),
                from: received.from.clone(),
                group: received.group.clone(),
                kind: received.kind.clone(),
                text: received.text.clone().or_else(|| received.caption.clone()),
            });
        }
    }

    fn understand(&mut self, number: &PhoneNumber, incoming: &InboundMessage<'_>, mut message: Message) {
        self.dirty = true;
        if let Some(key) = message.sender_key_distribution_message.take() {
            self.accept_sender_key(number, incoming, &key);
        }
        let own = number == incoming.from;
        let sent_to = message.device_sent_message.as_option().and_then(|sent| sent.destination_jid.clone());
        let message = unwrap_device_sent(message);
        let context_only = Message { message_context_info: message.message_context_info.clone(), ..Default::default() };
        // Nothing but a sender key.
        if message == context_only {
            return;
        }
        // A companion's protocol messages to its own phone (key requests, settings) are no chat.
        // Some clients wrap them like a message to themselves.
        if own && incoming.group.is_none() && (sent_to.is_none() || peer_request::is_request(&message)) {
            self.confirm_question(number, incoming);
            self.answer_companion(number, incoming, &message);
            return;
        }
        let addressing = if incoming.to.is_pn() { AddressingMode::Pn } else { AddressingMode::Lid };
        let mut received = message_view::received(
            (&message, &message.encode_to_vec()),
            incoming.id,
            incoming.from,
            incoming.device,
            incoming.group,
            addressing,
            incoming.now,
        );
        received.sent_to = sent_to;
        received.complaints = self.complaints(incoming, &message);
        self.record_received(number, &received);
        let Some(person) = self.people.get_mut(number) else {
            return;
        };
        person.inbox.take(received);
        let confirms = match person.receipts {
            // What a companion did not get is not delivered.
            ReceiptMode::Auto => !own && person.companions.is_empty(),
            ReceiptMode::Always => !own,
            ReceiptMode::Manual => false,
        };
        self.requests.remove(&(number.clone(), incoming.id.to_owned()));
        if confirms {
            self.confirm(number, incoming.from, incoming.to, incoming.group, incoming.id, None);
        }
    }

    /// A phone that is on confirms what its own companion asks it.
    fn confirm_question(&mut self, number: &PhoneNumber, incoming: &InboundMessage<'_>) {
        if self.phones_off.contains(number) {
            return;
        }
        let node = NodeBuilder::new("receipt")
            .attr("id", incoming.id)
            .attr("from", number.jid(0))
            .attr("type", "peer_msg")
            .attr("t", self.now().to_string())
            .build();
        self.post_receipt(number, incoming.device, incoming.id, number, node);
    }

    fn accept_sender_key(
        &mut self,
        number: &PhoneNumber,
        incoming: &InboundMessage<'_>,
        key: &waproto::whatsapp::message::SenderKeyDistributionMessage,
    ) {
        let (Some(group), Some(bytes)) = (&key.group_id, &key.axolotl_sender_key_distribution_message) else {
            return;
        };
        let name = sender_key_name(group, incoming.from.as_str(), incoming.device);
        if let Some(person) = self.people.get_mut(number)
            && let Err(error) = person.phone.accept_sender_key(&name, bytes)
        {
            tracing::warn!("{number} got an unusable sender key: {error:#}");
        }
    }

    /// A receipt of a simulated phone, to every companion of the account that wrote.
    /// `kind` is none for delivered.
    pub fn confirm(
        &mut self,
        reader: &PhoneNumber,
        writer: &PhoneNumber,
        to: &Jid,
        group: Option<&str>,
        id: &str,
        kind: Option<&str>,
    ) {
        let mut node = NodeBuilder::new("receipt").attr("id", id).attr("t", self.now().to_string());
        node = match group {
            Some(group) => node.attr("from", groups::jid_of(group)).attr("participant", reader.lid_jid(0)),
            None if to.is_lid() => node.attr("from", reader.lid_jid(0)),
            None => node.attr("from", reader.jid(0)),
        };
        if let Some(kind) = kind {
            node = node.attr("type", kind);
        }
        let node = node.build();
        let devices: Vec<u16> =
            self.people.get(writer).map(|person| person.companions.keys().copied().collect()).unwrap_or_default();
        for device in devices {
            self.post_receipt(writer, device, id, reader, node.clone());
        }
    }

    pub(super) fn post_receipt(&mut self, number: &PhoneNumber, device: u16, id: &str, from: &PhoneNumber, node: Node) {
        let entry = QueueEntry {
            class: StanzaClass::Receipt,
            id: id.to_owned(),
            chat: from.to_string(),
            node,
            record: None,
            written: 0,
        };
        if let Err(error) = self.enqueue(number, device, entry) {
            tracing::warn!("a receipt for {number} device {device} is lost: {error:#}");
        }
    }

    /// Asks again for a message that the phone already has, as a phone does after a new installation.
    /// `to` is the address under which the contact was written to.
    pub fn ask_for(&mut self, number: &PhoneNumber, message: &ReceivedMessage, to: &Jid) -> Result<()> {
        let group = message.group.as_deref();
        let to = group.map_or_else(|| to.clone(), groups::jid_of);
        let (id, from, device, now) = (message.id.as_str(), &message.from, message.device, self.now());
        self.ask_again(number, &InboundMessage { id, from, device, to: &to, group, has_wrong_hash: false, now })
    }

    /// Asks the companion that wrote to encrypt once more.
    fn ask_again(&mut self, number: &PhoneNumber, incoming: &InboundMessage<'_>) -> Result<()> {
        if self.requests.len() >= MAX_OPEN_REQUESTS {
            self.requests.clear();
        }
        let key = (number.clone(), incoming.id.to_owned());
        let count = self.requests.entry(key).or_default();
        *count += 1;
        let count = *count;
        if count > MAX_REQUESTS {
            return Ok(());
        }
        self.statistics.retry_requests_to_client += 1;
        let phone = &mut self.people.meet(number)?.phone;
        let registration = phone.registration_id().to_be_bytes().to_vec();
        let mut children = vec![
            NodeBuilder::new("retry")
                .attr("v", "1")
                .attr("id", incoming.id)
                .attr("t", incoming.now.to_string())
                .attr("count", count.to_string())
                .build(),
            NodeBuilder::new("registration").bytes(registration).build(),
        ];
        // From the second request on, phones send the keys along.
        if count > 1 {
            let bundle = phone.publish_bundle()?;
            let identity = bundle.identity_key()?.public_key().public_key_bytes().to_vec();
            let mut keys = vec![
                NodeBuilder::new("type").bytes(vec![5]).build(),
                NodeBuilder::new("identity").bytes(identity).build(),
            ];
            if let (Some(id), Some(key)) = (bundle.pre_key_id()?, bundle.pre_key_public()?) {
                keys.push(OneTimePreKeyNode::new(id.into(), key.public_key_bytes().to_vec()).into_node());
            }
            keys.push(
                SignedPreKeyNode::new(
                    bundle.signed_pre_key_id()?.into(),
                    bundle.signed_pre_key_public()?.public_key_bytes().to_vec(),
                    bundle.signed_pre_key_signature()?.to_vec(),
                )
                .into_node(),
            );
            children.push(NodeBuilder::new("keys").children(keys).build());
        }
        let mut node = NodeBuilder::new("receipt")
            .attr("type", "retry")
            .attr("id", incoming.id)
            .attr("t", incoming.now.to_string());
        node = match incoming.group {
            Some(_) => node.attr("from", incoming.to).attr("participant", number.lid_jid(0)),
            None if incoming.to.is_lid() => node.attr("from", number.lid_jid(0)),
            None => node.attr("from", number.jid(0)),
        };
        let node = node.children(children).build();
        self.post_receipt(incoming.from, incoming.device, incoming.id, number, node);
        Ok(())
    }
}
