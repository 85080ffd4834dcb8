//! Files that are to be sent: put into the broker as they arrive, chunk by chunk, and taken away if nobody will send them.
//!
//! No file is ever whole in memory, and what is refused leaves nothing behind. Which file belongs to which message is the
//! routes' business.

use crate::{
    error_code::ErrorCode,
    file_type::BEGINS,
    form_bounds::{SILENT_AT_MOST, stalled},
    response::ApiError,
};
use async_nats::jetstream::object_store::ObjectStore;
use base64::{Engine as _, prelude::BASE64_URL_SAFE};
use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use kurir_chassis::{broker::Broker, byte_size::ByteSize, objects::ObjectError};
use kurir_contract::{
    command::FileToSend,
    media::{self, MEDIA_BUCKET, MEDIA_TO_SEND_BUCKET, MEDIA_TO_SEND_LASTS, MediaFile},
};
use std::{path::Path, pin::pin, time::Duration};
use tokio::{
    fs::File,
    io::{AsyncWriteExt as _, DuplexStream},
    time::{Instant, timeout, timeout_at},
};
use tokio_util::io::ReaderStream;

pub struct UploadStore {
    broker: Broker,
    /// The largest file.
    pub most: ByteSize,
}

/// A file in the broker.
pub struct StoredFile {
    pub file: FileToSend,
    /// Its first bytes, which tell what it is.
    pub begins: Vec<u8>,
    /// Its type as its sender called it.
    pub mimetype: Option<String>,
    /// Its name where it came from.
    pub name: Option<String>,
}

/// NATS answers in milliseconds, or is in trouble.
const WITHIN: Duration = Duration::from_secs(4);
/// What a part of the file waits for NATS in; NATS' own chunks are as large.
const ON_THE_WAY: usize = 128 * 1024;
/// What is handed on at once: a sender of single bytes makes no message of NATS for each.
const TOGETHER: usize = 64 * 1024;

impl UploadStore {
    pub fn new(broker: Broker, most: ByteSize) -> Self {
        Self { broker, most }
    }

    /// Puts a file into the broker while it arrives, until `deadline`.
    ///
    /// # Errors
    /// If it is too large, empty, or too slow, or NATS does not take it; nothing of it stays then.
    pub async fn keep(
        &self,
        source: impl Stream<Item = Result<Bytes, ApiError>>,
        deadline: Instant,
    ) -> Result<StoredFile, ApiError> {
        let store = self.store().await?;
        let object = media::new_object_name();
        let (writer, mut reader) = tokio::io::duplex(ON_THE_WAY);
        let put = async {
            let put = store.put(object.as_str(), &mut reader).await;
            // Who writes on is told that nobody reads.
            drop(reader);
            put
        };
        // If the source ends early, so does the object: whole, and removed as such. One that is broken off leaves chunks
        // that nobody knows of.
        let (fed, put) = tokio::join!(feed(source, writer, &self.most, deadline), put);
        let info = put.map_err(|error| self.not_stored(&error))?;
        let file = FileToSend {
            object,
            received: false,
            size: Some(info.size as u64),
            sha256: Some(sha256(info.digest.as_deref().unwrap_or_default())?),
        };
        match fed {
            Ok(_) if info.size == 0 => {
                self.forget(&file).await;
                Err(ApiError::new(ErrorCode::EmptyFile, "The media file is empty"))
            }
            Ok(begins) => Ok(StoredFile { file, begins, mimetype: None, name: None }),
            Err(failure) => {
                self.forget(&file).await;
                Err(failure)
            }
        }
    }

    /// Writes a file that is kept to the disk.
    ///
    /// # Errors
    /// If it is gone, or NATS or the disk fails.
    pub async fn write_to(&self, file: &FileToSend, path: &Path) -> Result<(), ApiError> {
        let not_written = |error: std::io::Error| {
            tracing::error!("failed to write a file to convert to {}: {error}", path.display());
            ApiError::internal()
        };
        let mut object = self.broker.open_object(file.bucket(), &file.object).await.map_err(|error| unread(&error))?;
        let mut into = File::create(path).await.map_err(not_written)?;
        while let Some(chunk) = object.next_chunk().await.map_err(|error| unread(&error))? {
            into.write_all(&chunk).await.map_err(not_written)?;
        }
        into.flush().await.map_err(not_written)
    }

    /// Puts a file of the disk into the broker.
    ///
    /// # Errors
    /// As [`keep`](Self::keep).
    pub async fn keep_file(&self, path: &Path, deadline: Instant) -> Result<FileToSend, ApiError> {
        let unreadable = |error: std::io::Error| {
            tracing::error!("failed to read a converted file: {error}");
            ApiError::internal()
        };
        let file = File::open(path).await.map_err(unreadable)?;
        let chunks = ReaderStream::with_capacity(file, TOGETHER).map(|chunk| chunk.map_err(unreadable));
        Ok(self.keep(chunks, deadline).await?.file)
    }

