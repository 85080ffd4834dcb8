//! What companions and simulated phones say to each other. From a companion: `iq` (with `usync`,
//! `keys`, `groups`, `group_changes`, `profile`), `route` (its messages, to everybody), `receipt` (its receipts and acks),
//! `signs` (presence, typing).
//! From a simulated phone: `say` (to companions), `hear` (what it makes of a companion's
//! message), `phone` (what an account's phone tells its own companions), `media_retry` (files once more), `people` (what people do beside writing).
//! From nobody's phone: `channel`.

mod channel;
mod describe;
mod envelope;
mod group_changes;
mod groups;
mod hear;
mod iq;
mod keys;
mod media_retry;
mod people;
mod phone;
mod profile;
mod receipt;
mod route;
mod say;
mod signs;
mod status;
mod usync;

pub use people::{Past, Presence, Signal};
pub use say::{Refused, Utterance};

use wacore_binary::{Jid, Node, NodeRef, builder::NodeBuilder};

use crate::{connection::ConnectionId, people::Number, world::World};

/// What is kept of a connection's presences; a client says a few.
const MAX_PRESENCES: usize = 16;

impl World {
    /// A stanza of a logged-in companion.
    pub fn on_companion_stanza(&mut self, id: ConnectionId, number: &Number, device: u16, stanza: &NodeRef<'_>) {
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
                self.on_presence(number, stanza);
            }
            "chatstate" => self.on_chatstate(number, stanza),
            "ib" => {}
            other => {
                tracing::debug!("{number} device {device} sent <{other}>, which nothing answers")
            }
        }
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
    fn acknowledge(&mut self, id: ConnectionId, stanza: &NodeRef<'_>) {
        let node = ack_of(stanza, self.now()).build();
        self.send(id, node);
    }
}

fn ack_of(stanza: &NodeRef<'_>, now: i64) -> NodeBuilder {
    let mut ack = NodeBuilder::new("ack").attr("class", stanza.tag.as_ref()).attr("t", now.to_string());
    if let Some(id) = attribute(stanza, "id") {
        ack = ack.attr("id", id);
    }
    if let Some(to) = jid(stanza, "to") {
        ack = ack.attr("from", to);
    }
    if let Some(participant) = jid(stanza, "participant") {
        ack = ack.attr("participant", participant);
    }
    if stanza.tag != "message"
        && let Some(kind) = attribute(stanza, "type")
    {
        ack = ack.attr("type", kind);
    }
    ack
}

pub(crate) fn attribute(node: &NodeRef<'_>, name: &str) -> Option<String> {
    node.get_attr(name).map(|value| value.as_str().into_owned())
}

fn jid(node: &NodeRef<'_>, name: &str) -> Option<Jid> {
    node.attrs().optional_jid(name)
}

fn child_bytes(node: &NodeRef<'_>, name: &str) -> Option<Vec<u8>> {
    node.get_optional_child(name)?.content_bytes().map(<[u8]>::to_vec)
}

/// `<error code text/>`, for IQs.
fn error(code: u16, text: &str) -> Node {
    NodeBuilder::new("error").attr("code", code.to_string()).attr("text", text).build()
}
