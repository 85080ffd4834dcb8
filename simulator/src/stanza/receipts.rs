//! Receipts and acks of a companion: they take messages off its queue, tell the contact, or ask
//! for a message again.
//! Promises that nothing but the client's own word acknowledges a message.

use wacore_binary::{Jid, JidExt as _, NodeRef, Server, builder::NodeBuilder};
use wacore_libsignal::protocol::{DeviceId, IdentityKey, PreKeyBundle, PreKeyId, PublicKey, SignedPreKeyId};

use super::prekeys;
use super::{
    node::{attribute, jid},
    prekeys::RetryKeys,
};
use crate::{
    connection::ConnectionId,
    faults::{FaultKind, StanzaFacts, TrafficDirection},
    groups,
    offline_queue::StanzaClass,
    people::ReceivedReceipt,
    phone_number::PhoneNumber,
    signal::address,
    state::ServerState,
};

impl ServerState {
    pub(super) fn on_receipt(&mut self, id: ConnectionId, number: &PhoneNumber, device: u16, stanza: &NodeRef<'_>) {
        let kind = attribute(stanza, "type");
        let (Some(first), Some(to)) = (attribute(stanza, "id"), jid(stanza, "to")) else {
            return;
        };
        // In a group the participant is who wrote; in a chat it is `to`.
        let writer = jid(stanza, "participant").unwrap_or_else(|| to.clone());
        let contact = self.number_behind(&writer);
        let group = to.is_group().then(|| groups::whole(&to.user));
        let seen = StanzaFacts {
            stanza: "receipt",
            id: Some(&first),
            contact: contact.as_ref().map(PhoneNumber::as_str),
            account: number.as_str(),
            device,
            group: group.as_deref(),
            kind: kind.as_deref(),
            xmlns: None,
        };
        let fault = self.faults.meet(TrafficDirection::FromClient, &seen).map(|f| f.kind);
        if fault == Some(FaultKind::Lose) {
            return;
        }
        if fault != Some(FaultKind::SwallowAck) {
            self.acknowledge(id, stanza);
        }
        let mut ids = vec![first];
        let list = stanza.get_optional_child("list");
        for item in list.and_then(|list| list.children()).unwrap_or_default() {
            ids.extend(attribute(item, "id"));
        }
        match kind.as_deref() {
            Some("server-error") => self.on_media_request(number, device, &ids[0], stanza),
            Some("retry") => self.on_retry_request(number, device, &writer, stanza),
            // Read, played and the like come after the delivery was confirmed.
            Some("read" | "read-self" | "played" | "played-self" | "enc_rekey_retry" | "view") => {}
            // Delivered, under whatever name: `inactive`, `sender`, `peer_msg`, `hist_sync`.
            _ => {
                ids.retain(|id| self.is_from(number, device, id, &to, &writer));
                for id in &ids {
                    self.settle(number, device, StanzaClass::Message, id, Some(&to));
                }
            }
        }
        if to.server == Server::Newsletter && kind.as_deref() == Some("view") {
            self.on_channel_views(number, stanza);
        }
        if let Some(read @ ("read" | "read-self" | "played" | "played-self")) = kind.as_deref() {
            self.tell_own_companions(number, device, &to, &ids, read);
        }
        if matches!(kind.as_deref(), None | Some("inactive" | "read" | "played"))
            && let Some(contact) = contact.filter(|contact| contact != number)
        {
            let shown = kind.filter(|kind| kind != "inactive");
            for id in &ids {
                self.tell_writer(&contact, number, device, &to, id, shown.as_deref());
            }
        }
    }

    pub(super) fn on_ack(&mut self, number: &PhoneNumber, device: u16, stanza: &NodeRef<'_>) {
        let Some(id) = attribute(stanza, "id") else {
            return;
        };
        let class = match attribute(stanza, "class").as_deref() {
            Some("message") => StanzaClass::Message,
            Some("receipt") => StanzaClass::Receipt,
            Some("notification") => StanzaClass::Notification,
            Some("call") => StanzaClass::Call,
            _ => return,
        };
        let to = jid(stanza, "to").filter(|_| class == StanzaClass::Message);
        self.settle(number, device, class, &id, to.as_ref());
    }

    /// Whether the receipt names the very device that wrote the message. WhatsApp takes no other for a receipt.
    fn is_from(&mut self, number: &PhoneNumber, device: u16, id: &str, to: &Jid, writer: &Jid) -> bool {
        let chat = self.chat_of(to);
        let authors: Vec<Option<Jid>> = self
            .people
            .companion(number, device)
            .into_iter()
            .flat_map(|companion| companion.queue.written(StanzaClass::Message, id, Some(&chat)))
            .map(|entry| {
                let mut attributes = entry.node.attrs();
                attributes.optional_jid("participant").or_else(|| attributes.optional_jid("from"))
            })
            .collect();
        let fits = |author: &Option<Jid>| author.as_ref().is_none_or(|author| author.device == writer.device);
        let is_writer = authors.is_empty() || authors.iter().any(fits);
        if !is_writer {
            self.statistics.receipts_without_device += 1;
            tracing::info!("{number} device {device} confirms {id} of {writer}, which another device wrote");
        }
        is_writer
    }

    fn chat_of(&self, to: &Jid) -> String {
        self.number_behind(to).map_or_else(|| to.user.to_string(), |number| number.to_string())
    }

