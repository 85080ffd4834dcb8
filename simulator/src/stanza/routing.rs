//! Acknowledges or refuses a client's message, then gives it to every receiver: simulated phones, and companions,
//! which are real clients.

use std::time::Duration;

use wacore_binary::{JidExt as _, Node, NodeRef, Server, builder::NodeBuilder};

use super::{
    client_message::ClientMessage,
    inbound::{EncryptedPart, InboundMessage},
    node::{ack_of, attribute, jid},
    privacy_tokens,
};
use crate::{
    connection::ConnectionId,
    faults::{FaultKind, FaultRule, StanzaFacts, TrafficDirection},
    groups,
    ledger::{LedgerRecord, MessageState},
    phone_number::PhoneNumber,
    state::ServerState,
    timers::TimerAction,
};

/// The number of a nack if the fault names none: malformed.
const NACK: u16 = 479;

fn delay_of(fault: &FaultRule) -> Duration {
    Duration::from_millis(fault.delay_ms.unwrap_or(1_000))
}

impl ServerState {
    pub(super) fn on_message(&mut self, id: ConnectionId, number: &PhoneNumber, device: u16, stanza: &NodeRef<'_>) {
        let fault = self.fault_for(number, device, stanza);
        let kind = fault.as_ref().map(|fault| fault.kind);
        if kind == Some(FaultKind::Lose) {
            return;
        }
        let nack = (kind == Some(FaultKind::Nack)).then(|| fault.as_ref().and_then(|fault| fault.code).unwrap_or(NACK));
        if jid(stanza, "to").is_some_and(|to| to.server == Server::Newsletter) {
            let taken = nack.map_or_else(|| self.on_channel_message(number, device, stanza), Err);
            let ack = ack_of(stanza, self.now());
            let ack = match taken {
                Ok(server_id) => server_id.into_iter().fold(ack, |ack, id| ack.attr("server_id", id.to_string())),
                Err(code) => self.refusal(ack, code),
            };
            return self.answer_message(id, fault.as_ref(), ack.build());
        }
        let accepted = match nack {
            Some(code) => Err(code),
            None => self.take_apart(stanza).and_then(|message| self.check_message(number, message, stanza)),
        };
        let mut ack = ack_of(stanza, self.now());
        match &accepted {
            Ok(message) => {
                if let Some(hash) = self.hash_for_ack(number, device, message) {
                    ack = ack.attr("phash", hash);
                }
                if let (Some(FaultKind::Delay), Some(fault)) = (kind, &fault) {
                    self.hold_receipts(number, &message.id, delay_of(fault));
                }
            }
            Err(code) => ack = self.refusal(ack, *code),
        }
        self.answer_message(id, fault.as_ref(), ack.build());
        // After the ack: WhatsApp sends no receipt for a message that it has not acknowledged.
        if let Ok(message) = accepted {
            self.distribute(number, device, &message);
        }
    }

    fn refusal(&mut self, ack: NodeBuilder, code: u16) -> NodeBuilder {
        self.statistics.nacks += 1;
        ack.attr("error", code.to_string())
    }

    /// Sends the ack of a message: not at all, late, or now.
    fn answer_message(&mut self, id: ConnectionId, fault: Option<&FaultRule>, ack: Node) {
        match fault {
            Some(fault) if fault.kind == FaultKind::SwallowAck => {}
            Some(fault) if fault.kind == FaultKind::Delay => {
                self.timers.after(delay_of(fault), TimerAction::Send(id, Box::new(ack)));
            }
            _ => self.send(id, ack),
        }
    }

    fn fault_for(&mut self, number: &PhoneNumber, device: u16, stanza: &NodeRef<'_>) -> Option<FaultRule> {
        let to = jid(stanza, "to");
        let contact = to.as_ref().and_then(|to| self.number_behind(to));
        let group = to.as_ref().filter(|to| to.is_group()).map(|to| groups::whole(&to.user));
        let (id, kind) = (attribute(stanza, "id"), attribute(stanza, "type"));
        let seen = StanzaFacts {
            stanza: "message",
            id: id.as_deref(),
            contact: contact.as_ref().map(PhoneNumber::as_str),
            account: number.as_str(),
            device,
            group: group.as_deref(),
            kind: kind.as_deref(),
            xmlns: None,
        };
        self.faults.meet(TrafficDirection::FromClient, &seen)
    }

    /// Whether the account may send this. The error is the number of the nack.
    fn check_message(
        &self,
        number: &PhoneNumber,
        message: ClientMessage,
        stanza: &NodeRef<'_>,
    ) -> Result<ClientMessage, u16> {
        if message.to.is_group() {
            let group = self.groups.get(&message.to.user).ok_or(404_u16)?;
            // Nobody writes in a community itself, only in its groups.
            let is_community = matches!(group.place, groups::CommunityPlace::Parent { .. });
            if is_community || !group.participants.contains(number) || (group.announcement && !group.is_admin(number)) {
                return Err(403);
            }
        } else if let Some(contact) = self.number_behind(&message.to) {
            if let Some(code) = self.restricted(number, &contact) {
                return Err(code);
            }
            if !self.takes_message_of(&contact, number, stanza) {
                return Err(privacy_tokens::NO_TOKEN);
            }
        }
        Ok(message)
    }

