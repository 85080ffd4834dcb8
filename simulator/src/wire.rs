//! Stanzas as bytes, written as WhatsApp's server writes them:
//! the server's own address is a JID without a user, and text is bytes.
//! A user's text in an attribute stays text, whatever it looks like.
//! An address that no client could read is refused instead of written.

use anyhow::{Result, ensure};
use wacore_binary::{
    Jid, Node, NodeContent, NodeValue, Server,
    encoder::{ByteWriter, EncodeNode, Encoder},
};

/// Addresses of servers, which clients compare with a JID that has no user.
const SERVERS: [(&str, Server); 2] = [("s.whatsapp.net", Server::Pn), ("g.us", Server::Group)];

/// Attributes that hold what somebody wrote or chose. The encoder would write one with an `@` as an address.
const TEXTS: [&str; 6] = ["subject", "notify", "name", "id", "code", "display_name"];

/// The bytes of a stanza, with the frame's flag byte in front.
pub fn encode_stanza(mut node: Node) -> Result<Vec<u8>> {
    normalize(&mut node)?;
    let mut bytes = Vec::new();
    Encoder::new_vec(&mut bytes)?.write_node(&PlainNode(&node))?;
    Ok(bytes)
}

struct PlainNode<'a>(&'a Node);

impl EncodeNode for PlainNode<'_> {
    fn tag(&self) -> &str {
        &self.0.tag
    }

    fn attrs_len(&self) -> usize {
        self.0.attrs.len()
    }

    fn has_content(&self) -> bool {
        self.0.content.is_some()
    }

    fn encode_attrs<W: ByteWriter>(&self, encoder: &mut Encoder<'_, W>) -> wacore_binary::Result<()> {
        for (name, value) in &self.0.attrs {
            encoder.write_string(name)?;
            match value {
                NodeValue::String(text) if text.contains('@') && TEXTS.contains(&name.as_ref()) => {
                    encoder.write_bytes_with_len(text.as_bytes())?;
                }
                NodeValue::String(text) => encoder.write_string(text)?,
                NodeValue::Jid(jid) => encoder.write_jid_owned(jid)?,
            }
        }
        Ok(())
    }

    fn encode_content<W: ByteWriter>(&self, encoder: &mut Encoder<'_, W>) -> wacore_binary::Result<()> {
        match &self.0.content {
            None => Ok(()),
            Some(NodeContent::String(text)) => encoder.write_bytes_with_len(text.as_bytes()),
            Some(NodeContent::Bytes(bytes)) => encoder.write_bytes_with_len(bytes),
            Some(NodeContent::Nodes(children)) => {
                encoder.write_list_start(children.len())?;
                children.iter().try_for_each(|child| encoder.write_node(&PlainNode(child)))
            }
        }
    }
}

fn normalize(node: &mut Node) -> Result<()> {
    for (name, value) in &mut node.attrs.0 {
        if let NodeValue::String(text) = value
            && let Some((_, server)) = SERVERS.iter().find(|(server, _)| *server == text.as_str())
        {
            *value = NodeValue::Jid(Jid::new("", *server));
        }
        if let NodeValue::Jid(jid) = value {
            ensure!(!jid.user.contains('@'), "the attribute {name} of <{}> is no address: {jid}", node.tag);
        }
    }
    match &mut node.content {
        // The encoder would write a text as a token or as packed digits, which clients do not look for in a content.
        Some(NodeContent::String(text)) => node.content = Some(NodeContent::Bytes(text.as_bytes().to_vec())),
        Some(NodeContent::Nodes(children)) => children.iter_mut().try_for_each(normalize)?,
        Some(NodeContent::Bytes(_)) | None => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use wacore_binary::{builder::NodeBuilder, token};

    fn contains(bytes: &[u8], part: &[u8]) -> bool {
        bytes.windows(part.len()).any(|window| window == part)
    }

    #[test]
    fn the_servers_address_is_a_jid_without_a_user() {
        for (name, _) in SERVERS {
            let bytes = encode_stanza(NodeBuilder::new("iq").attr("from", name).build()).unwrap();
            assert!(contains(&bytes, &[token::JID_PAIR, token::LIST_EMPTY]), "{name}: {bytes:?}");
        }
    }

    #[test]
    fn a_text_that_looks_like_a_number_or_a_token_is_bytes() {
        for text in ["2026", "available", "15550100001@s.whatsapp.net"] {
            let body = NodeBuilder::new("body").string_content(text).build();
            let bytes = encode_stanza(NodeBuilder::new("description").children([body]).build()).unwrap();
            let mut wanted = vec![token::BINARY_8, u8::try_from(text.len()).unwrap()];
            wanted.extend(text.as_bytes());
            assert!(contains(&bytes, &wanted), "{text}: {bytes:?}");
        }
    }

    #[test]
    fn a_text_in_an_attribute_is_no_address() {
        for name in TEXTS {
            let bytes = encode_stanza(NodeBuilder::new("group").attr(name, "me@home").build()).unwrap();
            assert!(contains(&bytes, b"me@home"), "{name}: {bytes:?}");
        }
    }

    #[test]
    fn an_address_inside_an_address_is_refused() {
        let user = NodeBuilder::new("user").attr("jid", Jid::pn("15550100002@c.us")).build();
        let list = NodeBuilder::new("list").children([user]).build();
        assert!(encode_stanza(list).unwrap_err().to_string().contains("is no address"));
    }
}
