//! `/api/webhook`: whether webhooks are enabled, and events of a user's own that go the way of every event.

use crate::{
    app_state::AppState,
    error_code::ErrorCode,
    event_publisher::DeliveryOutcome,
    extract::{JsonBodyWithData, LenientJsonBody},
    fields::{Field, FieldError, FieldValue, checked_optional, inline_schema},
    response::{ApiError, DataResponse, JsonResult, data_response},
};
use axum::{Json, extract::State};
use kurir_contract::{
    clock,
    endpoint::mask_password,
    event::{EventEnvelope, EventId, EventType},
};
use schemars::{JsonSchema, Schema, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json, value::RawValue};
use time::OffsetDateTime;

/// Whether events are delivered to `WEBHOOK_URL`.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WebhookStatus {
    enabled: bool,
    /// `WEBHOOK_URL`, a password in it as `••••`; null if it is not set.
    webhook_url: Option<String>,
    /// ISO 8601.
    timestamp: String,
}

pub async fn status(State(app): State<AppState>) -> JsonResult<DataResponse<WebhookStatus>> {
    let (enabled, webhook_url) = (app.webhook_url.is_some(), app.webhook_url.as_deref().map(mask_password));
    Ok(data_response(WebhookStatus { enabled, webhook_url, timestamp: clock::now_iso() }))
}

/// An event for a test.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TestWebhookRequest {
    /// `test` if it is missing.
    event_type: Option<Field<EventTypeField>>,
    /// The data of the event; `test` and `timestamp` are added.
    data: Option<Field<EventDataField>>,
}

impl TestWebhookRequest {
    /// The event type that the caller chose, if any, and the data: what the caller gave, and two fields that say what
    /// it is.
    ///
    /// # Errors
    /// With the contract's text.
    pub fn read(self, now: OffsetDateTime) -> Result<(Option<EventType>, Value), ApiError> {
        let chosen = checked_optional(self.event_type, "eventType", ErrorCode::InvalidEventType)?;
        let chosen = chosen.map(|EventTypeField(event)| event);
        let data = checked_optional(self.data, "data", ErrorCode::InvalidData)?;
        let mut data = data.map(|EventDataField(data)| data).unwrap_or_default();
        data.insert("test".to_owned(), json!(true));
        data.insert("timestamp".to_owned(), json!(clock::iso(now)));
        Ok((chosen, Value::Object(data)))
    }
}

/// An event of a user's own.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SendWebhookRequest {
    event_type: Field<RequiredEventType>,
    /// The data of the event, delivered as it is.
    data: Option<Field<EventDataField>>,
}

/// The name of an event.
struct EventTypeField(EventType);

/// The name of an event, which must be there.
struct RequiredEventType(EventType);

struct EventDataField(Map<String, Value>);

/// How the delivery ended; no `result` if webhooks are disabled.
#[derive(Serialize, JsonSchema)]
pub struct DeliveryResponse {
    #[schemars(extend("const" = true))]
    success: bool,
    message: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<DeliveryResult>,
}

/// The field that marks an event that a caller made.
const SYNTHETIC: &str = "synthetic";

/// How the types of Kurir's own events begin.
const OF_KURIR: [&str; 13] = [
    "call",
    "connection",
    "contact",
    "endpoint",
    "error",
    "group",
    "history",
    "job",
    "media",
    "message",
    "poll",
    "presence",
    "session",
];

/// Whether Kurir itself makes events of this type: one that a caller makes is marked, so that nobody takes it for real.
fn is_of_kurir(event: &EventType) -> bool {
    let family = event.as_str().split('.').next().unwrap_or_default();
    OF_KURIR.contains(&family)
}

/// How a delivery ended, in the contract's words.
#[derive(Default, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct DeliveryResult {
    success: bool,
    /// The receiver's status.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Option<u16>>,
    /// The attempt that the receiver took, counted from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'static str>,
    /// The event that is still being retried: after 25 s, or 5 s after the first failed attempt of an endpoint's own test.
    #[serde(skip_serializing_if = "Option::is_none")]
    event_id: Option<EventId>,
    /// What the receiver did last.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// The beginning of the receiver's answer, if it refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<String>,
    /// Only of an endpoint's own test: whether an event of this type reaches the endpoint without being a test.
    #[serde(skip_serializing_if = "Option::is_none")]
    wanted: Option<bool>,
}

impl DeliveryResponse {
    pub fn without_delivery(message: &'static str) -> Self {
        Self { success: true, message, result: None }
    }

    /// The same, with whether the endpoint wants such events.
    pub fn of_endpoint(self, wanted: bool) -> Self {
        let result = self.result.map(|result| DeliveryResult { wanted: Some(wanted), ..result });
        Self { result, ..self }
    }

