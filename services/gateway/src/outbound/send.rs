//! A message to WhatsApp: one id however often it is tried, done when WhatsApp's server has acknowledged it.
//!
//! The recipient's app drops a repeat by its id, so trying again is safe where the old program reached people twice.

use super::{
    Held, Outcome,
    acks::{Answer, Waiting},
    content::Outgoing,
    media::{Files, NotUploaded, Upload},
    naming, own,
    reach::Restrictions,
    recipients::Recipients,
};
use crate::{
    config::Config,
    inbound::{Inbound, addresses, polls::is_poll},
    publish::OutgoingEvent,
    session::{Session, View, state::State},
};
use kurir_contract::{
    address::ChatJid,
    clock,
    command::{CommandError, CommandErrorCode, IdempotencyKey, SentMessage},
    event::{ErrorOccurred, EventId, EventType},
};
use std::{sync::Arc, time::Duration};
use time::OffsetDateTime;
use tokio::time::timeout;
use waproto::whatsapp::Message;
use whatsapp_rust::{Client, SendError, SendOptions, request::IqError};

/// Sends for one session.
pub struct Sender {
    pub files: Files,
    session: Session,
    inbound: Inbound,
    pub(crate) recipients: Recipients,
    restrictions: Restrictions,
    timeout: Duration,
    media_timeout: Duration,
    pauses: Vec<Duration>,
}

/// What a command has led to: its answer, and the event that tells of it.
pub struct Done {
    pub answer: Result<SentMessage, CommandError>,
    pub event: Option<OutgoingEvent>,
}

/// Why a try was not the one.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("Message send timeout after multiple attempts. Please check your connection.")]
    TimedOut,
    #[error("WhatsApp refused the message")]
    Refused { code: Option<u16> },
    /// Trying again would not help.
    #[error("{0} is not on WhatsApp")]
    NotOnWhatsapp(ChatJid),
    /// Nor here.
    #[error("WhatsApp is not connected")]
    Ended,
    /// Nor here.
    #[error("{}", NotUploaded::Gone)]
    FileGone,
    #[error("WhatsApp's client could not send the message: {0}")]
    Client(String),
}

impl Sender {
    #[must_use]
    pub fn new(session: Session, inbound: Inbound, files: Files, restrictions: Restrictions, config: &Config) -> Self {
        Self {
            files,
            session,
            inbound,
            recipients: Recipients::default(),
            restrictions,
            timeout: config.whatsapp_send_timeout,
            media_timeout: config.whatsapp_media_timeout,
            pauses: config.whatsapp_send_pauses.clone(),
        }
    }

    /// The client, once it is connected; none if waiting would not help.
    pub(crate) async fn client(&self) -> Option<Arc<Client>> {
        if is_lost(&self.session.view.borrow()) {
            return None;
        }
        self.connected().await.ok()
    }

    /// How long WhatsApp has for one answer.
    pub(crate) fn patience(&self) -> Duration {
        self.timeout
    }

    /// Whether there is a session to send from, connected or about to be.
    #[must_use]
    pub fn may_send(&self) -> bool {
        !is_lost(&self.session.view.borrow())
    }

    #[must_use]
    pub fn is_connected(&self) -> bool {
        is_connected(&self.session.view.borrow())
    }

    /// Waits until the session is connected, or does not try to be.
    pub async fn settled(&self) {
        let mut view = self.session.view.clone();
        // Its sender ends with the process.
        let _ = view.wait_for(|view| is_lost(view) || is_connected(view)).await;
    }

