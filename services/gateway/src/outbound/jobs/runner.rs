//! Takes the jobs whose time has come, several at once. NATS gives a job that a gateway did not finish to the next
//! gateway.

use super::{
    queue::JobQueue,
    run::{JobRun, JobRunEnd},
};
use crate::outbound::SendPipeline;
use anyhow::Context as _;
use async_nats::jetstream::{
    AckKind, Message,
    consumer::{AckPolicy, pull},
};
use futures::StreamExt as _;
use kurir_chassis::{
    broker::Broker,
    shutdown::CancellationToken,
    trace_context::{self, TRACE_TARGET},
};
use kurir_contract::{
    job::{JobId, SendJob},
    session::SessionId,
    stream, subject,
};
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::task::{Id, JoinSet};
use tracing::Instrument as _;

/// Jobs that run at the same time. They share one pace.
const JOBS_AT_ONCE: usize = 16;
/// A gateway that is silent for this long does not come back. Its jobs go to the next one.
const ACK_WAIT: Duration = Duration::from_secs(30);
/// How often NATS is told that a job still runs.
const HEARD_EVERY: Duration = Duration::from_secs(10);
/// The pause before jobs are taken again after an error.
const PAUSE: Duration = Duration::from_millis(500);
/// Time for a message under way when the gateway stops. After it the job is given back, and repeats the message under
/// its id.
const PATIENCE: Duration = Duration::from_secs(2);
/// How soon the runner notices that the broker is away.
const HEARTBEAT: Duration = Duration::from_secs(5);
const PULL_EXPIRES: Duration = Duration::from_secs(30);

/// Runs the jobs of one session.
#[derive(Clone)]
pub struct JobRunner {
    pub session: SessionId,
    pub queue: JobQueue,
    pub outbound: Arc<SendPipeline>,
    pub broker: Broker,
}

/// The jobs that run.
#[derive(Default)]
struct RunningJobs {
    tasks: JoinSet<()>,
    ids: HashMap<Id, JobId>,
}

impl JobRunner {
    /// Runs jobs until the shutdown, then gives back the jobs under way.
    ///
    /// # Errors
    /// Never: the runner waits for a broker that is away.
    pub async fn serve(self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let mut running = RunningJobs::default();
        let mut first = true;
        while !shutdown.is_cancelled() {
            tokio::select! {
                () = shutdown.cancelled() => break,
                () = self.broker.wait_until_ready() => {}
            }
            match self.run_due_jobs(&mut running, std::mem::take(&mut first), &shutdown).await {
                Ok(()) => break,
                Err(error) => {
                    tracing::info!(session.id = %self.session, "taking jobs again after an error: {error:#}");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
        while running.tasks.join_next().await.is_some() {}
        Ok(())
    }

    async fn run_due_jobs(
        &self,
        running: &mut RunningJobs,
        first: bool,
        shutdown: &CancellationToken,
    ) -> anyhow::Result<()> {
        let mut messages = self.due_jobs(first).await?;
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                Some(ended) = running.tasks.join_next_with_id(), if !running.tasks.is_empty() => {
                    let id = match ended {
                        Ok((id, ())) => id,
                        Err(panic) => {
                            tracing::error!("a job panicked, and comes again: {panic}");
                            panic.id()
                        }
                    };
                    running.ids.remove(&id);
                }
                message = messages.next(), if running.tasks.len() < JOBS_AT_ONCE => {
                    let message = message.context("the consumer ended")?.context("failed to take a job")?;
                    self.start_job(message, running, shutdown).await;
                }
            }
        }
    }

    /// Subscribes to due jobs. `first`: after a start. Then the jobs of an earlier gateway come at once, and not after
    /// [`ACK_WAIT`], because only one gateway holds the session.
    async fn due_jobs(&self, first: bool) -> anyhow::Result<pull::Stream> {
        let name = format!("jobs-{}", self.session);
        let outbox = self.broker.jetstream.get_stream(stream::OUTBOX).await.context("failed to open OUTBOX")?;
        if first {
            // At the very first start there is no consumer.
            let _ = outbox.delete_consumer(&name).await;
        }
        let config = pull::Config {
            durable_name: Some(name.clone()),
            filter_subject: subject::due_jobs(&self.session),
            ack_policy: AckPolicy::Explicit,
            ack_wait: ACK_WAIT,
            // Every job that is handed out starts at once.
            max_ack_pending: i64::try_from(JOBS_AT_ONCE).unwrap_or(i64::MAX),
            ..pull::Config::default()
        };
        let consumer = outbox.get_or_create_consumer(&name, config).await.context("failed to make the consumer")?;
        let messages =
            consumer.stream().max_messages_per_batch(JOBS_AT_ONCE).expires(PULL_EXPIRES).heartbeat(HEARTBEAT);
        messages.messages().await.context("failed to ask for jobs")
    }

    async fn start_job(&self, message: Message, running: &mut RunningJobs, shutdown: &CancellationToken) {
        let job: SendJob = match serde_json::from_slice(&message.payload) {
            Ok(job) => job,
            Err(error) => {
                tracing::error!("a job in OUTBOX cannot be read and is dropped: {error}");
                let _ = message.ack_with(AckKind::Term).await;
                return;
            }
        };
        // While NATS was away it was not told that the job runs, and hands it out again. The first acknowledgement
        // settles both.
        if running.ids.values().any(|id| *id == job.id) {
            return;
        }
        let (runner, stopping) = (self.clone(), shutdown.clone());
        let id = job.id.clone();
        let span = tracing::info_span!(target: TRACE_TARGET, "job", otel.kind = "consumer", job.id = %id);
        trace_context::adopt(&span, message.headers.as_ref());
        let run = async move { runner.run_job(&job, &message, &stopping).await };
        let task = running.tasks.spawn(run.instrument(span));
        running.ids.insert(task.id(), id);
    }

    async fn run_job(&self, job: &SendJob, message: &Message, stopping: &CancellationToken) {
        let run = JobRun { queue: &self.queue, outbound: &self.outbound, job, stopping };
        let still_runs = async {
            loop {
                tokio::time::sleep(HEARD_EVERY).await;
                let _ = message.ack_with(AckKind::Progress).await;
            }
        };
        let patience = async {
            stopping.cancelled().await;
            tokio::time::sleep(PATIENCE).await;
        };
        let end = tokio::select! {
            end = run.run() => end,
            () = still_runs => Ok(JobRunEnd::GivenBack),
            () = patience => Ok(JobRunEnd::GivenBack),
        };
        let settled = match end {
            Ok(JobRunEnd::Settled) => message.double_ack().await,
            Ok(JobRunEnd::GivenBack) => message.ack_with(AckKind::Nak(None)).await,
            Err(error) => {
                tracing::info!(job.id = %job.id, "a job comes again: {error:#}");
                message.ack_with(AckKind::Nak(Some(PAUSE))).await
            }
        };
        if let Err(error) = settled {
            tracing::info!(job.id = %job.id, "a job comes again and continues: {error}");
        }
    }
}
