//! The envelope of a phone's message: a stanza around the ciphertext, by number, by LID, in a group or to a broadcast.

use wacore_binary::{Jid, Node, builder::NodeBuilder};

use super::{
    business::verified_name_node,
    message_kind::{StanzaKind, StanzaMeta},
};
use crate::{
    people::{AddressingMode, business::SERIAL},
    phone_number::PhoneNumber,
    signal::EncryptedPayload,
};

/// The envelope of a message from a phone, the same for all its receivers.
pub(super) struct MessageEnvelope<'a> {
    pub sender: &'a PhoneNumber,
    pub id: &'a str,
    /// The group, or the broadcast that it goes out to.
    pub group: Option<&'a str>,
    pub kind: StanzaKind,
    pub addressing: AddressingMode,
    /// Nobody learns the sender's number.
    pub hides_number: bool,
    pub push_name: String,
    /// The certificate of the sender's name, if it is a business.
    pub verified_name: Option<Vec<u8>>,
    pub now: i64,
}

impl MessageEnvelope<'_> {
    fn base(&self) -> NodeBuilder {
        let node = NodeBuilder::new("message")
            .attr("id", self.id)
            .attr("t", self.now.to_string())
            .attr("type", self.kind.stanza_type)
            .attr("notify", self.push_name.as_str());
        let node = match self.kind.edit {
            Some(edit) => node.attr("edit", edit),
            None => node,
        };
        match self.verified_name {
            Some(_) => node.attr("verified_name", SERIAL.to_string()).attr("verified_level", "low"),
            None => node,
        }
    }

    pub fn direct(&self) -> NodeBuilder {
        match self.addressing {
            _ if self.hides_number => self.base().attr("from", self.sender.lid_jid(0)).attr("addressing_mode", "lid"),
            AddressingMode::Pn => {
                self.base().attr("from", self.sender.jid(0)).attr("sender_lid", self.sender.lid_jid(0))
            }
            AddressingMode::Lid => self
                .base()
                .attr("from", self.sender.lid_jid(0))
                .attr("sender_pn", self.sender.jid(0))
                .attr("addressing_mode", "lid"),
        }
    }

    /// For the sender's own companions: the other side of the chat is the recipient, by both its addresses.
    pub fn own_copy(&self, recipient: &PhoneNumber) -> NodeBuilder {
        match self.addressing {
            AddressingMode::Pn => self
                .base()
                .attr("from", self.sender.jid(0))
                .attr("recipient", recipient.jid(0))
                .attr("peer_recipient_lid", recipient.lid_jid(0)),
            AddressingMode::Lid => self
                .base()
                .attr("from", self.sender.lid_jid(0))
                .attr("recipient", recipient.lid_jid(0))
                .attr("peer_recipient_pn", recipient.jid(0))
                .attr("addressing_mode", "lid"),
        }
    }

    pub fn in_group(&self, group: &Jid) -> NodeBuilder {
        let node = self.base().attr("from", group).attr("participant", self.sender.lid_jid(0));
        let node = if self.hides_number { node } else { node.attr("participant_pn", self.sender.jid(0)) };
        node.attr("addressing_mode", "lid")
    }

    /// The ciphertexts and what the stanza says besides them.
    pub fn children(&self, mut encs: Vec<Node>) -> Vec<Node> {
        encs.extend(meta_node(&self.kind.meta));
        encs.extend(self.verified_name.clone().map(verified_name_node));
        encs
    }

    pub fn enc(&self, sealed: &EncryptedPayload) -> Node {
        let mut enc = NodeBuilder::new("enc").attr("v", "2").attr("type", sealed.kind);
        if let Some(mediatype) = self.kind.mediatype {
            enc = enc.attr("mediatype", mediatype);
        }
        if self.kind.hides_failure {
            enc = enc.attr("decrypt-fail", "hide");
        }
        enc.bytes(sealed.bytes.clone()).build()
    }
}

fn meta_node(said: &StanzaMeta) -> Option<Node> {
    if *said == StanzaMeta::default() {
        return None;
    }
    let mut meta = NodeBuilder::new("meta");
    for (name, value) in [("polltype", said.polltype), ("event_type", said.event_type)] {
        if let Some(value) = value {
            meta = meta.attr(name, value);
        }
    }
    Some(if said.view_once { meta.attr("view_once", "true") } else { meta }.build())
}
