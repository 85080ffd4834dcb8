//! Any stanza of the server's, as a test writes it: what no other call makes, or no WhatsApp would send.

use axum::extract::State;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use schemars::JsonSchema;
use serde::Deserialize;
use wacore_binary::{Node, builder::NodeBuilder};

use super::response::{ApiError, ApiResult, Created, JsonBody, NumberPath};
use crate::{
    offline_queue::{QueueEntry, StanzaClass},
    state::SharedState,
};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewStanza {
    stanza: NodeBody,
    /// The companion that gets it; all of them if none is named.
    device: Option<u16>,
}

/// A node as JSON. An attribute with an `@` is an address.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NodeBody {
    tag: String,
    #[serde(default)]
    attrs: serde_json::Map<String, serde_json::Value>,
    #[serde(default)]
    children: Vec<NodeBody>,
    text: Option<String>,
    base64: Option<String>,
}

impl NodeBody {
    fn node(self) -> ApiResult<Node> {
        let node = NodeBuilder::new_dynamic(self.tag);
        let mut node = match (self.text, self.base64, self.children) {
            (Some(text), None, children) if children.is_empty() => node.bytes(text.into_bytes()).build(),
            (None, Some(text), children) if children.is_empty() => {
                let bytes = BASE64_STANDARD.decode(text);
                node.bytes(bytes.map_err(|error| ApiError::bad(format!("`base64` is not base64: {error}")))?).build()
            }
            (None, None, children) if children.is_empty() => node.build(),
            (None, None, children) => {
                node.children(children.into_iter().map(NodeBody::node).collect::<ApiResult<Vec<_>>>()?).build()
            }
            _ => return Err(ApiError::bad("a node has one of `text`, `base64` and `children`")),
        };
        for (name, value) in self.attrs {
            let text = match value {
                serde_json::Value::String(text) => text,
                other => other.to_string(),
            };
            node.attrs.insert(name, text);
        }
        Ok(node)
    }
}

/// Messages, receipts, calls and notifications wait until they are acknowledged; anything else is written now or never.
pub async fn send(
    State(shared): State<SharedState>,
    NumberPath(number): NumberPath,
    JsonBody(new): JsonBody<NewStanza>,
) -> ApiResult<Created<serde_json::Value>> {
    let mut node = new.stanza.node()?;
    let mut server = shared.lock();
    let person = server.people.get(&number);
    let devices: Vec<u16> = person.into_iter().flat_map(|person| person.companions.keys().copied()).collect();
    let devices: Vec<u16> = devices.into_iter().filter(|device| new.device.is_none_or(|one| one == *device)).collect();
    if devices.is_empty() {
        return Err(ApiError::not_found(format!("{number} has no such companion")));
    }
    let class = match node.tag.as_ref() {
        "message" => Some(StanzaClass::Message),
        "receipt" => Some(StanzaClass::Receipt),
        "notification" => Some(StanzaClass::Notification),
        "call" => Some(StanzaClass::Call),
        _ => None,
    };
    let given = node.attrs().optional_string("id").map(|id| id.to_string());
    let id = given.unwrap_or_else(|| server.fresh_id("X"));
    if class.is_some() {
        node.attrs.insert("id", id.as_str());
        if !node.attrs.contains_key("t") {
            node.attrs.insert("t", server.now().to_string());
        }
    }
    let from = node.attrs().optional_jid("from");
    let contact = from.as_ref().and_then(|from| server.people.number_of(from));
    let chat = contact.map_or_else(|| from.map(|from| from.user.to_string()).unwrap_or_default(), String::from);
    for device in devices {
        match class {
            Some(class) => {
                let (id, chat, node) = (id.clone(), chat.clone(), node.clone());
                server.enqueue(&number, device, QueueEntry { class, id, chat, node, record: None, written: 0 })?;
            }
            None => {
                let companion = server.people.companion(&number, device);
                if let Some(connection) = companion.and_then(|companion| companion.connection) {
                    server.send(connection, node.clone());
                }
            }
        }
    }
    Ok(Created(serde_json::json!({"id": id})))
}
