//! Receives the client's events and passes them on: lifecycle events become signals, acknowledgements go to the waiting
//! sends, messages that did not pass the durability hook and notices go to their own publishers.
//!
//! It runs inline in the client, in the order of the events, and never waits.

use crate::{
    inbound::{notices::NoticeQueue, undecryptable::UndecryptableQueue, unhooked::UnhookedQueue},
    session::{
        acks::PendingAcks,
        appearance::OnlineAppearance,
        passkey::{PasskeyChallenge, PasskeyStep},
        phone::PhonePresence,
        state::{ConnectionSignal, SessionEnd, SessionSignal},
        watchdog::TrafficClock,
        whatsapp_hosts::WhatsappHosts,
    },
};
use kurir_contract::clock;
use std::{sync::Arc, time::Duration};
use time::OffsetDateTime;
use tokio::{sync::mpsc, time::Instant};
use wacore::types::events::{ConnectFailureReason, Event, EventHandler, EventInterest, EventKind};
use whatsapp_rust::OwnedNodeRef;

/// The listener of one connection.
pub struct ClientListener {
    pub connection: u64,
    pub signals: mpsc::Sender<ConnectionSignal>,
    pub acks: Arc<PendingAcks>,
    pub unhooked: UnhookedQueue,
    pub notices: NoticeQueue,
    pub undecryptable: UndecryptableQueue,
    pub appearance: OnlineAppearance,
    pub heard: TrafficClock,
    pub phone: PhonePresence,
    pub hosts: WhatsappHosts,
}

/// Tells the session that its proxy cannot be used.
#[derive(Clone)]
pub struct ProxyAlarm {
    connection: u64,
    signals: mpsc::Sender<ConnectionSignal>,
}

impl ProxyAlarm {
    pub fn raise(&self, reason: String) {
        // When the queue is full, the next try reports it.
        let _ = self.signals.try_send((self.connection, SessionSignal::ProxyFailed(reason)));
    }
}

impl ClientListener {
    #[must_use]
    pub fn proxy_alarm(&self) -> ProxyAlarm {
        ProxyAlarm { connection: self.connection, signals: self.signals.clone() }
    }
}

/// The events that the listener receives.
const INTEREST: [EventKind; 31] = [
    EventKind::PairingQrCode,
    EventKind::PairingQrCodesExhausted,
    EventKind::PairSuccess,
    EventKind::PairError,
    EventKind::PairPasskeyRequest,
    EventKind::PairPasskeyConfirmation,
    EventKind::PairPasskeyError,
    EventKind::Connected,
    EventKind::Disconnected,
    EventKind::LoggedOut,
    EventKind::StreamReplaced,
    EventKind::TemporaryBan,
    EventKind::ClientOutdated,
    EventKind::ConnectFailure,
    EventKind::ServerAck,
    EventKind::Messages,
    EventKind::RawNode,
    EventKind::UndecryptableMessage,
    EventKind::Receipt,
    EventKind::Presence,
    EventKind::ChatPresence,
    EventKind::GroupUpdate,
    EventKind::PictureUpdate,
    EventKind::UserAboutUpdate,
    EventKind::ContactUpdated,
    EventKind::ContactNumberChanged,
    EventKind::ContactUpdate,
    EventKind::IdentityChange,
    EventKind::IncomingCall,
    EventKind::MissedCall,
    EventKind::HistorySync,
];

