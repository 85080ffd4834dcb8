//! Pairing by passkey: what a user answers, and what becomes of it in words. Leaves whose turn it is to the session.

use super::{Commands, invalid, refusal};
use crate::session::{NoAnswer, PasskeyAsk, PasskeyRefused};
use kurir_contract::command::{AnswerPasskey, Empty, Passkey, Refusal, RefusalCode};

impl Commands {
    pub(super) async fn answer_passkey(&self, request: Result<AnswerPasskey, Refusal>) -> Result<Passkey, Refusal> {
        self.ask_passkey(PasskeyAsk::Answer(request?.credential)).await
    }

    pub(super) async fn confirm_passkey(&self, request: Result<Empty, Refusal>) -> Result<Passkey, Refusal> {
        request?;
        self.ask_passkey(PasskeyAsk::Confirm).await
    }

    async fn ask_passkey(&self, ask: PasskeyAsk) -> Result<Passkey, Refusal> {
        match self.session.ask_passkey(ask).await {
            Ok(Ok(())) => Ok(self.session.passkey()),
            Ok(Err(refused)) => Err(refused.into()),
            Err(NoAnswer) => {
                Err(refusal(RefusalCode::Conflict, "the session began anew meanwhile; scan the new QR code"))
            }
        }
    }
}

impl From<PasskeyRefused> for Refusal {
    fn from(refused: PasskeyRefused) -> Self {
        let over = "the pairing by passkey is over, a new QR code comes by itself";
        let text = refused.to_string();
        match refused {
            PasskeyRefused::Invalid(_) => invalid(text),
            PasskeyRefused::NotNow(_) => refusal(RefusalCode::Conflict, &text),
            PasskeyRefused::ByWhatsapp(_) => refusal(RefusalCode::RefusedByWhatsapp, &format!("{text}; {over}")),
            PasskeyRefused::TimedOut => refusal(RefusalCode::TimedOut, &format!("{text}; {over}")),
        }
    }
}
