//! Stores the health of endpoints in the bucket of states and publishes it as events.
//!
//! The worker hands in its changes and goes on. The bucket is the one truth for all dispatchers and outlives them:
//! since when an endpoint fails, and what was published about it. An endpoint that fails for too long is disabled; its
//! events wait in EVENTS. Only a dispatcher that saw the endpoint fail warns and disables: what it finds in the bucket
//! at its start may be over. The id of each event is derived from its content, so that several dispatchers store it
//! once.

use crate::endpoints::{failing_endpoints::FailingEndpoints, health_change::HealthChange};
use anyhow::Context as _;
use async_nats::HeaderMap;
use kurir_chassis::{
    broker::Broker,
    bucket::{Bucket, to_json},
    publish::OutgoingMessage,
    shutdown::CancellationToken,
};
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
use time::OffsetDateTime;
use tokio::{sync::mpsc, time::Instant};

/// Tries to disable an endpoint that others change at the same time.
const TRIES: u32 = 5;
/// The time to store an event about an endpoint.
const STORE_TIMEOUT: Duration = Duration::from_secs(20);
/// Percentages of the time until the endpoint is disabled. Each is published once.
const WARNINGS: [u8; 2] = [80, 50];
/// For at most this long the bucket may call an endpoint failing that works.
const MAX_CHECK_INTERVAL: Duration = Duration::from_secs(60);

pub struct HealthReporter {
    endpoints: Bucket,
    states: Bucket,
    broker: Broker,
    health_changes: mpsc::Receiver<HealthChange>,
    /// An endpoint that fails for this long is disabled; zero: never.
    disable_after: Duration,
    /// For the worker: the endpoints that the bucket calls failing.
    failing: FailingEndpoints,
    /// Endpoints that this dispatcher saw away, pausing, or with an open circuit, and not working since. An endpoint with a
    /// failed event now and then, and no others, is not disabled.
    seen_failing: HashSet<EndpointId>,
    /// Endpoints whose receivers said that they are gone and that could not be disabled yet, with the reason.
    gone: HashMap<EndpointId, String>,
}

impl HealthReporter {
    #[must_use]
    pub fn new(
        broker: Broker,
        health_changes: mpsc::Receiver<HealthChange>,
        disable_after: Duration,
        failing: FailingEndpoints,
    ) -> Self {
        Self {
            endpoints: Bucket::new(broker.clone(), BUCKET),
            states: Bucket::new(broker.clone(), STATES_BUCKET),
            broker,
            health_changes,
            disable_after,
            failing,
            seen_failing: HashSet::new(),
            gone: HashMap::new(),
        }
    }

