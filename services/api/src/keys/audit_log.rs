//! The audit log: every request that may change something, after its answer. It never delays the answer.

use super::caller::Caller;
use crate::{access_log::RequestPath, app_state::AppState, connection_phase::ConnectionPhase, request_id::request_id};
use axum::{
    body::{Body, HttpBody as _, to_bytes},
    extract::{MatchedPath, Request, State},
    http::{Method, header::CONTENT_TYPE},
    middleware::Next,
    response::Response,
};
use kurir_chassis::publish::OutgoingMessage;
use kurir_contract::{audit::AuditEntry, clock, event::EventId, header, subject};
use serde_json::Value;
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// Answers that name what they made are short; a list of results is not read.
const LARGEST_ANSWER: u64 = 64 * 1024;
/// An outage of the broker that is longer leaves a gap, and a line in the log.
const STORED_WITHIN: Duration = Duration::from_secs(20);

/// Around every route that wants a key.
pub async fn record_changes(State(app): State<AppState>, request: Request, next: Next) -> Response {
    let (method, extensions) = (request.method(), request.extensions());
    let (Some(caller), false) = (extensions.get::<Caller>().cloned(), method == Method::GET || method == Method::HEAD)
    else {
        return next.run(request).await;
    };
    let route = extensions.get::<MatchedPath>().map_or("(no route)", MatchedPath::as_str);
    let address = extensions.get::<Arc<ConnectionPhase>>().map(|phase| phase.address().to_string());
    let mut entry = AuditEntry {
        at: clock::now_iso(),
        key_id: caller.key_id,
        key_name: caller.key_name,
        via_dashboard: caller.via_dashboard,
        action: format!("{method} {route}"),
        path: extensions.get::<RequestPath>().map(|RequestPath(path)| path.clone()).unwrap_or_default(),
        target: None,
        status: 0,
        address: address.unwrap_or_default(),
        request_id: request_id(request.headers()).to_str().unwrap_or_default().to_owned(),
    };
    let response = next.run(request).await;
    entry.status = response.status().as_u16();
    let (response, target) = read_target(response).await;
    entry.target = target;
    app.clone().publish_audit(entry);
    response
}

/// The id that the answer names, if it is a short one in JSON.
async fn read_target(response: Response) -> (Response, Option<String>) {
    let is_json = response.headers().get(CONTENT_TYPE).is_some_and(|value| value.as_bytes() == b"application/json");
    let is_short = response.body().size_hint().upper().is_some_and(|bytes| bytes <= LARGEST_ANSWER);
    if !is_json || !is_short {
        return (response, None);
    }
    let (head, body) = response.into_parts();
    // It is in memory already.
    let bytes = to_bytes(body, usize::MAX).await.unwrap_or_default();
    let answer: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let named = [&answer["messageId"], &answer["data"]["id"], &answer["data"]["messageId"]];
    let target = named.into_iter().find_map(|id| id.as_str().map(str::to_owned));
    (Response::from_parts(head, Body::from(bytes)), target)
}

impl AppState {
    /// Stores an entry behind the answer.
    fn publish_audit(self, entry: AuditEntry) {
        let app = self.clone();
        self.spawn_tracked(async move {
            let mut headers = async_nats::HeaderMap::new();
            headers.insert(header::EVENT_ID, EventId::random().as_str());
            let payload = serde_json::to_vec(&entry).unwrap_or_default();
            let message = OutgoingMessage { subject: subject::audit(&entry.key_id), headers, payload: payload.into() };
            let stored = app.broker.publish_until_stored(&message, Instant::now() + STORED_WITHIN).await;
            if let Err(error) = stored {
                tracing::error!(
                    http.request_id = entry.request_id,
                    "failed to store an entry of the audit log: {error}"
                );
            }
        });
    }
}
