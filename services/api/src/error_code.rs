//! Every code of an error answer, with its HTTP status: programs branch on the code, people read the message.

use axum::http::StatusCode;
use std::time::Duration;

/// Names the codes once: the enum, its text, its status, and what the OpenAPI document says about it.
macro_rules! error_codes {
    ($($status:ident: $($name:ident = $text:literal $about:literal,)+;)+) => {
        /// What a program may branch on. A code never changes its meaning or its status.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum ErrorCode {
            $($(#[doc = $about] $name,)+)+
        }

        impl ErrorCode {
            pub const ALL: &[Self] = &[$($(Self::$name,)+)+];

            pub fn as_str(self) -> &'static str {
                match self {
                    $($(Self::$name => $text,)+)+
                }
            }

            pub fn status(self) -> StatusCode {
                match self {
                    $($(Self::$name => StatusCode::$status,)+)+
                }
            }

            /// When the error occurs, for the OpenAPI document.
            pub fn about(self) -> &'static str {
                match self {
                    $($(Self::$name => $about,)+)+
                }
            }
        }
    };
}

error_codes! {
    BAD_REQUEST:
        BodyIncomplete = "body_incomplete" "The connection ended before the whole body arrived",
        EmptyFile = "empty_file" "The file has no bytes",
        FileUnreachable = "file_unreachable" "The file cannot be fetched from its `url`",
        IncompleteMessage = "incomplete_message" "A message of the list lacks `to` or `message`",
        InvalidBase64 = "invalid_base64" "`base64` cannot be decoded",
        InvalidContact = "invalid_contact" "The contact's name or card cannot be sent",
        InvalidData = "invalid_data" "`data` is no object",
        InvalidEndpoint = "invalid_endpoint" "Fields of the endpoint are wrong; `problems` names each",
        InvalidEventType = "invalid_event_type" "`eventType` is no name of an event, or none that the endpoint wants",
        InvalidFile = "invalid_file" "The file is named in two ways, or in none",
        InvalidForward = "invalid_forward" "The message cannot be forwarded",
        InvalidGroup = "invalid_group" "The group's id or the change is wrong",
        InvalidIdempotencyKey = "invalid_idempotency_key" "The header `Idempotency-Key` is no key",
        InvalidInvite = "invalid_invite" "The invitation's code is missing or too long",
        InvalidJob = "invalid_job" "The job is wrong",
        InvalidJson = "invalid_json" "The body is no JSON object",
        InvalidKey = "invalid_key" "The new key is wrong; `problems` names each field",
        InvalidLocation = "invalid_location" "The place is wrong",
        InvalidMedia = "invalid_media" "A field beside the file is wrong",
        InvalidMediaType = "invalid_media_type" "`mediaType` is none of the known types",
        InvalidMentions = "invalid_mentions" "`options.mentions` is no list of numbers",
        InvalidMessageId = "invalid_message_id" "A message's id is missing or too long",
        InvalidMessages = "invalid_messages" "`messages` is no array",
        InvalidMimetype = "invalid_mimetype" "The file's type does not fit",
        InvalidMultipart = "invalid_multipart" "The form cannot be read",
        InvalidOptions = "invalid_options" "`options` is no object",
        InvalidParticipant = "invalid_participant" "`participant` is missing, or no number of a person",
        InvalidParticipants = "invalid_participants" "`participants` is no list of numbers",
        InvalidPassphrase = "invalid_passphrase" "The header `X-Passphrase` is missing, too short or too long",
        InvalidPath = "invalid_path" "The path is no UTF-8",
        InvalidPicture = "invalid_picture" "The picture is no JPEG in base64",
        InvalidPoll = "invalid_poll" "The poll is wrong",
        InvalidQuery = "invalid_query" "A parameter of the query is wrong; `problems` names each",
        InvalidQuoted = "invalid_quoted" "The message that is replied to is named wrongly",
        InvalidReaction = "invalid_reaction" "The reaction is wrong",
        InvalidRecipient = "invalid_recipient" "The phone number or JID has the wrong form",
        InvalidReplay = "invalid_replay" "The replay is wrong; `problems` names each field",
        InvalidRequest = "invalid_request" "The service behind the API refused the request",
        InvalidRotation = "invalid_rotation" "The rotation is wrong; `problems` names each field",
        InvalidSelection = "invalid_selection" "The selection is wrong; `problems` names each field",
        InvalidSendAt = "invalid_send_at" "`sendAt` is no time, in the past, or more than 30 days ahead",
        InvalidSession = "invalid_session" "The path names no session, or fields of a session are wrong; `problems` names each",
        InvalidSessionFile = "invalid_session_file" "The file holds no session, is damaged, or has another passphrase",
        InvalidState = "invalid_state" "`state` is none of the known states",
        MessageTooLong = "message_too_long" "The text has more than 4096 characters",
        MissingEventType = "missing_event_type" "`eventType` is missing",
        MissingMedia = "missing_media" "The request has no file",
        MissingMessage = "missing_message" "The text is missing",
        MissingRecipient = "missing_recipient" "The phone number or JID is missing",
        NoMessages = "no_messages" "`messages` is empty",
        TooManyMessages = "too_many_messages" "`messages` is too long",
        UnknownField = "unknown_field" "The body has a field that the route does not know; `problems` names each",
    ;
    UNAUTHORIZED:
        InvalidApiKey = "invalid_api_key" "The key is wrong",
        MissingApiKey = "missing_api_key" "The key is missing",
    ;
    FORBIDDEN:
        InsufficientScope = "insufficient_scope" "The key may not do this",
        InvalidCsrfToken = "invalid_csrf_token" "A change by a browser that is logged in lacks the page's token",
        SessionNotAllowed = "session_not_allowed" "The key is bound to other sessions",
    ;
    NOT_FOUND:
        CallNotFound = "call_not_found" "No call rings under this id",
        ChatNotFound = "chat_not_found" "The search index has no such chat",
        DeadLetterNotFound = "dead_letter_not_found" "There is no such dead letter",
        DeliveryNotFound = "delivery_not_found" "The search index has no such attempt",
        EndpointNotFound = "endpoint_not_found" "There is no such endpoint",
        EventNotFound = "event_not_found" "The search index has no such event, or not yet",
        FileNotFound = "file_not_found" "There is no received file of this name",
        GroupNotFound = "group_not_found" "There is no such group, or the account is not in it",
        InviteNotFound = "invite_not_found" "The invitation does not exist or is no longer valid",
        JobNotFound = "job_not_found" "There is no such job",
        KeyNotFound = "key_not_found" "There is no such key",
        MediaNotFound = "media_not_found" "There is no received file of this name, or it has expired",
        MessageNotFound = "message_not_found" "No event of the session has a message with this id",
        NotOnWhatsapp = "not_on_whatsapp" "WhatsApp knows no account of this number",
        PictureNotFound = "picture_not_found" "There is no picture, or none that this account may see",
        QrNotAvailable = "qr_not_available" "No QR code waits to be scanned, so there is no picture of one",
        ReplayNotFound = "replay_not_found" "There is no such replay",
        RouteNotFound = "route_not_found" "There is no such route",
        SessionNotFound = "session_not_found" "No gateway serves a session of this name",
    ;
    METHOD_NOT_ALLOWED:
        MethodNotAllowed = "method_not_allowed" "The route has other methods; `Allow` names them",
    ;
    REQUEST_TIMEOUT:
        BodyTimeout = "body_timeout" "The body arrives too slowly",
    ;
    CONFLICT:
        Conflict = "conflict" "The request does not fit the present state, or the `Idempotency-Key` was used for another request",
        EndpointDisabled = "endpoint_disabled" "The endpoint is disabled",
        ManagedByEnvironment = "managed_by_environment" "The environment fixes this of the endpoint `default`",
        TooManyKeys = "too_many_keys" "There are as many keys as are possible",
        SessionExists = "session_exists" "There is a session of this id already",
        SessionStopped = "session_stopped" "The session is stopped: start it first",
        TooManyEndpoints = "too_many_endpoints" "There are 10,000 endpoints already",
    ;
    PAYLOAD_TOO_LARGE:
        BodyTooLarge = "body_too_large" "The body is larger than 10 MB",
        EventTooLarge = "event_too_large" "The event is larger than NATS takes",
        FileTooLarge = "file_too_large" "The file is larger than `MEDIA_UPLOAD_MAX`",
        JobTooLarge = "job_too_large" "The job is larger than 1 MB",
    ;
    UNSUPPORTED_MEDIA_TYPE:
        UnsupportedMediaType = "unsupported_media_type" "The `Content-Type` names no type that the route reads",
    ;
    TOO_MANY_REQUESTS:
        RateLimited = "rate_limited" "The key has made too many requests in a minute",
        TooManyWrongKeys = "too_many_wrong_keys" "The address sent too many wrong keys",
    ;
    RANGE_NOT_SATISFIABLE:
        RangeNotSatisfiable = "range_not_satisfiable" "The file has no such bytes",
    ;
    INTERNAL_SERVER_ERROR:
        Internal = "internal" "Kurir failed; the log says why",
    ;
    BAD_GATEWAY:
        RefusedByWhatsapp = "refused_by_whatsapp" "WhatsApp refused; `whatsappCode` is its number, if it gave one",
    ;
    SERVICE_UNAVAILABLE:
        BrokerUnavailable = "broker_unavailable" "NATS is away",
        DispatcherUnavailable = "dispatcher_unavailable" "No webhook-dispatcher runs",
        EventNotStored = "event_not_stored" "NATS did not store the event",
        GatewayUnavailable = "gateway_unavailable" "No gateway runs",
        IndexBusy = "index_busy" "The search index took too long",
        NotConnected = "not_connected" "The session is not connected to WhatsApp",
        NotStored = "not_stored" "NATS did not store the change",
        SecretsSealed = "secrets_sealed" "What is stored is sealed with a key that is not in `SECRETS_KEY`",
        StorageUnavailable = "storage_unavailable" "JetStream does not answer; nothing was done",
        TooManyStreams = "too_many_streams" "Too many callers follow the events",
        SessionMoving = "session_moving" "No gateway holds the session at this moment",
        StorageFull = "storage_full" "NATS has no room for events; nothing was done",
        StorageRefused = "storage_refused" "NATS refuses events; nothing was done",
        TooBusy = "too_busy" "Too many bytes of other requests are being worked on",
    ;
    GATEWAY_TIMEOUT:
        TimedOut = "timed_out" "The service behind the API, or WhatsApp, did not answer in time",
    ;
}

/// A service that was restarted is back within seconds; a client that asks earlier asks in vain.
const SERVICE_BACK_WITHIN: Duration = Duration::from_secs(5);

impl ErrorCode {
    /// When the same request may succeed, where that is known.
    pub fn retry_after(self) -> Option<Duration> {
        let is_outage = matches!(
            self,
            Self::BrokerUnavailable
                | Self::DispatcherUnavailable
                | Self::GatewayUnavailable
                | Self::EventNotStored
                | Self::NotStored
                | Self::SessionMoving
                | Self::StorageFull
                | Self::StorageRefused
                | Self::StorageUnavailable
        );
        is_outage.then_some(SERVICE_BACK_WITHIN)
    }
}

impl serde::Serialize for ErrorCode {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl schemars::JsonSchema for ErrorCode {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ErrorCode".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let codes: Vec<&str> = Self::ALL.iter().map(|code| code.as_str()).collect();
        schemars::json_schema!({"type": "string", "enum": codes, "description": "What a program may branch on."})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_codes_have_one_text() {
        let texts: std::collections::HashSet<&str> = ErrorCode::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(texts.len(), ErrorCode::ALL.len());
    }
}
