//! How endpoints fare, made known: in the bucket of states, and as events.
//!
//! The worker sends its news here and goes on. What is known lies in the bucket, so it is one truth for all dispatchers
//! and outlives them: since when an endpoint fails, and what was told of it. One that fails for too long is disabled;
//! its events wait in EVENTS. Only who saw it fail speaks of it: what a dispatcher finds in the bucket at its start may be
//! over long since. Every event that tells of this has an id made of what it tells, so that it comes once
//! however many dispatchers see the same.

use crate::{
    endpoints::{failing_endpoints::FailingEndpoints, health_change::HealthChange},
    jetstream::{
        kv_bucket,
        publish::{self, OutgoingMessage},
    },
};
use anyhow::Context as _;
use async_nats::HeaderMap;
use futures::TryStreamExt as _;
use kurir_chassis::{broker::Broker, shutdown::CancellationToken};
use kurir_contract::{
    clock,
    endpoint::{BUCKET, CircuitState, EndpointId, EndpointSettings, EndpointState, STATES_BUCKET},
    event::{EndpointEvent, EventEnvelope, EventId, EventType},
    header,
    session::SessionId,
    subject,
};
use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tokio::{sync::mpsc, time::Instant};

/// Tries to change a state that others change too.
const TRIES: u32 = 5;
/// How long an event about an endpoint is tried to be stored.
const STORE_WITHIN: Duration = Duration::from_secs(20);
/// Of the time until it is disabled, in percent: told of once each.
const WARNINGS: [u8; 2] = [80, 50];
/// So long the bucket may call an endpoint failing that works.
const LOOK_AT_LEAST_EVERY: Duration = Duration::from_secs(60);

pub struct HealthReporter {
    broker: Broker,
    news: mpsc::Receiver<HealthChange>,
    /// An endpoint that fails for so long is disabled; zero: none is.
    disable_after: Duration,
    /// For the worker: what the bucket calls failing.
    failing: FailingEndpoints,
    /// What this dispatcher saw failing and not working since.
    seen: HashSet<EndpointId>,
    /// Their receivers said that they are gone, and they could not be disabled yet; with the reason.
    gone: HashMap<EndpointId, String>,
}

impl HealthReporter {
    #[must_use]
    pub fn new(
        broker: Broker,
        news: mpsc::Receiver<HealthChange>,
        disable_after: Duration,
        failing: FailingEndpoints,
    ) -> Self {
        Self { broker, news, disable_after, failing, seen: HashSet::new(), gone: HashMap::new() }
    }

