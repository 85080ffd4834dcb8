//! `GET /api/sessions` and `GET /api/sessions/{session}`.

use super::session_view::SessionView;
use crate::{
    app_state::AppState,
    error_code::ErrorCode,
    extract::{QueryParams, SessionPath},
    fields::{CursorText, Field, FieldError, FieldErrors, FieldValue, PageLimit, PageQuery, inline_schema},
    keys::Caller,
    response::{DataResponse, JsonResult, PageResponse, data_response, page_response},
};
use axum::extract::State;
use futures::{StreamExt as _, stream};
use kurir_contract::{
    session::{SessionId, SessionStatus},
    session_record::{DesiredState, SessionRecord},
};
use schemars::{JsonSchema, json_schema};
use serde::Deserialize;
use serde_json::Value;

/// Gateways that are asked at the same time for the state of a session.
const ASKED_AT_ONCE: usize = 32;

pub async fn show_session(
    State(app): State<AppState>,
    SessionPath(session): SessionPath,
) -> JsonResult<DataResponse<SessionView>> {
    let record = app.session_store.get(&session).await?;
    Ok(data_response(view(&app, session, record).await))
}

/// Which part of the list, and of which state.
#[derive(Deserialize, JsonSchema)]
pub struct SessionQuery {
    limit: Option<Field<PageLimit>>,
    after: Option<Field<CursorText>>,
    /// Only sessions of this state; `stopped` for those that do not run.
    status: Option<Field<StatusFilter>>,
}

/// A state that sessions are chosen by.
pub struct StatusFilter(String);

impl FieldValue for StatusFilter {
    fn parse(given: &Value) -> Result<Self, FieldError> {
        let known = |text: &&str| *text == STOPPED || serde_json::from_value::<SessionStatus>((*text).into()).is_ok();
        let text = given.as_str().filter(known);
        text.map(|text| Self(text.to_owned())).ok_or_else(|| FieldError::predicate("is no state of a session"))
    }
}

inline_schema!(StatusFilter, |_| json_schema!({"type": "string", "examples": ["connected", "pairing", "stopped"]}));

const STOPPED: &str = "stopped";

/// In the order of their ids; a key that is bound to sessions sees these alone.
pub async fn list_sessions(
    State(app): State<AppState>,
    caller: Caller,
    QueryParams(query): QueryParams<SessionQuery>,
) -> JsonResult<PageResponse<SessionView>> {
    let mut errors = FieldErrors::new(ErrorCode::InvalidQuery);
    let (limit, after) = PageQuery { limit: query.limit, after: query.after }.read(&mut errors);
    let status = errors.take_optional("status", query.status).map(|StatusFilter(status)| status);
    errors.finish(|| Some(()))?;
    let records = app.session_store.all().await?;
    let records = records.into_iter().filter(|(id, _)| caller.sees(id.as_str()));
    let rest = records.filter(|(id, _)| after.as_ref().is_none_or(|after| id.as_str() > after.as_str()));
    let views = stream::iter(rest).map(|(id, record)| view(&app, id, record)).buffered(ASKED_AT_ONCE);
    let fits = |view: &SessionView| status.as_ref().is_none_or(|status| view.state_name() == status);
    let mut page: Vec<SessionView> =
        views.filter(|view| std::future::ready(fits(view))).take(limit + 1).collect().await;
    let has_more = page.len() > limit;
    page.truncate(limit);
    let next = page.last().filter(|_| has_more).map(|last| last.id().to_string());
    Ok(page_response(page, next))
}

async fn view(app: &AppState, session: SessionId, record: SessionRecord) -> SessionView {
    let info = match record.desired {
        DesiredState::Running => app.gateway.status(&session).await.ok(),
        DesiredState::Stopped | DesiredState::Deleted => None,
    };
    SessionView::new(session, record, info)
}
