//! What waits for an endpoint, by the broker's own figures.

use crate::response::ApiError;
use async_nats::jetstream::{context::ConsumerInfoErrorKind, response::Response};
use kurir_chassis::broker::Broker;
use kurir_contract::{
    endpoint::EndpointId,
    stream::{EVENTS, RETRIES},
    subject,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// What waits for an endpoint.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EndpointBacklog {
    /// Events that no dispatcher has taken yet; none while no dispatcher has made the endpoint's consumer.
    pending: Option<u64>,
    /// Fresh events and retries that a dispatcher has taken and not settled.
    in_flight: u64,
    /// Retries that wait for their time.
    waiting_retries: u64,
}

/// # Errors
/// If NATS is away.
pub async fn read_endpoint_backlog(broker: &Broker, id: &EndpointId) -> Result<EndpointBacklog, ApiError> {
    if !broker.is_connected() {
        return Err(ApiError::broker_unavailable());
    }
    let (events, retries) = (id.consumer_name(), id.retries_consumer_name());
    let (fresh, retried, resting) = futures::try_join!(
        consumer_counts(broker, EVENTS, &events),
        consumer_counts(broker, RETRIES, &retries),
        count_retries(broker, id)
    )?;
    let in_flight_retries = retried.map_or(0, |retried| retried.in_flight);
    Ok(EndpointBacklog {
        pending: fresh.as_ref().map(|fresh| fresh.pending),
        in_flight: fresh.map_or(0, |fresh| fresh.in_flight) + in_flight_retries,
        waiting_retries: resting.saturating_sub(in_flight_retries),
    })
}

struct ConsumerCounts {
    pending: u64,
    in_flight: u64,
}

async fn consumer_counts(broker: &Broker, stream: &str, name: &str) -> Result<Option<ConsumerCounts>, ApiError> {
    let stream = broker.jetstream.get_stream_no_info(stream).await.map_err(away)?;
    match stream.consumer_info(name).await {
        Ok(info) => Ok(Some(ConsumerCounts { pending: info.num_pending, in_flight: info.num_ack_pending as u64 })),
        Err(error) => match error.kind() {
            ConsumerInfoErrorKind::NotFound | ConsumerInfoErrorKind::StreamNotFound => Ok(None),
            ConsumerInfoErrorKind::InvalidName
            | ConsumerInfoErrorKind::Offline
            | ConsumerInfoErrorKind::Request
            | ConsumerInfoErrorKind::JetStream(_)
            | ConsumerInfoErrorKind::TimedOut
            | ConsumerInfoErrorKind::NoResponders => Err(away(error)),
        },
    }
}

/// How many messages RETRIES holds of the endpoint; each has a subject of its own.
async fn count_retries(broker: &Broker, id: &EndpointId) -> Result<u64, ApiError> {
    #[derive(Deserialize)]
    struct Subjects {
        /// Left out if there are none.
        #[serde(default)]
        total: u64,
    }
    // From an offset beyond the last NATS sends the count without the subjects: 100,000 of them are 8 MB.
    let asked = json!({"subjects_filter": subject::retries_of(id), "offset": u32::MAX});
    let reply = broker.jetstream.request(format!("STREAM.INFO.{RETRIES}"), &asked).await.map_err(away)?;
    match reply {
        Response::Ok(Subjects { total }) => Ok(total),
        Response::Err { error } => Err(away(error)),
    }
}

fn away(error: impl std::fmt::Display) -> ApiError {
    tracing::warn!("failed to look at a backlog: {error}");
    ApiError::broker_unavailable()
}
