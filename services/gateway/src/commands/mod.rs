//! Commands from the broker: a request each, answered once. A slow send never delays a question about the status.
//!
//! What is sent goes to `outbound`, in the order of its chat. The rest is answered here, a file for each thing that is
//! asked about: `session`, `passkey`, `chat`, `people`, `groups`, `calls`; `whatsapp_request` is how they ask WhatsApp.

mod calls;
mod chat;
mod groups;
mod passkey;
mod people;
pub mod plain_text;
mod session;
mod whatsapp_request;

use crate::{
    chat_queue::ChatQueue,
    inbound::notices::RingingCalls,
    outbound::{
        SendOutcome, SendPipeline,
        content::{self, OutgoingMessage},
        jobs::JobQueue,
        pacing::SendPriority,
        send::SendResult,
    },
    session::SessionHandle,
};
use anyhow::Context as _;
use async_nats::Message;
use futures::StreamExt as _;
use groups::ParticipantChange;
use kurir_chassis::{broker::Broker, health::Health, shutdown::CancellationToken, trace_context};
use kurir_contract::{
    command::{Command, CommandError, CommandErrorCode, CommandReply, EmptyBody, SessionInfo},
    job::JobRequest,
    subject,
};
use serde::{Serialize, de::DeserializeOwned};
use std::sync::Arc;
use tokio::task::JoinSet;
use tracing::Instrument as _;

/// Answers the commands of one session.
#[derive(Clone)]
pub struct CommandServer {
    pub session: SessionHandle,
    pub outbound: Arc<SendPipeline>,
    /// Those that ring.
    pub calls: RingingCalls,
    pub queue: JobQueue,
    pub broker: Broker,
}

/// Gateways that share a session's commands, of which the lease lets one live.
const QUEUE_GROUP: &str = "gateway";
/// Commands under way, sends that wait for their turn among them; the rest waits in NATS' own buffer.
const COMMANDS_AT_ONCE: usize = 512;

impl CommandServer {
    /// Serves until the shutdown, and then until what is under way is done.
    ///
    /// # Errors
    /// If the subscription ends.
    pub async fn serve(self, health: Health, shutdown: CancellationToken) -> anyhow::Result<()> {
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
        let mut turns = ChatQueue::default();
        let mut under_way = JoinSet::new();
        loop {
            tokio::select! {
                () = shutdown.cancelled() => break,
                Some(_) = under_way.join_next(), if !under_way.is_empty() => {}
                request = requests.next(), if under_way.len() < COMMANDS_AT_ONCE => {
                    let request = request.context("the subscription to commands ended")?;
                    self.dispatch(request, &mut turns, &mut under_way).await;
                }
            }
        }
        let _ = requests.unsubscribe().await;
        while under_way.join_next().await.is_some() {}
        Ok(())
    }

    async fn dispatch(&self, request: Message, turns: &mut ChatQueue, under_way: &mut JoinSet<()>) {
        let command = subject::parse_command(&request.subject);
        let name = command.map_or("unknown", Command::as_str);
        let span = tracing::info_span!("command", session.id = %self.session.id, command = name);
        trace_context::adopt(&span, request.headers.as_ref());
        let commands = self.clone();
        let Some(send) = command.filter(|command| command.is_send()) else {
            let task = async move { commands.handle(command, request).await };
            under_way.spawn(task.instrument(span));
            return;
        };
        match content::build_message(send, &request.payload) {
            Ok(outgoing) => {
                // Taken here, in the order in which the requests came.
                let turn = turns.join(&outgoing.to);
                let task = async move {
                    let _turn = turn.wait().await;
                    commands.send(send, request, outgoing).await;
                };
                under_way.spawn(task.instrument(span));
            }
            Err(refusal) => self.answer::<EmptyBody>(&request, Err(refusal)).instrument(span).await,
        }
    }

