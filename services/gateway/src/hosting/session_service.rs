//! One session: its parts, and the tasks that run while this gateway holds it.

use super::{
    ClaimInterrupted, GatewayLease, HeldElsewhere, SessionClaim, session_claim::release_session,
    session_registry::SessionRegistry, whatsapp_reach::WhatsappReach,
};
use crate::{
    commands::{COMMANDS_AT_ONCE, CommandServer},
    config::GatewayConfig,
    connection,
    inbound::{
        MessageMapper, RawPolicy, media, notices, polls::PollStore, undecryptable::UndecryptableQueue, unhooked,
    },
    known_chats,
    metrics::GatewayMetrics,
    outbound::{
        SendPipeline,
        jobs::{JobAudit, JobQueue, JobRunner},
        media::OutgoingFiles,
        new_chat_limit::{NewChatLimit, RestrictionTracker},
        pacing::SendPacer,
        send::WhatsappSender,
    },
    publish::{EventPublisher, OutgoingEvent, SessionMetadata},
    session::{
        adoption::adopt_replaced_program,
        journal::{Overtaken, SessionJournal},
        session_guard::SessionGuard,
        session_holder::{HolderLookup, SessionHolder},
        status_queue::StatusQueue,
        store::{SessionStore, remove_files},
    },
    storage::StorageMonitor,
    store_watch::{StoreLosses, WatchedStore},
};
use anyhow::Context as _;
use kurir_chassis::{broker::Broker, health::Health, shutdown::CancellationToken, tasks::TaskSet};
use kurir_contract::session::SessionId;
use std::{path::PathBuf, sync::Arc, time::Duration};
use tokio::sync::mpsc;

/// How long a session's tasks have to end: commands under way have 3 s, then the client leaves WhatsApp within 9 s.
pub const SESSION_DRAIN: Duration = Duration::from_secs(13);

/// What the sessions of a gateway share.
#[derive(Clone)]
pub struct SessionContext {
    pub broker: Broker,
    /// The folder with a folder for each session.
    pub sessions: PathBuf,
    pub health: Health,
    pub metrics: GatewayMetrics,
    pub lease: GatewayLease,
    /// None if sessions stay with this gateway's folder.
    pub reach: Option<WhatsappReach>,
    pub storage: StorageMonitor,
    pub losses: StoreLosses,
    pub raw: RawPolicy,
}

