//! The task that downloads files: those for which a message waits, and those whose event was published without them.
//!
//! The second kind is tried again, with the phone's help if WhatsApp no longer has the file, and reported once. These
//! downloads are in memory only: when the gateway ends, they are lost.

use super::{
    error::{self, DownloadError, DownloadRetry},
    job::{DownloadJob, DownloadRequests, FileMessage, MediaSettings, StoredFile, WAITING},
    lanes::{DownloadLanes, Lane, SlotWatch},
    part::MediaPart,
    scratch::{ScratchFile, ScratchGuard},
};
use crate::{
    inbound::message_event::MessageEvent,
    plain_text::looks_like_address,
    publish::EventPublisher,
    session::{SessionHandle, SessionView, http, whatsapp_hosts::WhatsappHosts},
};
use futures::{StreamExt as _, stream::FuturesUnordered};
use kurir_chassis::{broker::Broker, objects::ObjectHead};
use kurir_contract::media::{MEDIA_BUCKET, MediaFile};
use std::{pin::pin, sync::Arc, time::Duration};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use wacore::{
    download::{MediaHost, MediaRoute},
    net::HttpClient,
};
use wacore_binary::JidExt as _;
use whatsapp_rust::{
    Client, ErrorChainExt as _, TokioRuntime, download,
    features::{MediaRetryResult, MediaReuploadRequest},
};

/// Time for one download. 100 MB take this long at 170 kB/s.
const WITHIN: Duration = Duration::from_secs(600);
/// While others wait for its slot, a download must bring [`LEAST`] bytes in this time.
const RATE_WINDOW: Duration = Duration::from_secs(5);
const LEAST: u64 = 5_000;
/// Time for storing one file. If NATS is away longer, the download gives its slot up.
const STORED_WITHIN: Duration = Duration::from_secs(60);
const STORE_AGAIN: Duration = Duration::from_millis(500);
/// A session without a client has one again within this time, or is not connected for long.
const CLIENT_WITHIN: Duration = Duration::from_secs(300);
/// How long the event about a late file waits for NATS.
const TOLD_WITHIN: Duration = Duration::from_secs(600);
/// Time for the downloads under way when the gateway stops.
const LAST_FILES: Duration = Duration::from_secs(3);

/// The queue of downloads and what it takes to do them.
pub struct MediaDownloader {
    asked: mpsc::Receiver<DownloadJob>,
    fetcher: FileFetcher,
}

struct FileFetcher {
    settings: MediaSettings,
    broker: Broker,
    publisher: EventPublisher,
    view: watch::Receiver<SessionView>,
    lanes: DownloadLanes,
    hosts: WhatsappHosts,
    http: Arc<dyn HttpClient>,
}

impl MediaDownloader {
    /// # Errors
    /// If the session's proxy cannot be used.
    pub fn new(
        DownloadRequests(asked): DownloadRequests,
        settings: MediaSettings,
        broker: Broker,
        publisher: EventPublisher,
        session: &SessionHandle,
    ) -> anyhow::Result<Self> {
        let (view, hosts) = (session.view.clone(), session.hosts.clone());
        let http = Arc::new(http::http_client(hosts.clone(), settings.proxy.as_ref())?);
        let lanes = DownloadLanes::default();
        Ok(Self { asked, fetcher: FileFetcher { settings, broker, publisher, view, lanes, hosts, http } })
    }

    /// # Errors
    /// Never; the type is the supervisor's.
    pub async fn run(self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let Self { mut asked, fetcher } = self;
        let mut under_way = FuturesUnordered::new();
        loop {
            tokio::select! {
                () = shutdown.cancelled() => break,
                Some(()) = under_way.next(), if !under_way.is_empty() => {}
                // Downloads that wait for NATS or the phone count, too. The queue keeps the rest, and refuses when it
                // is full.
                Some(job) = asked.recv(), if under_way.len() < WAITING => under_way.push(fetcher.process_job(job)),
            }
        }
        let last = async { while under_way.next().await.is_some() {} };
        if timeout(LAST_FILES, last).await.is_err() {
            tracing::warn!("{} file(s) were not downloaded before the end", under_way.len());
        }
        Ok(())
    }
}

