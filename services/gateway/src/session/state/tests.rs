//! One row for each step of the session's life.

use super::{
    super::{
        passkey::{Passkey, Request, Step},
        watchdog::Silence,
    },
    Action, End, Signal, State, next,
};
use kurir_contract::event::NoticedBy;
use std::time::Duration;

fn pairing(code: &str) -> State {
    State::Pairing { qr_code: Some(code.to_owned()), passkey: Passkey::None }
}

const BETWEEN_CODES: State = State::Pairing { qr_code: None, passkey: Passkey::None };

fn passkey(passkey: Passkey) -> State {
    State::Pairing { qr_code: None, passkey }
}

fn request() -> Request {
    let now = time::macros::datetime!(2026-11-24 12:00 UTC);
    Request::read(r#"{"challenge":"YWJj"}"#, now).expect("options")
}

fn reconnecting(reason: &str) -> State {
    State::Reconnecting { reason: reason.to_owned() }
}

fn lost(reason: &str) -> Signal {
    Signal::ConnectionLost(reason.to_owned())
}

fn turned_away(reason: &str) -> Signal {
    Signal::TurnedAway(reason.to_owned())
}

fn silent() -> Signal {
    Signal::Silent(Silence { lasted: Duration::from_secs(70), noticed_by: NoticedBy::Ping })
}

fn logged_out() -> End {
    End::LoggedOut { reason: "the phone removed this device".to_owned() }
}

fn ends() -> [End; 6] {
    let reason = String::from("why");
    [
        logged_out(),
        End::Replaced,
        End::Banned { reason: reason.clone(), until: None },
        End::Locked { reason: reason.clone() },
        End::Outdated,
        End::Refused { reason },
    ]
}

#[test]
fn each_signal_makes_its_step() {
    use Action::{BeginLife, BeginLifeLater, EndLife, Nothing};
    use State::{Connected, Connecting, WaitingForBroker};
    let qr = |code: &str| Signal::QrCode(code.to_owned());
    let exhausted = Signal::QrCodesExhausted { life_goes_on: false };
    let ended = reconnecting("the client ended without a reason");
    let not_kept = || Signal::NotKept("full".to_owned());
    for (state, signal, expected) in [
        // The broker comes first.
        (WaitingForBroker, Signal::BrokerReady, (Connecting, BeginLife)),
        (WaitingForBroker, Signal::BrokerLost, (WaitingForBroker, Nothing)),
        (WaitingForBroker, Signal::LifeEnded, (WaitingForBroker, Nothing)),
        (WaitingForBroker, Signal::Connected, (WaitingForBroker, Nothing)),
        (WaitingForBroker, Signal::RestartAsked, (WaitingForBroker, Nothing)),
        // Pairing.
        (Connecting, qr("a"), (pairing("a"), Nothing)),
        (pairing("a"), qr("b"), (pairing("b"), Nothing)),
        (pairing("a"), exhausted.clone(), (BETWEEN_CODES, Nothing)),
        (pairing("a"), lost("closed"), (BETWEEN_CODES, Nothing)),
        (BETWEEN_CODES, Signal::LifeEnded, (BETWEEN_CODES, BeginLifeLater)),
        (BETWEEN_CODES, Signal::PairingCodeExpired, (BETWEEN_CODES, BeginLife)),
        (BETWEEN_CODES, qr("c"), (pairing("c"), Nothing)),
        (pairing("a"), Signal::BrokerLost, (pairing("a"), Nothing)),
        (pairing("a"), Signal::RestartAsked, (BETWEEN_CODES, BeginLife)),
        (pairing("a"), Signal::PairingFailed("why".to_owned()), (pairing("a"), Nothing)),
        (pairing("a"), Signal::Paired, (Connecting, Nothing)),
        (Connecting, Signal::Paired, (Connecting, Nothing)),
        (Connecting, exhausted, (Connecting, Nothing)),
        (Connecting, Signal::PairingCodeExpired, (Connecting, Nothing)),
        // Silence.
        (Connected, silent(), (reconnecting("WhatsApp was silent for 70 s"), BeginLife)),
        (Connecting, silent(), (reconnecting("WhatsApp was silent for 70 s"), BeginLife)),
        (reconnecting("closed"), silent(), (reconnecting("WhatsApp was silent for 70 s"), BeginLife)),
        (pairing("a"), silent(), (pairing("a"), Nothing)),
        (WaitingForBroker, silent(), (WaitingForBroker, Nothing)),
        // Connected, and back.
        (Connecting, Signal::Connected, (Connected, Nothing)),
        (Connected, lost("closed"), (reconnecting("closed"), Nothing)),
        (Connected, turned_away("503"), (reconnecting("503"), Nothing)),
        (Connecting, turned_away("503"), (reconnecting("503"), Nothing)),
        (Connecting, lost("closed"), (reconnecting("closed"), Nothing)),
        (reconnecting("closed"), turned_away("503"), (reconnecting("503"), Nothing)),
        (pairing("a"), turned_away("503"), (BETWEEN_CODES, Nothing)),
        (reconnecting("429"), lost("closed"), (reconnecting("429"), Nothing)),
        (reconnecting("429"), Signal::Connected, (Connected, Nothing)),
        (reconnecting("429"), Signal::RestartAsked, (Connecting, BeginLife)),
        (Connected, Signal::RestartAsked, (Connected, Nothing)),
        (Connected, Signal::BrokerReady, (Connected, Nothing)),
        // The disk is full.
        (Connected, not_kept(), (reconnecting("the session's folder takes no messages: full"), BeginLifeLater)),
        (Connecting, not_kept(), (reconnecting("the session's folder takes no messages: full"), BeginLifeLater)),
        (pairing("a"), not_kept(), (reconnecting("the session's folder takes no messages: full"), BeginLifeLater)),
        (WaitingForBroker, not_kept(), (WaitingForBroker, Nothing)),
        // A run loop that ends by itself.
        (Connected, Signal::LifeEnded, (ended.clone(), BeginLifeLater)),
        (Connecting, Signal::LifeEnded, (ended, BeginLifeLater)),
        (reconnecting("429"), Signal::LifeEnded, (reconnecting("429"), BeginLifeLater)),
        // The broker goes.
        (Connected, Signal::BrokerLost, (WaitingForBroker, EndLife)),
        (Connecting, Signal::BrokerLost, (WaitingForBroker, EndLife)),
        (reconnecting("429"), Signal::BrokerLost, (WaitingForBroker, EndLife)),
    ] {
        assert_eq!(next(state.clone(), signal.clone()), expected, "{state:?} and {signal:?}");
    }
}

#[test]
fn a_pairing_by_passkey_never_gets_stuck() {
    use Action::{BeginLife, BeginLifeLater, Nothing};
    let qr = |code: &str| Signal::QrCode(code.to_owned());
    let asked = || Signal::Passkey(Step::Requested(request()));
    let requested = || passkey(Passkey::Requested(request()));
    let failed = |error: &str| passkey(Passkey::Failed { error: error.to_owned() });
    let again = State::Pairing { qr_code: Some("b".to_owned()), passkey: Passkey::Failed { error: "why".to_owned() } };
    let broken = |why: &str| Signal::Passkey(Step::Failed(why.to_owned()));
    let exhausted = |life_goes_on| Signal::QrCodesExhausted { life_goes_on };
    for (state, signal, expected) in [
        (pairing("a"), asked(), (requested(), Nothing)),
        (State::Connecting, asked(), (requested(), Nothing)),
        (State::Connected, asked(), (State::Connected, Nothing)),
        (State::Connecting, broken("why"), (State::Connecting, Nothing)),
        // The codes are of no use while it is under way.
        (requested(), qr("b"), (requested(), Nothing)),
        (requested(), exhausted(true), (requested(), Nothing)),
        (requested(), Signal::PairingCodeExpired, (requested(), Nothing)),
        (requested(), Signal::BrokerLost, (requested(), Nothing)),
        (requested(), silent(), (requested(), Nothing)),
        (requested(), Signal::Paired, (State::Connecting, Nothing)),
        // It fails with its connection, and a new life shows a new code.
        (requested(), exhausted(false), (failed("it was not done in time"), Nothing)),
        (requested(), lost("closed"), (failed("the connection to WhatsApp was lost"), BeginLife)),
        (requested(), turned_away("503"), (failed("the connection to WhatsApp was lost"), BeginLife)),
        (requested(), Signal::LifeEnded, (failed("the connection to WhatsApp ended"), BeginLifeLater)),
        (requested(), Signal::PairingFailed("why".to_owned()), (failed("why"), BeginLife)),
        (requested(), broken("why"), (failed("why"), BeginLife)),
        (requested(), Signal::RestartAsked, (BETWEEN_CODES, BeginLife)),
        // The failure stays readable until the next request.
        (failed("why"), Signal::LifeEnded, (failed("why"), BeginLifeLater)),
        (failed("why"), lost("closed"), (failed("why"), Nothing)),
        (failed("why"), qr("b"), (again.clone(), Nothing)),
        (again.clone(), Signal::Passkey(Step::Expired), (again.clone(), Nothing)),
        (again.clone(), broken("another"), (failed("another"), BeginLife)),
        (again.clone(), asked(), (requested(), Nothing)),
        (again, Signal::Paired, (State::Connecting, Nothing)),
    ] {
        assert_eq!(next(state.clone(), signal.clone()), expected, "{state:?} and {signal:?}");
    }
}

#[test]
fn an_end_ends_the_life_from_any_living_state() {
    for end in ends() {
        for state in [State::Connecting, pairing("a"), State::Connected, reconnecting("closed")] {
            let expected = (State::Ended(end.clone()), Action::EndLife);
            assert_eq!(next(state, Signal::Ended(end.clone())), expected);
        }
    }
}

#[test]
fn nothing_but_a_user_leaves_an_end() {
    for end in ends() {
        let state = State::Ended(end);
        for signal in [
            Signal::QrCode("a".to_owned()),
            Signal::QrCodesExhausted { life_goes_on: false },
            Signal::PairingCodeExpired,
            Signal::Paired,
            Signal::Connected,
            lost("closed"),
            turned_away("503"),
            // A logout is told twice if WhatsApp closes the stream over it; the first reason stands.
            Signal::Ended(End::LoggedOut { reason: "again".to_owned() }),
            Signal::LifeEnded,
            Signal::BrokerLost,
            Signal::BrokerReady,
        ] {
            assert_eq!(
                next(state.clone(), signal.clone()),
                (state.clone(), Action::Nothing),
                "{state:?} and {signal:?}"
            );
        }
    }
}

#[test]
fn a_restart_keeps_the_keys_unless_they_are_worthless() {
    for end in ends() {
        let action = if end == logged_out() { Action::BeginAnew } else { Action::BeginLife };
        assert_eq!(next(State::Ended(end), Signal::RestartAsked), (State::Connecting, action));
    }
}

#[test]
fn a_logout_on_request_works_in_every_state() {
    let living = [State::WaitingForBroker, State::Connecting, pairing("a"), State::Connected, reconnecting("closed")];
    for state in living.into_iter().chain(ends().map(State::Ended)) {
        let (state, action) = next(state, Signal::LogoutAsked);
        assert!(matches!(state, State::Ended(End::LoggedOut { .. })), "{state:?}");
        assert_eq!(action, Action::LogOut);
    }
}
