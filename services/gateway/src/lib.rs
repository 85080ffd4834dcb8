//! The gateway: it holds one WhatsApp session, stores its messages in JetStream before they are acknowledged to WhatsApp, and
//! handles the commands that come over NATS.
//!
//! The modules, in the order in which a message passes through them, then a command:
//!
//! | module | what it does |
//! |---|---|
//! | [`config`] | reads and checks the settings |
//! | [`session`] | says what a session is: its state, its keys, its account |
//! | [`inbound`] | makes an event of a message from WhatsApp |
//! | [`publish`] | stores an event in EVENTS |
//! | `event_size` | makes an event that is too large for NATS smaller |
//! | `plain_text` | writes text as text, which the library would write as an address |
//! | [`connection`] | opens and closes the connection to WhatsApp |
//! | [`commands`] | answers requests from the broker |
//! | [`outbound`] | sends messages to WhatsApp |
//! | [`chat_queue`], [`known_chats`] | keep the order of a chat, and remember with whom there is one |
//! | [`metrics`] | counts |
//!
//! Imports point one way: `commands` → `outbound` → `inbound` → `session`, and `connection` → `inbound`.
//!
//! The promise: a message is acknowledged to WhatsApp only after JetStream has it.

pub mod config;
pub mod session;

mod event_size;
pub mod inbound;
mod plain_text;
pub mod publish;

pub mod connection;

pub mod commands;
pub mod outbound;

pub mod chat_queue;
pub mod known_chats;
pub mod metrics;

use commands::{COMMANDS_AT_ONCE, CommandServer};
use config::GatewayConfig;
use inbound::{MessageMapper, media, notices, polls::PollStore, undecryptable::UndecryptableQueue, unhooked};
use kurir_chassis::{
    broker::Broker, health::Health, metrics::MetricsRegistry, shutdown::CancellationToken, tasks::TaskSet,
};
use kurir_contract::{service::ServiceName, session::SessionId};
use metrics::GatewayMetrics;
use outbound::{
    SendPipeline,
    jobs::{JobQueue, JobRunner},
    media::OutgoingFiles,
    new_chat_limit::{NewChatLimit, RestrictionTracker},
    pacing::SendPacer,
    send::WhatsappSender,
};
use publish::{EventPublisher, OutgoingEvent};
use session::{status_queue::StatusQueue, store::SessionStore};
use std::{sync::Arc, time::Duration};
use tokio::sync::mpsc;

/// How long the tasks have to end after the shutdown: commands under way have 3 s, then the client leaves WhatsApp within
/// 9 s. A supervisor should wait 15 s before it kills the process.
const DRAIN: Duration = Duration::from_secs(13);

/// Runs the gateway until `shutdown`.
///
/// # Errors
/// If the gateway cannot start, or one of its tasks fails.
pub async fn run(config: GatewayConfig, shutdown: CancellationToken) -> anyhow::Result<()> {
    let broker = Broker::connect(&config.broker, "kurir-gateway").await?;
    let health = Health::new(ServiceName::Gateway, broker.clone());
    let session = SessionId::default();
    let store = SessionStore::open(&config.whatsapp_session_path, &session)?;
    let uploads = OutgoingFiles::new(broker.clone(), store.folder().to_owned());
    let (downloads, download_requests) = media::download_channel(config.media_wait);
    let media_settings = media::MediaSettings {
        largest: config.media_max_size.bytes,
        max_age: config.media_max_age,
        scratch: store.folder().to_owned(),
    };
    let (known, known_chat_writer) = known_chats::known_chat_channel(session.clone());
    let metrics = MetricsRegistry::default();
    let gateway_metrics = GatewayMetrics::register(&metrics);
    let inbound = MessageMapper {
        session,
        statuses: config.whatsapp_status_broadcast,
        polls: PollStore::open(&store.polls_file()),
        undecryptable: UndecryptableQueue::new(config.whatsapp_undecryptable_after),
        media: config.media_download.then_some(downloads),
        known: known.clone(),
        include_raw: config.include_raw,
        metrics: gateway_metrics.clone(),
    };
    let (unhooked, unhooked_worker) = unhooked::unhooked_channel();
    let (notices, notice_worker) = notices::notice_channel();
    let statuses = StatusQueue::default();
    let publisher = EventPublisher::new(broker.clone(), config.cloud_events, gateway_metrics);
    let sinks = (unhooked, notices, statuses.clone(), publisher.clone());
    let (task, session) = connection::new_session(&config, &broker, store, inbound.clone(), sinks);
    let restrictions = RestrictionTracker::default();
    let sender = WhatsappSender::new(session.clone(), inbound.clone(), uploads, restrictions.clone(), &config);
    let pacer = SendPacer::new(config.send_gap, config.send_jitter);
    let new_chats = NewChatLimit::new(known.clone(), restrictions.clone(), config.new_chats_per_day, broker.clone());
    let limits = (pacer, new_chats);
    let outbound = Arc::new(SendPipeline::new(session.id.clone(), sender, broker.clone(), publisher.clone(), limits));
    let queue = JobQueue::new(session.id.clone(), broker.clone(), publisher.clone());
    let jobs = JobRunner {
        session: session.id.clone(),
        queue: queue.clone(),
        outbound: Arc::clone(&outbound),
        broker: broker.clone(),
    };
    let downloader =
        media::MediaDownloader::new(download_requests, media_settings, broker.clone(), publisher.clone(), &session);
    let calls = notices::RingingCalls::default();
    let (late_events, late_event_receiver) = mpsc::channel(COMMANDS_AT_ONCE);
    let commands = CommandServer {
        session: session.clone(),
        outbound,
        queue,
        calls: calls.clone(),
        broker: broker.clone(),
        late_events,
    };
    let commands_done = CancellationToken::new();

    let mut tasks = TaskSet::new(shutdown);
    tasks.spawn("session", task.run(tasks.shutdown_token(), commands_done.clone()));
    tasks.spawn("connection status", statuses.run(publisher.clone(), tasks.shutdown_token()));
    let view = session.view.clone();
    let notices =
        notice_worker.run(inbound.clone(), publisher.clone(), config.broker_wait, view, calls, tasks.shutdown_token());
    tasks.spawn("notices", notices);
    tasks.spawn("known chats", known_chat_writer.run(known, broker, tasks.shutdown_token()));
    let view = session.view.clone();
    let restrictions = restrictions.run(session.id.clone(), view, publisher.clone(), tasks.shutdown_token());
    tasks.spawn("restrictions", restrictions);
    tasks.spawn("unhooked messages", unhooked_worker.run(inbound, publisher, session.view, tasks.shutdown_token()));
    tasks.spawn("files", downloader.run(tasks.shutdown_token()));
    let sends = run_sends((commands, late_event_receiver), jobs, health.clone(), tasks.shutdown_token(), commands_done);
    tasks.spawn("commands", sends);
    tasks.spawn("pings", health.clone().answer_pings(tasks.shutdown_token()));
    if let Some(listen) = config.health_listen {
        tasks.spawn("health", health.serve_probes_and_metrics(listen, metrics, tasks.shutdown_token()));
    }
    tasks.run(DRAIN).await
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
