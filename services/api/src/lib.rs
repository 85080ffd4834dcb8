//! The management API: HTTP in front, NATS behind; it keeps nothing that a restart would miss but its counters.
//!
//! The way of one request: `server` takes its connection (`connection`, with `connection_table`, `connection_phase`,
//! `connection_stream` and `request_body`), `access` logs and counts it, `router` says who may do what, `auth` checks
//! the key, `byte_budget` reads the body within all bounds, `parameters` and `body` read what is asked, a file in `routes` does it, and `answer` shapes what goes back.
//! Behind the routes stand `gateway_client` and `dispatcher_client`, which ask the other services (through `commands`;
//! `refusal` turns a no into HTTP), and `events`, which puts an event on its way to the webhook and waits for the end of
//! its delivery. What NATS keeps is read and written by `endpoints`, `jobs` and `replays` (each a `bucket`),
//! `dead_letters` and `backlog`. `uploads` puts files that are to be sent there while they arrive (a form within `form_bounds`); received ones come
//! piece by piece, the `ranges` that are asked for. `metrics` counts.

mod access;
mod answer;
mod app;
mod auth;
mod backlog;
mod body;
mod bucket;
mod byte_budget;
mod commands;
mod config;
mod connection;
mod connection_limits;
mod connection_phase;
mod connection_stream;
mod connection_table;
mod dead_letters;
mod dispatcher_client;
mod endpoints;
mod events;
mod form_bounds;
mod gateway_client;
mod jobs;
mod metrics;
mod parameters;
mod ranges;
mod refusal;
mod replays;
mod request_body;
mod router;
mod routes;
mod server;
mod uploads;

pub use config::Config;

use app::App;
use kurir_chassis::{broker::Broker, health::Health, shutdown::CancellationToken, tasks::TaskSet};
use kurir_contract::service::ServiceName;
use std::time::Duration;

/// A webhook test waits 25 s for its answer: whoever stops the API must let that end. A send may take longer; the
/// gateway goes on with it whether or not somebody waits for the answer.
const DRAIN: Duration = Duration::from_secs(28);
/// What the last answers need to go out after [`DRAIN`] cut the rest.
const DRAIN_MARGIN: Duration = Duration::from_secs(1);

/// Serves until the shutdown. Without the broker it serves too: what needs the broker answers 503 then.
///
/// # Errors
/// If the port is taken, `NATS_URL` cannot be used, or a task ends unasked.
pub async fn run(config: Config, shutdown: CancellationToken) -> anyhow::Result<()> {
    let listener = server::listen(&config.host, config.port).await?;
    let broker = Broker::connect(&config.broker, "kurir-api").await?;
    let health = Health::new(ServiceName::Api, broker.clone());
    let app = App::new(&config, broker.clone(), health.clone());

    let mut tasks = TaskSet::new(shutdown);
    let asked = tasks.shutdown();
    let router = router::router(&config, app.clone());
    tasks.spawn("http", server::serve(listener, router, config.limits.clone(), DRAIN, asked.clone()));
    tasks.spawn("pings", health.clone().answer_pings(asked.clone()));
    tasks.spawn("ready", {
        let asked = asked.clone();
        async move {
            tokio::select! {
                () = broker.ready() => health.works(),
                () = asked.cancelled() => {}
            }
            asked.cancelled().await;
            Ok(())
        }
    });
    tasks.spawn("sends", async move {
        asked.cancelled().await;
        app.end_of_sends().await;
        Ok(())
    });
    tasks.run(DRAIN + DRAIN_MARGIN).await
}
