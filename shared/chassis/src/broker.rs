//! The connection to NATS, which reconnects by itself, and the streams, which every service creates if they are missing.
//!
//! A service starts without NATS and becomes ready when NATS is reachable. No task ends because NATS is away.

use crate::{
    backoff::Backoff, bucket::secrets_key::SecretsKey, nats_clock::NatsClock, nats_login::NatsLoginSettings,
    nats_requirements::check_requirements, settings::SettingProblem,
};
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

/// How to reach NATS, and how many replicas new streams have.
#[derive(Clone, Debug, clap::Args)]
pub struct BrokerSettings {
    /// Where NATS is: one server, or several with commas between. A user and password, or a token, may stand in it.
    #[arg(long, env = "NATS_URL", default_value = "nats://127.0.0.1:4222", hide_env_values = true)]
    pub nats_url: String,
    /// Copies of each stream that is made: 1, or 3 in a cluster of three.
    #[arg(long, env = "STREAM_REPLICAS", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=5))]
    pub stream_replicas: u8,
    /// Where NATS sends the answers to a service. A user who may read one prefix only cannot read the answers to others.
    #[arg(long, env = "NATS_INBOX_PREFIX", default_value = "_INBOX")]
    pub nats_inbox_prefix: String,
    /// Seals what NATS stores of endpoints, sessions and logins, which hold secrets: 32 characters or more, the same for all
    /// services. An older key stands behind a comma until everything is written again; `plain,<key>` writes plain text again.
    #[arg(long, env = "SECRETS_KEY", hide_env_values = true)]
    pub secrets_key: Option<SecretsKey>,
    #[command(flatten)]
    pub login: NatsLoginSettings,
}

impl BrokerSettings {
    /// The settings that cannot work, each with its fix.
    #[must_use]
    pub fn problems(&self) -> Vec<SettingProblem> {
        let mut problems = self.login.problems(&self.nats_url);
        if !subject::is_inbox_prefix(&self.nats_inbox_prefix) {
            let fix = "use _INBOX, or _INBOX_ and a name, such as _INBOX_gateway";
            problems.push(SettingProblem::new("NATS_INBOX_PREFIX", fix));
        }
        problems
    }
}

/// The deadline of a request to JetStream: the API promises its 503 within 5 s.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(4);
/// How long a service that stops waits for NATS to take its last answers.
const LAST_WORDS_WITHIN: Duration = Duration::from_secs(3);
/// The pauses between tries to reach a broker that is away. They are short, because the broker is close.
const RECONNECT: Backoff = Backoff::new(Duration::from_millis(20), Duration::from_secs(1));
/// The pauses between checks of a broker that is not ready.
const READY_CHECKS: Backoff = Backoff::new(Duration::from_millis(20), Duration::from_millis(500));
/// How many commands wait in the client while it has no connection. A further publish waits, which is back-pressure.
const CLIENT_CAPACITY: usize = 4096;

/// The connection to NATS. A clone shares it.
#[derive(Clone)]
pub struct Broker {
    pub client: Client,
    pub jetstream: Context,
    /// The time of day as NATS has it.
    pub clock: NatsClock,
    replicas: usize,
    /// Seals the values of the buckets that hold secrets.
    secrets_key: Option<SecretsKey>,
}

impl Broker {
    /// Starts to connect, and tries until it succeeds. Returns at once, connected or not.
    ///
    /// # Errors
    /// If the URL is not valid.
    pub async fn connect(settings: &BrokerSettings, name: &str) -> anyhow::Result<Self> {
        let options = ConnectOptions::new()
            .name(name)
            .custom_inbox_prefix(&settings.nats_inbox_prefix)
            .retry_on_initial_connect()
            .max_reconnects(None)
            .reconnect_delay_callback(|attempts| RECONNECT.pause_after(u32::try_from(attempts).unwrap_or(u32::MAX)))
            .connection_timeout(Duration::from_secs(2))
            .request_timeout(Some(REQUEST_TIMEOUT))
            .ping_interval(Duration::from_secs(5))
            .client_capacity(CLIENT_CAPACITY)
            .event_callback(|event| async move { tracing::info!("NATS: {event}") });
        let (options, servers) =
            settings.login.apply(options, &settings.nats_url).await.context("failed to use NATS_URL")?;
        let client = options.connect(servers).await.context("failed to use NATS_URL")?;
        let jetstream = jetstream::context::ContextBuilder::new().timeout(REQUEST_TIMEOUT).build(client.clone());
        Ok(Self {
            client,
            jetstream,
            clock: NatsClock::default(),
            replicas: usize::from(settings.stream_replicas),
            secrets_key: settings.secrets_key.clone(),
        })
    }

