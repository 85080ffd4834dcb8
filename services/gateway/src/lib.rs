//! The gateway: one WhatsApp session, its messages in JetStream before WhatsApp forgets them, its commands from NATS.
//!
//! | module | what it does |
//! |---|---|
//! | [`config`] | the settings |
//! | [`session`] | the account's keys, its client's lives, and where it stands |
//! | [`inbound`] | a message from WhatsApp becomes an event |
//! | [`publish`] | an event is stored in EVENTS |
//! | [`commands`] | requests from the broker are answered |
//! | [`outbound`] | a command becomes a message to WhatsApp |
//! | [`metrics`] | what is counted of it |
//! | [`turns`] | what belongs to one chat keeps its order |
//!
//! The promise: a message is acknowledged to WhatsApp only after JetStream has it.

pub mod config;
pub mod session;

pub mod inbound;
pub mod publish;

pub mod commands;
pub mod outbound;

pub mod metrics;
pub mod turns;

use config::Config;
use inbound::{Inbound, media, notices, polls::Polls, undecryptable::Undecryptable, unhooked};
use kurir_chassis::{
    broker::Broker, health::Health, metrics::MetricsRegistry, shutdown::CancellationToken, tasks::TaskSet,
};
use kurir_contract::{service::ServiceName, session::SessionId};
use metrics::GatewayMetrics;
use outbound::{
    Outbound,
    jobs::{Queue, Runner},
    media::Files,
    pacing::Pacer,
    reach::{self, Reach, Restrictions},
    send::Sender,
};
use publish::Publisher;
use session::{status::Changes, store::Store};
use std::{sync::Arc, time::Duration};

/// How long the tasks have to end once the shutdown is asked for: commands under way have 3 s, then the client leaves
/// WhatsApp within 9 s. A supervisor should wait 15 s before it kills.
const DRAIN: Duration = Duration::from_secs(13);

/// Runs the gateway until `shutdown`.
///
/// # Errors
/// If it cannot begin, or one of its tasks fails.
pub async fn run(config: Config, shutdown: CancellationToken) -> anyhow::Result<()> {
    let broker = Broker::connect(&config.broker, "kurir-gateway").await?;
    let health = Health::new(ServiceName::Gateway, broker.clone());
    let session = SessionId::default();
    let store = Store::open(&config.whatsapp_session_path, &session)?;
    let uploads = Files::new(broker.clone(), store.folder().to_owned());
    let (media, files) = media::queue(config.media_wait);
    let media_settings = media::MediaSettings {
        largest: config.media_max_size.bytes,
        max_age: config.media_max_age,
        scratch: store.folder().to_owned(),
    };
    let (known, heard_chats) = reach::queue(session.clone());
    let inbound = Inbound {
        session,
        statuses: config.whatsapp_status_broadcast,
        polls: Polls::open(&store.polls()),
        undecryptable: Undecryptable::new(config.whatsapp_undecryptable_after),
        media: config.media_download.then_some(media),
        known: known.clone(),
    };
    let (unhooked, unhooked_messages) = unhooked::queue();
    let (notices, heard_notices) = notices::queue();
    let changes = Changes::default();
    let metrics = MetricsRegistry::default();
    let publisher = Publisher::new(broker.clone(), config.cloud_events, GatewayMetrics::declared(&metrics));
    let sinks = (unhooked, notices, changes.clone(), publisher.clone());
    let (task, session) = session::control(&config, &broker, store, inbound.clone(), sinks);
    let restrictions = Restrictions::default();
    let sender = Sender::new(session.clone(), inbound.clone(), uploads, restrictions.clone(), &config);
    let pacer = Pacer::new(config.send_gap, config.send_jitter);
    let reach = Reach::new(known.clone(), restrictions.clone(), config.new_chats_per_day, broker.clone());
    let when = (pacer, reach);
    let outbound = Arc::new(Outbound::new(session.id.clone(), sender, broker.clone(), publisher.clone(), when));
    let queue = Queue::new(session.id.clone(), broker.clone(), publisher.clone());
    let jobs = Runner {
        session: session.id.clone(),
        queue: queue.clone(),
        outbound: Arc::clone(&outbound),
        broker: broker.clone(),
    };
    let files = media::Downloads::new(files, media_settings, broker.clone(), publisher.clone(), session.view.clone());
    let calls = notices::Calls::default();
    let commands =
        commands::Commands { session: session.clone(), outbound, queue, calls: calls.clone(), broker: broker.clone() };
    let commands_done = CancellationToken::new();

    let mut tasks = TaskSet::new(shutdown);
    tasks.spawn("session", task.run(tasks.shutdown_token(), commands_done.clone()));
    tasks.spawn("connection status", changes.publish(publisher.clone(), tasks.shutdown_token()));
    let view = session.view.clone();
    let notices = heard_notices.publish(
        inbound.clone(),
        publisher.clone(),
        config.broker_wait,
        view,
        calls,
        tasks.shutdown_token(),
    );
    tasks.spawn("notices", notices);
    tasks.spawn("known chats", heard_chats.store(known, broker, tasks.shutdown_token()));
    let view = session.view.clone();
    let restrictions = restrictions.follow(session.id.clone(), view, publisher.clone(), tasks.shutdown_token());
    tasks.spawn("restrictions", restrictions);
    tasks.spawn(
        "unhooked messages",
        unhooked_messages.publish(inbound, publisher, session.view, tasks.shutdown_token()),
    );
    tasks.spawn("files", files.run(tasks.shutdown_token()));
    let sends = sends(commands, jobs, health.clone(), tasks.shutdown_token(), commands_done);
    tasks.spawn("commands", sends);
    tasks.spawn("pings", health.clone().answer_pings(tasks.shutdown_token()));
    if let Some(listen) = config.health_listen {
        tasks.spawn("health", health.serve_probes_and_metrics(listen, metrics, tasks.shutdown_token()));
    }
    tasks.run(DRAIN).await
}

/// Commands and jobs; `done` when both have ended.
async fn sends(
    commands: commands::Commands,
    jobs: Runner,
    health: Health,
    shutdown: CancellationToken,
    done: CancellationToken,
) -> anyhow::Result<()> {
    let _done = done.drop_guard();
    tokio::try_join!(commands.serve(health, shutdown.clone()), jobs.serve(shutdown))?;
    Ok(())
}
