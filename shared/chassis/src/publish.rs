//! Storing a message in a stream: one try, or tries until JetStream has acknowledged it.
//!
//! Nothing is handed to the client while the broker is away: such a publish would wait in the client and go out after
//! the caller was told that it failed. A missing stream is made. A repeat carries the same `Nats-Msg-Id`, so that within
//! the stream's duplicate window JetStream stores one message.

use crate::{backoff::Backoff, broker::Broker, trace_context};
use async_nats::{
    HeaderMap, HeaderValue,
    jetstream::{
        self, ErrorCode,
        context::{PublishError as ClientError, PublishErrorKind},
        message::PublishMessage,
        publish::PublishAck,
    },
};
use bytes::Bytes;
use futures::StreamExt as _;
use kurir_contract::header;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout_at};

/// A message on its way into a stream.
#[derive(Clone, Debug)]
pub struct OutgoingMessage {
    pub subject: String,
    pub headers: HeaderMap,
    pub payload: Bytes,
}

impl OutgoingMessage {
    #[must_use]
    pub fn new(subject: impl Into<String>, payload: impl Into<Bytes>) -> Self {
        Self { subject: subject.into(), headers: HeaderMap::new(), payload: payload.into() }
    }

    /// Sets `Nats-Msg-Id`: within the duplicate window a second message with this id is not stored.
    #[must_use]
    pub fn with_id(self, id: &str) -> Self {
        self.with_header(header::EVENT_ID, id)
    }

    #[must_use]
    pub fn with_header(mut self, name: &str, value: impl Into<HeaderValue>) -> Self {
        self.headers.insert(name, value.into());
        self
    }

    /// Sets `traceparent` to the current span, if traces are collected.
    #[must_use]
    pub fn with_trace_context(mut self) -> Self {
        trace_context::inject(&mut self.headers);
        self
    }
}

/// Why a message is not known to be stored.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// There is no connection. The message was not handed over, so it is not stored.
    #[error("no connection to NATS")]
    NotConnected,
    /// The time was up, or the connection broke, before the acknowledgement. The message may be stored, now or later.
    #[error("NATS did not acknowledge the message in time")]
    NotAcknowledged,
    /// The message is larger than the server's `max_payload` or than the stream's `max_msg_size`. It is not stored, and no
    /// further try helps.
    #[error("the message is larger than NATS takes")]
    TooLarge,
    /// The disk of NATS or the stream has no room. The message is not stored.
    #[error("NATS has no room: {0}")]
    Full(String),
    /// Somebody else stored a message under this subject meanwhile, which `Nats-Expected-Last-Subject-Sequence` excludes.
    /// The message is not stored, and no further try helps.
    #[error("somebody else has written meanwhile")]
    Overtaken,
    /// JetStream refused the message for another reason, for example because the stream is sealed. It is not stored.
    #[error("NATS refused the message: {0}")]
    Refused(String),
    /// NATS is reachable and its JetStream does not work: it has no leader, or NATS switched it off. The message is not
    /// stored.
    #[error("NATS cannot store the message: {0}")]
    Unavailable(String),
}

impl PublishError {
    /// Whether a later try can succeed.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::NotConnected | Self::NotAcknowledged | Self::Full(_) | Self::Refused(_) | Self::Unavailable(_) => {
                true
            }
            Self::TooLarge | Self::Overtaken => false,
        }
    }
}

impl From<ClientError> for PublishError {
    fn from(error: ClientError) -> Self {
        match error.kind() {
            PublishErrorKind::TimedOut | PublishErrorKind::BrokenPipe => Self::NotAcknowledged,
            PublishErrorKind::MaxPayloadExceeded => Self::TooLarge,
            PublishErrorKind::WrongLastSequence => Self::Overtaken,
            PublishErrorKind::Other => Self::of_refusal(&error),
            PublishErrorKind::StreamNotFound
            | PublishErrorKind::WrongLastMessageId
            | PublishErrorKind::MaxAckPending => Self::Refused(error.to_string()),
        }
    }
}

/// What JetStream says when a limit of its store, of the account or of the stream is reached, or its disk is full.
const NO_ROOM: [ErrorCode; 5] = [
    ErrorCode::ACCOUNT_RESOURCES_EXCEEDED,
    ErrorCode::INSUFFICIENT_RESOURCES,
    ErrorCode::MEMORY_RESOURCES_EXCEEDED,
    ErrorCode::STORAGE_RESOURCES_EXCEEDED,
    ErrorCode::STREAM_STORE_FAILED,
];

/// What JetStream says while it has no leader or is switched off.
const NOT_THERE: [ErrorCode; 6] = [
    ErrorCode::CLUSTER_NOT_AVAILABLE,
    ErrorCode::CLUSTER_NOT_LEADER,
    ErrorCode::CLUSTER_NO_PEERS,
    ErrorCode::JETSTREAM_NOT_ENABLED,
    ErrorCode::JETSTREAM_NOT_ENABLED_FOR_ACCOUNT,
    ErrorCode::STREAM_OFFLINE,
];

