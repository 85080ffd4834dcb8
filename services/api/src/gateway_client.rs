//! Commands to a WhatsApp gateway: NATS request and reply, each with a deadline.
//!
//! Nothing is handed over while the broker is away: the client would keep the request and send it after the caller was
//! told that it failed. What a no means in HTTP is `refusal`'s.

use async_nats::{HeaderMap, Request, RequestErrorKind};
use kurir_chassis::{broker::Broker, trace_context};
use kurir_contract::{
    command::{Command, Empty, Refusal, Reply, Status},
    service::Service,
    session::SessionId,
    subject,
};
use serde::{Serialize, de::DeserializeOwned};
use std::time::Duration;

/// The gateway knows its state by heart: who does not say it within this time hangs.
const STATUS_WITHIN: Duration = Duration::from_secs(3);
/// The gateway tries three times, 30 s each, with 2 s and 4 s between: 96 s, and a margin.
const SEND_WITHIN: Duration = Duration::from_secs(110);
/// Derives a key over 131,072 rounds and asks WhatsApp.
const PAIRING_CODE_WITHIN: Duration = Duration::from_secs(40);
/// Logout asks WhatsApp, restart closes a connection and opens another.
const SESSION_CHANGE_WITHIN: Duration = Duration::from_secs(20);
/// The broker answers itself in a millisecond.
const BROKER_ANSWERS_WITHIN: Duration = Duration::from_secs(1);
/// A connection that is gone for longer than this takes the requests under way with it. The client tries again at
/// least every second, so a broker that only restarts is back before.
const BROKER_LOST_AFTER: Duration = Duration::from_secs(3);
/// How often the connection is looked at meanwhile.
const BROKER_LOOK: Duration = Duration::from_millis(100);

#[derive(Clone)]
pub struct GatewayClient {
    broker: Broker,
}

/// Why a command was not answered with its result.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    #[error("the broker is not available; nothing was handed over")]
    BrokerAway,
    #[error("the broker went away before the answer came")]
    BrokerLost,
    #[error("no gateway serves this session")]
    NoGateway,
    #[error("the gateway did not answer in time")]
    NoAnswer,
    /// The log has only the code: the text may hold a number.
    #[error("the gateway refused: {:?}", .0.code)]
    Refused(Refusal),
    #[error("the command or its answer could not be written or read: {0}")]
    Unreadable(String),
}

impl GatewayClient {
    pub fn new(broker: Broker) -> Self {
        Self { broker }
    }

    pub async fn status(&self, session: &SessionId) -> Result<Status, CommandError> {
        self.request(session, Command::Status, &Empty {}).await
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
    ) -> Result<A, CommandError> {
        // A broker or a gateway that hangs shows itself within seconds, with nothing handed over.
        self.status(session).await?;
        self.request(session, command, arguments).await
    }

    async fn request<A: DeserializeOwned>(
        &self,
        session: &SessionId,
        command: Command,
        arguments: &impl Serialize,
    ) -> Result<A, CommandError> {
        if !self.broker.is_connected() {
            return Err(CommandError::BrokerAway);
        }
        let payload = serde_json::to_vec(arguments).map_err(unreadable)?;
        let mut headers = HeaderMap::new();
        trace_context::inject(&mut headers);
        let request = Request::new().payload(payload.into()).headers(headers).timeout(Some(deadline(command)));
        let reply = tokio::select! {
            reply = self.broker.client.send_request(subject::command(session, command), request) => reply,
            () = self.broker_lost() => return Err(CommandError::BrokerLost),
        };
        match reply {
            Ok(message) => match serde_json::from_slice(&message.payload).map_err(unreadable)? {
                Reply::Ok(answer) => Ok(answer),
                Reply::Error(refusal) => Err(CommandError::Refused(refusal)),
            },
            Err(error) => Err(match error.kind() {
                RequestErrorKind::NoResponders => CommandError::NoGateway,
                RequestErrorKind::TimedOut if self.broker_answers().await => CommandError::NoAnswer,
                RequestErrorKind::TimedOut => CommandError::BrokerLost,
                RequestErrorKind::InvalidSubject | RequestErrorKind::MaxPayloadExceeded | RequestErrorKind::Other => {
                    unreadable(error)
                }
            }),
        }
    }

    /// Returns when the broker has been away for [`BROKER_LOST_AFTER`].
    async fn broker_lost(&self) {
        let mut away = Duration::ZERO;
        while away < BROKER_LOST_AFTER {
            tokio::time::sleep(BROKER_LOOK).await;
            away = if self.broker.is_connected() { Duration::ZERO } else { away + BROKER_LOOK };
        }
    }

    /// Tells a gateway that hangs from a broker that does: this process answers pings, so it can ask itself.
    async fn broker_answers(&self) -> bool {
        let ping = Request::new().timeout(Some(BROKER_ANSWERS_WITHIN));
        self.broker.client.send_request(subject::service_ping(Service::Api), ping).await.is_ok()
    }
}

fn deadline(command: Command) -> Duration {
    match command {
        Command::Status => STATUS_WITHIN,
        Command::SendText => SEND_WITHIN,
        Command::PairingCode => PAIRING_CODE_WITHIN,
        Command::Restart | Command::Logout => SESSION_CHANGE_WITHIN,
    }
}

fn unreadable(error: impl std::fmt::Display) -> CommandError {
    CommandError::Unreadable(error.to_string())
}
