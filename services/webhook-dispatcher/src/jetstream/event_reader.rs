//! Reads single events of EVENTS.

use crate::event::StoredEvent;
use anyhow::Context as _;
use async_nats::jetstream::stream::{DirectGetErrorKind, RawMessageErrorKind, Stream};
use kurir_chassis::broker::Broker;
use kurir_contract::{event::EventId, stream};

/// Reads events by their sequence.
#[derive(Clone)]
pub struct EventReader {
    events: Stream<()>,
}

impl EventReader {
    /// # Errors
    /// If the client itself has ended.
    pub async fn open(broker: &Broker) -> anyhow::Result<Self> {
        let events = broker.jetstream.get_stream_no_info(stream::EVENTS).await.context("failed to open a stream")?;
        Ok(Self { events })
    }

    /// The event with this sequence and this id; none if EVENTS does not hold it any more.
    ///
    /// # Errors
    /// If NATS does not answer.
    pub async fn read(&self, sequence: u64, id: &EventId) -> anyhow::Result<Option<StoredEvent>> {
        // If EVENTS was deleted and made again, the sequence belongs to another event.
        Ok(self.read_at(sequence).await?.filter(|event| event.id == *id))
    }

    /// The event with this sequence; none if EVENTS does not hold it any more.
    ///
    /// # Errors
    /// If NATS does not answer.
    pub async fn read_at(&self, sequence: u64) -> anyhow::Result<Option<StoredEvent>> {
        let stored = match self.events.direct_get(sequence).await {
            Ok(stored) => stored,
            // A replica may lag behind. Only the leader knows that the event is gone.
            Err(error) if error.kind() == DirectGetErrorKind::NotFound => {
                match self.events.get_raw_message(sequence).await {
                    Ok(stored) => stored,
                    Err(error) if matches!(error.kind(), RawMessageErrorKind::NoMessageFound) => return Ok(None),
                    Err(error) => return Err(error).context("failed to read an event"),
                }
            }
            Err(error) => return Err(error).context("failed to read an event"),
        };
        Ok(Some(StoredEvent::from(stored)))
    }
}
