//! The broker: a connection that comes back by itself, and the streams that every service makes if they are missing.
//!
//! A service starts without NATS and is not ready until it is there; nothing of a service ends because NATS is away.

use crate::backoff::Backoff;
use anyhow::Context as _;
use async_nats::{
    Client, ConnectOptions,
    connection::State,
    jetstream::{
        self, Context, kv, object_store,
        stream::{Config, DiscardPolicy, RetentionPolicy, StorageType},
    },
};
use kurir_contract::{stream, subject};
use std::time::Duration;

/// How to reach the broker.
#[derive(Clone, Debug, clap::Args)]
pub struct BrokerSettings {
    /// Where NATS is; user and password, or a token, may stand in the URL.
    #[arg(long, env = "NATS_URL", default_value = "nats://127.0.0.1:4222", hide_env_values = true)]
    pub nats_url: String,
    /// Copies of each stream that is made: 1, or 3 in a cluster of three.
    #[arg(long, env = "STREAM_REPLICAS", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=5))]
    pub stream_replicas: u8,
}

/// A request to JetStream that takes longer than this has failed: the API promises its 503 within 5 s.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(4);
/// The pauses between tries to reach a broker that is away. They are short, because the broker is close.
const RECONNECT: Backoff = Backoff::new(Duration::from_millis(20), Duration::from_secs(1));
/// The pauses between checks of a broker that is not ready.
const READY_CHECKS: Backoff = Backoff::new(Duration::from_millis(20), Duration::from_millis(500));
/// Commands that wait in the client while it has no connection; beyond it a publish waits, which is back-pressure.
const CLIENT_CAPACITY: usize = 4096;

/// The connection, for core NATS and for JetStream.
#[derive(Clone)]
pub struct Broker {
    pub client: Client,
    pub jetstream: Context,
    replicas: usize,
}

impl Broker {
    /// Begins to connect, and goes on trying for ever. Returns at once, connected or not.
    ///
    /// # Errors
    /// If the URL cannot be used.
    pub async fn connect(settings: &BrokerSettings, name: &str) -> anyhow::Result<Self> {
        let client = ConnectOptions::new()
            .name(name)
            .retry_on_initial_connect()
            .max_reconnects(None)
            .reconnect_delay_callback(|attempts| RECONNECT.pause_after(u32::try_from(attempts).unwrap_or(u32::MAX)))
            .connection_timeout(Duration::from_secs(2))
            .request_timeout(Some(REQUEST_TIMEOUT))
            .ping_interval(Duration::from_secs(5))
            .client_capacity(CLIENT_CAPACITY)
            .event_callback(|event| async move { tracing::info!("NATS: {event}") })
            .connect(&settings.nats_url)
            .await
            .context("failed to use NATS_URL")?;
        let jetstream = jetstream::context::ContextBuilder::new().timeout(REQUEST_TIMEOUT).build(client.clone());
        Ok(Self { client, jetstream, replicas: usize::from(settings.stream_replicas) })
    }

