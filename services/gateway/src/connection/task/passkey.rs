//! Handles what a user does in a pairing by passkey, in order with the session's signals. The ceremony moves on first,
//! so that nobody answers twice; then the client sends in a task of its own.

use super::SessionTask;
use crate::session::{
    PasskeyAction, PasskeyRefusal,
    passkey::{self, PasskeyCeremony, PasskeyStep},
    state::SessionSignal,
};
use kurir_contract::event::{EventType, SessionPasskey};
use std::{sync::Arc, time::Duration};
use tokio::{sync::oneshot, time::timeout};
use whatsapp_rust::{
    Client,
    passkey::{Assertion, PasskeyError},
};

/// WhatsApp answers within a second. The answer to the passkey takes two requests.
const SENT_WITHIN: Duration = Duration::from_secs(25);

/// Where the result goes.
type PasskeyAnswer = oneshot::Sender<Result<(), PasskeyRefusal>>;

/// What the client must send.
enum PasskeyMessage {
    Answer(Assertion),
    Confirmation,
}

impl SessionTask {
    /// Handles a user's answer or confirmation.
    pub(super) async fn handle_passkey(&mut self, ask: PasskeyAction, answer: PasskeyAnswer) -> anyhow::Result<()> {
        let (step, sending) = match passkey_step(ask, self.state.passkey()) {
            Ok(due) => due,
            Err(refused) => {
                // A caller that has gone needs no answer.
                let _ = answer.send(Err(refused));
                return Ok(());
            }
        };
        self.apply(SessionSignal::Passkey(step)).await?;
        self.spawn_passkey_send(sending, Some(answer));
        Ok(())
    }

    /// Confirms for the user when WhatsApp wants nobody to compare codes.
    pub(super) fn confirm_passkey(&mut self) {
        self.spawn_passkey_send(PasskeyMessage::Confirmation, None);
    }

    fn spawn_passkey_send(&mut self, sending: PasskeyMessage, answer: Option<PasskeyAnswer>) {
        let signals = self.signals.0.clone();
        let Some(connection) = &mut self.connection else { return };
        let (number, client) = (connection.number, Arc::clone(&connection.client));
        connection.spawn(async move {
            let sent = send_passkey_message(&client, sending).await;
            if let Err(error) = &sent {
                // The client has forgotten the ceremony by now, so it cannot go on.
                let failed = SessionSignal::Passkey(PasskeyStep::Failed(error.to_string()));
                if signals.try_send((number, failed)).is_err() {
                    tracing::error!("a signal of a pairing by passkey was lost");
                }
            }
            if let Some(answer) = answer {
                let _ = answer.send(sent);
            }
        });
    }

    /// Logs and publishes a step.
    pub(super) fn report_passkey(&self, passkey: &PasskeyCeremony) {
        let session = &self.inbound.session;
        let shown = passkey.progress();
        // The line holds no code, so that readers of a log cannot pair.
        let state = shown.state.as_str();
        tracing::info!(session.id = %session, "the pairing by passkey of session {session} is {state}: {}", shown.what_to_do);
        if let Some(error) = &shown.error {
            tracing::warn!(session.id = %session, "the pairing by passkey of session {session} failed: {error}");
        }
        self.changes.push_event(session, EventType::SESSION_PASSKEY, |event_id, timestamp| SessionPasskey {
            passkey: shown,
            timestamp,
            session: session.clone(),
            event_id,
        });
    }
}

/// The step that a user's action makes, if the action fits the ceremony.
fn passkey_step(
    ask: PasskeyAction,
    passkey: &PasskeyCeremony,
) -> Result<(PasskeyStep, PasskeyMessage), PasskeyRefusal> {
    match (ask, passkey) {
        (PasskeyAction::Answer(credential), PasskeyCeremony::Requested(request)) => {
            let assertion = passkey::build_assertion(&credential, request).map_err(PasskeyRefusal::Invalid)?;
            Ok((PasskeyStep::Answered, PasskeyMessage::Answer(assertion)))
        }
        (PasskeyAction::Confirm, PasskeyCeremony::Confirm { .. }) => {
            Ok((PasskeyStep::Confirmed, PasskeyMessage::Confirmation))
        }
        (PasskeyAction::Answer(_), PasskeyCeremony::None) => {
            Err(not_now("WhatsApp asks for no passkey; scan the QR code first"))
        }
        (
            PasskeyAction::Answer(_),
            PasskeyCeremony::Answered { .. } | PasskeyCeremony::Confirm { .. } | PasskeyCeremony::Confirmed { .. },
        ) => Err(not_now("the passkey was answered already")),
        (
            PasskeyAction::Confirm,
            PasskeyCeremony::None | PasskeyCeremony::Requested(_) | PasskeyCeremony::Answered { .. },
        ) => Err(not_now("there is no code to confirm yet")),
        (PasskeyAction::Confirm, PasskeyCeremony::Confirmed { .. }) => Err(not_now("the code was confirmed already")),
        (_, PasskeyCeremony::Failed { error }) => Err(PasskeyRefusal::NotNow(format!(
            "the pairing by passkey failed: {error}; scan the new QR code to start over"
        ))),
    }
}

fn not_now(message: &str) -> PasskeyRefusal {
    PasskeyRefusal::NotNow(message.to_owned())
}

async fn send_passkey_message(client: &Client, sending: PasskeyMessage) -> Result<(), PasskeyRefusal> {
    let sent = async {
        match sending {
            PasskeyMessage::Answer(assertion) => client.send_passkey_response(assertion).await,
            PasskeyMessage::Confirmation => client.send_passkey_confirmation().await,
        }
    };
    match timeout(SENT_WITHIN, sent).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(PasskeyRefusal::ByWhatsapp(explain_error(&error))),
        Err(_) => Err(PasskeyRefusal::TimedOut),
    }
}

/// The client's error text, without the prefix that it repeats at each level.
fn explain_error(error: &PasskeyError) -> String {
    error.to_string().replace("passkey linking flow error: ", "")
}
