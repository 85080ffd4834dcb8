//! Commands to the WhatsApp gateway that holds a session. How long each may take is in the contract's table of commands.

use crate::command_request::{self, CommandFailure, Progress, read_reply, reports_progress};
use async_nats::Message;
use kurir_chassis::{broker::Broker, bucket::Bucket};
use kurir_contract::{
    command::{CommandSpec, EmptyBody, ExportKeys, ExportReply, SessionInfo, spec},
    session::SessionId,
    session_record::{DesiredState, SESSIONS_BUCKET, SessionRecord},
    subject,
};
use std::time::Duration;

/// The gateway that has a session's keys says so at once.
const KEYS_FOUND_WITHIN: Duration = Duration::from_secs(3);
/// It may have to wait until the session has left WhatsApp.
const KEYS_EXPORTED_WITHIN: Duration = Duration::from_secs(90);

#[derive(Clone)]
pub struct GatewayClient {
    broker: Broker,
    records: Bucket,
}

impl GatewayClient {
    pub fn new(broker: Broker) -> Self {
        Self { records: Bucket::new(broker.clone(), SESSIONS_BUCKET), broker }
    }

    pub async fn status(&self, session: &SessionId) -> Result<SessionInfo, CommandFailure> {
        self.request(session, spec::Status, &EmptyBody {}).await
    }

    /// Sends a command and waits for its answer, as long as this command may take.
    ///
    /// # Errors
    /// If there is no result; dropped while it waits, the gateway goes on with what it was asked.
    pub async fn ask<C: CommandSpec>(
        &self,
        session: &SessionId,
        command: C,
        arguments: &C::Request,
    ) -> Result<C::Answer, CommandFailure> {
        // A broker or a gateway that hangs shows itself within seconds, with nothing handed over.
        let status = self.reply(session, spec::Status, &EmptyBody {}).await?;
        read_reply::<SessionInfo>(&status)?;
        if !(C::COMMAND.is_send() && reports_progress(&status)) {
            return self.request(session, command, arguments).await;
        }
        let (subject, within) = (subject::command(session, C::COMMAND), C::COMMAND.kind().deadline());
        let answer = command_request::follow_command(&self.broker, subject, arguments, within).await;
        self.explain(session, answer).await
    }

    /// Asks for the keys of a stopped session; gives the name of the sealed object.
    ///
    /// # Errors
    /// If no gateway has them, or the one that has them refuses.
    pub async fn export_keys(&self, session: &SessionId, passphrase: String) -> Result<String, CommandFailure> {
        let request = ExportKeys { session: session.clone(), passphrase };
        command_request::ask_all(&self.broker, subject::EXPORT_KEYS, &request, KEYS_FOUND_WITHIN, |reply| match reply {
            ExportReply::Begun => Progress::Begun(KEYS_EXPORTED_WITHIN),
            ExportReply::Stored(object) => Progress::Done(Ok(object)),
            ExportReply::Failed(refusal) => Progress::Done(Err(CommandFailure::Refused(refusal))),
        })
        .await
    }

    async fn request<C: CommandSpec>(
        &self,
        session: &SessionId,
        command: C,
        arguments: &C::Request,
    ) -> Result<C::Answer, CommandFailure> {
        read_reply(&self.reply(session, command, arguments).await?)
    }

    async fn reply<C: CommandSpec>(
        &self,
        session: &SessionId,
        _: C,
        arguments: &C::Request,
    ) -> Result<Message, CommandFailure> {
        let (subject, within) = (subject::command(session, C::COMMAND), C::COMMAND.kind().deadline());
        let reply = command_request::request_reply(&self.broker, subject, arguments, within).await;
        self.explain(session, reply).await
    }

    async fn explain<T>(&self, session: &SessionId, answer: Result<T, CommandFailure>) -> Result<T, CommandFailure> {
        match answer {
            Err(CommandFailure::NobodyThere) => Err(self.why_nobody(session).await),
            answered => answered,
        }
    }

    /// Why no gateway takes commands for the session.
    async fn why_nobody(&self, session: &SessionId) -> CommandFailure {
        match self.records.get_json::<SessionRecord>(session.as_str()).await {
            Ok(Some((record, _))) => match record.desired {
                DesiredState::Running => CommandFailure::SessionMoving,
                DesiredState::Stopped => CommandFailure::SessionStopped,
                DesiredState::Deleted => CommandFailure::NobodyThere,
            },
            // `default` needs no record.
            Ok(None) | Err(_) => CommandFailure::NobodyThere,
        }
    }
}
