//! Every NATS subject of Kurir. Other modules build and parse subjects with these functions only.
//!
//! | subject | publisher |
//! |---|---|
//! | `whatsapp.events.<session>.<event type>` | gateway, api |
//! | `whatsapp.commands.<session>.<command>` | api (request/reply) |
//! | `whatsapp.retries.waiting.<endpoint>.<chat>.<run>.<sequence>` | dispatcher: a scheduled message |
//! | `whatsapp.retries.due.<endpoint>.<chat>.<run>.<sequence>` | NATS, when the schedule fires |
//! | `whatsapp.retries.parked.<endpoint>.<chat>.live.<sequence>` | dispatcher: a retry that waits for an earlier event of its chat |
//! | `whatsapp.outbox.waiting.<session>.<job>` | gateway: a scheduled message |
//! | `whatsapp.outbox.due.<session>.<job>` | gateway, or NATS when the schedule fires |
//! | `whatsapp.deliveries.<endpoint>` | dispatcher: batches of attempt records |
//! | `whatsapp.dead-letters.<endpoint>.<event id>` | dispatcher |
//! | `kurir.audit.<key>` | api |
//! | `whatsapp.webhooks.<command>` | api (request/reply) |
//! | `kurir.services.<service>.ping` | api (request/reply) |
//! | `kurir.services.gateway.export` | api (request/reply): the gateway with the session's keys answers |
//! | `whatsapp.session-changes.<session>` | gateway, with `SESSION_STORE=nats`: each change of the session's keys, sealed |
//! | `kurir.sessions.changed` | api: gateways read the records of the sessions |
//! | `kurir.services.<service>.joined` | a process of the service, when it has started |

use crate::{
    address::ChatJid,
    command::Command,
    endpoint_id::EndpointId,
    event::{EventId, EventType},
    job_id::JobId,
    service::ServiceName,
    session::SessionId,
    webhook::WebhookCommand,
};

/// All events of all sessions.
pub const ALL_EVENTS: &str = "whatsapp.events.>";
/// All messages of RETRIES.
pub const ALL_RETRIES: &str = "whatsapp.retries.>";
/// All messages of OUTBOX.
pub const ALL_OUTBOX: &str = "whatsapp.outbox.>";
/// All messages of DELIVERIES.
pub const ALL_DELIVERIES: &str = "whatsapp.deliveries.>";
/// All messages of DEAD_LETTERS.
pub const ALL_DEAD_LETTERS: &str = "whatsapp.dead-letters.>";

/// All changes of sessions' keys.
pub const ALL_SESSION_CHANGES: &str = "whatsapp.session-changes.>";

/// All messages of AUDIT.
pub const ALL_AUDIT: &str = "kurir.audit.>";

/// Published after a change of a session's record. The bucket is what counts: nobody needs this message.
pub const SESSIONS_CHANGED: &str = "kurir.sessions.changed";

/// Asks for the keys of a stopped session: [`ExportKeys`](crate::command::ExportKeys), which every gateway gets.
pub const EXPORT_KEYS: &str = "kurir.services.gateway.export";

/// Where the changes of a session's keys are.
#[must_use]
pub fn session_changes(session: &SessionId) -> String {
    format!("whatsapp.session-changes.{session}")
}

const EVENTS: &str = "whatsapp.events.";

/// Where an event is published.
#[must_use]
pub fn event(session: &SessionId, event_type: &EventType) -> String {
    format!("{EVENTS}{session}.{event_type}")
}

/// The filter of a session's events (none: of all sessions) whose type has this tail; the tail may end with `>`.
#[must_use]
pub fn events_of(session: Option<&SessionId>, tail: &str) -> String {
    format!("{EVENTS}{}.{tail}", session.map_or("*", SessionId::as_str))
}

/// Where the test of one endpoint is published. Every endpoint's consumer receives its own tests, whatever types it filters.
#[must_use]
pub fn test_of_endpoint(endpoint: &EndpointId) -> String {
    format!("{EVENTS}{}.test.{endpoint}", SessionId::DEFAULT)
}

/// Whether a filter (`*` for one token, `>` for the rest) matches a subject.
#[must_use]
pub fn filter_matches(filter: &str, subject: &str) -> bool {
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
    let (session, event_type) = subject.strip_prefix(EVENTS)?.split_once('.')?;
    Some((session.parse().ok()?, event_type.parse().ok()?))
}