    /// Takes an entry off the queue, and writes it down.
    fn settle(&mut self, number: &PhoneNumber, device: u16, class: StanzaClass, id: &str, to: Option<&Jid>) {
        let chat = to.map(|to| self.chat_of(to));
        let Some(companion) = self.people.companion_mut(number, device) else {
            return;
        };
        let Some(entry) = companion.queue.acknowledge(class, id, chat.as_deref()) else {
            return;
        };
        self.dirty = true;
        // The client acknowledges what it cannot decrypt as well. Its repetition still waits then.
        let repeated = companion.queue.waits_again(&entry);
        if let Some(record) = entry.record
            && !repeated
        {
            self.ledger.acknowledged(record);
        }
    }

    /// What one companion reads or plays, the account's others take for read.
    fn tell_own_companions(&mut self, number: &PhoneNumber, device: u16, to: &Jid, ids: &[String], kind: &str) {
        let own = if to.is_pn() { number.jid(device) } else { number.lid_jid(device) };
        let now = self.now();
        for other in self.devices_of(number).into_iter().filter(|other| *other != device) {
            for id in ids {
                let node = NodeBuilder::new("receipt").attr("id", id.as_str()).attr("t", now.to_string());
                let node = if to.is_group() || to.server == Server::Broadcast {
                    node.attr("from", to).attr("participant", own.clone())
                } else {
                    node.attr("from", own.clone()).attr("recipient", to)
                };
                self.post_receipt(number, other, id, number, node.attr("type", kind).build());
            }
        }
    }

    /// The contact whose message was delivered or read learns of it.
    fn tell_writer(
        &mut self,
        contact: &PhoneNumber,
        reader: &PhoneNumber,
        device: u16,
        to: &Jid,
        id: &str,
        kind: Option<&str>,
    ) {
        let now = self.now();
        let Some(person) = self.people.get_mut(contact) else {
            return;
        };
        person.inbox.take_receipt(ReceivedReceipt {
            id: id.to_owned(),
            from: reader.clone(),
            kind: kind.unwrap_or("delivered").to_owned(),
            timestamp: now,
        });
        let companions: Vec<u16> = person.companions.keys().copied().collect();
        let mut node = NodeBuilder::new("receipt").attr("id", id).attr("t", now.to_string());
        node = if to.is_group() || to.server == Server::Broadcast {
            node.attr("from", to).attr("participant", reader.lid_jid(device))
        } else if to.is_lid() {
            node.attr("from", reader.lid_jid(device))
        } else {
            node.attr("from", reader.jid(device))
        };
        if let Some(kind) = kind {
            node = node.attr("type", kind);
        }
        let node = node.build();
        for companion in companions {
            self.post_receipt(contact, companion, id, reader, node.clone());
        }
    }

    /// A companion could not decrypt something and asks its writer for it.
    fn on_retry_request(&mut self, number: &PhoneNumber, device: u16, writer: &Jid, stanza: &NodeRef<'_>) {
        self.statistics.retry_requests_from_client += 1;
        let Some(contact) = self.number_behind(writer) else {
            return;
        };
        let id = stanza
            .get_optional_child("retry")
            .and_then(|retry| attribute(retry, "id"))
            .or_else(|| attribute(stanza, "id"));
        let Some(id) = id else { return };
        if writer.device != 0 {
            self.forward_retry_request(number, device, &contact, writer, &id, stanza);
            return;
        }
        let result = self
            .renew_session(&contact, number, device, RetryKeys::from_receipt(stanza))
            .and_then(|()| self.say_again(&contact, number, device, &id, prekeys::retry_count(stanza)));
        if let Err(error) = result {
            tracing::warn!("{contact} cannot send {id} again: {error:#}");
        }
    }

    /// The contact begins a new session: with the keys of the request, or with a fresh bundle.
    fn renew_session(
        &mut self,
        contact: &PhoneNumber,
        number: &PhoneNumber,
        device: u16,
        keys: Option<RetryKeys>,
    ) -> anyhow::Result<()> {
        let to = address(number.as_str(), device);
        let registration_id =
            self.people.companion(number, device).map_or(0, |companion| companion.keys.registration_id);
        let phone = &mut self.people.meet(contact)?.phone;
        phone.forget_session(&to);
        let Some(keys) = keys else { return Ok(()) };
        let one_time = match keys.one_time {
            Some((id, key)) => Some((PreKeyId::from(id), PublicKey::from_djb_public_key_bytes(&key)?)),
            None => None,
        };
        let bundle = PreKeyBundle::new(
            registration_id,
            DeviceId::new(u32::from(device)),
            one_time,
            SignedPreKeyId::from(keys.signed.id),
            PublicKey::from_djb_public_key_bytes(&keys.signed.public_bytes)?,
            keys.signed.signature,
            IdentityKey::new(PublicKey::from_djb_public_key_bytes(&keys.identity)?),
        )?;
        phone.open_session(&to, &bundle)
    }

    fn forward_retry_request(
        &mut self,
        number: &PhoneNumber,
        device: u16,
        contact: &PhoneNumber,
        writer: &Jid,
        id: &str,
        stanza: &NodeRef<'_>,
    ) {
        let to = jid(stanza, "to").unwrap_or_else(|| writer.clone());
        let mut node =
            NodeBuilder::new("receipt").attr("id", id).attr("type", "retry").attr("t", self.now().to_string());
        let from = if writer.is_lid() { number.lid_jid(device) } else { number.jid(device) };
        node = if to.is_group() { node.attr("from", &to).attr("participant", from) } else { node.attr("from", from) };
        if let Some(recipient) = jid(stanza, "recipient") {
            node = node.attr("recipient", recipient);
        }
        let children = stanza.children().unwrap_or_default();
        let node = node.children(children.iter().map(NodeRef::to_owned)).build();
        self.post_receipt(contact, writer.device, id, number, node);
    }
}
