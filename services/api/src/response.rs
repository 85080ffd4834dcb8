//! What goes back to a caller: JSON with `success`, and for every error a `message` and a stable `code`.

use crate::error_code::ErrorCode;
use aide::{
    OperationOutput,
    generate::GenContext,
    openapi::{Operation, Response as ResponseDoc, StatusCode as StatusDoc},
};
use axum::{
    Json,
    http::{
        HeaderValue, StatusCode,
        header::{LOCATION, RETRY_AFTER, WWW_AUTHENTICATE},
    },
    response::{IntoResponse, Response},
};
use kurir_contract::endpoint::FieldProblem;
use schemars::JsonSchema;
use serde::Serialize;
use std::{any::Any, borrow::Cow, time::Duration};

/// What a route returns.
pub type JsonResult<T> = Result<Json<T>, ApiError>;

/// An error as its caller sees it. The route that made it has already logged what belongs into the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    pub code: ErrorCode,
    pub message: Cow<'static, str>,
    /// What is wrong with each field; empty unless that is why.
    pub problems: Vec<FieldProblem>,
    /// WhatsApp's own number, if WhatsApp refused.
    pub whatsapp_code: Option<u16>,
    /// When the same request may succeed.
    pub retry_after: Option<Duration>,
}

/// The body of every error.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ErrorResponse {
    /// Always `false`.
    #[schemars(extend("const" = false))]
    success: bool,
    /// For people; its text may change.
    message: Cow<'static, str>,
    code: ErrorCode,
    /// What is wrong with each field.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    problems: Vec<FieldProblem>,
    /// WhatsApp's own number, if WhatsApp refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    whatsapp_code: Option<u16>,
}

impl ApiError {
    pub fn new(code: ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        let message = message.into();
        Self { code, message, problems: Vec::new(), whatsapp_code: None, retry_after: code.retry_after() }
    }

    pub fn status(&self) -> StatusCode {
        self.code.status()
    }

    /// A request that cannot be taken, with everything that is wrong with it.
    pub fn invalid(code: ErrorCode, problems: Vec<FieldProblem>) -> Self {
        let texts: Vec<String> =
            problems.iter().map(|problem| format!("{} {}", problem.field, problem.message)).collect();
        Self { problems, ..Self::new(code, texts.join("; ")) }
    }

    /// The same error of a part of the request, whose name stands in front of its fields.
    pub fn within(self, part: &str) -> Self {
        let named = |problem: FieldProblem| FieldProblem { field: format!("{part}{}", problem.field), ..problem };
        Self { problems: self.problems.into_iter().map(named).collect(), ..self }
    }

    pub fn internal() -> Self {
        Self::new(ErrorCode::Internal, "Internal server error")
    }

    /// NATS is away, or does not answer.
    pub fn broker_unavailable() -> Self {
        let text = "The message broker (NATS) is not available; nothing was done. Try again later.";
        Self::new(ErrorCode::BrokerUnavailable, text)
    }

    /// NATS is there and did not take what was to be stored.
    pub fn not_stored() -> Self {
        let text = "The message broker (NATS) did not store the change; its disk may be full";
        Self::new(ErrorCode::NotStored, text)
    }

    /// NATS went away after the request had been handed over.
    pub fn broker_lost() -> Self {
        let text = "The connection to the message broker (NATS) was lost; whether the request was done is unknown.";
        Self::new(ErrorCode::BrokerUnavailable, text)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = self.status();
        let retry_after = self.retry_after;
        let Self { code, message, problems, whatsapp_code, .. } = self;
        let body = ErrorResponse { success: false, message, code, problems, whatsapp_code };
        let mut response = (status, Json(body)).into_response();
        if let Some(after) = retry_after {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(after.as_secs().max(1)));
        }
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("ApiKey realm=\"kurir\""));
        }
        response
    }
}

/// Its statuses and codes are named by each operation's own document.
impl OperationOutput for ApiError {
    type Inner = Self;
}

/// A result.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "{T}Response")]
pub struct DataResponse<T> {
    #[schemars(extend("const" = true))]
    success: bool,
    data: T,
}

/// A result with a text for people.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "{T}MessageResponse")]
pub struct MessageDataResponse<T> {
    #[schemars(extend("const" = true))]
    success: bool,
    message: &'static str,
    data: T,
}

