//! Hands each stanza of a companion to the module that answers it.

use wacore_binary::NodeRef;

use super::node::{ack_of, attribute};
use crate::{connection::ConnectionId, phone_number::PhoneNumber, recording::Happening, state::ServerState};

/// What is kept of a connection's presences; a client says a few.
const MAX_PRESENCES: usize = 16;

impl ServerState {
    /// A stanza of a logged-in companion.
    pub fn on_companion_stanza(&mut self, id: ConnectionId, number: &PhoneNumber, device: u16, stanza: &NodeRef<'_>) {
        self.record_stanza(number, device, stanza);
        match stanza.tag.as_ref() {
            "iq" => self.on_iq(id, number, device, stanza),
            "message" => self.on_message(id, number, device, stanza),
            "receipt" => self.on_receipt(id, number, device, stanza),
            "ack" => self.on_ack(number, device, stanza),
            "call" => {
                self.acknowledge(id, stanza);
                self.on_call(number, device, stanza);
            }
            "notification" => self.acknowledge(id, stanza),
            "presence" => {
                self.note_presence(id, stanza);
                self.on_presence(id, number, stanza);
            }
            "chatstate" => self.on_chatstate(number, stanza),
            "ib" => {}
            other => {
                tracing::debug!("{number} device {device} sent <{other}>, which nothing answers")
            }
        }
    }

    /// All that a recording has of a stanza; pings, which say nothing, are left out.
    fn record_stanza(&mut self, number: &PhoneNumber, device: u16, stanza: &NodeRef<'_>) {
        let xmlns = attribute(stanza, "xmlns");
        if !self.recording.is_running() || matches!(xmlns.as_deref(), Some("w:p" | "urn:xmpp:ping")) {
            return;
        }
        self.recording.add(Happening::Stanza {
            account: number.clone(),
            device,
            tag: stanza.tag.to_string(),
            id: attribute(stanza, "id"),
            to: attribute(stanza, "to"),
            kind: attribute(stanza, "type"),
            xmlns,
        });
    }

    /// A subscription is none.
    fn note_presence(&mut self, id: ConnectionId, stanza: &NodeRef<'_>) {
        let said = attribute(stanza, "type").filter(|kind| kind == "available" || kind == "unavailable");
        if let (Some(said), Some(connection)) = (said, self.connections.get_mut(&id)) {
            if connection.presences.len() == MAX_PRESENCES {
                connection.presences.remove(0);
            }
            connection.presences.push(said);
        }
    }

    /// The server's ack of a stanza: its class is the stanza's tag.
    pub(super) fn acknowledge(&mut self, id: ConnectionId, stanza: &NodeRef<'_>) {
        let node = ack_of(stanza, self.now()).build();
        self.send(id, node);
    }
}
