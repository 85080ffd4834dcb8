//! `/api/login`: how a browser gets, shows and gives back its cookie. Programs send their key and need none of this.

use crate::{
    app_state::AppState,
    auth::caller_of_key,
    connection_phase::ConnectionPhase,
    error_code::ErrorCode,
    extract::JsonBody,
    fields::{Field, FieldErrors, Text},
    keys::{Caller, LoginCookies, Scope},
    response::{ApiError, DataResponse, JsonResult, data_response},
};
use aide::openapi::{Response as ResponseDoc, StatusCode as StatusDoc};
use aide::{OperationInput, OperationOutput, generate::GenContext, openapi::Operation};
use axum::{
    Json,
    extract::{FromRequestParts, State},
    http::{Extensions, HeaderMap, HeaderValue, header::SET_COOKIE, request::Parts},
    response::{IntoResponse, Response},
};
use kurir_contract::session::SessionId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{convert::Infallible, sync::Arc};

/// The key to log in with.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LoginRequest {
    api_key: Field<Text<1, 512>>,
}

/// Who is logged in, or whose key it is.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LoginView {
    key_id: String,
    key_name: String,
    scopes: Vec<Scope>,
    /// Empty: all.
    sessions: Vec<SessionId>,
    /// What a browser that is logged in sends as `X-CSRF-Token` with every change; null for a program.
    csrf_token: Option<String>,
}

impl LoginView {
    fn new(caller: Caller, csrf_token: Option<String>) -> Self {
        let Caller { key_id, key_name, scopes, sessions, .. } = caller;
        Self { key_id, key_name, scopes, sessions, csrf_token }
    }
}

/// An answer that sets the cookie.
pub struct CookieResponse<T> {
    cookie: String,
    body: Json<T>,
}

impl<T: Serialize> IntoResponse for CookieResponse<T> {
    fn into_response(self) -> Response {
        let mut response = self.body.into_response();
        // It has visible ASCII only.
        if let Ok(cookie) = HeaderValue::from_str(&self.cookie) {
            response.headers_mut().insert(SET_COOKIE, cookie);
        }
        response
    }
}

impl<T: JsonSchema + Serialize> OperationOutput for CookieResponse<T> {
    type Inner = T;

    fn inferred_responses(
        context: &mut GenContext,
        operation: &mut Operation,
    ) -> Vec<(Option<StatusDoc>, ResponseDoc)> {
        Json::<T>::inferred_responses(context, operation)
    }
}

/// What a login needs of its request besides the body.
pub struct RequestHead {
    headers: HeaderMap,
    extensions: Extensions,
}

impl<S: Send + Sync> FromRequestParts<S> for RequestHead {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self { headers: parts.headers.clone(), extensions: parts.extensions.clone() })
    }
}

impl OperationInput for RequestHead {}

pub async fn log_in(
    State(app): State<AppState>,
    head: RequestHead,
    JsonBody(body): JsonBody<LoginRequest>,
) -> Result<CookieResponse<DataResponse<LoginView>>, ApiError> {
    let mut errors = FieldErrors::new(ErrorCode::InvalidApiKey);
    let given = errors.take("apiKey", body.api_key);
    let Text(given) = errors.finish(|| given)?;
    let caller = caller_of_key(&app, &given, &head.extensions)?;
    let proxied = head.headers.get("x-forwarded-proto").is_some_and(|scheme| scheme.as_bytes() == b"https");
    let is_https = proxied || head.extensions.get::<Arc<ConnectionPhase>>().is_some_and(|phase| phase.is_tls());
    let cookie = app.login_cookies.issue(&caller, &app.api_key, is_https).await?;
    tracing::info!("a browser logged in with the key {}", caller.key_id);
    // The page that is loaded next has the token.
    Ok(CookieResponse { cookie, body: data_response(LoginView::new(caller, None)) })
}

pub async fn show_login(
    State(app): State<AppState>,
    caller: Caller,
    head: RequestHead,
) -> JsonResult<DataResponse<LoginView>> {
    let login = app.login_cookies.read(&head.headers, &app.api_key, &app.keys);
    let token = login.filter(|_| caller.via_dashboard).map(|(_, token)| token);
    Ok(data_response(LoginView::new(caller, token)))
}

pub async fn log_out() -> CookieResponse<DataResponse<bool>> {
    CookieResponse { cookie: LoginCookies::expire(), body: data_response(true) }
}