    /// `shows_reason`: the answer says what the receiver did last.
    pub fn ended(message: &'static str, outcome: DeliveryOutcome, shows_reason: bool) -> Self {
        let result = match outcome {
            DeliveryOutcome::Delivered { status, attempt } => DeliveryResult {
                success: true,
                status: Some(status),
                attempt: Some(attempt),
                ..DeliveryResult::default()
            },
            DeliveryOutcome::GivenUp { reason, status, body } => DeliveryResult {
                error: Some("All retry attempts failed"),
                reason: reason.filter(|_| shows_reason),
                status: status.filter(|_| shows_reason).map(Some),
                body: body.filter(|_| shows_reason),
                ..DeliveryResult::default()
            },
            DeliveryOutcome::StillRetried { event, reason, status, body } => DeliveryResult {
                error: Some("Still being retried"),
                event_id: Some(event),
                reason: reason.filter(|_| shows_reason),
                status: status.filter(|_| shows_reason).map(Some),
                body: body.filter(|_| shows_reason),
                ..DeliveryResult::default()
            },
        };
        Self { result: Some(result), ..Self::without_delivery(message) }
    }
}

pub async fn test(
    State(app): State<AppState>,
    LenientJsonBody(body): LenientJsonBody<TestWebhookRequest>,
) -> JsonResult<DeliveryResponse> {
    let now = clock::now();
    let (chosen, data) = body.read(now)?;
    let event = chosen.map_or_else(test_event_type, Ok)?;
    deliver_event(&app, EventEnvelope::new(event, now, data), "Webhook test completed").await
}

pub async fn send(
    State(app): State<AppState>,
    JsonBodyWithData(body, text): JsonBodyWithData<SendWebhookRequest>,
) -> JsonResult<DeliveryResponse> {
    const MESSAGE: &str = "Custom webhook sent";
    let RequiredEventType(event) = body.event_type.checked("eventType", ErrorCode::InvalidEventType)?;
    let data = checked_optional(body.data, "data", ErrorCode::InvalidData)?;
    let data = data.map(|EventDataField(data)| data).unwrap_or_default();
    let (now, is_marked) = (clock::now(), is_of_kurir(&event));
    match text.and_then(|text| if is_marked { with_mark(&text, &data) } else { Some(text) }) {
        // The receiver gets the caller's bytes.
        Some(text) => store_or_deliver(&app, &EventEnvelope::new(event, now, text), MESSAGE).await,
        None => deliver_event(&app, EventEnvelope::new(event, now, Value::Object(data)), MESSAGE).await,
    }
}

/// The text of an object with the mark of an event that a caller made; none if the object has a field of this name.
fn with_mark(text: &RawValue, data: &Map<String, Value>) -> Option<Box<RawValue>> {
    let fields = text.get().strip_suffix('}').filter(|_| !data.contains_key(SYNTHETIC))?;
    let comma = if data.is_empty() { "" } else { "," };
    RawValue::from_string(format!("{fields}{comma}\"{SYNTHETIC}\":true}}")).ok()
}

async fn deliver_event(
    app: &AppState,
    mut envelope: EventEnvelope,
    message: &'static str,
) -> JsonResult<DeliveryResponse> {
    if is_of_kurir(&envelope.event) {
        envelope.data[SYNTHETIC] = json!(true);
    }
    store_or_deliver(app, &envelope, message).await
}

async fn store_or_deliver<D: Serialize>(
    app: &AppState,
    envelope: &EventEnvelope<D>,
    message: &'static str,
) -> JsonResult<DeliveryResponse> {
    if app.webhook_url.is_none() {
        // Other subscribers of NATS still get the event.
        app.events.publish(envelope).await?;
        return Ok(Json(DeliveryResponse::without_delivery(message)));
    }
    Ok(Json(DeliveryResponse::ended(message, app.events.deliver(envelope).await?, false)))
}

/// The event type of a test whose caller chose none.
///
/// # Errors
/// Never: the name is one.
pub fn test_event_type() -> Result<EventType, ApiError> {
    "test".parse().map_err(|_| ApiError::internal())
}

fn invalid_type() -> FieldError {
    FieldError::sentence(ErrorCode::InvalidEventType, "Invalid eventType")
}

impl FieldValue for EventTypeField {
    fn parse(given: &Value) -> Result<Self, FieldError> {
        given.as_str().and_then(|name| name.parse().ok()).map(Self).ok_or_else(invalid_type)
    }
}

impl FieldValue for RequiredEventType {
    fn parse(given: &Value) -> Result<Self, FieldError> {
        if given.is_null() || given.as_str() == Some("") {
            return Err(FieldError::sentence(ErrorCode::MissingEventType, "eventType is required"));
        }
        EventTypeField::parse(given).map(|EventTypeField(event)| Self(event))
    }
}

impl FieldValue for EventDataField {
    fn parse(given: &Value) -> Result<Self, FieldError> {
        let data = given.as_object().cloned().map(Self);
        data.ok_or_else(|| FieldError::sentence(ErrorCode::InvalidData, "data must be an object"))
    }
}

fn event_type_schema() -> Schema {
    json_schema!({
        "type": "string", "pattern": r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$", "maxLength": 128,
        "examples": ["custom.event"], "description": "The name of the event: words of letters, digits, _ and -, joined by dots.",
    })
}

inline_schema!(EventTypeField, |_| event_type_schema());
inline_schema!(RequiredEventType, |_| event_type_schema());
inline_schema!(EventDataField, |_| json_schema!({"type": "object", "examples": [{"orderId": 7}]}));