/// Where a command to a session is sent.
#[must_use]
pub fn command(session: &SessionId, command: Command) -> String {
    format!("whatsapp.commands.{session}.{command}")
}

/// Whether a message comes from a caller that waits for its answer at `reply`. What a stream delivers does not: a user who may
/// read a stream may have its messages delivered to any subject, commands included.
#[must_use]
pub fn is_request(reply: Option<&str>) -> bool {
    reply.is_some_and(|reply| !reply.starts_with("$JS."))
}

/// Whether callers may listen for answers under this prefix: `_INBOX`, or that of a user, `_INBOX_<user>`.
#[must_use]
pub fn is_inbox_prefix(prefix: &str) -> bool {
    let is_name =
        |name: &str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b));
    prefix == "_INBOX" || prefix.strip_prefix("_INBOX_").is_some_and(is_name)
}

/// The filter of all commands to a session: its gateway subscribes to it.
#[must_use]
pub fn all_commands(session: &SessionId) -> String {
    format!("whatsapp.commands.{session}.*")
}

/// The inverse of [`command`], without the session.
#[must_use]
pub fn parse_command(subject: &str) -> Option<Command> {
    subject.strip_prefix("whatsapp.commands.")?.split_once('.')?.1.parse().ok()
}

/// The delivery to which a retry belongs. A step that is repeated after a crash replaces only itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetrySubject<'a> {
    pub endpoint: &'a EndpointId,
    /// The hash of the chat, or `-`. It shows an endpoint with order by chat that a chat waits.
    pub chat: &'a str,
    /// `live`, or the id of a replay.
    pub run: &'a str,
    /// The event's sequence in EVENTS.
    pub sequence: u64,
}

impl RetrySubject<'_> {
    /// Where the scheduled message is until it fires.
    #[must_use]
    pub fn waiting(&self) -> String {
        self.subject("waiting")
    }

    /// Where NATS publishes it when it fires.
    #[must_use]
    pub fn due(&self) -> String {
        self.subject("due")
    }

    /// Where it is while an earlier event of its chat is not settled.
    #[must_use]
    pub fn parked(&self) -> String {
        self.subject("parked")
    }

    fn subject(&self, state: &str) -> String {
        format!("whatsapp.retries.{state}.{}.{}.{}.{}", self.endpoint, self.chat, self.run, self.sequence)
    }
}

/// The filter of one endpoint's consumer on RETRIES.
#[must_use]
pub fn due_retries(endpoint: &EndpointId) -> String {
    format!("whatsapp.retries.due.{endpoint}.>")
}

/// All parked retries.
pub const ALL_PARKED_RETRIES: &str = "whatsapp.retries.parked.>";

/// All parked retries of an endpoint with `ordering: "chat"`.
#[must_use]
pub fn parked_retries(endpoint: &EndpointId) -> String {
    format!("whatsapp.retries.parked.{endpoint}.>")
}

/// The live retries of an endpoint, not those of replays, in a state: `waiting` or `due`.
#[must_use]
pub fn live_retries(state: &str, endpoint: &EndpointId) -> String {
    format!("whatsapp.retries.{state}.{endpoint}.*.live.*")
}

/// All messages in RETRIES of one endpoint.
#[must_use]
pub fn retries_of(endpoint: &EndpointId) -> String {
    format!("whatsapp.retries.*.{endpoint}.>")
}

/// All messages in RETRIES of one replay.
#[must_use]
pub fn retries_of_run(endpoint: &EndpointId, run: &str) -> String {
    format!("whatsapp.retries.*.{endpoint}.*.{run}.*")
}

/// The messages of one replay that are due or in delivery.
#[must_use]
pub fn due_retries_of_run(endpoint: &EndpointId, run: &str) -> String {
    format!("whatsapp.retries.due.{endpoint}.*.{run}.*")
}

/// The parts of a subject that [`RetrySubject`] makes, without the endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParsedRetrySubject<'a> {
    /// `waiting`, `due` or `parked`.
    pub state: &'a str,
    pub chat: &'a str,
    pub run: &'a str,
    pub sequence: u64,
}