    /// Gives every receiver its part of a message.
    fn distribute(&mut self, number: &PhoneNumber, device: u16, message: &ClientMessage) {
        let has_many = message.to.is_group() || message.to.server == Server::Broadcast;
        let group = has_many.then(|| message.to.to_non_ad().to_string());
        if message.to.is_status_broadcast() {
            self.note_status_audience(message, number, device);
        }
        let incoming = InboundMessage {
            id: &message.id,
            from: number,
            device,
            to: &message.to,
            group: group.as_deref(),
            has_wrong_hash: self.has_wrong_hash(number, device, message),
            now: self.now(),
        };
        for (receiver, at) in self.receivers_of(message, number, device) {
            // A receiver that does not hold the sender key finds it in its own part, in front of the group's.
            let mut encs: Vec<&EncryptedPart> =
                message.personal.get(&(receiver.clone(), at)).map(|encs| encs.iter().collect()).unwrap_or_default();
            encs.extend(&message.shared);
            if encs.is_empty() {
                continue;
            }
            if at == 0 {
                self.hear(&receiver, &incoming, &encs);
            } else if let Err(error) = self.forward(&receiver, at, &incoming, message, &encs) {
                tracing::warn!("a message for {receiver} device {at} is lost: {error:#}");
            }
        }
    }

    /// Remembers who holds the sender key of a companion's status posts: some clients name later only who lacks it.
    fn note_status_audience(&mut self, message: &ClientMessage, number: &PhoneNumber, device: u16) {
        if let Some(companion) = self.people.companion_mut(number, device) {
            let given = message.personal.iter().filter(|(_, encs)| !encs.is_empty());
            companion.status_holders.extend(given.map(|(receiver, _)| receiver.clone()));
        }
    }

    /// Every device that gets something, without the one that sends.
    fn receivers_of(&self, message: &ClientMessage, number: &PhoneNumber, device: u16) -> Vec<(PhoneNumber, u16)> {
        let mut receivers: Vec<(PhoneNumber, u16)> = message.personal.keys().cloned().collect();
        if message.shared.is_some()
            && let Some(group) = self.groups.get(&message.to.user)
        {
            for member in &group.participants {
                receivers.push((member.clone(), 0));
                let companions = self.people.get(member).map(|person| &person.companions);
                for at in companions.into_iter().flat_map(|companions| companions.keys()) {
                    receivers.push((member.clone(), *at));
                }
            }
        }
        if message.shared.is_some() && message.to.is_status_broadcast() && !message.names_everybody {
            let companion = self.people.companion(number, device);
            receivers.extend(companion.into_iter().flat_map(|companion| companion.status_holders.iter().cloned()));
        }
        receivers.sort();
        receivers.dedup();
        receivers.retain(|(receiver, at)| (receiver, *at) != (number, device));
        receivers
    }

    /// Puts a message of one client into the queue of another.
    fn forward(
        &mut self,
        receiver: &PhoneNumber,
        at: u16,
        incoming: &InboundMessage<'_>,
        message: &ClientMessage,
        encs: &[&EncryptedPart],
    ) -> anyhow::Result<()> {
        if self.people.companion(receiver, at).is_none() {
            return Ok(());
        }
        let from = incoming.from;
        let push_name = self.people.get(from).map(|person| person.push_name.clone()).unwrap_or_default();
        let mut node = NodeBuilder::new("message")
            .attr("id", incoming.id)
            .attr("t", incoming.now.to_string())
            .attr("type", message.stanza_type.as_str())
            .attr("notify", push_name);
        if let Some(edit) = &message.edit {
            node = node.attr("edit", edit.as_str());
        }
        let is_copy = receiver == from && incoming.group.is_none();
        // What devices of one account ask each other goes by LID, once the account has one.
        let by_lid = incoming.to.is_lid() || message.is_peer && self.lid_migrated;
        // The second address is without a device, as the server writes it.
        node = match (incoming.group.is_some(), by_lid) {
            (true, _) if incoming.to.is_group() || message.names_lids => node
                .attr("from", incoming.to)
                .attr("participant", from.lid_jid(incoming.device))
                .attr("participant_pn", from.jid(0))
                .attr("addressing_mode", "lid"),
            (true, _) => node
                .attr("from", incoming.to)
                .attr("participant", from.jid(incoming.device))
                .attr("participant_lid", from.lid_jid(0))
                .attr("addressing_mode", "pn"),
            (false, true) => node.attr("from", from.lid_jid(incoming.device)).attr("addressing_mode", "lid"),
            (false, false) => node.attr("from", from.jid(incoming.device)),
        };
        // A copy names the other side of the chat, everybody else's the sender's second address.
        node = match (incoming.group.is_some(), incoming.to.is_lid(), self.number_behind(incoming.to)) {
            (true, ..) => node,
            _ if message.is_peer => node.attr("category", "peer"),
            (false, true, Some(to)) if is_copy => {
                node.attr("recipient", incoming.to.to_non_ad()).attr("peer_recipient_pn", to.jid(0))
            }
            (false, false, Some(to)) if is_copy => {
                node.attr("recipient", incoming.to.to_non_ad()).attr("peer_recipient_lid", to.lid_jid(0))
            }
            (false, true, _) => node.attr("sender_pn", from.jid(0)),
            (false, false, _) => node.attr("sender_lid", from.lid_jid(0)),
        };
        let children = encs.iter().map(|enc| enc.node.clone()).chain(message.extras.iter().cloned());
        let node = node.children(children).build();
        // What is encrypted once more on request is still the same message.
        let again = encs.iter().any(|enc| enc.node.attrs.contains_key("count"));
        let known = if again { self.ledger.find(incoming.id, receiver, at, from) } else { None };
        if let Some(record) = known {
            self.ledger.queued_again(record);
        }
        let record = known.unwrap_or_else(|| {
            self.ledger.open(LedgerRecord {
                id: incoming.id.to_owned(),
                to: receiver.clone(),
                device: at,
                contact: from.clone(),
                group: incoming.group.map(str::to_owned),
                state: MessageState::Queued,
                deliveries: 0,
                handed: 0,
            })
        });
        let chat = incoming.group.unwrap_or(from.as_str());
        self.post_node(receiver, at, incoming.id, chat, node, Some(record))
    }
}
