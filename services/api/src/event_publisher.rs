//! An event of the API's own on its way to the webhook: published to EVENTS, and its delivery's end waited for.
//!
//! It goes the way of every event; nothing here talks to a receiver.

use crate::{error_code::ErrorCode, response::ApiError};
use async_nats::{
    HeaderMap, Subscriber,
    jetstream::context::{GetStreamErrorKind, PublishErrorKind},
};
use bytes::Bytes;
use futures::StreamExt as _;
use kurir_chassis::{broker::Broker, trace_context};
use kurir_contract::{
    delivery::DeliveryReport,
    endpoint::EndpointId,
    event::{EventEnvelope, EventId},
    header,
    session::SessionId,
    stream::EVENTS,
    subject,
};
use serde::Serialize;
use std::time::Duration;
use time::format_description::well_known::Rfc3339;
use tokio::time::{Instant, timeout_at};

/// The contract's bound; the script of the old program gives up after 30 s.
const ENDS_WITHIN: Duration = Duration::from_secs(25);
/// The caller who tests an endpoint wants to know why it failed. A second attempt that follows soon is worth waiting for.
const TELLS_FAILURE_AFTER: Duration = Duration::from_secs(5);

pub struct EventPublisher {
    broker: Broker,
}

/// How the delivery to an endpoint stands when the answer must go out.
pub enum DeliveryOutcome {
    Delivered {
        status: Option<u16>,
        attempt: u32,
    },
    GivenUp {
        /// What the receiver did last, in words.
        reason: Option<String>,
        /// Its last status, if it answered.
        status: Option<u16>,
        /// The beginning of its last answer.
        body: Option<String>,
    },
    StillRetried {
        event: EventId,
        /// What the receiver did last, in words; none before the end of the first attempt.
        reason: Option<String>,
        status: Option<u16>,
        body: Option<String>,
    },
}

/// What EVENTS is at this moment.
pub struct EventsStreamInfo {
    /// Of the event that is stored next.
    pub next_sequence: u64,
    /// When the stream was created, RFC 3339: a sequence counts in one stream only.
    pub created: Option<String>,
    /// How long an event is kept; none: forever.
    pub max_age: Option<Duration>,
}

impl EventPublisher {
    pub fn new(broker: Broker) -> Self {
        Self { broker }
    }

    /// Stores the event; every subscriber of EVENTS sees it.
    pub async fn publish<D: Serialize>(&self, envelope: &EventEnvelope<D>) -> Result<EventId, ApiError> {
        self.store(&usual_subject(envelope), envelope, HeaderMap::new()).await
    }

    /// Stores the event under a subject of its own.
    pub async fn publish_to(&self, subject: &str, envelope: &EventEnvelope) -> Result<EventId, ApiError> {
        self.store(subject, envelope, HeaderMap::new()).await
    }

    /// Stores the event and waits, at most 25 s, until its delivery to the endpoint `default` has ended.
    pub async fn deliver<D: Serialize>(&self, envelope: &EventEnvelope<D>) -> Result<DeliveryOutcome, ApiError> {
        self.end(&usual_subject(envelope), envelope, &EndpointId::default(), (HeaderMap::new(), ENDS_WITHIN)).await
    }

