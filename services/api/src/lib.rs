//! The management API: HTTP in front, NATS behind; it keeps nothing that a restart would miss but its counters.
//!
//! The path of one request: `server` accepts its connection (`tls` with the operator's certificate), which `connection`,
//! `connection_table`, `connection_phase`, `connection_stream` and `request_body` serve within the limits; `access_log` logs
//! and counts it, `router` names the route and `auth` checks the key. `byte_budget` reads the body within all bounds. `extract`
//! reads the request, a file in `routes` does the work, and `response` shapes the answer.
//! Behind the routes, `gateway_client` and `dispatcher_client` send commands to the other services (through
//! `command_request`; `command_error` turns a failed command into HTTP), and `event_publisher` publishes an event and waits
//! for the end of its delivery. `endpoint_store`, `job_store` and `replay_store` (each a bucket; `bucket_error` says how a
//! failed call is answered), `dead_letter_store` and `endpoint_backlog` read and write what NATS keeps. `uploads` streams
//! files that are to be sent into NATS (a form within `form_bounds`);
//! `index` is the search index of events and deliveries, `life` puts together what happened to one event, `event_stream`
//! follows events live, `keys` knows the callers, and `dashboard` is the page for people; `qr_picture` draws codes.
//! `stored_secrets` seals what was stored before, `stream_place` notices a stream that was replaced.
//! `byte_range` says which part of a received file a caller asks for. `metrics` counts.

mod access_log;
mod api_key;
mod app_state;
mod attachment_name;
mod auth;
mod body_encoding;
mod bucket_error;
mod byte_budget;
mod byte_range;
mod command_error;
mod command_request;
mod config;
mod connection;
mod connection_limits;
mod connection_phase;
mod connection_stream;
mod connection_table;
mod conversion;
mod dashboard;
mod dead_letter_store;
mod diagnosis;
mod dispatcher_client;
mod endpoint_backlog;
mod endpoint_store;
mod error_code;
mod event_publisher;
mod event_stream;
mod extract;
mod fields;
mod file_type;
mod form_bounds;
mod gateway_client;
mod index;
mod job_store;
mod keys;
mod life;
mod link_preview;
mod message_lookup;
mod metrics;
mod openapi;
mod qr_picture;
mod remote_file;
mod replay_store;
mod request_body;
mod request_id;
mod request_metrics;
mod response;
mod router;
mod routes;
mod server;
mod session_store;
mod stored_secrets;
mod stream_place;
mod tls;
mod uploads;
mod wrong_keys;

pub use config::ApiConfig;

use api_key::ApiKey;
use app_state::AppState;
use kurir_chassis::{
    broker::Broker,
    health::Health,
    metrics::MetricsRegistry,
    metrics_push::{self, MetricsSource},
    shutdown::CancellationToken,
    tasks::TaskSet,
};
use kurir_contract::service::ServiceName;
use std::time::Duration;
use tls::TlsCertificate;

/// A webhook test waits 25 s for its answer, and a shutdown lets that end. A send may take longer; the
/// gateway goes on with it whether or not somebody waits for the answer.
const DRAIN: Duration = Duration::from_secs(28);
/// What the last answers need to go out after [`DRAIN`] cut the rest.
const DRAIN_MARGIN: Duration = Duration::from_secs(1);

/// Serves until the shutdown. Without the broker it serves too: what needs the broker answers 503 then.
///
/// # Errors
/// If the port is taken, `NATS_URL` cannot be used, or a task ends unasked.
pub async fn run(config: ApiConfig, shutdown: CancellationToken) -> anyhow::Result<()> {
    if config.api_key.as_ref().is_some_and(ApiKey::is_short) {
        tracing::warn!("API_KEY has fewer than 16 characters and can be guessed: API_KEY=$(openssl rand -hex 32)");
    }
    let certificate = TlsCertificate::read(&config.tls)?;
    let listeners = server::listen(&config.host, config.port).await?;
    let broker = Broker::connect(&config.broker, "kurir-api").await?;
    let health = Health::new(ServiceName::Api, broker.clone());
    health.watch_folder(config.index.index_path.clone());
    let metrics = MetricsRegistry::default();
    metrics.add_service(ServiceName::Api, &broker);
    if let Some(certificate) = &certificate {
        certificate.declare_metrics(&metrics);
    }
    let app = AppState::new(&config, broker.clone(), health.clone(), &metrics);

    let mut tasks = TaskSet::new(shutdown);
    let asked = tasks.shutdown_token();
    let source = MetricsSource::new(ServiceName::Api, health.instance());
    tasks.spawn("metrics push", metrics_push::run(config.logging.clone(), source, metrics.clone(), asked.clone()));
    let router = router::router(&config, app.clone(), metrics);
    tasks.spawn(
        "http",
        server::serve(listeners, certificate.clone(), router, config.limits.clone(), DRAIN, asked.clone()),
    );
    if let Some(certificate) = certificate {
        tasks.spawn("certificate", certificate.follow(asked.clone()));
    }
    app.index.start(&mut tasks);
    tasks.spawn("clock", broker.clock.clone().follow(broker.client.clone(), asked.clone()));
    tasks.spawn("keys", follow_keys(app.clone(), asked.clone()));
    tasks.spawn("seals", stored_secrets::seal(broker.clone(), asked.clone()));
    tasks.spawn("pings", health.clone().answer_pings(asked.clone()));
    tasks.spawn("ready", {
        let (asked, broker) = (asked.clone(), broker.clone());
        async move {
            tokio::select! {
                () = broker.wait_until_ready() => health.mark_ready(),
                () = asked.cancelled() => {}
            }
            asked.cancelled().await;
            Ok(())
        }
    });
    tasks.spawn("sends", async move {
        asked.cancelled().await;
        app.stream_slots.close();
        app.end_of_sends().await;
        Ok(())
    });
    let ended = tasks.run(DRAIN + DRAIN_MARGIN).await;
    broker.send_last_words().await;
    ended
}

/// The keys, and the key that signs logins, which needs the broker once.
async fn follow_keys(app: AppState, shutdown: CancellationToken) -> anyhow::Result<()> {
    let prepare = async {
        app.broker.wait_until_ready().await;
        while app.login_cookies.prepare().await.is_err() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    let (followed, _) = tokio::join!(app.keys.follow(shutdown.clone()), shutdown.run_until_cancelled(prepare));
    followed
}
