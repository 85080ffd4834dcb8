//! Files in NATS' object stores, written and read in chunks of 128 kB. At most one chunk is in memory.
//!
//! A reader requests one chunk after another, so a slow reader slows NATS down. The client's own reader receives chunks as
//! fast as they arrive, and keeps those that nobody has read.

use crate::broker::Broker;
use async_nats::{
    Client,
    jetstream::{
        consumer::push::OrderedConfig,
        object_store::{InfoErrorKind, ObjectInfo, ObjectMetadata},
        stream::{DirectGetErrorKind, Stream},
    },
};
use bytes::Bytes;
use futures::StreamExt as _;
use kurir_contract::media::{CONTENT_TYPE, SENDER_NAME};
use std::{collections::HashMap, time::Duration};
use tokio::{
    io::AsyncRead,
    time::{Instant, sleep, timeout_at},
};

/// The deadline of one answer of NATS: the API promises its 503 within 5 s.
const ANSWER_WITHIN: Duration = Duration::from_secs(4);
/// The pause before a missing chunk is requested again: a replica may know of a file before it has the chunks.
const CHUNK_RETRY: Duration = Duration::from_millis(50);
/// The header in which NATS states the size of a message whose payload it leaves out.
const CHUNK_SIZE: &str = "Nats-Msg-Size";
/// The content type of a file without one.
const UNKNOWN_TYPE: &str = "application/octet-stream";

/// Why a file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    #[error("there is no such file")]
    NotFound,
    #[error("NATS did not deliver the file: {0}")]
    Unavailable(String),
}

/// What is stored besides a file's bytes.
#[derive(Clone, Copy, Debug)]
pub struct ObjectHead<'a> {
    pub name: &'a str,
    pub content_type: &'a str,
    /// The name that its sender gave it. It is hostile.
    pub sender_name: Option<&'a str>,
}

/// An open file.
pub struct ObjectReader {
    stream: Stream,
    client: Client,
    /// The subject of the file's chunks.
    chunks: String,
    /// The next chunk has this sequence or a later one.
    sequence: u64,
    bytes_left: u64,
    pub size: u64,
    pub content_type: String,
    /// The name that the file's sender gave it; none if it has none. It is hostile.
    pub sender_name: Option<String>,
    /// The digest of the file's bytes.
    pub digest: String,
}

impl Broker {
    /// Stores a file under a name. It replaces an earlier file when all of it is stored.
    ///
    /// # Errors
    /// If NATS is away or refuses.
    pub async fn put_object(
        &self,
        bucket: &str,
        head: ObjectHead<'_>,
        max_age: Duration,
        file: &mut (impl AsyncRead + Unpin),
    ) -> anyhow::Result<u64> {
        let store = self.object_store(bucket, max_age).await?;
        let mut metadata = HashMap::from([(CONTENT_TYPE.to_owned(), head.content_type.to_owned())]);
        metadata.extend(head.sender_name.map(|given| (SENDER_NAME.to_owned(), given.to_owned())));
        let meta = ObjectMetadata { name: head.name.to_owned(), metadata, ..ObjectMetadata::default() };
        Ok(store.put(meta, file).await?.size as u64)
    }

    /// Opens a file for reading.
    ///
    /// # Errors
    /// If there is no such file, or NATS is away.
    pub async fn open_object(&self, bucket: &str, name: &str) -> Result<ObjectReader, ObjectError> {
        if !self.is_connected() {
            return Err(ObjectError::Unavailable("no connection to NATS".to_owned()));
        }
        let opened = async {
            // Not created if it is missing: only a service that stores files knows how long they are kept.
            let stream = match self.jetstream.get_stream(format!("OBJ_{bucket}")).await {
                Ok(stream) => stream,
                Err(error) => return Err(open_error(&error)),
            };
            let store = self.jetstream.get_object_store(bucket).await.map_err(unavailable)?;
            match store.info(name).await {
                Ok(info) if info.deleted => Err(ObjectError::NotFound),
                Ok(info) => Ok(ObjectReader::new(stream, self.client.clone(), bucket, info)),
                Err(error) if error.kind() == InfoErrorKind::NotFound => Err(ObjectError::NotFound),
                Err(error) => Err(unavailable(error)),
            }
        };
        tokio::time::timeout(ANSWER_WITHIN, opened)
            .await
            .unwrap_or_else(|_| Err(ObjectError::Unavailable("no answer".to_owned())))
    }
}

