use super::*;
use kurir_contract::endpoint::EndpointSettings;

fn event() -> EventSummary {
    EventSummary {
        id: "evt_1".to_owned(),
        sequence: 7,
        event: "message.received".to_owned(),
        session: "default".to_owned(),
        stored_at: String::new(),
        at: String::new(),
        chat: None,
        author: None,
        message_id: Some("A".to_owned()),
        from_me: false,
        detail: None,
        reference: None,
    }
}

fn attempt(number: u32, outcome: &str, status: Option<u16>, class: Option<&str>) -> DeliveryView {
    DeliveryView {
        id: number.to_string(),
        event_id: "evt_1".to_owned(),
        sequence: 7,
        event: "message.received".to_owned(),
        endpoint: "ep_1".to_owned(),
        session: None,
        chat: None,
        attempt: number,
        outcome: outcome.to_owned(),
        status,
        class: class.map(str::to_owned),
        answer: None,
        headers: Vec::new(),
        duration_ms: 3,
        at: String::new(),
        replay: None,
    }
}

fn life(
    change: impl Fn(&mut EndpointSettings, &mut PresentState, &mut EndpointFacts),
    attempts: Vec<DeliveryView>,
) -> EndpointLife {
    let mut endpoint = StoredEndpoint {
        id: "ep_1".parse().expect("an id"),
        settings: EndpointSettings::new("https://crm.example/hook".to_owned()),
    };
    let mut present = PresentState::default();
    let mut unused = EndpointFacts::new(&event(), &endpoint, &present, Vec::new());
    change(&mut endpoint.settings, &mut present, &mut unused);
    let mut facts = EndpointFacts::new(&event(), &endpoint, &present, attempts);
    change(&mut endpoint.settings, &mut present, &mut facts);
    facts.decide()
}

#[test]
fn each_end_and_each_wait_has_its_state_and_says_why() {
    use EndpointLifeState as S;
    let retry = |state: &str| WaitingRetry { state: state.to_owned(), until: None, attempt: Some("2".to_owned()) };
    let waits = |state: &'static str| {
        move |_: &mut EndpointSettings, present: &mut PresentState, _: &mut EndpointFacts| {
            present.retries.insert("ep_1".to_owned(), retry(state));
        }
    };
    let refused = || attempt(1, "refused", Some(500), None);
    let cases: Vec<(EndpointLife, S, &str)> = vec![
        (
            life(|_, _, _| {}, vec![refused(), attempt(2, "delivered", Some(204), None)]),
            S::Delivered,
            "204 at attempt 2",
        ),
        (life(waits("waiting"), vec![refused()]), S::Waiting, "attempt 2 (the last one: the receiver answered 500)"),
        (life(waits("parked"), vec![]), S::Waiting, "earlier event of its chat"),
        (life(waits("due"), vec![refused()]), S::Waiting, "is due"),
        (
            life(
                |_, present, _| {
                    let letter = DeadLetterFacts { id: 3, reason: "it answered 400".to_owned(), at: String::new() };
                    present.dead_letters.insert("ep_1".to_owned(), letter);
                },
                vec![refused()],
            ),
            S::Dead,
            "it answered 400",
        ),
        (life(|_, _, _| {}, vec![attempt(1, "filtered", None, Some("content"))]), S::Filtered, "content filter"),
        (life(|_, _, _| {}, vec![]), S::Pending, "not taken it yet"),
        (life(|settings, _, _| settings.enabled = false, vec![]), S::Pending, "the endpoint is disabled"),
        (
            life(
                |_, _, facts| {
                    let (circuit, last_error) = (CircuitState::Open, Some("connection refused".to_owned()));
                    facts.state = Some(EndpointState { circuit, last_error, ..EndpointState::default() });
                },
                vec![],
            ),
            S::Pending,
            "connection refused",
        ),
        (life(|_, _, facts| facts.acknowledged = Some(7), vec![]), S::Unknown, "settled"),
        (life(|settings, _, _| settings.start_sequence = 8, vec![]), S::Unmatched, "made after"),
        (
            life(|settings, _, _| settings.events = vec!["call.*".parse().expect("a pattern")], vec![]),
            S::Unmatched,
            "type",
        ),
        (
            life(|settings, _, _| settings.sessions = vec!["b".parse().expect("a name")], vec![]),
            S::Unmatched,
            "session",
        ),
        (life(|_, present, _| present.not_for = Some("ep_1".to_owned()), vec![]), S::Unmatched, "itself"),
        (life(|_, present, _| present.only_for = Some("ep_2".to_owned()), vec![]), S::Unmatched, "another endpoint"),
    ];
    for (life, state, reason) in cases {
        assert_eq!(life.state, state, "{reason}");
        assert!(life.reason.contains(reason), "{:?} has no {reason:?}", life.reason);
        assert_eq!(life.host.as_deref(), Some("crm.example"));
    }
}
