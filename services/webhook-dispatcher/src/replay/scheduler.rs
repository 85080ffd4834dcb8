//! Finds every running replay and copies its events, as every other dispatcher does. Deletes replays that ended long
//! ago. A check also finds replays whose first dispatcher has died.

use crate::replay::service::ReplayService;
use anyhow::Context as _;
use futures::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use kurir_chassis::shutdown::CancellationToken;
use kurir_contract::{
    clock,
    webhook::{Replay, ReplayState},
};
use std::{
    collections::{HashMap, HashSet},
    sync::atomic::Ordering,
    time::Duration,
};
use time::OffsetDateTime;
use tokio::{sync::mpsc, time::MissedTickBehavior};

/// Between two checks of the bucket.
const CHECK_INTERVAL: Duration = Duration::from_secs(5);
/// Replays that have ended are kept for this long: as long as the record of their attempts.
const KEEP_ENDED_FOR: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// A cancelled replay is cleaned up repeatedly for this long: what was in delivery may still store a retry.
const CLEAN_UP_FOR: Duration = Duration::from_secs(120);

pub struct ReplayScheduler {
    replays: ReplayService,
    new_replays_inbox: mpsc::Receiver<String>,
    copying: HashSet<String>,
    copiers: FuturesUnordered<BoxFuture<'static, String>>,
    /// Replays that have ended, and when: they need not be read again.
    ended: HashMap<String, OffsetDateTime>,
}

impl ReplayScheduler {
    pub(super) fn new(replays: ReplayService, new_replays_inbox: mpsc::Receiver<String>) -> Self {
        Self {
            replays,
            new_replays_inbox,
            copying: HashSet::new(),
            copiers: FuturesUnordered::new(),
            ended: HashMap::new(),
        }
    }

    /// Runs until the shutdown. What was being copied then is copied by another dispatcher, or after the next start.
    ///
    /// # Errors
    /// None: a broker that is away is waited for.
    pub async fn run(mut self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let mut looks = tokio::time::interval(CHECK_INTERVAL);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                Some(id) = self.new_replays_inbox.recv() => self.start_copying(id),
                Some(id) = self.copiers.next(), if !self.copiers.is_empty() => {
                    self.copying.remove(&id);
                    self.replays.running.store(self.copying.len(), Ordering::Relaxed);
                }
                _ = looks.tick() => {
                    if self.replays.broker.is_connected()
                        && let Err(error) = self.find_replays().await
                    {
                        tracing::debug!("failed to find the running replays: {error:#}");
                    }
                }
            }
        }
    }

    fn start_copying(&mut self, id: String) {
        if self.copying.insert(id.clone()) {
            self.replays.running.store(self.copying.len(), Ordering::Relaxed);
            let replays = self.replays.clone();
            let copying = async move {
                replays.copy_until_done(&id).await;
                id
            };
            self.copiers.push(copying.boxed());
        }
    }

    async fn find_replays(&mut self) -> anyhow::Result<()> {
        let now = clock::now();
        let ids = self.replays.records.ids().await?;
        self.ended.retain(|id, _| ids.contains(id));
        for id in ids {
            if self.copying.contains(&id) {
                continue;
            }
            match self.ended.get(&id) {
                Some(at) if now - *at > KEEP_ENDED_FOR => self.replays.records.delete(&id).await?,
                Some(_) => {}
                None => match self.replays.records.get(&id).await {
                    Ok(Some(record)) => self.take_up(id, &record.replay, now).await?,
                    Ok(None) => {}
                    // An unreadable replay must not hide the others.
                    Err(error) => tracing::debug!("failed to read the replay {id}: {error:#}"),
                },
            }
        }
        Ok(())
    }

    async fn take_up(&mut self, id: String, replay: &Replay, now: OffsetDateTime) -> anyhow::Result<()> {
        let ended = replay.ended_at.as_deref().unwrap_or(&replay.created_at);
        let ended = clock::parse(ended).context("the time of a replay is not readable")?;
        match replay.state {
            ReplayState::Running => self.start_copying(id),
            ReplayState::Done => {
                self.ended.insert(id, ended);
            }
            ReplayState::Cancelled => {
                self.replays.clean_up(replay).await?;
                if now - ended > CLEAN_UP_FOR {
                    self.ended.insert(id, ended);
                }
            }
        }
        Ok(())
    }
}
