//! The file of a message on its way to WhatsApp: it is read from the broker, encrypted, and uploaded once for all tries
//! of the message.
//!
//! `encrypt` encrypts it into a file on disk, and the upload reads `encrypted_source`. No file is ever in memory as a
//! whole.

mod encrypt;
mod encrypted_source;
mod error;

use super::content::FileAttachment;
use encrypt::EncryptedFile;
pub use error::UploadError;
use kurir_chassis::broker::Broker;
use kurir_contract::{
    command::{CommandError, CommandErrorCode, FileToSend, SentMessage},
    media::MEDIA_TO_SEND_LASTS,
};
use std::{path::PathBuf, time::Duration};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use waproto::whatsapp::Message;
use whatsapp_rust::{Client, upload::UploadResponse};

/// Reads files from the broker and encrypts them in a folder.
pub struct OutgoingFiles {
    broker: Broker,
    folder: PathBuf,
}

/// The file of one message, through all tries.
pub struct FileUpload<'a> {
    files: &'a OutgoingFiles,
    attachment: &'a FileAttachment,
    staged: Option<EncryptedFile>,
    uploaded: Option<UploadResponse>,
}

/// NATS deletes in milliseconds, unless it is in trouble.
const FORGOTTEN_WITHIN: Duration = Duration::from_secs(4);

impl OutgoingFiles {
    #[must_use]
    pub fn new(broker: Broker, folder: PathBuf) -> Self {
        Self { broker, folder }
    }

    /// The file of a message that is about to be sent.
    #[must_use]
    pub fn start_upload<'a>(&'a self, attachment: &'a FileAttachment) -> FileUpload<'a> {
        FileUpload { files: self, attachment, staged: None, uploaded: None }
    }

    /// Deletes a file that no message needs any more. A received file stays, because others may need it.
    pub async fn delete_file(&self, file: &FileToSend) {
        if file.received {
            return;
        }
        let forgotten = async {
            let store = self.broker.object_store(file.bucket(), MEDIA_TO_SEND_LASTS).await?;
            store.delete(&file.object).await?;
            anyhow::Ok(())
        };
        // Its age removes it in any case.
        match timeout(FORGOTTEN_WITHIN, forgotten).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::info!("the file of a message stays in NATS until it is too old: {error:#}"),
            Err(_) => tracing::info!("the file of a message stays in NATS until it is too old: NATS did not answer"),
        }
    }
}

impl FileUpload<'_> {
    /// Writes the file's address and keys into a message. Uploads the file if that is not done yet.
    ///
    /// # Errors
    /// If the file cannot be uploaded. The next try continues where this one stopped.
    pub async fn complete_message(&mut self, client: &Client, message: &mut Message) -> Result<(), UploadError> {
        let uploaded = match self.uploaded.take() {
            Some(uploaded) => uploaded,
            None => self.upload_file(client).await?,
        };
        self.attachment.set_upload(message, &uploaded);
        self.uploaded = Some(uploaded);
        Ok(())
    }

    async fn upload_file(&mut self, client: &Client) -> Result<UploadResponse, UploadError> {
        let OutgoingFiles { broker, folder } = self.files;
        let media_type = self.attachment.media_type();
        let staged = match self.staged.take() {
            Some(staged) => staged,
            None => encrypt::encrypt_object(broker, folder, &self.attachment.file, media_type).await?,
        };
        // The upload runs on a thread, which goes on when the try has ended. Its reader ends with the try.
        let over = CancellationToken::new();
        let _over = over.clone().drop_guard();
        let (source, info) = (staged.upload_source(over), staged.media_info());
        self.staged = Some(staged);
        let uploaded = client.upload_stream(source, info, media_type).await;
        // Only the last cause: the outer ones may hold the upload address with its permission.
        uploaded.map_err(|error| UploadError::NotTaken(error.root_cause().to_string()))
    }
}

/// Whether this answer is final, so that the file is not needed any more.
#[must_use]
pub fn is_final(answer: &Result<SentMessage, CommandError>) -> bool {
    match answer {
        Ok(_) => true,
        Err(refusal) => match refusal.code {
            CommandErrorCode::InvalidRequest | CommandErrorCode::NotOnWhatsapp | CommandErrorCode::Conflict => true,
            // A caller with a key may try again and needs the file.
            CommandErrorCode::NotConnected
            | CommandErrorCode::RefusedByWhatsapp
            | CommandErrorCode::TimedOut
            | CommandErrorCode::BrokerUnavailable
            | CommandErrorCode::StorageFull
            | CommandErrorCode::StorageRefused
            | CommandErrorCode::StorageUnavailable
            | CommandErrorCode::Internal
            // Codes of other commands.
            | CommandErrorCode::GroupNotFound
            | CommandErrorCode::InviteNotFound
            | CommandErrorCode::CallNotFound => false,
        },
    }
}
