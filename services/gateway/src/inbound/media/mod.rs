//! The file of a message, from WhatsApp's media servers into the object store, before the message's event goes out.
//!
//! A message begins its download when it is read and waits for it, up to a bound, when it is its turn to be stored: so
//! the files of a batch come at the same time, and the order within a chat holds. What does not come in time goes on
//! behind the event: `work` carries all downloads and tells of late ones with `media.downloaded`. `part` is what a
//! message says of its file, `scratch` where that lies between WhatsApp and NATS, `failed` why not and what then.

mod failed;
mod part;
mod scratch;
mod work;

pub use work::Downloads;

use super::told::Told;
use failed::Failed;
use kurir_contract::{event::ReceivedFile, media::MediaFile};
use part::Part;
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
pub struct Media {
    wait: Duration,
    jobs: mpsc::Sender<Job>,
}

/// What was asked for, for the task that does it.
pub struct Asked(mpsc::Receiver<Job>);

#[must_use]
pub fn queue(wait: Duration) -> (Media, Asked) {
    let (jobs, asked) = mpsc::channel(WAITING);
    (Media { wait, jobs }, Asked(asked))
}

/// One file, and who waits for it.
struct Job {
    client: Arc<Client>,
    file: MediaFile,
    mimetype: String,
    part: Part,
    whose: Whose,
    outcome: oneshot::Sender<Result<Kept, Failed>>,
    /// Comes when the event went out without the file; dropped when it is not needed, or its message comes again.
    late: oneshot::Receiver<Told>,
}

/// The message that a file belongs to, as the phone is asked about it.
struct Whose {
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
struct Kept {
    file: MediaFile,
    size: u64,
    mimetype: String,
}

impl From<Kept> for ReceivedFile {
    fn from(Kept { file, size, mimetype }: Kept) -> Self {
        Self::stored(file, size, mimetype)
    }
}

/// A download that was begun.
pub struct Fetching {
    wait: Duration,
    outcome: oneshot::Receiver<Result<Kept, Failed>>,
    late: oneshot::Sender<Told>,
}

/// An event that went out without its file.
pub struct Owed(Option<(oneshot::Sender<Told>, Told)>);

impl Media {
    /// How long an event waits for its file.
    #[must_use]
    pub fn wait(&self) -> Duration {
        self.wait
    }

    /// Begins the download of the file that an event tells of, if it tells of one.
    #[must_use]
    pub fn begin(&self, client: &Arc<Client>, info: &MessageInfo, message: &Message, told: &Told) -> Option<Fetching> {
        let (kind, mimetype) = told.data.content()?.file_type()?;
        let part = Part::of(message)?;
        let milliseconds = (OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000_000) as i64;
        let (outcome, known) = oneshot::channel();
        let (late, owed) = oneshot::channel();
        let job = Job {
            client: Arc::clone(client),
            // A message that comes again after a crash has its file stored a second time, under another name: the first
            // one's link may be in an event that was stored, so neither may replace the other.
            file: MediaFile::for_message(kind, &info.id, mimetype, milliseconds, rand::random()),
            mimetype: mimetype.to_owned(),
            part,
            whose: Whose {
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
            let _ = job.outcome.send(Err(Failed::TooMany));
        }
        Some(Fetching { wait: self.wait, outcome: known, late })
    }
}

impl Fetching {
    /// Waits for the file until `by`, and says in the event what became of it.
    pub async fn into_event(self, told: &mut Told, by: Instant) -> Owed {
        let Self { wait, mut outcome, late } = self;
        let known = match timeout_at(by, &mut outcome).await {
            Ok(Ok(known)) => known,
            // The gateway stops: this message is not acknowledged and comes again.
            Ok(Err(_)) => std::future::pending().await,
            Err(_) => {
                // From here on its coming is the download's own to tell; it may have come in this moment.
                outcome.close();
                outcome.try_recv().unwrap_or(Err(Failed::NotInTime(wait)))
            }
        };
        match known {
            Ok(kept) => {
                told.data.set_file(kept.into());
                Owed(None)
            }
            Err(failed) => {
                told.data.set_file(ReceivedFile::not_downloaded(failed.to_string()));
                Owed(Some((late, told.clone())))
            }
        }
    }
}

impl Owed {
    /// The event is stored: what comes from now on comes behind it.
    pub fn event_is_stored(self) {
        if let Some((late, told)) = self.0 {
            // A download that was not taken on has nobody to tell.
            let _ = late.send(told);
        }
    }
}