impl EventHandler for ClientListener {
    fn handle_event(&self, event: Arc<Event>) {
        match &*event {
            Event::ServerAck(ack) => {
                self.acks.record_ack(ack);
                if ack.class.as_deref() == Some("message") {
                    self.notices.push(event);
                }
            }
            Event::Messages(batch) if !batch.hook_committed => self.unhooked.push(batch),
            Event::Messages(_) => {}
            Event::UndecryptableMessage(message) => self.undecryptable.push(message, Instant::now()),
            Event::Receipt(_)
            | Event::Presence(_)
            | Event::ChatPresence(_)
            | Event::GroupUpdate(_)
            | Event::PictureUpdate(_)
            | Event::UserAboutUpdate(_)
            | Event::ContactUpdated(_)
            | Event::ContactNumberChanged(_)
            | Event::ContactUpdate(_)
            | Event::IdentityChange(_)
            | Event::IncomingCall(_)
            | Event::MissedCall(_)
            | Event::HistorySync(_) => self.notices.push(event),
            Event::PairError(error) => {
                tracing::warn!("pairing failed: {}", error.error);
                self.send_signal(SessionSignal::PairingFailed(error.error.clone()));
            }
            Event::RawNode(stanza) => {
                self.heard.record_stanza(stanza.tag());
                self.phone.observe_stanza(stanza);
                #[cfg(feature = "simulator")]
                self.hosts.learn_simulated(stanza);
                if let Some(reason) = rejection_reason(stanza) {
                    self.send_signal(SessionSignal::TurnedAway(reason));
                }
            }
            event => {
                if let Event::Connected(_) = event {
                    self.appearance.notify_login();
                }
                if let Some(signal) = map_event(event, clock::now()) {
                    self.send_signal(signal);
                }
            }
        }
    }

    fn interest(&self) -> EventInterest {
        EventInterest::of(&INTEREST)
    }
}

impl ClientListener {
    fn send_signal(&self, signal: SessionSignal) {
        if let Err(error) = self.signals.try_send((self.connection, signal)) {
            // The queue has more room than a connection has lifecycle events.
            tracing::error!("a signal of the WhatsApp client was lost: {error}");
        }
    }
}

/// What an event of the client means for the session. Pure.
fn map_event(event: &Event, now: OffsetDateTime) -> Option<SessionSignal> {
    Some(match event {
        Event::PairingQrCode(qr) => SessionSignal::QrCode(qr.code.clone()),
        Event::PairingQrCodesExhausted(qr) => SessionSignal::QrCodesExhausted { can_still_pair: !qr.disconnected },
        Event::PairSuccess(_) => SessionSignal::Paired,
        Event::PairPasskeyRequest(asked) => {
            SessionSignal::Passkey(match PasskeyChallenge::parse(&asked.request_options_json, now) {
                Ok(request) => PasskeyStep::Requested(request),
                Err(error) => {
                    PasskeyStep::Failed(format!("WhatsApp's request for the passkey cannot be read: {error}"))
                }
            })
        }
        Event::PairPasskeyConfirmation(reached) => {
            SessionSignal::Passkey(PasskeyStep::Code { code: reached.code.clone(), skip: reached.skip_handoff_ux })
        }
        Event::PairPasskeyError(failed) => SessionSignal::Passkey(PasskeyStep::Failed(failed.error.clone())),
        Event::Connected(_) => SessionSignal::Connected,
        Event::Disconnected(lost) => SessionSignal::ConnectionLost(format!("the connection was lost: {}", lost.reason)),
        Event::LoggedOut(out) => SessionSignal::Ended(match out.reason {
            ConnectFailureReason::AccountLocked => SessionEnd::Locked {
                reason: "WhatsApp locked the account (403): the phone shows what to do".to_owned(),
            },
            _ if out.on_connect => SessionEnd::LoggedOut {
                reason: format!("WhatsApp no longer knows this device ({})", out.reason.code()),
            },
            _ => SessionEnd::LoggedOut { reason: "this device was removed on the phone".to_owned() },
        }),
        Event::StreamReplaced(_) => SessionSignal::Ended(SessionEnd::Replaced),
        Event::TemporaryBan(ban) => SessionSignal::Ended(SessionEnd::Banned {
            reason: format!("WhatsApp banned the number (402): {}", ban.code),
            until: ban.expire.to_std().ok().and_then(|left| ban_end(now, left)),
        }),
        Event::ClientOutdated(_) => SessionSignal::Ended(SessionEnd::Outdated),
        Event::ConnectFailure(failure) if failure.reason.should_reconnect() => {
            SessionSignal::TurnedAway(format!("WhatsApp is not available ({})", failure.reason.code()))
        }
        Event::ConnectFailure(failure) => match failure.reason {
            ConnectFailureReason::TempBanned => SessionSignal::Ended(SessionEnd::Banned {
                reason: "WhatsApp banned the number (402)".to_owned(),
                until: None,
            }),
            _ => SessionSignal::Ended(SessionEnd::Refused {
                reason: format!("WhatsApp refused the login ({})", failure.reason.code()),
            }),
        },
        // All other events say nothing about the connection.
        _ => return None,
    })
}