/// Why a session is not run, or no longer.
#[derive(Debug, thiserror::Error)]
pub enum SessionFailure {
    #[error(transparent)]
    HeldElsewhere(#[from] HeldElsewhere),
    /// Another gateway has the session, or had it meanwhile. It starts again with what NATS has, where it may.
    #[error("the session went to another gateway")]
    TakenOver,
    #[error(transparent)]
    Failed(#[from] anyhow::Error),
}

/// Runs the session until `shutdown`, once it is claimed for this gateway.
///
/// # Errors
/// If the session's folder cannot be used, another gateway holds the session, or one of its tasks fails.
pub async fn run_session(
    context: &SessionContext,
    config: &GatewayConfig,
    (session, registry): (&SessionId, &SessionRegistry),
    metadata: SessionMetadata,
    shutdown: CancellationToken,
) -> Result<(), SessionFailure> {
    let store = SessionStore::open(&context.sessions, session)?;
    let holder = SessionHolder::new(context.lease.gateway(), store.folder_identity());
    let claim = SessionClaim::new(context.broker.clone(), session.clone(), holder, context.lease.clone());
    let former = config.whatsapp_session_path.join(session.as_str());
    let folders = (store.folder(), Some(former.as_path()));
    let journal = config
        .journal_keys()
        .map(|keys| SessionJournal::new(&context.broker, keys, session, folders, config.broker_wait));
    let mut claim = if journal.is_some() { claim.with_shared_keys() } else { claim };
    match shutdown.run_until_cancelled(claim.acquire()).await {
        Some(claimed) => claimed?,
        None => return Ok(()),
    }
    let ended = run_claimed(context, config, (session, registry), (store, journal, claim, metadata), shutdown).await;
    // However it ended: this gateway stays alive, so nobody else could take a session that it still holds by name.
    release_session(context.broker.clone(), session, context.lease.gateway()).await;
    ended.map_err(|error| match error.downcast::<HeldElsewhere>() {
        Ok(elsewhere) => elsewhere.into(),
        Err(error) if error.is::<ClaimInterrupted>() || error.is::<Overtaken>() => SessionFailure::TakenOver,
        Err(error) => error.into(),
    })
}

/// Runs the session, which this gateway has claimed.
async fn run_claimed(
    context: &SessionContext,
    config: &GatewayConfig,
    (session, registry): (&SessionId, &SessionRegistry),
    (store, journal, claim, metadata): (SessionStore, Option<SessionJournal>, SessionClaim, SessionMetadata),
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let store = match &journal {
        Some(journal) => {
            let Some(restored) = shutdown.run_until_cancelled(journal.restore_when_there()).await else {
                return Ok(());
            };
            restored.with_context(|| format!("failed to read the session {session} from NATS"))?;
            store.with_journal(journal.clone())
        }
        None => store,
    };
    adopt_replaced_program(&config.whatsapp_session_path, session, &store).await?;
    registry.take_home(session).await?;
    let folder = store.folder().to_owned();
    let parts = SessionParts::new(context, config, session, store, (claim.guard(), metadata))?;
    let mut tasks = TaskSet::new(shutdown);
    tasks.spawn("claim", claim.keep(tasks.shutdown_token()));
    parts.spawn(context, config, &mut tasks);
    let is_in_nats = journal.is_some();
    if let Some(journal) = journal {
        tasks.spawn("snapshots", journal.run(tasks.shutdown_token()));
    }
    let ended = tasks.run(SESSION_DRAIN).await;
    // The next gateway begins with what NATS has; nobody needs keys that are old.
    if is_in_nats && let Err(error) = remove_files(&folder) {
        tracing::warn!(session.id = %session, "keys that nobody needs were not removed: {error:#}");
    }
    ended
}

/// The parts of a session, connected with each other.
struct SessionParts {
    task: connection::SessionTask,
    session: crate::session::SessionHandle,
    inbound: MessageMapper,
    publisher: EventPublisher,
    statuses: StatusQueue,
    known: known_chats::KnownChats,
    known_chat_writer: known_chats::KnownChatWriter,
    unhooked_worker: unhooked::UnhookedWorker,
    notice_worker: notices::NoticeWorker,
    restrictions: RestrictionTracker,
    downloader: media::MediaDownloader,
    outbound: Arc<SendPipeline>,
}

impl SessionParts {
    fn new(
        context: &SessionContext,
        config: &GatewayConfig,
        session: &SessionId,
        store: SessionStore,
        (guard, metadata): (SessionGuard, SessionMetadata),
    ) -> anyhow::Result<Self> {
        let broker = &context.broker;
        let uploads = OutgoingFiles::new(broker.clone(), store.folder().to_owned());
        let (downloads, download_requests) = media::download_channel(config.media_wait);
        let media_settings = media::MediaSettings {
            largest: config.media_max_size.bytes,
            max_age: config.media_max_age,
            scratch: store.folder().to_owned(),
            proxy: config.whatsapp_proxy.clone(),
        };
        let (known, known_chat_writer) = known_chats::known_chat_channel(session.clone(), broker);
        let inbound = MessageMapper {
            session: session.clone(),
            statuses: config.whatsapp_status_broadcast,
            polls: PollStore::open(&store.polls_file()).with_journal(store.journal()),
            undecryptable: UndecryptableQueue::new(config.whatsapp_undecryptable_after),
            media: config.media_download.then_some(downloads),
            known: known.clone(),
            raw: context.raw.clone().with_all(config.include_raw),
            metrics: context.metrics.clone(),
        };
        let (unhooked, unhooked_worker) = unhooked::unhooked_channel();
        let (notices, notice_worker) = notices::notice_channel();
        let statuses = StatusQueue::default();
        let publisher = EventPublisher::new(
            broker.clone(),
            config.cloud_events,
            context.metrics.clone(),
            context.storage.clone(),
            (guard, metadata),
        );
        let sinks = (unhooked, notices, statuses.clone(), publisher.clone());
        let (task, session) = connection::new_session(config, broker, store, inbound.clone(), sinks);
        let restrictions = RestrictionTracker::default();
        let sender = WhatsappSender::new(session.clone(), inbound.clone(), uploads, restrictions.clone(), config);
        let pacer = SendPacer::new(config.send_gap, config.send_jitter);
        let new_chats = NewChatLimit::new(known.clone(), restrictions.clone(), config.new_chats_per_day);
        let limits = (pacer, new_chats);
        let outbound = SendPipeline::new(session.id.clone(), sender, broker, publisher.clone(), limits);
        let downloader = media::MediaDownloader::new(
            download_requests,
            media_settings,
            broker.clone(),
            publisher.clone(),
            &session,
        )?;
        Ok(Self {
            task,
            session,
            inbound,
            publisher,
            statuses,
            known,
            known_chat_writer,
            unhooked_worker,
            notice_worker,
            restrictions,
            downloader,
            outbound: Arc::new(outbound),
        })
    }

    fn spawn(self, context: &SessionContext, config: &GatewayConfig, tasks: &mut TaskSet) {
        let Self { session, inbound, publisher, .. } = self;
        let broker = &context.broker;
        let queue = JobQueue::new(session.id.clone(), broker.clone(), publisher.clone());
        let jobs = JobRunner {
            session: session.id.clone(),
            queue: queue.clone(),
            outbound: Arc::clone(&self.outbound),
            broker: broker.clone(),
        };
        let audit = JobAudit {
            session: session.id.clone(),
            queue: queue.clone(),
            broker: broker.clone(),
            losses: context.losses.follow([WatchedStore::Outbox, WatchedStore::Jobs]),
        };
        let calls = notices::RingingCalls::default();
        let (late_events, late_event_receiver) = mpsc::channel(COMMANDS_AT_ONCE);
        let commands = CommandServer {
            session: session.clone(),
            outbound: self.outbound,
            queue,
            calls: calls.clone(),
            broker: broker.clone(),
            holder: HolderLookup::new(broker.clone(), session.id.clone(), context.lease.gateway()),
            late_events,
        };
        let commands_done = CancellationToken::new();
        tasks.spawn("session", self.task.run(tasks.shutdown_token(), commands_done.clone()));
        tasks.spawn("connection status", self.statuses.run(publisher.clone(), tasks.shutdown_token()));
        let notices = self.notice_worker.run(
            inbound.clone(),
            publisher.clone(),
            config.broker_wait,
            session.view.clone(),
            calls,
            tasks.shutdown_token(),
        );
        tasks.spawn("notices", notices);
        let known_chats = self.known_chat_writer.run(
            self.known,
            context.losses.follow([WatchedStore::KnownChats]),
            tasks.shutdown_token(),
        );
        tasks.spawn("known chats", known_chats);
        if let Some(reach) = context.reach.clone().filter(|_| config.whatsapp_proxy.is_none()) {
            let follow = reach.follow(session.id.clone(), session.view.clone(), tasks.shutdown_token());
            tasks.spawn("reach", follow);
        }
        let view = session.view.clone();
        let restrictions = self.restrictions.run(session.id.clone(), view, publisher.clone(), tasks.shutdown_token());
        tasks.spawn("restrictions", restrictions);
        let unhooked = self.unhooked_worker.run(inbound, publisher, session.view, tasks.shutdown_token());
        tasks.spawn("unhooked messages", unhooked);
        tasks.spawn("files", self.downloader.run(tasks.shutdown_token()));
        let health = context.health.clone();
        let sends = run_sends((commands, late_event_receiver), jobs, health, tasks.shutdown_token(), commands_done);
        tasks.spawn("commands", sends);
        tasks.spawn("job audit", audit.run(tasks.shutdown_token()));
    }
}

/// Serves commands and jobs. Cancels `done` when both have ended.
async fn run_sends(
    (commands, late_events): (CommandServer, mpsc::Receiver<OutgoingEvent>),
    jobs: JobRunner,
    health: Health,
    shutdown: CancellationToken,
    done: CancellationToken,
) -> anyhow::Result<()> {
    let _done = done.drop_guard();
    tokio::try_join!(commands.serve(late_events, health, shutdown.clone()), jobs.serve(shutdown))?;
    Ok(())
}
