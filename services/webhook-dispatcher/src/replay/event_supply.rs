//! What a replay is to deliver, in the order of the events: read ahead from EVENTS, or whole where it is a list.
//!
//! A reader of EVENTS settles nothing. It is made again where the copying stands whenever a message did not arrive: its
//! consumer counts what it sends, so nothing is passed over.

use crate::{
    endpoint::Endpoint,
    event::{StoredEvent, session_of},
    jetstream::{self, events_identity::EventsIdentity, retry_queue::ReplayEntry, stream_counts},
    replay::{
        record::ReplayRecord,
        source::{ReplaySource, letter_entry},
    },
};
use anyhow::{Context as _, ensure};
use async_nats::jetstream::{
    Message,
    consumer::{Consumer, DeliverPolicy, pull},
};
use futures::StreamExt as _;
use kurir_chassis::broker::Broker;
use kurir_contract::{chat::ChatToken, endpoint::EventOrdering, stream, subject, webhook::ReplaySelection};
use std::{collections::BTreeMap, ops::ControlFlow};

/// Events that are read and not copied. They hold no payload, so this is some megabytes. Of an endpoint that keeps its chats
/// in order, a chat whose event is not accepted holds up others only when it has so many events behind it.
const READ_AHEAD: usize = 10_000;
/// Messages in flight while they are read.
const BATCH: usize = 500;

/// An event that is to be copied.
pub struct EventOfChat {
    pub entry: ReplayEntry,
    pub chat: ChatToken,
}

/// What is left to copy, by sequence in EVENTS.
pub type EventsLeft = BTreeMap<u64, EventOfChat>;

/// Where the events of one replay come from.
pub struct EventSupply {
    reader: Option<EventReader>,
    /// For whom it reads: chats are known only where they are kept in order.
    pub ordering: EventOrdering,
    /// All events up to this sequence were read.
    read_to: u64,
}

struct EventReader {
    consumer: Consumer<pull::Config>,
    /// How many messages have arrived.
    arrived: u64,
    last_sequence: u64,
}

impl EventSupply {
    /// Opens the supply behind what was copied.
    ///
    /// # Errors
    /// If NATS is away or refuses.
    pub async fn open(
        broker: &Broker,
        record: &ReplayRecord,
        endpoint: &Endpoint,
        left: &mut EventsLeft,
    ) -> anyhow::Result<Self> {
        left.clear();
        let ordering = endpoint.ordering;
        let mut supply = Self { reader: None, ordering, read_to: record.progress.last_sequence };
        match &record.replay.of {
            ReplaySelection::DeadLetters => *left = read_letters(broker, record, endpoint).await?,
            ReplaySelection::Events { sequences } => {
                *left = read_selected(broker, sequences, record.progress.copied_through).await?;
            }
            ReplaySelection::Since { .. } | ReplaySelection::DeadLetter { .. } => {
                let source = ReplaySource::new(&record.replay.of, endpoint)?.behind(record.progress.copied_through);
                let consumer = source.create_reader(broker, &record.replay.id, ordering).await?;
                supply.reader =
                    Some(EventReader { consumer, arrived: 0, last_sequence: record.progress.last_sequence });
                supply.read_to = record.progress.copied_through;
            }
        }
        Ok(supply)
    }