    async fn handle(&self, command: Option<Command>, request: Message) {
        match command {
            Some(Command::Status) => {
                self.answer(&request, parse::<EmptyBody>(&request).map(|_| self.session_info())).await
            }
            Some(Command::PairingCode) => self.answer(&request, self.pairing_code(parse(&request)).await).await,
            Some(Command::Passkey) => {
                self.answer(&request, parse::<EmptyBody>(&request).map(|_| self.session.passkey_progress())).await;
            }
            Some(Command::AnswerPasskey) => self.answer(&request, self.answer_passkey(parse(&request)).await).await,
            Some(Command::ConfirmPasskey) => self.answer(&request, self.confirm_passkey(parse(&request)).await).await,
            Some(Command::Restart) => self.answer(&request, self.restart(parse(&request)).await).await,
            Some(Command::Logout) => self.answer(&request, self.log_out(parse(&request)).await).await,
            Some(Command::SubmitJob) => {
                let stored = match parse(&request) {
                    Ok(job) => self.queue.submit_job(job).await,
                    Err(refusal) => Err(refusal),
                };
                self.answer(&request, stored).await;
            }
            Some(Command::CancelJob) => {
                let cancelled = match parse::<JobRequest>(&request) {
                    Ok(JobRequest { id }) => self.queue.cancel_job(&id).await,
                    Err(refusal) => Err(refusal),
                };
                self.answer(&request, cancelled).await;
            }
            Some(Command::CheckNumber) => self.answer(&request, self.check_number(parse(&request)).await).await,
            Some(Command::Contact) => self.answer(&request, self.contact_details(parse(&request)).await).await,
            Some(Command::Picture) => self.answer(&request, self.picture_of(parse(&request)).await).await,
            Some(Command::SetPicture) => self.answer(&request, self.set_picture(parse(&request)).await).await,
            Some(Command::Blocklist) => self.answer(&request, self.blocklist(parse(&request)).await).await,
            Some(Command::Block) => self.answer(&request, self.block_person(parse(&request)).await).await,
            Some(Command::Unblock) => self.answer(&request, self.unblock_person(parse(&request)).await).await,
            Some(Command::ListGroups) => self.answer(&request, self.list_groups(parse(&request)).await).await,
            Some(Command::Group) => self.answer(&request, self.group(parse(&request)).await).await,
            Some(Command::CreateGroup) => self.answer(&request, self.create_group(parse(&request)).await).await,
            Some(Command::ChangeGroup) => self.answer(&request, self.change_group(parse(&request)).await).await,
            Some(Command::AddParticipants) => self.change_participants_as(&request, ParticipantChange::Add).await,
            Some(Command::RemoveParticipants) => self.change_participants_as(&request, ParticipantChange::Remove).await,
            Some(Command::PromoteParticipants) => {
                self.change_participants_as(&request, ParticipantChange::Promote).await
            }
            Some(Command::DemoteParticipants) => self.change_participants_as(&request, ParticipantChange::Demote).await,
            Some(Command::GroupInvite) => {
                self.answer(&request, self.group_invite(parse(&request), false).await).await;
            }
            Some(Command::RevokeGroupInvite) => {
                self.answer(&request, self.group_invite(parse(&request), true).await).await;
            }
            Some(Command::JoinGroup) => self.answer(&request, self.join_group(parse(&request)).await).await,
            Some(Command::LeaveGroup) => self.answer(&request, self.leave_group(parse(&request)).await).await,
            Some(Command::RejectCall) => {
                let (answer, event) = self.reject_call(parse(&request)).await;
                self.answer(&request, answer).await;
                if let Some(event) = event {
                    self.outbound.publish_event(&event).await;
                }
            }
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
                | Command::SendMedia
                | Command::SendPoll
                | Command::SendReaction
                | Command::SendEdit
                | Command::SendRevoke
                | Command::SendForward,
            )
            | None => {
                let names: Vec<_> = Command::ALL.iter().map(|command| command.as_str()).collect();
                let refusal = invalid(format!("there is no such command; there are {}", names.join(", ")));
                self.answer::<EmptyBody>(&request, Err(refusal)).await;
            }
        }
    }

    async fn change_participants_as(&self, request: &Message, change: ParticipantChange) {
        self.answer(request, self.change_participants(parse(request), change).await).await;
    }

    fn session_info(&self) -> SessionInfo {
        SessionInfo { restriction: self.outbound.restriction(), ..self.session.session_info() }
    }

    async fn send(&self, command: Command, request: Message, outgoing: OutgoingMessage) {
        let SendResult { answer, event } = match self.outbound.send(outgoing.clone(), SendPriority::Direct).await {
            SendOutcome::Done(done) => done,
            SendOutcome::NotTried(refusal) => SendResult { answer: Err(refusal), event: None },
            SendOutcome::Deferred(held) => {
                let queued = self.queue.defer_message(command, &request.payload, &outgoing, held).await;
                let reply = match queued {
                    Ok(queued) => CommandReply::<EmptyBody>::Queued(queued),
                    Err(refusal) => CommandReply::Error(refusal),
                };
                self.send_reply(&request, &reply).await;
                return;
            }
        };
        self.answer(&request, answer).await;
        if let Some(event) = event {
            self.outbound.publish_event(&event).await;
        }
    }

    async fn answer<T: Serialize>(&self, request: &Message, answer: Result<T, CommandError>) {
        let reply = match answer {
            Ok(answer) => CommandReply::Ok(answer),
            Err(refusal) => {
                tracing::info!(refusal.code = ?refusal.code, "a command was refused");
                CommandReply::Error(refusal)
            }
        };
        self.send_reply(request, &reply).await;
    }

    async fn send_reply<T: Serialize>(&self, request: &Message, answer: &CommandReply<T>) {
        let Some(reply) = request.reply.clone() else {
            tracing::warn!("a command came as a message without a reply subject, so nobody has its answer");
            return;
        };
        match serde_json::to_vec(answer) {
            // A caller that is not reached asks again.
            Ok(body) => drop(self.broker.client.publish(reply, body.into()).await),
            Err(error) => tracing::error!("failed to write an answer: {error}"),
        }
    }
}

fn parse<T: DeserializeOwned>(request: &Message) -> Result<T, CommandError> {
    serde_json::from_slice(&request.payload).map_err(|error| invalid(format!("the request cannot be read: {error}")))
}

fn invalid(message: String) -> CommandError {
    refusal(CommandErrorCode::InvalidRequest, &message)
}

fn internal(error: impl std::fmt::Display) -> CommandError {
    refusal(CommandErrorCode::Internal, &error.to_string())
}

fn refusal(code: CommandErrorCode, message: &str) -> CommandError {
    CommandError { code, message: message.to_owned(), whatsapp_code: None }
}
