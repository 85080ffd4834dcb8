//! `/api/sessions`: the sessions that are known, each as its gateway says.

use crate::{
    app_state::AppState,
    keys::Caller,
    response::{JsonResult, PageResponse, page_response},
};
use axum::extract::State;
use kurir_contract::session::{SessionId, SessionStatus};
use schemars::JsonSchema;
use serde::Serialize;
use std::time::Duration;

/// Gateways answer in milliseconds; one that needs longer is shown as missing.
const ANSWERS_WITHIN: Duration = Duration::from_secs(2);
/// Sessions of one installation.
const MOST: usize = 200;

/// A session.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionView {
    id: SessionId,
    /// Null if no gateway answers for it.
    status: Option<SessionStatus>,
    is_connected: bool,
    /// Whether a QR code waits to be scanned.
    has_qr_code: bool,
    reason: Option<String>,
    until: Option<String>,
    /// The account's address.
    jid: Option<String>,
}

/// `default`, and all of which the search index has events.
pub async fn list(State(app): State<AppState>, caller: Caller) -> JsonResult<PageResponse<SessionView>> {
    let known = app.index.query(|connection| {
        // Skips from one session to the next within its index.
        let sql = "WITH RECURSIVE found (session) AS (
                     SELECT min(session) FROM events
                     UNION ALL
                     SELECT (SELECT min(session) FROM events WHERE session > found.session) FROM found
                     WHERE found.session IS NOT NULL)
                   SELECT session FROM found WHERE session IS NOT NULL LIMIT ?1";
        connection.prepare_cached(sql)?.query_map([MOST], |row| row.get::<_, String>(0))?.collect()
    });
    let known: Vec<String> = known.await?;
    let mut sessions: Vec<SessionId> = known.iter().filter_map(|session| session.parse().ok()).collect();
    sessions.push(SessionId::default());
    sessions.sort();
    sessions.dedup();
    sessions.retain(|session| caller.sees(session.as_str()));
    let views = futures::future::join_all(sessions.into_iter().map(|session| ask(&app, session))).await;
    Ok(page_response(views, None))
}

async fn ask(app: &AppState, id: SessionId) -> SessionView {
    let answer = tokio::time::timeout(ANSWERS_WITHIN, app.gateway.status(&id)).await;
    let Ok(Ok(info)) = answer else {
        return SessionView {
            id,
            status: None,
            is_connected: false,
            has_qr_code: false,
            reason: None,
            until: None,
            jid: None,
        };
    };
    SessionView {
        id,
        status: Some(info.status),
        is_connected: info.is_connected,
        has_qr_code: info.qr_code.is_some(),
        reason: info.reason,
        until: info.until,
        jid: info.jid.map(|jid| jid.as_str().to_owned()),
    }
}
