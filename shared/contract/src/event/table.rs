//! The table of events: every event that Kurir itself publishes, in the order of the documents.
//!
//! A row has the constant of [`EventType`], the name on the wire, the type of `data`, and one sentence that says when the
//! event is published. The constants, the JSON Schemas, `docs/asyncapi.yaml` and `docs/events.md` come from these rows.

use super::{
    CallEvent, ChatUpdated, ConnectionStatus, ContactUpdated, EndpointEvent, ErrorOccurred, EventType,
    GroupParticipants, GroupUpdated, HistorySync, IdentityChanged, JobEvent, MediaDownloaded, MessageAck,
    MessageEdited, MessageQueued, MessageReaction, MessageReceived, MessageRevoked, MessageSent, MessageUndecryptable,
    PhoneOffline, PhoneOnline, PollVote, PresenceUpdated, SessionChanged, SessionEnded, SessionPasskey,
    SessionRestricted, SessionSilent,
};

macro_rules! event_table {
    ($($constant:ident = $name:literal, $data:ty, $description:literal;)+) => {
        impl EventType {
            $(#[doc = $description] pub const $constant: Self = Self::from_static($name);)+

            /// The types of all events that Kurir itself publishes.
            pub const ALL: [Self; [$($name),+].len()] = [$(Self::$constant),+];
        }

        /// The row of each event, with the JSON Schema of its body.
        #[cfg(feature = "schema")]
        #[must_use]
        pub fn event_schemas() -> Vec<super::schema::EventSchema> {
            vec![$(super::schema::EventSchema::new::<$data>(EventType::$constant, $description)),+]
        }

        /// Names each row's type, which only the schemas use.
        #[cfg(not(feature = "schema"))]
        const _: [fn($($data),+); 0] = [];
    };
}

event_table! {
    MESSAGE_RECEIVED = "message.received", MessageReceived,
        "Somebody wrote to this account.";
    MESSAGE_SENT = "message.sent", MessageSent,
        "This account wrote: through Kurir, or on the phone or another device.";
    MEDIA_DOWNLOADED = "media.downloaded", MediaDownloaded,
        "The file of an earlier message was downloaded after all.";
    MESSAGE_QUEUED = "message.queued", MessageQueued,
        "A message of this account cannot be sent yet and waits.";
    MESSAGE_ACK = "message.ack", MessageAck,
        "A message of this account reached WhatsApp or a recipient, or was read or played.";
    MESSAGE_REACTION = "message.reaction", MessageReaction,
        "Somebody reacted to a message, or removed their reaction.";
    MESSAGE_EDITED = "message.edited", MessageEdited,
        "The writer changed a message.";
    MESSAGE_REVOKED = "message.revoked", MessageRevoked,
        "A message was deleted for everyone.";
    MESSAGE_UNDECRYPTABLE = "message.undecryptable", MessageUndecryptable,
        "A message arrived that this device cannot read, and no readable copy came in time.";
    POLL_VOTE = "poll.vote", PollVote,
        "Somebody voted in a poll; a later vote replaces an earlier one.";
    JOB_PROGRESS = "job.progress", JobEvent,
        "Another tenth of a job's messages is done; published at most once a second.";
    JOB_DONE = "job.done", JobEvent,
        "Each message of a job was sent or given up.";
    JOB_CANCELLED = "job.cancelled", JobEvent,
        "A job was cancelled; messages that were sent by then stay sent.";
    JOB_FAILED = "job.failed", JobEvent,
        "A job was given up; `reason` says why.";
    CHAT_UPDATED = "chat.updated", ChatUpdated,
        "Somebody changed a setting of a direct chat: when its messages disappear.";
    GROUP_UPDATED = "group.updated", GroupUpdated,
        "Somebody changed a group's name, picture, description or settings.";
    GROUP_PARTICIPANTS = "group.participants", GroupParticipants,
        "Members joined, left, or got other rights.";
    CALL_RECEIVED = "call.received", CallEvent,
        "A call is ringing.";
    CALL_MISSED = "call.missed", CallEvent,
        "Nobody answered a call.";
    CALL_ENDED = "call.ended", CallEvent,
        "A call was answered or declined on another device, or ended with a reason.";
    PRESENCE_UPDATED = "presence.updated", PresenceUpdated,
        "Somebody came online, went offline, started or stopped typing or recording.";
    CONTACT_UPDATED = "contact.updated", ContactUpdated,
        "A contact's picture, text, number or name changed.";
    CONTACT_IDENTITY_CHANGED = "contact.identity_changed", IdentityChanged,
        "A contact has new keys, for example because they installed WhatsApp again.";
    CONNECTION_STATUS = "connection.status", ConnectionStatus,
        "The session's state changed, or there is a new QR code.";
    SESSION_CREATED = "session.created", SessionChanged,
        "A caller of the API made a session.";
    SESSION_STARTED = "session.started", SessionChanged,
        "A caller of the API started a session that was stopped.";
    SESSION_STOPPED = "session.stopped", SessionChanged,
        "A caller of the API stopped a session; it stays stopped until it is started.";
    SESSION_DELETED = "session.deleted", SessionChanged,
        "A caller of the API deleted a session.";
    SESSION_PASSKEY = "session.passkey", SessionPasskey,
        "A pairing by passkey reached its next step, or failed.";
    SESSION_LOGGED_OUT = "session.logged_out", SessionEnded,
        "This device was removed from the account; pair again.";
    SESSION_REPLACED = "session.replaced", SessionEnded,
        "Another client took over this device's connection.";
    SESSION_BANNED = "session.banned", SessionEnded,
        "WhatsApp banned the number.";
    SESSION_LOCKED = "session.locked", SessionEnded,
        "WhatsApp locked the account; the phone shows what to do.";
    SESSION_OUTDATED = "session.outdated", SessionEnded,
        "WhatsApp requires a newer client; update Kurir.";
    SESSION_REFUSED = "session.refused", SessionEnded,
        "WhatsApp refused the login for another reason.";
    SESSION_DAMAGED = "session.damaged", SessionEnded,
        "The file with the session's keys cannot be used; `reason` says why.";
    SESSION_RESTRICTED = "session.restricted", SessionRestricted,
        "WhatsApp restricts the account for a while, or a restriction ended.";
    SESSION_SILENT = "session.silent", SessionSilent,
        "The connection was open but nothing arrived; the gateway connects again.";
    SESSION_PHONE_OFFLINE = "session.phone_offline", PhoneOffline,
        "The account's phone has been offline for long; WhatsApp removes this device after 14 days.";
    SESSION_PHONE_ONLINE = "session.phone_online", PhoneOnline,
        "The account's phone is online again.";
    HISTORY_SYNC = "history.sync", HistorySync,
        "Earlier messages arrived after a pairing; only with `WHATSAPP_HISTORY_SYNC=true`.";
    ERROR_OCCURRED = "error.occurred", ErrorOccurred,
        "Kurir gave up a send or a delivery.";
    ENDPOINT_FAILING = "endpoint.failing", EndpointEvent,
        "A webhook endpoint has failed for a long time.";
    ENDPOINT_DISABLED = "endpoint.disabled", EndpointEvent,
        "A webhook endpoint was disabled; its events wait.";
    ENDPOINT_RECOVERED = "endpoint.recovered", EndpointEvent,
        "A webhook endpoint that failed works again.";
}
