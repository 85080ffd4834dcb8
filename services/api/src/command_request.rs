//! Commands to another service: NATS request and reply, each with a deadline.
//!
//! Nothing is handed over while the broker is away: the client would keep the request and send it after the caller was
//! told that it failed. `command_error` says what a failure means in HTTP.

use async_nats::{HeaderMap, Request, RequestErrorKind};
use futures::StreamExt as _;
use kurir_chassis::{broker::Broker, trace_context};
use kurir_contract::{
    command::{CommandError, CommandReply, QueuedSend},
    service::ServiceName,
    subject,
};
use serde::{Serialize, de::DeserializeOwned};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// The broker answers itself in a millisecond.
const BROKER_ANSWERS_WITHIN: Duration = Duration::from_secs(1);
/// A connection that is gone for longer than this takes the requests under way with it. The client tries again at
/// least every second, so a broker that only restarts is back before.
const BROKER_LOST_AFTER: Duration = Duration::from_secs(3);
/// How often the connection is looked at meanwhile.
const BROKER_LOOK: Duration = Duration::from_millis(100);

/// Why a command was not answered with its result.
#[derive(Debug, thiserror::Error)]
pub enum CommandFailure {
    #[error("the broker is not available; nothing was handed over")]
    BrokerAway,
    #[error("the broker went away before the answer came")]
    BrokerLost,
    #[error("no service takes this command")]
    NobodyThere,
    /// The session has a record, and no gateway holds it at this moment.
    #[error("no gateway holds the session at this moment")]
    SessionMoving,
    /// Somebody stopped the session.
    #[error("the session is stopped")]
    SessionStopped,
    #[error("the service did not answer in time")]
    NoAnswer,
    /// No failure: the message goes out later.
    #[error("the message waits as the job {}", .0.job_id)]
    Queued(QueuedSend),
    /// The log has only the code: the text may hold a number.
    #[error("the service refused: {:?}", .0.code)]
    Refused(CommandError),
    #[error("the command or its answer could not be written or read: {0}")]
    Unreadable(String),
}

/// Sends a command and waits for its answer, at most `within`.
///
/// # Errors
/// If there is no result; dropped while it waits, the service goes on with what it was asked.
pub async fn send_command<A: DeserializeOwned>(
    broker: &Broker,
    subject: String,
    arguments: &impl Serialize,
    within: Duration,
) -> Result<A, CommandFailure> {
    if !broker.is_connected() {
        return Err(CommandFailure::BrokerAway);
    }
    let payload = serde_json::to_vec(arguments).map_err(unreadable)?;
    let mut headers = HeaderMap::new();
    trace_context::inject(&mut headers);
    let request = Request::new().payload(payload.into()).headers(headers).timeout(Some(within));
    let reply = tokio::select! {
        reply = broker.client.send_request(subject, request) => reply,
        () = lost(broker) => return Err(CommandFailure::BrokerLost),
    };
    match reply {
        Ok(message) => match serde_json::from_slice(&message.payload).map_err(unreadable)? {
            CommandReply::Ok(answer) => Ok(answer),
            CommandReply::Queued(queued) => Err(CommandFailure::Queued(queued)),
            CommandReply::Error(refusal) => Err(CommandFailure::Refused(refusal)),
        },
        Err(error) => Err(match error.kind() {
            RequestErrorKind::NoResponders => CommandFailure::NobodyThere,
            RequestErrorKind::TimedOut if answers(broker).await => CommandFailure::NoAnswer,
            RequestErrorKind::TimedOut => CommandFailure::BrokerLost,
            RequestErrorKind::InvalidSubject | RequestErrorKind::MaxPayloadExceeded | RequestErrorKind::Other => {
                unreadable(error)
            }
        }),
    }
}

/// What an answer to a question to all means.
pub enum Progress<T> {
    /// Who answers has begun; the result follows within this time.
    Begun(Duration),
    Done(Result<T, CommandFailure>),
}

/// Asks every process that listens, and waits for the result of the one that is meant: the others are silent.
///
/// # Errors
/// If there is no result. [`CommandFailure::NobodyThere`] if nobody has begun within `begun_within`.
pub async fn ask_all<R: DeserializeOwned, T>(
    broker: &Broker,
    subject: &'static str,
    arguments: &impl Serialize,
    begun_within: Duration,
    read: impl Fn(R) -> Progress<T>,
) -> Result<T, CommandFailure> {
    if !broker.is_connected() {
        return Err(CommandFailure::BrokerAway);
    }
    let payload = serde_json::to_vec(arguments).map_err(unreadable)?;
    let inbox = broker.client.new_inbox();
    let mut answers = broker.client.subscribe(inbox.clone()).await.map_err(unreadable)?;
    broker.client.publish_with_reply(subject, inbox, payload.into()).await.map_err(unreadable)?;
    let (mut deadline, mut is_begun) = (Instant::now() + begun_within, false);
    loop {
        let answer = tokio::select! {
            answer = timeout_at(deadline, answers.next()) => answer,
            () = lost(broker) => return Err(CommandFailure::BrokerLost),
        };
        let Ok(Some(answer)) = answer else {
            return Err(if is_begun { CommandFailure::NoAnswer } else { CommandFailure::NobodyThere });
        };
        // NATS' own answer, without a body: nobody listens.
        if answer.payload.is_empty() {
            return Err(CommandFailure::NobodyThere);
        }
        match read(serde_json::from_slice(&answer.payload).map_err(unreadable)?) {
            Progress::Begun(within) => (deadline, is_begun) = (Instant::now() + within, true),
            Progress::Done(result) => return result,
        }
    }
}

/// Returns when the broker has been away for [`BROKER_LOST_AFTER`].
async fn lost(broker: &Broker) {
    let mut away = Duration::ZERO;
    while away < BROKER_LOST_AFTER {
        tokio::time::sleep(BROKER_LOOK).await;
        away = if broker.is_connected() { Duration::ZERO } else { away + BROKER_LOOK };
    }
}

/// Tells a service that hangs from a broker that does: this process answers pings, so it can ask itself.
async fn answers(broker: &Broker) -> bool {
    let ping = Request::new().timeout(Some(BROKER_ANSWERS_WITHIN));
    broker.client.send_request(subject::service_ping(ServiceName::Api), ping).await.is_ok()
}

fn unreadable(error: impl std::fmt::Display) -> CommandFailure {
    CommandFailure::Unreadable(error.to_string())
}
