//! `/api/sessions`: the sessions as resources. A route writes what shall be; a gateway brings it about.

mod change;
mod create;
mod delete;
mod session_input;
mod session_view;
mod show;
mod transfer;

pub use change::{change_session, start_session, stop_session};
pub use create::create_session;
pub use delete::delete_session;
pub use show::{list_sessions, show_session};
pub use transfer::{adopt_session, export_session, import_session};

use crate::{app_state::AppState, command_request::CommandFailure, response::ApiError};
use kurir_contract::{
    clock,
    command::SessionInfo,
    event::{EventEnvelope, EventType, SessionChanged},
    session::SessionId,
    session_record::SessionRecord,
    subject,
};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long a caller waits for a gateway that takes a session.
const TAKEN_WITHIN: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Waits until a gateway holds the session, so that the caller's next request finds it; none if none takes it in time.
async fn wait_until_taken(app: &AppState, session: &SessionId) -> Option<SessionInfo> {
    let asked = poll(TAKEN_WITHIN, || async {
        match app.gateway.status(session).await {
            Err(CommandFailure::SessionMoving | CommandFailure::NobodyThere) => None,
            answered => Some(answered.ok()),
        }
    });
    asked.await.flatten()
}

/// Asks again and again until there is an answer; none if there is none in time.
async fn poll<T, F: Future<Output = Option<T>>>(within: Duration, ask: impl Fn() -> F) -> Option<T> {
    let deadline = Instant::now() + within;
    loop {
        match ask().await {
            None if Instant::now() < deadline => sleep(LOOK_EVERY).await,
            answer => return answer,
        }
    }
}

/// Publishes a `session.…` event about what a caller did.
async fn publish_change(
    app: &AppState,
    event: EventType,
    session: &SessionId,
    record: &SessionRecord,
) -> Result<(), ApiError> {
    let now = clock::now();
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
