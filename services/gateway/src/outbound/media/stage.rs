//! A file out of the broker, encrypted on its way to a file on disk that has no name: nothing is left of it when the
//! gateway ends, in whatever way.

use super::{NotUploaded, ciphertext::Ciphertext};
use kurir_chassis::{broker::Broker, objects::ObjectError};
use kurir_contract::command::FileToSend;
use std::{
    fs::File,
    io::{BufWriter, Write as _},
    path::Path,
    sync::Arc,
};
use tokio_util::sync::CancellationToken;
use wacore::{
    download::MediaType,
    upload::{EncryptedMediaInfo, MediaEncryptor},
};

/// An encrypted file, ready to be uploaded.
pub struct Staged {
    file: Arc<File>,
    length: u64,
    info: EncryptedMediaInfo,
}

/// # Errors
/// If the file is gone or cannot be read, is another one than was meant, or the disk does not take it.
pub async fn stage(
    broker: &Broker,
    folder: &Path,
    file: &FileToSend,
    media_type: MediaType,
) -> Result<Staged, NotUploaded> {
    let mut object = broker.open_object(file.bucket(), &file.object).await.map_err(|error| match error {
        ObjectError::NotFound => NotUploaded::Gone,
        error @ ObjectError::Unavailable(_) => unread(error),
    })?;
    let folder = folder.to_owned();
    let mut encrypting = on_disk(move || Encrypting::begin(&folder, media_type)).await?;
    while let Some(piece) = object.next_chunk().await.map_err(unread)? {
        encrypting = on_disk(move || encrypting.add(&piece)).await?;
    }
    let staged = on_disk(move || encrypting.end()).await?;
    let is_meant = file.size.is_none_or(|size| staged.info.file_length == size)
        && file.sha256.as_ref().is_none_or(|sha256| hex::encode(staged.info.file_sha256) == *sha256);
    if is_meant { Ok(staged) } else { Err(NotUploaded::Unread("it is not the file that was put there".to_owned())) }
}

/// What has been encrypted so far. Its work is blocking.
struct Encrypting {
    encryptor: MediaEncryptor,
    into: BufWriter<File>,
}

impl Encrypting {
    fn begin(folder: &Path, media_type: MediaType) -> Result<Self, NotUploaded> {
        // Sound and video can be played while they are loaded, with a table of checksums for it.
        let plays = matches!(media_type, MediaType::Audio | MediaType::Video);
        let encryptor = MediaEncryptor::new_with_sidecar(media_type, plays).map_err(not_written)?;
        let file = tempfile::tempfile_in(folder).map_err(not_written)?;
        Ok(Self { encryptor, into: BufWriter::new(file) })
    }

    fn add(mut self, chunk: &[u8]) -> Result<Self, NotUploaded> {
        self.encryptor.update_to_writer(chunk, &mut self.into).map_err(not_written)?;
        Ok(self)
    }

    fn end(mut self) -> Result<Staged, NotUploaded> {
        let info = self.encryptor.finalize_to_writer(&mut self.into).map_err(not_written)?;
        self.into.flush().map_err(not_written)?;
        let file = self.into.into_inner().map_err(not_written)?;
        let length = file.metadata().map_err(not_written)?.len();
        Ok(Staged { file: Arc::new(file), length, info })
    }
}

impl Staged {
    /// What an upload reads, until it is `over`.
    pub fn ciphertext(&self, over: CancellationToken) -> Ciphertext {
        Ciphertext { file: Arc::clone(&self.file), length: self.length, over }
    }

    /// How it is decrypted. (The library's type cannot be cloned.)
    pub fn info(&self) -> EncryptedMediaInfo {
        EncryptedMediaInfo {
            media_key: self.info.media_key,
            file_sha256: self.info.file_sha256,
            file_enc_sha256: self.info.file_enc_sha256,
            file_length: self.info.file_length,
            streaming_sidecar: self.info.streaming_sidecar.clone(),
        }
    }
}

/// On a thread that may wait for the disk.
async fn on_disk<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, NotUploaded> + Send + 'static,
) -> Result<T, NotUploaded> {
    tokio::task::spawn_blocking(work).await.map_err(not_written)?
}

fn unread(error: impl std::fmt::Display) -> NotUploaded {
    NotUploaded::Unread(error.to_string())
}

fn not_written(error: impl std::fmt::Display) -> NotUploaded {
    NotUploaded::NotWritten(error.to_string())
}