impl FileFetcher {
    async fn process_job(&self, job: DownloadJob) {
        let DownloadJob { client, file, mimetype, part, whose, outcome, mut late, sender, place: _place } = job;
        let mut told = None;
        // The event may be published without its file meanwhile: then nobody waits any more.
        let slot = tokio::select! {
            slot = self.lanes.acquire(Lane::of_length(part.length), &sender) => slot,
            event = &mut late => {
                // Without an event the message comes again.
                let Ok(event) = event else { return };
                told = Some(event);
                self.lanes.acquire(Lane::Late, &sender).await
            }
        };
        let wanted = slot.watch();
        let fetched = {
            let mut fetch = pin!(self.fetch_file(&client, &file, &mimetype, &part, &whose, &wanted));
            loop {
                tokio::select! {
                    fetched = &mut fetch => break fetched,
                    event = &mut late, if told.is_none() => {
                        let Ok(event) = event else { return };
                        told = Some(event);
                        slot.make_late();
                    }
                }
            }
        };
        drop((client, slot));
        // The message may have given up waiting.
        let _ = outcome.send(fetched.clone());
        let told = match told {
            Some(told) => told,
            None => match late.await {
                Ok(told) => told,
                Err(_) => return,
            },
        };
        let kept = match fetched {
            Ok(kept) => Some(kept),
            Err(failed) => self.retry_download(failed, &file, &mimetype, part, &whose, &sender).await,
        };
        if let Some(kept) = kept {
            self.publish_downloaded(told.event, kept, whose.sent_at).await;
            drop(told.bytes);
        }
    }

    /// Downloads a file from WhatsApp to the disk, and stores it.
    async fn fetch_file(
        &self,
        client: &Client,
        file: &MediaFile,
        mimetype: &str,
        part: &MediaPart,
        whose: &FileMessage,
        wanted: &SlotWatch,
    ) -> Result<StoredFile, DownloadError> {
        let largest = self.settings.largest;
        if let Some(length) = part.length.filter(|length| *length > largest) {
            return Err(DownloadError::TooLarge { length, largest });
        }
        let part = part.at_whatsapp(&self.hosts).ok_or(DownloadError::NoAddress)?;
        let scratch = match self.download_to_disk(client, &part, wanted).await {
            Err(DownloadError::Broken) if whose.chat.is_newsletter() => {
                let plain = part.without_key().ok_or(DownloadError::Broken)?;
                self.download_to_disk(client, &plain, wanted).await?
            }
            scratch => scratch?,
        };
        let head = ObjectHead { name: file.as_str(), content_type: mimetype, sender_name: whose.file_name.as_deref() };
        let stored = timeout(STORED_WITHIN, self.store_object(head, scratch)).await;
        let size = stored.map_err(|_| DownloadError::NotStored)?;
        Ok(StoredFile { file: file.clone(), size, mimetype: mimetype.to_owned() })
    }

    async fn download_to_disk(
        &self,
        client: &Client,
        part: &MediaPart,
        slot: &SlotWatch,
    ) -> Result<std::fs::File, DownloadError> {
        let most = part.length.unwrap_or(self.settings.largest);
        let (scratch, wanted) = ScratchFile::new(&self.settings.scratch, most).map_err(|error| {
            tracing::error!("a file cannot be downloaded: nothing can be written in WHATSAPP_SESSION_PATH: {error}");
            DownloadError::Unreachable
        })?;
        let download = timeout(WITHIN, self.download_into(client, part, scratch));
        let downloaded = tokio::select! {
            downloaded = download => downloaded,
            () = slowness(&wanted, slot) => return Err(DownloadError::TooSlow),
        };
        match downloaded {
            Ok(Ok(scratch)) => Ok(scratch.file),
            Ok(Err(_)) if wanted.was_too_long() => Err(DownloadError::LongerThanSaid),
            Ok(Err(error)) => {
                tracing::debug!("a download failed: {error:#}");
                Err(classify_error(&error))
            }
            Err(_) => Err(DownloadError::NotInTime(WITHIN)),
        }
    }

    /// Downloads from one of the hosts that WhatsApp names, without the account's media token: WhatsApp gives a file to
    /// everybody who knows its path. The library would write the token into its log.
    async fn download_into(
        &self,
        client: &Client,
        part: &MediaPart,
        scratch: ScratchFile,
    ) -> anyhow::Result<ScratchFile> {
        let named = client.refresh_media_conn(false).await?.hosts;
        let hosts: Vec<_> = named
            .iter()
            .filter(|host| self.hosts.has_authority(&host.hostname))
            .map(|host| MediaHost::new(host.hostname.as_str()))
            .collect();
        let route = if hosts.is_empty() { MediaRoute::default_hosts() } else { MediaRoute::unauthenticated(hosts) };
        let downloader = download::MediaDownloader::new(Arc::clone(&self.http), Arc::new(TokioRuntime), route);
        Ok(downloader.download_to_writer(part, scratch).await?)
    }