    /// A file that was received, to be sent on.
    ///
    /// # Errors
    /// If there is none of this name.
    pub async fn received(&self, name: &str) -> Result<StoredFile, ApiError> {
        let name: MediaFile = name.parse().map_err(|_| no_such_file())?;
        let opened = self.broker.open_object(MEDIA_BUCKET, name.as_str()).await;
        let mut object = opened.map_err(|error| unread(&error))?;
        let (size, sha256) = (Some(object.size), Some(sha256(&object.digest)?));
        let file = FileToSend { size, sha256, ..FileToSend::received(&name) };
        let known = Some(object.content_type.clone()).filter(|known| known != "application/octet-stream");
        let first = object.next_chunk().await.map_err(|error| unread(&error))?.unwrap_or_default();
        let begins = first[..first.len().min(BEGINS)].to_vec();
        Ok(StoredFile { file, begins, mimetype: known, name: Some(name.to_string()) })
    }

    /// Takes a file away that nobody will send; a received one stays.
    pub async fn forget(&self, file: &FileToSend) {
        if file.received {
            return;
        }
        let forgotten = async {
            let store = self.broker.object_store(MEDIA_TO_SEND_BUCKET, MEDIA_TO_SEND_LASTS).await?;
            store.delete(&file.object).await?;
            anyhow::Ok(())
        };
        // The gateway may have done so already; and its age removes it in any case.
        match timeout(WITHIN, forgotten).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!("a file that is not sent was not removed: {error:#}"),
            Err(_) => tracing::info!("a file that is not sent stays in NATS until it is too old"),
        }
    }

    async fn store(&self) -> Result<ObjectStore, ApiError> {
        self.connected()?;
        match timeout(WITHIN, self.broker.object_store(MEDIA_TO_SEND_BUCKET, MEDIA_TO_SEND_LASTS)).await {
            Ok(Ok(store)) => Ok(store),
            Ok(Err(error)) => {
                tracing::warn!("failed to open the store of files to send: {error:#}");
                Err(ApiError::broker_unavailable())
            }
            Err(_) => Err(ApiError::broker_unavailable()),
        }
    }

    fn connected(&self) -> Result<(), ApiError> {
        if self.broker.is_connected() { Ok(()) } else { Err(ApiError::broker_unavailable()) }
    }

    fn not_stored(&self, error: &impl std::fmt::Display) -> ApiError {
        tracing::warn!("a file to send was not stored: {error}");
        if self.broker.is_connected() { ApiError::not_stored() } else { ApiError::broker_unavailable() }
    }
}

/// Hands a file on while it arrives; its first bytes.
async fn feed(
    source: impl Stream<Item = Result<Bytes, ApiError>>,
    mut into: DuplexStream,
    most: &ByteSize,
    deadline: Instant,
) -> Result<Vec<u8>, ApiError> {
    let (mut source, mut size, mut begins) = (pin!(source), 0_u64, Vec::with_capacity(BEGINS));
    let mut collected = Vec::with_capacity(2 * TOGETHER);
    loop {
        let patience = deadline.min(Instant::now() + SILENT_AT_MOST);
        let Some(chunk) = timeout_at(patience, source.next()).await.map_err(|_| stalled())? else { break };
        let chunk = chunk?;
        size += chunk.len() as u64;
        if size > most.bytes {
            return Err(too_large(most));
        }
        begins.extend_from_slice(&chunk[..chunk.len().min(BEGINS - begins.len())]);
        collected.extend_from_slice(&chunk);
        if collected.len() >= TOGETHER {
            // This fails only if NATS did not take what came before; the reading side reports that.
            into.write_all(&collected).await.map_err(|_| ApiError::not_stored())?;
            collected.clear();
        }
    }
    into.write_all(&collected).await.map_err(|_| ApiError::not_stored())?;
    Ok(begins)
}

pub fn too_large(most: &ByteSize) -> ApiError {
    let text = format!("File size too large. Maximum size: {most}");
    ApiError::new(ErrorCode::FileTooLarge, text)
}

fn unread(error: &ObjectError) -> ApiError {
    match error {
        ObjectError::NotFound => no_such_file(),
        ObjectError::Unavailable(why) => {
            tracing::warn!("failed to read a file: {why}");
            ApiError::broker_unavailable()
        }
    }
}

fn no_such_file() -> ApiError {
    ApiError::new(ErrorCode::FileNotFound, "There is no received file of this name")
}

/// NATS has it in base64.
fn sha256(digest: &str) -> Result<String, ApiError> {
    let bytes = digest.strip_prefix("SHA-256=").and_then(|digest| BASE64_URL_SAFE.decode(digest).ok());
    let bytes = bytes.ok_or_else(|| {
        tracing::error!("an object of NATS has no digest");
        ApiError::internal()
    })?;
    Ok(hex::encode(bytes))
}