impl PublishError {
    /// The meaning of an error whose cause is an answer of JetStream.
    #[must_use]
    pub fn of_refusal(error: &(dyn std::error::Error + 'static)) -> Self {
        let causes = std::iter::successors(Some(error), |error| error.source());
        let said = causes.filter_map(|error| error.downcast_ref::<jetstream::Error>()).next();
        match said.map(jetstream::Error::error_code) {
            Some(ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM) => Self::TooLarge,
            Some(code) if NO_ROOM.contains(&code) => Self::Full(error.to_string()),
            Some(code) if NOT_THERE.contains(&code) => Self::Unavailable(error.to_string()),
            Some(_) | None => Self::Refused(error.to_string()),
        }
    }
}

/// One try ends within this time, the making of a missing stream included: the API promises its 503 within 5 s.
const TRY_WITHIN: Duration = Duration::from_secs(4);
/// The pauses between tries. The cap is short, so that the end of an outage is seen within a second.
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(1));

impl Broker {
    /// Tries once, for at most 4 s. If the stream is missing, makes it and tries again within the same time.
    ///
    /// # Errors
    /// See [`PublishError`]: each variant says whether the message may be stored.
    pub async fn publish_once(&self, message: &OutgoingMessage) -> Result<PublishAck, PublishError> {
        let deadline = Instant::now() + TRY_WITHIN;
        timeout_at(deadline, self.try_publish(message)).await.unwrap_or(Err(PublishError::NotAcknowledged))
    }

    /// Tries until JetStream has acknowledged the message, until `deadline`, or until an error that no further try mends.
    ///
    /// Stops when the future is dropped (`shutdown.run_until_cancelled(…)`); the message may be stored then.
    ///
    /// # Errors
    /// The error of the last try. After an earlier try that was not acknowledged it is [`PublishError::NotAcknowledged`],
    /// because that try may have stored the message.
    pub async fn publish_until_stored(
        &self,
        message: &OutgoingMessage,
        deadline: Instant,
    ) -> Result<PublishAck, PublishError> {
        let mut pauses = BACKOFF.pauses();
        let mut may_be_stored = false;
        loop {
            let error = match timeout_at(deadline, self.publish_once(message)).await {
                Ok(Ok(stored)) => return Ok(stored),
                Ok(Err(error)) => error,
                Err(_) => PublishError::NotAcknowledged,
            };
            may_be_stored |= matches!(error, PublishError::NotAcknowledged);
            let pause = pauses.next_with_jitter();
            if !error.is_retryable() || Instant::now() + pause >= deadline {
                return Err(if may_be_stored { PublishError::NotAcknowledged } else { error });
            }
            tracing::debug!("failed to publish to {}, the next try is in {pause:?}: {error}", message.subject);
            sleep(pause).await;
        }
    }

    async fn try_publish(&self, message: &OutgoingMessage) -> Result<PublishAck, PublishError> {
        if !self.is_connected() {
            return Err(PublishError::NotConnected);
        }
        match self.hand_over(message).await {
            // An operator removed the stream, or NATS lost its store. Every service makes what is missing.
            Err(error) if error.kind() == PublishErrorKind::StreamNotFound => {
                self.create_missing_streams().await.map_err(|error| not_made(&error))?;
                Ok(self.hand_over(message).await?)
            }
            published => Ok(published?),
        }
    }

    /// Whether NATS passes a message on within this time, whatever its JetStream does. A client notices only after some
    /// seconds that its NATS is frozen.
    pub async fn is_answering(&self, within: Duration) -> bool {
        if !self.is_connected() {
            return false;
        }
        let echo = async {
            let inbox = self.client.new_inbox();
            let mut echoes = self.client.subscribe(inbox.clone()).await.ok()?;
            self.client.publish(inbox, Bytes::new()).await.ok()?;
            echoes.next().await
        };
        tokio::time::timeout(within, echo).await.is_ok_and(|echo| echo.is_some())
    }

    async fn hand_over(&self, message: &OutgoingMessage) -> Result<PublishAck, ClientError> {
        let publish = PublishMessage::build().payload(message.payload.clone()).headers(message.headers.clone());
        self.jetstream.send_publish(message.subject.clone(), publish).await?.await
    }
}

/// Why a missing stream was not made. Without an answer of JetStream, JetStream is not there.
fn not_made(error: &anyhow::Error) -> PublishError {
    let has_answer = error.chain().any(|cause| cause.downcast_ref::<jetstream::Error>().is_some());
    match PublishError::of_refusal(error.as_ref()) {
        PublishError::Refused(_) if !has_answer => PublishError::Unavailable(format!("{error:#}")),
        known => known,
    }
}
