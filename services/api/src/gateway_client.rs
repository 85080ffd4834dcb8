//! Commands to the WhatsApp gateway that holds a session, and how long each may take.

use crate::command_request::{self, CommandFailure};
use kurir_chassis::broker::Broker;
use kurir_contract::{
    command::{Command, EmptyBody, SessionInfo},
    session::SessionId,
    subject,
};
use serde::{Serialize, de::DeserializeOwned};
use std::time::Duration;

/// The gateway knows its state by heart: who does not say it within this time hangs.
const STATUS_WITHIN: Duration = Duration::from_secs(3);
/// As a send, with 60 s a try, and some time in the queue of files.
const MEDIA_WITHIN: Duration = Duration::from_secs(300);
/// A few requests to NATS, 4 s each at most.
const JOB_WITHIN: Duration = Duration::from_secs(20);
/// The gateway lets a message wait for its turn, 60 s at most, and tries three times, 30 s each, with 2 s and 4 s between:
/// 156 s, and a margin.
const SEND_WITHIN: Duration = Duration::from_secs(170);
/// As long as the gateway gives WhatsApp for one try, and a margin.
const ASK_WITHIN: Duration = Duration::from_secs(35);
/// Derives a key over 131,072 rounds and asks WhatsApp.
const PAIRING_CODE_WITHIN: Duration = Duration::from_secs(40);
/// Logout asks WhatsApp, restart closes a connection and opens another.
const SESSION_CHANGE_WITHIN: Duration = Duration::from_secs(20);

#[derive(Clone)]
pub struct GatewayClient {
    broker: Broker,
}

impl GatewayClient {
    pub fn new(broker: Broker) -> Self {
        Self { broker }
    }

    pub async fn status(&self, session: &SessionId) -> Result<SessionInfo, CommandFailure> {
        self.request(session, Command::Status, &EmptyBody {}).await
    }

    /// Sends a command and waits for its answer, as long as this command may take.
    ///
    /// # Errors
    /// If there is no result; dropped while it waits, the gateway goes on with what it was asked.
    pub async fn ask<A: DeserializeOwned>(
        &self,
        session: &SessionId,
        command: Command,
        arguments: &impl Serialize,
    ) -> Result<A, CommandFailure> {
        // A broker or a gateway that hangs shows itself within seconds, with nothing handed over.
        self.status(session).await?;
        self.request(session, command, arguments).await
    }

    async fn request<A: DeserializeOwned>(
        &self,
        session: &SessionId,
        command: Command,
        arguments: &impl Serialize,
    ) -> Result<A, CommandFailure> {
        command_request::send_command(&self.broker, subject::command(session, command), arguments, deadline(command))
            .await
    }
}

fn deadline(command: Command) -> Duration {
    match command {
        // The gateway knows both by heart.
        Command::Status | Command::Passkey => STATUS_WITHIN,
        Command::PairingCode => PAIRING_CODE_WITHIN,
        Command::Restart | Command::Logout => SESSION_CHANGE_WITHIN,
        // What is forwarded may be a file.
        Command::SendMedia | Command::SendForward => MEDIA_WITHIN,
        Command::SubmitJob | Command::CancelJob => JOB_WITHIN,
        send if send.is_send() => SEND_WITHIN,
        // A question to WhatsApp.
        _ => ASK_WITHIN,
    }
}