fn unavailable(error: impl std::fmt::Display) -> ObjectError {
    ObjectError::Unavailable(error.to_string())
}

/// A store that does not exist has no file.
fn open_error(error: &async_nats::jetstream::context::GetStreamError) -> ObjectError {
    use async_nats::jetstream::{ErrorCode, context::GetStreamErrorKind};
    match error.kind() {
        GetStreamErrorKind::JetStream(refused) if refused.error_code() == ErrorCode::STREAM_NOT_FOUND => {
            ObjectError::NotFound
        }
        _ => unavailable(error),
    }
}

impl ObjectReader {
    fn new(stream: Stream, client: Client, bucket: &str, info: ObjectInfo) -> Self {
        let ObjectInfo { size, nuid, digest, mut metadata, .. } = info;
        Self {
            stream,
            client,
            chunks: format!("$O.{bucket}.C.{nuid}"),
            sequence: 1,
            bytes_left: size as u64,
            size: size as u64,
            content_type: metadata.remove(CONTENT_TYPE).unwrap_or_else(|| UNKNOWN_TYPE.to_owned()),
            sender_name: metadata.remove(SENDER_NAME).filter(|name| !name.is_empty()),
            digest: digest.unwrap_or_default(),
        }
    }

    /// Seeks to the chunk that holds the byte at `offset`, before the first chunk is read. Returns the offset at which that
    /// chunk begins. Earlier chunks are counted by their sizes, and are not transferred.
    ///
    /// # Errors
    /// If NATS does not deliver the sizes in time.
    pub async fn seek(&mut self, offset: u64) -> Result<u64, ObjectError> {
        if offset == 0 {
            return Ok(0);
        }
        // Chunks have any size up to 128 kB, and those of other files lie between them.
        let sizes = OrderedConfig {
            deliver_subject: self.client.new_inbox(),
            filter_subject: self.chunks.clone(),
            headers_only: true,
            ..OrderedConfig::default()
        };
        let counted = async {
            let consumer = self.stream.create_consumer(sizes).await.map_err(unavailable)?;
            let mut chunks = consumer.messages().await.map_err(unavailable)?;
            let mut begins = 0;
            while let Some(chunk) = chunks.next().await {
                let chunk = chunk.map_err(unavailable)?;
                let size = chunk.headers.as_ref().and_then(|headers| headers.get(CHUNK_SIZE));
                let size: u64 =
                    size.and_then(|size| size.as_str().parse().ok()).ok_or_else(|| unavailable("no size"))?;
                let info = chunk.info().map_err(unavailable)?;
                if begins + size > offset || info.pending == 0 {
                    return Ok((info.stream_sequence, begins));
                }
                begins += size;
            }
            Err(unavailable("its chunks end too early"))
        };
        let counted = tokio::time::timeout(ANSWER_WITHIN, counted).await;
        let (sequence, begins) = counted.unwrap_or_else(|_| Err(unavailable("no answer")))?;
        self.sequence = sequence;
        self.bytes_left = self.size.checked_sub(begins).ok_or_else(|| unavailable("it is longer than it says"))?;
        Ok(begins)
    }

    /// The next chunk; none at the end.
    ///
    /// # Errors
    /// If NATS does not deliver it in time.
    pub async fn next_chunk(&mut self) -> Result<Option<Bytes>, ObjectError> {
        if self.bytes_left == 0 {
            return Ok(None);
        }
        let deadline = Instant::now() + ANSWER_WITHIN;
        loop {
            let request = self.stream.direct_get_next_for_subject(self.chunks.as_str(), Some(self.sequence));
            let chunk = match timeout_at(deadline, request).await {
                Ok(Ok(chunk)) => chunk,
                Ok(Err(error)) if error.kind() == DirectGetErrorKind::NotFound => {
                    if Instant::now() + CHUNK_RETRY >= deadline {
                        return Err(ObjectError::NotFound);
                    }
                    sleep(CHUNK_RETRY).await;
                    continue;
                }
                Ok(Err(error)) => return Err(unavailable(error)),
                Err(_) => return Err(ObjectError::Unavailable("no answer".to_owned())),
            };
            self.sequence = chunk.sequence + 1;
            let length = chunk.payload.len() as u64;
            self.bytes_left =
                self.bytes_left.checked_sub(length).ok_or_else(|| unavailable("it is longer than it says"))?;
            return Ok(Some(chunk.payload));
        }
    }
}
