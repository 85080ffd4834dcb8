//! Every NATS subject of Kurir, built and parsed here and spelled nowhere else.
//!
//! | subject | who writes it |
//! |---|---|
//! | `whatsapp.events.<session>.<event type>` | gateway, api |
//! | `whatsapp.commands.<session>.<command>` | api (request/reply) |
//! | `whatsapp.retries.waiting.<endpoint>.<chat>.<run>.<sequence>` | dispatcher: a scheduled message |
//! | `whatsapp.retries.due.<endpoint>.<chat>.<run>.<sequence>` | NATS, when it fires |
//! | `whatsapp.retries.parked.<endpoint>.<chat>.live.<sequence>` | dispatcher: waits for its turn in its chat |
//! | `whatsapp.outbox.waiting.<session>.<job>` | gateway: a scheduled message |
//! | `whatsapp.outbox.due.<session>.<job>` | gateway, or NATS when the schedule fires |
//! | `whatsapp.deliveries.<endpoint>` | dispatcher: batches of attempts |
//! | `whatsapp.dead-letters.<endpoint>.<event id>` | dispatcher |
//! | `whatsapp.webhooks.<command>` | api (request/reply) |
//! | `kurir.services.<service>.ping` | api (request/reply) |

use crate::{
    address::ChatJid,
    command::Command,
    endpoint::EndpointId,
    event::{EventId, EventType},
    job::JobId,
    service::ServiceName,
    session::SessionId,
    webhook::WebhookCommand,
};

/// All events of all sessions.
pub const ALL_EVENTS: &str = "whatsapp.events.>";
/// All that RETRIES holds.
pub const ALL_RETRIES: &str = "whatsapp.retries.>";
/// All that OUTBOX holds.
pub const ALL_OUTBOX: &str = "whatsapp.outbox.>";
/// All that DELIVERIES holds.
pub const ALL_DELIVERIES: &str = "whatsapp.deliveries.>";
/// All that DEAD_LETTERS holds.
pub const ALL_DEAD_LETTERS: &str = "whatsapp.dead-letters.>";

const EVENTS: &str = "whatsapp.events.";

#[must_use]
pub fn event(session: &SessionId, kind: &EventType) -> String {
    format!("{EVENTS}{session}.{kind}")
}

/// Filter of the events of a session (none: of all) whose type has this tail; the tail may end with `>`.
#[must_use]
pub fn events_of(session: Option<&SessionId>, tail: &str) -> String {
    format!("{EVENTS}{}.{tail}", session.map_or("*", SessionId::as_str))
}

/// Where the test of one endpoint is published: every endpoint hears it whatever types it wants.
#[must_use]
pub fn test_of_endpoint(endpoint: &EndpointId) -> String {
    format!("{EVENTS}{}.test.{endpoint}", SessionId::DEFAULT)
}

/// Whether a filter (`*` for one token, `>` for the rest) holds a subject.
#[must_use]
pub fn holds(filter: &str, subject: &str) -> bool {
    let mut tokens = subject.split('.');
    for wanted in filter.split('.') {
        match (wanted, tokens.next()) {
            (">", Some(_)) => return true,
            ("*", Some(_)) => {}
            (wanted, Some(token)) if wanted == token => {}
            _ => return false,
        }
    }
    tokens.next().is_none()
}

/// The inverse of [`event`].
#[must_use]
pub fn parse_event(subject: &str) -> Option<(SessionId, EventType)> {
    let (session, kind) = subject.strip_prefix(EVENTS)?.split_once('.')?;
    Some((session.parse().ok()?, kind.parse().ok()?))
}

#[must_use]
pub fn command(session: &SessionId, command: Command) -> String {
    format!("whatsapp.commands.{session}.{command}")
}

/// What a gateway subscribes to for one session.
#[must_use]
pub fn all_commands(session: &SessionId) -> String {
    format!("whatsapp.commands.{session}.*")
}

