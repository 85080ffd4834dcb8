//! The gateway: one WhatsApp session, its messages in JetStream before WhatsApp forgets them, its commands from NATS.
//!
//! | module | what it does |
//! |---|---|
//! | [`config`] | the settings |
//! | [`session`] | the account's keys, its client's lives, and where it stands |
//! | [`inbound`] | a message from WhatsApp becomes an event |
//! | [`publish`] | an event is stored in EVENTS |
//! | `event_size` | an event that is too large for NATS is made smaller |
//! | [`commands`] | requests from the broker are answered |
//! | [`outbound`] | a command becomes a message to WhatsApp |
//! | [`metrics`] | what is counted of it |
//! | [`chat_queue`] | what belongs to one chat keeps its order |
//!
//! The promise: a message is acknowledged to WhatsApp only after JetStream has it.

pub mod config;
pub mod session;

mod event_size;
pub mod inbound;
pub mod publish;

pub mod commands;
pub mod outbound;

pub mod chat_queue;
pub mod metrics;

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
    new_chat_limit::{self, NewChatLimit, RestrictionTracker},
    pacing::SendPacer,
    send::WhatsappSender,
};
use publish::EventPublisher;
use session::{status_queue::StatusQueue, store::SessionStore};
use std::{sync::Arc, time::Duration};

/// How long the tasks have to end once the shutdown is asked for: commands under way have 3 s, then the client leaves
/// WhatsApp within 9 s. A supervisor should wait 15 s before it kills.
const DRAIN: Duration = Duration::from_secs(13);

/// Runs the gateway until `shutdown`.
///
/// # Errors
/// If it cannot begin, or one of its tasks fails.
pub async fn run(config: GatewayConfig, shutdown: CancellationToken) -> anyhow::Result<()> {
    let broker = Broker::connect(&config.broker, "kurir-gateway").await?;
    let health = Health::new(ServiceName::Gateway, broker.clone());
    let session = SessionId::default();
    let store = SessionStore::open(&config.whatsapp_session_path, &session)?;
    let uploads = OutgoingFiles::new(broker.clone(), store.folder().to_owned());
    let (media, files) = media::download_channel(config.media_wait);
    let media_settings = media::MediaSettings {
        largest: config.media_max_size.bytes,
        max_age: config.media_max_age,
        scratch: store.folder().to_owned(),
    };
    let (known, heard_chats) = new_chat_limit::known_chat_channel(session.clone());
    let metrics = MetricsRegistry::default();
    let gateway_metrics = GatewayMetrics::register(&metrics);
    let inbound = MessageMapper {
        session,
        statuses: config.whatsapp_status_broadcast,
        polls: PollStore::open(&store.polls_file()),
        undecryptable: UndecryptableQueue::new(config.whatsapp_undecryptable_after),
        media: config.media_download.then_some(media),
        known: known.clone(),
        metrics: gateway_metrics.clone(),
    };
    let (unhooked, unhooked_messages) = unhooked::unhooked_channel();
    let (notices, heard_notices) = notices::notice_channel();
    let changes = StatusQueue::default();
    let publisher = EventPublisher::new(broker.clone(), config.cloud_events, gateway_metrics);
    let sinks = (unhooked, notices, changes.clone(), publisher.clone());
    let (task, session) = session::new_session(&config, &broker, store, inbound.clone(), sinks);
    let restrictions = RestrictionTracker::default();
    let sender = WhatsappSender::new(session.clone(), inbound.clone(), uploads, restrictions.clone(), &config);
    let pacer = SendPacer::new(config.send_gap, config.send_jitter);
    let reach = NewChatLimit::new(known.clone(), restrictions.clone(), config.new_chats_per_day, broker.clone());
    let when = (pacer, reach);
    let outbound = Arc::new(SendPipeline::new(session.id.clone(), sender, broker.clone(), publisher.clone(), when));
    let queue = JobQueue::new(session.id.clone(), broker.clone(), publisher.clone());
    let jobs = JobRunner {
        session: session.id.clone(),
        queue: queue.clone(),
        outbound: Arc::clone(&outbound),
        broker: broker.clone(),
    };
    let files = media::MediaDownloader::new(files, media_settings, broker.clone(), publisher.clone(), &session);
    let calls = notices::RingingCalls::default();
    let commands = commands::CommandServer {
        session: session.clone(),
        outbound,
        queue,
        calls: calls.clone(),
        broker: broker.clone(),
    };
    let commands_done = CancellationToken::new();

    let mut tasks = TaskSet::new(shutdown);
    tasks.spawn("session", task.run(tasks.shutdown(), commands_done.clone()));
    tasks.spawn("connection status", changes.run(publisher.clone(), tasks.shutdown()));
    let view = session.view.clone();
    let notices =
        heard_notices.run(inbound.clone(), publisher.clone(), config.broker_wait, view, calls, tasks.shutdown());
    tasks.spawn("notices", notices);
    tasks.spawn("known chats", heard_chats.run(known, broker, tasks.shutdown()));
    let view = session.view.clone();
    let restrictions = restrictions.run(session.id.clone(), view, publisher.clone(), tasks.shutdown());
    tasks.spawn("restrictions", restrictions);
    tasks.spawn("unhooked messages", unhooked_messages.run(inbound, publisher, session.view, tasks.shutdown()));
    tasks.spawn("files", files.run(tasks.shutdown()));
    let sends = run_sends(commands, jobs, health.clone(), tasks.shutdown(), commands_done);
    tasks.spawn("commands", sends);
    tasks.spawn("pings", health.clone().answer_pings(tasks.shutdown()));
    if let Some(listen) = config.health_listen {
        tasks.spawn("health", health.serve_metrics(listen, metrics, tasks.shutdown()));
    }
    tasks.run(DRAIN).await
}

/// Commands and jobs; `done` when both have ended.
async fn run_sends(
    commands: commands::CommandServer,
    jobs: JobRunner,
    health: Health,
    shutdown: CancellationToken,
    done: CancellationToken,
) -> anyhow::Result<()> {
    let _done = done.drop_guard();
    tokio::try_join!(commands.serve(health, shutdown.clone()), jobs.serve(shutdown))?;
    Ok(())
}
