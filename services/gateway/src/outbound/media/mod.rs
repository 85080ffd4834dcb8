//! The file of a message on its way to WhatsApp: taken out of the broker, encrypted, and uploaded once, however often the
//! message is tried.
//!
//! `encrypt` encrypts it into a file on disk, `encrypted_source` is what the upload reads. No file is ever whole in memory.

mod encrypt;
mod encrypted_source;

use super::content::FileAttachment;
use encrypt::EncryptedFile;
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

/// Where files are taken from, and the folder in which they are encrypted.
pub struct OutgoingFiles {
    broker: Broker,
    folder: PathBuf,
}

/// The file of one message, through all its tries.
pub struct FileUpload<'a> {
    files: &'a OutgoingFiles,
    attachment: &'a FileAttachment,
    staged: Option<EncryptedFile>,
    uploaded: Option<UploadResponse>,
}

/// Why a file is not at WhatsApp.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    #[error("The file of this message is no longer there; send it again")]
    Gone,
    #[error("NATS did not give the file: {0}")]
    Unread(String),
    #[error("the file could not be encrypted in the session's folder: {0}")]
    NotWritten(String),
    #[error("WhatsApp's media server did not take the file: {0}")]
    NotTaken(String),
}

/// NATS deletes in milliseconds, or is in trouble.
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

    /// Removes a file that nobody will send any more; a received one stays, since it belongs to others too.
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
    /// Makes a message whole; uploads the file if that is not done yet.
    ///
    /// # Errors
    /// If it cannot be. The next try begins where this one ended.
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
        // An upload is a thread's work, which goes on when nobody waits for it any more: its reader ends with the try.
        let over = CancellationToken::new();
        let _over = over.clone().drop_guard();
        let (source, info) = (staged.upload_source(over), staged.media_info());
        self.staged = Some(staged);
        let uploaded = client.upload_stream(source, info, media_type).await;
        // The last cause alone: what is around it may hold the address with its permission.
        uploaded.map_err(|error| UploadError::NotTaken(error.root_cause().to_string()))
    }
}

/// Whether nobody will send this message again, so that its file has served its time.
#[must_use]
pub fn is_final(answer: &Result<SentMessage, CommandError>) -> bool {
    match answer {
        Ok(_) => true,
        Err(refusal) => match refusal.code {
            CommandErrorCode::InvalidRequest | CommandErrorCode::NotOnWhatsapp | CommandErrorCode::Conflict => true,
            // Whoever has a key may try again, and finds the file where it was.
            CommandErrorCode::NotConnected
            | CommandErrorCode::RefusedByWhatsapp
            | CommandErrorCode::TimedOut
            | CommandErrorCode::BrokerUnavailable
            | CommandErrorCode::Internal
            // Of other commands.
            | CommandErrorCode::GroupNotFound
            | CommandErrorCode::InviteNotFound
            | CommandErrorCode::CallNotFound => false,
        },
    }
}
