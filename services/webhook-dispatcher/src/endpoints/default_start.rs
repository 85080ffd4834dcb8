//! Where the endpoint `default` begins. It is decided once, when `WEBHOOK_URL` is set for the first time, and stored in the
//! bucket of endpoints: what was stored before is not sent, unless the settings say so, and nothing that is stored after is
//! left out, across any restart.

use crate::{
    config::WebhookStart,
    jetstream::{events_identity::EventsIdentity, stream_counts},
};
use anyhow::Context as _;
use async_nats::jetstream::{consumer::DeliverPolicy, context::ConsumerInfoErrorKind};
use kurir_chassis::{broker::Broker, bucket::Bucket};
use kurir_contract::{
    endpoint::{EndpointId, EndpointSettings},
    stream, subject,
};
use time::OffsetDateTime;

/// Reads what is stored about the endpoint `default`, and stores where it begins if that is not stored yet. `started`: when
/// this dispatcher was started.
///
/// # Errors
/// If NATS does not answer.
pub async fn read_default(
    broker: &Broker,
    bucket: &Bucket,
    start: WebhookStart,
    started: OffsetDateTime,
) -> anyhow::Result<EndpointSettings> {
    let id = EndpointId::default();
    if let Some((settings, _)) = bucket.get_json::<EndpointSettings>(id.as_str()).await?
        && settings.stream_created.is_some()
    {
        return Ok(settings);
    }
    let identity = EventsIdentity::read(broker).await?;
    let first = find_start(broker, start, started).await?;
    let change = |stored: Option<EndpointSettings>| {
        let mut settings = stored.unwrap_or_else(|| EndpointSettings::contract_default(String::new()));
        // Another dispatcher may have been faster.
        settings.stream_created.is_none().then(|| {
            settings.stream_created = Some(identity.created.clone());
            settings.start_sequence = first;
            settings
        })
    };
    let changed = bucket.change_value(id.as_str(), change).await.context("failed to store where WEBHOOK_URL begins")?;
    match changed {
        Some(settings) => Ok(settings),
        None => {
            let stored = bucket.get_json::<EndpointSettings>(id.as_str()).await?;
            stored.map(|(settings, _)| settings).context("the settings of WEBHOOK_URL were deleted")
        }
    }
}

/// The sequence of the first event for `WEBHOOK_URL`; 0: the first that is stored.
async fn find_start(broker: &Broker, start: WebhookStart, started: OffsetDateTime) -> anyhow::Result<u64> {
    let events = broker.jetstream.get_stream_no_info(stream::EVENTS).await.context("failed to open a stream")?;
    match events.consumer_info(EndpointId::default().consumer_name()).await {
        // `WEBHOOK_URL` was set before: its consumer knows where it began, and what is settled.
        Ok(info) => Ok(match info.config.deliver_policy {
            DeliverPolicy::ByStartSequence { start_sequence } => start_sequence,
            _ => 0,
        }),
        Err(error) if matches!(error.kind(), ConsumerInfoErrorKind::NotFound) => match start {
            WebhookStart::All => Ok(0),
            WebhookStart::New => {
                let all = [subject::ALL_EVENTS.to_owned()];
                let start = DeliverPolicy::ByStartTime { start_time: started };
                Ok(stream_counts::count_from(broker, stream::EVENTS, &all, start).await?.from)
            }
        },
        Err(error) => Err(error).context("failed to read the consumer of an endpoint"),
    }
}
