//! An endpoint whose stream is another one than before: the endpoint begins at the start of the new stream, which is logged
//! and published once, and its settings name the new stream from then on.

use crate::jetstream::consumer::StreamChange;
use anyhow::Context as _;
use async_nats::HeaderMap;
use kurir_chassis::{
    broker::Broker,
    bucket::{Bucket, to_json},
    publish::OutgoingMessage,
};
use kurir_contract::{
    clock,
    endpoint::{BUCKET, EndpointId, EndpointSettings},
    event::{ErrorOccurred, EventEnvelope, EventId, EventType},
    header,
    session::SessionId,
    subject,
};
use serde_json::json;
use std::time::Duration;
use tokio::time::Instant;

/// The time to store the event.
const STORE_TIMEOUT: Duration = Duration::from_secs(20);

/// Publishes that the endpoint starts over, if it does, and stores the stream in its settings.
///
/// # Errors
/// If NATS does not accept it. Then the next creation of the endpoint's consumer repeats it.
pub async fn adopt_stream(broker: &Broker, endpoint: &EndpointId, change: &StreamChange) -> anyhow::Result<()> {
    if change.is_new {
        publish_restart(broker, endpoint, change).await?;
    }
    let bucket = Bucket::new(broker.clone(), BUCKET);
    let changed = bucket
        .change_value(endpoint.as_str(), |stored: Option<EndpointSettings>| {
            let mut settings = stored.filter(|settings| settings.stream_created.as_ref() != Some(&change.created))?;
            settings.stream_created = Some(change.created.clone());
            if change.is_new {
                settings.start_sequence = 0;
            }
            Some(settings)
        })
        .await
        .context("failed to store which stream an endpoint receives")?;
    if change.is_new && changed.is_some() {
        tracing::warn!(
            endpoint.id = %endpoint,
            "the stream EVENTS is a new one (created {}): webhook endpoint {endpoint} begins at its start", change.created
        );
    }
    Ok(())
}

async fn publish_restart(broker: &Broker, endpoint: &EndpointId, change: &StreamChange) -> anyhow::Result<()> {
    let now = broker.clock.now();
    let data = ErrorOccurred {
        error_type: ErrorOccurred::EVENTS_RESTARTED.to_owned(),
        error_message: format!("The stream EVENTS is a new one: webhook endpoint {endpoint} begins at its start"),
        context: json!({"endpoint": endpoint, "streamCreated": change.created}),
        timestamp: clock::iso(now),
    };
    let seed = format!("{} {}", ErrorOccurred::EVENTS_RESTARTED, change.created);
    let mut headers = HeaderMap::new();
    // The same for all dispatchers, and at a repeat.
    headers.insert(header::EVENT_ID, EventId::from_header(endpoint.as_str()).derived(&seed).as_str());
    let kind = EventType::ERROR_OCCURRED;
    let message = OutgoingMessage {
        subject: subject::event(&SessionId::default(), &kind),
        headers,
        payload: to_json(&EventEnvelope::new(kind, now, data))?,
    };
    let stored = broker.publish_until_stored(&message, Instant::now() + STORE_TIMEOUT).await;
    stored.with_context(|| format!("failed to store {}", message.subject))?;
    Ok(())
}
