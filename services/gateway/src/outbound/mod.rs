//! The path of one message to WhatsApp.
//!
//! `content` builds the message, and `media` uploads its file. `pacing` says when it may be sent and `new_chat_limit`
//! whom it may reach; `jobs` keeps what cannot be sent yet. `send` ends when WhatsApp's server has acknowledged the message. It
//! sends only to recipients that are on WhatsApp (`recipients`), and once for each key of a caller (`idempotency`).
//! `sent_event` makes the message's event. `addressing` addresses people as WhatsApp does.

pub mod content;

pub mod addressing;
mod idempotency;
pub mod jobs;
pub mod media;
pub mod new_chat_limit;
pub mod outcome;
pub mod pacing;
pub mod recipients;
pub mod send;
mod send_failure;
mod sent_event;

use crate::{
    chat_queue::ChatQueue,
    publish::{EventPublisher, OutgoingEvent},
};
use content::MessageToSend;
use idempotency::{KeyLookupError, KeyUse};
use kurir_chassis::{broker::Broker, bucket::Bucket};
use kurir_contract::{
    clock,
    command::{ActiveRestriction, CommandError, CommandErrorCode, IdempotencyKey, SentMessage, WaitReason},
    session::SessionId,
};
use new_chat_limit::NewChatLimit;
use outcome::{Deferral, SendOutcome, SendResult};
use pacing::{SendPacer, SendPriority};
use send::WhatsappSender;
use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::{sync::Semaphore, time::Instant};

/// Sends the messages of one session.
pub struct SendPipeline {
    pub sender: WhatsappSender,
    session: SessionId,
    keys: Bucket,
    /// The keys under which something is sent: a caller and a job may use one at the same moment.
    key_turns: Mutex<ChatQueue<IdempotencyKey>>,
    publisher: EventPublisher,
    pacer: SendPacer,
    reach: NewChatLimit,
    permits: Semaphore,
    uploads: Semaphore,
}

/// A caller that waits for an answer waits no longer for a turn. Then the message is kept, and the answer says so.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// Sends under way. More of them would not make WhatsApp faster.
const SENDS_AT_ONCE: usize = 32;
/// Uploads under way. Each has a thread, a file on disk and buffers, and two already fill a line.
const FILES_AT_ONCE: usize = 4;
/// How long the event about a send is tried for, after its caller has the answer.
const EVENT_WITHIN: Duration = Duration::from_secs(600);

impl SendPipeline {
    #[must_use]
    pub fn new(
        session: SessionId,
        sender: WhatsappSender,
        broker: &Broker,
        publisher: EventPublisher,
        (pacer, reach): (SendPacer, NewChatLimit),
    ) -> Self {
        let (permits, uploads) = (Semaphore::new(SENDS_AT_ONCE), Semaphore::new(FILES_AT_ONCE));
        let keys = idempotency::key_bucket(broker);
        let key_turns = Mutex::default();
        Self { sender, session, keys, key_turns, publisher, pacer, reach, permits, uploads }
    }

    #[must_use]
    pub fn session(&self) -> &SessionId {
        &self.session
    }

    /// What WhatsApp does not let the session do at the moment.
    #[must_use]
    pub fn restriction(&self) -> Option<ActiveRestriction> {
        self.reach.restrictions.current(clock::now()).map(|restriction| restriction.to_info())
    }

    /// Why nothing may be sent: its event could not be stored. None if NATS stores.
    #[must_use]
    pub fn storage_problem(&self) -> Option<CommandError> {
        self.publisher.storage_problem().map(|problem| problem.to_command_error())
    }

    /// Sends a message, once for its key; `id` is its id if it has no key. Takes as long as its turn and all its tries.
    pub async fn send(&self, outgoing: MessageToSend, id: Option<String>, class: SendPriority) -> SendOutcome {
        if let Some(error) = self.storage_problem() {
            return SendOutcome::NotTried(error);
        }
        let begun = Instant::now();
        let file = outgoing.attachment.as_ref().map(|attachment| attachment.file.clone());
        // Uploads wait first, so that no text waits behind them. The semaphore is never closed.
        let _upload = match file {
            Some(_) => self.uploads.acquire().await.ok(),
            None => None,
        };
        let outcome = self.send_idempotent(outgoing, id, class).await;
        if let (Some(file), SendOutcome::Done(done)) = (file, &outcome)
            && media::is_final(&done.answer)
        {
            self.sender.files.delete_file(&file).await;
        }
        if let SendOutcome::Done(done) = &outcome {
            self.publisher.metrics.count_send(done.answer.is_ok(), begun.elapsed());
        }
        outcome
    }

