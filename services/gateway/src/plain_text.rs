//! Stanzas in which text stays text.
//!
//! The library's encoder takes each short string with an `@` for an address. A group named `me@home` would reach WhatsApp
//! as an address on a server that does not exist, and WhatsApp ends the connection. Here only a value of the type
//! [`Jid`](wacore_binary::Jid) is written as an address.

use wacore::{
    iq::spec::IqSpec,
    request::{InfoQuery, RequestUtils},
};
use wacore_binary::{
    Node, NodeContent, NodeRef, NodeValue,
    encoder::{ByteWriter, EncodeNode, Encoder},
};
use whatsapp_rust::{Client, client::ClientError};

/// A request to WhatsApp whose strings are all text.
pub struct PlainText<S>(pub S);

impl<S: IqSpec> IqSpec for PlainText<S> {
    type Response = S::Response;

    fn build_iq(&self) -> InfoQuery<'static> {
        self.0.build_iq()
    }

    fn encode_iq_direct(&self, request_id: &str, out: &mut Vec<u8>) -> anyhow::Result<bool> {
        // The id of the request is given, so the counter of this one is never used.
        let utils = RequestUtils::new(String::new());
        encode(&utils.build_iq_node(self.0.build_iq(), Some(request_id.to_owned())), out)?;
        Ok(true)
    }

    fn parse_response(&self, response: &NodeRef<'_>) -> anyhow::Result<Self::Response> {
        self.0.parse_response(response)
    }
}

/// Sends a stanza whose strings are all text.
///
/// # Errors
/// If there is no connection, or the stanza cannot be encoded.
pub async fn send(client: &Client, stanza: &Node) -> anyhow::Result<()> {
    let mut bytes = Vec::new();
    encode(stanza, &mut bytes)?;
    client.send_raw_bytes(bytes).await.map_err(|error: ClientError| error.into())
}

/// Whether the library's encoder would change this text.
#[must_use]
pub fn looks_like_address(text: &str) -> bool {
    text.contains('@')
}

fn encode(stanza: &Node, out: &mut Vec<u8>) -> wacore_binary::Result<()> {
    Encoder::new_vec(out)?.write_node(&PlainNode(stanza))
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
                NodeValue::String(text) => write_text(encoder, text)?,
                NodeValue::Jid(jid) => encoder.write_jid_owned(jid)?,
            }
        }
        Ok(())
    }

    fn encode_content<W: ByteWriter>(&self, encoder: &mut Encoder<'_, W>) -> wacore_binary::Result<()> {
        match &self.0.content {
            None => Ok(()),
            // As WhatsApp's own apps write a content: never as one of the protocol's words, nor as packed digits.
            Some(NodeContent::String(text)) => encoder.write_bytes_with_len(text.as_bytes()),
            Some(NodeContent::Bytes(bytes)) => encoder.write_bytes_with_len(bytes),
            Some(NodeContent::Nodes(children)) => {
                encoder.write_list_start(children.len())?;
                children.iter().try_for_each(|child| encoder.write_node(&PlainNode(child)))
            }
        }
    }
}

fn write_text<W: ByteWriter>(encoder: &mut Encoder<'_, W>, text: &str) -> wacore_binary::Result<()> {
    if looks_like_address(text) {
        encoder.write_bytes_with_len(text.as_bytes())
    } else {
        // With the tokens that make WhatsApp's own words short.
        encoder.write_string(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
    use wacore_binary::{Jid, OwnedNodeRef, builder::NodeBuilder, util::unpack_bytes};

    const PIECES: [&str; 16] =
        ["@", ".", ":", "_", "0", "255", "1", "s.whatsapp.net", "g.us", "lid", "A", "ü", "😀", "\0", " ", "subject"];

    #[test]
    fn every_text_comes_out_as_it_went_in() -> anyhow::Result<()> {
        let mut random = StdRng::seed_from_u64(22);
        for _ in 0..20_000 {
            let text: String =
                (0..random.random_range(0..8)).map(|_| PIECES[random.random_range(0..PIECES.len())]).collect();
            let stanza = NodeBuilder::new("iq")
                .attr("to", Jid::new("120363000000000001", wacore_binary::Server::Group))
                .attr("code", text.as_str())
                .children([NodeBuilder::new("subject").string_content(text.as_str()).build()])
                .build();
            let mut bytes = Vec::new();
            encode(&stanza, &mut bytes)?;
            let read = OwnedNodeRef::new(unpack_bytes(bytes.as_slice().into())?)?;
            let read = read.get();
            assert_eq!(read.get_attr("code").map(|code| code.as_str().into_owned()), Some(text.clone()));
            let subject = read.get_optional_child("subject").and_then(|subject| match &subject.content {
                Some(wacore_binary::NodeContentRef::String(text)) => Some(text.as_bytes().to_vec()),
                Some(wacore_binary::NodeContentRef::Bytes(bytes)) => Some(bytes.to_vec()),
                _ => None,
            });
            assert_eq!(subject.as_deref().unwrap_or_default(), text.as_bytes(), "{text:?}");
        }
        Ok(())
    }
}
