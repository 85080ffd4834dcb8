//! Commands to another service: NATS request and reply, each with a deadline.
//!
//! Nothing is handed over while the broker is away: the client would keep the request and send it after the caller was
//! told that it failed. `command_error` says what a failure means in HTTP.

use async_nats::{HeaderMap, Message, Request, RequestErrorKind, StatusCode};
use bytes::Bytes;
use futures::StreamExt as _;
use kurir_chassis::{broker::Broker, trace_context};
use kurir_contract::{
    command::{CommandError, CommandReply, QueuedSend, SILENT_AFTER},
    header::PROGRESS,
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
    read_reply(&request_reply(broker, subject, arguments, within).await?)
}

/// As [`send_command`], to a service whose answers say that it [`reports_progress`]. One from which nothing is heard for
/// [`SILENT_AFTER`] is gone, or never got the command.
///
/// # Errors
/// If there is no result; dropped while it waits, the service goes on with what it was asked.
pub async fn follow_command<A: DeserializeOwned>(
    broker: &Broker,
    subject: String,
    arguments: &impl Serialize,
    within: Duration,
) -> Result<A, CommandFailure> {
    let (mut headers, payload) = encode(broker, arguments)?;
    headers.insert(PROGRESS, "wanted");
    let inbox = broker.client.new_inbox();
    let mut replies = broker.client.subscribe(inbox.clone()).await.map_err(unreadable)?;
    let sent = broker.client.publish_with_reply_and_headers(subject, inbox, headers, payload).await;
    sent.map_err(unreadable)?;
    let begun = Instant::now();
    let mut heard = begun;
    loop {
        let reply = tokio::select! {
            reply = timeout_at((heard + SILENT_AFTER).min(begun + within), replies.next()) => reply,
            () = lost(broker) => return Err(CommandFailure::BrokerLost),
        };
        match reply {
            Ok(Some(reply)) if reply.status == Some(StatusCode::NO_RESPONDERS) => {
                return Err(CommandFailure::NobodyThere);
            }
            // Its answer has a body.
            Ok(Some(reply)) if reply.payload.is_empty() => heard = Instant::now(),
            Ok(Some(reply)) => return read_reply(&reply),
            Ok(None) => return Err(CommandFailure::BrokerLost),
            Err(_) => return Err(why_silent(broker).await),
        }
    }
}

/// The answer to a command, unread.
///
/// # Errors
/// If there is none.
pub async fn request_reply(
    broker: &Broker,
    subject: String,
    arguments: &impl Serialize,
    within: Duration,
) -> Result<Message, CommandFailure> {
    let (headers, payload) = encode(broker, arguments)?;
    let request = Request::new().payload(payload).headers(headers).timeout(Some(within));
    let reply = tokio::select! {
        reply = broker.client.send_request(subject, request) => reply,
        () = lost(broker) => return Err(CommandFailure::BrokerLost),
    };
    let error = match reply {
        Ok(reply) => return Ok(reply),
        Err(error) => error,
    };
    Err(match error.kind() {
        RequestErrorKind::NoResponders => CommandFailure::NobodyThere,
        RequestErrorKind::TimedOut => why_silent(broker).await,
        RequestErrorKind::InvalidSubject | RequestErrorKind::MaxPayloadExceeded | RequestErrorKind::Other => {
            unreadable(error)
        }
    })
}

/// A command on its way, if there is a broker to take it.
fn encode(broker: &Broker, arguments: &impl Serialize) -> Result<(HeaderMap, Bytes), CommandFailure> {
    if !broker.is_connected() {
        return Err(CommandFailure::BrokerAway);
    }
    let mut headers = HeaderMap::new();
    trace_context::inject(&mut headers);
    Ok((headers, serde_json::to_vec(arguments).map_err(unreadable)?.into()))
}

/// The result of a command.
///
/// # Errors
/// If it is not the result.
pub fn read_reply<A: DeserializeOwned>(reply: &Message) -> Result<A, CommandFailure> {
    match serde_json::from_slice(&reply.payload).map_err(unreadable)? {
        CommandReply::Ok(answer) => Ok(answer),
        CommandReply::Queued(queued) => Err(CommandFailure::Queued(queued)),
        CommandReply::Error(refusal) => Err(CommandFailure::Refused(refusal)),
    }
}

/// Whether who answered says when a command is under way. A gateway of an earlier version does not.
pub fn reports_progress(reply: &Message) -> bool {
    reply.headers.as_ref().is_some_and(|headers| headers.get(PROGRESS).is_some())
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
async fn why_silent(broker: &Broker) -> CommandFailure {
    let ping = Request::new().timeout(Some(BROKER_ANSWERS_WITHIN));
    match broker.client.send_request(subject::service_ping(ServiceName::Api), ping).await {
        Ok(_) => CommandFailure::NoAnswer,
        Err(_) => CommandFailure::BrokerLost,
    }
}

fn unreadable(error: impl std::fmt::Display) -> CommandFailure {
    CommandFailure::Unreadable(error.to_string())
}
