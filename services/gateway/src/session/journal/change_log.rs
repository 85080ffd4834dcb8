//! The changes of one session in the stream `SESSION_CHANGES`, under the session's own subject.
//!
//! A change that is larger than one message goes out in several. Only the last of them counts: a change whose last part is
//! missing was never made.

use super::{UnreadableState, change::StoreChange};
use anyhow::{Context as _, bail};
use async_nats::jetstream::{
    ErrorCode,
    consumer::{DeliverPolicy, pull::OrderedConfig},
    context::GetStreamErrorKind,
    stream::{Config, DirectGetErrorKind, DiscardPolicy, RetentionPolicy, StorageType, Stream},
};
use bytes::Bytes;
use futures::StreamExt as _;
use kurir_chassis::{
    broker::Broker,
    key_ring::KeyRing,
    publish::{OutgoingMessage, PublishError},
};
use kurir_contract::{session::SessionId, subject};
use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};
use tokio::time::{Instant, timeout};

/// The stream of all changes.
const CHANGES_STREAM: &str = "SESSION_CHANGES";
/// NATS compares the sequence in this header with that of the subject's last message.
const EXPECTED_LAST: &str = "Nats-Expected-Last-Subject-Sequence";
/// `<part>/<parts>` of a change that does not fit into one message.
const PART: &str = "Kurir-Part";
/// The most bytes of one message: less than NATS' default limit of 1 MB.
const LARGEST_PART: usize = 768 * 1024;
/// The most bytes of one change.
const LARGEST_CHANGE: usize = 128 << 20;
/// NATS sends the next change in milliseconds.
const NEXT_WITHIN: Duration = Duration::from_secs(10);
/// An append is repeated under the same id; within this time it is stored once.
const DUPLICATE_WINDOW: Duration = Duration::from_secs(5 * 60);

pub struct ChangeLog {
    broker: Broker,
    keys: KeyRing,
    subject: String,
    /// Names this process' appends; the number of the change follows.
    writer: String,
    /// Counts the changes: one that may be stored although its append failed is never taken for another one.
    changes: AtomicU64,
}

/// A change as it was stored.
pub struct LogEntry {
    /// Of its last part.
    pub sequence: u64,
    pub change: StoreChange,
}

/// Where a change is.
pub struct Stored {
    pub sequence: u64,
    pub bytes: u64,
}

/// Why a change was not appended.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    #[error("another gateway has appended meanwhile")]
    Overtaken,
    /// It may be stored all the same.
    #[error(transparent)]
    Failed(#[from] anyhow::Error),
}

impl ChangeLog {
    pub fn new(broker: Broker, keys: KeyRing, session: SessionId) -> Self {
        let subject = subject::session_changes(&session);
        Self { broker, keys, subject, writer: format!("{:016x}", rand::random::<u64>()), changes: AtomicU64::new(0) }
    }

    /// Makes the stream if it is missing.
    pub async fn ensure_stream(&self) -> anyhow::Result<()> {
        let config = Config {
            name: CHANGES_STREAM.to_owned(),
            subjects: vec![subject::ALL_SESSION_CHANGES.to_owned()],
            retention: RetentionPolicy::Limits,
            // Full, it refuses changes, and the session stops; it never forgets a key.
            discard: DiscardPolicy::New,
            storage: StorageType::File,
            duplicate_window: DUPLICATE_WINDOW,
            num_replicas: self.broker.replicas(),
            allow_direct: true,
            ..Config::default()
        };
        let made = self.broker.jetstream.get_or_create_stream(config).await;
        made.with_context(|| format!("failed to create the stream {CHANGES_STREAM}")).map(drop)
    }

    /// When the stream was made, in Unix nanoseconds: positions in an older one mean nothing in it.
    pub async fn stream_created(&self) -> anyhow::Result<String> {
        Ok(self.stream().await?.cached_info().created.unix_timestamp_nanos().to_string())
    }

    /// The sequence of the session's last message; 0 if there is none.
    pub async fn last_sequence(&self) -> anyhow::Result<u64> {
        match self.stream().await?.direct_get_last_for_subject(&self.subject).await {
            Ok(message) => Ok(message.sequence),
            Err(error) if error.kind() == DirectGetErrorKind::NotFound => Ok(0),
            Err(error) => Err(error).context("failed to read the session's last change"),
        }
    }

