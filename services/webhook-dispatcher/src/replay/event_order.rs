//! Copies the dead letters of an endpoint into RETRIES in the order of their events.
//!
//! DEAD_LETTERS holds them in the order in which they were given up. One dispatcher copies, which has a lease on the replay. Of
//! an endpoint that keeps its chats in order, the next event of a chat is copied when RETRIES does not hold the one before it
//! any more: it was accepted, or is a dead letter again. A dispatcher that takes over begins with the letters that are left.

use crate::{
    endpoint::Endpoint,
    endpoints::retry_lease::RetryLease,
    event::session_of,
    jetstream::{retry_queue::ReplayEntry, stream_counts},
    replay::{record::ReplayRecord, service::ReplayService, source::letter_entry, window::CopyWindow},
};
use anyhow::Context as _;
use async_nats::jetstream::consumer::DeliverPolicy;
use futures::StreamExt as _;
use kurir_contract::{chat::ChatToken, delivery::DeadLetter, endpoint::EventOrdering, stream, subject};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    time::Duration,
};
use tokio::time::Instant;

/// After this time everything is checked again, as in the other copier.
const ROUND: Duration = Duration::from_secs(1);
/// Between two looks into RETRIES. Each lets one more event of every chat go.
const CHECK_INTERVAL: Duration = Duration::from_millis(50);
/// Letters in flight while they are read.
const BATCH: usize = 100;

/// The copying of one replay in this dispatcher.
#[derive(Default)]
pub struct EventOrderCopy {
    lease: Option<RetryLease>,
    /// What is left to copy, by sequence in EVENTS; none until it was read.
    left: Option<BTreeMap<u64, LetterOfChat>>,
    /// The chats of the events that RETRIES may hold.
    copied: HashMap<u64, ChatToken>,
}

struct LetterOfChat {
    entry: ReplayEntry,
    chat: ChatToken,
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
            copy.left = None;
            return Ok(());
        }
        let until = Instant::now() + ROUND;
        while Instant::now() < until {
            let in_retries = self.sequences_in_retries(record).await?;
            if copy.left.is_none() {
                copy.left = Some(self.read_letters(record, endpoint).await?);
            }
            let Some(left) = &mut copy.left else { return Ok(()) };
            left.retain(|sequence, letter| {
                // Copied by another dispatcher before.
                let is_copied = in_retries.contains(sequence);
                if is_copied {
                    copy.copied.insert(*sequence, letter.chat);
                }
                !is_copied
            });
            copy.copied.retain(|sequence, _| in_retries.contains(sequence));
            for sequence in next_letters(left, &copy.copied, endpoint.ordering, window.room(in_retries.len())) {
                let Some(letter) = left.remove(&sequence) else { continue };
                self.store_due(record, endpoint, &letter.entry).await?;
                copy.copied.insert(sequence, letter.chat);
            }
            if left.is_empty() {
                self.records.update(id, |record| record.progress.copied = true).await?;
                lease.release().await;
                return Ok(());
            }
            tokio::time::sleep(CHECK_INTERVAL).await;
        }
        Ok(())
    }

    async fn store_due(&self, record: &ReplayRecord, endpoint: &Endpoint, entry: &ReplayEntry) -> anyhow::Result<()> {
        let retry = entry.due(&endpoint.id, &record.replay.id);
        let stored = self.broker.publish_once(&retry).await;
        stored.with_context(|| format!("failed to store {}", retry.subject))?;
        Ok(())
    }

    async fn sequences_in_retries(&self, record: &ReplayRecord) -> anyhow::Result<HashSet<u64>> {
        let filter = subject::retries_of_run(&record.replay.endpoint, &record.replay.id);
        let subjects = stream_counts::list_subjects(&self.broker, stream::RETRIES, &filter).await?;
        Ok(subjects.iter().filter_map(|subject| Some(subject::parse_retry(subject)?.sequence)).collect())
    }

    /// Reads the letters of the replay that are left.
    async fn read_letters(
        &self,
        record: &ReplayRecord,
        endpoint: &Endpoint,
    ) -> anyhow::Result<BTreeMap<u64, LetterOfChat>> {
        let filter = subject::dead_letters(&endpoint.id);
        let reader =
            stream_counts::create_reader(&self.broker, stream::DEAD_LETTERS, &[filter], DeliverPolicy::All).await?;
        let count = reader.cached_info().num_pending;
        let mut left = BTreeMap::new();
        if count > 0 {
            let messages = reader.stream().max_messages_per_batch(BATCH).messages().await;
            let mut messages = messages.context("failed to read the dead letters")?;
            while let Some(message) = messages.next().await {
                let message = message.context("failed to read the dead letters")?;
                let info = message.info().map_err(anyhow::Error::from_boxed)?;
                let (sequence, is_last) = (info.stream_sequence, info.consumer_sequence >= count || info.pending == 0);
                if sequence > record.progress.last_sequence {
                    break;
                }
                match letter_entry(&message) {
                    Ok((entry, letter)) => {
                        let chat = chat_of(&entry, &letter);
                        left.insert(entry.event_sequence, LetterOfChat { entry, chat });
                    }
                    Err(error) => tracing::warn!("left dead letter {sequence} out of a replay: {error:#}"),
                }
                if is_last {
                    break;
                }
            }
        }
        // NATS would remove the reader later.
        let name = &reader.cached_info().name;
        let _ = self.broker.jetstream.delete_consumer_from_stream(name, stream::DEAD_LETTERS).await;
        Ok(left)
    }
}

fn chat_of(entry: &ReplayEntry, letter: &DeadLetter) -> ChatToken {
    ChatToken::from_event(&session_of(&entry.event_subject), letter.payload.as_bytes())
}

/// The letters to copy now, in the order of their events. Where chats are kept in order, at most one of each chat is under
/// way, and it is the first that is left.
fn next_letters(
    left: &BTreeMap<u64, LetterOfChat>,
    copied: &HashMap<u64, ChatToken>,
    ordering: EventOrdering,
    room: usize,
) -> Vec<u64> {
    let mut busy: HashSet<ChatToken> = copied.values().copied().collect();
    let mut may_go = |letter: &LetterOfChat| match ordering {
        EventOrdering::None => true,
        EventOrdering::Chat => busy.insert(letter.chat),
    };
    left.iter().filter(|(_, letter)| may_go(letter)).map(|(sequence, _)| *sequence).take(room).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use kurir_contract::event::EventId;

    fn letters(chats: &[(u64, u64)]) -> BTreeMap<u64, LetterOfChat> {
        let letter = |sequence| ReplayEntry {
            event_id: EventId::random(),
            event_subject: String::new(),
            event_sequence: sequence,
        };
        chats
            .iter()
            .map(|&(sequence, chat)| (sequence, LetterOfChat { entry: letter(sequence), chat: ChatToken::from(chat) }))
            .collect()
    }

    #[test]
    fn they_go_in_the_order_of_their_events_and_one_of_each_chat_where_order_is_kept() {
        let left = letters(&[(6, 1), (2, 1), (5, 2), (9, 3), (7, 2)]);
        let nothing = HashMap::new();
        assert_eq!(next_letters(&left, &nothing, EventOrdering::None, 99), [2, 5, 6, 7, 9]);
        assert_eq!(next_letters(&left, &nothing, EventOrdering::None, 2), [2, 5]);
        assert_eq!(next_letters(&left, &nothing, EventOrdering::Chat, 99), [2, 5, 9]);
        let under_way = HashMap::from([(1, ChatToken::from(2))]);
        assert_eq!(next_letters(&left, &under_way, EventOrdering::Chat, 99), [2, 9]);
    }
}
