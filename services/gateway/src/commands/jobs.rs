//! Submits and cancels jobs.

use super::CommandServer;
use kurir_contract::{
    command::{AnswerCommand, CommandError, spec},
    job::{JobRecord, JobReference, SendJob},
};

impl AnswerCommand<spec::SubmitJob> for CommandServer {
    async fn answer(&self, job: SendJob) -> Result<JobRecord, CommandError> {
        self.queue.submit_job(job).await
    }
}

impl AnswerCommand<spec::CancelJob> for CommandServer {
    async fn answer(&self, JobReference { id }: JobReference) -> Result<JobRecord, CommandError> {
        self.queue.cancel_job(&id).await
    }
}
