//! Copies the events of a replay into RETRIES in the order in which they happened.
//!
//! One dispatcher copies, which has a lease on the replay. Of an endpoint that keeps its chats in order, the next event of a
//! chat is copied when RETRIES does not hold the one before it any more: it was accepted, or is a dead letter. A dispatcher
//! that takes over begins behind what the record says, and what RETRIES holds is not copied again.

use crate::{
    endpoint::Endpoint,
    endpoints::retry_lease::RetryLease,
    jetstream::stream_counts,
    replay::{
        event_supply::{EventSupply, EventsLeft, is_same_stream},
        record::ReplayRecord,
        service::ReplayService,
        source,
        window::CopyWindow,
    },
};
use anyhow::Context as _;
use async_nats::jetstream::message::PublishMessage;
use kurir_contract::{
    chat::ChatToken,
    endpoint::EventOrdering,
    stream, subject,
    webhook::{ReplaySelection, ReplayState},
};
use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};
use tokio::time::Instant;

/// After this time everything is checked again, as in the other copier.
const ROUND: Duration = Duration::from_secs(1);
/// Between two looks into RETRIES. Each lets one more event of every chat go.
const CHECK_INTERVAL: Duration = Duration::from_millis(50);

/// The copying of one replay in this dispatcher.
#[derive(Default)]
pub struct EventOrderCopy {
    lease: Option<RetryLease>,
    /// None until it is opened, and again after each failure.
    supply: Option<EventSupply>,
    /// What was read and is not copied.
    left: EventsLeft,
    /// The chats of the events that RETRIES may hold.
    copied: HashMap<u64, ChatToken>,
}

/// The sequences that RETRIES holds of a replay.
struct InRetries {
    all: HashSet<u64>,
    /// How many of them are due.
    due: usize,
}

impl ReplayService {
    /// Copies for one round, if this dispatcher has the lease.
    pub(super) async fn copy_in_event_order(
        &self,
        record: &ReplayRecord,
        endpoint: &Endpoint,
        copy: &mut EventOrderCopy,
        window: &mut CopyWindow,
    ) -> anyhow::Result<()> {
        let id = &record.replay.id;
        let lease = copy.lease.get_or_insert_with(|| RetryLease::new(self.broker.clone(), format!("replay-{id}")));
        if !lease.claim().await? {
            copy.supply = None;
            return Ok(());
        }
        if copy.supply.as_ref().is_some_and(|supply| supply.ordering != endpoint.ordering) {
            copy.supply = None;
        }
        let result = self.copy_for_a_while(record, endpoint, copy, window).await;
        match &result {
            Ok(true) => {
                self.records.update(id, |record| record.progress.copied = true).await?;
                source::remove_consumers(&self.broker, id).await;
                if let Some(lease) = &mut copy.lease {
                    lease.release().await;
                }
            }
            Ok(false) => {}
            // What was copied and what was not is read again.
            Err(_) => copy.supply = None,
        }
        result.map(drop)
    }

    /// Copies for one [`ROUND`]. True: everything was copied.
    async fn copy_for_a_while(
        &self,
        record: &ReplayRecord,
        endpoint: &Endpoint,
        copy: &mut EventOrderCopy,
        window: &mut CopyWindow,
    ) -> anyhow::Result<bool> {
        if !matches!(record.replay.of, ReplaySelection::DeadLetters) && !is_same_stream(&self.broker, record).await? {
            tracing::warn!(
                endpoint.id = %endpoint.id,
                "the stream EVENTS was made anew: what the replay {} has not delivered is gone", record.replay.id
            );
            return Ok(true);
        }
        let mut copied_through = record.progress.copied_through;
        let until = Instant::now() + ROUND;
        while Instant::now() < until {
            // Read before the dead letters: one that is delivered leaves both, and must not be copied a second time.
            let in_retries = self.sequences_in_retries(record).await?;
            let supply = match &mut copy.supply {
                Some(supply) => supply,
                None => copy.supply.insert(EventSupply::open(&self.broker, record, endpoint, &mut copy.left).await?),
            };
            let has_more = supply.fill(&mut copy.left).await?;
            copy.left.retain(|sequence, event| {
                // Copied by another dispatcher before.
                let is_copied = in_retries.all.contains(sequence);
                if is_copied {
                    copy.copied.insert(*sequence, event.chat);
                }
                !is_copied
            });
            copy.copied.retain(|sequence, _| in_retries.all.contains(sequence));
            let room = window.room(in_retries.due);
            let next = next_events(&copy.left, &copy.copied, endpoint.ordering, room);
            self.store_due(record, endpoint, &copy.left, &next).await?;
            for sequence in next {
                if let Some(event) = copy.left.remove(&sequence) {
                    copy.copied.insert(sequence, event.chat);
                }
            }
            if !has_more && copy.left.is_empty() {
                return Ok(true);
            }
            let through = supply.copied_through(&copy.left);
            if through != copied_through && !matches!(record.replay.of, ReplaySelection::DeadLetters) {
                copied_through = through;
                let id = &record.replay.id;
                let stored = self.records.update(id, |record| record.progress.copied_through = through).await?;
                if stored.is_none_or(|record| record.replay.state != ReplayState::Running) {
                    return Ok(false);
                }
            }
            tokio::time::sleep(CHECK_INTERVAL).await;
        }
        Ok(false)
    }