    /// The changes after a sequence that are stored by now, in their order.
    pub async fn read(&self, after: u64) -> anyhow::Result<Vec<LogEntry>> {
        let unread = "failed to read the session's changes";
        let last = self.last_sequence().await?;
        let (mut entries, mut parts) = (Vec::new(), Vec::new());
        if last <= after {
            return Ok(entries);
        }
        let config = OrderedConfig {
            filter_subject: self.subject.clone(),
            deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: after + 1 },
            ..OrderedConfig::default()
        };
        let consumer = self.stream().await?.create_consumer(config).await.context(unread)?;
        let mut messages = consumer.messages().await.context(unread)?;
        loop {
            let message = timeout(NEXT_WITHIN, messages.next()).await.context(unread)?;
            let message = message.context(unread)?.context(unread)?;
            let sequence = message.info().map_err(|error| anyhow::anyhow!("{unread}: {error}"))?.stream_sequence;
            let headers = message.headers.as_ref();
            let part = headers.and_then(|headers| headers.get(PART)).map(|part| part.as_str().to_owned());
            let (number, of) = read_part(part.as_deref()).context("a change in NATS has no readable number")?;
            if number == 1 {
                // Parts before it were never completed.
                parts.clear();
            }
            parts.extend_from_slice(&message.payload);
            if parts.len() > LARGEST_CHANGE {
                bail!("a change in NATS is larger than {LARGEST_CHANGE} bytes");
            }
            if number == of {
                let opened = self.keys.open(&self.subject, &parts).map_err(|error| {
                    UnreadableState(format!("a change of the session in NATS does not open with SESSION_KEY: {error}"))
                })?;
                let change = rmp_serde::from_slice(&opened)
                    .map_err(|error| UnreadableState(format!("a change of the session cannot be read: {error}")))?;
                entries.push(LogEntry { sequence, change });
                parts.clear();
            }
            if sequence >= last {
                return Ok(entries);
            }
        }
    }

    /// Appends a change behind the message with the sequence `last`.
    ///
    /// # Errors
    /// See [`AppendError`].
    pub async fn append(&self, change: &StoreChange, last: u64, deadline: Instant) -> Result<Stored, AppendError> {
        let plain = rmp_serde::to_vec_named(change).context("a change cannot be written")?;
        let sealed = self.keys.seal(&self.subject, &plain).map_err(|_| anyhow::anyhow!("a change cannot be sealed"))?;
        if sealed.len() > LARGEST_CHANGE {
            return Err(AppendError::Failed(anyhow::anyhow!("a change is larger than {LARGEST_CHANGE} bytes")));
        }
        let sealed = Bytes::from(sealed);
        let of = sealed.len().div_ceil(LARGEST_PART).max(1);
        let id = self.changes.fetch_add(1, Ordering::Relaxed);
        let mut sequence = last;
        for number in 1..=of {
            let begin = (number - 1) * LARGEST_PART;
            let part = sealed.slice(begin..sealed.len().min(begin + LARGEST_PART));
            let message = OutgoingMessage::new(self.subject.clone(), part)
                .with_id(&format!("{}-{id}-{number}", self.writer))
                .with_header(EXPECTED_LAST, sequence.to_string());
            let message = if of == 1 { message } else { message.with_header(PART, format!("{number}/{of}")) };
            sequence = match self.broker.publish_until_stored(&message, deadline).await {
                Ok(stored) => stored.sequence,
                Err(PublishError::Overtaken) => return Err(AppendError::Overtaken),
                Err(error) => return Err(AppendError::Failed(error.into())),
            };
        }
        Ok(Stored { sequence, bytes: sealed.len() as u64 })
    }

    /// Removes the changes up to a sequence. The session's last message must be behind it: the next one is compared with that.
    pub async fn remove_until(&self, sequence: u64) -> anyhow::Result<()> {
        let stream = self.stream().await?;
        let purge = stream.purge().filter(self.subject.clone()).sequence(sequence + 1);
        purge.await.context("failed to remove old changes")?;
        Ok(())
    }

    pub async fn remove_all(&self) -> anyhow::Result<()> {
        match self.stream().await {
            Ok(stream) => {
                stream.purge().filter(self.subject.clone()).await.context("failed to remove the changes")?;
                Ok(())
            }
            Err(error) if is_missing(&error) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn stream(&self) -> anyhow::Result<Stream> {
        anyhow::ensure!(self.broker.is_connected(), "no connection to NATS");
        self.broker
            .jetstream
            .get_stream(CHANGES_STREAM)
            .await
            .with_context(|| format!("failed to open {CHANGES_STREAM}"))
    }
}

fn is_missing(error: &anyhow::Error) -> bool {
    error.downcast_ref::<async_nats::jetstream::context::GetStreamError>().is_some_and(|error| {
        matches!(error.kind(), GetStreamErrorKind::JetStream(refused) if refused.error_code() == ErrorCode::STREAM_NOT_FOUND)
    })
}

/// The part's number, and how many there are.
fn read_part(header: Option<&str>) -> Option<(usize, usize)> {
    let Some(header) = header else { return Some((1, 1)) };
    let (number, of) = header.split_once('/')?;
    let (number, of) = (number.parse().ok()?, of.parse().ok()?);
    (1..=of).contains(&number).then_some((number, of))
}