    /// Works until the shutdown.
    ///
    /// # Errors
    /// None: what cannot be written now is written at the next news or the next look.
    pub async fn run(mut self, shutdown: CancellationToken) -> anyhow::Result<()> {
        // A hundredth of the time is exact enough, and a minute is often enough.
        let every = match self.disable_after / 100 {
            Duration::ZERO => LOOK_AT_LEAST_EVERY,
            hundredth => hundredth.clamp(Duration::from_millis(200), LOOK_AT_LEAST_EVERY),
        };
        let mut looks = tokio::time::interval(every);
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let done = tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                Some(news) = self.news.recv() => self.hear(news).await,
                _ = looks.tick() => self.look().await,
            };
            if let Err(error) = done
                && self.broker.is_connected()
            {
                tracing::warn!("how a webhook endpoint fares could not be made known: {error:#}");
            }
        }
    }

    async fn hear(&mut self, news: HealthChange) -> anyhow::Result<()> {
        match news {
            HealthChange::Open { endpoint, reason } => {
                self.seen.insert(endpoint.clone());
                self.change(&endpoint, |state| {
                    state.circuit = CircuitState::Open;
                    state.last_error = Some(reason.clone());
                    state.failing_since.get_or_insert_with(clock::now_iso);
                })
                .await
            }
            HealthChange::Probing { endpoint } => {
                self.change(&endpoint, |state| state.circuit = CircuitState::HalfOpen).await
            }
            HealthChange::Closed { endpoint } => {
                self.seen.remove(&endpoint);
                self.recovered(&endpoint).await
            }
            HealthChange::Moved { endpoint } => {
                self.seen.remove(&endpoint);
                self.forget(&endpoint).await
            }
            HealthChange::Gone { endpoint, reason } => {
                self.disable_gone(endpoint, reason).await;
                Ok(())
            }
        }
    }

    /// No more is sent to it, so nothing else would say it again: what cannot be done now is done at the next look.
    async fn disable_gone(&mut self, endpoint: EndpointId, reason: String) {
        if let Err(error) = self.disable(&endpoint, &reason, None).await {
            tracing::warn!(endpoint.id = %endpoint, "webhook endpoint {endpoint} is gone and could not be disabled yet: {error:#}");
            self.gone.insert(endpoint, reason);
        }
    }

    /// Told before it is done: a crash in between tells it once.
    async fn recovered(&self, endpoint: &EndpointId) -> anyhow::Result<()> {
        let states = self.broker.bucket(STATES_BUCKET).await?;
        let Some((state, _)) = kv_bucket::read::<EndpointState>(&states, endpoint.as_str()).await? else {
            return Ok(());
        };
        if let Some(since) = state.failing_since.clone() {
            let result = HealthEvent { kind: EventType::ENDPOINT_RECOVERED, once: since, reason: None, state: &state };
            self.tell(endpoint, &result).await?;
        }
        self.forget(endpoint).await
    }

    async fn forget(&self, endpoint: &EndpointId) -> anyhow::Result<()> {
        let states = self.broker.bucket(STATES_BUCKET).await?;
        if kv_bucket::read::<EndpointState>(&states, endpoint.as_str()).await?.is_some() {
            states.delete(endpoint.as_str()).await.context("failed to delete the state of an endpoint")?;
        }
        Ok(())
    }

    /// Looks at all that fail: whom to warn of, whom to disable.
    async fn look(&mut self) -> anyhow::Result<()> {
        if !self.broker.is_connected() {
            return Ok(());
        }
        let gone = std::mem::take(&mut self.gone);
        for (endpoint, reason) in gone {
            self.disable_gone(endpoint, reason).await;
        }
        let states = self.broker.bucket(STATES_BUCKET).await?;
        let keys: Vec<String> = states
            .keys()
            .await
            .context("failed to list the states of endpoints")?
            .try_collect()
            .await
            .context("failed to list the states of endpoints")?;
        let failing: HashSet<EndpointId> = keys.iter().filter_map(|key| key.parse().ok()).collect();
        for endpoint in self.failing.set(&failing) {
            self.recovered(&endpoint).await?;
        }
        self.seen.retain(|endpoint| failing.contains(endpoint));
        for endpoint in failing {
            if !self.is_taken_for(&endpoint).await? {
                self.forget(&endpoint).await?;
            } else if self.seen.contains(&endpoint)
                && !self.disable_after.is_zero()
                && let Some((state, _)) = kv_bucket::read::<EndpointState>(&states, endpoint.as_str()).await?
            {
                self.judge(&endpoint, &state, OffsetDateTime::now_utc()).await?;
            }
        }
        Ok(())
    }

    /// Whether events are taken for it: of one that its user deleted or disabled there is nothing to say.
    async fn is_taken_for(&self, endpoint: &EndpointId) -> anyhow::Result<bool> {
        let settings =
            kv_bucket::read::<EndpointSettings>(&self.broker.bucket(BUCKET).await?, endpoint.as_str()).await?;
        Ok(endpoint.is_default() || settings.is_some_and(|(settings, _)| settings.enabled))
    }

    async fn judge(&self, endpoint: &EndpointId, state: &EndpointState, now: OffsetDateTime) -> anyhow::Result<()> {
        let Some(percent) = percent_of_the_way(state, self.disable_after, now) else { return Ok(()) };
        let since = state.failing_since.clone().unwrap_or_default();
        let reason = state.last_error.clone().unwrap_or_default();
        // `default` is the operator's setting: it is told of and never disabled.
        if percent >= 100 && !endpoint.is_default() {
            return self.disable(endpoint, &reason, Some(state)).await;
        }
        let Some(warning) = WARNINGS.into_iter().find(|warning| percent >= u64::from(*warning)) else { return Ok(()) };
        if state.warned_percent >= warning {
            return Ok(());
        }
        let once = format!("{since} {warning}");
        let result = HealthEvent { kind: EventType::ENDPOINT_FAILING, once, reason: Some(&reason), state };
        self.tell(endpoint, &result).await?;
        tracing::warn!(endpoint.id = %endpoint, "webhook endpoint {endpoint} has failed since {since}: {reason}");
        self.change(endpoint, |state| state.warned_percent = warning).await
    }

    /// Its events wait from now on. Told before it is done: a crash in between tells it once.
    async fn disable(&self, endpoint: &EndpointId, reason: &str, state: Option<&EndpointState>) -> anyhow::Result<()> {
        let endpoints = self.broker.bucket(BUCKET).await?;
        for _ in 0..TRIES {
            let Some((mut settings, revision)) =
                kv_bucket::read::<EndpointSettings>(&endpoints, endpoint.as_str()).await?
            else {
                return Ok(());
            };
            if !settings.enabled {
                return Ok(());
            }
            let nothing = EndpointState::default();
            let once = format!("{} {revision}", settings.updated_at);
            let kind = EventType::ENDPOINT_DISABLED;
            self.tell(endpoint, &HealthEvent { kind, once, reason: Some(reason), state: state.unwrap_or(&nothing) })
                .await?;
            settings.enabled = false;
            settings.disabled_reason = Some(reason.to_owned());
            settings.updated_at = clock::now_iso();
            if kv_bucket::write(&endpoints, endpoint.as_str(), kv_bucket::json(&settings)?, revision).await? {
                tracing::warn!(endpoint.id = %endpoint, "webhook endpoint {endpoint} is disabled, its events wait: {reason}");
                return self.forget(endpoint).await;
            }
        }
        anyhow::bail!("others changed the endpoint {endpoint} at the same time, {TRIES} times in a row")
    }

    async fn change(&self, endpoint: &EndpointId, change: impl Fn(&mut EndpointState)) -> anyhow::Result<()> {
        let states = self.broker.bucket(STATES_BUCKET).await?;
        for _ in 0..TRIES {
            let (before, revision) = match kv_bucket::read::<EndpointState>(&states, endpoint.as_str()).await? {
                Some((state, revision)) => (state, revision),
                None => (EndpointState::default(), 0),
            };
            let mut state = before.clone();
            change(&mut state);
            if revision == 0 && state.failing_since.is_none() {
                // Another dispatcher saw it work meanwhile.
                return Ok(());
            }
            let written = state == before
                || if revision == 0 {
                    states.create(endpoint.as_str(), kv_bucket::json(&state)?).await.is_ok()
                } else {
                    kv_bucket::write(&states, endpoint.as_str(), kv_bucket::json(&state)?, revision).await?
                };
            if written {
                return Ok(());
            }
        }
        anyhow::bail!("others changed the state of {endpoint} at the same time, {TRIES} times in a row")
    }

    async fn tell(&self, endpoint: &EndpointId, tale: &HealthEvent<'_>) -> anyhow::Result<()> {
        let description =
            match kv_bucket::read::<EndpointSettings>(&self.broker.bucket(BUCKET).await?, endpoint.as_str()).await? {
                Some((settings, _)) => settings.description,
                None => String::new(),
            };
        let now = OffsetDateTime::now_utc();
        let since = tale.state.failing_since.as_deref();
        let data = EndpointEvent {
            endpoint: endpoint.clone(),
            description,
            reason: tale.reason.map(ToOwned::to_owned),
            failing_since: since.map(ToOwned::to_owned),
            disabled_at: since.and_then(|since| self.disabled_at(endpoint, tale, since)),
            timestamp: clock::iso(now),
        };
        let mut headers = HeaderMap::new();
        let result = format!("{} {}", tale.kind, tale.once);
        headers.insert(header::EVENT_ID, EventId::from_header(endpoint.as_str()).derived(&result).as_str());
        headers.insert(header::NOT_FOR, endpoint.as_str());
        let envelope = EventEnvelope::new(tale.kind.clone(), now, data);
        let message = OutgoingMessage {
            subject: subject::event(&SessionId::default(), &tale.kind),
            headers,
            payload: kv_bucket::json(&envelope)?,
        };
        publish::store(&self.broker, &message, Instant::now() + STORE_WITHIN).await
    }

    fn disabled_at(&self, endpoint: &EndpointId, tale: &HealthEvent<'_>, since: &str) -> Option<String> {
        if endpoint.is_default() || self.disable_after.is_zero() || tale.kind != EventType::ENDPOINT_FAILING {
            return None;
        }
        Some(clock::iso(OffsetDateTime::parse(since, &Rfc3339).ok()? + self.disable_after))
    }
}

