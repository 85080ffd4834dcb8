//! The data that pass between a message that waits for its file and the task that downloads it.

use super::{error::DownloadError, part::MediaPart};
use crate::inbound::message_event::MessageEvent;
use kurir_contract::{event::ReceivedFile, media::MediaFile};
use std::{path::PathBuf, sync::Arc, time::Duration};
use tokio::sync::{mpsc, oneshot};
use wacore_binary::Jid;
use whatsapp_rust::Client;

/// Downloads under way or waiting for a slot. The client hands over batches of 400 messages.
pub const WAITING: usize = 1024;

/// The operator's settings for files.
#[derive(Clone, Debug)]
pub struct MediaSettings {
    /// The largest file, in bytes.
    pub largest: u64,
    /// How long files are kept.
    pub max_age: Duration,
    /// The folder for files that are being downloaded.
    pub scratch: PathBuf,
}

/// The receiving end of the queue, for the download task.
pub struct DownloadRequests(pub(super) mpsc::Receiver<DownloadJob>);

/// One file, and the channels to the message that waits for it.
pub struct DownloadJob {
    pub client: Arc<Client>,
    pub file: MediaFile,
    pub mimetype: String,
    pub part: MediaPart,
    pub whose: FileMessage,
    pub outcome: oneshot::Sender<Result<StoredFile, DownloadError>>,
    /// Receives the event if it was published without the file. Dropped if the file is not needed, or if its message
    /// comes again.
    pub late: oneshot::Receiver<MessageEvent>,
}

/// The message of a file, in the form in which the phone is asked for it.
pub struct FileMessage {
    pub message_id: String,
    pub chat: Jid,
    /// The sender, in a group.
    pub participant: Option<Jid>,
    pub from_me: bool,
    /// Milliseconds since 1970.
    pub sent_at: i64,
}

/// A file in the store.
#[derive(Clone, Debug)]
pub struct StoredFile {
    pub file: MediaFile,
    pub size: u64,
    pub mimetype: String,
}

impl From<StoredFile> for ReceivedFile {
    fn from(StoredFile { file, size, mimetype }: StoredFile) -> Self {
        Self::stored(file, size, mimetype)
    }
}
