//! Serves the commands about webhooks. Any one dispatcher answers a command, once. A ledger that takes long does not
//! delay a replay.

use crate::{command_error, ledger::LedgerService, replay::service::ReplayService};
use anyhow::Context as _;
use async_nats::Message;
use kurir_chassis::{broker::Broker, counted_subscription::CountedSubscription, shutdown::CancellationToken};
use kurir_contract::{
    command::{CommandError, CommandReply, EmptyBody},
    subject,
    webhook::{LedgerRequest, ReplayReference, ReplayRequest, WebhookCommand},
};
use serde::{Serialize, de::DeserializeOwned};
use std::time::Duration;
use tokio::{task::JoinSet, time::timeout};

/// All dispatchers are in this group, so that one of them answers.
const QUEUE_GROUP: &str = "webhook-dispatcher";
/// The most commands that are worked on at once. Others wait in the NATS client's buffer.
const MAX_CONCURRENT_COMMANDS: usize = 256;
/// To store a replay, or to count it. The API waits for 15 s.
const REPLAY_TIMEOUT: Duration = Duration::from_secs(12);
/// To read the record of all attempts. The API waits for 45 s.
const LEDGER_TIMEOUT: Duration = Duration::from_secs(42);

/// To answer what is worked on at the shutdown.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(3);

/// Answers the commands.
#[derive(Clone)]
pub struct CommandServer {
    pub broker: Broker,
    pub replays: ReplayService,
    pub ledgers: LedgerService,
}

impl CommandServer {
    /// Serves until the shutdown, then finishes what it has begun, for at most 3 s.
    ///
    /// # Errors
    /// If the subscription ends.
    pub async fn serve(self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let nats = &self.broker.client;
        let mut requests = CountedSubscription::join(nats, subject::ALL_WEBHOOK_COMMANDS.to_owned(), QUEUE_GROUP)
            .await
            .context("failed to subscribe to webhook commands")?;
        let mut under_way = JoinSet::new();
        loop {
            tokio::select! {
                () = shutdown.cancelled() => break,
                Some(_) = under_way.join_next(), if !under_way.is_empty() => {}
                request = requests.next(), if under_way.len() < MAX_CONCURRENT_COMMANDS => {
                    let request = request.context("the subscription to webhook commands ended")?;
                    let commands = self.clone();
                    under_way.spawn(async move { commands.handle(request).await });
                }
            }
        }
        // What NATS sent before it knew that this dispatcher leaves is answered, too.
        let answered = async {
            let mut last = requests.leave();
            while let Some(request) = last.next().await {
                let commands = self.clone();
                under_way.spawn(async move { commands.handle(request).await });
            }
            while under_way.join_next().await.is_some() {}
        };
        // A caller that asked for a ledger asks again, and another dispatcher answers.
        let _ = timeout(SHUTDOWN_TIMEOUT, answered).await;
        Ok(())
    }

    async fn handle(&self, request: Message) {
        if !subject::is_request(request.reply.as_deref()) {
            return tracing::warn!(subject = %request.subject, "ignored a command without a caller who waits for its answer");
        }
        match subject::parse_webhook_command(&request.subject) {
            Some(WebhookCommand::Replay) => {
                let answer = async { self.replays.begin(parse_request::<ReplayRequest>(&request)?).await };
                self.reply(&request, with_timeout(REPLAY_TIMEOUT, answer).await).await;
            }
            Some(WebhookCommand::ReplayProgress) => {
                let answer = async { self.replays.progress(&parse_request::<ReplayReference>(&request)?.id).await };
                self.reply(&request, with_timeout(REPLAY_TIMEOUT, answer).await).await;
            }
            Some(WebhookCommand::CancelReplay) => {
                let answer = async { self.replays.cancel(&parse_request::<ReplayReference>(&request)?.id).await };
                self.reply(&request, with_timeout(REPLAY_TIMEOUT, answer).await).await;
            }
            Some(WebhookCommand::Ledger) => {
                let answer = async { self.ledgers.ledger(parse_request::<LedgerRequest>(&request)?).await };
                self.reply(&request, with_timeout(LEDGER_TIMEOUT, answer).await).await;
            }
            None => {
                let names = WebhookCommand::ALL.map(WebhookCommand::as_str).join(", ");
                let error = command_error::invalid(format!("there is no such command; there are {names}"));
                self.reply::<EmptyBody>(&request, Err(error)).await;
            }
        }
    }

    async fn reply<T: Serialize>(&self, request: &Message, answer: Result<T, CommandError>) {
        let Some(inbox) = request.reply.clone() else { return };
        let reply = match answer {
            Ok(value) => CommandReply::Ok(value),
            Err(error) => CommandReply::Error(error),
        };
        match serde_json::to_vec(&reply) {
            Ok(reply) => {
                if let Err(error) = self.broker.client.publish(inbox, reply.into()).await {
                    tracing::debug!("failed to answer a webhook command: {error}");
                }
            }
            Err(error) => tracing::error!("failed to write the answer to a webhook command: {error}"),
        }
    }
}

async fn with_timeout<T>(
    time: Duration,
    answer: impl Future<Output = Result<T, CommandError>>,
) -> Result<T, CommandError> {
    timeout(time, answer).await.unwrap_or_else(|_| {
        Err(command_error::timed_out(format!("the command did not end within {}", humantime::format_duration(time))))
    })
}

fn parse_request<T: DeserializeOwned>(request: &Message) -> Result<T, CommandError> {
    serde_json::from_slice(&request.payload)
        .map_err(|error| command_error::invalid(format!("the command is not readable: {error}")))
}
