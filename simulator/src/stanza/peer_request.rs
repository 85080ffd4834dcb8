//! What companions ask their account's phone, in messages to itself: keys of the settings, messages that they could not
//! read, and older messages. A phone that is switched off answers nothing.

use anyhow::Result;
use waproto::whatsapp::{
    Message, WebMessageInfo,
    message::{
        PeerDataOperationRequestMessage, PeerDataOperationRequestType as Request, ProtocolMessage,
        protocol_message::Type,
    },
};

use super::inbound::InboundMessage;
use crate::{phone_number::PhoneNumber, state::ServerState};

/// Whether the message asks the own phone for something.
pub(super) fn is_request(message: &Message) -> bool {
    let kind = message.protocol_message.as_option().and_then(|protocol| protocol.r#type);
    matches!(kind, Some(Type::APP_STATE_SYNC_KEY_REQUEST | Type::PEER_DATA_OPERATION_REQUEST_MESSAGE))
}

impl ServerState {
    pub(super) fn answer_companion(&mut self, number: &PhoneNumber, incoming: &InboundMessage<'_>, message: &Message) {
        if self.phones_off.contains(number) {
            return;
        }
        let Some(protocol) = message.protocol_message.as_option() else { return };
        if let Err(error) = self.answer_request(number, incoming, protocol) {
            tracing::warn!("the phone of {number} cannot answer device {}: {error:#}", incoming.device);
        }
    }

    fn answer_request(
        &mut self,
        number: &PhoneNumber,
        incoming: &InboundMessage<'_>,
        protocol: &ProtocolMessage,
    ) -> Result<()> {
        match protocol.r#type {
            Some(Type::APP_STATE_SYNC_KEY_REQUEST) => self.share_app_state_key(number, incoming.device),
            Some(Type::PEER_DATA_OPERATION_REQUEST_MESSAGE) => {
                let request = protocol.peer_data_operation_request_message.as_option();
                request.map_or(Ok(()), |request| self.answer_data_request(number, incoming, request))
            }
            _ => Ok(()),
        }
    }

    fn answer_data_request(
        &mut self,
        number: &PhoneNumber,
        incoming: &InboundMessage<'_>,
        request: &PeerDataOperationRequestMessage,
    ) -> Result<()> {
        match request.peer_data_operation_request_type {
            Some(Request::PLACEHOLDER_MESSAGE_RESEND) => {
                let wanted = request.placeholder_message_resend_request.iter();
                let ids = wanted.filter_map(|wanted| wanted.message_key.as_option()?.id.clone());
                let messages = self.messages_of(number, &ids.collect::<Vec<_>>());
                self.hand_out_messages(number, incoming.device, Some(incoming.id), messages)
            }
            Some(Request::HISTORY_SYNC_ON_DEMAND) => match request.history_sync_on_demand_request.as_option() {
                Some(wanted) => self.send_older_messages(number, incoming.device, incoming.id, wanted),
                None => Ok(()),
            },
            other => {
                tracing::debug!("the phone of {number} knows no answer to a request of type {other:?}");
                Ok(())
            }
        }
    }

    /// The messages that the phone has, in this order. What only a phone may show it gives to nobody.
    fn messages_of(&self, number: &PhoneNumber, ids: &[String]) -> Vec<Option<WebMessageInfo>> {
        let past = self.past_of(number);
        let is = |message: &&WebMessageInfo, id: &String| {
            message.key.as_option().and_then(|key| key.id.as_ref()) == Some(id)
        };
        let is_secret = |id: &String| self.sent.any(id, |sent| sent.for_phones_only);
        ids.iter()
            .map(|id| past.values().flatten().find(|message| is(message, id)).filter(|_| !is_secret(id)).cloned())
            .collect()
    }
}
