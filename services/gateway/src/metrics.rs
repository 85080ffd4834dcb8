//! The gateway's metrics, each with its session: `/metrics` on `HEALTH_LISTEN`.

use kurir_chassis::{
    metrics::{MetricsRegistry, TracedHistogram, seconds_histogram, traced_waits_histogram},
    trace_context,
};
use kurir_contract::{
    event::{EventType, NoticedBy},
    session::{SessionId, SessionStatus},
};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
};
use std::time::Duration;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SessionLabels {
    session: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StatusLabels {
    session: String,
    status: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SilenceLabels {
    session: String,
    noticed_by: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EventLabels {
    r#type: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SendLabels {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StoreLabels {
    store: &'static str,
}

/// All metrics. Clones count on the same ones.
#[derive(Clone)]
pub struct GatewayMetrics {
    status: Family<StatusLabels, Gauge>,
    reconnects: Family<SessionLabels, Counter>,
    silences: Family<SilenceLabels, Counter>,
    phone_seen: Family<SessionLabels, Gauge>,
    restricted: Family<SessionLabels, Gauge>,
    published: Family<EventLabels, Counter>,
    truncated: Family<EventLabels, Counter>,
    unknown: Counter,
    sends: Family<SendLabels, Counter>,
    send_wait: Family<SendLabels, TracedHistogram>,
    hook_wait: Histogram,
    storage: Gauge,
    lost_jobs: Counter,
    lost_stores: Family<StoreLabels, Counter>,
    reach: Gauge,
}

impl GatewayMetrics {
    #[must_use]
    pub fn register(metrics: &MetricsRegistry) -> Self {
        let declared = Self {
            status: Family::default(),
            reconnects: Family::default(),
            silences: Family::default(),
            phone_seen: Family::default(),
            restricted: Family::default(),
            published: Family::default(),
            truncated: Family::default(),
            unknown: Counter::default(),
            sends: Family::default(),
            send_wait: Family::new_with_constructor(traced_waits_histogram),
            hook_wait: seconds_histogram(),
            storage: Gauge::default(),
            lost_jobs: Counter::default(),
            lost_stores: Family::default(),
            reach: Gauge::default(),
        };
        declared.reach.set(1);
        declared.storage.set(1);
        metrics.declare_metrics(|registry| {
            registry.register(
                "session_status",
                "1 for the status that the session has, 0 for those it had",
                declared.status.clone(),
            );
            registry.register(
                "session_reconnects",
                "Connections to WhatsApp that were lost",
                declared.reconnects.clone(),
            );
            registry.register(
                "session_silences",
                "Connections that were open and silent, by what noticed it",
                declared.silences.clone(),
            );
            registry.register(
                "session_phone_last_seen_timestamp_seconds",
                "When the account's phone was last seen",
                declared.phone_seen.clone(),
            );
            registry.register(
                "session_restricted",
                "1 while WhatsApp restricts the account, 0 afterwards",
                declared.restricted.clone(),
            );
            registry.register(
                "events_truncated",
                "Events that were too large for NATS and are stored with less in them, by type",
                declared.truncated.clone(),
            );
            registry.register(
                "messages_unknown",
                "Messages that hold nothing which this version knows",
                declared.unknown.clone(),
            );
            registry.register(
                "events_storable",
                "1 if NATS stores events or is away, 0 if it is there and refuses them",
                declared.storage.clone(),
            );
            registry.register(
                "jobs_lost",
                "Jobs that were gone from OUTBOX and ended as failed",
                declared.lost_jobs.clone(),
            );
            registry.register(
                "stores_lost",
                "Streams, buckets and object stores that vanished from NATS or came back older, by name",
                declared.lost_stores.clone(),
            );
            registry.register(
                "gateway_reaches_whatsapp",
                "0 if no connection to WhatsApp's address is made, so that sessions go to other gateways",
                declared.reach.clone(),
            );
            registry.register("events_published", "Events that EVENTS has, by type", declared.published.clone());
            registry.register("sends", "Sends that were answered, by outcome", declared.sends.clone());
            registry.register(
                "send_seconds",
                "How long sends took until WhatsApp's acknowledgement or their refusal, their turn included, by outcome",
                declared.send_wait.clone(),
            );
            registry.register(
                "hook_wait_seconds",
                "How long WhatsApp's messages waited until EVENTS had them",
                declared.hook_wait.clone(),
            );
        });
        declared
    }

    /// Records that the session changed its status.
    pub fn record_status(&self, session: &SessionId, before: SessionStatus, now: SessionStatus) {
        self.status_gauge(session, before).set(0);
        self.status_gauge(session, now).set(1);
        if now == SessionStatus::Reconnecting && before != now {
            self.reconnects.get_or_create(&SessionLabels { session: session.to_string() }).inc();
        }
    }

    fn status_gauge(&self, session: &SessionId, status: SessionStatus) -> Gauge {
        self.status.get_or_create(&StatusLabels { session: session.to_string(), status: status.as_str() }).clone()
    }

    pub fn count_silence(&self, session: &SessionId, noticed_by: NoticedBy) {
        self.silences
            .get_or_create(&SilenceLabels { session: session.to_string(), noticed_by: noticed_by.as_str() })
            .inc();
    }

    pub fn record_phone_seen(&self, session: &SessionId, unix_seconds: i64) {
        self.phone_seen.get_or_create(&SessionLabels { session: session.to_string() }).set(unix_seconds);
    }

    pub fn record_restricted(&self, session: &SessionId, is_restricted: bool) {
        self.restricted.get_or_create(&SessionLabels { session: session.to_string() }).set(i64::from(is_restricted));
    }

    /// Ends the figures of restrictions of a session that goes elsewhere.
    pub fn forget_restricted(&self, session: &SessionId) {
        self.restricted.remove(&SessionLabels { session: session.to_string() });
    }

    /// Counts an event of this type that was made smaller.
    pub fn count_truncated(&self, kind: &EventType) {
        self.truncated.get_or_create(&EventLabels { r#type: kind.to_string() }).inc();
    }

    /// Counts a message that holds nothing known.
    pub fn count_unknown(&self) {
        self.unknown.inc();
    }

    pub fn count_published(&self, kind: &EventType) {
        self.published.get_or_create(&EventLabels { r#type: kind.to_string() }).inc();
    }

    /// Counts a send that was answered after this time.
    pub fn count_send(&self, accepted: bool, took: Duration) {
        let labels = SendLabels { outcome: if accepted { "accepted" } else { "refused" } };
        self.sends.get_or_create(&labels).inc();
        let trace = trace_context::collected_trace(trace_context::current().as_deref());
        self.send_wait.get_or_create(&labels).observe(took.as_secs_f64(), trace, None);
    }

    /// Records whether NATS stores events.
    pub fn record_storage(&self, stores: bool) {
        self.storage.set(i64::from(stores));
    }

    /// Records whether this gateway reaches WhatsApp.
    pub fn record_reach(&self, reaches: bool) {
        self.reach.set(i64::from(reaches));
    }

    /// Counts a job that is gone from OUTBOX.
    pub fn count_lost_job(&self) {
        self.lost_jobs.inc();
    }

    /// Counts a stream or bucket that vanished or came back older.
    pub fn count_lost_store(&self, store: &'static str) {
        self.lost_stores.get_or_create(&StoreLabels { store }).inc();
    }

    pub fn observe_hook_wait(&self, wait: Duration) {
        self.hook_wait.observe(wait.as_secs_f64());
    }
}
