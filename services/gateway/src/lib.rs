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
//! | [`turns`] | what belongs to one chat keeps its order |
//!
//! The promise: a message is acknowledged to WhatsApp only after JetStream has it.

pub mod config;
pub mod session;

pub mod inbound;
pub mod publish;

pub mod commands;
pub mod outbound;

pub mod turns;

use config::Config;
use inbound::{Inbound, notices, polls::Polls, undecryptable::Undecryptable, unhooked};
use kurir_chassis::{broker::Broker, health::Health, shutdown::CancellationToken, tasks::Tasks};
use kurir_contract::{service::Service, session::SessionId};
use outbound::{Outbound, send::Sender};
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
    let health = Health::new(Service::Gateway, broker.clone());
    let session = SessionId::default();
    let store = Store::open(&config.whatsapp_session_path, &session)?;
    let inbound = Inbound {
        session,
        statuses: config.whatsapp_status_broadcast,
        polls: Polls::open(&store.polls()),
        undecryptable: Undecryptable::new(config.whatsapp_undecryptable_after),
    };
    let (unhooked, unhooked_messages) = unhooked::queue();
    let (notices, heard_notices) = notices::queue();
    let changes = Changes::default();
    let (task, session) =
        session::control(&config, &broker, store, inbound.clone(), (unhooked, notices), changes.clone());
    let publisher = Publisher::new(broker.clone(), config.cloud_events);
    let sender = Sender::new(session.clone(), inbound.clone(), &config);
    let outbound = Arc::new(Outbound::new(session.id.clone(), sender, broker.clone(), publisher.clone()));
    let commands = commands::Commands { session: session.clone(), outbound, broker };
    let commands_done = CancellationToken::new();

    let mut tasks = Tasks::new(shutdown);
    tasks.spawn("session", task.run(tasks.shutdown(), commands_done.clone()));
    tasks.spawn("connection status", changes.publish(publisher.clone(), tasks.shutdown()));
    let view = session.view.clone();
    let notices = heard_notices.publish(inbound.clone(), publisher.clone(), config.broker_wait, view, tasks.shutdown());
    tasks.spawn("notices", notices);
    tasks.spawn("unhooked messages", unhooked_messages.publish(inbound, publisher, session.view, tasks.shutdown()));
    tasks.spawn("commands", commands.serve(health.clone(), tasks.shutdown(), commands_done));
    tasks.spawn("pings", health.clone().answer_pings(tasks.shutdown()));
    if let Some(listen) = config.health_listen {
        tasks.spawn("health", health.serve(listen, tasks.shutdown()));
    }
    tasks.run(DRAIN).await
}