    /// Tries until NATS has stored the file. The caller sets the deadline.
    async fn store_object(&self, head: ObjectHead<'_>, scratch: std::fs::File) -> u64 {
        let mut scratch = tokio::fs::File::from_std(scratch);
        loop {
            let max_age = self.settings.max_age;
            let put = async {
                tokio::io::AsyncSeekExt::rewind(&mut scratch).await?;
                self.broker.put_object(MEDIA_BUCKET, head, max_age, &mut scratch).await
            };
            match put.await {
                Ok(size) => return size,
                Err(error) => tracing::debug!("a file is not stored yet: {error:#}"),
            }
            sleep(STORE_AGAIN).await;
        }
    }

    /// Repeats a failed download as often as that makes sense.
    async fn retry_download(
        &self,
        mut failed: DownloadError,
        file: &MediaFile,
        mimetype: &str,
        mut part: MediaPart,
        whose: &FileMessage,
        sender: &str,
    ) -> Option<StoredFile> {
        let (mut tries, mut asked) = (0, false);
        loop {
            match error::next_step(&failed, tries, asked) {
                DownloadRetry::AskPhone => {
                    asked = true;
                    part.direct_path = Some(self.request_reupload(&part, whose).await?);
                }
                DownloadRetry::TryAgain { after } => {
                    tries += 1;
                    sleep(after).await;
                }
                DownloadRetry::Nothing => {
                    tracing::warn!(message.id = whose.message_id, "the file of a message was given up: {failed}");
                    return None;
                }
            }
            let client = self.wait_for_client().await?;
            let slot = self.lanes.acquire(Lane::Late, sender).await;
            match self.fetch_file(&client, file, mimetype, &part, whose, &slot.watch()).await {
                Ok(kept) => return Some(kept),
                Err(again) => failed = again,
            }
        }
    }

    /// Asks the phone to upload the file again. Gives the new path.
    async fn request_reupload(&self, part: &MediaPart, whose: &FileMessage) -> Option<String> {
        let FileMessage { message_id, chat, participant, from_me, .. } = whose;
        // The library would write this id as an address, for which WhatsApp ends the connection.
        if looks_like_address(message_id) {
            return None;
        }
        let client = self.wait_for_client().await?;
        let request = MediaReuploadRequest {
            msg_id: message_id,
            chat_jid: chat,
            media_key: part.media_key.as_deref()?,
            is_from_me: *from_me,
            participant: participant.as_ref(),
        };
        let problem = match client.media_reupload().request(&request).await {
            Ok(MediaRetryResult::Success { direct_path }) => return Some(direct_path),
            Ok(MediaRetryResult::NotFound) => "it has it no longer".to_owned(),
            Ok(MediaRetryResult::GeneralError | MediaRetryResult::DecryptionError) => "it refused".to_owned(),
            Err(error) => error.to_string(),
        };
        tracing::warn!(message.id = message_id, "the phone did not upload a file again: {problem}");
        None
    }

    /// The client of the current connection, or of the next one.
    async fn wait_for_client(&self) -> Option<Arc<Client>> {
        let mut view = self.view.clone();
        let found = view.wait_for(|view| view.client.as_ref().is_some_and(|client| client.is_logged_in()));
        timeout(CLIENT_WITHIN, found).await.ok()?.ok()?.client.clone()
    }

    async fn publish_downloaded(&self, told: MessageEvent, kept: StoredFile, sent_at: i64) {
        let Some((session, late)) = told.into_downloaded(kept.into(), sent_at) else { return };
        let event = late.into_outgoing(&session);
        if let Err(error) = self.publisher.publish(&event, Instant::now() + TOLD_WITHIN).await {
            tracing::warn!(event.id = %event.id, "the event media.downloaded was lost: {error}");
        }
    }
}

/// Returns when the download brings too little and somebody else waits for its slot.
async fn slowness(download: &ScratchGuard, slot: &SlotWatch) {
    let mut before = download.written();
    loop {
        sleep(RATE_WINDOW).await;
        let now = download.written();
        if now - before < LEAST && slot.is_wanted() {
            return;
        }
        before = now;
    }
}

/// What the error of a download says about the file.
fn classify_error(error: &anyhow::Error) -> DownloadError {
    let cause: &(dyn std::error::Error + 'static) = error.as_ref();
    match cause.http_status() {
        // The link has expired, or its file was removed.
        Some(401 | 403 | 404 | 410) => DownloadError::Gone,
        Some(_) => DownloadError::Unreachable,
        None => DownloadError::Broken,
    }
}