/// A duration beyond the calendar is a ban without an end.
fn ban_end(now: OffsetDateTime, left: Duration) -> Option<OffsetDateTime> {
    now.checked_add(left.try_into().ok()?)
}

/// The reason for which this stanza ends the connection for a while, if it does. The client has no event for these
/// stanzas.
fn rejection_reason(stanza: &OwnedNodeRef) -> Option<String> {
    match stanza.tag() {
        "xmlstreamend" => Some("WhatsApp closed the stream".to_owned()),
        "stream:error" => match stanza.get().get_attr("code")?.as_str().as_ref() {
            "429" => Some("WhatsApp asks to slow down (429)".to_owned()),
            "503" => Some("WhatsApp is not available (503)".to_owned()),
            // 515 is a reconnect that the client asked for. The other codes have events of their own.
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wacore::types::events::{
        ClientOutdated, ConnectFailure, LoggedOut, StreamReplaced, TempBanReason, TemporaryBan,
    };
    use whatsapp_rust::chrono;

    const NOW: OffsetDateTime = time::macros::datetime!(2026-11-24 12:00 UTC);

    fn logged_out(reason: ConnectFailureReason, on_connect: bool) -> Event {
        Event::LoggedOut(LoggedOut::builder().on_connect(on_connect).reason(reason).build())
    }

    fn failure(code: i32) -> Event {
        Event::ConnectFailure(ConnectFailure::builder().reason(ConnectFailureReason::from(code)).build())
    }

    fn ban(left: chrono::Duration) -> Event {
        Event::TemporaryBan(TemporaryBan::builder().code(TempBanReason::BlockedByUsers).expire(left).build())
    }

    #[test]
    fn each_ending_has_its_own_state() {
        let status = |event: &Event| match map_event(event, NOW) {
            Some(SessionSignal::Ended(end)) => crate::session::state::SessionState::Ended(end).status(),
            other => panic!("{event:?} gave {other:?}"),
        };
        use kurir_contract::session::SessionStatus as S;
        for (event, expected) in [
            (logged_out(ConnectFailureReason::LoggedOut, false), S::LoggedOut),
            (logged_out(ConnectFailureReason::LoggedOut, true), S::LoggedOut),
            (logged_out(ConnectFailureReason::UnknownLogout, true), S::LoggedOut),
            (logged_out(ConnectFailureReason::AccountLocked, true), S::Locked),
            (Event::StreamReplaced(StreamReplaced::builder().build()), S::Replaced),
            (Event::ClientOutdated(ClientOutdated::builder().build()), S::Outdated),
            (ban(chrono::Duration::hours(1)), S::Banned),
            (failure(402), S::Banned),
            (failure(400), S::Refused),
            (failure(418), S::Refused),
        ] {
            assert_eq!(status(&event), expected);
        }
    }

    #[test]
    fn a_ban_says_when_it_ends() {
        let until = |event: &Event| match map_event(event, NOW) {
            Some(SessionSignal::Ended(SessionEnd::Banned { until, .. })) => until,
            other => panic!("{other:?}"),
        };
        assert_eq!(until(&ban(chrono::Duration::hours(1))), Some(time::macros::datetime!(2026-11-24 13:00 UTC)));
        assert_eq!(until(&ban(chrono::Duration::MAX)), None);
        assert_eq!(until(&failure(402)), None);
    }

    #[test]
    fn a_server_that_is_down_is_tried_again() {
        for code in [500, 503] {
            let signal = map_event(&failure(code), NOW);
            assert_eq!(signal, Some(SessionSignal::TurnedAway(format!("WhatsApp is not available ({code})"))));
        }
    }
}
