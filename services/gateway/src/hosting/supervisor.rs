//! Runs the sessions of this gateway until the shutdown.

use super::session_service::{SessionContext, SessionFailure, run_session};
use crate::config::GatewayConfig;
use kurir_chassis::shutdown::CancellationToken;
use kurir_contract::session::SessionId;
use std::time::Duration;
use tokio::time::sleep;

/// How often a gateway says again that another one holds its session.
const REMIND_EVERY: Duration = Duration::from_secs(60);

pub struct Supervisor {
    context: SessionContext,
    config: GatewayConfig,
}

impl Supervisor {
    #[must_use]
    pub fn new(context: SessionContext, config: GatewayConfig) -> Self {
        Self { context, config }
    }

    /// Runs until the shutdown; also without a session, if another gateway holds it.
    ///
    /// # Errors
    /// If the session fails.
    pub async fn run(self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let session = SessionId::default();
        // A token of its own: a session that fails must not end what releases it.
        match run_session(&self.context, &self.config, &session, shutdown.child_token()).await {
            Ok(()) => Ok(()),
            Err(SessionFailure::Failed(error)) => Err(error),
            Err(SessionFailure::HeldElsewhere(elsewhere)) => {
                self.context.health.set_problem(elsewhere.to_string());
                // A gateway whose folder is another one must never follow by itself: its keys are old, or none.
                loop {
                    tracing::error!(session.id = %session, "{elsewhere}");
                    if shutdown.run_until_cancelled(sleep(REMIND_EVERY)).await.is_none() {
                        return Ok(());
                    }
                }
            }
        }
    }
}