    /// Whether the client is connected, as far as it knows.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.client.connection_state() == State::Connected
    }

    /// Waits until NATS is reachable, is what Kurir needs, and has every stream. Then its clock is read. It has no deadline:
    /// select it against the shutdown.
    pub async fn wait_until_ready(&self) {
        let mut pauses = READY_CHECKS.pauses();
        let mut logged = String::new();
        loop {
            match self.check_and_create_streams().await {
                Ok(()) => return self.clock.synchronize(&self.client).await,
                // Each reason is logged once: the first may be a start before NATS, the second may need an operator. A
                // reachable NATS answers before the pauses are long, and nothing is logged.
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

    /// Opens a KV bucket, and creates it if it is missing. It keeps one value or deletion marker for each key.
    ///
    /// # Errors
    /// If NATS is away or refuses.
    pub async fn bucket(&self, name: &str) -> anyhow::Result<kv::Store> {
        self.expiring_bucket(name, Duration::ZERO).await
    }

    /// As [`Broker::bucket`]; values expire when they are `max_age` old; zero: never.
    ///
    /// # Errors
    /// If NATS is away or refuses.
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
        self.jetstream.create_key_value(config).await.with_context(|| format!("failed to create the bucket {name}"))
    }

    /// Opens an object store, and creates it if it is missing. Objects expire when they are `max_age` old.
    ///
    /// # Errors
    /// If NATS is away or refuses.
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
        self.jetstream
            .create_object_store(config)
            .await
            .with_context(|| format!("failed to create the object store {name}"))
    }

    async fn check_and_create_streams(&self) -> anyhow::Result<()> {
        anyhow::ensure!(self.is_connected(), "no connection to NATS");
        check_requirements(&self.client, &self.jetstream).await?;
        self.create_missing_streams().await
    }

    /// Sends what the client still holds: answers and acknowledgements that nobody waits for. The last step of a service, since
    /// the end of the process would throw them away. Ends within 3 s.
    pub async fn send_last_words(&self) {
        match tokio::time::timeout(LAST_WORDS_WITHIN, self.client.flush()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!("the last answers did not reach NATS: {error}"),
            Err(_) => tracing::debug!("the last answers did not reach NATS in time"),
        }
    }

    /// What seals the values of the buckets that hold secrets, if the operator has set it.
    #[must_use]
    pub fn secrets_key(&self) -> Option<&SecretsKey> {
        self.secrets_key.as_ref()
    }

    /// How many replicas a new stream gets.
    #[must_use]
    pub fn replicas(&self) -> usize {
        self.replicas
    }

    /// Creates the streams that are missing. An existing stream keeps the operator's settings.
    ///
    /// # Errors
    /// If NATS is away or refuses one of them.
    pub async fn create_missing_streams(&self) -> anyhow::Result<()> {
        anyhow::ensure!(self.is_connected(), "no connection to NATS");
        for config in streams(self.replicas) {
            let name = config.name.clone();
            self.jetstream
                .get_or_create_stream(config)
                .await
                .with_context(|| format!("failed to create the stream {name}"))?;
        }
        Ok(())
    }
}

/// The configuration of new streams.
fn streams(replicas: usize) -> [Config; 6] {
    let limits = |name: &str, subjects: &str, max_age: Duration| Config {
        name: name.to_owned(),
        subjects: vec![subjects.to_owned()],
        retention: RetentionPolicy::Limits,
        // If an operator limits the size, a full stream refuses new events, and the gateway stops acknowledging messages to
        // WhatsApp. Otherwise the stream would drop old events that nobody has delivered.
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
            // NATS refuses `New` for a stream with schedules. The stream has no limit, so nothing is discarded.
            discard: DiscardPolicy::Old,
            // A retry that fires while no dispatcher runs must wait as long as its event.
            ..limits(stream::RETRIES, subject::ALL_RETRIES, Duration::ZERO)
        },
        Config {
            retention: RetentionPolicy::WorkQueue,
            allow_message_schedules: true,
            duplicate_window: stream::OUTBOX_DUPLICATE_WINDOW,
            // As for RETRIES.
            discard: DiscardPolicy::Old,
            // A job waits until its gateway is back.
            ..limits(stream::OUTBOX, subject::ALL_OUTBOX, Duration::ZERO)
        },
        Config {
            discard: DiscardPolicy::Old,
            ..limits(stream::DELIVERIES, subject::ALL_DELIVERIES, stream::DELIVERIES_MAX_AGE)
        },
        limits(stream::DEAD_LETTERS, subject::ALL_DEAD_LETTERS, stream::DEAD_LETTERS_MAX_AGE),
        Config { discard: DiscardPolicy::Old, ..limits(stream::AUDIT, subject::ALL_AUDIT, stream::AUDIT_MAX_AGE) },
    ]
}