    /// Stores the retries in this order, and waits for NATS once for all.
    async fn store_due(
        &self,
        record: &ReplayRecord,
        endpoint: &Endpoint,
        left: &EventsLeft,
        sequences: &[u64],
    ) -> anyhow::Result<()> {
        let mut acknowledgements = Vec::with_capacity(sequences.len());
        for event in sequences.iter().filter_map(|sequence| left.get(sequence)) {
            let retry = event.entry.due(&endpoint.id, &record.replay.id);
            let publish = PublishMessage::build().headers(retry.headers).payload(retry.payload);
            let stored = self.broker.jetstream.send_publish(retry.subject, publish).await;
            acknowledgements.push(stored.context("failed to store a retry")?);
        }
        for stored in acknowledgements {
            stored.await.context("failed to store a retry")?;
        }
        Ok(())
    }

    async fn sequences_in_retries(&self, record: &ReplayRecord) -> anyhow::Result<InRetries> {
        let (endpoint, id) = (&record.replay.endpoint, &record.replay.id);
        let filter = subject::retries_of_run(endpoint, id);
        let subjects = stream_counts::list_subjects(&self.broker, stream::RETRIES, &filter).await?;
        let due = subject::due_retries_of_run(endpoint, id);
        Ok(InRetries {
            all: subjects.iter().filter_map(|subject| Some(subject::parse_retry(subject)?.sequence)).collect(),
            due: subjects.iter().filter(|subject| subject::filter_matches(&due, subject)).count(),
        })
    }
}

/// The events to copy now, in their order. Where chats are kept in order, at most one of each chat is under way, and it is
/// the first that is left.
fn next_events(left: &EventsLeft, copied: &HashMap<u64, ChatToken>, ordering: EventOrdering, room: usize) -> Vec<u64> {
    let mut busy: HashSet<ChatToken> = match ordering {
        EventOrdering::None => HashSet::new(),
        EventOrdering::Chat => copied.values().copied().collect(),
    };
    let mut may_go = |chat| match ordering {
        EventOrdering::None => true,
        EventOrdering::Chat => busy.insert(chat),
    };
    left.iter().filter(|(_, event)| may_go(event.chat)).map(|(sequence, _)| *sequence).take(room).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{jetstream::retry_queue::ReplayEntry, replay::event_supply::EventOfChat};
    use kurir_contract::event::EventId;

    fn events(chats: &[(u64, u64)]) -> EventsLeft {
        let entry = |sequence| ReplayEntry {
            event_id: EventId::random(),
            event_subject: String::new(),
            event_sequence: sequence,
        };
        chats
            .iter()
            .map(|&(sequence, chat)| (sequence, EventOfChat { entry: entry(sequence), chat: ChatToken::from(chat) }))
            .collect()
    }

    #[test]
    fn they_go_in_the_order_of_their_events_and_one_of_each_chat_where_order_is_kept() {
        let left = events(&[(6, 1), (2, 1), (5, 2), (9, 3), (7, 2)]);
        let nothing = HashMap::new();
        assert_eq!(next_events(&left, &nothing, EventOrdering::None, 99), [2, 5, 6, 7, 9]);
        assert_eq!(next_events(&left, &nothing, EventOrdering::None, 2), [2, 5]);
        assert_eq!(next_events(&left, &nothing, EventOrdering::Chat, 99), [2, 5, 9]);
        let under_way = HashMap::from([(1, ChatToken::from(2))]);
        assert_eq!(next_events(&left, &under_way, EventOrdering::Chat, 99), [2, 9]);
    }
}
