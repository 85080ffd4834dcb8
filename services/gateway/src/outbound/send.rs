//! Sends a message to WhatsApp: under one id in all tries, until WhatsApp's server has acknowledged it.
//!
//! The recipient's app drops a repeat by its id, so another try never reaches a person twice.

use super::{
    addressing,
    content::MessageToSend,
    media::{FileUpload, OutgoingFiles},
    new_chat_limit::RestrictionTracker,
    outcome::{Deferral, SendOutcome, SendResult},
    recipients::RecipientCache,
    send_failure::SendFailure,
    sent_event,
};
use crate::{
    config::GatewayConfig,
    inbound::{MessageMapper, addresses, polls::is_poll},
    publish::OutgoingEvent,
    session::{
        SessionHandle, SessionView,
        acks::{AckWaiter, ServerAnswer},
        client_tasks::ClientTasks,
        state::SessionState,
    },
};
use kurir_chassis::trace_context::TRACE_TARGET;
use kurir_contract::{
    address::ChatJid,
    clock,
    command::{IdempotencyKey, SentMessage},
    event::{ErrorOccurred, EventId, EventType},
};
use std::{sync::Arc, time::Duration};
use time::OffsetDateTime;
use tokio::time::{Instant, timeout};
use tracing::{Instrument as _, field};
use waproto::whatsapp::Message;
use whatsapp_rust::{Client, SendOptions};

/// Sends the messages of one session.
pub struct WhatsappSender {
    pub files: OutgoingFiles,
    session: SessionHandle,
    inbound: MessageMapper,
    pub(crate) recipients: RecipientCache,
    restrictions: RestrictionTracker,
    timeout: Duration,
    media_timeout: Duration,
    pauses: Vec<Duration>,
}

impl WhatsappSender {
    #[must_use]
    pub fn new(
        session: SessionHandle,
        inbound: MessageMapper,
        files: OutgoingFiles,
        restrictions: RestrictionTracker,
        config: &GatewayConfig,
    ) -> Self {
        Self {
            files,
            session,
            inbound,
            recipients: RecipientCache::default(),
            restrictions,
            timeout: config.whatsapp_send_timeout,
            media_timeout: config.whatsapp_media_timeout,
            pauses: config.whatsapp_send_pauses.clone(),
        }
    }

    /// Waits for the connection and gives its client; none if waiting would not help.
    pub(crate) async fn wait_for_client(&self) -> Option<Arc<Client>> {
        if is_unavailable(&self.session.view.borrow()) {
            return None;
        }
        self.wait_connected().await.ok().map(|(client, _)| client)
    }

    /// How long WhatsApp has for one answer.
    pub(crate) fn answer_timeout(&self) -> Duration {
        self.timeout
    }

    /// Whether the session is connected or about to be.
    #[must_use]
    pub fn may_send(&self) -> bool {
        !is_unavailable(&self.session.view.borrow())
    }

    #[must_use]
    pub fn is_connected(&self) -> bool {
        is_connected(&self.session.view.borrow())
    }

    /// Whether the session stays away from WhatsApp until NATS stores again.
    #[must_use]
    pub fn waits_for_storage(&self) -> bool {
        matches!(self.session.view.borrow().state, SessionState::CannotStore(_))
    }

    /// Waits until the session is connected, or does not try to be.
    pub async fn wait_until_settled(&self) {
        let mut view = self.session.view.clone();
        // The sender of the view ends with the process.
        let _ = view.wait_for(|view| is_unavailable(view) || is_connected(view)).await;
    }

    /// The longest time that all tries of a message take.
    #[must_use]
    pub fn longest_send(&self, outgoing: &MessageToSend) -> Duration {
        let within = if outgoing.attachment.is_some() { self.media_timeout } else { self.timeout };
        let tries = u32::try_from(self.pauses.len() + 1).unwrap_or(u32::MAX);
        within.saturating_mul(tries) + self.pauses.iter().sum::<Duration>()
    }

