//! Takes the jobs whose time has come, some at once. What a gateway does not finish, NATS gives to the next one.

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
use kurir_chassis::{broker::Broker, shutdown::CancellationToken};
use kurir_contract::{
    job::{JobId, SendJob},
    session::SessionId,
    stream, subject,
};
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::task::{Id, JoinSet};

/// Jobs that run at once; they share one pace.
const JOBS_AT_ONCE: usize = 16;
/// A gateway that is dead for so long does not come back; its jobs go to the next one.
const ACK_WAIT: Duration = Duration::from_secs(30);
/// How often NATS hears that a job still runs.
const HEARD_EVERY: Duration = Duration::from_secs(10);
/// Before jobs are taken again after something went wrong.
const PAUSE: Duration = Duration::from_millis(500);
/// What a message under way has when the gateway stops; then its job is given back and repeats it under its id.
const PATIENCE: Duration = Duration::from_secs(2);
/// How soon a broker that is away is noticed.
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
    /// Runs jobs until the shutdown, and gives back what is under way then.
    ///
    /// # Errors
    /// None: a broker that is away is waited for.
    pub async fn serve(self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let mut running = RunningJobs::default();
        let mut first = true;
        while !shutdown.is_cancelled() {
            tokio::select! {
                () = shutdown.cancelled() => break,
                () = self.broker.ready() => {}
            }
            match self.run_due_jobs(&mut running, std::mem::take(&mut first), &shutdown).await {
                Ok(()) => break,
                Err(error) => {
                    tracing::info!(session.id = %self.session, "taking jobs begins anew: {error:#}");
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

    /// `first`: after a start. What a gateway before this one had begun comes at once then, and not after [`ACK_WAIT`]:
    /// only one gateway holds the session.
    async fn due_jobs(&self, first: bool) -> anyhow::Result<pull::Stream> {
        let name = format!("jobs-{}", self.session);
        let outbox = self.broker.jetstream.get_stream(stream::OUTBOX).await.context("failed to open OUTBOX")?;
        if first {
            // Not there at the very first start.
            let _ = outbox.delete_consumer(&name).await;
        }
        let config = pull::Config {
            durable_name: Some(name.clone()),
            filter_subject: subject::due_jobs(&self.session),
            ack_policy: AckPolicy::Explicit,
            ack_wait: ACK_WAIT,
            // All that is handed out is begun at once.
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
        // While NATS was away it heard nothing of the job and hands it out again; the first acknowledgement settles both.
        if running.ids.values().any(|id| *id == job.id) {
            return;
        }
        let (runner, stopping) = (self.clone(), shutdown.clone());
        let id = job.id.clone();
        let task = running.tasks.spawn(async move { runner.run_job(&job, &message, &stopping).await });
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
            tracing::info!(job.id = %job.id, "a job comes again, and goes on where it was: {error}");
        }
    }
}
