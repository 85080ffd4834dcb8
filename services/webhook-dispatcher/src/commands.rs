//! Commands from the broker: a request each, answered once, by any one dispatcher. A ledger that takes long never holds
//! a replay.

use crate::{ledger::Ledgers, refusal, replay::Replays};
use anyhow::Context as _;
use async_nats::Message;
use futures::StreamExt as _;
use kurir_chassis::{broker::Broker, shutdown::CancellationToken};
use kurir_contract::{
    command::{CommandError, CommandReply, EmptyBody},
    subject,
    webhook::{LedgerRequest, ReplayReference, ReplayRequest, WebhookCommand},
};
use serde::{Serialize, de::DeserializeOwned};
use std::time::Duration;
use tokio::{task::JoinSet, time::timeout};

/// The dispatchers, of which one answers.
const QUEUE_GROUP: &str = "webhook-dispatcher";
/// Commands under way; the rest waits in NATS' own buffer.
const COMMANDS_AT_ONCE: usize = 256;
/// A replay is stored, or counted. The API waits for 15 s.
const REPLAY_WITHIN: Duration = Duration::from_secs(12);
/// The record of all attempts is read. The API waits for 45 s.
const LEDGER_WITHIN: Duration = Duration::from_secs(42);

/// What is under way at the shutdown.
const ANSWERED_WITHIN: Duration = Duration::from_secs(3);

/// Answers them.
#[derive(Clone)]
pub struct Commands {
    pub broker: Broker,
    pub replays: Replays,
    pub ledgers: Ledgers,
}

impl Commands {
    /// Serves until the shutdown, and then until what is under way is answered, or takes long.
    ///
    /// # Errors
    /// If the subscription ends.
    pub async fn serve(self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let nats = &self.broker.client;
        let mut requests = nats
            .queue_subscribe(subject::ALL_WEBHOOK_COMMANDS, QUEUE_GROUP.to_owned())
            .await
            .context("failed to subscribe to webhook commands")?;
        let mut under_way = JoinSet::new();
        loop {
            tokio::select! {
                () = shutdown.cancelled() => break,
                Some(_) = under_way.join_next(), if !under_way.is_empty() => {}
                request = requests.next(), if under_way.len() < COMMANDS_AT_ONCE => {
                    let request = request.context("the subscription to webhook commands ended")?;
                    let commands = self.clone();
                    under_way.spawn(async move { commands.obey(request).await });
                }
            }
        }
        let _ = requests.unsubscribe().await;
        let answered = async { while under_way.join_next().await.is_some() {} };
        // Who asked for a ledger asks again: another dispatcher answers.
        let _ = timeout(ANSWERED_WITHIN, answered).await;
        Ok(())
    }

    async fn obey(&self, request: Message) {
        match subject::parse_webhook_command(&request.subject) {
            Some(WebhookCommand::Replay) => {
                let answer = async { self.replays.begin(parse::<ReplayRequest>(&request)?).await };
                self.answer(&request, within(REPLAY_WITHIN, answer).await).await;
            }
            Some(WebhookCommand::ReplayProgress) => {
                let answer = async { self.replays.progress(&parse::<ReplayReference>(&request)?.id).await };
                self.answer(&request, within(REPLAY_WITHIN, answer).await).await;
            }
            Some(WebhookCommand::CancelReplay) => {
                let answer = async { self.replays.cancel(&parse::<ReplayReference>(&request)?.id).await };
                self.answer(&request, within(REPLAY_WITHIN, answer).await).await;
            }
            Some(WebhookCommand::Ledger) => {
                let answer = async { self.ledgers.ledger(parse::<LedgerRequest>(&request)?).await };
                self.answer(&request, within(LEDGER_WITHIN, answer).await).await;
            }
            None => {
                let names = WebhookCommand::ALL.map(WebhookCommand::as_str).join(", ");
                let refusal = refusal::invalid(format!("there is no such command; there are {names}"));
                self.answer::<EmptyBody>(&request, Err(refusal)).await;
            }
        }
    }

    async fn answer<T: Serialize>(&self, request: &Message, answer: Result<T, CommandError>) {
        let Some(inbox) = request.reply.clone() else { return };
        let reply = match answer {
            Ok(value) => CommandReply::Ok(value),
            Err(refusal) => CommandReply::Error(refusal),
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

async fn within<T>(time: Duration, answer: impl Future<Output = Result<T, CommandError>>) -> Result<T, CommandError> {
    timeout(time, answer).await.unwrap_or_else(|_| {
        Err(refusal::timed_out(format!("there was no end within {}", humantime::format_duration(time))))
    })
}

fn parse<T: DeserializeOwned>(request: &Message) -> Result<T, CommandError> {
    serde_json::from_slice(&request.payload)
        .map_err(|error| refusal::invalid(format!("the command cannot be read: {error}")))
}
