//! A replay of events that are named one by one: all of them stand in RETRIES before the replay is stored, unless the endpoint
//! keeps its chats in order.
//!
//! If the dispatcher dies in between, those that were copied are delivered, and no replay shows them.

use crate::{
    endpoint::Endpoint,
    jetstream::{event_reader::EventReader, events_identity::EventsIdentity, retry_queue::ReplayEntry},
    replay::{
        record::{self, CopyProgress, ReplayRecord},
        service::ReplayService,
    },
};
use anyhow::Context as _;
use async_nats::jetstream::message::PublishMessage;
use kurir_contract::{
    clock,
    endpoint::EventOrdering,
    webhook::{Replay, ReplaySelection, ReplayState},
};
use std::collections::BTreeSet;

impl ReplayService {
    /// Begins a replay of single events, each once; one that is gone from EVENTS is left out. Where chats are kept in order,
    /// the copier goes on: the next event of a chat waits for the one before it.
    pub(super) async fn begin_selected(
        &self,
        endpoint: &Endpoint,
        sequences: Vec<u64>,
    ) -> anyhow::Result<ReplayRecord> {
        let id = record::new_id();
        let identity = EventsIdentity::read(&self.broker).await?;
        let events = EventReader::open(&self.broker).await?;
        let (mut found, mut acknowledgements) = (Vec::new(), Vec::new());
        for sequence in sequences.into_iter().filter(|sequence| *sequence > 0).collect::<BTreeSet<u64>>() {
            let Some(event) = events.read_at(sequence).await? else { continue };
            found.push(sequence);
            if endpoint.ordering == EventOrdering::Chat {
                continue;
            }
            let entry =
                ReplayEntry { event_id: event.id, event_subject: event.subject.to_string(), event_sequence: sequence };
            let retry = entry.due(&endpoint.id, &id);
            let publish = PublishMessage::build().headers(retry.headers).payload(retry.payload);
            let stored = self.broker.jetstream.send_publish(retry.subject, publish).await;
            acknowledgements.push(stored.context("failed to store a retry")?);
        }
        for stored in acknowledgements {
            stored.await.context("failed to store a retry")?;
        }
        let total = found.len() as u64;
        let progress = CopyProgress {
            last_sequence: found.last().copied().unwrap_or_default(),
            copied: endpoint.ordering == EventOrdering::None,
            stream_created: Some(identity.created),
            copied_through: 0,
        };
        let replay = Replay {
            id,
            endpoint: endpoint.id.clone(),
            of: ReplaySelection::Events { sequences: found },
            state: ReplayState::Running,
            total,
            waiting: total,
            created_at: clock::now_iso(),
            ended_at: None,
        };
        Ok(ReplayRecord { replay, progress })
    }
}
