//! The file of a message, from WhatsApp's media servers into the object store, before the message's event goes out.
//!
//! A message begins its download when it is read and waits for it, up to a bound, when it is its turn to be stored: so
//! the files of a batch come at the same time, and the order within a chat holds. What does not come in time goes on
//! behind the event: `downloader` carries all downloads and tells of late ones with `media.downloaded`. `part` is what a
//! message says of its file, `scratch` where that lies between WhatsApp and NATS, `error` why not and what then.

mod downloader;
mod error;
mod part;
mod scratch;

pub use downloader::MediaDownloader;

use super::message_event::MessageEvent;
use error::DownloadError;
use kurir_contract::{event::ReceivedFile, media::MediaFile};
use part::MediaPart;
use std::{path::PathBuf, sync::Arc, time::Duration};
use time::OffsetDateTime;
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, timeout_at},
};
use wacore::types::message::MessageInfo;
use wacore_binary::Jid;
use waproto::whatsapp::Message;
use whatsapp_rust::Client;

/// Downloads under way or waiting for one of the slots; the client hands over batches of 400 messages.
const WAITING: usize = 1024;

/// What an operator chose.
#[derive(Clone, Debug)]
pub struct MediaSettings {
    /// The largest file, in bytes.
    pub largest: u64,
    /// How long files are kept.
    pub max_age: Duration,
    /// Where files lie while they are on their way.
    pub scratch: PathBuf,
}

/// Where downloads are asked for. Clones share the queue.
#[derive(Clone)]
pub struct DownloadQueue {
    wait: Duration,
    jobs: mpsc::Sender<DownloadJob>,
}

/// What was asked for, for the task that does it.
pub struct DownloadRequests(mpsc::Receiver<DownloadJob>);

#[must_use]
pub fn download_channel(wait: Duration) -> (DownloadQueue, DownloadRequests) {
    let (jobs, asked) = mpsc::channel(WAITING);
    (DownloadQueue { wait, jobs }, DownloadRequests(asked))
}

/// One file, and who waits for it.
struct DownloadJob {
    client: Arc<Client>,
    file: MediaFile,
    mimetype: String,
    part: MediaPart,
    whose: FileMessage,
    outcome: oneshot::Sender<Result<StoredFile, DownloadError>>,
    /// Comes when the event went out without the file; dropped when it is not needed, or its message comes again.
    late: oneshot::Receiver<MessageEvent>,
}

/// The message that a file belongs to, as the phone is asked about it.
struct FileMessage {
    message_id: String,
    chat: Jid,
    /// Who wrote it, in a group.
    participant: Option<Jid>,
    from_me: bool,
    /// Milliseconds since 1970.
    sent_at: i64,
}

/// A file in the store.
#[derive(Clone, Debug)]
struct StoredFile {
    file: MediaFile,
    size: u64,
    mimetype: String,
}

impl From<StoredFile> for ReceivedFile {
    fn from(StoredFile { file, size, mimetype }: StoredFile) -> Self {
        Self::kept(file, size, mimetype)
    }
}

/// A download that was begun.
pub struct PendingDownload {
    wait: Duration,
    outcome: oneshot::Receiver<Result<StoredFile, DownloadError>>,
    late: oneshot::Sender<MessageEvent>,
}

/// An event that went out without its file.
pub struct LateFile(Option<(oneshot::Sender<MessageEvent>, MessageEvent)>);

impl DownloadQueue {
    /// How long an event waits for its file.
    #[must_use]
    pub fn wait(&self) -> Duration {
        self.wait
    }

    /// Begins the download of the file that an event tells of, if it tells of one.
    #[must_use]
    pub fn start_download(
        &self,
        client: &Arc<Client>,
        info: &MessageInfo,
        message: &Message,
        told: &MessageEvent,
    ) -> Option<PendingDownload> {
        let (kind, mimetype) = told.data.content()?.file_type()?;
        let part = MediaPart::from_message(message)?;
        let milliseconds = (OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000_000) as i64;
        let (outcome, known) = oneshot::channel();
        let (late, owed) = oneshot::channel();
        let job = DownloadJob {
            client: Arc::clone(client),
            // A message that comes again after a crash has its file stored a second time, under another name: the first
            // one's link may be in an event that was stored, so neither may replace the other.
            file: MediaFile::of(kind, &info.id, mimetype, milliseconds, rand::random()),
            mimetype: mimetype.to_owned(),
            part,
            whose: FileMessage {
                message_id: info.id.clone(),
                chat: info.source.chat.clone(),
                participant: info.source.is_group.then(|| info.source.sender.clone()),
                from_me: info.source.is_from_me,
                sent_at: info.timestamp.timestamp_millis(),
            },
            outcome,
            late: owed,
        };
        if let Err(mpsc::error::TrySendError::Full(job)) = self.jobs.try_send(job) {
            // Whoever waits reads it.
            let _ = job.outcome.send(Err(DownloadError::TooMany));
        }
        Some(PendingDownload { wait: self.wait, outcome: known, late })
    }
}

impl PendingDownload {
    /// Waits for the file until `by`, and says in the event what became of it.
    pub async fn complete_event(self, told: &mut MessageEvent, by: Instant) -> LateFile {
        let Self { wait, mut outcome, late } = self;
        let known = match timeout_at(by, &mut outcome).await {
            Ok(Ok(known)) => known,
            // The gateway stops: this message is not acknowledged and comes again.
            Ok(Err(_)) => std::future::pending().await,
            Err(_) => {
                // From here on its coming is the download's own to tell; it may have come in this moment.
                outcome.close();
                outcome.try_recv().unwrap_or(Err(DownloadError::NotInTime(wait)))
            }
        };
        match known {
            Ok(kept) => {
                told.data.set_file(kept.into());
                LateFile(None)
            }
            Err(failed) => {
                told.data.set_file(ReceivedFile::missing(failed.to_string()));
                LateFile(Some((late, told.clone())))
            }
        }
    }
}

impl LateFile {
    /// The event is stored: what comes from now on comes behind it.
    pub fn event_stored(self) {
        if let Some((late, told)) = self.0 {
            // A download that was not taken on has nobody to tell.
            let _ = late.send(told);
        }
    }
}
