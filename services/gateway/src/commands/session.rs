//! Questions about the session, and what changes it: pairing by code, restart, logout.

use super::{CommandServer, internal, invalid, refusal};
use crate::session::state::SessionState;
use kurir_contract::command::{
    CommandError, CommandErrorCode, EmptyBody, LoggedOut, PairingCode, PairingCodeRequest, SessionInfo,
};
use std::time::Duration;
use tokio::time::timeout;
use whatsapp_rust::pair_code::{PairCodeError, PairCodeOptions, PairError};

/// The client's own figure for a pairing code.
const PAIRING_CODE_LASTS: Duration = Duration::from_secs(180);
/// A code is worth nothing without a connection to ask for it; at the start there is none for a moment.
const SOCKET_WITHIN: Duration = Duration::from_secs(10);
/// WhatsApp's answer to the request for a code; the client itself waits 30 s.
const PAIRING_CODE_WITHIN: Duration = Duration::from_secs(35);

impl CommandServer {
    pub(super) async fn restart(&self, request: Result<EmptyBody, CommandError>) -> Result<SessionInfo, CommandError> {
        request?;
        self.session.restart().await.map_err(internal)?;
        Ok(self.session.session_info())
    }

    pub(super) async fn log_out(&self, request: Result<EmptyBody, CommandError>) -> Result<LoggedOut, CommandError> {
        request?;
        self.session.log_out().await.map_err(internal)
    }

    pub(super) async fn pairing_code(
        &self,
        request: Result<PairingCodeRequest, CommandError>,
    ) -> Result<PairingCode, CommandError> {
        let phone_number = request?.phone_number;
        let client = {
            let view = self.session.view.borrow();
            if view.state.passkey().is_under_way() {
                return Err(refusal(
                    CommandErrorCode::Conflict,
                    "a pairing by passkey is under way; restart the session to begin another one",
                ));
            }
            let may_pair =
                view.own.is_none() && matches!(view.state, SessionState::Pairing { .. } | SessionState::Connecting);
            let client = view.client.clone().filter(|_| may_pair);
            client.ok_or_else(|| {
                refusal(CommandErrorCode::Conflict, "a pairing code is for a session that is not paired; log out first")
            })?
        };
        let asked = async {
            client.wait_for_socket(SOCKET_WITHIN).await.map_err(internal)?;
            let options = || PairCodeOptions { phone_number: phone_number.clone(), ..PairCodeOptions::default() };
            match client.pair_with_code(options()).await {
                // Whoever asks again wants another one, for another number perhaps.
                Err(PairError::PairCode(PairCodeError::CodeAlreadyOutstanding { .. })) => {
                    client.cancel_pair_code().await;
                    client.pair_with_code(options()).await
                }
                other => other,
            }
            .map_err(pairing_refusal)
        };
        let code = timeout(PAIRING_CODE_WITHIN, asked)
            .await
            .map_err(|_| refusal(CommandErrorCode::TimedOut, "WhatsApp gave no pairing code in time"))??;
        Ok(PairingCode { code, expires_in_seconds: PAIRING_CODE_LASTS.as_secs() })
    }
}

fn pairing_refusal(error: PairError) -> CommandError {
    match error {
        PairError::PairCode(
            error @ (PairCodeError::PhoneNumberRequired
            | PairCodeError::PhoneNumberTooShort
            | PairCodeError::PhoneNumberNotInternational),
        ) => invalid(error.to_string()),
        PairError::RequestFailed(whatsapp_rust::request::IqError::ServerError { code, .. }) => CommandError {
            whatsapp_code: Some(code),
            ..refusal(CommandErrorCode::RefusedByWhatsapp, "WhatsApp gave no pairing code; wait before you ask again")
        },
        error => internal(error),
    }
}