/// A text for people.
#[derive(Serialize, JsonSchema)]
pub struct MessageResponse {
    success: bool,
    message: &'static str,
}

/// A page of a list.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "{T}PageResponse")]
pub struct PageResponse<T> {
    #[schemars(extend("const" = true))]
    success: bool,
    data: Vec<T>,
    /// `after` of the next page; null if this is the last one.
    next: Option<String>,
}

pub fn data_response<T>(data: T) -> Json<DataResponse<T>> {
    Json(DataResponse { success: true, data })
}

pub fn message_data_response<T>(message: &'static str, data: T) -> Json<MessageDataResponse<T>> {
    Json(MessageDataResponse { success: true, message, data })
}

pub fn message_response(message: &'static str) -> Json<MessageResponse> {
    Json(MessageResponse { success: true, message })
}

/// A 200 that says that there was nothing to do, as the contract has it.
pub fn nothing_done_response(message: &'static str) -> Json<MessageResponse> {
    Json(MessageResponse { success: false, message })
}

pub fn page_response<T>(data: Vec<T>, next: Option<String>) -> Json<PageResponse<T>> {
    Json(PageResponse { success: true, data, next })
}

/// 201: `location` is the path of what was created.
pub struct CreatedResponse<T> {
    pub location: String,
    pub body: Json<T>,
}

/// 202: `location` is the path under which the caller can follow the work.
pub struct AcceptedResponse<T> {
    pub location: String,
    pub body: Json<T>,
}

impl<T: Serialize> IntoResponse for CreatedResponse<T> {
    fn into_response(self) -> Response {
        (StatusCode::CREATED, [(LOCATION, self.location)], self.body).into_response()
    }
}

impl<T: Serialize> IntoResponse for AcceptedResponse<T> {
    fn into_response(self) -> Response {
        (StatusCode::ACCEPTED, [(LOCATION, self.location)], self.body).into_response()
    }
}

impl<T: JsonSchema> OperationOutput for CreatedResponse<T> {
    type Inner = T;

    fn inferred_responses(
        context: &mut GenContext,
        operation: &mut Operation,
    ) -> Vec<(Option<StatusDoc>, ResponseDoc)> {
        json_response_doc::<T>(StatusCode::CREATED, context, operation)
    }
}

impl<T: JsonSchema> OperationOutput for AcceptedResponse<T> {
    type Inner = T;

    fn inferred_responses(
        context: &mut GenContext,
        operation: &mut Operation,
    ) -> Vec<(Option<StatusDoc>, ResponseDoc)> {
        json_response_doc::<T>(StatusCode::ACCEPTED, context, operation)
    }
}

/// The document of an answer in JSON with this status.
pub fn json_response_doc<T: JsonSchema>(
    status: StatusCode,
    context: &mut GenContext,
    operation: &mut Operation,
) -> Vec<(Option<StatusDoc>, ResponseDoc)> {
    let response = Json::<T>::operation_response(context, operation);
    response.map(|response| (Some(StatusDoc::Code(status.as_u16())), response)).into_iter().collect()
}

/// The answer to a path that is no route.
pub async fn route_not_found() -> ApiError {
    ApiError::new(ErrorCode::RouteNotFound, "Route not found")
}

/// The answer to a method that the route does not have; axum adds `Allow`.
pub async fn method_not_allowed() -> ApiError {
    ApiError::new(ErrorCode::MethodNotAllowed, "Method not allowed")
}

/// The answer of a route that panicked; the panic's own hook wrote to standard error.
pub fn panic_response(panic: Box<dyn Any + Send>) -> Response {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    tracing::error!("a route panicked: {}", text.unwrap_or("no text"));
    ApiError::internal().into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_answered_with_json() {
        let response = panic_response(Box::new("out of luck"));
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(response.headers()["content-type"], "application/json");
    }

    #[test]
    fn an_outage_says_when_to_try_again() {
        assert_eq!(ApiError::broker_unavailable().into_response().headers()["retry-after"], "5");
        assert!(!ApiError::internal().into_response().headers().contains_key("retry-after"));
    }

    #[test]
    fn a_missing_key_says_how_to_authenticate() {
        let response = ApiError::new(ErrorCode::MissingApiKey, "API key is required").into_response();
        assert_eq!(response.headers()["www-authenticate"], "ApiKey realm=\"kurir\"");
    }
}
