//! Whether NATS stores what the gateway must store: a NATS that is reachable and cannot store is no outage.
//!
//! Three sources say so: the last try to publish an event, the renewal of the gateway's lease, and a look at the stream
//! EVENTS every 2 s, which finds a full stream before anything is refused. The sessions leave WhatsApp while there is a
//! problem, commands are refused with it, and the gateway is not ready.

use crate::metrics::GatewayMetrics;
use async_nats::jetstream::{
    context::GetStreamErrorKind,
    stream::{DiscardPolicy, Info},
};
use kurir_chassis::{
    broker::Broker, bucket::BucketError, health::Health, publish::PublishError, shutdown::CancellationToken,
};
use kurir_contract::{
    command::{CommandError, CommandErrorCode},
    event::EventType,
    session::{SessionId, SessionStatus},
    stream, subject,
};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};

/// Why NATS stores nothing although it is reachable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorageProblem {
    pub kind: StorageProblemKind,
    /// What NATS said, for the operator.
    pub reason: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StorageProblemKind {
    /// Its disk, the account or the stream has no room.
    Full,
    /// It refuses for another reason: the stream is sealed, or has no such subject.
    Refused,
    /// Its JetStream does not answer: it has no quorum, or NATS switched it off.
    Unavailable,
}

impl StorageProblem {
    fn new(kind: StorageProblemKind, reason: String) -> Self {
        Self { kind, reason }
    }

    /// The problem behind an error of a publish; none if NATS is away or the message is to blame.
    #[must_use]
    pub fn of_publish(error: &PublishError) -> Option<Self> {
        let (kind, said) = match error {
            PublishError::Full(said) => (StorageProblemKind::Full, format!("NATS has no room for events: {said}")),
            PublishError::Refused(said) => (StorageProblemKind::Refused, format!("NATS refuses events: {said}")),
            PublishError::Unavailable(said) => {
                (StorageProblemKind::Unavailable, format!("JetStream is not available: {said}"))
            }
            PublishError::NotConnected
            | PublishError::NotAcknowledged
            | PublishError::TooLarge
            | PublishError::Overtaken => return None,
        };
        Some(Self::new(kind, said))
    }

    fn unanswered() -> Self {
        let reason = "NATS is reachable and its JetStream does not answer: has it a quorum?";
        Self::new(StorageProblemKind::Unavailable, reason.to_owned())
    }

    /// The problem that the configuration and the state of EVENTS show; none if it takes events.
    fn of_stream(info: &Info) -> Option<Self> {
        let (config, state) = (&info.config, &info.state);
        let full =
            |limit: String| Some(Self::new(StorageProblemKind::Full, format!("NATS has no room for events: {limit}")));
        let refused = |why: &str| Some(Self::new(StorageProblemKind::Refused, format!("NATS refuses events: {why}")));
        if config.sealed {
            return refused("the stream EVENTS is sealed");
        }
        let event = subject::event(&SessionId::default(), &EventType::MESSAGE_RECEIVED);
        if !config.subjects.iter().any(|filter| subject::filter_matches(filter, &event)) {
            return refused("the stream EVENTS does not have the subjects whatsapp.events.>");
        }
        if config.discard != DiscardPolicy::New {
            return None;
        }
        let most_messages = u64::try_from(config.max_messages).unwrap_or(u64::MAX);
        if most_messages > 0 && state.messages >= most_messages {
            return full(format!("the stream EVENTS holds maximum messages ({most_messages})"));
        }
        let most_bytes = u64::try_from(config.max_bytes).unwrap_or(u64::MAX);
        if most_bytes > 0 && state.bytes.saturating_add(SMALLEST_EVENT) > most_bytes {
            return full(format!("the stream EVENTS holds maximum bytes ({} of {most_bytes})", state.bytes));
        }
        None
    }

    /// The answer to a caller whose command cannot be done meanwhile.
    #[must_use]
    pub fn to_command_error(&self) -> CommandError {
        CommandError::new(self.error_code(), format!("{}; nothing was done", self.reason))
    }

    #[must_use]
    pub fn error_code(&self) -> CommandErrorCode {
        match self.kind {
            StorageProblemKind::Full => CommandErrorCode::StorageFull,
            StorageProblemKind::Refused => CommandErrorCode::StorageRefused,
            StorageProblemKind::Unavailable => CommandErrorCode::StorageUnavailable,
        }
    }