/// The command that a subject of [`command`] names.
#[must_use]
pub fn parse_command(subject: &str) -> Option<Command> {
    subject.strip_prefix("whatsapp.commands.")?.split_once('.')?.1.parse().ok()
}

/// Which delivery a retry belongs to. A step repeated after a crash replaces itself and nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetrySubject<'a> {
    pub endpoint: &'a EndpointId,
    /// Hash of the chat, or `-`: lets an ordered endpoint see that a chat waits.
    pub chat: &'a str,
    /// `live`, or the id of a replay.
    pub run: &'a str,
    /// Of the event in EVENTS.
    pub sequence: u64,
}

impl RetrySubject<'_> {
    /// Where the schedule rests.
    #[must_use]
    pub fn waiting(&self) -> String {
        self.subject("waiting")
    }

    /// Where NATS puts it when its time has come.
    #[must_use]
    pub fn due(&self) -> String {
        self.subject("due")
    }

    /// Where it rests while an earlier event of its chat is not settled.
    #[must_use]
    pub fn parked(&self) -> String {
        self.subject("parked")
    }

    fn subject(&self, state: &str) -> String {
        format!("whatsapp.retries.{state}.{}.{}.{}.{}", self.endpoint, self.chat, self.run, self.sequence)
    }
}

/// Filter of one endpoint's consumer on RETRIES.
#[must_use]
pub fn due_retries(endpoint: &EndpointId) -> String {
    format!("whatsapp.retries.due.{endpoint}.>")
}

/// All that is parked in RETRIES.
pub const ALL_PARKED_RETRIES: &str = "whatsapp.retries.parked.>";

/// All that an endpoint with `ordering: "chat"` has parked in RETRIES.
#[must_use]
pub fn parked_retries(endpoint: &EndpointId) -> String {
    format!("whatsapp.retries.parked.{endpoint}.>")
}

/// The live retries of an endpoint (not those of replays) that are `waiting`, or `due`.
#[must_use]
pub fn live_retries(state: &str, endpoint: &EndpointId) -> String {
    format!("whatsapp.retries.{state}.{endpoint}.*.live.*")
}

/// All that RETRIES holds of one endpoint.
#[must_use]
pub fn retries_of(endpoint: &EndpointId) -> String {
    format!("whatsapp.retries.*.{endpoint}.>")
}

/// All that RETRIES holds of one replay.
#[must_use]
pub fn retries_of_run(endpoint: &EndpointId, run: &str) -> String {
    format!("whatsapp.retries.*.{endpoint}.*.{run}.*")
}

/// What of it is to be delivered now, or is in delivery.
#[must_use]
pub fn due_retries_of_run(endpoint: &EndpointId, run: &str) -> String {
    format!("whatsapp.retries.due.{endpoint}.*.{run}.*")
}

/// What a subject of [`RetrySubject`] says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParsedRetrySubject<'a> {
    /// `waiting`, `due` or `parked`.
    pub state: &'a str,
    pub chat: &'a str,
    pub run: &'a str,
    pub sequence: u64,
}

/// The inverse of [`Retry::waiting`] and its like.
#[must_use]
pub fn parse_retry(subject: &str) -> Option<ParsedRetrySubject<'_>> {
    let mut tokens = subject.strip_prefix("whatsapp.retries.")?.split('.');
    let (state, _endpoint, chat, run) = (tokens.next()?, tokens.next()?, tokens.next()?, tokens.next()?);
    Some(ParsedRetrySubject { state, chat, run, sequence: tokens.next()?.parse().ok()? })
}

/// Whose a subject of [`RetrySubject`] is.
#[must_use]
pub fn endpoint_of_retry(subject: &str) -> Option<EndpointId> {
    subject.strip_prefix("whatsapp.retries.")?.split('.').nth(1)?.parse().ok()
}

/// Where a job rests until its time has come.
#[must_use]
pub fn waiting_job(session: &SessionId, job: &JobId) -> String {
    format!("whatsapp.outbox.waiting.{session}.{job}")
}

