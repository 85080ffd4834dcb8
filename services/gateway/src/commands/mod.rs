//! Answers the commands that come over NATS, each once. A slow send never delays a question about the status.
//!
//! A send goes to `outbound`, in the order of its chat. Every other command has an [`AnswerCommand`] here, in the file of
//! its subject: `session`, `passkey`, `jobs`, `chat`, `people`, `groups`, `calls`. `whatsapp_request` asks WhatsApp.
//! Which commands there are is the contract's table.

mod calls;
mod chat;
mod groups;
mod jobs;
mod passkey;
mod people;
mod session;
mod whatsapp_request;

use crate::{
    chat_queue::ChatQueue,
    inbound::notices::RingingCalls,
    outbound::{
        SendPipeline,
        content::MessageToSend,
        jobs::JobQueue,
        outcome::{SendOutcome, SendResult},
        pacing::SendPriority,
    },
    publish::OutgoingEvent,
    session::SessionHandle,
};
use anyhow::Context as _;
use async_nats::Message;
use futures::StreamExt as _;
use kurir_chassis::{broker::Broker, health::Health, shutdown::CancellationToken, trace_context};
use kurir_contract::{
    command::{Command, CommandError, CommandErrorCode, EmptyBody, EncodedReply, answer_command, build_send},
    subject,
};
use serde::Serialize;
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, timeout},
};
use tracing::Instrument as _;

/// The parts of the gateway that commands need.
#[derive(Clone)]
pub struct CommandServer {
    pub session: SessionHandle,
    pub outbound: Arc<SendPipeline>,
    pub calls: RingingCalls,
    pub queue: JobQueue,
    pub broker: Broker,
    /// Events that are published after their command is answered; [`CommandServer::serve`] publishes them.
    pub late_events: mpsc::Sender<OutgoingEvent>,
}

/// The time in which the gateway's lease is renewed after an outage of NATS.
const HELD_WITHIN: Duration = Duration::from_secs(3);
/// NATS says within a round trip that it sends no more requests. It may be away.
const LATE_REQUESTS_WITHIN: Duration = Duration::from_secs(1);
/// The NATS queue group of all gateways. One gateway holds a session, and subscribes to its commands.
const QUEUE_GROUP: &str = "gateway";
/// Commands under way, with the sends that wait for their turn. Further ones wait in the client's buffer.
pub const COMMANDS_AT_ONCE: usize = 512;

impl CommandServer {
    /// Serves until the shutdown, and then until the commands under way are done. `late_events` is the receiver of the
    /// field with this name.
    ///
    /// # Errors
    /// If the subscription ends.
    pub async fn serve(
        self,
        mut late_events: mpsc::Receiver<OutgoingEvent>,
        health: Health,
        shutdown: CancellationToken,
    ) -> anyhow::Result<()> {
        let subject = subject::all_commands(&self.session.id);
        let nats = &self.broker.client;
        let mut requests =
            nats.queue_subscribe(subject, QUEUE_GROUP.to_owned()).await.context("failed to subscribe to commands")?;
        let mut view = self.session.view.clone();
        let first_work = async {
            let _ = nats.flush().await;
            view.wait_for(|view| view.client.is_some()).await.map(|_| health.mark_ready())
        };
        tokio::select! {
            works = first_work => works.context("the session ended")?,
            () = shutdown.cancelled() => return Ok(()),
        }
        let mut chats = ChatQueue::default();
        let mut under_way = JoinSet::new();
        loop {
            tokio::select! {
                () = shutdown.cancelled() => break,
                Some(_) = under_way.join_next(), if !under_way.is_empty() => {}
                Some(event) = late_events.recv() => self.spawn_late_event(event, &mut under_way),
                request = requests.next(), if under_way.len() < COMMANDS_AT_ONCE => {
                    let request = request.context("the subscription to commands ended")?;
                    self.dispatch(request, &mut chats, &mut under_way).await;
                }
            }
        }
        // What NATS sent before it knew that the gateway leaves is answered, so that its caller need not wait until its
        // deadline. `unsubscribe` would drop it.
        let _ = requests.drain().await;
        while let Ok(Some(request)) = timeout(LATE_REQUESTS_WITHIN, requests.next()).await {
            let text = "the gateway leaves this session; nothing was done";
            self.answer_with::<EmptyBody>(&request, Err(CommandError::new(CommandErrorCode::NotConnected, text))).await;
        }
        while under_way.join_next().await.is_some() {
            while let Ok(event) = late_events.try_recv() {
                self.spawn_late_event(event, &mut under_way);
            }
        }
        Ok(())
    }

