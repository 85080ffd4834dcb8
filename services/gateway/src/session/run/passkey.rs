//! What a user does for a pairing by passkey, in its turn among the session's signals: the ceremony is moved on first, so
//! that nobody answers twice, and the client sends beside.

use super::{
    super::{
        PasskeyAsk, PasskeyRefused,
        passkey::{self, Passkey, Step},
        state::Signal,
    },
    SessionTask,
};
use kurir_contract::event::{EventType, SessionPasskey};
use std::{sync::Arc, time::Duration};
use tokio::{sync::oneshot, time::timeout};
use whatsapp_rust::{
    Client,
    passkey::{Assertion, PasskeyError},
};

/// WhatsApp answers within a second; an answer to the passkey asks it twice.
const SENT_WITHIN: Duration = Duration::from_secs(25);

/// Who waits for what became of it.
type Answer = oneshot::Sender<Result<(), PasskeyRefused>>;

/// What the client is to send.
enum Sending {
    Answer(Assertion),
    Confirmation,
}

impl SessionTask {
    /// A user answers or confirms.
    pub(super) async fn on_passkey(&mut self, ask: PasskeyAsk, answer: Answer) -> anyhow::Result<()> {
        let (step, sending) = match due(ask, self.state.passkey()) {
            Ok(due) => due,
            Err(refused) => {
                // A caller that has gone needs no answer.
                let _ = answer.send(Err(refused));
                return Ok(());
            }
        };
        self.step(Signal::Passkey(step)).await?;
        self.send_passkey(sending, Some(answer));
        Ok(())
    }

    /// Confirms for the user, where WhatsApp wants nobody to compare codes.
    pub(super) fn confirm_passkey(&mut self) {
        self.send_passkey(Sending::Confirmation, None);
    }

    fn send_passkey(&mut self, sending: Sending, answer: Option<Answer>) {
        let signals = self.signals.0.clone();
        let Some(life) = &mut self.life else { return };
        let (number, client) = (life.number, Arc::clone(&life.client));
        life.beside(async move {
            let sent = send(&client, sending).await;
            if let Err(error) = &sent {
                // The client has forgotten the ceremony by now, so it cannot go on.
                let failed = Signal::Passkey(Step::Failed(error.to_string()));
                if signals.try_send((number, failed)).is_err() {
                    tracing::error!("a signal of a pairing by passkey was lost");
                }
            }
            if let Some(answer) = answer {
                let _ = answer.send(sent);
            }
        });
    }

    /// Tells of a step.
    pub(super) fn tell_of_passkey(&self, passkey: &Passkey) {
        let session = &self.inbound.session;
        let shown = passkey.shown();
        // Without the code: who reads a log must not be able to pair.
        let state = shown.state.as_str();
        tracing::info!(session.id = %session, "the pairing by passkey of session {session} is {state}: {}", shown.what_to_do);
        if let Some(error) = &shown.error {
            tracing::warn!(session.id = %session, "the pairing by passkey of session {session} failed: {error}");
        }
        self.changes.add_event(session, EventType::SESSION_PASSKEY, |event_id, timestamp| SessionPasskey {
            passkey: shown,
            timestamp,
            session: session.clone(),
            event_id,
        });
    }
}

/// The step that a user makes, if it is its turn.
fn due(ask: PasskeyAsk, passkey: &Passkey) -> Result<(Step, Sending), PasskeyRefused> {
    match (ask, passkey) {
        (PasskeyAsk::Answer(credential), Passkey::Requested(request)) => {
            let assertion = passkey::read(&credential, request).map_err(PasskeyRefused::Invalid)?;
            Ok((Step::Answered, Sending::Answer(assertion)))
        }
        (PasskeyAsk::Confirm, Passkey::Confirm { .. }) => Ok((Step::Confirmed, Sending::Confirmation)),
        (PasskeyAsk::Answer(_), Passkey::None) => Err(not_now("WhatsApp asks for no passkey; scan the QR code first")),
        (PasskeyAsk::Answer(_), Passkey::Answered { .. } | Passkey::Confirm { .. } | Passkey::Confirmed { .. }) => {
            Err(not_now("the passkey was answered already"))
        }
        (PasskeyAsk::Confirm, Passkey::None | Passkey::Requested(_) | Passkey::Answered { .. }) => {
            Err(not_now("there is no code to confirm yet"))
        }
        (PasskeyAsk::Confirm, Passkey::Confirmed { .. }) => Err(not_now("the code was confirmed already")),
        (_, Passkey::Failed { error }) => Err(PasskeyRefused::NotNow(format!(
            "the pairing by passkey failed: {error}; scan the new QR code to start over"
        ))),
    }
}

fn not_now(message: &str) -> PasskeyRefused {
    PasskeyRefused::NotNow(message.to_owned())
}

async fn send(client: &Client, sending: Sending) -> Result<(), PasskeyRefused> {
    let sent = async {
        match sending {
            Sending::Answer(assertion) => client.send_passkey_response(assertion).await,
            Sending::Confirmation => client.send_passkey_confirmation().await,
        }
    };
    match timeout(SENT_WITHIN, sent).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(PasskeyRefused::ByWhatsapp(words(&error))),
        Err(_) => Err(PasskeyRefused::TimedOut),
    }
}

/// The client's words, without the prefix that it repeats at each level.
fn words(error: &PasskeyError) -> String {
    error.to_string().replace("passkey linking flow error: ", "")
}
