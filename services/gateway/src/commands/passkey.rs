//! Pairing by passkey: what a user answers, and what becomes of it in words. Leaves whose turn it is to the session.

use super::{Commands, invalid, refusal};
use crate::session::{NoAnswer, PasskeyAsk, PasskeyRefused};
use kurir_contract::command::{AnswerPasskey, CommandError, CommandErrorCode, EmptyBody, PasskeyProgress};

impl Commands {
    pub(super) async fn answer_passkey(
        &self,
        request: Result<AnswerPasskey, CommandError>,
    ) -> Result<PasskeyProgress, CommandError> {
        self.ask_passkey(PasskeyAsk::Answer(request?.credential)).await
    }

    pub(super) async fn confirm_passkey(
        &self,
        request: Result<EmptyBody, CommandError>,
    ) -> Result<PasskeyProgress, CommandError> {
        request?;
        self.ask_passkey(PasskeyAsk::Confirm).await
    }

    async fn ask_passkey(&self, ask: PasskeyAsk) -> Result<PasskeyProgress, CommandError> {
        match self.session.ask_passkey(ask).await {
            Ok(Ok(())) => Ok(self.session.passkey()),
            Ok(Err(refused)) => Err(refused.into()),
            Err(NoAnswer) => {
                Err(refusal(CommandErrorCode::Conflict, "the session began anew meanwhile; scan the new QR code"))
            }
        }
    }
}

impl From<PasskeyRefused> for CommandError {
    fn from(refused: PasskeyRefused) -> Self {
        let over = "the pairing by passkey is over, a new QR code comes by itself";
        let text = refused.to_string();
        match refused {
            PasskeyRefused::Invalid(_) => invalid(text),
            PasskeyRefused::NotNow(_) => refusal(CommandErrorCode::Conflict, &text),
            PasskeyRefused::ByWhatsapp(_) => refusal(CommandErrorCode::RefusedByWhatsapp, &format!("{text}; {over}")),
            PasskeyRefused::TimedOut => refusal(CommandErrorCode::TimedOut, &format!("{text}; {over}")),
        }
    }
}
