//! Encrypts a file from the broker into a file on disk that has no name, so that nothing is left of it however the
//! gateway ends.

use super::{encrypted_source::EncryptedSource, error::UploadError};
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
pub struct EncryptedFile {
    file: Arc<File>,
    length: u64,
    info: EncryptedMediaInfo,
}

/// # Errors
/// If the file is gone, cannot be read or is not the expected one, or if the disk does not take it.
pub async fn encrypt_object(
    broker: &Broker,
    folder: &Path,
    file: &FileToSend,
    media_type: MediaType,
) -> Result<EncryptedFile, UploadError> {
    let mut object = broker.open_object(file.bucket(), &file.object).await.map_err(|error| match error {
        ObjectError::NotFound => UploadError::Gone,
        error @ ObjectError::Unavailable(_) => read_error(error),
    })?;
    let folder = folder.to_owned();
    let mut encrypting = run_blocking(move || FileEncryption::start(&folder, media_type)).await?;
    while let Some(piece) = object.next_chunk().await.map_err(read_error)? {
        encrypting = run_blocking(move || encrypting.add_chunk(&piece)).await?;
    }
    let staged = run_blocking(move || encrypting.finish()).await?;
    let is_meant = file.size.is_none_or(|size| staged.info.file_length == size)
        && file.sha256.as_ref().is_none_or(|sha256| hex::encode(staged.info.file_sha256) == *sha256);
    if is_meant { Ok(staged) } else { Err(UploadError::Unread("it is not the file that was put there".to_owned())) }
}

/// The encryption under way. Its methods block.
struct FileEncryption {
    encryptor: MediaEncryptor,
    into: BufWriter<File>,
}

impl FileEncryption {
    fn start(folder: &Path, media_type: MediaType) -> Result<Self, UploadError> {
        // Apps can play sound and video while they load, with a table of checksums.
        let plays = matches!(media_type, MediaType::Audio | MediaType::Video);
        let encryptor = MediaEncryptor::new_with_sidecar(media_type, plays).map_err(write_error)?;
        let file = tempfile::tempfile_in(folder).map_err(write_error)?;
        Ok(Self { encryptor, into: BufWriter::new(file) })
    }

    fn add_chunk(mut self, chunk: &[u8]) -> Result<Self, UploadError> {
        self.encryptor.update_to_writer(chunk, &mut self.into).map_err(write_error)?;
        Ok(self)
    }

    fn finish(mut self) -> Result<EncryptedFile, UploadError> {
        let info = self.encryptor.finalize_to_writer(&mut self.into).map_err(write_error)?;
        self.into.flush().map_err(write_error)?;
        let file = self.into.into_inner().map_err(write_error)?;
        let length = file.metadata().map_err(write_error)?.len();
        Ok(EncryptedFile { file: Arc::new(file), length, info })
    }
}

impl EncryptedFile {
    /// What an upload reads, until `over` is cancelled.
    pub fn upload_source(&self, over: CancellationToken) -> EncryptedSource {
        EncryptedSource { file: Arc::clone(&self.file), length: self.length, over }
    }

    /// The keys and hashes of the file. (The library's type cannot be cloned.)
    pub fn media_info(&self) -> EncryptedMediaInfo {
        EncryptedMediaInfo {
            media_key: self.info.media_key,
            file_sha256: self.info.file_sha256,
            file_enc_sha256: self.info.file_enc_sha256,
            file_length: self.info.file_length,
            streaming_sidecar: self.info.streaming_sidecar.clone(),
        }
    }
}

/// Runs work on a thread that may wait for the disk.
async fn run_blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, UploadError> + Send + 'static,
) -> Result<T, UploadError> {
    tokio::task::spawn_blocking(work).await.map_err(write_error)?
}

fn read_error(error: impl std::fmt::Display) -> UploadError {
    UploadError::Unread(error.to_string())
}

fn write_error(error: impl std::fmt::Display) -> UploadError {
    UploadError::NotWritten(error.to_string())
}
