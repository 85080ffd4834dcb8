//! The envelope of a phone's message: a stanza around the ciphertext, by number, by LID or in a group.

use wacore_binary::{Jid, Node, builder::NodeBuilder};

use crate::{people::AddressingMode, phone_number::PhoneNumber, signal::EncryptedPayload};

/// The envelope of a message from a phone, the same for all its receivers.
pub(super) struct MessageEnvelope<'a> {
    pub sender: &'a PhoneNumber,
    pub id: &'a str,
    pub group: Option<&'a str>,
    pub stanza_type: &'static str,
    pub mediatype: Option<&'static str>,
    pub addressing: AddressingMode,
    pub push_name: String,
    pub now: i64,
}

impl MessageEnvelope<'_> {
    fn base(&self) -> NodeBuilder {
        NodeBuilder::new("message")
            .attr("id", self.id)
            .attr("t", self.now.to_string())
            .attr("type", self.stanza_type)
            .attr("notify", self.push_name.as_str())
    }

    pub fn direct(&self) -> NodeBuilder {
        match self.addressing {
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
        self.base()
            .attr("from", group)
            .attr("participant", self.sender.lid_jid(0))
            .attr("participant_pn", self.sender.jid(0))
            .attr("addressing_mode", "lid")
    }

    pub fn enc(&self, sealed: &EncryptedPayload) -> Node {
        let mut enc = NodeBuilder::new("enc").attr("v", "2").attr("type", sealed.kind);
        if let Some(mediatype) = self.mediatype {
            enc = enc.attr("mediatype", mediatype);
        }
        enc.bytes(sealed.bytes.clone()).build()
    }
}