    /// Runs until the shutdown.
    ///
    /// # Errors
    /// None: what cannot be written now is written at the next change or the next check.
    pub async fn run(mut self, shutdown: CancellationToken) -> anyhow::Result<()> {
        // A hundredth of the time is exact enough, and a minute is often enough.
        let every = match self.disable_after / 100 {
            Duration::ZERO => MAX_CHECK_INTERVAL,
            hundredth => hundredth.clamp(Duration::from_millis(200), MAX_CHECK_INTERVAL),
        };
        let mut checks = tokio::time::interval(every);
        checks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let applied = tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                Some(change) = self.health_changes.recv() => self.apply_change(change).await,
                _ = checks.tick() => self.check_failing().await,
            };
            if let Err(error) = applied
                && self.broker.is_connected()
            {
                tracing::warn!("failed to report the health of a webhook endpoint: {error:#}");
            }
        }
    }

    async fn apply_change(&mut self, change: HealthChange) -> anyhow::Result<()> {
        match change {
            HealthChange::Failing { endpoint, reason, is_away } => {
                if is_away {
                    self.seen_failing.insert(endpoint.clone());
                }
                self.update_state(&endpoint, |state| state.record_failure(&reason, self.now_iso())).await
            }
            HealthChange::Paused { endpoint, reason, pause } => {
                self.seen_failing.insert(endpoint.clone());
                self.update_state(&endpoint, |state| {
                    state.record_failure(&reason, self.now_iso());
                    state.circuit = CircuitState::Closed;
                    state.pause_ms = Some(pause.as_millis() as u64);
                })
                .await
            }
            HealthChange::Reachable { endpoint } => {
                self.update_state(&endpoint, |state| state.circuit = CircuitState::Closed).await
            }
            HealthChange::Open { endpoint, reason } => {
                self.seen_failing.insert(endpoint.clone());
                self.update_state(&endpoint, |state| {
                    state.record_failure(&reason, self.now_iso());
                    state.circuit = CircuitState::Open;
                    state.opened = true;
                    state.pause_ms = None;
                })
                .await
            }
            HealthChange::Probing { endpoint } => {
                self.update_state(&endpoint, |state| state.circuit = CircuitState::HalfOpen).await
            }
            HealthChange::Closed { endpoint } => {
                self.seen_failing.remove(&endpoint);
                self.report_recovery(&endpoint).await
            }
            HealthChange::UrlChanged { endpoint } => {
                self.seen_failing.remove(&endpoint);
                self.delete_state(&endpoint).await
            }
            HealthChange::Gone { endpoint, reason } => {
                self.disable_gone_endpoint(endpoint, reason).await;
                Ok(())
            }
        }
    }

    /// Disables an endpoint whose receiver is gone. Nothing more is sent to it, so nothing would report it again: if it
    /// fails now, the next check repeats it.
    async fn disable_gone_endpoint(&mut self, endpoint: EndpointId, reason: String) {
        if let Err(error) = self.disable(&endpoint, &reason, None).await {
            tracing::warn!(endpoint.id = %endpoint, "failed to disable webhook endpoint {endpoint}, whose receiver is gone: {error:#}");
            self.gone.insert(endpoint, reason);
        }
    }

    /// Publishes before it deletes the state: after a crash in between, the repeat has the same id.
    async fn report_recovery(&self, endpoint: &EndpointId) -> anyhow::Result<()> {
        let Some((state, _)) = self.states.get_json::<EndpointState>(endpoint.as_str()).await? else {
            return Ok(());
        };
        // An endpoint whose events were sent all the time was not reported as failing.
        let was_reported = state.opened || state.circuit != CircuitState::Closed || state.warned_percent > 0;
        if let Some(since) = state.failing_since.clone().filter(|_| was_reported) {
            let event =
                HealthEvent { kind: EventType::ENDPOINT_RECOVERED, identity: since, reason: None, state: &state };
            self.publish_event(endpoint, &event).await?;
        }
        self.delete_state(endpoint).await
    }

    fn now_iso(&self) -> String {
        clock::iso(self.broker.clock.now())
    }

    async fn delete_state(&self, endpoint: &EndpointId) -> anyhow::Result<()> {
        if self.states.get_json::<EndpointState>(endpoint.as_str()).await?.is_some() {
            self.states.delete(endpoint.as_str()).await.context("failed to delete the state of an endpoint")?;
        }
        Ok(())
    }

    /// Checks all failing endpoints: which to warn about, which to disable.
    async fn check_failing(&mut self) -> anyhow::Result<()> {
        if !self.broker.is_connected() {
            return Ok(());
        }
        let gone = std::mem::take(&mut self.gone);
        for (endpoint, reason) in gone {
            self.disable_gone_endpoint(endpoint, reason).await;
        }
        let keys = self.states.keys().await?;
        let failing: HashSet<EndpointId> = keys.iter().filter_map(|key| key.parse().ok()).collect();
        for endpoint in self.failing.replace(&failing) {
            self.report_recovery(&endpoint).await?;
        }
        self.seen_failing.retain(|endpoint| failing.contains(endpoint));
        for endpoint in failing {
            if !self.is_active(&endpoint).await? {
                self.delete_state(&endpoint).await?;
            } else if self.seen_failing.contains(&endpoint)
                && !self.disable_after.is_zero()
                && let Some((state, _)) = self.states.get_json::<EndpointState>(endpoint.as_str()).await?
            {
                self.warn_or_disable(&endpoint, &state, self.broker.clock.now()).await?;
            }
        }
        Ok(())
    }

    /// Whether the endpoint exists and is enabled. Nothing is published about others.
    async fn is_active(&self, endpoint: &EndpointId) -> anyhow::Result<bool> {
        let settings = self.endpoints.get_json::<EndpointSettings>(endpoint.as_str()).await?;
        Ok(settings.map_or(endpoint.is_default(), |(settings, _)| settings.enabled))
    }

    async fn warn_or_disable(
        &self,
        endpoint: &EndpointId,
        state: &EndpointState,
        now: OffsetDateTime,
    ) -> anyhow::Result<()> {
        let Some(percent) = percent_until_disabled(state, self.disable_after, now) else { return Ok(()) };
        let since = state.failing_since.clone().unwrap_or_default();
        let reason = state.last_error.clone().unwrap_or_default();
        if percent >= 100 {
            return self.disable(endpoint, &reason, Some(state)).await;
        }
        let Some(warning) = WARNINGS.into_iter().find(|warning| percent >= u64::from(*warning)) else { return Ok(()) };
        if state.warned_percent >= warning {
            return Ok(());
        }
        let identity = format!("{since} {warning}");
        let event = HealthEvent { kind: EventType::ENDPOINT_FAILING, identity, reason: Some(&reason), state };
        self.publish_event(endpoint, &event).await?;
        tracing::warn!(endpoint.id = %endpoint, "webhook endpoint {endpoint} has failed since {since}: {reason}");
        self.update_state(endpoint, |state| state.warned_percent = warning).await
    }

    /// Disables an endpoint. Publishes first: after a crash in between, the repeat has the same id.
    async fn disable(&self, endpoint: &EndpointId, reason: &str, state: Option<&EndpointState>) -> anyhow::Result<()> {
        for _ in 0..TRIES {
            let Some((mut settings, revision)) = self.endpoints.get_json::<EndpointSettings>(endpoint.as_str()).await?
            else {
                return Ok(());
            };
            if !settings.enabled {
                return Ok(());
            }
            let nothing = EndpointState::default();
            let identity = format!("{} {revision}", settings.updated_at);
            let kind = EventType::ENDPOINT_DISABLED;
            self.publish_event(
                endpoint,
                &HealthEvent { kind, identity, reason: Some(reason), state: state.unwrap_or(&nothing) },
            )
            .await?;
            settings.enabled = false;
            settings.disabled_reason = Some(reason.to_owned());
            settings.updated_at = self.now_iso();
            match self.endpoints.update(endpoint.as_str(), to_json(&settings)?, revision).await {
                Ok(_) => {
                    tracing::warn!(endpoint.id = %endpoint, "webhook endpoint {endpoint} is disabled, its events wait: {reason}");
                    return self.delete_state(endpoint).await;
                }
                Err(error) if error.is_conflict() => {}
                Err(error) => return Err(error).context("failed to disable an endpoint"),
            }
        }
        anyhow::bail!("others changed the endpoint {endpoint} at the same time in each of {TRIES} tries")
    }

    async fn update_state(&self, endpoint: &EndpointId, change: impl Fn(&mut EndpointState)) -> anyhow::Result<()> {
        let changed = |stored: Option<EndpointState>| {
            let mut state = stored.clone().unwrap_or_default();
            change(&mut state);
            // Without both, another dispatcher saw the endpoint work meanwhile.
            let is_known = stored.is_some() || state.failing_since.is_some();
            (is_known && stored.as_ref() != Some(&state)).then_some(state)
        };
        self.states
            .change_value(endpoint.as_str(), changed)
            .await
            .context("failed to store the state of an endpoint")?;
        Ok(())
    }

    async fn publish_event(&self, endpoint: &EndpointId, event: &HealthEvent<'_>) -> anyhow::Result<()> {
        let description = match self.endpoints.get_json::<EndpointSettings>(endpoint.as_str()).await? {
            Some((settings, _)) => settings.description,
            None => String::new(),
        };
        let now = self.broker.clock.now();
        let since = event.state.failing_since.as_deref();
        let data = EndpointEvent {
            endpoint: endpoint.clone(),
            description,
            reason: event.reason.map(ToOwned::to_owned),
            failing_since: since.map(ToOwned::to_owned),
            disabled_at: since.and_then(|since| self.disabled_at(event, since)),
            timestamp: clock::iso(now),
        };
        let mut headers = HeaderMap::new();
        let seed = format!("{} {}", event.kind, event.identity);
        headers.insert(header::EVENT_ID, EventId::from_header(endpoint.as_str()).derived(&seed).as_str());
        headers.insert(header::NOT_FOR, endpoint.as_str());
        let envelope = EventEnvelope::new(event.kind.clone(), now, data);
        let message = OutgoingMessage {
            subject: subject::event(&SessionId::default(), &event.kind),
            headers,
            payload: to_json(&envelope)?,
        };
        let stored = self.broker.publish_until_stored(&message, Instant::now() + STORE_TIMEOUT).await;
        stored.with_context(|| format!("failed to store {}", message.subject))?;
        Ok(())
    }

    fn disabled_at(&self, event: &HealthEvent<'_>, since: &str) -> Option<String> {
        if self.disable_after.is_zero() || event.kind != EventType::ENDPOINT_FAILING {
            return None;
        }
        Some(clock::iso(clock::parse(since)? + self.disable_after))
    }
}

/// What an event says about an endpoint.
struct HealthEvent<'a> {
    kind: EventType,
    /// The same for the same fact, so that the fact is published once.
    identity: String,
    reason: Option<&'a str>,
    state: &'a EndpointState,
}

/// How much of the time until it is disabled has passed; none if the endpoint does not fail.
fn percent_until_disabled(state: &EndpointState, disable_after: Duration, now: OffsetDateTime) -> Option<u64> {
    let since = clock::parse(state.failing_since.as_ref()?)?;
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
            assert_eq!(percent_until_disabled(&failing, after, since + Duration::from_secs(seconds)), Some(percent));
        }
        assert_eq!(percent_until_disabled(&EndpointState::default(), after, since), None);
        assert_eq!(percent_until_disabled(&failing, after, since - Duration::from_secs(5)), None, "clocks differ");
    }
}
