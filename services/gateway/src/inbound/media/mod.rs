//! Downloads the file of a message from WhatsApp's media servers into the object store, before the message's event is
//! published.
//!
//! A download starts when its message is read. The message waits for it, up to a limit, when its turn to be published
//! comes. So the files of a batch are downloaded at the same time, and the order within a chat holds. A file that is
//! late follows its event: `downloader` does all downloads and publishes `media.downloaded` for late ones. `part` is
//! what a message says about its file, `scratch` is the file on disk between WhatsApp and NATS, and `error` says what
//! went wrong and what comes next.

mod downloader;
mod error;
mod job;
mod part;
mod scratch;

pub use downloader::MediaDownloader;
use job::{DownloadJob, FileMessage, StoredFile, WAITING};
pub use job::{DownloadRequests, MediaSettings};

use super::message_event::MessageEvent;
use error::DownloadError;
use kurir_contract::{event::ReceivedFile, media::MediaFile};
use part::MediaPart;
use std::{sync::Arc, time::Duration};
use time::OffsetDateTime;
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, timeout_at},
};
use wacore::types::message::MessageInfo;
use waproto::whatsapp::Message;
use whatsapp_rust::Client;

/// The sending end of the queue. Clones share it.
#[derive(Clone)]
pub struct DownloadQueue {
    wait: Duration,
    jobs: mpsc::Sender<DownloadJob>,
}

#[must_use]
pub fn download_channel(wait: Duration) -> (DownloadQueue, DownloadRequests) {
    let (jobs, asked) = mpsc::channel(WAITING);
    (DownloadQueue { wait, jobs }, DownloadRequests(asked))
}

/// A download that has started.
pub struct PendingDownload {
    wait: Duration,
    outcome: oneshot::Receiver<Result<StoredFile, DownloadError>>,
    late: oneshot::Sender<MessageEvent>,
}

/// An event that was published without its file.
pub struct LateFile(Option<(oneshot::Sender<MessageEvent>, MessageEvent)>);

impl DownloadQueue {
    /// How long an event waits for its file.
    #[must_use]
    pub fn wait(&self) -> Duration {
        self.wait
    }

    /// Starts the download of an event's file, if the event has one.
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
            // If a message comes again after a crash, its file is stored a second time under another name. An event
            // that is stored already may link the first one, so neither may replace the other.
            file: MediaFile::for_message(kind, &info.id, mimetype, milliseconds, rand::random()),
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
            // The message that waits reads the error.
            let _ = job.outcome.send(Err(DownloadError::TooMany));
        }
        Some(PendingDownload { wait: self.wait, outcome: known, late })
    }
}

impl PendingDownload {
    /// Waits for the file until `by`, and writes the result into the event.
    pub async fn complete_event(self, told: &mut MessageEvent, by: Instant) -> LateFile {
        let Self { wait, mut outcome, late } = self;
        let known = match timeout_at(by, &mut outcome).await {
            Ok(Ok(known)) => known,
            // The gateway stops: this message is not acknowledged and comes again.
            Ok(Err(_)) => std::future::pending().await,
            Err(_) => {
                // From here on the download itself reports the file. The file may have come at this moment.
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
                told.data.set_file(ReceivedFile::not_downloaded(failed.to_string()));
                LateFile(Some((late, told.clone())))
            }
        }
    }
}

impl LateFile {
    /// Called when the event is stored. A late file is reported after this.
    pub fn event_stored(self) {
        if let Some((late, told)) = self.0 {
            // If the download was not accepted, there is nobody to tell.
            let _ = late.send(told);
        }
    }
}
