//! One row for each step of the session's states.

use super::{
    super::{
        passkey::{PasskeyCeremony, PasskeyChallenge, PasskeyStep},
        watchdog::DetectedSilence,
    },
    SessionAction, SessionEnd, SessionSignal, SessionState, next_state,
};
use kurir_contract::event::NoticedBy;
use std::time::Duration;

fn pairing(code: &str) -> SessionState {
    SessionState::Pairing { qr_code: Some(code.to_owned()), passkey: PasskeyCeremony::None }
}

const BETWEEN_CODES: SessionState = SessionState::Pairing { qr_code: None, passkey: PasskeyCeremony::None };

fn passkey(passkey: PasskeyCeremony) -> SessionState {
    SessionState::Pairing { qr_code: None, passkey }
}

fn request() -> PasskeyChallenge {
    let now = time::macros::datetime!(2026-11-24 12:00 UTC);
    PasskeyChallenge::parse(r#"{"challenge":"YWJj"}"#, now).expect("options")
}

fn reconnecting(reason: &str) -> SessionState {
    SessionState::Reconnecting { reason: reason.to_owned() }
}

fn away(reason: &str) -> SessionState {
    SessionState::ProxyAway { reason: reason.to_owned() }
}

fn no_proxy(reason: &str) -> SessionSignal {
    SessionSignal::ProxyFailed(reason.to_owned())
}

fn lost(reason: &str) -> SessionSignal {
    SessionSignal::ConnectionLost(reason.to_owned())
}

fn turned_away(reason: &str) -> SessionSignal {
    SessionSignal::TurnedAway(reason.to_owned())
}

fn silent() -> SessionSignal {
    SessionSignal::Silent(DetectedSilence { lasted: Duration::from_secs(70), noticed_by: NoticedBy::Ping })
}

fn logged_out() -> SessionEnd {
    SessionEnd::LoggedOut { reason: "the phone removed this device".to_owned() }
}

fn ends() -> [SessionEnd; 7] {
    let reason = String::from("why");
    [
        logged_out(),
        SessionEnd::Replaced,
        SessionEnd::Banned { reason: reason.clone(), until: None },
        SessionEnd::Locked { reason: reason.clone() },
        SessionEnd::Outdated,
        SessionEnd::Refused { reason: reason.clone() },
        SessionEnd::Damaged { reason },
    ]
}

#[test]
fn each_signal_makes_its_step() {
    use SessionAction::{Connect, ConnectLater, Disconnect, Nothing};
    use SessionState::{Connected, Connecting, WaitingForBroker};
    let qr = |code: &str| SessionSignal::QrCode(code.to_owned());
    let exhausted = SessionSignal::QrCodesExhausted { can_still_pair: false };
    let ended = reconnecting("the client ended without a reason");
    let not_kept = || SessionSignal::NotKept("full".to_owned());
    for (state, signal, expected) in [
        // Until the proxy serves again, everything that fails fails because of it.
        (Connecting, no_proxy("refused"), (away("refused"), Nothing)),
        (Connected, no_proxy("refused"), (away("refused"), Nothing)),
        (pairing("a"), no_proxy("refused"), (away("refused"), Nothing)),
        (away("refused"), no_proxy("no route"), (away("no route"), Nothing)),
        (away("refused"), lost("the connection to WhatsApp was lost"), (away("refused"), Nothing)),
        (away("refused"), SessionSignal::ConnectionEnded, (away("refused"), ConnectLater)),
        (away("refused"), SessionSignal::RestartAsked, (Connecting, Connect)),
        (away("refused"), SessionSignal::Connected, (Connected, Nothing)),
        (away("refused"), qr("a"), (pairing("a"), Nothing)),
        (WaitingForBroker, no_proxy("refused"), (WaitingForBroker, Nothing)),
        // The broker comes first.
        (WaitingForBroker, SessionSignal::BrokerReady, (Connecting, Connect)),
        (WaitingForBroker, SessionSignal::BrokerLost, (WaitingForBroker, Nothing)),
        (WaitingForBroker, SessionSignal::ConnectionEnded, (WaitingForBroker, Nothing)),
        (WaitingForBroker, SessionSignal::Connected, (WaitingForBroker, Nothing)),
        (WaitingForBroker, SessionSignal::RestartAsked, (WaitingForBroker, Nothing)),
        // Pairing.
        (Connecting, qr("a"), (pairing("a"), Nothing)),
        (pairing("a"), qr("b"), (pairing("b"), Nothing)),
        (pairing("a"), exhausted.clone(), (BETWEEN_CODES, Nothing)),
        (pairing("a"), lost("closed"), (BETWEEN_CODES, Nothing)),
        (BETWEEN_CODES, SessionSignal::ConnectionEnded, (BETWEEN_CODES, ConnectLater)),
        (BETWEEN_CODES, SessionSignal::PairingCodeExpired, (BETWEEN_CODES, Connect)),
        (BETWEEN_CODES, qr("c"), (pairing("c"), Nothing)),
        (pairing("a"), SessionSignal::BrokerLost, (pairing("a"), Nothing)),
        (pairing("a"), SessionSignal::RestartAsked, (BETWEEN_CODES, Connect)),
        (pairing("a"), SessionSignal::PairingFailed("why".to_owned()), (pairing("a"), Nothing)),
        (pairing("a"), SessionSignal::Paired, (Connecting, Nothing)),
        (Connecting, SessionSignal::Paired, (Connecting, Nothing)),
        (Connecting, exhausted, (Connecting, Nothing)),
        (Connecting, SessionSignal::PairingCodeExpired, (Connecting, Nothing)),
        // Silence.
        (Connected, silent(), (reconnecting("WhatsApp was silent for 70 s"), Connect)),
        (Connecting, silent(), (reconnecting("WhatsApp was silent for 70 s"), Connect)),
        (reconnecting("closed"), silent(), (reconnecting("WhatsApp was silent for 70 s"), Connect)),
        (pairing("a"), silent(), (pairing("a"), Nothing)),
        (WaitingForBroker, silent(), (WaitingForBroker, Nothing)),
        // Connected, and back.
        (Connecting, SessionSignal::Connected, (Connected, Nothing)),
        (Connected, lost("closed"), (reconnecting("closed"), Nothing)),
        (Connected, turned_away("503"), (reconnecting("503"), Nothing)),
        (Connecting, turned_away("503"), (reconnecting("503"), Nothing)),
        (Connecting, lost("closed"), (reconnecting("closed"), Nothing)),
        (reconnecting("closed"), turned_away("503"), (reconnecting("503"), Nothing)),
        (pairing("a"), turned_away("503"), (BETWEEN_CODES, Nothing)),
        (reconnecting("429"), lost("closed"), (reconnecting("429"), Nothing)),
        (reconnecting("429"), SessionSignal::Connected, (Connected, Nothing)),
        (reconnecting("429"), SessionSignal::RestartAsked, (Connecting, Connect)),
        (Connected, SessionSignal::RestartAsked, (Connected, Nothing)),
        (Connected, SessionSignal::BrokerReady, (Connected, Nothing)),
        // The disk is full.
        (Connected, not_kept(), (reconnecting("the session's folder takes no messages: full"), ConnectLater)),
        (Connecting, not_kept(), (reconnecting("the session's folder takes no messages: full"), ConnectLater)),
        (pairing("a"), not_kept(), (reconnecting("the session's folder takes no messages: full"), ConnectLater)),
        (WaitingForBroker, not_kept(), (WaitingForBroker, Nothing)),
        // A run loop that ends by itself.
        (Connected, SessionSignal::ConnectionEnded, (ended.clone(), ConnectLater)),
        (Connecting, SessionSignal::ConnectionEnded, (ended, ConnectLater)),
        (reconnecting("429"), SessionSignal::ConnectionEnded, (reconnecting("429"), ConnectLater)),
        // The broker goes.
        (Connected, SessionSignal::BrokerLost, (WaitingForBroker, Disconnect)),
        (Connecting, SessionSignal::BrokerLost, (WaitingForBroker, Disconnect)),
        (reconnecting("429"), SessionSignal::BrokerLost, (WaitingForBroker, Disconnect)),
    ] {
        assert_eq!(next_state(state.clone(), signal.clone()), expected, "{state:?} and {signal:?}");
    }
}

#[test]
fn a_pairing_by_passkey_never_gets_stuck() {
    use SessionAction::{Connect, ConnectLater, Nothing};
    let qr = |code: &str| SessionSignal::QrCode(code.to_owned());
    let asked = || SessionSignal::Passkey(PasskeyStep::Requested(request()));
    let requested = || passkey(PasskeyCeremony::Requested(request()));
    let failed = |error: &str| passkey(PasskeyCeremony::Failed { error: error.to_owned() });
    let again = SessionState::Pairing {
        qr_code: Some("b".to_owned()),
        passkey: PasskeyCeremony::Failed { error: "why".to_owned() },
    };
    let broken = |why: &str| SessionSignal::Passkey(PasskeyStep::Failed(why.to_owned()));
    let exhausted = |can_still_pair| SessionSignal::QrCodesExhausted { can_still_pair };
    for (state, signal, expected) in [
        (pairing("a"), asked(), (requested(), Nothing)),
        (SessionState::Connecting, asked(), (requested(), Nothing)),
        (SessionState::Connected, asked(), (SessionState::Connected, Nothing)),
        (SessionState::Connecting, broken("why"), (SessionState::Connecting, Nothing)),
        // The codes are of no use while it is under way.
        (requested(), qr("b"), (requested(), Nothing)),
        (requested(), exhausted(true), (requested(), Nothing)),
        (requested(), SessionSignal::PairingCodeExpired, (requested(), Nothing)),
        (requested(), SessionSignal::BrokerLost, (requested(), Nothing)),
        (requested(), silent(), (requested(), Nothing)),
        (requested(), SessionSignal::Paired, (SessionState::Connecting, Nothing)),
        // It fails with its connection, and a new connection shows a new code.
        (requested(), exhausted(false), (failed("it was not done in time"), Nothing)),
        (requested(), lost("closed"), (failed("the connection to WhatsApp was lost"), Connect)),
        (requested(), turned_away("503"), (failed("the connection to WhatsApp was lost"), Connect)),
        (requested(), SessionSignal::ConnectionEnded, (failed("the connection to WhatsApp ended"), ConnectLater)),
        (requested(), SessionSignal::PairingFailed("why".to_owned()), (failed("why"), Connect)),
        (requested(), broken("why"), (failed("why"), Connect)),
        (requested(), SessionSignal::RestartAsked, (BETWEEN_CODES, Connect)),
        // The failure stays readable until the next request.
        (failed("why"), SessionSignal::ConnectionEnded, (failed("why"), ConnectLater)),
        (failed("why"), lost("closed"), (failed("why"), Nothing)),
        (failed("why"), qr("b"), (again.clone(), Nothing)),
        (again.clone(), SessionSignal::Passkey(PasskeyStep::Expired), (again.clone(), Nothing)),
        (again.clone(), broken("another"), (failed("another"), Connect)),
        (again.clone(), asked(), (requested(), Nothing)),
        (again, SessionSignal::Paired, (SessionState::Connecting, Nothing)),
    ] {
        assert_eq!(next_state(state.clone(), signal.clone()), expected, "{state:?} and {signal:?}");
    }
}

#[test]
fn an_end_closes_the_connection_from_any_open_state() {
    for end in ends() {
        for state in [SessionState::Connecting, pairing("a"), SessionState::Connected, reconnecting("closed")] {
            let expected = (SessionState::Ended(end.clone()), SessionAction::Disconnect);
            assert_eq!(next_state(state, SessionSignal::Ended(end.clone())), expected);
        }
    }
}

#[test]
fn nothing_but_a_user_leaves_an_end() {
    for end in ends() {
        let state = SessionState::Ended(end);
        for signal in [
            SessionSignal::QrCode("a".to_owned()),
            SessionSignal::QrCodesExhausted { can_still_pair: false },
            SessionSignal::PairingCodeExpired,
            SessionSignal::Paired,
            SessionSignal::Connected,
            lost("closed"),
            turned_away("503"),
            // A logout is told twice if WhatsApp closes the stream over it; the first reason stands.
            SessionSignal::Ended(SessionEnd::LoggedOut { reason: "again".to_owned() }),
            SessionSignal::ConnectionEnded,
            SessionSignal::BrokerLost,
            SessionSignal::BrokerReady,
        ] {
            assert_eq!(
                next_state(state.clone(), signal.clone()),
                (state.clone(), SessionAction::Nothing),
                "{state:?} and {signal:?}"
            );
        }
    }
}

#[test]
fn a_restart_keeps_the_keys_unless_they_are_worthless() {
    for end in ends() {
        let action = if end == logged_out() { SessionAction::ConnectUnpaired } else { SessionAction::Connect };
        assert_eq!(
            next_state(SessionState::Ended(end), SessionSignal::RestartAsked),
            (SessionState::Connecting, action)
        );
    }
}

#[test]
fn a_logout_on_request_works_in_every_state() {
    let living = [
        SessionState::WaitingForBroker,
        SessionState::Connecting,
        pairing("a"),
        SessionState::Connected,
        reconnecting("closed"),
    ];
    for state in living.into_iter().chain(ends().map(SessionState::Ended)) {
        let (state, action) = next_state(state, SessionSignal::LogoutAsked);
        assert!(matches!(state, SessionState::Ended(SessionEnd::LoggedOut { .. })), "{state:?}");
        assert_eq!(action, SessionAction::LogOut);
    }
}

#[test]
fn a_broker_that_stores_nothing_is_left_in_quiet_until_it_stores() {
    use crate::storage::{
        StorageProblem,
        StorageProblemKind::{Full, Refused, Unavailable},
    };
    let problem = |kind| StorageProblem { kind, reason: "no room".to_owned() };
    let cannot = |kind| SessionState::CannotStore(problem(kind));
    for state in [SessionState::Connecting, SessionState::Connected, reconnecting("why")] {
        let next = next_state(state, SessionSignal::CannotStore(problem(Full)));
        assert_eq!(next, (cannot(Full), SessionAction::Disconnect));
    }
    let code = pairing("code");
    let next = next_state(code.clone(), SessionSignal::CannotStore(problem(Full)));
    assert_eq!(next, (code, SessionAction::Nothing), "nothing can be lost while no account is paired");
    for late in [SessionSignal::Connected, lost("why"), SessionSignal::ConnectionEnded, SessionSignal::BrokerLost] {
        assert_eq!(next_state(cannot(Full), late), (cannot(Full), SessionAction::Nothing));
    }
    let next = next_state(cannot(Full), SessionSignal::CannotStore(problem(Refused)));
    assert_eq!(next, (cannot(Refused), SessionAction::Nothing));
    let next = next_state(cannot(Full), SessionSignal::BrokerReady);
    assert_eq!(next, (SessionState::Connecting, SessionAction::Connect));
    let statuses = [Full, Refused, Unavailable].map(|kind| cannot(kind).status().as_str());
    assert_eq!(statuses, ["storage_full", "storage_refused", "storage_unavailable"]);
    assert_eq!(cannot(Full).reason(), Some("no room"));
}
