//! Reads attributes and children of stanzas, and builds the nodes that many answers share.

use wacore_binary::{Jid, Node, NodeRef, builder::NodeBuilder};

pub(super) fn ack_of(stanza: &NodeRef<'_>, now: i64) -> NodeBuilder {
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

pub(super) fn attribute(node: &NodeRef<'_>, name: &str) -> Option<String> {
    node.get_attr(name).map(|value| value.as_str().into_owned())
}

pub(super) fn jid(node: &NodeRef<'_>, name: &str) -> Option<Jid> {
    node.attrs().optional_jid(name)
}

pub(super) fn child_bytes(node: &NodeRef<'_>, name: &str) -> Option<Vec<u8>> {
    node.get_optional_child(name)?.content_bytes().map(<[u8]>::to_vec)
}

/// `<error code text/>`, for IQs.
pub(super) fn error(code: u16, text: &str) -> Node {
    NodeBuilder::new("error").attr("code", code.to_string()).attr("text", text).build()
}

pub(super) fn children<'a, 'n>(node: &'a NodeRef<'n>, tag: &'static str) -> impl Iterator<Item = &'a NodeRef<'n>> {
    node.children().unwrap_or_default().iter().filter(move |child| child.tag == tag)
}

pub(super) fn text(node: &NodeRef<'_>) -> String {
    node.content_as_string().map(|text| text.to_string()).unwrap_or_default()
}