/// What is told of an endpoint.
struct HealthEvent<'a> {
    kind: EventType,
    /// The same for the same, so that it is told once.
    once: String,
    reason: Option<&'a str>,
    state: &'a EndpointState,
}

/// How far it is on the way to be disabled; none if it does not fail.
fn percent_of_the_way(state: &EndpointState, disable_after: Duration, now: OffsetDateTime) -> Option<u64> {
    let since = OffsetDateTime::parse(state.failing_since.as_ref()?, &Rfc3339).ok()?;
    let elapsed = Duration::try_from(now - since).ok()?;
    Some((elapsed.as_millis() * 100 / disable_after.as_millis().max(1)).min(100) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_to_being_disabled_is_told_in_percent() {
        let since = OffsetDateTime::UNIX_EPOCH;
        let failing = EndpointState { failing_since: Some(clock::iso(since)), ..EndpointState::default() };
        let after = Duration::from_secs(1_000);
        for (seconds, percent) in [(0, 0), (499, 49), (500, 50), (800, 80), (999, 99), (1_000, 100), (9_000, 100)] {
            assert_eq!(percent_of_the_way(&failing, after, since + Duration::from_secs(seconds)), Some(percent));
        }
        assert_eq!(percent_of_the_way(&EndpointState::default(), after, since), None);
        assert_eq!(percent_of_the_way(&failing, after, since - Duration::from_secs(5)), None, "clocks differ");
    }
}
