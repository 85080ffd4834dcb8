//! Supervised tasks: the first task that ends before the shutdown, with or without an error, ends the service.

use crate::shutdown::CancellationToken;
use std::{future::Future, time::Duration};
use tokio::task::JoinSet;

/// The tasks of a service.
pub struct TaskSet {
    set: JoinSet<(&'static str, anyhow::Result<()>)>,
    shutdown: CancellationToken,
}

impl TaskSet {
    #[must_use]
    pub fn new(shutdown: CancellationToken) -> Self {
        Self { set: JoinSet::new(), shutdown }
    }

    /// Cancelled when the service is asked to stop, or when one of its tasks failed.
    #[must_use]
    pub fn shutdown_token(&self) -> CancellationToken {
        self.shutdown.clone()
    }

    /// Starts a task. It must run until the shutdown and then end by itself.
    pub fn spawn<F>(&mut self, name: &'static str, task: F)
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        self.set.spawn(async move { (name, task.await) });
    }

    /// Waits for the shutdown, then at most `drain` for the tasks to end.
    ///
    /// # Errors
    /// The name and error of the first task that failed, panicked or ended before the shutdown. It cancels the others.
    pub async fn run(mut self, drain: Duration) -> anyhow::Result<()> {
        let first = tokio::select! {
            ended = self.set.join_next() => ended.map(|ended| self.task_result(ended)),
            () = self.shutdown.cancelled() => None,
        };
        self.shutdown.cancel();
        let mut result = first.unwrap_or(Ok(()));
        let all_ended = async {
            while let Some(ended) = self.set.join_next().await {
                let ended = self.task_result(ended);
                if result.is_ok() {
                    result = ended;
                }
            }
        };
        if tokio::time::timeout(drain, all_ended).await.is_err() {
            tracing::warn!("{} task(s) did not stop within {}", self.set.len(), humantime::format_duration(drain));
        }
        result
    }

    fn task_result(
        &self,
        ended: Result<(&'static str, anyhow::Result<()>), tokio::task::JoinError>,
    ) -> anyhow::Result<()> {
        match ended {
            Ok((_, Ok(()))) if self.shutdown.is_cancelled() => Ok(()),
            Ok((name, Ok(()))) => Err(anyhow::anyhow!("the task {name:?} ended before the shutdown")),
            Ok((name, Err(error))) => Err(error.context(format!("the task {name:?} failed"))),
            Err(error) => Err(anyhow::anyhow!("a task panicked: {error}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_that_ends_before_the_shutdown_ends_the_service_with_its_name() {
        let mut tasks = TaskSet::new(CancellationToken::new());
        let token = tasks.shutdown_token();
        tasks.spawn("patient", async move {
            token.cancelled().await;
            Ok(())
        });
        tasks.spawn("hasty", async { Ok(()) });
        let error = tasks.run(Duration::from_secs(5)).await.expect_err("must fail");
        assert!(error.to_string().contains("hasty"), "{error}");
    }

    #[tokio::test]
    async fn a_shutdown_lets_the_tasks_finish() {
        let token = CancellationToken::new();
        let mut tasks = TaskSet::new(token.clone());
        let stop = tasks.shutdown_token();
        tasks.spawn("patient", async move {
            stop.cancelled().await;
            Ok(())
        });
        token.cancel();
        assert!(tasks.run(Duration::from_secs(5)).await.is_ok());
    }
}
