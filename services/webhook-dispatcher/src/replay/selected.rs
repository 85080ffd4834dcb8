//! A replay of events that are named one by one: all of them stand in RETRIES before the replay is stored.
//!
//! If the dispatcher dies in between, those that were copied are delivered, and no replay shows them.

use crate::{
    endpoint::Endpoint,
    event::StoredEvent,
    jetstream::retry_queue::ReplayEntry,
    replay::{
        record::{self, CopyProgress, ReplayRecord},
        service::ReplayService,
    },
};
use anyhow::Context as _;
use async_nats::jetstream::{message::PublishMessage, stream::DirectGetErrorKind};
use kurir_contract::{
    clock, stream,
    webhook::{Replay, ReplaySelection, ReplayState},
};
use std::collections::BTreeSet;

impl ReplayService {
    /// Copies the events, each once; one that is gone from EVENTS is left out.
    pub(super) async fn copy_selected(&self, endpoint: &Endpoint, sequences: Vec<u64>) -> anyhow::Result<ReplayRecord> {
        let id = record::new_id();
        let events =
            self.broker.jetstream.get_stream_no_info(stream::EVENTS).await.context("failed to open a stream")?;
        let (mut copied, mut acknowledgements) = (Vec::new(), Vec::new());
        for sequence in sequences.into_iter().filter(|sequence| *sequence > 0).collect::<BTreeSet<u64>>() {
            let message = match events.direct_get(sequence).await {
                Ok(message) => message,
                Err(error) if error.kind() == DirectGetErrorKind::NotFound => continue,
                Err(error) => return Err(error).context("failed to read an event"),
            };
            let event = StoredEvent::new(message.subject, sequence, Some(message.headers), bytes::Bytes::new());
            let entry =
                ReplayEntry { event_id: event.id, event_subject: event.subject.to_string(), event_sequence: sequence };
            let retry = entry.due(&endpoint.id, &id);
            let publish = PublishMessage::build().headers(retry.headers).payload(retry.payload);
            let stored = self.broker.jetstream.send_publish(retry.subject, publish).await;
            acknowledgements.push(stored.context("failed to store a retry")?);
            copied.push(sequence);
        }
        for stored in acknowledgements {
            stored.await.context("failed to store a retry")?;
        }
        let total = copied.len() as u64;
        let replay = Replay {
            id,
            endpoint: endpoint.id.clone(),
            of: ReplaySelection::Events { sequences: copied },
            state: ReplayState::Running,
            total,
            waiting: total,
            created_at: clock::now_iso(),
            ended_at: None,
        };
        Ok(ReplayRecord { replay, progress: CopyProgress { last_sequence: 0, copied: true } })
    }
}
