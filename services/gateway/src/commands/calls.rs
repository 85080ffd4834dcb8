//! Calls that ring are turned down.

use super::{CommandServer, refusal, whatsapp_request::RequestFailure};
use crate::{inbound::notices, publish::OutgoingEvent};
use kurir_contract::command::{CallRejected, CommandError, CommandErrorCode, RejectCall};
use time::OffsetDateTime;

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
            let rejected = client.voip().reject_call(call, &ringing.peer, &ringing.caller).await;
            rejected.map_err(|error| RequestFailure::Client(error.to_string()))?;
            let at = OffsetDateTime::now_utc();
            Ok(self.calls.end_rejected(call, at, &directory, &self.session.id))
        });
        match asked.await {
            Ok(event) => (Ok(CallRejected {}), event),
            Err(refusal) => (Err(refusal), None),
        }
    }
}