    /// The status of a session that waits for the end of the problem.
    #[must_use]
    pub fn status(&self) -> SessionStatus {
        match self.kind {
            StorageProblemKind::Full => SessionStatus::StorageFull,
            StorageProblemKind::Refused => SessionStatus::StorageRefused,
            StorageProblemKind::Unavailable => SessionStatus::StorageUnavailable,
        }
    }
}

/// An event of a message with a short text takes about this much in the stream.
const SMALLEST_EVENT: u64 = 512;
/// How often EVENTS is looked at: one small request.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// What the last publish said counts for this long. While events wait, one is tried every two seconds.
const PUBLISH_COUNTS_FOR: Duration = Duration::from_secs(10);
/// A NATS that works answers within milliseconds.
const ECHO_WITHIN: Duration = Duration::from_secs(1);

/// What each source found last.
#[derive(Clone, Debug, Default)]
struct Findings {
    published: Option<(StorageProblem, Instant)>,
    leased: Option<StorageProblem>,
    looked: Option<StorageProblem>,
    /// Whether each source found JetStream without an answer the last time. Once may be the end of an outage.
    is_silent: [bool; 3],
    /// The first of them: what is shown.
    shown: Option<StorageProblem>,
}

/// Who finds a problem: the index of its flag.
#[derive(Clone, Copy)]
enum ProblemSource {
    Publish,
    Lease,
    Look,
}

impl Findings {
    /// The problem, unless JetStream failed to answer for the first time in a row.
    fn confirmed(&mut self, source: ProblemSource, found: Option<StorageProblem>) -> Option<StorageProblem> {
        let is_silent = found.as_ref().is_some_and(|found| found.kind == StorageProblemKind::Unavailable);
        let was_silent = std::mem::replace(&mut self.is_silent[source as usize], is_silent);
        found.filter(|_| was_silent || !is_silent)
    }
}

/// Collects what the sources find. Clones share it.
#[derive(Clone)]
pub struct StorageMonitor {
    broker: Broker,
    metrics: GatewayMetrics,
    findings: Arc<watch::Sender<Findings>>,
}

/// Follows the problem.
#[derive(Clone)]
pub struct StorageWatch(watch::Receiver<Findings>);

