//! The data that pass between a message that waits for its file and the task that downloads it.

use super::{error::DownloadError, part::MediaPart};
use crate::{byte_budget::ByteReservation, inbound::message_event::MessageEvent};
use kurir_contract::{event::ReceivedFile, media::MediaFile, proxy_url::ProxyUrl};
use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::{mpsc, oneshot};
use wacore_binary::Jid;
use whatsapp_rust::Client;

/// Downloads under way or waiting for a slot, about a kilobyte each. The client hands over batches of 400 messages.
pub const WAITING: usize = 4096;
/// Those of one person.
const WAITING_OF_ONE: usize = 1024;

/// The operator's settings for files.
#[derive(Clone, Debug)]
pub struct MediaSettings {
    /// The largest file, in bytes.
    pub largest: u64,
    /// How long files are kept.
    pub max_age: Duration,
    /// The folder for files that are being downloaded.
    pub scratch: PathBuf,
    /// The session's own; nothing is downloaded without it.
    pub proxy: Option<ProxyUrl>,
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
    pub late: oneshot::Receiver<LateEvent>,
    /// Who sent the file.
    pub sender: String,
    /// The job's place among those of its sender; none if the sender has too many.
    pub place: Option<SenderPlace>,
}

/// An event that was published without its file.
pub struct LateEvent {
    pub event: MessageEvent,
    /// It waits in memory until its file has come.
    pub bytes: ByteReservation,
}

/// The bytes of all events that wait for a late file.
pub const LATE_BYTES: usize = 64_000_000;

/// How many downloads each person has. Clones share it.
#[derive(Clone, Default)]
pub struct SenderCounts(Arc<Mutex<HashMap<String, usize>>>);

/// Counts one download of a person until it is dropped.
pub struct SenderPlace {
    counts: SenderCounts,
    sender: String,
}

impl SenderCounts {
    /// None if the person has too many already.
    pub fn enter(&self, sender: &str) -> Option<SenderPlace> {
        let mut counts = self.lock();
        let count = counts.entry(sender.to_owned()).or_default();
        if *count >= WAITING_OF_ONE {
            return None;
        }
        *count += 1;
        Some(SenderPlace { counts: self.clone(), sender: sender.to_owned() })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, usize>> {
        // Each change is one step, so a panic elsewhere left the map whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for SenderPlace {
    fn drop(&mut self) {
        let mut counts = self.counts.lock();
        if let Some(count) = counts.get_mut(&self.sender) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.sender);
            }
        }
    }
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
    /// The name that the sender gave a document; none for other files.
    pub file_name: Option<String>,
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
