//! Names of the NATS headers. In NATS the case of the letters matters.

/// The event's id in EVENTS. Within the duplicate window JetStream stores one message for each id.
pub const EVENT_ID: &str = "Nats-Msg-Id";
/// The event's id in a scheduled message: NATS removes `Nats-Msg-Id` when a schedule fires.
pub const KURIR_EVENT_ID: &str = "Kurir-Event-Id";
/// On a retry: the number of the next attempt, from 1.
pub const ATTEMPT: &str = "Kurir-Attempt";
/// On a retry: when the stream EVENTS was created whose sequence the retry names.
pub const EVENTS_CREATED: &str = "Kurir-Events-Created";
/// On a retry: the subject of its event. It is known even if the event is no longer in EVENTS.
pub const EVENT_SUBJECT: &str = "Kurir-Event-Subject";
/// On a parked retry: when its attempt is due, ISO 8601.
pub const DUE: &str = "Kurir-Due";
/// `sub`: the message replaces the earlier messages of its subject.
pub const ROLLUP: &str = "Nats-Rollup";
/// On a message from a consumer that serves one client at a time: that client's pin.
pub const PIN_ID: &str = "Nats-Pin-Id";
/// On an event: the endpoint that must not receive it, because the event is about that endpoint.
pub const NOT_FOR: &str = "Kurir-Not-For";
/// On an event: an inbox (`_INBOX.…`, `_INBOX_<user>.…`) that receives a [`DeliveryReport`](crate::delivery::DeliveryReport) when the delivery
/// has ended.
pub const REPORT_TO: &str = "Kurir-Report-To";
/// On such an event: the inbox receives a report after each failed attempt that another one follows, too.
pub const REPORT_ATTEMPTS: &str = "Kurir-Report-Attempts";
/// On an event: the only endpoint that receives it. It is a test of that endpoint.
pub const ONLY_FOR: &str = "Kurir-Only-For";
/// On a request to a receiver: a replay sends the event again.
pub const REPLAY: &str = "kurir-replay";
/// On a waiting job: it is a send that has begun, and its gateway removes the job when the send has ended.
pub const SEND_INTENT: &str = "Kurir-Send-Intent";
/// On an event: its `raw` is there only for endpoints with `raw: true`.
pub const RAW_ON_REQUEST: &str = "Kurir-Raw-On-Request";
/// On a command: its caller wants to hear that it is under way. On a message without a body to that caller: it is. On an answer to a
/// command: its sender reports progress to callers that ask for it.
pub const PROGRESS: &str = "Kurir-Progress";
/// When a scheduled message fires: `@at <RFC 3339>` (NATS 2.12, ADR-51).
pub const SCHEDULE: &str = "Nats-Schedule";
/// The subject to which a scheduled message goes when it fires.
pub const SCHEDULE_TARGET: &str = "Nats-Schedule-Target";
/// The W3C trace context.
pub const TRACEPARENT: &str = "traceparent";

/// The `ce-` headers are those of CloudEvents 1.0 in the binary mode of its NATS binding. An event has them if the settings ask
/// for them.
pub const CLOUD_EVENT_SPECVERSION: &str = "ce-specversion";
pub const CLOUD_EVENT_ID: &str = "ce-id";
pub const CLOUD_EVENT_SOURCE: &str = "ce-source";
pub const CLOUD_EVENT_TYPE: &str = "ce-type";
pub const CLOUD_EVENT_TIME: &str = "ce-time";
/// On an event that a caller of the API made, and neither WhatsApp nor Kurir.
pub const SYNTHETIC: &str = "Kurir-Synthetic";
