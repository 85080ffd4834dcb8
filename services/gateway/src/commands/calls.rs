//! Rejects calls that ring.

use super::{CommandServer, whatsapp_request::RequestFailure};
use crate::{inbound::notices, plain_text};
use kurir_contract::{
    clock,
    command::{AnswerCommand, CallRejected, CommandError, CommandErrorCode, RejectCall, spec},
};
use wacore::stanza::call::build_reject;

/// Publishes `call.ended` after the answer: WhatsApp reports the end of the call to the account's other devices only.
impl AnswerCommand<spec::RejectCall> for CommandServer {
    async fn answer(&self, RejectCall { call, from }: RejectCall) -> Result<CallRejected, CommandError> {
        let event = self
            .ask_whatsapp(|client| async move {
                let not_found =
                    || CommandError::new(CommandErrorCode::CallNotFound, "no call of this contact rings under this id");
                let ringing = self.calls.find(&call).ok_or_else(not_found)?;
                let directory = notices::event_directory(&client, std::slice::from_ref(&ringing.caller)).await;
                if !ringing.is_from(&from, &directory) {
                    return Err(not_found().into());
                }
                if plain_text::looks_like_address(&call) {
                    let id = client.generate_message_id();
                    let stanza = build_reject(&call, &ringing.peer, &ringing.caller, &id);
                    plain_text::send(&client, &stanza).await.map_err(RequestFailure::from_client)?;
                } else {
                    let rejected = client.voip().reject_call(&call, &ringing.peer, &ringing.caller).await;
                    rejected.map_err(RequestFailure::from_client)?;
                }
                let at = clock::now();
                Ok(self.calls.end_rejected(&call, at, &directory, &self.session.id))
            })
            .await?;
        if let Some(event) = event {
            // The receiver lives as long as commands are served.
            let _ = self.late_events.send(event).await;
        }
        Ok(CallRejected {})
    }
}
