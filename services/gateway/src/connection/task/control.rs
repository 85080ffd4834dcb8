//! What a user asks the session's task for.

use super::SessionTask;
use crate::session::{
    ControlRequest,
    state::{SessionEnd, SessionSignal, SessionState},
};
use kurir_contract::{command::LoggedOut, session::SessionStatus};

impl SessionTask {
    pub(super) async fn handle_control(&mut self, control: ControlRequest) -> anyhow::Result<()> {
        // A caller that has gone needs no answer.
        match control {
            ControlRequest::Restart(answer) => {
                self.apply(SessionSignal::RestartAsked).await?;
                let _ = answer.send(());
            }
            ControlRequest::Logout(answer) => {
                let has_keys = self.view.borrow().own.is_some();
                let was_paired = has_keys && !self.is_logged_out();
                // Keys that nobody can read are wiped, too: the user pairs again.
                let is_damaged = self.state.status() == SessionStatus::Damaged;
                if has_keys || is_damaged {
                    self.apply(SessionSignal::LogoutAsked).await?;
                }
                let _ = answer.send(LoggedOut { was_paired });
            }
            ControlRequest::Passkey(ask, answer) => self.handle_passkey(ask, answer).await?,
            ControlRequest::Install(keys, answer) => {
                let _ = answer.send(self.install(keys).await?);
            }
        }
        Ok(())
    }

    fn is_logged_out(&self) -> bool {
        matches!(self.state, SessionState::Ended(SessionEnd::LoggedOut { .. }))
    }
}