    /// Reads ahead. False: everything was read.
    ///
    /// # Errors
    /// If NATS is away, or a message did not arrive: open it again.
    pub async fn fill(&mut self, left: &mut EventsLeft) -> anyhow::Result<bool> {
        let Some(reader) = &mut self.reader else { return Ok(false) };
        let room = READ_AHEAD.saturating_sub(left.len()).min(BATCH);
        if room == 0 {
            return Ok(true);
        }
        let mut messages =
            reader.consumer.fetch().max_messages(room).messages().await.context("failed to read events")?;
        let (mut count, mut is_over) = (0, false);
        while let Some(message) = messages.next().await {
            let message = message.map_err(anyhow::Error::from_boxed).context("failed to read events")?;
            let info = message.info().map_err(anyhow::Error::from_boxed)?;
            reader.arrived += 1;
            count += 1;
            ensure!(info.consumer_sequence == reader.arrived, "a message of EVENTS did not arrive");
            is_over |= info.stream_sequence >= reader.last_sequence || info.pending == 0;
            if info.stream_sequence <= reader.last_sequence {
                self.read_to = info.stream_sequence;
                let sequence = info.stream_sequence;
                left.insert(sequence, event_of_chat(&message, sequence, self.ordering));
            }
        }
        if count == 0 {
            let info = reader.consumer.get_info().await.context("failed to read the consumer of a replay")?;
            ensure!(info.delivered.consumer_sequence == reader.arrived, "a message of EVENTS did not arrive");
            is_over = info.num_pending == 0;
        }
        if is_over {
            self.read_to = reader.last_sequence;
            self.reader = None;
        }
        Ok(!is_over)
    }

    /// All events up to this sequence were copied, if these are left.
    #[must_use]
    pub fn copied_through(&self, left: &EventsLeft) -> u64 {
        left.first_key_value().map_or(self.read_to, |(first, _)| first - 1)
    }
}

/// Whether EVENTS is the stream in which the replay's sequences count. One without an own name was stored by an older version.
pub async fn is_same_stream(broker: &Broker, record: &ReplayRecord) -> anyhow::Result<bool> {
    let Some(created) = &record.progress.stream_created else { return Ok(true) };
    Ok(EventsIdentity::read(broker).await?.created == *created)
}

fn event_of_chat(message: &Message, sequence: u64, ordering: EventOrdering) -> EventOfChat {
    let payload = message.payload.clone();
    let event = StoredEvent::new(message.subject.clone(), sequence, message.headers.clone(), payload);
    build_event(event, ordering)
}

fn build_event(event: StoredEvent, ordering: EventOrdering) -> EventOfChat {
    let chat = match ordering {
        EventOrdering::None => ChatToken::from(0),
        EventOrdering::Chat => ChatToken::from_event(&session_of(&event.subject), &event.payload),
    };
    let entry =
        ReplayEntry { event_id: event.id, event_subject: event.subject.to_string(), event_sequence: event.sequence };
    EventOfChat { entry, chat }
}

/// Reads the events that are named one by one. One that is gone is left out.
async fn read_selected(broker: &Broker, sequences: &[u64], copied_through: u64) -> anyhow::Result<EventsLeft> {
    let reader = jetstream::event_reader::EventReader::open(broker).await?;
    let mut left = EventsLeft::new();
    for &sequence in sequences.iter().filter(|sequence| **sequence > copied_through) {
        if let Some(event) = reader.read_at(sequence).await? {
            left.insert(sequence, build_event(event, EventOrdering::Chat));
        }
    }
    Ok(left)
}

/// Reads the dead letters of the replay that are left.
async fn read_letters(broker: &Broker, record: &ReplayRecord, endpoint: &Endpoint) -> anyhow::Result<EventsLeft> {
    let filter = subject::dead_letters(&endpoint.id);
    let mut left = EventsLeft::new();
    stream_counts::read_stored(broker, stream::DEAD_LETTERS, filter, DeliverPolicy::All, |message| {
        let sequence = message.info().map_err(anyhow::Error::from_boxed)?.stream_sequence;
        if sequence > record.progress.last_sequence {
            return Ok(ControlFlow::Break(()));
        }
        match letter_entry(message) {
            Ok((entry, letter)) => {
                let session = session_of(&entry.event_subject);
                let chat = ChatToken::from_event(&session, letter.payload.as_bytes());
                left.insert(entry.event_sequence, EventOfChat { entry, chat });
            }
            Err(error) => tracing::warn!("left dead letter {sequence} out of a replay: {error:#}"),
        }
        Ok(ControlFlow::Continue(()))
    })
    .await?;
    Ok(left)
}
