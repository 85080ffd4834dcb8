//! Files in NATS' object stores, in and out piece by piece: neither way holds more than one piece of 128 kB in memory.
//!
//! Reading asks the broker for one piece after the other, so a slow reader slows the broker down: the client's own reader
//! takes pieces as fast as they come, and keeps what nobody reads. What is in a file is the callers' business.

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
use kurir_contract::media::CONTENT_TYPE;
use std::time::Duration;
use tokio::{
    io::AsyncRead,
    time::{Instant, sleep, timeout_at},
};

/// For one answer of the broker. The API promises its 503 within 5 s.
const WITHIN: Duration = Duration::from_secs(4);
/// Another replica may know of a file some moments before it has its pieces.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// What NATS says of a message whose payload it leaves out.
const PIECE_SIZE: &str = "Nats-Msg-Size";
/// What is served for a file that does not say what it is.
const UNKNOWN_TYPE: &str = "application/octet-stream";

/// Why a file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    #[error("there is no such file")]
    NotFound,
    #[error("the broker did not give it: {0}")]
    Away(String),
}

/// A file that is being read.
pub struct ObjectReader {
    stream: Stream,
    client: Client,
    pieces: String,
    /// The next piece is here or later.
    sequence: u64,
    left: u64,
    pub size: u64,
    pub content_type: String,
    /// Of its bytes; the same file has the same.
    pub digest: String,
}

impl Broker {
    /// Stores a file under a name. What was there before is replaced when all of it is stored.
    ///
    /// # Errors
    /// If the broker is away or does not take it.
    pub async fn put_object(
        &self,
        bucket: &str,
        (name, content_type): (&str, &str),
        max_age: Duration,
        file: &mut (impl AsyncRead + Unpin),
    ) -> anyhow::Result<u64> {
        let store = self.object_store(bucket, max_age).await?;
        let metadata = [(CONTENT_TYPE.to_owned(), content_type.to_owned())].into();
        let meta = ObjectMetadata { name: name.to_owned(), metadata, ..ObjectMetadata::default() };
        Ok(store.put(meta, file).await?.size as u64)
    }

    /// Opens a file for reading.
    ///
    /// # Errors
    /// If there is none, or the broker is away.
    pub async fn open_object(&self, bucket: &str, name: &str) -> Result<ObjectReader, ObjectError> {
        if !self.is_connected() {
            return Err(ObjectError::Away("no connection to NATS".to_owned()));
        }
        let opened = async {
            // Not made if it is missing: only who stores files knows how long they are kept.
            let stream = match self.jetstream.get_stream(format!("OBJ_{bucket}")).await {
                Ok(stream) => stream,
                Err(error) => return Err(missing(&error)),
            };
            let store = self.jetstream.get_object_store(bucket).await.map_err(away)?;
            match store.info(name).await {
                Ok(info) if info.deleted => Err(ObjectError::NotFound),
                Ok(info) => Ok(ObjectReader::new(stream, self.client.clone(), bucket, info)),
                Err(error) if error.kind() == InfoErrorKind::NotFound => Err(ObjectError::NotFound),
                Err(error) => Err(away(error)),
            }
        };
        tokio::time::timeout(WITHIN, opened).await.unwrap_or_else(|_| Err(ObjectError::Away("no answer".to_owned())))
    }
}

fn away(error: impl std::fmt::Display) -> ObjectError {
    ObjectError::Away(error.to_string())
}

/// A bucket that nobody has made holds no file.
fn missing(error: &async_nats::jetstream::context::GetStreamError) -> ObjectError {
    use async_nats::jetstream::{ErrorCode, context::GetStreamErrorKind};
    match error.kind() {
        GetStreamErrorKind::JetStream(refused) if refused.error_code() == ErrorCode::STREAM_NOT_FOUND => {
            ObjectError::NotFound
        }
        _ => away(error),
    }
}

impl ObjectReader {
    fn new(stream: Stream, client: Client, bucket: &str, info: ObjectInfo) -> Self {
        let ObjectInfo { size, nuid, digest, mut metadata, .. } = info;
        Self {
            stream,
            client,
            pieces: format!("$O.{bucket}.C.{nuid}"),
            sequence: 1,
            left: size as u64,
            size: size as u64,
            content_type: metadata.remove(CONTENT_TYPE).unwrap_or_else(|| UNKNOWN_TYPE.to_owned()),
            digest: digest.unwrap_or_default(),
        }
    }

    /// Goes to the piece that holds the byte at `offset`, before the first piece is read; gives where that piece begins.
    /// The pieces before it are counted by their sizes, and do not come.
    ///
    /// # Errors
    /// If the broker does not tell their sizes in time.
    pub async fn seek(&mut self, offset: u64) -> Result<u64, ObjectError> {
        if offset == 0 {
            return Ok(0);
        }
        // Pieces have any size up to 128 kB, and those of other files lie between them; only NATS can tell.
        let sizes = OrderedConfig {
            deliver_subject: self.client.new_inbox(),
            filter_subject: self.pieces.clone(),
            headers_only: true,
            ..OrderedConfig::default()
        };
        let counted = async {
            let consumer = self.stream.create_consumer(sizes).await.map_err(away)?;
            let mut pieces = consumer.messages().await.map_err(away)?;
            let mut begins = 0;
            while let Some(piece) = pieces.next().await {
                let piece = piece.map_err(away)?;
                let size = piece.headers.as_ref().and_then(|headers| headers.get(PIECE_SIZE));
                let size: u64 = size.and_then(|size| size.as_str().parse().ok()).ok_or_else(|| away("no size"))?;
                let info = piece.info().map_err(away)?;
                if begins + size > offset || info.pending == 0 {
                    return Ok((info.stream_sequence, begins));
                }
                begins += size;
            }
            Err(away("its pieces ended too early"))
        };
        let counted = tokio::time::timeout(WITHIN, counted).await;
        let (sequence, begins) = counted.unwrap_or_else(|_| Err(away("no answer")))?;
        self.sequence = sequence;
        self.left = self.size.checked_sub(begins).ok_or_else(|| away("it is longer than it says"))?;
        Ok(begins)
    }

    /// The next piece; none at the end.
    ///
    /// # Errors
    /// If the broker does not give it in time.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ObjectError> {
        if self.left == 0 {
            return Ok(None);
        }
        let deadline = Instant::now() + WITHIN;
        loop {
            let asked = self.stream.direct_get_next_for_subject(self.pieces.as_str(), Some(self.sequence));
            let piece = match timeout_at(deadline, asked).await {
                Ok(Ok(piece)) => piece,
                Ok(Err(error)) if error.kind() == DirectGetErrorKind::NotFound => {
                    if Instant::now() + LOOK_AGAIN >= deadline {
                        return Err(ObjectError::NotFound);
                    }
                    sleep(LOOK_AGAIN).await;
                    continue;
                }
                Ok(Err(error)) => return Err(away(error)),
                Err(_) => return Err(ObjectError::Away("no answer".to_owned())),
            };
            self.sequence = piece.sequence + 1;
            let length = piece.payload.len() as u64;
            self.left = self.left.checked_sub(length).ok_or_else(|| away("it is longer than it says"))?;
            return Ok(Some(piece.payload));
        }
    }
}