    /// Sends a message; takes as long as all its tries.
    pub async fn send(&self, outgoing: Outgoing) -> Outcome {
        if is_lost(&self.session.view.borrow()) {
            let answer = Err(refusal(CommandErrorCode::NotConnected, &Failure::Ended.to_string()));
            return Outcome::Done(Done { answer, event: None });
        }
        let session = &self.session.id;
        let of_key = |key: &IdempotencyKey| key.message_id(session);
        let id = outgoing.key.as_ref().map_or_else(new_message_id, of_key);
        let mut answers = self.session.acks.wait_for(&id);
        let mut upload = outgoing.attachment.as_ref().map(|attachment| self.files.upload(attachment));
        let mut attempt = 1;
        let mut pauses = self.pauses.iter();
        let result = loop {
            let failure = match self.try_once(&outgoing, upload.as_mut(), &id, &mut answers).await {
                Ok(at) => break Ok(at),
                Err(failure) => failure,
            };
            if let Some(held) = self.restricted(&failure).await {
                return Outcome::Held(held);
            }
            tracing::debug!(attempt.number = attempt, "a send failed: {failure}");
            let Some(pause) = pauses.next().filter(|_| failure.may_pass()) else { break Err(failure) };
            if let Ok(Answer::Taken { at }) = timeout(*pause, answers.next()).await {
                break Ok(at);
            }
            attempt += 1;
        };
        Outcome::Done(match result {
            Ok(at) => self.sent(&outgoing, id, attempt, at).await,
            Err(failure) => self.failed(&outgoing.to, attempt, &failure),
        })
    }

    /// Until when WhatsApp takes no such message, if that is why it refused this one.
    async fn restricted(&self, failure: &Failure) -> Option<Held> {
        let Failure::Refused { code } = failure else { return None };
        let client = self.session.view.borrow().client.clone()?;
        let restriction = self.restrictions.nacked(&client, *code).await?;
        Some(Held { until: restriction.until, reason: restriction.reason() })
    }

    async fn try_once(
        &self,
        outgoing: &Outgoing,
        upload: Option<&mut Upload<'_>>,
        id: &str,
        answers: &mut Waiting,
    ) -> Result<OffsetDateTime, Failure> {
        let Outgoing { to, jid, .. } = outgoing;
        if let Some(at) = answers.taken_meanwhile() {
            return Ok(at);
        }
        let within = if upload.is_some() { self.media_timeout } else { self.timeout };
        let tried = async {
            let client = self.connected().await?;
            let exists = self.recipients.exists(&client, to, jid).await;
            if !exists.map_err(|error| Failure::Client(format!("{error:#}")))? {
                return Err(Failure::NotOnWhatsapp(to.clone()));
            }
            let ready = self.made_ready(&client, outgoing, id).await;
            let mut message = ready.map_err(|error| Failure::Client(format!("{error:#}")))?;
            if let Some(upload) = upload {
                upload.complete(&client, &mut message).await?;
            }
            let options = SendOptions::default().with_message_id(id);
            client.send_message_with_options(jid, message, options).await.map_err(Failure::of)?;
            match answers.next().await {
                Answer::Taken { at } => Ok(at),
                Answer::Refused { code } => Err(Failure::Refused { code }),
            }
        };
        timeout(within, tried).await.unwrap_or(Err(Failure::TimedOut))
    }

    /// The message with what only the client knows. The same at every try.
    async fn made_ready(&self, client: &Client, outgoing: &Outgoing, id: &str) -> anyhow::Result<Message> {
        let mut message = outgoing.message.clone();
        naming::rename_writer(client, &outgoing.jid, &mut message).await?;
        if is_poll(&message) {
            // Before it goes out: a vote may be faster than the answer.
            let chat = addresses::resolve_one(client, &outgoing.jid).await.jid;
            self.inbound.polls.remember(&chat, id, &message);
            // One that goes out again under the id of its key has the secret of the first, which may have arrived.
            if let Some(poll) = self.inbound.polls.get(&chat, id) {
                poll.seal(&mut message);
            }
        }
        Ok(message)
    }

    /// Waits for the connection; a try includes it.
    async fn connected(&self) -> Result<Arc<Client>, Failure> {
        let mut view = self.session.view.clone();
        let view = view.wait_for(|view| is_lost(view) || is_connected(view)).await.map_err(|_| Failure::Ended)?;
        view.client.clone().filter(|_| is_connected(&view)).ok_or(Failure::Ended)
    }

