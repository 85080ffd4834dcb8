//! What goes back to a caller: JSON with `success`, and for every error a `message` and a stable `code`.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header::RETRY_AFTER},
    response::{IntoResponse, Response},
};
use kurir_contract::endpoint::FieldProblem;
use serde::Serialize;
use serde_json::{Value, json};
use std::{any::Any, borrow::Cow};

/// What a route gives.
pub type JsonResult = Result<Json<Value>, ApiError>;

/// An error as its caller sees it. What the log needs beside it was logged where it happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    pub status: StatusCode,
    pub code: ErrorCode,
    pub message: Cow<'static, str>,
    /// What is wrong with each field; empty unless that is why.
    pub problems: Vec<FieldProblem>,
    /// Seconds after which the same request may succeed, if that is known.
    pub retry_after: Option<u64>,
}

/// What a program may branch on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum ErrorCode {
    Name(&'static str),
    /// WhatsApp's own number.
    WhatsApp(u16),
}

impl ApiError {
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self { status, code: ErrorCode::Name(code), message: message.into(), problems: Vec::new(), retry_after: None }
    }

    /// A body that cannot be taken, with everything that is wrong with it.
    pub fn invalid(code: &'static str, problems: Vec<FieldProblem>) -> Self {
        let told: Vec<String> =
            problems.iter().map(|problem| format!("{} {}", problem.field, problem.message)).collect();
        Self { problems, ..Self::bad_request(code, told.join("; ")) }
    }

    pub fn not_found(code: &'static str, message: &'static str) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, message)
    }

    pub fn bad_request(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    pub fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "Internal server error")
    }

    /// NATS is away, or does not answer.
    pub fn broker_unavailable() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "broker_unavailable",
            "The message broker (NATS) is not available; nothing was done. Try again later.",
        )
    }

    /// NATS is there and did not take what was to be stored.
    pub fn not_stored() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "not_stored",
            "The message broker (NATS) did not store the change; its disk may be full",
        )
    }

    /// NATS is away, when what was asked for is already on its way.
    pub fn broker_lost() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "broker_unavailable",
            "The connection to the message broker (NATS) was lost; whether the request was done is unknown.",
        )
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut body = json!({"success": false, "message": self.message, "code": self.code});
        if !self.problems.is_empty() {
            body["problems"] = json!(self.problems);
        }
        let mut response = (self.status, Json(body)).into_response();
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// For every path that is no route, and every method that a route does not know.
pub async fn route_not_found() -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, "route_not_found", "Route not found")
}

/// For a route that panicked; the panic's own hook wrote to standard error.
pub fn after_panic(panic: Box<dyn Any + Send>) -> Response {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    tracing::error!("a route panicked: {}", text.unwrap_or("no text"));
    ApiError::internal().into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_answer_too() {
        let response = after_panic(Box::new("out of luck"));
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(response.headers()["content-type"], "application/json");
    }
}
