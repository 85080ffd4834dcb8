//! Answers every IQ of a client. An IQ that no module knows is answered with the error 501.

use std::time::Duration;

use wacore::{
    iq::mediaconn::{HostType, MediaConnHostExtended, MediaConnResponseExtended},
    protocol::ProtocolNode as _,
};
use wacore_binary::{JidExt as _, Node, NodeRef, builder::NodeBuilder};

use super::{
    node::{attribute, error, jid},
    request_parts::unknown_part,
};
use crate::{
    connection::ConnectionId,
    faults::{FaultKind, StanzaFacts, TrafficDirection},
    phone_number::PhoneNumber,
    state::ServerState,
    timers::TimerAction,
};

/// What an IQ is answered with.
pub(super) enum IqReply {
    Result(Vec<Node>),
    Error(Node),
}

impl IqReply {
    pub(super) fn one(node: Node) -> Self {
        Self::Result(vec![node])
    }

    pub(super) fn empty() -> Self {
        Self::Result(Vec::new())
    }

    pub(super) fn refused(code: u16, text: &str) -> Self {
        Self::Error(error(code, text))
    }
}

impl ServerState {
    pub(super) fn on_iq(&mut self, id: ConnectionId, number: &PhoneNumber, device: u16, iq: &NodeRef<'_>) {
        let kind = attribute(iq, "type").unwrap_or_default();
        if kind != "get" && kind != "set" {
            return;
        }
        let namespace = attribute(iq, "xmlns").unwrap_or_default();
        let iq_id = attribute(iq, "id").unwrap_or_default();
        let seen = StanzaFacts {
            stanza: "iq",
            id: Some(&iq_id),
            account: number.as_str(),
            device,
            kind: Some(&kind),
            xmlns: Some(&namespace),
            ..StanzaFacts::default()
        };
        let fault = self.faults.meet(TrafficDirection::FromClient, &seen);
        let fault_kind = fault.as_ref().map(|fault| fault.kind);
        if fault_kind == Some(FaultKind::Lose) {
            return;
        }
        let first = iq.children().and_then(|children| children.first());
        let tag = first.map(|child| child.tag.as_ref()).unwrap_or_default();
        let becomes_active = namespace == "passive" && tag == "active";
        let reply = match fault_kind {
            Some(FaultKind::Nack) => {
                let code = fault.as_ref().and_then(|fault| fault.code).unwrap_or(500);
                IqReply::refused(code, "refused-by-fault")
            }
            _ => self.reply_to(id, number, device, iq, &namespace, &kind, tag),
        };
        let mut node = iq_answer(iq, &iq_id, reply);
        if namespace == "w:p" {
            // The answer to a ping tells the time.
            node.attrs.insert("t", self.now().to_string());
        }
        match fault_kind {
            Some(FaultKind::SwallowAck) => {}
            Some(FaultKind::Delay) => {
                let delay = fault.and_then(|fault| fault.delay_ms).unwrap_or(1_000);
                self.timers.after(Duration::from_millis(delay), TimerAction::Send(id, Box::new(node)));
            }
            _ => self.send(id, node),
        }
        if becomes_active {
            self.write_offline_queue(id, number, device);
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the table below reads best with its columns as names")]
    fn reply_to(
        &mut self,
        id: ConnectionId,
        number: &PhoneNumber,
        device: u16,
        iq: &NodeRef<'_>,
        namespace: &str,
        kind: &str,
        tag: &str,
    ) -> IqReply {
        if let Some(part) = unknown_part(namespace, kind, iq) {
            return self.unknown(namespace, &part);
        }
        match (namespace, kind, tag) {
            ("w:p" | "urn:xmpp:ping", ..) => IqReply::empty(),
            ("passive", ..) => IqReply::empty(),
            ("encrypt", "set", "rotate") => self.rotate_signed_prekey(number, device, iq),
            ("encrypt", "set", _) => self.store_prekeys(number, device, iq),
            ("encrypt", "get", "digest") => self.key_digest(number, device),
            ("encrypt", "get", "count") => self.prekey_count(number, device),
            ("encrypt", "get", "key") => self.hand_out_bundles(iq),
            ("usync", "get", _) => self.look_up(number, iq),
            // Older clients ask so, and take anything for an answer.
            ("w", "get", "props") => IqReply::empty(),
            ("abt", ..) => self.properties(number),
            ("blocklist", "get", _) => self.blocklist(number),
            ("blocklist", "set", _) => self.block(number, iq),
            ("privacy", "get", _) => self.privacy(number, iq),
            ("privacy", "set", "tokens") => self.give_tokens(number, iq),
            ("privacy", "set", _) => self.set_privacy(number, device, iq),
            ("w:sync:app:state", "set", "sync") => self.sync_app_state(number, device, iq),
            ("w:m", ..) => IqReply::one(self.media_connection()),
            ("w:g2", ..) => self.on_group_iq(number, kind, iq),
            ("md", "set", "remove-companion-device") => self.log_out(id, number, device),
            ("disappearing_mode", "get", _) => self.default_timer(number),
            ("disappearing_mode", "set", _) => self.set_default_timer(number, device, iq),
            ("status", "get", "privacy") => IqReply::one(status_privacy()),
            ("status", "set", _) => self.set_about(number, iq),
            ("w:profile:picture", "set", _) => self.set_picture(number, device, iq),
            ("w:profile:picture", ..) => self.picture(number, iq),
            ("urn:xmpp:whatsapp:dirty" | "urn:xmpp:whatsapp:push" | "w:stats" | "tos", ..) => IqReply::empty(),
            ("w:biz", "get", "business_profile") => self.business_profiles(iq),
            ("bot", "get", "bot") => self.list_bots(),
            ("newsletter", ..) => self.on_channel_iq(id, number, kind, iq),
            ("w:mex", ..) => match self.answer_graphql(number, iq) {
                Some(answer) => answer,
                None => self.unknown(namespace, tag),
            },
            _ => self.unknown(namespace, tag),
        }
    }

    pub(super) fn unknown(&mut self, namespace: &str, tag: &str) -> IqReply {
        self.statistics.unanswered(namespace);
        tracing::debug!("no answer is known to an IQ of {namespace:?}: {tag:?}");
        IqReply::refused(501, "feature-not-implemented")
    }

    fn media_connection(&self) -> Node {
        let host = MediaConnHostExtended::simple(self.media.host(), HostType::Primary);
        MediaConnResponseExtended::mock("simulator".to_owned(), 3_600, vec![host]).into_node()
    }

    /// The client logs itself out.
    fn log_out(&mut self, id: ConnectionId, number: &PhoneNumber, device: u16) -> IqReply {
        self.forget_companion(number, device);
        if let Some(connection) = self.connections.get_mut(&id) {
            // The client closes the socket after the answer.
            connection.online = false;
        }
        IqReply::empty()
    }
}

fn iq_answer(iq: &NodeRef<'_>, id: &str, reply: IqReply) -> Node {
    let mut node = NodeBuilder::new("iq").attr("id", id);
    // Groups answer for themselves.
    node = match jid(iq, "to") {
        Some(to) if to.is_group() => node.attr("from", to),
        _ => node.attr("from", "s.whatsapp.net"),
    };
    match reply {
        IqReply::Result(children) if children.is_empty() => node.attr("type", "result").build(),
        IqReply::Result(children) => node.attr("type", "result").children(children).build(),
        IqReply::Error(error) => node.attr("type", "error").children([error]).build(),
    }
}

/// Who gets the account's status posts: the clients choose the receivers.
fn status_privacy() -> Node {
    let list = NodeBuilder::new("list").attr("type", "contacts").attr("default", "true").build();
    NodeBuilder::new("privacy").children([list]).build()
}
