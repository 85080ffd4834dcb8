//! Commands to the WhatsApp gateway that holds a session. How long each may take is in the contract's table of commands.

use crate::command_request::{self, CommandFailure};
use kurir_chassis::{broker::Broker, bucket::Bucket};
use kurir_contract::{
    command::{CommandSpec, EmptyBody, SessionInfo, spec},
    session::SessionId,
    session_record::{DesiredState, SESSIONS_BUCKET, SessionRecord},
    subject,
};

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
        self.status(session).await?;
        self.request(session, command, arguments).await
    }

    async fn request<C: CommandSpec>(
        &self,
        session: &SessionId,
        _: C,
        arguments: &C::Request,
    ) -> Result<C::Answer, CommandFailure> {
        let subject = subject::command(session, C::COMMAND);
        let within = C::COMMAND.kind().deadline();
        match command_request::send_command(&self.broker, subject, arguments, within).await {
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