    /// Connected at this moment, as far as the client knows.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.client.connection_state() == State::Connected
    }

    /// Waits until the broker is there and every stream with it; tries for ever, so select it against the shutdown.
    pub async fn ready(&self) {
        let mut pauses = READY_CHECKS.pauses();
        let mut logged = String::new();
        loop {
            match self.make_streams().await {
                Ok(()) => return,
                // Once for each reason: the first may be a start before NATS, the second one that an operator must mend.
                // A broker that is there answers before the pauses have grown, and is no reason at all.
                Err(error) => {
                    let reason = format!("{error:#}");
                    if pauses.is_at_cap() && reason != logged {
                        tracing::warn!("waiting for the broker: {reason}");
                        logged = reason;
                    }
                }
            }
            tokio::time::sleep(pauses.next_pause()).await;
        }
    }

    /// A KV bucket, made if it is missing. One value a key is kept, and the marker of one that was deleted.
    ///
    /// # Errors
    /// If the broker is away or refuses it.
    pub async fn bucket(&self, name: &str) -> anyhow::Result<kv::Store> {
        self.expiring_bucket(name, Duration::ZERO).await
    }

    /// The same, whose values vanish when they are `max_age` old; zero: never.
    ///
    /// # Errors
    /// If the broker is away or refuses it.
    pub async fn expiring_bucket(&self, name: &str, max_age: Duration) -> anyhow::Result<kv::Store> {
        anyhow::ensure!(self.is_connected(), "no connection to NATS");
        if let Ok(bucket) = self.jetstream.get_key_value(name).await {
            return Ok(bucket);
        }
        let config = kv::Config {
            bucket: name.to_owned(),
            history: 1,
            max_age,
            storage: StorageType::File,
            num_replicas: self.replicas,
            ..kv::Config::default()
        };
        self.jetstream.create_key_value(config).await.with_context(|| format!("failed to make the bucket {name}"))
    }

    /// An object store, made if it is missing, whose objects vanish when they are `max_age` old.
    ///
    /// # Errors
    /// If the broker is away or refuses it.
    pub async fn object_store(&self, name: &str, max_age: Duration) -> anyhow::Result<object_store::ObjectStore> {
        anyhow::ensure!(self.is_connected(), "no connection to NATS");
        if let Ok(store) = self.jetstream.get_object_store(name).await {
            return Ok(store);
        }
        let config = object_store::Config {
            bucket: name.to_owned(),
            max_age,
            storage: StorageType::File,
            num_replicas: self.replicas,
            ..object_store::Config::default()
        };
        self.jetstream.create_object_store(config).await.with_context(|| format!("failed to make the store {name}"))
    }

    /// Makes the streams that are missing. Those that exist are left as an operator set them.
    ///
    /// # Errors
    /// If the broker is away or refuses one of them.
    pub async fn make_streams(&self) -> anyhow::Result<()> {
        anyhow::ensure!(self.is_connected(), "no connection to NATS");
        for config in streams(self.replicas) {
            let name = config.name.clone();
            self.jetstream.get_or_create_stream(config).await.with_context(|| format!("failed to make {name}"))?;
        }
        Ok(())
    }
}

/// The streams as they are made.
fn streams(replicas: usize) -> [Config; 5] {
    let limits = |name: &str, subjects: &str, max_age: Duration| Config {
        name: name.to_owned(),
        subjects: vec![subjects.to_owned()],
        retention: RetentionPolicy::Limits,
        // If an operator sets a size, a full stream refuses new events (and the gateway stops acknowledging them to
        // WhatsApp) instead of dropping old ones that nobody has delivered.
        discard: DiscardPolicy::New,
        storage: StorageType::File,
        max_age,
        max_consumers: stream::MAX_CONSUMERS,
        num_replicas: replicas,
        allow_direct: true,
        ..Config::default()
    };
    [
        Config {
            duplicate_window: stream::EVENTS_DUPLICATE_WINDOW,
            ..limits(stream::EVENTS, subject::ALL_EVENTS, stream::EVENTS_MAX_AGE)
        },
        Config {
            retention: RetentionPolicy::WorkQueue,
            allow_message_schedules: true,
            // NATS refuses `New` for a stream with schedules; without a limit nothing is discarded.
            discard: DiscardPolicy::Old,
            // A retry that fired while nobody consumed it must wait as long as its event does.
            ..limits(stream::RETRIES, subject::ALL_RETRIES, Duration::ZERO)
        },
        Config {
            retention: RetentionPolicy::WorkQueue,
            allow_message_schedules: true,
            duplicate_window: stream::OUTBOX_DUPLICATE_WINDOW,
            // As of RETRIES.
            discard: DiscardPolicy::Old,
            // A job waits as long as its gateway is away.
            ..limits(stream::OUTBOX, subject::ALL_OUTBOX, Duration::ZERO)
        },
        Config {
            discard: DiscardPolicy::Old,
            ..limits(stream::DELIVERIES, subject::ALL_DELIVERIES, stream::DELIVERIES_MAX_AGE)
        },
        limits(stream::DEAD_LETTERS, subject::ALL_DEAD_LETTERS, stream::DEAD_LETTERS_MAX_AGE),
    ]
}