/// The inverse of [`RetrySubject::waiting`], [`RetrySubject::due`] and [`RetrySubject::parked`].
#[must_use]
pub fn parse_retry(subject: &str) -> Option<ParsedRetrySubject<'_>> {
    let mut tokens = subject.strip_prefix("whatsapp.retries.")?.split('.');
    let (state, _endpoint, chat, run) = (tokens.next()?, tokens.next()?, tokens.next()?, tokens.next()?);
    Some(ParsedRetrySubject { state, chat, run, sequence: tokens.next()?.parse().ok()? })
}

/// The endpoint in a subject that [`RetrySubject`] makes.
#[must_use]
pub fn endpoint_of_retry(subject: &str) -> Option<EndpointId> {
    subject.strip_prefix("whatsapp.retries.")?.split('.').nth(1)?.parse().ok()
}

/// Where a job is until its time.
#[must_use]
pub fn waiting_job(session: &SessionId, job: &JobId) -> String {
    format!("whatsapp.outbox.waiting.{session}.{job}")
}

/// Where a job is that may be sent now.
#[must_use]
pub fn due_job(session: &SessionId, job: &JobId) -> String {
    format!("whatsapp.outbox.due.{session}.{job}")
}

/// All jobs of a session in OUTBOX: those that wait and those that are due.
#[must_use]
pub fn jobs_of(session: &SessionId) -> [String; 2] {
    [format!("whatsapp.outbox.waiting.{session}.*"), format!("whatsapp.outbox.due.{session}.*")]
}

/// The filter of a session's consumer on OUTBOX.
#[must_use]
pub fn due_jobs(session: &SessionId) -> String {
    format!("whatsapp.outbox.due.{session}.*")
}

/// The key of a known chat in its bucket: a hash, so that the bucket has no address.
#[must_use]
pub fn known_chat(session: &SessionId, chat: &ChatJid) -> String {
    use crate::command::idempotency::hash;
    format!("{session}.{}", hex::encode(&hash(&[chat.as_str()])[..16]))
}

/// Where a request to the dispatchers is sent. One of them answers.
#[must_use]
pub fn webhook_command(command: WebhookCommand) -> String {
    format!("whatsapp.webhooks.{command}")
}

/// The filter of all requests to the dispatchers.
pub const ALL_WEBHOOK_COMMANDS: &str = "whatsapp.webhooks.*";

/// The inverse of [`webhook_command`].
#[must_use]
pub fn parse_webhook_command(subject: &str) -> Option<WebhookCommand> {
    subject.strip_prefix("whatsapp.webhooks.")?.parse().ok()
}

/// All dead letters of one endpoint.
#[must_use]
pub fn dead_letters(endpoint: &EndpointId) -> String {
    format!("whatsapp.dead-letters.{endpoint}.*")
}

/// Where the attempt records of an endpoint are published.
#[must_use]
pub fn deliveries(endpoint: &EndpointId) -> String {
    format!("whatsapp.deliveries.{endpoint}")
}

/// Where the dead letter of an event is published.
#[must_use]
pub fn dead_letter(endpoint: &EndpointId, event: &EventId) -> String {
    format!("whatsapp.dead-letters.{endpoint}.{}", event_token(event))
}

/// Another program may have chosen the id: characters that no subject can have are replaced.
fn event_token(event: &EventId) -> String {
    event.as_str().chars().map(|c| if c.is_ascii_alphanumeric() || "_-".contains(c) { c } else { '_' }).collect()
}

/// The retries of one event at all endpoints, of its live delivery and of all replays.
#[must_use]
pub fn retries_of_event(sequence: u64) -> String {
    format!("whatsapp.retries.*.*.*.*.{sequence}")
}

/// Where the audit log of a key is published. Ids of keys are letters, digits, `_` and `-`.
#[must_use]
pub fn audit(key_id: &str) -> String {
    format!("kurir.audit.{key_id}")
}

/// The dead letter of an event at any endpoint.
#[must_use]
pub fn dead_letters_of_event(event: &EventId) -> String {
    format!("whatsapp.dead-letters.*.{}", event_token(event))
}

/// Where the instances of a service are pinged. Every one of them answers.
#[must_use]
pub fn service_ping(service: ServiceName) -> String {
    format!("kurir.services.{service}.ping")
}

/// Where an instance of a service announces itself, so that the others count it at once.
#[must_use]
pub fn service_joined(service: ServiceName) -> String {
    format!("kurir.services.{service}.joined")
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
            assert_eq!(parse_webhook_command(&webhook_command(one)), Some(one));
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
