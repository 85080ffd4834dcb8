//! When a pairing must be done: by code, or by passkey.

use super::{
    super::{passkey::PasskeyStep, state::SessionSignal},
    SessionTask,
};
use std::time::Duration;
use time::OffsetDateTime;
use tokio::time::Instant;

/// WhatsApp takes a pairing code for three minutes (the client's own figure).
const PAIRING_CODE_LASTS: Duration = Duration::from_secs(180);
/// WhatsApp gives six QR codes, of which the client shows the first for 60 s and the others for 20 s each. Then it closes the
/// connection, whatever else goes on over it.
const CODES_LAST: time::Duration = time::Duration::seconds(160);

impl SessionTask {
    /// Before a step: what it says of the time that is left.
    pub(super) fn set_deadlines(&mut self, signal: &mut SessionSignal) {
        if let SessionSignal::QrCodesExhausted { life_goes_on: true } = signal {
            self.pairing_code_until = Some(Instant::now() + PAIRING_CODE_LASTS);
        }
        let is_first_code = self.state.qr_code().is_none() && !self.state.passkey().is_under_way();
        if matches!(signal, SessionSignal::QrCode(_)) && is_first_code {
            self.codes_until = Some(OffsetDateTime::now_utc() + CODES_LAST);
        }
        if let (SessionSignal::Passkey(PasskeyStep::Requested(request)), Some(until)) = (signal, self.codes_until) {
            request.until = request.until.min(until);
        }
    }

    /// Which of them has passed.
    pub(super) fn take_expired(&mut self) -> Option<SessionSignal> {
        if self.pairing_code_until.is_some_and(|until| until <= Instant::now()) {
            self.pairing_code_until = None;
            return Some(SessionSignal::PairingCodeExpired);
        }
        let expired = self.state.passkey().until().is_some_and(|until| until <= OffsetDateTime::now_utc());
        expired.then_some(SessionSignal::Passkey(PasskeyStep::Expired))
    }
}
