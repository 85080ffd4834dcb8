//! A WhatsApp server for tests: clients of the WhatsApp Web protocol pair with it, log in, receive and send, and
//! simulated people answer them. An HTTP API controls it.
//!
//! The modules, in the order in which a client meets them:
//! - [`config`]: the settings
//! - `noise`: handshake and certificate chain; `wire`: stanzas as bytes
//! - `server`: socket, pairing, login, and when which stanza is written; `connection`: the state of a connection
//! - `stanza`: what clients and simulated phones exchange
//! - `people`: persons with phone, companions and inbox; `signal`: a phone's keys and sessions
//! - `app_state`: the settings that an account's devices share; `privacy`: who may see what
//! - `passkey`: an account's passkey, and the browser that signs with it
//! - `groups`, `offline_queue`, `ledger`, `sent_log`: what is remembered of conversations
//! - `faults`, `refusals`, `restrictions`, `timers`, `load`, `load_runner`: what a test does to clients on purpose
//! - `media_store`, `media_server`: files over HTTPS; `control`: the HTTP API; `snapshot`: what survives a restart
//! - `state`: all of the state, behind one lock

mod app_state;
mod channels;
mod config;
mod connection;
mod control;
mod faults;
mod groups;
mod ledger;
mod load;
mod load_runner;
mod media_server;
mod media_store;
mod noise;
mod offline_queue;
mod passkey;
mod people;
mod phone_number;
mod privacy;
pub mod randomness;
mod recording;
mod refusals;
mod restrictions;
mod sent_log;
mod server;
mod signal;
mod snapshot;
mod stanza;
mod state;
mod statistics;
mod timers;
mod wire;

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use tokio::{net::TcpListener, task::JoinSet, time::timeout};
use tokio_util::sync::CancellationToken;

pub use config::Config;
pub use phone_number::PhoneNumber;

use media_store::MediaStore;
use state::{ServerState, SharedState};

/// How long `stop` lets connections end by themselves.
const STOP_GRACE: Duration = Duration::from_secs(5);

/// A running simulator.
pub struct Simulator {
    /// WebSocket and control API.
    pub listen: SocketAddr,
    /// The media store.
    pub media: SocketAddr,
    shared: SharedState,
    media_handle: axum_server::Handle<SocketAddr>,
    tasks: JoinSet<(&'static str, Result<()>)>,
}

impl Simulator {
    /// Binds both ports and serves until stopped.
    pub async fn start(config: Config) -> Result<Self> {
        let stop = CancellationToken::new();
        let store = Arc::new(MediaStore::default());
        let listener = TcpListener::bind(config.listen)
            .await
            .with_context(|| format!("listen on {} (SIMULATOR_LISTEN)", config.listen))?;
        let listen = listener.local_addr()?;
        let mut world = ServerState::new(&config, store)?;
        if let Some(folder) = &config.state {
            let is_restored = snapshot::restore(&mut world, folder)?;
            // The seed would give the keys and ids of the earlier run to others.
            ensure!(
                !(is_restored && config.seed.is_some()),
                "--seed (SIMULATOR_SEED) needs a new state, and {} (SIMULATOR_STATE) holds one",
                folder.display()
            );
        }
        let shared = SharedState::new(world, stop.clone());
        let media_handle = axum_server::Handle::new();
        let (media, media_server) =
            media_server::bind(shared.clone(), config.media_listen, media_handle.clone()).await?;

        let mut tasks = JoinSet::new();
        tasks.spawn(async move { ("media store", media_server.await) });
        let clock = run_timers(shared.clone());
        tasks.spawn(async move { ("timers", clock.await) });
        if let Some(folder) = config.state {
            let keeper = snapshot::keep(shared.clone(), folder);
            tasks.spawn(async move { ("state folder", keeper.await) });
        }
        let router = control::router(shared.clone());
        let stopped = stop.cancelled_owned();
        tasks.spawn(async move {
            let served = axum::serve(listener, router).with_graceful_shutdown(stopped).await;
            ("control API", served.map_err(Into::into))
        });
        let root = shared.lock().identity.root_public();
        tracing::info!("listening on {listen}, media on {media}, root key {}", signal::hexadecimal(&root));
        Ok(Self { listen, media, shared, media_handle, tasks })
    }

    /// Resolves when a part ends unasked, with its name.
    pub async fn ended(&mut self) -> anyhow::Error {
        match self.tasks.join_next().await {
            Some(Ok((name, Ok(())))) => anyhow::anyhow!("the {name} ended unasked"),
            Some(Ok((name, Err(error)))) => error.context(format!("the {name} failed")),
            Some(Err(error)) => anyhow::Error::new(error).context("a part panicked"),
            None => anyhow::anyhow!("every part ended"),
        }
    }

    /// Closes every connection and ends every part.
    pub async fn stop(mut self) -> Result<()> {
        self.shared.stop.cancel();
        self.media_handle.graceful_shutdown(Some(STOP_GRACE));
        let all = timeout(STOP_GRACE, async {
            while let Some(ended) = self.tasks.join_next().await {
                let (name, result) = ended.context("a part panicked")?;
                result.with_context(|| format!("the {name} failed"))?;
            }
            self.shared.finished().await;
            Ok(())
        });
        match all.await {
            Ok(result) => result,
            Err(_) => {
                self.tasks.shutdown().await;
                Ok(())
            }
        }
    }
}

async fn run_timers(shared: SharedState) -> Result<()> {
    loop {
        let next = shared.lock().run_timers(Instant::now());
        let due = async {
            match next {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = due => {}
            () = shared.timers_changed.notified() => {}
            () = shared.stop.cancelled() => return Ok(()),
        }
    }
}
