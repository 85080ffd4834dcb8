//! Reports what the state does not show: a silent connection, and a phone that is away or back.

use super::SessionTask;
use crate::session::{
    phone::{PhoneStep, to_time},
    state::{SessionSignal, SessionState},
};
use kurir_contract::{
    clock,
    event::{EventType, PhoneOffline, PhoneOnline, SessionSilent},
};

impl SessionTask {
    /// Reports what a signal says besides the change of the state.
    pub(super) fn report_signal(&self, signal: &SessionSignal) {
        match signal {
            SessionSignal::Silent(silence) => {
                let session = &self.inbound.session;
                self.publisher.metrics.count_silence(session, silence.noticed_by);
                self.changes.push_event(session, EventType::SESSION_SILENT, |event_id, timestamp| SessionSilent {
                    silent_for_seconds: silence.lasted.as_secs(),
                    noticed_by: silence.noticed_by,
                    timestamp,
                    session: session.clone(),
                    event_id,
                });
            }
            // The phone just scanned a code, or accepted one.
            SessionSignal::Paired => self.phone.mark_seen(true),
            SessionSignal::Connected => self.phone.mark_seen(false),
            SessionSignal::QrCode(_)
            | SessionSignal::QrCodesExhausted { .. }
            | SessionSignal::PairingCodeExpired
            | SessionSignal::PairingFailed(_)
            | SessionSignal::Passkey(_)
            | SessionSignal::ConnectionLost(_)
            | SessionSignal::TurnedAway(_)
            | SessionSignal::ProxyFailed(_)
            | SessionSignal::Ended(_)
            | SessionSignal::ConnectionEnded
            | SessionSignal::NotKept(_)
            | SessionSignal::BrokerLost
            | SessionSignal::CannotStore(_)
            | SessionSignal::BrokerReady
            | SessionSignal::RestartAsked
            | SessionSignal::LogoutAsked => {}
        }
    }

    /// Saves when the phone was seen, and takes the step that is due.
    pub(super) fn check_phone(&mut self) {
        self.save_phone(false);
        if self.state != SessionState::Connected {
            return;
        }
        let session = &self.inbound.session;
        if let Some(seen) = self.phone.last_seen() {
            self.publisher.metrics.record_phone_seen(session, seen.unix_timestamp());
        }
        let Some(step) = self.phone.take_step(self.config.whatsapp_phone_offline_after) else { return };
        // Saved first: after a crash here the report comes a day late, and a gateway that crashes often does not warn
        // each time.
        self.save_phone(false);
        let iso = |last_seen| to_time(last_seen).map(clock::iso);
        match step {
            PhoneStep::Ask => {
                if let Some(connection) = &mut self.connection {
                    connection.ask_phone();
                }
            }
            PhoneStep::Away { last_seen, days_left } => {
                tracing::warn!(session.id = %session, "the phone of session {session} is away: WhatsApp removes this device in {days_left} day(s)");
                self.changes.push_event(session, EventType::SESSION_PHONE_OFFLINE, |event_id, timestamp| {
                    PhoneOffline { last_seen: iso(last_seen), days_left, timestamp, session: session.clone(), event_id }
                });
            }
            PhoneStep::Back { last_seen } => {
                tracing::info!(session.id = %session, "the phone of session {session} is back");
                self.changes.push_event(session, EventType::SESSION_PHONE_ONLINE, |event_id, timestamp| PhoneOnline {
                    last_seen: iso(last_seen),
                    timestamp,
                    session: session.clone(),
                    event_id,
                });
            }
        }
    }

    /// Saves the file. If that fails, a warning comes late or twice.
    pub(super) fn save_phone(&self, cannot_wait: bool) {
        if let Err(error) = self.phone.save(cannot_wait) {
            tracing::warn!("failed to save when the phone was seen: {error}");
        }
    }
}