    async fn sent(&self, outgoing: &Outgoing, id: String, attempt: u32, at: OffsetDateTime) -> Done {
        let View { own, client, .. } = self.session.view.borrow().clone();
        let directory = own::directory(client.as_deref(), own.as_ref(), outgoing).await;
        let to = directory.address(&outgoing.jid);
        tracing::debug!(attempt.number = attempt, chat = to.redacted(), "WhatsApp took a message");
        let event = own::told(&self.inbound, &directory, outgoing, (&id, at));
        Done { answer: Ok(SentMessage { message_id: id, to, attempt }), event }
    }

    fn failed(&self, to: &ChatJid, attempts: u32, failure: &Failure) -> Done {
        let answer = Err(failure.refusal());
        if let Failure::NotOnWhatsapp(_) | Failure::FileGone = failure {
            return Done { answer, event: None };
        }
        tracing::warn!(session.id = %self.session.id, chat = to.redacted(), attempt.number = attempts, "a message was not sent: {failure}");
        let at = OffsetDateTime::now_utc();
        let data = ErrorOccurred {
            error_type: ErrorOccurred::SEND_FAILED.to_owned(),
            error_message: failure.to_string(),
            context: serde_json::json!({"jid": to, "attempts": attempts}),
            timestamp: clock::iso(at),
        };
        let event = OutgoingEvent::new(&self.session.id, EventType::ERROR_OCCURRED, EventId::random(), at, data);
        Done { answer, event: Some(event) }
    }
}

impl Failure {
    fn of(error: SendError) -> Self {
        match error {
            SendError::Iq(IqError::ServerError { code, .. }) => Self::Refused { code: Some(code) },
            error => Self::Client(error.to_string()),
        }
    }

    /// Whether another try could go better.
    fn may_pass(&self) -> bool {
        match self {
            Self::TimedOut | Self::Refused { .. } | Self::Client(_) => true,
            Self::NotOnWhatsapp(_) | Self::Ended | Self::FileGone => false,
        }
    }

    fn refusal(&self) -> CommandError {
        let (code, whatsapp_code) = match self {
            Self::TimedOut => (CommandErrorCode::TimedOut, None),
            Self::Refused { code } => (CommandErrorCode::RefusedByWhatsapp, *code),
            Self::NotOnWhatsapp(_) => (CommandErrorCode::NotOnWhatsapp, None),
            Self::Ended => (CommandErrorCode::NotConnected, None),
            Self::FileGone => (CommandErrorCode::InvalidRequest, None),
            Self::Client(_) => (CommandErrorCode::Internal, None),
        };
        CommandError { whatsapp_code, ..refusal(code, &self.to_string()) }
    }
}

impl From<NotUploaded> for Failure {
    fn from(not_uploaded: NotUploaded) -> Self {
        match not_uploaded {
            NotUploaded::Gone => Self::FileGone,
            other @ (NotUploaded::Unread(_) | NotUploaded::NotWritten(_) | NotUploaded::NotTaken(_)) => {
                Self::Client(other.to_string())
            }
        }
    }
}

fn refusal(code: CommandErrorCode, message: &str) -> CommandError {
    CommandError { code, message: message.to_owned(), whatsapp_code: None }
}

fn is_connected(view: &View) -> bool {
    view.state == State::Connected && view.client.is_some()
}

/// Never paired, or at an end: no waiting would help.
fn is_lost(view: &View) -> bool {
    match view.state {
        State::Ended(_) | State::Pairing { .. } => true,
        // Before the first life nobody knows whether there are keys.
        State::Connecting => view.client.is_some() && view.own.is_none(),
        State::Connected | State::Reconnecting { .. } | State::WaitingForBroker => false,
    }
}

/// In the form of WhatsApp Web's own ids, which is the client's, too.
fn new_message_id() -> String {
    use std::fmt::Write as _;
    rand::random::<[u8; 9]>().iter().fold("3EB0".to_owned(), |mut id, byte| {
        // Writing to a String cannot fail.
        let _ = write!(id, "{byte:02X}");
        id
    })
}
