//! A message in a channel: in the clear, from nobody in particular, to every client. No phone encrypted it, so none gives
//! it once more.

use anyhow::Result;
use buffa::Message as _;
use wacore_binary::builder::NodeBuilder;
use waproto::whatsapp::Message;

use super::message_kind;
use super::outbound::SendError;
use crate::{phone_number::PhoneNumber, state::ServerState};

impl ServerState {
    /// Shows it to every companion of every account.
    pub fn say_in_channel(&mut self, channel: &str, id: &str, message: &Message) -> Result<(), SendError> {
        let receivers: Vec<(PhoneNumber, u16)> = self
            .people
            .accounts()
            .flat_map(|person| person.companions.keys().map(|device| (person.number.clone(), *device)))
            .collect();
        if receivers.is_empty() {
            return Err(SendError::Conflict("no account has a companion that could see it".to_owned()));
        }
        let node = NodeBuilder::new("message")
            .attr("from", format!("{channel}@newsletter"))
            .attr("id", id)
            .attr("t", self.now().to_string())
            .attr("type", message_kind::kind(message).stanza_type)
            .children([NodeBuilder::new("plaintext").bytes(message.encode_to_vec()).build()])
            .build();
        for (number, device) in receivers {
            self.post_node(&number, device, id, channel, node.clone(), None)?;
        }
        Ok(())
    }
}
