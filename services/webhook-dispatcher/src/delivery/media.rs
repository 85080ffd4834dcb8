//! Puts the file of a received message into the body as `base64`, for an endpoint that wants it.
//!
//! Best effort: a file that is too large, gone, or slow to come is left out; the link stays, and a metric counts why.
//! The memory for this is limited. A search in the bytes recognizes events without a file.

use crate::event::StoredEvent;
use base64::{prelude::BASE64_STANDARD, write::EncoderWriter};
use kurir_chassis::{broker::Broker, metrics::MetricsRegistry, objects::ObjectError};
use kurir_contract::{event::EventType, media::MEDIA_BUCKET};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
};
use serde::Deserialize;
use std::{io::Write as _, sync::Arc, time::Duration};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

/// The gateway writes this if there is a file. In a user's text the quotes would be escaped.
const DOWNLOADED: &[u8] = b"\"mediaDownloaded\":true";
/// The most memory for bodies with files. A file of the default's 5 MB takes twice 6.7 MB.
const MAX_MEMORY: usize = 64 << 20;
/// This time is added to the attempt's own; it is within the reserve for its settlement.
const EMBED_TIMEOUT: Duration = Duration::from_secs(3);

/// Puts files into bodies.
#[derive(Clone)]
pub struct MediaEmbedder {
    broker: Broker,
    /// The largest file, in bytes.
    largest: u64,
    memory: Arc<Semaphore>,
    counted: Family<MediaResultLabel, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MediaResultLabel {
    result: &'static str,
}

/// An event with its file, and the memory that it takes while it lives.
pub struct EventWithMedia {
    pub event: StoredEvent,
    _memory: OwnedSemaphorePermit,
}

/// Why a file is left out.
#[derive(Debug, thiserror::Error)]
enum OmitReason {
    #[error("it has {0} bytes, which is more than WEBHOOK_BASE64_MAX")]
    TooLarge(u64),
    #[error(transparent)]
    Unread(#[from] ObjectError),
    #[error("it did not come in time, or too many others are on their way")]
    Slow,
    #[error("the event does not name it")]
    Unnamed,
}

impl MediaEmbedder {
    pub fn new(broker: Broker, largest: u64, metrics: &MetricsRegistry) -> Self {
        let counted = Family::<MediaResultLabel, Counter>::default();
        metrics.declare_metrics(|registry| {
            registry.register(
                "webhook_base64",
                "Received files for endpoints that want them in the body, by result (added, or why it was left out)",
                counted.clone(),
            );
        });
        Self { broker, largest, memory: Arc::new(Semaphore::new(MAX_MEMORY)), counted }
    }

    /// The event with its file; none if it has no file, or if the file is left out. The rest is boxed, because few
    /// events have a file.
    pub async fn embed(&self, event: &StoredEvent) -> Option<Box<EventWithMedia>> {
        let position = insert_position(event)?;
        Box::pin(self.embed_and_count(event, position)).await
    }

    async fn embed_and_count(&self, event: &StoredEvent, position: usize) -> Option<Box<EventWithMedia>> {
        let filled = timeout(EMBED_TIMEOUT, self.embed_file(event, position)).await.unwrap_or(Err(OmitReason::Slow));
        let result = match &filled {
            Ok(_) => "added",
            Err(OmitReason::TooLarge(_)) => "too_large",
            Err(OmitReason::Unread(ObjectError::NotFound)) => "gone",
            Err(OmitReason::Unread(ObjectError::Unavailable(_)) | OmitReason::Slow) => "slow",
            Err(OmitReason::Unnamed) => "unnamed",
        };
        self.counted.get_or_create_owned(&MediaResultLabel { result }).inc();
        filled
            .inspect_err(|why| tracing::debug!(event.id = %event.id, "delivered without the file in the body: {why}"))
            .ok()
            .map(Box::new)
    }

    async fn embed_file(&self, event: &StoredEvent, position: usize) -> Result<EventWithMedia, OmitReason> {
        let name = file_name(event).ok_or(OmitReason::Unnamed)?;
        let mut object = self.broker.open_object(MEDIA_BUCKET, &name).await?;
        if object.size > self.largest {
            return Err(OmitReason::TooLarge(object.size));
        }
        let payload = &event.payload;
        // A setting, which is checked, limits the size, so it is a usize.
        let needed = object.size as usize / 3 * 4 + payload.len() + 64;
        // Twice: a format other than Kurir's own writes a second body.
        let permits = (2 * needed).min(MAX_MEMORY) as u32;
        let memory = Arc::clone(&self.memory).acquire_many_owned(permits).await.map_err(|_| OmitReason::Slow)?;
        let mut body = Vec::with_capacity(needed);
        body.extend_from_slice(&payload[..position]);
        body.extend_from_slice(b",\"base64\":\"");
        let mut base64 = EncoderWriter::new(body, &BASE64_STANDARD);
        while let Some(piece) = object.next_chunk().await? {
            // Writing into memory cannot fail.
            let _ = base64.write_all(&piece);
        }
        let mut body = base64.finish().map_err(|_| OmitReason::Unnamed)?;
        body.push(b'"');
        body.extend_from_slice(&payload[position..]);
        Ok(EventWithMedia { event: StoredEvent { payload: body.into(), ..event.clone() }, _memory: memory })
    }
}

/// Where to insert the file in the event's bytes: after the field that says there is one.
fn insert_position(event: &StoredEvent) -> Option<usize> {
    let may_have = [EventType::MESSAGE_RECEIVED, EventType::MESSAGE_SENT, EventType::MEDIA_DOWNLOADED];
    if !may_have.contains(&event.kind) {
        return None;
    }
    let found = memchr::memmem::find(&event.payload, DOWNLOADED)?;
    Some(found + DOWNLOADED.len())
}

/// The name of the event's file.
fn file_name(event: &StoredEvent) -> Option<String> {
    #[derive(Deserialize)]
    struct Envelope {
        data: Data,
    }
    #[derive(Deserialize)]
    struct Data {
        content: Content,
    }
    #[derive(Deserialize)]
    struct Content {
        filename: String,
    }
    serde_json::from_slice::<Envelope>(&event.payload).ok().map(|read| read.data.content.filename)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: &str, payload: &'static str) -> StoredEvent {
        StoredEvent::new(format!("whatsapp.events.default.{kind}").into(), 1, None, payload.into())
    }

    #[test]
    fn only_an_event_with_a_file_is_looked_at() {
        let with = r#"{"data":{"content":{"mediaDownloaded":true,"filename":"a.jpg"}}}"#;
        let quoted = r#"{"data":{"content":{"text":"\"mediaDownloaded\":true"}}}"#;
        for (kind, payload, expected) in [
            ("message.received", with, true),
            ("media.downloaded", with, true),
            ("message.edited", with, false),
            ("message.received", quoted, false),
            ("message.received", r#"{"data":{"content":{"mediaDownloaded":false}}}"#, false),
        ] {
            assert_eq!(insert_position(&event(kind, payload)).is_some(), expected, "{kind} {payload}");
        }
        assert_eq!(file_name(&event("message.received", with)).as_deref(), Some("a.jpg"));
        assert_eq!(file_name(&event("message.received", "no JSON")), None);
    }
}
