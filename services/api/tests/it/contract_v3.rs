//! The rows of `tests/contract-v3/` against the API alone: a real dispatcher, and a stand-in for the gateway.

use crate::{
    api::{Api, KEY, SOON, dispatcher},
    stand_in::{Gateway, connected, status},
};
use kurir_contract::command::Command;
use kurir_test_harness::{
    Answer, Nats, Process, Receiver,
    contract_v3::{ContractState, ContractTarget, NUMBER_NOT_ON_WHATSAPP, scenarios, scenarios_given},
    until,
};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, Ordering};

/// Runs every scenario that needs a state, each with services of its own.
async fn run_scenarios(state: ContractState) {
    for scenario in scenarios_given(state) {
        let mut nats = Nats::start().await;
        let receiver = Receiver::start().await;
        match state {
            ContractState::FailingReceiver => receiver.always(Answer::status(500)),
            ContractState::HangingReceiver => receiver.always(Answer::Hang),
            _ => {}
        }
        let webhook_url = if state == ContractState::WithoutWebhooks { String::new() } else { receiver.url() };
        let api = Api::start(&nats, &[("WEBHOOK_URL", &webhook_url)]).await;
        let _dispatcher: Option<Process> = match webhook_url.as_str() {
            "" => None,
            url => Some(dispatcher(&nats, url).await),
        };
        let _gateway = stand_in(&nats, state).await;
        if state == ContractState::BrokerAway {
            nats.stop().await;
            let url = api.url("/readyz");
            until("the API to miss the broker", SOON, || async {
                let ready = kurir_test_harness::http::client().get(&url).send().await.map_err(|e| e.to_string())?;
                if ready.status() == 503 { Ok(()) } else { Err(ready.status().to_string()) }
            })
            .await;
        }
        let target = ContractTarget { base_url: api.url(""), key: KEY, receiver: &receiver };
        scenario.run(&target).await;
    }
}

/// Answers as a gateway whose session is in this state.
async fn stand_in(nats: &Nats, state: ContractState) -> Gateway {
    let is_paired = AtomicBool::new(state != ContractState::Pairing);
    Gateway::start(nats, "default", move |command, arguments| {
        let paired = is_paired.load(Ordering::SeqCst);
        let error = |code: &str| Some(json!({"error": {"code": code, "message": "the gateway's text"}}));
        match command {
            Command::Status if paired => Some(connected()),
            Command::Status => Some(status("pairing", false, Some("2@abc,def"))),
            Command::Logout => {
                is_paired.store(false, Ordering::SeqCst);
                Some(json!({"ok": {"wasPaired": paired}}))
            }
            _ if !paired => error("not_connected"),
            _ if state == ContractState::RefusedByWhatsapp => error("refused_by_whatsapp"),
            _ if state == ContractState::SilentWhatsapp => error("timed_out"),
            _ => Some(send_reply(arguments)),
        }
    })
    .await
}

fn send_reply(arguments: &Value) -> Value {
    let to = arguments["to"].as_str().unwrap_or_default();
    if to.starts_with(NUMBER_NOT_ON_WHATSAPP) {
        return json!({"error": {"code": "not_on_whatsapp", "message": "the gateway's text"}});
    }
    json!({"ok": {"messageId": "3EB0AA", "to": to, "attempt": 1}})
}

macro_rules! contract_tests {
    ($($test:ident: $state:ident,)+) => {
        $(#[tokio::test]
        async fn $test() {
            run_scenarios(ContractState::$state).await;
        })+

        #[test]
        fn every_scenario_has_a_test() {
            let tested = [$(ContractState::$state),+];
            for scenario in scenarios() {
                assert!(tested.contains(&scenario.given), "{:?} runs nowhere", scenario.scenario);
            }
        }
    };
}

contract_tests! {
    rows_of_a_connected_session: Connected,
    rows_of_a_session_that_pairs: Pairing,
    rows_without_webhooks: WithoutWebhooks,
    rows_with_a_failing_receiver: FailingReceiver,
    rows_with_a_hanging_receiver: HangingReceiver,
    rows_refused_by_whatsapp: RefusedByWhatsapp,
    rows_without_an_ack_of_whatsapp: SilentWhatsapp,
    rows_without_a_broker: BrokerAway,
}
