//! Names of the NATS headers. NATS compares them with upper and lower case.

/// The event id in EVENTS; JetStream stores one message for it within the duplicate window.
pub const EVENT_ID: &str = "Nats-Msg-Id";
/// The event id where `Nats-Msg-Id` cannot be used: NATS strips that from a schedule that fires.
pub const KURIR_EVENT_ID: &str = "Kurir-Event-Id";
/// Of a retry: which attempt comes next, counted from 1.
pub const ATTEMPT: &str = "Kurir-Attempt";
/// Of a retry: the subject of its event, which is told of even if the event is gone from EVENTS meanwhile.
pub const EVENT_SUBJECT: &str = "Kurir-Event-Subject";
/// Of a retry that is parked: when its attempt is due, ISO 8601.
pub const DUE: &str = "Kurir-Due";
/// Replaces what its subject held before (`sub`).
pub const ROLLUP: &str = "Nats-Rollup";
/// Of a message from a consumer that serves one client at a time: that client's pin.
pub const PIN_ID: &str = "Nats-Pin-Id";
/// Of an event: the endpoint that must not receive it, because the event is about it.
pub const NOT_FOR: &str = "Kurir-Not-For";
/// Of an event: an inbox (`_INBOX.…`) that wants an [`Outcome`](crate::delivery::DeliveryReport) when its delivery has ended.
pub const REPORT_TO: &str = "Kurir-Report-To";
/// Of an event: the only endpoint that receives it (a test of that endpoint).
pub const ONLY_FOR: &str = "Kurir-Only-For";
/// Of a request: the event was delivered before, or given up; it comes again because somebody asked for it.
pub const REPLAY: &str = "kurir-replay";
/// When a scheduled message fires: `@at <RFC 3339>` (NATS 2.12, ADR-51).
pub const SCHEDULE: &str = "Nats-Schedule";
/// The subject it fires into.
pub const SCHEDULE_TARGET: &str = "Nats-Schedule-Target";
/// W3C trace context.
pub const TRACEPARENT: &str = "traceparent";

/// CloudEvents 1.0 in the binary mode of its NATS binding: what of an event's envelope is in headers, if that is asked for.
pub const CLOUD_EVENT_SPECVERSION: &str = "ce-specversion";
pub const CLOUD_EVENT_ID: &str = "ce-id";
pub const CLOUD_EVENT_SOURCE: &str = "ce-source";
pub const CLOUD_EVENT_TYPE: &str = "ce-type";
pub const CLOUD_EVENT_TIME: &str = "ce-time";
/// On an event that a caller of the API made, and neither WhatsApp nor Kurir.
pub const SYNTHETIC: &str = "Kurir-Synthetic";