    fn spawn_late_event(&self, event: OutgoingEvent, under_way: &mut JoinSet<()>) {
        let outbound = Arc::clone(&self.outbound);
        under_way.spawn(async move { outbound.publish_event(&event).await });
    }

    /// Starts the task of one command. A send takes its place in the queue of its chat here, in the order of the requests.
    async fn dispatch(&self, request: Message, chats: &mut ChatQueue, under_way: &mut JoinSet<()>) {
        if !subject::is_request(request.reply.as_deref()) {
            return tracing::warn!(subject = %request.subject, "ignored a command without a caller who waits for its answer");
        }
        let command = subject::parse_command(&request.subject);
        let name = command.map_or("unknown", Command::as_str);
        let span = tracing::info_span!("command", session.id = %self.session.id, command = name);
        trace_context::adopt(&span, request.headers.as_ref());
        let server = self.clone();
        let Some(send) = command.filter(|command| command.is_send()) else {
            let task = async move { server.handle(command, &request).await };
            under_way.spawn(task.instrument(span));
            return;
        };
        match build_send::<MessageToSend>(send, &request.payload) {
            Ok(message) => {
                let turn = chats.join(&message.to);
                let task = async move {
                    let _turn = turn.wait().await;
                    server.send(send, request, message).await;
                };
                under_way.spawn(task.instrument(span));
            }
            Err(error) => self.answer_with::<EmptyBody>(&request, Err(error)).instrument(span).await,
        }
    }

    /// Answers a command that does not send.
    async fn handle(&self, command: Option<Command>, request: &Message) {
        // The status is answered from memory; everything else may change something at WhatsApp.
        if command != Some(Command::Status) && !self.session.guard.wait_open(Instant::now() + HELD_WITHIN).await {
            let text = "it is not certain that this gateway still holds the session; ask again in a moment";
            let refused = CommandError::new(CommandErrorCode::NotConnected, text);
            return self.answer_with::<EmptyBody>(request, Err(refused)).await;
        }
        let known = match command {
            Some(command) => answer_command(self, command, &request.payload).await,
            None => None,
        };
        let reply = known.unwrap_or_else(|| {
            let names: Vec<_> = Command::ALL.iter().map(|command| command.as_str()).collect();
            let text = format!("there is no such command; there are {}", names.join(", "));
            EncodedReply::new::<EmptyBody>(Err(CommandError::invalid(text)))
        });
        self.reply(request, reply).await;
    }

    async fn send(&self, command: Command, request: Message, message: MessageToSend) {
        let SendResult { answer, event } = match self.outbound.send(message.clone(), SendPriority::Direct).await {
            SendOutcome::Done(done) => done,
            SendOutcome::NotTried(error) => SendResult { answer: Err(error), event: None },
            SendOutcome::Deferred(deferral) => {
                match self.queue.defer_message(command, &request.payload, &message, deferral).await {
                    Ok(queued) => self.reply(&request, EncodedReply::queued(queued)).await,
                    Err(error) => self.answer_with::<EmptyBody>(&request, Err(error)).await,
                }
                return;
            }
        };
        self.answer_with(&request, answer).await;
        if let Some(event) = event {
            self.outbound.publish_event(&event).await;
        }
    }

    async fn answer_with<T: Serialize>(&self, request: &Message, answer: Result<T, CommandError>) {
        self.reply(request, EncodedReply::new(answer)).await;
    }

    async fn reply(&self, request: &Message, reply: EncodedReply) {
        if let Some(code) = reply.error {
            tracing::info!(refusal.code = ?code, "a command was refused");
        }
        let Some(subject) = request.reply.clone() else {
            tracing::warn!("a command came without a reply subject, so nobody receives its answer");
            return;
        };
        // A caller that does not receive the answer asks again.
        let _ = self.broker.client.publish(subject, reply.body.into()).await;
    }
}

/// The answer to a caller when the gateway itself fails.
fn internal(error: impl std::fmt::Display) -> CommandError {
    CommandError::new(CommandErrorCode::Internal, error.to_string())
}
