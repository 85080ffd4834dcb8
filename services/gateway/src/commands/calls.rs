//! Calls that ring are turned down.

use super::{CommandServer, plain_text, refusal, whatsapp_request::RequestFailure};
use crate::{inbound::notices, publish::OutgoingEvent};
use kurir_contract::command::{CallRejected, CommandError, CommandErrorCode, RejectCall};
use time::OffsetDateTime;
use wacore::stanza::call::build_reject;

impl CommandServer {
    /// The answer, and the event that tells of the call's end: WhatsApp tells only the account's other devices.
    pub(super) async fn reject_call(
        &self,
        request: Result<RejectCall, CommandError>,
    ) -> (Result<CallRejected, CommandError>, Option<OutgoingEvent>) {
        let request = match request {
            Ok(request) => request,
            Err(refusal) => return (Err(refusal), None),
        };
        let RejectCall { call, from } = &request;
        let asked = self.ask_whatsapp(|client| async move {
            let none = || refusal(CommandErrorCode::CallNotFound, "no call of this contact rings under this id");
            let ringing = self.calls.find(call).ok_or_else(none)?;
            let directory = notices::event_directory(&client, std::slice::from_ref(&ringing.caller)).await;
            if !ringing.is_from(from, &directory) {
                return Err(none().into());
            }
            if plain_text::looks_like_address(call) {
                let id = client.generate_message_id();
                let stanza = build_reject(call, &ringing.peer, &ringing.caller, &id);
                plain_text::send(&client, &stanza).await.map_err(RequestFailure::from_client)?;
            } else {
                let rejected = client.voip().reject_call(call, &ringing.peer, &ringing.caller).await;
                rejected.map_err(RequestFailure::from_client)?;
            }
            let at = OffsetDateTime::now_utc();
            Ok(self.calls.end_rejected(call, at, &directory, &self.session.id))
        });
        match asked.await {
            Ok(event) => (Ok(CallRejected {}), event),
            Err(refusal) => (Err(refusal), None),
        }
    }
}