    /// Sends a message with a key once: a repeat gets the first answer. Two at the same moment take turns, so the second
    /// one finds the answer of the first.
    async fn send_idempotent(&self, outgoing: MessageToSend, id: Option<String>, class: SendPriority) -> SendOutcome {
        let Some(key) = outgoing.key.clone() else { return self.send_paced(outgoing, id, class).await };
        let turn = self.key_turns.lock().unwrap_or_else(PoisonError::into_inner).join(&key);
        let _turn = turn.wait().await;
        let (session, request) = (&self.session, outgoing.fingerprint.clone());
        let answer = match idempotency::claim_key(&self.keys, session, &key, &request).await {
            Ok(KeyUse::Open) => {
                let outcome = self.send_paced(outgoing, None, class).await;
                if let SendOutcome::Done(SendResult { answer: Ok(sent), .. }) = &outcome {
                    idempotency::store_answer(&self.keys, session, &key, request, sent).await;
                }
                return outcome;
            }
            Ok(KeyUse::Sent(sent)) => {
                // An earlier gateway may have ended before it published the event. If it did not, the event is stored once.
                let event = match class {
                    SendPriority::Job => self.sender.event_of_sent(&outgoing, &sent).await,
                    SendPriority::Direct => None,
                };
                return SendOutcome::Done(SendResult { answer: Ok(sent), event });
            }
            Ok(KeyUse::OfAnother) => {
                Err(CommandError::new(CommandErrorCode::Conflict, "This Idempotency-Key was used for another message"))
            }
            Err(error) => {
                tracing::warn!("failed to look up an idempotency key: {error}");
                match error {
                    KeyLookupError::Away(_) => {
                        let text = "NATS did not say what the Idempotency-Key was used for; nothing was sent";
                        return SendOutcome::NotTried(CommandError::new(CommandErrorCode::BrokerUnavailable, text));
                    }
                    // Another try could not read it either.
                    KeyLookupError::Unreadable(_) => Err(CommandError::new(
                        CommandErrorCode::Internal,
                        "What the Idempotency-Key was used for cannot be read",
                    )),
                }
            }
        };
        SendOutcome::Done(SendResult { answer, event: None })
    }

    async fn send_paced(&self, outgoing: MessageToSend, id: Option<String>, class: SendPriority) -> SendOutcome {
        // A message that refers to another one needs no turn and starts no chat.
        let is_message = outgoing.is_message();
        // Without a session the caller gets the error now.
        if is_message && self.sender.may_send() {
            if class == SendPriority::Direct && self.pacer.expected_wait() > LONGEST_WAIT {
                return SendOutcome::Deferred(Deferral { until: clock::now(), reason: WaitReason::Pacing });
            }
            if let Some(held) = self.reach.check_chat(&outgoing.to, clock::now()).await {
                return SendOutcome::Deferred(held);
            }
            self.pacer.wait_for_turn(class).await;
        }
        // The semaphore is never closed.
        let _permit = self.permits.acquire().await;
        let to = outgoing.to.clone();
        let outcome = self.sender.send(outgoing, id).await;
        if let SendOutcome::Done(SendResult { answer: Ok(_), .. }) = &outcome
            && is_message
        {
            self.reach.known.record(&to);
        }
        outcome
    }

    /// Records that the message of a key was sent, so that its job does not send it again.
    pub async fn record_sent(&self, key: &IdempotencyKey, request: String, sent: &SentMessage) {
        idempotency::store_answer(&self.keys, &self.session, key, request, sent).await;
    }

    /// How long a direct send takes at most: its turn and all its tries.
    #[must_use]
    pub fn longest_send(&self, outgoing: &MessageToSend) -> Duration {
        self.pacer.expected_wait().min(LONGEST_WAIT) + self.sender.longest_send(outgoing)
    }

    /// Publishes the event about a send.
    pub async fn publish_event(&self, event: &OutgoingEvent) {
        if let Err(error) = self.publisher.publish(event, Instant::now() + EVENT_WITHIN).await {
            tracing::error!(event.id = %event.id, "the event about a send was lost: {error}");
        }
    }
}
