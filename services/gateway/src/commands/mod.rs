//! Answers the commands that come over NATS, each once. A slow send never delays a question about the status.
//!
//! Each gateway that runs a session gets its commands. There is one, until a gateway is frozen, or cut off from NATS, and another
//! one goes on: NATS still counts the first one as there, and would give it half of the commands if the two shared them. So the one
//! that is not certain to hold the session does nothing and says nothing.
//!
//! A send goes to `outbound`, in the order of its chat. Every other command has an [`AnswerCommand`] here, in the file of
//! its subject: `session`, `passkey`, `jobs`, `chat`, `people`, `groups`, `calls`, `transfer`. `whatsapp_request` asks WhatsApp.
//! Which commands there are is the contract's table.

mod calls;
mod chat;
mod groups;
mod jobs;
mod passkey;
mod people;
mod progress;
mod session;
mod transfer;
mod whatsapp_request;

use crate::{
    byte_budget::{ByteBudget, ByteReservation},
    chat_queue::ChatQueue,
    inbound::notices::RingingCalls,
    outbound::{
        SendPipeline,
        content::MessageToSend,
        jobs::{JobQueue, SendIntent},
        outcome::{Deferral, SendOutcome, SendResult},
        pacing::SendPriority,
    },
    publish::OutgoingEvent,
    session::{SessionHandle, SessionView, session_holder::HolderLookup},
};
use anyhow::Context as _;
use async_nats::Message;
use kurir_chassis::{
    broker::Broker, counted_subscription::CountedSubscription, health::Health, shutdown::CancellationToken,
    trace_context,
};
use kurir_contract::{
    clock,
    command::{
        Command, CommandError, CommandErrorCode, EmptyBody, EncodedReply, WaitReason, answer_command, build_send,
    },
    session::SessionId,
    subject,
};
use progress::{do_with_progress, progress_header, progress_inbox};
use serde::Serialize;
use std::{pin::pin, sync::Arc, time::Duration};
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, sleep, timeout},
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
    pub holder: HolderLookup,
    /// Events that are published after their command is answered; [`CommandServer::serve`] publishes them.
    pub late_events: mpsc::Sender<OutgoingEvent>,
}