    /// Sends a message, under the id of its key, else under `id`, else under a random one. Takes as long as all its tries.
    pub async fn send(&self, mut outgoing: MessageToSend, id: Option<String>) -> SendOutcome {
        if let Some(failure) = SendFailure::of_session(&self.session.view.borrow()) {
            return SendOutcome::Done(SendResult { answer: Err(failure.to_command_error()), event: None });
        }
        let session = &self.session.id;
        let of_key = |key: &IdempotencyKey| key.message_id(session);
        let chosen = outgoing.key.as_ref().map(of_key).or(id);
        let id = chosen.unwrap_or_else(new_message_id);
        let mut answers = self.session.acks.register(&id);
        let attachment = outgoing.attachment.clone();
        let mut upload = attachment.as_ref().map(|attachment| self.files.start_upload(attachment));
        let mut attempt = 1;
        let mut pauses = self.pauses.iter();
        let result = loop {
            // It ends with WhatsApp's acknowledgement.
            let span = tracing::info_span!(
                target: TRACE_TARGET,
                "whatsapp send",
                otel.kind = "client",
                otel.status_code = field::Empty,
                message.id = id,
                attempt.number = attempt,
            );
            let tried = self.try_once(&mut outgoing, upload.as_mut(), &id, &mut answers);
            let tried = tried.instrument(span.clone()).await;
            span.record("otel.status_code", if tried.is_ok() { "OK" } else { "ERROR" });
            let failure = match tried {
                Ok(at) => break Ok(at),
                Err(failure) => failure,
            };
            if let Some(held) = self.find_restriction(&failure).await {
                return SendOutcome::Deferred(held);
            }
            tracing::debug!(attempt.number = attempt, "a send failed: {failure}");
            let Some(pause) = pauses.next().filter(|_| failure.is_retryable()) else { break Err(failure) };
            if let Ok(ServerAnswer::Taken { at }) = timeout(*pause, answers.next_answer()).await {
                break Ok(at);
            }
            attempt += 1;
        };
        SendOutcome::Done(match result {
            Ok(at) => self.success(&outgoing, id, attempt, at).await,
            Err(failure) => self.failure(&outgoing.to, attempt, &failure),
        })
    }

    /// Until when WhatsApp takes no such message, if a restriction is why it refused this one.
    async fn find_restriction(&self, failure: &SendFailure) -> Option<Deferral> {
        let SendFailure::Refused { code } = failure else { return None };
        let client = self.session.view.borrow().client.clone()?;
        let restriction = self.restrictions.explain_nack(&client, *code).await?;
        Some(Deferral { until: restriction.until, reason: restriction.wait_reason() })
    }

    async fn try_once(
        &self,
        outgoing: &mut MessageToSend,
        upload: Option<&mut FileUpload<'_>>,
        id: &str,
        answers: &mut AckWaiter,
    ) -> Result<OffsetDateTime, SendFailure> {
        if let Some(at) = answers.accepted_meanwhile() {
            return Ok(at);
        }
        let within = if upload.is_some() { self.media_timeout } else { self.timeout };
        let tried = async {
            let (client, client_tasks) = self.wait_connected().await?;
            let account = self.recipients.find_account(&client, &outgoing.to, &outgoing.jid).await;
            let account = account.map_err(|error| SendFailure::Client(format!("{error:#}")))?;
            outgoing.set_recipient(account.ok_or_else(|| SendFailure::NotOnWhatsapp(outgoing.to.clone()))?);
            let ready = self.prepare_message(&client, outgoing, id).await;
            let mut message = ready.map_err(|error| SendFailure::Client(format!("{error:#}")))?;
            if let Some(upload) = upload {
                upload.complete_message(&client, &mut message).await?;
            }
            // What this chat wrote last may have changed the keys with which this message is encrypted, and an answer to
            // them can be read only by who has them still. The client would send first and write them soon. While a backlog is read this stores and publishes messages, too, so it does not end with this try.
            let keeping = Arc::clone(&client);
            let kept = client_tasks.run(async move { keeping.flush_pending_signal_state().await }).await;
            // The connection has ended; the next try waits for another one.
            kept.ok_or(SendFailure::TimedOut)?.map_err(|error| SendFailure::KeysNotWritten(error.to_string()))?;
            let options = SendOptions::default().with_message_id(id);
            client
                .send_message_with_options(&outgoing.jid, message, options)
                .await
                .map_err(SendFailure::from_send_error)?;
            match answers.next_answer().await {
                ServerAnswer::Taken { at } => Ok(at),
                ServerAnswer::Refused { code } => Err(SendFailure::Refused { code }),
            }
        };
        timeout(within, tried).await.unwrap_or(Err(SendFailure::TimedOut))
    }

