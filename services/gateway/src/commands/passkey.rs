//! Pairing by passkey: what a user answers, and what becomes of it in words. Leaves whose turn it is to the session.

use super::{CommandServer, invalid, refusal};
use crate::session::{PasskeyAction, PasskeyRefusal, SessionTimeout};
use kurir_contract::command::{AnswerPasskey, CommandError, CommandErrorCode, EmptyBody, PasskeyProgress};

impl CommandServer {
    pub(super) async fn answer_passkey(
        &self,
        request: Result<AnswerPasskey, CommandError>,
    ) -> Result<PasskeyProgress, CommandError> {
        self.request_passkey_action(PasskeyAction::Answer(request?.credential)).await
    }

    pub(super) async fn confirm_passkey(
        &self,
        request: Result<EmptyBody, CommandError>,
    ) -> Result<PasskeyProgress, CommandError> {
        request?;
        self.request_passkey_action(PasskeyAction::Confirm).await
    }

    async fn request_passkey_action(&self, ask: PasskeyAction) -> Result<PasskeyProgress, CommandError> {
        match self.session.act_on_passkey(ask).await {
            Ok(Ok(())) => Ok(self.session.passkey_progress()),
            Ok(Err(refused)) => Err(refused.into()),
            Err(SessionTimeout) => {
                Err(refusal(CommandErrorCode::Conflict, "the session began anew meanwhile; scan the new QR code"))
            }
        }
    }
}

impl From<PasskeyRefusal> for CommandError {
    fn from(refused: PasskeyRefusal) -> Self {
        let over = "the pairing by passkey is over, a new QR code comes by itself";
        let text = refused.to_string();
        match refused {
            PasskeyRefusal::Invalid(_) => invalid(text),
            PasskeyRefusal::NotNow(_) => refusal(CommandErrorCode::Conflict, &text),
            PasskeyRefusal::ByWhatsapp(_) => refusal(CommandErrorCode::RefusedByWhatsapp, &format!("{text}; {over}")),
            PasskeyRefusal::TimedOut => refusal(CommandErrorCode::TimedOut, &format!("{text}; {over}")),
        }
    }
}
