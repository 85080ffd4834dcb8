//! Ends a pairing by code or by passkey that takes too long.

use super::SessionTask;
use crate::session::{passkey::PasskeyStep, state::SessionSignal};
use kurir_contract::clock;
use std::time::Duration;
use tokio::time::Instant;

/// WhatsApp takes a pairing code for three minutes (the client's own figure).
const PAIRING_CODE_LASTS: Duration = Duration::from_secs(180);
/// WhatsApp gives six QR codes. The client shows the first for 60 s and the others for 20 s each, and then closes the
/// connection, even if a pairing by passkey is under way.
const CODES_LAST: time::Duration = time::Duration::seconds(160);

impl SessionTask {
    /// Sets the deadlines that a signal brings, before the signal is applied.
    pub(super) fn set_deadlines(&mut self, signal: &mut SessionSignal) {
        if let SessionSignal::QrCodesExhausted { can_still_pair: true } = signal {
            self.pairing_code_until = Some(Instant::now() + PAIRING_CODE_LASTS);
        }
        let is_first_code = self.state.qr_code().is_none() && !self.state.passkey().is_under_way();
        if matches!(signal, SessionSignal::QrCode(_)) && is_first_code {
            self.codes_until = Some(clock::now() + CODES_LAST);
        }
        if let (SessionSignal::Passkey(PasskeyStep::Requested(request)), Some(until)) = (signal, self.codes_until) {
            request.until = request.until.min(until);
        }
    }

    /// The signal of a deadline that has passed, if one has.
    pub(super) fn take_expired(&mut self) -> Option<SessionSignal> {
        if self.pairing_code_until.is_some_and(|until| until <= Instant::now()) {
            self.pairing_code_until = None;
            return Some(SessionSignal::PairingCodeExpired);
        }
        let expired = self.state.passkey().until().is_some_and(|until| until <= clock::now());
        expired.then_some(SessionSignal::Passkey(PasskeyStep::Expired))
    }
}
