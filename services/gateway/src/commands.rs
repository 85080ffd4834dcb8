//! Commands from the broker: a request each, answered once. A slow send never delays a question about the status.

use crate::{
    outbound::{
        content::{self, Outgoing},
        idempotency::{self, Known},
        send::{Done, Sender},
    },
    publish::{OutgoingEvent, Publisher},
    session::{Session, state::State},
    turns::Turns,
};
use anyhow::Context as _;
use async_nats::Message;
use futures::StreamExt as _;
use kurir_chassis::{broker::Broker, health::Health, shutdown::CancellationToken, trace_context};
use kurir_contract::{
    command::{
        CheckNumber, Command, Empty, LoggedOut, NumberChecked, PairingCode, PairingCodeRequest, Refusal, RefusalCode,
        Reply, Status,
    },
    subject,
};
use serde::{Serialize, de::DeserializeOwned};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::Semaphore,
    task::JoinSet,
    time::{Instant, timeout},
};
use tracing::Instrument as _;
use whatsapp_rust::pair_code::{PairCodeError, PairCodeOptions, PairError};

/// Answers the commands of one session.
#[derive(Clone)]
pub struct Commands {
    pub session: Session,
    pub sender: Arc<Sender>,
    pub publisher: Publisher,
    pub broker: Broker,
    sends: Arc<Semaphore>,
}

/// Gateways that share a session's commands, of which the lease lets one live.
const QUEUE_GROUP: &str = "gateway";
/// Sends under way. WhatsApp is not written to faster by more.
const SENDS_AT_ONCE: usize = 32;
/// Commands under way, sends that wait for their turn among them; the rest waits in NATS' own buffer.
const COMMANDS_AT_ONCE: usize = 512;
/// How long the event about a send is tried for, once its caller has his answer.
const EVENT_WITHIN: Duration = Duration::from_secs(600);
/// The client's own figure for a pairing code.
const PAIRING_CODE_LASTS: Duration = Duration::from_secs(180);
/// A code is worth nothing without a connection to ask for it; at the start there is none for a moment.
const SOCKET_WITHIN: Duration = Duration::from_secs(10);
/// WhatsApp's answer to the request for a code; the client itself waits 30 s.
const PAIRING_CODE_WITHIN: Duration = Duration::from_secs(35);

