//! Answers and confirms a pairing by passkey. The session decides whether the action fits.

use super::CommandServer;
use crate::session::{PasskeyAction, PasskeyRefusal, SessionTimeout};
use kurir_contract::command::{
    AnswerCommand, AnswerPasskey, CommandError, CommandErrorCode, EmptyBody, PasskeyProgress, spec,
};

impl AnswerCommand<spec::Passkey> for CommandServer {
    async fn answer(&self, EmptyBody {}: EmptyBody) -> Result<PasskeyProgress, CommandError> {
        Ok(self.session.passkey_progress())
    }
}

impl AnswerCommand<spec::AnswerPasskey> for CommandServer {
    async fn answer(&self, request: AnswerPasskey) -> Result<PasskeyProgress, CommandError> {
        self.request_passkey_action(PasskeyAction::Answer(request.credential)).await
    }
}

impl AnswerCommand<spec::ConfirmPasskey> for CommandServer {
    async fn answer(&self, EmptyBody {}: EmptyBody) -> Result<PasskeyProgress, CommandError> {
        self.request_passkey_action(PasskeyAction::Confirm).await
    }
}

impl CommandServer {
    async fn request_passkey_action(&self, ask: PasskeyAction) -> Result<PasskeyProgress, CommandError> {
        match self.session.act_on_passkey(ask).await {
            Ok(Ok(())) => Ok(self.session.passkey_progress()),
            Ok(Err(refused)) => Err(refused.into()),
            Err(SessionTimeout) => Err(CommandError::new(
                CommandErrorCode::Conflict,
                "the session began anew meanwhile; scan the new QR code",
            )),
        }
    }
}

impl From<PasskeyRefusal> for CommandError {
    fn from(refused: PasskeyRefusal) -> Self {
        let over = "the pairing by passkey is over, a new QR code comes by itself";
        let text = refused.to_string();
        match refused {
            PasskeyRefusal::Invalid(_) => CommandError::invalid(text),
            PasskeyRefusal::NotNow(_) => CommandError::new(CommandErrorCode::Conflict, text),
            PasskeyRefusal::ByWhatsapp(_) => {
                CommandError::new(CommandErrorCode::RefusedByWhatsapp, format!("{text}; {over}"))
            }
            PasskeyRefusal::TimedOut => CommandError::new(CommandErrorCode::TimedOut, format!("{text}; {over}")),
        }
    }
}
