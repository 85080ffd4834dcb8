//! Downloads the file of a message from WhatsApp's media servers into the object store, before the message's event is
//! published.
//!
//! A download starts when its message is read. The message waits for it, up to a limit, when its turn to be published
//! comes. So the files of a batch are downloaded at the same time, and the order within a chat holds. A file that is
//! late follows its event: `downloader` does all downloads and publishes `media.downloaded` for late ones. `chat_wait`
//! bounds what a chat waits for all its files, `lanes` shares the slots out. `part` is what a message says about its file,
//! `scratch` is the file on disk between WhatsApp and NATS, and `error` says what went wrong and what comes next.

mod chat_wait;
mod downloader;
mod error;
mod job;
mod lanes;
mod part;
mod scratch;

pub use downloader::MediaDownloader;
use job::{DownloadJob, FileMessage, LATE_BYTES, LateEvent, SenderCounts, StoredFile, WAITING};
pub use job::{DownloadRequests, MediaSettings};

use super::message_event::MessageEvent;
use crate::byte_budget::ByteBudget;
use chat_wait::ChatWaits;
use error::DownloadError;
use kurir_contract::{address::ChatJid, clock, event::ReceivedFile, media::MediaFile};
use part::MediaPart;
use std::{sync::Arc, time::Duration};
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
    waits: ChatWaits,
    jobs: mpsc::Sender<DownloadJob>,
    counts: SenderCounts,
    late_bytes: ByteBudget,
}

#[must_use]
pub fn download_channel(wait: Duration) -> (DownloadQueue, DownloadRequests) {
    let (jobs, asked) = mpsc::channel(WAITING);
    let (waits, counts) = (ChatWaits::new(wait), SenderCounts::default());
    let late_bytes = ByteBudget::new(LATE_BYTES);
    (DownloadQueue { wait, waits, jobs, counts, late_bytes }, DownloadRequests(asked))
}

/// A download that has started.
pub struct PendingDownload {
    chat: ChatJid,
    waits: ChatWaits,
    outcome: oneshot::Receiver<Result<StoredFile, DownloadError>>,
    late: oneshot::Sender<LateEvent>,
    late_bytes: ByteBudget,
}

/// An event that was published without its file.
pub struct LateFile(Option<(oneshot::Sender<LateEvent>, LateEvent)>);

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
        (chat, told): (&ChatJid, &MessageEvent),
    ) -> Option<PendingDownload> {
        let content = told.data.content()?;
        let (kind, mimetype) = content.file_type()?;
        let sender = info.source.sender.user_base().to_owned();
        let part = MediaPart::from_message(message)?;
        let milliseconds = (clock::now().unix_timestamp_nanos() / 1_000_000) as i64;
        let (outcome, known) = oneshot::channel();
        let (late, owed) = oneshot::channel();
        let job = DownloadJob {
            client: Arc::clone(client),
            // If a message comes again after a crash, its file is stored a second time under another name. An event
            // that is stored already may link the first one, so neither may replace the other.
            file: MediaFile::for_message(kind, &info.id, mimetype, milliseconds, rand::random())
                .with_extension_of(content.file_name().unwrap_or_default()),
            mimetype: mimetype.to_owned(),
            part,
            whose: FileMessage {
                message_id: info.id.clone(),
                chat: info.source.chat.clone(),
                participant: info.source.is_group.then(|| info.source.sender.clone()),
                from_me: info.source.is_from_me,
                sent_at: info.timestamp.timestamp_millis(),
                file_name: content.file_name().map(str::to_owned),
            },
            outcome,
            late: owed,
            place: self.counts.enter(&sender),
            sender,
        };
        let refused = if job.place.is_none() { Some(job) } else { self.jobs.try_send(job).err().map(into_job) };
        if let Some(job) = refused {
            // The message that waits reads the error.
            let _ = job.outcome.send(Err(DownloadError::TooMany));
        }
        let (waits, late_bytes) = (self.waits.clone(), self.late_bytes.clone());
        Some(PendingDownload { chat: chat.clone(), waits, outcome: known, late, late_bytes })
    }
}

fn into_job(error: mpsc::error::TrySendError<DownloadJob>) -> DownloadJob {
    match error {
        mpsc::error::TrySendError::Full(job) | mpsc::error::TrySendError::Closed(job) => job,
    }
}

impl PendingDownload {
    /// Waits for the file until `by`, or until the chat has waited long enough, and writes the result into the event.
    pub async fn complete_event(self, told: &mut MessageEvent, by: Instant) -> LateFile {
        let Self { chat, waits, mut outcome, late, late_bytes } = self;
        let begun = Instant::now();
        let by = by.min(begun + waits.allowance(&chat, begun));
        let known = timeout_at(by, &mut outcome).await;
        let waited = begun.elapsed();
        waits.record(&chat, waited, Instant::now());
        let known = match known {
            Ok(Ok(known)) => known,
            // The gateway stops: this message is not acknowledged and comes again.
            Ok(Err(_)) => std::future::pending().await,
            Err(_) => {
                // From here on the download itself reports the file. The file may have come at this moment.
                outcome.close();
                let waited = Duration::from_millis(waited.as_millis().try_into().unwrap_or(u64::MAX));
                outcome.try_recv().unwrap_or(Err(DownloadError::NotInTime(waited)))
            }
        };
        match known {
            Ok(kept) => {
                told.data.set_file(kept.into());
                LateFile(None)
            }
            Err(failed) => {
                told.data.set_file(ReceivedFile::not_downloaded(failed.to_string()));
                let size = serde_json::to_vec(&told.data).map_or(0, |data| data.len());
                let Some(bytes) = late_bytes.reserve(size) else {
                    tracing::warn!("a late file is given up: too many events wait for theirs");
                    return LateFile(None);
                };
                LateFile(Some((late, LateEvent { event: told.clone(), bytes })))
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