/// Where a job is whose time has come.
#[must_use]
pub fn due_job(session: &SessionId, job: &JobId) -> String {
    format!("whatsapp.outbox.due.{session}.{job}")
}

/// Filter of a session's consumer on OUTBOX.
#[must_use]
pub fn due_jobs(session: &SessionId) -> String {
    format!("whatsapp.outbox.due.{session}.*")
}

/// The key of a chat that a session knows, in a bucket: no address stands in it.
#[must_use]
pub fn known_chat(session: &SessionId, chat: &ChatJid) -> String {
    use crate::command::idempotency::hash;
    format!("{session}.{}", hex::encode(&hash(&[chat.as_str()])[..16]))
}

/// Where the dispatchers are asked; any one answers.
#[must_use]
pub fn webhooks(command: WebhookCommand) -> String {
    format!("whatsapp.webhooks.{command}")
}

/// What a dispatcher subscribes to.
pub const ALL_WEBHOOK_COMMANDS: &str = "whatsapp.webhooks.*";

/// The command that a subject of [`webhooks`] names.
#[must_use]
pub fn parse_webhooks(subject: &str) -> Option<WebhookCommand> {
    subject.strip_prefix("whatsapp.webhooks.")?.parse().ok()
}

/// All dead letters of one endpoint.
#[must_use]
pub fn dead_letters(endpoint: &EndpointId) -> String {
    format!("whatsapp.dead-letters.{endpoint}.*")
}

#[must_use]
pub fn deliveries(endpoint: &EndpointId) -> String {
    format!("whatsapp.deliveries.{endpoint}")
}

#[must_use]
pub fn dead_letter(endpoint: &EndpointId, event: &EventId) -> String {
    // An id may come from a foreign publisher's header: what a subject cannot hold is replaced.
    let token: String =
        event.as_str().chars().map(|c| if c.is_ascii_alphanumeric() || "_-".contains(c) { c } else { '_' }).collect();
    format!("whatsapp.dead-letters.{endpoint}.{token}")
}

/// Every running instance of a service answers here.
#[must_use]
pub fn service_ping(service: ServiceName) -> String {
    format!("kurir.services.{service}.ping")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_subject_is_read_back_as_it_was_built() {
        let session = SessionId::default();
        let subject = event(&session, &EventType::MESSAGE_RECEIVED);
        assert_eq!(subject, "whatsapp.events.default.message.received");
        assert_eq!(parse_event(&subject), Some((session, EventType::MESSAGE_RECEIVED)));
        assert_eq!(parse_event("whatsapp.events.default"), None);
    }

    #[test]
    fn a_command_subject_is_read_back_as_it_was_built() {
        for &one in Command::ALL {
            assert_eq!(parse_command(&command(&SessionId::default(), one)), Some(one));
        }
        assert_eq!(parse_command("whatsapp.commands.default.dance"), None);
    }

    #[test]
    fn a_webhook_command_is_read_back_as_it_was_built() {
        for one in WebhookCommand::ALL {
            assert_eq!(parse_webhooks(&webhooks(one)), Some(one));
        }
    }

    #[test]
    fn a_retry_names_its_event() {
        let endpoint = EndpointId::default();
        let retry = RetrySubject { endpoint: &endpoint, chat: "-", run: "live", sequence: 7 };
        assert_eq!(retry.waiting(), "whatsapp.retries.waiting.default.-.live.7");
        let parsed = ParsedRetrySubject { state: "due", chat: "-", run: "live", sequence: 7 };
        assert_eq!(parse_retry(&retry.due()), Some(parsed));
        assert_eq!(parse_retry("whatsapp.retries.due.default.-.live.x"), None);
        assert_eq!(endpoint_of_retry(&retry.parked()), Some(endpoint.clone()));
    }

    #[test]
    fn a_foreign_event_id_cannot_break_a_subject() {
        let id = EventId::from_header("a b.>*");
        assert_eq!(dead_letter(&EndpointId::default(), &id), "whatsapp.dead-letters.default.a_b___");
    }
}