/// The time in which the gateway's lease is renewed after an outage of NATS.
const HELD_WITHIN: Duration = Duration::from_secs(3);
/// A status has three seconds in all.
const HOLDER_KNOWN_WITHIN: Duration = Duration::from_secs(1);
/// A send that takes longer than its own bounds has not ended: its gateway has.
const INTENT_MARGIN: Duration = Duration::from_secs(30);
/// A send whose acknowledgement is on its way when the gateway stops is done in time.
const LAST_MOMENT: Duration = Duration::from_millis(500);
/// Commands under way, with the sends that wait for their turn. Further ones wait in the client's buffer.
pub const COMMANDS_AT_ONCE: usize = 512;
/// The bytes of the commands under way, each of which may have a megabyte. A send holds about three copies of its request.
const COMMAND_BYTES: usize = 32_000_000;

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
        let mut requests = CountedSubscription::join(nats, subject, self.holder.gateway())
            .await
            .context("failed to subscribe to commands")?;
        let mut view = self.session.view.clone();
        let first_work = async {
            let _ = nats.flush().await;
            // A session that ended before it began answers why. Keys come by a command.
            let has_work =
                |view: &SessionView| view.client.is_some() || view.awaits_keys || view.state.status().is_end();
            let begun = view.wait_for(has_work).await?;
            anyhow::Ok(begun.state.reason().filter(|_| begun.client.is_none()).map(str::to_owned))
        };
        let problem = tokio::select! {
            begun = first_work => begun.context("the session ended")?,
            () = shutdown.cancelled() => return Ok(()),
        };
        let mut is_ready = problem.is_none();
        match problem {
            None => health.mark_ready(),
            // Of many sessions one that is damaged does not stop the others.
            Some(problem) if self.session.id == SessionId::default() => health.set_problem(Some(problem)),
            Some(_) => {}
        }
        let mut chats = ChatQueue::default();
        let mut under_way = JoinSet::new();
        let bytes = ByteBudget::new(COMMAND_BYTES);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => break,
                Ok(()) = async { view.wait_for(|view| view.client.is_some()).await.map(drop) }, if !is_ready => {
                    is_ready = true;
                    health.set_problem(None);
                    health.mark_ready();
                }
                Some(_) = under_way.join_next(), if !under_way.is_empty() => {}
                Some(event) = late_events.recv() => self.spawn_late_event(event, &mut under_way),
                request = requests.next(), if under_way.len() < COMMANDS_AT_ONCE && !bytes.is_used_up() => {
                    let request = request.context("the subscription to commands ended")?;
                    let taken = bytes.take(request.payload.len());
                    self.dispatch((request, taken), &mut chats, &mut under_way, &shutdown).await;
                }
            }
        }
        // What NATS sent before it knew that the gateway leaves is answered, so that its caller need not wait until its
        // deadline.
        let mut last = requests.leave();
        // Another gateway may be doing it.
        let answers = self.session.guard.is_open() || self.holder_is_elsewhere().await == Some(false);
        while let Some(request) = last.next().await {
            let text = "the gateway leaves this session; nothing was done";
            if answers {
                self.answer_with::<EmptyBody>(&request, Err(not_connected(text))).await;
            }
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
    async fn dispatch(
        &self,
        (request, taken): (Message, ByteReservation),
        chats: &mut ChatQueue,
        under_way: &mut JoinSet<()>,
        shutdown: &CancellationToken,
    ) {
        if !subject::is_request(request.reply.as_deref()) {
            return tracing::warn!(subject = %request.subject, "ignored a command without a caller who waits for its answer");
        }
        let command = subject::parse_command(&request.subject);
        let name = command.map_or("unknown", Command::as_str);
        let span = tracing::info_span!("command", otel.kind = "server", session.id = %self.session.id, command = name);
        trace_context::adopt(&span, request.headers.as_ref());
        let server = self.clone();
        let Some(send) = command.filter(|command| command.is_send()) else {
            let stopping = shutdown.clone();
            let task = async move {
                server.handle(command, &request, &stopping).await;
                drop(taken);
            };
            under_way.spawn(task.instrument(span));
            return;
        };
        match build_send::<MessageToSend>(send, &request.payload) {
            Ok(message) => {
                let (turn, stopping) = (chats.join(&message.to), shutdown.clone());
                let (nats, inbox) = (self.broker.client.clone(), progress_inbox(&request));
                let work = async move {
                    let _turn = turn.wait().await;
                    server.send(send, request, message, stopping).await;
                    drop(taken);
                };
                let task = async move { do_with_progress(&nats, inbox, work).await };
                under_way.spawn(task.instrument(span));
            }
            Err(error) => self.answer_with::<EmptyBody>(&request, Err(error)).instrument(span).await,
        }
    }

    /// Answers a command that does not send.
    async fn handle(&self, command: Option<Command>, request: &Message, stopping: &CancellationToken) {
        // The status is answered from memory; everything else may change something at WhatsApp.
        let may_answer = match command {
            Some(Command::Status) => self.session.guard.is_open() || self.holder_is_elsewhere().await != Some(true),
            _ => self.may_act(request, stopping).await,
        };
        if !may_answer {
            return;
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

    /// Whether this gateway certainly holds the session. If it does not, it answers that, unless another gateway holds the
    /// session: each command reaches every gateway that believes to hold it, and the one that does answers.
    async fn may_act(&self, request: &Message, stopping: &CancellationToken) -> bool {
        // While NATS stores nothing the lease is not renewed, so there is nothing to wait for.
        let patience = if self.outbound.storage_problem().is_some() { Duration::ZERO } else { HELD_WITHIN };
        let is_held = self.session.guard.wait_open(Instant::now() + patience);
        if stopping.run_until_cancelled(is_held).await.unwrap_or_else(|| self.session.guard.is_open()) {
            return true;
        }
        let text = "it is not certain that this gateway still holds the session; ask again in a moment";
        match (self.holder_is_elsewhere().await, self.outbound.storage_problem()) {
            (Some(true), _) | (None, None) => {
                tracing::info!("left a command to the gateway that holds the session now")
            }
            (_, Some(problem)) => self.answer_with::<EmptyBody>(request, Err(problem)).await,
            (Some(false), None) => self.answer_with::<EmptyBody>(request, Err(not_connected(text))).await,
        }
        false
    }

    /// Whether another gateway holds the session; none if NATS does not say.
    async fn holder_is_elsewhere(&self) -> Option<bool> {
        timeout(HOLDER_KNOWN_WITHIN, self.holder.is_elsewhere()).await.ok()?.ok()
    }

    async fn send(&self, command: Command, request: Message, message: MessageToSend, stopping: CancellationToken) {
        if !self.may_act(&request, &stopping).await {
            return;
        }
        if let Some(error) = self.outbound.storage_problem() {
            return self.answer_with::<EmptyBody>(&request, Err(error)).await;
        }
        // The next gateway finishes what was begun.
        let within = self.outbound.longest_send(&message) + INTENT_MARGIN;
        let intent = match self.queue.begin_send(command, &request.payload, &message, within).await {
            Ok(intent) => intent,
            Err(error) => return self.answer_with::<EmptyBody>(&request, Err(error)).await,
        };
        if stopping.is_cancelled() {
            return self.hand_over(command, &request, &message, &intent).await;
        }
        let mut sending =
            pin!(self.outbound.send(message.clone(), Some(intent.message_id.clone()), SendPriority::Direct));
        let outcome = tokio::select! {
            outcome = &mut sending => outcome,
            () = async { stopping.cancelled().await; sleep(LAST_MOMENT).await } => {
                self.hand_over(command, &request, &message, &intent).await;
                // It may still succeed; then its job has nothing left to do. What fails now is the job's to do again.
                if let SendOutcome::Done(SendResult { answer: Ok(sent), event }) = sending.await {
                    if let Some(event) = event {
                        self.outbound.publish_event(&event).await;
                    }
                    self.outbound.record_sent(&intent.key, message.fingerprint, &sent).await;
                }
                return;
            }
        };
        let SendResult { answer, event } = match outcome {
            SendOutcome::Done(done) => done,
            SendOutcome::NotTried(error) => SendResult { answer: Err(error), event: None },
            SendOutcome::Deferred(deferral) => {
                return self.defer(command, &request, &message, &intent, deferral).await;
            }
        };
        self.answer_with(&request, answer).await;
        if let Some(event) = event {
            self.outbound.publish_event(&event).await;
        }
        self.queue.end_send(&intent).await;
    }

    /// Leaves a send that has begun to the next gateway, and tells the caller so.
    async fn hand_over(&self, command: Command, request: &Message, message: &MessageToSend, intent: &SendIntent) {
        let held = Deferral { until: clock::now(), reason: WaitReason::GatewayStopped };
        self.defer(command, request, message, intent, held).await;
    }

    /// Keeps a message that cannot be sent now, and tells the caller until when.
    async fn defer(
        &self,
        command: Command,
        request: &Message,
        message: &MessageToSend,
        intent: &SendIntent,
        held: Deferral,
    ) {
        match self.queue.defer_message(command, &request.payload, message, intent, held).await {
            Ok(queued) => {
                self.reply(request, EncodedReply::queued(queued.clone())).await;
                self.queue.publish_queued(&queued).await;
            }
            Err(error) => self.answer_with::<EmptyBody>(request, Err(error)).await,
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
        let _ = self.broker.client.publish_with_headers(subject, progress_header(), reply.body.into()).await;
    }
}

fn not_connected(text: &str) -> CommandError {
    CommandError::new(CommandErrorCode::NotConnected, text)
}

/// The answer to a caller when the gateway itself fails.
fn internal(error: impl std::fmt::Display) -> CommandError {
    CommandError::new(CommandErrorCode::Internal, error.to_string())
}
