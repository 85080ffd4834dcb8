//! JSON Schemas of the events, made from their types: what a webhook's body and a message in EVENTS hold.
//!
//! Only behind the feature `schema`: a test writes them to `shared/contract/schemas/` and compares what is there.

use super::{
    CallEvent, ConnectionStatus, ContactUpdated, EndpointEvent, ErrorOccurred, EventEnvelope, EventOrigin, EventType,
    GroupParticipants, GroupUpdated, HistorySync, IdentityChanged, JobEvent, MediaDownloaded, MessageAck,
    MessageContent, MessageContext, MessageEdited, MessageQueued, MessageReaction, MessageReceived, MessageRevoked,
    MessageSent, MessageUndecryptable, PhoneOffline, PhoneOnline, PollVote, PresenceUpdated, SessionEnded,
    SessionPasskey, SessionRestricted, SessionSilent,
};
use schemars::{JsonSchema, Schema, generate::SchemaSettings};
use serde_json::json;

/// A type of event.
pub struct EventSchema {
    pub kind: EventType,
    /// What it tells, in one sentence.
    pub tells: &'static str,
    /// Of the whole body.
    pub schema: Schema,
}

/// Every event that Kurir itself makes, in the order of the documents.
#[must_use]
pub fn all() -> Vec<EventSchema> {
    use EventType as T;
    vec![
        event::<MessageReceived>(T::MESSAGE_RECEIVED, "Somebody wrote to this account."),
        event::<MessageSent>(T::MESSAGE_SENT, "This account wrote: through Kurir, or on the phone or another device."),
        event::<MediaDownloaded>(T::MEDIA_DOWNLOADED, "The file of an earlier message came after all."),
        event::<MessageQueued>(T::MESSAGE_QUEUED, "A message of this account cannot go out yet, and waits."),
        event::<MessageAck>(T::MESSAGE_ACK, "How far a message of this account has come."),
        event::<MessageReaction>(T::MESSAGE_REACTION, "Somebody reacted to a message, or took it back."),
        event::<MessageEdited>(T::MESSAGE_EDITED, "The writer changed a message."),
        event::<MessageRevoked>(T::MESSAGE_REVOKED, "A message was deleted for everyone."),
        event::<MessageUndecryptable>(T::MESSAGE_UNDECRYPTABLE, "A message came and cannot be read; it is certain."),
        event::<PollVote>(T::POLL_VOTE, "Somebody voted; his later vote replaces it."),
        event::<JobEvent>(T::JOB_PROGRESS, "A job has come further: at each tenth, at most once a second."),
        event::<JobEvent>(T::JOB_DONE, "Each message of a job was sent or given up."),
        event::<JobEvent>(T::JOB_CANCELLED, "A job was cancelled; what was sent by then is sent."),
        event::<JobEvent>(T::JOB_FAILED, "A job was given up, for `reason`."),
        event::<GroupUpdated>(T::GROUP_UPDATED, "A group's data or settings changed."),
        event::<GroupParticipants>(T::GROUP_PARTICIPANTS, "Members came, went, or got other rights."),
        event::<CallEvent>(T::CALL_RECEIVED, "A call rings."),
        event::<CallEvent>(T::CALL_MISSED, "Nobody took a call."),
        event::<CallEvent>(T::CALL_ENDED, "A call was taken or refused on another device, or given up with a reason."),
        event::<PresenceUpdated>(T::PRESENCE_UPDATED, "Somebody is there, is not, types or records."),
        event::<ContactUpdated>(T::CONTACT_UPDATED, "A contact's picture, text, number or name changed."),
        event::<IdentityChanged>(T::CONTACT_IDENTITY_CHANGED, "A contact has new keys, as after a new installation."),
        event::<ConnectionStatus>(T::CONNECTION_STATUS, "The session's state changed, or a new QR code is there."),
        event::<SessionPasskey>(T::SESSION_PASSKEY, "A pairing by passkey has come further, or failed."),
        event::<SessionEnded>(T::SESSION_LOGGED_OUT, "This device was removed: pair anew."),
        event::<SessionEnded>(T::SESSION_REPLACED, "Another client took over this device's connection."),
        event::<SessionEnded>(T::SESSION_BANNED, "WhatsApp banned the number."),
        event::<SessionEnded>(T::SESSION_LOCKED, "WhatsApp locked the account: the phone shows what to do."),
        event::<SessionEnded>(T::SESSION_OUTDATED, "WhatsApp wants a newer client: update Kurir."),
        event::<SessionEnded>(T::SESSION_REFUSED, "WhatsApp refused the login for another reason."),
        event::<SessionRestricted>(
            T::SESSION_RESTRICTED,
            "WhatsApp restricts the account for a while, or no longer does.",
        ),
        event::<SessionSilent>(T::SESSION_SILENT, "The connection was open and silent; the gateway connects again."),
        event::<PhoneOffline>(
            T::SESSION_PHONE_OFFLINE,
            "The account's phone has been away for long: WhatsApp removes this device after 14 days.",
        ),
        event::<PhoneOnline>(T::SESSION_PHONE_ONLINE, "The account's phone is back."),
        event::<HistorySync>(
            T::HISTORY_SYNC,
            "Messages of the past after a pairing; only with `WHATSAPP_HISTORY_SYNC=true`.",
        ),
        event::<ErrorOccurred>(T::ERROR_OCCURRED, "Something was given up."),
        event::<EndpointEvent>(T::ENDPOINT_FAILING, "A webhook endpoint has failed for a long time."),
        event::<EndpointEvent>(T::ENDPOINT_DISABLED, "A webhook endpoint was disabled; its events wait."),
        event::<EndpointEvent>(T::ENDPOINT_RECOVERED, "A webhook endpoint that failed works again."),
    ]
}

/// What all events about a chat share.
#[must_use]
pub fn origin() -> Schema {
    schema_of::<EventOrigin>()
}

/// What all events with a content share.
#[must_use]
pub fn context() -> Schema {
    schema_of::<MessageContext>()
}

/// `messageType` and its `content`, a variant each.
#[must_use]
pub fn content() -> Schema {
    schema_of::<MessageContent>()
}

fn event<D: JsonSchema>(kind: EventType, tells: &'static str) -> EventSchema {
    let mut schema = schema_of::<EventEnvelope<D>>();
    let object = schema.ensure_object();
    object.insert("title".to_owned(), json!(kind.as_str()));
    object.insert("description".to_owned(), json!(tells));
    // The envelope is one for all; in this event's the type is this one.
    if let Some(event) = object.get_mut("properties").and_then(|properties| properties.get_mut("event")) {
        *event = json!({"const": kind.as_str()});
    }
    EventSchema { kind, tells, schema }
}

/// As it is written, which is what a receiver reads: what may be null is there, too.
fn schema_of<T: JsonSchema>() -> Schema {
    SchemaSettings::draft2020_12().for_serialize().into_generator().into_root_schema_for::<T>()
}
