//! One connection to WhatsApp: a client made with the session's keys, and closed cleanly.

use super::{
    gated_transport::{GatedTransport, SETTLED_WITHIN},
    listener::ClientListener,
    sockets::WhatsappSockets,
};
use crate::{
    config::GatewayConfig,
    inbound::durability::DurabilityHook,
    session::{
        abort::ConnectionAbort,
        appearance::OnlineAppearance,
        client_tasks::ClientTasks,
        http,
        store::{BatchingStore, SessionStore, without_at},
    },
};
use anyhow::Context as _;
use std::{pin::pin, sync::Arc, time::Duration};
use tokio::{task::JoinSet, time::timeout};
use tokio_util::sync::CancellationToken;
use wacore::store::DevicePropsOverride;
use waproto::whatsapp::device_props::PlatformType;
use whatsapp_rust::{
    CacheConfig, Client, RawNodeLease,
    bot::{Bot, BotHandle},
};

/// A client that runs.
pub struct ClientConnection {
    pub number: u64,
    pub client: Arc<Client>,
    breaker: ConnectionAbort,
    /// Cancelled before the client closes; see [`GatedTransport`].
    gate: CancellationToken,
    handle: BotHandle,
    keys: Arc<BatchingStore>,
    pub tasks: ClientTasks,
    _raw_stanzas: RawNodeLease,
    /// Tasks that end with the connection.
    beside: JoinSet<()>,
}

/// A recipient that cannot decrypt a message asks again, after days if it was offline. The client's default is two
/// hours.
const SENT_MESSAGES_KEPT: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// The version for a server that is not WhatsApp. Otherwise the client would look up the newest version on the web.
const VERSION_ELSEWHERE: (u32, u32, u32) = (2, 3000, 1_023_000_000);
/// A question to the phone is a message, and may need the phone's keys first.
const ASKED_WITHIN: Duration = Duration::from_secs(30);
/// Closing flushes acknowledgements and keys. Messages that still wait for the broker then are given up, and WhatsApp
/// sends them again.
const PATIENCE_WITH_MESSAGES: Duration = Duration::from_secs(3);
/// After this time the client is dropped. A supervisor waits longer than this for a stopping gateway.
const LEAVE_WITHIN: Duration = Duration::from_secs(6);

impl ClientConnection {
    /// Makes a client and lets it connect.
    ///
    /// # Errors
    /// If the keys cannot be opened.
    pub async fn open(
        config: &GatewayConfig,
        store: &SessionStore,
        listener: ClientListener,
        hook: DurabilityHook,
        appearance: OnlineAppearance,
    ) -> anyhow::Result<Self> {
        let number = listener.connection;
        let breaker = hook.breaker.clone();
        let gate = CancellationToken::new();
        let (proxy, alarm) = (config.whatsapp_proxy.clone(), listener.proxy_alarm());
        let sockets = WhatsappSockets::new(config.whatsapp_url.as_deref(), proxy.clone(), alarm);
        let tasks = ClientTasks::default();
        let keys = store.open_keys(breaker.clone(), tasks.clone()).await?;
        let mut builder = Bot::builder()
            .with_runtime(tasks.clone())
            .with_transport_factory(GatedTransport { sockets, closed: gate.clone() })
            .with_http_client(http::http_client(listener.hosts.clone(), proxy.as_ref())?)
            .with_backend_arc(keys.clone())
            .with_inbound_durability_hook(hook)
            .with_event_handler(listener)
            .with_device_props(DevicePropsOverride::new().with_os("Kurir").with_platform_type(PlatformType::CHROME))
            .with_cache_config(CacheConfig {
                sent_message_ttl_secs: SENT_MESSAGES_KEPT.as_secs(),
                ..CacheConfig::default()
            });
        if !config.whatsapp_history_sync {
            // A history sync costs a new session minutes and memory.
            builder = builder.skip_history_sync();
        }
        if config.whatsapp_url.is_some() {
            builder = builder.with_version(VERSION_ELSEWHERE);
        }
        if let Some(name) = &config.whatsapp_push_name {
            builder = builder.with_push_name(without_at(name));
        }
        let bot = builder.build().await.context("failed to make the WhatsApp client")?;
        let client = bot.client();
        let raw_stanzas = client.acquire_raw_node_forwarding();
        let mut beside = JoinSet::new();
        beside.spawn(appearance.run(Arc::clone(&client)));
        let handle = bot.spawn();
        Ok(Self { number, client, breaker, gate, handle, keys, tasks, _raw_stanzas: raw_stanzas, beside })
    }

    /// Asks the account's phone for a sign of life, by requesting the message before one that does not exist. The phone
    /// confirms the request in any case.
    pub fn ask_phone(&mut self) {
        let client = Arc::clone(&self.client);
        self.spawn(async move {
            let Some(own) = client.pn() else { return };
            let (own, nobodys) = (own.to_non_ad(), client.generate_message_id());
            let asked = client.fetch_message_history(&own, &nobodys, true, wacore::time::now_millis(), 1);
            match timeout(ASKED_WITHIN, asked).await {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => tracing::debug!("the phone could not be asked whether it is there: {error}"),
                Err(_) => tracing::debug!("the phone could not be asked whether it is there in time"),
            }
        });
    }

    /// Runs a task that ends with this connection.
    pub fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        while self.beside.try_join_next().is_some() {}
        self.beside.spawn(task);
    }

    /// Waits until the client's run loop has ended.
    pub async fn wait_closed(&mut self) {
        (&mut self.handle).await;
    }

    /// Closes the connection. What is in flight is acknowledged if that does not take too long.
    ///
    /// When this returns, no task of the client is left and everything that the client wrote is on disk: the next client
    /// finds every message that this one decrypted and stored.
    pub async fn close(self) {
        let Self { breaker, gate, handle, keys, tasks, mut beside, .. } = self;
        gate.cancel();
        // What is being decrypted can be acknowledged still, if NATS takes it.
        if timeout(SETTLED_WITHIN, tasks.settled()).await.is_err() {
            tracing::debug!("leaving WhatsApp while a message is being decrypted");
        }
        let mut left = pin!(handle.shutdown());
        if timeout(PATIENCE_WITH_MESSAGES, &mut left).await.is_err() {
            breaker.token().cancel();
            if timeout(LEAVE_WITHIN, left).await.is_err() {
                tracing::warn!("the WhatsApp client did not stop in time and was dropped");
            }
        }
        // No key is written from here on, for the tasks that are ended now may hold messages.
        breaker.token().cancel();
        beside.shutdown().await;
        tasks.end().await;
        keys.finish().await;
    }
}