impl Commands {
    #[must_use]
    pub fn new(session: Session, sender: Sender, broker: Broker, publisher: Publisher) -> Self {
        Self { session, sender: Arc::new(sender), publisher, broker, sends: Arc::new(Semaphore::new(SENDS_AT_ONCE)) }
    }

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
        let outgoing = match command {
            Some(Command::SendText) => parse(&request).and_then(content::text),
            Some(Command::SendLocation) => parse(&request).and_then(content::location),
            Some(Command::SendContact) => parse(&request).and_then(content::contact),
            Some(
                Command::Status | Command::CheckNumber | Command::PairingCode | Command::Restart | Command::Logout,
            )
            | None => {
                let task = async move { commands.obey(command, request).await };
                under_way.spawn(task.instrument(span));
                return;
            }
        };
        match outgoing {
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
            Some(Command::CheckNumber) => self.answer(&request, self.check_number(parse(&request)).await).await,
            Some(Command::Restart) => self.answer(&request, self.restart(parse(&request)).await).await,
            Some(Command::Logout) => self.answer(&request, self.log_out(parse(&request)).await).await,
            Some(Command::SendText | Command::SendLocation | Command::SendContact) | None => {
                let names = Command::ALL.map(Command::as_str).join(", ");
                let refusal = invalid(format!("there is no such command; there are {names}"));
                self.answer::<Empty>(&request, Err(refusal)).await;
            }
        }
    }

    async fn send(&self, request: Message, outgoing: Outgoing) {
        let Done { answer, event } = {
            // Never closed.
            let _permit = self.sends.acquire().await;
            self.send_once(outgoing).await
        };
        self.answer(&request, answer).await;
        if let Some(event) = event {
            self.publish(&event).await;
        }
    }

    /// What has a key goes out once: whoever asks again has the first answer. Two at the same moment are two turns of one
    /// chat, so the second one finds the answer of the first.
    async fn send_once(&self, outgoing: Outgoing) -> Done {
        let Some(key) = outgoing.key.clone() else { return self.sender.send(outgoing).await };
        let (session, request) = (&self.session.id, outgoing.fingerprint.clone());
        let answer = match idempotency::take(&self.broker, session, &key, &request).await {
            Ok(Known::Open) => {
                let done = self.sender.send(outgoing).await;
                if let Ok(sent) = &done.answer {
                    idempotency::remember(&self.broker, session, &key, request, sent).await;
                }
                return done;
            }
            Ok(Known::Sent(sent)) => Ok(sent),
            Ok(Known::OfAnother) => {
                Err(refusal(RefusalCode::Conflict, "This Idempotency-Key was used for another message"))
            }
            Err(error) => {
                tracing::warn!("failed to look up an idempotency key: {error:#}");
                Err(refusal(RefusalCode::Internal, "NATS could not look up the Idempotency-Key; nothing was sent"))
            }
        };
        Done { answer, event: None }
    }

    async fn check_number(&self, request: Result<CheckNumber, Refusal>) -> Result<NumberChecked, Refusal> {
        self.sender.check(request?).await
    }

    async fn publish(&self, event: &OutgoingEvent) {
        if let Err(error) = self.publisher.store(event, Instant::now() + EVENT_WITHIN).await {
            tracing::error!(event.id = %event.id, "the event about a send was lost: {error}");
        }
    }

    async fn restart(&self, request: Result<Empty, Refusal>) -> Result<Status, Refusal> {
        request?;
        self.session.restart().await.map_err(internal)?;
        Ok(self.session.status())
    }

    async fn log_out(&self, request: Result<Empty, Refusal>) -> Result<LoggedOut, Refusal> {
        request?;
        self.session.log_out().await.map_err(internal)
    }

    async fn pairing_code(&self, request: Result<PairingCodeRequest, Refusal>) -> Result<PairingCode, Refusal> {
        let phone_number = request?.phone_number;
        let client = {
            let view = self.session.view.borrow();
            let may_pair = view.own.is_none() && matches!(view.state, State::Pairing { .. } | State::Connecting);
            let client = view.client.clone().filter(|_| may_pair);
            client.ok_or_else(|| {
                refusal(RefusalCode::Conflict, "a pairing code is for a session that is not paired; log out first")
            })?
        };
        let asked = async {
            client.wait_for_socket(SOCKET_WITHIN).await.map_err(internal)?;
            let options = || PairCodeOptions { phone_number: phone_number.clone(), ..PairCodeOptions::default() };
            match client.pair_with_code(options()).await {
                // Whoever asks again wants another one, for another number perhaps.
                Err(PairError::PairCode(PairCodeError::CodeAlreadyOutstanding { .. })) => {
                    client.cancel_pair_code().await;
                    client.pair_with_code(options()).await
                }
                other => other,
            }
            .map_err(pairing_refusal)
        };
        let code = timeout(PAIRING_CODE_WITHIN, asked)
            .await
            .map_err(|_| refusal(RefusalCode::TimedOut, "WhatsApp gave no pairing code in time"))??;
        Ok(PairingCode { code, expires_in_seconds: PAIRING_CODE_LASTS.as_secs() })
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

fn pairing_refusal(error: PairError) -> Refusal {
    match error {
        PairError::PairCode(
            error @ (PairCodeError::PhoneNumberRequired
            | PairCodeError::PhoneNumberTooShort
            | PairCodeError::PhoneNumberNotInternational),
        ) => invalid(error.to_string()),
        PairError::RequestFailed(whatsapp_rust::request::IqError::ServerError { code, .. }) => Refusal {
            whatsapp_code: Some(code),
            ..refusal(RefusalCode::RefusedByWhatsapp, "WhatsApp gave no pairing code; wait before you ask again")
        },
        error => internal(error),
    }
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
