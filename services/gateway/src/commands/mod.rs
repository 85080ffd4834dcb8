//! Commands from the broker: a request each, answered once. A slow send never delays a question about the status.
//!
//! What is sent goes to `outbound`, in the order of its chat. The rest is answered here, a file for each thing that is
//! asked about: `session`, `chat`, `people`.

mod chat;
mod people;
mod session;

use crate::{
    outbound::{
        Outbound,
        content::{self, Outgoing},
        send::Done,
    },
    session::Session,
    turns::Turns,
};
use anyhow::Context as _;
use async_nats::Message;
use futures::StreamExt as _;
use kurir_chassis::{broker::Broker, health::Health, shutdown::CancellationToken, trace_context};
use kurir_contract::{
    command::{Command, Empty, Refusal, RefusalCode, Reply},
    subject,
};
use serde::{Serialize, de::DeserializeOwned};
use std::sync::Arc;
use tokio::task::JoinSet;
use tracing::Instrument as _;

/// Answers the commands of one session.
#[derive(Clone)]
pub struct Commands {
    pub session: Session,
    pub outbound: Arc<Outbound>,
    pub broker: Broker,
}

/// Gateways that share a session's commands, of which the lease lets one live.
const QUEUE_GROUP: &str = "gateway";
/// Commands under way, sends that wait for their turn among them; the rest waits in NATS' own buffer.
const COMMANDS_AT_ONCE: usize = 512;

impl Commands {
    /// Serves until the shutdown, and then until what is under way is `done`.
    ///
    /// # Errors
    /// If the subscription ends.
    pub async fn serve(
        self,
        health: Health,
        shutdown: CancellationToken,
        done: CancellationToken,
    ) -> anyhow::Result<()> {
        let _done = done.drop_guard();
        let subject = subject::all_commands(&self.session.id);
        let nats = &self.broker.client;
        let mut requests =
            nats.queue_subscribe(subject, QUEUE_GROUP.to_owned()).await.context("failed to subscribe to commands")?;
        let mut view = self.session.view.clone();
        let first_work = async {
            let _ = nats.flush().await;
            view.wait_for(|view| view.client.is_some()).await.map(|_| health.works())
        };
        tokio::select! {
            works = first_work => works.context("the session ended")?,
            () = shutdown.cancelled() => return Ok(()),
        }
        let mut turns = Turns::default();
        let mut under_way = JoinSet::new();
        loop {
            tokio::select! {
                () = shutdown.cancelled() => break,
                Some(_) = under_way.join_next(), if !under_way.is_empty() => {}
                request = requests.next(), if under_way.len() < COMMANDS_AT_ONCE => {
                    let request = request.context("the subscription to commands ended")?;
                    self.take(request, &mut turns, &mut under_way).await;
                }
            }
        }
        let _ = requests.unsubscribe().await;
        while under_way.join_next().await.is_some() {}
        Ok(())
    }

    async fn take(&self, request: Message, turns: &mut Turns, under_way: &mut JoinSet<()>) {
        let command = subject::parse_command(&request.subject);
        let name = command.map_or("unknown", Command::as_str);
        let span = tracing::info_span!("command", session.id = %self.session.id, command = name);
        trace_context::adopt(&span, request.headers.as_ref());
        let commands = self.clone();
        let Some(send) = command.filter(|command| command.is_send()) else {
            let task = async move { commands.obey(command, request).await };
            under_way.spawn(task.instrument(span));
            return;
        };
        match content::outgoing(send, &request.payload) {
            Ok(outgoing) => {
                // Taken here, in the order in which the requests came.
                let turn = turns.take(&outgoing.to);
                let task = async move {
                    let _turn = turn.comes().await;
                    commands.send(request, outgoing).await;
                };
                under_way.spawn(task.instrument(span));
            }
            Err(refusal) => self.answer::<Empty>(&request, Err(refusal)).instrument(span).await,
        }
    }

    async fn obey(&self, command: Option<Command>, request: Message) {
        match command {
            Some(Command::Status) => {
                self.answer(&request, parse::<Empty>(&request).map(|_| self.session.status())).await
            }
            Some(Command::PairingCode) => self.answer(&request, self.pairing_code(parse(&request)).await).await,
            Some(Command::Restart) => self.answer(&request, self.restart(parse(&request)).await).await,
            Some(Command::Logout) => self.answer(&request, self.log_out(parse(&request)).await).await,
            Some(Command::CheckNumber) => self.answer(&request, self.check_number(parse(&request)).await).await,
            Some(Command::MarkRead) => self.answer(&request, self.mark_read(parse(&request)).await).await,
            Some(Command::ShowTyping) => self.answer(&request, self.show_typing(parse(&request)).await).await,
            Some(Command::SetPresence) => self.answer(&request, self.set_presence(parse(&request)).await).await,
            Some(Command::SubscribePresence) => {
                self.answer(&request, self.subscribe_presence(parse(&request)).await).await;
            }
            // Sends went the other way.
            Some(
                Command::SendText
                | Command::SendLocation
                | Command::SendContact
                | Command::SendPoll
                | Command::SendReaction
                | Command::SendEdit
                | Command::SendRevoke
                | Command::SendForward,
            )
            | None => {
                let names: Vec<_> = Command::ALL.iter().map(|command| command.as_str()).collect();
                let refusal = invalid(format!("there is no such command; there are {}", names.join(", ")));
                self.answer::<Empty>(&request, Err(refusal)).await;
            }
        }
    }

    async fn send(&self, request: Message, outgoing: Outgoing) {
        let Done { answer, event } = self.outbound.send(outgoing).await;
        self.answer(&request, answer).await;
        if let Some(event) = event {
            self.outbound.tell(&event).await;
        }
    }

    async fn answer<T: Serialize>(&self, request: &Message, answer: Result<T, Refusal>) {
        let Some(reply) = request.reply.clone() else {
            tracing::warn!("a command came as a message without a reply subject, so nobody has its answer");
            return;
        };
        let answer = match answer {
            Ok(answer) => Reply::Ok(answer),
            Err(refusal) => {
                tracing::info!(refusal.code = ?refusal.code, "a command was refused");
                Reply::Error(refusal)
            }
        };
        match serde_json::to_vec(&answer) {
            // A caller that is not reached asks again.
            Ok(body) => drop(self.broker.client.publish(reply, body.into()).await),
            Err(error) => tracing::error!("failed to write an answer: {error}"),
        }
    }
}

fn parse<T: DeserializeOwned>(request: &Message) -> Result<T, Refusal> {
    serde_json::from_slice(&request.payload).map_err(|error| invalid(format!("the request cannot be read: {error}")))
}

fn invalid(message: String) -> Refusal {
    refusal(RefusalCode::InvalidRequest, &message)
}

fn internal(error: impl std::fmt::Display) -> Refusal {
    refusal(RefusalCode::Internal, &error.to_string())
}

fn refusal(code: RefusalCode, message: &str) -> Refusal {
    Refusal { code, message: message.to_owned(), whatsapp_code: None }
}
