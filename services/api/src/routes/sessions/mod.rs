//! `/api/sessions`: the sessions as resources. A route writes what shall be; a gateway brings it about.

mod change;
mod create;
mod delete;
mod session_input;
mod session_view;
mod show;

pub use change::{change_session, start_session, stop_session};
pub use create::create_session;
pub use delete::delete_session;
pub use show::{list_sessions, show_session};

use crate::{app_state::AppState, response::ApiError};
use kurir_contract::{
    clock,
    event::{EventEnvelope, EventType, SessionChanged},
    session::SessionId,
    session_record::SessionRecord,
    subject,
};
use time::OffsetDateTime;

/// Publishes a `session.…` event about what a caller did.
async fn publish_change(
    app: &AppState,
    event: EventType,
    session: &SessionId,
    record: &SessionRecord,
) -> Result<(), ApiError> {
    let now = OffsetDateTime::now_utc();
    let data = SessionChanged {
        session: session.clone(),
        name: record.name.clone(),
        session_metadata: record.metadata.clone(),
        timestamp: clock::iso(now),
    };
    let data = serde_json::to_value(data).map_err(|_| ApiError::internal())?;
    let subject = subject::event(session, &event);
    app.events.publish_to(&subject, &EventEnvelope::new(event, now, data)).await?;
    Ok(())
}
