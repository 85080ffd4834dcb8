//! `/api/demo`: what the dashboard's page Phone does with the simulated WhatsApp of the demo. Without `SIMULATOR_URL` there are
//! no such routes.

use crate::{
    app_state::AppState,
    error_code::ErrorCode,
    extract::JsonBody,
    fields::{Field, FieldError, FieldErrors, FieldValue, MessageText, PhoneNumber, inline_schema},
    response::{ApiError, JsonResult, MessageResponse, message_response},
};
use axum::extract::State;
use reqwest::Client;
use schemars::{JsonSchema, json_schema};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::{sync::LazyLock, time::Duration};
use url::Url;

/// The simulator runs beside the API and answers in milliseconds.
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);

/// Beside the API, so never through the operator's proxy. None: the client cannot be made.
static CLIENT: LazyLock<Option<Client>> = LazyLock::new(|| Client::builder().no_proxy().build().ok());

/// A text of a simulated contact.
#[derive(Deserialize, JsonSchema)]
#[schemars(extend("additionalProperties" = false))]
pub struct DemoMessageRequest {
    /// The contact's number; nobody has to exist before.
    contact: Field<PhoneNumber>,
    text: Field<MessageText>,
    #[serde(flatten)]
    #[schemars(skip)]
    unknown: Map<String, Value>,
}

/// What breaks.
#[derive(Deserialize, JsonSchema)]
#[schemars(extend("additionalProperties" = false))]
pub struct DemoFaultRequest {
    fault: Field<DemoFault>,
    #[serde(flatten)]
    #[schemars(skip)]
    unknown: Map<String, Value>,
}

/// Something that goes wrong with the real WhatsApp, too.
#[derive(Clone, Copy)]
enum DemoFault {
    /// Every connection breaks; the gateway connects again.
    DropConnections,
    /// The next message to the account cannot be decrypted, and is asked for again.
    CorruptNextMessage,
    /// The next acknowledgement is lost: the gateway sends again under the same id.
    SwallowNextAcknowledgement,
    /// The phone removes this device: the session must be paired again.
    RemoveDevice,
}

impl DemoFault {
    const ALL: [(&'static str, Self); 4] = [
        ("drop_connections", Self::DropConnections),
        ("corrupt_next_message", Self::CorruptNextMessage),
        ("swallow_next_acknowledgement", Self::SwallowNextAcknowledgement),
        ("remove_device", Self::RemoveDevice),
    ];

    /// The simulator's route, and its body.
    fn request(self) -> (&'static str, Value) {
        match self {
            Self::DropConnections => ("/connections/drop", json!({})),
            Self::CorruptNextMessage => (
                "/faults",
                json!({"kind": "corrupt", "times": 1, "match": {"direction": "toClient", "stanza": "message"}}),
            ),
            Self::SwallowNextAcknowledgement => ("/faults", json!({"kind": "swallow-ack", "times": 1})),
            Self::RemoveDevice => ("/sessions/logout", json!({})),
        }
    }
}

impl FieldValue for DemoFault {
    fn parse(given: &Value) -> Result<Self, FieldError> {
        let named = Self::ALL.into_iter().find(|(name, _)| given.as_str() == Some(name)).map(|(_, fault)| fault);
        let names = Self::ALL.map(|(name, _)| name).join(", ");
        named.ok_or_else(|| FieldError::predicate(format!("must be one of {names}")))
    }
}

inline_schema!(DemoFault, |_| json_schema!({"type": "string", "enum": DemoFault::ALL.map(|(name, _)| name)}));

pub async fn write_as_contact(
    State(app): State<AppState>,
    JsonBody(body): JsonBody<DemoMessageRequest>,
) -> JsonResult<MessageResponse> {
    let simulator = simulator(&app)?;
    let mut errors = FieldErrors::new(ErrorCode::InvalidRequest);
    errors.refuse_unknown(&body.unknown);
    let contact = errors.take("contact", body.contact).map(|PhoneNumber(contact)| contact);
    let text = errors.take("text", body.text).map(|MessageText(text)| text);
    let (contact, text) = errors.finish(|| Some((contact?, text?)))?;
    let number = contact.user().to_owned();
    ask(simulator, &format!("/contacts/{number}/messages"), json!({"text": text})).await?;
    Ok(message_response("The contact wrote"))
}

pub async fn break_something(
    State(app): State<AppState>,
    JsonBody(body): JsonBody<DemoFaultRequest>,
) -> JsonResult<MessageResponse> {
    let simulator = simulator(&app)?;
    let mut errors = FieldErrors::new(ErrorCode::InvalidRequest);
    errors.refuse_unknown(&body.unknown);
    let fault = errors.take("fault", body.fault);
    let (path, body) = errors.finish(|| fault)?.request();
    ask(simulator, path, body).await?;
    Ok(message_response("It happens now, or to the next one"))
}

fn simulator(app: &AppState) -> Result<&Url, ApiError> {
    app.simulator_url.as_ref().ok_or_else(|| ApiError::new(ErrorCode::RouteNotFound, "Route not found"))
}

async fn ask(simulator: &Url, path: &str, body: Value) -> Result<(), ApiError> {
    let url = simulator.join(path).map_err(|_| ApiError::internal())?;
    let client = CLIENT.as_ref().ok_or_else(ApiError::internal)?;
    let asked = client.post(url).timeout(ANSWERS_WITHIN).json(&body).send().await;
    match asked.and_then(reqwest::Response::error_for_status) {
        Ok(_) => Ok(()),
        Err(error) => {
            tracing::warn!("the simulated WhatsApp did not do it: {error}");
            Err(ApiError::new(ErrorCode::TimedOut, "The simulated WhatsApp does not answer; does it run?"))
        }
    }
}
