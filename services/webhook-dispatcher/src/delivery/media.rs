//! The file of a received message, put into the body as `base64` for an endpoint that wants it.
//!
//! Best effort: a file that is too large, gone, or slow to come is left out, the link stays, and a metric counts why.
//! How much of this is in memory at once is bounded. Events without a file are told by a look at their bytes.

use super::Event;
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

/// What the gateway writes if there is a file. In a text of a user the quotes would have backslashes in front.
const DOWNLOADED: &[u8] = b"\"mediaDownloaded\":true";
/// All bodies with files at once; one of the default's 5 MB is twice 6.7 MB while it is made.
const IN_MEMORY: usize = 64 << 20;
/// It comes on top of the attempt's own time, and within the reserve that the broker's patience has for its settlement.
const WITHIN: Duration = Duration::from_secs(3);

/// Puts files into bodies.
#[derive(Clone)]
pub struct Files {
    broker: Broker,
    /// The largest file, in bytes.
    largest: u64,
    memory: Arc<Semaphore>,
    counted: Family<Label, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Label {
    result: &'static str,
}

/// An event with its file in it, and the memory that it takes as long as it lives.
pub struct Filled {
    pub event: Event,
    _memory: OwnedSemaphorePermit,
}

/// Why a file is left out.
#[derive(Debug, thiserror::Error)]
enum LeftOut {
    #[error("it has {0} bytes, which is more than WEBHOOK_BASE64_MAX")]
    TooLarge(u64),
    #[error(transparent)]
    Unread(#[from] ObjectError),
    #[error("it did not come in time, or too many others are on their way")]
    Slow,
    #[error("the event does not name it")]
    Unnamed,
}

impl Files {
    pub fn new(broker: Broker, largest: u64, metrics: &MetricsRegistry) -> Self {
        let counted = Family::<Label, Counter>::default();
        metrics.declare_metrics(|registry| {
            registry.register(
                "webhook_base64",
                "Received files for endpoints that want them in the body, by result (added, or why it was left out)",
                counted.clone(),
            );
        });
        Self { broker, largest, memory: Arc::new(Semaphore::new(IN_MEMORY)), counted }
    }

    /// The event with its file; none if it has none, or if that is left out. Boxed, as what follows: few events have one.
    pub async fn fill(&self, event: &Event) -> Option<Box<Filled>> {
        let place = place(event)?;
        Box::pin(self.filled_or_counted(event, place)).await
    }

    async fn filled_or_counted(&self, event: &Event, place: usize) -> Option<Box<Filled>> {
        let filled = timeout(WITHIN, self.filled(event, place)).await.unwrap_or(Err(LeftOut::Slow));
        let result = match &filled {
            Ok(_) => "added",
            Err(LeftOut::TooLarge(_)) => "too_large",
            Err(LeftOut::Unread(ObjectError::NotFound)) => "gone",
            Err(LeftOut::Unread(ObjectError::Unavailable(_)) | LeftOut::Slow) => "slow",
            Err(LeftOut::Unnamed) => "unnamed",
        };
        self.counted.get_or_create_owned(&Label { result }).inc();
        filled
            .inspect_err(|why| tracing::debug!(event.id = %event.id, "delivered without the file in the body: {why}"))
            .ok()
            .map(Box::new)
    }

    async fn filled(&self, event: &Event, place: usize) -> Result<Filled, LeftOut> {
        let name = named(event).ok_or(LeftOut::Unnamed)?;
        let mut object = self.broker.open_object(MEDIA_BUCKET, &name).await?;
        if object.size > self.largest {
            return Err(LeftOut::TooLarge(object.size));
        }
        let payload = &event.payload;
        // The size is bounded by a setting that is checked, so it is a usize.
        let needed = object.size as usize / 3 * 4 + payload.len() + 64;
        // Twice: a format other than the contract's writes a second body.
        let permits = (2 * needed).min(IN_MEMORY) as u32;
        let memory = Arc::clone(&self.memory).acquire_many_owned(permits).await.map_err(|_| LeftOut::Slow)?;
        let mut body = Vec::with_capacity(needed);
        body.extend_from_slice(&payload[..place]);
        body.extend_from_slice(b",\"base64\":\"");
        let mut base64 = EncoderWriter::new(body, &BASE64_STANDARD);
        while let Some(piece) = object.next_chunk().await? {
            // Writing into memory cannot fail.
            let _ = base64.write_all(&piece);
        }
        let mut body = base64.finish().map_err(|_| LeftOut::Unnamed)?;
        body.push(b'"');
        body.extend_from_slice(&payload[place..]);
        Ok(Filled { event: Event { payload: body.into(), ..event.clone() }, _memory: memory })
    }
}

/// Where the file belongs in the event's bytes: behind the word that there is one.
fn place(event: &Event) -> Option<usize> {
    let may_have = [EventType::MESSAGE_RECEIVED, EventType::MESSAGE_SENT, EventType::MEDIA_DOWNLOADED];
    if !may_have.contains(&event.kind) {
        return None;
    }
    let found = event.payload.windows(DOWNLOADED.len()).position(|bytes| bytes == DOWNLOADED)?;
    Some(found + DOWNLOADED.len())
}

/// The name of its file.
fn named(event: &Event) -> Option<String> {
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

    fn event(kind: &str, payload: &'static str) -> Event {
        Event::new(format!("whatsapp.events.default.{kind}").into(), 1, None, payload.into())
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
            assert_eq!(place(&event(kind, payload)).is_some(), expected, "{kind} {payload}");
        }
        assert_eq!(named(&event("message.received", with)).as_deref(), Some("a.jpg"));
        assert_eq!(named(&event("message.received", "no JSON")), None);
    }
}