    /// Adds what only the client knows. The result is the same at every try.
    async fn prepare_message(&self, client: &Client, outgoing: &MessageToSend, id: &str) -> anyhow::Result<Message> {
        let mut message = outgoing.message.clone();
        addressing::rename_author(client, &outgoing.jid, &mut message).await?;
        let own = self.session.view.borrow().own.clone();
        addressing::rename_context(client, own.as_ref(), &outgoing.jid, &mut message).await?;
        if is_poll(&message) {
            // Before the message is sent, because a vote may be faster than the answer.
            let chat = addresses::resolve_address(client, &outgoing.jid).await.jid;
            self.inbound.polls.add_message(&chat, id, &message);
            // A repeat under the same id keeps the secret of the first try, which may have arrived.
            if let Some(poll) = self.inbound.polls.get(&chat, id) {
                poll.set_secret(&mut message);
            }
        }
        Ok(message)
    }

    /// Waits for the connection. The wait is part of the try.
    async fn wait_connected(&self) -> Result<(Arc<Client>, ClientTasks), SendFailure> {
        let mut view = self.session.view.clone();
        let client = {
            let settled = view.wait_for(|view| is_unavailable(view) || is_connected(view)).await;
            let view = settled.map_err(|_| SendFailure::Ended)?;
            let connected = view.client.clone().filter(|_| is_connected(&view));
            let connected = connected.map(|client| (client, view.client_tasks.clone()));
            connected.ok_or_else(|| SendFailure::of_session(&view).unwrap_or(SendFailure::Ended))?
        };
        // The caller's own deadline is shorter.
        let is_ours = self.session.guard.wait_open(Instant::now() + self.media_timeout).await;
        is_ours.then_some(client).ok_or(SendFailure::Ended)
    }

    async fn success(&self, outgoing: &MessageToSend, id: String, attempt: u32, at: OffsetDateTime) -> SendResult {
        let SessionView { own, client, .. } = self.session.view.borrow().clone();
        let directory = sent_event::sender_directory(client.as_deref(), own.as_ref(), outgoing).await;
        let to = directory.canonical_address(&outgoing.jid);
        tracing::debug!(attempt.number = attempt, chat = to.redacted(), "WhatsApp accepted a message");
        let event = sent_event::sent_event(&self.inbound, &directory, outgoing, (&id, at));
        SendResult { answer: Ok(SentMessage { message_id: id, to, attempt }), event }
    }

    /// The event of a message that was sent before, by a gateway that may have ended before it published the event.
    pub async fn event_of_sent(&self, outgoing: &MessageToSend, sent: &SentMessage) -> Option<OutgoingEvent> {
        let at = clock::now();
        self.success(outgoing, sent.message_id.clone(), sent.attempt, at).await.event
    }

    fn failure(&self, to: &ChatJid, attempts: u32, failure: &SendFailure) -> SendResult {
        let answer = Err(failure.to_command_error());
        if let SendFailure::NotOnWhatsapp(_) | SendFailure::FileGone = failure {
            return SendResult { answer, event: None };
        }
        tracing::warn!(session.id = %self.session.id, chat = to.redacted(), attempt.number = attempts, "a message was not sent: {failure}");
        let at = clock::now();
        let data = ErrorOccurred {
            error_type: ErrorOccurred::SEND_FAILED.to_owned(),
            error_message: failure.to_string(),
            context: serde_json::json!({"jid": to, "attempts": attempts}),
            timestamp: clock::iso(at),
        };
        let event = OutgoingEvent::new(&self.session.id, EventType::ERROR_OCCURRED, EventId::random(), at, data);
        SendResult { answer, event: Some(event) }
    }
}

fn is_connected(view: &SessionView) -> bool {
    view.state == SessionState::Connected && view.client.is_some()
}

fn is_unavailable(view: &SessionView) -> bool {
    SendFailure::of_session(view).is_some()
}

/// An id in the form of WhatsApp Web's ids, which the client uses, too.
fn new_message_id() -> String {
    use std::fmt::Write as _;
    rand::random::<[u8; 9]>().iter().fold("3EB0".to_owned(), |mut id, byte| {
        // Writing to a String cannot fail.
        let _ = write!(id, "{byte:02X}");
        id
    })
}