    /// The same for an event that goes to this endpoint alone, under a subject that it hears. After a failed attempt it waits for
    /// five seconds only.
    pub async fn deliver_only(
        &self,
        subject: &str,
        envelope: &EventEnvelope,
        endpoint: &EndpointId,
    ) -> Result<DeliveryOutcome, ApiError> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ONLY_FOR, endpoint.as_str());
        headers.insert(header::REPORT_ATTEMPTS, "true");
        self.end(subject, envelope, endpoint, (headers, TELLS_FAILURE_AFTER)).await
    }

    /// Asks NATS what EVENTS is.
    pub async fn stream_info(&self) -> Result<EventsStreamInfo, ApiError> {
        if !self.broker.is_connected() {
            return Err(ApiError::broker_unavailable());
        }
        let mut stream = self.broker.jetstream.get_stream(EVENTS).await;
        if let Err(error) = &stream
            && matches!(error.kind(), GetStreamErrorKind::JetStream(_))
            && self.broker.create_missing_streams().await.is_ok()
        {
            stream = self.broker.jetstream.get_stream(EVENTS).await;
        }
        let stream = stream.map_err(|error| {
            tracing::warn!("failed to look at EVENTS: {error}");
            ApiError::broker_unavailable()
        })?;
        let info = stream.cached_info();
        Ok(EventsStreamInfo {
            next_sequence: info.state.last_sequence.saturating_add(1),
            created: info.created.format(&Rfc3339).ok(),
            max_age: Some(info.config.max_age).filter(|age| !age.is_zero()),
        })
    }

    async fn end<D: Serialize>(
        &self,
        subject: &str,
        envelope: &EventEnvelope<D>,
        endpoint: &EndpointId,
        (mut headers, after_failure): (HeaderMap, Duration),
    ) -> Result<DeliveryOutcome, ApiError> {
        let mut deadline = Instant::now() + ENDS_WITHIN;
        let inbox = self.broker.client.new_inbox();
        // Before the event is published: a report is sent once, and may come at once.
        let mut reports = self.broker.client.subscribe(inbox.clone()).await.map_err(|error| {
            tracing::warn!("failed to subscribe to a delivery's end: {error}");
            ApiError::broker_unavailable()
        })?;
        headers.insert(header::REPORT_TO, inbox);
        let event = self.store(subject, envelope, headers).await?;
        let mut last: Option<DeliveryReport> = None;
        while let Ok(Some(report)) = timeout_at(deadline, next_report(&event, endpoint, &mut reports)).await {
            let DeliveryReport { delivered, attempt, status, retried, .. } = report;
            if delivered {
                return Ok(DeliveryOutcome::Delivered { status, attempt });
            }
            if !retried {
                return Ok(DeliveryOutcome::GivenUp { reason: report.error, status, body: report.body });
            }
            if last.replace(report).is_none() {
                deadline = deadline.min(Instant::now() + after_failure);
            }
        }
        let (reason, status, body) = last.map_or((None, None, None), |last| (last.error, last.status, last.body));
        Ok(DeliveryOutcome::StillRetried { event, reason, status, body })
    }

    async fn store<D: Serialize>(
        &self,
        subject: &str,
        envelope: &EventEnvelope<D>,
        mut headers: HeaderMap,
    ) -> Result<EventId, ApiError> {
        // What is published without a connection would wait in the client and go out after the caller heard the 503.
        if !self.broker.is_connected() {
            return Err(ApiError::broker_unavailable());
        }
        let event = EventId::random();
        headers.insert(header::EVENT_ID, event.as_str());
        // No event of the API comes from WhatsApp.
        headers.insert(header::SYNTHETIC, "true");
        trace_context::inject(&mut headers);
        let payload = Bytes::from(serde_json::to_vec(envelope).map_err(|error| {
            tracing::error!(event.id = %event, "failed to write an event: {error}");
            ApiError::internal()
        })?);
        match self.publish_once(subject, &headers, &payload).await {
            // Somebody removed the stream, or NATS lost its store: every service makes what is missing.
            Err(PublishErrorKind::StreamNotFound) if self.broker.create_missing_streams().await.is_ok() => {
                self.publish_once(subject, &headers, &payload).await
            }
            published => published,
        }
        .map_err(|kind| not_stored(&event, kind))?;
        Ok(event)
    }

    async fn publish_once(&self, subject: &str, headers: &HeaderMap, payload: &Bytes) -> Result<(), PublishErrorKind> {
        let acknowledged = async {
            let publish =
                self.broker.jetstream.publish_with_headers(subject.to_owned(), headers.clone(), payload.clone());
            publish.await?.await
        };
        acknowledged.await.map(drop).map_err(|error| {
            tracing::warn!("failed to store an event: {error}");
            error.kind()
        })
    }
}

fn usual_subject<D>(envelope: &EventEnvelope<D>) -> String {
    subject::event(&SessionId::default(), &envelope.event)
}

/// The next report about this event and this endpoint; none if the subscription ends.
async fn next_report(event: &EventId, endpoint: &EndpointId, reports: &mut Subscriber) -> Option<DeliveryReport> {
    while let Some(report) = reports.next().await {
        match serde_json::from_slice::<DeliveryReport>(&report.payload) {
            Ok(ended) if ended.event_id == *event && ended.endpoint == *endpoint => return Some(ended),
            Ok(_) => {}
            Err(error) => tracing::warn!(event.id = %event, "failed to read a delivery's end: {error}"),
        }
    }
    None
}

fn not_stored(event: &EventId, kind: PublishErrorKind) -> ApiError {
    match kind {
        PublishErrorKind::MaxPayloadExceeded => {
            ApiError::new(ErrorCode::EventTooLarge, "The event is larger than the message broker (NATS) takes")
        }
        PublishErrorKind::TimedOut | PublishErrorKind::BrokenPipe => ApiError::broker_lost(),
        PublishErrorKind::StreamNotFound
        | PublishErrorKind::WrongLastMessageId
        | PublishErrorKind::WrongLastSequence
        | PublishErrorKind::MaxAckPending
        | PublishErrorKind::Other => {
            tracing::error!(event.id = %event, "an event was not stored: {kind}");
            ApiError::new(
                ErrorCode::EventNotStored,
                "The message broker (NATS) did not store the event; its disk may be full",
            )
        }
    }
}