impl StorageWatch {
    /// Waits until NATS stores again, as far as it is known.
    pub async fn wait_solved(&mut self) {
        // The monitor ends with the process.
        if self.0.wait_for(|findings| findings.shown.is_none()).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl StorageMonitor {
    #[must_use]
    pub fn new(broker: Broker, metrics: GatewayMetrics) -> Self {
        Self { broker, metrics, findings: Arc::new(watch::Sender::new(Findings::default())) }
    }

    /// Why NATS stores nothing; none if it does, or if it is away.
    #[must_use]
    pub fn problem(&self) -> Option<StorageProblem> {
        self.findings.borrow().shown.clone()
    }

    #[must_use]
    pub fn watch(&self) -> StorageWatch {
        StorageWatch(self.findings.subscribe())
    }

    /// Records how a try to publish an event ended.
    pub async fn record_publish(&self, published: &Result<(), PublishError>) {
        let problem = match published {
            Ok(()) => None,
            Err(PublishError::NotAcknowledged) if self.broker.is_answering(ECHO_WITHIN).await => {
                Some(StorageProblem::unanswered())
            }
            // Neither says anything about what NATS stores.
            Err(PublishError::NotAcknowledged | PublishError::TooLarge) => return,
            Err(error) => StorageProblem::of_publish(error),
        };
        self.change(|findings| {
            let confirmed = findings.confirmed(ProblemSource::Publish, problem);
            findings.published = confirmed.map(|problem| (problem, Instant::now()));
        });
    }

    /// Records how a renewal of the lease ended.
    pub async fn record_lease(&self, renewed: Result<(), &BucketError>) {
        let problem = match renewed {
            Ok(())
            | Err(BucketError::Conflict { .. } | BucketError::Unreadable { .. } | BucketError::Sealed { .. }) => None,
            Err(error @ BucketError::Full { .. }) => {
                Some(StorageProblem::new(StorageProblemKind::Full, error.to_string()))
            }
            Err(error @ BucketError::Refused { .. }) => {
                Some(StorageProblem::new(StorageProblemKind::Refused, error.to_string()))
            }
            Err(error @ (BucketError::Unavailable { .. } | BucketError::TimedOut { .. })) => {
                let is_answering = self.broker.is_answering(ECHO_WITHIN).await;
                is_answering.then(|| StorageProblem::new(StorageProblemKind::Unavailable, error.to_string()))
            }
        };
        self.change(|findings| findings.leased = findings.confirmed(ProblemSource::Lease, problem));
    }

    /// Looks at EVENTS and reports to the probes, until the shutdown.
    ///
    /// # Errors
    /// Never; the shape is that of a service's task.
    pub async fn run(self, health: Health, shutdown: CancellationToken) -> anyhow::Result<()> {
        let looks = async {
            loop {
                let looked = self.look().await;
                self.change(|findings| {
                    let counts = |found: &(StorageProblem, Instant)| found.1.elapsed() < PUBLISH_COUNTS_FOR;
                    findings.published = findings.published.take().filter(counts);
                    findings.looked = findings.confirmed(ProblemSource::Look, looked);
                });
                health.set_storage_problem(self.problem().map(|problem| problem.reason));
                sleep(LOOK_EVERY).await;
            }
        };
        shutdown.run_until_cancelled(looks).await;
        Ok(())
    }

    async fn look(&self) -> Option<StorageProblem> {
        if !self.broker.is_connected() {
            return None;
        }
        match self.broker.jetstream.get_stream(stream::EVENTS).await {
            Ok(events) => StorageProblem::of_stream(events.cached_info()),
            Err(error) => match error.kind() {
                GetStreamErrorKind::JetStream(refusal) => match PublishError::of_refusal(&refusal) {
                    unavailable @ PublishError::Unavailable(_) => StorageProblem::of_publish(&unavailable),
                    // It is missing.
                    _ => self.make_streams().await,
                },
                _ => self.broker.is_answering(ECHO_WITHIN).await.then(StorageProblem::unanswered),
            },
        }
    }

    async fn make_streams(&self) -> Option<StorageProblem> {
        let error = self.broker.create_missing_streams().await.err()?;
        StorageProblem::of_publish(&PublishError::Unavailable(format!("{error:#}")))
    }

    fn change(&self, change: impl FnOnce(&mut Findings)) {
        let mut change = Some(change);
        let mut news = None;
        self.findings.send_if_modified(|findings| {
            if let Some(change) = change.take() {
                change(findings);
            }
            let published = findings.published.as_ref().map(|(problem, _)| problem);
            let shown = findings.looked.as_ref().or(published).or(findings.leased.as_ref()).cloned();
            let is_new = shown != findings.shown;
            if is_new {
                news = Some(shown.clone());
                findings.shown = shown;
            }
            is_new
        });
        let Some(news) = news else { return };
        self.metrics.record_storage(news.is_none());
        match news {
            Some(problem) => tracing::error!("no event is stored: {}", problem.reason),
            None => tracing::info!("NATS stores events again"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_stream_cannot_take_is_known_before_it_refuses() {
        let info = |change: serde_json::Value| {
            let mut info = serde_json::json!({
                "config": {
                    "name": "EVENTS", "subjects": ["whatsapp.events.>"], "retention": "limits", "max_consumers": -1,
                    "max_msgs": -1, "max_bytes": -1, "discard": "new", "max_age": 0, "storage": "file", "num_replicas": 1,
                },
                "created": "2026-11-24T12:00:00Z", "ts": "2026-11-24T12:00:00Z",
                "state": {
                    "messages": 10, "bytes": 5000, "first_seq": 1, "first_ts": "2026-11-24T12:00:00Z", "last_seq": 10,
                    "last_ts": "2026-11-24T12:00:00Z", "consumer_count": 0,
                },
            });
            for (name, value) in change.as_object().expect("an object") {
                info["config"][name] = value.clone();
            }
            StorageProblem::of_stream(&serde_json::from_value(info).expect("the info of a stream"))
                .map(|found| found.kind)
        };
        use StorageProblemKind::{Full, Refused};
        for (change, expected) in [
            (serde_json::json!({}), None),
            (serde_json::json!({"max_msgs": 10}), Some(Full)),
            (serde_json::json!({"max_msgs": 11}), None),
            (serde_json::json!({"max_msgs": 10, "discard": "old"}), None),
            (serde_json::json!({"max_bytes": 5100}), Some(Full)),
            (serde_json::json!({"max_bytes": 6000}), None),
            (serde_json::json!({"sealed": true}), Some(Refused)),
            (serde_json::json!({"subjects": ["elsewhere.>"]}), Some(Refused)),
        ] {
            assert_eq!(info(change.clone()), expected, "{change}");
        }
    }
}
