//! What companions ask their account's phone, in messages to itself: keys of the settings.
//! A phone that is switched off answers nothing.

use anyhow::Result;
use waproto::whatsapp::{
    Message,
    message::{ProtocolMessage, protocol_message::Type},
};

use super::inbound::InboundMessage;
use crate::{phone_number::PhoneNumber, state::ServerState};

impl ServerState {
    pub(super) fn answer_companion(&mut self, number: &PhoneNumber, incoming: &InboundMessage<'_>, message: &Message) {
        if self.phones_off.contains(number) {
            return;
        }
        let Some(protocol) = message.protocol_message.as_option() else { return };
        if let Err(error) = self.answer_request(number, incoming.device, protocol) {
            tracing::warn!("the phone of {number} cannot answer device {}: {error:#}", incoming.device);
        }
    }

    fn answer_request(&mut self, number: &PhoneNumber, device: u16, protocol: &ProtocolMessage) -> Result<()> {
        match protocol.r#type {
            Some(Type::APP_STATE_SYNC_KEY_REQUEST) => self.share_app_state_key(number, device),
            _ => Ok(()),
        }
    }
}
