//! Commands to the webhook-dispatchers: any one of them answers. How long each may take stands here.

use crate::{command_error, command_request, response::ApiError};
use kurir_chassis::broker::Broker;
use kurir_contract::{subject, webhook::WebhookCommand};
use serde::{Serialize, de::DeserializeOwned};
use std::time::Duration;

/// A replay is stored, or looked at; its work goes on behind the answer.
const REPLAY_WITHIN: Duration = Duration::from_secs(15);
/// Reads the log of all attempts of the span.
const LEDGER_WITHIN: Duration = Duration::from_secs(45);

pub struct DispatcherClient {
    broker: Broker,
}

impl DispatcherClient {
    pub fn new(broker: Broker) -> Self {
        Self { broker }
    }

    /// Asks, and waits for the answer as long as this command may take.
    ///
    /// # Errors
    /// As its caller is to see it.
    pub async fn ask<A: DeserializeOwned>(
        &self,
        command: WebhookCommand,
        arguments: &impl Serialize,
    ) -> Result<A, ApiError> {
        command_request::send_command(&self.broker, subject::webhook_command(command), arguments, deadline(command))
            .await
            .map_err(|error| command_error::dispatcher_error(error, command))
    }
}

fn deadline(command: WebhookCommand) -> Duration {
    match command {
        WebhookCommand::Replay | WebhookCommand::ReplayProgress | WebhookCommand::CancelReplay => REPLAY_WITHIN,
        WebhookCommand::Ledger => LEDGER_WITHIN,
    }
}
