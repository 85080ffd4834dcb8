//! The session's status, pairing by code, restart and logout.

use super::{CommandServer, internal};
use crate::session::state::SessionState;
use kurir_contract::command::{
    AnswerCommand, CommandError, CommandErrorCode, EmptyBody, LoggedOut, PairingCode, PairingCodeRequest, SessionInfo,
    spec,
};
use std::time::Duration;
use tokio::time::timeout;
use whatsapp_rust::pair_code::{PairCodeError, PairCodeOptions, PairError};

/// The client's own figure for a pairing code.
const PAIRING_CODE_LASTS: Duration = Duration::from_secs(180);
/// A code needs a connection, which may be missing for a moment at the start.
const SOCKET_WITHIN: Duration = Duration::from_secs(10);
/// Time for WhatsApp to give a code. The client itself waits 30 s.
const PAIRING_CODE_WITHIN: Duration = Duration::from_secs(35);

/// Answers from memory, without a question to WhatsApp.
impl AnswerCommand<spec::Status> for CommandServer {
    async fn answer(&self, EmptyBody {}: EmptyBody) -> Result<SessionInfo, CommandError> {
        Ok(SessionInfo { restriction: self.outbound.restriction(), ..self.session.session_info() })
    }
}

impl AnswerCommand<spec::Restart> for CommandServer {
    async fn answer(&self, EmptyBody {}: EmptyBody) -> Result<SessionInfo, CommandError> {
        self.session.restart().await.map_err(internal)?;
        Ok(self.session.session_info())
    }
}

impl AnswerCommand<spec::Logout> for CommandServer {
    async fn answer(&self, EmptyBody {}: EmptyBody) -> Result<LoggedOut, CommandError> {
        self.session.log_out().await.map_err(internal)
    }
}

impl AnswerCommand<spec::PairingCode> for CommandServer {
    async fn answer(&self, request: PairingCodeRequest) -> Result<PairingCode, CommandError> {
        let phone_number = request.phone_number;
        let client = {
            let view = self.session.view.borrow();
            if view.state.passkey().is_under_way() {
                return Err(CommandError::new(
                    CommandErrorCode::Conflict,
                    "a pairing by passkey is under way; restart the session to begin another one",
                ));
            }
            let may_pair =
                view.own.is_none() && matches!(view.state, SessionState::Pairing { .. } | SessionState::Connecting);
            let client = view.client.clone().filter(|_| may_pair);
            client.ok_or_else(|| {
                CommandError::new(
                    CommandErrorCode::Conflict,
                    "a pairing code is for a session that is not paired; log out first",
                )
            })?
        };
        let asked = async {
            client.wait_for_socket(SOCKET_WITHIN).await.map_err(internal)?;
            let options = || PairCodeOptions { phone_number: phone_number.clone(), ..PairCodeOptions::default() };
            match client.pair_with_code(options()).await {
                // A second request is for a new code, perhaps for another number.
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
            .map_err(|_| CommandError::new(CommandErrorCode::TimedOut, "WhatsApp gave no pairing code in time"))??;
        Ok(PairingCode { code, expires_in_seconds: PAIRING_CODE_LASTS.as_secs() })
    }
}

fn pairing_refusal(error: PairError) -> CommandError {
    match error {
        PairError::PairCode(
            error @ (PairCodeError::PhoneNumberRequired
            | PairCodeError::PhoneNumberTooShort
            | PairCodeError::PhoneNumberNotInternational),
        ) => CommandError::invalid(error.to_string()),
        PairError::RequestFailed(whatsapp_rust::request::IqError::ServerError { code, .. }) => CommandError {
            whatsapp_code: Some(code),
            ..CommandError::new(
                CommandErrorCode::RefusedByWhatsapp,
                "WhatsApp gave no pairing code; wait before you ask again",
            )
        },
        error => internal(error),
    }
}
